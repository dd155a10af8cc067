"""A mergeable count of events per second, of fixed size however long a run lasts.

One-minute CloudWatch sums hide bursts (a hot shard shows only per second), so a run counts arrivals by the second
itself. Past `MAX_BUCKETS` buckets the width doubles: the series always tells the finest resolution that fits, and
which it is. The width follows from the first and the last second alone, so merging gives what one series over all
events would have given, in whatever order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

__all__ = ["MAX_BUCKETS", "Interval", "RateSeries"]

MAX_BUCKETS = 600


class Interval(NamedTuple):
    """`n` events in [start_s, start_s + width_s), seconds since the epoch."""

    start_s: int
    width_s: int
    n: int


class RateSeries:
    """Events counted by the second of their time, or by 2, 4, 8, ... seconds once 600 buckets don't reach.

    Mutable, because a verifier adds to it for every batch.
    """

    __slots__ = ("_counts", "_first", "_last", "_shift")

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()
        self._shift = 0
        self._first, self._last = 0, -1

    @property
    def width_s(self) -> int:
        """The width of a bucket, seconds: a power of two."""
        return 1 << self._shift

    @property
    def total(self) -> int:
        """All events counted."""
        return sum(self._counts.values())

    def add(self, epoch_s: float, n: int = 1) -> None:
        """Counts `n` events at the time `epoch_s` (seconds since the epoch, not negative)."""
        if epoch_s < 0:
            raise ValueError("an event can't lie before the epoch")
        index = int(epoch_s) >> self._shift
        self._counts[index] += n
        if not self._first <= index <= self._last:
            self._fit()

    def add_many(self, epochs_s: Iterable[float]) -> None:
        """Counts one event at each time (seconds since the epoch, not negative)."""
        if self._shift:
            shift = self._shift
            self._counts.update([int(epoch_s) >> shift for epoch_s in epochs_s])
        else:
            self._counts.update(map(int, epochs_s))
        if self._counts and min(self._counts) < 0:
            raise ValueError("an event can't lie before the epoch")
        self._fit()

    def merge(self, other: RateSeries) -> None:
        """Adds all that `other` has counted."""
        self._widen(other._shift)
        down = self._shift - other._shift
        for index, n in other._counts.items():
            self._counts[index >> down] += n
        self._fit()

    def _widen(self, shift: int) -> None:
        if shift <= self._shift:
            return
        down = shift - self._shift
        widened: Counter[int] = Counter()
        for index, n in self._counts.items():
            widened[index >> down] += n
        self._counts, self._shift = widened, shift

    def _fit(self) -> None:
        """Finds the span anew, and widens the buckets until it fits."""
        if not self._counts:
            return
        first, last, shift = min(self._counts), max(self._counts), self._shift
        while last - first >= MAX_BUCKETS:
            first, last, shift = first >> 1, last >> 1, shift + 1
        self._widen(shift)
        self._first, self._last = first, last

    def buckets(self) -> list[Interval]:
        """Every interval from the first event to the last, those without any included, in order of time."""
        if not self._counts:
            return []
        width = self.width_s
        span = range(self._first, self._last + 1)
        return [Interval(index << self._shift, width, self._counts.get(index, 0)) for index in span]

    def peak(self) -> float | None:
        """The highest rate of any interval, events a second; None while nothing was counted."""
        return max(self._counts.values()) / self.width_s if self._counts else None

    def peak_sum(self, seconds: int) -> int | None:
        """The most events in any aligned window of `seconds` (CloudWatch's minute: 60); None while empty.

        A bucket that reaches over the window's edge is counted whole where it begins, so for widths that don't
        divide `seconds` the answer is an approximation.
        """
        if not self._counts:
            return None
        windows: Counter[int] = Counter()
        for index, n in self._counts.items():
            windows[(index << self._shift) // seconds] += n
        return max(windows.values())

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able form of at most 600 pairs."""
        return {
            "schema": 1,
            "width_s": self.width_s,
            "counts": [[index << self._shift, n] for index, n in sorted(self._counts.items())],
        }

    @classmethod
    def from_dict(cls, form: Mapping[str, Any]) -> RateSeries:
        """The series that `to_dict` told of; ValueError when it is of another schema."""
        if form.get("schema") != 1:
            raise ValueError(f"unknown rate series schema {form.get('schema')!r}")
        series = cls()
        series._shift = int(form["width_s"]).bit_length() - 1
        if series.width_s != form["width_s"]:
            raise ValueError(f"a bucket's width is a power of two, not {form['width_s']!r}")
        series._counts.update({int(start) >> series._shift: int(n) for start, n in form["counts"]})
        series._fit()
        return series

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RateSeries) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]  # mutable

    def __repr__(self) -> str:
        return f"RateSeries(total={self.total}, width_s={self.width_s}, peak={self.peak()})"
