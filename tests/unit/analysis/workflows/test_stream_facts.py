"""Utilization, demand and shards a period at a time, each against numbers by hand, and what must hold of any series."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.analysis.workflows.streams import START, load, metric, stream
from weir.analysis.workflows.series import MetricSeries

RATES = st.lists(st.none() | st.floats(0, 1e5), min_size=1, max_size=30)


def values(series: MetricSeries | None) -> list[float | None]:
    assert series is not None
    return list(series.values)


def test_write_utilization_is_the_scarcer_of_bytes_and_records() -> None:
    # Given 2 shards, which take 125,829,120 B and 120,000 records a minute
    facts = stream(bytes_in=[62_914_560.0, 6_291_456.0], records=[30_000.0, 90_000.0])

    # Then bytes decide the first minute (1/2 over 1/4), records the second (3/4 over 1/20)
    assert values(facts.write_utilization) == pytest.approx([50.0, 75.0])


def test_read_utilization_is_of_two_mebibytes_a_shard() -> None:
    # Given 2 shards, which give 251,658,240 B a minute
    assert values(stream(bytes_out=[62_914_560.0]).read_utilization) == pytest.approx([25.0])


def test_a_period_counts_only_where_both_of_its_metrics_are_known() -> None:
    facts = stream(bytes_in=[0.0, None, 6_291_456.0], records=[0.0, 60.0, None])
    assert values(facts.write_utilization) == [0.0, None, None]


def test_without_shards_or_points_there_is_no_utilization() -> None:
    assert stream(open_shards=None, **load([1.0])).write_utilization is None
    assert stream(records=[1.0]).write_utilization is None
    assert stream(records=[1.0], bytes_in=[None]).write_utilization is None


def test_demand_is_what_came_in_and_what_was_turned_away() -> None:
    # Given 60,000 records of 1 KiB in a minute, and 30,000 throttled beside them
    facts = stream(records=[60_000.0], bytes_in=[61_440_000.0], throttled=[30_000.0], bytes_out=[61_440_000.0])

    # Then 1,500 records/s were wanted, and 1.5 times the bytes: 1,500 KiB/s, 1.46 shards; the records need 1.5
    assert values(facts.demand) == [1500.0]
    assert values(facts.demand_shards) == pytest.approx([1.5])


def test_readers_can_be_what_needs_the_shards() -> None:
    # Given 3 MiB/s read of 1 MiB/s written (three readers)
    facts = stream(records=[60.0], bytes_in=[62_914_560.0], throttled=[0.0], bytes_out=[188_743_680.0])
    assert values(facts.demand_shards) == pytest.approx([1.5])


def test_demand_without_a_point_of_throttles_is_a_lower_bound() -> None:
    facts = stream(records=[60.0, 60.0], bytes_in=[60.0, 60.0], throttled=[0.0, None])
    assert values(facts.demand) == [1.0, 1.0]
    assert facts.demand is not None
    assert not facts.demand.complete


def test_when_everything_was_turned_away_the_records_tell_the_demand() -> None:
    # Given a minute in which nothing came in and 120,000 records were throttled: 2,000 a second
    facts = stream(records=[0.0], bytes_in=[0.0], throttled=[120_000.0])
    assert values(facts.demand_shards) == pytest.approx([2.0])


@given(RATES, st.floats(0.01, 100))
def test_scaling_a_series_scales_its_utilization(rates: list[float | None], factor: float) -> None:
    one, more = stream(**load(rates)), stream(**load([None if r is None else r * factor for r in rates]))
    for kind in ("write_utilization", "read_utilization", "demand_shards"):
        before, after = getattr(one, kind), getattr(more, kind)
        assert (before is None) == (after is None)
        if before is not None:
            scaled = [None if v is None else pytest.approx(v * factor, rel=1e-9) for v in before.values]
            assert list(after.values) == scaled


@given(RATES, st.integers(1, 500), st.integers(1, 500))
def test_more_shards_never_raise_utilization(rates: list[float | None], few: int, more: int) -> None:
    few, more = sorted((few, more))
    one, other = stream(open_shards=few, **load(rates)), stream(open_shards=more, **load(rates))
    for kind in ("write_utilization", "read_utilization"):
        a, b = getattr(one, kind), getattr(other, kind)
        assert a is None or all(y <= x for x, y in zip(a.known, b.known, strict=True))


@given(st.data(), st.lists(st.floats(0, 1e5), min_size=1, max_size=30))
def test_shuffling_the_periods_changes_no_measure(data: st.DataObject, rates: list[float]) -> None:
    one, other = stream(**load(rates)), stream(**load(data.draw(st.permutations(rates))))
    assert {n: f.value for n, f in one.measures.items()} == {n: f.value for n, f in other.measures.items()}


def test_measures_by_hand() -> None:
    # Given four minutes at 100, 200, 300 and 400 records/s of 1,024 B, and a fifth that is missing
    facts = stream(**load([100.0, 200.0, 300.0, 400.0, None], 1024), age=[1000.0, 5000.0, 2000.0, 3000.0, None])
    told = {name: fact.value for name, fact in facts.measures.items()}
    assert told["records in, mean"] == 250.0
    assert told["records in, p99"] == 400.0
    assert told["volume in, mean"] == 250.0  # KiB/s
    assert told["write utilization, p50"] == pytest.approx(10.0)  # 200 of 2,000 records/s
    assert told["read utilization, highest"] == pytest.approx(100 * 400 / 4096)
    assert told["iterator age, highest"] == 5.0
    assert told["writes throttled"] == 0
    assert told["throttled share of demand"] == 0.0
    assert told["age of the stream"] == pytest.approx(365, abs=0.01)
    assert facts.measures["records in, mean"].complete is False


def test_what_was_not_measured_has_no_value() -> None:
    told = stream(open_shards=None, retention_hours=None, created_at=None, consumers=None).measures
    assert {name for name, fact in told.items() if fact.value is not None} == {"capacity mode", "encryption"}


def test_what_was_before_its_creation_is_another_streams() -> None:
    # Given a stream made in the second minute of the range
    facts = stream(**load([5.0, 1.0, 1.0]), created_at=START + timedelta(seconds=90))
    assert [len(one) for one in facts.series.values()] == [2] * 6
    assert facts.measures["records in, p99"].value == 1.0
    assert facts.completeness["complete"] is True


def test_completeness_names_what_is_missing() -> None:
    unfinished = metric("GetRecords.Records", [1.0, 1.0], complete=False)
    facts = stream(records=[1.0, None], throttled=[None, None], not_read=("tags",))
    facts = stream(series={**facts.series, "GetRecords.Records": unfinished}, not_read=("tags",))
    assert facts.completeness == {
        "complete": False,
        "points": 6,
        "known": 3,
        "share": 0.5,
        "empty": ["WriteProvisionedThroughputExceeded"],
        "unfinished": ["GetRecords.Records"],
        "not_read": ["tags"],
    }
    assert stream().completeness["share"] is None


def test_the_series_of_a_stream_have_one_grid() -> None:
    with pytest.raises(ValueError, match="one grid"):
        stream(records=[1.0], bytes_in=[1.0, 2.0])
