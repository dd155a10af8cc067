"""Every route as every role: who gets in, by a table written by hand, not by what the handlers say they need.

As the owner's neighbour they are tried in ``tests/integration/test_neighbours.py``, on things that are there.
"""

import json
from typing import Any

import pytest

from tests.contract import ownership, stack
from tests.contract.account import Account
from weir.identity.roles import FOR_PEOPLE, SCOPES, scopes_of, scopes_of_key

EVERYBODY = {"admin", "operator", "publisher", "member"}
OPERATORS = {"admin", "operator"}
PUBLISHERS = {"admin", "publisher"}
ADMINS = {"admin"}
PUBLIC = {
    *("GET /health", "GET /health/aws", "GET /health/llm"),
    *("POST /auth/login", "POST /auth/refresh", "POST /auth/register", "POST /auth/token", "GET /auth/providers"),
    *("GET /auth/oauth/{provider}/authorize", "GET /auth/oauth/{provider}/callback"),
}
ABOUT_ONESELF = {"GET /auth/me", "POST /auth/logout", "POST /auth/password"}
MAY = {
    "POST /streams": OPERATORS,
    "GET /streams": EVERYBODY,
    "GET /streams/{name}": EVERYBODY,
    "PATCH /streams/{name}": OPERATORS,
    "DELETE /streams/{name}": OPERATORS,
    "GET /streams/{name}/shards": EVERYBODY,
    "POST /streams/{name}/records": OPERATORS,
    "GET /streams/{name}/records": EVERYBODY,
    "GET /streams/{name}/metrics": EVERYBODY,
    "GET /limits": EVERYBODY,
    "POST /runs": OPERATORS,
    "POST /runs/sources": OPERATORS,
    "GET /runs": EVERYBODY,
    "GET /runs/{run_id}": EVERYBODY,
    "GET /runs/{run_id}/report": EVERYBODY,
    "POST /runs/{run_id}/stop": OPERATORS,
    "POST /api-keys": EVERYBODY,
    "GET /api-keys": EVERYBODY,
    "DELETE /api-keys/{key_id}": EVERYBODY,
    "POST /api-keys/{key_id}/rotate": EVERYBODY,
    "GET /users": ADMINS,
    "POST /users": ADMINS,
    "GET /users/{user_id}": ADMINS,
    "PATCH /users/{user_id}": ADMINS,
    "DELETE /users/{user_id}": ADMINS,
    "GET /audit": ADMINS,
    "POST /packages": PUBLISHERS,
    "GET /packages": EVERYBODY,
    "GET /packages/audit": EVERYBODY,
    "GET /packages/unverified": ADMINS,
    "DELETE /packages/unverified": ADMINS,
    "GET /packages/{name}": EVERYBODY,
    "PATCH /packages/{name}": PUBLISHERS,
    "GET /packages/{name}/versions": EVERYBODY,
    "PUT /packages/{name}/aliases/{alias}": PUBLISHERS,
    "DELETE /packages/{name}/aliases/{alias}": PUBLISHERS,
    "GET /packages/{name}/{version}": EVERYBODY,
    "DELETE /packages/{name}/{version}": ADMINS,
    "GET /packages/{name}/{version}/audit": EVERYBODY,
    "POST /packages/{name}/{version}/yank": PUBLISHERS,
    "POST /packages/{name}/{version}/unyank": PUBLISHERS,
    "POST /packages/{name}/{version}/uploads": PUBLISHERS,
    "GET /packages/{name}/{version}/uploads/{upload_id}": EVERYBODY,
    "DELETE /packages/{name}/{version}/uploads/{upload_id}": PUBLISHERS,
    "POST /packages/{name}/{version}/uploads/{upload_id}/parts": PUBLISHERS,
    "POST /packages/{name}/{version}/uploads/{upload_id}/commit": PUBLISHERS,
    "GET /packages/{name}/{version}/files/{file}/download": EVERYBODY,
    "POST /packages/{name}/{version}/validate": PUBLISHERS,
    "GET /packages/{name}/{version}/score": EVERYBODY,
    "PUT /packages/{name}/{version}/signature": PUBLISHERS,
    "GET /packages/{name}/{version}/signature": EVERYBODY,
    "POST /packages/public-keys": ADMINS,
    "GET /packages/public-keys": EVERYBODY,
    "DELETE /packages/public-keys/{key_id}": ADMINS,
    "POST /packages/import": PUBLISHERS,
    "GET /packages/imports/{import_id}": EVERYBODY,
    "POST /analyses": OPERATORS,
    "GET /analyses": EVERYBODY,
    "GET /analyses/{analysis_id}": EVERYBODY,
    "DELETE /analyses/{analysis_id}": OPERATORS,
    "GET /prompts": EVERYBODY,
    "POST /prompts": OPERATORS,
    "GET /prompts/{prompt_id}": EVERYBODY,
    "PUT /prompts/{prompt_id}": OPERATORS,
    "DELETE /prompts/{prompt_id}": OPERATORS,
    "POST /prompts/{prompt_id}/render": EVERYBODY,
    "POST /analyses/{analysis_id}/questions": EVERYBODY,
    "GET /models/prices": ADMINS,
    "POST /models/prices": ADMINS,
    "GET /models/prices/{price_id}": ADMINS,
    "PUT /models/prices/{price_id}": ADMINS,
    "DELETE /models/prices/{price_id}": ADMINS,
    "GET /models/providers": ADMINS,
    "POST /models/providers": ADMINS,
    "GET /models/providers/{name}": ADMINS,
    "PUT /models/providers/{name}": ADMINS,
    "DELETE /models/providers/{name}": ADMINS,
    "GET /models/routes": ADMINS,
    "POST /models/routes": ADMINS,
    "GET /models/routes/{model}": ADMINS,
    "PUT /models/routes/{model}": ADMINS,
    "DELETE /models/routes/{model}": ADMINS,
    "POST /models/prices/import": ADMINS,
    "GET /models/audit": ADMINS,
    "GET /usage/records": EVERYBODY,
    "GET /usage/summaries": EVERYBODY,
    "GET /usage/caps": EVERYBODY,
    "POST /usage/caps": ADMINS,
    "GET /usage/caps/status": EVERYBODY,
    "GET /usage/caps/{cap_id}": ADMINS,
    "PUT /usage/caps/{cap_id}": ADMINS,
    "DELETE /usage/caps/{cap_id}": ADMINS,
    "GET /usage/audit": ADMINS,
}
VALUES = {"user_id": "nothing2nothing3", "key_id": "0" * 64}
BODIES = {"POST /packages/public-keys": {"label": "a key", "public_key": "none"}}
"""Bodies of admins' routes whose scope others have too: what is refused for its body tells nothing of who may call."""

QUERIES = {"DELETE /packages/unverified": {"key": "nothing"}}
"""Likewise."""

ROUTES = {f"{route.method} {route.path}": route for route in stack.routes()}
each_route = pytest.mark.parametrize("name", [name for name in ROUTES if name not in PUBLIC])


def ask(aws: Account, name: str, caller: dict[str, str]) -> dict[str, Any]:
    """A request about what is not there, by a caller whom the authorizer let in."""
    route = ROUTES[name]
    parameters = {one: VALUES.get(one, "nothing") for one in route.parameters}
    headers = {"Content-Type": "application/json"} if name in BODIES else {}
    query = QUERIES.get(name)
    path = route.path.format(**parameters)
    event = {
        "resource": route.path,
        "path": path,
        "httpMethod": route.method,
        "headers": headers,
        "multiValueHeaders": {key: [value] for key, value in headers.items()},
        "body": json.dumps(BODIES[name]) if name in BODIES else None,
        "queryStringParameters": query,
        "multiValueQueryStringParameters": query and {key: [value] for key, value in query.items()},
        "pathParameters": parameters or None,
        "requestContext": {
            "stage": "v1",
            "requestId": "r",
            "path": f"/v1{path}",
            "authorizer": caller,
            "identity": {"sourceIp": "192.0.2.1", "userAgent": "test"},
        },
    }
    answer: dict[str, Any] = aws.call(route.function, event)
    return answer


def person(*roles: str, **changes: str) -> dict[str, str]:
    """What the authorizer says of a user with these roles."""
    return {
        "sub": "ann2ann3ann4ann5",
        "username": "ann",
        "roles": " ".join(roles),
        "groups": "",
        "scopes": " ".join(scopes_of(roles)),
        "credential": "token",
        "credential_id": "session2session3",
        "must_change_password": "false",
        **changes,
    }


@pytest.fixture(scope="module", autouse=True)
def people(aws: Account) -> None:
    """Each is there, with the role that the caller brings; and another admin, so that none is the last."""
    aws.user("admin")
    for role in EVERYBODY:
        aws.user(role, user_id=id_of(role))


def id_of(role: str) -> str:
    """The id of a stored user with a role."""
    return (role * 16)[:16]


def test_every_route_is_told_here() -> None:
    assert set(ROUTES) == PUBLIC | ABOUT_ONESELF | set(MAY)


def test_every_route_about_one_thing_is_its_owners_or_everybodys_or_the_admins_alone() -> None:
    about_one = {name for name, may in MAY.items() if ROUTES[name].parameters and may != ADMINS}
    assert about_one == ownership.OWNED | ownership.EVERYBODYS
    assert not ownership.OWNED & ownership.EVERYBODYS


@each_route
@pytest.mark.parametrize("role", sorted(EVERYBODY))
def test_a_role_opens_its_routes_and_no_other(aws: Account, name: str, role: str) -> None:
    status = ask(aws, name, person(role, sub=id_of(role)))["statusCode"]
    if role in MAY.get(name, EVERYBODY):
        assert status not in {401, 403}
    else:
        assert status == 403


def test_a_key_holds_no_more_than_its_owner_does_today() -> None:
    # Given a key made by an operator, who has become a member since
    made_with = scopes_of(["operator"])
    assert "runs:write" in scopes_of_key(made_with, ["operator"])
    assert "runs:write" not in scopes_of_key(made_with, ["member"])
    assert not scopes_of_key(made_with, [])
    assert not scopes_of_key(scopes_of(["admin"]), ["admin"]) & FOR_PEOPLE


def test_an_unknown_role_brings_nothing() -> None:
    assert scopes_of(["root", "Admin", "admin "]) == frozenset()
    assert set(SCOPES) == EVERYBODY
