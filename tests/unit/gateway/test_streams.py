"""Streams on their way: each event as it comes, the usage of all of it, whoever leaves when."""

import asyncio
import json
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.unit.gateway.stub import FRAMES, SSE, Stub, answers, streams
from tests.unit.gateway.world import COMPLETION, CONVERSATION, MESSAGE, Client, World, run
from tests.unit.llm import wire
from weir.gateway import asgi, bedrock, streaming, upstream
from weir.llm import sse
from weir.llm.eventstream import EventStreamDecoder
from weir.llm.models import Tokens

PATHS: dict[str, tuple[str, Any, dict[str, str]]] = {
    "anthropic": ("/anthropic/v1/messages", MESSAGE | {"stream": True}, SSE),
    "openai": (
        "/openai/v1/chat/completions",
        COMPLETION | {"stream": True, "stream_options": {"include_usage": True}},
        SSE,
    ),
    "converse": ("/bedrock/model/nova/converse-stream", CONVERSATION, FRAMES),
    "invoke": ("/bedrock/model/nova/invoke-with-response-stream", MESSAGE, FRAMES),
}
STREAMS = {answer.dialect: answer for answer in (wire.ANTHROPIC, wire.OPENAI, wire.CONVERSE, wire.INVOKE)}
each_dialect = pytest.mark.parametrize("dialect", PATHS)


class Credentials:
    access_key, secret_key, token = "AKIDEXAMPLE", "a secret of the function", "a session token"


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bedrock.aws, "credentials", lambda: Credentials)


@asynccontextmanager
async def served(stub: Stub, **fields: Any) -> Any:
    """A gateway whose models all lead to one stub."""
    world = World()
    async with stub:
        for name, kind, model in (("a", "anthropic", "claude"), ("o", "openai", "gpt"), ("b", "bedrock", "nova")):
            world.provider(name, stub, kind, **fields)
            world.route(model, (name, model))
        await world.app.start()
        try:
            yield world
        finally:
            await world.app.stop()


def tokens(world: World) -> Tokens:
    (one,) = world.records()
    used = (one.input, one.output, one.cache_read, one.cache_write_5m, one.cache_write_1h)
    return Tokens(*used, estimated=one.estimated)


@each_dialect
def test_a_caller_who_leaves_with_the_last_event_was_not_cut_off(dialect: str) -> None:
    async def test() -> None:
        # Given a caller who leaves as soon as they have the last event, as openai's client does
        path, body, headers = PATHS[dialect]
        sent = STREAMS[dialect]
        async with served(Stub(streams(sent.events, headers))) as world:
            await world.ask(path, body, client=Client(leaves_after=len(sent.raw)))
            # Then the record says that they have got all of it
            (record,) = world.records()
            assert (record.status, record.cut, record.error) == (200, False, "")

    run(test)


@each_dialect
def test_a_stream_passes_byte_for_byte_and_each_event_before_the_next_is_there(dialect: str) -> None:
    async def test() -> None:
        # Given a provider that sends an event only when the caller has got the one before
        path, body, headers = PATHS[dialect]
        client, sent = Client(), STREAMS[dialect]
        async with served(Stub(streams(sent.events, headers, client.pace))) as world:
            # When a stream is asked for
            reply = await world.ask(path, body, client=client)
            # Then the caller gets the very bytes
            assert reply.status == 200
            assert reply.ended
            assert reply.body == sent.raw
            assert reply.headers["content-type"] == headers["content-type"]
            # And the record has what the provider told at the end
            assert tokens(world) == sent.tokens
            (record,) = world.records()
            assert (record.status, record.cut, record.error, record.stream) == (200, False, "", True)
            assert record.first_token_milliseconds is not None
            assert world.reserved() == 0

    run(test)


LEAVING = [(dialect, number) for dialect, answer in STREAMS.items() for number in range(len(answer.events))]


@pytest.mark.parametrize(("dialect", "number"), LEAVING)
def test_who_leaves_at_any_event_is_charged_for_the_whole(dialect: str, number: int) -> None:
    async def test() -> None:
        # Given a caller who leaves once they have got so many events; at none, before there is an answer
        path, body, headers = PATHS[dialect]
        sent = STREAMS[dialect]
        client = Client(leaves_after=sum(map(len, sent.events[:number])))
        async with served(Stub(streams(sent.events, headers, client.pace))) as world:
            # When the provider sends all of its stream
            reply = await world.ask(path, body, client=client)
            # Then it was read to its end, and the usage is what it told there
            assert not reply.ended
            assert tokens(world) == sent.tokens
            (record,) = world.records()
            assert record.cut
            assert record.status == (200 if number else 499)
            assert world.reserved() == 0

    run(test)


@each_dialect
def test_the_end_of_a_stream_comes_after_its_settlement(dialect: str) -> None:
    async def test() -> None:
        # Given a Lambda environment, which may be frozen once an answer has ended
        path, body, headers = PATHS[dialect]
        order: list[str] = []
        client = Client()
        async with served(Stub(streams(STREAMS[dialect].events, headers))) as world:
            settle, send = world.ledger.meter.settle, client._send
            world.ledger.meter.settle = lambda *told: (order.append("settled"), settle(*told))[1]  # type: ignore[method-assign]

            async def seen(message: Any) -> None:
                if message["type"] == "http.response.body" and not message["more_body"]:
                    order.append("ended")
                await send(message)

            client._send = seen  # type: ignore[method-assign]
            # When a call ends
            await world.ask(path, body, client=client)
            # Then it was settled before
            assert order == ["settled", "ended"]

    run(test)


def test_usage_is_read_of_what_the_caller_has_already(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        # Given a reader of usage that notes how far the caller is
        client, seen = Client(), []
        made = streaming.usage_reader

        def noting(*told: Any, **more: Any) -> Any:
            reader = made(*told, **more)
            feed, fed = reader.feed, 0

            def note(data: bytes) -> None:
                nonlocal fed
                fed += len(data)
                seen.append(client.received >= fed)
                feed(data)

            reader.feed = note
            return reader

        monkeypatch.setattr(streaming, "usage_reader", noting)
        async with served(Stub(streams(wire.ANTHROPIC.events, SSE, client.pace))) as world:
            await world.ask("/anthropic/v1/messages", MESSAGE | {"stream": True}, client=client)
        # Then it has never read ahead of them
        assert len(seen) == len(wire.ANTHROPIC.events)
        assert all(seen)

    run(test)


def test_a_caller_who_takes_nothing_counts_as_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        # Given a caller whose connection is open, and who does not read
        monkeypatch.setattr(asgi, "STALLED_SECONDS", 0.05)
        client = Client()
        send = client._send

        async def stuck(message: Any) -> None:
            if message["type"] == "http.response.body" and client.received:
                await asyncio.Event().wait()
            await send(message)

        client._send = stuck  # type: ignore[method-assign]
        async with served(Stub(streams(wire.ANTHROPIC.events, SSE))) as world:
            # When a stream is sent to them
            await world.ask("/anthropic/v1/messages", MESSAGE | {"stream": True}, client=client)
            # Then the call is settled all the same
            assert tokens(world) == wire.ANTHROPIC.tokens
            assert world.reserved() == 0

    run(test)


def test_the_chunk_with_the_usage_is_asked_for_and_dropped_for_who_did_not_ask() -> None:
    async def test() -> None:
        # Given a caller who wants a stream, and no usage
        async with served(Stub(streams(wire.OPENAI.events, SSE))) as world:
            stub_requests = world
            reply = await world.ask("/openai/v1/chat/completions", COMPLETION | {"stream": True})
            # Then the chunk of choices that are none is not there, all else is
            events = [one for one in wire.OPENAI.events if b'"choices": []' not in one]
            assert reply.body == b"".join(events)
            assert tokens(stub_requests) == wire.OPENAI.tokens

    run(test)


@each_dialect
def test_a_stream_that_dies_ends_in_an_error_of_its_dialect_and_is_charged_for_what_was_seen(dialect: str) -> None:
    async def test() -> None:
        # Given a provider that dies after some events
        path, body, headers = PATHS[dialect]
        sent = STREAMS[dialect].events[:6]
        async with served(Stub(streams(sent, headers, dies=True))) as world:
            # When a stream is asked for
            reply = await world.ask(path, body)
            # Then what came was passed on, and an error follows that the dialect's clients read
            assert reply.status == 200
            assert reply.body.startswith(b"".join(sent))
            rest = reply.body.removeprefix(b"".join(sent))
            if headers is FRAMES:
                (frame,) = EventStreamDecoder().feed(rest)
                assert frame.exception
            else:
                (event,) = sse.SseDecoder().feed(rest)
                assert "error" in json.loads(event.data)
            # And the record holds what was seen, never nothing
            (record,) = world.records()
            assert record.estimated
            assert record.input + record.cache_read > 0
            assert record.output > 0
            assert record.error
            assert (record.status, record.cut) == (200, False)
            assert world.reserved() == 0

    run(test)


def test_a_provider_that_stops_in_mid_stream_is_not_waited_for_for_ever() -> None:
    async def test() -> None:
        # Given a provider that sends a byte at a time, and never ends (slow loris)
        async def trickles(writer: asyncio.StreamWriter) -> None:
            await streams(wire.ANTHROPIC.events[:5], SSE, dies=False)(_Open(writer))
            while not writer.is_closing():
                writer.write(b"1\r\n:\r\n")
                await asyncio.sleep(0.01)

        async with served(Stub(trickles), timeout_seconds=0.3) as world:
            # When its time is up
            reply = await world.ask("/anthropic/v1/messages", MESSAGE | {"stream": True})
            # Then the stream ends in an error, and what was seen is charged
            (*_, last) = sse.SseDecoder().feed(reply.body)
            assert json.loads(last.data)["error"]["type"] == "timeout_error"
            (record,) = world.records()
            assert record.estimated
            assert record.input == 25

    run(test)


def test_a_provider_that_falls_silent_in_mid_stream_has_its_time_for_each_part(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        # Given a provider that sends five events, and then nothing, and whose time is long
        monkeypatch.setattr(upstream, "IDLE_SECONDS", 0.2)

        async def silent(writer: asyncio.StreamWriter) -> None:
            await streams(wire.ANTHROPIC.events[:5], SSE, dies=False)(_Open(writer))
            await asyncio.Event().wait()

        async with served(Stub(silent)) as world:
            # When nothing comes for too long, Then the stream ends in an error, and what was seen is charged
            reply = await world.ask("/anthropic/v1/messages", MESSAGE | {"stream": True})
            (*_, last) = sse.SseDecoder().feed(reply.body)
            assert json.loads(last.data)["error"]["type"] == "timeout_error"
            (record,) = world.records()
            assert (record.estimated, record.input, record.error) == (True, 25, "too slow")
            assert world.reserved() == 0

    run(test)


class _Open:
    """A writer that leaves out the end of a chunked body."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer

    def write(self, data: bytes) -> None:
        if data != b"0\r\n\r\n":
            self._writer.write(data)

    async def drain(self) -> None:
        await self._writer.drain()


def test_a_provider_that_answers_a_stream_whole_is_passed_on_whole() -> None:
    async def test() -> None:
        # Given one that is compatible, but for streams
        body = json.dumps({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3}}).encode()
        async with served(Stub(answers(200, body))) as world:
            reply = await world.ask("/openai/v1/chat/completions", COMPLETION | {"stream": True})
            assert reply.body == body
            assert tokens(world) == Tokens(7, 3)

    run(test)


def test_a_call_is_cut_at_the_end_of_the_app_and_settled() -> None:
    async def test() -> None:
        # Given a stream under way, whose provider has more to say
        first = asyncio.Event()

        async def waits(writer: asyncio.StreamWriter) -> None:
            await streams(wire.ANTHROPIC.events[:9], SSE)(_Open(writer))
            first.set()
            await asyncio.Event().wait()

        async with served(Stub(waits)) as world:
            client = Client()
            asking = asyncio.create_task(world.ask("/anthropic/v1/messages", MESSAGE | {"stream": True}, client=client))
            await first.wait()
            await client.pace(sum(map(len, wire.ANTHROPIC.events[:9])))
            # When the server has waited long enough: it cancels what it serves, and ends the app
            asking.cancel()
            await asyncio.sleep(0)
            await world.app.stop()
            reply = await asking
            # Then the caller is told within the stream
            (*_, last) = sse.SseDecoder().feed(reply.body)
            assert json.loads(last.data)["type"] == "error"
            # And the usage that was seen is in the ledger, and nothing stays set aside
            (record,) = world.records()
            assert record.estimated
            assert (record.input, record.cache_read) == (25, 1000)
            assert record.output >= 2
            assert world.reserved() == 0

    run(test)


def test_a_call_that_comes_to_a_provider_after_the_end_of_the_app_costs_nothing() -> None:
    async def test() -> None:
        stub = Stub(answers(200, b"{}"))
        async with served(stub) as world:
            # Given a call that was let in just before the app ended
            await world.upstreams.close()
            reply = await world.ask("/anthropic/v1/messages", MESSAGE)
            # Then no provider was asked, and nothing is charged
            assert (reply.status, reply.json["error"]["type"]) == (502, "api_error")
            assert stub.requests == []
            (record,) = world.records()
            assert (record.input, record.estimated) == (0, False)
            assert world.reserved() == 0

    run(test)


def test_a_call_without_an_answer_yet_is_cut_at_the_end_of_the_app_and_charged_for_its_input() -> None:
    async def test() -> None:
        # Given a provider that has a request, and thinks
        asked = asyncio.Event()

        async def thinks(_: asyncio.StreamWriter) -> None:
            asked.set()
            await asyncio.Event().wait()

        async with served(Stub(thinks)) as world:
            asking = asyncio.create_task(world.ask("/anthropic/v1/messages", MESSAGE))
            await asked.wait()
            # When the app ends
            await world.app.stop()
            reply = await asking
            # Then the caller is told, and what the provider may have done is charged
            assert (reply.status, reply.json["error"]["type"]) == (502, "api_error")
            (record,) = world.records()
            assert record.estimated
            assert record.input > 0
            assert world.reserved() == 0

    run(test)
