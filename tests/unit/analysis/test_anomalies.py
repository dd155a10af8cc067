"""The anomaly detector: what it must find, what it must leave alone, and that it only knows what came before."""

import json
import math
import random
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weir.analysis.anomalies import REST, THRESHOLD, Detector, Judged

STEP, HOUR, DAY = 300.0, 3_600.0, 86_400.0
PER_DAY = 288
BEGAN = 1_396_310_400.0  # 1 April 2014, 00:00 UTC, a Tuesday

Values = Sequence[float | None]


def judged(values: Values, step: float = STEP) -> list[Judged]:
    detector = Detector()
    return [detector.observe(BEGAN + index * step, value) for index, value in enumerate(values)]


def scores(values: Values, step: float = STEP) -> list[float]:
    return [point.score for point in judged(values, step)]


def alarms(values: Values, step: float = STEP) -> list[int]:
    return [index for index, score in enumerate(scores(values, step)) if score >= THRESHOLD]


def noise(seed: int, points: int, level: float = 100.0, deviation: float = 5.0) -> list[float]:
    chance = random.Random(seed)
    return [chance.gauss(level, deviation) for _ in range(points)]


def office_hours(days: int, seed: int = 1, high: Callable[[int], float] = lambda day: 80.0) -> list[float]:
    """Low at night, `high(day)` from 9 to 18 o'clock, with noise."""
    chance = random.Random(seed)
    return [
        (high(index // PER_DAY) if 9 <= index % PER_DAY / 12 < 18 else 20.0) + chance.uniform(-4.0, 4.0)
        for index in range(days * PER_DAY)
    ]


def test_a_spike_is_found_at_its_own_point() -> None:
    # Given noise, and one value ten deviations above it
    values = noise(1, 1_500)
    values[1_000] = 150.0

    # When the series is judged, Then that very point is an alarm, and clearly so
    assert 1_000 in alarms(values)
    assert scores(values)[1_000] > 0.8


def test_a_spike_is_found_after_the_level_has_changed_although_the_values_once_were_higher() -> None:
    # Given a level of 100 that fell to 20, and a spike to 60 there, far below what was usual before
    values = [*noise(2, 1_000), *noise(3, 1_000, level=20.0, deviation=2.0)]
    values[1_700] = 60.0

    # When, Then
    assert 1_700 in alarms(values)


@pytest.mark.parametrize("level", [70.0, 130.0])
def test_a_shift_of_the_level_is_found_within_an_hour_and_told_once(level: float) -> None:
    # Given noise whose level changes by six deviations and stays there
    values = [*noise(4, 1_000), *noise(5, 600, level=level)]

    # When it is judged
    found = [index for index in alarms(values) if index >= 1_000]

    # Then there is an alarm at once, and no second one while the new level is learned
    assert 1_000 <= found[0] < 1_012
    assert not [index for index in found[1:] if index < 1_000 + REST]


def test_a_shift_too_small_for_any_single_value_is_found_by_the_mean() -> None:
    # Given noise from 80 to 120, whose values all lie above 98 from one point on: each of them is a usual one
    chance = random.Random(6)
    values = [chance.uniform(80.0, 120.0) for _ in range(1_500)] + [chance.uniform(98.0, 119.0) for _ in range(100)]

    # When, Then the shift is found once enough of them have come
    assert [index for index in alarms(values) if 1_500 <= index < 1_548]


def test_a_series_that_falls_silent_is_found() -> None:
    # Given noise that stops: from then on always the same, most usual value
    values = [*noise(7, 1_500), *[100.0] * 100]

    # When, Then
    assert [index for index in alarms(values) if index >= 1_500]


def test_a_busy_time_that_did_not_come_is_found_when_the_series_follows_the_day() -> None:
    # Given two weeks of office hours, with one working day that stayed as low as every night
    quiet, absent = office_hours(14), office_hours(14, high=lambda day: 20.0 if day == 11 else 80.0)
    nine = 11 * PER_DAY + 108

    # When, Then it is found that morning, and it is the absence that is found
    assert [index for index in alarms(absent) if nine <= index < nine + PER_DAY // 2]
    assert not [index for index in alarms(quiet) if nine <= index < nine + PER_DAY // 2]


def test_a_busy_day_that_did_not_come_is_found_when_the_series_follows_the_week() -> None:
    # Given ten weeks with calm weekends in hourly points, and one Wednesday as calm as those
    chance = random.Random(8)

    def value(index: int, calm: bool) -> float:
        weekend = index // 24 % 7 in (4, 5)  # the first day is a Tuesday
        busy = 8 <= index % 24 < 20 and not weekend and not (calm and index // 24 == 57)
        return (90.0 if busy else 30.0) + chance.gauss(0.0, 2.0)

    usual = [value(index, calm=False) for index in range(70 * 24)]
    odd = [value(index, calm=True) for index in range(70 * 24)]
    that_day = range(57 * 24, 58 * 24 + 12)

    # When, Then that day is found, and the calm weekends of the last weeks are not
    assert set(alarms(odd, HOUR)) & set(that_day)
    assert not [index for index in alarms(usual, HOUR) if index >= 35 * 24]


def test_what_is_expected_follows_the_season_once_it_is_learned() -> None:
    # Given a week of office hours
    detector = Detector()
    for index, value in enumerate(office_hours(7)):
        detector.observe(BEGAN + index * STEP, value)

    # When the band is asked for at noon, half a day after the last point
    noon = detector.observe(BEGAN + 7 * DAY + 12 * HOUR, None)

    # Then a value as at every noon is expected, not one as last night
    assert noon.expected == pytest.approx(80.0, abs=8.0)


@pytest.mark.parametrize("value", [0.0, 45.0, -1e12, 1e-12, 0.1])
def test_a_series_that_never_changes_is_never_odd(value: float) -> None:
    # Given, When
    points = judged([value] * 2_000)

    # Then nothing is told, and nothing else is expected
    assert {point.score for point in points} == {0.0}
    assert points[-1][1:] == (value, value, value)


def steady(seed: int) -> list[float]:
    return noise(seed, 4_000)


def office(seed: int) -> list[float]:
    return office_hours(14, seed)


def square_wave(seed: int) -> list[float]:
    return [80.0 if index // 144 % 2 else 20.0 for index in range(4_000)]


def sine(seed: int) -> list[float]:
    chance = random.Random(seed)
    return [50 + 20 * math.sin(math.tau * index / PER_DAY) + chance.gauss(0, 3) for index in range(4_000)]


def trend(seed: int) -> list[float]:
    return [value + index / 500 for index, value in enumerate(noise(seed, 4_000, 10.0, 1.0))]


def heavy_tailed(seed: int) -> list[float]:
    chance = random.Random(seed)
    return [chance.lognormvariate(0.0, 1.0) for _ in range(4_000)]


def sparse_counts(seed: int) -> list[float]:
    chance = random.Random(seed)
    return [float(chance.randint(1, 3)) if chance.random() < 0.05 else 0.0 for _ in range(4_000)]


def wandering(seed: int) -> list[float]:
    chance, value, values = random.Random(seed), 0.0, []
    for _ in range(4_000):
        value = 0.98 * value + chance.gauss(0.0, 1.0)
        values.append(value)
    return values


@pytest.mark.parametrize(
    "shape",
    [steady, office, square_wave, sine, trend, heavy_tailed, sparse_counts, wandering],
)
def test_false_alarms_are_rare_where_nothing_happens(shape: Callable[[int], list[float]]) -> None:
    # Given four series of two weeks each, in which nothing happens; When they are judged from the third day on
    false = [index for seed in range(4) for index in alarms(shape(seed)) if index >= 2 * PER_DAY]

    # Then there are at most five false alarms in a series, and in most shapes about two: a record happens
    assert len(false) <= 4 * 5


@given(
    seed=st.integers(0, 1_000),
    power=st.integers(-20, 20),
    offset=st.integers(-1_000_000, 1_000_000),
    length=st.just(500),
)
@settings(max_examples=20, deadline=None)
def test_neither_scale_nor_offset_matter(seed: int, power: int, offset: int, length: int) -> None:
    # Given a series with a step, and the same in another unit with another zero
    chance = random.Random(seed)
    values = [float(chance.randint(0, 1_000) + (700 if index > 400 else 0)) for index in range(length)]
    other = [(value + offset) * 2.0**power for value in values]

    # When, Then both are told the same
    assert scores(other) == pytest.approx(scores(values), abs=1e-6)


@given(seed=st.integers(0, 1_000), cut=st.integers(1, 699))
@settings(max_examples=15, deadline=None)
def test_what_comes_later_changes_nothing(seed: int, cut: int) -> None:
    # Given a series, When only its beginning is judged, Then that is told as in the whole series
    values = noise(seed, 700)
    assert judged(values[:cut]) == judged(values)[:cut]


@given(seed=st.integers(0, 1_000), cut=st.integers(0, 1_500))
@settings(max_examples=10, deadline=None)
def test_a_detector_goes_on_from_its_state(seed: int, cut: int) -> None:
    # Given a detector that has seen a part of a series, a shift in it
    values = [*office_hours(4, seed)[:1_000], *noise(seed, 500)]
    detector = Detector()
    for index, value in enumerate(values[:cut]):
        detector.observe(BEGAN + index * STEP, value)

    # When its state goes through JSON to another one
    other = Detector.from_state(json.loads(json.dumps(detector.to_state())))
    rest = [other.observe(BEGAN + index * STEP, value) for index, value in enumerate(values) if index >= cut]

    # Then the other goes on as the first would have
    assert rest == judged(values)[cut:]


def test_a_state_of_another_version_is_refused() -> None:
    state = {**Detector().to_state(), "version": 0}
    with pytest.raises(ValueError, match="version 0"):
        Detector.from_state(state)


@pytest.mark.parametrize("missing", [None, math.nan, math.inf, -math.inf, 1e300])
def test_missing_points_are_not_odd_and_teach_nothing(missing: float | None) -> None:
    # Given a series with a day of missing points in it
    values: list[float | None] = [*noise(9, 600), *[missing] * PER_DAY, *noise(10, 600)]
    detector, seen = Detector(), []

    # When it is judged
    for index, value in enumerate(values):
        before = detector.to_state() if value is missing else None
        seen.append(detector.observe(BEGAN + index * STEP, value))
        if before is not None:
            assert detector.to_state() == before

    # Then the missing points are told as nothing, the band stays, and what follows is no surprise
    assert {point.score for point in seen[600 : 600 + PER_DAY]} == {0.0}
    assert seen[600 + PER_DAY - 1].low == seen[600].low is not None
    assert not [point for point in seen[600 + PER_DAY : 620 + PER_DAY] if point.score >= THRESHOLD]


def test_uneven_late_and_repeated_times_are_judged() -> None:
    # Given times that jump ahead by days, stand still and go back
    chance, at, detector = random.Random(11), BEGAN, Detector()
    points = []
    for value in noise(12, 1_500):
        at += chance.choice([300.0, 300.0, 600.0, 0.0, -300.0, 2 * DAY])
        points.append(detector.observe(at, value))

    # When a spike comes, Then it is found; and there were few alarms before
    assert detector.observe(at - HOUR, 200.0).score >= THRESHOLD
    assert sum(point.score >= THRESHOLD for point in points) <= 4


def test_scores_and_bands_are_always_in_order() -> None:
    # Given a series with everything in it
    values = [*noise(13, 500), *[0.0] * 300, *noise(14, 400, 1e9, 1e8), *[-5.0, 1e12, 3.0] * 50, *noise(15, 300)]

    # When, Then scores are from 0 to 1, and the expected value is within its band
    for point in judged(values):
        assert 0.0 <= point.score <= 1.0
        if point.low is not None and point.high is not None and point.expected is not None:
            assert point.low <= point.expected <= point.high


def test_nothing_is_judged_while_it_learns() -> None:
    # Given the first hundred points, wild as they may be
    points = judged([1.0, 1e6, -1e6, 0.0] * 25)

    # Then nothing is said of them, and no band is drawn
    assert {point.score for point in points} == {0.0}
    assert {point.low for point in points} == {None}


def test_one_absurd_value_does_not_hide_the_next_anomaly() -> None:
    # Given a value a million deviations away, and much later one of thirty
    values = noise(16, 2_000)
    values[600], values[1_500] = 5e6, 250.0

    # When, Then both are found
    assert {600, 1_500} <= set(alarms(values))


def test_what_is_kept_does_not_grow_with_the_series() -> None:
    # Given the state after five weeks and after ten
    detector, sizes = Detector(), []
    for week in range(10):
        for index, value in enumerate(office_hours(7, seed=week)):
            detector.observe(BEGAN + week * 7 * DAY + index * STEP, value)
        sizes.append(len(json.dumps(detector.to_state())))

    # Then it is the same but for digits, and small
    assert sizes[9] <= sizes[4] * 1.02
    assert sizes[9] < 32 * 1_024
