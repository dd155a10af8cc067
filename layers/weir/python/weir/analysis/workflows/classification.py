"""What kind of stream it is, and the rule that decided: the first that holds, in this order.

unknown (fewer than half of the points are known, or fewer than a day of them), dead (not a record in a week of which at
least 90 % is known), idle (a record in fewer than 5 % of the periods; unknown where less than 90 % is known), growing
(an evident trend of at least 20 % over the range), periodic (follows the hours of the day or of the week), spiky (p99
at least three times the median, or a coefficient of variation of at least 1), else steady.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from weir.analysis.facts import Fact
from weir.analysis.findings import Finding
from weir.analysis.workflows.results import Options, WorkflowResult
from weir.analysis.workflows.shape import Shape
from weir.analysis.workflows.stream_facts import StreamFacts

__all__ = ["classification"]

KNOWN, SURE, A_DAY, A_WEEK = 0.5, 0.9, 86_400, 604_800
ACTIVE, GROWN, SPIKY, VARIED = 5.0, 20.0, 3.0, 1.0

_ADVICE = {
    "unknown": "Analyze a longer range, or one of which more is known.",
    "dead": "Ask its owner, then delete it.",
    "idle": "See whether it is still needed, and what it would cost on demand.",
    "growing": "Plan its shards ahead, and analyze it again.",
    "periodic": "Scale with the clock, before the busy hours.",
    "spiky": "Compare with on-demand capacity, which is paid for by what comes.",
    "steady": "Provisioned capacity suits it: size it once, and leave it.",
}


def classification(stream: StreamFacts, _options: Options) -> WorkflowResult:
    """One finding, and the class and its rule as facts."""
    shape = stream.shape
    facts: tuple[Fact, ...] = ()
    if shape is None:
        kind, rule = "unknown", "no point of IncomingRecords or IncomingBytes is known"
    else:
        kind, rule, facts = next(_rules(shape))
    decided = (Fact("class", kind, "", "classification"), Fact("rule that decided", rule, "", "classification"))
    finding = Finding(f"class-{kind}", "info", f"The stream is {kind}: {rule}", (*decided, *facts), _ADVICE[kind])
    return WorkflowResult((finding,), decided)


def _rules(shape: Shape) -> Iterator[tuple[str, str, tuple[Fact, ...]]]:
    load = shape.load
    known = load.fact("points known", 100 * load.completeness, "%", "known / periods")
    days = load.fact("days of points", len(load.known) * load.period / A_DAY, "days")
    if load.completeness < KNOWN or len(load.known) * load.period < A_DAY:
        yield "unknown", f"{known.text} of the points are known, {days.text} of them", (known, days)
    if not load.highest and len(load) * load.period >= A_WEEK and load.completeness >= SURE:
        yield "dead", f"nothing came in {days.text} of points", (days, known)
    share = 100 * sum(1 for value in load.known if value > 0) / len(load.known)
    active = load.fact("active periods", share, "%", "periods above zero / known periods")
    if share < ACTIVE:
        if load.completeness < SURE:
            told = f"something came in only {active.text} of the periods that are known, which are {known.text}"
            yield "unknown", told, (active, known, days)
        yield "idle", f"something came in only {active.text} of the periods", (active, days)
    change = shape.change
    grown = load.fact("change over the range", change, "%", "Theil-Sen slope x range / mean")
    if change is not None and change >= GROWN:
        yield "growing", f"the load grew by {grown.text} of its mean over the range", (grown,)
    for name, holds, season in (("week", shape.weekly, shape.week), ("day", shape.daily, shape.day)):
        if holds and season is not None:
            strength = load.fact(f"explained by hour of {name}", 100 * season.strength, "%", "variance explained")
            yield "periodic", f"the hour of the {name} explains {strength.text} of the variance", (strength,)
    mean, middle, p99 = load.mean or 0.0, load.quantile(0.5) or 0.0, load.quantile(0.99) or 0.0
    spread = math.sqrt(math.fsum((value - mean) ** 2 for value in load.known) / len(load.known))
    varied = load.fact("coefficient of variation", spread / mean if mean else None, "", "standard deviation / mean")
    times = load.fact("p99 by p50", p99 / middle if middle else None, "times", "p99 / p50")
    if middle and p99 >= SPIKY * middle:
        yield "spiky", f"at p99 it has {times.text} its median", (times, varied)
    if mean and spread >= VARIED * mean:
        yield "spiky", f"its coefficient of variation is {varied.text}", (varied, times)
    yield "steady", f"its coefficient of variation is {varied.text}, without season or trend", (varied, times)
