"""Put together what writers and readers of a run counted: the measurement that rules, verdict and report start from."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from weir.analysis.histogram import Histogram
from weir.analysis.measurement import Measurement, ShardMeasurement
from weir.analysis.rates import RateSeries
from weir.runs.bucket import RunsBucket, part_key
from weir.runs.items import Part, PartState
from weir.runs.ledger import Ledger
from weir.runs.models import Run
from weir.runs.planner import CONTROL_SECONDS, FIXED_TRANSITIONS, LOOP_TRANSITIONS
from weir.runs.table import RunsTable
from weir.runs.verifier import ReaderState
from weir.runs.writer import SliceState
from weir.runtime.clock import Clock
from weir.runtime.settings import Settings
from weir.streams.metrics import Series

HOTTEST_KEYS = 20


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
    slices, slices_missing = _load(table, bucket, run, "SLICE")
    readers, readers_missing = _load(table, bucket, run, "READER")
    written = [SliceState.from_dict(state) for _, state in slices]
    read = [ReaderState.from_dict(state) for _, state in readers]
    workers, reading = (run.plan.workers, run.plan.readers) if run.plan else (0, 0)
    missing = [f"what {count} of {of} {name} did" for count, of, name in _absent(slices, readers, workers, reading)]
    missing += slices_missing + readers_missing
    ledger = _merged(read)
    counted = _account(ledger, slices) if not missing else {"lost": None}
    if cloudwatch.asked and not cloudwatch.complete:
        missing.append("AWS/Kinesis in CloudWatch: it did not show every accepted record in time")
    skewed = sum(state.skewed for state in read)
    if skewed:
        missing.append(f"the latency of {skewed} records: the reader's clock was behind the writer's")
    began = [state.began_at for state in written if state.began_at is not None]
    ended = [state.ended_at for state in written if state.ended_at is not None]
    accepted = sum(state.accepted for state in written)
    kinesis_records = sum(state.kinesis_records for state in written)
    invocations = sum(part.counts["invocations"] for part, _ in (*slices, *readers))
    busy = sum(state.busy_seconds for state in written) + sum(state.busy_seconds for state in read)
    now = clock.epoch()
    return Measurement(
        run_id=run.run_id,
        stream_name=run.stream_name,
        mode=run.spec.stream.mode,
        region=conf.region,
        open_shards=stream.open_shards,
        retention_hours=stream.retention_hours,
        started_at=run.created_at,
        ended_at=clock.now(),
        planned=_planned(run, written),
        accepted=accepted,
        rejected=sum(state.refused for state in written),
        retried=sum(state.retried for state in written),
        throttled=sum(state.throttled for state in written),
        uncertain=sum(state.uncertain for state in written),
        requests=sum(state.requests for state in written),
        bytes=sum(state.bytes for state in written),
        kinesis_records=kinesis_records,
        payload_units=sum(state.payload_units for state in written),
        rounded_kib=sum(state.rounded_kib for state in written),
        insert_seconds=max(ended) - min(began) if began and ended else None,
        verify_seconds=max((state.busy_seconds for state in read), default=None),
        stream_seconds=None if stream.created_at is None else max(0.0, now - stream.created_at),
        seen=ledger.unique,
        duplicates=ledger.duplicates,
        reordered=ledger.reordered,
        corrupted=sum(state.corrupted for state in read),
        foreign=sum(state.foreign for state in read) + int(counted.get("beyond") or 0),
        lost=counted["lost"],
        ordered_asked=run.spec.slo.ordered,
        latency=_total(state.latency for state in read),
        arrival_latency=_total(state.arrival_latency for state in read),
        shards=_shards(written, read),
        top_keys=tuple(ledger.hottest(HOTTEST_KEYS)),
        aggregated=run.spec.load.aggregated,
        user_records_per_record=accepted / kinesis_records if kinesis_records else None,
        target_rate=run.spec.load.rate,
        lambda_gb_seconds=(busy + CONTROL_SECONDS) * conf.worker_memory_mb / 1024,
        lambda_requests=invocations + 12,
        state_transitions=FIXED_TRANSITIONS + invocations * LOOP_TRANSITIONS,
        table_writes=40 + int(busy),
        table_reads=20 + invocations * 2,
        bucket_puts=6 + invocations,
        bucket_gets=6 + invocations,
        metrics_requested=cloudwatch.requested,
        cloudwatch=cloudwatch.series,
        cloudwatch_complete=cloudwatch.complete,
        missing=tuple(missing),
    )


Loaded = list[tuple[PartState, Any]]


def _load(table: RunsTable, bucket: RunsBucket, run: Run, part: Part) -> tuple[Loaded, list[str]]:
    """The checkpoints of all parts that have one, and what is missing of those that ended early."""
    loaded: Loaded = []
    missing = []
    for state in table.parts(run.run_id, part):
        if state.checkpoint:
            loaded.append((state, bucket.load(part_key(run.run_id, part, state.index, state.checkpoint))))
        if not state.done:
            missing.append(f"all of {part.lower()} {state.index}: it did not finish")
    return loaded, missing


def _absent(slices: Loaded, readers: Loaded, workers: int, reading: int) -> Iterable[tuple[int, int, str]]:
    if len(slices) < workers:
        yield workers - len(slices), workers, "writers"
    if len(readers) < reading:
        yield reading - len(readers), reading, "readers"


def _merged(read: Sequence[ReaderState]) -> Ledger:
    ledger = Ledger()
    for state in read:
        ledger.merge(state.ledger)
    return ledger


def _account(ledger: Ledger, slices: Loaded) -> dict[str, int | None]:
    lost = beyond = 0
    for part, state in slices:
        losses = ledger.compare(part.index, state["produced"], state["rejected"])
        lost += losses.lost
        beyond += losses.beyond
    return {"lost": lost, "beyond": beyond}


def _planned(run: Run, written: Sequence[SliceState]) -> int | None:
    """As planned; for a source whose lines nobody had counted, what the finished writers drew from it."""
    if run.plan is not None and run.plan.records is not None:
        return run.plan.records
    if run.plan is None or len(written) < run.plan.workers or not all(state.finished for state in written):
        return None
    return sum(sum(state.produced.values()) for state in written)


def _total(histograms: Iterable[Histogram]) -> Histogram:
    total = Histogram()
    for histogram in histograms:
        total.merge(histogram)
    return total


def _shards(written: Sequence[SliceState], read: Sequence[ReaderState]) -> tuple[ShardMeasurement, ...]:
    seen = {shard_id: shard for state in read for shard_id, shard in state.shards.items()}
    shard_ids = sorted(set(seen) | {shard_id for state in written for shard_id in state.shards})
    measured = []
    for shard_id in shard_ids:
        sums = [state.shards.get(shard_id, (0, 0, 0)) for state in written]
        shard = seen.get(shard_id)
        measured.append(
            ShardMeasurement(
                shard_id=shard_id,
                accepted_records=sum(one[0] for one in sums),
                accepted_bytes=sum(one[1] for one in sums),
                throttled=sum(one[2] for one in sums),
                read_records=shard.records if shard else None,
                read_bytes=shard.bytes if shard else None,
                arrivals=shard.arrivals if shard else RateSeries(),
                arrival_bytes=shard.arrival_bytes if shard else None,
            )
        )
    return tuple(measured)
