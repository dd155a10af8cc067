"""Put together what writers and readers of a run counted: the measurement that rules, verdict and report start from.

Checkpoints are taken in one at a time: first the readers', into one ledger, then each slice's, which is held against
the ledger and dropped. So memory follows the ledger and the largest slice, which the planner bounds, not their number.

What is billed and that nobody counts is derived from what is known: see ``_Work``.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from weir.analysis.histogram import Histogram
from weir.analysis.measurement import Measurement, ShardMeasurement
from weir.analysis.rates import RateSeries
from weir.runs.bucket import RunsBucket, part_key
from weir.runs.items import Part, PartState
from weir.runs.ledger import Ledger
from weir.runs.models import Run, S3Source
from weir.runs.partition import tell_seconds
from weir.runs.planner import CONTROL_SECONDS, LOOP_TRANSITIONS
from weir.runs.reading import SAVE_SECONDS
from weir.runs.table import RunsTable
from weir.runs.verifier import ReaderState, ShardState
from weir.runs.writer import SliceState
from weir.runtime.clock import Clock
from weir.runtime.settings import Settings
from weir.streams.metrics import Series

HOTTEST_KEYS = 20
STEP_TRANSITIONS = 20
"""States of ``run.asl.json`` that a run passes once, from Plan to RunDone."""

CONTROL_CALLS = 8
POLL_SECONDS = {"WaitActive": 2.0, "AwaitMetrics": 7.5}
"""Mean seconds from one look to the next, by step; each is a call and three transitions."""

_SUMS = (
    "accepted",
    "refused",
    "retried",
    "throttled",
    "uncertain",
    "requests",
    "bytes",
    "kinesis_records",
    "payload_units",
    "rounded_kib",
)


@dataclass(frozen=True, slots=True)
class StreamFacts:
    """What AWS says of the run's stream when it is analyzed."""

    open_shards: int | None
    retention_hours: int
    created_at: float | None


@dataclass(frozen=True, slots=True)
class CloudWatchFacts:
    """What AWS/Kinesis had. ``asked`` is False where the spec did not ask for it."""

    asked: bool
    complete: bool = False
    series: tuple[Series, ...] | None = None
    requested: int = 0


@dataclass(slots=True)
class _Work:
    """What the parts' work took, derived, for AWS bills more than is counted.

    A part saves a checkpoint every 20 seconds and at the end of each invocation, and tells its progress as often as
    ``partition.py`` allows it to. A writer looks at the run with each checkpoint.
    A step that waits has looked again as often as its mean wait fits into its time; deleting the stream, which is still
    ahead when a run is measured, is taken to be looked at as often as creating it was. What an idle reader looks up in
    the table to learn whether the writers have ended is not counted.
    """

    tell_seconds: float
    invocations: int = 0
    busy_seconds: float = 0.0
    checkpoints: int = 0
    tells: int = 0
    parts: int = 0

    def take(self, part: PartState, busy_seconds: float) -> None:
        """Enter one part's work."""
        invocations = int(part.counts["invocations"])
        self.invocations += invocations
        self.busy_seconds += busy_seconds
        self.checkpoints += math.ceil(busy_seconds / SAVE_SECONDS) + invocations
        self.tells += math.ceil(busy_seconds / self.tell_seconds)
        self.parts += 1


@dataclass(slots=True)
class _Read:
    """What the readers read, one checkpoint after the other."""

    work: _Work
    ledger: Ledger = field(default_factory=Ledger)
    latency: Histogram = field(default_factory=Histogram)
    arrival_latency: Histogram = field(default_factory=Histogram)
    shards: dict[str, ShardState] = field(default_factory=dict)
    corrupted: int = 0
    foreign: int = 0
    skewed: int = 0
    unmeasured: int = 0
    longest_seconds: float | None = None

    def take(self, part: PartState, state: ReaderState) -> None:
        """Enter one reader's checkpoint."""
        if self.work.parts:
            _take_in(self.ledger, state.ledger)
        else:
            self.ledger = state.ledger
        self.latency.merge(state.latency)
        self.arrival_latency.merge(state.arrival_latency)
        self.shards.update(state.shards)
        self.corrupted += state.corrupted
        self.foreign += state.foreign
        self.skewed += state.skewed
        self.unmeasured += state.ledger.unique - state.latency.count
        self.longest_seconds = max(self.longest_seconds or 0.0, state.busy_seconds)
        self.work.take(part, state.busy_seconds)


def _take_in(ledger: Ledger, other: Ledger) -> None:
    """Merge another reader's ledger: keys of other shards whole dicts at a time, keys of both one by one."""
    theirs: Mapping[str, dict[str, int]] = other.to_dict()["next"]
    apart = all(ledger.slice_of(int(index)).keys().isdisjoint(keys) for index, keys in theirs.items())
    if other.has_gaps or not apart:
        ledger.merge(other)
        return
    for index, keys in theirs.items():
        ledger.slice_of(int(index)).update(keys)
    ledger.unique += other.unique
    ledger.duplicates += other.duplicates
    ledger.reordered += other.reordered


@dataclass(slots=True)
class _Written:
    """What the writers wrote, one checkpoint after the other; held against ``ledger`` where all there is was read."""

    ledger: Ledger | None
    work: _Work
    sums: Counter[str] = field(default_factory=Counter)
    shards: dict[str, list[int]] = field(default_factory=dict)
    drawn: int = 0
    finished: int = 0
    lost: int = 0
    beyond: int = 0
    began_at: float = math.inf
    ended_at: float = -math.inf

    def take(self, part: PartState, state: SliceState) -> None:
        """Enter one slice's checkpoint."""
        for name in _SUMS:
            self.sums[name] += getattr(state, name)
        for shard_id, values in state.shards.items():
            sums = self.shards.setdefault(shard_id, [0, 0, 0])
            for place, value in enumerate(values):
                sums[place] += value
        self.drawn += sum(state.produced.values())
        self.finished += state.finished
        if state.began_at is not None:
            self.began_at = min(self.began_at, state.began_at)
        if state.ended_at is not None:
            self.ended_at = max(self.ended_at, state.ended_at)
        self.work.take(part, state.busy_seconds)
        if self.ledger is not None:
            losses = self.ledger.compare(part.index, state.produced, state.rejected)
            self.lost += losses.lost
            self.beyond += losses.beyond

    @property
    def seconds(self) -> float | None:
        """From the first writer's begin to the last one's end."""
        return self.ended_at - self.began_at if self.began_at <= self.ended_at else None


def measure(
    run: Run,
    table: RunsTable,
    bucket: RunsBucket,
    stream: StreamFacts,
    cloudwatch: CloudWatchFacts,
    conf: Settings,
    clock: Clock,
) -> Measurement:
    """The measurement of a run from the checkpoints of its writers and readers. Missing ones are said to be missing."""
    read, written, missing = _taken_in(run, table, bucket)
    if cloudwatch.asked and not cloudwatch.complete:
        missing.append("AWS/Kinesis in CloudWatch: it did not show every accepted record in time")
    if read.skewed:
        missing.append(f"the latency of {read.skewed} records: the reader's clock was behind the writer's")
    if read.unmeasured:
        missing.append(f"the latency of {read.unmeasured} records: their reader was cut off, and they were read again")
    return Measurement(
        run_id=run.run_id,
        stream_name=run.stream_name,
        mode=run.spec.stream.mode,
        region=conf.region,
        open_shards=stream.open_shards,
        retention_hours=stream.retention_hours,
        started_at=run.created_at,
        ended_at=clock.now(),
        stream_seconds=None if stream.created_at is None else max(0.0, clock.epoch() - stream.created_at),
        planned=_planned(run, written),
        target_rate=run.spec.load.rate,
        aggregated=run.spec.load.aggregated,
        ordered_asked=run.spec.slo.ordered,
        **_accepted(written),
        **_seen(read),
        lost=None if written.ledger is None else written.lost,
        foreign=read.foreign + written.beyond,
        shards=tuple(_shards(written.shards, read.shards)),
        **_billed(run, written.work, read.work, conf),
        metrics_requested=cloudwatch.requested,
        cloudwatch=cloudwatch.series,
        cloudwatch_complete=cloudwatch.complete,
        missing=tuple(missing),
    )


def _taken_in(run: Run, table: RunsTable, bucket: RunsBucket) -> tuple[_Read, _Written, list[str]]:
    """What the readers read and the writers wrote, and which of them left nothing, or did not finish."""
    slices, readers = table.parts(run.run_id, "SLICE"), table.parts(run.run_id, "READER")
    workers, reading = (run.plan.workers, run.plan.readers) if run.plan else (0, 0)
    missing = [*_missing(slices, workers, "writers"), *_missing(readers, reading, "readers")]
    every = tell_seconds(run)
    read = _Read(_Work(every))
    for part in _saved(readers):
        # The state has no name here, so that it is gone before the next one is loaded.
        read.take(part, ReaderState.from_dict(_load(bucket, run, "READER", part)))
    written = _Written(None if missing else read.ledger, _Work(every))
    for part in _saved(slices):
        written.take(part, SliceState.from_dict(_load(bucket, run, "SLICE", part)))
    return read, written, missing


def _accepted(written: _Written) -> dict[str, Any]:
    """What the writers had accepted, and what it took: by the measurement's names."""
    sums = written.sums
    return {
        **{name: sums[name] for name in _SUMS if name != "refused"},
        "rejected": sums["refused"],
        "insert_seconds": written.seconds,
        "user_records_per_record": sums["accepted"] / sums["kinesis_records"] if sums["kinesis_records"] else None,
    }


def _seen(read: _Read) -> dict[str, Any]:
    """What the readers saw, and how late: by the measurement's names."""
    return {
        "seen": read.ledger.unique,
        "duplicates": read.ledger.duplicates,
        "reordered": read.ledger.reordered,
        "corrupted": read.corrupted,
        "latency": read.latency,
        "arrival_latency": read.arrival_latency,
        "top_keys": tuple(read.ledger.hottest(HOTTEST_KEYS)),
        "verify_seconds": read.longest_seconds,
    }


def _load(bucket: RunsBucket, run: Run, part: Part, state: PartState) -> Any:
    return bucket.load(part_key(run.run_id, part, state.index, state.checkpoint))


def _saved(parts: list[PartState]) -> Iterator[PartState]:
    """The parts that left a checkpoint."""
    return (part for part in parts if part.checkpoint)


def _missing(parts: list[PartState], planned: int, name: str) -> Iterator[str]:
    """What is missing of writers or readers, one line for each way to be missing however many are."""
    saved = list(_saved(parts))
    if len(saved) < planned:
        yield f"what {planned - len(saved):,} of {planned:,} {name} did"
    unfinished = sum(not part.done for part in saved)
    if unfinished:
        one = unfinished == 1
        yield f"the end of {unfinished:,} of {planned:,} {name}: {'it' if one else 'they'} did not finish"


def _billed(run: Run, writing: _Work, reading: _Work, conf: Settings) -> dict[str, Any]:
    """Billable quantities, derived as ``_Work`` says: by the measurement's names."""
    looks = {step: _looks(run, step) for step in POLL_SECONDS}
    polls = 2 * looks["WaitActive"] + looks["AwaitMetrics"]
    invocations = writing.invocations + reading.invocations
    checkpoints = writing.checkpoints + reading.checkpoints
    busy_seconds = writing.busy_seconds + reading.busy_seconds
    # A writer opens its source anew after every checkpoint.
    opened = writing.checkpoints if isinstance(run.spec.load.source, S3Source) else 0
    return {
        "lambda_gb_seconds": (busy_seconds + CONTROL_SECONDS) * conf.worker_memory_mb / 1024,
        "lambda_requests": invocations + CONTROL_CALLS + polls,
        "state_transitions": STEP_TRANSITIONS + (invocations + polls) * LOOP_TRANSITIONS,
        "table_writes": 40 + sum(looks.values()) + invocations + checkpoints + writing.tells + reading.tells,
        "table_reads": 20 + polls + invocations * 2 + writing.checkpoints - writing.invocations,
        "bucket_puts": 3 + checkpoints,
        "bucket_gets": 1 + invocations + writing.parts + reading.parts + opened,
    }


def _looks(run: Run, name: str) -> int:
    """How often a step that waits has looked again after its first look."""
    step = next((one for one in run.steps if one.name == name), None)
    if step is None or step.ended_at is None:
        return 0
    return math.ceil((step.ended_at - step.started_at).total_seconds() / POLL_SECONDS[name])


def _planned(run: Run, written: _Written) -> int | None:
    """As planned; for a source whose lines nobody had counted, what the finished writers drew from it."""
    if run.plan is not None and run.plan.records is not None:
        return run.plan.records
    if run.plan is None or written.finished < run.plan.workers:
        return None
    return written.drawn


def _shards(written: Mapping[str, list[int]], read: Mapping[str, ShardState]) -> Iterator[ShardMeasurement]:
    for shard_id in sorted({*written, *read}):
        records, size, throttled = written.get(shard_id, (0, 0, 0))
        shard = read.get(shard_id)
        yield ShardMeasurement(
            shard_id=shard_id,
            accepted_records=records,
            accepted_bytes=size,
            throttled=throttled,
            read_records=shard.records if shard else None,
            read_bytes=shard.bytes if shard else None,
            arrivals=shard.arrivals if shard else RateSeries(),
            arrival_bytes=shard.arrival_bytes if shard else None,
        )
