"""Answers of OpenAI's chat completions: https://developers.openai.com/api/reference/chat/object."""

import json
from collections.abc import Mapping
from typing import Any

from weir.llm import spent
from weir.llm.conversation import Redacted, Reply, Stop, Text, Thinking, ToolUse
from weir.llm.dialect_errors import Untranslatable
from weir.llm.fields import Fields
from weir.llm.models import Tokens
from weir.llm.openai import written_call

STOPS: dict[str, Stop] = {
    "stop": "end",
    "length": "limit",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}
REASONS: dict[Stop, str] = {
    "end": "stop",
    "limit": "length",
    "stop_sequence": "stop",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
    "window": "length",
    "pause": "stop",
}


def parse_reply(answer: Mapping[str, Any]) -> Reply:
    """A whole completion. Untranslatable where it has more than one choice."""
    fields = Fields(answer)
    choices = fields.each("choices")
    if len(choices) != 1:
        raise Untranslatable("choices", f"{len(choices)} answers have no counterpart here")
    message = choices[0].fields("message")
    blocks: list[Text | ToolUse | Thinking | Redacted] = []
    if thought := message.text("reasoning_content") or message.text("reasoning"):
        blocks.append(Thinking(thought))
    blocks.extend(Text(text) for name in ("content", "refusal") if (text := message.text(name)))
    for call in message.each("tool_calls"):
        function = call.fields("function")
        blocks.append(ToolUse(call.text("id"), function.text("name"), read_arguments(function.text("arguments"))))
    return Reply(
        id=fields.text("id"),
        model=fields.text("model"),
        blocks=tuple(blocks),
        stop=STOPS.get(choices[0].text("finish_reason"), "end"),
        tokens=spent.openai(fields.mapping("usage")),
    )


def read_arguments(text: str) -> Mapping[str, Any]:
    """What a model calls a tool with; what it wrote as no JSON object is handed on under ``arguments``, as it is."""
    try:
        found = json.loads(text or "{}")
    except (ValueError, RecursionError):
        found = text
    return found if isinstance(found, dict) else {"arguments": found}


def write_reply(reply: Reply, model: str, created: int) -> dict[str, Any]:
    """A whole completion, made at ``created`` (seconds since 1970)."""
    texts = [one.text for one in reply.blocks if isinstance(one, Text)]
    thoughts = [one.text for one in reply.blocks if isinstance(one, Thinking)]
    calls = [written_call(one) for one in reply.blocks if isinstance(one, ToolUse)]
    message: dict[str, Any] = {"role": "assistant", "content": "".join(texts) if texts else None, "refusal": None}
    if thoughts:
        message["reasoning_content"] = "".join(thoughts)
    if calls:
        message["tool_calls"] = calls
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": REASONS[reply.stop]}
    return {
        "id": reply.id,
        "object": "chat.completion",
        "created": created,
        "model": model,
        "choices": [choice],
        "usage": written_usage(reply.tokens),
    }


def written_usage(tokens: Tokens) -> dict[str, Any]:
    """``usage`` in OpenAI's words."""
    written = tokens.cache_write_5m + tokens.cache_write_1h
    prompt = tokens.input + tokens.cache_read + written
    return {
        "prompt_tokens": prompt,
        "completion_tokens": tokens.output,
        "total_tokens": prompt + tokens.output,
        "prompt_tokens_details": {"cached_tokens": tokens.cache_read, "cache_write_tokens": written},
    }
