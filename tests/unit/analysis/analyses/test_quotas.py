"""Pacing: a second's worth at once, then the rate; and what is large is waited for by what follows it."""

from datetime import timedelta

import pytest

from tests.unit.streams.fakes import NOON, FakeTime
from weir.analysis.analyses.quotas import Paced, points_a_second


def test_a_seconds_worth_goes_at_once_and_the_rest_at_the_rate() -> None:
    time = FakeTime()
    paced = Paced(time.clock(), 10.0)
    for _ in range(11):
        paced.wait()
    assert time.seconds == 0.0
    for _ in range(50):
        paced.wait()
    assert time.seconds == pytest.approx(5.0)


def test_what_was_not_used_is_not_saved_up_beyond_a_second() -> None:
    time = FakeTime()
    paced = Paced(time.clock(), 10.0)
    time.seconds += 3_600
    for _ in range(30):
        paced.wait()
    assert time.seconds - 3_600 == pytest.approx(1.9)


def test_what_is_more_than_a_seconds_worth_is_waited_for_afterwards() -> None:
    time = FakeTime()
    paced = Paced(time.clock(), 100.0)
    paced.wait(500.0)
    assert time.seconds == 0.0
    paced.wait(1.0)
    assert time.seconds == pytest.approx(4.0)


def test_points_of_the_last_hours_are_read_more_slowly() -> None:
    assert points_a_second(NOON - timedelta(hours=2), NOON) < points_a_second(NOON - timedelta(hours=4), NOON)
