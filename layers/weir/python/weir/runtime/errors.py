"""The error tree. Domain code raises these anywhere; ``runtime.http`` maps them once, to RFC 9457 problems.

WeirError
├── BadRequest 400            the request can't be read
├── Unauthenticated 401       nobody, or not who they say
├── Forbidden 403             known, but not allowed
│   └── PasswordChangeNeeded  the password is one that somebody else knows
├── NotFound 404
├── Conflict 409              the state of the thing forbids it (now)
├── PreconditionFailed 412    If-Match did not match
├── PayloadTooLarge 413
├── UnsupportedMediaType 415  the body is not JSON
├── Invalid 422               readable, but a field is wrong
├── TooManyRequests 429       a quota or rate; carries retry_after
├── UpstreamFailed 502        AWS refused us, and the caller can't mend it
├── Unavailable 503           AWS is not answering for the moment; carries retry_after
└── Timeout 504               it did not finish in its time
"""

from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple


class FieldError(NamedTuple):
    """One wrong field of a request: a dotted path such as ``load.keys.count``, and what to do about it."""

    field: str
    message: str


class WeirError(Exception):
    """Base of all errors that Weir raises on purpose.

    ``detail`` tells the caller what went wrong and the next step; it must hold no secret. ``members`` become
    extension members of the problem document.
    """

    status: ClassVar[int] = 500
    slug: ClassVar[str] = "internal"
    title: ClassVar[str] = "Internal error"

    def __init__(
        self,
        detail: str,
        *,
        retry_after: int | None = None,
        errors: Sequence[FieldError] = (),
        **members: Any,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.retry_after = retry_after
        self.errors = tuple(errors)
        self.members = members


class BadRequest(WeirError):
    """The request can't be read: malformed JSON, a tampered cursor."""

    status, slug, title = 400, "bad-request", "Bad request"


class Unauthenticated(WeirError):
    """No credentials, or none that hold."""

    status, slug, title = 401, "unauthenticated", "Not authenticated"


class Forbidden(WeirError):
    """The caller is known and may not do this."""

    status, slug, title = 403, "forbidden", "Forbidden"


class PasswordChangeNeeded(Forbidden):
    """The password is one that somebody else knows; nothing else works before it was changed."""

    slug = "password-change-needed"


class NotFound(WeirError):
    """The thing is not there, or not for this caller."""

    status, slug, title = 404, "not-found", "Not found"


class Conflict(WeirError):
    """The present state of the thing forbids it."""

    status, slug, title = 409, "conflict", "Conflict"


class PreconditionFailed(WeirError):
    """``If-Match`` named another version than the stored one."""

    status, slug, title = 412, "precondition-failed", "Precondition failed"


class PayloadTooLarge(WeirError):
    """The body passes a limit."""

    status, slug, title = 413, "payload-too-large", "Payload too large"


class UnsupportedMediaType(WeirError):
    """The body is of a content type that the route does not take."""

    status, slug, title = 415, "unsupported-media-type", "Unsupported media type"


class Invalid(WeirError):
    """The request was read, but a field of it can't be accepted."""

    status, slug, title = 422, "invalid", "Invalid request"


class TooManyRequests(WeirError):
    """A quota or a rate was reached; ``retry_after`` seconds later it may go."""

    status, slug, title = 429, "too-many-requests", "Too many requests"


class UpstreamFailed(WeirError):
    """AWS refused Weir itself; the caller can't mend it."""

    status, slug, title = 502, "upstream-failed", "AWS refused the request"


class Unavailable(WeirError):
    """AWS does not answer for the moment."""

    status, slug, title = 503, "unavailable", "Temporarily unavailable"


class Timeout(WeirError):
    """It did not finish within its time."""

    status, slug, title = 504, "timeout", "Timed out"
