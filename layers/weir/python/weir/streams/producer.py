"""Puts entries on a stream: batched, paced, resent where they failed, and each accounted for exactly once.

A PutRecords answer of HTTP 200 may still hold failures, which botocore does not retry: only the failed entries are
sent again, after a jittered exponential back-off, up to ``max_attempts`` tries and a deadline. A request that fails as
a whole is sent again, or, where one of its entries must be at fault, halved until that one stands alone.
https://docs.aws.amazon.com/streams/latest/dev/developing-producers-with-sdk.html#kinesis-using-sdk-java-putrecords

The input is never held: at most ``_MOST_ENTRIES`` entries and ``_MOST_BYTES`` bytes are pulled and not yet reported.
"""

from collections.abc import Callable, Iterable
from random import Random

from weir.runtime.clock import Clock
from weir.streams.entries import (
    Accepted,
    AcceptedBatch,
    Entry,
    Put,
    PutResult,
    PutTally,
    Rejected,
    ShardTally,
    size_of,
)
from weir.streams.hashing import ShardMap
from weir.streams.pacing import AsFastAsPossible, Burst, Pace, Rate
from weir.streams.producer_requests import InlineRequests, ThreadedRequests
from weir.streams.producer_run import ProducerRun

__all__ = [
    "Accepted",
    "AcceptedBatch",
    "AsFastAsPossible",
    "Burst",
    "Entry",
    "Pace",
    "Producer",
    "Put",
    "PutResult",
    "PutTally",
    "Rate",
    "Rejected",
    "ShardTally",
    "size_of",
]


class Producer:
    """Puts entries on one stream.

    Parameters
    ----------
    put
        Sends one request: a ``kinesis_put.PutAdapter``. It must not retry by itself.
    shard_map
        The stream's open shards. One that a reshard has outdated costs only the precision of the pacing.
    pace
        ``AsFastAsPossible`` (each shard's quota, probed) or ``Rate`` (open loop: entries are pulled when they are
        due, whatever the stream answers).
    ordered
        Keep the order of each partition key: an entry is sent when those of its key before it are accepted. With
        ``aggregate``, the order of each shard is kept, and with it that of its keys.
    aggregate
        Pack entries of the same shard into KPL records. Readers must de-aggregate.
    max_attempts
        Tries of one entry, the first included.
    concurrency
        Requests at a time, a thread each; 1 sends from the calling thread and starts none.
    rng
        Source of the jitter.
    """

    def __init__(
        self,
        put: Put,
        shard_map: ShardMap,
        clock: Clock,
        *,
        pace: Pace,
        ordered: bool = False,
        aggregate: bool = False,
        max_attempts: int = 10,
        concurrency: int = 4,
        rng: Random | None = None,
    ) -> None:
        if max_attempts < 1 or concurrency < 1:
            raise ValueError("max_attempts and concurrency are at least 1")
        self._put = put
        self._shard_map = shard_map
        self._clock = clock
        self._pace = pace
        self._ordered = ordered
        self._aggregate = aggregate
        self._max_attempts = max_attempts
        self._concurrency = concurrency
        self._rng = rng or Random()

    def run(
        self,
        entries: Iterable[Entry],
        *,
        deadline: float,
        on_accepted: Callable[[AcceptedBatch], None],
        on_rejected: Callable[[list[Rejected]], None],
        enough: Callable[[], bool] = lambda: False,
    ) -> PutTally:
        """Put the entries until they end, or ``deadline`` (monotonic seconds) comes, or the stream is gone.

        Nothing more is pulled once ``enough`` says so, which is asked before each pull and at least once a second: what
        was pulled is settled, and the run ends as it does where the entries end.

        ``entries`` is pulled in the calling thread, and both callbacks are called there. Every entry that was pulled
        is reported to exactly one of them. At the deadline nothing more is pulled or sent; requests under way are
        waited for, which takes their time-out at most, and what was not accepted is rejected. An entry waits at most
        0.1 s for others to be sent with, plus the time of the one pull that may be under way.

        An error that ``entries`` raises is raised again after what was pulled before it is settled. An error of a
        callback, or one of ``put`` that is not botocore's, ends the run at once.
        """
        if self._concurrency == 1:
            requests: InlineRequests | ThreadedRequests = InlineRequests(self._put, self._clock)
        else:
            requests = ThreadedRequests(self._put, self._clock, self._concurrency)
        try:
            return ProducerRun(
                entries=iter(entries),
                requests=requests,
                shard_map=self._shard_map,
                clock=self._clock,
                pace=self._pace,
                ordered=self._ordered,
                aggregate=self._aggregate,
                max_attempts=self._max_attempts,
                rng=self._rng,
                deadline=deadline,
                enough=enough,
                on_accepted=on_accepted,
                on_rejected=on_rejected,
            ).execute()
        finally:
            requests.close()
