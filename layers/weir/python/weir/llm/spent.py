"""What a provider says that a call used, in each dialect's words, as ``Tokens``.

Who counts what into what:

- Anthropic: ``input_tokens`` leaves out cache reads and writes; ``cache_creation`` splits the writes by lifetime
  (https://platform.claude.com/docs/en/build-with-claude/prompt-caching). What a compaction used stands in
  ``iterations`` alone.
- Converse: ``inputTokens`` leaves out both; ``cacheDetails`` splits the writes
  (https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_TokenUsage.html).
- OpenAI: ``prompt_tokens`` has both in it (``prompt_tokens_details``); ``completion_tokens`` has the reasoning in it.
  DeepSeek names its cache reads ``prompt_cache_hit_tokens``. Some that are compatible leave the reasoning out of
  ``completion_tokens``, and count it in ``total_tokens``.
- Gemini: ``promptTokenCount`` has the cached in it; thoughts and the prompts of tools stand beside
  (https://ai.google.dev/api/generate-content#UsageMetadata).
"""

from collections.abc import Mapping
from typing import Any

from weir.llm.models import Tokens

Fields = Mapping[str, Any]


_APART = ("compaction", "advisor_message")
"""Iterations of Anthropic's whose tokens the message's own do not hold."""


def count(value: object) -> int:
    """A number of tokens: 0 for what is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def anthropic(usage: Fields) -> Tokens:
    """``usage`` of a message, or the merged ones of a stream."""
    apart = [one for one in _list(usage.get("iterations")) if isinstance(one, dict) and one.get("type") in _APART]
    every = [usage, *apart]
    longs = [_anthropic_1h(one) for one in every]
    written = sum(count(one.get("cache_creation_input_tokens")) for one in every)
    return Tokens(
        input=sum(count(one.get("input_tokens")) for one in every),
        output=sum(count(one.get("output_tokens")) for one in every),
        cache_read=sum(count(one.get("cache_read_input_tokens")) for one in every),
        cache_write_5m=written - sum(longs),
        cache_write_1h=sum(longs),
    )


def _anthropic_1h(usage: Fields) -> int:
    split = usage.get("cache_creation")
    long = count(split.get("ephemeral_1h_input_tokens")) if isinstance(split, dict) else 0
    return min(long, count(usage.get("cache_creation_input_tokens")))


def openai(usage: Fields) -> Tokens:
    """``usage`` of a completion, of a chunk, or of embeddings. Cache writes have no lifetime told: the shorter."""
    details = usage.get("prompt_tokens_details")
    details = details if isinstance(details, dict) else {}
    prompt = count(usage.get("prompt_tokens"))
    read = min(prompt, count(details.get("cached_tokens")) or count(usage.get("prompt_cache_hit_tokens")))
    written = min(prompt - read, count(details.get("cache_write_tokens")))
    return Tokens(
        input=prompt - read - written,
        output=max(count(usage.get("completion_tokens")), count(usage.get("total_tokens")) - prompt),
        cache_read=read,
        cache_write_5m=written,
    )


def converse(usage: Fields) -> Tokens:
    """``usage`` of a Converse answer or of a stream's ``metadata``; Nova by InvokeModel ends its names in ``Count``."""
    written = count(usage.get("cacheWriteInputTokens", usage.get("cacheWriteInputTokenCount")))
    details = [one for one in _list(usage.get("cacheDetails")) if isinstance(one, dict)]
    long = min(written, sum(count(one.get("inputTokens")) for one in details if one.get("ttl") == "1h"))
    return Tokens(
        input=count(usage.get("inputTokens")),
        output=count(usage.get("outputTokens")),
        cache_read=count(usage.get("cacheReadInputTokens", usage.get("cacheReadInputTokenCount"))),
        cache_write_5m=written - long,
        cache_write_1h=long,
    )


def gemini(usage: Fields) -> Tokens:
    """``usageMetadata``; thoughts are billed as output, the prompts of tools as input."""
    prompt = count(usage.get("promptTokenCount"))
    cached = min(prompt, count(usage.get("cachedContentTokenCount")))
    return Tokens(
        input=prompt - cached + count(usage.get("toolUsePromptTokenCount")),
        output=count(usage.get("candidatesTokenCount")) + count(usage.get("thoughtsTokenCount")),
        cache_read=cached,
    )


def invocation(metrics: Fields) -> Tokens:
    """``amazon-bedrock-invocationMetrics``, the last words of every InvokeModelWithResponseStream."""
    return Tokens(
        input=count(metrics.get("inputTokenCount")),
        output=count(metrics.get("outputTokenCount")),
        cache_read=count(metrics.get("cacheReadInputTokenCount")),
        cache_write_5m=count(metrics.get("cacheWriteInputTokenCount")),
    )


def invocation_headers(headers: Mapping[str, str]) -> Tokens | None:
    """What InvokeModel tells in its headers, whatever the model; None where it does not."""
    lower = {name.lower(): value for name, value in headers.items()}

    def told(what: str) -> int:
        value = lower.get(f"x-amzn-bedrock-{what}-token-count", "")
        return int(value) if value.isascii() and value.isdecimal() else 0

    if "x-amzn-bedrock-input-token-count" not in lower and "x-amzn-bedrock-output-token-count" not in lower:
        return None
    return Tokens(
        input=told("input"),
        output=told("output"),
        cache_read=told("cache-read-input"),
        cache_write_5m=told("cache-write-input"),
    )


def invoked(answer: Fields) -> Tokens | None:
    """``usage`` in the answer of a model of any vendor by InvokeModel; None where there is none that is known."""
    usage = answer.get("usage")
    if isinstance(usage, dict):
        for name, read in (("input_tokens", anthropic), ("inputTokens", converse), ("prompt_tokens", openai)):
            if name in usage:
                return read(usage)
    if "prompt_token_count" in answer:  # Llama
        return Tokens(input=count(answer["prompt_token_count"]), output=count(answer.get("generation_token_count")))
    if "inputTextTokenCount" in answer:  # Titan
        results = [one for one in _list(answer.get("results")) if isinstance(one, dict)]
        return Tokens(
            input=count(answer["inputTextTokenCount"]), output=sum(count(one.get("tokenCount")) for one in results)
        )
    return None


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
