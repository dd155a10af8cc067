"""What is put on a stream, and what came of it.

These are tuples rather than models, because a producer makes several of them for every record: a pydantic model
here would cost more than the whole request to Kinesis.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NamedTuple, overload


class Entry(NamedTuple):
    """One record to put.

    ``partition_key`` has 1 to 256 characters; ``data`` up to the stream's record size (1 MiB unless it was raised);
    ``explicit_hash_key`` is decimal text in [0, 2**128). ``ref`` is the caller's and comes back untouched.
    https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecordsRequestEntry.html
    """

    partition_key: str
    data: bytes
    explicit_hash_key: str | None = None
    ref: Any = None


class PutResult(NamedTuple):
    """Kinesis' answer for one entry of a PutRecords request: where it went, or an error code."""

    shard_id: str | None
    sequence_number: str | None
    error_code: str | None


class Accepted(NamedTuple):
    """An entry that is on the stream. ``attempts`` counts the tries, the successful one included."""

    entry: Entry
    shard_id: str
    sequence_number: str
    attempts: int


_accepted = partial(tuple.__new__, Accepted)  # a NamedTuple's own constructor takes twice as long


class AcceptedBatch(Sequence[Accepted]):
    """Reports of entries that were accepted together, kept in columns.

    An Accepted is made when it is looked at: a caller that only counts pays for no million of them.
    """

    __slots__ = ("attempts", "entries", "sequence_numbers", "shard_ids")

    def __init__(
        self,
        entries: Sequence[Entry],
        shard_ids: Sequence[str],
        sequence_numbers: Sequence[str],
        attempts: Sequence[int],
    ) -> None:
        self.entries = entries
        self.shard_ids = shard_ids
        self.sequence_numbers = sequence_numbers
        self.attempts = attempts

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[Accepted]:
        columns = zip(self.entries, self.shard_ids, self.sequence_numbers, self.attempts, strict=True)
        return map(_accepted, columns)

    @overload
    def __getitem__(self, index: int) -> Accepted: ...
    @overload
    def __getitem__(self, index: slice) -> "AcceptedBatch": ...
    def __getitem__(self, index: int | slice) -> "Accepted | AcceptedBatch":
        row = (self.entries[index], self.shard_ids[index], self.sequence_numbers[index], self.attempts[index])
        return AcceptedBatch(*row) if isinstance(index, slice) else Accepted(*row)  # type: ignore[arg-type]


class Rejected(NamedTuple):
    """An entry that was given up after ``attempts`` tries (0: it was never sent).

    ``error_code`` is Kinesis' last word on it, or one of the producer's own: ``DeadlineExceeded`` (its time was up
    before it was sent) and ``PredecessorRejected`` (ordered: an earlier record of its key was given up).
    """

    entry: Entry
    error_code: str
    attempts: int


Put = Callable[[Sequence[Entry]], list[PutResult]]
"""Sends one PutRecords request; answers one result an entry, in order. May raise what botocore raises."""

Stopped = Literal["end", "deadline", "stream_gone", "refused"]


@dataclass(frozen=True, slots=True)
class ShardTally:
    """One shard's part, as Kinesis counts: ``records`` and ``bytes`` accepted, records ``throttled``.

    A throttled record counts for the shard that its key was expected on, because Kinesis names none.
    """

    records: int = 0
    bytes: int = 0
    throttled: int = 0


@dataclass(frozen=True, slots=True)
class PutTally:
    """What a producer's run came to. Every count is in entries as the caller gave them, unless said otherwise.

    Attributes
    ----------
    accepted, rejected
        Each entry that was pulled is in exactly one of them.
    retried
        Entries sent again (an entry sent three times counts two).
    throttled
        Entries refused for throughput, once for each refusal.
    uncertain
        Entries whose answer was lost (time-out, cut connection, 5xx): each may be on the stream once more than
        was confirmed.
    bytes
        Accepted bytes, partition keys included, as Kinesis counts them.
    requests
        PutRecords requests sent.
    seconds
        From the start of the run to its last answer.
    shards
        By shard id.
    errors
        Error code to the number of times an entry met it; those of lost requests count for each entry in them.
    stopped
        ``end``: the input ended. ``deadline``: time was up. ``stream_gone``: Kinesis does not know the stream.
        ``refused``: AWS denied the call itself; ``errors`` names the code.
    kinesis_records, payload_units, rounded_kib
        Accepted records as Kinesis counts and bills them: fewer than ``accepted`` where entries are aggregated; their
        units of 25 KB (provisioned); their sizes in KiB, each rounded up (on-demand).
    """

    accepted: int
    rejected: int
    retried: int
    throttled: int
    uncertain: int
    bytes: int
    requests: int
    seconds: float
    shards: Mapping[str, ShardTally]
    errors: Mapping[str, int]
    stopped: Stopped
    kinesis_records: int
    payload_units: int
    rounded_kib: int


def size_of(entry: Entry) -> int:
    """Bytes that count against Kinesis' quotas: the data and the partition key in UTF-8."""
    key = entry[0]
    return len(entry[1]) + (len(key) if key.isascii() else len(key.encode()))
