"""What is odd in each metric's series, by the online detector, with the band that it expected.

One detector a series, point by point, no look-ahead (`weir.analysis.anomalies`). A missing point is none. Alarms of
different metrics at about the same time are told as such: what they share is likelier than what each has alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from weir.analysis.anomalies import THRESHOLD, Detector
from weir.analysis.anomaly_range import LEARNING
from weir.analysis.facts import Fact
from weir.analysis.findings import Finding
from weir.analysis.workflows.results import Chart, Options, WorkflowResult, chart_of
from weir.analysis.workflows.series import MetricSeries
from weir.analysis.workflows.stream_facts import StreamFacts

__all__ = ["anomalies"]

HARMFUL = ("Exceeded", "IteratorAgeMilliseconds", "Latency", "FailedRecords")
"""Endings of the metrics of which more is worse."""

UNITS = {"Milliseconds": "ms", "Bytes": "bytes", "Count": ""}
"""CloudWatch's units as facts have them; what is counted is in the metric's name."""

TOGETHER = timedelta(minutes=30)
RECENT = timedelta(hours=24)
_TOLD = 10


@dataclass(frozen=True)
class _Alarm:
    """A point that the detector calls odd."""

    index: int
    score: float
    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class _Judged:
    """A series, its alarms, and the band of every point."""

    name: str
    series: MetricSeries
    alarms: tuple[_Alarm, ...]
    low: tuple[float | None, ...]
    high: tuple[float | None, ...]


def anomalies(stream: StreamFacts, _options: Options) -> WorkflowResult:
    """A finding for each series with alarms; a chart for each stream-level series, and for each shard's with alarms."""
    judged = [_judge(name, series) for name, series in _all(stream)]
    odd = [one for one in judged if one.alarms]
    drawn = [one for one in judged if one.alarms or one.name in stream.series]
    charts = tuple(chart for one in drawn if (chart := _chart(one)) is not None)
    count = Fact("series with anomalies", len(odd), "series", "detector")
    seen = Fact("series judged", len(judged), "series", "detector")
    findings = (*(_told(one, stream) for one in odd), *_together(odd), *_none(judged, odd, count, seen))
    return WorkflowResult(findings, (count, seen), charts)


def _all(stream: StreamFacts) -> Iterator[tuple[str, MetricSeries]]:
    """Every series with a point, by its name; a shard's with the shard's id before it."""
    for name, series in stream.series.items():
        if series.known:
            yield name, series
    for shard, by_name in stream.shards.items():
        for name, series in by_name.items():
            if series.known:
                yield f"{shard} {name}", series


def _judge(name: str, series: MetricSeries) -> _Judged:
    detector = Detector()
    began, period = series.start.timestamp(), series.period
    least = 0.0 if min(series.known) >= 0.0 else -math.inf  # what was never negative is not expected to be
    alarms: list[_Alarm] = []
    low: list[float | None] = []
    high: list[float | None] = []
    for index, value in enumerate(series.values):
        score, lowest, highest, _ = detector.observe(began + index * period, value)
        lowest = None if lowest is None else max(lowest, least)
        low.append(lowest)
        high.append(highest)
        if score >= THRESHOLD and value is not None:
            alarms.append(_Alarm(index, score, value, lowest, highest))
    return _Judged(name, series, tuple(alarms), tuple(low), tuple(high))


def _chart(one: _Judged) -> Chart | None:
    marks = {alarm.index: _when(one.series, alarm) for alarm in one.alarms}
    return chart_of(
        f"anomalies {one.name}",
        f"{one.name}, {one.series.statistic} of {one.series.period} s, with the expected band",
        {one.series.name: one.series},
        unit=UNITS.get(one.series.unit, one.series.unit),
        band=(one.low, one.high),
        marks=marks,
    )


def _when(series: MetricSeries, alarm: _Alarm) -> str:
    return series.at(alarm.index).strftime("%Y-%m-%d %H:%M UTC")


def _told(one: _Judged, stream: StreamFacts) -> Finding:
    series = one.series
    strongest = max(one.alarms, key=lambda alarm: (alarm.score, alarm.index))
    count = series.fact(f"{one.name}, alarms", len(one.alarms), "alarms", "detector")
    when = series.fact(f"{one.name}, strongest at", _when(series, strongest), "", "detector")
    unit = UNITS.get(series.unit, series.unit)
    value = series.fact(f"{one.name}, strongest", strongest.value, unit, "point")
    above = strongest.high is not None and strongest.value > strongest.high
    below = strongest.low is not None and strongest.value < strongest.low
    evidence = [count, when, value]
    words = f"{one.name} had {count.text}; the strongest was {value.text} at {when.text}"
    if (above or below) and strongest.low is not None and strongest.high is not None:
        low = series.fact(f"{one.name}, expected at least", strongest.low, unit, "detector")
        high = series.fact(f"{one.name}, expected at most", strongest.high, unit, "detector")
        evidence += [low, high]
        words += f", where {low.text} to {high.text} was expected"
    evidence += [
        series.fact(f"{one.name}, anomaly {i + 1}", _when(series, alarm), "", f"score {alarm.score:.2f}")
        for i, alarm in enumerate(one.alarms[:_TOLD])
    ]
    recent = stream.now - series.at(one.alarms[-1].index) <= RECENT
    harmful = one.name.endswith(HARMFUL) and not below
    return Finding(
        f"anomaly-{_slug(one.name)}",
        "warning" if harmful and recent else "info",
        words,
        tuple(evidence),
        "See what changed at that time: deployments, a reshard, a job that began or ended."
        if above or below
        else "Its value alone is usual: it is the change, or how much the points move about, that is not.",
    )


def _slug(name: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in name.lower())


def _together(odd: list[_Judged]) -> Iterator[Finding]:
    """The time at which most metrics were odd, where at least two were."""
    moments = sorted((one.series.at(alarm.index), one.name) for one in odd for alarm in one.alarms)
    best: set[str] = set()
    began = None
    first = 0
    for last, (at, _) in enumerate(moments):
        while at - moments[first][0] > TOGETHER:
            first += 1
        names = {name for _, name in moments[first : last + 1]}
        if len(names) > max(1, len(best)):
            best, began = names, moments[first][0]
    if began is None:
        return
    count = Fact("metrics odd together", len(best), "metrics", "alarms within half an hour")
    when = Fact("odd together from", began.strftime("%Y-%m-%d %H:%M UTC"), "", "detector")
    names_ = tuple(Fact(name, when.value, "", "detector") for name in sorted(best))
    yield Finding(
        "anomalies-together",
        "info",
        f"There were {count.text} odd at about the same time, from {when.text}",
        (count, when, *names_),
        "Look for what they share, before what each has alone.",
    )


def _none(judged: list[_Judged], odd: list[_Judged], count: Fact, seen: Fact) -> Iterator[Finding]:
    if odd:
        return
    learned = [one for one in judged if len(one.series.known) > LEARNING]
    least = Fact("points to learn from", LEARNING, "points", "detector")
    if not learned:
        words = f"No series has more than the {least.text} that the detector learns from"
        yield Finding("anomalies-unknown", "info", words, (least, seen), "Analyze a longer range.")
    else:
        yield Finding("no-anomalies", "info", f"Nothing is odd in {seen.text}", (seen, count, least), "Nothing to do.")
