"""HTTP at the edge: problems (RFC 9457), the principal, request ids, request metrics.

A handler is ``app = APIGatewayRestResolver(enable_validation=True, response_validation_error_http_code=500)``,
``wire(app)``, its routes, and ``handler = entry(app)``. Errors are raised anywhere and mapped once, here.
"""

import json
import re
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from weir.runtime.errors import Forbidden, NotFound, UnsupportedMediaType, WeirError
from weir.runtime.observability import emit, logger, traced

if TYPE_CHECKING:
    from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response

PROBLEM = "application/problem+json"
PROBLEM_TYPE = "https://weir.dev/problems/"
SEND_JSON = "Send the body as application/json."
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is calling, as verified by the authorizer; ``anonymous`` with nothing granted where there is none."""

    sub: str = "anonymous"
    roles: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset()

    @property
    def is_admin(self) -> bool:
        """Whether the verified roles hold ``admin``."""
        return "admin" in self.roles


def principal(event: Mapping[str, Any]) -> Principal:
    """The verified caller in an API Gateway event: the authorizer's context, never a header or the body."""
    context = (event.get("requestContext") or {}).get("authorizer") or {}
    if not context.get("sub"):
        return Principal()

    def names(field: str) -> frozenset[str]:
        return frozenset(str(context.get(field) or "").split())

    return Principal(str(context["sub"]), names("roles"), names("groups"), names("scopes"))


def require_admin(caller: Principal, doing: str) -> None:
    """Forbidden unless the caller is an admin."""
    if not caller.is_admin:
        raise Forbidden(f"Only an admin may {doing}.")


def header(event: Mapping[str, Any], name: str) -> str | None:
    """A request header by its name in any case; None where it was not sent."""
    wanted = name.lower()
    for key, value in (event.get("headers") or {}).items():
        if key.lower() == wanted and value is not None:
            return str(value)
    return None


def request_id(event: Mapping[str, Any]) -> str:
    """The caller's ``X-Request-Id`` where it is harmless to log, else API Gateway's, else a new one."""
    given = header(event, "x-request-id")
    if given and _REQUEST_ID.fullmatch(given):
        return given
    return str((event.get("requestContext") or {}).get("requestId") or uuid.uuid4())


def link(event: Mapping[str, Any], path: str) -> str:
    """A path of this API as the caller reaches it: with the stage, unless a custom domain hides it."""
    context = event.get("requestContext") or {}
    stage = context.get("stage") or ""
    if stage and str(context.get("path") or "").startswith(f"/{stage}/"):
        return f"/{stage}{path}"
    return path


def answer(status: int, body: Any, headers: Mapping[str, str] | None = None) -> "Response[Any]":
    """A JSON answer with a status and headers of its own (202 with ``Location``, say)."""
    from aws_lambda_powertools.event_handler import Response

    return Response(status_code=status, content_type="application/json", body=body, headers=dict(headers or {}))


_TOLD = {
    400: "The request or its cursor can't be read",
    403: "Not allowed, or not a thing of Weir's",
    404: "There is no such thing",
    409: "The state of the thing, or of the Idempotency-Key, forbids it; see Retry-After",
    422: "A field can't be accepted; errors[] names it",
    429: "A quota or rate is reached; see Retry-After",
    503: "AWS does not answer for the moment",
}


def problems(*statuses: int) -> dict[int, Any]:
    """The problems that a route answers, for its OpenAPI description."""
    schema = {"type": "object", "required": ["type", "title", "status", "detail"]}
    return {status: {"description": _TOLD[status], "content": {PROBLEM: {"schema": schema}}} for status in statuses}


def problem(error: WeirError, event: Mapping[str, Any]) -> dict[str, Any]:
    """The RFC 9457 document of an error."""
    document: dict[str, Any] = {
        "type": PROBLEM_TYPE + error.slug,
        "title": error.title,
        "status": error.status,
        "detail": error.detail,
        "instance": str((event.get("requestContext") or {}).get("path") or event.get("path") or ""),
        "request_id": request_id(event),
        **error.members,
    }
    if error.errors:
        document["errors"] = [{"field": item.field, "message": item.message} for item in error.errors]
    return document


def _problem_response(error: WeirError, event: Mapping[str, Any]) -> "Response[str]":
    from aws_lambda_powertools.event_handler import Response

    headers = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
    return Response(error.status, PROBLEM, json.dumps(problem(error, event)), headers)


def wire(app: "APIGatewayRestResolver", *, validates: bool = True) -> None:
    """Map what handlers raise to problems: WeirErrors, validation errors, unknown routes, and the unexpected.

    ``validates=False`` for an app without validation, which then need not load pydantic.
    """

    @app.exception_handler(WeirError)
    def _known(error: WeirError) -> "Response[str]":
        if error.status >= 500:
            logger().exception("answered %s", error.slug)
        return _problem_response(error, app.current_event.raw_event)

    @app.not_found
    def _unknown_route(_: Exception) -> "Response[str]":
        event = app.current_event
        missing = NotFound(f"No route {event.http_method} {event.path}. See openapi/weir.json for the routes.")
        return _problem_response(missing, event.raw_event)

    if validates:
        from weir.runtime.validation import wire_validation

        wire_validation(app, _problem_response)

    @app.exception_handler(Exception)
    def _unexpected(_: Exception) -> "Response[str]":
        logger().exception("unexpected error")
        return _problem_response(_internal(), app.current_event.raw_event)


def _internal() -> WeirError:
    return WeirError("Something went wrong in Weir. Tell an operator the request_id.")


def entry(app: "APIGatewayRestResolver") -> Callable[[dict[str, Any], Any], dict[str, Any]]:
    """The Lambda entry point of an app: request id on logs and answer, request metrics, never a raw failure."""

    def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
        started = time.perf_counter()
        known_as = request_id(event)
        event = _identified(event, known_as)
        log = logger()
        log.append_keys(request_id=known_as, caller=principal(event).sub)
        try:
            result: dict[str, Any] = _not_json(event) or app.resolve(event, context)
        except Exception:
            log.exception("the resolver failed")
            result = _unresolved(_internal(), event)
        result.setdefault("multiValueHeaders", {})["X-Request-Id"] = [known_as]
        _measure(event, int(result["statusCode"]), time.perf_counter() - started)
        return result

    return traced(handler)


def _not_json(event: Mapping[str, Any]) -> dict[str, Any] | None:
    """The 415 for a body that is no JSON by its own word: the resolver would try to read forms, and fails on some."""
    kind = header(event, "content-type")
    if not event.get("body") or not kind or kind.strip().lower().startswith("application/json"):
        return None
    return _unresolved(UnsupportedMediaType(SEND_JSON), event)


def _unresolved(error: WeirError, event: Mapping[str, Any]) -> dict[str, Any]:
    """The problem as API Gateway takes it, where the resolver has no part in the answer."""
    body = json.dumps(problem(error, event))
    return {"statusCode": error.status, "multiValueHeaders": {"Content-Type": [PROBLEM]}, "body": body}


def _identified(event: dict[str, Any], known_as: str) -> dict[str, Any]:
    """The event with a request id, where API Gateway gave it none: header, problem and log must tell the same one."""
    context = event.get("requestContext") or {}
    return event if context.get("requestId") else {**event, "requestContext": {**context, "requestId": known_as}}


def _measure(event: Mapping[str, Any], status: int, seconds: float) -> None:
    route = f"{event.get('httpMethod')} {event.get('resource') or 'unknown'}"
    logger().info("request", extra={"route": route, "status": status, "milliseconds": round(seconds * 1000, 1)})
    emit(
        {
            "Requests": ("Count", 1),
            "Latency": ("Milliseconds", seconds * 1000),
            "ClientErrors": ("Count", int(400 <= status < 500)),
            "ServerErrors": ("Count", int(status >= 500)),
        },
        {"Route": route},
    )
