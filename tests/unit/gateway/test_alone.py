"""What waits for DynamoDB does so in the event loop where a call is alone, else in threads."""

import asyncio
import threading

from tests.unit.gateway.stub import Stub, answers
from tests.unit.gateway.test_failures import ANSWER
from tests.unit.gateway.world import MESSAGE, World, leading_to, run


def noting(world: World) -> list[bool]:
    """For each call of DynamoDB to come, whether it holds up the event loop."""
    seen: list[bool] = []
    loop = threading.get_ident()
    world.ledger.client.before = lambda operation, request: seen.append(threading.get_ident() == loop)
    return seen


def test_a_call_that_is_alone_is_handed_over_to_no_thread() -> None:
    async def test() -> None:
        async with leading_to(Stub(answers(200, ANSWER))) as world:
            seen = noting(world)
            # When two calls come, one after the other, Then all of both is done where they are
            for _ in range(2):
                assert (await world.ask("/anthropic/v1/messages", MESSAGE)).status == 200
            assert len(seen) >= 6
            assert all(seen)

    run(test)


def test_nobody_is_held_up_by_the_writes_of_another_call() -> None:
    async def test() -> None:
        asked, go_on = asyncio.Event(), asyncio.Event()
        answer = answers(200, ANSWER)

        async def late(writer: asyncio.StreamWriter) -> None:
            asked.set()
            await go_on.wait()
            await answer(writer)

        # Given a call whose provider has not answered yet
        async with leading_to(Stub(late, answer)) as world:
            first = asyncio.create_task(world.ask("/anthropic/v1/messages", MESSAGE))
            await asked.wait()
            seen = noting(world)
            # When another is made, Then its writes hold nobody up
            assert (await world.ask("/anthropic/v1/messages", MESSAGE)).status == 200
            assert len(seen) >= 3
            assert not any(seen)
            # and those of the first one are done where it is, once it is alone
            seen.clear()
            go_on.set()
            assert (await first).status == 200
            assert len(seen) == 2
            assert all(seen)
            assert world.reserved() == 0

    run(test)


def test_who_was_refused_is_under_way_no_more() -> None:
    async def test() -> None:
        async with leading_to(Stub(answers(200, ANSWER))) as world:
            # Given a call that was not admitted
            assert (await world.ask("/anthropic/v1/messages", MESSAGE | {"model": "none"})).status == 404
            # When another one comes, Then it is alone
            seen = noting(world)
            assert (await world.ask("/anthropic/v1/messages", MESSAGE)).status == 200
            assert all(seen)

    run(test)
