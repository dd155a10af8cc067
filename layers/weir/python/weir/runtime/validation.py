"""Powertools' validation errors as problems: 400 for unreadable JSON, 422 with each field and what is wrong with it.

Apart from ``runtime.http`` because it loads pydantic, which a handler without validation need not.
"""

from collections.abc import Callable, Mapping
from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.event_handler.openapi.exceptions import (
    RequestUnsupportedContentType,
    RequestValidationError,
    ResponseValidationError,
)

from weir.runtime.errors import BadRequest, UnsupportedMediaType, WeirError
from weir.runtime.field_errors import invalid
from weir.runtime.http import SEND_JSON
from weir.runtime.observability import logger

Answer = Callable[[WeirError, Mapping[str, Any]], "Response[str]"]


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
        return respond(UnsupportedMediaType(SEND_JSON), app.current_event.raw_event)

    @app.exception_handler(ResponseValidationError)
    def _response(error: ResponseValidationError) -> "Response[str]":
        where = [{"type": item["type"], "loc": item["loc"]} for item in error.errors()]  # the rest quotes the answer
        logger().error("the answer did not match its schema", extra={"errors": where})
        broken = WeirError("Weir's answer did not match its own schema. Tell an operator the request_id.")
        return respond(broken, app.current_event.raw_event)
