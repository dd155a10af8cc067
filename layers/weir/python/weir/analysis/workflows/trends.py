"""Whether a series grows, how strongly it repeats itself by the hour and by the day, and how uneven it is.

- Growth: the Theil-Sen slope (the median of the slopes between all pairs; Sen, Estimates of the regression coefficient
  based on Kendall's tau, 1968), evident when Kendall's tau says so (Mann, Nonparametric tests against trend, 1945).
  Neither minds a few wild points.
- Seasons: the share of the variance between hours that a profile by hour of day, or by hour of week, explains, adjusted
  for the number of its parts, after the trend and the wildest points are taken away (Hyndman and Athanasopoulos,
  Forecasting: Principles and Practice, "strength of seasonality").
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from weir.analysis.workflows.series import MetricSeries

__all__ = ["SEASONAL", "Season", "Trend", "season_of", "trend_of"]

SURE = 2.58
"""Standard deviations of Kendall's S from which a trend is evident: one series without any in a hundred passes."""

SEASONAL = 0.4
"""Share of the variance that a profile must explain to be one."""

_POINTS = 120
_FEWEST = 6
_DAY = 86_400
_WILD = 0.02


@dataclass(frozen=True)
class Trend:
    """A slope in the series' unit a day, its change over the whole range, and whether it is more than chance."""

    a_day: float
    change: float
    evident: bool


@dataclass(frozen=True)
class Season:
    """A profile: the share of the variance that it explains, and each part's mean (None where it has no point)."""

    strength: float
    profile: tuple[float | None, ...]


def trend_of(series: MetricSeries) -> Trend | None:
    """The trend of the known points; None for fewer than six. More than 120 are joined to so many means first."""
    if len(series) > _POINTS:
        series = series.blocks(series.period * math.ceil(len(series) / _POINTS))
    points = [(i, value) for i, value in enumerate(series.values) if value is not None]
    n = len(points)
    if n < _FEWEST:
        return None
    slopes = [(w - v) / (j - i) for k, (i, v) in enumerate(points) for j, w in points[k + 1 :]]
    concordance = sum((slope > 0) - (slope < 0) for slope in slopes)
    ties = _tied([value for _, value in points])
    variance = (n * (n - 1) * (2 * n + 5) - ties) / 18
    z = (abs(concordance) - 1) / math.sqrt(variance) if variance > 0 and concordance else 0.0
    slope = median(slopes)
    return Trend(slope * _DAY / series.period, slope * (points[-1][0] - points[0][0]), z >= SURE)


def _tied(values: Sequence[float]) -> int:
    """What equal values take from the variance of Kendall's S."""
    counts: dict[float, int] = {}
    for value in values:
        counts[value] = counts.get(value, 0) + 1
    return sum(t * (t - 1) * (2 * t + 5) for t in counts.values())


def season_of(hours: MetricSeries, parts: int) -> Season | None:
    """The profile of a cycle of so many hours; None where fewer than two whole cycles of points are known."""
    points = [(i, value) for i, value in enumerate(hours.values) if value is not None]
    if hours.period != 3600 or len(points) < 2 * parts:
        return None
    first = int(hours.start.timestamp()) // hours.period
    levels = _without_trend(hours, points)
    sums, counts = [0.0] * parts, [0] * parts
    means = [0.0] * parts
    raw = [0.0] * parts
    for (i, value), level in zip(points, levels, strict=True):
        part = (first + i) % parts
        sums[part] += level
        raw[part] += value
        counts[part] += 1
    means = [total / n if n else 0.0 for total, n in zip(sums, counts, strict=True)]
    middle = math.fsum(levels) / len(levels)
    whole = math.fsum((level - middle) ** 2 for level in levels)
    left = math.fsum((level - means[(first + i) % parts]) ** 2 for (i, _), level in zip(points, levels, strict=True))
    used = sum(1 for n in counts if n)
    freedom = len(points) - used
    strength = 1 - (left / freedom) / (whole / (len(points) - 1)) if whole > 0 and freedom > 0 else 0.0
    profile = tuple(total / n if n else None for total, n in zip(raw, counts, strict=True))
    return Season(max(0.0, strength), profile)


def _without_trend(hours: MetricSeries, points: Sequence[tuple[int, float]]) -> list[float]:
    """The points without the trend of their daily means, the wildest cut to the usual extremes."""
    trend = trend_of(hours.blocks(_DAY))
    slope = trend.a_day * hours.period / _DAY if trend is not None and trend.evident else 0.0
    levels = [value - slope * i for i, value in points]
    ordered = sorted(levels)
    cut = int(len(ordered) * _WILD)
    low, high = ordered[cut], ordered[-1 - cut]
    return [min(max(level, low), high) for level in levels]
