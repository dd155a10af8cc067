"""Counts per second that stay small: resolution, merging, peaks."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weir.analysis.rates import MAX_BUCKETS, RateSeries

TIMES = st.lists(st.floats(1.7e9, 1.7e9 + 100_000, allow_nan=False), max_size=100)


def counted(times: list[float]) -> RateSeries:
    series = RateSeries()
    series.add_many(times)
    return series


@given(first=TIMES, second=TIMES)
def test_merging_is_the_same_as_having_counted_it_all(first: list[float], second: list[float]) -> None:
    # Given two series, of whatever spans, When one is merged into the other
    merged = counted(first)
    merged.merge(counted(second))

    # Then it is the series of all events
    assert merged == counted(first + second)


@given(times=TIMES)
def test_one_by_one_is_the_same_as_many_at_once(times: list[float]) -> None:
    one_by_one = RateSeries()
    for time in times:
        one_by_one.add(time)
    assert one_by_one == counted(times)


@given(times=TIMES)
def test_nothing_is_lost_and_the_size_is_bounded(times: list[float]) -> None:
    series = counted(times)
    buckets = series.buckets()
    assert series.total == len(times) == sum(bucket.n for bucket in buckets)
    assert len(buckets) <= MAX_BUCKETS


@given(times=TIMES)
def test_it_survives_json(times: list[float]) -> None:
    series = counted(times)
    assert RateSeries.from_dict(json.loads(json.dumps(series.to_dict()))) == series


def test_seconds_without_an_event_are_told_as_none() -> None:
    # Given events in the first and the fourth second
    series = counted([100.2, 100.9, 103.0])

    # Then the grid is regular
    assert [tuple(bucket) for bucket in series.buckets()] == [(100, 1, 2), (101, 1, 0), (102, 1, 0), (103, 1, 1)]


def test_the_width_doubles_only_when_it_must() -> None:
    # Given 600 seconds, the most that fit
    series = counted([1000.0, 1599.0])
    assert series.width_s == 1

    # When one second more is needed, Then a bucket is two seconds wide
    series.add(1600.0)
    assert series.width_s == 2
    assert series.total == 3

    # And a rate stays a rate per second
    series.add(1600.5, 5)
    assert series.peak() == 3.0


def test_the_peak_of_a_window_is_of_aligned_windows() -> None:
    # Given 10 events in one second before the minute and 10 just after
    series = counted([119.0] * 10 + [120.0] * 10)

    # Then no minute of the clock holds more than 10
    assert series.peak() == 10.0
    assert series.peak_sum(60) == 10


def test_an_empty_one_knows_nothing() -> None:
    series = RateSeries()
    assert (series.peak(), series.peak_sum(60), series.buckets(), series.total) == (None, None, [], 0)


def test_times_before_the_epoch_are_refused() -> None:
    with pytest.raises(ValueError, match="epoch"):
        RateSeries().add(-1.0)
    with pytest.raises(ValueError, match="epoch"):
        RateSeries().add_many([-5.0])


def test_a_form_that_is_not_one_is_refused() -> None:
    form = counted([1.0]).to_dict()
    with pytest.raises(ValueError, match="schema"):
        RateSeries.from_dict({**form, "schema": 9})
    with pytest.raises(ValueError, match="power of two"):
        RateSeries.from_dict({**form, "width_s": 3})
