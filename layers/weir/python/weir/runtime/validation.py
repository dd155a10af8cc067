"""Powertools' validation errors as problems: 400 for unreadable JSON, 422 with each field and what is wrong with it.

Apart from ``runtime.http`` because it loads pydantic, which a handler without validation need not.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.event_handler.openapi.exceptions import (
    RequestUnsupportedContentType,
    RequestValidationError,
    ResponseValidationError,
)

from weir.runtime.errors import BadRequest, FieldError, Invalid, WeirError
from weir.runtime.observability import logger

_PLACES = {"body", "query", "path", "header"}
Answer = Callable[[WeirError, Mapping[str, Any]], "Response[str]"]


class UnsupportedMediaType(WeirError):
    """The body is of a content type that the route does not take."""

    status, slug, title = 415, "unsupported-media-type", "Unsupported media type"


def field_errors(errors: Sequence[Any]) -> list[FieldError]:
    """Pydantic's errors as dotted fields and messages; the value itself is left out, for it may be a secret."""
    return [FieldError(_path(error["loc"]), _message(error)) for error in errors]


def _message(error: Any) -> str:
    """What is wrong, without pydantic's name for the kind of error before a message of our own."""
    return str(error.get("msg") or error["type"]).removeprefix("Value error, ")


def _path(location: Sequence[Any]) -> str:
    parts = [str(part) for part in location]
    if len(parts) > 1 and parts[0] in _PLACES:
        parts = parts[1:]
    return ".".join(parts)


def invalid(errors: Sequence[Any]) -> Invalid:
    """The 422 of a pydantic ValidationError's ``errors()``."""
    fields = field_errors(errors)
    told = "; ".join(f"{item.field}: {item.message}" for item in fields[:3])
    return Invalid(f"The request can't be accepted: {told}", errors=fields)


def wire_validation(app: APIGatewayRestResolver, respond: Answer) -> None:
    """Register the handlers of validation errors on an app."""

    @app.exception_handler(RequestValidationError)
    def _request(error: RequestValidationError) -> "Response[str]":
        event = app.current_event.raw_event
        if any(item["type"] == "json_invalid" for item in error.errors()):
            return respond(BadRequest("The body is not valid JSON."), event)
        return respond(invalid(error.errors()), event)

    @app.exception_handler(RequestUnsupportedContentType)
    def _content_type(_: RequestUnsupportedContentType) -> "Response[str]":
        return respond(UnsupportedMediaType("Send the body as application/json."), app.current_event.raw_event)

    @app.exception_handler(ResponseValidationError)
    def _response(error: ResponseValidationError) -> "Response[str]":
        logger().error("the answer did not match its schema", extra={"errors": error.errors()})
        broken = WeirError("Weir's answer did not match its own schema. Tell an operator the request_id.")
        return respond(broken, app.current_event.raw_event)
