"""The requests that a producer has under way: in its own thread, or in a few others.

A thread waits for the network most of the time, so a handful of them keep one CPU busy: 4 reach 2.5 times the
throughput of one at a 20 ms round trip, 8 no more. botocore's clients are thread-safe.
"""

from collections.abc import Iterator
from itertools import chain, repeat
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Literal, NamedTuple, Protocol

from weir.runtime import aws
from weir.runtime.clock import Clock
from weir.streams.entries import Entry, Put, PutResult

# No byte of these requests reached Kinesis, so sending again can't make a duplicate.
_NEVER_SENT = frozenset({"EndpointConnectionError", "ConnectTimeoutError", "ProxyConnectionError", "SSLError"})


class Batch:
    """The entries of one request. ``tried`` holds the earlier tries of the first ones; the others had none."""

    __slots__ = ("entries", "tried")

    def __init__(self, entries: list[Entry], tried: list[int]) -> None:
        self.entries = entries
        self.tried = tried

    def attempts(self) -> Iterator[int]:
        """Each entry's tries with this one; endless, for zip."""
        return chain((tried + 1 for tried in self.tried), repeat(1))

    def halves(self) -> tuple["Batch", "Batch"]:
        """The same entries, with the same tries, in two batches. Only for more than one entry."""
        middle = len(self.entries) // 2
        return (
            Batch(self.entries[:middle], self.tried[:middle]),
            Batch(self.entries[middle:], self.tried[middle:]),
        )


class Answer(NamedTuple):
    """What came back for a batch that was sent at ``sent_at`` (monotonic s): results, or the error raised."""

    batch: Batch
    results: list[PutResult]
    error: Exception | None
    sent_at: float


class Failure(NamedTuple):
    """What a request that failed as a whole means. ``uncertain``: Kinesis may have written it all the same."""

    action: Literal["retry", "missing", "split", "refused"]
    code: str
    throttled: bool
    uncertain: bool


def failure(error: Exception) -> Failure:
    """Classify what a put raised. An error that is not botocore's is a fault of the program: raised again."""
    kind, code = aws.kind(error), aws.error_code(error)
    match kind:
        case "throttled" | "limit":
            return Failure("retry", code, throttled=True, uncertain=False)
        case "transient":
            return Failure("retry", code, throttled=False, uncertain=code not in _NEVER_SENT)
        case "missing":
            return Failure("missing", code, throttled=False, uncertain=False)
        case "invalid":
            return Failure("split", code, throttled=False, uncertain=False)
    if not aws.is_aws_error(error):
        raise error
    return Failure("refused", code, throttled=False, uncertain=False)


def _send(put: Put, clock: Clock, batch: Batch) -> Answer:
    sent_at = clock.monotonic()
    try:
        return Answer(batch, put(batch.entries), None, sent_at)
    except Exception as error:  # told to the producer, which classifies it or raises it again
        return Answer(batch, [], error, sent_at)


class Requests(Protocol):
    """Sends batches and gives back their answers. Used by one thread only."""

    under_way: int

    def has_slot(self) -> bool:
        """Whether ``submit`` may be called."""
        ...

    def submit(self, batch: Batch) -> None:
        """Send it, now or as soon as a thread is free."""
        ...

    def collect(self, seconds: float) -> list[Answer]:
        """The answers since the last call; waits up to ``seconds`` for one where there are none."""
        ...

    def close(self) -> None:
        """Wait for what is under way, and end."""
        ...


class InlineRequests:
    """One request at a time, sent by the caller's own thread: deterministic, no thread to start."""

    def __init__(self, put: Put, clock: Clock) -> None:
        self._put = put
        self._clock = clock
        self._answers: list[Answer] = []
        self.under_way = 0

    def has_slot(self) -> bool:
        return not self._answers

    def submit(self, batch: Batch) -> None:
        self._answers.append(_send(self._put, self._clock, batch))
        self.under_way = 1

    def collect(self, seconds: float) -> list[Answer]:
        if not self._answers and seconds > 0:
            self._clock.sleep(seconds)
        answers, self._answers, self.under_way = self._answers, [], 0
        return answers

    def close(self) -> None:
        self._answers.clear()


class ThreadedRequests:
    """As many requests at a time as there are threads, and one more waiting, so that no thread does."""

    def __init__(self, put: Put, clock: Clock, threads: int) -> None:
        self._put = put
        self._clock = clock
        self._batches: SimpleQueue[Batch | None] = SimpleQueue()
        self._answers: SimpleQueue[Answer] = SimpleQueue()
        self._most = threads + 1
        self.under_way = 0
        # Daemons: a process that is told to stop does not wait for a request's time-out.
        self._threads = [Thread(target=self._work, name=f"put-{n}", daemon=True) for n in range(threads)]
        for thread in self._threads:
            thread.start()

    def _work(self) -> None:
        while (batch := self._batches.get()) is not None:
            self._answers.put(_send(self._put, self._clock, batch))

    def has_slot(self) -> bool:
        return self.under_way < self._most

    def submit(self, batch: Batch) -> None:
        self.under_way += 1
        self._batches.put(batch)

    def collect(self, seconds: float) -> list[Answer]:
        answers: list[Answer] = []
        try:
            if seconds > 0:
                answers.append(self._wait(seconds))
            while True:
                answers.append(self._answers.get_nowait())
        except Empty:
            pass
        self.under_way -= len(answers)
        return answers

    def _wait(self, seconds: float) -> Answer:
        if self.under_way:
            return self._answers.get(timeout=seconds)
        self._clock.sleep(seconds)
        raise Empty

    def close(self) -> None:
        for _ in self._threads:
            self._batches.put(None)
        for thread in self._threads:
            thread.join()
