"""Hours, days, weeks and months: half-open, in UTC, weeks from Monday, calendar months."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weir.usage.windows import PERIODS, Period, begin, buckets, each, end, name, named

moments = st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@pytest.mark.parametrize(
    ("period", "moment", "known_as", "over"),
    [
        ("hour", "2026-11-21T14:59:59.999", "h2026112114", "2026-11-21T15:00"),
        ("hour", "2026-11-21T15:00:00", "h2026112115", "2026-11-21T16:00"),
        ("day", "2026-12-31T23:59:59.999", "d20261231", "2027-01-01T00:00"),
        ("week", "2026-11-22T23:59:59.999", "w20261116", "2026-11-23T00:00"),
        ("week", "2026-11-23T00:00:00", "w20261123", "2026-11-30T00:00"),
        ("week", "2027-01-01T00:00:00", "w20261228", "2027-01-04T00:00"),
        ("month", "2028-02-29T12:00:00", "m202802", "2028-03-01T00:00"),
        ("month", "2026-12-01T00:00:00", "m202612", "2027-01-01T00:00"),
    ],
)
def test_a_moment_belongs_to_the_period_that_has_begun_and_is_not_over(
    period: Period, moment: str, known_as: str, over: str
) -> None:
    at = datetime.fromisoformat(moment).replace(tzinfo=UTC)
    assert name(period, at) == known_as
    assert end(period, at) == datetime.fromisoformat(over).replace(tzinfo=UTC)


@given(moments, st.sampled_from(PERIODS))
def test_periods_follow_each_other_without_a_gap(moment: datetime, period: Period) -> None:
    began, ends = begin(period, moment), end(period, moment)
    assert began <= moment < ends
    assert begin(period, ends) == ends
    assert begin(period, ends - timedelta(microseconds=1)) == began
    assert named(name(period, moment)) == (period, began)
    assert list(each(period, moment, ends + timedelta(microseconds=1))) == [began, ends]


def test_the_time_zone_of_a_moment_does_not_count() -> None:
    at = datetime(2026, 11, 22, 1, 30, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    assert buckets(at) == {"hour": "h2026112120", "day": "d20261121", "month": "m202611"}


@pytest.mark.parametrize("text", ["", "x2026", "d2026", "h20261121", "d20261399", "w20261117"])
def test_what_names_no_period_is_told(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        named(text)
