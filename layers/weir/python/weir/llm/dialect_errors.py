"""Errors in the words of each dialect, so that the official clients raise what they raise for their provider's own.

- Anthropic: ``{"type": "error", "error": {"type", "message"}, "request_id"}``, in a stream as ``event: error``
  (https://platform.claude.com/docs/en/api/errors).
- OpenAI: ``{"error": {"message", "type", "param", "code"}}``, in a stream as a chunk
  (https://developers.openai.com/api/docs/guides/error-codes).
- Bedrock: ``{"message"}`` and the header ``x-amzn-ErrorType``, in a stream as a frame ``:message-type: exception``
  (https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html).
- Gemini: ``{"error": {"code", "message", "status"}}`` (https://ai.google.dev/gemini-api/docs/troubleshooting).

Both SDKs take ``x-should-retry: false`` as a word not to try again by themselves.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from weir.llm import eventstream, sse
from weir.llm.models import Dialect
from weir.llm.passing import dumped
from weir.runtime.errors import BadRequest, FieldError

OVERLOADED = 529
"""Anthropic's own status: the API is overloaded."""

_ANTHROPIC = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    504: "timeout_error",
    OVERLOADED: "overloaded_error",
}
_OPENAI = {
    400: ("invalid_request_error", None),
    401: ("invalid_request_error", "invalid_api_key"),
    402: ("insufficient_quota", "insufficient_quota"),
    403: ("permission_error", None),
    404: ("invalid_request_error", "model_not_found"),
    413: ("invalid_request_error", "request_too_large"),
    429: ("requests", "rate_limit_exceeded"),
    500: ("server_error", None),
}
_BEDROCK = {
    400: "ValidationException",
    401: "AccessDeniedException",
    402: "ServiceQuotaExceededException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    408: "ModelTimeoutException",
    413: "ValidationException",
    424: "ModelErrorException",
    429: "ThrottlingException",
    500: "InternalServerException",
    503: "ServiceUnavailableException",
    504: "ModelTimeoutException",
    OVERLOADED: "ServiceUnavailableException",
}
_GEMINI = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_QUOTA = {
    "anthropic": "rate_limit_error",
    "openai": "insufficient_quota",
    "converse": "ServiceQuotaExceededException",
    "invoke": "ServiceQuotaExceededException",
    "gemini": "RESOURCE_EXHAUSTED",
}
_IN_STREAM = frozenset(
    {
        "internalServerException",
        "modelStreamErrorException",
        "validationException",
        "throttlingException",
        "modelTimeoutException",
        "serviceUnavailableException",
    }
)
"""What a stream of Bedrock may break off with; Converse knows no ``modelTimeoutException``."""


class Untranslatable(BadRequest):
    """A part of a request that the provider's dialect has no words for. ``field`` is its path, ``why`` tells more."""

    slug, title = "untranslatable", "Not possible with this model's provider"

    def __init__(self, field: str, why: str) -> None:
        super().__init__(f"{field}: {why}", errors=(FieldError(field, why),))
        self.field, self.why = field, why


@dataclass(frozen=True, slots=True)
class DialectError:
    """An error as a caller gets it: the status (of no use within a stream), headers, and body or event."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ProviderError:
    """An error as a provider told it: its own type, empty where it names none, and its message."""

    type: str
    message: str


def error_body(
    dialect: Dialect,
    status: int,
    message: str,
    *,
    type: str | None = None,  # noqa: A002 (the providers' word)
    code: str | None = None,
    param: str | None = None,
    request_id: str = "",
    quota: bool = False,
    retry: bool | None = None,
    retry_after: int | None = None,
    details: Mapping[str, Any] | None = None,
    stream: bool = False,
) -> DialectError:
    """An error in a dialect.

    Parameters
    ----------
    status
        The HTTP status.
    type, code, param
        The dialect's own type; by the status where none is given. ``code`` and ``param`` are OpenAI's.
    quota
        A cap refuses the call: no retry helps before it resets.
    retry
        What ``x-should-retry`` says; None leaves it to the client, ``quota`` means no.
    retry_after
        Seconds.
    details
        Further members of the error: a cap's figures.
    stream
        As an event within a stream that has begun.
    """
    kind = type or (_QUOTA[dialect] if quota else _kind(dialect, status))
    headers = _headers(dialect, kind, request_id, False if quota else retry, retry_after)
    extra = dict(details or {})
    if dialect == "anthropic":
        body = {"type": "error", "error": {"type": kind, "message": message, **extra}, "request_id": request_id or None}
        event = sse.encode("error", dumped(body))
    elif dialect == "openai":
        code = code or ("insufficient_quota" if quota else _OPENAI.get(status, ("", None))[1])
        body = {"error": {"message": message, "type": kind, "param": param, "code": code, **extra}}
        event = sse.encode("", dumped(body))
    elif dialect == "gemini":
        body = {"error": {"code": status, "message": message, "status": kind, **extra}}
        event = sse.encode("", dumped(body))
    else:
        body = {"message": message, **extra}
        event = eventstream.encode_exception(_in_stream(dialect, kind), dumped(body))
    return DialectError(status, event if stream else dumped(body), headers)


def read_error(dialect: Dialect, body: bytes, headers: Mapping[str, str] | None = None) -> ProviderError:
    """What a provider's error says; what is not in its dialect (a proxy's HTML) is told by its beginning."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        answer = None
    answer = answer if isinstance(answer, dict) else {}
    error = answer.get("error", answer)
    error = error if isinstance(error, dict) else {"message": error}
    lower = {name.lower(): value for name, value in (headers or {}).items()}
    named = lower.get("x-amzn-errortype", "").partition(":")[0] if dialect in ("converse", "invoke") else ""
    kind = named or error.get("status" if dialect == "gemini" else "type") or answer.get("__type") or ""
    message = error.get("message") or answer.get("Message")
    return ProviderError(str(kind), str(message) if message else body[:500].decode("utf-8", "replace"))


def _kind(dialect: Dialect, status: int) -> str:
    if dialect == "anthropic":
        return _ANTHROPIC.get(status) or ("invalid_request_error" if status < 500 else "api_error")
    if dialect == "openai":
        return _OPENAI.get(status, ("invalid_request_error" if status < 500 else "server_error", None))[0]
    if dialect == "gemini":
        return _GEMINI.get(status) or ("INVALID_ARGUMENT" if status < 500 else "INTERNAL")
    return _BEDROCK.get(status) or ("ValidationException" if status < 500 else "InternalServerException")


def _in_stream(dialect: Dialect, kind: str) -> str:
    name = kind[:1].lower() + kind[1:]
    if name == "modelTimeoutException" and dialect == "converse":
        name = "modelStreamErrorException"
    if name == "serviceQuotaExceededException":
        name = "throttlingException"
    return name if name in _IN_STREAM else "internalServerException"


def _headers(
    dialect: Dialect, kind: str, request_id: str, retry: bool | None, retry_after: int | None
) -> dict[str, str]:
    headers = {"content-type": "application/json"}
    if dialect in ("converse", "invoke"):
        headers["x-amzn-ErrorType"] = kind
        if request_id:
            headers["x-amzn-RequestId"] = request_id
    elif request_id:
        headers["request-id" if dialect == "anthropic" else "x-request-id"] = request_id
    if retry is not None:
        headers["x-should-retry"] = "true" if retry else "false"
    if retry_after is not None:
        headers["retry-after"] = str(retry_after)
    return headers
