"""HTTP at the edge: problems (RFC 9457), the principal, request ids, request metrics.

A handler is ``app = APIGatewayRestResolver(enable_validation=True, response_validation_error_http_code=500,
json_body_deserializer=http.strict_json)``, ``wire(app)``, its routes, and ``handler = entry(app, NEEDS)``, where
``NEEDS`` tells for each route which scope it asks for. Errors are raised anywhere and mapped once, here.
"""

import json
import re
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from weir.runtime.errors import (
    BadRequest,
    Forbidden,
    NotFound,
    PasswordChangeNeeded,
    PayloadTooLarge,
    Unauthenticated,
    UnsupportedMediaType,
    WeirError,
)
from weir.runtime.observability import emit, logger, traced

if TYPE_CHECKING:
    from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response

PROBLEM = "application/problem+json"
PROBLEM_TYPE = "https://weir.dev/problems/"
SEND_JSON = "Send the body as application/json."
PUBLIC = "public"
"""What a route needs that anybody may call."""

SIGNED_IN = "signed in"
"""What a route needs that is about the caller alone: anybody who is known may call it."""

MOST_BODY_BYTES = 6_000_000
"""Lambda takes no larger request: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is calling, as verified by the authorizer; ``anonymous`` with nothing granted where there is none.

    ``credential`` is ``token`` or ``key``, ``credential_id`` the token's session or the key's id.
    """

    sub: str = "anonymous"
    roles: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset()
    username: str = "anonymous"
    credential: str = ""
    credential_id: str = ""
    must_change_password: bool = False

    @property
    def is_admin(self) -> bool:
        """Whether the verified roles hold ``admin``."""
        return "admin" in self.roles

    def owns(self, owner: str | None) -> bool:
        """Whether a thing of this owner is the caller's to change: their own, or any for an admin."""
        return self.is_admin or (bool(self.credential) and self.sub == owner)


@dataclass(frozen=True, slots=True)
class Origin:
    """From where a request came, as API Gateway saw it: for the audit, and to slow down guesses."""

    source_ip: str
    user_agent: str
    request_id: str


def principal(event: Mapping[str, Any]) -> Principal:
    """The verified caller in an API Gateway event: the authorizer's context, never a header or the body."""
    context = (event.get("requestContext") or {}).get("authorizer") or {}
    if not context.get("sub"):
        return Principal()

    def names(field: str) -> frozenset[str]:
        return frozenset(str(context.get(field) or "").split())

    def text(field: str) -> str:
        return str(context.get(field) or "")

    return Principal(
        sub=str(context["sub"]),
        roles=names("roles"),
        groups=names("groups"),
        scopes=names("scopes"),
        username=text("username"),
        credential=text("credential"),
        credential_id=text("credential_id"),
        must_change_password=text("must_change_password") == "true",
    )


def origin(event: Mapping[str, Any]) -> Origin:
    """From where a request came: the connection's address and API Gateway's id, no header that anybody can write."""
    identity = (event.get("requestContext") or {}).get("identity") or {}
    agent, own = str(identity.get("userAgent") or ""), (event.get("requestContext") or {}).get("requestId")
    return Origin(str(identity.get("sourceIp") or "unknown"), agent[:256], str(own or request_id(event)))


def admit(event: Mapping[str, Any], needs: str | None) -> None:
    """Let a request through to its route, or raise why not.

    ``needs`` is a scope, ``PUBLIC`` or ``SIGNED_IN``. None is a route that its handler does not name, whether there is
    one or not: nobody gets there, and who is signed in is told that there is none.
    """
    if needs == PUBLIC:
        return
    caller = principal(event)
    if not caller.credential:
        raise Unauthenticated("Log in, or send an API key: Authorization: Bearer ...")
    if needs is None:
        raise NotFound(f"No route {event.get('httpMethod')} {event.get('path')}. See openapi/weir.json for the routes.")
    if needs == SIGNED_IN:
        return
    if caller.must_change_password:
        raise PasswordChangeNeeded("Change your password first: POST /auth/password.")
    if needs not in caller.scopes:
        raise Forbidden(f"This needs the scope {needs}, which you do not hold. Ask an admin for a role that has it.")


def strict_json(text: str) -> Any:
    """A JSON body. BadRequest where a field stands twice (readers disagree on which counts) or nesting is absurd."""
    try:
        return json.loads(text, object_pairs_hook=_once_each, parse_constant=_no_constant)
    except RecursionError as error:
        raise BadRequest("The body is nested too deeply.") from error
    except json.JSONDecodeError:
        raise
    except ValueError as error:  # Python reads no integer of more than 4,300 digits
        raise BadRequest("The body holds a number of too many digits.") from error


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise BadRequest(f"The field {twice[:64]!r} stands twice in one object of the body.")
    return fields


def _no_constant(text: str) -> Any:
    raise BadRequest(f"The body holds {text}, which is no JSON.")


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


def media_type(kind: str) -> str:
    """What a content type names, without its parameters."""
    return kind.partition(";")[0].strip().lower()


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
    401: "Nobody, or not who they say; log in",
    403: "Not allowed, or not a thing of Weir's",
    404: "There is no such thing",
    409: "The state of the thing, or of the Idempotency-Key, forbids it; see Retry-After",
    412: "It is no longer as If-Match says; read it again",
    422: "A field can't be accepted; errors[] names it",
    429: "A quota or rate is reached; see Retry-After",
    502: "AWS or a log-in provider answers wrongly",
    503: "AWS does not answer for the moment",
    504: "It did not finish in its time",
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

    return Response(error.status, PROBLEM, json.dumps(problem(error, event)), _headers(error))


def _headers(error: WeirError) -> dict[str, str]:
    """What an error says beside its problem: when to try again, and how to log in (RFC 6750)."""
    told = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
    return told | ({"WWW-Authenticate": "Bearer"} if error.status == 401 else {})


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


def entry(
    app: "APIGatewayRestResolver",
    needs: Mapping[str, str],
    *,
    most_bytes: int = MOST_BODY_BYTES,
    takes: Mapping[str, str] | None = None,
) -> Callable[[dict[str, Any], Any], dict[str, Any]]:
    """The Lambda entry point of an app: request id on logs and answer, request metrics, never a raw failure.

    Parameters
    ----------
    needs
        What each route asks of its caller, by ``METHOD /path/{parameter}``: a scope, ``PUBLIC`` or ``SIGNED_IN``.
    most_bytes
        Of a body; 413 above it.
    takes
        The content type beside ``application/json`` of each route that reads one by itself.
    """

    def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
        started = time.perf_counter()
        known_as = request_id(event)
        event = _identified(event, known_as)
        log = logger()
        log.append_keys(request_id=known_as, caller=principal(event).sub)
        try:
            result: dict[str, Any] = _refused(event, needs, most_bytes, takes or {}) or app.resolve(event, context)
        except Exception:
            log.exception("the resolver failed")
            result = _unresolved(_internal(), event)
        result.setdefault("multiValueHeaders", {})["X-Request-Id"] = [known_as]
        _measure(event, int(result["statusCode"]), time.perf_counter() - started)
        return result

    return traced(handler)


def _refused(
    event: Mapping[str, Any], needs: Mapping[str, str], most_bytes: int, takes: Mapping[str, str]
) -> dict[str, Any] | None:
    """The answer to a request that its route need not see: who may not call it, then what is no JSON or too much.

    The resolver would validate the body first, and by that tell strangers of fields; and it would try to read forms.
    """
    route = f"{event.get('httpMethod')} {event.get('resource')}"
    try:
        admit(event, needs.get(route))
        kind = header(event, "content-type")
        body = event.get("body") or ""
        if body and kind and media_type(kind) not in {"application/json", takes.get(route)}:
            raise UnsupportedMediaType(SEND_JSON)
        if len(body) > most_bytes or len(body.encode("utf-8", "surrogatepass")) > most_bytes:
            raise PayloadTooLarge(f"The body passes the {most_bytes:,} bytes that this route takes.")
    except WeirError as error:
        return _unresolved(error, event)
    return None


def _unresolved(error: WeirError, event: Mapping[str, Any]) -> dict[str, Any]:
    """The problem as API Gateway takes it, where the resolver has no part in the answer."""
    headers = {"Content-Type": PROBLEM} | _headers(error)
    return {
        "statusCode": error.status,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "body": json.dumps(problem(error, event)),
    }


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
