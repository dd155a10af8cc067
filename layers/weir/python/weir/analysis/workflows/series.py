"""A metric on a regular grid, of which some points may be missing: unknown, never zero.

Statistics are over the points that are known. Those that need order look at `values`; all others are the same whatever
the order is, to the last bit (sums are `math.fsum`, quantiles are of the sorted points).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING

from weir.analysis.anomalies import HUGE
from weir.analysis.facts import Fact, Origin

if TYPE_CHECKING:
    from weir.streams.metrics import GridSeries, Range, Series

__all__ = ["MetricSeries"]

ENOUGH = 0.5
"""Share of a block's points that must be known for the block to have a mean."""


@dataclass(frozen=True)
class MetricSeries:
    """Value `i` is of the period that begins at `start` + `i` x `period` seconds; None where there is none.

    `complete` says that CloudWatch gave all it has and that nothing is still to come, not that no point is missing.
    """

    name: str
    statistic: str
    unit: str
    period: int
    start: datetime
    values: tuple[float | None, ...]
    complete: bool = True

    def __post_init__(self) -> None:
        if self.period < 1:
            raise ValueError("a period has at least a second")
        # NaN, infinities and the absurd are no measurements; a sum finds out at C's speed whether there may be any.
        if not sum(map(abs, filter(None, self.values))) < HUGE:
            clean = tuple(v if v is not None and -HUGE < v < HUGE else None for v in self.values)
            object.__setattr__(self, "values", clean)

    @classmethod
    def from_grid(cls, grid: GridSeries, span: Range) -> MetricSeries:
        """What `weir.streams.metrics.on_grid` gave for `span`."""
        return cls(grid.name, grid.stat, grid.unit, span.period, span.start, grid.values, grid.complete)

    @classmethod
    def from_points(cls, series: Series, span: Range) -> MetricSeries:
        """A CloudWatch series on the grid of `span`, whatever the order of its points and however skewed their clocks.

        A point belongs to the period that holds its time; those outside of `span` are left out. A time that comes
        twice is one point, the later one; several times in one period are joined as the statistic would.
        """
        inside: dict[int, dict[datetime, float]] = {}
        for at, value in series.points:
            index = math.floor((at - span.start).total_seconds() / span.period)
            if 0 <= index < len(span) and -HUGE < value < HUGE:
                inside.setdefault(index, {})[at] = value
        values: list[float | None] = [None] * len(span)
        for index, found in inside.items():
            values[index] = _joined(series.stat, found.values())
        return cls(series.name, series.stat, series.unit, span.period, span.start, tuple(values), series.complete)

    def __len__(self) -> int:
        return len(self.values)

    @property
    def end(self) -> datetime:
        """The end of the last period."""
        return self.start + timedelta(seconds=self.period * len(self.values))

    def at(self, index: int) -> datetime:
        """When period `index` begins."""
        return self.start + timedelta(seconds=self.period * index)

    @cached_property
    def known(self) -> list[float]:
        """The points that there are, in their order."""
        return [value for value in self.values if value is not None]

    @property
    def missing(self) -> int:
        """Periods without a point."""
        return len(self.values) - len(self.known)

    @property
    def completeness(self) -> float:
        """The share of periods that have a point; 0 for a series of no periods."""
        return len(self.known) / len(self.values) if self.values else 0.0

    @property
    def whole(self) -> bool:
        """Whether every period has its point and none can still change."""
        return self.complete and bool(self.values) and not self.missing

    @cached_property
    def _ordered(self) -> list[float]:
        return sorted(self.known)

    @cached_property
    def total(self) -> float | None:
        """The sum of the known points; None when none is."""
        return math.fsum(self.known) if self.known else None

    @property
    def mean(self) -> float | None:
        """The mean of the known points; None when none is."""
        return None if self.total is None else self.total / len(self.known)

    @property
    def highest(self) -> float | None:
        """The greatest known point; None when none is."""
        return self._ordered[-1] if self.known else None

    @property
    def last(self) -> float | None:
        """The latest known point; None when none is."""
        return self.known[-1] if self.known else None

    def quantile(self, q: float) -> float | None:
        """The least known point that at least the share `q` of them does not pass (nearest rank); None when none is."""
        if not self.known:
            return None
        return self._ordered[max(0, math.ceil(q * len(self.known) - 1e-9) - 1)]

    def above(self, limit: float) -> int:
        """Known points of at least `limit`."""
        return sum(1 for value in self.known if value >= limit)

    def rest(self, since: datetime) -> MetricSeries:
        """The periods that begin at `since` or later."""
        skipped = max(0, math.ceil((since - self.start).total_seconds() / self.period))
        return self if not skipped else replace(self, start=self.at(skipped), values=self.values[skipped:])

    def blocks(self, seconds: int) -> MetricSeries:
        """Means over blocks of `seconds`, cut where UTC's are; None where less than half of a block is known.

        The means are still those of the series' own periods, so that a block with gaps weighs as one without.
        The series itself where it is as coarse already.
        """
        if seconds <= self.period:
            return self
        wide = seconds // self.period
        lead = int(self.start.timestamp()) % seconds // self.period
        means: list[float | None] = []
        for edge in range(-lead, len(self.values), wide):
            block = [v for v in self.values[max(0, edge) : edge + wide] if v is not None]
            means.append(math.fsum(block) / len(block) if len(block) >= ENOUGH * wide else None)
        return replace(self, period=wide * self.period, start=self.at(-lead), values=tuple(means))

    @property
    def origin(self) -> Origin:
        """Where a number that was reckoned from the series comes from."""
        known = len(self.known)
        return Origin(self.name, self.statistic, self.period, self.start, self.end, known, len(self.values) - known)

    def fact(self, name: str, value: float | str | None, unit: str, how: str = "", *, complete: bool = True) -> Fact:
        """A fact that was reckoned from the series, `how` in words; `complete=False` where it is a bound for more."""
        if isinstance(value, float) and not math.isfinite(value):
            value = None  # a share of next to nothing is no number to tell
        source = f"AWS/Kinesis {self.name}, {self.statistic} of {self.period} s{f': {how}' if how else ''}"
        return Fact(name, value, unit, source, complete and self.whole, self.origin)


def _joined(statistic: str, values: Iterable[float]) -> float:
    found: Sequence[float] = list(values)
    if statistic == "Sum":
        return math.fsum(found)
    return max(found) if statistic == "Maximum" else math.fsum(found) / len(found)
