"""An invocation of a writer or a reader, from the run as it is stored, on moto's Kinesis and with the real producer."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from tests.unit.runs.conftest import BOTOCORE
from tests.unit.runs.fakes import REGION, PutLog, Wires, plan_of, run_of, spec_of, stored
from tests.unit.streams.fakes import NOON
from weir.runs import steps, working
from weir.runs.bucket import ObjectMissing, RunsBucket, part_key
from weir.runs.ledger import Ledger
from weir.runs.models import Failure, Run, Verdict, spec_json
from weir.runs.starting import RunClosed, source_size
from weir.runs.table import RunNotFound, RunsTable
from weir.runs.verifier import ReaderState
from weir.runs.working import READING_SLACK, read_shards, write_slice
from weir.runs.writer import SliceState
from weir.runtime import aws as runtime_aws
from weir.runtime.clock import SYSTEM
from weir.runtime.errors import Conflict, Timeout
from weir.streams.errors import StreamNotFound

LAMBDA = 900.0
Write = Callable[..., dict[str, Any]]


@pytest.fixture
def wires(table: RunsTable, bucket: RunsBucket) -> Wires:
    return Wires(table, bucket)


@pytest.fixture
def write(wires: Wires, monkeypatch: pytest.MonkeyPatch) -> Write:
    """``write_slice``, whose producer puts on the fake's shards."""
    monkeypatch.setattr(runtime_aws, "client", lambda *_, **__: None)
    monkeypatch.setattr(working, "PutAdapter", lambda _, name: PutLog(wires.log, name))
    monkeypatch.setattr(working, "WRITER_THREADS", 1)
    return lambda run, index=0, seconds=LAMBDA: write_slice(run.run_id, index, seconds, wires)


def begun(wires: Wires, shards: int = 1, **spec: Any) -> Run:
    run = stored(wires.table, run_of(spec_of(stream={"shards": shards}, **spec)))
    wires.log.stream(run, shards)
    return run


def seen(wires: Wires, run: Run, readers: int = 1) -> Ledger:
    """What the readers of a run have entered."""
    total = Ledger()
    parts = {part.index: part for part in wires.table.parts(run.run_id, "READER")}
    for index in range(readers):
        key = part_key(run.run_id, "READER", index, parts[index].checkpoint)
        total.merge(ReaderState.from_dict(wires.bucket.load(key)).ledger)
    return total


def written(wires: Wires, run: Run) -> list[SliceState]:
    return [
        SliceState.from_dict(wires.bucket.load(part_key(run.run_id, "SLICE", part.index, part.checkpoint)))
        for part in wires.table.parts(run.run_id, "SLICE")
    ]


LINES = [f'{{"id": {number % 7}, "value": "{number}"}}' for number in range(100)]


@pytest.mark.parametrize("origin", ["generated", "inline", "s3"])
@pytest.mark.parametrize("workers", [1, 3])
def test_what_several_write_is_read_once_and_whole(origin: str, workers: int, wires: Wires, write: Write) -> None:
    # Given a run of 100 records from any origin, over some workers
    load: dict[str, Any] = {"workers": workers}
    if origin == "generated":
        load["records"] = 100
    elif origin == "inline":
        load["source"] = {"type": "inline", "lines": LINES, "key_field": "id"}
    else:
        wires.bucket.write("sources/lines", "\n".join(LINES).encode(), "application/jsonl")
        load["source"] = {"type": "s3", "key": "sources/lines", "key_field": "id"}
    spec = spec_of(load=load, stream={"shards": 2})
    plan = plan_of(spec)
    if origin == "s3":
        size = source_size(spec, wires)
        assert size is not None
        plan = plan.model_copy(update={"source_bytes": size.bytes, "records": None, "workers": workers})
    run = stored(wires.table, run_of(spec, plan=plan))
    wires.log.stream(run, 2)
    # When all slices are written, and read
    assert [write(run, index) for index in range(workers)] == [{"done": True, "wait": 0}] * workers
    assert read_shards(run.run_id, 0, LAMBDA, wires) == {"done": True, "wait": 0}
    # Then every record is there once
    ledger = seen(wires, run)
    assert (ledger.unique, ledger.duplicates, ledger.reordered) == (100, 0, 0)
    for index, state in enumerate(written(wires, run)):
        assert ledger.compare(index, state.produced, state.rejected)[:2] == (0, 0)
    keys = {key for state in written(wires, run) for key in state.produced}
    if origin != "generated":
        assert keys == {str(number) for number in range(7)}


def test_generated_records_are_as_large_as_was_asked(wires: Wires, write: Write) -> None:
    run = begun(wires, load={"records": 5, "bytes": 100})
    write(run)
    (records,) = wires.log.streams[run.stream_name].records.values()
    assert {len(record.data) for record in records} == {100}


def test_a_run_reads_the_lines_that_it_was_planned_with(wires: Wires, write: Write) -> None:
    # Given a source that was planned for two workers, and that its URL is used for again between them
    wires.bucket.write("sources/pinned", b"one\n" * 10, "application/jsonl")
    spec = spec_of(load={"source": {"type": "s3", "key": "sources/pinned"}, "workers": 2})
    run = stored(wires.table, run_of(spec, planned=False))
    steps.plan(run.run_id, spec_json(spec), run.execution_arn or "", wires)
    wires.log.stream(run)
    write(run, 0)
    wires.bucket.write("sources/pinned", b"another line\n" * 20, "application/jsonl")
    write(run, 1)
    # Then all ten lines are the first upload's
    (records,) = wires.log.streams[run.stream_name].records.values()
    assert [record.data[-3:] for record in records] == [b"one"] * 10


def test_a_source_of_no_known_version_that_was_changed_since_the_plan_is_cut_as_planned(
    wires: Wires, write: Write
) -> None:
    # Given a source of ten lines that was planned for two workers, without its version, and has grown between them
    wires.bucket.write("sources/grows", b"line\n" * 10, "application/jsonl")
    spec = spec_of(load={"source": {"type": "s3", "key": "sources/grows"}, "workers": 2})
    run = stored(wires.table, run_of(spec, plan=plan_of(spec).model_copy(update={"source_bytes": 50, "workers": 2})))
    wires.log.stream(run)
    write(run, 0)
    wires.bucket.write("sources/grows", b"line\n" * 20, "application/jsonl")
    write(run, 1)
    # Then the slices still fit together: ten lines, none twice
    assert sum(state.accepted for state in written(wires, run)) == 10


def test_a_source_that_is_gone_is_told(wires: Wires, write: Write) -> None:
    spec = spec_of(load={"source": {"type": "s3", "key": "sources/gone"}})
    run = stored(wires.table, run_of(spec, plan=plan_of(spec).model_copy(update={"source_bytes": 50})))
    wires.log.stream(run)
    with pytest.raises(ObjectMissing):
        write(run)


@pytest.mark.parametrize("seconds", [0, 30, 31])
def test_a_stream_that_is_not_known_yet_is_come_back_to(seconds: int, wires: Wires, write: Write) -> None:
    # Given a run whose stream Kinesis does not know, so long after it was there
    run = stored(wires.table, run_of(spec_of(load={"records": 5})))
    wires.time.seconds = seconds
    for work in (write, lambda run: read_shards(run.run_id, 0, LAMBDA, wires)):
        # When it is worked on / Then that is an answer for half a minute, and an error from then on
        if seconds <= 30:
            assert work(run) == {"done": False, "wait": 2}
        else:
            with pytest.raises(StreamNotFound):
                work(run)


def test_a_stream_that_a_stop_has_deleted_ends_the_work_and_is_no_error(wires: Wires, write: Write) -> None:
    # Given a run that was stopped while its writer and reader were at work, and whose stream is gone
    run = stored(wires.table, run_of(spec_of(load={"records": 5})))
    wires.time.seconds = 60
    head = wires.table.head

    def stopped_meanwhile(run_id: str) -> Any:
        wires.table.fail(run_id, Failure(step="Run", error="Stopped", cause="by its owner"))
        return head(run_id)

    for work in (write, lambda run: read_shards(run.run_id, 0, LAMBDA, wires)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(wires.table, "head", looked(head, stopped_meanwhile))
            # When they find no stream, Then there is nothing left to do
            assert work(run) == {"done": True, "wait": 0}


def looked(first: Callable[[str], Any], then: Callable[[str], Any]) -> Callable[[str], Any]:
    """Looks at a run: as it was, and from the second on as it is then."""
    looks: list[str] = []

    def look(run_id: str) -> Any:
        looks.append(run_id)
        return first(run_id) if len(looks) == 1 else then(run_id)

    return look


def test_an_invocation_ends_in_time(wires: Wires, write: Write) -> None:
    # Given a slice of fifty minutes, and a Lambda of two and a half
    run = begun(wires, load={"records": 3_000, "rate": 1})
    before = wires.time.seconds
    # When invoked / Then it hands back in time, to be called again
    assert write(run, 0, 150.0) == {"done": False, "wait": 0}
    assert 60 < wires.time.seconds - before <= 130


def test_nobody_works_for_a_run_that_is_closed_or_never_was(wires: Wires, write: Write) -> None:
    run = begun(wires)
    wires.table.close(
        run.run_id, verdict=Verdict.ABORTED, reasons=("x",), resources_left=0, cost_usd=None, ended_at=NOON
    )
    asks: list[Callable[[], Any]] = [lambda: write(run), lambda: read_shards(run.run_id, 0, LAMBDA, wires)]
    for ask in asks:
        with pytest.raises(RunClosed, match="ABORTED"):
            ask()
    with pytest.raises(RunNotFound):
        write_slice("nobody", 0, LAMBDA, wires)
    assert wires.log.calls == []


def test_nobody_writes_for_a_run_that_has_failed(wires: Wires, write: Write) -> None:
    # Given a run whose verifying broke, between two invocations of a writer
    run = begun(wires, load={"records": 3_000, "rate": 1})
    assert write(run, 0, 150.0)["done"] is False
    written_before = sum(map(len, wires.log.streams[run.stream_name].records.values()))
    wires.table.fail(run.run_id, Failure(step="Verify", error="Timeout", cause="too long"))
    # When the machine calls it again / Then it need not any more, and nothing was written
    assert write(run) == {"done": True, "wait": 0}
    assert sum(map(len, wires.log.streams[run.stream_name].records.values())) == written_before
    # while a reader goes on to what is there
    assert read_shards(run.run_id, 0, LAMBDA, wires)["done"] is False
    assert seen(wires, run).unique == written_before


def test_nobody_reads_before_there_is_a_plan(wires: Wires) -> None:
    run = run_of(planned=False)
    wires.table.create(run)
    with pytest.raises(Conflict, match="no plan"):
        read_shards(run.run_id, 0, LAMBDA, wires)


@pytest.mark.parametrize("active_after", [None, 480.0])
def test_the_time_for_reading_begins_when_the_stream_is_there(active_after: float | None, wires: Wires) -> None:
    # Given a run whose writers do not end, on a stream that took its time to be ACTIVE
    run = begun(wires)
    wires.table.claim(run.run_id, "SLICE", 0, run.expires_at)
    assert run.plan is not None
    if active_after is not None:
        wires.table.begin_step(run.run_id, "WaitActive", NOON)
        wires.table.end_step(run.run_id, "WaitActive", NOON + timedelta(seconds=active_after))
    last = (active_after or 0) + 2 * run.plan.seconds + READING_SLACK.total_seconds()
    # When read just before its time is up / Then it goes on
    wires.time.seconds = last - 10
    assert read_shards(run.run_id, 0, 25.0, wires)["done"] is False
    # When read after / Then that is told
    wires.time.seconds = last + 1
    with pytest.raises(Timeout):
        read_shards(run.run_id, 0, LAMBDA, wires)


def test_no_reading_goes_on_when_the_stream_has_expired(wires: Wires) -> None:
    run = begun(wires, expires_in=300)
    wires.table.claim(run.run_id, "SLICE", 0, run.expires_at)
    wires.time.seconds = 301
    with pytest.raises(Timeout):
        read_shards(run.run_id, 0, LAMBDA, wires)


def test_the_producer_is_the_real_one_on_a_real_kinesis(
    aws: dict[str, Any], wires: Wires, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a stream on moto, with two shards
    kinesis: Any = BOTOCORE.create_client("kinesis", region_name=REGION)
    run = begun(wires, shards=2, load={"records": 50}, slo={"ordered": True})
    kinesis.create_stream(StreamName=run.stream_name, ShardCount=2)
    monkeypatch.setattr(runtime_aws, "client", lambda *_, **__: kinesis)
    # When a slice is written with threads and PutRecords
    object.__setattr__(wires, "clock", SYSTEM)
    assert write_slice(run.run_id, 0, LAMBDA, wires)["done"] is True
    # Then moto has every record
    held = 0
    for shard in kinesis.list_shards(StreamName=run.stream_name)["Shards"]:
        iterator = kinesis.get_shard_iterator(
            StreamName=run.stream_name, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )
        held += len(kinesis.get_records(ShardIterator=iterator["ShardIterator"])["Records"])
    assert held == 50
