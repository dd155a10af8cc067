"""The range that a quantity has kept to, and how far a new value lies outside it.

A value that is the greatest or the least so far is rare by itself: of n exchangeable values the last is either with
probability 2/n, whatever their distribution. So a range asks for no distribution, and its false alarms grow with the
logarithm of a series' length only. It is the idea of conformal prediction (Vovk, Gammerman and Shafer, Algorithmic
Learning in a Random World, 2005), with the value itself as the measure of strangeness.
"""

from __future__ import annotations

from collections import deque
from typing import Any

__all__ = ["LEARNING", "LIMIT", "MEMORY", "Range"]

MEMORY = 20_000
"""Values after which an end that nothing reached has come to 1/e of its distance from the mean: ten weeks of
five-minute points."""

LEARNING = 100
"""Values learned before one is judged: by then a record is one value in fifty, before that too many are."""

SETTLING = 8
"""Lags learned besides, where values hang together over about half a lag: sixteen of them that do not."""

GROWTH = 1.0
"""How much one value can widen a range, in its own widths: one absurd value must not hide all the later ones."""

LIMIT = 20.0
"""The greatest excess told, in widths, and what is told of a first change in what never changed."""

ROUNDING = 1e-9
"""Differences below this share of the values themselves are rounding."""


class Range:
    """A range that widens as values come and shrinks slowly toward their mean. Mutable: it learns with each value."""

    __slots__ = ("_lag", "_learning", "_pending", "high", "low", "mean", "seen")

    def __init__(self, lag: int = 0) -> None:
        """`lag`: values to wait before one is learned, so that what moves slowly cannot take its range along."""
        self.low = self.high = self.mean = 0.0
        self.seen = 0
        self._lag = lag
        self._learning = LEARNING + SETTLING * lag
        self._pending: deque[float] = deque()

    def excess(self, value: float) -> float:
        """How far `value` lies outside the range, in its widths (0 within it, at most `LIMIT`); then learn."""
        low, high = self.low, self.high
        beyond = 0.0
        outside = value - high if value > high else low - value
        if outside > 0.0 and self.seen >= self._learning and outside > ROUNDING * (abs(value) + abs(self.mean)):
            width = high - low
            beyond = min(outside / width, LIMIT) if width > 0.0 else LIMIT
        if self._lag:
            self._pending.append(value)
            if len(self._pending) <= self._lag:
                return beyond
            value = self._pending.popleft()
        self._learn(value)
        return beyond

    def _learn(self, value: float) -> None:
        self.seen = seen = self.seen + 1
        if seen == 1:
            self.low = self.high = self.mean = value
            return
        low, high = self.low, self.high
        if seen > self._learning and high > low:
            reach = GROWTH * (high - low)
            value = min(max(value, low - reach), high + reach)
        self.mean = mean = self.mean + (value - self.mean) / min(seen, MEMORY)
        self.high = value if value > high else high - (high - mean) / MEMORY
        self.low = value if value < low else low + (mean - low) / MEMORY

    def within(self, margin: float) -> tuple[float, float] | None:
        """The values whose excess is at most `margin`, lowest and highest; None while it still learns."""
        if self.seen < self._learning:
            return None
        spare = margin * (self.high - self.low)
        return self.low - spare, self.high + spare

    def state(self) -> list[Any]:
        """What `restore` needs, as JSON."""
        return [self.low, self.high, self.mean, self.seen, list(self._pending)]

    def restore(self, state: list[Any]) -> None:
        """Go on from a `state()`."""
        self.low, self.high, self.mean, self.seen, pending = state
        self._pending = deque(pending)
