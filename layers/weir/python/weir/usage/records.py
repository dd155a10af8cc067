"""Records of calls: written once, under the time of admission, however late a call ends.

Who is active on a day is told once a process before the first reservation, so that records can be found by day. A
record that comes when its hour is over marks that hour as late before it is written: what was summed up of it is then
neither told nor kept (``rolling.py``).
"""

from datetime import datetime, timedelta
from threading import Lock

from weir.runtime.clock import Clock
from weir.runtime.dynamodb import Table
from weir.runtime.errors import WeirError
from weir.runtime.observability import logger
from weir.usage.items import record_item, record_of
from weir.usage.models import Cap, Record
from weir.usage.table import SCHEMA, active_on, day_of, late_key, record_key, refusal, refused_on
from weir.usage.windows import begin, end, name

EXPIRED = "expired"
"""The error of a record whose call never told how it ended."""

SETTLED_AFTER = timedelta(minutes=5)
"""How long after its end an hour is not summed up: a write that was begun in it is done by then, or was given up."""

_MARKED_SECONDS = 60
"""How long a process takes a mark of an hour for its own: well below ``SETTLED_AFTER``."""

MOST_REMEMBERED = 10_000
"""Days of users, and of caps, that a process remembers having told of."""

_REFUSALS_KEPT = timedelta(days=3)


class Recorder:
    """Writes records."""

    def __init__(self, table: Table, clock: Clock, kept: timedelta) -> None:
        self._table, self._clock, self._kept = table, clock, kept
        self._active: set[tuple[str, str]] = set()
        self._refused: set[tuple[str, str]] = set()
        self._marked: dict[datetime, float] = {}
        self._lock = Lock()

    def active(self, user: str, now: datetime) -> None:
        """Tell that a user is active on this day; written once a process."""
        told = (user, day_of(now))
        if told in self._active:
            return
        ttl = int((now + self._kept).timestamp()) + 86_400
        self._table.put({"pk": active_on(told[1]), "sk": user, "schema": SCHEMA, "ttl": ttl})
        with self._lock:
            if len(self._active) >= MOST_REMEMBERED:
                self._active.clear()
            self._active.add(told)

    def refused(self, cap: Cap, now: datetime) -> None:
        """Tell that a call was refused, for a cap is used up; written once a process, window and day.

        Where that can't be written the refusal is one all the same, and the next one tells.
        """
        day = day_of(now)
        told = (refusal(cap, name(cap.window, now)), day)
        if told in self._refused:
            return
        ttl = int((now + _REFUSALS_KEPT).timestamp())
        try:
            self._table.put({"pk": refused_on(day), "sk": told[0], "schema": SCHEMA, "ttl": ttl})
        except WeirError as error:
            logger().warning("a refusal was not told of", extra={"cap": cap.cap_id, "reason": error.detail})
            return
        with self._lock:
            if len(self._refused) >= MOST_REMEMBERED:
                self._refused.clear()
            self._refused.add(told)

    def get(self, user: str, admitted_at: datetime, record_id: str) -> Record | None:
        """The record of a call."""
        item = self._table.get(record_key(user, admitted_at, record_id))
        return None if item is None else record_of(item)

    def write(self, record: Record) -> Record:
        """Store a record, unless the call has one; answers the one that holds.

        What a holder tells that was taken for dead goes before what was supposed of it.
        """
        self._mark(record.admitted_at)
        item = record_item(record, self._kept)
        told = self._table.put(item, when="attribute_not_exists(pk)")
        if told.done or told.item is None:
            return record
        there = record_of(told.item)
        if record.error == EXPIRED or there.error != EXPIRED:
            return there
        replaced = self._table.put(
            item, when="#error = :expired", values={"expired": EXPIRED}, names={"error": "error"}
        )
        return record if replaced.done or replaced.item is None else record_of(replaced.item)

    def _mark(self, admitted_at: datetime) -> None:
        """Mark the hour of a record as late, where it is over by now."""
        now = self._clock.now()
        if now < end("hour", admitted_at):
            return
        hour, since = begin("hour", admitted_at), self._clock.monotonic()
        if since < self._marked.get(hour, since):
            return
        values = {"one": 1, "at": int(now.timestamp()), "schema": SCHEMA}
        names = {"n": "n", "at": "at", "schema": "schema"}
        self._table.update(late_key(hour), "ADD #n :one SET #at = :at, #schema = :schema", values=values, names=names)
        with self._lock:
            self._marked = {one: until for one, until in self._marked.items() if since < until}
            self._marked[hour] = since + _MARKED_SECONDS
