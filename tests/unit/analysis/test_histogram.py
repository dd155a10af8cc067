"""The latency histogram: what its answers promise, and that many small ones make one."""

import json
import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weir.analysis.histogram import MAX_US, Histogram

MICROSECONDS = st.integers(0, MAX_US)
BATCHES = st.lists(MICROSECONDS, min_size=1, max_size=200)


def filled(values: list[int]) -> Histogram:
    histogram = Histogram()
    histogram.add_many(values)
    return histogram


@given(values=BATCHES, q=st.floats(0, 1))
def test_a_quantile_is_off_by_one_percent_at_most(values: list[int], q: float) -> None:
    # Given any values, When a quantile is asked for
    answer = filled(values).quantile(q)

    # Then it is that of nearest rank, within 1 %
    exact = sorted(values)[max(1, math.ceil(q * len(values))) - 1]
    assert answer is not None
    assert abs(answer - exact) <= 0.01 * exact


@given(values=st.lists(st.integers(0, 255), min_size=1), q=st.floats(0, 1))
def test_below_256_microseconds_a_quantile_is_exact(values: list[int], q: float) -> None:
    assert filled(values).quantile(q) == sorted(values)[max(1, math.ceil(q * len(values))) - 1]


@given(first=BATCHES, second=BATCHES)
def test_merging_is_the_same_as_having_counted_it_all(first: list[int], second: list[int]) -> None:
    # Given two histograms, When one is merged into the other
    merged = filled(first)
    merged.merge(filled(second))

    # Then it is the histogram of all values
    assert merged == filled(first + second)


@given(values=BATCHES)
def test_one_by_one_is_the_same_as_many_at_once(values: list[int]) -> None:
    one_by_one = Histogram()
    for value in values:
        one_by_one.add(value)
    assert one_by_one == filled(values)


@given(values=BATCHES)
def test_count_least_greatest_and_mean_are_exact(values: list[int]) -> None:
    histogram = filled(values)
    assert histogram.count == len(values)
    assert (histogram.min, histogram.max) == (min(values), max(values))
    assert histogram.mean == pytest.approx(sum(values) / len(values))


@given(values=BATCHES)
def test_it_survives_json(values: list[int]) -> None:
    histogram = filled(values)
    assert Histogram.from_dict(json.loads(json.dumps(histogram.to_dict()))) == histogram


def test_n_times_one_value_is_that_value_n_times() -> None:
    histogram = Histogram()
    histogram.add(12_345, 7)
    histogram.add(99, 0)
    assert histogram == filled([12_345] * 7)
    with pytest.raises(ValueError, match="negative"):
        histogram.add(1, -1)


def test_an_empty_one_knows_nothing() -> None:
    # Given nothing counted, Then every answer is None, not zero
    histogram = Histogram()
    assert (histogram.min, histogram.max, histogram.mean, histogram.quantile(0.5)) == (None, None, None, None)
    assert histogram.buckets() == []
    assert histogram.rebinned() == []
    histogram.add_many([])
    assert histogram.count == 0


@pytest.mark.parametrize("how", ["add", "add_many"])
def test_values_out_of_range_are_counted_at_the_end_and_said_to_be(how: str) -> None:
    # Given a clock that ran backwards, and a record that took more than an hour
    histogram = Histogram()

    # When they are counted
    if how == "add":
        histogram.add(-5)
        histogram.add(MAX_US + 1)
    else:
        histogram.add_many([-5, MAX_US + 1])

    # Then both are there, at the ends of the range
    assert (histogram.count, histogram.clamped) == (2, 2)
    assert (histogram.min, histogram.max) == (0, MAX_US)


def test_its_size_is_bounded_whatever_is_counted() -> None:
    # Given values over the whole range
    histogram = filled(list(range(0, MAX_US, 100_003)))

    # Then there are no more than 128 buckets for each of 32 octaves, and zero
    assert histogram.count > 30_000
    assert len(histogram.buckets()) <= 32 * 128 + 1


def test_a_million_values_need_no_more_memory_than_their_buckets() -> None:
    histogram = Histogram()
    for _ in range(10):
        histogram.add_many([150_000] * 100_000)
    assert histogram.count == 1_000_000
    assert len(histogram.buckets()) == 1


@given(values=BATCHES)
def test_bins_for_a_chart_hold_every_value_and_leave_no_gap(values: list[int]) -> None:
    bins = filled(values).rebinned(per_decade=10)
    assert sum(one.n for one in bins) == len(values)
    assert all(left.high_us == pytest.approx(right.low_us) for left, right in pairwise(bins))
    assert all(one.high_us / one.low_us == pytest.approx(10**0.1) for one in bins)


def test_a_share_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        filled([1]).quantile(1.01)


def test_a_form_that_is_not_one_is_refused() -> None:
    form = filled([1, 2, 3]).to_dict()
    with pytest.raises(ValueError, match="schema"):
        Histogram.from_dict({**form, "schema": 2})
    with pytest.raises(ValueError, match="add up"):
        Histogram.from_dict({**form, "count": 4})


def test_the_ends_of_the_range_are_within_it() -> None:
    assert filled([0, MAX_US, -1]).clamped == 1
    one_by_one = Histogram()
    one_by_one.add(0)
    one_by_one.add(MAX_US)
    assert one_by_one.clamped == 0
