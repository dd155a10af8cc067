"""Shards for the p99 of demand with head-room, the legal way there, and when to wait."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.analysis.workflows.streams import evidence, found, hourly, metric, result, stream
from weir.analysis.workflows.results import Options
from weir.analysis.workflows.scaling import needed_shards, plan_of

HOURS = 24 * 3


@pytest.mark.parametrize(
    ("demand", "headroom", "shards"),
    [
        (0.0, 0.25, 1),
        (0.8, 0.25, 1),
        (0.81, 0.25, 2),
        (4.0, 0.0, 4),
        (4.0, 0.25, 5),
        (4.01, 0.25, 6),
        (10.0, 1.0, 20),
        (3.0000000000000004, 0.0, 3),  # a sum of floats
    ],
)
def test_shards_needed_by_hand(demand: float, headroom: float, shards: int) -> None:
    assert needed_shards(demand, headroom) == shards


@given(st.floats(0, 1e4), st.floats(0, 1e4), st.floats(0, 2))
def test_more_demand_never_needs_fewer_shards(one: float, other: float, headroom: float) -> None:
    few, more = sorted((one, other))
    assert needed_shards(few, headroom) <= needed_shards(more, headroom)


def test_too_few_shards_are_raised_by_legal_steps() -> None:
    # Given 2 shards and 7,000 records/s: 7 shards' worth, 8.75 with a quarter to spare
    finding = found("scaling", hourly([7000.0] * HOURS, 100))["raise-shards"]
    told = evidence(finding)
    assert told["demand at p99"] == pytest.approx(7.0)
    assert told["shards needed"] == 9
    assert told["legal steps"] == "2 > 4 > 8 > 9"
    assert (told["steps"], told["days for the steps"]) == (3, 1)
    assert finding.severity == "warning"


def test_a_stream_that_is_throttled_needs_them_now() -> None:
    # Given 2,000 records/s that came in and 500 that did not
    facts = hourly([2000.0] * HOURS, 100, throttled=[500.0 * 3600] * HOURS)
    finding = found("scaling", facts)["raise-shards"]
    assert finding.severity == "critical"
    assert evidence(finding)["demand at p99"] == pytest.approx(2.5)
    assert evidence(finding)["shards needed"] == 4


def test_too_many_shards_are_lowered() -> None:
    # Given 10 shards and 1,000 records/s
    finding = found("scaling", hourly([1000.0] * HOURS, 100, open_shards=10))["lower-shards"]
    assert finding.severity == "info"
    assert evidence(finding)["legal steps"] == "10 > 5 > 3 > 2"


def test_more_steps_than_a_day_takes_are_told_in_days() -> None:
    told = evidence(found("scaling", hourly([1.0] * HOURS, open_shards=5000))["lower-shards"])
    assert told["steps"] == 13
    assert told["days for the steps"] == 2


def test_a_peak_within_the_cool_off_keeps_the_shards() -> None:
    # Given 4 shards, 100 records/s, and one period of the last day at 3,500
    busy = [100.0] * 200 + [3500.0] + [100.0] * 2
    told = found("scaling", hourly(busy, 100, open_shards=4))
    assert set(told) == {"wait-to-lower"}
    assert evidence(told["wait-to-lower"])["demand of the cool-off, highest"] == pytest.approx(3.5)

    # When the same peak is older than a day, Then it is one period in two hundred, and does not count
    old = found("scaling", hourly([3500.0] + [100.0] * 202, 100, open_shards=4))
    assert set(old) == {"lower-shards"}


def test_throttles_beside_room_keep_the_shards() -> None:
    much = [0.0] * (HOURS - 1) + [3600.0 * 100 * HOURS]
    finding = found("scaling", hourly([100.0] * HOURS, open_shards=400, throttled=much))["uneven-shards"]
    assert finding.severity == "warning"
    few = hourly([100.0] * HOURS, open_shards=400, throttled=[0.0] * (HOURS - 1) + [1.0])
    assert found("scaling", few)["uneven-shards"].severity == "info"


def test_a_hot_shard_beside_room_is_spread_before_shards_are_added() -> None:
    # Given two throttled periods in a day at 5 % of 2 shards, and a shard with 9 in 10 records
    shards = {
        f"shardId-{i:012d}": {"IncomingRecords": metric("IncomingRecords", [n])} for i, n in ((0, 900.0), (1, 100.0))
    }
    much = [0.0] * 22 + [3600.0 * 5000] * 2
    finding = found("scaling", hourly([100.0] * 24, throttled=much, shards=shards))["uneven-shards"]
    assert evidence(finding)["shardId-000000000000, times the mean"] == pytest.approx(1.8)

    # When the stream as a whole is more than half full, Then shards are what it needs
    assert "raise-shards" in found("scaling", hourly([1500.0] * 24, throttled=much, shards=shards))


def test_shards_that_fit_are_kept() -> None:
    assert found("scaling", hourly([1500.0] * HOURS, 100))["shards-fit"].advice == "Keep the shard count."


def test_on_demand_is_told_what_it_would_need() -> None:
    facts = hourly([3000.0] * HOURS, 100, mode="ON_DEMAND", open_shards=4)
    assert evidence(found("scaling", facts)["shards-needed"])["shards needed"] == 4


def test_demand_that_is_not_wholly_known_is_a_lower_bound() -> None:
    # Given three days of which one hour in four is missing
    finding = found("scaling", hourly([1500.0, 1500.0, 1500.0, None] * 18, 100))["demand-incomplete"]
    assert evidence(finding)["points known"] == 75.0
    assert result("scaling", stream(records=[None], bytes_in=[None])).findings == ()


@given(st.lists(st.floats(0, 1e5), min_size=1, max_size=40), st.integers(1, 300))
def test_the_plan_holds_the_demand_or_says_why_not(rates: list[float], shards: int) -> None:
    plan = plan_of(hourly(rates, 100, open_shards=shards), Options())
    assert plan is not None
    assert isinstance(plan.needed.value, int)
    assert plan.uneven is not None or plan.target >= plan.needed.value
    assert plan.target <= max(shards, plan.needed.value)
