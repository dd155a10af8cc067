"""What a stream costs, what else it could cost, and what would change the answer.

A month is 730 hours of the mean rate of the points that are known, at the dated list prices of `prices.yaml`.
CloudWatch tells sums and no record's size: payload units and rounded KiB are reckoned from each period's mean size.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from weir.analysis.cost import HOURS_A_MONTH, PAYLOAD_UNIT, Cost, stream_month
from weir.analysis.facts import Fact
from weir.analysis.findings import Finding
from weir.analysis.prices import PICO
from weir.analysis.workflows.results import COMPARABLE, Options, WorkflowResult
from weir.analysis.workflows.scaling import Plan, needed_shards, plan_of
from weir.analysis.workflows.series import MetricSeries
from weir.analysis.workflows.stream_facts import StreamFacts

__all__ = ["cost", "idle_month"]

WORTH = 20.0
"""Percent of the month's cost from which a saving is worth a warning; with Kinesis' prices that is dollars."""

_DAY_HOURS = 24
_UNIT = "USD/month"
_FARTHEST = 1000.0


@dataclass(frozen=True)
class _Rates:
    """A month of the mean load; `out_kib` None is not known. `volume` is the mean, all `facts` what it rests on.

    `known` is the share of the range that the mean is of, where that is too little to go by: writers that rest for
    hours may have no points for them.
    """

    units: float
    kib: float
    gb_an_hour: float
    out_kib: float | None
    volume: Fact
    facts: tuple[Fact, ...]
    known: Fact | None = None


def cost(stream: StreamFacts, options: Options) -> WorkflowResult:
    """What it costs now, the cheapest that carries the demand, and the load at which the modes cost the same."""
    rates = _rates(stream)
    if rates is None or idle_month(stream) is None:
        return WorkflowResult((_unknown(stream),))
    plan = plan_of(stream, options)
    choices = _choices(stream, rates, plan)
    told = tuple(choice.fact for choice in choices.values())
    facts = (*told, *_advised(plan), *_basis(stream), *rates.facts)
    findings = (*_now(choices, facts, rates.known), *_break_even(stream, rates, options, facts))
    return WorkflowResult(findings, facts)


def idle_month(stream: StreamFacts) -> Fact | None:
    """What the stream costs a month without any load; None where its shards or retention aren't known."""
    if stream.retention_hours is None or not (stream.open_shards or stream.mode == "ON_DEMAND"):
        return None
    idle = _month(stream, stream.mode, stream.open_shards, stream.retention_hours, None, 0.0)
    return _money("month without any load", idle, "list prices, 730 h")


def _unknown(stream: StreamFacts) -> Finding:
    idle = idle_month(stream)
    known = (idle,) if idle is not None else ()
    return Finding(
        "cost-unknown",
        "info",
        "What the stream costs can't be told" + (f": at least {idle.text}, without any load" if idle else ""),
        (*known, stream.measures["open shards"], stream.measures["retention"], stream.measures["volume in, mean"]),
        "Its load, its shards or its retention is not known, and nothing is taken for zero.",
    )


def _rates(stream: StreamFacts) -> _Rates | None:
    size, records = stream.metric("IncomingBytes"), stream.metric("IncomingRecords")
    if size is None or records is None:
        return None
    pairs = [(b, r) for b, r in zip(size.values, records.values, strict=True) if b is not None and r is not None]
    if not pairs:
        return None
    month = HOURS_A_MONTH * 3600 / (len(pairs) * size.period)
    total = math.fsum(b for b, _ in pairs) * month
    share = len(pairs) / len(size)
    known = size.fact("points known", 100 * share, "%", "periods with bytes and records")
    return _Rates(
        math.fsum(r * math.ceil(b / r / PAYLOAD_UNIT) for b, r in pairs if r >= 1) * month,
        math.fsum(r * math.ceil(b / r / 1024) for b, r in pairs if r >= 1) * month,
        total / HOURS_A_MONTH / (1 << 30),
        _month_of(stream.metric("GetRecords.Bytes")),
        stream.measures["volume in, mean"],
        (stream.measures["records in, mean"], stream.measures["volume in, mean"], stream.measures["volume out, mean"]),
        known if share < COMPARABLE else None,
    )


def _month_of(out: MetricSeries | None) -> float | None:
    """KiB read in a month of the mean rate."""
    return None if out is None or out.mean is None else out.mean / out.period / 1024 * HOURS_A_MONTH * 3600


def _month(
    stream: StreamFacts, mode: str, shards: int | None, retention: int, rates: _Rates | None, factor: float
) -> Cost:
    """A month of `factor` times the load; `rates` None is no load at all."""
    load = rates or _Rates(0.0, 0.0, 0.0, 0.0, stream.measures["volume in, mean"], ())
    times = Fraction(factor)
    return stream_month(
        mode=mode,
        shards=shards,
        payload_units=math.ceil(load.units * times),
        kib_in=math.ceil(load.kib * times),
        kib_out=None if load.out_kib is None else Fraction(load.out_kib) * times,
        gb_an_hour=Fraction(load.gb_an_hour) * times,
        retention_hours=retention,
        region=stream.region,
    )


@dataclass(frozen=True)
class _Choice:
    """What a month would cost, dollars; `priced` when every quantity of it was known."""

    fact: Fact
    usd: float
    priced: bool


def _money(name: str, month: Cost, how: str, complete: bool = True) -> Fact:
    missing = f"; without {', '.join(month.missing)}" if month.missing else ""
    return Fact(name, month.pico / PICO, _UNIT, f"{how}{missing}", complete and month.complete)


def _choices(stream: StreamFacts, rates: _Rates, plan: Plan | None) -> dict[str, _Choice]:
    """Months by what is chosen; `now` first."""
    kept, count = stream.retention_hours or _DAY_HOURS, stream.open_shards or 1

    def choice(name: str, mode: str, shards: int, retention: int) -> _Choice:
        what = f"{shards} shards, " if mode == "PROVISIONED" else ""
        month = _month(stream, mode, shards, retention, rates, 1.0)
        how = f"list prices of {month.priced_as}, 730 h; {mode}, {what}{retention} h kept"
        return _Choice(_money(f"month {name}", month, how, rates.volume.complete), month.pico / PICO, month.complete)

    found = {"now": choice("now", stream.mode, count, kept)}
    if stream.mode == "PROVISIONED":
        found["on demand"] = choice("on demand", "ON_DEMAND", count, kept)
    if plan is not None and (stream.mode != "PROVISIONED" or plan.target != count):
        found["advised"] = choice("with the shards advised", "PROVISIONED", plan.target, kept)
    if kept > _DAY_HOURS:
        found["retention"] = choice("with a day's retention", stream.mode, count, _DAY_HOURS)
    return found


def _advised(plan: Plan | None) -> tuple[Fact, ...]:
    if plan is None:
        return ()
    target = Fact("shards advised", plan.target, "shards", "scaling workflow", plan.needed.complete)
    return target, plan.needed, *(fact for fact in (plan.uneven,) if fact is not None)


def _basis(stream: StreamFacts) -> tuple[Fact, ...]:
    prices = _month(stream, stream.mode, stream.open_shards, _DAY_HOURS, None, 0.0)
    return (
        Fact("prices of", prices.effective_from, "", f"price list, {prices.priced_as}"),
        Fact("not counted", ", ".join(prices.not_counted), "", "price list"),
        Fact("hours in a month", HOURS_A_MONTH, "h", "365 x 24 / 12"),
        stream.measures["open shards"],
        stream.measures["retention"],
    )


def _now(choices: dict[str, _Choice], facts: tuple[Fact, ...], known: Fact | None) -> Iterator[Finding]:
    now = choices["now"]
    at_least = "" if now.priced else "at least "
    going_by = "" if known is None else f", going by {known.text} of its points; the others are not known"
    facts = facts if known is None else (*facts, known)
    yield Finding(
        "cost-now",
        "info",
        f"A month like this range costs {at_least}{now.fact.text}{going_by}",
        facts,
        "List prices, without discounts and without what is not counted.",
    )
    cheaper = {name: one for name, one in choices.items() if one.priced and one.usd < now.usd}
    if not cheaper:
        words = f"No other choice that is known to the cent costs less than {now.fact.text}"
        yield Finding("cost-best", "info", words, facts, "Nothing to do.")
        return
    best = min(cheaper, key=lambda name: cheaper[name].usd)
    saved, month = now.usd - cheaper[best].usd, cheaper[best].fact
    saving = Fact("saving", saved, _UNIT, f"month now - {month.name}", month.complete)
    share = Fact("saving of the cost", 100 * saved / now.usd, "%", "saving / month now", month.complete)
    advised = next((fact.text for fact in facts if fact.name == "shards advised"), "")
    how = {
        "on demand": "Switch the stream to on-demand capacity; it can be switched back only a few times a day.",
        "advised": f"Provision {advised}; the scaling workflow tells how.",
        "retention": "Shorten the retention, where nobody needs to read again what is older.",
    }[best]
    yield Finding(
        "cost-lower",
        "warning" if known is None and 100 * saved >= WORTH * now.usd else "info",
        f"The {month.name} would cost {month.text}, which saves {saving.text}, {share.text}{going_by}",
        (saving, share, *facts),
        how,
    )


def _break_even(stream: StreamFacts, rates: _Rates, options: Options, facts: tuple[Fact, ...]) -> Iterator[Finding]:
    """The nearest load, as times the present one, at which the modes cost the same: their order changes there."""
    demand = stream.demand_shards
    p99 = demand.quantile(0.99) if demand is not None else None
    if (
        p99 is None
        or demand is None
        or not isinstance(rates.volume.value, float)
        or not rates.volume.value
        or rates.out_kib is None
    ):
        return
    difference = _Difference(stream, rates, p99, options.headroom)
    factor = difference.changes()
    if factor is None:
        return
    on_demand_wins = difference(1.0) > 0
    volume = float(rates.volume.value)
    times = Fact(
        "break-even load, of the present", factor, "times", "provisioned for the demand = on demand", demand.whole
    )
    rate = Fact("break-even volume", factor * volume, "KiB/s", "break-even load x volume in", demand.whole)
    better, other = ("On demand", "provisioned") if on_demand_wins else ("Provisioned", "on demand")
    turn = f"{'above' if factor > 1 else 'below'} {rate.text}, {times.text} the present load, {other} would be"
    yield Finding(
        "cost-break-even",
        "info",
        f"{better} is the cheaper mode for this load; {turn}",
        (rate, times, *facts),
        "The load at which the answer changes, sized for the demand's p99 with the same head-room.",
    )


class _Difference:
    """Provisioned (sized for the demand) minus on demand, dollars a month, at a multiple of the present load."""

    def __init__(self, stream: StreamFacts, rates: _Rates, p99: float, headroom: float) -> None:
        kept = stream.retention_hours or _DAY_HOURS

        def usd(mode: str, factor: float) -> float:
            return _month(stream, mode, 1, kept, rates, factor).pico / PICO

        self._p99, self._headroom = p99, headroom
        self._shard, self._stream = usd("PROVISIONED", 0.0), usd("ON_DEMAND", 0.0)
        self._units, self._volume = usd("PROVISIONED", 1.0) - self._shard, usd("ON_DEMAND", 1.0) - self._stream

    def __call__(self, factor: float) -> float:
        shards = needed_shards(self._p99 * factor, self._headroom)
        return shards * self._shard + factor * self._units - self._stream - factor * self._volume

    def changes(self) -> float | None:
        """The factor nearest to 1 (by ratio) at which the sign is another than at 1; None within a thousandfold."""
        sign = self(1.0) > 0
        step = 2**0.125
        factor = step
        while factor <= _FARTHEST:
            for near, far in ((factor / step, factor), (step / factor, 1 / factor)):
                if (self(far) > 0) != sign:
                    return self._edge(near, far, sign)
            factor *= step
        return None

    def _edge(self, near: float, far: float, sign: bool) -> float:
        for _ in range(40):
            middle = math.sqrt(near * far)
            near, far = (middle, far) if (self(middle) > 0) == sign else (near, middle)
        return far
