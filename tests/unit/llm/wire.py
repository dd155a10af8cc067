"""Answers as the providers send them, event by event: from the examples in their documentation."""

import json
from base64 import b64encode
from dataclasses import dataclass
from typing import Any

from weir.llm import eventstream, sse
from weir.llm.models import Bound, Dialect, Tokens

BOUND = Bound(input=4_000, output=1_000, likely_input=700, likely_output=500)


@dataclass(frozen=True)
class Answer:
    """A stream, and what it says at its end.

    ``final`` is the number of events after which the usage is told to its end; ``told_input`` the number after which
    the input is known; ``pieces`` how many pieces of text have come after each event.
    """

    dialect: Dialect
    events: tuple[bytes, ...]
    tokens: Tokens
    final: int
    told_input: int
    pieces: tuple[int, ...]

    @property
    def raw(self) -> bytes:
        return b"".join(self.events)

    def ended(self, cut: int) -> int:
        """How many events have ended in the first ``cut`` bytes."""
        whole, at = 0, 0
        for event in self.events:
            at += len(event)
            if at > cut:
                break
            whole += 1
        return whole


def running(*each: int) -> tuple[int, ...]:
    return tuple(sum(each[: end + 1]) for end in range(len(each)))


def named(events: list[dict[str, Any]]) -> tuple[bytes, ...]:
    return tuple(sse.encode(str(one["type"]), json.dumps(one).encode()) for one in events)


def data(chunks: list[dict[str, Any]], done: bool = True) -> tuple[bytes, ...]:
    written = [sse.encode("", json.dumps(one).encode()) for one in chunks]
    return (*written, b"data: [DONE]\n\n") if done else tuple(written)


def frames(events: list[tuple[str, dict[str, Any]]]) -> tuple[bytes, ...]:
    return tuple(eventstream.encode_event(name, json.dumps(one).encode()) for name, one in events)


def chunks(events: list[dict[str, Any]]) -> tuple[bytes, ...]:
    def carried(event: dict[str, Any]) -> bytes:
        return json.dumps({"bytes": b64encode(json.dumps(event).encode()).decode(), "p": "abcdefgh"}).encode()

    return tuple(eventstream.encode_event("chunk", carried(one)) for one in events)


MESSAGE: dict[str, Any] = {
    "id": "msg_1nZdL29xx5MUA1yADyHTEsnR8uuvGzszyY",
    "type": "message",
    "role": "assistant",
    "content": [],
    "model": "claude-opus-4-7",
    "stop_reason": None,
    "stop_sequence": None,
    "usage": {
        "input_tokens": 25,
        "cache_creation_input_tokens": 300,
        "cache_read_input_tokens": 1000,
        "cache_creation": {"ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 200},
        "output_tokens": 1,
        "service_tier": "standard",
    },
}
MESSAGE_EVENTS: list[dict[str, Any]] = [
    {"type": "message_start", "message": MESSAGE},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}},
    {"type": "ping"},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "Let me see."}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "EqQBCgIYAhIM"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "Hello"}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": ", wörld! 🌍"}},
    {"type": "content_block_stop", "index": 1},
    {
        "type": "content_block_start",
        "index": 2,
        "content_block": {
            "type": "tool_use",
            "id": "toolu_01T1x1fJ34qAmk2tNTrN7Up6",
            "name": "get_weather",
            "input": {},
        },
    },
    {"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": ""}},
    {
        "type": "content_block_delta",
        "index": 2,
        "delta": {"type": "input_json_delta", "partial_json": '{"location": "San'},
    },
    {"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": ' Francisco"}'}},
    {"type": "content_block_stop", "index": 2},
    {
        "type": "message_delta",
        "delta": {"stop_reason": "tool_use", "stop_sequence": None},
        "usage": {"output_tokens": 89},
    },
    {"type": "message_stop"},
]
_MESSAGE_PIECES = running(0, 0, 0, 1, 0, 0, 0, 1, 1, 0, 1, 0, 1, 1, 0, 0, 0)
_MESSAGE_TOKENS = Tokens(input=25, output=89, cache_read=1000, cache_write_5m=100, cache_write_1h=200)

ANTHROPIC = Answer("anthropic", named(MESSAGE_EVENTS), _MESSAGE_TOKENS, 16, 1, _MESSAGE_PIECES)

METRICS = {
    "inputTokenCount": 25,
    "outputTokenCount": 89,
    "cacheReadInputTokenCount": 1000,
    "cacheWriteInputTokenCount": 300,
    "invocationLatency": 1200,
    "firstByteLatency": 300,
}
INVOKE = Answer(
    "invoke",
    chunks([*MESSAGE_EVENTS[:-1], {"type": "message_stop", "amazon-bedrock-invocationMetrics": METRICS}]),
    _MESSAGE_TOKENS,
    16,
    1,
    _MESSAGE_PIECES,
)
INVOKE_LLAMA = Answer(
    "invoke",
    chunks(
        [
            {"generation": "Hel", "prompt_token_count": 25, "generation_token_count": 1, "stop_reason": None},
            {"generation": "lo", "prompt_token_count": None, "generation_token_count": 2, "stop_reason": None},
            {"generation": "", "stop_reason": "stop", "amazon-bedrock-invocationMetrics": METRICS},
        ]
    ),
    Tokens(input=25, output=89, cache_read=1000, cache_write_5m=300),
    3,
    99,
    running(1, 1, 0),
)
INVOKE_NOVA = Answer(
    "invoke",
    chunks(
        [
            {"messageStart": {"role": "assistant"}},
            {"contentBlockDelta": {"delta": {"text": "Hello"}, "contentBlockIndex": 0}},
            {"contentBlockStop": {"contentBlockIndex": 0}},
            {"messageStop": {"stopReason": "end_turn"}},
            {
                "metadata": {
                    "usage": {
                        "inputTokens": 25,
                        "outputTokens": 89,
                        "cacheReadInputTokenCount": 1000,
                        "cacheWriteInputTokenCount": 300,
                    },
                    "metrics": {},
                },
                "amazon-bedrock-invocationMetrics": METRICS,
            },
        ]
    ),
    Tokens(input=25, output=89, cache_read=1000, cache_write_5m=300),
    5,
    99,
    running(0, 1, 0, 0, 0),
)


def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> dict[str, Any]:
    return {
        "id": "chatcmpl-9bB7",
        "object": "chat.completion.chunk",
        "created": 1_750_000_000,
        "model": "gpt-4.1-2025-04-14",
        "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}],
        "usage": None,
        **more,
    }


def call(index: int, **more: Any) -> dict[str, Any]:
    return {"tool_calls": [{"index": index, **more}]}


OPENAI_USAGE = {
    "prompt_tokens": 1325,
    "completion_tokens": 89,
    "total_tokens": 1414,
    "prompt_tokens_details": {"cached_tokens": 1000, "audio_tokens": 0, "cache_write_tokens": 300},
    "completion_tokens_details": {"reasoning_tokens": 64, "audio_tokens": 0},
}
COMPLETION_CHUNKS = [
    chunk({"role": "assistant", "content": "", "refusal": None}),
    chunk({"content": "Hello"}),
    chunk({"content": ", wörld! 🌍"}),
    chunk(call(0, id="call_a", type="function", function={"name": "get_weather", "arguments": ""})),
    chunk(call(0, function={"arguments": '{"location": "San'})),
    chunk(call(0, function={"arguments": ' Francisco"}'})),
    chunk(call(1, id="call_b", type="function", function={"name": "get_time", "arguments": "{}"})),
    chunk({}, "tool_calls"),
    chunk({}, choices=[], usage=OPENAI_USAGE),
]
OPENAI = Answer(
    "openai",
    data(COMPLETION_CHUNKS),
    Tokens(input=25, output=89, cache_read=1000, cache_write_5m=300),
    9,
    9,
    running(0, 1, 1, 1, 1, 1, 2, 0, 0, 0),
)
DEEPSEEK = Answer(
    "openai",
    data(
        [
            chunk({"role": "assistant", "content": None, "reasoning_content": "Hm."}),
            chunk({"content": "Hello"}),
            chunk(
                {"content": ""},
                "stop",
                usage={
                    "prompt_tokens": 1025,
                    "completion_tokens": 89,
                    "total_tokens": 1114,
                    "prompt_cache_hit_tokens": 1000,
                    "prompt_cache_miss_tokens": 25,
                },
            ),
        ]
    ),
    Tokens(input=25, output=89, cache_read=1000),
    3,
    3,
    running(1, 1, 0, 0),
)

CONVERSE_USAGE = {
    "inputTokens": 25,
    "outputTokens": 89,
    "totalTokens": 1414,
    "cacheReadInputTokens": 1000,
    "cacheWriteInputTokens": 300,
    "cacheDetails": [{"ttl": "1h", "inputTokens": 200}, {"ttl": "5m", "inputTokens": 100}],
}
CONVERSE_EVENTS: list[tuple[str, dict[str, Any]]] = [
    ("messageStart", {"role": "assistant", "p": "abcd"}),
    ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"reasoningContent": {"text": "Let me see."}}}),
    ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"reasoningContent": {"signature": "EqQBCgIYAhIM"}}}),
    ("contentBlockStop", {"contentBlockIndex": 0}),
    ("contentBlockDelta", {"contentBlockIndex": 1, "delta": {"text": "Hello"}}),
    ("contentBlockDelta", {"contentBlockIndex": 1, "delta": {"text": ", wörld! 🌍"}}),
    ("contentBlockStop", {"contentBlockIndex": 1}),
    (
        "contentBlockStart",
        {"contentBlockIndex": 2, "start": {"toolUse": {"toolUseId": "tool_1", "name": "get_weather"}}},
    ),
    ("contentBlockDelta", {"contentBlockIndex": 2, "delta": {"toolUse": {"input": '{"location": "San'}}}),
    ("contentBlockDelta", {"contentBlockIndex": 2, "delta": {"toolUse": {"input": ' Francisco"}'}}}),
    ("contentBlockStop", {"contentBlockIndex": 2}),
    ("messageStop", {"stopReason": "tool_use"}),
    ("metadata", {"usage": CONVERSE_USAGE, "metrics": {"latencyMs": 1200}}),
]
CONVERSE = Answer(
    "converse", frames(CONVERSE_EVENTS), _MESSAGE_TOKENS, 13, 13, running(0, 1, 0, 0, 1, 1, 0, 1, 1, 1, 0, 0, 0)
)


def candidate(parts: list[dict[str, Any]], output: int, thoughts: int, **more: Any) -> dict[str, Any]:
    return {
        "candidates": [{"content": {"parts": parts, "role": "model"}, "index": 0, **more}],
        "usageMetadata": {
            "promptTokenCount": 1015,
            "cachedContentTokenCount": 1000,
            "candidatesTokenCount": output,
            "thoughtsTokenCount": thoughts,
            "toolUsePromptTokenCount": 10,
            "totalTokenCount": 1025 + output + thoughts,
        },
        "modelVersion": "gemini-2.5-pro",
        "responseId": "r-1",
    }


GEMINI_CHUNKS = [
    candidate([{"text": "Let me see.", "thought": True}], 0, 60),
    candidate([{"text": "Hello"}], 1, 64),
    candidate([{"text": ", wörld! 🌍"}], 5, 64),
    candidate([{"functionCall": {"name": "get_weather", "args": {"location": "Paris"}}}], 25, 64, finishReason="STOP"),
]
GEMINI = Answer(
    "gemini",
    data(GEMINI_CHUNKS, done=False),
    Tokens(input=25, output=89, cache_read=1000),
    4,
    1,
    running(1, 1, 1, 2),
)

STREAMS = (ANTHROPIC, INVOKE, INVOKE_LLAMA, INVOKE_NOVA, OPENAI, DEEPSEEK, CONVERSE, GEMINI)
NAMES = ("anthropic", "invoke", "invoke-llama", "invoke-nova", "openai", "deepseek", "converse", "gemini")
