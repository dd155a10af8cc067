"""Hours, days, trends, peaks and bursts of a load."""

import math

import pytest

from tests.unit.analysis.measurements import arrivals, measured, shard
from tests.unit.analysis.workflows.streams import by_name, evidence, found, hourly, result, stream

WEEK = 168


def day(hour: int) -> float:
    """100 records/s, and 900 from 09:00 to 17:00."""
    return 900.0 if 9 <= hour % 24 < 17 else 100.0


def test_a_load_that_follows_the_hours() -> None:
    finding = found("patterns", hourly([day(n) for n in range(WEEK)]))["daily-season"]
    told = evidence(finding)
    assert told["daily season"] == pytest.approx(100.0)
    assert told["busiest hour of the day"] == pytest.approx(900.0)
    assert told["quietest hour of the day"] == pytest.approx(100.0)
    assert told["busiest hour begins"] in {f"{hour:02d}:00 UTC" for hour in range(9, 17)}


def test_a_load_that_follows_the_week() -> None:
    # Given three weeks with nothing much on Saturdays and Sundays
    rates = [100.0 if n // 24 % 7 >= 5 else day(n) for n in range(3 * WEEK)]
    told = found("patterns", hourly(rates))
    assert evidence(told["weekly-season"])["weekly season"] == pytest.approx(100.0)


def test_a_load_that_is_the_same_every_day_is_not_weekly() -> None:
    assert "weekly-season" not in found("patterns", hourly([day(n) for n in range(3 * WEEK)]))


def test_minutes_are_judged_by_the_hour() -> None:
    rates = [day(n // 60) for n in range(3 * 1440)]
    assert "daily-season" in found("patterns", stream(records=[60 * rate for rate in rates]))


def test_an_even_load_follows_nothing() -> None:
    # Given hours that differ by what day it is only
    told = found("patterns", hourly([500.0 + n // 24 * (-1) ** (n // 24) for n in range(WEEK)]))
    assert "no-season" in told
    assert "load-even" in told


def test_a_short_range_tells_no_season() -> None:
    assert "season-unknown" in found("patterns", hourly([day(n) for n in range(47)]))


@pytest.mark.parametrize(("a_day", "id_"), [(10.0, "load-grows"), (-10.0, "load-shrinks")])
def test_a_trend_by_hand(a_day: float, id_: str) -> None:
    # Given ten days, each at 10 records/s more (or less) than the one before, around 200
    rates = [200.0 + a_day * (n // 24 - 4.5) for n in range(240)]
    told = evidence(found("patterns", hourly(rates))[id_])
    assert told["change over the range"] == pytest.approx(45.0)  # 90 of 200
    assert told["change a day"] == pytest.approx(5.0)


def test_a_load_with_peaks() -> None:
    # Given 98 hours at 10 records/s and 2 at 1,000: a mean of 29.8, and the p99 is the peak
    finding = found("patterns", hourly([10.0] * 98 + [1000.0] * 2))["load-peaks"]
    told = evidence(finding)
    assert told["p99 by mean"] == pytest.approx(1000 / 29.8)
    assert told["peak began"] == "2026-11-20 02:00 UTC"


def test_bursts_are_seen_by_a_run_alone() -> None:
    # Given 6,000 records that all came within a second of a minute
    run = measured(shards=(shard(0, 3000, arrivals=arrivals(3000)), shard(1, 3000, arrivals=arrivals(3000))))
    told = evidence(found("patterns", hourly([100.0] * WEEK, measurement=run))["bursts"])
    assert told == {
        "busiest second": 6000.0,
        "busiest minute": 100.0,
        "busiest second by busiest minute": 60.0,
    }
    assert "bursts" not in found("patterns", hourly([100.0] * WEEK))


def test_bursts_need_no_metrics_and_name_the_run_that_saw_them() -> None:
    run = measured(shards=(shard(0, 6000, arrivals=arrivals(6000)),))
    finding = found("patterns", stream(measurement=run))["bursts"]
    named = "run run-1, 2026-11-21 14:05:00 to 2026-11-21 14:05:00 UTC: arrivals"
    assert [fact.source for fact in finding.evidence] == [named, named, f"{named} / 60"]


def test_bytes_tell_the_pattern_where_records_do_not() -> None:
    rates = [3600 * 1024 * day(n) for n in range(WEEK)]
    told = evidence(found("patterns", stream(period=3600, bytes_in=rates))["daily-season"])
    assert told["busiest hour of the day"] == pytest.approx(900.0)  # KiB/s


def test_history_tells_what_the_range_is_too_short_for() -> None:
    # Given one day by the minute, and two weeks by the hour beside it
    history = hourly([day(n) for n in range(2 * WEEK)]).series
    facts = stream(records=[60.0] * 1440, history=history)
    assert "daily-season" in found("patterns", facts)
    assert "season-unknown" in found("patterns", stream(records=[60.0] * 1440))


def test_nothing_known_is_no_pattern() -> None:
    assert result("patterns", stream(records=[None] * 100)).findings == ()


def test_the_days_profile_is_drawn() -> None:
    (chart,) = result("patterns", hourly([day(n) for n in range(WEEK)])).charts
    assert chart.lines[0].values == tuple(day(n) for n in range(24))
    assert chart.start == ""


def test_the_strengths_are_facts() -> None:
    told = by_name(result("patterns", hourly([math.sin(n) + 2 for n in range(WEEK)])).facts)
    assert isinstance(told["daily season"], float)
    assert told["weekly season"] is None
