"""The verdict, case by case."""

from typing import Any

import pytest

from tests.unit.analysis.measurements import latencies, measured
from weir.runs.models import Failure, Slo, Verdict
from weir.runs.verdict import judge

BROKEN = Failure(step="Insert", error="StreamGone", cause="it went away")


@pytest.mark.parametrize(
    ("slo", "changes", "verdict", "told"),
    [
        # All well
        ({}, {}, "PASSED", "every record was accounted for"),
        ({"max_lost": 0, "max_duplicates": 0, "ordered": True}, {}, "PASSED", "every record"),
        # Losses
        ({}, {"lost": 1, "seen": 9_999}, "FAILED", "1 of 10000 accepted records were never read back"),
        ({"max_lost": 1}, {"lost": 1, "seen": 9_999}, "PASSED", "every"),
        ({"max_lost": 1}, {"lost": 2, "seen": 9_998}, "FAILED", "at most 1 allowed"),
        ({}, {"lost": None}, "DEGRADED", "could not be measured: lost records"),
        # Rejected, never inserted, corrupted
        ({"max_lost": 9}, {"rejected": 1, "accepted": 9_999}, "FAILED", "1 records were given up"),
        ({}, {"accepted": 9_000}, "FAILED", "1000 of 10000 records were never inserted"),
        ({}, {"accepted": 8_000, "rejected": 500}, "FAILED", "500 records were given up"),
        ({}, {"planned": None}, "PASSED", "every"),
        ({}, {"accepted": None}, "DEGRADED", "accepted records"),
        ({"max_lost": 9}, {"corrupted": 1}, "FAILED", "1 records came back with other bytes"),
        # Duplicates fail only where that was asked
        ({}, {"duplicates": 7}, "PASSED", "every"),
        ({"max_duplicates": 7}, {"duplicates": 7}, "PASSED", "every"),
        ({"max_duplicates": 6}, {"duplicates": 7}, "FAILED", "7 duplicates (at most 6 allowed)"),
        ({"max_duplicates": 6}, {"duplicates": None}, "DEGRADED", "duplicates"),
        ({}, {"duplicates": None}, "PASSED", "every"),
        # Order fails only where that was asked
        ({}, {"reordered": 3}, "PASSED", "every"),
        ({"ordered": True}, {"reordered": 3}, "FAILED", "3 records came after a later one"),
        ({"ordered": True}, {"reordered": None}, "DEGRADED", "order"),
        # Latency: the measurement's p99 is 99 ms
        ({"p99_latency_ms": 101}, {}, "PASSED", "every"),
        ({"p99_latency_ms": 97}, {}, "FAILED", "p99 latency was 99 ms (at most 97 ms allowed)"),
        ({"p99_latency_ms": 97}, {"latency": None}, "DEGRADED", "p99 latency"),
        ({"p99_latency_ms": 97}, {"latency": latencies()}, "DEGRADED", "p99 latency"),
        ({}, {"latency": None}, "DEGRADED", "could not be measured: p99 latency"),
        ({}, {"latency": latencies()}, "DEGRADED", "could not be measured: p99 latency"),
        # Throughput: 10,000 records in 10 s
        ({"min_records_per_second": 1_000}, {}, "PASSED", "every"),
        ({"min_records_per_second": 1_001}, {}, "FAILED", "1,000 records/s were inserted (at least 1,001 asked)"),
        ({"min_records_per_second": 1}, {"insert_seconds": None}, "DEGRADED", "records per second"),
        ({"min_records_per_second": 1}, {"insert_seconds": 0.0}, "DEGRADED", "records per second"),
        # What could not be measured is said, and is DEGRADED at best
        ({}, {"missing": ("AWS/Kinesis",)}, "DEGRADED", "could not be measured: AWS/Kinesis"),
        ({}, {"missing": ("AWS/Kinesis",), "lost": 1}, "FAILED", "never read back"),
    ],
)
def test_a_run_that_came_to_its_end(slo: dict[str, Any], changes: dict[str, Any], verdict: str, told: str) -> None:
    # Given service levels and what was measured / When judged / Then the verdict follows, the gravest reason first
    found, reasons = judge(Slo(**slo), measured(**changes), None, 0, kept=False)
    assert (found, told in reasons[0]) == (verdict, True), reasons


@pytest.mark.parametrize(
    ("left", "kept", "verdict", "told"),
    [
        (0, False, "PASSED", None),
        (1, False, "FAILED", "1 stream left behind"),
        (None, False, "DEGRADED", "could not be confirmed: that the stream is gone"),
        (1, True, "PASSED", None),
        (None, True, "PASSED", None),
    ],
)
def test_what_is_left_behind_counts(left: int | None, kept: bool, verdict: str, told: str | None) -> None:
    found, reasons = judge(Slo(), measured(), None, left, kept=kept)
    assert found == verdict
    assert told is None or told in reasons[0]


@pytest.mark.parametrize(
    ("error", "verdict"),
    [("StreamGone", "FAILED"), ("States.Timeout", "FAILED"), ("Stopped", "ABORTED"), ("TimedOut", "ABORTED")],
)
@pytest.mark.parametrize("measurement", [None, measured(), measured(lost=5)])
def test_a_run_that_broke_names_step_and_cause_first(error: str, verdict: str, measurement: Any) -> None:
    # Given a failure, with a perfect measurement or none / Then it never passes
    failure = Failure(step="Verify", error=error, cause="what happened")
    found, reasons = judge(Slo(), measurement, failure, 0, kept=False)
    assert found == verdict
    assert reasons[0] == f"Verify: {error}: what happened"


def test_nothing_measured_is_never_a_pass() -> None:
    assert judge(Slo(), None, None, 0, kept=False) == (
        Verdict.DEGRADED,
        ("could not be measured: nothing was measured",),
    )
    assert judge(Slo(max_lost=10**9), None, None, 0, kept=True)[0] == Verdict.DEGRADED


def test_all_reasons_are_told_and_the_gravest_first() -> None:
    m = measured(lost=2, corrupted=1, missing=("the clock",))
    found, reasons = judge(Slo(), m, BROKEN, 1, kept=False)
    assert found == Verdict.FAILED
    assert [reason.split()[0] for reason in reasons] == ["Insert:", "2", "1", "1", "could"]


def test_a_stream_that_was_to_be_kept_is_left_behind_where_the_run_broke() -> None:
    # Given a run that asked to keep its stream, and broke, and could not delete it
    _, reasons = judge(Slo(), measured(), BROKEN, 1, kept=False)
    assert any("left behind" in reason for reason in reasons)


def test_records_of_others_and_stand_ins_are_told_and_never_pass() -> None:
    # Given a run that went well, but for somebody else's records in its stream, or prices of another region
    foreign = judge(Slo(), measured(foreign=2), None, 0, kept=False)
    priced = judge(Slo(), measured(), None, 0, kept=False, stand_ins=["the prices are of elsewhere"])
    # Then it is DEGRADED, and says why
    assert foreign[0] is priced[0] is Verdict.DEGRADED
    assert "2 records in the stream are none" in foreign[1][0]
    assert priced[1] == ("the prices are of elsewhere",)


def test_writers_that_did_not_finish_are_not_said_to_have_inserted_nothing() -> None:
    # Given a run that was stopped, whose writer's last checkpoint is older than what it wrote
    stopped = measured(accepted=4_000, lost=None, missing=("the end of 1 of 1 writers: they did not finish",))
    # When judged / Then nobody says that the rest was never inserted
    _, reasons = judge(Slo(), stopped, Failure(step="Insert", error="Stopped", cause="x"), 0, kept=False)
    assert not [reason for reason in reasons if "never inserted" in reason]
