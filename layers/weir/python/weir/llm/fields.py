"""Takes a request apart field by field, so that none is passed over."""

import json
from collections.abc import Mapping
from typing import Any

from weir.llm.dialect_errors import Untranslatable
from weir.runtime.errors import BadRequest, FieldError


class Malformed(BadRequest):
    """A request that its own dialect does not allow."""

    slug, title = "malformed-request", "Malformed request"


def malformed(path: str, why: str) -> Malformed:
    """An error that names a field."""
    return Malformed(f"{path}: {why}", errors=(FieldError(path, why),))


def parsed(raw: bytes) -> dict[str, Any]:
    """A request's JSON object.

    A field that is there twice is refused: which of the two a provider reads is not known, so that what is counted
    could be another request than what is answered (RFC 8259, section 4).

    Raises
    ------
    Malformed
        It is no JSON object in UTF-8, or names a field twice.
    """
    try:
        found = json.loads(raw.decode(), object_pairs_hook=_once, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"The body is no JSON that can be read: {error}") from error
    if not isinstance(found, dict):
        raise malformed("body", "must be an object")
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a field is there twice")
    return found


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


class Fields:
    """An object of a request. What was not taken by the time of `done` has no words in other dialects.

    Parameters
    ----------
    value
        The object; Malformed where it is none.
    path
        Where it stands: ``messages.0.content.1``.
    """

    def __init__(self, value: object, path: str = "") -> None:
        if not isinstance(value, Mapping):
            raise malformed(path or "body", "must be an object")
        self._left = {name: inner for name, inner in value.items() if inner is not None}
        self.path = path

    def at(self, name: str) -> str:
        """The path of a field."""
        return f"{self.path}.{name}" if self.path else name

    def has(self, name: str) -> bool:
        """Whether there is such a field, and it is not null."""
        return name in self._left

    def take(self, name: str) -> Any:
        """A field of any type; None where it is not there."""
        return self._left.pop(name, None)

    def text(self, name: str, default: str = "") -> str:
        """A string."""
        value = self._left.pop(name, default)
        if not isinstance(value, str):
            raise malformed(self.at(name), "must be a string")
        return value

    def needed(self, name: str) -> str:
        """A string that has to be there."""
        if name not in self._left:
            raise malformed(self.at(name), "is missing")
        return self.text(name)

    def whole(self, name: str) -> int | None:
        """A whole number."""
        value = self._left.pop(name, None)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
            raise malformed(self.at(name), "must be a whole number")
        return value

    def number(self, name: str) -> float | None:
        """A number."""
        value = self._left.pop(name, None)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise malformed(self.at(name), "must be a number")
        return value

    def flag(self, name: str) -> bool | None:
        """True or false."""
        value = self._left.pop(name, None)
        if value is not None and not isinstance(value, bool):
            raise malformed(self.at(name), "must be true or false")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of strings; a single one stands for a list of it."""
        value = self._left.pop(name, [])
        value = [value] if isinstance(value, str) else value
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise malformed(self.at(name), "must be a list of strings")
        return tuple(value)

    def mapping(self, name: str) -> Mapping[str, Any]:
        """An object of any fields; empty where it is not there."""
        value = self._left.pop(name, {})
        if not isinstance(value, Mapping):
            raise malformed(self.at(name), "must be an object")
        return value

    def fields(self, name: str) -> "Fields":
        """An object whose fields are taken in turn."""
        return Fields(self._left.pop(name, {}), self.at(name))

    def each(self, name: str) -> list["Fields"]:
        """A list of objects."""
        value = self._left.pop(name, [])
        if not isinstance(value, list):
            raise malformed(self.at(name), "must be a list")
        return [Fields(one, f"{self.at(name)}.{number}") for number, one in enumerate(value)]

    def plain(self, name: str, *values: object) -> None:
        """A field that is understood where it says what would be done without it.

        Raises
        ------
        Untranslatable
            It says something else than one of ``values``.
        """
        value = self._left.pop(name, None)
        if value is not None and value not in values:
            raise Untranslatable(self.at(name), f"{value!r:.80} has no counterpart with this model's provider")

    def done(self) -> None:
        """Untranslatable where a field was not taken."""
        for name in self._left:
            raise Untranslatable(self.at(name), "has no counterpart with this model's provider")
