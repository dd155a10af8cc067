"""HTTP: log in, refresh, log out, one's own password, registration. The rules are in ``weir.identity``."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.event_handler.openapi.params import Body

from weir.identity.contract_auth import (
    Ended,
    LoginAnswer,
    LoginRequest,
    Me,
    PasswordChange,
    RefreshRequest,
    Registration,
)
from weir.identity.contract_oauth import TokenAnswer
from weir.identity.contract_users import UserView
from weir.runtime import http
from weir.runtime.observability import logger
from weir.runtime.settings import settings

if TYPE_CHECKING:
    from weir.identity.login import LoggedIn

settings(needs=("identity_table", "signing_secret_arn", "token_issuer"))
app = APIGatewayRestResolver(
    enable_validation=True, response_validation_error_http_code=500, json_body_deserializer=http.strict_json
)
http.wire(app)

NEEDS = {
    "POST /auth/login": http.PUBLIC,
    "POST /auth/refresh": http.PUBLIC,
    "POST /auth/register": http.PUBLIC,
    "POST /auth/logout": http.SIGNED_IN,
    "GET /auth/me": http.SIGNED_IN,
    "POST /auth/password": http.SIGNED_IN,
}


def _caller() -> http.Principal:
    return http.principal(app.current_event.raw_event)


def _origin() -> http.Origin:
    return http.origin(app.current_event.raw_event)


def _answer(logged_in: "LoggedIn") -> LoginAnswer:
    return LoginAnswer(**asdict(logged_in.tokens), device=logged_in.device)


@app.post(
    "/auth/login",
    tags=["auth"],
    operation_id="logIn",
    summary="Log in with a password",
    responses={200: {"description": "Tokens"}, **http.problems(400, 401, 409, 422, 429, 503)},
)
def log_in(asked: Annotated[LoginRequest, Body(description="User name and password")]) -> LoginAnswer:
    """Guesses are slowed down: 429 until Retry-After. With `device`, those of others keep nobody out."""
    from weir.identity import login
    from weir.identity.wiring import deps

    return _answer(login.log_in(asked, _origin(), deps()))


@app.post(
    "/auth/refresh",
    tags=["auth"],
    operation_id="refreshTokens",
    summary="Change a refresh token for new tokens",
    responses={
        200: {"description": "New tokens; the refresh token given is spent"},
        **http.problems(400, 401, 409, 422),
    },
)
def refresh(asked: Annotated[RefreshRequest, Body(description="The refresh token")]) -> TokenAnswer:
    """A refresh token is good once. One that comes a second time ends the session, for somebody else may hold it."""
    from weir.identity import sessions
    from weir.identity.errors import BadToken
    from weir.identity.wiring import deps

    try:
        fresh = sessions.refresh(asked.refresh_token, _origin(), deps())
    except BadToken as error:
        logger().warning("refused", extra={"reason": error.reason})
        raise
    return TokenAnswer(**asdict(fresh))


@app.post(
    "/auth/logout",
    tags=["auth"],
    operation_id="logOut",
    summary="Log out",
    responses={
        200: {"description": "Ended; its access tokens are refused within 60 seconds"},
        **http.problems(401, 403),
    },
)
def log_out() -> Ended:
    """End the session that the access token belongs to."""
    from weir.identity import sessions
    from weir.identity.wiring import deps

    sessions.end(_caller(), _origin(), deps())
    return Ended()


@app.get(
    "/auth/me",
    tags=["auth"],
    operation_id="getMe",
    summary="See who you are",
    responses={200: {"description": "The caller"}, **http.problems(401)},
)
def me() -> Me:
    """The caller, with the scopes of the token or key that the request came with."""
    from weir.identity import login
    from weir.identity.contract_users import view_of
    from weir.identity.wiring import deps

    caller = _caller()
    shown = view_of(login.me(caller, deps())).model_dump()
    credential = {"credential": caller.credential, "credential_id": caller.credential_id}
    return Me.model_validate({**shown, "scopes": tuple(sorted(caller.scopes)), **credential})


@app.post(
    "/auth/password",
    tags=["auth"],
    operation_id="changePassword",
    summary="Change your password",
    responses={200: {"description": "Tokens of a new session"}, **http.problems(400, 401, 403, 409, 422, 429)},
)
def change_password(
    asked: Annotated[PasswordChange, Body(description="The present password, and the new one")],
) -> LoginAnswer:
    """Every other session ends at once, their access tokens within 60 seconds. API keys stay.

    Who has no password, for they log in at a provider, gets the first one from an admin.
    """
    from weir.identity import login
    from weir.identity.wiring import deps

    return _answer(login.change_password(asked, _caller(), _origin(), deps()))


@app.post(
    "/auth/register",
    tags=["auth"],
    operation_id="register",
    summary="Become a member",
    status_code=201,
    responses={201: {"description": "The member, who may log in now"}, **http.problems(400, 403, 409, 422, 429)},
)
def register(asked: Annotated[Registration, Body(description="The new member")]) -> Response[UserView]:
    """Where the operator lets people register; 403 elsewhere. A second request of the same name is a 409."""
    from weir.identity import login
    from weir.identity.contract_users import view_of
    from weir.identity.wiring import deps

    return http.answer(201, view_of(login.register(asked, _origin(), deps())).model_dump(mode="json"))


handle = http.entry(app, NEEDS, most_bytes=65_536)


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """The Lambda entry point: no answer, problems included, is to be kept by anybody on the way."""
    answer = handle(event, context)
    answer["multiValueHeaders"]["Cache-Control"] = ["no-store"]
    return answer
