"""When a slice's records are due: its rate is kept over segments, invocations and deaths, however low it is."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest

from tests.unit.runs.fakes import Died
from tests.unit.runs.slices import HOUR, Bench
from weir.runs.bucket import RunsBucket
from weir.runs.envelope import read
from weir.runs.models import Failure, Load
from weir.runs.table import RunsTable
from weir.runs.writer import pace_of
from weir.streams.entries import Entry
from weir.streams.pacing import AsFastAsPossible, Rate


@pytest.fixture
def bench(table: RunsTable, bucket: RunsBucket) -> Callable[..., Bench]:
    return lambda **changes: Bench(table, bucket, **changes)


@pytest.mark.parametrize("seconds", [HOUR, 83.0, 95.0])
def test_bursts_keep_time_over_segments_and_invocations(seconds: float, bench: Callable[..., Bench]) -> None:
    # Given 10 records a second, and 50 in the last ten seconds of every minute: 1,000 a minute
    b = bench(records=3_000, load={"rate": 10, "burst": {"every_seconds": 60, "length_seconds": 10, "factor": 5}})
    # When written in one invocation, or in many that draw for 23 or 35 seconds each
    invocations = 1
    while not b.write(seconds):
        invocations += 1
        assert invocations < 20
    assert (invocations > 1) is (seconds < HOUR)
    # Then every minute's burst comes in its last ten seconds, counted from the slice's begin
    began = b.state().began_at
    assert began is not None
    arrived = [
        record.arrived_at - began for records in b.log.streams[b.run.stream_name].records.values() for record in records
    ]
    for minute in range(3):
        in_burst = sum(60 * minute + 50 <= at < 60 * minute + 60 for at in arrived)
        before = sum(60 * minute <= at < 60 * minute + 50 for at in arrived)
        assert (before, in_burst) == (pytest.approx(500, abs=25), pytest.approx(500, abs=25))


def test_each_writer_has_its_share_of_the_rate() -> None:
    burst = {"every_seconds": 10, "length_seconds": 2, "factor": 3}
    pace = pace_of(Load.model_validate({"records": 1, "rate": 100, "burst": burst}), 4, 25.0, 7)
    assert isinstance(pace, Rate)
    assert pace.records_per_second == 25
    assert pace.burst is not None
    assert (pace.burst.every_s, pace.burst.length_s, pace.burst.factor) == (10, 2, 3)
    assert (pace.into_s, pace.drawn) == (25, 7)
    # And without a rate, of what shards take: all writers write to all shards
    assert pace_of(Load(records=1), 1) == AsFastAsPossible()
    assert pace_of(Load(records=1), 4) == AsFastAsPossible(250, 1_048_576 / 4)


class _SlowBucket:
    """A bucket that takes a second for each checkpoint."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bench.bucket, name)

    def save(self, *args: Any) -> Any:
        self._bench.time.seconds += 1.0
        return self._bench.bucket.save(*args)


def rate_reached(b: Bench) -> float:
    state = b.state()
    assert state.began_at is not None
    assert state.ended_at is not None
    return state.accepted / (state.ended_at - state.began_at)


def test_a_rate_is_kept_through_checkpoints_that_take_time(bench: Callable[..., Bench]) -> None:
    # Given 60 a second for 100 s, and a second for each of the checkpoints between
    b = bench(records=6_000, load={"rate": 60})
    # When written / Then what was due while they were saved is made up
    assert dataclasses.replace(b.writer(), bucket=cast("RunsBucket", _SlowBucket(b))).write(HOUR)
    assert rate_reached(b) == pytest.approx(60, rel=0.005)


def test_a_rate_of_less_than_a_record_an_invocation_is_kept(bench: Callable[..., Bench]) -> None:
    # Given a record every 1,000 s, and invocations that draw for 820 s each
    b = bench(records=3, load={"rate": 0.001}, expires_in=80_000)
    # When invoked until it is done
    invocations = 1
    while not b.write(880.0):
        invocations += 1
        assert invocations < 10
    # Then each record was written when it was due, and the slice is done with the last one
    stamps = sorted(
        found[0].produced_us / 1e6 - b.time.clock().epoch() + b.time.seconds
        for records in b.log.streams[b.run.stream_name].records.values()
        for record in records
        if (found := read(record.data))
    )
    assert stamps == pytest.approx([1_000, 2_000, 3_000], abs=2)
    assert rate_reached(b) == pytest.approx(0.001, rel=0.005)


def test_a_slow_writer_ends_soon_after_its_run_too(bench: Callable[..., Bench]) -> None:
    # Given a record every 200 s, and a run that has failed
    b = bench(records=50, load={"rate": 0.005}, expires_in=80_000)
    b.table.fail(b.run.run_id, Failure(step="Verify", error="Timeout", cause="too long"))
    # When written / Then the writer has looked within 22 s, though no record was due
    assert b.write() is True
    assert b.time.seconds <= 22
    assert not b.part().done


def test_what_a_dead_invocation_left_due_is_made_up_at_twice_the_rate(bench: Callable[..., Bench]) -> None:
    # Given a writer of 50 a second that dies after 30 s, and is followed after five minutes
    b = bench(records=30_000, load={"rate": 50})

    def die(_: Sequence[Entry]) -> None:
        if b.time.seconds > 30:
            raise Died

    b.put.before = die
    with pytest.raises(Died):
        b.write()
    b.put.before = lambda _: None
    b.time.seconds = 300
    before = sum(map(len, b.log.streams[b.run.stream_name].records.values()))
    # When it goes on for 20 s / Then twice the rate was sent, not all 14,000 that are due by then
    b.write(20.0 + 60.0)
    sent = sum(map(len, b.log.streams[b.run.stream_name].records.values())) - before
    assert sent == pytest.approx(20 * 100, rel=0.1)
    # and when it goes on to the end / Then that comes as if nobody had died
    assert b.write() is True
    assert rate_reached(b) == pytest.approx(50, rel=0.005)
