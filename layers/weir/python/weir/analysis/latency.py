"""Rules about time: from producing a record to reading it, and readers that fall behind.

Latency is judged on quantiles of every record, never on a mean. An iterator age past half the retention period is a
risk of loss (Kinesis developer guide, "Monitoring with CloudWatch").
"""

from __future__ import annotations

from collections.abc import Iterator

from weir.analysis.facts import Fact
from weir.analysis.findings import Finding
from weir.analysis.histogram import Histogram
from weir.analysis.measurement import Measurement
from weir.analysis.slo import Slo

__all__ = ["QUANTILES", "clocks", "end_to_end", "iterator_age", "latency_facts"]

QUANTILES = (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))


def latency_facts(histogram: Histogram | None, what: str = "latency") -> tuple[Fact, ...]:
    """p50, p95, p99 and the maximum in milliseconds; None each while nothing was measured."""
    facts = []
    for name, q in QUANTILES:
        us = histogram.quantile(q) if histogram else None
        facts.append(Fact(f"{what} {name}", None if us is None else us / 1000, "ms", "run"))
    top = histogram.max if histogram else None
    return (*facts, Fact(f"{what} maximum", None if top is None else top / 1000, "ms", "run"))


def end_to_end(m: Measurement, slo: Slo) -> Iterator[Finding]:
    """p99 from produce to read against the objective."""
    facts = latency_facts(m.latency)
    p50, p99 = facts[0], facts[2]
    asked = Fact("p99 objective", slo.p99_latency_ms, "ms", "slo")
    if not isinstance(p99.value, int | float):
        if slo.p99_latency_ms is not None:
            yield Finding(
                "latency-unknown",
                "warning",
                "End-to-end latency could not be measured",
                (p99, asked),
                "No record was read back with its produce time, so the objective is neither met nor missed.",
            )
        return
    arrival = latency_facts(m.arrival_latency, "arrival latency")
    if slo.p99_latency_ms is not None and p99.value > slo.p99_latency_ms:
        yield Finding(
            "latency-over-objective",
            "critical",
            f"p99 latency is {p99.text}, over the objective of {asked.text}",
            (*facts, asked, *arrival[:3]),
            "Compare with the arrival latency: when that is as high, records wait in the writers (throttles, "
            "batching); when it is low, the readers poll too seldom or share their shard's five reads a second.",
        )
    else:
        objective = () if slo.p99_latency_ms is None else (asked,)
        yield Finding(
            "latency",
            "info",
            f"The median latency is {p50.text}, and p99 is {p99.text}",
            (*facts, *objective, *arrival[:3]),
            "Nothing to do." if objective else "No objective was set; these numbers are a baseline for one.",
        )


def clocks(m: Measurement, _slo: Slo) -> Iterator[Finding]:
    """Latencies outside of what can be: the produce time is the writer's clock, the read time the reader's."""
    if m.latency is not None and m.latency.clamped:
        clamped = Fact("latencies out of range", m.latency.clamped, "records", "run")
        yield Finding(
            "clocks-disagree",
            "warning",
            f"By the clocks, {clamped.text} {clamped.was} read before being produced, or hours later",
            (clamped,),
            "The clocks of writers and readers disagree; latencies are off by as much.",
        )


def iterator_age(m: Measurement, _slo: Slo) -> Iterator[Finding]:
    """The readers' lag by CloudWatch, where it has points."""
    series = m.series("GetRecords.IteratorAgeMilliseconds")
    if series is None or not series.points:
        return
    age = Fact("greatest iterator age", max(value for _, value in series.points), "ms", "AWS/Kinesis", series.complete)
    retention = Fact("retention", m.retention_hours * 3_600_000, "ms", "run")
    if isinstance(age.value, float | int) and age.value >= m.retention_hours * 1_800_000:
        yield Finding(
            "iterator-age",
            "critical",
            f"Readers are {age.text} behind, half of the retention period or more",
            (age, retention),
            "Records are about to expire unread. Lengthen the retention first, then add readers or shards.",
        )
