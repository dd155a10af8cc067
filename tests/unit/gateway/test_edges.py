"""What is seldom sent, by callers and by providers: names, sizes, tiers, keys that are repeated, headers, silence."""

import asyncio
import json
import socket
from datetime import timedelta
from typing import Any

import pytest
from aiohttp.abc import AbstractResolver

from tests.unit.gateway.stub import Stub, answers, says
from tests.unit.gateway.test_failures import ANSWER, error
from tests.unit.gateway.world import COMPLETION, CONVERSATION, MESSAGE, PROVIDER_KEY, World, leading_to, run, serving
from tests.unit.usage.metered import NOON, PICO
from weir.gateway import upstream
from weir.gateway.upstream import Upstreams
from weir.usage.models import Price, Rates

CHAT, BEDROCK = "/openai/v1/chat/completions", "/bedrock/model/claude"
TIERED = ("speed", "inference_geo", "service_tier", "serviceTier")
DEARER = pytest.mark.parametrize(
    ("kind", "path", "asked", "headers", "tier"),
    [
        ("anthropic", "/anthropic/v1/messages", MESSAGE | {"speed": "fast"}, {}, "fast"),
        ("anthropic", "/anthropic/v1/messages", MESSAGE | {"inference_geo": "us"}, {}, "us"),
        ("openai", CHAT, COMPLETION | {"model": "claude", "service_tier": "priority"}, {}, "priority"),
        ("bedrock", f"{BEDROCK}/converse", CONVERSATION | {"serviceTier": {"type": "priority"}}, {}, "priority"),
        ("bedrock", f"{BEDROCK}/invoke", MESSAGE, {"x_amzn_bedrock_service_tier": "priority"}, "priority"),
    ],
)


@DEARER
def test_what_costs_more_than_the_price_that_is_kept_is_not_asked_for(
    kind: str, path: str, asked: dict[str, Any], headers: dict[str, str], tier: str
) -> None:
    async def test() -> None:
        stub = Stub(answers(200, ANSWER))
        async with leading_to(stub, kind=kind) as world:
            reply = await world.ask(path, asked, **headers)
            assert reply.status == 400
            assert b"costs more" in reply.body
            assert f"the tier {tier}".encode() in reply.body
            assert stub.requests == []
            assert world.records() == []

    run(test)


@DEARER
def test_what_costs_more_is_asked_for_where_its_price_is_kept_and_charged_by_that(
    kind: str, path: str, asked: dict[str, Any], headers: dict[str, str], tier: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Credentials:
        access_key, secret_key, token = "AKIDEXAMPLE", "a secret of the function", "a session token"

    monkeypatch.setattr("weir.gateway.bedrock.aws.credentials", lambda: Credentials)

    async def test() -> None:
        # Given a model whose price of that tier an admin has told
        stub = Stub(answers(200, ANSWER))
        async with leading_to(stub, kind=kind) as world:
            begun = NOON - timedelta(days=900)
            world.ledger.prices += [
                Price("own", "p0", "claude-0", begun, Rates(PICO, PICO)),
                Price("dear", "p0", "claude-0", begun, Rates(6 * PICO, 6 * PICO), tier=tier),
            ]
            # When it is asked for
            reply = await world.ask(path, asked, **headers)
            # Then it passes as it came, and is charged by that price
            assert reply.status == 200, reply.body
            told = json.loads(stub.requests[0].body)
            assert [told.get(name) for name in TIERED] == [asked.get(name) for name in TIERED]
            (record,) = world.records()
            assert record.price_id == "dear"
            # And what asks for no tier is not
            await world.ask(path, {name: one for name, one in asked.items() if name not in TIERED})
            assert {one.price_id for one in world.records()} == {"dear", "own"}

    run(test)


@pytest.mark.parametrize("model", ["c" * 257, "c\ud800", "c\n", "c=1;x", "c\u0001"])
def test_a_name_that_no_model_can_have_is_none_even_where_a_route_takes_all(model: str) -> None:
    async def test() -> None:
        stub = Stub(answers(200, ANSWER))
        async with leading_to(stub) as world:
            world.route("c*", ("p0", "*"))
            reply = await world.ask("/anthropic/v1/messages", MESSAGE | {"model": model})
            assert reply.status == 404
            assert stub.requests == []

    run(test)


def test_a_body_of_images_passes_whole() -> None:
    async def test() -> None:
        stub = Stub(answers(200, ANSWER))
        async with leading_to(stub) as world:
            text = "x" * 3_000_000
            reply = await world.ask("/anthropic/v1/messages", MESSAGE | {"system": text})
            assert reply.status == 200
            assert json.loads(stub.requests[0].body)["system"] == text

    run(test)


def test_a_refusal_says_nothing_of_the_key_whatever_its_status(caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        # Given a provider that repeats what it was sent, the key at the end of what is logged
        for status in (500, 400, 403):
            told = error("api_error", "x" * (990 - len(error("api_error", ""))) + PROVIDER_KEY)
            async with leading_to(Stub(answers(status, told))) as world:
                reply = await world.ask("/anthropic/v1/messages", MESSAGE)
                # Then neither the caller nor the log gets any of it
                assert b"sk-the" not in reply.body
        assert "sk-the" not in str([vars(one) for one in caplog.records])

    run(test)


def test_geminis_400_of_a_key_that_does_not_hold_is_not_the_callers_fault() -> None:
    async def test() -> None:
        reason = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}
        told = {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT", "details": [reason]}
        async with leading_to(Stub(answers(400, json.dumps({"error": told}).encode())), kind="gemini") as world:
            reply = await world.ask("/anthropic/v1/messages", MESSAGE)
            assert (reply.status, reply.json["error"]["type"]) == (502, "api_error")
            assert "yours is fine" in reply.json["error"]["message"]

    run(test)


def test_a_failure_is_the_answer_where_no_target_behind_it_has_words_for_the_request() -> None:
    async def test() -> None:
        # Given a provider that is overloaded, and behind it one that can't be asked for this
        first, second = Stub(answers(529, error("overloaded_error"))), Stub(answers(200, ANSWER))
        async with leading_to(first, second) as world:
            world.provider("p1", second, "openai")
            reply = await world.ask("/anthropic/v1/messages", MESSAGE | {"top_k": 3})
            # Then the caller learns that they may try again, and not that their request is wrong
            assert (reply.status, reply.json["error"]["type"]) == (529, "overloaded_error")
            (record,) = world.records()
            assert (record.provider, record.status) == ("p0", 529)
            assert second.requests == []

    run(test)


def test_an_answer_that_dies_is_charged_for_what_came_of_it() -> None:
    async def test() -> None:
        part = b'{"type": "message", "content": [{"type": "text", "text": "' + b"word " * 80
        dies = says(b"HTTP/1.1 200 X\r\ncontent-type: application/json\r\ncontent-length: 9999\r\n\r\n" + part)
        async with leading_to(Stub(dies)) as world:
            reply = await world.ask("/anthropic/v1/messages", MESSAGE | {"max_tokens": 5000})
            assert reply.status == 502
            (record,) = world.records()
            assert (record.estimated, record.output >= 100) == (True, True)

    run(test)


def test_a_header_of_a_provider_that_is_no_latin_takes_nothing_from_its_answer() -> None:
    async def test() -> None:
        lines = f"content-type: application/json\r\nrequest-id: \u20ac1\r\ncontent-length: {len(ANSWER)}"
        stub = Stub(says(f"HTTP/1.1 200 X\r\n{lines}\r\n\r\n".encode() + ANSWER))
        async with leading_to(stub) as world:
            reply = await world.ask("/anthropic/v1/messages", MESSAGE)
            assert (reply.status, reply.body) == (200, ANSWER)

    run(test)


class Silent(AbstractResolver):
    """A DNS that does not answer."""

    async def resolve(self, host: str, port: int = 0, family: Any = socket.AF_INET) -> Any:
        await asyncio.Event().wait()

    async def close(self) -> None:
        """Nothing to close."""


def test_a_name_that_is_not_resolved_in_time_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstream, "REACH_SECONDS", 0.1)

    async def test() -> None:
        stub = Stub(answers(200, ANSWER))
        world = World(upstreams=Upstreams(resolver=Silent()))
        async with serving(world, stub):
            world.provider("p0", "https://models.example.com")
            world.provider("p1", stub)
            world.route("claude", ("p0", "claude-0"), ("p1", "claude-1"))
            reply = await world.ask("/anthropic/v1/messages", MESSAGE)
            assert reply.status == 200
            assert [one.error for one in world.records()[0].attempts] == ["not reached", ""]

    run(test)


@pytest.mark.parametrize(
    "name", ["org-AbC123xyz789", "proj_AbC123xyz789", "arn:aws:bedrock:us-east-1:123456789012:inference-profile/ours"]
)
@pytest.mark.parametrize("path", ["/openai/v1/chat/completions", "/anthropic/v1/messages"])
def test_a_refusal_does_not_name_the_gateways_account(path: str, name: str) -> None:
    async def test() -> None:
        # Given a provider that says whose limit was reached
        told = {"error": {"message": f"Rate limit reached in {name} on tokens per min: 30000", "type": "tokens"}}
        async with leading_to(Stub(answers(429, json.dumps(told).encode())), kind="openai") as world:
            reply = await world.ask(path, MESSAGE)
            # Then the caller learns of the limit alone
            assert reply.status == 429
            assert reply.json["error"]["message"] == "Rate limit reached in *** on tokens per min: 30000"

    run(test)
