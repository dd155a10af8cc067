"""The routes of the gateway in the OpenAPI document: they are no Powertools handler's, so they are told here.

Their requests and answers are the providers' own, which pass as they are: told is what the gateway reads of them, with
a link to the provider's reference, and what the gateway itself answers. A contract test holds these routes against
those of the gateway and of the template, and a unit test the gateway's answers against what is told of them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from local.openapi_answers import HEADERS, PROBLEM, SCHEMAS
from local.openapi_security import KEY_SCHEME, SCHEME

Dialect = Literal["anthropic", "openai", "converse", "invoke"]
Kind = Literal["complete", "embed", "count", "models"]
SCOPE = "models:invoke"
TAG = {"name": "models", "description": "Calls of models, in the dialects of their official clients"}
JSON, EVENTS, FRAMES = "application/json", "text/event-stream", "application/vnd.amazon.eventstream"
_ANTHROPIC = "https://docs.claude.com/en/api"
_OPENAI = "https://platform.openai.com/docs/api-reference"
_BEDROCK = "https://docs.aws.amazon.com/bedrock/latest/APIReference"


@dataclass(frozen=True, slots=True)
class Told:
    """A route: in which dialect, what for, and where its provider describes it. ``streams``: it does, always."""

    name: str
    summary: str
    dialect: Dialect
    kind: Kind
    reference: str
    streams: bool = False


ROUTES = {
    "POST /anthropic/v1/messages": Told(
        "createMessage", "A message of a model's, as Anthropic's", "anthropic", "complete", f"{_ANTHROPIC}/messages"
    ),
    "POST /anthropic/v1/messages/count_tokens": Told(
        "countMessageTokens",
        "How many tokens a message would take; free",
        "anthropic",
        "count",
        f"{_ANTHROPIC}/messages-count-tokens",
    ),
    "GET /anthropic/v1/models": Told(
        "listAnthropicModels", "The models that you may use", "anthropic", "models", f"{_ANTHROPIC}/models-list"
    ),
    "POST /openai/v1/chat/completions": Told(
        "createChatCompletion", "A completion of a chat, as OpenAI's", "openai", "complete", f"{_OPENAI}/chat/create"
    ),
    "POST /openai/v1/embeddings": Told(
        "createEmbeddings", "Embeddings, as OpenAI's", "openai", "embed", f"{_OPENAI}/embeddings/create"
    ),
    "GET /openai/v1/models": Told(
        "listOpenaiModels", "The models that you may use", "openai", "models", f"{_OPENAI}/models/list"
    ),
    "POST /bedrock/model/{model_id}/converse": Told(
        "converse", "A conversation, as Bedrock's", "converse", "complete", f"{_BEDROCK}/API_runtime_Converse.html"
    ),
    "POST /bedrock/model/{model_id}/converse-stream": Told(
        "converseStream",
        "A conversation, as Bedrock's, in a stream",
        "converse",
        "complete",
        f"{_BEDROCK}/API_runtime_ConverseStream.html",
        streams=True,
    ),
    "POST /bedrock/model/{model_id}/invoke": Told(
        "invokeModel",
        "A model of Bedrock's, in its own format",
        "invoke",
        "complete",
        f"{_BEDROCK}/API_runtime_InvokeModel.html",
    ),
    "POST /bedrock/model/{model_id}/invoke-with-response-stream": Told(
        "invokeModelWithResponseStream",
        "A model of Bedrock's, in its own format, in a stream",
        "invoke",
        "complete",
        f"{_BEDROCK}/API_runtime_InvokeModelWithResponseStream.html",
        streams=True,
    ),
}

_ERRORS: dict[Dialect, str] = {
    "anthropic": "AnthropicError",
    "openai": "OpenaiError",
    "converse": "BedrockError",
    "invoke": "BedrockError",
}
_FIGURE = {"anyOf": [{"type": "integer"}, {"type": "string"}]}
_CAP: dict[str, Any] = {
    "cap_id": {"type": "string", "description": "With a cap's refusal, as are all that follow: which cap"},
    "subject": {"enum": ["user", "key", "group", "everyone"], "description": "Of whom it is"},
    "limit_type": {"enum": ["requests", "tokens", "cost"], "description": "What it limits"},
    "window": {"enum": ["hour", "day", "month"], "description": "In which time"},
    "usage": {**_FIGURE, "description": "What is used of it; dollars as a decimal string"},
    "limit": {**_FIGURE, "description": "How much may be"},
    "requested": {**_FIGURE, "description": "What this call could use"},
    "resets_at": {"type": "string", "format": "date-time", "description": "When the count begins anew"},
    "retry_after_seconds": {"type": "integer", "minimum": 1, "description": "As in Retry-After"},
}


def _object(required: list[str], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": required, "properties": properties}


COMPONENTS: dict[str, dict[str, Any]] = {
    "schemas": {
        "AnthropicError": {
            "title": "AnthropicError",
            "description": "What went wrong, in Anthropic's words.",
            **_object(
                ["type", "error"],
                type={"const": "error"},
                error=_object(["type", "message"], type={"type": "string"}, message={"type": "string"}, **_CAP),
                request_id={"type": ["string", "null"], "description": "As in request-id, and in the logs"},
            ),
        },
        "OpenaiError": {
            "title": "OpenaiError",
            "description": "What went wrong, in OpenAI's words.",
            **_object(
                ["error"],
                error=_object(
                    ["message", "type"],
                    message={"type": "string"},
                    type={"type": "string"},
                    param={"type": ["string", "null"], "description": "The field that can't be accepted"},
                    code={"type": ["string", "number", "null"]},
                    **_CAP,
                ),
            ),
        },
        "BedrockError": {
            "title": "BedrockError",
            "description": "What went wrong, in Bedrock's words; x-amzn-ErrorType names the kind.",
            **_object(["message"], message={"type": "string"}, **_CAP),
        },
    },
    "headers": {
        "Request-Id": {
            "description": "As X-Request-Id, where the dialect's clients look for it",
            "schema": {"type": "string"},
        },
        "X-Upstream-Request-Id": {
            "description": "The provider's own id of the request, where it named one",
            "schema": {"type": "string"},
        },
        "X-Amzn-ErrorType": {"description": "The kind of error", "schema": {"type": "string"}},
        "X-Should-Retry": {
            "description": "`false` with a cap's refusal: no retry helps before it is reset",
            "schema": {"enum": ["true", "false"]},
        },
        "Idempotency-Replayed": {
            "description": "`true` where this is the answer to the first call with the Idempotency-Key",
            "schema": {"enum": ["true"]},
        },
    },
}
_KEYED = {
    "409": "The first call with this Idempotency-Key is still at work",
    "422": "The Idempotency-Key came before with another request",
}
_CALLED = {
    "400": "The request can't be read, can't be told in the words of the model's provider, asks for what costs more "
    "than its price, or the provider refuses it",
    "402": "The gateway's account at the provider can't pay",
    "403": "You may not call models, or a cap on cost holds and the model or a tool has no price; or the provider does "
    "not let the gateway use the model",
    "404": "There is no such model for you",
    "413": "The body passes 6 MB",
    "429": "A cap would be passed, and no call was made; or the provider throttles",
    "502": "The provider was not reached, did not answer to the end, or did not accept the gateway's key",
    "504": "The provider took too long",
    "529": "The provider is overloaded",
}
_ALWAYS = {
    "401": "Nobody, or a token or key that does not hold",
    "403": "You may not call models",
    "500": "Something went wrong in Weir; tell an operator the request's id",
    "503": "A part that Weir needs, or the provider, does not answer; try again",
    "default": "Any other failure of the provider's, with its status; or of API Gateway's own, as a problem",
}
_BY_API_GATEWAY_TOO = {"413", "429", "500", "504", "default"}
_COME_AGAIN = {"409", "429", "503", "529"}
_ITS_ID = {"anthropic": "Request-Id", "converse": "X-Amzn-RequestId", "invoke": "X-Amzn-RequestId"}


def paths() -> dict[str, dict[str, Any]]:
    """The paths of the gateway's routes, as OpenAPI has them."""
    found: dict[str, dict[str, Any]] = {}
    for route, one in ROUTES.items():
        method, path = route.split(" ")
        found.setdefault(path, {})[method.lower()] = _operation(path, one)
    return found


def _operation(path: str, one: Told) -> dict[str, Any]:
    reads = "" if one.kind == "models" else " The body is the provider's own, told there; so is the answer's."
    told: dict[str, Any] = {
        "operationId": one.name,
        "summary": one.summary,
        "description": f"As [its provider describes it]({one.reference}).{reads} The credential may come as "
        "`Authorization: Bearer` or as `x-api-key`.",
        "externalDocs": {"url": one.reference, "description": "The provider's reference"},
        "tags": [TAG["name"]],
        "security": [{SCHEME: [SCOPE]}, {KEY_SCHEME: [SCOPE]}],
        "parameters": list(_parameters(path, one)),
        "responses": _responses(one),
    }
    if one.kind != "models":
        told["requestBody"] = {"required": True, "content": {JSON: {"schema": _asked(path, one)}}}
    return told


def _parameters(path: str, one: Told) -> Iterator[dict[str, Any]]:
    if "{model_id}" in path:
        told = "The name of a route to models, or whatever a route that ends in `*` takes: an ARN, its slashes included"
        yield {"name": "model_id", "in": "path", "required": True, "description": told, "schema": {"type": "string"}}
    yield _header("X-Request-Id", "An id of your own for the request", r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")
    if one.kind in {"complete", "embed"}:
        told = "The same key and request within 24 hours get the first answer again, and cost nothing"
        yield _header("Idempotency-Key", told, minLength=1, maxLength=256)
    if one.dialect == "anthropic" and one.kind != "models":
        yield _header("anthropic-version", "Of Anthropic's API; passed on")
        yield _header("anthropic-beta", "Features of Anthropic's API, by commas; passed on")
    if one.dialect == "openai" and one.kind != "models":
        yield _header("openai-beta", "Features of OpenAI's API; passed on")


def _header(name: str, told: str, pattern: str = "", **limits: int) -> dict[str, Any]:
    schema = {"type": "string", **({"pattern": pattern} if pattern else {}), **limits}
    return {"name": name, "in": "header", "required": False, "description": told, "schema": schema}


def _asked(path: str, one: Told) -> dict[str, Any]:
    """What the gateway itself reads of a body: the model's name, and whether to stream, where the path does not say."""
    asked = "The provider's own body" if "{model_id}" in path else "The provider's own body; these are read here"
    schema: dict[str, Any] = {"type": "object", "description": asked, "additionalProperties": True}
    if "{model_id}" in path:
        return schema
    named = {"type": "string", "minLength": 1, "description": "The name of a route to models"}
    streams = {"type": ["boolean", "null"], "description": "Whether the answer is to come as events"}
    properties = {"model": named, **({"stream": streams} if one.kind == "complete" else {})}
    return {**schema, "required": ["model"], "properties": properties}


def _responses(one: Told) -> dict[str, Any]:
    failures = dict(_ALWAYS)
    if one.kind != "models":
        failures |= _CALLED
    if one.kind in {"complete", "embed"}:
        failures |= _KEYED
    if one.dialect in {"converse", "invoke"}:
        failures["400"] += f"; or: {failures.pop('422')}"  # Bedrock's clients know no 422
    told = {status: _failure(one, status, failures[status]) for status in sorted(failures)}
    return {"200": _success(one), **told}


def _success(one: Told) -> dict[str, Any]:
    answered = {"type": "object", "additionalProperties": True}
    content: dict[str, Any] = {JSON: {"schema": {**answered, "description": "The provider's own answer"}}}
    if one.kind == "models":
        content = {JSON: {"schema": _listing(one.dialect)}}
    elif one.streams:
        content = {FRAMES: {"schema": {"type": "string", "format": "binary", "description": "Frames of events"}}}
    elif one.kind == "complete" and one.dialect in {"anthropic", "openai"}:
        content[EVENTS] = {"schema": {"type": "string", "description": "Server-sent events, where `stream` is true"}}
    headers = _headers(one)
    if one.kind in {"complete", "embed"}:
        headers["Idempotency-Replayed"] = {"$ref": f"{HEADERS}Idempotency-Replayed"}
    told = "The models" if one.kind == "models" else "The model's answer"
    return {"description": told, "headers": headers, "content": content}


def _failure(one: Told, status: str, told: str) -> dict[str, Any]:
    content = {JSON: {"schema": {"$ref": SCHEMAS + _ERRORS[one.dialect]}}}
    headers = _headers(one)
    if status in _BY_API_GATEWAY_TOO:
        content[PROBLEM] = {"schema": {"$ref": f"{SCHEMAS}Problem"}}
    if status in _COME_AGAIN:
        headers["Retry-After"] = {"$ref": f"{HEADERS}Retry-After"}
    if status == "429":
        headers["X-Should-Retry"] = {"$ref": f"{HEADERS}X-Should-Retry"}
    if one.dialect in {"converse", "invoke"}:
        headers["X-Amzn-ErrorType"] = {"$ref": f"{HEADERS}X-Amzn-ErrorType"}
    return {"description": told, "headers": headers, "content": content}


def _headers(one: Told) -> dict[str, Any]:
    """The headers of every answer of a route's."""
    found = {"X-Request-Id": {"$ref": f"{HEADERS}X-Request-Id"}}
    if one.dialect in _ITS_ID:
        found[_ITS_ID[one.dialect]] = {"$ref": f"{HEADERS}Request-Id"}
    if one.kind != "models":
        found["X-Upstream-Request-Id"] = {"$ref": f"{HEADERS}X-Upstream-Request-Id"}
    return found


def _listing(dialect: Dialect) -> dict[str, Any]:
    """The models as a dialect lists them, all on one page."""
    text = {"type": "string"}
    if dialect == "anthropic":
        model = _object(["type", "id"], type={"const": "model"}, id=text, display_name=text, created_at=text)
        ends = {"first_id": {"type": ["string", "null"]}, "last_id": {"type": ["string", "null"]}}
        return _object(["data", "has_more"], data={"type": "array", "items": model}, has_more={"const": False}, **ends)
    model = _object(["id", "object"], id=text, object={"const": "model"}, created={"type": "integer"}, owned_by=text)
    return _object(["object", "data"], object={"const": "list"}, data={"type": "array", "items": model})
