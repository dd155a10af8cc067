"""Pydantic's errors as ours: each field that can't be accepted, and what is wrong with it.

Apart from ``runtime.validation``, which loads the HTTP resolver: a step of a run validates its spec without one.
"""

from collections.abc import Sequence
from typing import Any

from weir.runtime.errors import FieldError, Invalid

OF_A_FIELD = "of_a_field"
"""The kind of error that ``fields.wrong`` makes: its context names the field, below the place where it was raised."""

_PLACES = {"body", "query", "path", "header"}
_OF_TAGS = {"union_tag_invalid", "union_tag_not_found"}


def field_errors(errors: Sequence[Any]) -> list[FieldError]:
    """Pydantic's errors as dotted fields and messages; the value itself is left out, for it may be a secret."""
    return [FieldError(_path([*error["loc"], *_below(error)]), _message(error)) for error in errors]


def _message(error: Any) -> str:
    """What is wrong, without pydantic's name for the kind of error before a message of our own."""
    return str(error.get("msg") or error["type"]).removeprefix("Value error, ")


def _below(error: Any) -> list[str]:
    """The field that is meant, below the place that pydantic tells: a whole model's, or the one that tells a union."""
    told = error.get("ctx") or {}
    if error["type"] == OF_A_FIELD:
        return [str(told["field"])]
    return [str(told["discriminator"]).strip("'")] if error["type"] in _OF_TAGS else []


def _path(location: Sequence[Any]) -> str:
    parts = [str(part) for part in location]
    if len(parts) > 1 and parts[0] in _PLACES:
        parts = parts[1:]
    return ".".join(parts)


def invalid(errors: Sequence[Any]) -> Invalid:
    """The 422 of a pydantic ValidationError's ``errors()``."""
    fields = field_errors(errors)
    told = "; ".join(f"{item.field}: {item.message}" for item in fields[:3])
    return Invalid(f"The request can't be accepted: {told}", errors=fields)
