"""Whether a stream is used at all: by several windows that end with the range, writing and reading apart.

A window is judged only where nearly all of its points are known. CloudWatch may have no point where nothing was
written, and has none where it has not published: the two can't be told apart, so missing points never make a stream
unused. Readers with enhanced fan-out read without GetRecords: beside them, "not read" is not said.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from weir.analysis.facts import Fact
from weir.analysis.findings import Finding
from weir.analysis.workflows.cost_options import idle_month
from weir.analysis.workflows.results import Options, WorkflowResult
from weir.analysis.workflows.series import MetricSeries
from weir.analysis.workflows.stream_facts import StreamFacts

__all__ = ["KNOWN", "WINDOWS", "unused"]

WINDOWS = (1, 7, 30, 90)
"""Days."""

KNOWN = 0.9
"""Share of a window's points that must be known for it to be judged."""

_CERTAIN_DAYS = 7


@dataclass(frozen=True)
class _Window:
    """What was written or read in the last `days`, as far as the stream was there; None where too little is known."""

    days: float
    total: float | None
    fact: Fact


def unused(stream: StreamFacts, _options: Options) -> WorkflowResult:
    """One finding: used, unused, written but not read, read but not written, or not to be told."""
    writes = _windows(stream, "IncomingRecords", "written")
    reads = _windows(stream, "GetRecords.Records", "read")
    return WorkflowResult(tuple(_judged(stream, writes, reads)), tuple(one.fact for one in (*writes, *reads)))


def _windows(stream: StreamFacts, metric: str, what: str) -> list[_Window]:
    """The windows that the range, or the history, reaches over; those before the stream's creation are cut there."""
    series = stream.series.get(metric)
    past = stream.history.get(metric)
    made: list[_Window] = []
    for days in WINDOWS:
        held = next((one for one in (series, past) if one is not None and _reaches(one, days, stream)), None)
        name = f"records {what} in {days} d"
        if held is None:
            made.append(_Window(days, None, Fact(name, None, "records", "AWS/Kinesis", complete=False)))
            continue
        window = held.rest(held.end - timedelta(days=days))
        total = window.total if window.completeness >= KNOWN else None
        length = len(window) * window.period / 86_400
        made.append(_Window(length, total, window.fact(name, total, "records", "sum of the periods")))
    return made


def _reaches(series: MetricSeries, days: int, stream: StreamFacts) -> bool:
    """Whether the series covers the window, or all of it in which the stream was there.

    A window that is longer than the next one over the stream's whole life would tell nothing more.
    """
    if series.start <= series.end - timedelta(days=days):
        return True
    if stream.created_at is None or series.start > stream.created_at + timedelta(seconds=series.period):
        return False
    age = (stream.now - stream.created_at) / timedelta(days=1)
    return days <= next((window for window in WINDOWS if window >= age), WINDOWS[-1])


def _judged(stream: StreamFacts, writes: list[_Window], reads: list[_Window]) -> Iterator[Finding]:
    evidence = tuple(one.fact for one in (*writes, *reads))
    silent, deaf = _longest_zero(writes), _longest_zero(reads)
    known = [one for one in writes if one.total is not None]
    if not known:
        yield Finding(
            "use-unknown",
            "info",
            "Whether the stream is written to can't be told: too few points are known",
            evidence,
            "A missing point is no load of zero. Read from the oldest record, or look for its writers in CloudTrail.",
        )
    elif silent is not None:
        yield _silent(stream, silent, deaf, evidence)
    elif deaf is not None and not stream.consumers:
        days = Fact("days without a read", deaf.days, "days", "longest window judged")
        consumers = stream.measures["fan-out consumers"]
        sure = deaf.days >= _CERTAIN_DAYS and stream.consumers is not None
        yield Finding(
            "written-not-read",
            "warning" if sure else "info",
            f"Records are written, and none was read in {days.text}",
            (days, consumers, *evidence),
            "Nobody gains from these records: find the reader that stopped, or stop the writer."
            if stream.consumers is not None
            else "Readers with enhanced fan-out would not show here, and whether there are any is not known.",
        )
    else:
        first = known[0].fact
        yield Finding(
            "used", "info", f"The stream is used: {first.text} written in its latest window", evidence, "Nothing to do."
        )


def _longest_zero(windows: list[_Window]) -> _Window | None:
    """The longest window in which nothing came; None where the shortest that is known had something."""
    longest = None
    for window in windows:
        if window.total:
            break
        longest = window if window.total is not None else longest
    return longest


def _silent(stream: StreamFacts, silent: _Window, deaf: _Window | None, evidence: tuple[Fact, ...]) -> Finding:
    length = silent.days if deaf is None else min(silent.days, deaf.days)
    days = Fact("days without a write", length, "days", "longest window judged")
    month = idle_month(stream)
    facts = (days, *((month,) if month is not None else ()), *evidence)
    price = f" It costs {month.text}." if month is not None else ""
    if deaf is None:
        return Finding(
            "not-written",
            "info",
            f"Nothing was written in {days.text}",
            facts,
            f"Whether it is read is not clear from this range. Ask its owner before deleting it.{price}",
        )
    return Finding(
        "unused",
        "warning" if length >= _CERTAIN_DAYS else "info",
        f"Nothing was written in {days.text}, and nothing was read",
        facts,
        f"Ask its owner, then delete it.{price}",
    )
