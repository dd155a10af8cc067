"""How a stream's load moves: by the hour of the day, by the day of the week, in the long run, at its peaks, in bursts.

Hours are UTC. A pattern is told when it explains enough of the variance between the hours (`shape`,
`trends`); bursts below the period of CloudWatch's points are seen in a run's own measurement only.
"""

from __future__ import annotations

from collections.abc import Iterator

from weir.analysis.facts import Fact
from weir.analysis.findings import Finding
from weir.analysis.utilization import peak_load
from weir.analysis.workflows.results import Chart, Line, Options, WorkflowResult
from weir.analysis.workflows.shape import Shape
from weir.analysis.workflows.stream_facts import StreamFacts

__all__ = ["patterns"]

MOVED = 10.0
"""Percent of the mean by which a load must change over the range for its trend to be told."""

PEAKED = 3.0
"""Times the mean that a p99 must reach for the load to be called peaked."""

BURSTING = 2.0
"""Times the busiest minute's mean that its busiest second must reach to be a burst."""

_HOUR, _DAY = 3600, 86_400


def patterns(stream: StreamFacts, _options: Options) -> WorkflowResult:
    """Seasons, trend, peaks and bursts, and the day's profile as a chart."""
    shape = stream.shape
    if shape is None:
        return WorkflowResult(tuple(_bursts(stream)))
    findings = (*_seasons(shape), *_trend(shape), *_peaks(shape), *_bursts(stream))
    return WorkflowResult(findings, _strengths(shape), tuple(_profile(shape)))


def _rate(shape: Shape, name: str, value: float, how: str) -> Fact:
    """A mean per period as a rate: records, or KiB, a second."""
    records = shape.load.name == "IncomingRecords"
    scale = shape.load.period * (1 if records else 1024)
    return shape.load.fact(name, value / scale, "records/s" if records else "KiB/s", how)


def _strengths(shape: Shape) -> tuple[Fact, ...]:
    return tuple(
        shape.load.fact(f"{name} season", None if season is None else 100 * season.strength, "%", "variance explained")
        for name, season in (("daily", shape.day), ("weekly", shape.week))
    )


def _seasons(shape: Shape) -> Iterator[Finding]:
    day, week = _strengths(shape)
    if shape.day is None:
        yield Finding(
            "season-unknown",
            "info",
            "The range is too short to tell whether the load follows the hours of the day",
            (shape.load.fact("days of points", len(shape.load.known) * shape.load.period / _DAY, "days"), day),
            "Analyze a longer range.",
        )
        return
    if not shape.daily and not shape.weekly:
        words = f"The load follows no daily pattern: it explains {day.text} of the variance"
        yield Finding("no-season", "info", words, (day, week), "Nothing to do.")
        return
    by_hour = [(value, hour) for hour, value in enumerate(shape.day.profile) if value is not None]
    (most, busiest), (least, quietest) = max(by_hour), min(by_hour)
    high = _rate(shape, "busiest hour of the day", most, "mean of that hour")
    low = _rate(shape, "quietest hour of the day", least, "mean of that hour")
    at_most, at_least = (
        shape.load.fact(f"{name} hour begins", f"{hour:02d}:00 UTC", "")
        for name, hour in (("busiest", busiest), ("quietest", quietest))
    )
    words = f"The load follows the hours of the day: {high.text} from {at_most.text}, {low.text} from {at_least.text}"
    if shape.daily:
        yield Finding(
            "daily-season", "info", words, (day, high, low, at_most, at_least),
            "Scale before the busy hours rather than after their first throttle, and measure at the peak.",
        )  # fmt: skip
    if shape.weekly:
        words = f"The days of the week matter: by hour of week, {week.text} of the variance is explained"
        yield Finding("weekly-season", "info", words, (week, day), "Judge a day by the same day of another week.")


def _trend(shape: Shape) -> Iterator[Finding]:
    change, trend = shape.change, shape.trend
    if change is None or trend is None or abs(change) < MOVED:
        return
    grows = change > 0
    moved = shape.load.fact("change over the range", abs(change), "%", "Theil-Sen slope x range / mean")
    a_day = shape.load.fact(
        "change a day", 100 * abs(trend.a_day) / (shape.load.mean or 1.0), "%/day", "slope a day / mean"
    )
    yield Finding(
        "load-grows" if grows else "load-shrinks",
        "info",
        f"The load {'grew' if grows else 'shrank'} by {moved.text} of its mean over the range, {a_day.text}",
        (moved, a_day),
        "Look again before the shards are full." if grows else "See whether fewer shards would do.",
    )


def _peaks(shape: Shape) -> Iterator[Finding]:
    load = shape.load
    mean, p99, top = load.mean, load.quantile(0.99), load.highest
    if not mean or p99 is None or top is None:
        return
    facts = (
        _rate(shape, "load, mean", mean, "mean of the periods"),
        _rate(shape, "load, p99", p99, "p99 of the periods"),
        _rate(shape, "load, highest", top, "busiest period"),
        load.fact("peak began", load.at(load.values.index(top)).strftime("%Y-%m-%d %H:%M UTC"), ""),
    )
    times = load.fact("p99 by mean", p99 / mean, "times", "p99 / mean")
    peaked = p99 >= PEAKED * mean
    yield Finding(
        "load-peaks" if peaked else "load-even",
        "info",
        f"At p99 the load is {times.text} its mean; its peak was {facts[2].text}",
        (times, *facts),
        "Capacity for the peak stands idle most of the time: compare with on-demand capacity."
        if peaked
        else "Nothing to do.",
    )


def _bursts(stream: StreamFacts) -> Iterator[Finding]:
    run = stream.measurement
    second, minute = (peak_load(run, 1), peak_load(run, 60)) if run is not None else (None, None)
    if second is None or minute is None or not minute.records:
        return
    facts = (
        Fact("busiest second", second.records, "records/s", "run: arrivals"),
        Fact("busiest minute", minute.records, "records/s", "run: arrivals / 60"),
    )
    times = Fact("busiest second by busiest minute", second.records / minute.records, "times", "run: arrivals")
    if second.records >= BURSTING * minute.records:
        yield Finding(
            "bursts",
            "info",
            f"The busiest second brought {facts[0].text}, {times.text} the mean of the busiest minute",
            stream.of_run((times, *facts)),
            "Minutes hide this: quotas are a second's. Size for the second, or pace the writers.",
        )


def _profile(shape: Shape) -> Iterator[Chart]:
    if shape.day is None:
        return
    records = shape.load.name == "IncomingRecords"
    scale = shape.load.period * (1 if records else 1024)
    values = tuple(None if value is None else float(f"{value / scale:.6g}") for value in shape.day.profile)
    unit = "records/s" if records else "KiB/s"
    yield Chart("day", "Mean load by hour of the day (UTC)", unit, "", _HOUR, (Line("mean", values),))
