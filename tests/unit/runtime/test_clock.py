"""Times as text."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weir.runtime.clock import SYSTEM, parse_rfc3339, rfc3339

AWARE = st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.timezones())  # noqa: DTZ001


def test_utc_with_milliseconds_and_a_z() -> None:
    berlin = timezone(timedelta(hours=1))
    assert rfc3339(datetime(2026, 11, 21, 15, 5, tzinfo=berlin)) == "2026-11-21T14:05:00.000Z"


@given(AWARE)
def test_a_moment_survives_to_the_millisecond(moment: datetime) -> None:
    # Given any aware moment / When written and read / Then it is the same, cut to milliseconds, in UTC
    there = parse_rfc3339(rfc3339(moment))
    assert there.utcoffset() == timedelta(0)
    assert timedelta(0) <= moment - there < timedelta(milliseconds=1)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "2026-11-21T14:05:00",
        "2026-13-01T00:00:00Z",
        "0001-01-01T00:00:00+23:00",  # before the first year in UTC
        "9999-12-31T23:59:59-23:00",
    ],
)
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_rfc3339(text)


def test_the_systems_clock_is_aware_and_agrees_with_itself() -> None:
    assert SYSTEM.now().tzinfo is UTC
    assert abs(SYSTEM.now().timestamp() - SYSTEM.epoch()) < 5
