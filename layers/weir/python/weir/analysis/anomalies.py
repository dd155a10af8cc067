"""An online detector of anomalies: one metric series, point by point, with one threshold for all series.

A point is odd when something about it lies outside the range where that has been so far in this series
(`anomaly_range`). What is looked at, each with a range of its own:

- the value;
- its distance from the median of the last points, for a spike after the level has changed;
- its jump from the point before, for a spike or a step within the range of values;
- the mean of the last points, for a shift of the level and for a cluster of values that are usual one by one;
- how much the last points move about, on a logarithmic scale, for a series that falls silent or starts to swing;
- what a daily or weekly profile leaves over, when the series follows one (`anomaly_season`).

How odd is told in widths of the range, so that neither scale, offset nor unit of a series matters, and heavy tails are
taken as they are. `MARGIN` widths are the threshold for a single value: the rule for spatial anomalies of Numenta's own
detector (5 % outside the range so far, https://github.com/numenta/NAB) with more room. One anomaly is one alarm: what
follows an alarm closely is told below the threshold, unless it is clearly louder.

Only the standard library, no clock, no look-ahead, and bounded memory: about 20 KB of JSON a series.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterable
from typing import Any, NamedTuple

from weir.analysis.anomaly_range import MEMORY, Range
from weir.analysis.anomaly_season import DAY, WEEK, Season

__all__ = ["THRESHOLD", "Detector", "Judged"]

THRESHOLD = 0.5
"""A score of at least this is an alarm, whatever the series."""

MARGIN = 0.08
"""The excess, in widths of a range, whose score is `THRESHOLD`."""

JUMPED = 1 / math.sqrt(2)
"""Weight of a jump's excess: a jump carries the noise of two points."""

WINDOWED = 0.5
"""Weight of a window's excess: a window's values hang together, so that its range is met less often."""

MEAN_OF, NEAR = 24, 48
"""Points in the mean and, for the median and the movements, in the neighbourhood: two and four hours of five-minute
points, a day and two of hourly ones."""

FLOOR = 0.01
"""Share of the usual movement that is added to every movement, so that its logarithm has a bottom."""

REST = 150
"""Points after an alarm in which only a louder one is an alarm again: half a day of five-minute points."""

LOUDER = 1.5
"""How many times an alarm's excess one within `REST` must have."""

TOGETHER = 24
"""Points within which two excesses are one anomaly, however loud the second is."""

HUGE = 1e150
"""Values beyond this are taken as missing: their sums and squares are no numbers."""

_VERSION = 1


class Judged(NamedTuple):
    """What the detector says of one point.

    `score` is from 0 to 1, an alarm from `THRESHOLD` on. `low` and `high` are the band where the value by itself would
    raise no alarm, `expected` the likeliest value in it; None until enough was seen.
    """

    score: float
    low: float | None
    high: float | None
    expected: float | None


class Detector:
    """Judges the points of one series in their order. Mutable: it learns from each.

    Example:
        >>> detector = Detector()
        >>> scores = [detector.observe(300.0 * n, float(n % 7)).score for n in range(500)]
        >>> detector.observe(150_000.0, 60.0).score > THRESHOLD > max(scores[1:])
        True
    """

    __slots__ = (
        "_alarm",
        "_day",
        "_from_near",
        "_jump",
        "_last",
        "_mean",
        "_move",
        "_movement",
        "_moves",
        "_near",
        "_near_sorted",
        "_seen",
        "_since_alarm",
        "_since_excess",
        "_value",
        "_week",
    )

    def __init__(self) -> None:
        self._value, self._from_near, self._jump = Range(), Range(), Range()
        self._mean, self._movement = Range(lag=2 * MEAN_OF), Range(lag=2 * NEAR)
        self._day, self._week = Season(DAY, 96), Season(WEEK, 336)
        self._last: deque[float] = deque(maxlen=MEAN_OF)
        self._near: deque[float] = deque(maxlen=NEAR)
        self._near_sorted: list[float] = []
        self._moves: deque[float] = deque(maxlen=NEAR)
        self._move = 0.0
        self._seen = 0
        self._alarm = 0.0
        self._since_alarm = self._since_excess = REST + TOGETHER

    def observe(self, timestamp_seconds: float, value: float | None) -> Judged:
        """Judge a point by what came before it, then learn from it.

        Parameters
        ----------
        timestamp_seconds
            Seconds since 1970, in UTC. Gaps and uneven steps are fine; a point that comes late is judged, too.
        value
            None, NaN and infinities are missing points: never odd, and nothing is learned from them.
        """
        low, high, expected = self._band(timestamp_seconds)
        if value is None or not -HUGE < value < HUGE:
            return Judged(0.0, low, high, expected)
        excess = max(self._pointwise(value), self._windowed(value), self._seasonal(timestamp_seconds, value))
        self._remember(value)
        return Judged(self._told(excess), low, high, expected)

    def _pointwise(self, value: float) -> float:
        excess = self._value.excess(value)
        if self._seen:
            near = self._near_sorted
            excess = max(excess, self._from_near.excess(value - near[len(near) // 2]))
            excess = max(excess, JUMPED * self._jump.excess(value - self._near[-1]))
        return excess

    def _windowed(self, value: float) -> float:
        excess = 0.0
        self._last.append(value)
        if len(self._last) == MEAN_OF:
            excess = self._mean.excess(sum(self._last) / MEAN_OF)
        if not self._seen:
            return 0.0
        move = abs(value - self._near[-1])
        self._moves.append(move)
        self._move += (move - self._move) / min(self._seen, MEMORY)
        if len(self._moves) == NEAR and self._move > 0.0:
            share = sum(self._moves) / (NEAR * self._move)
            excess = max(excess, self._movement.excess(math.log((share + FLOOR) / (1.0 + FLOOR))))
        return WINDOWED * excess

    def _seasonal(self, at: float, value: float) -> float:
        by_day, by_week = self._day.excess(at, value), self._week.excess(at, value)
        season = self._season(at)
        self._day.learn(at, value)
        self._week.learn(at, value)
        return 0.0 if season is None else WINDOWED * (by_day if season is self._day else by_week)

    def _season(self, at: float) -> Season | None:
        """The profile that the series follows best, if any."""
        day = self._day if self._day.evident(at) else None
        if not self._week.evident(at):
            return day
        return self._week if day is None or self._week.misfit < day.misfit else day

    def _remember(self, value: float) -> None:
        near = self._near_sorted
        if len(self._near) == NEAR:
            del near[bisect_left(near, self._near[0])]
        self._near.append(value)
        insort(near, value)
        self._seen += 1

    def _told(self, excess: float) -> float:
        """The score of an excess: its share of itself and the margin, halved when the alarm has been given already."""
        self._since_alarm += 1
        self._since_excess += 1
        score = excess / (excess + MARGIN)
        if score < THRESHOLD:
            return score
        together = self._since_excess <= TOGETHER
        self._since_excess = 0
        if together:
            self._alarm = max(self._alarm, excess)
            return score * THRESHOLD
        if self._since_alarm <= REST and excess < LOUDER * self._alarm:
            return score * THRESHOLD
        self._since_alarm, self._alarm = 0, excess
        return score

    def _band(self, at: float) -> tuple[float | None, float | None, float | None]:
        values, near = self._value.within(MARGIN), self._from_near.within(MARGIN)
        if values is None or near is None:
            return None, None, None
        middle = self._near_sorted[len(self._near_sorted) // 2]
        low, high = max(values[0], middle + near[0]), min(values[1], middle + near[1])
        if low > high:  # the level has just changed: what is near says more than what was
            low, high = middle + near[0], middle + near[1]
        season = self._season(at)
        span = None if season is None else season.span(at)
        expected = middle if span is None else (span[0] + span[1]) / 2.0
        return low, high, min(max(expected, low), high)

    def to_state(self) -> dict[str, Any]:
        """All that was learned, as JSON, for `from_state` to go on with."""
        return {
            "version": _VERSION,
            "ranges": [each.state() for each in self._ranges()],
            "seasons": [self._day.state(), self._week.state()],
            "last": list(self._last),
            "near": list(self._near),
            "moves": list(self._moves),
            "move": self._move,
            "seen": self._seen,
            "alarm": [self._alarm, self._since_alarm, self._since_excess],
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Detector:
        """A detector that goes on where `to_state` was called.

        Raises
        ------
        ValueError
            The state is another version's.
        """
        if state.get("version") != _VERSION:
            raise ValueError(f"a detector's state of version {state.get('version')!r}, not {_VERSION}")
        detector = cls()
        for each, kept in zip(detector._ranges(), state["ranges"], strict=True):
            each.restore(kept)
        for season, kept in zip((detector._day, detector._week), state["seasons"], strict=True):
            season.restore(kept)
        detector._last.extend(state["last"])
        detector._near.extend(state["near"])
        detector._near_sorted = sorted(state["near"])
        detector._moves.extend(state["moves"])
        detector._move, detector._seen = state["move"], state["seen"]
        detector._alarm, detector._since_alarm, detector._since_excess = state["alarm"]
        return detector

    def _ranges(self) -> Iterable[Range]:
        return self._value, self._from_near, self._jump, self._mean, self._movement
