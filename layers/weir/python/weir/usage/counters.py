"""Counters of what is used, and what is set aside: the one place that decides whether a call may be made.

A subject has a counter (one a shard, where it is split): an amount for each running hour, day and month, and on the
same item its reservations. Setting aside is one conditional write: the amounts grow by what the call can use at most,
on condition that each is within the room which the caller has worked out (limit less amount, for conditions know no
arithmetic). Settling is another: the amounts grow by what was used less what was set aside, in the buckets of the
admission, on condition that the reservation is as it was. Either one sent twice is done once.

A reservation whose holder died is settled by somebody else after its ``deadline``, and stays for a while as *closed*,
with what it was settled at: a holder that was not dead after all then corrects that, and nothing else.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Protocol

from weir.usage.models import Amount, Measure, Subject
from weir.usage.windows import MEASURES, buckets, counter

RESERVED = "r#"
"""How the name of a reservation begins, among the names of a counter's attributes."""

KEPT = timedelta(hours=2)
"""How long the counts of a window that is over stay, for what is settled late and for the alarms."""

CLOSED_KEPT_SECONDS = 3600
"""How long a reservation stays that was settled after its deadline, so that its holder may yet correct it."""

_COUNT = re.compile(r"[hdm]\d+[rtc]")
_JSON = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Place:
    """A counter: of a subject, by the number of the shard."""

    subject: Subject
    shard: int = 0


@dataclass(frozen=True, slots=True)
class Reservation:
    """What is set aside for a call.

    ``admitted_at`` (milliseconds since 1970) tells its buckets, ``deadline`` (seconds) when its holder is dead for
    certain. ``detail`` is what a record needs, where nobody comes to settle. ``closed``: settled, at ``amount``, after
    the deadline; then ``deadline`` is when to forget it.
    """

    reservation_id: str
    admitted_at: int
    deadline: int
    amount: Amount
    detail: tuple[Any, ...] = ()
    closed: bool = False

    @property
    def moment(self) -> datetime:
        """When the call was admitted."""
        return datetime.fromtimestamp(self.admitted_at // 1000, UTC) + timedelta(milliseconds=self.admitted_at % 1000)

    @property
    def text(self) -> str:
        """As it is stored: one text, so that a condition compares the whole of it."""
        amount = self.amount
        told = [int(self.closed), self.admitted_at, self.deadline, amount.requests, amount.tokens, amount.cost]
        return _JSON.encode([*told, *self.detail])

    @classmethod
    def read(cls, reservation_id: str, text: str) -> "Reservation":
        """The reservation of a stored text."""
        closed, admitted_at, deadline, requests, tokens, cost, *detail = json.loads(text)
        amount = Amount(requests, tokens, cost)
        return cls(reservation_id, admitted_at, deadline, amount, tuple(detail), bool(closed))

    def closed_at(self, amount: Amount, now: float) -> "Reservation":
        """It, settled at an amount by somebody who is not its holder."""
        return replace(self, amount=amount, closed=True, detail=(), deadline=int(now) + CLOSED_KEPT_SECONDS)


@dataclass(frozen=True, slots=True)
class Room:
    """A condition: the count of a measure in a bucket is ``most`` at most, before the amount is added."""

    bucket: str
    measure: Measure
    most: int


@dataclass(frozen=True, slots=True)
class Count:
    """A counter as it was at some moment: its counts by name, and its reservations."""

    counts: Mapping[str, int]
    reservations: Mapping[str, Reservation]

    def used(self, bucket: str, measure: Measure) -> int:
        """What was used and what is set aside."""
        return self.counts.get(counter(bucket, measure), 0)

    def reserved(self, bucket: str, measure: Measure) -> int:
        """What of that is set aside."""
        return sum(
            getattr(one.amount, measure)
            for one in self.reservations.values()
            if not one.closed and bucket in buckets(one.moment).values()
        )

    def expired(self, now: float) -> tuple[Reservation, ...]:
        """The reservations whose holders are dead by ``now`` (seconds since 1970), oldest first."""
        found = (one for one in self.reservations.values() if not one.closed and one.deadline <= now)
        return tuple(sorted(found, key=lambda one: one.deadline))

    def stale(self, now: float) -> tuple[str, ...]:
        """The names of what has no use any more: counts of windows long over, and what is to be forgotten."""
        running = {one[0]: one for one in buckets(datetime.fromtimestamp(now, UTC) - KEPT).values()}
        over = (one for one in self.counts if one[:-1] < running[one[0]])  # names sort as time does
        forgotten = (
            f"{RESERVED}{one.reservation_id}"
            for one in self.reservations.values()
            if one.closed and one.deadline <= now
        )
        return (*over, *forgotten)


def count_of(attributes: Mapping[str, Any]) -> Count:
    """A counter of its attributes by name: whole numbers, and reservations as texts."""
    return Count(
        counts={one: int(value) for one, value in attributes.items() if _COUNT.fullmatch(one)},
        reservations={
            one.removeprefix(RESERVED): _read(one.removeprefix(RESERVED), value)
            for one, value in attributes.items()
            if one.startswith(RESERVED)
        },
    )


_read = lru_cache(maxsize=1024)(Reservation.read)
"""Remembered, for each of the calls that are under way at once finds all the others'."""


NOTHING = Count({}, {})


@dataclass(frozen=True, slots=True)
class Told:
    """What a write of a counter came to: whether it was done, and the counter after it, or that forbade it."""

    done: bool
    count: Count


class Counters(Protocol):
    """A store of counters. Every method raises a WeirError where the store refuses or fails."""

    def reserve(self, place: Place, reservation: Reservation, rooms: Sequence[Room]) -> Told:
        """Set aside, where there is room; done, too, where this very reservation is there already."""

    def exchange(
        self,
        place: Place,
        before: Reservation,
        after: Reservation | None,
        deltas: Mapping[str, int],
        stale: Sequence[str] = (),
    ) -> Told:
        """Put a reservation, or nothing, in the place of another, and change counts by name; ``stale`` ones go.

        Not done where the reservation is not as ``before``; the counter is told then alone.
        """

    def read(self, places: Sequence[Place]) -> list[Count]:
        """Counters, in the order asked for."""


def settle(counters: Counters, place: Place, reservation: Reservation, used: Amount, stale: Sequence[str] = ()) -> None:
    """Count what a call has used instead of what was set aside for it. Harmless where that was done already.

    Where somebody has closed the reservation meanwhile, what they counted is corrected.
    """
    told = counters.exchange(place, reservation, None, deltas(reservation, used), stale)
    there = told.count.reservations.get(reservation.reservation_id)
    if not told.done and there is not None and there.closed:
        counters.exchange(place, there, None, deltas(there, used))


def close(counters: Counters, place: Place, reservation: Reservation, used: Amount, now: float) -> None:
    """Settle a reservation whose holder seems dead. Harmless where it was settled, or closed, already."""
    counters.exchange(place, reservation, reservation.closed_at(used, now), deltas(reservation, used))


def deltas(reservation: Reservation, used: Amount) -> dict[str, int]:
    """By how much each count changes where ``used`` takes the place of what a reservation has set aside."""
    changes = {one: getattr(used, one) - getattr(reservation.amount, one) for one in MEASURES}
    return {
        counter(bucket, measure): change
        for bucket in buckets(reservation.moment).values()
        for measure, change in changes.items()
        if change
    }
