"""Answers of Bedrock's Converse."""

from collections.abc import Mapping
from typing import Any

from weir.llm import spent
from weir.llm.conversation import Redacted, Reply, Stop, Text, Thinking, ToolUse
from weir.llm.converse import read_block, written_block
from weir.llm.dialect_errors import Untranslatable
from weir.llm.fields import Fields
from weir.llm.models import Tokens

STOPS: dict[str, Stop] = {
    "end_turn": "end",
    "max_tokens": "limit",
    "stop_sequence": "stop_sequence",
    "tool_use": "tool_use",
    "guardrail_intervened": "refusal",
    "content_filtered": "refusal",
    "model_context_window_exceeded": "window",
}
REASONS: dict[Stop, str] = {
    "end": "end_turn",
    "limit": "max_tokens",
    "stop_sequence": "stop_sequence",
    "tool_use": "tool_use",
    "refusal": "content_filtered",
    "window": "model_context_window_exceeded",
    "pause": "end_turn",
}


def parse_reply(answer: Mapping[str, Any]) -> Reply:
    """A whole answer of Converse, which names neither itself nor its model. Untranslatable where it is not all words
    and calls of tools."""
    fields = Fields(answer)
    message = fields.fields("output").fields("message")
    blocks = [read_block(one) for one in message.each("content")]
    told = tuple(one for one in blocks if isinstance(one, Text | ToolUse | Thinking | Redacted))
    if len(told) < len(blocks):
        raise Untranslatable("output", "an image or document that a model made has no counterpart here")
    return Reply(
        id="",
        model="",
        blocks=told,
        stop=STOPS.get(fields.text("stopReason"), "end"),
        tokens=spent.converse(fields.mapping("usage")),
    )


def write_reply(reply: Reply, milliseconds: int) -> dict[str, Any]:
    """A whole answer of Converse, made in so many milliseconds."""
    content = [written_block(one) for one in reply.blocks]
    return {
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": REASONS[reply.stop],
        "usage": written_usage(reply.tokens),
        "metrics": {"latencyMs": milliseconds},
    }


def written_usage(tokens: Tokens) -> dict[str, Any]:
    """``usage`` in Converse's words."""
    written = tokens.cache_write_5m + tokens.cache_write_1h
    details = [("1h", tokens.cache_write_1h), ("5m", tokens.cache_write_5m)]
    usage: dict[str, Any] = {
        "inputTokens": tokens.input,
        "outputTokens": tokens.output,
        "totalTokens": tokens.total,
        "cacheReadInputTokens": tokens.cache_read,
        "cacheWriteInputTokens": written,
    }
    if written:
        usage["cacheDetails"] = [{"ttl": ttl, "inputTokens": count} for ttl, count in details if count]
    return usage
