"""Requests as API Gateway hands them to functions, once its authorizer has said who is calling."""

import json
from typing import Any

from tests.contract import stack
from tests.contract.account import SESSION
from weir.identity import tokens
from weir.identity.keyring import Keyring
from weir.identity.models import User
from weir.identity.roles import scopes_of
from weir.runtime import settings
from weir.runtime.clock import SYSTEM

A_VALUE = {"user_id": "aaaabbbbccccdddd", "key_id": "aaaabbbbcccc", "name": "nothing", "run_id": "nothing"}
BODIES: dict[str, Any] = {
    "POST /auth/password": {"current_password": "the present one", "new_password": "another one for ann"},
    "POST /api-keys": {"name": "another"},
    "POST /users": {"username": "another"},
    "PATCH /users/{user_id}": {"groups": []},
}
"""Bodies of routes that take no empty one; what is refused for its body tells nothing of who may call."""


def a_request(route: stack.Route, said: dict[str, str] | None) -> dict[str, Any]:
    """A request about things that are not there, from a caller of whom the authorizer says this."""
    parameters = {name: A_VALUE.get(name, "nothing") for name in route.parameters}
    path = route.path.format(**parameters)
    headers, body = {"Content-Type": "application/json"}, json.dumps(BODIES.get(route.name, {}))
    sent = {"headers": headers, "body": body} if route.method in {"POST", "PATCH"} else {"headers": {}}
    context = {"stage": "v1", "requestId": "r", "path": f"/v1{path}", "identity": {"sourceIp": "203.0.113.7"}}
    return {
        "resource": route.path,
        "path": path,
        "httpMethod": route.method,
        "multiValueHeaders": {name: [value] for name, value in sent["headers"].items()},  # type: ignore[attr-defined]
        "pathParameters": parameters or None,
        "requestContext": context | ({"authorizer": said} if said is not None else {}),
        **sent,
    }


def said_of(user_id: str, role: str, **other: str) -> dict[str, str]:
    """What the authorizer says of a user with one role, who has logged in."""
    granted = {"roles": role, "groups": "", "scopes": " ".join(sorted(scopes_of([role])))}
    credential = {"credential": "token", "credential_id": SESSION, "must_change_password": "false"}
    return {"principalId": user_id, "sub": user_id, "username": f"user-{user_id}", **granted, **credential, **other}


def bearer_of(user: User, session_id: str = SESSION) -> str:
    """The Authorization header of a user who has logged in just now."""
    conf = settings.load(stack.environment("AuthFunction"))
    text = stack.secret_text("SigningSecret")
    key = Keyring(lambda stage: text if stage == "AWSCURRENT" else None, lambda: 0.0).signing()
    token, _ = tokens.issue_access(user, session_id, key, conf, SYSTEM.now())
    return f"Bearer {token}"
