"""Many prices at once: all of them count, from one moment on, or none does.

DynamoDB takes 100 writes in a transaction, and files hold thousands. So an import writes each price beside the one that
counts (``price_items``), and then, in one write, that it has ended well: from there on its prices are the ones that do.
One import is under way at a time; one that has died is out of the way when its lease ends, and none of it counts.
"""

import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from weir.runtime.audit import NOTHING, Asker, texts
from weir.runtime.clock import rfc3339
from weir.runtime.dynamodb import Write, again
from weir.runtime.errors import WeirError
from weir.runtime.etags import first_revision
from weir.usage.models import Price
from weir.usage.price_errors import Importing
from weir.usage.price_items import price_id_of, price_item, price_of
from weir.usage.price_store import PriceStore
from weir.usage.table import PRICE_LOCK, SCHEMA, price_import_key, price_key

LEASE_SECONDS = 60
"""Longer than a function runs that answers HTTP."""

AT_ONCE = 100
"""https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html"""

MOST_PRICES = 5_000
"""50 transactions: what is done well within the 29 s of a request."""


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Imported:
    """What came of an import. ``import_id`` is empty where everything was so already."""

    import_id: str
    created: int
    changed: int
    unchanged: int


def take(prices: Sequence[Price], store: PriceStore, who: Asker | None = None) -> Imported:
    """Store prices, over those of the same model, region, tier and moment. The same file again changes nothing.

    Raises
    ------
    Importing
        Another import is under way, or somebody has changed one of the prices meanwhile; nothing was taken.
    """
    wanted = {one.price_id: one for one in map(_identified, prices)}
    import_id = secrets.token_hex(12)
    _begin(import_id, store)
    try:
        return _taken(import_id, wanted, store, who)
    except BaseException:
        with suppress(WeirError):  # its lease ends by itself
            _release(import_id, store)
        raise


def _taken(import_id: str, wanted: dict[str, Price], store: PriceStore, who: Asker | None) -> Imported:
    writes, created = [], 0
    for ids in _batches(wanted, AT_ONCE):
        found = {str(one["price_id"]): one for one in store.table.get_many([price_key(one) for one in ids])}
        for price_id in ids:
            item = found.get(price_id)
            before = store.shown(item) if item is not None else None
            if before is not None and _same(before, wanted[price_id]):
                continue
            created += before is None
            stored = price_of(item).revision if item is not None else None
            revision = first_revision(store.clock) if stored is None else stored + 1
            writes.append(_write(replace(wanted[price_id], revision=revision), import_id, before, stored))
    if not writes:
        _release(import_id, store)
        return Imported("", 0, 0, len(wanted))
    for some in _batches(writes, AT_ONCE):
        if again(partial(store.table.transact, some), store.clock):
            raise Importing("Somebody has changed one of the prices meanwhile; nothing was taken. Send it again.")
    done = Imported(import_id, created, len(writes) - created, len(wanted) - len(writes))
    _end(done, store, who)
    return done


def _write(price: Price, import_id: str, before: Price | None, stored: int | None) -> Write:
    item = price_item(price, import_id, before)
    if stored is None:
        return Write(put=item, when="attribute_not_exists(pk)")
    return Write(put=item, when="revision = :revision", values={"revision": stored})


def _identified(price: Price) -> Price:
    return replace(price, price_id=price_id_of(price.provider, price.model, price.region, price.tier, price.since))


def _same(before: Price, after: Price) -> bool:
    return replace(before, revision=0, source="") == replace(after, revision=0, source="")


def _begin(import_id: str, store: PriceStore) -> None:
    now = int(store.clock.epoch())
    lock = {**PRICE_LOCK, "schema": SCHEMA, "import_id": import_id, "until": now + LEASE_SECONDS}
    free = "attribute_not_exists(pk) OR #until < :now"
    if not store.table.put(lock, when=free, values={"now": now}, names={"until": "until"}).done:
        raise Importing("Another import is under way; try again shortly.", retry_after=LEASE_SECONDS)


def _end(done: Imported, store: PriceStore, who: Asker | None) -> None:
    """The moment from which the import counts: while it still holds the lock, so that no other has written over it."""
    import_id = done.import_id
    ended = {**price_import_key(import_id), "schema": SCHEMA, "ended_at": rfc3339(store.clock.now())}
    released = Write(key=PRICE_LOCK, when="import_id = :id", values={"id": import_id})
    counts = texts({"created": done.created, "changed": done.changed, "unchanged": done.unchanged})
    told = [] if who is None else [store.audit.entry("prices.imported", who, import_id, NOTHING, counts)]
    if again(lambda: store.table.transact([Write(put=ended), released, *told]), store.clock):
        raise Importing("The import took too long, and another has begun; nothing was taken. Send it again.")


def _release(import_id: str, store: PriceStore) -> None:
    store.table.delete(PRICE_LOCK, when="import_id = :id", values={"id": import_id})


def _batches(things: Iterable[T], size: int) -> Iterator[list[T]]:
    listed = list(things)
    for start in range(0, len(listed), size):
        yield listed[start : start + size]
