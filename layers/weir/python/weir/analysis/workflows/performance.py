"""How a stream fares: how full its shards are, what was throttled, how far readers are behind, how long calls take.

Iterator age is a risk from half of the retention on (Kinesis developer guide, "Monitoring with CloudWatch"). A shard is
hot when it has well over the mean: one-minute sums hide bursts, so that a run confirms it by the second
(`weir.analysis.balance`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from weir.analysis.balance import HOT_SHARE, hot_keys, hot_shards
from weir.analysis.facts import Fact
from weir.analysis.findings import Finding
from weir.analysis.latency import end_to_end
from weir.analysis.slo import Slo
from weir.analysis.workflows.measures import LATENCIES
from weir.analysis.workflows.results import Chart, Level, Options, WorkflowResult, chart_of
from weir.analysis.workflows.series import MetricSeries
from weir.analysis.workflows.stream_facts import StreamFacts
from weir.analysis.workflows.trends import trend_of

__all__ = ["FULL", "IDLE", "NOTABLE", "ROOM", "hottest", "performance"]

FULL, ROOM, IDLE = 80.0, 50.0, 25.0
"""Percent of the shards' capacity: little is left, there is room, most of it stands idle."""

NOTABLE = 1.0
"""Percent of demand, or of the periods, from which throttles are no search for the limit any more."""

RISK = 0.5
"""Share of the retention from which an iterator age is a risk."""

UNSEEN = 3
"""Periods at the end of a range, with records but without any iterator age, that are no accident."""

_SLOW = 5.0
_BEHIND_MS = 60_000.0
_HOUR = 3600


def performance(stream: StreamFacts, options: Options) -> WorkflowResult:
    """All of it, and charts of the utilization and of the iterator age."""
    findings = (
        *_unmeasured(stream),
        *_utilization(stream),
        *_throttles(stream),
        *_hot(stream),
        *_age(stream, options.slo),
        *_unseen(stream),
        *_latencies(stream),
        *_failures(stream),
        *_of_a_run(stream, options.slo),
    )
    return WorkflowResult(findings, charts=tuple(_charts(stream)))


def _unmeasured(stream: StreamFacts) -> Iterator[Finding]:
    """Metrics without a point, and what could not be read; nothing is concluded from them."""
    if stream.not_read:
        unread = tuple(Fact(what, None, "", "not read", complete=False) for what in stream.not_read)
        advice = "The findings rest on the rest. Analyze again."
        yield Finding("not-read", "warning", "Not everything could be read", unread, advice)
    empty = [name for name, one in stream.series.items() if not one.known]
    names = tuple(Fact(name, None, "", "AWS/Kinesis", complete=False) for name in empty)
    if not stream.series or len(empty) == len(stream.series):
        yield Finding(
            "not-measured",
            "warning",
            "CloudWatch has no point of any metric in this range",
            (Fact("metrics with points", 0, "metrics", "AWS/Kinesis"), *names),
            "Nothing can be said of the stream's load: no point is not a load of zero. Check the range and the region.",
        )
    elif names:
        count = Fact("metrics not measured", len(names), "metrics", "AWS/Kinesis", complete=False)
        yield Finding(
            "metrics-missing",
            "info",
            f"There {count.was} {count.text} without a point in this range",
            (count, *names),
            "Some are published only after a first event. None was taken for zero.",
        )


def _utilization(stream: StreamFacts) -> Iterator[Finding]:
    for name, used in (("write", stream.write_utilization), ("read", stream.read_utilization)):
        if used is None:
            continue
        mean, p50, p99, top = (stream.measures[f"{name} utilization, {k}"] for k in ("mean", "p50", "p99", "highest"))
        evidence = (mean, p50, p99, top, stream.measures["open shards"])
        words = f"{name.capitalize()}s used {mean.text} of the shards' capacity on average, {p99.text} at p99"
        if (used.quantile(0.99) or 0.0) >= FULL:
            over = used.fact("periods near capacity", used.above(FULL), "periods", "utilization of 80 % or more")
            advice = "Little is left for a burst. See what the scaling workflow recommends."
            yield Finding(f"{name}-near-capacity", "warning", words, (*evidence, over), advice)
        elif (used.highest or 0.0) < IDLE:
            words = f"{name.capitalize()}s used at most {top.text} of the shards' capacity"
            advice = "Most of the capacity stands idle. See the cost of the alternatives."
            advice = advice if stream.mode == "PROVISIONED" else "On demand, only what is used is paid for."
            yield Finding(f"{name}-capacity-idle", "info", words, evidence, advice)
        else:
            yield Finding(f"{name}-utilization", "info", words, evidence, "Nothing to do.")


def _throttles(stream: StreamFacts) -> Iterator[Finding]:
    writes = stream.metric("WriteProvisionedThroughputExceeded")
    if writes is not None and (writes.total or 0.0) > 0:
        total, share = stream.measures["writes throttled"], stream.measures["throttled share of demand"]
        usual = stream.measures["write utilization, mean"]
        notable = not isinstance(share.value, int | float) or share.value >= NOTABLE
        yield Finding(
            "writes-throttled",
            "warning" if notable else "info",
            f"Kinesis throttled {total.text}" + (f", {share.text} of the demand" if share.value is not None else ""),
            (total, share, _periods(writes, "periods with throttled writes"), usual),
            "With a high utilization, add shards. With a low one, a hot shard or bursts within a period are the cause."
            if notable
            else "A few throttles are normal when writers look for the limit.",
        )
    reads = stream.metric("ReadProvisionedThroughputExceeded")
    if reads is not None and (reads.total or 0.0) > 0:
        total, busy = stream.measures["reads throttled"], _periods(reads, "periods with throttled reads")
        notable = sum(1 for n in reads.known if n > 0) * 100 >= NOTABLE * len(reads.known)
        yield Finding(
            "reads-throttled",
            "warning" if notable else "info",
            f"Kinesis throttled {total.text} of readers, in {busy.text}",
            (total, busy, stream.measures["read utilization, mean"]),
            "Readers of a shard share its calls and its volume: let them poll less often, or use enhanced fan-out.",
        )


def _periods(series: MetricSeries, name: str) -> Fact:
    return series.fact(name, sum(1 for value in series.known if value > 0), "periods", "points above zero")


def hottest(stream: StreamFacts) -> tuple[str, Fact, Fact] | None:
    """The shard with the most records, its share as times the mean, and the mean; None without shard-level points.

    Only the periods count in which all shards have a point: one that a reshard has just made is not cold for it.
    """
    found = {shard: by_name.get("IncomingRecords") for shard, by_name in stream.shards.items()}
    shards = {shard: one for shard, one in found.items() if one is not None}
    if len(shards) < 2 or len(shards) != len(found) or len({(one.start, len(one)) for one in shards.values()}) > 1:
        return None
    periods = [values for values in zip(*(one.values for one in shards.values()), strict=True) if None not in values]
    totals = [math.fsum(value or 0.0 for value in values) for values in zip(*periods, strict=True)]
    if not (records := math.fsum(totals)):
        return None
    mean = records / len(totals)
    total, shard = max(zip(totals, shards, strict=True))
    how = "its records / the mean of a shard, where all have points"
    times = shards[shard].fact(f"{shard}, times the mean", total / mean, "times", how)
    return (
        shard,
        times,
        shards[shard].fact("mean of a shard", mean, "records", "over the periods where all have points"),
    )


def _hot(stream: StreamFacts) -> Iterator[Finding]:
    found = hottest(stream)
    if found is None or not isinstance(found[1].value, float) or found[1].value <= HOT_SHARE:
        return
    shard, times, mean = found
    throttled, name = stream.shards[shard].get("WriteProvisionedThroughputExceeded"), f"{shard}, throttled"
    fact = Fact(name, None, "records", "AWS/Kinesis", complete=False)
    fact = fact if throttled is None else throttled.fact(name, throttled.total, "records", "sum of the periods")
    yield Finding(
        "hot-shard",
        "warning" if fact.value else "info",
        f"{shard} took {times.text} the mean of the shards",
        (times, mean, fact),
        "Spread the partition keys. Split the shard only when its keys are many: one key stays on one shard."
        if fact.value
        else "It was not throttled, as far as is known. At a higher rate it will be the first to be.",
    )


def _age(stream: StreamFacts, slo: Slo) -> Iterator[Finding]:
    age = stream.metric("GetRecords.IteratorAgeMilliseconds")
    if age is None or age.highest is None:
        return
    top, p99 = stream.measures["iterator age, highest"], stream.measures["iterator age, p99"]
    evidence = (top, p99, stream.measures["retention"])
    kept = stream.retention_hours * 3_600_000 if stream.retention_hours else None
    if kept and age.highest >= RISK * kept:
        share = age.fact("iterator age of the retention", 100 * age.highest / kept, "%", "highest / retention")
        over = age.fact(
            "periods at risk", age.above(RISK * kept), "periods", "iterator age of half the retention or more"
        )
        lone = over.value == 1 and age.last is not None and age.last < RISK * kept
        yield Finding(
            "iterator-age",
            "warning" if lone else "critical",
            f"Readers were up to {top.text} behind, {share.text} of the retention",
            (share, over, *evidence),
            "It was a single period and is over: a reader that starts at the oldest record shows so, too."
            if lone
            else "Records are about to expire unread. Lengthen the retention first, then add readers or shards.",
        )
    else:
        yield from _falling_behind(age, evidence)
    if slo.p99_latency_ms is not None and isinstance(p99.value, float) and p99.value * 1000 > slo.p99_latency_ms:
        asked = Fact("p99 objective", slo.p99_latency_ms, "ms", "slo")
        yield Finding(
            "iterator-age-over-objective",
            "critical",
            f"The p99 iterator age is {p99.text}, over the objective of {asked.text}",
            (p99, asked),
            "Readers fall behind by more than the data may be late. Add readers, or shards when reads are throttled.",
        )


def _falling_behind(age: MetricSeries, evidence: tuple[Fact, ...]) -> Iterator[Finding]:
    """An age that keeps growing, though it is no risk yet; told with when it would be one."""
    trend = trend_of(age.blocks(_HOUR))
    if trend is None or not trend.evident or trend.change < _BEHIND_MS or (age.last or 0.0) < _BEHIND_MS:
        return
    rise = age.fact("iterator age, rise", trend.a_day / 1000, "s/day", "Theil-Sen slope of the hourly means")
    last = age.fact("iterator age, last", (age.last or 0.0) / 1000, "s", "last point")
    facts = [last, rise, *evidence]
    advice = "Readers are slower than writers. Add readers or shards before the age reaches the retention."
    kept = evidence[-1].value
    if isinstance(kept, int | float):
        days = (kept * 3_600_000 - (age.last or 0.0)) / trend.a_day
        left = age.fact("time until records expire unread", days, "days", "(retention - last) / rise")
        facts.append(left)
        advice = f"At this pace, records expire unread in {left.text}. Add readers or shards."
    words = f"The iterator age keeps rising, to {last.text}"
    yield Finding("readers-falling-behind", "warning", words, tuple(facts), advice)


def _unseen(stream: StreamFacts) -> Iterator[Finding]:
    """An age that ends while records come: a reader that died is not behind, it is not seen at all."""
    age, records = stream.metric("GetRecords.IteratorAgeMilliseconds"), stream.metric("IncomingRecords")
    if age is None or records is None or not age.complete:
        return
    last = max(index for index, value in enumerate(age.values) if value is not None)
    since = records.rest(age.at(last + 1))
    active = since.fact("periods with records and no age", sum(1 for n in since.known if n > 0), "periods")
    if not isinstance(active.value, int) or active.value < UNSEEN:
        return
    seen = age.fact("iterator age, last known", age.at(last).strftime("%Y-%m-%d %H:%M UTC"), "")
    yield Finding(
        "readers-unseen",
        "info" if stream.consumers else "warning",
        f"No reader was seen after {seen.text}, and records came in {active.text} since",
        (seen, active, stream.measures["fan-out consumers"]),
        "An age that is not published is no age of zero: see whether the readers stopped. Those with enhanced fan-out"
        " do not show here.",
    )


def _latencies(stream: StreamFacts) -> Iterator[Finding]:
    for metric, name in LATENCIES.items():
        series = stream.metric(metric)
        if series is None:
            continue
        facts = tuple(stream.measures[f"{name}, {kind}"] for kind in ("p50", "p95", "p99", "highest"))
        p50, p99 = series.quantile(0.5) or 0.0, series.quantile(0.99) or 0.0
        slug = metric.split(".")[0].lower()
        words = f"{name} has a p50 of {facts[0].text} and a p99 of {facts[2].text} (averages of the periods)"
        if p50 > 0 and p99 > _SLOW * p50:
            times = series.fact(f"{name}, p99 by p50", p99 / p50, "times", "p99 / p50")
            advice = f"The slow periods are {times.text} the usual ones. See whether they were throttled or busy."
            yield Finding(f"{slug}-latency-uneven", "info", words, (*facts, times), advice)
        else:
            yield Finding(f"{slug}-latency", "info", words, facts, "Nothing to do.")


def _failures(stream: StreamFacts) -> Iterator[Finding]:
    failed, total = stream.metric("PutRecords.FailedRecords"), stream.metric("PutRecords.TotalRecords")
    if failed is None or not failed.total:
        return
    count = failed.fact("records failed", failed.total, "records", "sum of the periods")
    facts = [count]
    words = f"Kinesis failed {count.text} of PutRecords by an error of its own"
    if total is not None and total.total:
        share = failed.fact("failed share", 100 * failed.total / total.total, "%", "failed / PutRecords.TotalRecords")
        facts.append(share)
        words += f", {share.text} of them all"
    advice = "Writers must send again what an answer of success tells as failed, and only that."
    yield Finding("records-failed", "warning", words, tuple(facts), advice)


def _of_a_run(stream: StreamFacts, slo: Slo) -> Iterator[Finding]:
    """What only a run's own measurement tells: end-to-end latency, and heat by the second and by key."""
    if stream.measurement is not None:
        for rule in (end_to_end, hot_shards, hot_keys):
            for finding in rule(stream.measurement, slo):
                yield replace(finding, id=f"run-{finding.id}", evidence=stream.of_run(finding.evidence))


def _charts(stream: StreamFacts) -> Iterator[Chart]:
    used = {"writes": stream.write_utilization, "reads": stream.read_utilization}
    drawn = chart_of(
        "utilization",
        "Share of the open shards' capacity",
        {name: one for name, one in used.items() if one is not None},
        unit="%",
        levels=[Level(100.0, "what the shards can take")],
    )
    age = stream.metric("GetRecords.IteratorAgeMilliseconds")
    hours = stream.retention_hours
    risk = [] if hours is None else [Level(RISK * hours * 3600, "a risk to lose records")]
    aged = {} if age is None else {"age": age}
    behind = chart_of("iterator-age", "Iterator age", aged, unit="s", scale=0.001, levels=risk)
    yield from (chart for chart in (drawn, behind) if chart is not None)
