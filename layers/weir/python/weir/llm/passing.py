"""A request on its way to a provider of the same dialect: its bytes untouched, but for what has to be otherwise.

Three things may: the model's name where the route maps it, the limit of output where a cap lowers it, and OpenAI's
``stream_options.include_usage``, without which a stream does not tell what it used. The chunk that tells it is then
taken out of the answer of a caller who has not asked for it. Fields that Weir does not know pass.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from weir.llm.bounding import clamp
from weir.llm.models import Dialect
from weir.llm.sse import BrokenStream, SseDecoder

_USAGE = re.compile(rb'"usage"\s*:\s*\{')
_ENDS = (b"\r\n\r\n", b"\n\n", b"\r\r")


@dataclass(frozen=True, slots=True)
class Passed:
    """What goes to the provider. ``drop_usage``: the chunk with the usage is not for the caller (`UsageDropped`)."""

    body: bytes
    drop_usage: bool = False


def passed(
    dialect: Dialect,
    raw: bytes,
    body: Mapping[str, Any],
    *,
    model: str | None = None,
    max_output: int | None = None,
    openai_field: str = "max_completion_tokens",
) -> Passed:
    """A request for a provider that speaks the caller's dialect.

    Parameters
    ----------
    raw, body
        The request as it came, and parsed.
    model
        The provider's id of the model, where the body names one (Bedrock and Gemini name it in the path: None).
    max_output
        The most output tokens, all choices together, where a cap or the route lowers them; None as asked.
    openai_field
        See `bounding.clamp`.
    """
    changed: dict[str, Any] | None = None
    if max_output is not None:
        clamped = clamp(dialect, body, max_output, openai_field=openai_field)
        changed = clamped if clamped != body else None
    if model is not None and body.get("model") != model:
        changed = {**(changed or body), "model": model}
    drop_usage = False
    if dialect == "openai" and body.get("stream") is True and "messages" in body:
        options = body.get("stream_options")
        options = options if isinstance(options, Mapping) else {}
        drop_usage = options.get("include_usage") is not True
        if drop_usage:
            changed = {**(changed or body), "stream_options": {**options, "include_usage": True}}
    return Passed(raw if changed is None else dumped(changed), drop_usage)


def dumped(value: object) -> bytes:
    """JSON as it goes out: compact, in UTF-8 (a lone surrogate, which UTF-8 has no bytes for, stays an escape)."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    try:
        return text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":")).encode()


class UsageDropped:
    """Takes the chunk with the usage out of an OpenAI stream; everything else passes byte for byte.

    Events go on whole: what has not ended is held until it has, or until `rest`.
    """

    error = ""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes) -> bytes:
        """What of the stream goes on now."""
        searched = max(0, len(self._held) - 3)
        self._held += data
        passing = bytearray()
        while (end := _end(self._held, searched)) is not None:
            event = bytes(self._held[:end])
            del self._held[:end]
            searched = 0
            if not _tells_usage_alone(event):
                passing += event
        return bytes(passing)

    def rest(self) -> bytes:
        """What was held when the stream ended."""
        held = bytes(self._held)
        self._held.clear()
        return b"" if _tells_usage_alone(held + b"\n\n") else held


def _end(held: bytearray, begin: int) -> int | None:
    found = [at + len(end) for end in _ENDS if (at := held.find(end, begin)) >= 0]
    return min(found) if found else None


def _tells_usage_alone(event: bytes) -> bool:
    if not _USAGE.search(event):  # most chunks say ``"usage": null``
        return False
    try:
        chunks = [json.loads(one.data) for one in SseDecoder().feed(event)]
    except (ValueError, RecursionError, BrokenStream):
        return False
    return any(
        isinstance(one, dict) and isinstance(one.get("usage"), dict) and not one.get("choices") for one in chunks
    )
