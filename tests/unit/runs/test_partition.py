"""What all workers of a run together ask of its partition of the table stays far below what a partition takes."""

import json
from typing import Any

import pytest

from tests.unit.runs.fakes import run_of, spec_of
from weir.runs.items import item_of
from weir.runs.models import MAX_INLINE_BYTES, Run, RunPlan
from weir.runs.partition import look_seconds, most_shards_told, tell_seconds, watch_seconds
from weir.runs.reading import SAVE_SECONDS
from weir.runs.verifier import ReaderState
from weir.runs.writer import SEGMENT_SECONDS, SliceState
from weir.streams.models import Mode

MOST_WRITES, MOST_READS = 1_000, 3_000
"""Units a second of a partition."""

POLL_SECONDS = 0.4
"""From one ``GET /runs/{id}`` of a watcher to the next, at the quickest."""

INVOCATION_SECONDS = 700
KEYS_AND_BOOKS = 250
"""Bytes of an item's keys, version, checkpoint, schema and time to live."""


def crowd(writers: int, shards: int | None, readers: int, mode: Mode = "PROVISIONED", **load: Any) -> Run:
    stream = {"shards": shards} if mode == "PROVISIONED" else {"mode": mode}
    spec = spec_of(stream=stream, load=load or {"records": 100})
    plan = RunPlan.model_construct(workers=writers, readers=readers)
    return run_of(spec, planned=False).model_copy(update={"plan": plan})


def counted(shards: int) -> SliceState:
    """A slice that has come far: every count of ten digits."""
    state = SliceState(position=10**12, began_at=1_795_262_700.123456, ended_at=1_795_266_300.123456)
    for name in ("accepted", "refused", "retried", "throttled", "uncertain", "requests", "kinesis_records"):
        setattr(state, name, 10**10)
    state.bytes, state.payload_units, state.rounded_kib, state.busy_seconds = 10**13, 10**10, 10**10, 3_600.123456
    state.errors = {"ProvisionedThroughputExceededException": 10**10, "InternalFailure": 10**10}
    state.shards = {f"shardId-{number:012d}": [10**8, 10**11, 10**6] for number in range(shards)}
    return state


CROWDS = [
    (writers, shards) for writers in (1, 10, 100, 400, 1_000) for shards in (1, 4, 28, 40, 100, 400, 1_000, 10_000)
]
"""Writers and shards."""


@pytest.mark.parametrize(("writers", "shards"), CROWDS)
def test_the_workers_writes_stay_far_below_what_a_partition_takes(writers: int, shards: int) -> None:
    run = crowd(writers, shards, readers := -(-shards // 4))
    workers = writers + readers
    per_second = workers / tell_seconds(run) + workers / min(SAVE_SECONDS, SEGMENT_SECONDS)
    assert per_second <= MOST_WRITES / 4
    # and all writers' last words together take three seconds' units at most, once
    told = shards if shards <= most_shards_told(run) else 0
    assert writers * -(-len(json.dumps(counted(told).counts(told))) // 1_024) <= 3 * MOST_WRITES


def lines_of(what: str) -> dict[str, Any]:
    """A load of lines that take all the room there is, as JSON text."""
    line = {"ascii": "x" * 96, "escaped": "\u00e9" * 16}[what]
    return {"source": {"type": "inline", "lines": [line] * (MAX_INLINE_BYTES // 100 - 1)}}


LOADS = {"generated": {}, "ascii": lines_of("ascii"), "escaped": lines_of("escaped")}


@pytest.mark.parametrize("load", LOADS)
@pytest.mark.parametrize(("writers", "shards"), CROWDS)
def test_the_reads_of_workers_and_a_watcher_stay_below_what_a_partition_takes(
    writers: int, shards: int, load: str
) -> None:
    # Given a run's item as stored, with plan and steps, and the parts' items at their end
    run = crowd(writers, shards, readers := -(-shards // 4), **LOADS[load])
    told = shards if shards <= most_shards_told(run) else 0
    part_bytes = KEYS_AND_BOOKS + len(json.dumps(counted(told).counts(told)))
    run_bytes = len(item_of(run)["spec"]["S"].encode()) + 4_000
    run_units = -(-run_bytes // 4_096)
    # Then the workers' looks take half of the units at most
    look_units = run_units + writers * part_bytes / 8_192
    looks = readers * look_units / look_seconds(run)
    watching = run_units * writers / watch_seconds(run)
    begins = (writers + readers) * run_units / INVOCATION_SECONDS
    assert looks + watching <= MOST_READS / 2
    # and with a watcher of as large a run as is planned, all of it is below what there is
    if writers + readers <= 900:
        poll_units = (run_bytes + writers * part_bytes + readers * 1_024) / 4_096
        assert looks + watching + begins + poll_units / POLL_SECONDS <= MOST_READS


def test_a_writer_looks_at_the_run_with_each_checkpoint_where_it_may() -> None:
    assert watch_seconds(crowd(1_000, 40, 10)) == SAVE_SECONDS
    assert watch_seconds(crowd(10, 1, 1, **LOADS["ascii"])) == SAVE_SECONDS
    assert 90 < watch_seconds(crowd(800, 40, 10, **LOADS["escaped"])) < 110


def test_an_item_is_written_for_one_unit() -> None:
    # Given what a writer and a reader tell when they have come far / Then an item is under 1 KB
    assert KEYS_AND_BOOKS + len(json.dumps(counted(1_000).counts())) < 1_024
    assert KEYS_AND_BOOKS + len(json.dumps(ReaderState(busy_seconds=3_600.123456).counts())) < 1_024


def test_a_long_spec_is_looked_at_more_rarely() -> None:
    # Given a spec with 100 KB of lines in it, which each of 25 readers reads with the run
    lines = ["x" * 1_000] * 100
    spec = spec_of(load={"records": None, "source": {"type": "inline", "lines": lines}}, stream={"shards": 100})
    run = run_of(spec, planned=False).model_copy(update={"plan": RunPlan.model_construct(workers=1, readers=25)})
    assert 25 * 26 / look_seconds(run) <= MOST_READS / 2


def test_few_workers_tell_every_second_and_look_twice_a_second() -> None:
    for run in (crowd(1, 1, 1), crowd(10, 12, 3), crowd(4, None, 1, "ON_DEMAND")):
        assert (tell_seconds(run), look_seconds(run)) == (1.0, 0.5)


def test_the_shards_of_an_item_have_an_end() -> None:
    assert most_shards_told(crowd(1, 10_000, 1)) == 1_000  # 50 KB of the 400 that an item holds
    assert most_shards_told(crowd(1_000, 10_000, 2_500)) == 0
