"""Who is let in, what is refused before a provider is asked, and what the app answers by itself."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from tests.unit.gateway.stub import Stub, answers, never
from tests.unit.gateway.test_failures import ANSWER
from tests.unit.gateway.world import ANN, COMPLETION, CONVERSATION, MESSAGE, SECRET, World, leading_to, run, serving
from tests.unit.usage.metered import cap
from weir.gateway import paths
from weir.gateway.asgi import MOST_BYTES
from weir.runtime.errors import Unavailable
from weir.usage.models import Subject

ROUTES = {
    "/anthropic/v1/messages": MESSAGE,
    "/openai/v1/chat/completions": COMPLETION | {"model": "claude"},
    "/bedrock/model/claude/converse": CONVERSATION,
    "/bedrock/model/claude/invoke": MESSAGE,
}


def told(path: str, reply: Any) -> tuple[str, str]:
    """The type and the message of an error, as the clients of the path's dialect read them."""
    if path.startswith("/bedrock"):
        return reply.headers["x-amzn-ErrorType"], reply.json["message"]
    return reply.json["error"]["type"], reply.json["error"]["message"]


KINDS = {
    "/anthropic/v1/messages": {401: "authentication_error", 403: "permission_error", 404: "not_found_error"},
    "/openai/v1/chat/completions": {
        401: "invalid_request_error",
        403: "permission_error",
        404: "invalid_request_error",
    },
    "/bedrock/model/claude/converse": {
        401: "AccessDeniedException",
        403: "AccessDeniedException",
        404: "ResourceNotFoundException",
    },
}
each_dialect = pytest.mark.parametrize("path", KINDS)


@each_dialect
@pytest.mark.parametrize(
    "sent",
    [
        {},
        {"authorization": "Bearer something else"},
        {"authorization": f"Basic {SECRET}"},
        {"authorization": "AWS4-HMAC-SHA256 Credential=AKID/20261121/us-east-1/bedrock/aws4_request"},
        {"x_api_key": ""},
        {"x_api_key": SECRET, "authorization": "Bearer another"},
    ],
)
def test_who_brings_no_credential_that_holds_is_told_so_in_their_dialect(path: str, sent: dict[str, str]) -> None:
    async def test() -> None:
        stub = Stub(answers(200, ANSWER))
        async with leading_to(stub) as world:
            reply = await world.ask(path, ROUTES[path], key=None, **sent)
            assert reply.status == 401
            assert told(path, reply)[0] == KINDS[path][401]
            assert reply.headers["www-authenticate"] == "Bearer"
            assert stub.requests == []

    run(test)


@pytest.mark.parametrize(
    "sent",
    [
        {"x_api_key": SECRET},
        {"authorization": f"Bearer {SECRET}"},
        {"x_api_key": SECRET, "authorization": f"bearer {SECRET}"},
    ],
)
def test_a_key_comes_as_each_of_the_clients_sends_it(sent: dict[str, str]) -> None:
    async def test() -> None:
        async with leading_to(Stub(answers(200, ANSWER))) as world:
            assert (await world.ask("/anthropic/v1/messages", MESSAGE, key=None, **sent)).status == 200

    run(test)


def test_who_and_what_is_remembered_is_not_asked_for_again() -> None:
    async def test() -> None:
        async with leading_to(stub := Stub(answers(200, ANSWER))) as world:
            # Given a caller whom the gate has just let in, and a provider whose key was just read
            world.gate.decided[SECRET] = world.gate.known.pop(SECRET)
            world.known_keys[world.source.all_providers["p0"]] = "the key of a moment ago"
            # When they call / Then neither is asked for
            assert (await world.ask("/anthropic/v1/messages", MESSAGE)).status == 200
            assert stub.requests[0].headers["x-api-key"] == "the key of a moment ago"

    run(test)


@each_dialect
@pytest.mark.parametrize("changed", [{"scopes": ("runs:read",)}, {"must_change_password": True}])
@pytest.mark.parametrize("remembered", [False, True])
def test_who_may_not_call_models_is_told_so(path: str, changed: dict[str, Any], remembered: bool) -> None:
    async def test() -> None:
        async with leading_to(Stub(answers(200, ANSWER))) as world:
            world.gate.known[SECRET] = replace(ANN, **changed)
            if remembered:
                world.gate.decided[SECRET] = world.gate.known.pop(SECRET)
            reply = await world.ask(path, ROUTES[path])
            assert (reply.status, told(path, reply)[0]) == (403, KINDS[path][403])

    run(test)


@each_dialect
@pytest.mark.parametrize(
    ("allowed", "status"),
    [
        ({}, 200),
        ({"groups": ("research",)}, 200),
        ({"roles": ("member",)}, 200),
        ({"keys": ("k1",)}, 200),
        ({"groups": ("sales",), "roles": ("admin",), "keys": ("k2",)}, 404),
        ({"enabled": False}, 404),
    ],
)
def test_a_model_is_there_for_whom_it_is(path: str, allowed: dict[str, Any], status: int) -> None:
    async def test() -> None:
        body = ANSWER if "bedrock" not in path else b'{"usage": {}}'
        async with leading_to(Stub(answers(200, body)), kind="openai" if "openai" in path else "anthropic") as world:
            world.route("claude", ("p0", "claude-0"), **allowed)
            reply = await world.ask(path, ROUTES[path])
            if status == 404:
                assert (reply.status, told(path, reply)[0]) == (404, KINDS[path][404])
                assert world.records() == []
            else:
                assert reply.status in {200, 502}  # admitted; not every answer here is one of its dialect

    run(test)


@each_dialect
def test_a_cap_refuses_with_its_figures_before_a_provider_is_asked(path: str) -> None:
    async def test() -> None:
        # Given a cap of one request a day, which is used up
        stub = Stub(answers(200, ANSWER))
        caps = (cap(1), cap(10, subject=Subject("group", "research")))
        async with leading_to(stub, caps=caps, kind="openai" if "openai" in path else "anthropic") as world:
            await world.ask(path, ROUTES[path])
            # When another call is made
            reply = await world.ask(path, ROUTES[path])
            # Then it is refused in the caller's dialect, with what they need to know
            assert reply.status == 429
            assert int(reply.headers["retry-after"]) > 0
            assert reply.headers["x-should-retry"] == "false"
            figures = reply.json if path.startswith("/bedrock") else reply.json["error"]
            assert (figures["limit_type"], figures["window"], figures["usage"]) == ("requests", "day", 1)
            assert (figures["limit"], figures["requested"]) == (1, 1)
            assert figures["resets_at"].endswith("Z")
            assert len(stub.requests) == 1
            assert len(world.records()) == 1
            assert ({"ModelRefused": ("Count", 1)}, {"reason": "cap-exceeded"}) in world.metrics

    run(test)


def test_a_cap_that_lowers_the_limit_lowers_it_at_the_provider() -> None:
    async def test() -> None:
        stub = Stub(answers(200, ANSWER))
        async with leading_to(stub, caps=(cap(1_000, "tokens", mode="clamp"),)) as world:
            await world.ask("/anthropic/v1/messages", MESSAGE | {"max_tokens": 100_000})
            assert 0 < json.loads(stub.requests[0].body)["max_tokens"] < 1_000

    run(test)


def test_a_routes_limit_holds_where_the_caller_sets_none() -> None:
    async def test() -> None:
        stub = Stub(answers(200, ANSWER))
        async with leading_to(stub, kind="openai") as world:
            world.route("claude", ("p0", "gpt"), max_output=77)
            body = {name: value for name, value in COMPLETION.items() if name != "max_tokens"} | {"model": "claude"}
            await world.ask("/openai/v1/chat/completions", body)
            assert json.loads(stub.requests[0].body)["max_tokens"] == 77

    run(test)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/anthropic/v1/messages", b""),
        ("/anthropic/v1/messages", b"{"),
        ("/anthropic/v1/messages", b"[]"),
        ("/anthropic/v1/messages", b"[" * 100_000),
        ("/anthropic/v1/messages", b"{}"),
        ("/anthropic/v1/messages", b'{"model": 7}'),
        ("/openai/v1/chat/completions", b'{"model": ""}'),
        ("/openai/v1/chat/completions", b'{"model": "claude", "stream": "yes"}'),
        ("/bedrock/model/claude/converse", b"\xff\xfe"),
    ],
)
def test_a_body_that_can_not_be_read_is_a_400(path: str, body: bytes) -> None:
    async def test() -> None:
        stub = Stub(answers(200, ANSWER))
        async with leading_to(stub) as world:
            reply = await world.ask(path, body)
            assert reply.status == 400
            assert told(path, reply)[1]
            assert stub.requests == []

    run(test)


@pytest.mark.parametrize("declared", [True, False])
def test_a_body_beyond_lambdas_limit_is_a_413(declared: bool) -> None:
    async def test() -> None:
        async with leading_to(Stub(answers(200, ANSWER))) as world:
            more = {"content_length": str(MOST_BYTES + 1)} if declared else {}
            body = b"" if declared else b" " * (MOST_BYTES + 1)
            reply = await world.ask("/anthropic/v1/messages", body, **more)
            assert (reply.status, reply.json["error"]["type"]) == (413, "request_too_large")

    run(test)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/anthropic/v1/messages"),
        ("POST", "/anthropic/v1/complete"),
        ("POST", "/openai/v1/responses"),
        ("POST", "/bedrock/model/claude/count-tokens"),
        ("POST", "/bedrock/model//converse"),
        ("GET", "/"),
        ("GET", "/anthropic/../health"),
    ],
)
def test_what_is_no_route_is_a_404(method: str, path: str) -> None:
    async def test() -> None:
        async with leading_to(Stub(answers(200, ANSWER))) as world:
            assert (await world.ask(path, b"", method=method)).status == 404

    run(test)


def test_health_is_for_everybody() -> None:
    async def test() -> None:
        async with serving(World()) as world:
            reply = await world.ask("/health", b"", method="GET", key=None)
            assert (reply.status, reply.json) == (200, {"status": "ok"})

    run(test)


@pytest.mark.parametrize(
    ("path", "ids"),
    [("/anthropic/v1/models", ["claude", "mine"]), ("/openai/v1/models", ["claude", "mine"])],
)
def test_the_models_of_a_caller_are_those_that_they_may_use(path: str, ids: list[str]) -> None:
    async def test() -> None:
        async with leading_to(Stub(answers(200, ANSWER))) as world:
            world.route("mine", ("p0", "x"), groups=("research",))
            world.route("theirs", ("p0", "x"), groups=("sales",))
            world.route("any-*", ("p0", "*"))
            reply = await world.ask(path, b"", method="GET")
            assert [one["id"] for one in reply.json["data"]] == ids

    run(test)


def test_tokens_are_counted_by_anthropic_at_no_charge() -> None:
    async def test() -> None:
        # Given a model of Anthropic's, and one of others
        stub = Stub(answers(200, b'{"input_tokens": 12}'))
        async with leading_to(stub) as world:
            reply = await world.ask("/anthropic/v1/messages/count_tokens", MESSAGE)
            assert (reply.status, reply.json) == (200, {"input_tokens": 12})
            assert stub.requests[0].target == "/v1/messages/count_tokens"
            assert world.records() == []
            world.provider("p0", stub, "openai")
            assert (await world.ask("/anthropic/v1/messages/count_tokens", MESSAGE)).status == 400

    run(test)


def test_embeddings_are_charged_for_their_input() -> None:
    async def test() -> None:
        body = json.dumps({"object": "list", "data": [], "usage": {"prompt_tokens": 8, "total_tokens": 8}}).encode()
        stub = Stub(answers(200, body))
        async with leading_to(stub, kind="openai", model="ada") as world:
            reply = await world.ask("/openai/v1/embeddings", {"model": "ada", "input": "Hello"})
            assert (reply.status, reply.body) == (200, body)
            assert stub.requests[0].target == "/v1/embeddings"
            assert json.loads(stub.requests[0].body) == {"model": "ada-0", "input": "Hello"}
            (record,) = world.records()
            assert (record.input, record.output, record.estimated) == (8, 0, False)

    run(test)


def test_a_ledger_that_does_not_answer_lets_nobody_through() -> None:
    async def test() -> None:
        stub = Stub(answers(200, ANSWER))
        async with leading_to(stub) as world:

            def fails(operation: str, request: Any) -> None:
                raise Unavailable("DynamoDB is busy.", retry_after=1)

            world.ledger.client.before = fails
            reply = await world.ask("/anthropic/v1/messages", MESSAGE)
            assert reply.status == 503
            assert stub.requests == []

    run(test)


def test_a_settlement_that_fails_is_tried_again_and_takes_nothing_from_the_answer() -> None:
    async def test() -> None:
        async with leading_to(Stub(answers(200, ANSWER)), caps=(cap(10),)) as world:
            settle, failures = world.ledger.meter.settle, iter([True, True, False])

            def sometimes(*told: Any) -> Any:
                if next(failures):
                    raise Unavailable("DynamoDB is busy.", retry_after=1)
                return settle(*told)

            world.ledger.meter.settle = sometimes  # type: ignore[method-assign]
            assert (await world.ask("/anthropic/v1/messages", MESSAGE)).status == 200
            assert len(world.records()) == 1
            assert world.reserved() == 0

    run(test)


def test_metrics_are_told_by_the_routes_name() -> None:
    async def test() -> None:
        async with leading_to(Stub(answers(200, ANSWER))) as world:
            world.route("claude-*", ("p0", "*"))
            await world.ask("/anthropic/v1/messages", MESSAGE | {"model": "claude-whatever"})
            ((values, dimensions),) = world.metrics
            assert dimensions == {"model": "claude-*"}
            assert values["ModelRequests"] == ("Count", 1)
            assert values["ModelInputTokens"] == ("Count", 7)
            assert values["ModelOutputTokens"] == ("Count", 3)
            assert values["ModelErrors"] == ("Count", 0)

    run(test)


def test_a_client_that_leaves_before_its_request_is_whole_is_forgotten() -> None:
    async def test() -> None:
        async with leading_to(Stub(never)) as world:
            messages = iter([{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}])

            async def receive() -> Any:
                return next(messages)

            async def send(message: Any) -> None:
                raise AssertionError(message)

            sent = [(b"authorization", f"Bearer {SECRET}".encode())]
            path = "/anthropic/v1/messages"
            scope = {"type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "headers": sent}
            await world.app(scope, receive, send)
            assert world.records() == []

    run(test)


def test_the_apps_life_is_told_to_its_server() -> None:
    async def test() -> None:
        world, said = World(), []
        messages = asyncio.Queue[Any]()

        async def send(message: Any) -> None:
            said.append(message["type"])

        for name in ("startup", "shutdown"):
            messages.put_nowait({"type": f"lifespan.{name}"})
        await world.app({"type": "lifespan"}, messages.get, send)
        assert said == ["lifespan.startup.complete", "lifespan.shutdown.complete"]

    run(test)


def test_an_app_that_can_not_be_made_does_not_start() -> None:
    async def test() -> None:
        said: list[Any] = []
        world, messages = World(), asyncio.Queue[Any]()

        async def send(message: Any) -> None:
            said.append(message)

        world.app._make = lambda: 1 / 0  # type: ignore[assignment, return-value]
        messages.put_nowait({"type": "lifespan.startup"})
        await world.app({"type": "lifespan"}, messages.get, send)
        assert said[0]["type"] == "lifespan.startup.failed"

    run(test)


@pytest.mark.parametrize(
    ("path", "model"),
    [
        ("/bedrock/model/us.nova-v1%3A0/converse", "us.nova-v1:0"),
        ("/bedrock/model/a/b/c/converse-stream", "a/b/c"),
        ("/bedrock/model/a/converse/invoke", "a/converse"),
    ],
)
def test_a_models_id_is_all_that_stands_before_the_last_part(path: str, model: str) -> None:
    from urllib.parse import unquote

    found = paths.matched("POST", unquote(path))
    assert found is not None
    assert found.model == model
