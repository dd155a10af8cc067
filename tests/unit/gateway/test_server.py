"""The app behind the server that it is deployed with, over real connections: shutdown, and callers who are gone."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import uvicorn

from tests.unit.gateway.stub import SSE, Stub, streams
from tests.unit.gateway.world import MESSAGE, SECRET, World, run
from tests.unit.llm import wire
from weir.llm import sse

STREAM = MESSAGE | {"stream": True}
BEARER = {"authorization": f"Bearer {SECRET}"}


@asynccontextmanager
async def server(world: World, grace: int | None = None) -> AsyncIterator[tuple[uvicorn.Server, str]]:
    """uvicorn as ``run.sh`` has it; ``should_exit`` is what its handler of SIGTERM sets."""
    config = uvicorn.Config(
        world.app, port=0, http="httptools", loop="asyncio", lifespan="on", log_level="critical",
        timeout_graceful_shutdown=grace,
    )  # fmt: skip
    made = uvicorn.Server(config)
    made.capture_signals = _no_signals  # type: ignore[method-assign, assignment]
    serving = asyncio.create_task(made.serve())
    while not made.started:
        await asyncio.sleep(0.001)
    port = made.servers[0].sockets[0].getsockname()[1]
    try:
        yield made, f"http://127.0.0.1:{port}"
    finally:
        made.should_exit = True
        await serving


class _no_signals:  # noqa: N801 - a context manager in the place of uvicorn's, which takes the signals of the process
    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


@asynccontextmanager
async def asking(url: str) -> AsyncIterator[aiohttp.ClientResponse]:
    whole = f"{url}/anthropic/v1/messages"
    async with aiohttp.ClientSession(headers=BEARER) as session, session.post(whole, json=STREAM) as answer:
        yield answer


def leading(world: World, stub: Stub) -> None:
    world.provider("p0", stub)
    world.route("claude", ("p0", "claude"))


def test_a_stream_under_way_at_sigterm_comes_to_its_end() -> None:
    async def test() -> None:
        # Given a stream of which the first event is there
        world, go_on = World(), asyncio.Event()

        async def pace(sent: int) -> None:
            if sent > len(wire.ANTHROPIC.events[0]):
                await go_on.wait()

        async with Stub(streams(wire.ANTHROPIC.events, SSE, pace)) as stub, server(world, 20) as (uvicorn_server, url):
            leading(world, stub)
            async with asking(url) as answer:
                first = await answer.content.readany()
                # When the server is told to end, and the provider says the rest
                uvicorn_server.should_exit = True
                await asyncio.sleep(0.05)
                go_on.set()
                # Then the caller gets all of it
                assert first + await answer.read() == wire.ANTHROPIC.raw
        # And it is settled by what the provider told
        (record,) = world.records()
        assert (record.input, record.output, record.estimated, record.cut) == (25, 89, False, False)
        assert world.reserved() == 0

    run(test)


def test_a_stream_that_outlasts_the_grace_is_cut_and_settled_before_the_process_ends() -> None:
    async def test() -> None:
        # Given a stream whose provider thinks for longer than the server waits
        world = World()

        async def pace(sent: int) -> None:
            if sent > len(wire.ANTHROPIC.events[0]):
                await asyncio.Event().wait()

        async with Stub(streams(wire.ANTHROPIC.events, SSE, pace)) as stub:
            async with server(world, 0) as (uvicorn_server, url):
                leading(world, stub)
                async with asking(url) as answer:
                    assert await answer.content.readany()
                    # When the server ends
                    uvicorn_server.should_exit = True
                    # Then the caller is told so in the stream
                    (event,) = sse.SseDecoder().feed(await answer.read())
                    assert json.loads(event.data)["type"] == "error"
            # And what was seen is in the ledger
            (record,) = world.records()
            assert record.estimated
            assert (record.input, record.cache_read) == (25, 1000)
            assert world.reserved() == 0

    run(test)


def test_a_caller_whose_connection_breaks_is_charged_for_the_whole() -> None:
    async def test() -> None:
        world, gone = World(), asyncio.Event()

        async def pace(sent: int) -> None:
            if sent > len(wire.ANTHROPIC.events[0]):
                await gone.wait()

        async with Stub(streams(wire.ANTHROPIC.events, SSE, pace)) as stub, server(world, 20) as (_, url):
            leading(world, stub)
            # Given a caller who has the first event, and breaks the connection
            async with asking(url) as answer:
                await answer.content.readany()
                answer.close()
            await asyncio.sleep(0.05)  # for the server to see it
            # When the provider goes on
            gone.set()
        # Then it was read to its end
        (record,) = world.records()
        assert (record.output, record.estimated, record.cut, record.status) == (89, False, True, 200)

    run(test)


def test_a_keep_alive_connection_serves_one_call_after_another() -> None:
    async def test() -> None:
        world = World()
        async with Stub(streams(wire.ANTHROPIC.events, SSE)) as stub, server(world, 20) as (_, url):
            leading(world, stub)
            connector = aiohttp.TCPConnector(limit=1)
            async with aiohttp.ClientSession(connector=connector, headers=BEARER) as session:
                for _ in range(3):
                    async with session.post(f"{url}/anthropic/v1/messages", json=STREAM) as answer:
                        assert await answer.read() == wire.ANTHROPIC.raw
            assert stub.connections == 1
            assert len(world.records()) == 3

    run(test)
