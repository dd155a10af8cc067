"""Metering a call: set aside before it what it can use, settle after it what it did, and write that down.

Whoever is charged is charged from the narrowest to the widest: a key, its user, their groups, everyone. Where a wider
one refuses, what narrower ones have set aside is given back. The user is always among them: on their counter lies what
a record needs, should nobody come to settle; the others' reservations only name the user.

The record is written first, and the counters follow it: whoever finds a reservation of a holder who died in between
counts what the record says.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from weir.llm.models import Bound, Tokens
from weir.llm.tiers import STANDARD, unpriced
from weir.runtime.clock import Clock
from weir.runtime.errors import WeirError
from weir.usage import counters as counting
from weir.usage import pricing
from weir.usage.cap_store import Held, KnownCaps
from weir.usage.counters import Counters
from weir.usage.estimating import DEFAULT_OUTPUT, Estimate
from weir.usage.expiring import Expiry, amount_of, detail_of
from weir.usage.models import Amount, Attempt, Caller, Price, Record
from weir.usage.prices import Prices
from weir.usage.records import Recorder
from weir.usage.reserving import Asked, Reserved, Reserving

NO_TOKENS = Tokens()
DEADLINE_SLACK = timedelta(seconds=30)
"""How long after its deadline a call is taken to be under way still: clocks differ, and a last write takes time."""


@dataclass(frozen=True, slots=True)
class Served:
    """A target of a call: a provider by name, its kind and region, by which prices are found, and its model."""

    provider: str
    kind: str
    region: str
    target: str


@dataclass(frozen=True, slots=True)
class Call:
    """A call that somebody wants to make.

    ``targets`` are all that may come to serve it, the first to be tried first; there is one at least. ``deadline`` is
    when the process that makes the call has ended for certain. ``tier`` is that of the prices it is charged by.
    """

    request_id: str
    caller: Caller
    model: str
    dialect: str
    bound: Bound
    deadline: datetime
    targets: tuple[Served, ...]
    stream: bool = False
    tier: str = STANDARD


@dataclass(frozen=True, slots=True)
class Admission:
    """A call that may be made, and what was set aside for it.

    ``max_output`` is the limit that the call must be given of its output tokens; None where it may be made as it was
    asked for. ``prices`` are those of the targets, None for one that has none: they hold, whatever changes meanwhile.
    """

    admission_id: str
    call: Call
    admitted_at: datetime
    prices: tuple[Price | None, ...]
    max_output: int | None
    held: tuple[Reserved, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a call ended. ``status`` is what the caller got; ``served`` the target that answered, None for the first."""

    status: int
    tokens: Tokens = NO_TOKENS
    served: Served | None = None
    attempts: tuple[Attempt, ...] = ()
    milliseconds: int = 0
    first_token_milliseconds: int | None = None
    cut: bool = False
    error: str = ""


class Meter:
    """Admits calls and settles them. Safe to be used by many threads."""

    def __init__(self, counters: Counters, caps: KnownCaps, prices: Prices, recorder: Recorder, clock: Clock) -> None:
        self._counters, self._caps, self._prices, self._recorder, self._clock = counters, caps, prices, recorder, clock
        self._expiry = Expiry(counters, recorder, clock)
        self._reserving = Reserving(counters, self._expiry, clock)

    def admit(self, call: Call) -> Admission:
        """Set aside what a call can use, with everybody who is charged for it.

        Raises
        ------
        CapExceeded
            It would pass a cap. Nothing stays set aside.
        Dearer
            It asks for a tier that costs more, and a target has no price of that.
        ModelUnpriced, ToolUnpriced
            A cap on cost must hold, and a target has no price, or a tool has none.
        WeirError
            The store does not answer. Nothing stays set aside, or what does goes after the deadline.
        """
        now = _to_the_millisecond(self._clock.now())
        prices = tuple(self._priced(one, now, call.tier) for one in call.targets)
        if call.tier != STANDARD and None in prices:
            raise unpriced(call.tier, call.model)
        charged = self._caps.of(call.caller)
        estimate = Estimate(call.model, call.bound, prices)
        if any(estimate.needs_limit(one.caps, now) for one in charged):
            estimate = estimate.limited(DEFAULT_OUTPUT)
        self._recorder.active(call.caller.user, now)
        admission_id = secrets.token_hex(8)
        asked = Asked(
            reservation_id=admission_id,
            admitted_at=now,
            deadline=call.deadline + DEADLINE_SLACK,
            detail=detail_of(self._supposed(admission_id, call, now, estimate, prices[0]), charged[-1]),
            estimate=estimate,
        )
        held, asked = self._charged(charged, asked)
        output = asked.estimate.bound.output
        limit = None if output == call.bound.output else output
        return Admission(admission_id, call, now, prices, limit, tuple(held))

    def settle(self, admission: Admission, outcome: Outcome) -> Record:
        """Write down what a call used, and count it instead of what was set aside. Answers the record that holds.

        Twice is as good as once. WeirError where the store does not answer: then try again, for what stays set aside is
        settled after the deadline, at what the record says if it was written.
        """
        record = self._recorder.write(self._record(admission, outcome))
        self._settle(admission.held, amount_of(record))
        return record

    def cancel(self, admission: Admission) -> None:
        """Give back all that was set aside for a call that was not made after all; there is no record of it."""
        self._settle(admission.held, Amount())

    def expire(self, places: Sequence[counting.Place]) -> int:
        """Settle what is past its deadline on these counters; how many there were."""
        return self._expiry.expire(places)

    def _charged(self, charged: Sequence[Held], asked: Asked) -> tuple[list[Reserved], Asked]:
        """Set aside with each in turn, or with none. A limit of the output, once lowered, holds for the wider ones."""
        held: list[Reserved] = []
        try:
            for one in charged:
                reserved, asked = self._reserving.reserve(one, asked)
                held.append(reserved)
        except BaseException:
            self._reserving.give_back(held)
            raise
        return held, asked

    def _settle(self, held: Sequence[Reserved], used: Amount) -> None:
        failure: WeirError | None = None
        for one in held:
            try:
                counting.settle(self._counters, one.place, one.reservation, used, one.stale)
            except WeirError as error:
                failure = failure or error
        if failure is not None:
            raise failure

    def _priced(self, served: Served, at: datetime, tier: str) -> Price | None:
        return self._prices.of(served.provider, served.kind, served.region, served.target, at, tier)

    def _supposed(
        self, admission_id: str, call: Call, now: datetime, estimate: Estimate, price: Price | None
    ) -> Record:
        """The record of a call of which nothing more is ever heard: it is charged for its input."""
        tokens = Tokens(input=min(estimate.bound.likely_input, estimate.bound.input), estimated=True)
        outcome = Outcome(status=504, tokens=tokens, error="expired")
        return self._written(admission_id, call, now, call.targets[0], price, outcome)

    def _record(self, admission: Admission, outcome: Outcome) -> Record:
        call = admission.call
        served = outcome.served or call.targets[0]
        price = dict(zip(call.targets, admission.prices, strict=True))[served]
        return self._written(admission.admission_id, call, admission.admitted_at, served, price, outcome)

    def _written(
        self, record_id: str, call: Call, at: datetime, served: Served, price: Price | None, outcome: Outcome
    ) -> Record:
        tokens = outcome.tokens
        cost = pricing.cost(tokens, price) if price is not None else (None if tokens.total else 0)
        return Record(
            request_id=call.request_id,
            admitted_at=at,
            ended_at=self._clock.now(),
            caller=Caller(call.caller.user, call.caller.username, call.caller.key, call.caller.groups),
            dialect=call.dialect,
            model=call.model,
            provider=served.provider,
            target=served.target,
            status=outcome.status,
            input=tokens.input,
            output=tokens.output,
            cache_read=tokens.cache_read,
            cache_write_5m=tokens.cache_write_5m,
            cache_write_1h=tokens.cache_write_1h,
            estimated=tokens.estimated,
            cost=cost,
            milliseconds=outcome.milliseconds,
            first_token_milliseconds=outcome.first_token_milliseconds,
            stream=call.stream,
            cut=outcome.cut,
            error=outcome.error,
            attempts=outcome.attempts,
            price_id=price.price_id if price is not None else "",
            record_id=record_id,
        )


def _to_the_millisecond(moment: datetime) -> datetime:
    """A moment as keys and reservations keep it."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
