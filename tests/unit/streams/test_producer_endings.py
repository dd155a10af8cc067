"""How a producer's run ends: deadlines, streams that go away, refusals, broken sources, faults of the program."""

from collections import Counter
from collections.abc import Iterator
from random import Random
from threading import Lock
from typing import Any

import pytest

from tests.unit.streams.fake_put import (
    THROTTLED,
    FakePut,
    FakeTime,
    Reports,
    client_error,
    numbered,
    order_is_kept,
    run,
    shard_map,
    user_log,
)
from weir.runtime.clock import SYSTEM
from weir.streams.producer import AsFastAsPossible, Entry, Producer, Rate


def test_the_deadline_stops_pulling_and_sending() -> None:
    # Given an endless source and a stream of one quota
    put = FakePut(FakeTime(), shard_map(1), quota=1_000)
    # When it has three seconds
    tally, reports = run(put, numbered(10**9), seconds=3.0)
    # Then it ends in time, says so, and everything pulled is accounted for
    assert tally.stopped == "deadline"
    assert tally.seconds <= 3.0 + put.round_trip + 0.01
    assert tally.accepted + tally.rejected == sum(reports.refs().values()) < 20_000
    assert {report.error_code for report in reports.rejected} <= {"DeadlineExceeded", THROTTLED}
    assert max(put.sent_at) < 1_003.0


def test_nothing_more_is_pulled_when_it_is_enough_though_no_record_is_due() -> None:
    # Given a record every 1,000 s, the first of which is due at once, and a stream that throttles it twice
    errors: list[Exception] = [client_error(THROTTLED) for _ in range(2)]
    put = FakePut(FakeTime(), shard_map(1), raises=errors)
    pace = Rate(0.001, into_s=1_000.0)
    # When it is enough after 20 s
    tally, reports = run(put, numbered(10**9), pace=pace, enough=lambda: put.time.seconds >= 1_020.0)
    # Then it ends within a second of that, as at the entries' end, with what was pulled accepted
    assert (tally.stopped, tally.accepted, tally.retried) == ("end", 1, 2)
    assert 20.0 <= tally.seconds <= 21.0
    # and what is enough from the beginning pulls nothing
    tally, reports = run(put, numbered(10), enough=lambda: True)
    assert (tally.stopped, tally.requests, reports.refs()) == ("end", 0, Counter())


def test_a_stream_that_is_not_yet_known_everywhere_is_tried_again() -> None:
    # Given a stream that answers 'not found' for its first requests
    put = FakePut(FakeTime(), shard_map(1), raises=[client_error("ResourceNotFoundException") for _ in range(4)])
    # When
    tally, _ = run(put, numbered(100))
    # Then
    assert (tally.accepted, tally.stopped) == (100, "end")
    assert tally.errors == {"ResourceNotFoundException": 400}
    assert tally.uncertain == 0


def test_a_stream_that_is_gone_ends_the_run() -> None:
    # Given a stream that is deleted after 20 s
    class Deleted(FakePut):
        def __call__(self, entries: Any) -> Any:
            if self.time.seconds > 1_020:
                raise client_error("ResourceNotFoundException")
            return super().__call__(entries)

    put = Deleted(FakeTime(), shard_map(1), quota=1_000)
    # When
    tally, reports = run(put, numbered(10**9))
    # Then
    assert tally.stopped == "stream_gone"
    assert tally.seconds == pytest.approx(20, abs=1)
    assert tally.accepted == len(put.log)
    assert max(reports.refs().values()) == 1
    assert "ResourceNotFoundException" in {report.error_code for report in reports.rejected}


def test_a_denied_call_ends_the_run_and_names_the_code() -> None:
    # Given
    put = FakePut(FakeTime(), shard_map(1), raises=[client_error("AccessDeniedException") for _ in range(3)])
    # When
    tally, reports = run(put, numbered(5_000))
    # Then one request was enough to learn it
    assert (tally.stopped, tally.requests, tally.accepted) == ("refused", 1, 0)
    assert {report.error_code for report in reports.rejected} == {"AccessDeniedException"}


def test_one_bad_record_does_not_take_its_batch_with_it() -> None:
    # Given a record that makes Kinesis refuse the whole request
    put = FakePut(FakeTime(), shard_map(4), poison=b"00000123")
    # When
    tally, reports = run(put, numbered(400), pace=AsFastAsPossible(burst_seconds=1.0))
    # Then it alone is rejected
    assert tally.accepted == 399
    assert [(report.entry.ref, report.error_code) for report in reports.rejected] == [(123, "InvalidArgumentException")]
    assert tally.requests < 25  # halving, not one by one


def test_requests_hold_no_more_bytes_than_kinesis_takes() -> None:
    # Given large records of many sizes, the largest that a stream can be made to take among them
    put = FakePut(FakeTime(), shard_map(64))
    sizes = [1_000_000, 3_000_000, 10_485_000, 5, 9_000_000, 2_000_000, 1] * 3
    entries = [Entry(f"key-{n}", b"x" * size, None, n) for n, size in enumerate(sizes)]
    # When (the fake asserts the limits)
    tally, _ = run(put, entries)
    # Then
    assert tally.accepted == len(sizes)


def test_an_error_of_the_source_is_raised_when_the_rest_is_settled() -> None:
    # Given a source that breaks
    put = FakePut(FakeTime(), shard_map(1))
    reports = Reports()

    def source() -> Iterator[Entry]:
        yield from numbered(120)
        raise RuntimeError("the file is cut")

    # When
    producer = Producer(put, put.shards, put.time.clock(), pace=AsFastAsPossible(), concurrency=1)
    with pytest.raises(RuntimeError, match="the file is cut"):
        producer.run(
            source(),
            deadline=put.time.seconds + 60,
            on_accepted=reports.accepted.extend,
            on_rejected=reports.rejected.extend,
        )
    # Then what came before is on the stream and reported
    assert reports.refs() == Counter(range(120))
    assert len(put.log) == 120


@pytest.mark.parametrize("concurrency", [1, 3])
def test_a_fault_of_the_program_is_not_taken_for_one_of_aws(concurrency: int) -> None:
    # Given
    put = FakePut(FakeTime(), shard_map(1), raises=[TypeError("a bug")])
    clock = put.time.clock() if concurrency == 1 else SYSTEM
    producer = Producer(put, put.shards, clock, pace=AsFastAsPossible(), concurrency=concurrency)
    # When, then
    with pytest.raises(TypeError, match="a bug"):
        producer.run(
            numbered(10), deadline=clock.monotonic() + 60, on_accepted=lambda _: None, on_rejected=lambda _: None
        )


@pytest.mark.parametrize("aggregate", [False, True])
@pytest.mark.parametrize("ordered", [False, True])
def test_threads_change_nothing_but_the_time(ordered: bool, aggregate: bool) -> None:
    # Given a stream that fails at random, behind a lock, and real time
    put = FakePut(FakeTime(), shard_map(4), throttle=0.05, lost_after_write=0.05)
    lock = Lock()
    reports = Reports()

    def locked(entries: Any) -> Any:
        with lock:
            return put(entries)

    entries = list(numbered(5_000, keys=200))
    producer = Producer(
        locked,
        put.shards,
        SYSTEM,
        pace=AsFastAsPossible(records_per_second=1e6, bytes_per_second=1e9),
        ordered=ordered,
        aggregate=aggregate,
        max_attempts=40,
        concurrency=4,
        rng=Random(3),
    )
    # When
    tally = producer.run(
        entries,
        deadline=SYSTEM.monotonic() + 60,
        on_accepted=reports.accepted.extend,
        on_rejected=reports.rejected.extend,
    )
    # Then
    assert reports.refs() == Counter(range(5_000))
    assert (tally.accepted, tally.rejected) == (5_000, 0)
    assert Counter(user_log(put)).keys() == {entry.data for entry in entries}
    if ordered:
        order_is_kept(entries, put, reports)


def test_memory_is_bounded_by_constants() -> None:
    # Given a stream so slow that the source would run far ahead
    put = FakePut(FakeTime(), shard_map(1), quota=100)
    ahead = 0
    settled = 0

    def source() -> Iterator[Entry]:
        nonlocal ahead
        for n, entry in enumerate(numbered(10**9)):
            ahead = max(ahead, n - settled)
            yield entry

    def count(reports: list[Any]) -> None:
        nonlocal settled
        settled += len(reports)

    # When
    producer = Producer(put, put.shards, put.time.clock(), pace=AsFastAsPossible(), concurrency=1)
    producer.run(source(), deadline=put.time.seconds + 30, on_accepted=count, on_rejected=count)
    # Then
    assert 2_000 < ahead <= 4_000


@pytest.mark.parametrize("wrong", [{"max_attempts": 0}, {"concurrency": 0}])
def test_limits_are_checked(wrong: dict[str, int]) -> None:
    put = FakePut(FakeTime(), shard_map(1))
    with pytest.raises(ValueError, match="at least 1"):
        Producer(put, put.shards, SYSTEM, pace=AsFastAsPossible(), **wrong)
