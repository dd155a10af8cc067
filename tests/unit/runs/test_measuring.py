"""Putting together what writers and readers counted: sums, losses over both, and what is missing said to be missing."""

from datetime import timedelta
from typing import Any

import pytest

from tests.unit.analysis.measurements import series
from tests.unit.runs.fakes import CONF, run_of, spec_of, stored
from tests.unit.streams.fakes import NOON, FakeTime
from weir.analysis.histogram import Histogram
from weir.analysis.measurement import Measurement
from weir.runs.bucket import RunsBucket, part_key
from weir.runs.envelope import run_tag, seal
from weir.runs.items import Part
from weir.runs.ledger import Ledger
from weir.runs.measuring import CloudWatchFacts, StreamFacts, measure
from weir.runs.models import Run, Step
from weir.runs.table import RunsTable
from weir.runs.verifier import ReaderState, ShardState
from weir.runs.writer import SliceState
from weir.streams.kinesis import RawRecord

START = NOON.timestamp()
STREAM = StreamFacts(open_shards=2, retention_hours=24, created_at=START - 5)
NOT_ASKED = CloudWatchFacts(asked=False)


class Bench:
    """A run whose writers and readers left what the test says."""

    def __init__(self, table: RunsTable, bucket: RunsBucket, **spec: Any) -> None:
        self.table, self.bucket, self.time = table, bucket, FakeTime()
        self.run: Run = stored(table, run_of(spec_of(**spec)))

    def leave(self, part: Part, index: int, state: SliceState | ReaderState, *, done: bool = True) -> None:
        claim = self.table.claim(self.run.run_id, part, index, self.run.expires_at)
        self.bucket.save(part_key(self.run.run_id, part, index, claim.version), state.to_dict())
        self.table.tell(self.run.run_id, part, claim, state.counts(), saved=True, done=done)

    def write(self, index: int, produced: dict[str, int], done: bool = True, **changes: Any) -> None:
        rejected: dict[str, list[int]] = changes.pop("rejected", {})
        refused = sum(map(len, rejected.values()))
        accepted = sum(produced.values()) - refused
        state = SliceState(
            position=0, finished=done, produced=produced, rejected=rejected, accepted=accepted, refused=refused
        )
        values = {"kinesis_records": accepted, "shards": {"s0": [accepted, accepted * 50, 0]}, **changes}
        for name, value in values.items():
            setattr(state, name, value)
        self.leave("SLICE", index, state, done=done)

    def read(self, index: int, seen: list[tuple[int, str, int]], done: bool = True, **changes: Any) -> None:
        state = ReaderState(shards={f"s{index}": ShardState()}, finished=done)
        tag = run_tag(self.run.run_id)
        records = [
            RawRecord(str(n), key, seal(tag, slice_index, sequence, int(START * 1e6), b"x"), START + 0.1)
            for n, (slice_index, key, sequence) in enumerate(seen)
        ]
        state.enter(state.shards[f"s{index}"], tag, records, START + 0.4)
        for name, value in changes.items():
            setattr(state, name, value)
        self.leave("READER", index, state, done=done)

    def measure(self, cloudwatch: CloudWatchFacts = NOT_ASKED, stream: StreamFacts = STREAM) -> Measurement:
        return measure(self.run, self.table, self.bucket, stream, cloudwatch, CONF, self.time.clock())


@pytest.fixture
def bench(table: RunsTable, bucket: RunsBucket) -> Any:
    return lambda **spec: Bench(table, bucket, **spec)


def everything(*parts: tuple[int, str, int]) -> list[tuple[int, str, int]]:
    """Every record of (slice, key, count)."""
    return [(slice_index, key, sequence) for slice_index, key, count in parts for sequence in range(count)]


def test_two_writers_and_two_readers_are_summed(bench: Any) -> None:
    # Given a run of two slices and five shards' two readers
    b = bench(load={"records": 10, "workers": 2}, stream={"shards": 5}, slo={"ordered": True})
    times = {"began_at": START + 1, "ended_at": START + 3, "busy_seconds": 2.0, "requests": 1, "bytes": 100}
    b.write(0, {"a": 4, "b": 2}, throttled=3, retried=3, uncertain=1, **times)
    b.write(1, {"a": 4}, **(times | {"ended_at": START + 6}))
    b.read(0, everything((0, "a", 4), (1, "a", 3)), busy_seconds=3.0)
    b.read(1, [*everything((0, "b", 2)), (1, "a", 3), (1, "a", 3)], busy_seconds=5.0)
    # When measured
    b.time.seconds = 10
    m = b.measure()
    # Then counts are sums over both, and nothing is missing
    assert (m.planned, m.accepted, m.rejected, m.seen, m.lost) == (10, 10, 0, 10, 0)
    assert (m.duplicates, m.reordered, m.foreign, m.corrupted) == (1, 0, 0, 0)
    assert (m.throttled, m.retried, m.uncertain, m.requests, m.bytes) == (3, 3, 1, 2, 200)
    assert m.missing == ()
    # and times: inserting from the first to the last, verifying as long as the slower reader, the stream since it is
    assert (m.insert_seconds, m.verify_seconds, m.stream_seconds) == (5.0, 5.0, 15.0)
    assert m.records_per_second == 2.0
    # and each shard's part, what was written beside what was read
    assert [(one.shard_id, one.accepted_records, one.read_records) for one in m.shards] == [("s0", 10, 7), ("s1", 0, 4)]
    assert m.top_keys == (("a", 8), ("b", 2))
    assert m.latency is not None
    assert m.latency.count == 10
    assert m.ordered_asked
    # and work: 2 + 2 + 3 + 5 s busy, and 8 more, at 1.75 GB
    assert m.lambda_gb_seconds == pytest.approx(20 * 1.75)
    assert (m.lambda_requests, m.state_transitions) == (4 + 8, 20 + 4 * 3)
    # and every part has saved every 20 s and at its end: once begun, and once
    assert m.bucket_puts == 3 + 4 * (1 + 1)
    assert m.bucket_gets == 1 + 4 + 4
    assert m.table_writes == 40 + 4 + 8 + (2 + 2 + 3 + 5)
    assert Measurement.from_dict(m.to_dict()) == m


def test_slices_are_taken_one_after_the_other(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given three slices and two readers, and an eye on what is loaded and held against the ledger
    b = bench(load={"records": 6, "workers": 3}, stream={"shards": 5})
    for index in range(3):
        b.write(index, {"a": 2})
    b.read(0, everything((0, "a", 2), (1, "a", 2)))
    b.read(1, everything((2, "a", 2)))
    done: list[str] = []
    load, compare = b.bucket.load, Ledger.compare

    def loading(key: str) -> Any:
        done.append(key.split("/")[2])
        return load(key)

    def comparing(ledger: Ledger, index: int, *told: Any) -> Any:
        done.append(f"compare {index}")
        return compare(ledger, index, *told)

    monkeypatch.setattr(b.bucket, "load", loading)
    monkeypatch.setattr(Ledger, "compare", comparing)
    # When measured / Then no slice is loaded before the one before it was done with
    assert b.measure().lost == 0
    assert done == ["reader", "reader", "slice", "compare 0", "slice", "compare 1", "slice", "compare 2"]


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("both", [False, True])
def test_readers_are_merged_whatever_they_share(gaps: bool, both: bool, bench: Any) -> None:
    # Given readers of different keys of one slice, of which the second may have a gap, or have seen the first's key too
    b = bench(load={"records": 9, "workers": 1}, stream={"shards": 5})
    b.write(0, {"a": 4, "b": 5})
    b.read(0, everything((0, "a", 4)))
    seen = [(0, "b", n) for n in range(5) if n != 2 or not gaps]
    b.read(1, [*seen, *([(0, "a", 0)] if both else []), (0, "b", 4)])
    # When measured / Then what both saw is a duplicate, beside the one that the second saw twice
    m = b.measure()
    assert (m.seen, m.lost, m.duplicates) == (9 - gaps, int(gaps), 1 + both)
    assert m.top_keys == (("a", 4), ("b", 4)) if gaps else (("b", 5), ("a", 4))


def test_many_that_did_not_finish_are_one_line(bench: Any) -> None:
    # Given twelve writers, of which two left nothing and three did not finish, and two readers that did not either
    b = bench(load={"records": 24, "workers": 12}, stream={"shards": 5})
    for index in range(10):
        b.write(index, {"a": 2}, done=index >= 3)
    b.read(0, [], done=False)
    b.read(1, [], done=False)
    # When measured / Then there is a line for each way to be missing, not for each part
    assert b.measure().missing == (
        "what 2 of 12 writers did",
        "the end of 3 of 12 writers: they did not finish",
        "the end of 2 of 2 readers: they did not finish",
    )


def test_work_is_derived_from_how_long_it_took(bench: Any) -> None:
    # Given steps that waited 9 s for the stream and 31 s for CloudWatch: looked again 5 times each
    b = bench(load={"source": {"type": "s3", "key": "sources/a"}})
    steps = [("WaitActive", 0, 9), ("AwaitMetrics", 60, 91)]
    times = [(name, NOON + timedelta(seconds=start), NOON + timedelta(seconds=end)) for name, start, end in steps]
    waited = tuple(Step(name=name, status="DONE", started_at=start, ended_at=end) for name, start, end in times)
    b.run = b.run.model_copy(update={"steps": waited})
    # and a writer of 45 s, and a reader of 50 s
    b.write(0, {"a": 2}, busy_seconds=45.0)
    b.read(0, everything((0, "a", 2)), busy_seconds=50.0)
    m = b.measure()
    # Then looks are calls, and three transitions each; the stream's deletion is taken to be looked at 5 times too
    assert m.lambda_requests == 2 + 8 + 15
    assert m.state_transitions == 20 + (2 + 15) * 3
    # and each part has saved three times and once at its end, and the source was opened after each of the writer's
    assert m.bucket_puts == 3 + 4 + 4
    assert m.bucket_gets == 1 + 2 + 2 + 4
    assert m.table_writes == 40 + 10 + 2 + 8 + 95
    # and the writer has looked three times whether the run goes on
    assert m.table_reads == 20 + 15 + 4 + 3


def test_losses_and_refusals_are_told_apart(bench: Any) -> None:
    # Given ten records of which two were refused, one of which came through all the same, and one is nowhere
    b = bench(load={"records": 10})
    b.write(0, {"a": 10}, rejected={"a": [3, 4]})
    b.read(0, [(0, "a", n) for n in range(10) if n not in (4, 7)])
    m = b.measure()
    assert (m.accepted, m.rejected, m.seen, m.lost) == (8, 2, 8, 1)


def test_records_that_nobody_wrote_are_foreign(bench: Any) -> None:
    b = bench(load={"records": 2})
    b.write(0, {"a": 2})
    b.read(0, [*everything((0, "a", 3)), (0, "z", 0)])
    m = b.measure()
    assert (m.lost, m.foreign) == (0, 2)


@pytest.mark.parametrize("what", ["slice", "reader", "slice unfinished", "reader unfinished"])
def test_losses_are_not_known_where_a_part_is_missing(what: str, bench: Any) -> None:
    # Given a run of two writers and two readers, one of which left nothing, or not all
    b = bench(load={"records": 10, "workers": 2}, stream={"shards": 5})
    for index in (0, 1):
        if what != "slice" or index == 0:
            b.write(index, {"a": 5}, done=what != "slice unfinished" or index == 0)
        if what != "reader" or index == 0:
            b.read(index, everything((index, "a", 5)), done=what != "reader unfinished" or index == 0)
    m = b.measure()
    # Then it is said, and losses are not known rather than none
    assert m.lost is None
    assert len(m.missing) == 1
    assert what.split(maxsplit=1)[0] in m.missing[0] or "writers" in m.missing[0]


def test_a_part_that_began_and_left_nothing_is_missing(bench: Any) -> None:
    b = bench(load={"records": 5})
    b.table.claim(b.run.run_id, "SLICE", 0, b.run.expires_at)
    b.read(0, [])
    m = b.measure()
    assert m.lost is None
    assert any("1 of 1 writers" in one for one in m.missing)


def test_an_unfinished_run_has_counts_of_what_there_is(bench: Any) -> None:
    m = bench(load={"records": 5}).measure()
    assert (m.accepted, m.seen, m.lost, m.insert_seconds, m.verify_seconds) == (0, 0, None, None, None)
    assert len(m.missing) == 2


def test_the_number_of_lines_is_known_when_all_are_drawn(bench: Any) -> None:
    # Given a source whose lines nobody had counted
    source = {"source": {"type": "s3", "key": "sources/a"}}
    b = bench(load=source)
    b.run = b.run.model_copy(update={"plan": b.run.plan.model_copy(update={"records": None})})
    # Then it is not known before the writer has finished, and known after
    assert b.measure().planned is None
    b.write(0, {"a": 7})
    b.read(0, everything((0, "a", 7)))
    assert b.measure().planned == 7


def test_skewed_clocks_are_said_to_be(bench: Any) -> None:
    b = bench(load={"records": 2})
    b.write(0, {"a": 2})
    b.read(0, everything((0, "a", 2)), skewed=2)
    m = b.measure()
    assert m.lost == 0
    assert any("latency of 2 records" in one for one in m.missing)


@pytest.mark.parametrize("slo", [{"p99_latency_ms": 100}, {}])
def test_latencies_that_nobody_can_tell_are_said_to_be(slo: dict[str, Any], bench: Any) -> None:
    # Given five records, of which three have no latency, for they were read again
    b = bench(load={"records": 5}, slo=slo)
    b.write(0, {"a": 5})
    latency = Histogram()
    latency.add_many([1_000, 1_000])
    b.read(0, everything((0, "a", 5)), latency=latency)
    m = b.measure()
    assert (m.seen, m.lost, m.latency.count) == (5, 0, 2)
    (told,) = m.missing
    assert "latency of 3 records" in told


@pytest.mark.parametrize(
    ("facts", "missing"),
    [
        (NOT_ASKED, 0),
        (CloudWatchFacts(asked=True, complete=True, series=(series("IncomingRecords", 2),), requested=11), 0),
        (CloudWatchFacts(asked=True, complete=False, series=(series("IncomingRecords", 1),), requested=11), 1),
        (CloudWatchFacts(asked=True, complete=False, requested=11), 1),
    ],
)
def test_cloudwatch_that_is_not_complete_is_said_to_be(facts: CloudWatchFacts, missing: int, bench: Any) -> None:
    b = bench(load={"records": 2})
    b.write(0, {"a": 2})
    b.read(0, everything((0, "a", 2)))
    m = b.measure(facts)
    assert sum("CloudWatch" in one for one in m.missing) == missing
    assert (m.cloudwatch, m.metrics_requested) == (facts.series, facts.requested)
    assert m.lost == 0


def test_a_stream_that_could_not_be_described(bench: Any) -> None:
    b = bench(load={"records": 2})
    m = b.measure(stream=StreamFacts(None, 24, None))
    assert (m.open_shards, m.stream_seconds) == (None, None)
