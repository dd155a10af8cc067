"""Latency against its objective, clocks that disagree, readers that fall behind."""

from tests.unit.analysis.measurements import evidence, found, latencies, measured, series
from weir.analysis.histogram import Histogram
from weir.analysis.slo import Slo


def test_p99_over_the_objective_is_critical() -> None:
    # Given 100 records of 1 ms to 100 ms: p50 is 50 ms, p99 is 99 ms
    finding = found(measured(), Slo(p99_latency_ms=90))["latency-over-objective"]

    # Then all quantiles are told, within the histogram's 1 %
    facts = evidence(finding)
    assert finding.severity == "critical"
    assert abs(facts["latency p50"] - 50) <= 0.5
    assert abs(facts["latency p99"] - 99) <= 1
    assert facts["latency maximum"] == 100.0
    assert facts["p99 objective"] == 90


def test_p99_within_the_objective_is_information() -> None:
    findings = found(measured(), Slo(p99_latency_ms=120))
    assert findings["latency"].severity == "info"
    assert "latency-over-objective" not in findings


def test_a_mean_can_not_hide_a_slow_tail() -> None:
    # Given 98 fast records and 2 slow ones
    m = measured(latency=latencies(*[1] * 98, 5000, 5000))
    assert "latency-over-objective" in found(m, Slo(p99_latency_ms=1000))


def test_latency_not_measured_is_told_only_where_it_was_asked_for() -> None:
    for nothing in (None, Histogram()):
        m = measured(latency=nothing)
        assert found(m, Slo(p99_latency_ms=10))["latency-unknown"].severity == "warning"
        assert not {"latency", "latency-unknown"} & set(found(m))


def test_clocks_that_disagree_are_told() -> None:
    m = measured(latency=latencies(-3, 5, 6))
    assert evidence(found(m)["clocks-disagree"])["latencies out of range"] == 1
    assert "clocks-disagree" not in found(measured())


def test_iterator_age_is_a_risk_at_half_of_the_retention() -> None:
    # Given 24 h of retention: half is 43,200,000 ms
    name = "GetRecords.IteratorAgeMilliseconds"
    late = measured(cloudwatch=(series(name, 5.0, 43_200_000.0, stat="Maximum"),))
    fine = measured(cloudwatch=(series(name, 43_199_999.0, stat="Maximum"),))
    finding = found(late)["iterator-age"]
    assert finding.severity == "critical"
    assert evidence(finding) == {"greatest iterator age": 43_200_000.0, "retention": 86_400_000}
    assert "iterator-age" not in found(fine)
    assert "iterator-age" not in found(measured(cloudwatch=(series(name, stat="Maximum"),)))
