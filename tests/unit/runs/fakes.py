"""What stands for AWS in the tests of runs: a stream that remembers its records, machines, and runs to work on."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import Any

from tests.unit.streams.fakes import ACCOUNT, NOON, FakeKinesis, FakeStream, FakeTime, even_shards
from weir.runs import steps
from weir.runs.bucket import RunsBucket
from weir.runs.models import Failure, Run, RunPlan, RunSpec, Status, Step
from weir.runs.planner import SourceSize, make_plan
from weir.runs.table import RunsTable
from weir.runs.wiring import Wiring
from weir.runtime.errors import WeirError
from weir.runtime.settings import Settings
from weir.runtime.stepfunctions import Machine
from weir.streams.alarming import Alarming
from weir.streams.alarms import alarms_of, names
from weir.streams.cloudwatch import Alarms, Metrics
from weir.streams.entries import Entry, PutResult
from weir.streams.hashing import ShardMap
from weir.streams.kinesis import RawRecord
from weir.streams.metrics import MetricQuery, Series
from weir.streams.models import Shard
from weir.streams.pacing import AsFastAsPossible, Pace
from weir.streams.producer import Producer
from weir.streams.sts import Account

REGION = "eu-west-1"
CONF = Settings(region=REGION, runs_table="runs", runs_bucket="runs", metrics_wait_seconds=60)
_numbers = itertools.count(1)


class Died(BaseException):
    """The function died here: no ``except Exception`` sees it."""


def spec_of(**document: Any) -> RunSpec:
    """A spec; ``load`` is 100 generated records unless said otherwise."""
    return RunSpec.model_validate({"load": {"records": 100}, **document})


def run_of(spec: RunSpec | None = None, *, planned: bool = True, **changes: Any) -> Run:
    """A run with an id of its own, begun at noon."""
    spec = spec or spec_of()
    run_id = changes.pop("run_id", f"run-{next(_numbers):05d}")
    values: dict[str, Any] = {
        "run_id": run_id,
        "owner": "user-1",
        "status": Status.RUNNING if planned else Status.QUEUED,
        "created_at": NOON,
        "expires_at": NOON + timedelta(seconds=spec.expires_in),
        "stream_name": f"weir-run-{run_id}",
        "spec": spec,
        "plan": plan_of(spec) if planned else None,
        "execution_arn": f"{FakeMachine.ARN}:{run_id}",
    }
    return Run(**(values | changes))


def plan_of(spec: RunSpec) -> RunPlan:
    """The plan that the spec comes to."""
    source = spec.load.source
    if source is None:
        return make_plan(spec, None, CONF)
    lines = getattr(source, "lines", ("x" * 100,))
    return make_plan(spec, SourceSize(sum(map(len, lines)), len(lines)), CONF)


def stored(table: RunsTable, run: Run) -> Run:
    """The run, stored as its execution would have left it after the plan."""
    table.create(run)
    if run.plan is not None:
        table.begin(run.run_id, run.plan, run.execution_arn or "", run.source_version)
    return run


@dataclass
class Log(FakeKinesis):
    """A Kinesis whose shards take what is put on them, may have parents, and hide what is still on its way."""

    time: FakeTime
    family: dict[str, list[Shard]] = field(default_factory=dict)
    millis_behind: list[int | None] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self._sequence = itertools.count(1)

    def stream(self, run: Run, count: int = 1, tags: dict[str, str] | None = None) -> FakeStream:
        """The run's stream, ACTIVE, with empty shards."""
        stream = self.add(run.stream_name, tags, count=count)
        stream.records = {shard.shard_id: [] for shard in even_shards(count)}
        return stream

    def put(self, name: str, shard_id: str, key: str, data: bytes, at: float | None = None) -> str:
        """Append one record to a shard; its sequence number."""
        number = str(next(self._sequence))
        arrived_at = NOON.timestamp() + self.time.seconds if at is None else at
        self.streams[name].records[shard_id].append(RawRecord(number, key, data, arrived_at))
        return number

    def shards(self, name: str, *, after: str | None = None) -> Iterator[Shard]:
        if name in self.family:
            self._enter("shards", name)
            yield from self.family[name]
        else:
            yield from super().shards(name, after=after)

    def get_records(self, iterator: str, limit: int, *, about: str) -> Any:
        answer = super().get_records(iterator, limit, about=about)
        if self.millis_behind:
            answer = answer._replace(millis_behind=self.millis_behind.pop(0))
        return answer


def shard(number: int, parent: int | None = None, adjacent: int | None = None) -> Shard:
    """A shard by number, with its parents."""

    def named(other: int | None) -> str | None:
        return None if other is None else f"shardId-{other:012d}"

    return even_shards(1)[0].model_copy(
        update={
            "shard_id": named(number),
            "parent_shard_id": named(parent),
            "adjacent_parent_shard_id": named(adjacent),
        }
    )


@dataclass
class PutLog:
    """``put`` of a producer, onto a Log. ``before`` and ``after`` each request may raise; ``refuse`` gives a code."""

    log: Log
    name: str
    before: Callable[[Sequence[Entry]], None] = lambda _: None
    after: Callable[[Sequence[Entry]], None] = lambda _: None
    refuse: Callable[[Entry], str | None] = lambda _: None
    seconds: float = 0.01

    def __call__(self, entries: Sequence[Entry]) -> list[PutResult]:
        self.log.time.seconds += self.seconds
        self.before(entries)
        shards = ShardMap(even_shards(self.log.streams[self.name].count))
        results = []
        for entry in entries:
            code = self.refuse(entry)
            if code is not None:
                results.append(PutResult(None, None, code))
                continue
            shard_id = shards.shard_for(entry.partition_key, entry.explicit_hash_key)
            results.append(
                PutResult(shard_id, self.log.put(self.name, shard_id, entry.partition_key, entry.data), None)
            )
        self.after(entries)
        return results

    def producer(self, pace: Pace | None = None, **changes: Any) -> Callable[[], Producer]:
        """Makes producers that put here, from one thread."""
        count = self.log.streams[self.name].count
        values: dict[str, Any] = {"concurrency": 1, "rng": Random(1), **changes}
        return lambda: Producer(
            self, ShardMap(even_shards(count)), self.log.time.clock(), pace=pace or AsFastAsPossible(), **values
        )


class FakeMachine(Machine):
    """A state machine that remembers what was started and stopped."""

    ARN = f"arn:aws:states:{REGION}:210987654321:stateMachine:run"

    def __init__(self) -> None:
        super().__init__(client=None, arn=self.ARN)
        self.started: dict[str, dict[str, Any]] = {}
        self.stopped: dict[str, str] = {}
        self.statuses: dict[str, str] = {}
        self.failures: dict[str, list[WeirError]] = {}

    def _enter(self, method: str) -> None:
        if self.failures.get(method):
            raise self.failures[method].pop(0)

    def start(self, name: str, document: dict[str, Any]) -> str:
        self._enter("start")
        self.started[name] = document
        self.statuses[name] = "RUNNING"
        return self.execution_arn(name)

    def stop(self, name: str, cause: str) -> None:
        self._enter("stop")
        self.stopped[name] = cause

    def status(self, name: str) -> str | None:
        self._enter("status")
        return self.statuses.get(name)


class FakeMetrics(Metrics):
    """CloudWatch with the series that the test gives it."""

    def __init__(self) -> None:
        super().__init__(client=None)
        self.found: list[Series] = []
        self.failures: list[WeirError] = []
        self.asked: list[tuple[Any, Any, int]] = []

    def series(self, queries: Sequence[MetricQuery], start: Any, end: Any, period: int) -> list[Series]:
        self.asked.append((start, end, period))
        if self.failures:
            raise self.failures.pop(0)
        return self.found


class FakeAlarming(Alarming):
    """The alarms of streams, by name; ``failures`` are raised by the named method."""

    def __init__(self, *there: str) -> None:
        super().__init__(Alarms(None), "weir", "arn:aws:sns:eu-west-1:210987654321:alerts")
        self.there = {name for stream in there for name in names("weir", stream)}
        self.failures: dict[str, list[WeirError]] = {}

    def _enter(self, method: str) -> None:
        if self.failures.get(method):
            raise self.failures[method].pop(0)

    def known(self) -> set[str]:
        self._enter("known")
        return set(self.there)

    def make(self, stream: str, tags: Mapping[str, str], known: Iterable[str] = ()) -> list[str]:
        self._enter("make")
        made = [alarm.name for alarm in alarms_of("weir", stream, tags) if alarm.name not in known]
        self.there.update(made)
        return made

    def delete_all(self, alarms: list[str]) -> None:
        self._enter("delete_all")
        self.there.difference_update(alarms)


class Wires(Wiring):
    """The composition root of a test: fakes for Kinesis, CloudWatch and the machines, moto behind table and bucket."""

    time: FakeTime
    log: Log
    machine: FakeMachine
    cleanup: FakeMachine
    series: FakeMetrics
    alarms: FakeAlarming | None

    def __init__(self, table: RunsTable, bucket: RunsBucket, conf: Settings = CONF) -> None:
        time = FakeTime()
        super().__init__(conf, time.clock(), table, bucket)
        made = {"time": time, "log": Log(time), "machine": FakeMachine()}
        made |= {"cleanup": FakeMachine(), "series": FakeMetrics(), "alarms": None}
        for name, value in made.items():
            object.__setattr__(self, name, value)  # frozen, as the real one is

    @property
    def kinesis(self) -> FakeKinesis:
        return self.log

    @property
    def metrics(self) -> Metrics:
        return self.series

    @property
    def alarming(self) -> Alarming | None:
        return self.alarms

    @property
    def run_machine(self) -> Machine:
        return self.machine

    @property
    def cleanup_machine(self) -> Machine:
        return self.cleanup

    def account(self) -> Account:
        return ACCOUNT


BROKEN = Failure(step="Insert", error="Denied", cause="no")


def head(wires: Wires, run: Run | str) -> Run:
    """The run as the table has it."""
    found = wires.table.head(run if isinstance(run, str) else run.run_id)
    assert found is not None
    return found


def step_of(run: Run, name: str) -> Step:
    """A step of the run, which must have begun."""
    return next(step for step in run.steps if step.name == name)


def created(wires: Wires, spec: RunSpec | None = None) -> Run:
    """A run whose stream is made and ACTIVE."""
    run = stored(wires.table, run_of(spec))
    steps.create(run.run_id, wires)
    return run
