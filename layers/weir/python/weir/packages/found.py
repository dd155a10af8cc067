"""What S3 holds that no package knows of: recorded under its real key as UNVERIFIED, and never served.

Events of S3 come twice and out of order. Of those of one version of an object the one with the highest ``sequencer``
holds (https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html): an older one changes nothing, so that an
object which is told to be deleted before it is told to be there does not come back.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from weir.packages.shapes import SHAPES
from weir.packages.store import Store
from weir.packages.table import SCHEMA, UNVERIFIED, found_key
from weir.runtime.clock import parse_rfc3339, rfc3339
from weir.runtime.dynamodb import Item, Write

GONE_FOR = timedelta(days=2)
"""How long it is remembered that an object went: longer than EventBridge tries to deliver an event (24 hours)."""

_SEQUENCER = 64


@dataclass(frozen=True, slots=True)
class Found:
    """A version of an object that is no file of a package. ``size`` in bytes."""

    key: str
    object_version: str
    size: int
    found_at: datetime


def record(store: Store, key: str, object_version: str, size: int, sequencer: str = "") -> bool:
    """Note an object; whether that was news. ``sequencer`` is that of the event, and empty for the sweep."""
    now = store.clock.now()
    item = {
        **found_key(key, object_version),
        "schema": SCHEMA,
        "list": UNVERIFIED,
        "at": key,
        "key": key,
        "object_version": object_version,
        "size": size,
        "found_at": rfc3339(now),
        "sequencer": _padded(sequencer),
    }
    return store.table.put(item, when="attribute_not_exists(pk)").done


def forget(store: Store, key: str, object_version: str, sequencer: str) -> None:
    """Note that an object has gone, unless a later event has told otherwise."""
    now = store.clock.now()
    gone = {
        **found_key(key, object_version),
        "schema": SCHEMA,
        "key": key,
        "object_version": object_version,
        "size": 0,
        "found_at": rfc3339(now),
        "sequencer": _padded(sequencer),
        "ttl": int((now + GONE_FOR).timestamp()),
    }
    store.table.put(gone, when="attribute_not_exists(pk) OR sequencer < :mine", values={"mine": _padded(sequencer)})


def remove(store: Store, found: Found) -> None:
    """Take an object out that is no longer there, or is a file's after all."""
    store.table.delete(found_key(found.key, found.object_version))


def every(store: Store) -> Iterator[Found]:
    """All that are there, by key, over all pages."""
    for item in store.table.all("#list = :list", {"list": UNVERIFIED}, index="listing", names={"list": "list"}):
        yield found_of(item)


def of_key(store: Store, key: str) -> list[Found]:
    """The versions of an object that are recorded: one, where S3 and the sweep have told all there is to tell."""
    items = store.table.all("pk = :pk", {"pk": found_key(key, "")["pk"]})
    return [found_of(item) for item in items if "list" in item]


def still(found: Found) -> Write:
    """The condition that an object is recorded still."""
    return Write(
        key=found_key(found.key, found.object_version),
        when="#list = :list",
        values={"list": UNVERIFIED},
        names={"list": "list"},
        check=True,
    )


def found_of(item: Item) -> Found:
    """The object of an item."""
    current = SHAPES.current(item)
    return Found(
        key=current["key"],
        object_version=current["object_version"],
        size=current["size"],
        found_at=parse_rfc3339(current["found_at"]),
    )


def _padded(sequencer: str) -> str:
    """A sequencer, a number in hex, as text that sorts like it."""
    return sequencer.upper().rjust(_SEQUENCER, "0")
