"""What a caller is told where there is no answer of a model: in the words of their dialect, so that the official
clients raise what they raise for their provider's own errors.

A provider's own refusal keeps its status. Three are told in our words, because they are about the gateway's account and
its key, and may name both: 401 becomes 502, since nothing is wrong with the caller's own credential; 402 and 403 stay.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from weir.gateway.headers import downwards, identified
from weir.gateway.upstream import NotReached, TookTooLong, UpstreamError
from weir.llm.dialect_errors import DialectError, error_body, read_error
from weir.llm.models import Dialect
from weir.runtime.errors import Unauthenticated, WeirError
from weir.usage.caps import CapExceeded

OUR_KEY = 401
_KEY_BYTES = 8
"""Shorter keys, such as the ``x`` that some servers want, are no secret, and may stand in any text."""

_ACCOUNT = re.compile(rb"\b(?:org-|proj_)[A-Za-z0-9]{8,}|\barn:aws[a-z-]*:[a-z0-9-]*:[a-z0-9-]*:\d{12}:[\w/.:@+*-]*")
"""An organization or a project of OpenAI's, or something of an AWS account's."""

_IN_OUR_WORDS = {
    OUR_KEY: (502, "The model's provider did not accept the gateway's own key. Ask an operator; yours is fine."),
    402: (402, "The gateway's account at the model's provider can't pay for this. Ask an operator."),
    403: (403, "The model's provider does not let the gateway use this model. Ask an operator."),
}


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole answer: status, headers, body."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes = field(repr=False)


def refusal(dialect: Dialect, error: WeirError, request_id: str) -> Whole:
    """An error of ours: who is not let in, a cap, a model that is not there, a request that can't be read."""
    capped = isinstance(error, CapExceeded)
    status = 400 if error.status == 422 and dialect in {"converse", "invoke"} else error.status
    body = error_body(
        dialect,
        status,
        error.detail,
        request_id=request_id,
        quota=capped,
        retry_after=error.retry_after,
        details=error.members if capped else None,
        param=error.errors[0].field if error.errors else None,
    )
    asking = [("www-authenticate", "Bearer")] if isinstance(error, Unauthenticated) else []
    return _whole(dialect, body, request_id, asking)


def failure(dialect: Dialect, status: int, message: str, request_id: str) -> Whole:
    """Another error, by its status."""
    return _whole(dialect, error_body(dialect, status, message, request_id=request_id), request_id)


def unanswered(dialect: Dialect, error: UpstreamError, request_id: str) -> Whole:
    """No answer came from any provider, or none that is whole."""
    return failure(dialect, *told(error), request_id)


def told(error: UpstreamError) -> tuple[int, str]:
    """The status and the words for an answer that did not come, or not to its end."""
    match error:
        case NotReached():
            return 502, "The model's provider could not be reached. Try again; if it stays so, ask an operator."
        case TookTooLong():
            return 504, "The model's provider took too long."
        case _:
            return 502, "The model's provider did not answer to the end. Try again."


def broken_off(dialect: Dialect, status: int, message: str, request_id: str) -> bytes:
    """The end of a stream that broke off: an error as an event of the dialect.

    In a dialect of text it begins with an empty line, which ends whatever line was cut, and means nothing by itself.
    """
    event = error_body(dialect, status, message, request_id=request_id, stream=True).body
    return event if dialect in {"converse", "invoke"} else b"\n\n" + event


def without_key(body: bytes, key: str) -> bytes:
    """A provider's words, without the key that it was called with."""
    return body.replace(key.encode(), b"***") if len(key) >= _KEY_BYTES else body


def status_of(spoken: Dialect, status: int, body: bytes) -> int:
    """The status of a provider's refusal: Gemini says 400 of a key that does not hold."""
    return OUR_KEY if spoken == "gemini" and status == 400 and b'"API_KEY_INVALID"' in body else status


def provider_said(
    asked_in: Dialect, spoken: Dialect, status: int, headers: Mapping[str, str], body: bytes, request_id: str
) -> Whole:
    """A provider's refusal, as it came where the caller speaks its dialect, else in the caller's; but for the names of
    the gateway's account."""
    if status in _IN_OUR_WORDS:
        return failure(asked_in, *_IN_OUR_WORDS[status], request_id)
    if status < 400:
        return failure(asked_in, 502, "The model's provider answered what is no answer. Ask an operator.", request_id)
    if not _is_object(body):
        return failure(asked_in, status, f"The model's provider answered {status}, and did not say why.", request_id)
    body = _ACCOUNT.sub(b"***", body)
    if asked_in == spoken:
        kind = headers.get("x-amzn-errortype")
        named = [("x-amzn-ErrorType", kind)] if kind else []
        sent = downwards(headers, asked_in=asked_in, spoken=spoken, request_id=request_id)
        return Whole(status, (*sent, *named), body)
    said = read_error(spoken, body, headers)
    again = headers.get("retry-after", "")
    retry_after = int(again) if again.isdecimal() else None
    error = error_body(asked_in, status, said.message, request_id=request_id, retry_after=retry_after)
    return _whole(asked_in, error, request_id)


def _whole(dialect: Dialect, error: DialectError, request_id: str, more: list[tuple[str, str]] | None = None) -> Whole:
    named = {name.lower() for name in error.headers}
    ids = [one for one in identified(dialect, request_id) if one[0] not in named]
    return Whole(error.status, (*error.headers.items(), *ids, *(more or ())), error.body)


def _is_object(body: bytes) -> bool:
    try:
        return isinstance(json.loads(body), dict)
    except (ValueError, RecursionError):
        return False
