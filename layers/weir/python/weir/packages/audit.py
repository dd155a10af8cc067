"""The audit of packages: who registered, uploaded, committed, downloaded, yanked; when, and from where. Kept 400 days.

An entry is written in the transaction of the change that it tells of, so that neither is there without the other; what
changes nothing (a download) is told before it is allowed. ``what`` is ``thing.done``:

| thing | done |
|---|---|
| package | registered, changed, deleted |
| version | registered, available, quarantined, validated, signed, yanked, unyanked, deleted, imported |
| alias | moved, removed |
| upload | opened, committed, aborted, expired |
| file | verified, quarantined, restored, download-issued |
| public-key | registered, removed; of no package, under ``public-keys`` |
| object | deletion-asked: of what is no package's, under ``unverified`` |
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from weir.packages.shapes import SHAPES
from weir.packages.table import AUDIT_SHARDS, SCHEMA, audit_list
from weir.runtime.audit import Asker
from weir.runtime.clock import parse_rfc3339, rfc3339
from weir.runtime.dynamodb import Write

OF_UNVERIFIED = "unverified"
"""What stands for the package where an object is no package's; none can have this name."""

KEPT = timedelta(days=400)
_LONGEST = 512


@dataclass(frozen=True, slots=True)
class Entry:
    """What happened, once. ``who`` is a user id, or ``system`` for what no request has asked for."""

    at: datetime
    what: str
    who: str
    who_name: str
    name: str
    version: str = ""
    detail: Mapping[str, str] = field(default_factory=dict)
    source_ip: str = ""
    user_agent: str = ""
    request_id: str = ""


def entry(
    what: str,
    who: Asker | Literal["system"],
    name: str,
    version: str,
    now: datetime,
    detail: Mapping[str, str] | None = None,
) -> Write:
    """The write of an entry, for the transaction of the change. Texts of ``detail`` are cut off at 512 characters."""
    entry_id = secrets.token_hex(8)
    at = f"{rfc3339(now)}#{entry_id}"
    item: dict[str, Any] = {
        "pk": f"AUDIT#{name}",
        "sk": at,
        "list": audit_list(f"{now:%Y-%m}", int(entry_id, 16) % AUDIT_SHARDS),
        "at": at,
        "schema": SCHEMA,
        "ttl": int((now + KEPT).timestamp()),
        "what": what,
        "who": "system",
        "who_name": "system",
        "name": name,
        "version": version,
        "detail": {key: text[:_LONGEST] for key, text in (detail or {}).items()},
    }
    if isinstance(who, Asker):
        item |= {
            "who": who.principal.sub,
            "who_name": who.principal.username,
            "source_ip": who.origin.source_ip,
            "user_agent": who.origin.user_agent,
            "request_id": who.origin.request_id,
        }
    return Write(put=item, when="attribute_not_exists(pk)")


def entry_of(item: Mapping[str, Any]) -> Entry:
    """An entry from its item, of any schema that this version knows."""
    item = SHAPES.current(item)
    return Entry(
        at=parse_rfc3339(str(item["sk"]).split("#")[0]),
        what=item["what"],
        who=item["who"],
        who_name=item["who_name"],
        name=item["name"],
        version=item["version"],
        detail=item["detail"],
        source_ip=item.get("source_ip", ""),
        user_agent=item.get("user_agent", ""),
        request_id=item.get("request_id", ""),
    )
