"""Starting, planning and stopping: nothing is made of what is refused, and nothing is left of what did not start."""

import json
from datetime import timedelta
from typing import Any

import pytest

from tests.unit.runs.fakes import Wires, plan_of, run_of, spec_of, stored
from tests.unit.streams.fakes import NOON
from weir.runs.models import NEVER_STARTED, RUN_ID, Failure, RunSpec, Status, Verdict, spec_json
from weir.runs.starting import (
    MOST_TRIES,
    RunClosed,
    keyed_run_id,
    new_run_id,
    plan_run,
    start_run,
    stop_run,
)
from weir.runs.table import RunExists, RunNotFound, RunsTable
from weir.runtime.errors import Conflict, Invalid, TooManyRequests, Unavailable, UpstreamFailed
from weir.runtime.http import Principal

ADMIN = Principal("boss", roles=frozenset({"admin"}), credential="token")


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


def test_a_run_that_could_not_be_started_counts_as_failed(wires: Wires, capsys: pytest.CaptureFixture[str]) -> None:
    # Given a Step Functions that will not start it / When started
    wires.machine.failures["start"] = [UpstreamFailed("denied")]
    with pytest.raises(UpstreamFailed):
        start_run(spec_of(), "user", wires, "key-counted")
    # Then the alarm on failed runs hears of it, and the cost of nothing is not told
    (told,) = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
    assert (told["Runs"], told["RunsFailed"], told["RunsPassed"]) == ([1], [1], [0])
    assert not {"CostUsd", "RecordsAccepted"} & set(told)
    # And only once: whoever finds the run closed does not tell it again
    run = wires.table.head(keyed_run_id(NOON, "user", "key-counted"))
    assert run is not None
    assert run.published


def test_a_run_that_could_not_be_started_nor_closed_has_counted(
    wires: Wires, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given a Step Functions that will not start it, and a table that does not take the close
    def failing(*_: Any, **__: Any) -> bool:
        raise Unavailable("no answer")

    wires.machine.failures["start"] = [UpstreamFailed("denied")]
    monkeypatch.setattr(RunsTable, "close", failing)
    # When started / Then it has counted: nobody might come after this who would
    with pytest.raises(Unavailable):
        start_run(spec_of(), "user", wires)
    assert '"RunsFailed":[1]' in capsys.readouterr().out.replace(" ", "")


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
    stop_run(run.run_id, ADMIN, wires)
    assert wires.machine.stopped == {run.run_id: "stopped by boss"}


def test_stopping_what_is_closed_or_never_was(wires: Wires) -> None:
    run = stored(wires.table, run_of())
    wires.table.close(
        run.run_id, verdict=Verdict.PASSED, reasons=("x",), resources_left=0, cost_usd=None, ended_at=NOON
    )
    with pytest.raises(RunClosed, match="PASSED"):
        stop_run(run.run_id, ADMIN, wires)
    with pytest.raises(RunNotFound):
        stop_run("nobody", ADMIN, wires)
    assert wires.machine.stopped == {}


def test_a_stop_that_fails_breaks_nothing(wires: Wires) -> None:
    # Given a Step Functions that does not stop it / Then the run goes on as if nobody had asked
    run = stored(wires.table, run_of())
    wires.machine.failures["stop"] = [Unavailable("no answer")]
    with pytest.raises(Unavailable):
        stop_run(run.run_id, ADMIN, wires)
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


LATE = 12 * 3_600 - 5.0
"""Seconds from noon to five before midnight."""


def test_a_key_that_comes_again_after_midnight_finds_the_run_of_before(wires: Wires) -> None:
    # Given a run started with a key just before midnight, UTC, whose answer nobody could keep
    wires.time.seconds = LATE
    first = start_run(spec_of(), "user", wires, "key-midnight")
    # When the request comes again just after, and almost a day later / Then it is that run, and no other is made
    for seconds in (10.0, 86_399.0):
        wires.time.seconds = LATE + seconds
        assert start_run(spec_of(), "user", wires, "key-midnight").run_id == first.run_id
    with pytest.raises(RunExists):
        start_run(spec_of(max_cost="0.9"), "user", wires, "key-midnight")
    # And when a day is over, the key is free again
    wires.time.seconds = LATE + 86_401.0
    assert start_run(spec_of(), "user", wires, "key-midnight").run_id != first.run_id


def test_a_key_whose_second_try_got_no_answer_makes_no_third_run(wires: Wires) -> None:
    # Given a start that Step Functions refused, and a second try that took effect and whose answer was lost
    wires.machine.failures["start"] = [TooManyRequests("slow down")]
    with pytest.raises(TooManyRequests):
        start_run(spec_of(), "user", wires, "key-thrice")
    second = start_run(spec_of(), "user", wires, "key-thrice")
    before = runs(wires)
    # When the request comes a third time, also on the next day / Then it is the second's run
    for seconds in (0.0, LATE + 10.0):
        wires.time.seconds = seconds
        assert start_run(spec_of(), "user", wires, "key-thrice").run_id == second.run_id
    assert runs(wires) == before


@pytest.mark.parametrize("closed", [True, False])
def test_a_run_that_was_given_up_as_never_started_is_not_started_after_all(closed: bool, wires: Wires) -> None:
    # Given a start of which nothing was known, and that a sweep, minutes later, found never to have begun; or one that
    # failed, and could not be closed
    wires.machine.failures = {"start": [Unavailable("a")], "status": [Unavailable("b")]}
    with pytest.raises(Unavailable):
        start_run(spec_of(), "user", wires, f"key-swept-{closed}")
    run_id = keyed_run_id(NOON, "user", f"key-swept-{closed}")
    error = {"step": "Run", "error": NEVER_STARTED} if closed else {"step": "Start", "error": "Unavailable"}
    wires.table.fail(run_id, Failure(**error, cause="the execution was never started"))
    if closed:
        wires.table.close(
            run_id, verdict=Verdict.FAILED, reasons=("x",), resources_left=0, cost_usd=None, ended_at=NOON
        )
    # When the request comes again / Then another run is started: that one would only fail
    assert start_run(spec_of(), "user", wires, f"key-swept-{closed}").run_id != run_id
    assert run_id not in wires.machine.started


def test_a_run_that_has_ended_is_found_and_not_started_again(wires: Wires) -> None:
    # Given a run that was started with a key, and has ended
    run = start_run(spec_of(), "user", wires, "key-ended")
    wires.table.close(
        run.run_id, verdict=Verdict.PASSED, reasons=("x",), resources_left=0, cost_usd=None, ended_at=NOON
    )
    wires.machine.started.clear()
    # When the request comes again / Then it is that run, as it is
    assert start_run(spec_of(), "user", wires, "key-ended").verdict is Verdict.PASSED
    assert wires.machine.started == {}


def test_a_key_is_not_tried_for_ever(wires: Wires) -> None:
    # Given a Step Functions that starts nothing, and a caller that does not give up
    for _ in range(MOST_TRIES):
        wires.machine.failures["start"] = [UpstreamFailed("denied")]
        with pytest.raises(UpstreamFailed):
            start_run(spec_of(), "user", wires, "key-ever")
    before = runs(wires)
    # When it comes once more / Then it is told so, and nothing is made
    with pytest.raises(Conflict, match="new key"):
        start_run(spec_of(), "user", wires, "key-ever")
    assert runs(wires) == before
