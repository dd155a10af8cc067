"""What the OpenAPI document tells of the gateway's answers is what the gateway answers: status, body, headers."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from local.openapi_models import ROUTES
from tests.unit.gateway.stub import FRAMES, SSE, Stub, answers, never, streams
from tests.unit.gateway.test_failures import ANSWER, error
from tests.unit.gateway.world import COMPLETION, CONVERSATION, MESSAGE, Reply, World, leading_to, run
from tests.unit.llm import wire
from tests.unit.usage.metered import cap

DOCUMENT: dict[str, Any] = json.loads((Path(__file__).parents[3] / "openapi" / "weir.json").read_text())
BODIES: dict[str, Any] = {
    "anthropic": MESSAGE,
    "openai": COMPLETION | {"model": "claude"},
    "converse": CONVERSATION,
    "invoke": MESSAGE | {"anthropic_version": "bedrock-2023-05-31"},
}
STREAMS = {
    "anthropic": (wire.ANTHROPIC.events, SSE),
    "openai": (wire.OPENAI.events, SSE),
    "converse": (wire.CONVERSE.events, FRAMES),
    "invoke": (wire.INVOKE.events, FRAMES),
}
CALLS = [name for name, one in ROUTES.items() if one.kind == "complete"]
each_call = pytest.mark.parametrize("name", CALLS)


@pytest.fixture(autouse=True)
def signed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Credentials:
        access_key, secret_key, token = "AKIDEXAMPLE", "a secret of the function", "a session token"

    monkeypatch.setattr("weir.gateway.bedrock.aws.credentials", lambda: Credentials)


def kind(name: str) -> str:
    """The kind of the provider that speaks a route's dialect."""
    return ROUTES[name].dialect if ROUTES[name].dialect in {"anthropic", "openai"} else "bedrock"


async def ask(world: World, name: str, model: str = "claude", **headers: Any) -> Reply:
    method, path = name.split(" ")
    told = ROUTES[name]
    body = BODIES[told.dialect]
    if "{model_id}" not in path:
        body = body | {"model": model} | headers.pop("body", {})
    return await world.ask(path.format(model_id=model), body, method=method, **headers)


def hold(name: str, reply: Reply, status: int) -> None:
    """That an answer is as the document tells."""
    method, path = name.split(" ")
    told = DOCUMENT["paths"][path][method.lower()]["responses"]
    assert reply.status == status
    answer = told[str(status)]
    media = reply.headers["content-type"].partition(";")[0]
    if media == "application/json":
        schema = answer["content"][media]["schema"] | {"components": DOCUMENT["components"]}
        Draft202012Validator(schema).validate(reply.json)
    else:
        assert media in answer["content"]
    # And of its headers, those that the document promises for every answer are there, and none that it does not tell
    names = {one.lower() for one in reply.headers}
    known = {one.lower() for one in answer["headers"]}
    always = {"x-request-id", *({"x-amzn-requestid"} & known), *({"request-id"} & known)}
    assert always <= names
    assert names - known <= {"content-type", "content-length", "cache-control", "www-authenticate"}


@pytest.mark.parametrize("name", ROUTES)
def test_who_is_nobody_is_refused_as_it_is_told(name: str) -> None:
    async def test() -> None:
        async with leading_to(Stub()) as world:
            hold(name, await ask(world, name, key=None), 401)

    run(test)


@pytest.mark.parametrize("name", [name for name, one in ROUTES.items() if one.kind == "models"])
def test_models_are_listed_as_it_is_told(name: str) -> None:
    async def test() -> None:
        async with leading_to(Stub()) as world:
            hold(name, await ask(world, name), 200)

    run(test)


@pytest.mark.parametrize("name", [name for name, one in ROUTES.items() if one.kind != "models"])
def test_a_model_that_is_not_there_is_told_as_it_is_told(name: str) -> None:
    async def test() -> None:
        async with leading_to(Stub()) as world:
            hold(name, await ask(world, name, model="gone"), 404)

    run(test)


@each_call
def test_a_model_answers_as_it_is_told(name: str) -> None:
    async def test() -> None:
        told = ROUTES[name]
        events, headers = STREAMS[told.dialect]
        does = streams(events, headers) if told.streams else answers(200, ANSWER)
        async with leading_to(Stub(does), kind=kind(name)) as world:
            hold(name, await ask(world, name), 200)
        if told.dialect in {"anthropic", "openai"}:
            async with leading_to(Stub(streams(events, headers)), kind=kind(name)) as world:
                reply = await ask(world, name, body={"stream": True})
                assert reply.headers["content-type"].startswith("text/event-stream")
                hold(name, reply, 200)

    run(test)


@each_call
def test_a_cap_refuses_as_it_is_told(name: str) -> None:
    async def test() -> None:
        async with leading_to(Stub(), kind=kind(name), caps=(cap(0),)) as world:
            reply = await ask(world, name)
            hold(name, reply, 429)
            assert reply.headers["x-should-retry"] == "false"
            assert b"resets_at" in reply.body

    run(test)


@each_call
@pytest.mark.parametrize(("does", "status"), [(answers(401, error("x")), 502), (never, 504)])
def test_a_provider_that_fails_is_told_as_it_is_told(name: str, does: Any, status: int) -> None:
    async def test() -> None:
        async with leading_to(Stub(does), kind=kind(name), timeout_seconds=0.2) as world:
            hold(name, await ask(world, name), status)

    run(test)
