"""A limit for each of many waits, that makes no timer for each."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from weir.gateway.patience import Patience


class Loop(asyncio.SelectorEventLoop):
    """An event loop whose time passes by as a test says. ``timers`` are how many were made."""

    def __init__(self) -> None:
        self.ahead, self.timers = 0.0, 0
        super().__init__()

    def time(self) -> float:
        return super().time() + self.ahead

    def call_at(self, when: float, callback: Callable[..., Any], *args: Any, **more: Any) -> asyncio.TimerHandle:
        self.timers += 1
        return super().call_at(when, callback, *args, **more)


def on(test: Callable[[Loop], Coroutine[Any, Any, None]]) -> None:
    """Run a test on such a loop."""
    with asyncio.Runner(loop_factory=Loop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, Loop)
        runner.run(test(loop))


async def passing(loop: Loop, seconds: float) -> str:
    """What takes so long."""
    loop.ahead += seconds
    for _ in range(3):
        await asyncio.sleep(0)
    return "done"


def test_each_wait_has_all_of_the_time() -> None:
    async def test(loop: Loop) -> None:
        # Given a minute for each wait, When there are five of 40 s, Then none is too long
        patience = Patience(60)
        assert [await patience.wait(passing(loop, 40)) for _ in range(5)] == ["done"] * 5
        # but one of 61 s is, and the next one is not
        with pytest.raises(TimeoutError):
            await patience.wait(passing(loop, 61))
        assert await patience.wait(passing(loop, 40)) == "done"

    on(test)


def test_a_wait_is_too_long_by_its_own_beginning() -> None:
    async def test(loop: Loop) -> None:
        # Given a timer that has run down while nobody waited
        patience = Patience(60)
        await patience.wait(passing(loop, 1))
        await passing(loop, 1000)
        # When somebody waits again, Then they have a minute, and no more
        assert await patience.wait(passing(loop, 59)) == "done"
        with pytest.raises(TimeoutError):
            await patience.wait(passing(loop, 61))

    on(test)


def test_many_waits_make_one_timer_and_the_end_takes_it_away() -> None:
    async def test(loop: Loop) -> None:
        patience = Patience(60)
        for _ in range(100):
            await patience.wait(passing(loop, 0))
        assert loop.timers == 1
        patience.close()
        patience.close()
        assert await patience.wait(passing(loop, 0)) == "done"
        assert loop.timers == 2

    on(test)


def test_what_goes_wrong_while_it_is_waited_for_is_told_as_it_is() -> None:
    async def test(loop: Loop) -> None:
        async def wrong() -> None:
            raise ValueError("wrong")

        with pytest.raises(ValueError, match="wrong"):
            await Patience(60).wait(wrong())

    on(test)
