"""Bedrock's Converse: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html.

A point in the content up to which to cache stands for a mark on the block before it. Thinking, and ``top_k``, are the
model's own fields there, known of Claude alone.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, cast

from weir.llm.conversation import (
    Block,
    Cache,
    Conversation,
    Document,
    Image,
    Message,
    Redacted,
    Role,
    Schema,
    Text,
    Thinking,
    Tool,
    ToolChoice,
    ToolResult,
    ToolUse,
    merged,
)
from weir.llm.converse_media import read_document, read_image, tell_apart, written_document, written_image
from weir.llm.dialect_errors import Untranslatable
from weir.llm.fields import Fields, malformed

_METADATA = re.compile(r"[a-zA-Z0-9\s:_@$#=/+,.-]{0,256}")
_USER = "user_id"


def parse_request(body: Mapping[str, Any]) -> Conversation:
    """A request of Converse. Malformed where it is none, Untranslatable where a field has no counterpart elsewhere."""
    fields = Fields(body)
    inference, config, output = (fields.fields(name) for name in ("inferenceConfig", "toolConfig", "outputConfig"))
    more = fields.fields("additionalModelRequestFields")
    metadata = dict(fields.mapping("requestMetadata"))
    if not all(isinstance(value, str) for value in metadata.values()):
        raise malformed("requestMetadata", "must be strings by names")
    fields.plain("performanceConfig", {"latency": "standard"})
    fields.plain("serviceTier", {"type": "default"})
    fields.plain("additionalModelResponseFieldPaths", [])
    found = Conversation(
        messages=tuple(_message(one) for one in fields.each("messages")),
        system=_system(fields),
        tools=_tools(config.each("tools")),
        tool_choice=_tool_choice(config.fields("toolChoice")) if config.has("toolChoice") else None,
        max_tokens=inference.whole("maxTokens"),
        temperature=inference.number("temperature"),
        top_p=inference.number("topP"),
        top_k=more.whole("top_k"),
        stop=inference.texts("stopSequences"),
        thinking=more.mapping("thinking") or more.mapping("reasoning_config") or None,
        effort=output.text("effort") or None,
        schema=_schema(output.fields("textFormat")) if output.has("textFormat") else None,
        user=metadata.pop(_USER, None),
        tags=metadata,
    )
    for each in (inference, config, output, more, fields):
        each.done()
    return found


def _system(fields: Fields) -> tuple[Text, ...]:
    blocks = _blocks(fields.each("system"))
    texts = tuple(one for one in blocks if isinstance(one, Text))
    if len(texts) < len(blocks):
        raise malformed("system", "must be text")
    return texts


def _message(fields: Fields) -> Message:
    role = fields.needed("role")
    if role not in ("user", "assistant", "system"):
        raise malformed(fields.at("role"), "must be user, assistant or system")
    found = Message(cast("Role", role), tuple(_blocks(fields.each("content"))))
    fields.done()
    return found


def _blocks(each: Iterable[Fields]) -> list[Block]:
    blocks: list[Block] = []
    for fields in each:
        if not fields.has("cachePoint"):
            blocks.append(read_block(fields))
            fields.done()
            continue
        last = blocks[-1] if blocks else None
        if last is None or isinstance(last, Thinking | Redacted):
            raise Untranslatable(fields.at("cachePoint"), "has no block before it that could be marked")
        blocks[-1] = replace(last, cache=_cache(fields.fields("cachePoint")))
        fields.done()
    return blocks


def _cache(point: Fields) -> Cache:
    point.plain("type", "default")
    ttl = point.text("ttl", "5m")
    point.done()
    if ttl not in ("5m", "1h"):
        raise malformed(point.at("ttl"), "must be 5m or 1h")
    return "5m" if ttl == "5m" else "1h"


def read_block(fields: Fields) -> Block:
    """A block of a message; what others have no words for is left in ``fields``, or Untranslatable."""
    if fields.has("text"):
        return Text(fields.text("text"))
    for name, read in _BLOCKS.items():
        if fields.has(name):
            inner = fields.fields(name)
            found = read(inner)
            inner.done()
            return found
    fields.done()
    raise malformed(fields.path, "is an empty block")


def _tool_use(fields: Fields) -> ToolUse:
    return ToolUse(fields.needed("toolUseId"), fields.needed("name"), fields.mapping("input"))


def _tool_result(fields: Fields) -> ToolResult:
    blocks: list[Text | Image | Document] = []
    for inner in fields.each("content"):
        if inner.has("json"):
            blocks.append(Text(json.dumps(inner.take("json"), ensure_ascii=False)))
        else:
            block = read_block(inner)
            if not isinstance(block, Text | Image | Document):
                raise malformed(inner.path, "must be text, JSON, an image or a document")
            blocks.append(block)
        inner.done()
    status = fields.text("status", "success")
    return ToolResult(fields.needed("toolUseId"), tuple(blocks), status == "error")


def _reasoning(fields: Fields) -> Thinking | Redacted:
    if fields.has("redactedContent"):
        return Redacted(fields.text("redactedContent"))
    text = fields.fields("reasoningText")
    found = Thinking(text.text("text"), text.text("signature"))
    text.done()
    return found


_BLOCKS: Mapping[str, Callable[[Fields], Block]] = {
    "image": read_image,
    "document": read_document,
    "toolUse": _tool_use,
    "toolResult": _tool_result,
    "reasoningContent": _reasoning,
}


def _tools(each: Iterable[Fields]) -> tuple[Tool, ...]:
    tools: list[Tool] = []
    for fields in each:
        if fields.has("cachePoint") and tools:
            tools[-1] = replace(tools[-1], cache=_cache(fields.fields("cachePoint")))
        elif fields.has("toolSpec"):
            spec = fields.fields("toolSpec")
            schema = spec.fields("inputSchema")
            tools.append(
                Tool(spec.needed("name"), spec.text("description"), schema.mapping("json"), spec.flag("strict"))
            )
            schema.done()
            spec.done()
        fields.done()
    return tuple(tools)


def _tool_choice(fields: Fields) -> ToolChoice:
    if fields.has("tool"):
        tool = fields.fields("tool")
        found = ToolChoice("tool", tool.needed("name"))
        tool.done()
    else:
        found = ToolChoice("any" if fields.has("any") else "auto")
        fields.fields(found.kind).done()
    fields.done()
    return found


def _schema(fields: Fields) -> Schema:
    fields.plain("type", "json_schema")
    structure = fields.fields("structure")
    inner = structure.fields("jsonSchema")
    try:
        schema = json.loads(inner.needed("schema"))
    except (ValueError, RecursionError) as error:
        raise malformed(inner.at("schema"), "must be JSON") from error
    found = Schema(schema, inner.text("name"), inner.text("description"))
    for each in (inner, structure, fields):
        each.done()
    return found


def write_request(conversation: Conversation, model: str) -> dict[str, Any]:
    """A request of Converse; the model and whether it streams are in its address. Untranslatable where it has no
    words for something."""
    _refuse_unknown(conversation)
    more = _more_fields(conversation, model)
    inference = {
        "maxTokens": conversation.max_tokens,
        "temperature": conversation.temperature,
        "topP": conversation.top_p,
        "stopSequences": list(conversation.stop) or None,
    }
    messages = [{"role": one.role, "content": _written(one.blocks)} for one in merged(conversation.messages)]
    tell_apart(messages)
    body: dict[str, Any] = {
        "messages": messages,
        "system": _written(conversation.system),
        "inferenceConfig": {name: value for name, value in inference.items() if value is not None},
        "toolConfig": _written_tools(conversation),
        "additionalModelRequestFields": more,
        "outputConfig": _written_output(conversation),
        "requestMetadata": _written_metadata(conversation),
    }
    return {name: value for name, value in body.items() if value}


def _refuse_unknown(conversation: Conversation) -> None:
    for name in ("seed", "frequency_penalty", "presence_penalty"):
        if getattr(conversation, name) is not None:
            raise Untranslatable(name, "has no counterpart with this model's provider")
    if conversation.temperature is not None and conversation.temperature > 1:
        raise Untranslatable("temperature", "this model's provider takes 0 to 1")
    if conversation.parallel_tools is False:
        raise Untranslatable("parallel_tool_calls", "can't be switched off with this model's provider")


def _more_fields(conversation: Conversation, model: str) -> dict[str, Any]:
    more: dict[str, Any] = {}
    for name in ("top_k", "thinking"):
        if (value := getattr(conversation, name)) is not None:
            if "claude" not in model:
                raise Untranslatable(name, "has no counterpart with this model")
            more[name] = value
    return more


def _written_metadata(conversation: Conversation) -> dict[str, str]:
    metadata = {**conversation.tags, **({_USER: conversation.user} if conversation.user else {})}
    for name, value in metadata.items():
        if not (_METADATA.fullmatch(name) and _METADATA.fullmatch(value)):
            raise Untranslatable("metadata", f"{name!r:.80} has characters that this model's provider does not take")
    return metadata


def _written_output(conversation: Conversation) -> dict[str, Any]:
    output: dict[str, Any] = {"effort": conversation.effort} if conversation.effort else {}
    if (schema := conversation.schema) is not None:
        inner = {"schema": json.dumps(schema.schema), "name": schema.name, "description": schema.description}
        structure = {"jsonSchema": {name: value for name, value in inner.items() if value}}
        output["textFormat"] = {"type": "json_schema", "structure": structure}
    return output


def _written_tools(conversation: Conversation) -> dict[str, Any] | None:
    if not conversation.tools:
        return None
    choice = conversation.tool_choice
    if choice is not None and choice.kind == "none":
        if any(isinstance(block, ToolUse) for one in conversation.messages for block in one.blocks):
            raise Untranslatable("tool_choice", "'none' has no counterpart here once tools were used")
        return None
    tools: list[dict[str, Any]] = []
    for tool in conversation.tools:
        spec: dict[str, Any] = {"name": tool.name, "inputSchema": {"json": tool.schema or {"type": "object"}}}
        if tool.description:
            spec["description"] = tool.description
        if tool.strict is not None:
            spec["strict"] = tool.strict
        tools.append({"toolSpec": spec})
        tools.extend(_point(tool.cache))
    config: dict[str, Any] = {"tools": tools}
    if choice is not None:
        config["toolChoice"] = {choice.kind: {"name": choice.name} if choice.kind == "tool" else {}}
    return config


def _point(cache: Cache | None) -> list[dict[str, Any]]:
    if cache is None:
        return []
    return [{"cachePoint": {"type": "default"} if cache == "5m" else {"type": "default", "ttl": cache}}]


def _written(blocks: Iterable[Block]) -> list[dict[str, Any]]:
    written: list[dict[str, Any]] = []
    for block in blocks:
        written.append(written_block(block))
        if not isinstance(block, Thinking | Redacted):
            written.extend(_point(block.cache))
    return written


def written_block(block: Block) -> dict[str, Any]:
    """A block of a message."""
    match block:
        case Text():
            return {"text": block.text}
        case Image(url=""):
            return {"image": written_image(block)}
        case Document(url=""):
            return {"document": written_document(block)}
        case ToolUse():
            return {"toolUse": {"toolUseId": block.id, "name": block.name, "input": dict(block.input)}}
        case ToolResult():
            result: dict[str, Any] = {"toolUseId": block.id, "content": [written_block(one) for one in block.content]}
            if block.failed:
                result["status"] = "error"
            return {"toolResult": result}
        case Thinking():
            text = {"text": block.text, **({"signature": block.signature} if block.signature else {})}
            return {"reasoningContent": {"reasoningText": text}}
        case Redacted():
            return {"reasoningContent": {"redactedContent": block.data}}
        case _:
            raise Untranslatable("messages", "this model's provider takes no images or documents by address")
