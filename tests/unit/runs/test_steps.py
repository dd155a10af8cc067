"""The control steps: each may be tried again, none waits, and nothing of anybody else's is touched."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.analysis.measurements import series
from tests.unit.runs.fakes import BROKEN, Wires, created, head, run_of, spec_of, step_of, stored
from tests.unit.streams.fakes import NOON
from weir.analysis.measurement import measurement_key
from weir.runs import steps
from weir.runs.bucket import ObjectMissing, RunsBucket, part_key
from weir.runs.models import Failure, Run, Status, Verdict, spec_json
from weir.runs.steps import SpecInvalid, StreamNotAsAsked
from weir.runs.table import RunExists, RunNotFound
from weir.runs.writer import SliceState
from weir.runtime.errors import Conflict, Timeout, Unavailable
from weir.streams import tags
from weir.streams.errors import StreamExists, StreamNotFound, StreamQuotaExceeded

# Plan


def test_a_run_that_was_started_over_http_is_planned(wires: Wires) -> None:
    # Given a run as POST /runs stores it
    run = run_of(spec_of(load={"records": 100, "workers": 3}, stream={"shards": 9}), planned=False)
    wires.table.create(run)
    # When planned
    answer = steps.plan(run.run_id, spec_json(run.spec), run.execution_arn or "", wires)
    # Then it is running, with its plan and its owner, and the machine knows how many shall work
    assert answer == {"stream_name": run.stream_name, "workers": 3, "readers": 3}
    found = head(wires, run)
    assert (found.status, found.owner) == (Status.RUNNING, "user-1")
    assert found.plan is not None
    assert step_of(found, "Plan").status == "DONE"


def test_a_run_that_was_started_on_the_machine_itself_is_stored(wires: Wires) -> None:
    # Given an execution that somebody started by hand
    answer = steps.plan("by-hand-1", {"load": {"records": 10}}, "arn:by-hand-1", wires)
    # Then there is a run of its name, and it is no user's
    found = head(wires, "by-hand-1")
    assert answer["stream_name"] == found.stream_name == "weir-run-by-hand-1"
    assert (found.owner, found.started_by, found.execution_arn) == (None, "execution", "arn:by-hand-1")


def test_a_plan_that_is_tried_again_is_the_same(wires: Wires) -> None:
    first = steps.plan("twice-1", {"load": {"records": 10}}, "arn:twice-1", wires)
    wires.time.seconds += 30
    assert steps.plan("twice-1", {"load": {"records": 10}}, "arn:twice-1", wires) == first
    assert head(wires, "twice-1").created_at == NOON


def test_an_execution_does_not_take_over_anothers_run(wires: Wires) -> None:
    run = stored(wires.table, run_of())
    with pytest.raises(RunExists):
        steps.plan(run.run_id, {"load": {"records": 10}}, "arn:of-another-machine", wires)
    assert head(wires, run) == run


@pytest.mark.parametrize("run_id", ["", "-x", "a b", "x" * 65, "ü"])
def test_a_name_that_can_not_name_a_stream_is_refused(run_id: str, wires: Wires) -> None:
    with pytest.raises(SpecInvalid):
        steps.plan(run_id, {"load": {"records": 10}}, "arn", wires)


@pytest.mark.parametrize("document", [{}, {"load": {}}, {"load": {"records": 1}, "x": 1}, [], "text", 5, None])
def test_an_input_that_is_no_spec_is_refused_and_nothing_is_stored(document: Any, wires: Wires) -> None:
    with pytest.raises(SpecInvalid):
        steps.plan("refused-1", document, "arn", wires)
    assert wires.table.head("refused-1") is None


def test_a_spec_that_is_refused_is_an_answer_with_its_failure(wires: Wires) -> None:
    # Given a wrong spec, which is nothing that is wrong with the function / Then it is told and not raised
    refused = steps.planned("refused-2", {"load": {}}, "arn", wires)
    assert (refused["planned"], refused["workers"], refused["readers"]) == (False, 0, 0)
    assert (refused["failure"]["step"], refused["failure"]["error"]) == ("Plan", "SpecInvalid")
    assert "load" in refused["failure"]["cause"]
    # And where it is not, there is none
    made = steps.planned("fine-1", {"load": {"records": 10}}, "arn", wires)
    assert (made["planned"], made["workers"], made["failure"]) == (True, 1, None)


def test_a_plan_that_is_refused_leaves_a_run_to_tell_of_it(wires: Wires) -> None:
    # Given a run over its budget, started by hand
    document = {"load": {"records": 10**9}, "max_cost": "0.01"}
    with pytest.raises(SpecInvalid, match="would cost about"):
        steps.plan("dear-1", document, "arn", wires)
    # Then the run is there, not planned, for the close to give its verdict
    found = head(wires, "dear-1")
    assert (found.plan, found.status) == (None, Status.QUEUED)


def test_a_source_that_was_never_uploaded_is_refused(wires: Wires) -> None:
    document = {"load": {"source": {"type": "s3", "key": "sources/nowhere"}}}
    with pytest.raises(SpecInvalid, match="nothing was uploaded"):
        steps.plan("no-source-1", document, "arn", wires)


def test_a_run_that_is_closed_is_not_planned_again(wires: Wires) -> None:
    run = run_of(planned=False)
    wires.table.create(run)
    wires.table.close(
        run.run_id, verdict=Verdict.ABORTED, reasons=("x",), resources_left=0, cost_usd=None, ended_at=NOON
    )
    with pytest.raises(steps.SpecInvalid, match="choose another name"):
        steps.plan(run.run_id, spec_json(run.spec), run.execution_arn or "", wires)
    assert head(wires, run).status is Status.CLOSED


# CreateStream


def test_the_stream_bears_its_tags_from_its_first_moment(wires: Wires) -> None:
    # Given a planned run of three shards
    run = stored(wires.table, run_of(spec_of(stream={"shards": 3}, expires_in=600)))
    # When its stream is created
    steps.create(run.run_id, wires)
    # Then it says whose it is, what for, and until when
    made = wires.log.streams[run.stream_name]
    assert (made.count, made.mode) == (3, "PROVISIONED")
    assert made.tags == {
        tags.MANAGED: "true",
        tags.STACK: "weir",
        tags.RUN_ID: run.run_id,
        tags.OWNER: "user-1",
        tags.EXPIRES_AT: "2026-11-21T12:10:00Z",
    }
    assert "add_tags" not in wires.log.calls
    assert step_of(head(wires, run), "CreateStream").status == "DONE"


def test_a_stream_on_demand(wires: Wires) -> None:
    run = created(wires, spec_of(stream={"mode": "ON_DEMAND"}))
    assert wires.log.streams[run.stream_name].mode == "ON_DEMAND"


def test_a_create_that_is_tried_again_finds_its_stream(wires: Wires) -> None:
    run = created(wires)
    steps.create(run.run_id, wires)
    assert list(wires.log.streams) == [run.stream_name]


def test_a_stream_of_that_name_that_is_not_the_runs_is_left_alone(wires: Wires) -> None:
    run = stored(wires.table, run_of())
    wires.log.add(run.stream_name, {tags.MANAGED: "true", tags.STACK: "weir", tags.RUN_ID: "another"})
    with pytest.raises(StreamExists):
        steps.create(run.run_id, wires)
    assert wires.log.streams[run.stream_name].tags[tags.RUN_ID] == "another"


def test_over_quota_nothing_is_created(wires: Wires) -> None:
    wires.log.most_shards = 2
    run = stored(wires.table, run_of(spec_of(stream={"shards": 3})))
    with pytest.raises(StreamQuotaExceeded):
        steps.create(run.run_id, wires)
    assert wires.log.streams == {}


def test_a_run_that_is_not_there_creates_nothing(wires: Wires) -> None:
    for step in (steps.create, steps.active, steps.metrics, steps.analyze):
        with pytest.raises(RunNotFound):
            step("nobody", wires)
    assert wires.log.streams == {}


# WaitActive


def test_active_and_as_asked(wires: Wires) -> None:
    run = created(wires, spec_of(stream={"shards": 2}))
    assert steps.active(run.run_id, wires) == {"ready": True}
    assert step_of(head(wires, run), "WaitActive").status == "DONE"


def test_creating_is_not_ready_and_not_for_ever(wires: Wires) -> None:
    # Given a stream that stays CREATING
    run = created(wires)
    wires.log.streams[run.stream_name].status = "CREATING"
    # When asked for nine minutes / Then it is not ready; after ten it is too late
    wires.time.seconds += 540
    assert steps.active(run.run_id, wires) == {"ready": False}
    wires.time.seconds += 61
    with pytest.raises(Timeout, match="CREATING"):
        steps.active(run.run_id, wires)


def test_a_stream_that_kinesis_does_not_know_yet(wires: Wires) -> None:
    run = created(wires)
    del wires.log.streams[run.stream_name]
    assert steps.active(run.run_id, wires) == {"ready": False}
    wires.time.seconds += 61
    with pytest.raises(StreamNotFound):
        steps.active(run.run_id, wires)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"count": 2}, "open shards: expected 1, AWS says 2"),
        ({"mode": "ON_DEMAND"}, "mode"),
        ({"tags": {tags.MANAGED: "true", tags.STACK: "weir"}}, tags.RUN_ID),
        ({"retention": 48}, "retention"),
    ],
)
def test_another_stream_than_was_asked_for_is_told(changed: dict[str, Any], told: str, wires: Wires) -> None:
    run = created(wires)
    for name, value in changed.items():
        setattr(wires.log.streams[run.stream_name], name, value)
    with pytest.raises(StreamNotAsAsked, match=told):
        steps.active(run.run_id, wires)


# AwaitMetrics


def test_metrics_are_waited_for_until_they_show_all(wires: Wires) -> None:
    # Given 100 accepted records, of which CloudWatch shows 60
    run = created(wires)
    accept(wires, run, 100)
    wires.series.found = [series("IncomingRecords", 60)]
    assert steps.metrics(run.run_id, wires) == {"done": False}
    # When it shows all / Then the wait is over
    wires.series.found = [series("IncomingRecords", 60, 40)]
    assert steps.metrics(run.run_id, wires) == {"done": True}
    assert step_of(head(wires, run), "AwaitMetrics").detail == "complete"


def test_metrics_are_not_waited_for_for_ever(wires: Wires) -> None:
    # Given a CloudWatch that never shows anything, and a minute to wait
    run = created(wires)
    accept(wires, run, 1)
    wires.time.seconds += 300
    assert steps.metrics(run.run_id, wires) == {"done": False}
    wires.time.seconds += 59
    assert steps.metrics(run.run_id, wires) == {"done": False}
    wires.time.seconds += 1
    assert steps.metrics(run.run_id, wires) == {"done": True}
    assert "not complete" in str(step_of(head(wires, run), "AwaitMetrics").detail)


def test_a_series_that_is_cut_off_is_not_complete(wires: Wires) -> None:
    run = created(wires)
    accept(wires, run, 1)
    wires.series.found = [series("IncomingRecords", 5), series("PutRecords.Latency", complete=False)]
    assert steps.metrics(run.run_id, wires) == {"done": False}


def test_cloudwatch_that_fails_does_not_fail_the_run(wires: Wires) -> None:
    run = created(wires)
    accept(wires, run, 1)
    wires.series.failures = [Unavailable("no answer")]
    assert steps.metrics(run.run_id, wires) == {"done": False}


@pytest.mark.parametrize("why", ["not asked", "broken"])
def test_metrics_that_nobody_wants_are_not_asked_for(why: str, wires: Wires) -> None:
    run = created(wires, spec_of(analyses=["run"] if why == "not asked" else ["run", "cloudwatch"]))
    if why == "broken":
        wires.table.fail(run.run_id, BROKEN)
    assert steps.metrics(run.run_id, wires) == {"done": True}
    assert wires.series.asked == []


def accept(wires: Wires, run: Run, records: int) -> None:
    """The run's writer has had so many accepted."""
    claim = wires.table.claim(run.run_id, "SLICE", 0, run.expires_at)
    state = SliceState(position=records, finished=True, accepted=records, kinesis_records=records)
    wires.bucket.save(part_key(run.run_id, "SLICE", 0, claim.version), state.to_dict())
    wires.table.tell(run.run_id, "SLICE", claim, state.counts(), saved=True, done=True)


# Analyze


def test_what_was_measured_is_stored(wires: Wires) -> None:
    # Given a run whose writer is done and whose reader never began
    run = created(wires, spec_of(analyses=["run"]))
    accept(wires, run, 100)
    # When analyzed / Then the measurement is kept, and what is not known is None
    assert steps.analyze(run.run_id, wires) == {"accepted": 100, "seen": 0, "lost": None}
    kept = wires.bucket.load(measurement_key(run.run_id))
    assert (kept["accepted"], kept["open_shards"], kept["lost"]) == (100, 1, None)
    assert json.dumps(kept)


def test_a_stream_that_is_gone_already_can_be_analyzed(wires: Wires) -> None:
    run = created(wires, spec_of(analyses=["run"]))
    del wires.log.streams[run.stream_name]
    steps.analyze(run.run_id, wires)
    assert wires.bucket.load(measurement_key(run.run_id))["open_shards"] is None


# Failures, as the machine tells them


@pytest.mark.parametrize(
    ("raised", "failure"),
    [
        (None, None),
        ({}, None),
        (
            {"step": "Plan", "error": "SpecInvalid", "cause": '{"errorMessage": "no load", "stackTrace": ["secret"]}'},
            ("Plan", "SpecInvalid", "no load"),
        ),
        ({"step": "Insert", "error": "X", "cause": "plain"}, ("Insert", "X", "plain")),
        ({"step": "Insert", "error": "X", "cause": '["list"]'}, ("Insert", "X", '["list"]')),
        ({"step": "Insert", "error": "X", "cause": None}, ("Insert", "X", "no cause was told")),
        ({"step": "S", "error": "States.Timeout"}, ("S", "States.Timeout", "it did not finish in its time")),
        ({"error": None, "cause": "c"}, ("Run", "Unknown", "c")),
        ({"step": "S", "error": "X", "cause": "x" * 5_000}, ("S", "X", "x" * 1_000)),
    ],
)
def test_failures_are_told_without_a_stack_trace(
    raised: dict[str, Any] | None, failure: tuple[str, str, str] | None
) -> None:
    found = steps.failure_of(raised)
    assert (found and (found.step, found.error, found.cause)) == failure


def test_a_branch_that_failed_without_words_has_failed_all_the_same() -> None:
    assert steps.failed({}).error == "Unknown"


def test_missing_checkpoints_are_an_error_of_their_own(bucket: RunsBucket) -> None:
    ask: Callable[[str], Any] = bucket.load
    with pytest.raises(ObjectMissing):
        ask(measurement_key("nobody"))


def test_no_stream_is_made_for_a_run_that_has_come_to_its_end(wires: Wires) -> None:
    # Given a run that was stopped while its CreateStream was about to begin
    run = stored(wires.table, run_of())
    wires.table.fail(run.run_id, Failure(step="Run", error="Stopped", cause="x"))
    # When the step begins after all / Then nothing is made
    with pytest.raises(Conflict):
        steps.create(run.run_id, wires)
    assert wires.log.streams == {}
