"""Who may call which route: the template and the handlers say the same, and leave nothing out."""

from pathlib import Path
from typing import Any

import pytest

from local import openapi, openapi_security
from local.open_routes import OPEN_BY_DESIGN, open_routes
from tests.contract import stack
from weir.identity import roles
from weir.runtime import http

ROUTES = {route.name: route for route in stack.routes()}
HANDLERS = [(source, module.NEEDS) for source, module in openapi.handlers()]
NEEDS: dict[str, str] = {name: need for _, needs in HANDLERS for name, need in needs.items()}
each_route = pytest.mark.parametrize("name", ROUTES)

FOR_A_TOKEN = {
    *("POST /auth/logout", "POST /auth/password"),
    *("POST /api-keys", "GET /api-keys", "DELETE /api-keys/{key_id}", "POST /api-keys/{key_id}/rotate"),
    *("POST /users", "PATCH /users/{user_id}", "DELETE /users/{user_id}"),
}
"""Routes that no API key opens: a key that leaks must not be able to make others, or let anybody in."""

SECONDS = {"login": 0.1, "password": 0.2, "register": 0.1, "authorize": 20, "callback": 20}
"""How long a request takes that hashes (twice, for a change), or waits for a provider that hangs."""

CONCURRENCY = 1_000
"""An account's usual quota: https://docs.aws.amazon.com/lambda/latest/dg/lambda-concurrency.html"""


def test_every_route_of_the_template_is_named_by_the_one_handler_behind_it() -> None:
    named = [(name, source.parent.name) for source, needs in HANDLERS for name in needs]
    assert sorted(named) == sorted((route.name, stack.folder(route.function)) for route in ROUTES.values())


@each_route
def test_a_route_asks_for_a_scope_that_some_role_brings_or_says_that_it_asks_for_none(name: str) -> None:
    known = {scope for scopes in roles.SCOPES.values() for scope in scopes}
    assert NEEDS[name] in known | {http.PUBLIC, http.SIGNED_IN}


@each_route
def test_a_route_is_open_exactly_where_it_is_meant_to_be(name: str) -> None:
    # Given the routes that anybody may call, each by its name
    # Then they and no other have no authorizer, and need nothing
    assert ROUTES[name].is_open == (name in OPEN_BY_DESIGN) == (NEEDS[name] == http.PUBLIC)


def test_nothing_but_what_is_meant_to_be_is_open() -> None:
    assert set(ROUTES) >= OPEN_BY_DESIGN
    assert open_routes(stack.template()) == []


def test_every_route_belongs_to_the_one_api_with_the_authorizer() -> None:
    # Given that the API's authorizer guards every route of it which does not say otherwise
    ((api, _),) = stack.resources("AWS::Serverless::Api").items()
    assert stack.authorizer() in stack.functions()
    # Then every route is of that API, and what one says is that it is open
    for function in stack.functions():
        for event in stack.events(function).values():
            if event["Type"] == "Api":
                assert event["Properties"]["RestApiId"] == {"Ref": api}
                assert event["Properties"].get("Auth", {}) in ({}, {"Authorizer": "NONE"})
    # And there is no other way in: no second API, no function with a URL of its own
    kinds = {one["Type"] for one in stack.template()["Resources"].values()}
    assert not kinds & {"AWS::Serverless::HttpApi", "AWS::ApiGateway::RestApi", "AWS::Lambda::Url"}
    assert not [name for name, one in stack.functions().items() if "FunctionUrlConfig" in one]


def test_the_authorizers_decisions_are_not_kept_by_api_gateway() -> None:
    # A use that is counted must be counted at every request.
    (api,) = stack.resources("AWS::Serverless::Api").values()
    (authorizer,) = api["Properties"]["Auth"]["Authorizers"].values()
    assert authorizer["FunctionPayloadType"] == "REQUEST"
    assert authorizer["Identity"] == {"ReauthorizeEvery": 0}


@pytest.mark.parametrize("kind", ["UNAUTHORIZED", "ACCESS_DENIED", "AUTHORIZER_FAILURE", "THROTTLED"])
def test_what_api_gateway_refuses_itself_is_told_as_a_problem(kind: str) -> None:
    told = stack.gateway_response(kind)
    assert told["ResponseParameters"]["Headers"]["Content-Type"] == f"'{http.PROBLEM}'"
    assert told["ResponseParameters"]["Headers"]["X-Request-Id"] == "context.requestId"
    template = told["ResponseTemplates"]["application/json"]
    for member in ("type", "title", "status", "detail", "instance", "request_id"):
        assert f'"{member}":' in template
    assert f'"status":{told["StatusCode"]},' in template


def test_what_takes_long_has_a_rate_of_its_own_that_leaves_others_most_of_the_concurrency() -> None:
    # Given what somebody who floods a route can keep busy: its rate times its time, and its burst
    (api,) = stack.resources("AWS::Serverless::Api").values()
    throttled = {
        one["ResourcePath"].replace("~1", "/").replace("//", "/"): (
            one["ThrottlingRateLimit"] * SECONDS.get(one["ResourcePath"].rpartition("~1")[2], 0),
            one["ThrottlingBurstLimit"],
        )
        for one in api["Properties"]["MethodSettings"]
    }
    everything = throttled.pop("/*")
    assert everything[1] < CONCURRENCY / 2
    # Then it is what hashes and what waits for a provider, each a fifth of the account's at most
    assert {path.rpartition("/")[2] for path in throttled} == set(SECONDS)
    assert all(max(busy) <= CONCURRENCY / 5 for busy in throttled.values())


@pytest.mark.parametrize("path", ["/auth/refresh", "/auth/token"])
def test_what_renews_tokens_shares_the_rate_of_all_routes(path: str) -> None:
    # A rate of its own that all callers share would let one who uses it up end the sessions of all others.
    (api,) = stack.resources("AWS::Serverless::Api").values()
    assert f"POST {path}" in ROUTES
    assert not [one for one in api["Properties"]["MethodSettings"] if path.replace("/", "~1") in one["ResourcePath"]]


def test_the_document_tells_who_may_call_what() -> None:
    described = openapi.document()
    for name, need in NEEDS.items():
        method, path = name.split(" ")
        operation: dict[str, Any] = described["paths"][path][method.lower()]
        scopes = [] if need == http.SIGNED_IN else [need]
        assert operation["security"] == ([] if need == http.PUBLIC else [{"bearer": scopes}])
        if need != http.PUBLIC:
            assert {"401", "403"} <= set(operation["responses"])


def test_the_document_has_the_words_that_the_handlers_have() -> None:
    assert (openapi_security.PUBLIC, openapi_security.SIGNED_IN) == (http.PUBLIC, http.SIGNED_IN)


def test_the_routes_for_tokens_alone_are_there() -> None:
    assert set(ROUTES) >= FOR_A_TOKEN


def test_every_handler_with_routes_is_looked_at() -> None:
    behind = {stack.folder(route.function) for route in ROUTES.values()}
    assert {Path(source).parent.name for source, _ in HANDLERS} == behind
