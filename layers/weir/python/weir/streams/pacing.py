"""How fast a producer sends.

*As fast as possible* paces each shard by itself, because quotas are the shard's: 1,000 records and 1 MiB a second
(https://docs.aws.amazon.com/streams/latest/dev/service-sizes-and-limits.html). It starts at the quota and probes for
more (an idle on-demand shard and some emulators give more), and goes back where Kinesis throttles, so that
throttling is met rarely instead of being the way to find the limit.

*Rate* is an open loop: records are due by a schedule, whatever the stream answers, as real producers' records are.
Throttling is then a result, not a signal to slow down. What was due while nobody sent, between two producers that
follow the same schedule, is made up at twice the schedule's speed: an open loop catches up, but minutes of records sent
at once, after a producer died, would be throttled until some had had all their tries.
"""

from dataclasses import dataclass
from math import inf

SHARD_RECORDS_PER_SECOND = 1_000.0
SHARD_BYTES_PER_SECOND = 1_048_576.0

_GROWTH = 1.5  # a second, while the shard takes everything
_PROBE = 1.02  # a second, near the rate at which it throttled last
_CUT = 0.7
_LOWEST = 0.25  # of the quota
_CATCH_UP = 2.0  # seconds of the schedule in each second, while it is behind


@dataclass(frozen=True, slots=True)
class Burst:
    """The last ``length_s`` seconds of every ``every_s`` seconds run at ``factor`` times the rate."""

    every_s: float
    length_s: float
    factor: float

    def __post_init__(self) -> None:
        if not 0 < self.length_s <= self.every_s or self.factor <= 0:
            raise ValueError("a burst needs 0 < length_s <= every_s, and a factor above 0")


@dataclass(frozen=True, slots=True)
class Rate:
    """So many records a second over the whole stream, with an optional burst.

    The schedule began ``into_s`` seconds ago, and ``drawn`` of its records were drawn since: so a producer goes on
    where another ended.
    """

    records_per_second: float
    burst: Burst | None = None
    into_s: float = 0.0
    drawn: int = 0

    def __post_init__(self) -> None:
        if not self.records_per_second > 0:
            raise ValueError("a rate is above 0 records a second")
        if self.into_s < 0 or self.drawn < 0:
            raise ValueError("a schedule goes on at a second, and after a record, not below 0")


@dataclass(frozen=True, slots=True)
class AsFastAsPossible:
    """What each shard takes, found by trying.

    ``records_per_second`` and ``bytes_per_second`` are a shard's quota: where the search starts, and a quarter of
    which it never goes below. ``burst_seconds`` is how much unused quota may be saved up and sent at once.
    """

    records_per_second: float = SHARD_RECORDS_PER_SECOND
    bytes_per_second: float = SHARD_BYTES_PER_SECOND
    burst_seconds: float = 0.1

    def __post_init__(self) -> None:
        if not (self.records_per_second > 0 and self.bytes_per_second > 0 and self.burst_seconds > 0):
            raise ValueError("quotas and burst_seconds are above 0")


Pace = AsFastAsPossible | Rate


class Schedule:
    """When each record of a Rate is due, in seconds from now on; the n-th record from now on counts from 1.

    Where the next record was due before now, it is due at once, and those behind it come at twice the schedule's speed
    until the schedule is met.
    """

    __slots__ = (
        "_burst_rate",
        "_drawn",
        "_every",
        "_into",
        "_next_at",
        "_period_records",
        "_quiet",
        "_quiet_records",
        "_rate",
    )

    def __init__(self, rate: Rate) -> None:
        burst = rate.burst or Burst(1.0, 1.0, 1.0)
        self._rate = rate.records_per_second
        self._burst_rate = self._rate * burst.factor
        self._every = burst.every_s
        self._quiet = burst.every_s - burst.length_s
        self._quiet_records = self._rate * self._quiet
        self._period_records = self._quiet_records + self._burst_rate * burst.length_s
        self._into = rate.into_s
        self._drawn = rate.drawn
        self._next_at = self._second_of(rate.drawn + 1)

    def due(self, elapsed: float) -> int:
        """How many records are due ``elapsed`` seconds from now, of those that were not drawn before."""
        if elapsed < 0:
            return 0
        second = min(self._into + elapsed, self._next_at + _CATCH_UP * elapsed)
        due = int(self._records(second) + 1e-9)  # 0.1 s at 10 a second is one record, not 0.9999
        return max(0, due - self._drawn)

    def _records(self, since: float) -> float:
        """Records of the schedule's first ``since`` seconds."""
        periods, into = divmod(since, self._every)
        quiet = min(into, self._quiet)
        return periods * self._period_records + quiet * self._rate + (into - quiet) * self._burst_rate

    def time_of(self, n: int) -> float:
        """Seconds from now at which record ``n`` is due, 0 where it is overdue: the inverse of ``due``."""
        second = self._second_of(self._drawn + n)
        return max(0.0, second - self._into, (second - self._next_at) / _CATCH_UP)

    def _second_of(self, n: int) -> float:
        """The schedule's second in which its record ``n`` is due."""
        periods, into = divmod(n, self._period_records)
        quiet = min(into, self._quiet_records)
        return periods * self._every + quiet / self._rate + (into - quiet) / self._burst_rate


class ShardPace:
    """One shard's token bucket of records and bytes, whose rate follows what the shard takes.

    ``records`` and ``bytes`` are the tokens; a put may go while both are above 0, and may leave a debt (a record of
    1 MiB is a second's quota). The rate grows by half a second while it is what limits, quickly up to 0.9 of the
    rate that was throttled last and by 2 % a second from there, and falls to 0.7 at a throttle.
    """

    __slots__ = (
        "_burst",
        "_byte_rate",
        "_ceiling",
        "_cut_at",
        "_record_rate",
        "_refilled_at",
        "bytes",
        "records",
        "scale",
    )

    def __init__(self, pace: AsFastAsPossible | None, now: float) -> None:
        self._record_rate = pace.records_per_second if pace else inf
        self._byte_rate = pace.bytes_per_second if pace else inf
        self._burst = pace.burst_seconds if pace else 1.0
        self._ceiling = inf
        self._cut_at = -inf
        self._refilled_at = now
        self.scale = 1.0
        self.records = self._record_rate * self._burst
        self.bytes = self._byte_rate * self._burst

    def refill(self, now: float) -> bool:
        """Add the tokens of the time since the last refill; whether a put may go. Call it when tokens are out."""
        if self.records > 0.0 and self.bytes > 0.0:
            return True
        passed = now - self._refilled_at
        if passed > 0.0:
            self._refilled_at = now
            self._grow(min(passed, self._burst))
            record_rate, byte_rate = self._record_rate * self.scale, self._byte_rate * self.scale
            self.records = min(self.records + record_rate * passed, max(record_rate * self._burst, 1.0))
            self.bytes = min(self.bytes + byte_rate * passed, byte_rate * self._burst)
        return self.records > 0.0 and self.bytes > 0.0

    def _grow(self, seconds: float) -> None:
        near = 0.9 * self._ceiling
        if self.scale < near:
            self.scale = min(self.scale * _GROWTH**seconds, near)
        else:
            self.scale *= _PROBE**seconds
            if self.scale > 1.1 * self._ceiling:
                self._ceiling = inf

    def throttled(self, sent_at: float, now: float) -> None:
        """The shard refused a put of a request that was sent at ``sent_at``.

        Only requests sent after the last cut cut again: the others were sent at the rate that was already cut.
        """
        if sent_at < self._cut_at or self._record_rate == inf:
            return
        self._ceiling = self.scale
        self.scale = max(_LOWEST, self.scale * _CUT)
        self._cut_at = self._refilled_at = now
        self.records = min(self.records, 0.0)
        self.bytes = min(self.bytes, 0.0)
