"""Analyses as the table's items, and back. What each item is for: ``table.py``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any

from weir.analysis.analyses.models import Analysis, Failure, Status
from weir.analysis.analyses.shapes import SCHEMA, SHAPES
from weir.runtime.clock import parse_rfc3339, rfc3339
from weir.runtime.dynamodb import Item

__all__ = ["analysis_of", "changes_of", "item_of", "key"]

_FIELDS = tuple(field.name for field in fields(Analysis))


def key(analysis_id: str) -> dict[str, str]:
    """The key of an analysis."""
    return {"pk": f"ANALYSIS#{analysis_id}", "sk": "ANALYSIS"}


def item_of(analysis: Analysis) -> Item:
    """An analysis as it is stored; `owner` is left out where it is nobody's, for an index is sparse by it."""
    told = changes_of({name: getattr(analysis, name) for name in _FIELDS})
    return {
        **key(analysis.analysis_id),
        **{name: value for name, value in told.items() if value is not None},
        "schema": SCHEMA,
        "list": "ANALYSES",
        "at": f"{rfc3339(analysis.created_at)}#{analysis.analysis_id}",
        "ttl": int(analysis.expires_at.timestamp()),
    }


def changes_of(changes: Mapping[str, Any]) -> Item:
    """Fields of an analysis as they are stored."""
    unknown = sorted(set(changes) - set(_FIELDS))
    if unknown:
        raise ValueError(f"an analysis has no {', '.join(unknown)}")
    stored = {name: _stored(value) for name, value in changes.items()}
    if "spec" in changes:  # it may hold numbers that are no integers
        stored["spec"] = json.dumps(changes["spec"], separators=(",", ":"))
    return stored


def analysis_of(item: Mapping[str, Any]) -> Analysis:
    """What `item_of` stored. ShapeUnknown for an item that this version can't read."""
    item = SHAPES.current(item)
    told = {name: item[name] for name in _FIELDS if item.get(name) is not None}
    failure = told.pop("failure", None)
    ended = told.pop("ended_at", None)
    return Analysis(
        **{
            **told,
            "spec": json.loads(told["spec"]),
            "created_at": parse_rfc3339(told["created_at"]),
            "status": Status(told["status"]),
            "partial": tuple(told.get("partial", ())),
            "failure": None if failure is None else Failure(**failure),
            "ended_at": None if ended is None else parse_rfc3339(ended),
        }
    )


def _stored(value: Any) -> Any:
    if isinstance(value, datetime):
        return rfc3339(value)
    if isinstance(value, Failure):
        return value.to_dict()
    if isinstance(value, Status):
        return value.value
    if isinstance(value, Mapping):
        return {name: _stored(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_stored(one) for one in value]
    return value
