"""The close: a verdict, a report and metrics, once, whatever came before."""

import json
from typing import Any

import pytest

from tests.unit.analysis.measurements import measured
from tests.unit.runs.fakes import BROKEN, Wires, head, run_of, spec_of, stored
from weir.analysis.measurement import measurement_key
from weir.runs.bucket import ObjectMissing, RunsBucket, part_key, report_key
from weir.runs.closing import close, read_report
from weir.runs.models import Failure, Run, Status, Verdict
from weir.runs.table import RunNotFound
from weir.runs.verifier import ReaderState
from weir.runs.writer import SliceState
from weir.runtime.errors import Conflict, Unavailable
from weir.streams import tags


def analyzed(wires: Wires, spec: Any = None, **changes: Any) -> Run:
    """A run that was measured, and whose stream is gone."""
    run = stored(wires.table, run_of(spec))
    m = measured(run_id=run.run_id, stream_name=run.stream_name, **changes)
    wires.bucket.save(measurement_key(run.run_id), m.to_dict())
    return run


def emitted(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """The metrics that were published, a document a line."""
    lines = capsys.readouterr().out.splitlines()
    return [json.loads(line) for line in lines if '"_aws"' in line]


def test_a_good_run_passes(wires: Wires, capsys: pytest.CaptureFixture[str]) -> None:
    # Given a run that was measured and found well
    run = analyzed(wires)
    # When closed
    answer = close(run.run_id, None, wires)
    # Then its verdict is kept, with its cost
    assert answer["verdict"] == Verdict.PASSED
    closed = head(wires, run)
    assert (closed.status, closed.verdict, closed.resources_left) == (Status.CLOSED, Verdict.PASSED, 0)
    assert closed.cost_usd is not None
    assert json.dumps(answer)
    # and the report says the same, in both forms
    report = json.loads(read_report(run.run_id, "json", wires))
    assert (report["run_id"], report["verdict"]) == (run.run_id, "PASSED")
    assert "PASSED" in read_report(run.run_id, "html", wires)
    # and so do the metrics, once
    (told,) = emitted(capsys)
    assert (told["Runs"], told["RunsPassed"], told["RunsFailed"]) == ([1], [1], [0])
    assert (told["RecordsLost"], told["RecordsAccepted"], told["ResourcesLeft"]) == ([0], [10_000], [0])
    assert told["LatencyP99"][0] == pytest.approx(99, rel=0.02)


def test_closing_twice_changes_nothing(wires: Wires, capsys: pytest.CaptureFixture[str]) -> None:
    # Given a run that was closed
    run = analyzed(wires)
    first = close(run.run_id, None, wires)
    before = head(wires, run)
    # When the clean-up closes it again, with a failure
    wires.time.seconds += 60
    assert close(run.run_id, Failure(step="Run", error="Stopped", cause="late"), wires) == first
    # Then all is as it was, and nothing is counted twice
    assert head(wires, run) == before
    assert json.loads(read_report(run.run_id, "json", wires))["verdict"] == "PASSED"
    assert len(emitted(capsys)) == 1


def test_a_run_that_was_never_stored_has_a_verdict_and_no_report(wires: Wires) -> None:
    # Given an execution whose input was no spec
    refused = Failure(step="Plan", error="SpecInvalid", cause="load: Field required")
    answer = close("never-stored", refused, wires)
    # Then the machine learns why, and nothing was made
    assert (answer["verdict"], answer["reasons"][0]) == (Verdict.FAILED, "Plan: SpecInvalid: load: Field required")
    assert wires.table.head("never-stored") is None
    with pytest.raises(RunNotFound):
        read_report("never-stored", "json", wires)


def test_a_run_that_broke_before_it_was_measured(wires: Wires, capsys: pytest.CaptureFixture[str]) -> None:
    # Given a run without a measurement
    run = stored(wires.table, run_of())
    # When closed with its failure
    answer = close(run.run_id, BROKEN, wires)
    # Then step and cause come first, and what was not measured is not published as nothing
    assert answer["verdict"] == Verdict.FAILED
    assert answer["reasons"][0] == "Insert: Denied: no"
    assert "could not be measured: nothing was measured" in answer["reasons"]
    assert head(wires, run).cost_usd is None
    report = json.loads(read_report(run.run_id, "json", wires))
    assert report["missing"]
    assert "<html" in read_report(run.run_id, "html", wires)
    (told,) = emitted(capsys)
    assert told["RunsFailed"] == [1]
    assert not {"RecordsLost", "RecordsAccepted", "CostUsd", "LatencyP99"} & set(told)


def test_without_a_measurement_nothing_passes(wires: Wires) -> None:
    run = stored(wires.table, run_of())
    assert close(run.run_id, None, wires)["verdict"] == Verdict.DEGRADED


def test_the_failure_that_was_stored_first_is_the_one_that_counts(wires: Wires) -> None:
    # Given a run whose branch broke, and that then could not be deleted
    run = analyzed(wires)
    wires.table.fail(run.run_id, BROKEN)
    answer = close(run.run_id, Failure(step="DeleteStream", error="Timeout", cause="later"), wires)
    assert answer["reasons"][0].startswith("Insert: Denied")


@pytest.mark.parametrize(("error", "verdict"), [("Stopped", "ABORTED"), ("TimedOut", "ABORTED"), ("FAILED", "FAILED")])
def test_what_ended_the_execution_decides(error: str, verdict: str, wires: Wires) -> None:
    run = analyzed(wires)
    assert close(run.run_id, Failure(step="Run", error=error, cause="x"), wires)["verdict"] == verdict


def test_a_stream_that_is_still_there_is_left_behind(wires: Wires, capsys: pytest.CaptureFixture[str]) -> None:
    run = analyzed(wires)
    wires.log.add(run.stream_name, {tags.MANAGED: "true", tags.STACK: "weir", tags.RUN_ID: run.run_id})
    assert close(run.run_id, None, wires)["verdict"] == Verdict.FAILED
    assert head(wires, run).resources_left == 1
    assert json.loads(read_report(run.run_id, "json", wires))["resources_left"] == [run.stream_name]
    assert emitted(capsys)[0]["ResourcesLeft"] == [1]


def test_a_stream_that_was_to_be_kept_is_no_fault(wires: Wires) -> None:
    run = analyzed(wires, spec_of(keep=True))
    wires.log.add(run.stream_name, {tags.MANAGED: "true", tags.STACK: "weir", tags.RUN_ID: run.run_id})
    assert close(run.run_id, None, wires)["verdict"] == Verdict.PASSED
    assert head(wires, run).resources_left == 1


def test_a_kinesis_that_does_not_say_whether_the_stream_is_gone(wires: Wires) -> None:
    run = analyzed(wires)
    wires.log.failures["tags"] = [Unavailable("no answer")]
    assert close(run.run_id, None, wires)["verdict"] == Verdict.DEGRADED
    assert head(wires, run).resources_left is None


def test_a_close_that_dies_on_the_way_can_be_tried_again(wires: Wires, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a bucket that fails at the second report
    run = analyzed(wires)
    write, calls = RunsBucket.write, 0

    def failing(self: RunsBucket, *args: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise Unavailable("no answer")
        write(self, *args)

    monkeypatch.setattr(RunsBucket, "write", failing)
    with pytest.raises(Unavailable):
        close(run.run_id, None, wires)
    # Then the run is not closed without a report, and the next try closes it
    assert head(wires, run).status is Status.RUNNING
    assert close(run.run_id, None, wires)["verdict"] == Verdict.PASSED
    assert "PASSED" in read_report(run.run_id, "html", wires)


def test_of_two_that_close_at_once_the_first_is_right_everywhere(
    wires: Wires, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given a clean-up that closes the run while its own close is writing the report
    run = analyzed(wires)
    write, calls = RunsBucket.write, 0

    def overtaken(self: RunsBucket, *args: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            wires.table.close(
                run.run_id,
                verdict=Verdict.ABORTED,
                reasons=("stopped",),
                resources_left=0,
                cost_usd=None,
                ended_at=run.created_at,
            )
        write(self, *args)

    monkeypatch.setattr(RunsBucket, "write", overtaken)
    # When it comes to its end / Then run, answer and report all say what the first one said, and it counts once: the
    # clean-up died before it could publish
    assert close(run.run_id, None, wires) == {"run_id": run.run_id, "verdict": "ABORTED", "reasons": ["stopped"]}
    assert json.loads(read_report(run.run_id, "json", wires))["verdict"] == "ABORTED"
    assert "ABORTED" in read_report(run.run_id, "html", wires)
    assert [one["RunsFailed"] for one in emitted(capsys)] == [[1.0]]
    # And never again
    close(run.run_id, None, wires)
    assert emitted(capsys) == []


def test_no_report_before_the_end(wires: Wires) -> None:
    run = stored(wires.table, run_of())
    with pytest.raises(Conflict) as caught:
        read_report(run.run_id, "json", wires)
    assert caught.value.retry_after == 2


def test_a_run_that_never_started_has_no_report(wires: Wires) -> None:
    # Given a run that was closed without one, because it could not be started
    run = stored(wires.table, run_of(planned=False))
    wires.table.close(
        run.run_id, verdict=Verdict.ABORTED, reasons=("x",), resources_left=0, cost_usd=None, ended_at=run.created_at
    )
    with pytest.raises(ObjectMissing):
        read_report(run.run_id, "json", wires)
    assert report_key(run.run_id, "json").endswith("report.json")


def test_an_execution_that_takes_a_closed_runs_name_does_not_answer_its_verdict(wires: Wires) -> None:
    # Given a run that PASSED, and an execution of the same name that Plan refused
    run = analyzed(wires)
    assert close(run.run_id, None, wires)["verdict"] == "PASSED"
    refused = Failure(step="Plan", error="SpecInvalid", cause="choose another name")
    # When the execution comes to its close / Then it has failed, and the run is as it was
    assert close(run.run_id, refused, wires)["verdict"] == "FAILED"
    found = wires.table.head(run.run_id)
    assert found is not None
    assert (found.verdict, found.failure) == ("PASSED", None)


def test_a_close_that_died_before_it_published_is_followed_by_one_that_does(
    wires: Wires, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given a run whose close was stored, and whose function died then
    run = analyzed(wires)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("weir.runs.closing.publish", lambda *_: (_ for _ in ()).throw(MemoryError()))
        with pytest.raises(MemoryError):
            close(run.run_id, None, wires)
    assert emitted(capsys) == []
    # When the step is tried again / Then its metrics are published, once
    close(run.run_id, None, wires)
    close(run.run_id, None, wires)
    assert [one["RunsPassed"] for one in emitted(capsys)] == [[1.0]]


STOPPED = Failure(step="Run", error="Stopped", cause="stopped by user-9")


def not_analyzed(wires: Wires, *, done: bool, **stream: Any) -> Run:
    """A run that was stopped before it was analyzed, ten minutes after its stream was made, and has checkpoints."""
    run = stored(wires.table, run_of(spec_of(stream=stream, analyses=["run"])))
    wires.table.begin_step(run.run_id, "CreateStream", wires.clock.now())
    states: dict[Any, Any] = {
        "SLICE": SliceState(position=100, finished=done, accepted=100, kinesis_records=100, payload_units=100),
        "READER": ReaderState(shards={}, finished=done),
    }
    for part, state in states.items():
        claim = wires.table.claim(run.run_id, part, 0, run.expires_at)
        wires.bucket.save(part_key(run.run_id, part, 0, claim.version), state.to_dict())
        wires.table.tell(run.run_id, part, claim, state.counts(), saved=True, done=done)
    wires.time.seconds += 600
    return run


@pytest.mark.parametrize(
    ("stream", "item", "dollars"),
    [
        ({"shards": 3}, "shard-hours", "0.045"),  # 3 x a begun hour x $0.015
        ({"mode": "ON_DEMAND"}, "on-demand stream-hours", "0.04"),
    ],
)
def test_the_stream_of_a_run_that_was_not_analyzed_is_paid_for(
    stream: dict[str, Any], item: str, dollars: str, wires: Wires
) -> None:
    # Given a run that was stopped before Analyze / When closed
    run = not_analyzed(wires, done=True, **stream)
    assert close(run.run_id, STOPPED, wires)["verdict"] == "ABORTED"
    # Then its report counts the hours of its stream, as it was asked for
    cost = json.loads(read_report(run.run_id, "json", wires))["costs"]["run"]
    assert {line["item"]: line["usd"] for line in cost["lines"]}[item] == dollars
    assert item not in str(cost["missing"])


def test_a_cost_is_told_as_the_runs_where_it_is_whole(wires: Wires, capsys: pytest.CaptureFixture[str]) -> None:
    # Given a run that was stopped when its workers had all told their end / When closed
    run = not_analyzed(wires, done=True, shards=3)
    close(run.run_id, STOPPED, wires)
    # Then run, report and metric tell one cost
    cost = json.loads(read_report(run.run_id, "json", wires))["costs"]["run"]
    assert cost["complete"]
    assert head(wires, run).cost_usd == cost["usd"]
    assert emitted(capsys)[0]["CostUsd"] == [float(cost["usd"])]


def test_a_cost_with_parts_missing_is_not_told_as_the_runs(wires: Wires, capsys: pytest.CaptureFixture[str]) -> None:
    # Given a run that was stopped while its workers were at work / When closed
    run = not_analyzed(wires, done=False, shards=3)
    close(run.run_id, STOPPED, wires)
    # Then its report says what it cost at least, and that this is not all
    report = json.loads(read_report(run.run_id, "json", wires))
    assert not report["costs"]["run"]["complete"]
    assert report["costs"]["run"]["missing"] == ["what writers and readers did after their last checkpoints"]
    assert "at least $0.04" in read_report(run.run_id, "html", wires)
    # And neither the run nor the metric tells a sum
    assert head(wires, run).cost_usd is None
    assert "CostUsd" not in emitted(capsys)[0]


def test_a_cost_that_is_published_late_is_the_one_that_was_stored(
    wires: Wires, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given a run that was closed, and whose function died before it published
    run = not_analyzed(wires, done=True, shards=3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("weir.runs.closing.publish", lambda *_: (_ for _ in ()).throw(MemoryError()))
        with pytest.raises(MemoryError):
            close(run.run_id, STOPPED, wires)
    # When the step is tried again, two hours of a stream later / Then the metric is what the run says
    wires.time.seconds += 7_200
    close(run.run_id, STOPPED, wires)
    assert emitted(capsys)[0]["CostUsd"] == [float(head(wires, run).cost_usd or "nan")]
