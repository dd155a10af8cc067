"""Anthropic's Messages: https://platform.claude.com/docs/en/api/messages."""

from collections.abc import Callable, Mapping
from typing import Any, cast

from weir.llm import spent
from weir.llm.conversation import (
    Block,
    Cache,
    Conversation,
    Document,
    Image,
    Message,
    Redacted,
    Reply,
    Role,
    Schema,
    Stop,
    Text,
    Thinking,
    Tool,
    ToolChoice,
    ToolResult,
    ToolUse,
    marked_last,
    merged,
)
from weir.llm.dialect_errors import Untranslatable
from weir.llm.fields import Fields, malformed
from weir.llm.models import Tokens

STOPS: dict[str, Stop] = {
    "end_turn": "end",
    "max_tokens": "limit",
    "stop_sequence": "stop_sequence",
    "tool_use": "tool_use",
    "refusal": "refusal",
    "model_context_window_exceeded": "window",
    "pause_turn": "pause",
}
REASONS = {stop: reason for reason, stop in STOPS.items()}


def parse_request(body: Mapping[str, Any]) -> Conversation:
    """A request of Messages. Malformed where it is none, Untranslatable where a field has no counterpart elsewhere."""
    fields = Fields(body)
    fields.take("model")
    system = fields.take("system")
    blocks = [{"type": "text", "text": system}] if isinstance(system, str) else (system or [])
    if not isinstance(blocks, list):
        raise malformed("system", "must be a string or a list of blocks")
    messages = [_message(one) for one in fields.each("messages")]
    if (cache := _cache(fields)) is not None and messages:
        messages[-1] = marked_last(messages[-1], cache)
    output = fields.fields("output_config")
    metadata = fields.fields("metadata")
    choice, parallel = _tool_choice(fields.fields("tool_choice"))
    fields.plain("service_tier", "auto")
    found = Conversation(
        messages=tuple(messages),
        system=tuple(_system(Fields(one, f"system.{number}")) for number, one in enumerate(blocks)),
        tools=tuple(_tool(one) for one in fields.each("tools")),
        tool_choice=choice,
        parallel_tools=parallel,
        max_tokens=fields.whole("max_tokens"),
        temperature=fields.number("temperature"),
        top_p=fields.number("top_p"),
        top_k=fields.whole("top_k"),
        stop=fields.texts("stop_sequences"),
        thinking=fields.mapping("thinking") or None,
        effort=output.text("effort") or None,
        schema=_schema(output.fields("format")) if output.has("format") else None,
        user=metadata.text("user_id") or None,
        stream=bool(fields.flag("stream")),
    )
    for each in (output, metadata, fields):
        each.done()
    return found


def _schema(fields: Fields) -> Schema:
    fields.plain("type", "json_schema")
    found = Schema(fields.mapping("schema"))
    fields.done()
    return found


def _system(fields: Fields) -> Text:
    block = _block(fields)
    if not isinstance(block, Text):
        raise malformed(fields.path, "must be text")
    return block


def _message(fields: Fields) -> Message:
    role = fields.needed("role")
    if role not in ("user", "assistant", "system"):
        raise malformed(fields.at("role"), "must be user, assistant or system")
    content = fields.take("content")
    if isinstance(content, str):
        blocks: tuple[Block, ...] = (Text(content),)
    elif isinstance(content, list):
        inner = [Fields(one, f"{fields.at('content')}.{number}") for number, one in enumerate(content)]
        blocks = tuple(_block(one) for one in inner)
    else:
        raise malformed(fields.at("content"), "must be a string or a list of blocks")
    fields.done()
    return Message(cast("Role", role), blocks)


def _block(fields: Fields) -> Block:
    found = _read_block(fields)
    fields.done()
    return found


def _read_block(fields: Fields) -> Block:
    kind = fields.needed("type")
    read = _BLOCKS.get(kind)
    if read is None:
        raise Untranslatable(fields.path, f"a block of the type {kind!r:.40} has no counterpart here")
    return read(fields)


def _cache(fields: Fields) -> Cache | None:
    if not fields.has("cache_control"):
        return None
    control = fields.fields("cache_control")
    control.plain("type", "ephemeral")
    ttl = control.text("ttl", "5m")
    control.done()
    if ttl not in ("5m", "1h"):
        raise malformed(control.at("ttl"), "must be 5m or 1h")
    return "5m" if ttl == "5m" else "1h"


def _text(fields: Fields) -> Text:
    fields.plain("citations", [])
    return Text(fields.text("text"), _cache(fields))


def _image(fields: Fields) -> Image:
    source = fields.fields("source")
    kind = source.needed("type")
    if kind == "base64":
        found = Image(source.needed("media_type"), source.needed("data"), cache=_cache(fields))
    elif kind == "url":
        found = Image(url=source.needed("url"), cache=_cache(fields))
    else:
        raise Untranslatable(source.path, f"an image from {kind!r:.40} has no counterpart here")
    source.done()
    return found


def _document(fields: Fields) -> Document:
    source, name, cache = fields.fields("source"), fields.text("title"), _cache(fields)
    kind = source.needed("type")
    if kind == "base64":
        found = Document(source.needed("media_type"), data=source.needed("data"), name=name, cache=cache)
    elif kind == "text":
        found = Document(source.text("media_type", "text/plain"), text=source.needed("data"), name=name, cache=cache)
    elif kind == "url":
        found = Document("application/pdf", url=source.needed("url"), name=name, cache=cache)
    else:
        raise Untranslatable(source.path, f"a document from {kind!r:.40} has no counterpart here")
    source.done()
    if fields.has("citations"):
        citations = fields.fields("citations")
        citations.plain("enabled", False)
        citations.done()
    return found


def _tool_use(fields: Fields) -> ToolUse:
    fields.plain("caller", {"type": "direct"})
    return ToolUse(fields.needed("id"), fields.needed("name"), fields.mapping("input"), _cache(fields))


def _tool_result(fields: Fields) -> ToolResult:
    content = fields.take("content")
    content = [{"type": "text", "text": content}] if isinstance(content, str) else (content or [])
    if not isinstance(content, list):
        raise malformed(fields.at("content"), "must be a string or a list of blocks")
    inner = [_block(Fields(one, f"{fields.at('content')}.{number}")) for number, one in enumerate(content)]
    blocks = tuple(one for one in inner if isinstance(one, Text | Image | Document))
    if len(blocks) < len(inner):
        raise malformed(fields.at("content"), "must be text, images or documents")
    return ToolResult(fields.needed("tool_use_id"), blocks, bool(fields.flag("is_error")), _cache(fields))


def _thinking(fields: Fields) -> Thinking:
    return Thinking(fields.text("thinking"), fields.text("signature"))


def _redacted(fields: Fields) -> Redacted:
    return Redacted(fields.needed("data"))


_BLOCKS: Mapping[str, Callable[[Fields], Block]] = {
    "text": _text,
    "image": _image,
    "document": _document,
    "tool_use": _tool_use,
    "tool_result": _tool_result,
    "thinking": _thinking,
    "redacted_thinking": _redacted,
}


def _tool(fields: Fields) -> Tool:
    fields.plain("type", "custom")
    found = Tool(
        name=fields.needed("name"),
        description=fields.text("description"),
        schema=fields.mapping("input_schema"),
        strict=fields.flag("strict"),
        cache=_cache(fields),
    )
    fields.done()
    return found


def _tool_choice(fields: Fields) -> tuple[ToolChoice | None, bool | None]:
    disabled = fields.flag("disable_parallel_tool_use")
    parallel = None if disabled is None else not disabled
    if not fields.has("type"):
        return None, parallel
    kind, name = fields.text("type"), fields.text("name")
    fields.done()
    for known in ("auto", "any", "none", "tool"):
        if kind == known:
            return ToolChoice(known, name), parallel
    raise malformed(fields.at("type"), "must be auto, any, none or tool")


def write_request(conversation: Conversation, model: str) -> dict[str, Any]:
    """A request of Messages. Untranslatable where it has no words for something."""
    _refuse_unknown(conversation)
    body: dict[str, Any] = {
        "model": model,
        "max_tokens": conversation.max_tokens,
        "messages": [
            {"role": one.role, "content": [_written(block) for block in one.blocks]}
            for one in merged(conversation.messages)
        ],
        "system": [_written(one) for one in conversation.system] or None,
        "tools": [_written_tool(one) for one in conversation.tools] or None,
        "tool_choice": _written_choice(conversation),
        "temperature": conversation.temperature,
        "top_p": conversation.top_p,
        "top_k": conversation.top_k,
        "stop_sequences": list(conversation.stop) or None,
        "thinking": conversation.thinking,
        "output_config": _written_output(conversation),
        "metadata": {"user_id": conversation.user} if conversation.user else None,
        "stream": conversation.stream or None,
    }
    return {name: value for name, value in body.items() if value is not None}


def _refuse_unknown(conversation: Conversation) -> None:
    if conversation.max_tokens is None:
        raise Untranslatable("max_tokens", "this model's provider needs a limit of output tokens")
    if conversation.temperature is not None and conversation.temperature > 1:
        raise Untranslatable("temperature", "this model's provider takes 0 to 1")
    for name in ("seed", "frequency_penalty", "presence_penalty"):
        if getattr(conversation, name) is not None:
            raise Untranslatable(name, "has no counterpart with this model's provider")
    if conversation.tags:
        raise Untranslatable("metadata", "has no counterpart with this model's provider")
    if conversation.effort in ("none", "minimal"):
        raise Untranslatable("effort", f"{conversation.effort!r} has no counterpart with this model's provider")


def _written_output(conversation: Conversation) -> dict[str, Any] | None:
    output: dict[str, Any] = {"effort": conversation.effort} if conversation.effort else {}
    if conversation.schema is not None:
        output["format"] = {"type": "json_schema", "schema": conversation.schema.schema}
    return output or None


def _written_choice(conversation: Conversation) -> dict[str, Any] | None:
    choice = conversation.tool_choice
    if conversation.parallel_tools is not None and conversation.tools:
        choice = choice or ToolChoice("auto")
    if choice is None:
        return None
    written: dict[str, Any] = {"type": choice.kind}
    if choice.kind == "tool":
        written["name"] = choice.name
    if conversation.parallel_tools is not None and choice.kind != "none":
        written["disable_parallel_tool_use"] = not conversation.parallel_tools
    return written


def _written_tool(tool: Tool) -> dict[str, Any]:
    written: dict[str, Any] = {"name": tool.name, "input_schema": tool.schema or {"type": "object"}}
    if tool.description:
        written["description"] = tool.description
    if tool.strict is not None:
        written["strict"] = tool.strict
    return _marked(written, tool.cache)


def _written(block: Block) -> dict[str, Any]:
    match block:
        case Text():
            return _marked({"type": "text", "text": block.text}, block.cache)
        case Image():
            return _marked({"type": "image", "source": _written_source(block)}, block.cache)
        case Document():
            written: dict[str, Any] = {"type": "document", "source": _written_document(block)}
            if block.name:
                written["title"] = block.name
            return _marked(written, block.cache)
        case ToolUse():
            use = {"type": "tool_use", "id": block.id, "name": block.name, "input": dict(block.input)}
            return _marked(use, block.cache)
        case ToolResult():
            result: dict[str, Any] = {"type": "tool_result", "tool_use_id": block.id}
            if block.content:
                result["content"] = [_written(one) for one in block.content]
            if block.failed:
                result["is_error"] = True
            return _marked(result, block.cache)
        case Thinking():
            return {"type": "thinking", "thinking": block.text, "signature": block.signature}
        case Redacted():
            return {"type": "redacted_thinking", "data": block.data}


def _marked(written: dict[str, Any], cache: Cache | None) -> dict[str, Any]:
    if cache is not None:
        written["cache_control"] = {"type": "ephemeral"} if cache == "5m" else {"type": "ephemeral", "ttl": cache}
    return written


def _written_source(image: Image) -> dict[str, Any]:
    if image.url:
        return {"type": "url", "url": image.url}
    return {"type": "base64", "media_type": image.media_type, "data": image.data}


def _written_document(document: Document) -> dict[str, Any]:
    if document.url:
        return {"type": "url", "url": document.url}
    if document.data and document.media_type != "application/pdf":
        raise Untranslatable("document", f"{document.media_type!r:.80} in base64 has no counterpart here")
    if document.data:
        return {"type": "base64", "media_type": document.media_type, "data": document.data}
    return {"type": "text", "media_type": "text/plain", "data": document.text}


def parse_reply(answer: Mapping[str, Any]) -> Reply:
    """A whole answer of Messages. Untranslatable where a block of it is of no kind that others know."""
    fields = Fields(answer)
    usage = fields.mapping("usage")
    blocks = [_read_block(one) for one in fields.each("content")]
    return Reply(
        id=fields.text("id"),
        model=fields.text("model"),
        blocks=tuple(one for one in blocks if isinstance(one, Text | ToolUse | Thinking | Redacted)),
        stop=STOPS.get(fields.text("stop_reason"), "end"),
        tokens=spent.anthropic(usage),
        stop_sequence=fields.take("stop_sequence"),
    )


def write_reply(reply: Reply, model: str) -> dict[str, Any]:
    """A whole answer of Messages."""
    return {
        "id": reply.id,
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [_written(one) for one in reply.blocks],
        "stop_reason": REASONS[reply.stop],
        "stop_sequence": reply.stop_sequence,
        "usage": written_usage(reply.tokens),
    }


def written_usage(tokens: Tokens) -> dict[str, Any]:
    """``usage`` in Anthropic's words."""
    return {
        "input_tokens": tokens.input,
        "cache_creation_input_tokens": tokens.cache_write_5m + tokens.cache_write_1h,
        "cache_read_input_tokens": tokens.cache_read,
        "cache_creation": {
            "ephemeral_5m_input_tokens": tokens.cache_write_5m,
            "ephemeral_1h_input_tokens": tokens.cache_write_1h,
        },
        "output_tokens": tokens.output,
    }
