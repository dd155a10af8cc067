"""How much a call can use at most, reckoned from its request before it is made.

**Input.** A byte-level tokenizer makes at most one token of a byte, so the bytes of the request's JSON bound its text:
JSON writes no text in fewer bytes than UTF-8, and its own marks stand for what a provider adds around each message and
tool. Beside that there are

- what a provider adds where there are tools: Claude's system prompt for them is 159 to 530 tokens
  (https://platform.claude.com/docs/en/agents-and-tools/tool-use/overview), and up to 735 a tool of Anthropic's own;
- images and documents, whose base64 says nothing of their tokens: it is taken off, and a bound by their kind put on
  (`weir.llm.media`);
- what is not in the request at all: results of tools that run at the provider, stored prompts, videos by address. They
  may fill the model's window, of one million tokens, and do so again in each of the ten rounds that Anthropic allows
  (https://platform.claude.com/docs/en/agents-and-tools/tool-use/server-tools).

**Cache.** Writing to it costs more than reading anew, and for an hour more than for five minutes: the longest that the
request asks for. OpenAI writes unasked (https://developers.openai.com/api/docs/guides/prompt-caching).

**Fees.** Some tools that run at the provider are charged by the search or the hour, beside their tokens. What they cost
is not kept, so they are told by name, for a cap on cost that must hold:
https://platform.claude.com/docs/en/about-claude/pricing#specific-tool-pricing and
https://developers.openai.com/api/docs/pricing (built-in tools).

**Output.** The limit that the caller sets, for each of the choices that they ask for.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any

from weir.llm import media
from weir.llm.models import Bound, CacheWrite, Dialect, ProviderKind

WINDOW = 1_000_000
"""Tokens that the largest models take at once."""

_ROUNDS = 10
_FIXED = 64
"""Around a conversation: roles, the beginning of the answer."""

_TOOLS_PROMPT = 600
_OWN_TOOL = 1_000
_PER_TOOL = 64
_BYTES_A_TOKEN = 4
_LIKELY_OUTPUT = 1_024
_HUGE = 10**15

_OWN_KIND: Mapping[Dialect, ProviderKind] = {
    "anthropic": "anthropic",
    "openai": "openai",
    "converse": "bedrock",
    "invoke": "bedrock",
    "gemini": "gemini",
}
_WITH_A_FEE = ("web_search", "code_execution", "advisor")  # an advisor is another model, at its own price
_SEARCHING = ("-search-preview", "-search-api")
"""In the names of models of OpenAI's that search the web in every chat."""
_AT_THE_PROVIDER = ("web_search", "web_fetch", "code_execution", "tool_search", "mcp_toolset", "advisor")


def bound(
    dialect: Dialect,
    body: Mapping[str, Any],
    raw_length: int,
    *,
    models: Sequence[str] = ("",),
    kinds: tuple[ProviderKind, ...] = (),
) -> Bound:
    """What a call can use, and what it is likely to.

    Parameters
    ----------
    body
        The request, parsed: of messages, completions, embeddings, Converse, InvokeModel.
    raw_length
        Bytes of its JSON as it came.
    models
        The ids, at the providers, of the models that may come to serve it: by them images cost more or less, and some
        search the web unasked.
    kinds
        The providers that it may go to; the dialect's own where none is named.
    """
    items = list(_media(dialect, body))
    kinds = kinds or (_OWN_KIND[dialect],)
    held = sum(item.held_bytes for item in items)
    text = max(0, raw_length - held)
    most = text + _FIXED + _tools(dialect, body) + max(_unseen(dialect, body, model) for model in models)
    most += sum(max(media.most_tokens(item, *of) for of in product(kinds, models)) for item in items)
    output = output_limit(dialect, body)
    return Bound(
        input=most,
        output=output,
        likely_input=max(1, min(most, text // _BYTES_A_TOKEN + sum(media.likely_tokens(item) for item in items))),
        likely_output=_LIKELY_OUTPUT if output is None else min(output, max(_LIKELY_OUTPUT, output // 4)),
        cache_write=_cache_write(body, kinds),
        fee=next(filter(None, (_fee(dialect, body, model) for model in models)), ""),
    )


def output_limit(dialect: Dialect, body: Mapping[str, Any]) -> int | None:
    """The most output tokens that the caller asks for, all choices together; 0 for embeddings, None without a limit.

    Of several limits the highest counts: which one a provider keeps to is not known.
    """
    if dialect == "openai" and "input" in body and "messages" not in body and "prompt" not in body:
        return 0
    limits = [_limit(dialect, value) for _, value in _limits(dialect, body)]
    known = [limit for limit in limits if limit is not None]
    if not limits or len(known) < len(limits):
        return None
    # rejected tokens of a prediction are charged as output beyond the limit of the answer
    predicted = len(str(body.get("prediction", ""))) if dialect == "openai" else 0
    return max(known) * _choices(dialect, body) + predicted


def clamp(
    dialect: Dialect, body: Mapping[str, Any], max_output: int, *, openai_field: str = "max_completion_tokens"
) -> dict[str, Any]:
    """The request with its limit lowered so that all its choices together stay within ``max_output`` tokens.

    A limit that is lower already stays. A thinking budget is kept below the limit; where it would fall under the 1,024
    that Anthropic asks for, thinking is switched off.

    Parameters
    ----------
    openai_field
        The name under which a limit is set where the caller set none: OpenAI's reasoning models take this one alone,
        many servers that are compatible only ``max_tokens``.
    """
    each = max(1, max_output // _choices(dialect, body))
    found = _limits(dialect, body) or [(_default_path(dialect, body, openai_field), None)]
    changed, lowered = dict(body), False
    for path, value in found:
        holder = changed
        for name in path[:-1]:
            inner = holder.get(name)
            holder[name] = dict(inner) if isinstance(inner, Mapping) else {}
            holder = holder[name]
        asked = _limit(dialect, value)
        if asked is None or asked > each:
            holder[path[-1]], lowered = each, True
    if lowered:
        _keep_thinking_below(changed, each)
    return changed


def _keep_thinking_below(body: dict[str, Any], limit: int) -> None:
    thinking = body.get("thinking")
    if not isinstance(thinking, Mapping) or (_whole(thinking.get("budget_tokens")) or 0) < limit:
        return
    body["thinking"] = {**thinking, "budget_tokens": limit - 1} if limit > 1024 else {"type": "disabled"}


_LIMITS: Mapping[Dialect, tuple[tuple[str, ...], ...]] = {
    "anthropic": (("max_tokens",),),
    "openai": (("max_completion_tokens",), ("max_tokens",)),
    "converse": (
        ("inferenceConfig", "maxTokens"),
        ("additionalModelRequestFields", "max_tokens"),
        ("additionalModelRequestFields", "max_gen_len"),
    ),
    "gemini": (("generationConfig", "maxOutputTokens"),),
    # Claude, Mistral, Cohere; OpenAI's; Llama; Nova, twice; Titan
    "invoke": (
        ("max_tokens",),
        ("max_completion_tokens",),
        ("max_gen_len",),
        ("inferenceConfig", "maxTokens"),
        ("inferenceConfig", "max_new_tokens"),
        ("textGenerationConfig", "maxTokenCount"),
    ),
}


def _limits(dialect: Dialect, body: Mapping[str, Any]) -> list[tuple[tuple[str, ...], object]]:
    """The limits in a request: where each is, and what it says."""
    found: list[tuple[tuple[str, ...], object]] = []
    for path in _LIMITS[dialect]:
        value: object = body
        for name in path:
            value = value.get(name) if isinstance(value, Mapping) else None
        if value is not None:
            found.append((path, value))
    return found


def _limit(dialect: Dialect, value: object) -> int | None:
    """A limit; None for one that is none: some servers take -1 for as much as there is."""
    limit = _whole(value)
    return None if limit is None or limit < 0 or (limit == 0 and dialect == "openai") else limit


def _default_path(dialect: Dialect, body: Mapping[str, Any], openai_field: str) -> tuple[str, ...]:
    if dialect == "openai":
        return (openai_field,)
    return _invoke_path(body) if dialect == "invoke" else _LIMITS[dialect][0]


def _invoke_path(body: Mapping[str, Any]) -> tuple[str, ...]:
    """Where a model of InvokeModel takes its limit, told by the shape of its request."""
    if "inputText" in body:
        return ("textGenerationConfig", "maxTokenCount")
    if "prompt" in body and "messages" not in body and "anthropic_version" not in body:
        return ("max_gen_len",)
    if "anthropic_version" not in body and ("inferenceConfig" in body or "schemaVersion" in body):
        return ("inferenceConfig", "maxTokens")
    return ("max_tokens",)


def _choices(dialect: Dialect, body: Mapping[str, Any]) -> int:
    if dialect in ("openai", "invoke"):
        return max(1, _whole(body.get("n")) or 1)
    config = body.get("generationConfig") if dialect == "gemini" else None
    return max(1, _whole(config.get("candidateCount")) or 1) if isinstance(config, Mapping) else 1


def _whole(value: object) -> int | None:
    """A number as lenient providers take one (``100.0``, ``"100"``); None for what is none."""
    if isinstance(value, str) and value.strip().lstrip("-").isdecimal() and len(value) < 20:
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not -_HUGE < value < _HUGE:
        return None
    return int(value)


def _tools(dialect: Dialect, body: Mapping[str, Any]) -> int:
    config = body.get("toolConfig") if dialect == "converse" else body
    tools = config.get("tools") if isinstance(config, Mapping) else None
    if not isinstance(tools, list) or not tools:
        return 0
    own = sum(isinstance(one, Mapping) and one.get("type", "custom") not in ("custom", "function") for one in tools)
    return _TOOLS_PROMPT + _PER_TOOL * len(tools) + _OWN_TOOL * own


def _unseen(dialect: Dialect, body: Mapping[str, Any], model: str) -> int:
    """Tokens of input that are not in the request."""
    parts = _parts(dialect, body)
    kinds = [kind for part in parts for kind in _tool_kinds(part)]
    if any(part.get("mcp_servers") for part in parts) or any(kind.startswith(_AT_THE_PROVIDER) for kind in kinds):
        return WINDOW * _ROUNDS
    if dialect == "converse" and (":prompt/" in model or body.get("promptVariables")):
        return WINDOW
    return WINDOW if _system_tool(body) or _searches(dialect, body, model) or body.get("cachedContent") else 0


def _fee(dialect: Dialect, body: Mapping[str, Any], model: str) -> str:
    """A tool that is charged by its use, as the request names it."""
    for part in _parts(dialect, body):
        found = next((kind for kind in _tool_kinds(part) if kind.startswith(_WITH_A_FEE)), "")
        if found or _searches(dialect, part, model):
            return found[:64] or "web_search_options"
    return _system_tool(body)


def _searches(dialect: Dialect, part: Mapping[str, Any], model: str) -> bool:
    """Whether a model of OpenAI's searches the web: asked to (``{}`` asks), or always."""
    always = dialect == "openai" and any(word in model for word in _SEARCHING)
    return always or part.get("web_search_options") is not None


def _parts(dialect: Dialect, body: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    """A request, and what of it is in the model's own format."""
    more = body.get("additionalModelRequestFields") if dialect == "converse" else None
    return (body, more) if isinstance(more, Mapping) else (body,)


def _tool_kinds(body: Mapping[str, Any]) -> list[str]:
    return [str(one.get("type", "")) for one in _list(body.get("tools")) if isinstance(one, Mapping)]


def _system_tool(body: Mapping[str, Any]) -> str:
    """A tool of Bedrock's own in a conversation (grounding by a search of the web); empty where there is none."""
    config = body.get("toolConfig")
    tools = _list(config.get("tools")) if isinstance(config, Mapping) else []
    return "systemTool" if any(isinstance(one, Mapping) and "systemTool" in one for one in tools) else ""


def _cache_write(body: Mapping[str, Any], kinds: tuple[ProviderKind, ...]) -> CacheWrite:
    config = body.get("toolConfig")
    tools = config.get("tools") if isinstance(config, Mapping) else None
    marks = {
        mark for part in (body.get("system"), body.get("tools"), tools, body.get("messages")) for mark in _marks(part)
    }
    marks.update(_marks([{"cache_control": body.get("cache_control")}]))
    if marks - {"5m"}:
        return "1h"
    return "5m" if marks or "openai" in kinds else ""


def _marks(blocks: object) -> Iterator[str]:
    """The lifetimes that blocks, and those within them, ask the cache for; five minutes where none is named."""
    for block in _list(blocks):
        if not isinstance(block, Mapping):
            continue
        for mark in (block.get("cache_control"), block.get("cachePoint")):
            if isinstance(mark, Mapping):
                yield str(mark.get("ttl", "5m"))
        result = block.get("toolResult")
        yield from _marks(result.get("content") if isinstance(result, Mapping) else block.get("content"))


def _media(dialect: Dialect, body: Mapping[str, Any]) -> Iterator[media.Item]:
    for message in _list(body.get("contents" if dialect == "gemini" else "messages")):
        blocks = message.get("parts" if dialect == "gemini" else "content") if isinstance(message, Mapping) else None
        yield from media.found(dialect, _list(blocks))
    yield from media.found(dialect, _list(body.get("system")))


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
