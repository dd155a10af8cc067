"""An in-memory Kinesis with the adapter's methods: streams that take time to change, shards whose calls can fail."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from weir.runtime.clock import Clock
from weir.runtime.errors import WeirError
from weir.streams.errors import IteratorExpired, ShardNotFound, StreamBusy, StreamExists, StreamNotFound
from weir.streams.hashing import HASH_KEYS
from weir.streams.kinesis import Kinesis, RawRecord, RecordsAnswer
from weir.streams.models import Mode, Shard, StreamSpec
from weir.streams.sts import Account

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
ACCOUNT = Account("210987654321", "eu-west-1", "sts")


class FakeTime:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.seconds += seconds

    def clock(self) -> Clock:
        return Clock(
            now=lambda: NOON + timedelta(seconds=self.seconds),
            monotonic=lambda: self.seconds,
            sleep=self.sleep,
            epoch=lambda: NOON.timestamp() + self.seconds,
        )


@dataclass
class FakeStream:
    """What the fake remembers of a stream."""

    spec: StreamSpec
    tags: dict[str, str]
    status: str = "ACTIVE"
    mode: Mode = "PROVISIONED"
    count: int = 1
    retention: int = 24
    key_id: str | None = None
    metrics: set[str] = field(default_factory=set)
    records: dict[str, list[RawRecord]] = field(default_factory=dict)
    closed: dict[str, tuple[str, ...]] = field(default_factory=dict)


class FakeKinesis(Kinesis):
    """The Kinesis adapter's methods over a dict. ``failures`` are raised by the named method, one a call."""

    def __init__(self) -> None:
        super().__init__(client=None)
        self.streams: dict[str, FakeStream] = {}
        self.calls: list[str] = []
        self.failures: dict[str, list[WeirError]] = {}
        self.keeps_tags = True
        self.created_as = "ACTIVE"
        self.changed_as = "UPDATING"
        self.most_shards = 500
        self.records_per_call = 10_000
        self.empty_answers = 0

    @property
    def region(self) -> str:
        return "eu-west-1"

    def add(self, name: str, tags: Mapping[str, str] | None = None, **changes: Any) -> FakeStream:
        spec = StreamSpec(name=name, shard_count=changes.get("count", 1))
        self.streams[name] = FakeStream(spec, dict(tags or {}), **changes)
        return self.streams[name]

    def _enter(self, method: str, name: str | None = None) -> FakeStream:
        self.calls.append(method)
        if self.failures.get(method):
            raise self.failures[method].pop(0)
        if name is not None and name not in self.streams:
            raise StreamNotFound(f"no stream {name}")
        return self.streams[name] if name is not None else FakeStream(StreamSpec(name="none", shard_count=1), {})

    def _change(self, method: str, name: str) -> FakeStream:
        stream = self._enter(method, name)
        if stream.status != "ACTIVE":
            raise StreamBusy("busy", retry_after=5)
        stream.status = self.changed_as
        return stream

    def create(self, spec: StreamSpec, tags: Mapping[str, str]) -> None:
        self._enter("create")
        if spec.name in self.streams:
            raise StreamExists("taken")
        kept = dict(tags) if self.keeps_tags else {}
        count = spec.shard_count or 4
        self.streams[spec.name] = FakeStream(spec, kept, status=self.created_as, mode=spec.mode, count=count)

    def summary(self, name: str) -> dict[str, Any]:
        stream = self._enter("summary", name)
        encrypted = {"EncryptionType": "KMS", "KeyId": stream.key_id} if stream.key_id else {"EncryptionType": "NONE"}
        return {
            "StreamName": name,
            "StreamARN": ACCOUNT.stream_arn(name),
            "StreamStatus": stream.status,
            "StreamModeDetails": {"StreamMode": stream.mode},
            "RetentionPeriodHours": stream.retention,
            "StreamCreationTimestamp": NOON,
            "EnhancedMonitoring": [{"ShardLevelMetrics": sorted(stream.metrics)}],
            "OpenShardCount": stream.count,
            "ConsumerCount": 0,
            **encrypted,
        }

    def shards(self, name: str, *, after: str | None = None) -> Iterator[Shard]:
        yield from self.shard_page(name, after=after, limit=10_000)

    def shard_page(self, name: str, *, after: str | None, limit: int) -> list[Shard]:
        stream = self._enter("shard_page", name)
        found = [shard for shard in even_shards(stream.count) if after is None or shard.shard_id > after]
        return found[:limit]

    def stream_page(self, *, after: str | None, limit: int) -> tuple[list[dict[str, Any]], bool]:
        self._enter("stream_page")
        names = [name for name in sorted(self.streams) if after is None or name > after]
        page = [
            {"StreamName": name, "StreamARN": ACCOUNT.stream_arn(name), "StreamStatus": self.streams[name].status}
            for name in names[:limit]
        ]
        return page, len(names) > limit

    def list_streams(self) -> Iterator[dict[str, Any]]:
        yield from self.stream_page(after=None, limit=10_000)[0]

    def limits(self) -> dict[str, Any]:
        self._enter("limits")
        open_count = sum(stream.count for stream in self.streams.values())
        return {
            "ShardLimit": self.most_shards,
            "OpenShardCount": open_count,
            "OnDemandStreamCount": sum(stream.mode == "ON_DEMAND" for stream in self.streams.values()),
            "OnDemandStreamCountLimit": 1,
        }

    def tags(self, name: str) -> dict[str, str]:
        return dict(self._enter("tags", name).tags)

    def add_tags(self, name: str, tags: Mapping[str, str]) -> None:
        self._enter("add_tags", name).tags.update(tags)

    def remove_tags(self, name: str, keys: Iterable[str]) -> None:
        stream = self._enter("remove_tags", name)
        for key in keys:
            stream.tags.pop(key, None)

    def delete(self, name: str) -> None:
        stream = self._enter("delete", name)
        if stream.status != "ACTIVE":
            raise StreamBusy("busy", retry_after=5)
        stream.status = "DELETING"

    def increase_retention(self, name: str, hours: int) -> None:
        stream = self._change("increase_retention", name)
        assert hours > stream.retention
        stream.retention = hours

    def decrease_retention(self, name: str, hours: int) -> None:
        stream = self._change("decrease_retention", name)
        assert hours < stream.retention
        stream.retention = hours

    def update_shard_count(self, name: str, target: int) -> None:
        stream = self._change("update_shard_count", name)
        assert (stream.count + 1) // 2 <= target <= stream.count * 2
        stream.count = target

    def update_mode(self, name: str, arn: str, mode: Mode) -> None:
        assert arn == ACCOUNT.stream_arn(name)
        self._change("update_mode", name).mode = mode

    def enable_metrics(self, name: str, metrics: Sequence[str]) -> None:
        self._change("enable_metrics", name).metrics.update(metrics)

    def disable_metrics(self, name: str, metrics: Sequence[str]) -> None:
        self._change("disable_metrics", name).metrics.difference_update(metrics)

    def start_encryption(self, name: str, key_id: str) -> None:
        self._change("start_encryption", name).key_id = key_id

    def stop_encryption(self, name: str, key_id: str) -> None:
        stream = self._change("stop_encryption", name)
        assert stream.key_id == key_id
        stream.key_id = None

    def iterator(
        self, name: str, shard_id: str, kind: str, *, sequence: str | None = None, timestamp: datetime | None = None
    ) -> str:
        stream = self._enter("iterator", name)
        records = stream.records.get(shard_id)
        if records is None:
            raise ShardNotFound("no such shard")
        match kind:
            case "LATEST":
                start = len(records)
            case "AFTER_SEQUENCE_NUMBER":
                start = sum(int(record.sequence_number) <= int(sequence or 0) for record in records)
            case "AT_SEQUENCE_NUMBER":
                start = sum(int(record.sequence_number) < int(sequence or 0) for record in records)
            case "AT_TIMESTAMP":
                assert timestamp is not None
                start = sum(record.arrived_at < timestamp.timestamp() for record in records)
            case _:
                start = 0
        return f"{name}|{shard_id}|{start}"

    def get_records(self, iterator: str, limit: int, *, about: str) -> RecordsAnswer:
        stream = self._enter("get_records", about)
        name, shard_id, start_text = iterator.split("|")
        start = int(start_text)
        records = stream.records[shard_id]
        if self.empty_answers:
            self.empty_answers -= 1
            return RecordsAnswer([], iterator, 1000, ())
        page = records[start : start + min(limit, self.records_per_call)]
        end = start + len(page)
        if end == len(records) and shard_id in stream.closed:
            return RecordsAnswer(page, None, 0, stream.closed[shard_id])
        return RecordsAnswer(page, f"{name}|{shard_id}|{end}", 0 if end == len(records) else 5000, ())


def expired() -> IteratorExpired:
    """The error of an iterator older than five minutes."""
    return IteratorExpired("expired")


def even_shards(count: int) -> list[Shard]:
    """``count`` open shards that share the hash keys evenly."""
    bounds = [HASH_KEYS * index // count for index in range(count + 1)]
    return [
        Shard(
            shard_id=f"shardId-{index:012d}",
            starting_hash_key=str(bounds[index]),
            ending_hash_key=str(bounds[index + 1] - 1),
            starting_sequence_number="0",
            open=True,
        )
        for index in range(count)
    ]


def raw(number: int, data: bytes | None = None, key: str = "k") -> RawRecord:
    """The record with sequence number ``number``, that many seconds after noon."""
    return RawRecord(str(number), key, data if data is not None else f"r{number}".encode(), NOON.timestamp() + number)
