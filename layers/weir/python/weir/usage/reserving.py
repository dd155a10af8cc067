"""Setting aside for a call with one subject: on one of its shards, with less output where caps allow only that."""

import zlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from weir.runtime.clock import Clock
from weir.runtime.errors import WeirError
from weir.runtime.observability import logger
from weir.usage.cap_store import Held
from weir.usage.caps import CapExceeded, limit_of, passed, rooms
from weir.usage.counters import Count, Counters, Place, Reservation, Told, settle
from weir.usage.estimating import Estimate
from weir.usage.expiring import Expiry
from weir.usage.models import Amount, Cap
from weir.usage.windows import end, name

_TRIES = 4
"""How often the output of a call is lowered while others take what was left."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What shall be set aside, and what of the call its reservation tells: the whole on the user's counter."""

    reservation_id: str
    admitted_at: datetime
    deadline: datetime
    detail: tuple[Any, ...]
    estimate: Estimate

    def reservation(self, held: Held, amount: Amount) -> Reservation:
        """The reservation of an amount with a subject."""
        milliseconds = int(self.admitted_at.timestamp()) * 1000 + self.admitted_at.microsecond // 1000
        detail = self.detail if held.subject.kind == "user" else self.detail[:1]
        return Reservation(self.reservation_id, milliseconds, int(self.deadline.timestamp()) + 1, amount, detail)


@dataclass(frozen=True, slots=True)
class Reserved:
    """What is set aside on a counter, and what on it has no use any more, to be taken away at the next write."""

    place: Place
    reservation: Reservation
    stale: tuple[str, ...] = ()


class Reserving:
    """Sets aside, and gives back."""

    def __init__(self, counters: Counters, expiry: Expiry, clock: Clock) -> None:
        self._counters, self._expiry, self._clock = counters, expiry, clock

    def reserve(self, held: Held, asked: Asked) -> tuple[Reserved, Asked]:
        """Set aside with a subject; answers what is, and what was asked with the output as lowered.

        Every shard is tried as asked, then with less output where nothing but caps of mode clamp stands in the way.

        Raises
        ------
        CapExceeded
            There is no room on any shard. Nothing stays set aside with this subject.
        ModelUnpriced
        """
        shards = _shards(held.shards, asked.reservation_id)
        counts: dict[int, Count] = {}
        for shard in shards:
            found, counts[shard] = self._on(held, asked, shard)
            if found is not None:
                return found, asked
        for shard in shards:
            for _ in range(_TRIES):
                lowered = _lowered(held, asked, counts[shard], shard)
                if lowered is None:
                    break
                found, counts[shard] = self._on(held, lowered, shard)
                if found is not None:
                    return found, lowered
        for cap in _used_up(held, asked, counts):
            self._expiry.recorder.refused(cap, asked.admitted_at)
        raise self._refusal(held, asked, counts)

    def give_back(self, reserved: Iterable[Reserved]) -> None:
        """Give back what was set aside, or may have been; what can't be given back now goes after the deadline."""
        for one in reserved:
            try:
                settle(self._counters, one.place, one.reservation, Amount())
            except WeirError as error:
                logger().warning("a reservation was not given back", extra={"reason": error.detail})

    def _on(self, held: Held, asked: Asked, shard: int) -> tuple[Reserved | None, Count]:
        """Try a shard, again while what was in the way is past its deadline; the counter as it is after that."""
        place = Place(held.subject, shard)
        reservation = asked.reservation(held, asked.estimate.amount(held.caps, asked.admitted_at))
        for _ in range(_TRIES):
            told = self._sent(held, place, reservation)
            expired = [one for one in told.count.expired(self._clock.epoch()) if one != reservation]
            self._expiry.quietly(place, expired)
            if told.done or not expired:
                break
        stale = told.count.stale(self._clock.epoch())
        return (Reserved(place, reservation, stale) if told.done else None), told.count

    def _sent(self, held: Held, place: Place, reservation: Reservation) -> Told:
        """One write; a read, where the amount alone is more than a limit."""
        limits = rooms(held.caps, reservation.amount, place.shard, reservation.moment)
        if any(one.most < 0 for one in limits):
            return Told(False, self._counters.read([place])[0])
        try:
            return self._counters.reserve(place, reservation, limits)
        except WeirError:
            self.give_back([Reserved(place, reservation)])  # it may be there: the answer is what failed to come
            raise

    def _refusal(self, held: Held, asked: Asked, counts: dict[int, Count]) -> CapExceeded:
        """The cap that holds longest, of those that no shard has room for."""
        now = asked.admitted_at
        amount = asked.estimate.amount(held.caps, now)
        over = [one for shard, count in counts.items() for one in passed(held.caps, amount, count, shard, now)]
        cap = max(over or held.caps, key=lambda one: (end(one.window, now), over.count(one)))
        usage = sum(one.used(name(cap.window, now), cap.measure) for one in counts.values())
        return CapExceeded(cap, usage, getattr(amount, cap.measure), now)


def _used_up(held: Held, asked: Asked, counts: dict[int, Count]) -> list[Cap]:
    """The caps that have no room for the call on any shard, and would have had it with nothing used.

    A cap of mode clamp: that have no room for it with one token of output.
    """
    now, output = asked.admitted_at, asked.estimate.bound.output
    least = asked.estimate.limited(1 if output is None else min(1, output)).amount(held.caps, now)
    amount = asked.estimate.amount(held.caps, now)
    needed = {cap: least if cap.mode == "clamp" else amount for cap in held.caps}
    return [
        cap
        for cap, part in needed.items()
        if getattr(part, cap.measure) <= limit_of(cap, 0)
        and all(passed([cap], part, count, shard, now) for shard, count in counts.items())
    ]


def _lowered(held: Held, asked: Asked, count: Count, shard: int) -> Asked | None:
    """What is asked, with the output that the caps it would pass can afford; None where one of them can't."""
    now = asked.admitted_at
    over = passed(held.caps, asked.estimate.amount(held.caps, now), count, shard, now)
    if not over:
        return asked
    if any(one.mode != "clamp" for one in over):
        return None
    output = asked.estimate.affordable(over, count, shard, now)
    return replace(asked, estimate=asked.estimate.limited(output)) if output else None


def _shards(number: int, reservation_id: str) -> list[int]:
    """The shards in the order to try them, another for each call."""
    first = zlib.crc32(reservation_id.encode()) % number
    return [(first + step) % number for step in range(number)]
