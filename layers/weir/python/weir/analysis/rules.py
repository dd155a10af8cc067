"""All rules over one measurement. Each is a pure function of the measurement and the objectives; it makes no call."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from weir.analysis.balance import hot_keys, hot_shards
from weir.analysis.capacity import fullness, recommendation, throttling, throughput
from weir.analysis.coverage import agreement, missing_metrics, unmeasured
from weir.analysis.findings import SEVERITIES, Finding
from weir.analysis.integrity import duplicates, foreign, loss, order, refusals
from weir.analysis.latency import clocks, end_to_end, iterator_age
from weir.analysis.measurement import Measurement
from weir.analysis.slo import Slo

__all__ = ["RULES", "assess"]

Rule = Callable[[Measurement, Slo], Iterator[Finding]]

RULES: tuple[Rule, ...] = (
    loss,
    order,
    duplicates,
    refusals,
    foreign,
    end_to_end,
    clocks,
    iterator_age,
    throughput,
    throttling,
    hot_shards,
    hot_keys,
    fullness,
    recommendation,
    unmeasured,
    missing_metrics,
    agreement,
)
"""In the order in which findings of equal severity are told."""


def assess(measurement: Measurement, slo: Slo | None = None) -> tuple[Finding, ...]:
    """Every finding, the worst first."""
    slo = slo or Slo()
    findings = [finding for rule in RULES for finding in rule(measurement, slo)]
    return tuple(sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity)))
