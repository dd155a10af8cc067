"""A mergeable latency histogram of fixed size, as the verifiers of one run each keep one and add them up.

Log-linear buckets in the manner of HdrHistogram (hdrhistogram.org): here a bucket is the upper 16 bits of the
IEEE 754 single-precision form of the value, which is 128 equal buckets an octave. A bucket is at most 1/128 of
its value wide and is answered by its middle, so the relative error is at most 0.4 %; below 256 us it is exact.
That form is chosen because C code makes it: `array("f", ...)` converts a whole batch at once, so that a million
values cost a tenth of a second rather than one.
"""

from __future__ import annotations

import math
import struct
import sys
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

__all__ = ["MAX_US", "Bucket", "Histogram"]

MAX_US = 3_600_000_000
"""The longest latency that is told apart, one hour in microseconds; longer ones count as this and as `clamped`."""

_HIGH_HALF = 1 if sys.byteorder == "little" else 0
_FLOAT = struct.Struct(">f")
_BITS = struct.Struct(">I")


class Bucket(NamedTuple):
    """`n` values that lie in [low_us, high_us), microseconds."""

    low_us: float
    high_us: float
    n: int


def _bucket_of(us: int) -> int:
    return int.from_bytes(_FLOAT.pack(us)[:2], "big")


def _edge(bucket: int) -> float:
    """The least value of a bucket, microseconds."""
    edge: float = _FLOAT.unpack(_BITS.pack(bucket << 16))[0]
    return edge


class Histogram:
    """Counts of latencies in microseconds, integers from 0 to `MAX_US`.

    Mutable, because a verifier adds to it for every record. `a.merge(b)` is the same as having added all of b's
    values to a. Values outside the range (a clock that ran backwards gives negative ones) are counted at the
    nearer end and in `clamped`; they are never dropped.

    Example:
        >>> h = Histogram()
        >>> h.add_many([10, 20, 30])
        >>> h.quantile(0.5)
        20
    """

    __slots__ = ("_buckets", "_max", "_min", "_total", "clamped", "count")

    def __init__(self) -> None:
        self._buckets: Counter[int] = Counter()
        self._min = MAX_US
        self._max = 0
        self._total = 0
        self.count = 0
        self.clamped = 0

    def add(self, us: int, n: int = 1) -> None:
        """Counts the value `us` (microseconds) `n` times."""
        if n < 1:
            if n == 0:
                return
            raise ValueError("a value can't be counted a negative number of times")
        if us < 0 or us > MAX_US:
            self.clamped += n
            us = 0 if us < 0 else MAX_US
        self._buckets[_bucket_of(us)] += n
        self.count += n
        self._total += us * n
        if us < self._min:
            self._min = us
        if us > self._max:
            self._max = us

    def add_many(self, values: Iterable[int]) -> None:
        """Counts each value (microseconds) once; about 0.1 us a value when `values` is a list of integers."""
        batch: Sequence[int] = values if isinstance(values, list | tuple | array) else list(values)
        if not batch:
            return
        low, high = min(batch), max(batch)
        if low < 0 or high > MAX_US:
            self.clamped += sum(1 for us in batch if us < 0 or us > MAX_US)
            batch = [min(max(us, 0), MAX_US) for us in batch]
            low, high = min(batch), max(batch)
        halves = memoryview(array("f", batch)).cast("B").cast("H")[_HIGH_HALF::2]
        self._buckets.update(halves)
        self.count += len(batch)
        self._total += sum(batch)
        self._min = min(self._min, low)
        self._max = max(self._max, high)

    def merge(self, other: Histogram) -> None:
        """Adds all that `other` has counted."""
        self._buckets.update(other._buckets)
        self.count += other.count
        self.clamped += other.clamped
        self._total += other._total
        self._min = min(self._min, other._min)
        self._max = max(self._max, other._max)

    @property
    def min(self) -> int | None:
        """The least value, microseconds, exact; None while nothing was counted."""
        return self._min if self.count else None

    @property
    def max(self) -> int | None:
        """The greatest value, microseconds, exact; None while nothing was counted."""
        return self._max if self.count else None

    @property
    def mean(self) -> float | None:
        """The mean, microseconds, exact; None while nothing was counted."""
        return self._total / self.count if self.count else None

    def quantile(self, q: float) -> int | None:
        """The value (microseconds) that a share `q` of all values don't pass, by nearest rank; None while empty."""
        if not 0 <= q <= 1:
            raise ValueError(f"a quantile lies between 0 and 1, not at {q}")
        if not self.count:
            return None
        rank = max(1, math.ceil(q * self.count))
        seen = 0
        for bucket in sorted(self._buckets):
            seen += self._buckets[bucket]
            if seen >= rank:
                return self._answer(bucket)
        raise AssertionError("the buckets hold fewer values than were counted")  # pragma: no cover

    def _answer(self, bucket: int) -> int:
        # Values are integers: a bucket of width 1 or less holds one of them, a wider one those up to its end - 1.
        low, high = _edge(bucket), _edge(bucket + 1)
        middle = int(low) if high - low <= 1 else int((low + high - 1) / 2)
        return min(max(middle, self._min), self._max)

    def buckets(self) -> list[Bucket]:
        """The buckets that hold anything, in rising order."""
        return [Bucket(_edge(b), _edge(b + 1), self._buckets[b]) for b in sorted(self._buckets)]

    def rebinned(self, per_decade: int = 20) -> list[Bucket]:
        """The counts in bins of equal width on a logarithmic axis, empty ones between the first and last included.

        A fine bucket falls whole into the bin of its middle. Values below 1 us are in the bin that begins at 1 us.
        """
        bins: Counter[int] = Counter()
        for low, high, n in self.buckets():
            bins[math.floor(math.log10(max((low + high) / 2, 1.0)) * per_decade)] += n
        if not bins:
            return []
        span = range(min(bins), max(bins) + 1)
        return [Bucket(10 ** (b / per_decade), 10 ** ((b + 1) / per_decade), bins[b]) for b in span]

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able form whose size depends on the spread of the values, not on how many there are."""
        return {
            "schema": 1,
            "unit": "us",
            "count": self.count,
            "total": self._total,
            "min": self.min,
            "max": self.max,
            "clamped": self.clamped,
            "buckets": [[bucket, self._buckets[bucket]] for bucket in sorted(self._buckets)],
        }

    @classmethod
    def from_dict(cls, form: Mapping[str, Any]) -> Histogram:
        """The histogram that `to_dict` told of; ValueError when it is of another schema or doesn't add up."""
        if form.get("schema") != 1:
            raise ValueError(f"unknown histogram schema {form.get('schema')!r}")
        histogram = cls()
        histogram._buckets.update({int(bucket): int(n) for bucket, n in form["buckets"]})
        histogram.count = int(form["count"])
        if histogram.count != sum(histogram._buckets.values()):
            raise ValueError("the histogram's buckets don't add up to its count")
        if histogram.count:
            histogram._min, histogram._max = int(form["min"]), int(form["max"])
        histogram._total, histogram.clamped = int(form["total"]), int(form["clamped"])
        return histogram

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Histogram) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]  # mutable

    def __repr__(self) -> str:
        return f"Histogram(count={self.count}, min={self.min}, p50={self.quantile(0.5)}, max={self.max})"
