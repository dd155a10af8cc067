"""How far the scan of some bytes has come, and which files wait for it.

A scan is one row beside the bytes: how much is hashed, the state of the hash, then the verdict. It is taken by a lease,
so that an event which comes twice is worked on once; its holder writes on condition that it still holds it.
"""

import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from weir.packages.judging import Verdict
from weir.packages.models import Blob, File
from weir.packages.shapes import SHAPES
from weir.packages.store import Store
from weir.packages.table import SCHEMA, partition, scan_key, waiting_begin, waiting_key
from weir.runtime.clock import parse_rfc3339, rfc3339
from weir.runtime.dynamodb import Item, Write

LEASE = timedelta(minutes=16)
"""Longer than a function can live: after it, whoever took the scan is dead."""


@dataclass(frozen=True, slots=True)
class Scan:
    """A scan that this process holds. ``hashed`` bytes are in ``state``."""

    name: str
    sha256: str
    object_version: str
    holder: str
    hashed: int = 0
    state: bytes = b""
    verdict: Verdict | None = None


def take(store: Store, blob: Blob) -> Scan | None:
    """The scan of some bytes, from where it stopped; None where somebody else is at it."""
    now = store.clock.now()
    key = scan_key(blob.name, blob.sha256)
    item = store.table.get(key)
    before = _scan_of(item) if item and item["object_version"] == blob.object_version else None
    if before is not None and item is not None and parse_rfc3339(item["lease_until"]) > now:
        return None
    holder = secrets.token_hex(8)
    fresh = Scan(blob.name, blob.sha256, blob.object_version, holder)
    mine = replace(before, holder=holder) if before else fresh
    if item is None:
        outcome = store.table.put(_item(mine, store), when="attribute_not_exists(pk)")
    else:
        outcome = store.table.put(_item(mine, store), when="holder = :was", values={"was": item["holder"]})
    # Where the answer to a first try was lost, the second finds what the first has written.
    return mine if outcome.done or (outcome.item or {}).get("holder") == holder else None


def kept(store: Store, name: str, sha256: str) -> Scan | None:
    """The scan of some bytes as it was last saved, whoever holds it; None where there is none."""
    item = store.table.get(scan_key(name, sha256))
    return _scan_of(item) if item else None


def save(store: Store, scan: Scan, *, release: bool = False) -> bool:
    """Keep how far a scan has come, while this process holds it; with ``release``, let another go on."""
    item = _item(scan, store)
    if release:
        item["lease_until"] = rfc3339(store.clock.now())
    return store.table.put(item, when="holder = :mine", values={"mine": scan.holder}).done


def release(store: Store, scan: Scan) -> None:
    """Let another go on with a scan, from where it was last saved, if this process still holds it."""
    now = rfc3339(store.clock.now())
    key = scan_key(scan.name, scan.sha256)
    store.table.update(key, "SET lease_until = :now", when="holder = :mine", values={"now": now, "mine": scan.holder})


def leased_until(store: Store, name: str, sha256: str) -> datetime | None:
    """Until when somebody is at the scan of some bytes; None where nobody has begun it."""
    item = store.table.get(scan_key(name, sha256))
    return parse_rfc3339(item["lease_until"]) if item else None


def end(store: Store, scan: Scan) -> None:
    """The scan is over, and nothing waits for it."""
    store.table.delete(scan_key(scan.name, scan.sha256), when="holder = :mine", values={"mine": scan.holder})


def waits(file: File) -> Write:
    """The write by which a file waits for the scan of its bytes."""
    return Write(
        put={
            **waiting_key(file.name, file.declared.sha256, file.version, file.declared.path),
            "schema": SCHEMA,
            "name": file.name,
            "version": file.version,
            "path": file.declared.path,
        }
    )


def waits_no_more(name: str, sha256: str, version: str, path: str) -> Write:
    """The write that ends that."""
    return Write(key=waiting_key(name, sha256, version, path))


def waiting(store: Store, name: str, sha256: str = "") -> Iterator[tuple[str, str, str]]:
    """SHA-256, version and path of each file of a package that waits; with ``sha256``, of those of these bytes."""
    values = {"pk": partition(name), "begin": waiting_begin(sha256)}
    for item in store.table.all("pk = :pk AND begins_with(sk, :begin)", values):
        current = SHAPES.current(item)
        yield current["sk"].split("#")[1], current["version"], current["path"]


def _item(scan: Scan, store: Store) -> Item:
    verdict = scan.verdict
    return {
        **scan_key(scan.name, scan.sha256),
        "schema": SCHEMA,
        "name": scan.name,
        "sha256": scan.sha256,
        "object_version": scan.object_version,
        "holder": scan.holder,
        "lease_until": rfc3339(store.clock.now() + LEASE),
        "hashed": scan.hashed,
        "state": scan.state,
        "verdict": None
        if verdict is None
        else {
            "sha256": verdict.sha256,
            "reason": verdict.reason,
            "content": verdict.content,
            "spares": verdict.spares,
            "findings": [dict(one) for one in verdict.findings],
        },
    }


def _scan_of(item: Mapping[str, Any]) -> Scan:
    current = SHAPES.current(item)
    told = current["verdict"]
    return Scan(
        name=current["name"],
        sha256=current["sha256"],
        object_version=current["object_version"],
        holder=current["holder"],
        hashed=current["hashed"],
        state=current["state"],
        verdict=told and Verdict(**{**told, "findings": tuple(dict(one) for one in told["findings"])}),
    )
