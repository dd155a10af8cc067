"""Seasons and trends: found where they are, not found where they are not."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.analysis.workflows.streams import metric
from weir.analysis.workflows.trends import SEASONAL, season_of, trend_of

WEEK = 168


def test_a_slope_by_hand() -> None:
    # Given 1, 2, ... 10 by the day, one of them wild
    values = [float(n) for n in range(1, 11)]
    values[4] = 100.0
    trend = trend_of(metric("IncomingRecords", values, period=86_400))
    assert trend is not None
    assert trend.a_day == 1.0
    assert trend.change == 9.0
    assert trend.evident


def test_a_slope_is_a_days_whatever_the_period() -> None:
    trend = trend_of(metric("IncomingRecords", [float(n) for n in range(48)], period=3600))
    assert trend is not None
    assert trend.a_day == 24.0


@pytest.mark.parametrize("values", [[1.0] * 30, [float(n % 2) for n in range(30)]])
def test_what_stays_has_no_trend(values: list[float]) -> None:
    trend = trend_of(metric("IncomingRecords", values))
    assert trend is not None
    assert not trend.evident


def test_too_few_points_have_no_trend() -> None:
    assert trend_of(metric("IncomingRecords", [1.0, 2.0, 3.0, 4.0, 5.0, None, None])) is None


def test_gaps_do_not_bend_a_slope() -> None:
    values = [float(n) if n % 3 else None for n in range(40)]
    trend = trend_of(metric("IncomingRecords", values, period=86_400))
    assert trend is not None
    assert trend.a_day == 1.0


@given(st.lists(st.floats(0, 1e6), min_size=8, max_size=60), st.floats(0.5, 100))
def test_scaling_a_series_scales_its_slope(values: list[float], factor: float) -> None:
    one = trend_of(metric("IncomingRecords", values))
    other = trend_of(metric("IncomingRecords", [v * factor for v in values]))
    assert one is not None
    assert other is not None
    assert other.a_day == pytest.approx(one.a_day * factor, rel=1e-6, abs=1e-6)


def test_noise_has_no_season_and_a_day_has() -> None:
    rng = random.Random(7)
    noise = [rng.gauss(100, 20) for _ in range(2 * WEEK)]
    day = [100 + 50 * math.sin(n / 24 * 2 * math.pi) + rng.gauss(0, 20) for n in range(2 * WEEK)]
    for values, found in ((noise, False), (day, True)):
        season = season_of(metric("IncomingRecords", values, period=3600), 24)
        assert season is not None
        assert (season.strength >= SEASONAL) == found


def test_three_days_of_noise_are_no_season() -> None:
    # Given 72 hours at random: a profile of 24 parts explains a third of any such, for it has so many parts
    strengths = []
    for seed in range(20):
        rng = random.Random(seed)
        season = season_of(metric("IncomingRecords", [rng.random() for _ in range(72)], period=3600), 24)
        assert season is not None
        strengths.append(season.strength)
    assert max(strengths) < SEASONAL
    assert sorted(strengths)[10] < 0.1


def test_a_season_is_seen_through_growth_and_a_wild_point() -> None:
    values = [1000 + 3 * n + 100 * math.sin(n / 24 * 2 * math.pi) for n in range(2 * WEEK)]
    values[100] = 1e6
    season = season_of(metric("IncomingRecords", values, period=3600), 24)
    assert season is not None
    assert season.strength > 0.9


def test_a_profile_is_by_the_clock() -> None:
    # Given two days, each 0, 1, ... 23 by the hour, and a missing hour
    values: list[float | None] = [float(n % 24) for n in range(73)]
    values[5] = None
    season = season_of(metric("IncomingRecords", values, period=3600), 24)
    assert season is not None
    assert season.profile == tuple(float(n) for n in range(24))
    assert season.strength == pytest.approx(1.0)


@pytest.mark.parametrize("values", [[1.0] * 47, [None] * 100, []])
def test_less_than_two_cycles_tell_no_season(values: list[float | None]) -> None:
    assert season_of(metric("IncomingRecords", values, period=3600), 24) is None


def test_a_constant_has_a_season_of_no_strength() -> None:
    season = season_of(metric("IncomingRecords", [5.0] * WEEK, period=3600), 24)
    assert season is not None
    assert season.strength == 0.0
