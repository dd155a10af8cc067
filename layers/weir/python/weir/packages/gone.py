"""Objects that were deleted: told of for a while, so that nobody makes one a file who has seen it before.

Whoever makes an object the first file of its bytes has read that no row tells of these, and seen the object. Between
that and the write it may have become another version's file, and have gone with that version, and its row as well. So
what deletes an object tells of it before its row goes, and a first file is written on condition that nothing is told.
S3 gives no two objects the same version id.
"""

from datetime import timedelta

from weir.packages.store import Store
from weir.packages.table import SCHEMA, gone_key
from weir.runtime.dynamodb import Item, Write

KEPT = timedelta(hours=1)
"""Longer than any function lives, who might have seen the object."""


def tell(store: Store, name: str, sha256: str, object_version: str) -> None:
    """Tell that an object is gone, which no file has or can come to have. May be told again."""
    store.table.put(_item(store, name, sha256, object_version))


def told(store: Store, name: str, sha256: str, object_version: str) -> Write:
    """The write that tells it, for the transaction that makes sure that no file has it."""
    return Write(put=_item(store, name, sha256, object_version))


def is_not(name: str, sha256: str, object_version: str) -> Write:
    """The condition that it is not told of an object, for the transaction that makes it a file."""
    return Write(key=gone_key(name, sha256, object_version), when="attribute_not_exists(pk)", check=True)


def _item(store: Store, name: str, sha256: str, object_version: str) -> Item:
    ends = store.clock.now() + KEPT
    return {**gone_key(name, sha256, object_version), "schema": SCHEMA, "ttl": int(ends.timestamp())}
