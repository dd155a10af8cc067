"""Read back what a run writes, while it is being written, and account for every record.

Memory follows keys, slices and shards, never records. The end is known, not guessed: the writers tell how many records
each shard accepted, and the reader is done when it has seen them all and has read to the tip after the writers ended.
Where some never come, it gives up after a quiet time at the tip, and they are lost.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress
from operator import add, itemgetter, ne
from typing import Any
from zlib import crc32

from weir.analysis.histogram import Histogram
from weir.analysis.rates import RateSeries
from weir.runs.envelope import HEADER_BYTES, MAGIC, OWN_BYTES, unpack_rest
from weir.runs.ledger import Ledger
from weir.streams.aggregation import MAGIC as KPL_MAGIC
from weir.streams.aggregation import deaggregate
from weir.streams.kinesis import RawRecord

_beginning = itemgetter(slice(OWN_BYTES))
_payload = itemgetter(slice(HEADER_BYTES, None))


@dataclass(slots=True)
class ShardState:
    """How far a shard is read, and what it held. ``records`` and ``bytes`` are as Kinesis counts them.

    ``fresh`` are the records that brought something of the run that had not been seen: no copies, nothing foreign.
    """

    last_sequence: str | None = None
    closed: bool = False
    records: int = 0
    fresh: int = 0
    bytes: int = 0
    arrivals: RateSeries = field(default_factory=RateSeries)
    arrival_bytes: RateSeries = field(default_factory=RateSeries)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able state."""
        return {
            "last_sequence": self.last_sequence,
            "closed": self.closed,
            "records": self.records,
            "fresh": self.fresh,
            "bytes": self.bytes,
            "arrivals": self.arrivals.to_dict(),
            "arrival_bytes": self.arrival_bytes.to_dict(),
        }

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> "ShardState":
        """The state of a checkpoint."""
        series = {name: RateSeries.from_dict(state[name]) for name in ("arrivals", "arrival_bytes")}
        return cls(**{**state, **series})


@dataclass(slots=True)
class ReaderState:
    """A reader's checkpoint: its shards, the ledger, and what it measured.

    ``latency`` is from produced to read, ``arrival_latency`` from produced to the arrival that Kinesis stamped, both in
    microseconds. ``corrupted`` records failed their CRC, ``foreign`` ones are not the run's, ``skewed`` ones were read
    before they were produced, by the clocks.
    """

    shards: dict[str, ShardState] = field(default_factory=dict)
    ledger: Ledger = field(default_factory=Ledger)
    latency: Histogram = field(default_factory=Histogram)
    arrival_latency: Histogram = field(default_factory=Histogram)
    corrupted: int = 0
    foreign: int = 0
    skewed: int = 0
    busy_seconds: float = 0.0
    began_at: float | None = None
    ended_at: float | None = None
    quiet_rounds: int = 0
    finished: bool = False

    def enter(self, shard: ShardState, tag: bytes, records: Iterable[RawRecord], read_at: float) -> None:
        """Enter one batch of a shard, read at epoch second ``read_at``."""
        columns = tuple(zip(*records, strict=True))
        if not columns:
            return
        _, keys, data, arrivals = columns
        _count(shard, keys, data, arrivals)
        read_us = int(read_at * 1_000_000)
        at = 0
        for place in _aggregates(data):
            shard.fresh += self._enter_users(tag, keys[at:place], data[at:place], arrivals[at:place], read_us)
            # An aggregate's user records, in their place; a record that is none comes back as itself.
            users = deaggregate(data[place], keys[place])
            user_keys, user_data = [key for key, _, _ in users], [one for _, _, one in users]
            shard.fresh += self._enter_users(tag, user_keys, user_data, [arrivals[place]] * len(users), read_us) > 0
            at = place + 1
        shard.fresh += self._enter_users(tag, keys[at:], data[at:], arrivals[at:], read_us)

    def _enter_users(
        self, tag: bytes, keys: Sequence[str], data: Sequence[bytes], arrivals: Sequence[float], read_us: int
    ) -> int:
        """Account for user records, given in columns; how many were new.

        The hot path: C code goes through a whole column in the time of a line of Python or two for each record.
        """
        foreign = _foreign(data, MAGIC + tag)
        if foreign:
            self.foreign += len(foreign)
            keys, data, arrivals = _without(foreign, keys, data, arrivals)
        if not data:
            return 0
        produced: Sequence[int]
        slices, sequences, produced, checksums = zip(*map(unpack_rest, data), strict=True)
        self.corrupted += sum(map(ne, checksums, map(crc32, map(_payload, data))))
        copies = self._enter_sequences(slices, keys, sequences)
        if copies:
            produced, arrivals = _without(copies, produced, arrivals)
        self._measure(
            [read_us - produced_us for produced_us in produced],
            [int(arrived_at * 1_000_000) - us for arrived_at, us in zip(arrivals, produced, strict=True)],
        )
        return len(produced)

    def _enter_sequences(self, slices: Sequence[int], keys: Sequence[str], sequences: Sequence[int]) -> list[int]:
        """Enter each record in the ledger; the places of those that were seen before."""
        ledger = self.ledger
        copies: list[int] = []
        gaps, added = ledger.has_gaps, 0
        slice_at, nexts = -1, {}
        for place, slice_index, key, sequence in zip(range(len(keys)), slices, keys, sequences, strict=True):
            if slice_index != slice_at:
                slice_at, nexts = slice_index, ledger.slice_of(slice_index)
            if nexts.get(key, 0) == sequence and not gaps:
                nexts[key] = sequence + 1
                continue
            added += 1
            if not ledger.add(slice_index, key, sequence):
                copies.append(place)
            gaps = ledger.has_gaps  # only add makes and closes them
        ledger.unique += len(keys) - added
        return copies

    def _measure(self, latencies: list[int], arrival_latencies: list[int]) -> None:
        if latencies and min(latencies) < 0:
            self.skewed += sum(value < 0 for value in latencies)
            latencies = [max(0, value) for value in latencies]
        if arrival_latencies and min(arrival_latencies) < 0:
            # Kinesis stamps arrivals in milliseconds: up to one of them is rounding, not skew.
            arrival_latencies = [max(0, value) for value in arrival_latencies]
        self.latency.add_many(latencies)
        self.arrival_latency.add_many(arrival_latencies)

    def counts(self) -> dict[str, Any]:
        """What the table keeps of it."""
        return {
            "seen": self.ledger.unique,
            "duplicates": self.ledger.duplicates,
            "reordered": self.ledger.reordered,
            "corrupted": self.corrupted,
            "foreign": self.foreign,
            "busy_seconds": self.busy_seconds,
            "began_at": self.began_at,
            "ended_at": self.ended_at,
        }

    def to_dict(self) -> dict[str, Any]:
        """JSON-able state, for the bucket."""
        return {
            "shards": {shard_id: shard.to_dict() for shard_id, shard in self.shards.items()},
            "ledger": self.ledger.to_dict(),
            "latency": self.latency.to_dict(),
            "arrival_latency": self.arrival_latency.to_dict(),
            "corrupted": self.corrupted,
            "foreign": self.foreign,
            "skewed": self.skewed,
            "busy_seconds": self.busy_seconds,
            "began_at": self.began_at,
            "ended_at": self.ended_at,
            "quiet_rounds": self.quiet_rounds,
            "finished": self.finished,
        }

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> "ReaderState":
        """The state of a checkpoint."""
        return cls(
            **{
                **state,
                "shards": {shard_id: ShardState.from_dict(shard) for shard_id, shard in state["shards"].items()},
                "ledger": Ledger.from_dict(state["ledger"]),
                "latency": Histogram.from_dict(state["latency"]),
                "arrival_latency": Histogram.from_dict(state["arrival_latency"]),
            }
        )


def _count(shard: ShardState, keys: Sequence[str], data: Sequence[bytes], arrivals: Sequence[float]) -> None:
    """Count a batch as Kinesis does: records, bytes with their keys, and both by the second of their arrival."""
    seconds = list(map(int, arrivals))
    key_bytes = keys if "".join(keys).isascii() else map(str.encode, keys)
    sizes = list(map(add, map(len, data), map(len, key_bytes)))
    shard.records += len(data)
    shard.bytes += sum(sizes)
    if seconds.count(seconds[0]) == len(seconds):  # as nearly always: a shard is read five times a second
        shard.arrivals.add(seconds[0], len(seconds))
        shard.arrival_bytes.add(seconds[0], sum(sizes))
        return
    shard.arrivals.add_many(seconds)
    second_bytes: dict[int, int] = {}
    for second, size in zip(seconds, sizes, strict=True):
        second_bytes[second] = second_bytes.get(second, 0) + size
    for second, size in second_bytes.items():
        shard.arrival_bytes.add(second, size)


def _aggregates(data: Sequence[bytes]) -> list[int]:
    """The places of aggregated records, and of what begins like one. ``data`` is not empty."""
    if max(data) < KPL_MAGIC:  # which sorts behind an envelope: for a batch of the run's own, one comparison a record
        return []
    return [place for place, one in enumerate(data) if one.startswith(KPL_MAGIC)]


def _foreign(data: Sequence[bytes], own: bytes) -> list[int]:
    """The places of records that do not begin with ``own``, or are too short for an envelope."""
    if not data or (list(map(_beginning, data)).count(own) == len(data) and min(map(len, data)) >= HEADER_BYTES):
        return []
    return [place for place, one in enumerate(data) if not one.startswith(own) or len(one) < HEADER_BYTES]


def _without(places: Iterable[int], *columns: Sequence[Any]) -> tuple[list[Any], ...]:
    """Columns without the rows at these places."""
    kept = [True] * len(columns[0])
    for place in places:
        kept[place] = False
    return tuple(list(compress(column, kept)) for column in columns)
