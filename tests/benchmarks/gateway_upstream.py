"""The provider behind every gateway of the benchmark: Anthropic's and OpenAI's wire formats, answered at once.

A stream's first events come at once, the rest one by one, ``GAP_SECONDS`` apart, as a provider's do: a gateway that
waits for more than one before it sends them on is not spared that. It checks no key. Run as a process of its own,
``python -m tests.benchmarks.gateway_upstream`` prints its port and serves until its standard input ends.
"""

import asyncio
import json
import re
from typing import Any

from tests.benchmarks.stub import Connection, serve

EVENTS = 20
GAP_SECONDS = 0.001
WORD = "word "
INPUT = 25

_STREAMS = re.compile(rb'"stream" *: *true')
_TELLS_USAGE = re.compile(rb'"include_usage" *: *true')
_STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\nrequest-id: req_1\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _message(content: list[Any], stop_reason: str | None, output: int) -> dict[str, Any]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-bench",
        "content": content,
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "usage": {
            "input_tokens": INPUT,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": output,
        },
    }


def _anthropic_events() -> list[bytes]:
    """The chunks of a stream; what comes before the first word is in one with it."""
    text: dict[str, Any] = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": WORD}}
    begin: list[dict[str, Any]] = [
        {"type": "message_start", "message": _message([], None, 1)},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    ]
    end: list[dict[str, Any]] = [
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": EVENTS},
        },
        {"type": "message_stop"},
    ]

    def told(event: dict[str, Any]) -> bytes:
        return b"event: %b\ndata: %b\n\n" % (event["type"].encode(), _json(event))

    first = b"".join(map(told, [*begin, text]))
    return [_chunk(first), *[_chunk(told(text))] * (EVENTS - 1), *(_chunk(told(event)) for event in end)]


def _completion(kind: str, choice: dict[str, Any] | None, usage: dict[str, int] | None) -> dict[str, Any]:
    choices = [{"index": 0, "finish_reason": None, "logprobs": None, **choice}] if choice else []
    told = {"id": "chatcmpl-1", "object": kind, "created": 1_800_000_000, "model": "gpt-bench", "choices": choices}
    return {**told, "usage": usage}


_OPENAI_USAGE = {"prompt_tokens": INPUT, "completion_tokens": EVENTS, "total_tokens": INPUT + EVENTS}


def _openai_events(*, usage: bool) -> list[bytes]:
    """The chunks of a stream."""
    kind = "chat.completion.chunk"

    def told(choice: dict[str, Any] | None, used: dict[str, int] | None = None) -> bytes:
        return b"data: %b\n\n" % _json(_completion(kind, choice, used))

    word = told({"delta": {"content": WORD}})
    first = told({"delta": {"role": "assistant", "content": ""}}) + word
    last = [told({"delta": {}, "finish_reason": "stop"}), *([told(None, _OPENAI_USAGE)] if usage else [])]
    return [_chunk(first), *[_chunk(word)] * (EVENTS - 1), *map(_chunk, last), _chunk(b"data: [DONE]\n\n")]


_ANTHROPIC_WHOLE = _json(_message([{"type": "text", "text": WORD * EVENTS}], "end_turn", EVENTS))
_SAID = {"message": {"role": "assistant", "content": WORD * EVENTS}, "finish_reason": "stop"}
_OPENAI_WHOLE = _json(_completion("chat.completion", _SAID, _OPENAI_USAGE))
_ANTHROPIC_STREAM = _anthropic_events()
_OPENAI_STREAMS = {usage: _openai_events(usage=usage) for usage in (False, True)}


class Provider(Connection):
    """A connection to it."""

    def respond(self, head: bytes, body: bytes) -> None:
        """Answer by the path, as a stream where the body asks for one."""
        is_anthropic = b"/messages" in head[: head.index(b"\r\n")]
        if not _STREAMS.search(body):
            self.send(_ANTHROPIC_WHOLE if is_anthropic else _OPENAI_WHOLE, b"application/json")
            return
        events = _ANTHROPIC_STREAM if is_anthropic else _OPENAI_STREAMS[_TELLS_USAGE.search(body) is not None]
        self.transport.write(_STREAM_HEAD + events[0])
        asyncio.get_running_loop().call_later(GAP_SECONDS, self._go_on, events, 1)

    def _go_on(self, events: list[bytes], number: int) -> None:
        if self.transport.is_closing():
            return
        if number == len(events) - 1:
            self.transport.write(events[number] + b"0\r\n\r\n")
            return
        self.transport.write(events[number])
        asyncio.get_running_loop().call_later(GAP_SECONDS, self._go_on, events, number + 1)


if __name__ == "__main__":
    asyncio.run(serve(Provider))
