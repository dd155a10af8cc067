"""Utilization, throttles, iterator age, latencies, failures and hot shards, each with its arithmetic."""

from dataclasses import replace

import pytest

from tests.unit.analysis.measurements import measured
from tests.unit.analysis.workflows.streams import evidence, found, load, metric, result, stream
from weir.analysis.slo import Slo


def test_writes_near_capacity() -> None:
    # Given 100 minutes on 2 shards, two of them at 1,700 of 2,000 records/s
    finding = found("performance", stream(**load([200.0] * 98 + [1700.0] * 2)))["write-near-capacity"]

    # Then p99 is 85 %, over two periods
    assert finding.severity == "warning"
    told = evidence(finding)
    assert told["write utilization, p99"] == pytest.approx(85.0)
    assert told["write utilization, mean"] == pytest.approx(11.5)
    assert told["periods near capacity"] == 2


@pytest.mark.parametrize(("rate", "id_"), [(1000.0, "write-utilization"), (400.0, "write-capacity-idle")])
def test_writes_with_room(rate: float, id_: str) -> None:
    assert found("performance", stream(**load([rate] * 10)))[id_].severity == "info"


def test_readers_near_capacity() -> None:
    # Given 2 shards that give 4,096 KiB/s, of which 3,584 are read
    finding = found("performance", stream(bytes_out=[3584 * 1024 * 60.0] * 5))["read-near-capacity"]
    assert evidence(finding)["read utilization, p99"] == 87.5


def test_throttles_are_a_share_of_demand() -> None:
    # Given 3,000 records throttled beside 27,000 that came in
    facts = stream(records=[9000.0] * 3, bytes_in=[900.0] * 3, throttled=[0.0, 3000.0, 0.0])
    finding = found("performance", facts)["writes-throttled"]
    assert finding.severity == "warning"
    told = evidence(finding)
    assert (told["writes throttled"], told["throttled share of demand"]) == (3000, 10.0)
    assert told["periods with throttled writes"] == 1


def test_few_throttles_are_information_and_none_is_nothing() -> None:
    few = stream(records=[9000.0] * 3, bytes_in=[900.0] * 3, throttled=[0.0, 3.0, 0.0])
    assert found("performance", few)["writes-throttled"].severity == "info"
    assert "writes-throttled" not in found("performance", stream(**load([1.0] * 3)))


def test_throttles_without_a_known_load_have_no_share() -> None:
    finding = found("performance", stream(throttled=[5.0, 0.0]))["writes-throttled"]
    assert finding.severity == "warning"
    assert evidence(finding)["throttled share of demand"] is None


def test_throttled_reads() -> None:
    finding = found("performance", stream(reads_throttled=[0.0, 4.0, 0.0]))["reads-throttled"]
    assert finding.severity == "warning"
    assert evidence(finding)["periods with throttled reads"] == 1
    rare = stream(reads_throttled=[0.0] * 199 + [1.0])
    assert found("performance", rare)["reads-throttled"].severity == "info"


def test_an_iterator_age_past_half_of_the_retention_is_critical() -> None:
    # Given 24 h of retention and readers 13 h behind, to the end
    hour = 3_600_000.0
    finding = found("performance", stream(age=[hour, 12 * hour, 13 * hour]))["iterator-age"]
    assert finding.severity == "critical"
    told = evidence(finding)
    assert told["iterator age of the retention"] == pytest.approx(100 * 13 / 24)
    assert told["periods at risk"] == 2


def test_a_single_wild_age_is_no_alarm() -> None:
    # Given one period of 20 h between periods of nothing: a reader that began at the oldest record
    assert found("performance", stream(age=[0.0, 72_000_000.0, 0.0]))["iterator-age"].severity == "warning"
    # And one that has not ended
    assert found("performance", stream(age=[0.0, 72_000_000.0]))["iterator-age"].severity == "critical"


def test_an_age_that_keeps_rising_is_told_with_when_it_ends() -> None:
    # Given an age that rises by a minute each hour for two days: 24 minutes a day, 47 at the end, and 24 h kept
    finding = found("performance", stream(period=3600, age=[60_000.0 * n for n in range(48)]))["readers-falling-behind"]
    told = evidence(finding)
    assert told["iterator age, rise"] == pytest.approx(24 * 60)
    assert told["time until records expire unread"] == pytest.approx((1440 - 47) / 24)


def test_readers_whose_age_ends_while_records_come_are_not_seen() -> None:
    # Given readers of whom nothing is published after the second of five periods
    dead = {"age": [0.0, 5.0, None, None, None], "records": [9.0] * 5, "bytes_in": [9.0] * 5}
    finding = found("performance", stream(**dead))["readers-unseen"]

    assert finding.severity == "warning"
    assert evidence(finding)["iterator age, last known"] == "2026-11-16 00:01 UTC"
    assert evidence(finding)["periods with records and no age"] == 3
    # And with enhanced fan-out they may be there all the same
    assert found("performance", stream(**dead, consumers=1))["readers-unseen"].severity == "info"


@pytest.mark.parametrize(
    ("age", "records"),
    [
        ([0.0, 5.0, 5.0, None, None], [9.0] * 5),  # the latest points may be late
        ([0.0, None, None, None, 5.0], [9.0] * 5),
        ([0.0, 5.0, None, None, None], [9.0, 9.0, 0.0, 0.0, None]),
        ([None] * 5, [9.0] * 5),  # which is told as a metric that is missing
    ],
)
def test_a_gap_alone_tells_nothing_of_readers(age: list[float | None], records: list[float | None]) -> None:
    assert "readers-unseen" not in found("performance", stream(age=age, records=records, bytes_in=records))


def test_an_age_that_did_not_come_whole_tells_nothing_of_readers() -> None:
    # Given an age that ends while records come, of which CloudWatch has not given all
    facts = stream(age=[0.0, 5.0, None, None, None], records=[9.0] * 5, bytes_in=[9.0] * 5)
    assert "readers-unseen" in found("performance", facts)
    name = "GetRecords.IteratorAgeMilliseconds"
    broken_off = replace(facts, series={**facts.series, name: replace(facts.series[name], complete=False)})
    assert "readers-unseen" not in found("performance", broken_off)


def test_an_age_that_swings_is_not_rising() -> None:
    swings = [60_000.0 * (n % 6) for n in range(48)]
    assert "readers-falling-behind" not in found("performance", stream(period=3600, age=swings))


def test_an_age_that_rises_by_seconds_is_no_matter() -> None:
    # Given readers that are 100 s behind for two days, and half a second more at the end
    rising = [100_000.0 + 10 * n for n in range(48)]
    assert "readers-falling-behind" not in found("performance", stream(period=3600, age=rising))


def test_an_age_over_the_objective() -> None:
    facts = stream(age=[100.0] * 90 + [5000.0] * 10)
    told = found("performance", facts, slo=Slo(p99_latency_ms=1000))
    assert evidence(told["iterator-age-over-objective"]) == {"iterator age, p99": 5.0, "p99 objective": 1000}
    assert "iterator-age-over-objective" not in found("performance", facts, slo=Slo(p99_latency_ms=5000))


def test_latencies_are_quantiles_of_the_periods() -> None:
    # Given 100 periods of 1 to 100 ms
    finding = found("performance", stream(put_latency=[float(n) for n in range(1, 101)]))["putrecords-latency"]
    told = evidence(finding)
    assert [told[f"PutRecords latency, {q}"] for q in ("p50", "p95", "p99", "highest")] == [50, 95, 99, 100]


def test_a_latency_with_slow_periods_is_uneven() -> None:
    finding = found("performance", stream(get_latency=[10.0] * 90 + [80.0] * 10))["getrecords-latency-uneven"]
    assert evidence(finding)["GetRecords latency, p99 by p50"] == 8.0


def test_records_that_failed() -> None:
    finding = found("performance", stream(failed=[0.0, 5.0], put=[500.0, 500.0]))["records-failed"]
    assert evidence(finding) == {"records failed": 5.0, "failed share": 0.5}
    assert "records-failed" not in found("performance", stream(failed=[0.0, 0.0], put=[500.0, 500.0]))


def sharded(*records: float, throttled: float = 0.0) -> dict[str, object]:
    return {
        f"shardId-{i:012d}": {
            "IncomingRecords": metric("IncomingRecords", [n]),
            "WriteProvisionedThroughputExceeded": metric("WriteProvisionedThroughputExceeded", [throttled]),
        }
        for i, n in enumerate(records)
    }


def test_a_hot_shard_has_well_over_the_mean() -> None:
    # Given 300, 300 and 900 records: a mean of 500
    told = found("performance", stream(**load([1.0]), shards=sharded(300.0, 300.0, 900.0)))["hot-shard"]
    assert told.severity == "info"
    assert evidence(told)["shardId-000000000002, times the mean"] == pytest.approx(1.8)
    hurt = found("performance", stream(**load([1.0]), shards=sharded(300.0, 300.0, 900.0, throttled=2.0)))["hot-shard"]
    assert hurt.severity == "warning"


def test_a_shard_that_a_reshard_has_just_made_makes_no_other_hot() -> None:
    # Given three even shards, and two that were there for the last of ten periods
    values = {f"shardId-{i:012d}": [100.0] * 10 if i < 3 else [None] * 9 + [100.0] for i in range(5)}
    shards = {shard: {"IncomingRecords": metric("IncomingRecords", each)} for shard, each in values.items()}

    assert "hot-shard" not in found("performance", stream(**load([1.0] * 10), shards=shards))


def test_even_shards_and_a_shard_without_points_tell_nothing() -> None:
    assert "hot-shard" not in found("performance", stream(**load([1.0]), shards=sharded(300.0, 300.0, 400.0)))
    gap = {**sharded(300.0, 900.0), "shardId-000000000009": {"IncomingRecords": metric("IncomingRecords", [None])}}
    assert "hot-shard" not in found("performance", stream(**load([1.0]), shards=gap))


def test_metrics_without_a_point_are_told_and_nothing_is_concluded() -> None:
    told = found("performance", stream(records=[None] * 3, bytes_in=[None] * 3))
    assert set(told) == {"not-measured"}
    assert told["not-measured"].severity == "warning"
    some = found("performance", stream(records=[1.0], bytes_in=[None]))["metrics-missing"]
    assert evidence(some) == {"metrics not measured": 1, "IncomingBytes": None}


def test_what_could_not_be_read_is_told() -> None:
    finding = found("performance", stream(**load([1.0]), not_read=("shard-level metrics were refused",)))["not-read"]
    assert finding.severity == "warning"
    assert "shard-level metrics were refused" in evidence(finding)


def test_a_runs_own_measurement_adds_what_cloudwatch_hides() -> None:
    told = found("performance", stream(**load([1.0]), measurement=measured(top_keys=(("a", 9000),))))
    assert {"run-latency", "run-hot-key"} <= set(told)
    # And a number of the run's is told apart from those of the range
    sources = {fact.source for fact in told["run-hot-key"].evidence if fact.source.startswith("run")}
    assert sources == {"run run-1, 2026-11-21 14:05:00 to 2026-11-21 14:05:00 UTC"}


def test_charts_are_of_what_is_known() -> None:
    charts = {chart.id: chart for chart in result("performance", stream(**load([1000.0] * 3), age=[1500.0] * 3)).charts}
    assert [line.name for line in charts["utilization"].lines] == ["writes", "reads"]
    assert charts["utilization"].lines[0].values == (50.0, 50.0, 50.0)
    assert charts["iterator-age"].lines[0].values == (1.5, 1.5, 1.5)
    assert result("performance", stream()).charts == ()


def test_charts_have_the_levels_that_findings_hold_the_lines_against() -> None:
    # Given a retention of a day, half of which is a risk to lose records
    charts = {chart.id: chart for chart in result("performance", stream(**load([1000.0] * 3), age=[1500.0] * 3)).charts}
    assert [level.value for level in charts["utilization"].levels] == [100.0]
    assert [level.value for level in charts["iterator-age"].levels] == [12 * 3600.0]

    # And of one whose retention is not known, none
    unknown = {chart.id: chart for chart in result("performance", stream(age=[1.0], retention_hours=None)).charts}
    assert unknown["iterator-age"].levels == ()
