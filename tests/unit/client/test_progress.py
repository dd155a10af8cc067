"""A run that goes on, as values."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.progress import Bar, ProgressLog, Rate
from tests.unit.client.answers import a_run, step
from weir.runs.models import Failure, Progress, RunSpec, Verdict


def test_steps_begun_come_first_and_those_to_come_after() -> None:
    # Given a run that inserts
    run = a_run(step("Plan", 0, 0.5, detail="1 writer"), step("Insert", 1), progress=Progress(planned=100, accepted=40))

    # When it is polled
    lines = ProgressLog().lines(run, at=100.0)

    # Then the steps are in order, with times, details and counts
    assert [(line.name, line.status) for line in lines[:2]] == [("Plan", "DONE"), ("Insert", "RUNNING")]
    assert {line.status for line in lines[2:]} == {"PENDING"}
    assert [line.name for line in lines[-2:]] == ["DeleteStream", "Close"]
    assert (lines[0].seconds, lines[0].detail) == (0.5, "1 writer")
    assert lines[1].bar == Bar(40, 100, None)


def test_a_running_steps_time_is_counted_here_whatever_the_servers_clock_says() -> None:
    log = ProgressLog()
    run = a_run(step("Insert", began=-3600))
    assert log.lines(run, at=50.0)[0].seconds == 0
    assert log.lines(run, at=52.5)[0].seconds == 2.5


def test_a_closed_run_has_nothing_to_come() -> None:
    run = a_run(step("Plan", 0, 1), verdict=Verdict.PASSED)
    assert [line.name for line in ProgressLog().lines(run, at=0.0)] == ["Plan"]


def test_a_run_that_broke_only_cleans_up() -> None:
    failure = Failure(step="Insert", error="StreamGone", cause="it is gone")
    run = a_run(step("Insert", 1, 2, status="FAILED", detail="it is gone"), failure=failure)
    assert [line.name for line in ProgressLog().lines(run, at=0.0)] == ["Insert", "DeleteStream", "Close"]


def test_cloudwatch_is_waited_for_only_where_it_is_asked_for() -> None:
    spec = RunSpec.model_validate({"load": {"records": 1}, "analyses": ["run"]})
    assert "AwaitMetrics" not in {line.name for line in ProgressLog().lines(a_run(spec=spec), at=0.0)}
    assert "AwaitMetrics" in {line.name for line in ProgressLog().lines(a_run(), at=0.0)}


def test_the_number_of_lines_is_known_here_where_the_api_does_not_know_it() -> None:
    run = a_run(step("Verify", 0), progress=Progress(planned=None, accepted=8, rejected=2, seen=8))
    bar = ProgressLog(records=10).lines(run, at=0.0)[0].bar
    # What Kinesis rejected is never read back.
    assert bar == Bar(8, 8, None)


def test_the_rate_of_a_step_that_ended_is_its_mean() -> None:
    run = a_run(step("Insert", 1, 5), progress=Progress(planned=100, accepted=100))
    assert ProgressLog().lines(run, at=0.0)[0].bar == Bar(100, 100, 25.0)


def test_a_rate_follows_the_last_seconds_of_a_counter_that_moves_in_jumps() -> None:
    rate = Rate()
    assert rate.per_second(0.0, 0) is None
    assert rate.per_second(0.4, 0) is None
    assert rate.per_second(1.0, 1000) == 1000
    # Between two jumps it stays.
    assert rate.per_second(1.4, 1000) == 1000
    # Old jumps are forgotten.
    for second in range(2, 12):
        found = rate.per_second(float(second), 1000 + (second - 1) * 50)
    assert found == pytest.approx(50)


@given(st.lists(st.tuples(st.floats(0.01, 5), st.integers(0, 10_000)), min_size=1, max_size=50))
def test_a_rate_lies_between_the_slowest_and_the_fastest_stretch(steps: list[tuple[float, int]]) -> None:
    rate, at, count = Rate(), 0.0, 0
    rate.per_second(at, count)
    for seconds, more in steps:
        at, count = at + seconds, count + more
        found = rate.per_second(at, count)
        assert found is None or 0 < found <= max(n / s for s, n in steps) * 1.001
