"""What is regular about a stream's load: the hours of its day, the days of its week, its trend."""

from __future__ import annotations

from dataclasses import dataclass

from weir.analysis.workflows.series import MetricSeries
from weir.analysis.workflows.trends import SEASONAL, Season, Trend, season_of, trend_of

__all__ = ["Shape", "shape_of"]

WEEKLY = 0.1
"""How much more of the variance a weekly profile must explain than a daily one."""

_HOUR, _DAY = 3600, 86_400


@dataclass(frozen=True)
class Shape:
    """The load in question (records, else bytes), over the longest time known, and what is regular about it."""

    load: MetricSeries
    day: Season | None
    week: Season | None
    trend: Trend | None

    @property
    def daily(self) -> bool:
        """Whether it follows the hours of the day."""
        return self.day is not None and self.day.strength >= SEASONAL

    @property
    def weekly(self) -> bool:
        """Whether the days of the week matter besides."""
        least = SEASONAL if self.day is None else max(SEASONAL, self.day.strength + WEEKLY)
        return self.week is not None and self.week.strength >= least

    @property
    def change(self) -> float | None:
        """The trend's change over the range in percent of the mean; None where no trend is evident."""
        if self.trend is None or not self.trend.evident or not self.load.mean:
            return None
        return 100 * self.trend.change / self.load.mean


def shape_of(load: MetricSeries) -> Shape:
    """What is regular about a load: by its hours, and the trend of its days."""
    hours = load.blocks(_HOUR)
    return Shape(load, season_of(hours, 24), season_of(hours, 168), trend_of(hours.blocks(_DAY)))
