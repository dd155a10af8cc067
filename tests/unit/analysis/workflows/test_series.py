"""A grid with gaps: what is known, what is not, and that neither order, skew nor nonsense makes one the other."""

import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.analysis.workflows.streams import START, metric
from weir.analysis.workflows.series import MetricSeries
from weir.streams.metrics import Range, Series, on_grid

VALUES = st.lists(st.none() | st.floats(0, 1e9), max_size=60)
SPAN = Range(START, START + timedelta(minutes=4), 60)


def told(*points: tuple[float, float], stat: str = "Sum") -> Series:
    """CloudWatch's points: seconds after the start, and values."""
    return Series(
        "IncomingRecords",
        stat,  # type: ignore[arg-type]
        "Count",
        60,
        tuple((START + timedelta(seconds=at), value) for at, value in points),
        True,
    )


def test_missing_points_are_apart_from_zeros() -> None:
    # Given two zeros, a three and two gaps
    held = metric("IncomingRecords", [0.0, None, 3.0, None, 0.0])

    # Then statistics are over three points, and two are missing
    assert (held.total, held.mean, held.quantile(0.5), held.highest) == (3.0, 1.0, 0.0, 3.0)
    assert (held.missing, held.completeness, held.whole) == (2, 0.6, False)
    assert metric("IncomingRecords", [0.0, 0.0]).whole


def test_of_no_points_nothing_is_known() -> None:
    for values in ((), (None, None)):
        held = metric("IncomingRecords", values)
        assert (held.total, held.mean, held.quantile(0.99), held.highest, held.last) == (None,) * 5
        assert not held.whole
        assert held.completeness == 0.0


@pytest.mark.parametrize(("q", "value"), [(0.0, 1.0), (0.2, 1.0), (0.21, 2.0), (0.5, 3.0), (0.99, 5.0), (1.0, 5.0)])
def test_quantiles_are_of_the_nearest_rank(q: float, value: float) -> None:
    assert metric("IncomingRecords", [5.0, 3.0, 1.0, 2.0, None, 4.0]).quantile(q) == value


def test_one_point_is_all_its_statistics() -> None:
    held = metric("IncomingRecords", [7.0])
    assert {held.mean, held.total, held.quantile(0.01), held.quantile(1.0), held.last} == {7.0}


@pytest.mark.parametrize("nonsense", [math.nan, math.inf, -math.inf, 1e200])
def test_what_is_no_measurement_is_missing(nonsense: float) -> None:
    held = metric("IncomingRecords", [1.0, nonsense, 2.0])
    assert held.values == (1.0, None, 2.0)
    assert held.mean == 1.5


@given(st.data(), st.lists(st.floats(0, 1e9), min_size=1, max_size=40))
def test_shuffling_changes_no_statistic(data: st.DataObject, values: list[float]) -> None:
    one, other = metric("IncomingRecords", values), metric("IncomingRecords", data.draw(st.permutations(values)))
    assert (one.total, one.mean, one.highest) == (other.total, other.mean, other.highest)
    assert [one.quantile(q / 10) for q in range(11)] == [other.quantile(q / 10) for q in range(11)]


@given(VALUES)
def test_what_is_known_and_what_is_missing_is_all(values: list[float | None]) -> None:
    held = metric("IncomingRecords", values)
    assert len(held.known) + held.missing == len(held) == len(values)
    assert held.missing == values.count(None)


def test_cloudwatchs_points_come_in_any_order_and_a_little_skewed() -> None:
    # Given points out of order, one 20 s late, one twice, one before and one after the range
    series = told((180.0, 4.0), (0.0, 9.0), (0.0, 1.0), (80.0, 2.0), (-60.0, 7.0), (240.0, 8.0))

    # When they are put on the grid, Then each is in its period, the later of a double stands, the gap is a gap
    assert MetricSeries.from_points(series, SPAN).values == (1.0, 2.0, None, 4.0)


@pytest.mark.parametrize(("stat", "value"), [("Sum", 5.0), ("Maximum", 3.0), ("Average", 2.5)])
def test_two_times_in_one_period_are_joined_as_the_statistic_would(stat: str, value: float) -> None:
    assert MetricSeries.from_points(told((60.0, 2.0), (95.0, 3.0), stat=stat), SPAN).values == (None, value, None, None)


def test_a_point_that_is_no_number_is_left_out() -> None:
    assert MetricSeries.from_points(told((0.0, math.nan), (60.0, math.inf)), SPAN).values == (None,) * 4


def test_a_grid_of_the_streams_own_is_taken_as_it_is() -> None:
    # Given a grid that CloudWatch answered a minute ago: too young to be complete
    grid = on_grid(told((0.0, 1.0), (120.0, 3.0)), SPAN, SPAN.end + timedelta(minutes=1))
    held = MetricSeries.from_grid(grid, SPAN)
    assert (held.values, held.period, held.start, held.complete) == ((1.0, None, 3.0, None), 60, START, False)


def test_blocks_are_means_cut_where_the_hours_are() -> None:
    # Given a range that begins at 00:30, with a gap of 40 minutes in the second hour
    start = START + timedelta(minutes=30)
    values = [2.0] * 30 + [None] * 40 + [4.0] * 20 + [6.0] * 60
    blocks = metric("IncomingRecords", values, start=start).blocks(3600)

    # Then the half hour tells the first, the second has too few points, and the third is whole
    assert blocks.values == (2.0, None, 6.0)
    assert (blocks.start, blocks.period) == (START, 3600)


def test_what_is_as_coarse_already_stays() -> None:
    held = metric("IncomingRecords", [1.0, 2.0], period=3600)
    assert held.blocks(3600) is held


def test_the_rest_begins_with_the_first_whole_period() -> None:
    held = metric("IncomingRecords", [1.0, 2.0, 3.0])
    rest = held.rest(START + timedelta(seconds=61))
    assert (rest.values, rest.start) == ((3.0,), START + timedelta(minutes=2))
    assert held.rest(START - timedelta(days=1)) is held
    assert held.rest(START + timedelta(days=1)).values == ()


def test_a_fact_tells_its_points() -> None:
    form = metric("IncomingRecords", [1.0, None, 3.0]).fact("mean", 2.0, "records", "mean").to_dict()
    assert form["complete"] is False
    assert form["origin"] == {
        "metric": "IncomingRecords",
        "statistic": "Sum",
        "period": 60,
        "from": "2026-11-16T00:00:00+00:00",
        "to": "2026-11-16T00:03:00+00:00",
        "points": 2,
        "missing": 1,
    }


def test_a_period_has_a_length() -> None:
    with pytest.raises(ValueError, match="period"):
        MetricSeries("IncomingRecords", "Sum", "Count", 0, datetime(2026, 1, 1, tzinfo=UTC), ())
