"""Which dialect a caller speaks at an address, and which a kind of provider understands."""

from collections.abc import Mapping

from weir.llm.models import Dialect, ProviderKind

_PROVIDERS: Mapping[ProviderKind, Dialect] = {"anthropic": "anthropic", "openai": "openai", "gemini": "gemini"}
_CONTENT_TYPES: Mapping[Dialect, str] = {
    "converse": "application/vnd.amazon.eventstream",
    "invoke": "application/vnd.amazon.eventstream",
}


def provider_dialect(kind: ProviderKind, caller: Dialect, model: str) -> Dialect:
    """The dialect in which a provider is asked.

    Bedrock has two: a caller's own where they speak one of them, for a caller of Anthropic's with a Claude model the
    one that has all of its words, else Converse, which every model of Bedrock's understands.
    """
    if kind != "bedrock":
        return _PROVIDERS[kind]
    if caller in ("converse", "invoke"):
        return caller
    return "invoke" if caller == "anthropic" and "claude" in model else "converse"


def stream_content_type(dialect: Dialect) -> str:
    """The content type of a stream in a dialect."""
    return _CONTENT_TYPES.get(dialect, "text/event-stream; charset=utf-8")
