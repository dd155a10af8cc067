"""Threads that move bytes, for ``push`` and ``pull``: how many at once, how often something is tried, how all stop."""

import random
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from types import TracebackType
from typing import Protocol, Self, TypeVar

from client.packages_storage import Expired, Link, Storage, StorageRefused, Troubled

__all__ = ["Crew", "Stopped", "Told"]

JOBS = 6
"""Connections at once, unless the person says otherwise."""

_FILES_AT_ONCE = 4
_AHEAD = 3
"""Pieces of a file that are begun, or wait to be, for each connection: they are all that is in memory of a file."""

_ATTEMPTS = 8
_FIRST_BACKOFF_SECONDS = 0.25
_LONGEST_WAIT_SECONDS = 30.0

Item = TypeVar("Item")
Result = TypeVar("Result")


class Stopped(Exception):
    """Something else has failed, or the person pressed Ctrl-C: what goes on ends here."""


class Told(Protocol):
    """Shows how bytes move. Called by many threads."""

    def begin(self, words: str, total: int) -> None:
        """A phase of so many bytes begins; the one before has ended."""

    def moved(self, count: int) -> None:
        """So many more bytes have moved; less than 0: so many have not, after all."""

    def say(self, words: str) -> None:
        """Tell the person something besides."""


class Crew:
    """Moves files, and the pieces of each, side by side. Use as a context manager."""

    def __init__(
        self,
        told: Told,
        *,
        jobs: int = JOBS,
        storage: Storage | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.told, self.storage = told, storage or Storage()
        self._jitter = jitter
        self._window = jobs * _AHEAD
        self._pieces = ThreadPoolExecutor(jobs, "piece")
        self._files = ThreadPoolExecutor(_FILES_AT_ONCE, "file")
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._failure: BaseException | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._halt()
        self._files.shutdown(cancel_futures=True)
        self._pieces.shutdown(cancel_futures=True)
        self.storage.close()

    def moved(self, count: int) -> None:
        """Bytes have moved. Stopped where no more should."""
        if count >= 0 and self._stop.is_set():
            raise Stopped
        self.told.moved(count)

    def each(self, do: Callable[[Item], object], items: Sequence[Item]) -> None:
        """Do something with each file, some at once. The first failure stops the others, and is raised."""
        futures = [self._files.submit(self._watched, do, item) for item in items]
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
        finally:
            if not all(future.done() for future in futures) or self._failure is not None:
                self._halt()
                for future in futures:
                    future.cancel()
        if self._failure is not None:
            wait(futures)
            raise self._failure

    def in_order(self, do: Callable[[int], Result], numbers: Iterable[int]) -> Iterator[Result]:
        """Do something with each piece of a file, several at once, and no more ahead of the reader than a window."""
        waiting: deque[Future[Result]] = deque()
        try:
            for number in numbers:
                if len(waiting) >= self._window:
                    yield waiting.popleft().result()
                waiting.append(self._pieces.submit(do, number))
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
            wait(waiting)

    def tried(self, do: Callable[[Link], Result], link: Callable[[Link | None], Link]) -> Result:
        """Do something by a URL until it is done. What is refused for good is raised at once.

        ``link`` gives a URL, another one than it is given: one that has expired, or has failed twice.

        Raises
        ------
        StorageRefused, Gone
            As ``Storage`` has them, and StorageRefused after the last try.
        """
        refused: Link | None = None
        last: Exception | None = None
        for turn in range(1, _ATTEMPTS + 1):
            current = link(refused)
            try:
                return do(current)
            except Expired as error:
                refused, last, after = current, error, 0.0
            except Troubled as error:
                refused, last, after = current if turn > 1 else None, error, error.after
            if turn < _ATTEMPTS:
                # The first URL that has expired is no reason to wait.
                self.pause(0 if turn == 1 and isinstance(last, Expired) else turn, after)
        raise StorageRefused(
            f"{last}\nIt was tried {_ATTEMPTS} times. What has arrived is kept: the same command goes on."
        )

    def pause(self, turn: int, after: float = 0.0) -> None:
        """Wait before the next try: as long as was named, or a random time that doubles. Stopped meanwhile, too."""
        backoff = _FIRST_BACKOFF_SECONDS * 2**turn * self._jitter() if turn else 0.0
        self.sleep(min(max(backoff, after), _LONGEST_WAIT_SECONDS))

    def sleep(self, seconds: float) -> None:
        """Wait so many seconds. Stopped where no more is to be done."""
        if self._stop.wait(seconds):
            raise Stopped

    def _watched(self, do: Callable[[Item], object], item: Item) -> None:
        try:
            self.moved(0)
            do(item)
        except BaseException as error:
            with self._lock:
                if self._failure is None:
                    self._failure = error
            raise

    def _halt(self) -> None:
        self._stop.set()
        self.storage.hang_up()
