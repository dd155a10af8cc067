"""Keeping below the quotas of an account, which others use as well: so many calls a second, no more than half.

Kinesis: DescribeStreamSummary 20 a second, ListTagsForStream and ListStreams 5, of the whole account and region.
CloudWatch: GetMetricData 50 a second, and 180,000 points a second where the range begins within the last three hours,
else 396,000. https://docs.aws.amazon.com/streams/latest/dev/service-sizes-and-limits.html,
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_limits.html
"""

from __future__ import annotations

from datetime import datetime, timedelta

from weir.runtime.clock import Clock

__all__ = ["DESCRIBES", "LISTS", "METRIC_CALLS", "Paced", "points_a_second"]

DESCRIBES = 10.0
LISTS = 2.5
METRIC_CALLS = 25.0

_RECENT = timedelta(hours=3)
_POINTS_OF_RECENT, _POINTS = 90_000.0, 198_000.0
_AT_ONCE = 1.0


def points_a_second(start: datetime, now: datetime) -> float:
    """How many points may be read a second of a range that begins at `start`."""
    return _POINTS_OF_RECENT if now - start <= _RECENT else _POINTS


class Paced:
    """Lets so many through a second on average, and at most a second's worth at once; waits for the rest."""

    def __init__(self, clock: Clock, per_second: float) -> None:
        self._clock, self._rate = clock, per_second
        self._spent_until = clock.monotonic() - _AT_ONCE

    def wait(self, count: float = 1.0) -> None:
        """Wait until what went before is worked off, then let `count` more go."""
        now = self._clock.monotonic()
        if self._spent_until > now:
            self._clock.sleep(self._spent_until - now)
        self._spent_until = max(self._spent_until, now - _AT_ONCE) + count / self._rate
