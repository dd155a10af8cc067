"""Writing a slice: every record accounted for, and a death between two checkpoints costs duplicates, never records."""

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import pytest

from tests.unit.runs.fakes import Died
from tests.unit.runs.slices import HOUR, Bench
from tests.unit.streams.fake_put import client_error
from weir.runs.bucket import RunsBucket
from weir.runs.envelope import read
from weir.runs.models import Failure, Verdict
from weir.runs.planner import Span
from weir.runs.source import Drawn, Generated, SourceUnreadable
from weir.runs.table import RunsTable, TakenOver
from weir.runs.writer import StreamGone
from weir.runtime.errors import TooManyRequests, UpstreamFailed
from weir.streams.entries import Entry


@pytest.fixture
def bench(table: RunsTable, bucket: RunsBucket) -> Callable[..., Bench]:
    return lambda **changes: Bench(table, bucket, **changes)


def test_a_slice_is_written_and_accounted_for(bench: Callable[..., Bench]) -> None:
    # Given a slice of 1,000 records over 5 keys
    b = bench()
    # When written
    assert b.write() is True
    # Then every record is on the stream once, in the order of its key
    ledger = b.seen()
    assert (ledger.unique, ledger.duplicates, ledger.reordered) == (1_000, 0, 0)
    state = b.state()
    assert state.finished
    assert ledger.compare(0, state.produced, state.rejected)[:2] == (0, 0)
    # and the counts agree with the stream, by shard too
    assert (state.position, state.accepted, state.refused) == (1_000, 1_000, 0)
    on_stream = b.log.streams[b.run.stream_name].records
    assert {shard: sums[0] for shard, sums in state.shards.items()} == {s: len(r) for s, r in on_stream.items()}
    assert state.bytes == 1_000 * (36 + 20 + len("key-000000"))
    assert (state.kinesis_records, sum(state.produced.values())) == (1_000, 1_000)
    assert b.part().done
    assert b.part().counts["accepted"] == 1_000


def test_what_the_table_keeps_does_not_grow_with_keys(bench: Callable[..., Bench]) -> None:
    b = bench()
    b.write()
    counts = b.part().counts
    assert counts["rejected"] == 0
    assert not {"produced", "position", "finished"} & set(counts)


def test_records_say_when_they_were_produced(bench: Callable[..., Bench]) -> None:
    # Given a rate of 10 a second / Then each record's stamp is the moment in which it was drawn
    b = bench(records=20, load={"rate": 10})
    b.write()
    stamps = sorted(
        found[0].produced_us / 1e6
        for records in b.log.streams[b.run.stream_name].records.values()
        for record in records
        if (found := read(record.data))
    )
    assert stamps[-1] - stamps[0] == pytest.approx(1.9, abs=0.2)


@pytest.mark.parametrize("death", ["before", "after"])
@pytest.mark.parametrize("nth", [1, 4, 9])
def test_a_writer_that_dies_is_followed_by_one_that_loses_nothing(
    death: str, nth: int, bench: Callable[..., Bench]
) -> None:
    # Given a writer that dies at its n-th request, before or after it took effect, with segments of 20 s in between
    b = bench(records=3_000, load={"rate": 60})
    count = 0

    def die(_: Sequence[Entry]) -> None:
        nonlocal count
        count += 1
        if count == nth * 10:
            raise Died

    setattr(b.put, death, die)
    with pytest.raises(Died):
        b.write()
    sent = b.seen().unique
    assert sent < 3_000
    # When another goes on
    assert b.write() is True
    # Then nothing is lost, and what was sent twice is what came after the last checkpoint
    ledger, state = b.seen(), b.state()
    assert ledger.unique == 3_000
    assert ledger.compare(0, state.produced, state.rejected)[:2] == (0, 0)
    assert state.accepted == 3_000
    assert ledger.duplicates <= 20 * 60 + 60
    if nth == 1:
        assert ledger.duplicates == sent


def test_a_writer_that_dies_between_save_and_tell_is_followed_from_before(bench: Callable[..., Bench]) -> None:
    # Given a writer that dies when its checkpoint is stored, and the table does not know of it
    b = bench()
    writer = b.writer()

    class Dying:
        def __getattr__(self, name: str) -> Any:
            return getattr(b.table, name)

        def tell(self, *args: Any, **named: Any) -> None:
            if named.get("saved"):
                raise Died
            b.table.tell(*args, **named)

    dying = dataclasses.replace(writer, table=cast("RunsTable", Dying()))
    with pytest.raises(Died):
        dying.write(b.time.seconds + HOUR)
    assert b.part().checkpoint == 0
    # When another goes on / Then it begins anew, and all are duplicates
    assert b.write() is True
    assert (b.seen().unique, b.seen().duplicates) == (1_000, 1_000)
    assert b.state().accepted == 1_000


def test_a_slice_takes_as_many_invocations_as_it_needs(bench: Callable[..., Bench]) -> None:
    # Given a slice of 100 s, and invocations of 90 s, of which the last 60 are kept free
    b = bench(records=1_000, load={"rate": 10})
    # When invoked until it is done
    invocations = 1
    while not b.write(90.0):
        invocations += 1
        assert invocations < 10
    # Then it took four, without a record twice
    assert invocations == 4
    assert (b.seen().unique, b.seen().duplicates) == (1_000, 0)
    assert b.part().counts["invocations"] == 4
    assert b.state().busy_seconds == pytest.approx(100, abs=3)


def test_a_finished_slice_stays_finished(bench: Callable[..., Bench]) -> None:
    # Given a slice that is done, whose answer was lost / When invoked again / Then nothing is written
    b = bench()
    b.write()
    assert b.write() is True
    assert b.seen().duplicates == 0
    assert b.part().done


def test_refused_records_are_kept_by_number(bench: Callable[..., Bench]) -> None:
    # Given a stream that never takes the records of one key
    b = bench(records=200)
    b.put.refuse = lambda entry: "InternalFailure" if entry.partition_key == "key-000003" else None
    # When written / Then those are given up, each by its number, and nothing counts as lost
    assert b.write() is True
    state, ledger = b.state(), b.seen()
    assert set(state.rejected) == {"key-000003"}
    assert sorted(state.rejected["key-000003"]) == list(range(state.produced["key-000003"]))
    assert state.refused == state.produced["key-000003"] > 0
    assert state.accepted + state.refused == 200
    assert state.errors["InternalFailure"] >= state.refused
    assert ledger.compare(0, state.produced, state.rejected)[:2] == (0, 0)


def test_throttling_is_retried_and_counted(bench: Callable[..., Bench]) -> None:
    # Given a stream that throttles every record once
    b = bench(records=100)
    met: Counter[tuple[str, Any]] = Counter()

    def once(entry: Entry) -> str | None:
        met[entry.partition_key, entry.ref] += 1
        return "ProvisionedThroughputExceededException" if met[entry.partition_key, entry.ref] == 1 else None

    b.put.refuse = once
    assert b.write() is True
    state = b.state()
    assert (state.accepted, state.throttled, state.retried, state.refused) == (100, 100, 100, 0)
    assert sum(sums[2] for sums in state.shards.values()) == 100


def test_ordered_slices_keep_the_order_of_keys_while_throttled(bench: Callable[..., Bench]) -> None:
    b = bench(records=300, slo={"ordered": True})
    calls = 0

    def sometimes(_: Entry) -> str | None:
        nonlocal calls
        calls += 1
        return "ProvisionedThroughputExceededException" if calls % 3 == 0 else None

    b.put.refuse = sometimes
    assert b.write() is True
    assert (b.seen().unique, b.seen().reordered) == (300, 0)


def test_aggregated_records_are_fewer_on_the_stream(bench: Callable[..., Bench]) -> None:
    b = bench(records=500, load={"aggregated": True})
    b.made = {"aggregate": True}
    assert b.write() is True
    state = b.state()
    assert state.accepted == 500
    on_stream = sum(map(len, b.log.streams[b.run.stream_name].records.values()))
    assert state.kinesis_records == sum(sums[0] for sums in state.shards.values()) == on_stream < 50


def test_a_stream_that_goes_away_is_told_and_what_was_accepted_is_kept(bench: Callable[..., Bench]) -> None:
    # Given a stream that is deleted after 30 s
    b = bench(records=10_000, load={"rate": 50})

    def gone(_: Sequence[Entry]) -> None:
        if b.time.seconds > 30:
            raise client_error("ResourceNotFoundException")

    b.put.before = gone
    # When written / Then StreamGone, and the checkpoint holds what was accepted
    with pytest.raises(StreamGone, match="ResourceNotFoundException"):
        b.write()
    state = b.state()
    assert state.accepted == b.seen().unique > 1_000
    assert state.accepted + state.refused == sum(state.produced.values())
    assert not b.part().done


def test_aws_denying_is_told(bench: Callable[..., Bench]) -> None:
    b = bench(records=10)

    def denied(_: Sequence[Entry]) -> None:
        raise client_error("AccessDeniedException")

    b.put.before = denied
    with pytest.raises(UpstreamFailed, match="AccessDeniedException"):
        b.write()
    assert b.state().refused == 10


class Torn:
    """A source with a line that can't be used."""

    def __init__(self, good: int) -> None:
        self.good = good

    def read(self, position: int) -> Iterator[Drawn]:
        for number in range(position, self.good):
            yield Drawn(number + 1, "k", b"line")
        raise SourceUnreadable("The line at 1234 has no JSON field 'id'.")


def test_a_line_that_can_not_be_used_ends_the_slice_with_its_place(bench: Callable[..., Bench]) -> None:
    # Given a source of 70 good lines and a bad one
    b = bench(records=100)
    b.source = Torn(70)
    # When written / Then the error names the line, and the good ones are accounted for
    with pytest.raises(SourceUnreadable, match="line at 1234"):
        b.write()
    state = b.state()
    assert (state.accepted, state.position, state.finished) == (70, 70, False)
    assert b.seen().unique == 70
    assert not b.part().done


def test_a_writer_that_was_taken_over_stops_and_spoils_nothing(bench: Callable[..., Bench]) -> None:
    # Given a writer whose slice another claims while it writes
    b = bench(records=2_000, load={"rate": 100})
    taken: list[int] = []

    def take_over(_: Sequence[Entry]) -> None:
        if b.time.seconds > 5 and not taken:
            taken.append(b.table.claim(b.run.run_id, "SLICE", 0, b.run.expires_at).version)

    b.put.before = take_over
    # When it tells of its progress / Then it stops at once
    with pytest.raises(TakenOver):
        b.write()
    assert b.time.seconds < 8
    assert b.part().checkpoint == 0
    # and the next one writes all
    assert b.write() is True
    assert b.seen().unique == 2_000
    assert b.state().accepted == 2_000


def test_progress_is_told_about_every_second(bench: Callable[..., Bench]) -> None:
    # Given a slice of 15 s, within one segment
    b = bench(records=150, load={"rate": 10})
    told: list[int] = []

    class Listening:
        def __getattr__(self, name: str) -> Any:
            return getattr(b.table, name)

        def tell(self, *args: Any, **named: Any) -> None:
            told.append(args[3]["accepted"])
            b.table.tell(*args, **named)

    dataclasses.replace(b.writer(), table=cast("RunsTable", Listening())).write(HOUR)
    # Then the counts grow to the end
    assert 12 <= len(told) <= 17
    assert told == sorted(told)
    assert told[-1] == 150


def test_progress_that_can_not_be_told_does_not_stop_the_writing(bench: Callable[..., Bench]) -> None:
    b = bench(records=100, load={"rate": 10})

    class Throttling:
        def __getattr__(self, name: str) -> Any:
            return getattr(b.table, name)

        def tell(self, *args: Any, **named: Any) -> None:
            if not named.get("saved"):
                raise TooManyRequests("slow down", retry_after=2)
            b.table.tell(*args, **named)

    assert dataclasses.replace(b.writer(), table=cast("RunsTable", Throttling())).write(HOUR) is True
    assert b.part().counts["accepted"] == 100


@pytest.mark.parametrize("burst", [None, {"every_seconds": 600, "length_seconds": 60, "factor": 2}])
@pytest.mark.parametrize("how", ["failed", "closed"])
def test_a_writer_ends_soon_after_its_run(
    how: str, burst: dict[str, float] | None, bench: Callable[..., Bench]
) -> None:
    # Given a slice of many minutes, and a run that breaks elsewhere, or is closed, after five seconds
    b = bench(records=10_000, load={"rate": 10, "burst": burst})
    ended: list[float] = []

    def end(_: Sequence[Entry]) -> None:
        if b.time.seconds > 5 and not ended:
            ended.append(b.time.seconds)
            if how == "failed":
                b.table.fail(b.run.run_id, Failure(step="Verify", error="Timeout", cause="too long"))
            else:
                b.table.close(
                    b.run.run_id,
                    verdict=Verdict.ABORTED,
                    reasons=("x",),
                    resources_left=0,
                    cost_usd=None,
                    ended_at=b.time.clock().now(),
                )

    b.put.before = end
    # When written / Then the writer is done within 20 s and has accounted for what it wrote; its slice is not
    assert b.write() is True
    assert b.time.seconds < 5 + 20 + 2
    assert b.state().accepted == b.seen().unique < 300
    assert not b.state().finished
    assert not b.part().done


def test_a_run_that_can_not_be_looked_up_is_written_on(bench: Callable[..., Bench]) -> None:
    b = bench(records=500, load={"rate": 10})

    class Silent:
        def __getattr__(self, name: str) -> Any:
            return getattr(b.table, name)

        def head(self, _: str) -> None:
            raise TooManyRequests("slow down", retry_after=2)

    assert dataclasses.replace(b.writer(), table=cast("RunsTable", Silent())).write(HOUR) is True
    assert b.state().finished


def test_what_each_shard_took_is_told_at_the_end_alone(bench: Callable[..., Bench]) -> None:
    # Given a slice of 50 s, so of three checkpoints
    b = bench(records=500, load={"rate": 10})
    told: list[bool] = []

    class Listening:
        def __getattr__(self, name: str) -> Any:
            return getattr(b.table, name)

        def tell(self, *args: Any, **named: Any) -> None:
            told.append("shards" in args[3])
            b.table.tell(*args, **named)

    dataclasses.replace(b.writer(), table=cast("RunsTable", Listening())).write(HOUR)
    # Then only the last word has it: an item of a thousand shards is fifty times as dear to write
    assert told.count(True) == 1
    assert told[-1]


def test_an_empty_slice_is_finished(bench: Callable[..., Bench]) -> None:
    b = bench(records=10)
    b.span = Span(4, 4)
    b.source = Generated(b.span, 20, b.run.spec.load.keys)
    assert b.write() is True
    assert b.state().accepted == 0
    assert b.part().done


class _Failing:
    """A table whose ``tell`` of a slice's end fails once; the rest is the real one's."""

    def __init__(self, table: RunsTable) -> None:
        self._table = table
        self.failed = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._table, name)

    def tell(self, *args: Any, **named: Any) -> None:
        if named.get("done") and not self.failed:
            self.failed += 1
            raise TooManyRequests("slow down", retry_after=2)
        self._table.tell(*args, **named)


def test_an_end_that_was_saved_and_not_told_is_told_by_the_next_invocation(bench: Callable[..., Bench]) -> None:
    # Given a slice of two segments, so that the table points at the invocation's checkpoint before its end is told
    b = bench(records=2_400, load={"rate": 60})
    failing = _Failing(b.table)
    with pytest.raises(TooManyRequests):
        dataclasses.replace(b.writer(), table=cast("RunsTable", failing)).write(HOUR)
    assert (b.state().finished, b.part().done) == (True, False)
    # When invoked again
    assert b.write() is True
    # Then the table says that the slice is done, with all its counts, and nothing was written twice
    part = b.part()
    assert (part.done, part.counts["accepted"], part.counts["invocations"]) == (True, 2_400, 2)
    assert sum(sums[0] for sums in part.counts["shards"].values()) == 2_400
    assert (b.seen().unique, b.seen().duplicates) == (2_400, 0)
