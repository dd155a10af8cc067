"""A reader whose time is up, that dies, or that AWS does not answer: nothing counts twice, and none waits for ever."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.runs.benches import FIRST, Bench
from tests.unit.runs.fakes import Died
from weir.runs.bucket import RunsBucket
from weir.runs.envelope import run_tag
from weir.runs.reading import OVERTIME_SECONDS, Outcome
from weir.runs.table import RunsTable, TakenOver
from weir.runtime.errors import Timeout, TooManyRequests, Unavailable, WeirError
from weir.streams.errors import StreamNotFound


@pytest.fixture
def bench(table: RunsTable, bucket: RunsBucket) -> Callable[..., Bench]:
    return lambda **changes: Bench(table, bucket, **changes)


def test_out_of_time_is_an_error_and_no_quiet_end(bench: Callable[..., Bench]) -> None:
    # Given writers that do not end, and a run whose time is up
    b = bench()
    b.write(range(4))
    b.told(done=False)
    b.out_of_time = True
    # When nothing comes any more / Then it is told as what it is; what was read is kept, and the reader is not done
    with pytest.raises(Timeout):
        b.read()
    assert b.state().ledger.unique == 4
    assert not b.part().done


def test_while_the_runs_own_records_come_time_is_not_up(bench: Callable[..., Bench]) -> None:
    # Given a run whose time is up, and a backlog of twice the overtime (50 records a call, five calls a second)
    b = bench()
    b.out_of_time = True
    b.write(range(int(2 * OVERTIME_SECONDS * 250)))
    b.told(done=True)
    b.log.records_per_call = 50
    # When read / Then all of it is read
    assert b.read().done
    assert b.time.seconds > OVERTIME_SECONDS


def flood(b: Bench) -> None:
    """From now on somebody else's producer puts a record on the stream before every read."""
    original = b.log.get_records

    def get_records(*args: Any, **named: Any) -> Any:
        b.write([0], tag=run_tag("another"), counts=False)
        return original(*args, **named)

    b.log.get_records = get_records  # type: ignore[method-assign]


def test_when_time_is_up_others_records_do_not_keep_a_reader_going(bench: Callable[..., Bench]) -> None:
    # Given a run whose time is up, one record that never comes, and somebody who puts records of their own
    b = bench()
    b.out_of_time = True
    b.write(range(4))
    b.written[FIRST] += 1
    b.told(done=True)
    flood(b)
    # When read / Then it ends soon after its time, says why, and has kept what it read
    with pytest.raises(Timeout, match="none of the run's"):
        b.read()
    assert OVERTIME_SECONDS <= b.time.seconds < OVERTIME_SECONDS + 10
    assert (b.state().ledger.unique, b.part().done) == (4, False)
    assert b.state().foreign > 100


def test_when_time_is_up_and_all_of_the_run_is_seen_the_reader_is_done(bench: Callable[..., Bench]) -> None:
    b = bench()
    b.out_of_time = True
    b.write(range(4))
    b.told(done=True)
    flood(b)
    assert b.read().done
    assert OVERTIME_SECONDS <= b.time.seconds < OVERTIME_SECONDS + 10


@pytest.mark.parametrize("late", ["time", "writers"])
def test_in_its_time_and_while_the_writers_write_a_reader_reads_whatever_comes(
    late: str, bench: Callable[..., Bench]
) -> None:
    # Given a flood, and either time that is not up or writers that have not ended
    b = bench()
    b.out_of_time = late == "writers"
    b.write(range(4))
    b.told(done=late == "time")
    flood(b)
    # When read for longer than an overtime / Then it is called again
    assert b.read(3 * OVERTIME_SECONDS) == Outcome(False, 0)


@pytest.mark.parametrize(("nth", "measured"), [(2, 0), (30, 0), (110, 5_100)])
def test_a_reader_that_dies_is_followed_by_one_that_counts_the_same(
    nth: int, measured: int, bench: Callable[..., Bench]
) -> None:
    # Given 6,000 records, 50 a call (24 s), and a reader that dies at its n-th call, checkpoints being 20 s apart
    b = bench()
    b.write(range(6_000))
    b.told(done=True)
    b.log.records_per_call = 50
    original, calls = b.log.get_records, 0

    def get_records(*args: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == nth:
            raise Died
        return original(*args, **named)

    b.log.get_records = get_records  # type: ignore[method-assign]
    with pytest.raises(Died):
        b.read()
    # When another goes on / Then nothing is counted twice
    assert b.read().done
    state = b.state()
    assert (state.ledger.unique, state.ledger.duplicates, state.ledger.reordered) == (6_000, 0, 0)
    assert state.shards[FIRST].records == 6_000
    # and what may have been read twice has no latency, for it would be a later one; its arrival is what it was
    assert state.latency.count == measured
    assert state.arrival_latency.count == 6_000


@pytest.mark.parametrize("error", [Unavailable("no answer", retry_after=5)])
def test_kinesis_not_answering_is_for_the_machine_to_retry(error: Exception, bench: Callable[..., Bench]) -> None:
    b = bench()
    b.write(range(3))
    b.told(done=True)
    b.log.failures["get_records"] = [error]  # type: ignore[list-item]
    with pytest.raises(Unavailable):
        b.read()
    assert b.read().done
    assert b.state().ledger.unique == 3


@pytest.mark.parametrize("error", [Unavailable("no answer"), StreamNotFound("not known everywhere yet")])
def test_where_shards_were_not_known_at_first_every_record_has_its_latency(
    error: WeirError, bench: Callable[..., Bench]
) -> None:
    # Given a reader that is not told its shards, so that it reads nothing, and records that come meanwhile
    b = bench()
    b.log.failures["shard_page"] = [error]
    with pytest.raises(type(error)):
        b.read()
    b.write(range(5))
    b.told(done=True)
    # When another goes on later / Then it tells how late they were
    b.time.seconds += 2
    assert b.read().done
    assert (b.state().ledger.unique, b.state().latency.count) == (5, 5)


def test_a_reader_that_can_not_say_that_it_read_nothing_raises_what_kept_it(bench: Callable[..., Bench]) -> None:
    # Given a reader that is not told its shards, and a bucket that takes nothing
    b = bench()
    b.write(range(5))
    b.told(done=True)
    b.log.failures["shard_page"] = [Unavailable("no shards")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(b.bucket), "save", unavailable)
        with pytest.raises(Unavailable, match="no shards"):
            b.read()
    # When another goes on / Then it takes it that they may have been read, and times none
    b.time.seconds += 2
    assert b.read().done
    assert (b.state().ledger.unique, b.state().latency.count) == (5, 0)


def unavailable(*_: Any) -> None:
    raise Unavailable("no bucket")


def test_what_was_read_before_kinesis_did_not_answer_is_not_read_again(bench: Callable[..., Bench]) -> None:
    # Given ten seconds of reading, and then no answer
    b = bench()
    b.write(range(6_000))
    b.told(done=True)
    b.log.records_per_call = 50
    original = b.log.get_records

    def get_records(*args: Any, **named: Any) -> Any:
        if b.time.seconds > 10:
            b.log.get_records = original  # type: ignore[method-assign]
            raise Unavailable("no answer", retry_after=5)
        return original(*args, **named)

    b.log.get_records = get_records  # type: ignore[method-assign]
    with pytest.raises(Unavailable):
        b.read()
    # When another goes on half a minute later / Then the first ten seconds' records keep their latency
    b.time.seconds += 30
    assert b.read().done
    state = b.state()
    assert (state.ledger.unique, state.latency.count) == (6_000, 6_000)
    assert state.latency.quantile(0.4) < 11_000_000


@pytest.mark.parametrize("error", [Died(), TooManyRequests("slow", retry_after=1)])
def test_a_reader_that_could_not_tell_that_it_is_done_is_followed_by_one_that_does(
    error: BaseException, bench: Callable[..., Bench]
) -> None:
    # Given a reader with a checkpoint behind it, whose last word is lost after its state was stored
    b = bench()
    b.write(range(6_000))
    b.told(done=True)
    b.log.records_per_call = 50

    class Losing:
        def __getattr__(self, name: str) -> Any:
            return getattr(b.table, name)

        def tell(self, *args: Any, **named: Any) -> None:
            if named.get("done"):
                raise error
            b.table.tell(*args, **named)

    reading = b.reading()
    reading.table = Losing()  # type: ignore[assignment]
    with pytest.raises(type(error)):
        reading.read(b.time.seconds + 800)
    assert (b.part().checkpoint, b.part().done) == (1, False)
    # When another goes on / Then it is told, with all that was read
    assert b.read() == Outcome(True, 0)
    assert b.part().done
    assert b.part().counts["seen"] == b.state().ledger.unique == b.state().latency.count == 6_000


def test_throttled_reads_are_no_tip_and_no_loss(bench: Callable[..., Bench]) -> None:
    b = bench()
    b.write(range(3))
    b.told(done=True)
    b.log.failures["get_records"] = [TooManyRequests("slow", retry_after=1) for _ in range(3)]
    assert b.read().done
    assert b.state().ledger.unique == 3


def test_a_stream_that_is_gone_is_told(bench: Callable[..., Bench]) -> None:
    b = bench()
    b.write(range(3))
    b.told(done=False)
    b.read()
    del b.log.streams[b.run.stream_name]
    with pytest.raises(StreamNotFound):
        b.read()
    assert not b.part().done


def test_a_reader_that_was_taken_over_stops_and_spoils_nothing(bench: Callable[..., Bench]) -> None:
    # Given a reader whose shards another claims
    b = bench()
    b.write(range(3_000))
    b.told(done=True)
    b.log.records_per_call = 50
    original = b.log.get_records

    def get_records(*args: Any, **named: Any) -> Any:
        if b.time.seconds > 4:
            b.log.get_records = original  # type: ignore[method-assign]
            b.table.claim(b.run.run_id, "READER", 0, b.run.expires_at)
        return original(*args, **named)

    b.log.get_records = get_records  # type: ignore[method-assign]
    # When it tells / Then it stops, and the next one counts from the last checkpoint that holds
    with pytest.raises(TakenOver):
        b.read()
    assert b.part().checkpoint == 0
    assert b.read().done
    assert b.state().ledger.unique == 3_000


def test_progress_that_can_not_be_told_does_not_stop_the_reading(bench: Callable[..., Bench]) -> None:
    b = bench()
    b.write(range(1_000))
    b.told(done=True)
    b.log.records_per_call = 50

    class Throttling:
        def __getattr__(self, name: str) -> Any:
            return getattr(b.table, name)

        def tell(self, *args: Any, **named: Any) -> None:
            if not named.get("saved"):
                raise TooManyRequests("slow down", retry_after=2)
            b.table.tell(*args, **named)

    reading = b.reading()
    reading.table = Throttling()  # type: ignore[assignment]
    assert reading.read(b.time.seconds + 800).done
    assert b.part().counts["seen"] == 1_000
