"""The edge: every error becomes a problem, nothing leaks, and each answer can be found in the log again."""

import json
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import pytest
from aws_lambda_powertools.event_handler import APIGatewayRestResolver
from aws_lambda_powertools.event_handler.openapi.params import Path, Query
from pydantic import BaseModel, Field

from tests.unit.runtime.conftest import Configure, Context, Logged
from weir.runtime import errors, http
from weir.runtime.errors import FieldError, WeirError

SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:signing"
Call = Callable[..., dict[str, Any]]
OPERATOR = {"sub": "ann", "scopes": "orders:read orders:write", "credential": "token", "credential_id": "s1"}
NEEDS = {
    "GET /fail": http.PUBLIC,
    "POST /orders": "orders:write",
    "GET /orders/{name}": "orders:read",
    "GET /broken": http.SIGNED_IN,
}


def subclasses(of: type[WeirError]) -> Iterator[type[WeirError]]:
    for one in of.__subclasses__():
        if one.__module__ == errors.__name__:
            yield one
            yield from subclasses(one)


class Order(BaseModel):
    """A body with a field of each common kind."""

    shards: int = Field(ge=1)
    mode: str = Field(pattern="^[A-Z]+$")
    deep: dict[str, int] = Field(default_factory=dict)


class Answer(BaseModel):
    """What the route promises."""

    shards: int


def event(method: str, path: str, body: str | None = None, **changes: Any) -> dict[str, Any]:
    """API Gateway's proxy event (REST)."""
    headers = {"Content-Type": "application/json", **changes.pop("headers", {})}
    context = {"requestId": "gateway-1", "path": f"/v1{path}", "stage": "v1", "authorizer": OPERATOR}
    return {
        "httpMethod": method,
        "path": path,
        "resource": changes.pop("resource", path),
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "queryStringParameters": changes.pop("query", None),
        "multiValueQueryStringParameters": None,
        "pathParameters": None,
        "body": body,
        "isBase64Encoded": False,
        "requestContext": {**context, **changes.pop("request_context", {})},
        **changes,
    }


@pytest.fixture
def raised() -> list[Exception]:
    """What the route /fail raises."""
    return []


@pytest.fixture
def call(configure: Configure, context: Context, raised: list[Exception]) -> Call:
    """The handler of a small app, wired as every handler is."""
    configure()
    app = APIGatewayRestResolver(
        enable_validation=True, response_validation_error_http_code=500, json_body_deserializer=http.strict_json
    )
    http.wire(app)

    @app.get("/fail")
    def fail() -> Answer:
        raise raised[0]

    @app.post("/orders")
    def order(body: Order) -> Answer:
        return Answer(shards=body.shards)

    @app.get("/orders/<name>")
    def show(name: Annotated[str, Path(max_length=5)], limit: Annotated[int, Query(ge=1, le=200)] = 50) -> Answer:
        return Answer(shards=limit)

    @app.get("/broken")
    def broken() -> Answer:
        return {"shards": SECRET}  # type: ignore[return-value]

    @app.get("/forgotten")
    def forgotten() -> Answer:
        return Answer(shards=1)

    handler = http.entry(app, NEEDS, most_bytes=100_000)
    return lambda *args, **changes: handler(event(*args, **changes), context)


def problem_of(answer: dict[str, Any]) -> dict[str, Any]:
    """The answer's problem document, which must be one in every respect."""
    assert answer["multiValueHeaders"]["Content-Type"] == [http.PROBLEM]
    document: dict[str, Any] = json.loads(answer["body"])
    assert document["status"] == answer["statusCode"]
    assert document["type"].startswith(http.PROBLEM_TYPE)
    assert document["request_id"] == answer["multiValueHeaders"]["X-Request-Id"][0]
    assert document["instance"].startswith("/v1/")
    return document


@pytest.mark.parametrize("type_", list(subclasses(WeirError)), ids=lambda one: one.__name__)
def test_every_error_is_a_problem_of_its_own_status(
    type_: type[WeirError], call: Call, raised: list[Exception]
) -> None:
    # Given a route that raises it
    raised.append(type_("what went wrong, and what to do", retry_after=7, queue="full"))
    # When called
    answer = call("GET", "/fail")
    # Then status, slug, title, detail and members are the error's
    document = problem_of(answer)
    assert answer["statusCode"] == type_.status
    assert document["type"] == http.PROBLEM_TYPE + type_.slug
    assert (document["title"], document["detail"]) == (type_.title, "what went wrong, and what to do")
    assert document["queue"] == "full"
    assert answer["multiValueHeaders"]["Retry-After"] == ["7"]


def test_statuses_and_slugs_are_one_each() -> None:
    # Given the whole tree / Then no two errors share a slug, and no two families a status
    tree = list(subclasses(WeirError))
    assert len(tree) == len({one.slug for one in tree}) == 14
    assert len({one.status for one in tree if one.__base__ is WeirError}) == 13


def test_without_a_wait_there_is_no_retry_after(call: Call, raised: list[Exception]) -> None:
    raised.append(errors.Conflict("taken"))
    assert "Retry-After" not in call("GET", "/fail")["multiValueHeaders"]


def test_fields_are_told(call: Call, raised: list[Exception]) -> None:
    raised.append(errors.Invalid("no", errors=[FieldError("load.rate", "too high")]))
    assert problem_of(call("GET", "/fail"))["errors"] == [{"field": "load.rate", "message": "too high"}]


def test_the_unexpected_is_a_500_that_tells_nothing_of_its_inside(
    call: Call, raised: list[Exception], logged: Logged
) -> None:
    # Given a route that fails with words that nobody outside may read
    raised.append(RuntimeError(f"could not read {SECRET}"))
    # When called
    answer = call("GET", "/fail")
    # Then the caller gets an id to ask with, and the log has the trace under the same id
    document = problem_of(answer)
    assert answer["statusCode"] == 500
    assert SECRET not in answer["body"]
    assert "Traceback" not in answer["body"]
    assert "RuntimeError" not in answer["body"]
    (told,) = (line for line in logged() if line["level"] == "ERROR")
    assert told["request_id"] == document["request_id"]
    assert "Traceback" in told["exception"]


def test_an_answer_that_breaks_its_schema_is_a_500_without_the_answer(call: Call, logged: Logged) -> None:
    answer = call("GET", "/broken")
    assert answer["statusCode"] == 500
    assert SECRET not in answer["body"]
    assert problem_of(answer)["type"] == http.PROBLEM_TYPE + "internal"
    # And the log tells where it broke it, without the answer, which may hold a token
    (told,) = (line for line in logged() if line["level"] == "ERROR")
    assert [error["type"] for error in told["errors"]] == ["int_parsing"]
    assert "shards" in told["errors"][0]["loc"]
    assert SECRET not in json.dumps(told)


def test_a_resolver_that_fails_itself_still_answers_a_problem(configure: Configure, context: Context) -> None:
    # Given an app that can't even resolve
    configure()

    class Broken:
        def resolve(self, *_: Any) -> dict[str, Any]:
            raise RuntimeError(SECRET)

    # When called / Then the answer is a problem with an id
    answer = http.entry(Broken(), {"GET /x": http.PUBLIC})(event("GET", "/x"), context)  # type: ignore[arg-type]
    assert problem_of(answer)["status"] == 500
    assert SECRET not in answer["body"]


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({"mode": "A"}, ["shards"]),
        ({"shards": 0, "mode": "a"}, ["shards", "mode"]),
        ({"shards": 1, "mode": "A", "deep": {"x": "y"}}, ["deep.x"]),
        ([1], ["body"]),
    ],
)
def test_each_wrong_field_is_named(body: Any, fields: list[str], call: Call) -> None:
    # Given a body with wrong fields / When posted / Then 422 names each, and says why
    answer = call("POST", "/orders", json.dumps(body))
    document = problem_of(answer)
    assert answer["statusCode"] == 422
    assert [one["field"] for one in document["errors"]] == fields
    assert all(one["message"] for one in document["errors"])
    assert fields[0] in document["detail"]


def test_a_wrong_value_is_not_sent_back(call: Call) -> None:
    # Given a value in the wrong field that may be a secret
    answer = call("POST", "/orders", json.dumps({"shards": SECRET, "mode": "A"}))
    assert answer["statusCode"] == 422
    assert SECRET not in answer["body"]


def test_path_and_query_are_named_too(call: Call) -> None:
    answer = call("GET", "/orders/too-long", resource="/orders/{name}", query={"limit": "500"})
    assert {one["field"] for one in problem_of(answer)["errors"]} == {"name", "limit"}


@pytest.mark.parametrize("body", ["{", "{'shards': 1}", '{"shards": 1,}', "\x00"])
def test_malformed_json_is_a_400(body: str, call: Call) -> None:
    answer = call("POST", "/orders", body)
    assert answer["statusCode"] == 400
    assert problem_of(answer)["detail"] == "The body is not valid JSON."


def test_a_missing_body_is_a_422(call: Call) -> None:
    assert call("POST", "/orders", None)["statusCode"] == 422


def test_another_content_type_is_a_415(call: Call) -> None:
    answer = call("POST", "/orders", "shards=1", headers={"Content-Type": "text/csv"})
    assert answer["statusCode"] == 415
    assert problem_of(answer)["type"] == http.PROBLEM_TYPE + "unsupported-media-type"


@pytest.mark.parametrize(("method", "path"), [("GET", "/nowhere"), ("DELETE", "/orders"), ("GET", "/orders/a/b")])
def test_an_unknown_route_is_a_404(method: str, path: str, call: Call) -> None:
    answer = call(method, path)
    assert answer["statusCode"] == 404
    assert f"{method} {path}" in problem_of(answer)["detail"]


@pytest.mark.parametrize("name", ["X-Request-Id", "x-request-id"])
def test_the_callers_request_id_is_echoed(name: str, call: Call) -> None:
    answer = call("POST", "/orders", '{"shards": 1, "mode": "A"}', headers={name: "order-7:a.b_c"})
    assert answer["statusCode"] == 200
    assert answer["multiValueHeaders"]["X-Request-Id"] == ["order-7:a.b_c"]


@pytest.mark.parametrize(
    "given", ["a\r\nSet-Cookie: x=1", "a\n", "", "a b", "<script>", "ü", "x" * 129, 'a","level":"ERROR', "${jndi}"]
)
def test_a_request_id_that_could_do_harm_is_replaced(given: str, call: Call) -> None:
    # Given an id that would break a header or a log line / Then API Gateway's own takes its place
    answer = call("GET", "/orders/a", headers={"X-Request-Id": given})
    assert answer["multiValueHeaders"]["X-Request-Id"] == ["gateway-1"]


def test_without_any_request_id_one_is_made_and_used_everywhere(
    call: Call, raised: list[Exception], logged: Logged
) -> None:
    # Given an event without ids
    raised.append(errors.NotFound("not there"))
    # When it fails
    answer = call("GET", "/fail", request_context={"requestId": None})
    # Then header, problem and log tell the same new one
    made = answer["multiValueHeaders"]["X-Request-Id"][0]
    assert len(made) == 36
    assert problem_of(answer)["request_id"] == made
    assert {line["request_id"] for line in logged()} == {made}


def test_the_request_is_counted_by_route_and_not_by_path(call: Call, capsys: pytest.CaptureFixture[str]) -> None:
    # Given a route with a name in it / When it is called with a wrong one
    call("GET", "/orders/too-long", resource="/orders/{name}")
    # Then the metric's dimension is the route, so that names don't make metrics
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    emf = next(line for line in lines if "_aws" in line)
    assert emf["Route"] == "GET /orders/{name}"
    assert (emf["Requests"], emf["ClientErrors"], emf["ServerErrors"]) == ([1], [1], [0])
    assert emf["Latency"][0] > 0


def test_the_principal_comes_from_the_authorizer_alone() -> None:
    # Given an event with a verified caller, and headers that claim another
    verified = {"sub": "user-1", "roles": "admin reader", "scopes": "runs:write", "groups": "", "username": "ann"}
    verified |= {"credential": "key", "credential_id": "k1", "must_change_password": "true"}
    told = event("GET", "/x", headers={"sub": "user-2", "roles": "admin"}, request_context={"authorizer": verified})
    caller = http.principal(told)
    granted = (frozenset({"admin", "reader"}), frozenset[str](), frozenset({"runs:write"}))
    assert caller == http.Principal("user-1", *granted, "ann", "key", "k1", True)
    assert caller.is_admin
    # Then without an authorizer nobody is granted anything
    for nobody in (None, {}, {"roles": "admin"}):
        anonymous = http.principal({"requestContext": {"authorizer": nobody}, "headers": {"sub": "admin"}})
        assert anonymous == http.Principal("anonymous")
        assert not anonymous.is_admin
    assert http.principal({}) == http.Principal()


def test_where_a_request_came_from_is_what_api_gateway_saw() -> None:
    # Given a caller that claims another address in a header, and a very long agent
    identity = {"sourceIp": "192.0.2.7", "userAgent": "a" * 1000}
    claimed = {"X-Forwarded-For": "10.0.0.1", "X-Request-Id": "somebody-elses"}
    told = event("GET", "/x", headers=claimed, request_context={"identity": identity})
    # Then the connection's address and the gateway's id count, and the agent is cut
    assert http.origin(told) == http.Origin("192.0.2.7", "a" * 256, "gateway-1")
    assert http.origin({}).source_ip == "unknown"


NOBODY: dict[str, str] = {}
BAD_ORDER = json.dumps({"shards": 0, "mode": "A"})


@pytest.mark.parametrize(
    ("caller", "status", "slug"),
    [
        (NOBODY, 401, "unauthenticated"),
        ({"sub": "ann"}, 401, "unauthenticated"),  # a principal that nothing has verified
        (OPERATOR | {"scopes": "orders:read"}, 403, "forbidden"),
        (OPERATOR | {"scopes": ""}, 403, "forbidden"),
        (OPERATOR | {"scopes": "orders:writes xorders:write"}, 403, "forbidden"),
        (OPERATOR | {"must_change_password": "true"}, 403, "password-change-needed"),
        (OPERATOR, 422, "invalid"),
    ],
)
def test_who_may_not_call_a_route_learns_nothing_of_its_fields(
    call: Call, caller: dict[str, str], status: int, slug: str
) -> None:
    # Given a body that is wrong / When it is sent / Then only who may send one is told so
    answer = call("POST", "/orders", BAD_ORDER, request_context={"authorizer": caller})
    document = problem_of(answer)
    assert (document["status"], document["type"]) == (status, http.PROBLEM_TYPE + slug)
    assert ("errors" in document) == (status == 422)
    assert answer["multiValueHeaders"].get("WWW-Authenticate") == (["Bearer"] if status == 401 else None)


def test_what_is_about_the_caller_alone_needs_no_scope(call: Call) -> None:
    # Given a route for whoever is signed in
    nothing_granted = OPERATOR | {"scopes": "", "must_change_password": "true"}
    # Then it is reached (and fails for reasons of its own), but by nobody who is not
    assert call("GET", "/broken", request_context={"authorizer": nothing_granted})["statusCode"] == 500
    assert call("GET", "/broken", request_context={"authorizer": NOBODY})["statusCode"] == 401


@pytest.mark.parametrize("path", ["/forgotten", "/nowhere"])
def test_a_route_that_nobody_has_thought_about_is_open_to_nobody(call: Call, path: str) -> None:
    # Given a route that the handler has and does not name, and one that it does not have
    assert call("GET", path, request_context={"authorizer": NOBODY})["statusCode"] == 401
    assert "No route GET" in problem_of(call("GET", path))["detail"]
    assert call("GET", path)["statusCode"] == 404


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        ('{"shards": 1, "mode": "A", "shards": 2}', 400, "'shards' stands twice"),
        ('{"shards": 1, "mode": "A", "deep": {"x": 1, "x": 2}}', 400, "'x' stands twice"),
        ('{"shards": NaN, "mode": "A"}', 400, "NaN"),
        ("[" * 40_000, 400, "nested too deeply"),
        ('{"a":' * 15_000, 400, "nested too deeply"),
        (json.dumps({"mode": "A" * 100_000}), 413, "100,000 bytes"),
        (json.dumps({"mode": "\N{PILE OF POO}" * 30_000}, ensure_ascii=False), 413, "100,000 bytes"),
        ('{"shards": ' + "9" * 5_000 + "}", 400, "too many digits"),
        ("{", 400, "not valid JSON"),
        ("\x00", 400, "not valid JSON"),
    ],
)
def test_bodies_made_to_confuse_are_refused(call: Call, body: str, status: int, told: str) -> None:
    document = problem_of(call("POST", "/orders", body))
    assert document["status"] == status
    assert told in document["detail"]


def test_only_admins_pass_where_admins_are_asked() -> None:
    http.require_admin(http.Principal("a", frozenset({"admin"})), "delete with force")
    with pytest.raises(errors.Forbidden, match="delete with force"):
        http.require_admin(http.Principal("a", frozenset({"administrator"})), "delete with force")


@pytest.mark.parametrize(
    ("context", "link"),
    [
        ({"stage": "v1", "path": "/v1/runs"}, "/v1/runs/7"),
        ({"stage": "v1", "path": "/runs"}, "/runs/7"),
        ({"stage": "v1", "path": "/v10/runs"}, "/runs/7"),
        ({}, "/runs/7"),
    ],
)
def test_links_hold_the_stage_as_the_caller_sees_it(context: dict[str, str], link: str) -> None:
    assert http.link({"requestContext": context}, "/runs/7") == link


def test_headers_are_found_in_any_case() -> None:
    assert http.header({"headers": {"ACCEPT": "text/html"}}, "Accept") == "text/html"
    assert http.header({"headers": {"accept": None}}, "Accept") is None
    assert http.header({"headers": None}, "Accept") is None
