"""What S3's events say: an object came, or went. They come at least once, in any order, and some perhaps never.

An object that an upload has made is finished, if its commit has not done so, and its scan asked for. All others are
none of Weir's making: they are recorded under their real keys, and not served (``found``).
https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from weir.packages import found, scans
from weir.packages.committing import recover
from weir.packages.errors import UploadNotFound
from weir.packages.table import bytes_of
from weir.packages.wiring import Deps

CREATED, DELETED = "Object Created", "Object Deleted"


@dataclass(frozen=True, slots=True)
class Event:
    """What happened to a version of an object. ``sequencer`` orders the events of one key."""

    kind: str
    key: str
    object_version: str
    size: int
    sequencer: str


def event_of(document: Mapping[str, Any]) -> Event:
    """The event of S3 that EventBridge has brought. A bucket without versions calls its objects' version ``null``."""
    told = document["detail"]["object"]
    return Event(
        kind=str(document["detail-type"]),
        key=str(told["key"]),
        object_version=str(told.get("version-id") or "null"),
        size=int(told.get("size", 0)),
        sequencer=str(told.get("sequencer", "")),
    )


def arrived(event: Event, deps: Deps) -> tuple[str, str] | None:
    """Take note of an event; the bytes that are to be scanned, by package and declared SHA-256, or None."""
    if event.kind == DELETED:
        found.forget(deps.store, event.key, event.object_version, event.sequencer)
        return None
    named = bytes_of(event.key)
    if named is not None and is_a_files(event.key, event.object_version, deps):
        return named
    if deps.bucket.head(event.key, event.object_version) is not None:
        found.record(deps.store, event.key, event.object_version, event.size, event.sequencer)
    elif named is not None and any(scans.waiting(deps.store, *named)):
        return named  # a scan that deleted the object, and died before it could tell its files
    return None


def is_a_files(key: str, object_version: str, deps: Deps) -> bool:
    """Whether an object is the bytes of a file, once the upload that made it was looked after."""
    named = bytes_of(key)
    if named is None:
        return False
    blob = deps.store.blob(*named)
    if blob is not None and blob.object_version == object_version:
        return True
    stored = deps.bucket.head(key, object_version)
    if stored is None or stored.upload_id is None:
        return False
    try:
        recover(stored.upload_id, deps)
    except UploadNotFound:
        return False
    blob = deps.store.blob(*named)
    return blob is not None and blob.object_version == object_version
