"""What got worse, or better, since a baseline: an earlier analysis of the same stream, whose facts were stored.

A fact is compared by name, where it was measured both times on enough points. It has moved when it differs by a quarter
of what it was and by a least step that anybody would notice: neither 1 ms on 2 ms nor
5 % on an hour is told. Latencies and throttles have a worse direction; a load only moves, and is told beside them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from weir.analysis.facts import Fact
from weir.analysis.findings import SEVERITIES, Finding
from weir.analysis.workflows.results import Baseline, Options, WorkflowResult, comparable
from weir.analysis.workflows.stream_facts import StreamFacts

__all__ = ["MOVED", "regression", "worsened"]

MOVED = 25.0
"""Percent of the baseline by which a fact must differ."""

SEVERE = 100.0
"""Percent by which what got worse is critical."""

_SHORTER = 0.5
_NOTHING = 1e-9


@dataclass(frozen=True)
class _Watched:
    """A fact's name, the least step that counts, and whether more is worse (else it only moves)."""

    name: str
    step: float
    worse: bool = True


WATCHED = (
    _Watched("write utilization, p99", 5.0, worse=False),
    _Watched("read utilization, p99", 5.0, worse=False),
    _Watched("records in, mean", 1.0, worse=False),
    _Watched("volume in, mean", 1.0, worse=False),
    _Watched("throttled share of demand", 0.5),
    _Watched("iterator age, p99", 1.0),
    _Watched("PutRecords latency, p50", 2.0),
    _Watched("PutRecords latency, p99", 5.0),
    _Watched("PutRecord latency, p50", 2.0),
    _Watched("PutRecord latency, p99", 5.0),
    _Watched("GetRecords latency, p50", 2.0),
    _Watched("GetRecords latency, p99", 5.0),
)


def regression(stream: StreamFacts, options: Options) -> WorkflowResult:
    """A finding for each fact that moved, or one that says that none did or that nothing could be compared."""
    baseline = options.baseline
    if baseline is None:
        none = Fact("facts compared", 0, "facts", "no baseline")
        words, advice = "There is no baseline to compare with", "Name an earlier analysis, or let a schedule keep them."
        return WorkflowResult((Finding("no-baseline", "info", words, (none,), advice),))
    if (reason := _unlike(stream, baseline)) is not None:
        return WorkflowResult((reason,))
    pairs = [
        (one, stream.measures[one.name], baseline.facts[one.name]) for one in WATCHED if _both(one, stream, baseline)
    ]
    moved = [finding for one, now, before in pairs for finding in _moved(one, now, before, baseline)]
    count = Fact("facts compared", len(pairs), "facts", f"analysis {baseline.id}", complete=len(pairs) == len(WATCHED))
    if not pairs:
        words = "Nothing could be compared with the baseline: no fact was measured on enough points both times"
        moved.append(Finding("baseline-unlike", "info", words, (count,), "Compare ranges of which more is known."))
    elif not any(finding.severity != "info" for finding in moved):
        words = f"Nothing got worse since the baseline: {count.text} were compared"
        moved.append(Finding("no-regression", "info", words, (count,), "Nothing to do."))
    return WorkflowResult(tuple(moved), (count,))


def _unlike(stream: StreamFacts, baseline: Baseline) -> Finding | None:
    """Why the two can't be compared: another period has other quantiles, a much shorter range misses the peaks."""
    if baseline.period == stream.period and _SHORTER <= stream.seconds / (baseline.seconds or 1.0) <= 1 / _SHORTER:
        return None
    facts = (
        Fact("period", stream.period, "s", "this analysis"),
        Fact("range", stream.seconds / 3600, "h", "this analysis"),
        Fact("period of the baseline", baseline.period, "s", f"analysis {baseline.id}"),
        Fact("range of the baseline", baseline.seconds / 3600, "h", f"analysis {baseline.id}"),
    )
    words = (
        f"The baseline is of another kind: {facts[3].text} by {facts[2].text}, not {facts[1].text} by {facts[0].text}"
    )
    return Finding("baseline-unlike", "info", words, facts, "Compare ranges of like length by the same period.")


def _both(one: _Watched, stream: StreamFacts, baseline: Baseline) -> bool:
    return one.name in baseline.facts and comparable(stream.measures[one.name].to_dict())


def _moved(one: _Watched, now: Fact, before: float, baseline: Baseline) -> Iterator[Finding]:
    value = float(now.value) if isinstance(now.value, int | float) else before
    change = value - before
    if abs(change) < one.step or abs(change) * 100 < MOVED * abs(before):
        return
    was = Fact(f"{one.name}, before", before, now.unit, f"analysis {baseline.id}")
    share = 100 * abs(change) / abs(before) if abs(before) > _NOTHING else None
    by = Fact(f"{one.name}, change", share, "%", "(now - before) / before")
    slug = "".join(c if c.isalnum() else "-" for c in one.name.lower()).replace("--", "-")
    rose = change > 0
    told = f", by {by.text}" if share is not None else ""
    words = f"{one.name[0].upper()}{one.name[1:]} {'rose' if rose else 'fell'} from {was.text} to {now.text}{told}"
    if one.worse and rose:
        severity = "critical" if share is None or share >= SEVERE else "warning"
        advice = "See whether the load moved as well, and what else changed since."
        yield Finding(f"worse-{slug}", severity, words, (now, was, by), advice)  # type: ignore[arg-type]
    else:
        advice = "Nothing to do." if one.worse else "A load that moved explains what moves with it."
        yield Finding(f"{'better' if one.worse else 'moved'}-{slug}", "info", words, (now, was, by), advice)


def worsened(before: Iterable[Mapping[str, Any]], after: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Of the findings `after`, as `Finding.to_dict` tells them, those that are more severe than before, or new.

    A finding that is only information is never among them. A finding is the same one by its workflow and id.
    """
    rank = {severity: len(SEVERITIES) - i for i, severity in enumerate(SEVERITIES)}
    known: dict[tuple[str, str], int] = {}
    for one in before:
        key = (one.get("workflow", ""), one["id"])
        known[key] = max(known.get(key, 0), rank[one["severity"]])
    return [
        one
        for one in after
        if one["severity"] != "info" and rank[one["severity"]] > known.get((one.get("workflow", ""), one["id"]), 0)
    ]
