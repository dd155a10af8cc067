"""Settling what nobody came to settle: a call whose holder is dead is charged for its input, and written down.

The record decides. Where the holder wrote one and died before the counters, they follow it. With others than the user,
who has the whole of what a record needs, a reservation is settled after the user's is: where neither that nor a record
is there, the call was never admitted, and what was set aside for it is given back.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from weir.runtime.clock import Clock
from weir.runtime.errors import WeirError
from weir.runtime.observability import logger
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
        if place.subject.kind == "user":
            record = self.recorder.write(_record_of(reservation, self.clock))
        else:
            self._of_user(user, reservation.reservation_id)
            record = self.recorder.get(user, reservation.moment, reservation.reservation_id)
        used = Amount() if record is None else amount_of(record)
        close(self.counters, place, reservation, used, self.clock.epoch())

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


def detail_of(supposed: Record) -> tuple[Any, ...]:
    """What a reservation keeps of a call, the user first: as little as a record can be made of."""
    caller = supposed.caller
    return (
        *(caller.user, caller.username, caller.key, list(caller.groups), supposed.request_id, supposed.dialect),
        *(supposed.model, supposed.provider, supposed.target, int(supposed.stream), supposed.input, supposed.cost),
        supposed.price_id,
    )


def _record_of(reservation: Reservation, clock: Clock) -> Record:
    """The record of a call that never told how it ended."""
    user, username, key, groups, request_id, dialect, model, provider, target, stream, tokens, cost, price_id = (
        reservation.detail
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
