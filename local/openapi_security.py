"""Who may call what: each operation's security, and the answers to those who may not.

An access token and an API key are sent alike (RFC 6750), so there is one scheme; the routes of models take either in
``x-api-key`` as well, where some of their clients put it. What stands in a scheme's list is the scope that the route
asks for: OpenAPI 3.1 lets any scheme tell what a caller must hold
(https://spec.openapis.org/oas/v3.1.0#security-requirement-object).
"""

from collections.abc import Mapping
from typing import Any

from local.openapi_answers import PROBLEM

SCHEME, KEY_SCHEME = "bearer", "x-api-key"
SECURITY_SCHEMES = {
    SCHEME: {
        "type": "http",
        "scheme": "bearer",
        "description": "An access token, from POST /auth/login and its like, or an API key, from POST /api-keys",
    },
    KEY_SCHEME: {
        "type": "apiKey",
        "in": "header",
        "name": KEY_SCHEME,
        "description": "The same credential, for clients of models that send it so",
    },
}
PUBLIC, SIGNED_IN = "public", "signed in"
"""As ``weir.runtime.http`` has them; a contract test holds the two together."""

_REFUSED = {
    "401": "Nobody, or a token or key that does not hold; log in",
    "403": "Known, but not allowed",
}


def with_security(operation: Mapping[str, Any], need: str | None) -> dict[str, Any]:
    """An operation that tells who may call it; nobody, where ``NEEDS`` does not name it, is told as anybody known."""
    if need == PUBLIC:
        return {**operation, "security": []}
    scopes = [] if need in {SIGNED_IN, None} else [need]
    refused = {status: {"description": told, "content": {PROBLEM: {}}} for status, told in _REFUSED.items()}
    return {**operation, "security": [{SCHEME: scopes}], "responses": {**refused, **operation["responses"]}}


def told(operation: Mapping[str, Any]) -> str:
    """Who may call an operation, in words."""
    if not operation["security"]:
        return "Anybody may call it."
    ((_, scopes),) = operation["security"][0].items()
    return f"Needs the scope `{scopes[0]}`." if scopes else "Needs a log-in or an API key."
