"""Every route without the authorizer's word, by an API key, and by somebody who must change their password first.

The authorizer lets whoever is known through to every route; that a function looks again is what is held here, with the
context that the authorizer hands it.
"""

import json
from typing import Any, get_args

import pytest

from tests.contract import stack
from tests.contract.account import Account
from tests.contract.requests import a_request, said_of
from tests.contract.test_routes import FOR_A_TOKEN
from weir.identity.roles import FOR_PEOPLE, Role, scopes_of
from weir.runtime import http

ROUTES = [route for route in stack.routes() if not route.is_open]
ROLES: tuple[str, ...] = get_args(Role)
each_route = pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)


@pytest.fixture(scope="module")
def users(aws: Account) -> dict[str, str]:
    """Ids of stored users, by the one role that they have; another admin is there too, so that none is the last."""
    aws.user("admin")
    return {role: aws.user(role).user_id for role in ROLES}


def told(answer: dict[str, Any], status: int) -> dict[str, Any]:
    assert answer["statusCode"] == status, answer["body"]
    problem: dict[str, Any] = json.loads(answer["body"])
    return problem


@each_route
def test_nobody_is_let_in_without_the_authorizers_word(aws: Account, route: stack.Route) -> None:
    # Given an event that no authorizer has seen, or that names a user and no credential
    for nobody in (None, {}, {"sub": "aaaabbbbccccdddd", "roles": "admin", "scopes": " ".join(scopes_of(["admin"]))}):
        # When it comes, Then it is refused, whatever its headers say
        sent = a_request(route, nobody)
        sent["headers"] = {**sent["headers"], "Authorization": "Bearer x", "X-Roles": "admin"}
        assert told(aws.call(route.function, sent), 401)["type"].startswith(http.PROBLEM_TYPE)


@pytest.mark.parametrize("name", sorted(FOR_A_TOKEN))
def test_a_key_opens_no_route_that_could_let_others_in(aws: Account, users: dict[str, str], name: str) -> None:
    # Given an admin's key with all that a key may hold, and one that was given more than that
    (route,) = [one for one in ROUTES if one.name == name]
    for more in (frozenset[str](), frozenset[str](FOR_PEOPLE)):
        scopes = " ".join(scopes_of(["admin"]) - FOR_PEOPLE | more)
        caller = said_of(users["admin"], "admin", credential="key", credential_id="aaaabbbbcccc", scopes=scopes)
        # When it comes to a route for people, Then it is refused
        told(aws.call(route.function, a_request(route, caller)), 403)


@each_route
def test_who_must_change_their_password_can_do_nothing_else(
    aws: Account, users: dict[str, str], route: stack.Route
) -> None:
    # Given an admin who must change their password, even one whose token was given scopes
    caller = said_of(users["admin"], "admin", must_change_password="true")
    # When they call a route, Then only those that lead out of it are open
    answer = aws.call(route.function, a_request(route, caller))
    if route.name in {"GET /auth/me", "POST /auth/password", "POST /auth/logout"}:
        assert answer["statusCode"] in {200, 422}, answer["body"]
    else:
        assert told(answer, 403)["type"].endswith("password-change-needed")
