"""The report of a run: everything that a reader needs to trust its verdict, as one document.

The JSON form is stored beside the run and answered by the API; `report_html` and the command line draw it. It is
bounded: it grows with shards up to `MAX_SHARDS` and never with records. Money is a decimal string of dollars, time
RFC 3339 in UTC; a number that isn't known is null.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from weir.analysis.cost import Cost, MonthCost
from weir.analysis.findings import Finding, Severity
from weir.analysis.histogram import Histogram
from weir.analysis.measurement import Measurement, ShardMeasurement
from weir.analysis.rates import RateSeries
from weir.analysis.summary import facts_of
from weir.runs.models import Step, Verdict

__all__ = ["MAX_SHARDS", "Report", "build_report"]

MAX_SHARDS = 64
"""Shards told one by one; of more, the busiest are, and the others are added up."""


_AS_MEASURED = (
    "run_id",
    "stream_name",
    "mode",
    "region",
    "open_shards",
    "started_at",
    "ended_at",
    "top_keys",
    "missing",
)


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ReportFact(_Frozen):
    """A number with its unit and source; `text` is how prose words it. A null value could not be measured."""

    name: str
    value: int | float | str | None
    unit: str
    source: str
    complete: bool
    text: str


class ReportFinding(_Frozen):
    """What a rule concluded, and the numbers that it rests on."""

    id: str
    severity: Severity
    title: str
    evidence: tuple[ReportFact, ...]
    advice: str


class Accounting(_Frozen):
    """User records, counted exactly. Null is not known; `seen` are unique ones read back."""

    planned: int | None
    accepted: int | None
    rejected: int | None
    retried: int | None
    throttled: int | None
    uncertain: int | None
    seen: int | None
    lost: int | None
    duplicates: int | None
    reordered: int | None
    corrupted: int | None
    foreign: int | None
    requests: int | None
    bytes: int | None


class LatencyBin(_Frozen):
    """`n` records whose latency lies in [from_ms, to_ms)."""

    from_ms: float
    to_ms: float
    n: int


class Latency(_Frozen):
    """Milliseconds from producing a record to reading it, over all of them; bins of equal width in logarithm."""

    count: int
    min_ms: float
    mean_ms: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float
    bins: tuple[LatencyBin, ...]


class ReportShard(_Frozen):
    """One shard. `arrivals` counts its records in each interval of the report's `arrivals` grid."""

    shard_id: str
    accepted: int | None
    accepted_bytes: int | None
    throttled: int | None
    read: int | None
    peak_per_second: float | None
    arrivals: tuple[int, ...]


class Arrivals(_Frozen):
    """The grid that arrivals are counted on: `intervals` of `width_s` seconds from `start_s` (epoch) on."""

    start_s: int
    width_s: int
    intervals: int
    others: tuple[int, ...] = Field(description="All shards beyond those listed, added up; empty when none is")


class CostLineOut(_Frozen):
    """One billed quantity. `unit_price` is in USD for `per` units."""

    service: str
    item: str
    quantity: str
    unit: str
    unit_price: str
    per: int
    usd: str


class CostOut(_Frozen):
    """List prices in USD; `missing` could not be priced, `approximate` was reckoned from the mean record size."""

    usd: str
    complete: bool
    lines: tuple[CostLineOut, ...]
    missing: tuple[str, ...]
    approximate: tuple[str, ...]
    region: str
    priced_as: str
    effective_from: str
    not_counted: tuple[str, ...]


class Costs(_Frozen):
    """The run's own cost, and a month's at its average rate in either capacity mode."""

    run: CostOut | None
    month_provisioned: CostOut | None = None
    month_on_demand: CostOut | None = None
    month_evidence: tuple[ReportFact, ...] = ()


class Report(_Frozen):
    """A run, told. `schema_version` changes when a field changes its meaning."""

    schema_version: Literal[1] = 1
    run_id: str
    stream_name: str
    mode: str
    region: str
    open_shards: int | None
    verdict: Verdict
    reasons: tuple[str, ...]
    started_at: datetime | None
    ended_at: datetime | None
    generated_at: datetime
    spec: dict[str, Any]
    steps: tuple[Step, ...]
    accounting: Accounting
    latency: Latency | None
    arrivals: Arrivals | None
    shards: tuple[ReportShard, ...]
    top_keys: tuple[tuple[str, int], ...]
    findings: tuple[ReportFinding, ...]
    facts: tuple[ReportFact, ...]
    costs: Costs
    missing: tuple[str, ...]
    resources_left: tuple[str, ...] | None = Field(description="Names of what the run left behind; null: not known")
    links: dict[str, str]


def build_report(
    measurement: Measurement,
    *,
    verdict: Verdict,
    reasons: Sequence[str],
    spec: Mapping[str, Any],
    steps: Sequence[Step],
    findings: Sequence[Finding],
    cost: Cost | None,
    month: MonthCost | None,
    resources_left: Sequence[str] | None,
    generated_at: datetime,
    links: Mapping[str, str] | None = None,
) -> Report:
    """Puts together what the steps of a run found out; decides nothing itself.

    `spec` is the run spec as JSON, `links` maps a title to an address. ValidationError when a step is malformed.
    """
    m = measurement
    arrivals, shards = _arrivals(m.shards)
    return Report(
        **{name: getattr(m, name) for name in _AS_MEASURED},
        verdict=verdict,
        reasons=tuple(reasons),
        generated_at=generated_at,
        spec=dict(spec),
        steps=tuple(steps),
        accounting=Accounting(**{name: getattr(m, name) for name in Accounting.model_fields}),
        latency=_latency(m.latency),
        arrivals=arrivals,
        shards=shards,
        findings=tuple(ReportFinding.model_validate(finding.to_dict()) for finding in findings),
        facts=tuple(ReportFact.model_validate(fact.to_dict()) for fact in facts_of(m)),
        costs=_costs(cost, month),
        resources_left=None if resources_left is None else tuple(resources_left),
        links=dict(links or {}),
    )


def _costs(cost: Cost | None, month: MonthCost | None) -> Costs:
    return Costs(
        run=CostOut.model_validate(cost.to_dict()) if cost else None,
        month_provisioned=CostOut.model_validate(month.provisioned.to_dict()) if month else None,
        month_on_demand=CostOut.model_validate(month.on_demand.to_dict()) if month else None,
        month_evidence=tuple(ReportFact.model_validate(fact.to_dict()) for fact in month.evidence) if month else (),
    )


def _latency(histogram: Histogram | None) -> Latency | None:
    if histogram is None or not histogram.count:
        return None
    quantiles = {name: histogram.quantile(q) or 0 for name, q in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))}
    return Latency(
        count=histogram.count,
        min_ms=(histogram.min or 0) / 1000,
        mean_ms=(histogram.mean or 0.0) / 1000,
        max_ms=(histogram.max or 0) / 1000,
        bins=tuple(LatencyBin(from_ms=b.low_us / 1000, to_ms=b.high_us / 1000, n=b.n) for b in histogram.rebinned()),
        **{f"{name}_ms": us / 1000 for name, us in quantiles.items()},
    )


def _arrivals(measured: Sequence[ShardMeasurement]) -> tuple[Arrivals | None, tuple[ReportShard, ...]]:
    """All shards on one grid: that of the whole stream, which is as fine as the longest span allows."""
    merged = RateSeries()
    for shard in measured:
        merged.merge(shard.arrivals)
    grid = merged.buckets()
    busiest = sorted(measured, key=lambda shard: shard.arrivals.total, reverse=True)
    told = sorted(busiest[:MAX_SHARDS], key=lambda shard: shard.shard_id)
    shards = tuple(_shard(shard, _on(grid, shard.arrivals)) for shard in told)
    if not grid:
        return None, shards
    rest = RateSeries()
    for shard in busiest[MAX_SHARDS:]:
        rest.merge(shard.arrivals)
    others = _on(grid, rest) if rest.total else ()
    return Arrivals(start_s=grid[0].start_s, width_s=merged.width_s, intervals=len(grid), others=others), shards


def _on(grid: Sequence[tuple[int, int, int]], series: RateSeries) -> tuple[int, ...]:
    counts = [0] * len(grid)
    for bucket in series.buckets():
        # The grid's intervals are as wide as these or a multiple, aligned alike, so each falls into one of them.
        counts[(bucket.start_s - grid[0][0]) // grid[0][1]] += bucket.n
    return tuple(counts)


def _shard(shard: ShardMeasurement, arrivals: tuple[int, ...]) -> ReportShard:
    return ReportShard(
        shard_id=shard.shard_id,
        accepted=shard.accepted_records,
        accepted_bytes=shard.accepted_bytes,
        throttled=shard.throttled,
        read=shard.read_records,
        peak_per_second=shard.arrivals.peak(),
        arrivals=arrivals,
    )
