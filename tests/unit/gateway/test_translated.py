"""Callers of one dialect, providers of another."""

import json

import pytest

from tests.unit.gateway.stub import FRAMES, JSON, SSE, Stub, answers, streams
from tests.unit.gateway.world import COMPLETION, CONVERSATION, MESSAGE, Client, leading_to, run
from tests.unit.identity.accounts import Time
from tests.unit.llm import wire
from weir.gateway import bedrock, paths
from weir.gateway.admitting import asked_for
from weir.gateway.wire import whole_answer
from weir.llm import sse
from weir.llm.eventstream import EventStreamDecoder


class Credentials:
    access_key, secret_key, token = "AKIDEXAMPLE", "a secret of the function", "a session token"


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bedrock.aws, "credentials", lambda: Credentials)


PLAIN = {
    "openai": {
        "id": "c",
        "object": "chat.completion",
        "created": 1,
        "model": "gpt",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello!"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
    },
    "anthropic": {
        "id": "m",
        "type": "message",
        "role": "assistant",
        "model": "claude",
        "content": [{"type": "text", "text": "Hello!"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 7, "output_tokens": 3},
    },
    "bedrock": {
        "output": {"message": {"role": "assistant", "content": [{"text": "Hello!"}]}},
        "stopReason": "end_turn",
        "usage": {"inputTokens": 7, "outputTokens": 3, "totalTokens": 10},
        "metrics": {"latencyMs": 5},
    },
    "gemini": {
        "candidates": [{"content": {"role": "model", "parts": [{"text": "Hello!"}]}, "finishReason": "STOP"}],
        "usageMetadata": {"promptTokenCount": 7, "candidatesTokenCount": 3, "totalTokenCount": 10},
    },
}
TARGETS = {
    "openai": "/v1/chat/completions",
    "anthropic": "/v1/messages",
    "bedrock": "/model/m-0/converse",
    "gemini": "/models/m-0:generateContent",
}
ASKED = {
    "/anthropic/v1/messages": MESSAGE | {"model": "m"},
    "/openai/v1/chat/completions": COMPLETION | {"model": "m"},
    "/bedrock/model/m/converse": CONVERSATION,
}


def text_of(path: str, told: dict) -> str:  # type: ignore[type-arg]
    match path.split("/")[1]:
        case "anthropic":
            return str(told["content"][0]["text"])
        case "openai":
            return str(told["choices"][0]["message"]["content"])
        case _:
            return str(told["output"]["message"]["content"][0]["text"])


@pytest.mark.parametrize("kind", PLAIN)
@pytest.mark.parametrize("path", ASKED)
def test_a_call_is_answered_in_the_callers_dialect_by_whatever_provider(path: str, kind: str) -> None:
    async def test() -> None:
        stub = Stub(answers(200, json.dumps(PLAIN[kind]).encode()))
        async with leading_to(stub, kind=kind, model="m") as world:
            reply = await world.ask(path, ASKED[path])
            assert reply.status == 200, reply.body
            assert text_of(path, reply.json) == "Hello!"
            assert stub.requests[0].target == TARGETS[kind]
            (record,) = world.records()
            assert (record.input, record.output, record.estimated) == (7, 3, False)

    run(test)


PROVIDERS = {
    "anthropic": (wire.ANTHROPIC, SSE),
    "openai": (wire.OPENAI, SSE),
    "bedrock": (wire.CONVERSE, FRAMES),
    "gemini": (wire.GEMINI, SSE),
}
STREAMED = {
    "/anthropic/v1/messages": MESSAGE | {"model": "m", "stream": True},
    "/openai/v1/chat/completions": COMPLETION | {"model": "m", "stream": True},
    "/bedrock/model/m/converse-stream": CONVERSATION,
}
CROSSED = [(path, kind) for path in STREAMED for kind in PROVIDERS if path.split("/")[1] != kind]


@pytest.mark.parametrize(("path", "kind"), CROSSED)
@pytest.mark.parametrize("leaves", [False, True])
def test_a_stream_is_told_in_the_callers_dialect_and_charged_as_the_provider_tells(
    path: str, kind: str, leaves: bool
) -> None:
    async def test() -> None:
        answer, headers = PROVIDERS[kind]
        client = Client(leaves_after=20 if leaves else None)
        half = len(answer.raw) // 2

        async def pace(sent: int) -> None:
            if leaves and sent > half:  # by then something was told in any dialect
                await client.left.wait()

        async with leading_to(Stub(streams(answer.events, headers, pace)), kind=kind, model="m") as world:
            reply = await world.ask(path, STREAMED[path], client=client)
            # Then it is a stream of the caller's dialect, that ends as one does
            if path.startswith("/bedrock"):
                assert reply.headers["content-type"] == FRAMES["content-type"]
                events = [one.event for one in EventStreamDecoder().feed(reply.body)]
                assert leaves or events[-1] == "metadata"
            else:
                assert reply.headers["content-type"] == SSE["content-type"]
                data = [one.data for one in sse.SseDecoder().feed(reply.body)]
                last = b"[DONE]" if "openai" in path else b"message_stop"
                assert leaves or last in data[-1]
            # And the ledger has what the provider told
            (record,) = world.records()
            used = (record.input, record.output, record.cache_read, record.cache_write_5m, record.cache_write_1h)
            told = answer.tokens
            assert used == (told.input, told.output, told.cache_read, told.cache_write_5m, told.cache_write_1h)
            assert not record.estimated
            assert record.cut == leaves

    run(test)


def test_what_a_provider_has_no_words_for_is_a_400_that_costs_nothing() -> None:
    async def test() -> None:
        # Given a field that only one dialect has
        stub = Stub(answers(200, b"{}"))
        async with leading_to(stub, kind="anthropic", model="m") as world:
            body = COMPLETION | {"model": "m", "logit_bias": {"50256": -100}}
            reply = await world.ask("/openai/v1/chat/completions", body)
            # Then it is named, and nothing was asked, set aside, or written down
            assert (reply.status, reply.json["error"]["param"]) == (400, "logit_bias")
            assert stub.requests == []
            assert world.records() == []
            assert world.reserved() == 0
            assert world.ledger.used("requests") == 0

    run(test)


def test_a_providers_error_is_told_in_the_callers_dialect() -> None:
    async def test() -> None:
        told = {"error": {"message": "the provider says so", "type": "requests", "code": "rate_limit_exceeded"}}
        stub = Stub(answers(429, json.dumps(told).encode(), {**JSON, "retry-after": "9"}))
        async with leading_to(stub, kind="openai", model="m") as world:
            reply = await world.ask("/anthropic/v1/messages", MESSAGE | {"model": "m"})
            assert (reply.status, reply.json["error"]["type"]) == (429, "rate_limit_error")
            assert reply.json["error"]["message"] == "the provider says so"
            assert reply.headers["retry-after"] == "9"

    run(test)


def test_an_answer_of_another_shape_than_the_providers_is_a_502_that_is_charged_by_what_it_looks_like() -> None:
    async def test() -> None:
        async with leading_to(Stub(answers(200, b'{"hello": []}')), kind="openai", model="m") as world:
            reply = await world.ask("/anthropic/v1/messages", MESSAGE | {"model": "m"})
            assert (reply.status, reply.json["error"]["type"]) == (502, "api_error")
            (record,) = world.records()
            assert (record.status, record.estimated) == (502, True)

    run(test)


def test_a_whole_answer_of_converse_tells_how_long_it_took() -> None:
    time = Time()
    asked = asked_for(paths.Operation("converse", "complete", "m", False), json.dumps(CONVERSATION).encode(), {}, "r")
    began = time.clock.monotonic()
    time.pass_by(0.25)
    told = whole_answer(json.dumps(PLAIN["openai"]).encode(), "openai", asked, time.clock, began)
    assert json.loads(told)["metrics"] == {"latencyMs": 250}
