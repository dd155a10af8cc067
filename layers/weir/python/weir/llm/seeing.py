"""What is seen of an answer while it comes: what the provider has told of its usage, and the text there was.

One ``Sight`` a call; the functions here take in one event of a dialect each. Usage is cumulative in every dialect:
what comes later replaces what came before, and is never added to it.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from weir.llm import spent
from weir.llm.models import Bound, Tokens

_BYTES_A_TOKEN = 4
"""Of English prose, by the providers' rule of thumb; less in other languages, where pieces are counted too."""

METRICS = "amazon-bedrock-invocationMetrics"
"""Bedrock's own member of the last event of InvokeModelWithResponseStream."""

_TEXTS = frozenset({"text", "content", "generation", "outputText", "completion", "thinking", "reasoning", "arguments"})

See = Callable[["Sight", str, Mapping[str, Any]], None]
"""Takes in an event: its name (empty where the dialect has none) and its JSON."""


class Sight:
    """What was seen of one call.

    Parameters
    ----------
    bound
        What was known of the call before it was made: for what the provider did not tell.
    """

    def __init__(self, bound: Bound) -> None:
        self.told: Tokens | None = None
        self.final = False
        self.usage: dict[str, Any] = {}
        self.finished = False
        self.error = ""
        self._bound, self._pieces, self._bytes = bound, 0, 0

    @property
    def any_text(self) -> bool:
        """Whether a token of the answer has come."""
        return self._pieces > 0

    def text(self, *pieces: object) -> None:
        """Texts of the answer, each at least a token."""
        for piece in pieces:
            if isinstance(piece, str) and piece:
                self._pieces += 1
                self._bytes += len(piece.encode("utf-8", "surrogatepass"))

    def tokens(self) -> Tokens:
        """What the provider told last; where it did not tell it to the end, at least what was seen, ``estimated``."""
        if self.final and self.told is not None:
            return self.told
        told = self.told or Tokens()
        seen = max(self._pieces, -(-self._bytes // _BYTES_A_TOKEN))
        if self._bound.output is not None:
            seen = min(seen, self._bound.output)
        silent = told.total == told.output
        return replace(
            told,
            input=max(1, self._bound.likely_input) if silent else told.input,
            output=max(told.output, seen),
            estimated=True,
        )


def anthropic(sight: Sight, name: str, event: Mapping[str, Any]) -> None:
    """An event of Messages: https://platform.claude.com/docs/en/build-with-claude/streaming."""
    kind = event.get("type", name)
    if kind == "content_block_delta":
        delta = _dict(event, "delta")
        sight.text(delta.get("text"), delta.get("thinking"), delta.get("partial_json"), delta.get("content"))
    elif kind == "content_block_start":
        block = _dict(event, "content_block")
        sight.text(block.get("text"), block.get("thinking"), block.get("name"), block.get("data"))
    elif kind == "message_start":
        _anthropic_usage(sight, _dict(_dict(event, "message"), "usage"))
    elif kind == "message_delta":
        _anthropic_usage(sight, _dict(event, "usage"))
        sight.finished = True
        sight.final = bool(_dict(event, "delta").get("stop_reason"))
    elif kind == "message_stop":
        sight.final = sight.finished
    elif kind == "error":
        sight.error = str(_dict(event, "error").get("type", "error"))


def _anthropic_usage(sight: Sight, usage: Mapping[str, Any]) -> None:
    sight.usage.update({name: value for name, value in usage.items() if value is not None})
    sight.told = spent.anthropic(sight.usage)


def openai(sight: Sight, name: str, chunk: Mapping[str, Any]) -> None:  # noqa: ARG001 (a See)
    """A chunk of a completion. Usage is in a last one without choices, or (DeepSeek, vLLM) with the last choice's."""
    choices = _list(chunk, "choices")
    for choice in choices:
        if isinstance(choice, dict):
            _openai_delta(sight, _dict(choice, "delta"))
            sight.text(choice.get("text"))
            sight.finished = sight.finished or bool(choice.get("finish_reason"))
    usage = chunk.get("usage")
    if isinstance(usage, dict):
        sight.told = spent.openai(usage)
        sight.final = sight.finished or not choices
    elif choices:
        sight.final = False
    if chunk.get("error"):
        sight.error = str(_dict(chunk, "error").get("type") or "error")


def _openai_delta(sight: Sight, delta: Mapping[str, Any]) -> None:
    sight.text(delta.get("content"))
    if len(delta) == 1 and "content" in delta:  # as most are
        return
    sight.text(delta.get("refusal"), delta.get("reasoning_content", delta.get("reasoning")))
    sight.text(_dict(delta, "audio").get("transcript"))
    for call in [*_list(delta, "tool_calls"), {"function": delta.get("function_call")}]:
        function = _dict(call, "function") if isinstance(call, dict) else {}
        sight.text(function.get("name"), function.get("arguments"))


def converse(sight: Sight, name: str, event: Mapping[str, Any]) -> None:
    """An event of ConverseStream, or an exception in it."""
    if name == "contentBlockDelta":
        delta = _dict(event, "delta")
        sight.text(
            delta.get("text"), _dict(delta, "toolUse").get("input"), _dict(delta, "reasoningContent").get("text")
        )
    elif name == "contentBlockStart":
        sight.text(_dict(_dict(event, "start"), "toolUse").get("name"))
    elif name == "metadata":
        sight.told, sight.final = spent.converse(_dict(event, "usage")), True
    elif name.endswith("Exception"):
        sight.error = name


def invoke(sight: Sight, name: str, event: Mapping[str, Any]) -> None:
    """A chunk of InvokeModelWithResponseStream: an event of the model's vendor, the last one with Bedrock's metrics."""
    if name.endswith("Exception"):
        sight.error = name
        return
    metrics = event.get(METRICS)
    if "type" in event:
        anthropic(sight, "", event)
    elif "choices" in event:
        openai(sight, "", event)
    elif any(isinstance(inner, dict) for inner in event.values() if inner is not metrics):  # Nova, as Converse
        for inner_name, inner in event.items():
            converse(sight, inner_name, inner if isinstance(inner, dict) else {})
    else:
        sight.text(*texts(event))
    if isinstance(metrics, dict):
        if not sight.final:
            sight.told = spent.invocation(metrics)
        sight.final = True


def gemini(sight: Sight, name: str, chunk: Mapping[str, Any]) -> None:  # noqa: ARG001 (a See)
    """A chunk of streamGenerateContent with ``alt=sse``; every one carries the usage so far."""
    for candidate in _list(chunk, "candidates"):
        if not isinstance(candidate, dict):
            continue
        for part in _list(_dict(candidate, "content"), "parts"):
            if isinstance(part, dict):
                sight.text(part.get("text"))
                if isinstance(call := part.get("functionCall"), dict):
                    sight.text(call.get("name"), json.dumps(call.get("args", {})))
        sight.finished = sight.finished or bool(candidate.get("finishReason"))
    sight.finished = sight.finished or bool(_dict(chunk, "promptFeedback").get("blockReason"))
    usage = chunk.get("usageMetadata")
    if isinstance(usage, dict):
        sight.told, sight.final = spent.gemini(usage), sight.finished
    if chunk.get("error"):
        sight.error = str(_dict(chunk, "error").get("status") or "error")


def texts(answer: object, field: str = "") -> list[str]:
    """The texts of an answer of any shape, by the names under which models' vendors put them."""
    if isinstance(answer, str):
        return [answer] if field in _TEXTS else []
    if isinstance(answer, dict):
        return [text for name, value in answer.items() for text in texts(value, name)]
    if isinstance(answer, list):
        return [text for value in answer for text in texts(value, field)]
    return []


def _dict(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = value.get(name)
    return found if isinstance(found, dict) else {}


def _list(value: Mapping[str, Any], name: str) -> list[Any]:
    found = value.get(name)
    return found if isinstance(found, list) else []
