"""Items of prices, from and to the values that the rules work with.

A price that an import has written counts once that import has ended well: until then ``before`` does, the price as it
was, or nothing where there was none. So an import of any size is taken as a whole or not at all.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from weir.runtime.audit import Told, texts
from weir.runtime.clock import parse_rfc3339, rfc3339
from weir.runtime.dynamodb import Item
from weir.usage.models import Price, Rates
from weir.usage.money import usd
from weir.usage.shapes import SHAPES
from weir.usage.table import PRICES, SCHEMA, price_key

_CHANGING = ("rates", "long", "long_above", "source", "revision")


def place(provider: str, model: str = "", region: str = "", tier: str = "", since: datetime | None = None) -> str:
    """What prices are listed by; with the first arguments alone, how that of all which have those begins."""
    if not model:
        return f"{provider}#"
    return f"{provider}#{model}#" if since is None else f"{provider}#{model}#{region}#{tier}#{rfc3339(since)}"


def price_id_of(provider: str, model: str, region: str, tier: str, since: datetime) -> str:
    """The id of a price: it follows from what the price is of, so that no two are of the same."""
    return hashlib.sha256(place(provider, model, region, tier, since).encode()).hexdigest()[:24]


def price_item(price: Price, import_id: str = "", before: Price | None = None) -> Item:
    """A price's item; ``import_id`` where an import writes it over ``before``."""
    item = {
        **price_key(price.price_id),
        "schema": SCHEMA,
        "list": PRICES,
        "at": place(price.provider, price.model, price.region, price.tier, price.since),
        "price_id": price.price_id,
        "provider": price.provider,
        "model": price.model,
        "region": price.region,
        "tier": price.tier,
        "since": rfc3339(price.since),
        **_changing(price),
    }
    return item | ({"import_id": import_id, "before": _changing(before) if before else None} if import_id else {})


def price_of(item: Mapping[str, Any]) -> Price:
    """The price of an item, as an import that may have written it would have it."""
    return _price(SHAPES.current(item), item)


def price_before(item: Mapping[str, Any]) -> Price | None:
    """The price of an item as it was before an import wrote it; None where there was none."""
    current = SHAPES.current(item)
    return _price(current, current["before"]) if current.get("before") else None


def price_texts(price: Price) -> Told:
    """A price as the audit tells it, in dollars."""
    of = {name: getattr(price, name) for name in ("provider", "model", "region", "tier", "since")}
    told = of | _dollars(price.rates) | {"source": price.source}
    if price.long is not None:
        told |= {"long": json.dumps(_dollars(price.long)), "long_above": price.long_above}
    return texts(told)


def _dollars(rates: Rates) -> dict[str, str]:
    return {name: usd(rate) for name, rate in asdict(rates).items() if rate is not None}


def _changing(price: Price) -> dict[str, Any]:
    """What of a price may change; the rest is what it is of."""
    return {
        "rates": asdict(price.rates),
        "long": asdict(price.long) if price.long else None,
        "long_above": price.long_above,
        "source": price.source,
        "revision": price.revision,
    }


def _price(item: Mapping[str, Any], changing: Mapping[str, Any]) -> Price:
    told = {name: changing[name] for name in _CHANGING}
    told |= {"rates": Rates(**told["rates"]), "long": Rates(**told["long"]) if told["long"] else None}
    names = ("price_id", "provider", "model", "region", "tier")
    return Price(**{name: item[name] for name in names}, since=parse_rfc3339(item["since"]), **told)
