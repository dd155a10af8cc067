"""Items of the usage table, from and to the values that the rules work with. Their keys: ``table.py``."""

from collections.abc import Mapping
from dataclasses import asdict, fields
from datetime import datetime, timedelta
from typing import Any

from weir.runtime.clock import parse_rfc3339, rfc3339
from weir.runtime.dynamodb import Item
from weir.usage.models import Attempt, Caller, Cap, Record, Subject
from weir.usage.shapes import SHAPES
from weir.usage.table import CAPS, SCHEMA, cap_key, cap_place, record_key

_PLAIN = (
    *("request_id", "record_id", "dialect", "model", "provider", "target", "status", "input", "output", "cache_read"),
    *("cache_write_5m", "cache_write_1h", "estimated", "cost", "milliseconds", "first_token_milliseconds", "stream"),
    *("cut", "error", "price_id"),
)
"""The fields of a record that are stored as they are."""

_OF_AN_ATTEMPT = tuple(one.name for one in fields(Attempt))


def cap_item(cap: Cap) -> Item:
    """A cap's item."""
    return {
        **cap_key(cap.subject, cap.window, cap.measure),
        "list": CAPS,
        "at": cap_place(cap),
        "schema": SCHEMA,
        "cap_id": cap.cap_id,
        "subject": asdict(cap.subject),
        "window": cap.window,
        "measure": cap.measure,
        "limit": cap.limit,
        "mode": cap.mode,
        "enforced": cap.enforced,
        "enforced_from": _told(cap.enforced_from),
        "shards": cap.shards,
        "created_by": cap.created_by,
        "created_at": _told(cap.created_at),
        "updated_at": _told(cap.updated_at),
        "revision": cap.revision,
    }


def cap_of(item: Mapping[str, Any]) -> Cap:
    """The cap of an item."""
    item = SHAPES.current(item)
    return Cap(
        cap_id=item["cap_id"],
        subject=Subject(**item["subject"]),
        window=item["window"],
        measure=item["measure"],
        limit=item["limit"],
        mode=item["mode"],
        enforced=item["enforced"],
        enforced_from=_time(item["enforced_from"]),
        shards=item["shards"],
        created_by=item["created_by"],
        created_at=_time(item["created_at"]),
        updated_at=_time(item["updated_at"]),
        revision=item["revision"],
    )


def record_item(record: Record, kept: timedelta) -> Item:
    """A record's item, which goes ``kept`` after the call was admitted."""
    caller = record.caller
    return {
        **record_key(caller.user, record.admitted_at, record.record_id),
        "schema": SCHEMA,
        "ttl": int((record.admitted_at + kept).timestamp()),
        "admitted_at": rfc3339(record.admitted_at),
        "ended_at": rfc3339(record.ended_at),
        "user": caller.user,
        "username": caller.username,
        "key": caller.key,
        "groups": list(caller.groups),
        "attempts": [{name: getattr(one, name) for name in _OF_AN_ATTEMPT} for one in record.attempts],
        **{name: getattr(record, name) for name in _PLAIN},
    }


def record_of(item: Mapping[str, Any]) -> Record:
    """The record of an item. The caller's roles are not kept."""
    item = SHAPES.current(item)
    return Record(
        admitted_at=parse_rfc3339(item["admitted_at"]),
        ended_at=parse_rfc3339(item["ended_at"]),
        caller=Caller(item["user"], item["username"], item["key"], tuple(item["groups"])),
        attempts=tuple(Attempt(**one) for one in item["attempts"]),
        **{name: item[name] for name in _PLAIN},
    )


def _told(moment: datetime | None) -> str | None:
    return None if moment is None else rfc3339(moment)


def _time(text: str | None) -> datetime | None:
    return None if text is None else parse_rfc3339(text)
