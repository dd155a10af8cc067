"""A reader of a run: it follows the writers to their end, through reshards and failures, and knows when it is done."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from tests.unit.runs.benches import FIRST, SECOND, THIRD, Bench
from tests.unit.runs.fakes import run_of, shard, spec_of
from tests.unit.streams.fakes import expired
from weir.runs.bucket import RunsBucket
from weir.runs.envelope import run_tag, seal
from weir.runs.items import PartState
from weir.runs.models import Failure
from weir.runs.partition import look_seconds, tell_seconds
from weir.runs.reading import QUIET_ROUNDS, Outcome, Writers, writers_of
from weir.runs.table import RunsTable
from weir.streams.aggregation import aggregate
from weir.streams.entries import Entry
from weir.streams.kinesis import RecordsAnswer


@pytest.fixture
def bench(table: RunsTable, bucket: RunsBucket) -> Callable[..., Bench]:
    return lambda **changes: Bench(table, bucket, **changes)


def test_all_is_read_and_the_end_is_known_at_once(bench: Callable[..., Bench]) -> None:
    # Given writers that are done
    b = bench(shards=2)
    b.write(range(300))
    b.write(range(200), SECOND, "l")
    b.told(done=True)
    # When read / Then it is done within a second or so, without waiting for more
    assert b.read() == Outcome(True, 0)
    assert b.time.seconds < 2
    state = b.state()
    assert (state.ledger.unique, state.ledger.duplicates, state.finished) == (500, 0, True)
    assert {shard_id: one.records for shard_id, one in state.shards.items()} == {FIRST: 300, SECOND: 200}
    assert b.part().done
    assert b.part().counts["seen"] == 500


def test_while_the_writers_write_the_reader_comes_back(bench: Callable[..., Bench]) -> None:
    # Given writers that have not ended
    b = bench()
    b.write(range(10))
    b.told(done=False)
    # When nothing comes / Then the reader stays as long as it may, for latency is measured by it, and is called again
    assert b.read(30) == Outcome(False, 0)
    assert 30 <= b.time.seconds < 35
    assert not b.part().done
    # When they have written the rest / Then the next invocation goes on behind, and reads nothing twice
    b.write(range(10, 30))
    b.told(done=True)
    assert b.read() == Outcome(True, 0)
    assert (b.state().ledger.unique, b.state().ledger.duplicates) == (30, 0)
    assert b.part().counts["invocations"] == 2


def test_the_end_of_the_writers_alone_is_not_the_end(bench: Callable[..., Bench]) -> None:
    # Given a shard that says to be behind although it gives nothing for a while
    b = bench()
    b.write(range(5))
    b.told(done=True)
    b.log.millis_behind = [1_000, 1_000, 500, 0]
    # When read / Then it is read to its tip, and no further
    assert b.read().done
    assert b.log.millis_behind == []


def test_what_kinesis_did_not_say_is_no_tip(bench: Callable[..., Bench]) -> None:
    # Given a record that was sent twice, so that there are more on the stream than the writers count; a last one that
    # is slow to come; and an iterator that expires just before it does
    b = bench()
    b.write([0, 1])
    b.write([1], counts=False)
    b.told(done=True)
    original, reads = b.log.get_records, 0

    def get_records(iterator: str, limit: int, *, about: str) -> Any:
        nonlocal reads
        reads += 1
        if reads == 2:
            b.write([2], counts=False)
            return RecordsAnswer([], iterator, 1_000, ())
        if reads == 3:
            raise expired()
        return original(iterator, limit, about=about)

    b.log.get_records = get_records  # type: ignore[method-assign]
    # When read / Then the expired read is not taken for the end of the shard
    assert b.read().done
    assert b.state().ledger.unique == 3


def test_what_never_comes_is_given_up_after_quiet_visits(bench: Callable[..., Bench]) -> None:
    # Given writers that had ten records accepted, of which one is not on the stream
    b = bench()
    b.write([0, 1, 2, 3, 5, 6, 7, 8, 9])
    b.written[FIRST] += 1
    b.told(done=True)
    # When read again and again
    outcomes = [b.read()]
    while not outcomes[-1].done:
        b.time.seconds += outcomes[-1].wait_seconds
        outcomes.append(b.read())
    # Then it waits longer each time, and ends after five quiet visits
    assert len(outcomes) == QUIET_ROUNDS
    assert [one.wait_seconds for one in outcomes] == [2, 3, 4, 5, 0]
    state = b.state()
    assert state.ledger.unique == 9
    assert state.ledger.compare(0, {"k": 10}, {}).lost == 1
    assert b.part().done


def test_a_late_record_begins_the_quiet_anew(bench: Callable[..., Bench]) -> None:
    b = bench()
    b.write([0])
    b.written[FIRST] += 2
    b.told(done=True)
    for _ in range(QUIET_ROUNDS - 1):
        assert not b.read().done
    b.write([1], counts=False)
    assert b.read() == Outcome(False, 2)
    b.write([2], counts=False)
    assert b.read().done
    assert b.state().ledger.unique == 3


def test_no_quiet_counts_while_the_writers_write(bench: Callable[..., Bench]) -> None:
    b = bench()
    b.told(done=False)
    for _ in range(QUIET_ROUNDS + 3):
        assert b.read(10) == Outcome(False, 0)


def test_when_inserting_has_failed_the_reader_comes_to_its_end(bench: Callable[..., Bench]) -> None:
    # Given a slice that will never be done, because inserting broke
    b = bench()
    b.write(range(4))
    b.table.fail(b.run.run_id, Failure(step="Insert", error="Denied", cause="no"))
    # When read / Then all that is there is read, and the reader ends
    outcome = b.read()
    for _ in range(QUIET_ROUNDS):
        if outcome.done:
            break
        outcome = b.read()
    assert outcome.done
    assert b.state().ledger.unique == 4


def test_a_readers_time_ends_and_the_next_goes_on(bench: Callable[..., Bench]) -> None:
    # Given more than can be read in an invocation (100 records a call, five calls a second)
    b = bench()
    b.write(range(5_000))
    b.told(done=True)
    b.log.records_per_call = 100
    # When the invocations are of three seconds
    invocations = 1
    while not b.read(3.0).done:
        invocations += 1
        assert invocations < 10
    # Then they share the work
    assert invocations == 4
    assert (b.state().ledger.unique, b.state().ledger.duplicates, b.state().shards[FIRST].records) == (5_000, 0, 5_000)


def test_readers_share_the_shards(bench: Callable[..., Bench]) -> None:
    # Given three shards and two readers
    b = bench(shards=3)
    for number, shard_id in enumerate((FIRST, SECOND, THIRD)):
        b.write(range(10), shard_id, f"k{number}")
    b.told(done=True)
    # When both have read / Then each shard was read by one
    assert b.read(index=0, readers=2).done
    assert b.read(index=1, readers=2).done
    assert set(b.state(0).shards) == {FIRST, THIRD}
    assert set(b.state(1).shards) == {SECOND}


def test_a_reader_without_a_shard_is_done_and_says_so(bench: Callable[..., Bench]) -> None:
    # Given more readers than shards / When the last one reads / Then it is done, and nobody misses its checkpoint
    b = bench(shards=1)
    assert b.read(index=1, readers=2) == Outcome(True, 0)
    assert b.part(1).done
    assert b.part(1).checkpoint == 1
    assert b.state(1).ledger.unique == 0


def test_aggregates_are_counted_as_kinesis_does_to_know_the_end(bench: Callable[..., Bench]) -> None:
    # Given twenty user records in two Kinesis records
    b = bench()
    tag = run_tag(b.run.run_id)
    for half in (range(10), range(10, 20)):
        entries = [Entry("k", seal(tag, 0, sequence, 0, b"payload")) for sequence in half]
        b.write([0], data=aggregate(entries))
    b.told(done=True)
    # When read / Then the end is known, and all twenty are seen
    assert b.read().done
    assert b.time.seconds < 2
    assert b.state().ledger.unique == 20


def test_foreign_records_do_not_stand_for_the_runs_own(bench: Callable[..., Bench]) -> None:
    # Given a stranger's record in place of one that was lost
    b = bench()
    b.write([0, 1])
    b.write([0], tag=run_tag("another"), counts=False)
    b.written[FIRST] += 1
    b.told(done=True)
    while not b.read().done:
        pass
    # Then both are told
    state = b.state()
    assert (state.ledger.unique, state.foreign) == (2, 1)
    assert state.ledger.compare(0, {"k": 3}, {}).lost == 1


def test_the_writers_word() -> None:
    # Given a run of two writers
    run = run_of(spec_of(load={"records": 100, "workers": 2}))
    one = PartState(0, True, 1, {"shards": {"a": [5, 0, 0]}, "invocations": 1})
    two = PartState(1, False, 0, {"shards": {"a": [1, 0, 0], "b": [2, 0, 0]}, "invocations": 1})
    # Then they have ended when both have, or inserting has failed; what they accepted is summed by shard
    assert writers_of([], run) == Writers(False, True, {})
    assert writers_of([one], run).ended is False
    assert writers_of([one, two], run) == Writers(False, True, {"a": 6, "b": 2})
    done = PartState(1, True, 1, two.counts)
    assert writers_of([one, done], run) == Writers(True, True, {"a": 6, "b": 2})
    # And their word is not certain where an answer was lost or a writer replaced, nor known where one tells no shards
    for counts in ({**done.counts, "uncertain": 3}, {**done.counts, "invocations": 2}):
        assert writers_of([one, PartState(1, True, 1, counts)], run).certain is False
    assert writers_of([one, PartState(1, True, 1, {"invocations": 1})], run).accepted is None
    broken = run.model_copy(update={"failure": Failure(step="Insert", error="x", cause="y")})
    assert writers_of([one], broken).ended is True


def test_copies_are_not_taken_for_what_is_still_to_come(bench: Callable[..., Bench]) -> None:
    # Given ten accepted records of which the last is late, and three copies that make up the number
    b = bench()
    b.write(range(9))
    b.write([0, 1, 2], counts=False)
    b.written[FIRST] += 1
    b.told(done=True)
    # When read to the tip / Then the reader is not done
    assert not b.read().done
    # And when the last one comes, it is
    b.write([9], counts=False)
    assert b.read().done
    assert (b.state().ledger.unique, b.state().ledger.duplicates) == (10, 3)


def test_where_an_answer_was_lost_the_reader_waits_for_copies(bench: Callable[..., Bench]) -> None:
    # Given writers whose word is not certain: an answer was lost, and its records were sent again
    b = bench()
    b.write(range(5))
    b.told(done=True, uncertain=2)
    # When all that they tell of is seen / Then the reader still looks twice at the quiet tip, and counts what comes
    assert not b.read().done
    b.write([3, 4], counts=False)
    assert not b.read().done
    assert b.read().done
    assert b.state().ledger.duplicates == 2


def crowded(b: Bench, writers: int, readers: int) -> None:
    """The bench's run, planned for many writers and readers."""
    assert b.run.plan is not None
    b.run = b.run.model_copy(update={"plan": b.run.plan.model_copy(update={"workers": writers, "readers": readers})})


class Watched:
    """A table that notes when the writers were looked at, and when progress was told."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.looked: list[float] = []
        self.told: list[float] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.bench.table, name)

    def parts(self, *args: Any, **named: Any) -> Any:
        self.looked.append(self.bench.time.seconds)
        return self.bench.table.parts(*args, **named)

    def tell(self, *args: Any, **named: Any) -> None:
        if not named.get("saved"):
            self.told.append(self.bench.time.seconds)
        self.bench.table.tell(*args, **named)


def watch(b: Bench, seconds: float, index: int = 0, readers: int = 1) -> Watched:
    """Read for a while, a record coming every half second, so that every second or third round is empty."""
    watched, written = Watched(b), 0
    b.told(done=False)
    original = b.log.get_records

    def get_records(*args: Any, **named: Any) -> Any:
        nonlocal written
        while written < b.time.seconds * 2:
            b.write([written])
            written += 1
        return original(*args, **named)

    b.log.get_records = get_records  # type: ignore[method-assign]
    reading = b.reading(index=index, readers=readers)
    reading.table = watched  # type: ignore[assignment]
    reading.read(b.time.seconds + seconds)
    assert written > seconds
    return watched


def test_a_trickle_of_records_does_not_make_a_reader_look_all_the_time(bench: Callable[..., Bench]) -> None:
    # Given records with pauses between them / When read for a minute
    watched = watch(bench(), 60)
    # Then the reader looks at the writers every half second at most
    gaps = [later - earlier for earlier, later in pairwise(watched.looked)]
    assert gaps
    assert min(gaps) >= 0.5


def test_where_workers_are_many_each_looks_and_tells_more_rarely(bench: Callable[..., Bench]) -> None:
    # Given one of 250 readers, beside 1,000 writers / When it reads for five minutes
    b = bench()
    crowded(b, 1_000, 250)
    watched = watch(b, 300)
    # Then all 250 together read no more than 1,000 units a second, and all 1,250 tell no more than 50 times a second
    looks = [later - earlier for earlier, later in pairwise(watched.looked)]
    tells = [later - earlier for earlier, later in pairwise(watched.told)]
    assert min(looks) >= look_seconds(b.run) > 30
    assert min(tells) >= tell_seconds(b.run) == 25


def test_readers_that_begin_together_do_not_look_together(bench: Callable[..., Bench]) -> None:
    first = []
    for index in (0, 125):
        b = bench(shards=250, max_cost="5")
        crowded(b, 1_000, 250)
        first.append(watch(b, 60, index=index, readers=250).looked[0])
    assert first[0] < 2
    assert first[1] == pytest.approx(look_seconds(b.run) / 2, abs=2)


def test_a_reader_that_has_learnt_of_the_end_does_not_wait_to_learn_it_again(bench: Callable[..., Bench]) -> None:
    # Given one of many readers, whose writers have ended, and that looks at them every half minute
    b = bench()
    crowded(b, 1_000, 250)
    b.write(range(10))
    b.table.fail(b.run.run_id, Failure(step="Insert", error="Denied", cause="no"))
    # When it makes its quiet visits / Then each takes no longer than where workers are few
    for visit in range(QUIET_ROUNDS):
        began = b.time.seconds
        assert b.read().done is (visit == QUIET_ROUNDS - 1)
        assert b.time.seconds - began < 5
    assert b.state().ledger.unique == 10


def test_a_reader_whose_shards_went_to_others_does_not_spin(bench: Callable[..., Bench]) -> None:
    # Given a reader whose only shard was merged into another reader's, while the writers write
    b = bench(shards=2)
    b.log.family[b.run.stream_name] = [shard(0), shard(1), shard(2, parent=0, adjacent=1)]
    b.log.streams[b.run.stream_name].records[THIRD] = []
    b.log.streams[b.run.stream_name].closed |= {FIRST: (THIRD,), SECOND: (THIRD,)}
    b.told(done=False)
    # When it reads for ten seconds / Then it goes round five times a second at most, as if it had a shard
    b.read(10, index=1, readers=2)
    assert len(b.time.slept) <= 55
