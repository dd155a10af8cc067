"""What CloudWatch has of a run, and whether that is all."""

from datetime import timedelta

import pytest

from tests.unit.analysis.measurements import series
from tests.unit.runs.fakes import FakeMetrics, run_of, spec_of
from tests.unit.streams.fakes import NOON, FakeTime
from weir.runs.watching import RUN_METRICS, watch
from weir.runtime.errors import Unavailable
from weir.streams.metrics import Series


@pytest.mark.parametrize(
    ("found", "accepted", "complete"),
    [
        ([series("IncomingRecords", 60, 40)], 100, True),
        ([series("IncomingRecords", 60, 40)], 101, False),
        ([series("IncomingRecords", 60, 41)], 100, True),
        ([series("IncomingRecords")], 0, True),
        ([], 1, False),
        ([series("IncomingBytes", 5_000)], 100, False),
        ([series("IncomingRecords", 100), series("PutRecords.Latency", complete=False)], 100, False),
    ],
)
def test_complete_is_when_all_that_was_accepted_is_shown(found: list[Series], accepted: int, complete: bool) -> None:
    metrics = FakeMetrics()
    metrics.found = found
    facts = watch(run_of(), accepted, metrics, FakeTime().clock())
    assert (facts.asked, facts.complete, facts.series) == (True, complete, tuple(found))
    assert facts.requested == len(RUN_METRICS)


def test_whole_minutes_around_the_run_are_asked_for() -> None:
    # Given a run from 12:00:30 to 12:02:10 / Then the minutes from 11:59 to 12:03 are read
    metrics, time = FakeMetrics(), FakeTime()
    time.seconds = 130
    watch(run_of(created_at=NOON + timedelta(seconds=30)), 1, metrics, time.clock())
    assert metrics.asked == [(NOON - timedelta(minutes=1), NOON + timedelta(minutes=3), 60)]


def test_a_cloudwatch_that_fails_is_told_as_incomplete() -> None:
    metrics = FakeMetrics()
    metrics.failures = [Unavailable("no answer")]
    facts = watch(run_of(), 0, metrics, FakeTime().clock())
    assert (facts.asked, facts.complete, facts.series, facts.requested) == (True, False, None, len(RUN_METRICS))


def test_a_cloudwatch_that_nobody_asked_for_is_not_asked() -> None:
    metrics = FakeMetrics()
    facts = watch(run_of(spec_of(analyses=["run"])), 5, metrics, FakeTime().clock())
    assert (facts.asked, metrics.asked) == (False, [])
