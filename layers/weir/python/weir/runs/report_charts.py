"""The report's pictures, as inline SVG: latency histogram, arrivals per shard, timeline of the steps.

Colours are CSS classes, so that one picture serves light, dark and print. Every text is escaped here. A chart without
data says so in words; none is ever drawn empty.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime

from weir.analysis import drawing as draw
from weir.runs.models import Step
from weir.runs.report import Arrivals, Latency, ReportShard
from weir.streams.pacing import SHARD_RECORDS_PER_SECOND

__all__ = ["arrivals_chart", "latency_chart", "milliseconds", "seconds", "timeline_chart"]

MAX_LINES = 8
"""More shards than these are drawn as a heat map: lines can't be told apart any more."""

_COLUMNS = 120
"""Longer runs are drawn by the mean of neighbouring intervals, else lines become bands."""

_CLOCK_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 21_600, 43_200, 86_400)
_HEAT_LEVELS = 8


def milliseconds(ms: float) -> str:
    """A latency in the unit that reads best, three digits at most: `840 µs`, `12.3 ms`, `4.51 s`."""
    if ms < 1:
        return f"{ms * 1000:.3g} µs"
    if ms < 999.5:
        return f"{ms:.3g} ms"
    return f"{ms / 1000:.3g} s" if ms < 99_950 else seconds(ms / 1000)


def seconds(s: float) -> str:
    """A duration in words: `0.4 s`, `12 s`, `3 min 05 s`, `2 h 10 min`."""
    if s < 9.95:
        return f"{s:.1f} s"
    if s < 119.5:
        return f"{s:.0f} s"
    minutes, rest = divmod(round(s), 60)
    if minutes < 120:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def latency_chart(latency: Latency | None) -> str:
    """A histogram on a logarithmic time axis, with lines at p50, p95 and p99."""
    if latency is None:
        return draw.nothing("No record was read back, so there is no latency to show.")
    top, height = 74.0, 200.0
    bins = latency.bins
    # At least one decade wide, so that a narrow distribution isn't blown up into slabs.
    low, high = math.log10(bins[0].from_ms), math.log10(bins[-1].to_ms)
    spare = max(0.0, 1.0 - (high - low)) / 2 + 0.05
    low, high = low - spare, high + spare

    def x(ms: float) -> float:
        return draw.LEFT + draw.PLOT * (math.log10(max(ms, 10**low)) - low) / (high - low)

    ticks = draw.ticks_to(max(b.n for b in bins))
    parts = [draw.y_axis(ticks, top, height, "records")]
    for b in bins:
        if b.n:
            tall = max(1.0, height * b.n / ticks[-1])
            tip = f"{milliseconds(b.from_ms)} to {milliseconds(b.to_ms)}: {b.n:,} records ({b.n / latency.count:.2%})"
            wide = x(b.to_ms) - x(b.from_ms)
            parts.append(draw.rect(x(b.from_ms) + 0.5, top + height - tall, max(1.0, wide - 1), tall, "bar", tip))
    parts.append(_log_axis(low, high, top + height))
    marks = (("p50", latency.p50_ms), ("p95", latency.p95_ms), ("p99", latency.p99_ms))
    drawn = [_quantile(x(ms), 18 + row * 18, top + height, name, ms) for row, (name, ms) in enumerate(marks)]
    # All lines first: a label's halo then covers the line that it crosses.
    parts += [line for line, _ in drawn] + [label for _, label in drawn]
    label = f"Latency of {latency.count:,} records: " + ", ".join(f"{name} {milliseconds(ms)}" for name, ms in marks)
    return draw.svg(top + height + 34, "".join(parts), label)


def _quantile(x: float, label_y: float, bottom: float, name: str, ms: float) -> tuple[str, str]:
    """A line from its label down, and the label; labels stand in rows of their own, so they can't overlap."""
    after = x < draw.WIDTH - 130
    words = f"{name}  {milliseconds(ms)}"
    label = draw.text(x + (6 if after else -6), label_y, words, f"mark-text {name}", "start" if after else "end")
    return draw.line(x, label_y - 10, x, bottom, f"mark {name}"), label


def _log_axis(low: float, high: float, y: float) -> str:
    """Labels at 1, 2 and 5 of each decade where there is room, else at the decades."""
    wide = draw.PLOT / (high - low)
    steps = (1, 2, 5) if wide >= 200 else (1, 3) if wide >= 120 else (1,)
    every = max(1, math.ceil(70 / wide))
    parts = [draw.line(draw.LEFT, y, draw.LEFT + draw.PLOT, y, "axis")]
    for decade in range(math.floor(low), math.ceil(high) + 1):
        for step in steps:
            at = decade + math.log10(step)
            if low <= at <= high and decade % every == 0:
                x = draw.LEFT + wide * (at - low)
                parts.append(draw.line(x, y, x, y + 5, "axis"))
                parts.append(draw.text(x, y + 20, milliseconds(step * 10.0**decade), "tick", "middle"))
    return "".join(parts)


def arrivals_chart(arrivals: Arrivals | None, shards: Sequence[ReportShard]) -> str:
    """Records a second of each shard: lines for a few shards, a heat map for many."""
    if arrivals is None:
        return draw.nothing("No record arrived, so there is nothing to show by the second.")
    if len(shards) > MAX_LINES:
        return _heat_map(arrivals, shards)
    return _lines(arrivals, shards)


def _coarse(counts: Sequence[int], arrivals: Arrivals) -> list[float]:
    """Records a second in at most `_COLUMNS` stretches of equal length, the last one cut short by the end."""
    merge = math.ceil(arrivals.intervals / _COLUMNS)
    stretches = [counts[i : i + merge] for i in range(0, len(counts), merge)]
    return [sum(stretch) / len(stretch) / arrivals.width_s for stretch in stretches]


def _lines(arrivals: Arrivals, shards: Sequence[ReportShard]) -> str:
    top, height = 34.0 + 20 * math.ceil(len(shards) / 4), 200.0
    rates = [_coarse(shard.arrivals, arrivals) for shard in shards]
    most = max(max(rate) for rate in rates)
    # The quota gives the lines their meaning, unless it is so far above them that it would flatten them.
    near_quota = most > SHARD_RECORDS_PER_SECOND * 0.3
    ticks = draw.ticks_to(max(most, SHARD_RECORDS_PER_SECOND) if near_quota else most)
    parts = [draw.y_axis(ticks, top, height, "records/s")]
    if near_quota:
        y = top + height * (1 - SHARD_RECORDS_PER_SECOND / ticks[-1])
        parts.append(draw.line(draw.LEFT, y, draw.LEFT + draw.PLOT, y, "quota"))
        parts.append(
            draw.text(draw.LEFT + draw.PLOT, y - 5, f"quota of a shard, {SHARD_RECORDS_PER_SECOND:,.0f}", "tick", "end")
        )
    stretch = draw.PLOT * math.ceil(arrivals.intervals / _COLUMNS) / arrivals.intervals
    for index, (shard, rate) in enumerate(zip(shards, rates, strict=True)):
        x, y = draw.LEFT + index % 4 * draw.PLOT / 4, 16 + 20 * (index // 4)
        parts.append(
            draw.line(x, y - 4, x + 18, y - 4, f"line s{index}") + draw.text(x + 24, y, shard.shard_id, "legend")
        )
        parts.append(f'<path d="{_steps(rate, stretch, ticks[-1], top, height)}" class="line s{index}"/>')
    parts += _tips(arrivals, shards, rates, stretch, top, height)
    parts.append(_time_axis(arrivals, top + height))
    total = sum(sum(shard.arrivals) for shard in shards)
    return draw.svg(top + height + 34, "".join(parts), f"Arrivals of {total:,} records over {len(shards)} shards")


def _steps(rates: Sequence[float], stretch: float, most: float, top: float, height: float) -> str:
    """A path of steps: a rate belongs to its whole stretch, and a single stretch is still a line."""
    path = []
    for i, rate in enumerate(rates):
        y, end = top + height * (1 - rate / most), min(draw.LEFT + (i + 1) * stretch, draw.LEFT + draw.PLOT)
        path.append(f"{'V' if i else f'M{draw.LEFT} '}{y:.1f}H{end:.1f}")
    return "".join(path)


def _tips(
    arrivals: Arrivals,
    shards: Sequence[ReportShard],
    rates: Sequence[Sequence[float]],
    stretch: float,
    top: float,
    height: float,
) -> list[str]:
    """What the pointer shows over each stretch: the moment and every shard's rate."""
    seconds_each = math.ceil(arrivals.intervals / _COLUMNS) * arrivals.width_s
    tips = []
    for i in range(len(rates[0])):
        after = i * seconds_each
        moment = datetime.fromtimestamp(arrivals.start_s + after, UTC)
        told = [f"{shard.shard_id}: {draw.plain(rate[i])}" for shard, rate in zip(shards, rates, strict=True)]
        tip = "\n".join([f"{moment:%H:%M:%S}Z (+{after} s), records/s", *told])
        x = draw.LEFT + i * stretch
        tips.append(draw.rect(x, top, min(stretch, draw.LEFT + draw.PLOT - x), height, "hover", tip))
    return tips


def _heat_map(arrivals: Arrivals, shards: Sequence[ReportShard]) -> str:
    """One row a shard, one column a moment; the darker, the more records a second."""
    rates = [_coarse(shard.arrivals, arrivals) for shard in shards]
    row, top, wide = (16.0 if len(shards) <= 24 else 9.0), 34.0, draw.PLOT / len(rates[0])
    most = max(max(rate) for rate in rates) or 1.0
    paths: list[list[str]] = [[] for _ in range(_HEAT_LEVELS)]
    for r, rate in enumerate(rates):
        for c, height in enumerate(rate):
            if height:
                level = min(_HEAT_LEVELS - 1, int(height * _HEAT_LEVELS / most))
                paths[level].append(
                    f"M{draw.LEFT + c * wide:.1f} {top + r * row:.1f}h{wide:.2f}v{row - 1:.0f}h-{wide:.2f}z"
                )
    parts = [f'<path d="{"".join(path)}" class="heat h{level}"/>' for level, path in enumerate(paths) if path]
    every = 1 if row >= 14 else 4
    for r, shard in enumerate(shards):
        y = top + r * row
        if r % every == 0:
            parts.append(draw.text(draw.LEFT - 6, y + min(row, 12) - 1, _short(shard.shard_id), "tick", "end"))
        busiest = draw.plain(shard.peak_per_second or 0)
        tip = f"{shard.shard_id}: {sum(shard.arrivals):,} records, busiest second {busiest}/s"
        parts.append(draw.rect(draw.LEFT, y, draw.PLOT, row - 1, "hover", tip))
    bottom = top + len(shards) * row
    parts.append(_scale(most))
    parts.append(_time_axis(arrivals, bottom))
    more = ", the busiest; the others are left out" if arrivals.others else ""
    return draw.svg(bottom + 34, "".join(parts), f"Records per second of {len(shards)} shards{more}")


def _scale(most: float) -> str:
    """The legend of the heat map."""
    x = draw.LEFT + 150.0
    boxes = "".join(draw.rect(x + level * 18, 8, 18, 12, f"heat h{level}") for level in range(_HEAT_LEVELS))
    first = draw.text(draw.LEFT, 18, "records/s of a shard:  0", "legend")
    return first + boxes + draw.text(x + _HEAT_LEVELS * 18 + 8, 18, draw.plain(most), "legend")


def _short(shard_id: str) -> str:
    """`shardId-000000000012` as `…0012`: the margin is narrow, the full name is in the hover title."""
    return shard_id if len(shard_id) <= 8 else "…" + shard_id[-5:]


def _time_axis(arrivals: Arrivals, y: float) -> str:
    """Time since the first arrival."""
    span = arrivals.intervals * arrivals.width_s
    parts = [draw.line(draw.LEFT, y, draw.LEFT + draw.PLOT, y, "axis")]
    for tick, words in _time_ticks(span):
        x = draw.LEFT + draw.PLOT * tick / span
        anchor = "middle" if x < draw.WIDTH - 40 else "end"
        parts.append(draw.line(x, y, x, y + 5, "axis") + draw.text(x, y + 20, words, "tick", anchor))
    return "".join(parts)


def _time_ticks(span: float) -> list[tuple[float, str]]:
    """Moments of a clock's steps within `span` seconds, at most nine, with their labels in one unit."""
    if span < 8:
        return [(tick, f"{tick:g} s") for tick in draw.ticks_to(span, 8) if tick <= span]
    step = next((step for step in _CLOCK_STEPS if span / step <= 8), math.ceil(span / 8 / 86_400) * 86_400)
    size, unit = (1, "s") if step < 60 else (60, "min") if step < 3600 else (3600, "h")
    return [(step * i, f"{step * i / size:g} {unit}") for i in range(int(span // step) + 1)]


def timeline_chart(steps: Sequence[Step], until: datetime) -> str:
    """A bar for each step from its start to its end; a step that never ended reaches to `until`."""
    if not steps:
        return draw.nothing("No step was reached.")
    begin = min(step.started_at for step in steps)
    finish = max(max(step.ended_at or until for step in steps), begin)
    span = max((finish - begin).total_seconds(), 0.1)
    left, row, top = 150.0, 26.0, 8.0
    plot = draw.WIDTH - left - 140
    bottom = top + row * len(steps)
    parts = []
    for tick, words in _time_ticks(span):
        x = left + plot * tick / span
        parts.append(draw.line(x, top, x, bottom, "grid") + draw.text(x, bottom + 18, words, "tick", "middle"))
    for index, step in enumerate(steps):
        start = (step.started_at - begin).total_seconds()
        took = max(0.0, ((step.ended_at or until) - step.started_at).total_seconds())
        y, x, wide = top + index * row, left + plot * start / span, max(2.0, plot * took / span)
        words = seconds(took) + ("" if step.ended_at else ", not ended")
        tip = f"{step.name}: {step.status}, {words}" + (f"\n{step.detail}" if step.detail else "")
        parts.append(draw.text(left - 10, y + 17, step.name, "step", "end"))
        parts.append(draw.rect(x, y + 4, wide, row - 8, f"step-bar {step.status.lower()}", tip))
        parts.append(draw.text(x + wide + 6, y + 17, words, "tick"))
    return draw.svg(bottom + 28, "".join(parts), f"Timeline of {len(steps)} steps over {seconds(span)}")
