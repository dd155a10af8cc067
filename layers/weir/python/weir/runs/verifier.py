"""Read back what a run writes, while it is being written, and account for every record.

Memory follows keys, slices and shards, never records. The end is known, not guessed: the writers tell how many records
each shard accepted, and the reader is done when it has seen them all and has read to the tip after the writers ended.
Where some never come, it gives up after a quiet time at the tip, and they are lost.
"""

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from weir.analysis.histogram import Histogram
from weir.analysis.rates import RateSeries
from weir.runs.envelope import HEADER_BYTES, MAGIC, unpack_from
from weir.runs.ledger import Ledger
from weir.streams.aggregation import deaggregate
from weir.streams.kinesis import RawRecord


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
        plain: list[tuple[str, bytes, float]] = []
        read_us = int(read_at * 1_000_000)
        arrivals: list[float] = []
        second_bytes: dict[int, int] = {}
        for _, key, data, arrived_at in records:
            size = len(data) + (len(key) if key.isascii() else len(key.encode()))
            second = int(arrived_at)
            second_bytes[second] = second_bytes.get(second, 0) + size
            shard.bytes += size
            arrivals.append(arrived_at)
            if data.startswith(MAGIC):
                plain.append((key, data, arrived_at))
            else:
                # An aggregate's user records, in their place; a record that is none comes back as itself.
                shard.fresh += self._enter_users(tag, plain, read_us)
                plain = []
                users = [(user_key, user_data, arrived_at) for user_key, _, user_data in deaggregate(data, key)]
                shard.fresh += self._enter_users(tag, users, read_us) > 0
        for second, size in second_bytes.items():
            shard.arrival_bytes.add(second, size)
        shard.records += len(arrivals)
        shard.arrivals.add_many(arrivals)
        shard.fresh += self._enter_users(tag, plain, read_us)

    def _enter_users(self, tag: bytes, users: Iterable[tuple[str, bytes, float]], read_us: int) -> int:
        """Account for user records: (partition key, data, arrival); how many were new. The hot path."""
        ledger = self.ledger
        unique_before = ledger.unique
        latencies: list[int] = []
        arrival_latencies: list[int] = []
        slice_at, nexts = -1, {}
        fresh = 0
        for key, data, arrived_at in users:
            if not data.startswith(MAGIC) or len(data) < HEADER_BYTES:
                self.foreign += 1
                continue
            _, its_tag, slice_index, sequence, produced_us, crc = unpack_from(data)
            if its_tag != tag:
                self.foreign += 1
                continue
            if zlib.crc32(data[HEADER_BYTES:]) != crc:
                self.corrupted += 1
            if slice_index != slice_at:
                slice_at, nexts = slice_index, ledger.slice_of(slice_index)
            if nexts.get(key, 0) == sequence and not ledger.has_gaps:
                nexts[key] = sequence + 1
                fresh += 1
            elif not ledger.add(slice_index, key, sequence):
                continue
            latencies.append(read_us - produced_us)
            arrival_latencies.append(int(arrived_at * 1_000_000) - produced_us)
        ledger.unique += fresh
        self._measure(latencies, arrival_latencies)
        return ledger.unique - unique_before

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
