"""What happens in a stream, written as each dialect's events."""

import json
from collections.abc import Callable
from typing import Any, Protocol

from weir.llm import anthropic, converse_replies, eventstream, openai_replies, sse
from weir.llm.conversation import BlockStarted, BlockStopped, Delta, Failed, Happening, Started, Stopped, Used
from weir.llm.dialect_errors import error_body
from weir.llm.models import Dialect, Tokens
from weir.llm.passing import dumped

Event = dict[str, Any]


class StreamWriter(Protocol):
    """Writes one stream. What was used is told after the answer has stopped: some providers tell it all along."""

    def write(self, happening: Happening) -> bytes:
        """The events that tell of a happening."""

    def end(self, tokens: Tokens) -> bytes:
        """The last events, where they were not written yet; ``tokens`` for a provider that did not tell them."""


class AnthropicWriter:
    """Writes Messages.

    The end is told when both why the answer ended and what it used are known: Anthropic has one event for both.
    """

    def __init__(self, model: str, request_id: str) -> None:
        self._model, self._request_id = model, request_id
        self._index = -1
        self._stopped: Stopped | None = None
        self._ended = False

    def write(self, happening: Happening) -> bytes:
        """See `StreamWriter`."""
        match happening:
            case Started():
                return written_event({"type": "message_start", "message": self._message(happening)})
            case BlockStarted():
                self._index += 1
                return written_event(
                    {"type": "content_block_start", "index": self._index, "content_block": _anthropic_block(happening)}
                )
            case Delta():
                delta = _anthropic_delta(happening)
                return written_event({"type": "content_block_delta", "index": self._index, "delta": delta})
            case BlockStopped():
                return written_event({"type": "content_block_stop", "index": self._index})
            case Stopped():
                self._stopped = happening
                return b""
            case Used():
                return self._end(happening.tokens)
            case Failed():
                return failure("anthropic", happening, self._request_id)

    def end(self, tokens: Tokens) -> bytes:
        """See `StreamWriter`."""
        return self._end(tokens)

    def _end(self, tokens: Tokens) -> bytes:
        if self._stopped is None or self._ended:
            return b""
        self._ended = True
        delta = {"stop_reason": anthropic.REASONS[self._stopped.stop], "stop_sequence": self._stopped.stop_sequence}
        told = {"type": "message_delta", "delta": delta, "usage": anthropic.written_usage(tokens)}
        return written_event(told) + written_event({"type": "message_stop"})

    def _message(self, started: Started) -> Event:
        return {
            "id": started.id or f"msg_{self._request_id}",
            "type": "message",
            "role": "assistant",
            "content": [],
            "model": self._model,
            "stop_reason": None,
            "stop_sequence": None,
            "usage": anthropic.written_usage(started.tokens),
        }


def written_event(event: Event) -> bytes:
    """An event of Messages as its API sends it."""
    return sse.encode(event["type"], dumped(event))


def _anthropic_block(block: BlockStarted) -> Event:
    match block.kind:
        case "text":
            return {"type": "text", "text": ""}
        case "thinking":
            return {"type": "thinking", "thinking": "", "signature": ""}
        case "tool_use":
            return {"type": "tool_use", "id": block.id, "name": block.name, "input": {}}
        case "redacted":
            return {"type": "redacted_thinking", "data": block.data}


def _anthropic_delta(delta: Delta) -> Event:
    match delta.kind:
        case "text":
            return {"type": "text_delta", "text": delta.text}
        case "thinking":
            return {"type": "thinking_delta", "thinking": delta.text}
        case "input":
            return {"type": "input_json_delta", "partial_json": delta.text}
        case "signature":
            return {"type": "signature_delta", "signature": delta.text}


class OpenAIWriter:
    """Writes chat completions. Signatures of thoughts have no words there, and a caller could not send them back.

    Parameters
    ----------
    created
        Seconds since 1970.
    include_usage
        Whether the caller asked for the chunk with the usage.
    """

    def __init__(self, model: str, request_id: str, created: int, include_usage: bool) -> None:
        self._model, self._request_id, self._created, self._include_usage = model, request_id, created, include_usage
        self._id = f"chatcmpl-{request_id}"
        self._tool = -1
        self._stopped = self._used = False

    def write(self, happening: Happening) -> bytes:
        """See `StreamWriter`."""
        match happening:
            case Started():
                self._id = happening.id or self._id
                return self._chunk({"role": "assistant", "content": "", "refusal": None})
            case BlockStarted(kind="tool_use"):
                self._tool += 1
                call = {"id": happening.id, "type": "function", "function": {"name": happening.name, "arguments": ""}}
                return self._chunk({"tool_calls": [{"index": self._tool, **call}]})
            case Delta(kind="text"):
                return self._chunk({"content": happening.text})
            case Delta(kind="thinking"):
                return self._chunk({"reasoning_content": happening.text})
            case Delta(kind="input"):
                return self._chunk({"tool_calls": [{"index": self._tool, "function": {"arguments": happening.text}}]})
            case Stopped():
                self._stopped = True
                return self._chunk({}, openai_replies.REASONS[happening.stop])
            case Used():
                return self._usage(happening.tokens)
            case Failed():
                return failure("openai", happening, self._request_id)
        return b""

    def end(self, tokens: Tokens) -> bytes:
        """See `StreamWriter`."""
        if not self._stopped:
            return b""
        return self._usage(tokens) + b"data: [DONE]\n\n"

    def _usage(self, tokens: Tokens) -> bytes:
        if self._used or not self._stopped or not self._include_usage:
            return b""
        self._used = True
        return self._event({"choices": [], "usage": openai_replies.written_usage(tokens)})

    def _chunk(self, delta: Event, finish: str | None = None) -> bytes:
        event: Event = {"choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]}
        if self._include_usage:
            event["usage"] = None
        return self._event(event)

    def _event(self, event: Event) -> bytes:
        head = {"id": self._id, "object": "chat.completion.chunk", "created": self._created, "model": self._model}
        return sse.encode("", dumped({**head, **event}))


class ConverseWriter:
    """Writes ConverseStream. ``milliseconds`` answers how long it has taken."""

    def __init__(self, request_id: str, milliseconds: Callable[[], int]) -> None:
        self._request_id, self._milliseconds = request_id, milliseconds
        self._index = -1
        self._stopped = self._used = False

    def write(self, happening: Happening) -> bytes:
        """See `StreamWriter`."""
        match happening:
            case Started():
                return _event("messageStart", {"role": "assistant"})
            case BlockStarted():
                self._index += 1
                if happening.kind == "tool_use":
                    start = {"toolUse": {"toolUseId": happening.id, "name": happening.name}}
                    return _event("contentBlockStart", {"start": start, "contentBlockIndex": self._index})
                redacted = {"reasoningContent": {"redactedContent": happening.data}}
                return self._delta(redacted) if happening.kind == "redacted" else b""
            case Delta():
                return self._delta(_converse_delta(happening))
            case BlockStopped():
                return _event("contentBlockStop", {"contentBlockIndex": self._index})
            case Stopped():
                self._stopped = True
                return _event("messageStop", {"stopReason": converse_replies.REASONS[happening.stop]})
            case Used():
                return self._metadata(happening.tokens)
            case Failed():
                return failure("converse", happening, self._request_id)

    def end(self, tokens: Tokens) -> bytes:
        """See `StreamWriter`."""
        return self._metadata(tokens)

    def _metadata(self, tokens: Tokens) -> bytes:
        if self._used or not self._stopped:
            return b""
        self._used = True
        usage = converse_replies.written_usage(tokens)
        return _event("metadata", {"usage": usage, "metrics": {"latencyMs": self._milliseconds()}})

    def _delta(self, delta: Event) -> bytes:
        return _event("contentBlockDelta", {"delta": delta, "contentBlockIndex": self._index})


def _converse_delta(delta: Delta) -> Event:
    match delta.kind:
        case "text":
            return {"text": delta.text}
        case "input":
            return {"toolUse": {"input": delta.text}}
        case "thinking":
            return {"reasoningContent": {"text": delta.text}}
        case "signature":
            return {"reasoningContent": {"signature": delta.text}}


def _event(name: str, event: Event) -> bytes:
    return eventstream.encode_event(name, json.dumps(event).encode())


def failure(dialect: Dialect, failed: Failed, request_id: str) -> bytes:
    """An error within a stream."""
    return error_body(dialect, failed.status, failed.message, request_id=request_id, stream=True).body
