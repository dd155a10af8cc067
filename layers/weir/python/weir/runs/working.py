"""One invocation of a writer or a reader of a run, put together from the run as stored."""

from collections.abc import Callable
from datetime import timedelta
from functools import cache
from random import Random
from typing import Any

from weir.runs.creating import KNOWN_WITHIN
from weir.runs.envelope import HEADER_BYTES
from weir.runs.models import InlineSource, Run, Status
from weir.runs.planner import Span, spans
from weir.runs.reading import Reading
from weir.runs.source import Generated, Inline, Lines, Source
from weir.runs.starting import RunClosed
from weir.runs.table import RunNotFound
from weir.runs.wiring import Wiring
from weir.runs.writer import SliceWriter, StreamGone, pace_of
from weir.runtime import aws
from weir.runtime.errors import Conflict
from weir.streams.errors import StreamNotFound
from weir.streams.hashing import ShardMap
from weir.streams.kinesis_put import PutAdapter
from weir.streams.producer import Producer

SPARE_SECONDS = 20.0
"""Kept free at the end of an invocation, to store the checkpoint."""

WRITER_THREADS = 4
READING_SLACK = timedelta(minutes=10)

LATER = {"done": False, "wait": 2}
"""Answered where the stream is not known yet: it is an answer and no error, for errors of the function alarm."""


def write_slice(run_id: str, index: int, seconds_left: float, wires: Wiring) -> dict[str, Any]:
    """Write slice ``index`` for as long as this invocation may; ``{"done": bool, "wait": seconds}``.

    Done, too, where the run has failed: nobody needs the rest, and the machine waits for its writers.
    """
    run = _running(run_id, wires)
    if run.failure is not None:
        return {"done": True, "wait": 0}
    source, span = _source(run, index, wires)
    writer = SliceWriter(
        run=run,
        index=index,
        source=source,
        span=span,
        producer=_producer(run, wires),
        table=wires.table,
        bucket=wires.bucket,
        clock=wires.clock,
    )
    try:
        done = writer.write(wires.clock.monotonic() + seconds_left - SPARE_SECONDS)
    except (StreamNotFound, StreamGone):
        return _without_stream(run, wires)
    return {"done": done, "wait": 0}


def read_shards(run_id: str, index: int, seconds_left: float, wires: Wiring) -> dict[str, Any]:
    """Read the shards of reader ``index``; ``{"done": bool, "wait": seconds}``."""
    run = _running(run_id, wires)
    plan = run.plan
    if plan is None:
        raise Conflict(f"Run {run_id} has no plan yet.")
    allowed = timedelta(seconds=2 * plan.seconds) + READING_SLACK

    active_at = next((step.ended_at for step in run.steps if step.name == "WaitActive"), None)
    latest = min((active_at or run.created_at) + allowed, run.expires_at)

    def deadline() -> bool:
        return wires.clock.now() > latest

    reading = Reading(
        run=run,
        index=index,
        readers=plan.readers,
        kinesis=wires.kinesis,
        table=wires.table,
        bucket=wires.bucket,
        clock=wires.clock,
        deadline=deadline,
    )
    try:
        outcome = reading.read(wires.clock.monotonic() + seconds_left - SPARE_SECONDS)
    except StreamNotFound:
        return _without_stream(run, wires)
    return {"done": outcome.done, "wait": outcome.wait_seconds}


def _without_stream(run: Run, wires: Wiring) -> dict[str, Any]:
    """What to answer in the place of the error at hand: nothing is left to do of a run that was stopped meanwhile, for
    Lambda goes on when its execution has ended, and such an end is no failure of the function."""
    now = wires.table.head(run.run_id)
    if now is None or now.status is Status.CLOSED or now.failure is not None:
        return {"done": True, "wait": 0}
    if not _is_new(run, wires):
        raise
    return dict(LATER)


def _is_new(run: Run, wires: Wiring) -> bool:
    """Whether the stream was ACTIVE seconds ago, so that not every part of Kinesis need know it yet."""
    active_at = next((step.ended_at for step in run.steps if step.name == "WaitActive"), None) or run.created_at
    return wires.clock.now() - active_at <= KNOWN_WITHIN


def _running(run_id: str, wires: Wiring) -> Run:
    run = wires.table.head(run_id)
    if run is None:
        raise RunNotFound(f"There is no run {run_id!r}.")
    if run.status is Status.CLOSED:
        raise RunClosed(f"Run {run_id} is closed: {run.verdict}.")
    return run


def _source(run: Run, index: int, wires: Wiring) -> tuple[Source, Span]:
    load, workers = run.spec.load, run.plan.workers if run.plan else 1
    if load.source is None:
        span = spans(load.records or 0, workers)[index]
        return Generated(span, load.bytes - HEADER_BYTES, load.keys), span
    if isinstance(load.source, InlineSource):
        span = spans(len(load.source.lines), workers)[index]
        return Inline(span, load.source, load.keys), span
    lines, version = load.source, run.source_version
    # Size and version that were planned with: of an object that was replaced since, slices would not fit together.
    span = spans((run.plan.source_bytes if run.plan else None) or 0, workers)[index]
    return Lines(span, lambda at: wires.bucket.open_at(lines.key, at, version), lines.key_field, load.keys), span


def _producer(run: Run, wires: Wiring) -> Callable[[float, int], Producer]:
    @cache
    def shard_map() -> ShardMap:
        return ShardMap(wires.kinesis.shards(run.stream_name))

    def make(elapsed: float, drawn: int) -> Producer:
        client = aws.client("kinesis", attempts=1, validate=False)
        return Producer(
            PutAdapter(client, run.stream_name),
            shard_map(),
            wires.clock,
            pace=pace_of(run.spec.load, run.plan.workers if run.plan else 1, elapsed, drawn),
            ordered=run.spec.slo.ordered,
            aggregate=run.spec.load.aggregated,
            concurrency=WRITER_THREADS,
            rng=Random(),
        )

    return make
