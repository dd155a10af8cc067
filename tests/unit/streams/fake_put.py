"""A Kinesis that a producer can put on: it throttles and loses answers as it is told, and remembers what it wrote."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError

from weir.runtime.clock import Clock
from weir.streams.aggregation import deaggregate
from weir.streams.entries import Accepted, Entry, PutResult, PutTally, Rejected, size_of
from weir.streams.hashing import HASH_KEYS, ShardMap
from weir.streams.pacing import AsFastAsPossible, Pace
from weir.streams.producer import Producer

THROTTLED = "ProvisionedThroughputExceededException"


@dataclass
class FakeTime:
    """A clock that only sleep and the fake's requests move."""

    seconds: float = 1_000.0

    def clock(self) -> Clock:
        return Clock(monotonic=lambda: self.seconds, sleep=self.pass_by)

    def pass_by(self, seconds: float) -> None:
        assert seconds > 0, "a sleep of nothing is a busy loop"
        self.seconds += seconds


@dataclass(frozen=True)
class FakeShard:
    shard_id: str
    starting_hash_key: str
    ending_hash_key: str
    open: bool = True


def shard_map(count: int) -> ShardMap:
    """``count`` open shards of equal ranges."""
    bounds = [HASH_KEYS * n // count for n in range(count + 1)]
    return ShardMap(FakeShard(f"shardId-{n:012}", str(bounds[n]), str(bounds[n + 1] - 1)) for n in range(count))


def client_error(code: str, status: int = 400) -> ClientError:
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "PutRecords")


@dataclass
class FakePut:
    """``put`` of a stream. Chances are of 1; ``quota`` is what each shard takes a second, None for no limit."""

    time: FakeTime
    shards: ShardMap
    rng: Random = field(default_factory=lambda: Random(1))
    round_trip: float = 0.02
    throttle: float = 0.0
    internal_failure: float = 0.0
    request_throttle: float = 0.0
    never_sent: float = 0.0
    lost_before_write: float = 0.0
    lost_after_write: float = 0.0
    short_answer: float = 0.0
    quota: int | None = None
    poison: bytes | None = None
    raises: list[Exception] = field(default_factory=list)
    log: list[tuple[str, str, Entry]] = field(default_factory=list)  # sequence number, shard, entry
    batches: list[int] = field(default_factory=list)
    sent_at: list[float] = field(default_factory=list)
    used: dict[tuple[str, int], int] = field(default_factory=dict)

    def __call__(self, entries: Sequence[Entry]) -> list[PutResult]:
        assert 1 <= len(entries) <= 500
        assert sum(map(size_of, entries)) <= 10 * 1024 * 1024
        self.batches.append(len(entries))
        self.sent_at.append(self.time.seconds)
        self.time.seconds += self.round_trip
        if self.raises:
            raise self.raises.pop(0)
        self._maybe(self.never_sent, EndpointConnectionError(endpoint_url="http://localhost"))
        self._maybe(self.request_throttle, client_error(THROTTLED))
        self._maybe(self.lost_before_write, ReadTimeoutError(endpoint_url="http://localhost"))
        if self.poison is not None and any(self.poison in entry.data for entry in entries):
            raise client_error("InvalidArgumentException")
        results = [self._write(entry) for entry in entries]
        self._maybe(self.lost_after_write, client_error("InternalFailure", 500))
        if self.rng.random() < self.short_answer:
            return results[:-1]
        return results

    def _maybe(self, chance: float, error: Exception) -> None:
        if self.rng.random() < chance:
            raise error

    def _write(self, entry: Entry) -> PutResult:
        shard = self.shards.shard_for(entry.partition_key, entry.explicit_hash_key)
        second = (shard, int(self.time.seconds))
        over = self.quota is not None and self.used.get(second, 0) >= self.quota
        if over or self.rng.random() < self.throttle:
            return PutResult(None, None, THROTTLED)
        if self.rng.random() < self.internal_failure:
            return PutResult(None, None, "InternalFailure")
        self.used[second] = self.used.get(second, 0) + 1
        number = f"{len(self.log):020}"
        self.log.append((number, shard, entry))
        return PutResult(shard, number, None)


QUOTA = AsFastAsPossible()


class Reports:
    """What a run reported, entry by entry."""

    def __init__(self) -> None:
        self.accepted: list[Accepted] = []
        self.rejected: list[Rejected] = []

    def refs(self) -> Counter[Any]:
        return Counter(report.entry.ref for report in (*self.accepted, *self.rejected))


def run(
    put: FakePut,
    entries: Iterable[Entry],
    *,
    pace: Pace = QUOTA,
    seconds: float = 3600.0,
    enough: Callable[[], bool] = lambda: False,
    **options: Any,
) -> tuple[PutTally, Reports]:
    reports = Reports()
    producer = Producer(put, put.shards, put.time.clock(), pace=pace, concurrency=1, rng=Random(7), **options)
    tally = producer.run(
        entries,
        deadline=put.time.seconds + seconds,
        on_accepted=reports.accepted.extend,
        on_rejected=reports.rejected.extend,
        enough=enough,
    )
    return tally, reports


def numbered(count: int, *, keys: int = 50, size: int = 20) -> Iterator[Entry]:
    for n in range(count):
        yield Entry(f"key-{n % keys}", f"{n:08}".encode().ljust(size, b"."), None, n)


def user_log(put: FakePut) -> list[Any]:
    """The data on the stream in the order in which it was written, aggregates taken apart."""
    return [data for _, _, entry in put.log for _, _, data in deaggregate(entry.data, entry.partition_key)]


def order_is_kept(entries: list[Entry], put: FakePut, reports: Reports) -> None:
    """Per key: first copies lie in the order of the input, and nothing accepted follows something rejected."""
    key_of = {entry.data: entry.partition_key for entry in entries}
    first_copies = list(dict.fromkeys(user_log(put)))
    accepted = {report.entry.ref for report in reports.accepted}
    for key in set(key_of.values()):
        mine = [entry for entry in entries if entry.partition_key == key]
        on_stream = [data for data in first_copies if key_of[data] == key]
        assert on_stream == [entry.data for entry in mine][: len(on_stream)]
        outcome = [entry.ref in accepted for entry in mine]
        assert outcome == sorted(outcome, reverse=True)
