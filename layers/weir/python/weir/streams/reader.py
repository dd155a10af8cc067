"""Reading a shard from a position on, without a gap.

Rules: https://docs.aws.amazon.com/kinesis/latest/APIReference/API_GetRecords.html. A shard takes five GetRecords a
second; an iterator lives five minutes, and after that reading goes on behind the last sequence number; an empty
answer is not the end; the end of a closed shard is the answer without a next iterator, which names the child shards.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple

from weir.runtime.clock import Clock
from weir.runtime.errors import TooManyRequests
from weir.streams.errors import IteratorExpired
from weir.streams.kinesis import Kinesis, RawRecord, RecordsAnswer

SECONDS_BETWEEN_CALLS = 0.2
"""Five GetRecords a second and shard."""

MAX_BACKOFF_SECONDS = 2.0
MAX_RECORDS_PER_CALL = 10_000
PositionKind = Literal["TRIM_HORIZON", "LATEST", "AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER", "AT_TIMESTAMP"]


@dataclass(frozen=True, slots=True)
class Position:
    """Where to begin: the oldest record, behind the newest, at or after a sequence number, or at a time."""

    kind: PositionKind
    sequence: str | None = None
    timestamp: datetime | None = None

    def iterator(self, kinesis: Kinesis, stream: str, shard_id: str) -> str:
        """A new shard iterator at this position."""
        return kinesis.iterator(stream, shard_id, self.kind, sequence=self.sequence, timestamp=self.timestamp)


TRIM_HORIZON = Position("TRIM_HORIZON")
LATEST = Position("LATEST")


def after(sequence: str) -> Position:
    """Behind the record with this sequence number."""
    return Position("AFTER_SEQUENCE_NUMBER", sequence=sequence)


class Batch(NamedTuple):
    """One read of a shard. ``closed``: the shard is read to its end, go on with ``child_shard_ids``.

    ``throttled``: Kinesis refused this read; nothing was skipped, and ``ready_at`` of the reader has moved on.
    """

    records: list[RawRecord]
    millis_behind: int | None
    child_shard_ids: tuple[str, ...]
    closed: bool
    throttled: bool = False


class ShardReader:
    """Reads one shard from a position on, every record once and in order, at no more than five calls a second.

    ``last_sequence`` is the sequence number of the last record given; a reader made with ``after(last_sequence)``
    goes on from there. ``ready_at`` is the monotonic second from which the next read needs no wait, so that one
    thread can go round many shards without sleeping.
    """

    def __init__(
        self,
        kinesis: Kinesis,
        stream: str,
        shard_id: str,
        clock: Clock,
        *,
        position: Position = TRIM_HORIZON,
        limit: int = MAX_RECORDS_PER_CALL,
    ) -> None:
        self._kinesis = kinesis
        self._stream = stream
        self._clock = clock
        self._position = position
        self._limit = limit
        self._iterator: str | None = None
        self._refusals = 0
        self.shard_id = shard_id
        self.closed = False
        self.last_sequence: str | None = None
        self.ready_at = clock.monotonic()

    def read(self) -> Batch:
        """The next records, [] when there are none yet. Sleeps until ``ready_at`` first.

        Raises
        ------
        StreamNotFound, ShardNotFound, WeirError
            As Kinesis answers; throttling is told in the Batch instead.
        """
        if self.closed:
            return Batch([], 0, (), closed=True)
        self._clock.sleep(max(0.0, self.ready_at - self._clock.monotonic()))
        self.ready_at = self._clock.monotonic() + SECONDS_BETWEEN_CALLS
        try:
            answer = self._next_answer()
        except TooManyRequests:
            self._refusals += 1
            backoff = min(MAX_BACKOFF_SECONDS, SECONDS_BETWEEN_CALLS * 2**self._refusals)
            self.ready_at = self._clock.monotonic() + backoff
            return Batch([], None, (), closed=False, throttled=True)
        except IteratorExpired:
            self._iterator = None  # the next read begins behind the last record, with a new one
            return Batch([], None, (), closed=False)
        self._refusals = 0
        self._iterator = answer.next_iterator
        self.closed = answer.next_iterator is None
        if answer.records:
            self.last_sequence = answer.records[-1].sequence_number
            self._position = after(self.last_sequence)
        return Batch(answer.records, answer.millis_behind, answer.child_shard_ids, self.closed)

    def _next_answer(self) -> RecordsAnswer:
        if self._iterator is None:
            self._iterator = self._position.iterator(self._kinesis, self._stream, self.shard_id)
        return self._kinesis.get_records(self._iterator, self._limit, about=self._stream)
