"""The range: what CloudWatch keeps, in no more points than can be read, ending where all is published."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from weir.analysis.analyses.contract import AnalysisSpec
from weir.analysis.analyses.ranges import FITTING, MOST_POINTS, history_of, resolve
from weir.runtime.errors import Invalid
from weir.streams.metrics import LAG, Range

NOW = datetime(2026, 11, 21, 12, 3, 30, tzinfo=UTC)


def spec(**given: Any) -> AnalysisSpec:
    return AnalysisSpec.model_validate({"streams": ["a"], **given})


def span(*, series: int = 12, **given: Any) -> Range:
    return resolve(spec(**given), series=series, now=NOW)


@pytest.mark.parametrize(
    ("last", "period", "points"),
    [
        ("1h", 60, 60),
        ("24h", 60, 1440),
        ("33h", 60, 1980),
        ("34h", 300, 408),
        ("7d", 300, 2016),
        ("8d", 900, 768),
        ("30d", 3600, 720),
        ("90d", 21_600, 360),
        ("455d", 21_600, 1818),
        ("9999d", 21_600, 1818),
    ],
)
def test_the_last_of_a_time_ends_where_all_is_published(last: str, period: int, points: int) -> None:
    found = span(last=last)
    assert (found.period, len(found)) == (period, points)
    assert found.end <= NOW - LAG < found.end + timedelta(seconds=period)
    assert len(found) <= FITTING


def test_without_a_range_it_is_a_day() -> None:
    assert span() == span(last="24h")


def test_many_series_get_a_longer_period() -> None:
    assert span(last="24h", series=500 * 12).period == 300
    assert len(span(last="7d", series=500 * 12)) * 500 * 12 <= MOST_POINTS


def test_a_given_period_is_kept_to_or_refused() -> None:
    asked = {"from": "2026-11-14T00:00:00Z", "to": "2026-11-21T00:00:00Z", "period": 60}
    assert len(span(range=asked)) == 10_080
    with pytest.raises(Invalid, match="use a longer period or fewer streams") as refused:
        span(range=asked, series=600)
    assert refused.value.errors[0].field == "range.period"


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"from": "2026-11-20T00:00:00Z", "to": "2026-11-22T00:00:00Z"}, "range.to"),
        ({"from": "2025-01-01T00:00:00Z", "to": "2025-02-01T00:00:00Z"}, "range.from"),
        ({"from": "2026-11-01T00:00:00Z", "to": "2026-11-02T00:00:00Z", "period": 60}, "range.period"),
        ({"from": "2026-11-20T00:00:00Z", "to": "2026-11-21T00:00:00Z", "period": 90}, "range.period"),
    ],
)
def test_what_cloudwatch_cannot_answer_is_refused_by_its_field(asked: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as refused:
        span(range=asked)
    assert refused.value.errors[0].field == field


def test_a_range_in_any_offset_is_the_same_moment() -> None:
    asked = {"from": "2026-11-20T01:00:00+01:00", "to": "2026-11-21T00:00:00+01:00"}
    assert span(range=asked).start == datetime(2026, 11, 20, tzinfo=UTC)


def test_history_is_three_months_by_the_hour_unless_the_range_is_as_long() -> None:
    found = history_of(span(last="24h"))
    assert found is not None
    assert (found.period, len(found)) == (3600, 91 * 24)
    assert found.start.minute == 0
    assert history_of(span(last="100d")) is None
