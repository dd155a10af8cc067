"""Streams of each dialect, read event by event into what happens in them.

A provider that names no end of a block (OpenAI, Gemini) has it end where another begins; blocks never overlap.
"""

import json
from collections.abc import Mapping
from typing import Any, Literal, Protocol

from weir.llm import anthropic, converse_replies, gemini, openai_replies, spent
from weir.llm.conversation import (
    BlockStarted,
    BlockStopped,
    Delta,
    Failed,
    Happening,
    Started,
    Stop,
    Stopped,
    Text,
    Thinking,
    ToolUse,
    Used,
)
from weir.llm.fields import Fields
from weir.llm.models import Tokens

_STATUSES = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
    "validationException": 400,
    "throttlingException": 429,
    "internalServerException": 500,
    "modelStreamErrorException": 502,
    "modelTimeoutException": 504,
    "serviceUnavailableException": 503,
}
_BAD_GATEWAY = 502

Kind = Literal["text", "thinking"]


class StreamReader(Protocol):
    """Reads the events of one stream."""

    def read(self, name: str, event: Mapping[str, Any]) -> list[Happening]:
        """What happens by an event: its name (empty where the dialect has none) and its JSON."""


class AnthropicReader:
    """Reads a stream of Messages."""

    def __init__(self) -> None:
        self._usage: dict[str, Any] = {}

    def read(self, name: str, event: Mapping[str, Any]) -> list[Happening]:
        """See `StreamReader`."""
        fields = Fields(event)
        match fields.text("type", name):
            case "message_start":
                message = fields.fields("message")
                self._told(message.mapping("usage"))
                return [Started(message.text("id"), message.text("model"), spent.anthropic(self._usage))]
            case "content_block_start":
                return self._start(fields.fields("content_block"))
            case "content_block_delta":
                return self._delta(fields.fields("delta"))
            case "content_block_stop":
                return [BlockStopped()]
            case "message_delta":
                return self._end(fields)
            case "error":
                error = fields.fields("error")
                return [Failed(_STATUSES.get(error.text("type"), _BAD_GATEWAY), error.text("message"))]
        return []

    def _start(self, block: Fields) -> list[Happening]:
        kind = block.text("type")
        if kind == "tool_use":
            begun: list[Happening] = [BlockStarted("tool_use", block.text("id"), block.text("name"))]
            given = block.mapping("input")
            return [*begun, Delta("input", json.dumps(given))] if given else begun
        if kind == "redacted_thinking":
            return [BlockStarted("redacted", data=block.text("data"))]
        if kind == "text":
            return [BlockStarted("text"), *_delta("text", block.text("text"))]
        if kind == "thinking":
            return [BlockStarted("thinking"), *_delta("thinking", block.text("thinking"))]
        return [Failed(_BAD_GATEWAY, f"A block of the type {kind!r:.40} has no counterpart here.")]

    def _delta(self, delta: Fields) -> list[Happening]:
        match delta.text("type"):
            case "text_delta":
                return _delta("text", delta.text("text"))
            case "thinking_delta":
                return _delta("thinking", delta.text("thinking"))
            case "signature_delta":
                return _delta("signature", delta.text("signature"))
            case "input_json_delta":
                return _delta("input", delta.text("partial_json"))
        return []

    def _end(self, fields: Fields) -> list[Happening]:
        self._told(fields.mapping("usage"))
        delta = fields.fields("delta")
        reason = delta.text("stop_reason")
        if not reason:
            return []
        return [
            Stopped(anthropic.STOPS.get(reason, "end"), delta.take("stop_sequence")),
            Used(spent.anthropic(self._usage)),
        ]

    def _told(self, usage: Mapping[str, Any]) -> None:
        self._usage.update({name: value for name, value in usage.items() if value is not None})


class _Open:
    """Which block is open, where a provider does not say."""

    def __init__(self) -> None:
        self.kind = ""
        self.key: object = None
        self.tools = 0

    def text(self, kind: Kind, text: str) -> list[Happening]:
        if not text:
            return []
        begun = [] if self.kind == kind else [*self.close(), BlockStarted(kind)]
        self.kind = kind
        return [*begun, Delta(kind, text)]

    def tool(self, key: object, call_id: str, name: str) -> list[Happening]:
        begun: list[Happening] = [*self.close(), BlockStarted("tool_use", call_id, name)]
        self.kind, self.key, self.tools = "tool_use", key, self.tools + 1
        return begun

    def close(self) -> list[Happening]:
        was, self.kind, self.key = self.kind, "", None
        return [BlockStopped()] if was else []

    def stop(self, stop: Stop) -> list[Happening]:
        """The end; some say ``stop`` where they have called a tool."""
        return [*self.close(), Stopped("tool_use" if stop == "end" and self.tools else stop)]


class OpenAIReader:
    """Reads a stream of chat completions."""

    def __init__(self) -> None:
        self._begun = False
        self._open = _Open()

    def read(self, name: str, event: Mapping[str, Any]) -> list[Happening]:  # noqa: ARG002 (a StreamReader)
        """See `StreamReader`."""
        if event.get("error"):
            error = event["error"]
            message = error.get("message") if isinstance(error, Mapping) else error
            return [Failed(_BAD_GATEWAY, str(message))]
        fields = Fields(event)
        happenings: list[Happening] = []
        if not self._begun:
            self._begun = True
            happenings.append(Started(fields.text("id"), fields.text("model"), Tokens()))
        for choice in fields.each("choices")[:1]:
            happenings += self._choice(choice)
        if fields.has("usage"):
            happenings.append(Used(spent.openai(fields.mapping("usage"))))
        return happenings

    def _choice(self, choice: Fields) -> list[Happening]:
        delta = choice.fields("delta")
        thought = delta.text("reasoning_content") or delta.text("reasoning")
        happenings = self._open.text("thinking", thought)
        happenings += self._open.text("text", delta.text("content") + delta.text("refusal"))
        for call in delta.each("tool_calls"):
            happenings += self._call(call)
        if reason := choice.text("finish_reason"):
            happenings += self._open.stop(openai_replies.STOPS.get(reason, "end"))
        return happenings

    def _call(self, call: Fields) -> list[Happening]:
        index, call_id, function = call.take("index"), call.text("id"), call.fields("function")
        happenings: list[Happening] = []
        if call_id and (self._open.kind != "tool_use" or self._open.key != (index, call_id)):
            happenings = self._open.tool((index, call_id), call_id, function.text("name"))
        elif self._open.kind != "tool_use" or (index is not None and self._key_index() != index):
            return [Failed(_BAD_GATEWAY, "The provider went on with a tool's call after another had begun.")]
        return happenings + _delta("input", function.text("arguments"))

    def _key_index(self) -> object:
        return self._open.key[0] if isinstance(self._open.key, tuple) else None


class ConverseReader:
    """Reads a stream of Converse, which announces calls of tools alone."""

    def __init__(self) -> None:
        self._open = False

    def read(self, name: str, event: Mapping[str, Any]) -> list[Happening]:
        """See `StreamReader`."""
        fields = Fields(event)
        match name:
            case "messageStart":
                return [Started("", "", Tokens())]
            case "contentBlockStart":
                start = fields.fields("start")
                if not start.has("toolUse"):
                    return [_untold("block")]
                tool = start.fields("toolUse")
                self._open = True
                return [BlockStarted("tool_use", tool.text("toolUseId"), tool.text("name"))]
            case "contentBlockDelta":
                return self._delta(fields.fields("delta"))
            case "contentBlockStop":
                was, self._open = self._open, False
                return [BlockStopped()] if was else []
            case "messageStop":
                return [Stopped(converse_replies.STOPS.get(fields.text("stopReason"), "end"))]
            case "metadata":
                return [Used(spent.converse(fields.mapping("usage")))]
        if name.endswith("Exception"):
            return [Failed(_STATUSES.get(name, _BAD_GATEWAY), fields.text("message"))]
        return []

    def _delta(self, delta: Fields) -> list[Happening]:
        if delta.has("toolUse"):
            return _delta("input", delta.fields("toolUse").text("input"))
        if delta.has("text"):
            return [*self._begin("text"), *_delta("text", delta.text("text"))]
        if not delta.has("reasoningContent"):
            return [_untold("part of a block")]
        reasoning = delta.fields("reasoningContent")
        if reasoning.has("redactedContent"):
            self._open = True
            return [BlockStarted("redacted", data=reasoning.text("redactedContent"))]
        signature = _delta("signature", reasoning.text("signature"))
        return [*self._begin("thinking"), *_delta("thinking", reasoning.text("text")), *signature]

    def _begin(self, kind: Kind) -> list[Happening]:
        was, self._open = self._open, True
        return [] if was else [BlockStarted(kind)]


class GeminiReader:
    """Reads a stream of streamGenerateContent with ``alt=sse``."""

    def __init__(self) -> None:
        self._begun = False
        self._open = _Open()

    def read(self, name: str, event: Mapping[str, Any]) -> list[Happening]:  # noqa: ARG002 (a StreamReader)
        """See `StreamReader`."""
        fields = Fields(event)
        if fields.has("error"):
            error = fields.fields("error")
            return [Failed(error.whole("code") or _BAD_GATEWAY, error.text("message"))]
        response = fields.text("responseId")
        happenings: list[Happening] = []
        if not self._begun:
            self._begun = True
            happenings.append(Started(response, fields.text("modelVersion"), Tokens()))
        ended: list[Happening] = []
        for candidate in fields.each("candidates")[:1]:
            for part in candidate.fields("content").each("parts"):
                happenings += self._part(part, response)
            if reason := candidate.text("finishReason"):
                ended = self._open.stop(gemini.STOPS.get(reason, "end"))
        if fields.fields("promptFeedback").has("blockReason"):
            ended = [Stopped("refusal")]
        if ended:
            ended.append(Used(spent.gemini(fields.mapping("usageMetadata"))))
        return [*happenings, *ended]

    def _part(self, part: Fields, response: str) -> list[Happening]:
        happenings: list[Happening] = []
        for block in gemini.read_part(part, self._open.tools, response):
            match block:
                case Text():
                    happenings += self._open.text("text", block.text)
                case Thinking():
                    happenings += self._open.text("thinking", block.text)
                case ToolUse():
                    happenings += self._open.tool(None, block.id, block.name)
                    happenings += [Delta("input", json.dumps(block.input, ensure_ascii=False)), *self._open.close()]
        return happenings


def _untold(what: str) -> Failed:
    return Failed(_BAD_GATEWAY, f"A {what} that is neither text nor a call of a tool has no counterpart here.")


def _delta(kind: Literal["text", "thinking", "input", "signature"], text: str) -> list[Happening]:
    return [Delta(kind, text)] if text else []
