"""Prices in the usage table: read for calls, changed by admins one by one. Many at once: ``price_import.py``."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from weir.runtime.audit import NOTHING, Asker, Audit
from weir.runtime.clock import Clock
from weir.runtime.dynamodb import Item, Table, Write
from weir.runtime.etags import first_revision, matches
from weir.usage.models import Price
from weir.usage.price_errors import Importing, PriceChanged, PriceExists, PriceNotFound
from weir.usage.price_items import place, price_before, price_id_of, price_item, price_of, price_texts
from weir.usage.shapes import SHAPES
from weir.usage.table import PRICE_LOCK, PRICES, price_import_key, price_key

LISTING = "listing"
AGAIN_SECONDS = 5


class PriceStore:
    """The prices. ``listed`` reads of the index are a moment late, as DynamoDB has it."""

    def __init__(self, table: Table, clock: Clock) -> None:
        self.table, self.clock = table, clock
        self.audit = Audit(table, SHAPES, clock)
        self._ended: set[str] = set()  # imports that have ended well, and so for good

    def of_model(self, provider: str, model: str) -> list[Price]:
        """Every price of a provider's, or of a kind's, model: all regions, tiers and days."""
        return list(self._listed(place(provider, model)))

    def page(
        self, limit: int, after: Mapping[str, Any] | None, provider: str = "", model: str = ""
    ) -> tuple[list[Price], Item | None]:
        """Prices by provider, model, region, tier and day, and where to go on; None at the end."""
        begins = place(provider, model) if provider else ""
        where, values = _where(begins)
        items, position = self.table.page(
            where, values, limit=limit, after=after, index=LISTING, names={"list": "list"} | _named(begins)
        )
        return list(self._shown(items)), position

    def get(self, price_id: str) -> Price:
        """The price of an id. PriceNotFound where there is none."""
        return self._read(price_id)[1]

    def add(self, price: Price, who: Asker | None = None) -> Price:
        """Store a price that is new; answers it with its id.

        Raises
        ------
        PriceExists
            There is one of the same model, region and tier from the same moment on: change that one.
        Importing
            An import is writing the same one at this moment.
        """
        price_id = price_id_of(price.provider, price.model, price.region, price.tier, price.since)
        made = replace(price, price_id=price_id, revision=first_revision(self.clock))
        new = Write(put=price_item(made), when="attribute_not_exists(pk)")
        if self.audit.write(new, "price.added", who, price_id, NOTHING, price_texts(made)):
            return made
        item = self.table.get(price_key(price_id))
        if item is not None and self.shown(item) is None:  # left by an import that came to nothing
            self._check_idle(item)
            over = _over(made, price_of(item).revision)
            if self.audit.write(over, "price.added", who, price_id, NOTHING, price_texts(made)):
                return made
        raise PriceExists(
            f"There is such a price already: {price_id}. Change it, or name another day.", price_id=price_id
        )

    def change(self, price_id: str, changed: Price, if_match: str | None, who: Asker | None = None) -> Price:
        """Store what may change of a price: rates, long rates and their bound, source.

        Raises
        ------
        PriceNotFound, PriceChanged, Importing
        """
        item, before = self._read(price_id)
        _check_match(if_match, before)
        self._check_idle(item)
        stored = price_of(item).revision  # above that of the price, where an import came to nothing
        after = replace(
            before,
            rates=changed.rates,
            long=changed.long,
            long_above=changed.long_above,
            source=changed.source,
            revision=stored + 1,
        )
        told = (price_texts(before), price_texts(after))
        if not self.audit.write(_over(after, stored), "price.changed", who, price_id, *told):
            raise _changed()
        return after

    def remove(self, price_id: str, if_match: str | None, who: Asker | None = None) -> None:
        """Delete a price: what it has priced stays priced; calls to come are priced by an older one, or not at all.

        Raises
        ------
        PriceNotFound, PriceChanged, Importing
        """
        item, before = self._read(price_id)
        _check_match(if_match, before)
        self._check_idle(item)
        values = {"revision": price_of(item).revision}
        gone = Write(key=price_key(price_id), when="revision = :revision", values=values)
        if not self.audit.write(gone, "price.removed", who, price_id, price_texts(before), NOTHING):
            raise _changed()

    def shown(self, item: Mapping[str, Any]) -> Price | None:
        """The price of an item as it counts: an import's from its good end on."""
        return next(self._shown([item]), None)

    def ended(self, import_id: str) -> bool:
        """Whether an import has ended well."""
        if import_id not in self._ended and self.table.get(price_import_key(import_id)) is not None:
            self._ended.add(import_id)
        return import_id in self._ended

    def _listed(self, begins: str) -> Iterator[Price]:
        where, values = _where(begins)
        return self._shown(self.table.all(where, values, index=LISTING, names={"list": "list"} | _named(begins)))

    def _shown(self, items: Iterable[Mapping[str, Any]]) -> Iterator[Price]:
        """Those of some items that count; each import is asked for once."""
        known: dict[str, bool] = {"": True}
        for item in items:
            import_id = str(item.get("import_id", ""))
            if import_id not in known:
                known[import_id] = self.ended(import_id)
            if (price := price_of(item) if known[import_id] else price_before(item)) is not None:
                yield price

    def _read(self, price_id: str) -> tuple[Item, Price]:
        item = self.table.get(price_key(price_id))
        price = self.shown(item) if item is not None else None
        if item is None or price is None:
            raise PriceNotFound(f"There is no price {price_id}.")
        return item, price

    def _check_idle(self, item: Mapping[str, Any]) -> None:
        """Importing while an import that may yet end well holds the item."""
        import_id = str(item.get("import_id", ""))
        if not import_id or self.ended(import_id):
            return
        lock = self.table.get(PRICE_LOCK)
        if lock is not None and lock["import_id"] == import_id and lock["until"] > self.clock.epoch():
            raise Importing("This price is being imported; try again.", retry_after=AGAIN_SECONDS)


def _over(price: Price, revision: int) -> Write:
    """The write of a price over what is stored in a revision."""
    return Write(put=price_item(price), when="revision = :revision", values={"revision": revision})


def _check_match(if_match: str | None, price: Price) -> None:
    if not matches(if_match, price.revision):
        raise _changed()


def _changed() -> PriceChanged:
    return PriceChanged("Somebody else has changed the price since; read it again.")


def _where(begins: str) -> tuple[str, dict[str, str]]:
    if not begins:
        return "#list = :list", {"list": PRICES}
    return "#list = :list AND begins_with(#at, :begins)", {"list": PRICES, "begins": begins}


def _named(begins: str) -> dict[str, str]:
    return {"at": "at"} if begins else {}
