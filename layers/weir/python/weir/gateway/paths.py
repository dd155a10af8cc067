"""The routes of the data plane, and the addresses of providers.

| route | dialect |
|---|---|
| POST /anthropic/v1/messages, /anthropic/v1/messages/count_tokens, GET /anthropic/v1/models | Anthropic |
| POST /openai/v1/chat/completions, /openai/v1/embeddings, GET /openai/v1/models | OpenAI |
| POST /bedrock/model/{id}/converse, /converse-stream, /invoke, /invoke-with-response-stream | Bedrock |

A model's id may be an ARN, whose slashes come encoded or, through API Gateway, as they are: what stands between
``/model/`` and the last part of the path is the id, whatever it holds.
"""

import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote

from weir.gateway import bedrock
from weir.llm.models import Dialect, Provider

Kind = Literal["complete", "embed", "count", "models"]

_MODEL = re.compile(r"/bedrock/model/(?P<model>.+)/(?P<what>[a-z-]+)")
_BEDROCK: dict[str, tuple[Dialect, bool]] = {
    "converse": ("converse", False),
    "converse-stream": ("converse", True),
    "invoke": ("invoke", False),
    "invoke-with-response-stream": ("invoke", True),
}


@dataclass(frozen=True, slots=True)
class Operation:
    """What a route is for. ``model`` and ``stream`` where the path tells them, None where the body does."""

    dialect: Dialect
    kind: Kind
    model: str | None = None
    stream: bool | None = None


_ROUTES: dict[tuple[str, str], Operation] = {
    ("POST", "/anthropic/v1/messages"): Operation("anthropic", "complete"),
    ("POST", "/anthropic/v1/messages/count_tokens"): Operation("anthropic", "count", stream=False),
    ("GET", "/anthropic/v1/models"): Operation("anthropic", "models"),
    ("POST", "/openai/v1/chat/completions"): Operation("openai", "complete"),
    ("POST", "/openai/v1/embeddings"): Operation("openai", "embed", stream=False),
    ("GET", "/openai/v1/models"): Operation("openai", "models"),
}
_ADDRESSES = {
    "anthropic": "https://api.anthropic.com",
    "openai": "https://api.openai.com/v1",
    "gemini": "https://generativelanguage.googleapis.com/v1beta",
}


def matched(method: str, path: str) -> Operation | None:
    """The operation of a request, None where there is no such route."""
    found = _ROUTES.get((method, path))
    if found is not None or method != "POST":
        return found
    named = _MODEL.fullmatch(path)
    if named is None or named["what"] not in _BEDROCK:
        return None
    dialect, stream = _BEDROCK[named["what"]]
    return Operation(dialect, "complete", named["model"], stream)


def dialect_of(path: str) -> Dialect:
    """In which dialect whoever asks for a path that is no route is to be answered."""
    beginnings: dict[str, Dialect] = {"/anthropic/": "anthropic", "/bedrock/": "converse"}
    return next((dialect for beginning, dialect in beginnings.items() if path.startswith(beginning)), "openai")


def address(provider: Provider, dialect: Dialect, kind: Kind, model: str, *, stream: bool) -> str:
    """The URL that a provider takes a request at.

    A provider's own address is the base URL that the official clients take: Anthropic's without ``/v1``, OpenAI's with
    it (``http://10.0.0.7:11434/v1`` for an Ollama).
    """
    if provider.kind == "bedrock":
        base = provider.address or bedrock.address(provider.region)
    else:
        base = provider.address or _ADDRESSES[provider.kind]
    return base.rstrip("/") + _path(dialect, kind, quote(model, safe=""), stream)


def _path(dialect: Dialect, kind: Kind, model: str, stream: bool) -> str:
    match dialect, kind, stream:
        case "anthropic", "count", _:
            return "/v1/messages/count_tokens"
        case "anthropic", _, _:
            return "/v1/messages"
        case "openai", "embed", _:
            return "/embeddings"
        case "openai", _, _:
            return "/chat/completions"
        case "gemini", _, True:
            return f"/models/{model}:streamGenerateContent?alt=sse"
        case "gemini", _, _:
            return f"/models/{model}:generateContent"
        case "converse", _, _:
            return f"/model/{model}/converse-stream" if stream else f"/model/{model}/converse"
        case _:
            return f"/model/{model}/invoke-with-response-stream" if stream else f"/model/{model}/invoke"
