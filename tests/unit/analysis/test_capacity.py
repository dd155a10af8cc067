"""Throughput, fullness, throttling and the shard recommendation."""

import pytest

from tests.unit.analysis.measurements import arrivals, evidence, found, measured, series, shard
from weir.analysis.slo import Slo


def test_throughput_below_the_objective_is_critical() -> None:
    # Given 1,000 records/s, When 1,200 were to be reached
    findings = found(measured(), Slo(min_records_per_second=1200))

    # Then it is told with both numbers
    finding = findings["throughput-below-objective"]
    assert finding.severity == "critical"
    assert evidence(finding)["throughput"] == 1000.0
    assert evidence(finding)["throughput objective"] == 1200
    assert evidence(finding)["write quota"] == 2000
    assert "throughput" not in findings


def test_throughput_below_the_rate_asked_for_is_a_warning() -> None:
    assert found(measured(target_rate=1100.0))["throughput-below-target"].severity == "warning"
    assert "throughput-below-target" not in found(measured(target_rate=1050.0))


def test_throughput_that_is_not_known_is_said_not_to_be() -> None:
    m = measured(insert_seconds=None)
    assert found(m, Slo(min_records_per_second=1))["throughput-unknown"].severity == "warning"
    assert not {"throughput", "throughput-unknown", "throughput-below-objective"} & set(found(m))


@pytest.mark.parametrize(
    ("accepted", "expected", "severity"),
    [
        (10_000, "write-utilization", "info"),  # 1,000 of 2,000 a second
        (16_000, "write-near-capacity", "warning"),  # 80 %
        (4_000, "capacity-idle", "info"),  # 20 %
    ],
)
def test_fullness_by_average_utilization(accepted: int, expected: str, severity: str) -> None:
    halves = (shard(0, accepted // 2), shard(1, accepted // 2))
    finding = found(measured(accepted=accepted, seen=accepted, planned=accepted, shards=halves))[expected]
    assert finding.severity == severity
    assert evidence(finding)["write utilization, average"] == accepted / 200


def test_a_burst_keeps_a_stream_from_being_called_idle() -> None:
    # Given 10 % on average, all of it within one second
    burst = tuple(shard(i, 1000, arrivals=arrivals(1000)) for i in range(2))
    findings = found(measured(accepted=2000, seen=2000, planned=2000, shards=burst))
    assert "capacity-idle" not in findings
    assert evidence(findings["write-utilization"])["write utilization, busiest second"] == 100.0


def test_readers_near_the_quota() -> None:
    # Given 40 MB read in 10 s from 2 shards: 4,000,000 of 4,194,304 B/s
    shards = tuple(shard(i, read_bytes=20_000_000) for i in range(2))
    finding = found(measured(shards=shards, verify_seconds=10.0))["read-near-capacity"]
    assert evidence(finding)["read utilization, average"] == pytest.approx(95.367, abs=0.001)


def test_throttles_are_a_share_of_demand() -> None:
    # Given 2,500 throttled beside 10,000 accepted
    m = measured(throttled=2500, cloudwatch=(series("WriteProvisionedThroughputExceeded", 2000.0, 500.0),))
    finding = found(m)["writes-throttled"]

    # Then demand was 12,500, and a fifth of it was throttled
    assert finding.severity == "warning"
    assert evidence(finding)["throttled share of demand"] == 20.0
    assert evidence(finding)["WriteProvisionedThroughputExceeded, sum"] == 2500


def test_a_few_throttles_are_information() -> None:
    assert found(measured(throttled=50))["writes-throttled"].severity == "info"
    assert "writes-throttled" not in found(measured(throttled=0))
    assert "writes-throttled" not in found(measured(throttled=None))


def test_throttles_are_notable_from_one_percent_of_demand() -> None:
    assert found(measured(accepted=9_900, throttled=100))["writes-throttled"].severity == "warning"
    assert found(measured(accepted=9_901, throttled=99))["writes-throttled"].severity == "info"


def test_the_recommendation_shows_its_arithmetic() -> None:
    # Given a peak of 5,000 records/s of 256 B on 2 shards, at a rate that was asked for
    peak = tuple(shard(i, 5000, arrivals=arrivals(2500, 2500)) for i in range(2))
    m = measured(shards=peak, insert_seconds=2.0, target_rate=5000.0)
    finding = found(m)["shard-recommendation"]

    # Then records need 5 shards, bytes 1.22; and 2 to 5 goes by way of 4
    facts = evidence(finding)
    assert facts["peak: records / 1,000"] == 5.0
    assert facts["peak: KiB in / 1,024"] == pytest.approx(5000 * 256 / 1_048_576)
    assert facts["peak: KiB out / 2,048"] == pytest.approx(5000 * 256 / 2_097_152)
    assert facts["shards needed at the peak"] == 5
    assert facts["legal steps"] == "2 > 4 > 5"
    assert finding.severity == "warning"
    assert "2 > 4 > 5" in finding.advice


def test_fewer_shards_are_recommended_only_without_throttles() -> None:
    # Given 6 shards for 1,000 records/s
    assert "6 > 3 > 2 > 1" in found(measured(open_shards=6))["shard-recommendation"].advice

    # When some were throttled nevertheless, Then the load is uneven and the count stays
    advice = found(measured(open_shards=6, throttled=500))["shard-recommendation"].advice
    assert "Spread the keys" in advice
    assert ">" not in advice


def test_a_load_that_the_shards_held_back_is_said_to_be_a_lower_bound() -> None:
    # Given as fast as possible, and the quota reached
    full = tuple(shard(i, 5000, arrivals=arrivals(1100, 1100)) for i in range(2))
    finding = found(measured(target_rate=None, shards=full))["shard-recommendation"]

    # Then the need isn't claimed to be known
    assert finding.severity == "info"
    assert "may be higher" in finding.advice
    assert not next(fact for fact in finding.evidence if fact.name == "shards needed at the peak").complete


def test_the_right_number_of_shards_is_kept() -> None:
    two = tuple(shard(i, 5000, arrivals=arrivals(*[750] * 6)) for i in range(2))
    finding = found(measured(shards=two))["shard-recommendation"]
    assert finding.advice == "Keep the shard count."
    assert "legal steps" not in evidence(finding)


def test_an_on_demand_stream_is_told_its_provisioned_need() -> None:
    finding = found(measured(mode="ON_DEMAND", open_shards=4))["shard-recommendation"]
    assert finding.title == "Provisioned, this load would need 1 shard at its peak"


def test_nothing_is_recommended_from_nothing() -> None:
    assert "shard-recommendation" not in found(measured(accepted=0, seen=0, planned=0, bytes=0, shards=()))
    assert "shard-recommendation" not in found(measured(open_shards=None))
