"""What providers answer, to the letter of their documents: whole, and event by event."""

from __future__ import annotations

import base64
import binascii
import json
import struct
from typing import Any

Json = dict[str, Any]
WORDS = ("Good ", "morning, ", "it ", "is ", "a ", "fine ", "day.")
INPUT, OUTPUT = 25, 7
CACHE_READ, CACHE_5M, CACHE_1H = 300, 200, 100
TOOL_INPUT = {"city": "Bern", "days": 2}


def whole(dialect: str, model: str, body: Json) -> Json:
    """A whole answer."""
    return {
        "anthropic": _message,
        "invoke": _message,
        "openai": _completion,
        "converse": _conversed,
        "gemini": _generated,
    }[dialect](model, body)


def _anthropic_usage(model: str) -> Json:
    if "cached" not in model:
        return {
            "input_tokens": INPUT,
            "output_tokens": OUTPUT,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
        }
    return {
        "input_tokens": INPUT,
        "output_tokens": OUTPUT,
        "cache_read_input_tokens": CACHE_READ,
        "cache_creation_input_tokens": CACHE_5M + CACHE_1H,
        "cache_creation": {"ephemeral_5m_input_tokens": CACHE_5M, "ephemeral_1h_input_tokens": CACHE_1H},
    }


def _statements(body: Json) -> str:
    """What a model says of an analysis: the first fact that is a number, and one number that is nobody's."""
    facts = json.loads(body["messages"][0]["content"])["facts"]
    name, fact = next((name, fact) for name, fact in facts.items() if isinstance(fact["value"], int | float))
    told = [
        {"text": f"In {fact['stream']} the {fact['name']} is {fact['text']}.", "facts": [name]},
        {"text": "It needs 987,654,321 shards.", "facts": [name]},
    ]
    return json.dumps({"sentences": told})


def _message(model: str, body: Json) -> Json:
    content: list[Json] = [{"type": "text", "text": _statements(body) if "teller" in model else "".join(WORDS)}]
    if "tools" in model and body.get("tools"):
        content.append({"type": "tool_use", "id": "toolu_1", "name": body["tools"][0]["name"], "input": TOOL_INPUT})
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": content,
        "stop_reason": "tool_use" if len(content) > 1 else "end_turn",
        "stop_sequence": None,
        "usage": _anthropic_usage(model),
    }


def _openai_usage(model: str) -> Json:
    cached = CACHE_READ if "cached" in model else 0
    return {
        "prompt_tokens": INPUT + cached,
        "completion_tokens": OUTPUT,
        "total_tokens": INPUT + cached + OUTPUT,
        "prompt_tokens_details": {"cached_tokens": cached},
    }


def _completion(model: str, body: Json) -> Json:
    message: Json = {"role": "assistant", "content": "".join(WORDS), "refusal": None}
    reason = "stop"
    if "tools" in model and body.get("tools"):
        called = {"name": body["tools"][0]["function"]["name"], "arguments": json.dumps(TOOL_INPUT)}
        message |= {"content": None, "tool_calls": [{"id": "call_1", "type": "function", "function": called}]}
        reason = "tool_calls"
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_763_640_000,
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": reason, "logprobs": None}],
        "usage": _openai_usage(model),
    }


def _converse_usage(model: str) -> Json:
    usage: Json = {"inputTokens": INPUT, "outputTokens": OUTPUT, "totalTokens": INPUT + OUTPUT}
    if "cached" in model:
        usage |= {
            "cacheReadInputTokens": CACHE_READ,
            "cacheWriteInputTokens": CACHE_5M + CACHE_1H,
            "cacheDetails": [{"ttl": "5m", "inputTokens": CACHE_5M}, {"ttl": "1h", "inputTokens": CACHE_1H}],
            "totalTokens": INPUT + OUTPUT + CACHE_READ + CACHE_5M + CACHE_1H,
        }
    return usage


def _conversed(model: str, body: Json) -> Json:
    content: list[Json] = [{"text": "".join(WORDS)}]
    if "tools" in model and body.get("toolConfig"):
        name = body["toolConfig"]["tools"][0]["toolSpec"]["name"]
        content.append({"toolUse": {"toolUseId": "tool_1", "name": name, "input": TOOL_INPUT}})
    return {
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": "tool_use" if len(content) > 1 else "end_turn",
        "usage": _converse_usage(model),
        "metrics": {"latencyMs": 12},
    }


def _gemini_usage(model: str) -> Json:
    cached = CACHE_READ if "cached" in model else 0
    told = {
        "promptTokenCount": INPUT + cached,
        "candidatesTokenCount": OUTPUT,
        "totalTokenCount": INPUT + cached + OUTPUT,
    }
    return told | ({"cachedContentTokenCount": cached} if cached else {})


def _generated(model: str, body: Json) -> Json:
    parts: list[Json] = [{"text": "".join(WORDS)}]
    if "tools" in model and body.get("tools"):
        parts.append(
            {"functionCall": {"name": body["tools"][0]["functionDeclarations"][0]["name"], "args": TOOL_INPUT}}
        )
    return {
        "candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": "STOP", "index": 0}],
        "usageMetadata": _gemini_usage(model),
        "modelVersion": model,
    }


def stream(dialect: str, model: str, body: Json) -> list[bytes]:
    """The events of a streamed answer, each as it goes over the wire."""
    makers = {
        "anthropic": _message_stream,
        "invoke": _invoke_stream,
        "openai": _chunk_stream,
        "converse": _converse_stream,
        "gemini": _gemini_stream,
    }
    return makers[dialect](model, body)


def _message_events(model: str, body: Json) -> list[Json]:
    usage = _anthropic_usage(model)
    whole = _message(model, body)
    events: list[Json] = [
        {
            "type": "message_start",
            "message": {**whole, "content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 1}},
        },
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "ping"},
        *({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}} for word in WORDS),
        {"type": "content_block_stop", "index": 0},
    ]
    if len(whole["content"]) > 1:
        tool, text = whole["content"][1], json.dumps(TOOL_INPUT)
        events += [
            {"type": "content_block_start", "index": 1, "content_block": {**tool, "input": {}}},
            {
                "type": "content_block_delta",
                "index": 1,
                "delta": {"type": "input_json_delta", "partial_json": text[:7]},
            },
            {
                "type": "content_block_delta",
                "index": 1,
                "delta": {"type": "input_json_delta", "partial_json": text[7:]},
            },
            {"type": "content_block_stop", "index": 1},
        ]
    stopped = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
    return [
        *events,
        {"type": "message_delta", "delta": stopped, "usage": {"output_tokens": OUTPUT}},
        {"type": "message_stop"},
    ]


def _message_stream(model: str, body: Json) -> list[bytes]:
    return [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in _message_events(model, body)]


def _invoke_stream(model: str, body: Json) -> list[bytes]:
    events = _message_events(model, body)
    events[-1] |= {
        "amazon-bedrock-invocationMetrics": {
            "inputTokenCount": INPUT,
            "outputTokenCount": OUTPUT,
            "invocationLatency": 12,
            "firstByteLatency": 3,
        }
    }
    return [
        frame("chunk", {"bytes": base64.b64encode(json.dumps(event).encode()).decode(), "p": "abcdefgh"})
        for event in events
    ]


def _chunk_stream(model: str, body: Json) -> list[bytes]:
    whole = _completion(model, body)
    base = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_763_640_000, "model": model}

    def chunk(delta: Json, reason: str | None = None) -> Json:
        return {**base, "choices": [{"index": 0, "delta": delta, "finish_reason": reason, "logprobs": None}]}

    choice = whole["choices"][0]
    events = [chunk({"role": "assistant", "content": ""})]
    if choice["finish_reason"] == "tool_calls":
        call = choice["message"]["tool_calls"][0]
        text = call["function"]["arguments"]
        events.append(
            chunk(
                {"tool_calls": [{"index": 0, **call, "function": {"name": call["function"]["name"], "arguments": ""}}]}
            )
        )
        events += [
            chunk({"tool_calls": [{"index": 0, "function": {"arguments": part}}]}) for part in (text[:7], text[7:])
        ]
    else:
        events += [chunk({"content": word}) for word in WORDS]
    events.append(chunk({}, choice["finish_reason"]))
    if (body.get("stream_options") or {}).get("include_usage"):
        events = [{**event, "usage": None} for event in events]
        events.append({**base, "choices": [], "usage": _openai_usage(model)})
    return [*(f"data: {json.dumps(event)}\n\n".encode() for event in events), b"data: [DONE]\n\n"]


def _converse_stream(model: str, body: Json) -> list[bytes]:
    whole = _conversed(model, body)
    content = whole["output"]["message"]["content"]
    events: list[tuple[str, Json]] = [("messageStart", {"role": "assistant"})]
    events += [("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": word}}) for word in WORDS]
    events.append(("contentBlockStop", {"contentBlockIndex": 0}))
    if len(content) > 1:
        use, text = content[1]["toolUse"], json.dumps(TOOL_INPUT)
        start = {"toolUse": {"toolUseId": use["toolUseId"], "name": use["name"]}}
        events.append(("contentBlockStart", {"contentBlockIndex": 1, "start": start}))
        events += [
            ("contentBlockDelta", {"contentBlockIndex": 1, "delta": {"toolUse": {"input": part}}})
            for part in (text[:7], text[7:])
        ]
        events.append(("contentBlockStop", {"contentBlockIndex": 1}))
    events.append(("messageStop", {"stopReason": whole["stopReason"]}))
    events.append(("metadata", {"usage": whole["usage"], "metrics": {"latencyMs": 12}}))
    return [frame(kind, {**payload, "p": "abcd"}) for kind, payload in events]


def _gemini_stream(model: str, body: Json) -> list[bytes]:
    whole = _generated(model, body)
    parts = whole["candidates"][0]["content"]["parts"]
    events: list[Json] = [
        {
            "candidates": [{"content": {"role": "model", "parts": [{"text": word}]}, "index": 0}],
            "usageMetadata": {**_gemini_usage(model), "candidatesTokenCount": number + 1},
            "modelVersion": model,
        }
        for number, word in enumerate(WORDS)
    ]
    last = {"content": {"role": "model", "parts": parts[1:]}, "finishReason": "STOP", "index": 0}
    events.append({"candidates": [last], "usageMetadata": _gemini_usage(model), "modelVersion": model})
    return [f"data: {json.dumps(event)}\r\n\r\n".encode() for event in events]


def frame(kind: str, payload: Json) -> bytes:
    """A message of application/vnd.amazon.eventstream.

    https://smithy.io/2.0/aws/amazon-eventstream.html
    """
    headers = b"".join(
        struct.pack("!B", len(name)) + name.encode() + b"\x07" + struct.pack("!H", len(value)) + value.encode()
        for name, value in ((":event-type", kind), (":content-type", "application/json"), (":message-type", "event"))
    )
    body = json.dumps(payload).encode()
    prelude = struct.pack("!II", 16 + len(headers) + len(body), len(headers))
    message = prelude + struct.pack("!I", binascii.crc32(prelude)) + headers + body
    return message + struct.pack("!I", binascii.crc32(message))
