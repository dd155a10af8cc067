"""The verdict: computed from what was measured, never assumed.

FAILED where something that must hold does not, ABORTED where the run was stopped or ran out of time, DEGRADED where all
that was measured holds but something could not be measured or was replaced by a fallback, PASSED otherwise.
"""

from collections.abc import Sequence

from weir.analysis.measurement import Measurement
from weir.runs.models import Failure, Slo, Verdict

ABORTING = frozenset({"Stopped", "TimedOut"})
"""Errors of a failure that somebody or a clock caused, not the stream."""


def judge(
    slo: Slo,
    measurement: Measurement | None,
    failure: Failure | None,
    resources_left: int | None,
    *,
    kept: bool,
    stand_ins: Sequence[str] = (),
) -> tuple[Verdict, tuple[str, ...]]:
    """The verdict and its reasons, the gravest first.

    Parameters
    ----------
    measurement
        None where the run ended before anything was measured.
    resources_left
        Streams of the run that are still there; None where it could not be found out.
    kept
        The run asked to keep its stream.
    stand_ins
        What was used in place of what was asked for, in words: with one, no verdict is PASSED.
    """
    broken = _broken(slo, measurement) if measurement is not None else []
    if resources_left and not kept:
        broken.append(
            f"{resources_left} stream left behind: it could not be deleted; the sweeper takes it when it expires"
        )
    unknown = [*_unknown(slo, measurement, resources_left, kept=kept), *stand_ins]
    if failure is not None:
        told = f"{failure.step}: {failure.error}: {failure.cause}"
        verdict = Verdict.ABORTED if failure.error in ABORTING else Verdict.FAILED
        return verdict, (told, *broken, *unknown)
    if broken:
        return Verdict.FAILED, (*broken, *unknown)
    if unknown:
        return Verdict.DEGRADED, tuple(unknown)
    return Verdict.PASSED, ("every record was accounted for, and every service level held",)


def _broken(slo: Slo, m: Measurement) -> list[str]:
    told = []
    if m.lost is not None and m.lost > slo.max_lost:
        told.append(f"{m.lost} of {m.accepted} accepted records were never read back (at most {slo.max_lost} allowed)")
    if m.rejected:
        told.append(f"{m.rejected} records were given up: Kinesis accepted none of the tries that it answered")
    all_told = not any("writers" in what for what in m.missing)  # else their last checkpoints say less than they did
    if all_told and m.planned is not None and m.accepted is not None and m.accepted + (m.rejected or 0) < m.planned:
        told.append(f"{m.planned - m.accepted - (m.rejected or 0)} of {m.planned} records were never inserted")
    if m.corrupted:
        told.append(f"{m.corrupted} records came back with other bytes than were written")
    if slo.max_duplicates is not None and m.duplicates is not None and m.duplicates > slo.max_duplicates:
        told.append(f"{m.duplicates} duplicates (at most {slo.max_duplicates} allowed)")
    if slo.ordered and m.reordered:
        told.append(f"{m.reordered} records came after a later one of their key")
    p99 = None if m.latency is None else m.latency.quantile(0.99)
    if slo.p99_latency_ms is not None and p99 is not None and p99 > slo.p99_latency_ms * 1000:
        told.append(f"p99 latency was {p99 / 1000:,.0f} ms (at most {slo.p99_latency_ms:,.0f} ms allowed)")
    rate = m.records_per_second
    if slo.min_records_per_second is not None and rate is not None and rate < slo.min_records_per_second:
        told.append(f"{rate:,.0f} records/s were inserted (at least {slo.min_records_per_second:,.0f} asked)")
    return told


def _unjudged(slo: Slo, m: Measurement) -> list[str]:
    """What must hold, but has no number to hold it against."""
    p99 = None if m.latency is None else m.latency.quantile(0.99)
    numbers = {
        "lost records": (True, m.lost),
        "accepted records": (True, m.accepted),
        "p99 latency": (True, p99),
        "records per second": (slo.min_records_per_second is not None, m.records_per_second),
        "duplicates": (slo.max_duplicates is not None, m.duplicates),
        "order": (slo.ordered, m.reordered),
    }
    return [what for what, (asked, number) in numbers.items() if asked and number is None]


def _unknown(slo: Slo, m: Measurement | None, resources_left: int | None, *, kept: bool) -> list[str]:
    told: Sequence[str] = ("nothing was measured",) if m is None else (*m.missing, *_unjudged(slo, m))
    unknown = [f"could not be measured: {what}" for what in told]
    if m is not None and m.foreign:
        unknown.append(f"{m.foreign} records in the stream are none that the run's writers tell of")
    if resources_left is None and not kept:
        unknown.append("could not be confirmed: that the stream is gone")
    return unknown
