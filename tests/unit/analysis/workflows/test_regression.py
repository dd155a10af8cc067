"""What moved since a baseline, and what may not be compared with it."""

from typing import Any

import pytest

from tests.unit.analysis.workflows.streams import evidence, found, hourly, result, stream
from weir.analysis.workflows.registry import run
from weir.analysis.workflows.regression import worsened
from weir.analysis.workflows.results import Baseline, comparable
from weir.analysis.workflows.stream_facts import StreamFacts

WEEK = 168


def baseline(facts: StreamFacts) -> Baseline:
    stored = [fact.to_dict() for fact in run(["performance"], facts).facts]
    return Baseline.from_facts("a-1", stored, period=facts.period, seconds=facts.seconds)


def latency(ms: float, **changes: Any) -> StreamFacts:
    return hourly([100.0] * WEEK, put_latency=[ms] * WEEK, **changes)


def test_a_latency_that_rose_is_worse() -> None:
    # Given a p50 and p99 of 10 ms before, and of 15 ms now
    told = found("regression", latency(15.0), baseline=baseline(latency(10.0)))
    finding = told["worse-putrecords-latency-p99"]
    assert finding.severity == "warning"
    assert evidence(finding) == {
        "PutRecords latency, p99": 15.0,
        "PutRecords latency, p99, before": 10.0,
        "PutRecords latency, p99, change": 50.0,
    }
    assert "no-regression" not in told


@pytest.mark.parametrize(
    ("before", "now", "ids"),
    [
        (10.0, 20.0, {"worse-putrecords-latency-p50", "worse-putrecords-latency-p99"}),
        (20.0, 10.0, {"better-putrecords-latency-p50", "better-putrecords-latency-p99", "no-regression"}),
        (100.0, 120.0, {"no-regression"}),  # a fifth
        (1.0, 2.0, {"no-regression"}),  # a millisecond
        (0.0, 50.0, {"worse-putrecords-latency-p50", "worse-putrecords-latency-p99"}),
    ],
)
def test_how_much_counts(before: float, now: float, ids: set[str]) -> None:
    assert set(found("regression", latency(now), baseline=baseline(latency(before)))) == ids


def test_twice_as_bad_is_critical() -> None:
    told = found("regression", latency(20.0), baseline=baseline(latency(10.0)))
    assert {one.severity for one in told.values()} == {"critical"}


def test_a_load_only_moves() -> None:
    told = found("regression", hourly([400.0] * WEEK), baseline=baseline(hourly([100.0] * WEEK)))
    assert {one.severity for one in told.values()} == {"info"}
    assert "moved-records-in-mean" in told
    assert "no-regression" in told


def test_without_a_baseline_nothing_is_compared() -> None:
    assert set(found("regression", latency(1.0))) == {"no-baseline"}


def test_another_period_or_a_much_shorter_range_is_no_baseline() -> None:
    week = baseline(latency(10.0))
    day = hourly([100.0] * 24, put_latency=[99.0] * 24)
    assert set(found("regression", day, baseline=week)) == {"baseline-unlike"}
    minutes = stream(put_latency=[99.0] * 60 * WEEK)
    assert set(found("regression", minutes, baseline=week)) == {"baseline-unlike"}


def test_facts_of_too_few_points_are_not_compared() -> None:
    # Given a latency of which a fifth is missing now
    holed = hourly([100.0] * WEEK, put_latency=([99.0] * 4 + [None]) * 33 + [99.0] * 3)
    assert set(found("regression", holed, baseline=baseline(latency(10.0)))) == {"no-regression"}
    nothing = stream(period=3600, records=[None] * WEEK)
    assert set(found("regression", nothing, baseline=baseline(latency(10.0)))) == {"baseline-unlike"}


def test_a_few_gaps_do_not_spoil_a_baseline() -> None:
    some = hourly([100.0] * WEEK, put_latency=[10.0] * 160 + [None] * 8).measures["PutRecords latency, p99"]
    assert not some.complete
    assert comparable(some.to_dict())
    assert not comparable({"value": "KMS", "complete": True})


def test_the_count_of_what_was_compared_is_a_fact() -> None:
    (fact,) = result("regression", latency(10.0), baseline=baseline(latency(10.0))).facts
    assert fact.value == 7  # two utilizations, two loads, the throttled share, two quantiles of one latency


def one(id_: str, severity: str, workflow: str = "performance") -> dict[str, str]:
    return {"id": id_, "severity": severity, "workflow": workflow}


def test_what_got_worse_is_new_or_more_severe() -> None:
    before = [one("a", "info"), one("b", "warning"), one("c", "critical"), one("e", "warning", "cost")]
    after = [
        one("a", "warning"),
        one("b", "warning"),
        one("c", "warning"),
        one("d", "critical"),
        one("e", "warning"),
        one("f", "info"),
    ]
    assert [found["id"] for found in worsened(before, after)] == ["a", "d", "e"]
    assert worsened(after, after) == []
