"""The metrics of a run that has ended, which the alarms and the dashboard watch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from weir.runs.models import Verdict
from weir.runtime.observability import emit

if TYPE_CHECKING:
    from weir.analysis.measurement import Measurement  # not needed where a run ended before it was measured


def publish(verdict: Verdict, m: Measurement | None, cost_usd: str | None, left: int | None) -> None:
    """Publish that a run has ended, and what is known of it; what is None is not published.

    Parameters
    ----------
    cost_usd
        US dollars, as the run was closed with: None where the cost is not known, or only in part.
    left
        Streams of the run that are still there.
    """
    values: dict[str, tuple[str, float]] = {
        "Runs": ("Count", 1),
        "RunsFailed": ("Count", int(verdict in {Verdict.FAILED, Verdict.ABORTED})),
        "RunsPassed": ("Count", int(verdict is Verdict.PASSED)),
    }
    if left is not None:
        values["ResourcesLeft"] = ("Count", left)
    if cost_usd is not None:
        values["CostUsd"] = ("None", float(cost_usd))
    if m is not None:
        values.update(_measured(m))
    emit(values, {})


def _measured(m: Measurement) -> dict[str, tuple[str, float]]:
    known: dict[str, tuple[str, float | int | None]] = {
        "RecordsAccepted": ("Count", m.accepted),
        "RecordsLost": ("Count", m.lost),
        "RecordsDuplicated": ("Count", m.duplicates),
        "RecordsThrottled": ("Count", m.throttled),
        "RecordsPerSecond": ("Count/Second", m.records_per_second),
        "InsertSeconds": ("Seconds", m.insert_seconds),
        "VerifySeconds": ("Seconds", m.verify_seconds),
    }
    age = m.series("GetRecords.IteratorAgeMilliseconds")
    if age is not None and age.points:
        known["IteratorAge"] = ("Milliseconds", max(value for _, value in age.points))
    if m.latency is not None and m.latency.count:
        for name, q in (("LatencyP50", 0.5), ("LatencyP95", 0.95), ("LatencyP99", 0.99)):
            us = m.latency.quantile(q)
            known[name] = ("Milliseconds", None if us is None else us / 1000)
    return {name: (unit, float(value)) for name, (unit, value) in known.items() if value is not None}
