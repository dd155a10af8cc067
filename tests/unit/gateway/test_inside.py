"""Weir's own questions to a model go by the routes, the caps and the ledger of whoever they are asked for."""

import asyncio
import json
from collections.abc import Callable
from contextlib import AsyncExitStack

import pytest

from tests.unit.gateway.stub import Behaviour, Stub, answers
from tests.unit.gateway.world import World, run
from weir.analysis.telling.model import ModelUnavailable, Said
from weir.gateway.inside import Inside
from weir.gateway.upstream import Upstreams
from weir.usage.models import Caller, Cap, Subject

ANN = Caller("ann", "Ann", "", ("research",), ("member",))
USAGE = {"input_tokens": 12, "output_tokens": 3}
ANSWER = {"type": "message", "role": "assistant", "content": [{"type": "text", "text": "All is well."}], "usage": USAGE}


def asked(
    behaviour: Behaviour, *caps: Cap, model: str = "claude", world: Callable[[World], None] = lambda _: None
) -> tuple[World, Stub, Said | ModelUnavailable]:
    """A question to a model whose provider behaves so."""
    made, stub = World(*caps), Stub(behaviour)
    told: list[Said | ModelUnavailable] = []

    def ask() -> None:
        def parts() -> object:
            made.upstreams = Upstreams()
            return made._parts()

        try:
            told.append(Inside(parts, model, ANN).ask("Tell.", '{"facts": []}', 100))  # type: ignore[arg-type]
        except ModelUnavailable as error:
            told.append(error)

    async def within() -> None:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(stub)
            made.provider("p0", stub)
            made.route("claude", ("p0", "claude-0"))
            world(made)
            await asyncio.to_thread(ask)

    run(within)
    return made, stub, told[0]


def test_it_is_asked_as_any_call_and_charged_to_whom_it_is_asked_for() -> None:
    world, stub, said = asked(answers(200, json.dumps(ANSWER).encode()))

    assert said == Said("All is well.", "claude")
    sent = json.loads(stub.requests[0].body)
    assert (sent["model"], sent["system"], sent["max_tokens"]) == ("claude-0", "Tell.", 100)
    assert sent["messages"] == [{"role": "user", "content": '{"facts": []}'}]
    (record,) = world.records()
    assert (record.caller.user, record.input, record.output, record.status) == ("ann", 12, 3, 200)
    assert world.reserved() == 0


def test_a_cap_holds_for_it_too() -> None:
    _, stub, said = asked(answers(200, b"{}"), Cap("c1", Subject("user", "ann"), "day", "requests", 0))

    assert isinstance(said, ModelUnavailable)
    assert "cap" in str(said)
    assert stub.requests == []


@pytest.mark.parametrize("status", [400, 401, 429, 500, 529])
def test_a_provider_that_fails_is_no_model(status: int) -> None:
    world, _, said = asked(answers(status, b'{"type": "error", "error": {"type": "api_error", "message": "secret"}}'))

    assert isinstance(said, ModelUnavailable)
    assert "secret" not in str(said)
    assert world.reserved() == 0


def test_a_model_that_there_is_not_is_told() -> None:
    _, _, said = asked(answers(200, b"{}"), model="nothing")

    assert isinstance(said, ModelUnavailable)


@pytest.mark.parametrize("body", [b"not json", b"[]", b'{"content": 1}', b'{"content": [{"type": "text"}]}'])
def test_an_answer_in_no_form_is_no_failure_of_ours(body: bytes) -> None:
    _, _, said = asked(answers(200, body))

    assert isinstance(said, ModelUnavailable) or said.text == ""
