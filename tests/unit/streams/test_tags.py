"""What makes a stream Weir's, and when it may be swept."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weir.streams import tags

NOW = datetime(2026, 11, 21, 14, 5, tzinfo=UTC)


@given(
    owner=st.text(max_size=300),
    run_id=st.none() | st.text(max_size=300),
    expires=st.integers(0, 10**15).map(lambda micros: NOW + timedelta(microseconds=micros)),
)
def test_tags_are_legal_and_tell_back_what_was_put_in(owner: str, run_id: str | None, expires: datetime) -> None:
    # Given any owner, run and expiry, When they are made tags
    made = tags.managed_tags(owner, run_id, expires)

    # Then AWS takes them, and the expiry comes back, never earlier than it was asked for
    assert all(tags.allowed(value) and len(value) <= tags.MAX_VALUE_LENGTH for value in made.values())
    assert tags.is_managed(made)
    told = tags.expires_at(made)
    assert told is not None
    assert timedelta(0) <= told - expires < timedelta(seconds=1)
    assert (tags.RUN_ID in made) == (run_id is not None)


def test_the_expiry_is_rfc_3339_in_utc() -> None:
    elsewhere = NOW.astimezone(timezone(timedelta(hours=9)))
    assert tags.managed_tags("me", None, elsewhere)[tags.EXPIRES_AT] == "2026-11-21T14:05:00Z"


@pytest.mark.parametrize(
    ("found", "expired"),
    [
        ({tags.MANAGED: "true", tags.STACK: "weir", tags.EXPIRES_AT: "2026-11-21T14:05:00Z"}, True),
        ({tags.MANAGED: "true", tags.STACK: "weir", tags.EXPIRES_AT: "2026-11-21T14:05:01Z"}, False),
        ({tags.MANAGED: "true", tags.STACK: "weir", tags.EXPIRES_AT: "yesterday"}, False),
        ({tags.MANAGED: "true", tags.STACK: "weir", tags.EXPIRES_AT: "2020-01-01T00:00:00"}, False),
        ({tags.MANAGED: "true", tags.STACK: "weir"}, False),
        ({tags.MANAGED: "True", tags.STACK: "weir", tags.EXPIRES_AT: "2020-01-01T00:00:00Z"}, False),
        ({"managed": "true", tags.EXPIRES_AT: "2020-01-01T00:00:00Z"}, False),
        ({tags.EXPIRES_AT: "2020-01-01T00:00:00Z"}, False),
        ({tags.MANAGED: "true", tags.EXPIRES_AT: "2020-01-01T00:00:00Z"}, False),
        ({tags.MANAGED: "true", tags.STACK: "weir-prod", tags.EXPIRES_AT: "2020-01-01T00:00:00Z"}, False),
    ],
)
def test_only_a_managed_stream_with_a_readable_passed_expiry_may_be_swept(found: dict[str, str], expired: bool) -> None:
    assert tags.is_expired(found, NOW) is expired
