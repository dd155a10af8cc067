"""The steps of an analysis, from a request or a schedule to its results; again after each way to break off."""

import gzip
import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from tests.unit.analysis.analyses.world import ADMIN, ANN, NEVER, World, quiet
from tests.unit.analysis.measurements import arrivals, measured, shard
from tests.unit.analysis.telling.analyses import Says, sentences
from weir.analysis.analyses import working
from weir.analysis.analyses.contract import AnalysisSpec
from weir.analysis.analyses.models import Analysis, AnalysisEnded, Failure, Status
from weir.analysis.analyses.starting import delete, start, visible
from weir.runtime.errors import Invalid, Unavailable

HOURS = {"from": "2026-11-20T00:00:00Z", "to": "2026-11-21T00:00:00Z", "period": 300}
ONE = {"streams": ["orders"], "range": HOURS}
NIGHTLY = {"streams": {"tags": {"team": "a"}}, "range": HOURS, "schedule": "nightly"}


def begun(world: World, spec: dict[str, Any]) -> str:
    return start(AnalysisSpec.model_validate(spec), ANN, world).analysis_id


def slow(_stream: str, metric: str, at: datetime) -> float | None:
    """As quiet, but for readers that are hours behind and writes that are throttled."""
    if "Age" in metric:
        return 80_000_000.0
    return 500.0 if metric.startswith("WriteProvisioned") else quiet(_stream, metric, at)


def test_an_analysis_ends_with_findings_facts_charts_and_words(world: World) -> None:
    # Given two streams
    world.streams.add("orders")
    world.streams.add("payments")
    analysis_id = world.analyzed({"streams": ["orders", "payments"], "range": HOURS})

    # Then it is done, and tells what it took
    found = world.analyses.get(analysis_id)
    assert (found.status, found.step, found.streams, found.analyzed) == (Status.DONE, "Close", 2, 2)
    assert (found.complete, found.partial) == (True, ())
    assert found.calls == {"queries": 24 + 6, "GetMetricData": 2, "DescribeStreamSummary": 2}
    assert found.range == {"from": "2026-11-20T00:00:00.000Z", "to": "2026-11-21T00:00:00.000Z", "period": 300}

    # And the document holds what was found, and the words for it
    document = world.document(analysis_id)
    assert document["analysis"]["status"] == "DONE"
    assert sorted(one["name"] for one in document["streams"]) == ["orders", "payments"]
    for stream in document["streams"]:
        assert stream["findings"]
        assert stream["facts"]
        assert any(chart["band"] for chart in stream["charts"])
        assert stream["completeness"]["complete"]
        assert {one["workflow"] for one in stream["findings"]} >= {"performance", "cost", "scaling", "anomalies"}
    assert document["told"]["by"] == "template"
    counts = {
        severity: sum(one["severity"] == severity for stream in document["streams"] for one in stream["findings"])
        for severity in ("critical", "warning", "info")
    }
    assert found.findings == counts


def test_the_workflows_that_were_asked_for_run_and_no_others(world: World) -> None:
    world.streams.add("orders")
    analysis_id = world.analyzed(ONE | {"workflows": ["scaling", "unused"]})
    (stream,) = world.document(analysis_id)["streams"]
    assert {one["workflow"] for one in stream["findings"]} <= {"scaling", "unused"}


def test_without_a_baseline_there_is_no_regression(world: World) -> None:
    world.streams.add("orders")
    document = world.document(world.analyzed(ONE))
    assert document["worse"] is None
    assert "regression" not in {one["workflow"] for one in document["streams"][0]["findings"]}


def test_a_model_tells_it_where_there_is_one(world: World) -> None:
    world.streams.add("orders")
    analysis_id = begun(world, ONE)
    working.collect(analysis_id, {}, world, NEVER)
    working.analyze(analysis_id, world, NEVER)
    said = Says(sentences(("There is one stream.", ["f1"])))
    asked: list[Analysis] = []
    assert working.tell(analysis_id, world, lambda one: asked.append(one) or said) == {"by": "model"}  # type: ignore[func-returns-value]
    assert [one.owner for one in asked] == [ANN.sub]
    working.close(analysis_id, world)
    assert world.document(analysis_id)["told"]["model"] == "a-model"


def test_a_partial_failure_of_cloudwatch_makes_a_partial_analysis(world: World) -> None:
    # Given a metric that CloudWatch can't give
    world.streams.add("orders")
    world.cloudwatch.broken = {("orders", "GetRecords.Bytes")}
    analysis_id = world.analyzed({"streams": ["orders", "gone"], "range": HOURS})

    # Then the analysis is done with what there is, and everywhere says so
    found = world.analyses.get(analysis_id)
    assert (found.status, found.complete) == (Status.DONE, False)
    assert found.partial == (
        "gone: there is no such stream",
        "orders: GetRecords.Bytes: CloudWatch did not give all of it",
    )
    document = world.document(analysis_id)
    assert document["partial"] == list(found.partial)
    (stream,) = document["streams"]
    assert stream["completeness"]["complete"] is False
    assert stream["completeness"]["unfinished"] == ["GetRecords.Bytes"]
    page = world.bucket.read(f"analyses/{analysis_id}/report.html") or b""
    assert b"<b>Partial.</b>" in page


def test_where_all_of_cloudwatch_fails_there_is_still_an_analysis(world: World) -> None:
    world.streams.add("orders")
    world.cloudwatch.failing = set(range(1, 10))
    analysis_id = world.analyzed(ONE)
    found = world.analyses.get(analysis_id)
    assert (found.status, found.complete) == (Status.DONE, False)
    assert world.document(analysis_id)["streams"][0]["completeness"]["known"] == 0


def test_analyzing_goes_on_where_time_ran_out(world: World) -> None:
    # Given more streams than one part holds, and no time
    names = [f"s{number:02d}" for number in range(working.STREAMS_A_PART + 2)]
    for name in names:
        world.streams.add(name)
    analysis_id = begun(world, {"streams": names, "range": HOURS, "workflows": ["performance"]})
    assert working.collect(analysis_id, {}, world, NEVER) == {"streams": len(names)}
    assert working.analyze(analysis_id, world, until=-1.0) == {"done": False}
    assert world.analyses.get(analysis_id).analyzed == 0

    # When there is time for one part, and then for the rest
    moments = iter([0.0, 2.0, 0.0, 0.0])
    object.__setattr__(world, "clock", world.clock.__class__(now=world.clock.now, monotonic=lambda: next(moments)))
    assert working.analyze(analysis_id, world, until=1.0) == {"done": False}
    assert world.analyses.get(analysis_id).analyzed == working.STREAMS_A_PART
    assert working.analyze(analysis_id, world, until=1.0) == {"done": True}

    # Then every stream was analyzed once
    working.tell(analysis_id, world, lambda _: None)
    working.close(analysis_id, world)
    assert sorted(one["name"] for one in world.document(analysis_id)["streams"]) == names


STEPS: dict[str, Callable[[str, World], Any]] = {
    "collect": lambda analysis_id, world: working.collect(analysis_id, {}, world, NEVER),
    "analyze": lambda analysis_id, world: working.analyze(analysis_id, world, NEVER),
    "tell": lambda analysis_id, world: working.tell(analysis_id, world, lambda _: None),
    "close": lambda analysis_id, world: working.close(analysis_id, world),
}


@pytest.mark.parametrize("twice", STEPS)
def test_each_step_may_come_twice(world: World, twice: str) -> None:
    # Given an analysis, of which one step is called again after it was done
    world.streams.add("orders")
    analysis_id = begun(world, ONE)
    for name, step in STEPS.items():
        first = step(analysis_id, world)
        if name == twice:
            assert step(analysis_id, world) == first
    # Then it ends as if each had come once
    assert world.analyses.get(analysis_id).status is Status.DONE
    assert len(world.document(analysis_id)["streams"]) == 1


def test_a_deleted_analysis_is_not_brought_back(world: World) -> None:
    # Given one that is deleted while its steps are at work
    world.streams.add("orders")
    analysis_id = begun(world, ONE)
    working.collect(analysis_id, {}, world, NEVER)
    delete(analysis_id, ANN, world)
    assert world.executions.stopped == [analysis_id]

    # When the next step comes, and the end of all failures, Then nothing of it is there
    with pytest.raises(AnalysisEnded):
        working.analyze(analysis_id, world, NEVER)
    working.close_failed(analysis_id, Failure("Analyze", "AnalysisEnded", "gone"), world)
    assert world.analyses.find(analysis_id) is None
    with pytest.raises(Invalid, match="was deleted"):
        working.collect(analysis_id, {}, world, NEVER)


def test_a_broken_analysis_tells_what_broke_it(world: World) -> None:
    analysis_id = begun(world, ONE)
    raised = {"step": "Collect", "error": "Unavailable", "cause": json.dumps({"errorMessage": "AWS did not answer."})}
    working.close_failed(analysis_id, working.failure_of(raised), world)
    found = visible(analysis_id, ANN, world)
    assert found.status is Status.FAILED
    assert found.failure == Failure("Collect", "Unavailable", "AWS did not answer.")
    # And a failure that comes after an end changes nothing
    working.close_failed(analysis_id, Failure("Close", "Other", "later"), world)
    assert visible(analysis_id, ANN, world).failure == found.failure


@pytest.mark.parametrize(
    ("raised", "failure"),
    [
        ({"step": "Tell", "error": "States.Timeout", "cause": ""}, ("Tell", "States.Timeout", "no cause was told")),
        ({"step": "Tell", "error": "E", "cause": "plain"}, ("Tell", "E", "plain")),
        ({"step": "Tell", "error": "E", "cause": "x" * 5_000}, ("Tell", "E", "x" * 1_000)),
        ({}, ("Run", "Unknown", "no cause was told")),
    ],
)
def test_a_cause_is_told_without_its_stack(raised: dict[str, Any], failure: tuple[str, str, str]) -> None:
    assert working.failure_of(raised) == Failure(*failure)


# A schedule


def scheduled(world: World, name: str, **changes: Any) -> dict[str, Any]:
    return world.run(name, NIGHTLY | changes)


def test_a_scheduled_analysis_is_compared_with_the_last_of_its_name(world: World) -> None:
    # Given a stream that gets worse from one night to the next
    world.streams.add("orders", {"team": "a"})
    assert scheduled(world, "night-1") == {"status": "DONE", "worse": 0}
    world.cloudwatch.value = slow
    told = scheduled(world, "night-2")

    # Then the second is compared with the first, and what got worse is told to the topic
    found = world.analyses.get("night-2")
    assert (found.schedule, found.owner, found.compared_with) == ("nightly", None, "night-1")
    assert told["worse"] == found.worse
    assert found.worse
    worse = world.document("night-2")["worse"]
    assert {one["stream"] for one in worse} == {"orders"}
    assert any(one["workflow"] == "regression" for one in worse)
    ((subject, message, attributes),) = world.alerts.told
    assert subject == f"Weir: {found.worse} findings got worse (nightly)"
    assert worse[0]["title"] in message
    assert "GET /analyses/night-2" in message
    assert attributes == {"analysis_id": "night-2", "schedule": "nightly"}

    # And the third, as bad as the second, is no news
    scheduled(world, "night-3")
    assert world.analyses.get("night-3").compared_with == "night-2"
    assert len(world.alerts.told) == 1


def test_another_schedule_and_requests_do_not_meet(world: World) -> None:
    world.streams.add("orders", {"team": "a"})
    scheduled(world, "weekly-1", schedule="weekly")
    world.cloudwatch.value = slow
    scheduled(world, "daily-1", schedule="daily")
    assert world.analyses.get("daily-1").compared_with is None
    assert world.alerts.told == []


def test_where_the_topic_cannot_be_told_the_step_tells_it_again(world: World) -> None:
    # Given two nights, the second worse, and a topic that does not answer
    world.streams.add("orders", {"team": "a"})
    scheduled(world, "a-night-1", schedule="again")
    world.cloudwatch.value = slow
    world.alerts.failures = [Unavailable("down")]
    with pytest.raises(Unavailable):
        scheduled(world, "a-night-2", schedule="again")

    # When the step comes again, and again
    working.close("a-night-2", world)
    working.close("a-night-2", world)
    # Then it is told once
    assert len(world.alerts.told) == 1


def test_a_baseline_that_is_gone_is_none(world: World) -> None:
    world.streams.add("orders", {"team": "a"})
    scheduled(world, "old-1", schedule="old")
    delete("old-1", ADMIN, world)
    assert scheduled(world, "old-2", schedule="old") == {"status": "DONE", "worse": 0}
    assert world.document("old-2")["worse"] is None


def test_a_request_names_its_baseline(world: World) -> None:
    world.streams.add("orders")
    before = world.analyzed(ONE)
    world.cloudwatch.value = slow
    after = world.document(world.analyzed(ONE | {"compare_with": before}))
    assert after["analysis"]["compared_with"] == before
    assert after["worse"]
    assert world.alerts.told == []  # who asked reads it


def test_an_execution_without_a_spec_or_with_a_wrong_one_fails_with_the_field(world: World) -> None:
    with pytest.raises(Invalid) as refused:
        working.collect("by-hand", {"streams": []}, world, NEVER)
    assert refused.value.errors[0].field == "streams"
    assert world.analyses.find("by-hand") is None


def test_what_a_request_may_not_say_an_execution_cannot_change(world: World) -> None:
    # Given an analysis that was asked for, whose execution is given another spec
    world.streams.add("orders")
    analysis_id = begun(world, ONE)
    working.collect(analysis_id, NIGHTLY, world, NEVER)
    # Then what was stored counts
    found = world.analyses.get(analysis_id)
    assert (found.spec["streams"], found.schedule, found.owner) == (["orders"], None, ANN.sub)


def test_bursts_and_hot_keys_of_a_run_are_findings_with_its_time_as_their_source(world: World) -> None:
    # Given a run whose stream is gone: all came within a second, and most of it with one key
    burst = (shard(0, 3000, arrivals=arrivals(3000)), shard(1, 3000, arrivals=arrivals(3000)))
    run = measured(stream_name="load-1", shards=burst, top_keys=(("everybody", 9_000),))
    world.runs.of = {"run-1": run.to_dict()}

    # When it is analyzed, with no stream named
    analysis_id = world.analyzed({"runs": ["run-1"], "range": HOURS})

    # Then its stream is told of, and what only the run can tell
    document = world.document(analysis_id)
    (stream,) = document["streams"]
    found = {one["id"]: one for one in stream["findings"]}
    assert stream["name"] == "load-1"
    assert {"bursts", "run-hot-key"} <= set(found)
    named = "run run-1, 2026-11-21 14:05:00 to 2026-11-21 14:05:00 UTC"
    assert {fact["source"] for fact in found["bursts"]["evidence"]} == {f"{named}: arrivals", f"{named}: arrivals / 60"}
    assert named in {fact["source"] for fact in found["run-hot-key"]["evidence"]}
    # And that the stream itself was not seen
    assert document["partial"] == [
        "load-1: its description: the stream is gone, and what its run measured is left",
    ]


@pytest.mark.parametrize(
    ("kept", "failure", "told"),
    [
        (None, None, "run run-1: what it measured is not kept any more"),
        (None, Unavailable("S3 is down"), "run run-1: what it measured: S3 is down"),
        (None, EOFError(), "run run-1: what it measured is in a form that this version can't read"),
        (None, gzip.BadGzipFile(), "run run-1: what it measured is in a form that this version can't read"),
        ({"schema": 9}, None, "run run-1: what it measured is in a form that this version can't read"),
        ({"schema": 1}, None, "run run-1: what it measured is in a form that this version can't read"),
    ],
)
def test_what_a_run_measured_that_cannot_be_read_makes_a_partial_analysis(
    world: World, kept: Any, failure: Exception | None, told: str
) -> None:
    world.streams.add("orders")
    if kept is not None:
        world.runs.of["run-1"] = kept
    if failure is not None:
        world.runs.failures["run-1"] = failure
    analysis_id = world.analyzed({"streams": ["orders"], "runs": ["run-1", "run-1"], "range": HOURS})
    found = world.analyses.get(analysis_id)
    assert (found.status, found.streams, found.complete, found.partial) == (Status.DONE, 1, False, (told,))


def test_nothing_left_of_a_run_is_an_analysis_without_a_stream(world: World) -> None:
    analysis_id = world.analyzed({"runs": ["run-1"], "range": HOURS})
    found = world.analyses.get(analysis_id)
    assert (found.status, found.streams, found.complete) == (Status.DONE, 0, False)
    assert world.document(analysis_id)["streams"] == []
