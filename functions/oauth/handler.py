"""HTTP: log-in by Google, GitHub or any OpenID Connect issuer. The rules are in ``weir.identity.oauth``."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Annotated, Any

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.event_handler.openapi.params import Body, Path, Query

from weir.identity.contract_oauth import ShownProvider, TokenAnswer, TokenRequest
from weir.runtime import http
from weir.runtime.observability import logger
from weir.runtime.settings import settings

settings(needs=("identity_table", "providers_secret_arn", "signing_secret_arn", "token_issuer"))
app = APIGatewayRestResolver(
    enable_validation=True, response_validation_error_http_code=500, json_body_deserializer=http.strict_json
)
http.wire(app)

NEEDS = {
    "GET /auth/providers": http.PUBLIC,
    "GET /auth/oauth/{provider}/authorize": http.PUBLIC,
    "GET /auth/oauth/{provider}/callback": http.PUBLIC,
    "POST /auth/token": http.PUBLIC,
}

COOKIE = "__Host-weir-oauth"
"""Sent back to this very host alone, over TLS alone; ``Lax``, for the browser comes back from another site."""

_COOKIE = re.compile(r"[A-Za-z0-9_-]{43}")
UNSTORED = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}

ProviderName = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$", description="A name of GET /auth/providers")]
SENT_ON: dict[int, Any] = {
    302: {
        "description": "Where the browser goes on; with `error`, where the application's wish can't be met",
        "headers": {"Location": {"description": "An absolute address", "schema": {"type": "string"}}},
        "content": {"text/plain": {"schema": {"type": "string", "maxLength": 0}}},
    }
}


@app.get(
    "/auth/providers",
    tags=["auth"],
    operation_id="listProviders",
    summary="List log-in providers",
    responses={200: {"description": "All that the operator has set up, by name"}, **http.problems(503)},
)
def providers() -> list[ShownProvider]:
    """Who people may log in by. Users with a password use POST /auth/login."""
    from weir.identity.oauth_wiring import oauth

    event = app.current_event.raw_event
    return [
        ShownProvider(
            name=each.name, kind=each.kind, authorize_path=http.link(event, f"/auth/oauth/{each.name}/authorize")
        )
        for each in oauth().providers.all().values()
    ]


@app.get(
    "/auth/oauth/<provider>/authorize",
    tags=["auth"],
    operation_id="beginProviderLogin",
    summary="Begin a log-in by a provider",
    status_code=302,
    responses={**SENT_ON, **http.problems(400, 404, 422, 502, 503, 504)},
)
def authorize(
    provider: ProviderName,
    client_id: Annotated[str | None, Query(description="The application's name, as the operator set it up")] = None,
    redirect_uri: Annotated[str | None, Query(description="Where the browser comes back to: exactly as set up")] = None,
    state: Annotated[str | None, Query(description="Comes back as it is; 1 to 512 printable characters")] = None,
    code_challenge: Annotated[str | None, Query(description="PKCE: base64url(SHA-256(code_verifier))")] = None,
    code_challenge_method: Annotated[str | None, Query(description="`S256`, no other")] = None,
    response_type: Annotated[str | None, Query(description="`code`, or left out")] = None,
) -> Response[str]:
    """For a browser, not for a program: it gets a cookie that it must bring back; its application gets a code.

    A client or address that is not set up is a problem, and never a redirect; so is a parameter that stands twice.
    """
    from weir.identity.oauth import STATE_SECONDS, Wish, begin
    from weir.identity.oauth_wiring import oauth

    wish = Wish(
        client_id or None,
        redirect_uri or None,
        state or None,
        response_type or None,
        code_challenge or None,
        code_challenge_method or None,
    )
    location, cookie = begin(provider, wish, _callback(provider), oauth())
    return _sent_on(location, f"{cookie}; Max-Age={STATE_SECONDS}" if cookie is not None else None)


@app.get(
    "/auth/oauth/<provider>/callback",
    tags=["auth"],
    operation_id="finishProviderLogin",
    summary="Come back from a provider",
    status_code=302,
    responses={**SENT_ON, **http.problems(400, 401, 403, 404, 422, 502, 503, 504)},
)
def callback(
    provider: ProviderName,
    state: Annotated[str | None, Query(description="As it was sent to the provider")] = None,
    code: Annotated[str | None, Query(description="The provider's code")] = None,
    error: Annotated[str | None, Query(description="What the provider refused for")] = None,
    iss: Annotated[str | None, Query(description="The provider's issuer, where it tells it (RFC 9207)")] = None,
) -> Response[str]:
    """Where the provider sends the browser; it goes on to the application, with a code that holds for 60 seconds."""
    from weir.identity.oauth import Return, finish
    from weir.identity.oauth_wiring import oauth

    came = Return(state or None, code or None, error or None, iss or None)
    with _refusals_logged():
        location = finish(provider, came, _cookie(), http.origin(app.current_event.raw_event), oauth())
    return _sent_on(location, "; Max-Age=0")


@app.post(
    "/auth/token",
    tags=["auth"],
    operation_id="createTokens",
    summary="Change a code for tokens",
    responses={200: {"description": "The tokens"}, **http.problems(400, 409, 422, 503)},
)
def token(
    asked: Annotated[TokenRequest, Body(description="A code with its verifier, or a refresh token")],
) -> Response[TokenAnswer]:
    """For applications: a code that a browser brought, or a refresh token, as JSON. ``error`` is RFC 6749's (5.2)."""
    from weir.identity.oauth import tokens_for
    from weir.identity.oauth_wiring import oauth

    with _refusals_logged():
        given = tokens_for(asked, http.origin(app.current_event.raw_event), oauth())
    return http.answer(200, TokenAnswer(**asdict(given)).model_dump(mode="json"), UNSTORED)


def _callback(provider: str) -> str:
    """Our callback, as it is registered at the provider: below ``public_url``, or where API Gateway was reached."""
    event = app.current_event.raw_event
    path = f"/auth/oauth/{provider}/callback"
    if base := settings().public_url.rstrip("/"):
        return f"{base}{path}"
    return f"https://{(event.get('requestContext') or {}).get('domainName')}{http.link(event, path)}"


def _cookie() -> str | None:
    """The value of our cookie; None where there is none, several, or one that we can't have made."""
    event = app.current_event.raw_event
    lines = [
        line
        for name, values in (event.get("multiValueHeaders") or {}).items()
        if name.lower() == "cookie"
        for line in values
    ] or [http.header(event, "cookie") or ""]
    pairs = [pair.strip().partition("=") for line in lines for pair in line.split(";")]
    found = [value for name, _, value in pairs if name == COOKIE]
    return found[0] if len(found) == 1 and _COOKIE.fullmatch(found[0]) else None


def _sent_on(location: str, cookie: str | None) -> Response[str]:
    headers: dict[str, str | list[str]] = {"Location": location, **UNSTORED}
    if cookie is not None:
        headers["Set-Cookie"] = f"{COOKIE}={cookie}; Path=/; Secure; HttpOnly; SameSite=Lax"
    return Response(302, "text/plain", "", headers)


@contextmanager
def _refusals_logged() -> Iterator[None]:
    """Tell the log why, for the caller is not told; reasons are our own words."""
    from weir.identity.oauth_errors import BadState, GrantRefused, NotAUser, ProviderRefused

    try:
        yield
    except (BadState, GrantRefused, NotAUser, ProviderRefused) as refused:
        logger().warning("log-in by a provider refused", extra={"reason": refused.reason})
        raise


handler = http.entry(app, NEEDS, most_bytes=65_536)
