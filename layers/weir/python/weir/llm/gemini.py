"""Gemini's generateContent, as a provider: https://ai.google.dev/api/generate-content. No caller speaks it to Weir.

Its prompts are cached unasked, so marks for caching have nothing to be translated to. Gemini 3 asks for the signature
of a thought with each call of a tool that it made; for calls whose signature is elsewhere its documentation names one
that stands for it (https://ai.google.dev/gemini-api/docs/thought-signatures).
"""

import re
from base64 import b64encode
from collections.abc import Mapping
from typing import Any

from weir.llm import spent
from weir.llm.conversation import (
    Block,
    Conversation,
    Document,
    Image,
    Message,
    Redacted,
    Reply,
    Stop,
    Text,
    Thinking,
    Tool,
    ToolChoice,
    ToolResult,
    ToolUse,
    merged,
)
from weir.llm.dialect_errors import Untranslatable
from weir.llm.fields import Fields

STOPS: dict[str, Stop] = {
    "STOP": "end",
    "MAX_TOKENS": "limit",
    **dict.fromkeys(
        ("SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY"), "refusal"
    ),
}
_SIGNED = re.compile(r"gemini-(\d+)")
_UNSIGNED = "skip_thought_signature_validator"
_LEVELS = ("minimal", "low", "medium", "high")


def write_request(conversation: Conversation, model: str) -> dict[str, Any]:
    """A request of generateContent; the model and whether it streams are in its address. Untranslatable where it has
    no words for something."""
    _refuse_unknown(conversation)
    names = {
        block.id: block.name for one in conversation.messages for block in one.blocks if isinstance(block, ToolUse)
    }
    found = _SIGNED.search(model)
    signed = found is not None and int(found[1]) >= 3
    body: dict[str, Any] = {
        "contents": [_content(one, names, signed) for one in merged(conversation.messages)],
        "systemInstruction": {"parts": [{"text": one.text} for one in conversation.system]}
        if conversation.system
        else {},
        "tools": [{"functionDeclarations": [_tool(one) for one in conversation.tools]}] if conversation.tools else [],
        "toolConfig": _tool_config(conversation.tool_choice) if conversation.tools else {},
        "generationConfig": _config(conversation),
    }
    return {name: value for name, value in body.items() if value}


def _refuse_unknown(conversation: Conversation) -> None:
    none = "has no counterpart with this model's provider"
    if conversation.user is not None or conversation.tags:
        raise Untranslatable("metadata", none)
    if conversation.parallel_tools is False:
        raise Untranslatable("parallel_tool_calls", none)
    if any(one.strict for one in conversation.tools):
        raise Untranslatable("tools", f"'strict' {none}")
    if any(one.role == "system" for one in conversation.messages):
        raise Untranslatable("messages", f"a message of the system between others {none}")


def _content(message: Message, names: Mapping[str, str], signed: bool) -> dict[str, Any]:
    parts = [_part(one, names) for one in message.blocks if not (isinstance(one, Thinking) and not one.signature)]
    calls = [one for one in parts if "functionCall" in one]
    if signed and calls:
        calls[0]["thoughtSignature"] = _UNSIGNED
    return {"role": "model" if message.role == "assistant" else "user", "parts": parts}


def _part(block: Block, names: Mapping[str, str]) -> dict[str, Any]:
    match block:
        case Text():
            return {"text": block.text}
        case Image(url=""):
            return {"inlineData": {"mimeType": block.media_type, "data": block.data}}
        case Document(url=""):
            data = block.data or b64encode(block.text.encode()).decode()
            return {"inlineData": {"mimeType": block.media_type, "data": data}}
        case ToolUse():
            return {"functionCall": {"name": block.name, "args": dict(block.input)}}
        case ToolResult():
            return {"functionResponse": _response(block, names)}
        case _:
            raise Untranslatable("messages", f"{type(block).__name__} has no counterpart here with this provider")


def _response(result: ToolResult, names: Mapping[str, str]) -> dict[str, Any]:
    texts = [one.text for one in result.content if isinstance(one, Text)]
    if len(texts) < len(result.content):
        raise Untranslatable("messages", "this model's provider takes text alone from tools")
    if result.id not in names:
        raise Untranslatable("messages", f"no tool was called as {result.id!r:.80}")
    return {"name": names[result.id], "response": {"error" if result.failed else "result": "\n".join(texts)}}


def _tool(tool: Tool) -> dict[str, Any]:
    written: dict[str, Any] = {"name": tool.name}
    if tool.description:
        written["description"] = tool.description
    if tool.schema:
        written["parametersJsonSchema"] = tool.schema
    return written


def _tool_config(choice: ToolChoice | None) -> dict[str, Any]:
    if choice is None:
        return {}
    modes = {"auto": "AUTO", "any": "ANY", "none": "NONE", "tool": "ANY"}
    config: dict[str, Any] = {"mode": modes[choice.kind]}
    if choice.kind == "tool":
        config["allowedFunctionNames"] = [choice.name]
    return {"functionCallingConfig": config}


def _config(conversation: Conversation) -> dict[str, Any]:
    config: dict[str, Any] = {
        "maxOutputTokens": conversation.max_tokens,
        "temperature": conversation.temperature,
        "topP": conversation.top_p,
        "topK": conversation.top_k,
        "stopSequences": list(conversation.stop) or None,
        "seed": conversation.seed,
        "frequencyPenalty": conversation.frequency_penalty,
        "presencePenalty": conversation.presence_penalty,
        "thinkingConfig": _thinking(conversation) or None,
    }
    if conversation.schema is not None:
        config.update(responseMimeType="application/json", responseJsonSchema=conversation.schema.schema)
    return {name: value for name, value in config.items() if value is not None}


def _thinking(conversation: Conversation) -> dict[str, Any]:
    config: dict[str, Any] = {}
    if conversation.effort is not None:
        if conversation.effort not in _LEVELS:
            raise Untranslatable("effort", f"{conversation.effort!r:.40} has no counterpart with this model's provider")
        config["thinkingLevel"] = conversation.effort.upper()
    if conversation.thinking is None:
        return config
    thinking = Fields(conversation.thinking, "thinking")
    kind, budget = thinking.needed("type"), thinking.whole("budget_tokens")
    thinking.done()
    if kind == "disabled":
        return {**config, "thinkingBudget": 0}
    if kind not in ("enabled", "adaptive"):
        raise Untranslatable("thinking", f"{kind!r:.40} has no counterpart with this model's provider")
    return {**config, "includeThoughts": True, **({"thinkingBudget": budget} if budget is not None else {})}


def parse_reply(answer: Mapping[str, Any]) -> Reply:
    """A whole answer of generateContent. Untranslatable where it has more than one candidate."""
    fields = Fields(answer)
    candidates, response = fields.each("candidates"), fields.text("responseId")
    if len(candidates) > 1:
        raise Untranslatable("candidates", f"{len(candidates)} answers have no counterpart here")
    blocks: list[Text | ToolUse | Thinking | Redacted] = []
    stop: Stop = "refusal"  # without a candidate the prompt itself was blocked
    for candidate in candidates:
        for number, part in enumerate(candidate.fields("content").each("parts")):
            blocks.extend(read_part(part, number, response))
        stop = STOPS.get(candidate.text("finishReason"), "end")
    if stop == "end" and any(isinstance(one, ToolUse) for one in blocks):
        stop = "tool_use"
    return Reply(
        id=response,
        model=fields.text("modelVersion"),
        blocks=tuple(blocks),
        stop=stop,
        tokens=spent.gemini(fields.mapping("usageMetadata")),
    )


def read_part(part: Fields, number: int, response: str) -> list[Text | ToolUse | Thinking]:
    """A part of an answer; a call of a tool gets an id of its own, for Gemini gives none."""
    if part.has("functionCall"):
        call = part.fields("functionCall")
        return [ToolUse(call.text("id") or call_id(response, number), call.text("name"), call.mapping("args"))]
    if part.has("text"):
        text, thought = part.text("text"), part.flag("thought")
        return [Thinking(text)] if thought else [Text(text)]
    if part.has("thoughtSignature"):
        return []
    raise Untranslatable(part.path, "a part of the answer has no counterpart here")


def call_id(response: str, number: int) -> str:
    """An id that every dialect takes: at most 64 letters, digits and underscores."""
    return "call_" + re.sub(r"[^A-Za-z0-9]", "", response)[:40] + f"_{number}"
