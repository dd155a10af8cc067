"""Reads what a call used from the bytes of its answer as they pass, in any dialect, whole or as a stream.

A reader never fails and never holds bytes back: what it can't read counts as not told, and then the tokens are those
that were seen, flagged ``estimated`` and never 0, for a provider charges for a stream that broke off. Of an answer that
is no stream and did not come whole, it is what the call was likely to use, where that is more than what was seen.
"""

import json
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Protocol

from weir.llm import seeing, spent
from weir.llm.eventstream import EventStreamDecoder
from weir.llm.models import Bound, Dialect, Tokens
from weir.llm.seeing import See, Sight
from weir.llm.sse import BrokenStream, SseDecoder

_Named = tuple[str, bytes]
_DONE = b"[DONE]"
_JSON = json.JSONDecoder()


class UsageReader(Protocol):
    """Reads one call's answer."""

    def feed(self, data: bytes) -> None:
        """Bytes of the answer's body, in order, cut anywhere."""

    def headers(self, headers: Mapping[str, str]) -> None:
        """The answer's headers: InvokeModel tells its usage there."""

    def tokens(self) -> Tokens:
        """What the call has used so far; exact once the provider has told it to its end, else ``estimated``."""

    @property
    def first_token(self) -> bool:
        """Whether a token of a stream has come."""

    @property
    def error(self) -> str:
        """The type of an error that came within a stream; empty where none did."""


def usage_reader(dialect: Dialect, bound: Bound, *, stream: bool) -> UsageReader:
    """A reader of an answer in ``dialect``: the one that the provider answers in.

    Parameters
    ----------
    bound
        Of the call, its ``output`` the one that it was admitted with: what is not told is reckoned from it.
    """
    return _StreamReader(dialect, bound) if stream else _WholeReader(dialect, bound)


def read_usage(dialect: Dialect, answer: Mapping[str, Any]) -> Tokens | None:
    """What a whole answer says that it used; None where it does not."""
    return _WHOLE[dialect](answer)


def untold(bound: Bound) -> Tokens:
    """What a call is taken to have used whose answer was not had: what it was likely to, its output included.

    An answer that is no stream is made whole before it is sent, and a provider charges for it though nobody waited.
    """
    return Tokens(input=max(1, bound.likely_input), output=bound.likely_output, estimated=True)


class _WholeReader:
    first_token = False
    error = ""

    def __init__(self, dialect: Dialect, bound: Bound) -> None:
        self._dialect, self._bound = dialect, bound
        self._body = bytearray()
        self._headers: Tokens | None = None
        self._known: Tokens | None = None

    def feed(self, data: bytes) -> None:
        self._body += data
        self._known = None

    def headers(self, headers: Mapping[str, str]) -> None:
        self._headers = spent.invocation_headers(headers)

    def tokens(self) -> Tokens:
        if self._known is None:
            self._known = self._read()
        return self._known

    def _read(self) -> Tokens:
        answer = _object(bytes(self._body))
        told = (read_usage(self._dialect, answer) if answer else None) or self._headers
        if told is not None:
            return told
        sight = Sight(self._bound)
        if answer:
            sight.text(*seeing.texts(answer))
            return sight.tokens()
        sight.text(self._body.decode("utf-8", "replace"))
        seen, likely = sight.tokens(), untold(self._bound)
        return replace(seen, output=max(seen.output, likely.output))


class _StreamReader:
    def __init__(self, dialect: Dialect, bound: Bound) -> None:
        self._sight = Sight(bound)
        self._decode, self._see = _STREAMED[dialect]()
        self._broken = False

    def feed(self, data: bytes) -> None:
        if self._broken:
            return
        try:
            for name, raw in self._decode(data):
                if raw != _DONE and (event := _object(raw)) is not None:
                    self._see(self._sight, name, event)
        except (BrokenStream, Base64Error):
            self._broken = True

    def headers(self, headers: Mapping[str, str]) -> None:
        """Nothing of a stream's usage is in its headers."""

    def tokens(self) -> Tokens:
        return self._sight.tokens()

    @property
    def first_token(self) -> bool:
        return self._sight.any_text

    @property
    def error(self) -> str:
        return self._sight.error


def _usage_in(field: str, read: Callable[[Mapping[str, Any]], Tokens]) -> Callable[[Mapping[str, Any]], Tokens | None]:
    def find(answer: Mapping[str, Any]) -> Tokens | None:
        usage = answer.get(field)
        return read(usage) if isinstance(usage, dict) else None

    return find


def _sse(see: See) -> Callable[[], tuple[Callable[[bytes], Iterable[_Named]], See]]:
    return lambda: (SseDecoder().feed, see)


def _frames() -> tuple[Callable[[bytes], Iterable[_Named]], See]:
    decoder = EventStreamDecoder()
    return (lambda data: [(one.event or one.exception, one.payload) for one in decoder.feed(data)]), seeing.converse


def _chunks() -> tuple[Callable[[bytes], Iterable[_Named]], See]:
    decoder = EventStreamDecoder()

    def decode(data: bytes) -> Iterator[_Named]:
        for one in decoder.feed(data):
            yield (one.event, chunk_bytes(one.payload)) if one.event else (one.exception, one.payload)

    return decode, seeing.invoke


def chunk_bytes(payload: bytes) -> bytes:
    """What a ``chunk`` of InvokeModelWithResponseStream carries: ``{"bytes": base64, "p": padding}``."""
    chunk = _object(payload)
    carried = chunk.get("bytes") if chunk else None
    return b64decode(carried) if isinstance(carried, str) else b""


def _object(raw: bytes) -> dict[str, Any] | None:
    try:
        found = _JSON.decode(raw.decode())  # bytes would have their encoding guessed first
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


_WHOLE: Mapping[Dialect, Callable[[Mapping[str, Any]], Tokens | None]] = {
    "anthropic": _usage_in("usage", spent.anthropic),
    "openai": _usage_in("usage", spent.openai),
    "converse": _usage_in("usage", spent.converse),
    "gemini": _usage_in("usageMetadata", spent.gemini),
    "invoke": spent.invoked,
}
_STREAMED: Mapping[Dialect, Callable[[], tuple[Callable[[bytes], Iterable[_Named]], See]]] = {
    "anthropic": _sse(seeing.anthropic),
    "openai": _sse(seeing.openai),
    "gemini": _sse(seeing.gemini),
    "converse": _frames,
    "invoke": _chunks,
}
