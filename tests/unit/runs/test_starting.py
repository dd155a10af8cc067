"""Starting, planning and stopping: nothing is made of what is refused, and nothing is left of what did not start."""

from datetime import timedelta
from typing import Any

import pytest

from tests.unit.runs.fakes import Wires, plan_of, run_of, spec_of, stored
from tests.unit.streams.fakes import NOON
from weir.runs.bucket import RunsBucket
from weir.runs.models import RUN_ID, RunSpec, Status, Verdict, spec_json
from weir.runs.starting import RunClosed, new_run_id, plan_run, start_run, stop_run
from weir.runs.table import RunExists, RunNotFound, RunsTable
from weir.runtime.errors import Invalid, TooManyRequests, Unavailable, UpstreamFailed


@pytest.fixture
def wires(table: RunsTable, bucket: RunsBucket) -> Wires:
    return Wires(table, bucket)


def runs(wires: Wires) -> set[str]:
    return {run_id for run_id, _ in wires.table.open_runs()}


def test_a_run_is_stored_and_started(wires: Wires) -> None:
    # Given a spec / When started
    spec = spec_of(expires_in=900, keep=True)
    run = start_run(spec, "user-7", wires)
    # Then the machine has the spec, under the run's id, and the table the run
    assert wires.machine.started == {run.run_id: spec_json(spec)}
    assert wires.table.head(run.run_id) == run
    assert (run.owner, run.status, run.created_at) == ("user-7", Status.QUEUED, NOON)
    assert run.expires_at == NOON + timedelta(seconds=900)
    assert run.stream_name == f"weir-run-{run.run_id}"
    assert run.execution_arn == wires.machine.execution_arn(run.run_id)
    assert wires.log.calls == []


REFUSED: list[dict[str, Any]] = [
    {"load": {"records": 10**9}, "max_cost": "0.01"},
    {"load": {"records": 10**9}, "max_cost": 1000, "expires_in": 300},
    {"load": {"source": {"type": "s3", "key": "sources/nowhere"}}},
]


@pytest.mark.parametrize("document", REFUSED)
def test_what_is_refused_leaves_nothing(document: dict[str, Any], wires: Wires) -> None:
    # Given a spec that can't be had / When started, or only planned / Then 422 names a field, and nothing is made
    before = runs(wires)
    for ask in (lambda spec: start_run(spec, "user", wires), lambda spec: plan_run(spec, wires)):
        with pytest.raises(Invalid) as caught:
            ask(RunSpec.model_validate(document))
        assert caught.value.errors
    assert runs(wires) == before
    assert wires.machine.started == {}
    assert wires.log.calls == []


def test_a_plan_makes_nothing(wires: Wires) -> None:
    before = runs(wires)
    assert plan_run(spec_of(), wires) == plan_of(spec_of())
    assert (runs(wires), wires.machine.started) == (before, {})


def test_sources_are_as_large_as_they_are(wires: Wires) -> None:
    # Given an upload, an empty upload, and inline lines
    wires.bucket.write("sources/full", b'{"id": 1}\n' * 300, "application/jsonl")
    wires.bucket.write("sources/empty", b"", "application/jsonl")
    full = plan_run(spec_of(load={"source": {"type": "s3", "key": "sources/full"}}), wires)
    assert (full.source_bytes, full.records) == (3_000, None)
    with pytest.raises(Invalid, match="empty"):
        plan_run(spec_of(load={"source": {"type": "s3", "key": "sources/empty"}}), wires)
    inline = plan_run(spec_of(load={"source": {"type": "inline", "lines": ["ß", "two"]}}), wires)
    assert (inline.source_bytes, inline.records) == (5, 2)


@pytest.mark.parametrize("error", [UpstreamFailed("denied"), TooManyRequests("too many", retry_after=60)])
def test_a_run_that_could_not_be_started_is_closed(error: Any, wires: Wires) -> None:
    # Given a Step Functions that will not start it
    wires.machine.failures["start"] = [error]
    before = runs(wires)
    # When started / Then the caller gets the error, and the run says that it never ran
    with pytest.raises(type(error)):
        start_run(spec_of(), "user", wires)
    assert runs(wires) == before
    (newest, *_), _ = wires.table.page(200, None)
    closed = next(
        found
        for one in wires.table.page(200, None)[0]
        if one.verdict is Verdict.ABORTED and (found := wires.table.head(one.run_id))
    )
    assert newest is not None
    assert (closed.status, closed.resources_left) == (Status.CLOSED, 0)
    assert closed.failure is not None
    assert closed.failure.step == "Start"


def test_a_start_whose_answer_was_lost_goes_on(wires: Wires) -> None:
    # Given a start that took effect, and whose answer was lost
    original = wires.machine.start

    def lossy(name: str, document: dict[str, Any]) -> str:
        original(name, document)
        raise Unavailable("no answer", retry_after=5)

    wires.machine.start = lossy  # type: ignore[method-assign]
    with pytest.raises(Unavailable):
        start_run(spec_of(), "user", wires)
    # Then the run is there, and is not closed under the execution's feet
    (run_id,) = wires.machine.started
    run = wires.table.head(run_id)
    assert run is not None
    assert run.status is Status.QUEUED


def test_a_start_of_which_nothing_is_known_is_left_to_the_sweeper(wires: Wires) -> None:
    # Given a Step Functions that neither starts nor tells
    wires.machine.failures = {"start": [Unavailable("a")], "status": [Unavailable("b")]}
    before = runs(wires)
    with pytest.raises(Unavailable):
        start_run(spec_of(), "user", wires)
    # Then the run stays open, where the sweeper finds it
    assert len(runs(wires) - before) == 1


def test_a_run_that_can_not_be_stored_is_not_started(wires: Wires, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: Any) -> None:
        raise Unavailable("no answer")

    monkeypatch.setattr(RunsTable, "create", failing)
    with pytest.raises(Unavailable):
        start_run(spec_of(), "user", wires)
    assert wires.machine.started == {}


def test_stopping(wires: Wires) -> None:
    run = stored(wires.table, run_of())
    stop_run(run.run_id, "user-9", wires)
    assert wires.machine.stopped == {run.run_id: "stopped by user-9"}


def test_stopping_what_is_closed_or_never_was(wires: Wires) -> None:
    run = stored(wires.table, run_of())
    wires.table.close(
        run.run_id, verdict=Verdict.PASSED, reasons=("x",), resources_left=0, cost_usd=None, ended_at=NOON
    )
    with pytest.raises(RunClosed, match="PASSED"):
        stop_run(run.run_id, "user", wires)
    with pytest.raises(RunNotFound):
        stop_run("nobody", "user", wires)
    assert wires.machine.stopped == {}


def test_a_stop_that_fails_breaks_nothing(wires: Wires) -> None:
    # Given a Step Functions that does not stop it / Then the run goes on as if nobody had asked
    run = stored(wires.table, run_of())
    wires.machine.failures["stop"] = [Unavailable("no answer")]
    with pytest.raises(Unavailable):
        stop_run(run.run_id, "user", wires)
    found = wires.table.head(run.run_id)
    assert found is not None
    assert found.failure is None


def test_run_ids_sort_by_time_and_name_streams() -> None:
    ids = [new_run_id(NOON + timedelta(minutes=minute)) for minute in range(50)]
    assert ids == sorted(ids)
    assert all(RUN_ID.fullmatch(one) and len(f"weir-run-{one}") <= 128 for one in ids)
    assert len({new_run_id(NOON) for _ in range(1_000)}) == 1_000


def test_a_key_that_comes_again_finds_the_run_of_the_first(wires: Wires) -> None:
    # Given a run started with a key, whose answer the caller never saw
    first = start_run(spec_of(), "user", wires, "key-1")
    # When the request comes again, from the same caller and from another
    again = start_run(spec_of(), "user", wires, "key-1")
    other = start_run(spec_of(), "somebody else", wires, "key-1")
    # Then there is one run for each of them, and a changed body is not taken for the first
    assert again.run_id == first.run_id != other.run_id
    with pytest.raises(RunExists):
        start_run(spec_of(max_cost="0.9"), "user", wires, "key-1")


def test_a_key_is_not_spent_by_a_start_that_failed(wires: Wires) -> None:
    # Given a start that Step Functions refused, with a key
    wires.machine.failures["start"] = [TooManyRequests("slow down")]
    with pytest.raises(TooManyRequests):
        start_run(spec_of(), "user", wires, "key-2")
    # When the request comes again with the same key / Then a run starts after all
    run = start_run(spec_of(), "user", wires, "key-2")
    assert run.run_id in wires.machine.started
    assert run.status is Status.QUEUED
