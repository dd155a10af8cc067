"""Settling what nobody came to settle: a call whose holder is dead is charged for its input, and written down.

The record decides. Where the holder wrote one and died before the counters, they follow it. With others than the user,
who has the whole of what a record needs, a reservation is settled after the user's is: where neither that nor a record
is there, the call was never admitted, and what was set aside for it is given back. So it is where the user's is there
and the one with the widest subject, which was to be the last, is not: a wider one refused, and giving back failed.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from weir.runtime.clock import Clock
from weir.runtime.errors import WeirError
from weir.runtime.observability import logger
from weir.usage.cap_store import Held
from weir.usage.counters import Counters, Place, Reservation, close
from weir.usage.models import Amount, Caller, Record, Subject
from weir.usage.records import EXPIRED, Recorder

MOST_AT_ONCE = 10
"""Reservations that a request settles on the way to its own; the rest is for the next ones, and for the schedule."""


@dataclass(frozen=True, slots=True)
class Expiry:
    """Settles reservations that are past their deadlines."""

    counters: Counters
    recorder: Recorder
    clock: Clock

    def expire(self, places: Sequence[Place]) -> int:
        """All on some counters; how many there were. WeirError where the store does not answer."""
        settled = 0
        for place, count in zip(places, self.counters.read(places), strict=True):
            for one in count.expired(self.clock.epoch()):
                self.one(place, one)
                settled += 1
        return settled

    def quietly(self, place: Place, expired: Iterable[Reservation]) -> None:
        """The oldest of some, for a request that has other business: what fails is left to the schedule."""
        try:
            for one in list(expired)[:MOST_AT_ONCE]:
                self.one(place, one)
        except WeirError as error:
            logger().warning("what is past its deadline could not be settled", extra={"reason": error.detail})

    def one(self, place: Place, reservation: Reservation) -> None:
        """One reservation, on its counter."""
        user = str(reservation.detail[0])
        record: Record | None
        if place.subject.kind == "user" and self._was_admitted(reservation):
            record = self.recorder.write(_record_of(reservation, self.clock))
        else:
            if place.subject.kind != "user":
                self._of_user(user, reservation.reservation_id)
            record = self.recorder.get(user, reservation.moment, reservation.reservation_id)
        used = Amount() if record is None else amount_of(record)
        close(self.counters, place, reservation, used, self.clock.epoch())

    def _was_admitted(self, of_user: Reservation) -> bool:
        """Whether the last of a call's reservations is there; one that is settled has left a record."""
        if len(of_user.detail) == _OF_A_RECORD:  # the user's was the last
            return True
        kind, subject_id, shards = of_user.detail[_OF_A_RECORD]
        places = [Place(Subject(kind, subject_id), shard) for shard in range(shards)]
        return any(of_user.reservation_id in one.reservations for one in self.counters.read(places))

    def _of_user(self, user: str, reservation_id: str) -> None:
        """The user's reservation of the same call, where it is not settled."""
        home = Place(Subject("user", user))
        there = self.counters.read([home])[0].reservations.get(reservation_id)
        if there is not None and not there.closed:
            self.one(home, there)


def amount_of(record: Record) -> Amount:
    """What a record counts for."""
    tokens = record.input + record.output + record.cache_read + record.cache_write_5m + record.cache_write_1h
    return Amount(requests=1, tokens=tokens, cost=record.cost or 0)


_OF_A_RECORD = 13
"""Parts of a reservation's detail that a record is made of."""


def detail_of(supposed: Record, widest: Held) -> tuple[Any, ...]:
    """What a reservation keeps of a call, the user first: as little as a record can be made of.

    And, where that is not the user, the widest of those who are charged, with whom is set aside last.
    """
    caller, subject = supposed.caller, widest.subject
    wider = () if subject.kind == "user" else ([subject.kind, subject.id, widest.shards],)
    return (
        *(caller.user, caller.username, caller.key, list(caller.groups), supposed.request_id, supposed.dialect),
        *(supposed.model, supposed.provider, supposed.target, int(supposed.stream), supposed.input, supposed.cost),
        *(supposed.price_id, *wider),
    )


def _record_of(reservation: Reservation, clock: Clock) -> Record:
    """The record of a call that never told how it ended."""
    user, username, key, groups, request_id, dialect, model, provider, target, stream, tokens, cost, price_id = (
        reservation.detail[:_OF_A_RECORD]
    )
    now = clock.now()
    return Record(
        request_id=request_id,
        admitted_at=reservation.moment,
        ended_at=now,
        caller=Caller(user, username, key, tuple(groups)),
        dialect=dialect,
        model=model,
        provider=provider,
        target=target,
        status=504,
        input=tokens,
        output=0,
        cache_read=0,
        cache_write_5m=0,
        cache_write_1h=0,
        estimated=True,
        cost=cost,
        milliseconds=int((now - reservation.moment).total_seconds() * 1000),
        stream=bool(stream),
        error=EXPIRED,
        price_id=price_id,
        record_id=reservation.reservation_id,
    )
