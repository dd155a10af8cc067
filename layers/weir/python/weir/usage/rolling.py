"""Summing up what is over, on a schedule: hours, and the days, weeks and months that end with them.

All of it can be done again at any time, and gives the same figures. An hour is summed up five minutes after its end; a
record that comes later marks it, and what holds it is summed up anew once that mark has rested as long. The mark goes
only as it was read: one that was made again meanwhile stays for the next time.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from weir.runtime.clock import Clock, parse_rfc3339, rfc3339
from weir.runtime.dynamodb import Table
from weir.runtime.errors import FieldError, Invalid
from weir.usage.records import SETTLED_AFTER
from weir.usage.shapes import SHAPES
from weir.usage.summaries import Known, Summaries
from weir.usage.table import LATE, ROLLED_KEY, SCHEMA
from weir.usage.windows import PERIODS, Period, begin, each, end

_WIDER: tuple[Period, ...] = ("day", "week", "month")


@dataclass(frozen=True, slots=True)
class Rolled:
    """What was done: hours summed up for the first time, and hours whose late records were taken in."""

    hours: int
    late: int


class Rolling:
    """Sums up."""

    def __init__(self, table: Table, summaries: Summaries, clock: Clock, records_kept: timedelta) -> None:
        self._table, self._summaries, self._clock, self._kept = table, summaries, clock, records_kept

    def roll(self, goes_on: Callable[[], bool] = lambda: True) -> Rolled:
        """Sum up what has come to be over, and what came late; ``goes_on`` tells whether there is time for more."""
        next_hour = self._next()
        last = begin("hour", self._clock.now() - SETTLED_AFTER)
        hours = 0
        for hour in each("hour", next_hour, last):
            if not goes_on():
                break
            self._sum_up(hour)
            next_hour = end("hour", hour)
            self._rolled(next_hour)
            hours += 1
        return Rolled(hours, self._take_in_late(next_hour, goes_on))

    def rebuild(self, since: datetime, until: datetime) -> int:
        """Sum up anew every period that is over and touches a time; how many. Invalid where records are gone."""
        now = self._clock.now()
        if since < now - self._kept:
            told = f"records are kept for {self._kept.days} days"
            raise Invalid(f"from is too long ago: {told}.", errors=[FieldError("from", told)])
        done = 0
        for period in PERIODS:
            for began in each(period, since, until):
                if end(period, began) <= begin("hour", now - SETTLED_AFTER) and began >= now - self._kept:
                    self._seal(period, began)
                    done += 1
        return done

    def _sum_up(self, hour: datetime) -> None:
        """An hour, and whatever ends with it."""
        self._seal("hour", hour)
        for period in _WIDER:
            if end(period, hour) == end("hour", hour):
                self._seal(period, begin(period, hour))

    def _take_in_late(self, next_hour: datetime, goes_on: Callable[[], bool]) -> int:
        """Sum up anew what holds hours with late records, where nobody is writing one at this moment."""
        rested = int((self._clock.now() - SETTLED_AFTER).timestamp())
        taken = 0
        for item in self._table.all("pk = :pk", {"pk": LATE}):
            mark = SHAPES.current(item)
            hour = datetime.strptime(mark["sk"], "%Y%m%d%H").replace(tzinfo=UTC)
            if hour >= next_hour or mark["at"] > rested:
                continue
            if not goes_on():
                break
            self._seal("hour", hour)
            for period in _WIDER:
                if end(period, hour) <= next_hour:
                    self._seal(period, begin(period, hour))
            key = {"pk": LATE, "sk": mark["sk"]}
            self._table.delete(key, when="#n = :n", values={"n": mark["n"]}, names={"n": "n"})
            taken += 1
        return taken

    def _seal(self, period: Period, began: datetime) -> None:
        known = self._summaries.known(began, end(period, began)) if period != "hour" else Known({}, frozenset())
        self._summaries.seal(period, began, known)

    def _next(self) -> datetime:
        """The first hour that is not summed up; this month's first, where none is."""
        item = self._table.get(ROLLED_KEY)
        return begin("month", self._clock.now()) if item is None else parse_rfc3339(SHAPES.current(item)["next"])

    def _rolled(self, next_hour: datetime) -> None:
        """Keep how far it is; never back, should two be at it."""
        self._table.update(
            ROLLED_KEY,
            "SET #next = :next, #schema = :schema",
            when="attribute_not_exists(#next) OR #next < :next",
            values={"next": rfc3339(next_hour), "schema": SCHEMA},
            names={"next": "next", "schema": "schema"},
        )
