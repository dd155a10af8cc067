"""OpenAI's chat completions, and what is compatible with them: https://developers.openai.com/api/reference/chat.

Marks for caching are hints, and OpenAI caches prompts unasked: they have nothing to be translated to. A tool's failure
has no field either: its text says so. Thinking without a signature is what came from such a provider in the first
place; it takes none back (https://api-docs.deepseek.com/guides/reasoning_model).
"""

import json
from base64 import b64encode
from collections.abc import Mapping
from typing import Any

from weir.llm.conversation import (
    Block,
    Conversation,
    Document,
    Image,
    Message,
    Schema,
    Text,
    Thinking,
    Tool,
    ToolChoice,
    ToolResult,
    ToolUse,
    merged,
)
from weir.llm.dialect_errors import Untranslatable
from weir.llm.fields import Fields, malformed

_MOST_STOPS = 4
_CHOICES = {"auto": ToolChoice("auto"), "none": ToolChoice("none"), "required": ToolChoice("any")}


def parse_request(body: Mapping[str, Any]) -> Conversation:
    """A request of chat completions. Malformed where it is none, Untranslatable where a field has no counterpart."""
    fields = Fields(body)
    for hint in ("model", "prompt_cache_key", "prompt_cache_retention"):
        fields.take(hint)
    _plain(fields)
    system, messages = _messages(fields.each("messages"))
    limit, older = fields.whole("max_completion_tokens"), fields.whole("max_tokens")
    user, older_user = fields.text("safety_identifier"), fields.text("user")
    options = fields.fields("stream_options")
    for name in ("include_usage", "include_obfuscation"):
        options.flag(name)
    options.done()
    found = Conversation(
        messages=messages,
        system=system,
        tools=tuple(_tool(one) for one in fields.each("tools")),
        tool_choice=_tool_choice(fields),
        parallel_tools=fields.flag("parallel_tool_calls"),
        max_tokens=older if limit is None else limit,
        temperature=fields.number("temperature"),
        top_p=fields.number("top_p"),
        stop=fields.texts("stop"),
        seed=fields.whole("seed"),
        frequency_penalty=fields.number("frequency_penalty"),
        presence_penalty=fields.number("presence_penalty"),
        effort=fields.text("reasoning_effort") or None,
        schema=_schema(fields),
        user=user or older_user or None,
        tags=_tags(fields),
        stream=bool(fields.flag("stream")),
    )
    fields.done()
    return found


def _tags(fields: Fields) -> Mapping[str, str]:
    tags = fields.mapping("metadata")
    if not all(isinstance(value, str) for value in tags.values()):
        raise malformed("metadata", "must be strings by names")
    return tags


def _plain(fields: Fields) -> None:
    fields.plain("n", 1)
    fields.plain("store", False)
    fields.plain("logprobs", False)
    fields.plain("top_logprobs", 0)
    fields.plain("logit_bias", {})
    fields.plain("service_tier", "auto", "default")
    fields.plain("modalities", ["text"])
    fields.plain("verbosity", "medium")


def _messages(each: list[Fields]) -> tuple[tuple[Text, ...], tuple[Message, ...]]:
    system: list[Text] = []
    messages: list[Message] = []
    for fields in each:
        role = fields.needed("role")
        if role in ("system", "developer"):
            texts = _texts(fields)
            if messages:
                messages.append(Message("system", texts))
            else:
                system.extend(texts)
        elif role == "user":
            messages.append(Message("user", _content(fields)))
        elif role == "assistant":
            messages.append(Message("assistant", _assistant(fields)))
        elif role == "tool":
            messages.append(Message("user", (ToolResult(fields.needed("tool_call_id"), _texts(fields)),)))
        else:
            raise Untranslatable(fields.at("role"), f"a message of the role {role!r:.40} has no counterpart here")
        fields.done()
    return tuple(system), tuple(messages)


def _texts(fields: Fields) -> tuple[Text, ...]:
    """The content of a message that its dialect gives text alone: the system's, and a tool's."""
    parts = _content(fields)
    texts = tuple(one for one in parts if isinstance(one, Text))
    if len(texts) < len(parts):
        raise malformed(fields.at("content"), "must be text")
    return texts


def _content(fields: Fields) -> tuple[Text | Image | Document, ...]:
    content = fields.take("content")
    if isinstance(content, str):
        return (Text(content),)
    if not isinstance(content, list):
        raise malformed(fields.at("content"), "must be a string or a list of parts")
    return tuple(_part(Fields(one, f"{fields.at('content')}.{number}")) for number, one in enumerate(content))


def _part(fields: Fields) -> Text | Image | Document:
    kind = fields.needed("type")
    if kind in ("text", "refusal"):
        found: Text | Image | Document = Text(fields.text(kind))
    elif kind == "image_url":
        found = _image(fields.fields("image_url"))
    elif kind == "file":
        found = _file(fields.fields("file"))
    else:
        raise Untranslatable(fields.path, f"a part of the type {kind!r:.40} has no counterpart here")
    fields.done()
    return found


def _image(fields: Fields) -> Image:
    url, detail = fields.needed("url"), fields.text("detail")
    fields.done()
    if not url.startswith("data:"):
        return Image(url=url, detail=detail)
    media_type, data = _data_url(url, fields.at("url"))
    return Image(media_type, data, detail=detail)


def _file(fields: Fields) -> Document:
    media_type, data = _data_url(fields.needed("file_data"), fields.at("file_data"))
    found = Document(media_type, data=data, name=fields.text("filename"))
    fields.done()
    return found


def _data_url(url: str, path: str) -> tuple[str, str]:
    head, comma, data = url.partition(",")
    if not head.startswith("data:") or not comma or not head.endswith(";base64"):
        raise malformed(path, "must be a data URL in base64")
    return head.removeprefix("data:").removesuffix(";base64"), data


def _assistant(fields: Fields) -> tuple[Block, ...]:
    blocks: list[Block] = []
    if thought := fields.text("reasoning_content") or fields.text("reasoning"):
        blocks.append(Thinking(thought))
    if fields.has("content"):
        blocks.extend(_content(fields))
    if refusal := fields.text("refusal"):
        blocks.append(Text(refusal))
    fields.plain("annotations", [])
    for call in fields.each("tool_calls"):
        call.plain("type", "function")
        call.take("index")
        function = call.fields("function")
        name, arguments = function.needed("name"), function.text("arguments")
        blocks.append(ToolUse(call.needed("id"), name, _arguments(arguments, function.at("arguments"))))
        function.done()
        call.done()
    return tuple(one for one in blocks if one != Text(""))


def _arguments(text: str, path: str) -> Mapping[str, Any]:
    try:
        found = json.loads(text or "{}")
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Untranslatable(path, "must be a JSON object for this model's provider")
    return found


def _tool(fields: Fields) -> Tool:
    fields.plain("type", "function")
    function = fields.fields("function")
    found = Tool(
        function.needed("name"), function.text("description"), function.mapping("parameters"), function.flag("strict")
    )
    function.done()
    fields.done()
    return found


def _tool_choice(fields: Fields) -> ToolChoice | None:
    if not fields.has("tool_choice"):
        return None
    choice = fields.take("tool_choice")
    if isinstance(choice, str):
        if choice not in _CHOICES:
            raise malformed(fields.at("tool_choice"), "must be auto, none or required, or name a function")
        return _CHOICES[choice]
    inner = Fields(choice, fields.at("tool_choice"))
    inner.plain("type", "function")
    function = inner.fields("function")
    found = ToolChoice("tool", function.needed("name"))
    function.done()
    inner.done()
    return found


def _schema(fields: Fields) -> Schema | None:
    form = fields.fields("response_format")
    kind = form.text("type", "text")
    if kind == "text":
        return None
    if kind != "json_schema":
        raise Untranslatable(form.at("type"), f"{kind!r:.40} has no counterpart with this model's provider")
    inner = form.fields("json_schema")
    found = Schema(inner.mapping("schema"), inner.text("name"), inner.text("description"), inner.flag("strict"))
    inner.done()
    form.done()
    return found


def write_request(
    conversation: Conversation, model: str, *, limit_field: str = "max_completion_tokens"
) -> dict[str, Any]:
    """A request of chat completions, its limit of output under the name that the provider takes. Untranslatable
    where it has no words for something."""
    _refuse_unknown(conversation)
    messages = [message for one in merged(conversation.messages) for message in _written_messages(one)]
    if conversation.system:
        messages.insert(0, {"role": "system", "content": _written_texts(conversation.system)})
    body: dict[str, Any] = {
        "model": model,
        "messages": messages,
        "tools": [_written_tool(one) for one in conversation.tools] or None,
        "tool_choice": _written_choice(conversation.tool_choice),
        "parallel_tool_calls": conversation.parallel_tools if conversation.tools else None,
        limit_field: conversation.max_tokens,
        "temperature": conversation.temperature,
        "top_p": conversation.top_p,
        "stop": list(conversation.stop) or None,
        "seed": conversation.seed,
        "frequency_penalty": conversation.frequency_penalty,
        "presence_penalty": conversation.presence_penalty,
        "reasoning_effort": conversation.effort,
        "response_format": _written_schema(conversation.schema),
        "user": conversation.user,
        "metadata": dict(conversation.tags) or None,
        "stream": conversation.stream or None,
        "stream_options": {"include_usage": True} if conversation.stream else None,
    }
    return {name: value for name, value in body.items() if value is not None}


def _refuse_unknown(conversation: Conversation) -> None:
    if conversation.top_k is not None:
        raise Untranslatable("top_k", "has no counterpart with this model's provider")
    if conversation.thinking:
        thinking = Fields(conversation.thinking, "thinking")
        thinking.plain("type", "disabled", "adaptive")  # it is the model that decides here, always
        thinking.plain("display", "summarized", "omitted")
        thinking.done()
    if len(conversation.stop) > _MOST_STOPS:
        raise Untranslatable("stop", f"this model's provider takes {_MOST_STOPS} at most")


def _written_messages(message: Message) -> list[dict[str, Any]]:
    if message.role == "assistant":
        return [_written_assistant(message.blocks)]
    if message.role == "system":
        return [{"role": "system", "content": _written_texts(message.blocks)}]
    results = [one for one in message.blocks if isinstance(one, ToolResult)]
    written = [_written_result(one) for one in results]
    rest = [one for one in message.blocks if not isinstance(one, ToolResult)]
    if rest:
        parts = [_written_part(one) for one in rest]
        alone = len(parts) == 1 and parts[0]["type"] == "text"
        written.append({"role": "user", "content": parts[0]["text"] if alone else parts})
    return written


def _written_texts(blocks: tuple[Block, ...]) -> str | list[dict[str, Any]]:
    parts = [_written_part(one) for one in blocks]
    return parts[0]["text"] if len(parts) == 1 else parts


def _written_part(block: Block) -> dict[str, Any]:
    match block:
        case Text():
            return {"type": "text", "text": block.text}
        case Image():
            url = block.url or f"data:{block.media_type};base64,{block.data}"
            return {
                "type": "image_url",
                "image_url": {"url": url, **({"detail": block.detail} if block.detail else {})},
            }
        case Document(url=""):
            data = block.data or b64encode(block.text.encode()).decode()
            file = {"filename": block.name or "document", "file_data": f"data:{block.media_type};base64,{data}"}
            return {"type": "file", "file": file}
        case _:
            raise Untranslatable("messages", f"{type(block).__name__} has no counterpart here with this provider")


def _written_result(result: ToolResult) -> dict[str, Any]:
    texts = [one for one in result.content if isinstance(one, Text)]
    if len(texts) < len(result.content):
        raise Untranslatable("messages", "this model's provider takes text alone from tools")
    if result.failed and not (texts and texts[0].text.lower().startswith("error")):
        texts = [Text("Error: " + (texts[0].text if texts else "")), *texts[1:]]
    content = _written_texts(tuple(texts)) if texts else ""
    return {"role": "tool", "tool_call_id": result.id, "content": content}


def _written_assistant(blocks: tuple[Block, ...]) -> dict[str, Any]:
    texts = tuple(one for one in blocks if isinstance(one, Text))
    calls = [written_call(one) for one in blocks if isinstance(one, ToolUse)]
    others = [one for one in blocks if not isinstance(one, Text | ToolUse) and not _unsigned(one)]
    if others:
        raise Untranslatable("messages", f"{type(others[0]).__name__} has no counterpart with this model's provider")
    written: dict[str, Any] = {"role": "assistant", "content": _written_texts(texts) if texts else None}
    if calls:
        written["tool_calls"] = calls
    return written


def _unsigned(block: Block) -> bool:
    return isinstance(block, Thinking) and not block.signature


def written_call(use: ToolUse) -> dict[str, Any]:
    """A call of a tool, as an assistant's message carries it."""
    arguments = json.dumps(use.input, ensure_ascii=False)
    return {"id": use.id, "type": "function", "function": {"name": use.name, "arguments": arguments}}


def _written_tool(tool: Tool) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.name}
    if tool.description:
        function["description"] = tool.description
    if tool.schema:
        function["parameters"] = tool.schema
    if tool.strict is not None:
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


def _written_choice(choice: ToolChoice | None) -> object:
    if choice is None:
        return None
    if choice.kind == "tool":
        return {"type": "function", "function": {"name": choice.name}}
    return "required" if choice.kind == "any" else choice.kind


def _written_schema(schema: Schema | None) -> dict[str, Any] | None:
    if schema is None:
        return None
    written: dict[str, Any] = {"name": schema.name or "answer", "schema": schema.schema}
    if schema.description:
        written["description"] = schema.description
    if schema.strict is not None:
        written["strict"] = schema.strict
    return {"type": "json_schema", "json_schema": written}
