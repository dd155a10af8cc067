"""Used, unused, and not to be told: a missing point makes no stream unused."""

from datetime import timedelta

import pytest

from tests.unit.analysis.workflows.streams import START, Values, evidence, found, hourly, stream

WEEK = 168


def used(written: Values, read: Values, **changes: object) -> dict[str, object]:
    return found("unused", stream(period=3600, records=written, read=read, **changes))


def test_a_week_without_a_record_is_unused() -> None:
    finding = found("unused", hourly([0.0] * WEEK))["unused"]
    assert finding.severity == "warning"
    told = evidence(finding)
    assert told["days without a write"] == 7
    assert told["records written in 7 d"] == 0.0
    assert told["month without any load"] == pytest.approx(21.9)


def test_a_day_without_a_record_is_no_proof() -> None:
    assert found("unused", hourly([0.0] * 24))["unused"].severity == "info"


@pytest.mark.parametrize("values", [[None] * WEEK, [0.0] * 100 + [None] * 68, [None, 0.0] * 84])
def test_missing_data_is_not_unused(values: Values) -> None:
    told = used(values, [0.0] * WEEK)
    assert set(told) == {"use-unknown"}
    assert told["use-unknown"].severity == "info"


def test_a_few_missing_points_do_not_hide_it() -> None:
    assert "unused" in used(([0.0] * 20 + [None]) * 8, [0.0] * WEEK)


def test_the_longest_window_of_silence_is_told() -> None:
    # Given a record five days ago: the last day is silent, the week is not
    told = used([0.0] * 48 + [1.0] + [0.0] * 119, [0.0] * WEEK)
    assert evidence(told["unused"])["days without a write"] == 1
    assert told["unused"].severity == "info"


def test_a_read_within_the_week_shortens_what_is_certain() -> None:
    # Given nothing written in a week, and a read three days ago
    told = used([0.0] * WEEK, [0.0] * 90 + [1.0] + [0.0] * 77)
    assert evidence(told["unused"])["days without a write"] == 1
    assert told["unused"].severity == "info"


def test_written_and_never_read() -> None:
    told = used([5.0] * WEEK, [0.0] * WEEK)
    assert told["written-not-read"].severity == "warning"
    assert evidence(told["written-not-read"])["days without a read"] == 7


@pytest.mark.parametrize(("consumers", "id_", "severity"), [(2, "used", "info"), (None, "written-not-read", "info")])
def test_fan_out_readers_read_without_being_seen(consumers: int | None, id_: str, severity: str) -> None:
    told = used([5.0] * WEEK, [0.0] * WEEK, consumers=consumers)
    assert told[id_].severity == severity


def test_reads_that_are_not_known_are_not_none() -> None:
    assert "used" in used([5.0] * WEEK, [None] * WEEK)
    assert "not-written" in used([0.0] * WEEK, [None] * WEEK)


def test_a_used_stream_is_said_to_be() -> None:
    told = found("unused", hourly([5.0] * WEEK))
    assert set(told) == {"used"}


def test_history_brings_longer_windows() -> None:
    # Given 90 days by the day beside a week by the hour
    history = stream(period=86_400, records=[0.0] * 90, read=[0.0] * 90).series
    told = found("unused", hourly([0.0] * WEEK, history=history))["unused"]
    assert evidence(told)["days without a write"] == 90


def test_a_young_stream_is_judged_by_its_own_days() -> None:
    # Given a stream of two days in a range of a week, whose points before are none
    born = START + timedelta(days=5)
    told = used([None] * 120 + [0.0] * 48, [None] * 120 + [0.0] * 48, created_at=born, now=START + timedelta(days=7))
    assert evidence(told["unused"])["days without a write"] == 2
    assert told["unused"].severity == "info"
