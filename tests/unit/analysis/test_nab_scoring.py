"""The scoring rule of the Numenta Anomaly Benchmark, against examples worked out by hand.

The series has 100 points, a minute apart: 15 in probation, one labelled window from the 40th to the 49th point.
"""

import math

import pytest

from tests.benchmarks import nab

TIMES = [60.0 * index for index in range(100)]
ONE_WINDOW = nab.series(TIMES, [(TIMES[40], TIMES[49])])
NOTHING = nab.series(TIMES, [])
FIRST = 2 / (1 + math.exp(-5)) - 1  # the sigmoid at the left edge: 0.98661


def detecting(*points: int) -> list[float]:
    return [1.0 if index in points else 0.0 for index in range(100)]


def test_the_sigmoid_is_as_published() -> None:
    # From the paper's figure 3: about 0.987 at the left edge, 0 at the right one, about -0.987 a width behind it
    assert nab.sigmoid(-1.0) == pytest.approx(0.98661, abs=1e-5)
    assert nab.sigmoid(0.0) == 0.0
    assert nab.sigmoid(1.0) == pytest.approx(-0.98661, abs=1e-5)
    assert nab.sigmoid(3.5) == -1.0


@pytest.mark.parametrize(("points", "quiet"), [(0, 0), (100, 15), (4_032, 604), (5_000, 750), (22_695, 750)])
def test_probation_is_15_percent_and_at_most_750_points(points: int, quiet: int) -> None:
    assert nab.probation(points) == quiet


def test_the_detector_that_finds_nothing_has_0() -> None:
    assert nab.raw(ONE_WINDOW, detecting(), 0.5) == -1.0
    assert nab.normalized(-1.0, 1) == 0.0


def test_the_perfect_detector_has_100() -> None:
    assert nab.raw(ONE_WINDOW, detecting(40), 0.5) == 1.0
    assert nab.normalized(1.0, 1) == 100.0


def test_only_the_earliest_detection_in_a_window_counts() -> None:
    assert nab.raw(ONE_WINDOW, detecting(40, 41, 45, 49), 0.5) == 1.0


@pytest.mark.parametrize(
    ("point", "position"),
    [(40, -1.0), (42, -0.8), (45, -0.5), (49, -0.1)],  # the right edge itself is a tenth before it
)
def test_a_detection_in_a_window_is_worth_less_the_later_it_comes(point: int, position: float) -> None:
    by_hand = (2 / (1 + math.exp(5 * position)) - 1) / FIRST
    assert nab.raw(ONE_WINDOW, detecting(point), 0.5) == pytest.approx(by_hand)


def test_a_false_alarm_before_every_window_costs_all_of_a_false_alarm() -> None:
    assert nab.raw(ONE_WINDOW, detecting(20, 40), 0.5) == pytest.approx(1.0 - 0.11)


@pytest.mark.parametrize(
    ("point", "cost"),
    [
        (50, 0.11 * (1 - 2 / (1 + math.exp(5 / 9)))),  # one point behind a window nine steps wide
        (58, 0.11 * FIRST),  # one width behind
        (77, 0.11),  # more than three widths behind
    ],
)
def test_a_false_alarm_costs_more_the_further_behind_a_window_it_is(point: int, cost: float) -> None:
    assert nab.raw(ONE_WINDOW, detecting(40, point), 0.5) == pytest.approx(1.0 - cost)


def test_every_false_alarm_costs() -> None:
    assert nab.raw(NOTHING, detecting(20, 21, 90), 0.5) == pytest.approx(-0.33)


def test_detections_in_probation_neither_earn_nor_cost() -> None:
    early = nab.series(TIMES, [(TIMES[5], TIMES[20])])
    assert nab.raw(NOTHING, detecting(0, 7, 14), 0.5) == 0.0
    assert nab.raw(early, detecting(5, 14), 0.5) == -1.0
    assert nab.raw(early, detecting(5, 15), 0.5) > 0.0


def test_windows_follow_each_other() -> None:
    # Given a second window, When one is found in its middle and the other missed
    two = nab.series(TIMES, [(TIMES[70], TIMES[79]), (TIMES[40], TIMES[49])])
    middle = (2 / (1 + math.exp(-2.5)) - 1) / FIRST

    # Then the one earns, the other costs
    assert two.windows == 2
    assert nab.raw(two, detecting(75), 0.5) == pytest.approx(middle - 1.0)


def test_the_best_threshold_is_one_for_all_series() -> None:
    # Given two series: in one the anomaly has 0.6, in the other it has 0.8 and a false alarm has 0.7
    low, high = detecting(), detecting()
    low[40], high[40], high[20] = 0.6, 0.8, 0.7

    # When the threshold is looked for
    threshold, total = nab.best_threshold({"low": ONE_WINDOW, "high": ONE_WINDOW}, {"low": low, "high": high})

    # Then it lets both anomalies in, with the one false alarm between them: missing one would cost two
    assert threshold == 0.6
    assert total == pytest.approx(2.0 - 0.11)
    assert total == pytest.approx(nab.raw(ONE_WINDOW, low, threshold) + nab.raw(ONE_WINDOW, high, threshold))


def test_points_with_the_same_score_are_taken_together() -> None:
    # Given an anomaly and twenty false alarms of the same score
    scores = detecting(40, *range(15, 35))

    # When, Then no threshold parts them, and finding nothing is better
    assert nab.best_threshold({"one": ONE_WINDOW}, {"one": scores}) == (math.inf, -1.0)
