"""A time limit for each of many waits: the parts of a stream, as they come and as they are taken."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


class Patience:
    """Ends waits that take longer than ``seconds``: one at a time, within one event loop.

    As ``asyncio.timeout`` around each of them does, which makes a timer for each: of a stream that is a tenth of what a
    part takes of a processor. This one keeps its timer, and sets it anew only when it has run down.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._until = 0.0
        self._waiting: asyncio.Timeout | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def wait(self, what: Awaitable[T]) -> T:
        """What it comes to. TimeoutError where it takes too long."""
        loop = asyncio.get_running_loop()
        self._until = loop.time() + self._seconds
        if self._timer is None:
            self._timer = loop.call_at(self._until, self._look)
        try:
            async with asyncio.timeout(None) as self._waiting:
                return await what
        finally:
            self._waiting = None

    def close(self) -> None:
        """Let go of the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        if self._waiting is None:
            return
        loop = asyncio.get_running_loop()
        if self._until > loop.time():
            self._timer = loop.call_at(self._until, self._look)
        else:
            self._waiting.reschedule(loop.time())
