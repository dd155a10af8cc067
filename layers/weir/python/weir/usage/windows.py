"""Hours, days, weeks and months of UTC: their names, edges, and when the next begins.

Edges are half-open: what happens at 15:00:00.000 belongs to the hour that begins then. Weeks start on Monday, months
are calendar months. A name says which: ``h2026112114``, ``d20261121``, ``w20261116`` (its Monday), ``m202611``.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Literal

from weir.usage.models import Measure, Window

Period = Literal["hour", "day", "week", "month"]

PERIODS: tuple[Period, ...] = ("hour", "day", "week", "month")
WINDOWS: tuple[Window, ...] = ("hour", "day", "month")
MEASURES: tuple[Measure, ...] = ("requests", "tokens", "cost")

_FORMS: dict[Period, str] = {"hour": "h%Y%m%d%H", "day": "d%Y%m%d", "week": "w%Y%m%d", "month": "m%Y%m"}
_OF_LETTER: dict[str, Period] = {form[0]: period for period, form in _FORMS.items()}


def begin(period: Period, moment: datetime) -> datetime:
    """When the period that a moment belongs to began."""
    hour = moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    if period == "hour":
        return hour
    day = hour.replace(hour=0)
    if period == "day":
        return day
    return day - timedelta(days=day.weekday()) if period == "week" else day.replace(day=1)


def end(period: Period, moment: datetime) -> datetime:
    """When the period that a moment belongs to is over, which is when the next one begins."""
    began = begin(period, moment)
    if period == "month":
        return (began + timedelta(days=32)).replace(day=1)
    return began + {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(days=7)}[period]


def name(period: Period, moment: datetime) -> str:
    """The name of the period that a moment belongs to."""
    return _name(period, begin("hour", moment))


def named(text: str) -> tuple[Period, datetime]:
    """The period of a name, and when it began. ValueError where it is no such name."""
    period = _OF_LETTER.get(text[:1])
    if period is None:
        raise ValueError(f"{text!r} names no period")
    began = datetime.strptime(text, _FORMS[period]).replace(tzinfo=UTC)
    if name(period, began) != text:  # strptime takes fewer digits, and weeks of any day
        raise ValueError(f"{text!r} names no period")
    return period, began


def each(period: Period, since: datetime, until: datetime) -> Iterator[datetime]:
    """The beginnings of the periods that hold any moment from ``since`` to before ``until``, oldest first."""
    at = begin(period, since)
    while at < until:
        yield at
        at = end(period, at)


@lru_cache(maxsize=1024)
def _name(period: Period, hour: datetime) -> str:
    """The same of an hour, remembered: a call asks for its own a dozen times."""
    return begin(period, hour).strftime(_FORMS[period])


def buckets(moment: datetime) -> Mapping[Window, str]:
    """The names of the windows that a call is counted in which is admitted at a moment."""
    return _buckets(begin("hour", moment))


@lru_cache(maxsize=1024)
def _buckets(hour: datetime) -> dict[Window, str]:
    return {window: name(window, hour) for window in WINDOWS}


def counter(bucket: str, measure: Measure) -> str:
    """The name of the count of a measure in a bucket, as counters have it: ``d20261121c`` for the cost of a day."""
    return f"{bucket}{measure[0]}"
