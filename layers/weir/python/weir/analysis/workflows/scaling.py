"""How many shards a stream needs: for the p99 of its demand with head-room, by legal steps, and when.

The demand of a period is max(KiB in / 1,024, KiB out / 2,048, records / 1,000) a second, throttled records included
(`StreamFacts.demand_shards`). UpdateShardCount at most doubles or halves the count, ten times in 24 hours. Shards are
taken away only when the busiest period of the cool-off fits, too: giving back what the next peak needs costs two
reshardings and the throttles between them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from weir.analysis.balance import HOT_SHARE
from weir.analysis.facts import Fact
from weir.analysis.findings import Finding, Severity
from weir.analysis.workflows.performance import NOTABLE, ROOM, hottest
from weir.analysis.workflows.results import Options, WorkflowResult
from weir.analysis.workflows.series import MetricSeries
from weir.analysis.workflows.stream_facts import StreamFacts
from weir.streams.resharding import CALLS_PER_DAY, MAX_SHARDS, legal_steps

__all__ = ["COOL_OFF_HOURS", "Plan", "needed_shards", "plan_of", "scaling"]

COOL_OFF_HOURS = 24
"""Hours whose busiest period must fit before shards are taken away: one whole day's cycle."""

_HAIR = 1e-9


def needed_shards(demand: float, headroom: float) -> int:
    """The fewest shards that carry `demand`, in shards, with `headroom` (0.25: a quarter more); at least one."""
    return max(1, math.ceil(demand * (1 + headroom) - _HAIR))


@dataclass(frozen=True)
class Plan:
    """How many shards are needed, and how many to have: fewer only after the cool-off, more only where they help.

    `uneven` is told where the stream has room and yet a part of it has not: a fact of a hot shard, or of throttles.
    """

    needed: Fact
    target: int
    facts: tuple[Fact, ...]
    uneven: Fact | None = None


def plan_of(stream: StreamFacts, options: Options) -> Plan | None:
    """The shards to have; None where the demand isn't known. Without shards of its own, a stream has what it needs."""
    demand = stream.demand_shards
    if demand is None:
        return None
    facts = _arithmetic(demand, options.headroom)
    wanted = min(MAX_SHARDS, needed_shards(demand.quantile(0.99) or 0.0, options.headroom))
    count = stream.open_shards
    if stream.mode == "ON_DEMAND" or not count:
        return Plan(facts[2], wanted, facts)
    if uneven := _uneven(stream, lowering=wanted < count):
        return Plan(facts[2], count, facts, uneven)
    carries = facts[4].value
    least = max(wanted, carries) if isinstance(carries, int) else count
    return Plan(facts[2], wanted if wanted > count else min(count, least), facts)


def scaling(stream: StreamFacts, options: Options) -> WorkflowResult:
    """One finding with the arithmetic, and one more where the demand isn't wholly known."""
    plan, demand = plan_of(stream, options), stream.demand_shards
    if plan is None or demand is None:
        return WorkflowResult()
    return WorkflowResult((_advised(stream, plan), *_bounded(stream, demand)), plan.facts)


def _arithmetic(demand: MetricSeries, headroom: float) -> tuple[Fact, ...]:
    """Demand at p99, head-room, shards needed; then the cool-off's peak, what carries it, and how long it is."""
    p99 = demand.quantile(0.99) or 0.0
    recent = demand.rest(demand.end - timedelta(hours=COOL_OFF_HOURS))
    top = recent.highest
    carries = None if top is None else needed_shards(top, 0.0)
    return (
        demand.fact("demand at p99", p99, "shards", "max of the terms, p99 of the periods"),
        Fact("head-room", 100 * headroom, "%", "asked for"),
        demand.fact("shards needed", needed_shards(p99, headroom), "shards", "p99 x (1 + head-room), rounded up"),
        recent.fact("demand of the cool-off, highest", top, "shards", "busiest period"),
        recent.fact("shards that carry the cool-off", carries, "shards", "rounded up"),
        Fact("cool-off", COOL_OFF_HOURS, "h", "a day's cycle"),
    )


def _uneven(stream: StreamFacts, *, lowering: bool) -> Fact | None:
    """What tells that shards are not the matter: throttles though there are too many, or a hot shard beside room."""
    turned_away = stream.measures["writes throttled"]
    if lowering:
        return turned_away if turned_away.value else None
    used, heat = stream.write_utilization, hottest(stream)
    room = used is not None and (used.mean or 0.0) < ROOM
    hot = heat is not None and isinstance(heat[1].value, float) and heat[1].value > HOT_SHARE
    return heat[1] if heat is not None and hot and room and turned_away.value else None


def _advised(stream: StreamFacts, plan: Plan) -> Finding:
    current, count = stream.measures["open shards"], stream.open_shards
    facts = (*plan.facts, current)
    if stream.mode == "ON_DEMAND" or not count:
        advice = "The cost workflow tells which mode is cheaper."
        advice = advice if stream.mode == "ON_DEMAND" else "How many shards are open is not known."
        words = f"Provisioned, this demand would need {plan.needed.text}"
        return Finding("shards-needed", "info", words, facts, advice)
    words = f"The demand needs {plan.needed.text} with {plan.facts[1].text} to spare; the stream has {current.text}"
    if plan.uneven is not None:
        advice = f"There is room, yet a part is full ({plan.uneven.name}: {plan.uneven.text}). First spread the keys."
        share = stream.measures["throttled share of demand"]
        severity: Severity = "warning" if _notable(share) else "info"
        return Finding("uneven-shards", severity, words, (*facts, plan.uneven, share), advice)
    steps = _steps(count, plan.target)
    if plan.target > count:
        share = stream.measures["throttled share of demand"]
        advice = f"Raise the shard count by legal steps: {steps[0].text}. Wait a day before lowering it again."
        return Finding(
            "raise-shards", "critical" if _notable(share) else "warning", words, (*facts, *steps, share), advice
        )
    if plan.target < count:
        advice = f"Lower the shard count by legal steps: {steps[0].text}. Then wait, and analyze again."
        return Finding("lower-shards", "info", words, (*facts, *steps), advice)
    if isinstance(plan.needed.value, int) and plan.needed.value < count:
        advice = f"Wait: the busiest period of the last {facts[5].text} filled {facts[3].text}. Then analyze again."
        return Finding("wait-to-lower", "info", words, facts, advice)
    return Finding("shards-fit", "info", words, facts, "Keep the shard count.")


def _notable(share: Fact) -> bool:
    return isinstance(share.value, int | float) and share.value >= NOTABLE


def _steps(count: int, target: int) -> tuple[Fact, ...]:
    steps = legal_steps(count, target)
    if not steps:
        return ()
    path = " > ".join(str(each) for each in (count, *steps))
    days = math.ceil(len(steps) / CALLS_PER_DAY)
    return (
        Fact("legal steps", path, "", "quota: at most x2 or /2 a step"),
        Fact("steps", len(steps), "steps", "legal steps"),
        Fact("changes a day", CALLS_PER_DAY, "calls", "quota: UpdateShardCount"),
        Fact("days for the steps", days, "days", "steps / changes a day, rounded up"),
    )


def _bounded(stream: StreamFacts, demand: MetricSeries) -> Iterator[Finding]:
    """What keeps the recommendation from being the whole truth."""
    if demand.whole:
        return
    known = demand.fact("points known", 100 * demand.completeness, "%", "periods where the demand is known")
    unread = [
        name for name in ("WriteProvisionedThroughputExceeded", "GetRecords.Bytes") if stream.metric(name) is None
    ]
    names = tuple(Fact(name, None, "", "AWS/Kinesis", complete=False) for name in unread)
    yield Finding(
        "demand-incomplete",
        "info",
        f"The demand is known for {known.text} of the periods" + (", and without all of its terms" if unread else ""),
        (known, *names),
        "More shards may be needed than is told here: a missing point is not a load of zero.",
    )
