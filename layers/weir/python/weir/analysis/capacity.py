"""Rules about capacity: the throughput reached, how full the shards are, throttles, how many shards to have."""

from __future__ import annotations

from collections.abc import Iterator

from weir.analysis.facts import Fact
from weir.analysis.findings import Finding
from weir.analysis.measurement import Measurement
from weir.analysis.slo import Slo
from weir.analysis.utilization import (
    Load,
    Utilization,
    average_load,
    cloudwatch_peak,
    peak_load,
    utilization,
)
from weir.streams.pacing import SHARD_RECORDS_PER_SECOND
from weir.streams.resharding import CALLS_PER_DAY, legal_steps

__all__ = ["fullness", "recommendation", "throttling", "throughput"]

_FULL, _IDLE = 0.8, 0.25
_NOTABLE_THROTTLES = 0.01
_ON_TARGET = 0.95
_FASTER = "When records were throttled, add shards or spread the keys; when not, the writers are the limit: add some."
_AVERAGE = "run: accepted / seconds of inserting"
_PEAK = "run: arrivals in the busiest second"


def throughput(m: Measurement, slo: Slo) -> Iterator[Finding]:
    """The rate reached, against the objective, against the rate that was asked for, and against the shards."""
    rate = m.records_per_second
    least = slo.min_records_per_second
    reached = Fact("throughput", rate, "records/s", _AVERAGE)
    objective = Fact("throughput objective", least, "records/s", "slo")
    asked = Fact("target rate", m.target_rate, "records/s", "run")
    if rate is None:
        if least is not None:
            yield Finding(
                "throughput-unknown",
                "warning",
                "Throughput could not be measured",
                (reached, objective),
                "No record was accepted, or how long inserting took isn't known.",
            )
        return
    wanted = [fact for fact in (objective, asked) if fact.value is not None]
    evidence = [reached, Fact("inserting took", m.insert_seconds, "s", "run"), *_capacity(m), *wanted]
    if least is not None and rate < least:
        yield Finding(
            "throughput-below-objective",
            "critical",
            f"Throughput was {reached.text}, below the objective of {objective.text}",
            tuple(evidence),
            _FASTER,
        )
    elif m.target_rate is not None and rate < _ON_TARGET * m.target_rate:
        yield Finding(
            "throughput-below-target",
            "warning",
            f"Throughput was {reached.text}, of {asked.text} asked for",
            tuple(evidence),
            _FASTER,
        )
    else:
        yield Finding(
            "throughput", "info", f"Throughput was {reached.text} on average", tuple(evidence), "Nothing to do."
        )


def _capacity(m: Measurement) -> tuple[Fact, ...]:
    if not m.open_shards:
        return ()
    shards = Fact("open shards", m.open_shards, "shards", "run")
    return shards, Fact("write quota", m.open_shards * SHARD_RECORDS_PER_SECOND, "records/s", "quota: 1,000 a shard")


def _percent(name: str, share: float | None, source: str, complete: bool = True) -> Fact:
    return Fact(name, None if share is None else share * 100, "%", source, complete)


def fullness(m: Measurement, _slo: Slo) -> Iterator[Finding]:
    """Write and read utilization: near the quota, comfortable, or mostly idle."""
    used = utilization(m)
    if used.write_average is None:
        return
    evidence = _usage_facts(m, used)
    average, second, _, reads = evidence[:4]
    both = f"Writes used {average.text} of the shards' capacity on average, {second.text} in the busiest second"
    if used.write_average >= _FULL:
        advice = "Little is left for a burst. See the shard recommendation."
        yield Finding("write-near-capacity", "warning", both, evidence, advice)
    elif used.write_average < _IDLE and (used.write_peak_second or 0) < _FULL:
        advice = "Most of what is paid for stands idle at this load. See the shard recommendation and the month's cost."
        yield Finding("capacity-idle", "info", both, evidence, advice)
    else:
        yield Finding("write-utilization", "info", both, evidence, "Nothing to do.")
    if used.read_average is not None and used.read_average >= _FULL:
        yield Finding(
            "read-near-capacity",
            "warning",
            f"Reads used {reads.text} of the shards' capacity on average",
            (reads, *_capacity(m)),
            "A second reader would not fit. Give it enhanced fan-out, or add shards.",
        )


def _usage_facts(m: Measurement, used: Utilization) -> tuple[Fact, ...]:
    """Write average, busiest second, busiest minute and read average; then the shards, then CloudWatch's view."""
    counted = all(shard.arrival_bytes is not None for shard in m.shards)
    write, read = cloudwatch_peak(m)
    facts = [
        _percent("write utilization, average", used.write_average, _AVERAGE),
        _percent("write utilization, busiest second", used.write_peak_second, _PEAK, counted),
        _percent("write utilization, busiest minute", used.write_peak_minute, "run: arrivals / 60", counted),
        _percent("read utilization, average", used.read_average, "run: bytes read / seconds of verifying"),
        *_capacity(m),
    ]
    for name, share in (("write", write), ("read", read)):
        if share is not None:
            facts.append(_percent(f"{name} utilization, busiest period", share, "AWS/Kinesis", m.cloudwatch_complete))
    return tuple(facts)


def throttling(m: Measurement, _slo: Slo) -> Iterator[Finding]:
    """Records turned away by the write quota: demand = accepted + throttled."""
    if not m.throttled:
        return
    throttled = Fact("throttled", m.throttled, "records", "run")
    evidence = [throttled, Fact("accepted", m.records, "records", "run"), Fact("retried", m.retried, "records", "run")]
    share = m.throttled / (m.records + m.throttled) if m.records is not None else None
    of_demand = _percent("throttled share of demand", share, "throttled / (accepted + throttled)")
    evidence.append(of_demand)
    series = m.series("WriteProvisionedThroughputExceeded")
    if series is not None and series.points:
        total = sum(value for _, value in series.points)
        evidence.append(
            Fact("WriteProvisionedThroughputExceeded, sum", round(total), "records", "AWS/Kinesis", series.complete)
        )
    average = _percent("write utilization, average", utilization(m).write_average, _AVERAGE)
    notable = share is None or share >= _NOTABLE_THROTTLES
    yield Finding(
        "writes-throttled",
        "warning" if notable else "info",
        f"Kinesis throttled {throttled.text}, {of_demand.text} of the demand",
        (*evidence, average),
        "With a high utilization, add shards. With a low one, a hot shard or bursts within a second are the cause: "
        "spread the keys or pace the writers."
        if notable
        else "A few throttles are normal when writers look for the limit.",
    )


def recommendation(m: Measurement, _slo: Slo) -> Iterator[Finding]:
    """How many shards this load needs, with the arithmetic, and the legal steps there."""
    average, peak = average_load(m), peak_load(m)
    if average is None or peak is None or not m.records:
        return
    # Throttled, or as fast as possible up to the quota: what came in is what the shards let through, not the demand.
    bounded = bool(m.throttled) or (m.target_rate is None and (utilization(m).write_peak_second or 0) >= _FULL)
    needed = Fact("shards needed at the peak", peak.shards, "shards", "max of the three terms, rounded up", not bounded)
    evidence = [
        *_terms("average", average, _AVERAGE),
        Fact("shards needed on average", average.shards, "shards", "max of the three terms, rounded up", not bounded),
        *_terms("peak", peak, _PEAK),
        needed,
    ]
    current = Fact("open shards", m.open_shards, "shards", "run")
    if m.mode == "ON_DEMAND":
        yield Finding(
            "shard-recommendation",
            "info",
            f"Provisioned, this load would need {needed.text} at its peak",
            (*evidence, current),
            "The month's cost tells which mode is cheaper at this rate.",
        )
        return
    if m.open_shards is None:
        return
    steps = legal_steps(m.open_shards, peak.shards)
    if steps:
        path = " > ".join(str(count) for count in (m.open_shards, *steps))
        evidence.append(Fact("legal steps", path, "", "quota: at most x2 or /2 a step"))
        evidence.append(Fact("changes a day", CALLS_PER_DAY, "calls", "quota: UpdateShardCount"))
    yield _advised(m, peak.shards, current, needed, tuple(evidence), bounded)


def _advised(
    m: Measurement, wanted: int, current: Fact, needed: Fact, evidence: tuple[Fact, ...], bounded: bool
) -> Finding:
    caution = ""
    if bounded:
        caution = (
            " The load came as fast as the shards let it, so its own need may be higher; set a rate to size for it."
        )
    elif m.target_rate is None:
        caution = " No rate was asked for, so this is the pace of the writers; set a rate to size for it."
    steps = next((fact.text for fact in evidence if fact.name == "legal steps"), "")
    advice = f"Keep the shard count.{caution}"
    if steps and wanted < (m.open_shards or 0):
        advice = (
            "On average there is room, yet records were throttled: the load is uneven. Spread the keys before "
            "lowering the count."
            if m.throttled
            else f"Spread evenly, fewer shards carry this peak. Lower the count by legal steps: {steps}.{caution}"
        )
    elif steps:
        advice = f"Raise the shard count by legal steps: {steps}.{caution}"
    return Finding(
        "shard-recommendation",
        "warning" if wanted > (m.open_shards or 0) and not bounded else "info",
        f"The busiest second needs {needed.text}; the stream has {current.text}",
        (*evidence, current),
        advice,
    )


def _terms(when: str, load: Load, source: str) -> tuple[Fact, ...]:
    by_in, by_out, by_records = load.terms
    return (
        Fact(f"{when}: KiB in / 1,024", by_in, "shards", f"{source}; {load.bytes_in / 1024:,.1f} KiB/s in"),
        Fact(
            f"{when}: KiB out / 2,048",
            by_out,
            "shards",
            "not measured" if load.bytes_out is None else f"one reader; {load.bytes_out / 1024:,.1f} KiB/s out",
        ),
        Fact(f"{when}: records / 1,000", by_records, "shards", f"{source}; {load.records:,.1f} records/s"),
    )
