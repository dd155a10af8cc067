"""The gateway's routes in the OpenAPI document: those of its code and of the template, none missing, each told right.

``tests/unit/gateway/test_documented.py`` holds its answers against what the document tells of them.
"""

import json
from typing import Any

import pytest

from local import openapi, openapi_models, openapi_security
from tests.contract import stack
from weir.gateway import paths
from weir.gateway.admitting import SCOPE
from weir.llm.dialects import stream_content_type
from weir.runtime.idempotency import MAX_KEY_LENGTH

DOCUMENT: dict[str, Any] = json.loads(openapi.DOCUMENT.read_text())
ROUTES = stack.streamed_routes()
each_route = pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)


def described(route: stack.Route) -> dict[str, Any]:
    found: dict[str, Any] = DOCUMENT["paths"][route.path][route.method.lower()]
    return found


def operation(route: stack.Route) -> paths.Operation:
    found = paths.matched(route.method, route.path.format(model_id="nova"))
    assert found is not None
    return found


def test_every_route_of_the_gateway_is_told_and_no_other() -> None:
    told = {
        f"{method.upper()} {path}"
        for path, methods in DOCUMENT["paths"].items()
        for method, one in methods.items()
        if openapi_models.TAG["name"] in one["tags"]
    }
    assert told == set(openapi_models.ROUTES) == {route.name for route in ROUTES}
    assert len(told) == len(paths._ROUTES) + len(paths._BEDROCK)


@each_route
def test_a_route_is_told_in_its_dialect_and_for_what_it_is(route: stack.Route) -> None:
    told, known = openapi_models.ROUTES[route.name], operation(route)
    assert (told.dialect, told.kind, told.streams) == (known.dialect, known.kind, known.stream is True)


@each_route
def test_a_routes_body_and_answer_are_json_or_the_stream_of_its_dialect(route: stack.Route) -> None:
    known, one = operation(route), described(route)
    # Given the media types of a route's answer, Then they are those that the code sends
    stream = stream_content_type(known.dialect).partition(";")[0]
    may_stream = known.kind == "complete" and known.stream is not False
    assert set(one["responses"]["200"]["content"]) == (
        {stream} if known.stream else {"application/json", stream} if may_stream else {"application/json"}
    )
    # And a body is a JSON object, free but for what the gateway reads of it, told by its provider
    assert ("requestBody" in one) == (route.method == "POST")
    if "requestBody" in one:
        schema = one["requestBody"]["content"]["application/json"]["schema"]
        assert (schema["type"], schema["additionalProperties"]) == ("object", True)
        assert schema.get("required", []) == (["model"] if known.model is None else [])
    assert one["externalDocs"]["url"].startswith("https://")


@each_route
def test_a_route_tells_who_may_call_it_and_by_which_headers(route: stack.Route) -> None:
    one = described(route)
    # Given the two headers that a credential may come in
    assert one["security"] == [{"bearer": [SCOPE]}, {"x-api-key": [SCOPE]}]
    schemes = DOCUMENT["components"]["securitySchemes"]
    assert schemes["x-api-key"]["in"] == "header"
    assert set(schemes) == {openapi_security.SCHEME, openapi_security.KEY_SCHEME}
    # And the key by which a call is made once
    keys = [parameter["schema"] for parameter in one["parameters"] if parameter["name"] == "Idempotency-Key"]
    is_keyed = operation(route).kind in {"complete", "embed"}
    assert [key["maxLength"] for key in keys] == ([MAX_KEY_LENGTH] if is_keyed else [])
    assert ("409" in one["responses"]) == is_keyed


@each_route
def test_a_routes_failures_are_told_in_its_dialect(route: stack.Route) -> None:
    own = {"anthropic": "AnthropicError", "openai": "OpenaiError"}.get(operation(route).dialect, "BedrockError")
    answers = described(route)["responses"]
    failures = {status: one for status, one in answers.items() if status != "200"}
    assert {"401", "403", "500", "503", "default"} <= set(failures)
    assert route.method == "GET" or {"400", "402", "404", "413", "429", "502", "504", "529"} <= set(failures)
    for one in failures.values():
        assert one["content"]["application/json"] == {"schema": {"$ref": f"#/components/schemas/{own}"}}
    # And every answer bears the request's id
    assert all("X-Request-Id" in one["headers"] for one in answers.values())
    # And a refusal by a cap says when to come again, and that a client shall not by itself
    if "429" in failures:
        assert {"Retry-After", "X-Should-Retry"} <= set(failures["429"]["headers"])
