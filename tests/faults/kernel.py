"""Virtual time and deterministic concurrency: processes that take turns, and a clock that moves only when all wait.

A process is a thread, but one runs at a time and hands on where it sleeps: the order is that of the wake-up times, then
that in which they were asked for. So a run of hours takes milliseconds, and takes the same course each time.
"""

import heapq
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import count
from typing import Any, NoReturn

MOST_TURNS = 200_000
MOST_SECONDS = 10 * 86_400.0


class Killed(BaseException):
    """Unwinds a process of a simulation that is given up."""


def _shut() -> threading.Lock:
    """A lock to wait at until another thread lets one through; a semaphore does the same in Python, and slower."""
    lock = threading.Lock()
    lock.acquire()
    return lock


class Process:
    """One thread of the simulation. ``invocation`` is the function invocation that it is in, if any."""

    def __init__(self, run: Callable[[], None]) -> None:
        self.invocation: Any = None
        self.done = False
        self._run = run
        self.turn = _shut()
        self.thread: threading.Thread | None = None

    def body(self) -> None:
        self._run()


class Kernel:
    """The scheduler, and the time: ``now`` is epoch seconds."""

    def __init__(self, now: float) -> None:
        self.began = now
        self.now = now
        self.current: Process | None = None
        self._waiting: list[tuple[float, int, Process]] = []
        self._parked: set[Process] = set()
        self._number = count()
        self._back = _shut()
        self._broken: BaseException | None = None
        self._killing = False
        self._until = float("inf")
        self._turns = 0

    def datetime(self) -> datetime:
        """The time as an aware UTC datetime."""
        return datetime.fromtimestamp(self.now, UTC)

    def spawn(self, run: Callable[[], None], delay: float = 0.0) -> Process:
        """A process that begins ``delay`` seconds from now."""
        process = Process(run)
        self._push(process, self.now + delay)
        return process

    def cancel(self, process: Process) -> None:
        """Let a process that has not begun never begin."""
        process.done = True

    def sleep(self, seconds: float) -> None:
        """Let the current process wait. Outside of one, time just passes."""
        wake = self.now + max(0.0, seconds)
        process = self.current
        if process is None:
            self.now = wake
            return
        if wake <= self._until and (not self._waiting or self._waiting[0][0] > wake):
            self.now = wake  # it is the next one in any case
            self._count()
            return
        self._push(process, wake)
        self._hand_back(process)

    def park(self) -> None:
        """Let the current process wait until another one wakes it."""
        process = self.current
        assert process is not None
        self._parked.add(process)
        self._hand_back(process)

    def wake(self, process: Process) -> None:
        """Let a parked process go on, at this time."""
        if process in self._parked:
            self._parked.discard(process)
            self._push(process, self.now)

    def run(self, seconds: float | None = None) -> None:
        """Run until nobody waits, or for ``seconds`` at most. What a process raised is raised here."""
        self._until = float("inf") if seconds is None else self.now + seconds
        while self._waiting and self._waiting[0][0] <= self._until and self._broken is None:
            at, _, process = heapq.heappop(self._waiting)
            if process.done:
                continue  # cancelled
            self.now = max(self.now, at)
            self._count()
            self._resume(process)
        if seconds is not None and self._broken is None:
            self.now = max(self.now, self._until)
        if self._broken is not None:
            raise self._broken

    def close(self) -> None:
        """End every process that is left."""
        self._killing = True
        for process in [entry[2] for entry in self._waiting] + list(self._parked):
            if process.thread is not None and not process.done:
                self._resume(process)
        self._waiting.clear()
        self._parked.clear()

    def fail(self, error: Exception) -> NoReturn:
        """End the whole simulation, from within a process: ``run`` raises the error."""
        self._broken = self._broken or error
        raise Killed from error

    def _count(self) -> None:
        self._turns += 1
        if self._turns > MOST_TURNS or self.now - self.began > MOST_SECONDS:
            raise AssertionError(f"the simulation does not end: {self._turns} turns, {self.now - self.began:,.0f} s")

    def _push(self, process: Process, at: float) -> None:
        heapq.heappush(self._waiting, (at, next(self._number), process))

    def _resume(self, process: Process) -> None:
        self.current = process
        if process.thread is None:
            process.thread = threading.Thread(target=self._thread, args=(process,), daemon=True)
            process.thread.start()
        else:
            process.turn.release()
        self._back.acquire()
        self.current = None
        if process.done:
            process.thread.join()

    def _hand_back(self, process: Process) -> None:
        self._back.release()
        process.turn.acquire()
        if self._killing:
            raise Killed

    def _thread(self, process: Process) -> None:
        try:
            process.body()
        except Killed:
            pass
        except BaseException as error:  # told to whoever runs the simulation
            self._broken = self._broken or error
        finally:
            process.done = True
            self._back.release()
