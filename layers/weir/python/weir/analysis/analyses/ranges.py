"""Over which range, by which period: what CloudWatch keeps, in no more points than can be read in one go."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from weir.analysis.analyses.contract import AnalysisSpec, Asked
from weir.runtime.errors import FieldError, Invalid
from weir.streams.metrics import LAG, Range, aligned_range

__all__ = ["HISTORY_PERIOD", "MOST_POINTS", "history_of", "resolve"]

PERIODS = (60, 300, 900, 3600, 21_600, 86_400)
FITTING = 2_016
"""Points of a series that are enough where nobody said more: a week by five minutes."""

MOST_POINTS = 6_000_000
"""Points of all series of an analysis: what one function reads and keeps in memory."""

KEPT = timedelta(days=455)
"""How long CloudWatch keeps points of an hour and more; an older beginning of `last` is this one."""

HISTORY = timedelta(days=91)
HISTORY_PERIOD = 3600
_UNITS = {"h": "hours", "d": "days"}


def resolve(spec: AnalysisSpec, *, series: int, now: datetime) -> Range:
    """The range of an analysis of so many series.

    `last` ends where nothing is still to be published. Without a period, it is the shortest that CloudWatch keeps over
    the range, and by which no series has more than 2,016 points, nor all of them more than 6,000,000.

    Raises
    ------
    Invalid
        CloudWatch can't answer it, or it is too much at once; with the field.
    """
    if spec.range is not None and spec.range.end > now:
        told = "must not be later than now"
        raise Invalid(f"The range can't be answered: to {told}.", errors=[FieldError("range.to", told)])
    given = None if spec.range is None else spec.range.period
    refused: Invalid | None = None
    for period in PERIODS if given is None else (given,):
        try:
            span = _checked(spec.range or _last(spec.last or "24h", now, period), period, series, now)
        except Invalid as error:
            refused = error
            continue
        if given is not None or len(span) <= FITTING or period == PERIODS[-1]:
            return span
    assert refused is not None
    raise refused


def _last(last: str, now: datetime, period: int) -> Asked:
    length = timedelta(**{_UNITS[last[-1]]: int(last[:-1])})
    end = floored(now - LAG, period)
    oldest = floored(now - KEPT, period) + timedelta(seconds=period)
    return Asked(start=max(end - length, oldest), end=end, period=None)


def floored(moment: datetime, period: int) -> datetime:
    """The start of the period, in seconds since 1970, that holds a moment."""
    return datetime.fromtimestamp(moment.timestamp() // period * period, UTC)


def _checked(asked: Asked, period: int, series: int, now: datetime) -> Range:
    try:
        span = aligned_range(asked.start, asked.end, period, series=1, now=now)
    except Invalid as error:
        fields = [FieldError(f"range.{one.field}", one.message) for one in error.errors]
        raise Invalid(error.detail, errors=fields) from error
    if (points := len(span) * series) > MOST_POINTS:
        told = f"{points:,} points in {series:,} series; at most {MOST_POINTS:,}: use a longer period or fewer streams"
        raise Invalid(f"The range can't be answered: {told}.", errors=[FieldError("range.period", told)])
    return span


def history_of(span: Range) -> Range | None:
    """The three months before the end of a range, by the hour; None where the range itself tells as much."""
    start, end = span.end - HISTORY, span.end
    if span.start <= start:
        return None
    return Range(floored(start, HISTORY_PERIOD), floored(end, HISTORY_PERIOD), HISTORY_PERIOD)
