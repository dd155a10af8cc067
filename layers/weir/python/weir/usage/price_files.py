"""The files that prices come in: CSV, LiteLLM's JSON, and the list that Weir brings along."""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from weir.usage import litellm_prices, price_csv
from weir.usage.litellm_prices import Read
from weir.usage.models import Price, Rates
from weir.usage.money import pico
from weir.usage.price_csv import Shifted
from weir.usage.price_errors import PricesRefused
from weir.usage.price_import import MOST_PRICES

Form = Literal["csv", "litellm", "shipped"]
CSV_PROVIDER = "bedrock"
"""Whose prices a CSV tells where nobody says: its regions are those of AWS."""


@dataclass(frozen=True, slots=True)
class Asked:
    """How a file is to be read.

    ``provider`` is whose prices a CSV tells, or the only one to be taken of other files; ``since`` from when prices
    hold of which the file does not tell.
    """

    since: datetime
    provider: str = ""
    shifted: Shifted = "refuse"


def read(form: Form, text: str, asked: Asked) -> Read:
    """The prices of a file.

    Raises
    ------
    BadRequest, PricesRefused
    """
    only = frozenset({asked.provider}) if asked.provider else frozenset[str]()
    match form:
        case "csv":
            told = Read(price_csv.read(text, asked.provider or CSV_PROVIDER, asked.since, asked.shifted))
        case "litellm":
            told = litellm_prices.read(text, asked.since, only)
        case "shipped":
            told = Read([one for one in shipped() if not only or one.provider in only])
    if len(told.prices) > MOST_PRICES:
        raise PricesRefused(f"It holds {len(told.prices):,} prices, and {MOST_PRICES:,} are taken at once; send parts.")
    return told


@lru_cache(maxsize=1)
def shipped() -> tuple[Price, ...]:
    """The list that Weir brings along: prices of well-known models, each with where and when it was read."""
    import yaml  # for an import of this list alone

    document = yaml.safe_load(Path(__file__).with_name("shipped_prices.yaml").read_text(encoding="utf-8"))
    return tuple(
        Price(
            price_id="",
            provider=one["provider"],
            model=model,
            since=datetime.combine(one["since"], datetime.min.time(), UTC),
            rates=_rates(one["rates"]),
            source=f"{one['source']}, read {document['read']}",
            **({"long": _rates(one["long"]), "long_above": one["long_above"]} if "long" in one else {}),
        )
        for one in document["prices"]
        for model in one["models"]
    )


def _rates(told: dict[str, Any]) -> Rates:
    return Rates(**{name: pico(text) for name, text in told.items()})


def today(now: datetime) -> datetime:
    """The beginning of a day in UTC: from when prices hold of which nobody says since when."""
    return now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
