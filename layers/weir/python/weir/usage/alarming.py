"""Telling, once a window, that a cap is used up by 80 % and by 100 %.

Counted is what was used, not what is set aside. A cap that has refused a call is used up, too, be it below its limit: a
call is refused for what it can use, and so a strict cap may never be full.

A mark is written first, on condition that there is none: of two that look at the same time one tells. Where telling
fails, the mark is taken back for the next time.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from weir.runtime.clock import Clock, rfc3339
from weir.runtime.dynamodb import Table
from weir.runtime.errors import WeirError
from weir.runtime.observability import logger
from weir.usage.caps import told
from weir.usage.counters import Counters, Place
from weir.usage.models import Cap
from weir.usage.table import SCHEMA, alarm_key, day_of, refusal, refused_on
from weir.usage.windows import end, name

PERCENTS = (80, 100)
LOOKED_BACK = timedelta(hours=1)
"""How long after its end a window is still looked at: what was used just before it is told of, too."""

_KEPT = timedelta(days=40)


class Topic(Protocol):
    """Where it is told."""

    def publish(self, subject: str, message: str, attributes: Mapping[str, str]) -> None:
        """Tell. WeirError where that fails."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """A cap that is used up by so many percent in the window that began with ``bucket``."""

    cap: Cap
    bucket: str
    percent: int
    usage: int
    resets_at: datetime
    refused: bool


class Alarming:
    """Looks at caps and tells."""

    def __init__(self, table: Table, counters: Counters, topic: Topic, clock: Clock) -> None:
        self._table, self._counters, self._topic, self._clock = table, counters, topic, clock

    def look(self, caps: Iterable[Cap]) -> list[Alarm]:
        """Look at some caps; the alarms that were told."""
        found = list(caps)
        places = list(dict.fromkeys(Place(cap.subject, shard) for cap in found for shard in range(cap.shards)))
        counts = dict(zip(places, self._counters.read(places), strict=True))
        now = self._clock.now()
        refused = self._refused(now)
        raised: list[Alarm] = []
        for cap in found:
            for at in dict.fromkeys((now - LOOKED_BACK, now)):
                bucket = name(cap.window, at)
                if at != now and bucket == name(cap.window, now):
                    continue
                some = [counts[Place(cap.subject, shard)] for shard in range(cap.shards)]
                usage = sum(one.used(bucket, cap.measure) - one.reserved(bucket, cap.measure) for one in some)
                alarm = self._raised(cap, bucket, usage, end(cap.window, at), refusal(cap, bucket) in refused)
                raised += [alarm] if alarm is not None else []
        return raised

    def _refused(self, now: datetime) -> set[str]:
        """The caps that have refused a call today or yesterday, with the windows in which they did."""
        days = dict.fromkeys((day_of(now - timedelta(days=1)), day_of(now)))
        return {str(one["sk"]) for day in days for one in self._table.all("pk = :pk", {"pk": refused_on(day)})}

    def _raised(self, cap: Cap, bucket: str, usage: int, resets_at: datetime, refused: bool) -> Alarm | None:
        """Tell the highest mark that was reached and is not told yet; the lower ones are told by it."""
        reached = [one for one in PERCENTS if refused or (usage > 0 and usage * 100 >= cap.limit * one)]
        new = [one for one in reached if self._marked(cap, bucket, one)]
        if not new:
            return None
        alarm = Alarm(cap, bucket, max(new), usage, resets_at, refused and usage < cap.limit)
        try:
            self._topic.publish(*_said(alarm))
        except WeirError as error:
            logger().warning("a cap was not told of", extra={"cap": cap.cap_id, "reason": error.detail})
            for one in new:
                self._table.delete(alarm_key(cap, bucket, one))
            return None
        return alarm

    def _marked(self, cap: Cap, bucket: str, percent: int) -> bool:
        if self._table.get(alarm_key(cap, bucket, percent)) is not None:
            return False  # reading it costs less than the write that would be refused, every minute
        now = self._clock.now()
        kept = {"schema": SCHEMA, "at": rfc3339(now), "ttl": int((now + _KEPT).timestamp())}
        return self._table.put_new({**alarm_key(cap, bucket, percent), **kept})


def _said(alarm: Alarm) -> tuple[str, str, dict[str, str]]:
    cap = alarm.cap
    whose = "everyone" if cap.subject.kind == "everyone" else f"{cap.subject.kind} {cap.subject.id}"
    subject = f"Weir: {alarm.percent} % of the {cap.window}'s {cap.measure} used by {whose}"
    refused = ""
    if alarm.refused:
        subject = f"Weir: all of the {cap.window}'s {cap.measure} used up by {whose}"
        refused = ", and a call was refused that could have used more than is left"
    message = (
        f"{told(cap.measure, alarm.usage)} of {told(cap.measure, cap.limit)} are used in the {cap.window} "
        f"{alarm.bucket[1:]} (UTC) by {whose}{refused}. The count is reset at {rfc3339(alarm.resets_at)}."
        f"\n\nCap: {cap.cap_id}\n"
    )
    return subject[:99], message, {"cap_id": cap.cap_id, "percent": str(alarm.percent), "measure": cap.measure}
