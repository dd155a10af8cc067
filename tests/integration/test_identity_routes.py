"""Every deployed route, as nobody and as every role; and one operator's keys, as another operator."""

import json
from collections import defaultdict

import httpx
import pytest

from local.open_routes import GUARDED_BY_THEIR_FUNCTION, OPEN_BY_DESIGN
from local.openapi import DOCUMENT
from tests.integration.conftest import Api, Json, People, Stack, a_key, bearer, problem
from weir.identity.roles import scopes_of

DOCUMENTED: Json = json.loads(DOCUMENT.read_text())


@pytest.fixture(scope="module")
def routes(deployed: Stack) -> list[str]:
    """Every route that API Gateway has an authorizer for, or needs none, by its own word: ``METHOD /path``.

    Those of models let callers in by themselves: ``tests/e2e`` has who is refused there, in the caller's dialect.
    """
    pages = deployed.client("apigateway").get_paginator("get_resources").paginate(restApiId=deployed.outputs["ApiId"])
    found = [
        f"{method} {one['path']}"
        for page in pages
        for one in page["items"]
        for method in one.get("resourceMethods", {})
    ]
    assert set(found) >= set(GUARDED_BY_THEIR_FUNCTION)
    return sorted(set(found) - set(GUARDED_BY_THEIR_FUNCTION))


def path_of(route: str) -> tuple[str, str]:
    """Method and path of a route, about things that are not there."""
    method, path = route.split(" ")
    values = {"user_id": "a" * 16, "key_id": "a" * 12, "provider": "none", "version": "1.0.0", "file": "not-there.bin"}
    return method, path.format_map(defaultdict(lambda: "not-there", values))


def call(route: str, who: Api, headers: dict[str, str] | None = None) -> httpx.Response:
    method, path = path_of(route)
    return who(method, path, {} if method in {"POST", "PATCH", "PUT"} else None, **(headers or {}))


def test_every_deployed_route_refuses_who_is_not_known(routes: list[str], anonymous: Api) -> None:
    # Given the routes that are deployed, When nobody calls them
    for route in routes:
        answer = call(route, anonymous)
        if route in OPEN_BY_DESIGN:
            # Then those that are open by design answer
            assert answer.status_code != 401 or "bad-" in problem(answer, 401)["type"], route
        else:
            # And all others do not
            assert answer.headers["WWW-Authenticate"] == "Bearer", route
            assert problem(answer, 401)["instance"] == f"/v1{path_of(route)[1]}", route


@pytest.mark.parametrize("role", ["member", "publisher", "operator", "admin"])
def test_every_deployed_route_opens_to_the_roles_that_bring_its_scope(
    routes: list[str], people: People, role: str
) -> None:
    # Given somebody with one role, and what the document says of each route
    user = people(role)
    for route in sorted(routes, key=lambda one: one.endswith("/auth/logout")):
        method, path = route.split(" ")
        security = DOCUMENTED["paths"][path][method.lower()]["security"]
        needed = {scope for one in security for scopes in one.values() for scope in scopes}
        # When they call it
        answer = call(route, user)
        # Then it is closed exactly where the role does not bring the scope
        if needed <= scopes_of([role]):
            assert answer.status_code not in {401, 500, 502}, (route, answer.text)
            assert "This needs the scope" not in answer.text, route
        else:
            assert "This needs the scope" in problem(answer, 403)["detail"], route


def test_a_neighbour_can_not_touch_anothers_keys(anonymous: Api, operator: Api, neighbour: Api) -> None:
    # Given an operator's key
    key = a_key(operator)
    # When another operator would list, rotate or revoke it, Then there is no such key
    assert key["key_id"] not in neighbour("GET", "/api-keys").text
    problem(neighbour("GET", f"/api-keys?owner={operator.user['user_id']}"), 403)
    problem(neighbour("POST", f"/api-keys/{key['key_id']}/rotate", {}), 404)
    problem(neighbour("DELETE", f"/api-keys/{key['key_id']}"), 404)
    assert neighbour("DELETE", f"/api-keys/{key['key_id']}?owner={operator.user['user_id']}").status_code in {403, 404}
    # And it goes on
    assert anonymous("GET", "/runs", **bearer(key["secret"])).status_code == 200
