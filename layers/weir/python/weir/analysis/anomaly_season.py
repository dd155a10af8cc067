"""What a series usually has at this time of the day or of the week, learned as it comes.

A profile holds one value for each part of its cycle. Whether the series follows it is not assumed: the profile's errors
are compared with those of the plain level, and it is heard only while they are clearly smaller. What is judged is the
mean of what the profile left over lately, so that a busy hour that did not come, or a quiet one that did not, is seen
although every single value of it is a usual one.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from weir.analysis.anomaly_range import Range

__all__ = ["DAY", "WEEK", "Season"]

DAY, WEEK = 86_400, 604_800

CYCLES = 2
"""Cycles seen before a profile can be heard at all."""

EVIDENT = 0.7
"""A profile is heard while its mean error is below this share of the level's."""

RATE = 0.2
"""How much of a new value goes into its part of the profile, once that part has seen a few."""

SMOOTH = 24
"""Points over which what is left over is averaged: two hours of five-minute points."""


class Season:
    """One cycle's profile, and the range of what it leaves over. Mutable: it learns with each point."""

    __slots__ = (
        "_began",
        "_bins",
        "_error",
        "_heard_since",
        "_last",
        "_left_over",
        "_level",
        "_level_error",
        "_period",
        "_range",
        "_seen",
        "_shift",
        "_values",
    )

    def __init__(self, period: int, bins: int) -> None:
        """`period`: seconds of the cycle, counted from 1970 in UTC; `bins`: parts that it is cut into."""
        self._period, self._bins = period, bins
        self._values, self._seen = [0.0] * bins, [0] * bins
        self._began: float | None = None
        self._heard_since: float | None = None
        self._last = self._level = self._level_error = self._shift = self._error = 0.0
        self._left_over: deque[float] = deque(maxlen=SMOOTH)
        self._range = Range(lag=2 * SMOOTH)

    @property
    def misfit(self) -> float:
        """The profile's mean error as a share of the plain level's: 0 when it tells all, 1 when it tells nothing."""
        return self._error / self._level_error if self._level_error > 0.0 else 1.0

    def evident(self, at: float) -> bool:
        """Whether the series follows the profile, as far as was seen until `at`, seconds since 1970."""
        began = self._began
        return began is not None and at - began >= CYCLES * self._period and self._error < EVIDENT * self._level_error

    def span(self, at: float) -> tuple[float, float] | None:
        """Lowest and highest that this part of the cycle and its two neighbours usually have; None when unknown.

        The neighbours make room for what comes a few minutes earlier or later than usual.
        """
        here = self._part(at)
        values, seen = self._values, self._seen
        if not seen[here]:
            return None
        low = high = values[here]
        for there in (here - 1, (here + 1) % self._bins):
            if seen[there]:
                low, high = min(low, values[there]), max(high, values[there])
        return low + self._shift, high + self._shift

    def excess(self, at: float, value: float) -> float:
        """How far what the profile left over lately lies outside its range, in widths; 0 while it is not heard.

        A profile is judged by after one more cycle: until then its range has not met every part of the cycle.
        """
        if not self.evident(at):
            self._heard_since = None
            return 0.0
        span = self.span(at)
        if span is None:
            return 0.0
        if self._heard_since is None:
            self._heard_since = at
        low, high = span
        self._left_over.append(value - high if value > high else value - low if value < low else 0.0)
        if len(self._left_over) < SMOOTH:
            return 0.0
        beyond = self._range.excess(sum(self._left_over) / SMOOTH)
        return beyond if at - self._heard_since >= self._period else 0.0

    def learn(self, at: float, value: float) -> None:
        """Take a point in. A point counts by the time since the last: none when it comes late, at most one cycle."""
        if self._began is None:
            self._began = self._last = at
            self._level = value
        step = min(max((at - self._last) / self._period, 0.0), 1.0)
        self._last = max(at, self._last)
        here = self._part(at)
        seen = self._seen[here]
        if seen:
            error = value - self._values[here]
            self._error += (abs(error - self._shift) - self._error) * step
            self._level_error += (abs(value - self._level) - self._level_error) * step
            self._shift += (error - self._shift) * step
            self._values[here] += (error - self._shift) * max(RATE, 1.0 / (seen + 1))
        else:
            self._values[here] = value - self._shift
        self._seen[here] = seen + 1
        self._level += (value - self._level) * step

    def _part(self, at: float) -> int:
        return int(at % self._period * self._bins / self._period) % self._bins

    def state(self) -> dict[str, Any]:
        """What `restore` needs, as JSON; parts of the cycle not yet seen are left out."""
        return {
            "times": [self._began, self._last, self._heard_since],
            "errors": [self._level, self._level_error, self._shift, self._error],
            "parts": [[part, self._values[part], seen] for part, seen in enumerate(self._seen) if seen],
            "left_over": list(self._left_over),
            "range": self._range.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a `state()`."""
        self._began, self._last, self._heard_since = state["times"]
        self._level, self._level_error, self._shift, self._error = state["errors"]
        for part, value, seen in state["parts"]:
            self._values[part], self._seen[part] = value, seen
        self._left_over.extend(state["left_over"])
        self._range.restore(state["range"])
