"""The report as a document: complete, bounded, honest about what it doesn't know."""

import json

import pytest
from pydantic import ValidationError

from tests.unit.analysis.measurements import START, arrivals, latencies, measured, shard
from tests.unit.runs.reports import reported
from weir.analysis.measurement import Measurement
from weir.runs.report import MAX_SHARDS, Report


def test_it_survives_json() -> None:
    report = reported()
    assert Report.model_validate_json(report.model_dump_json()) == report


def test_time_is_in_utc_and_money_a_decimal_string() -> None:
    document = json.loads(reported().model_dump_json())
    assert document["started_at"] == "2026-11-21T14:05:00Z"
    assert document["costs"]["run"]["usd"] == document["costs"]["run"]["usd"].strip("$")
    assert isinstance(document["costs"]["run"]["usd"], str)


def test_it_says_what_was_measured() -> None:
    # Given the healthy run, Then counts, quantiles and shards are those measured
    report = reported()
    assert report.accounting.accepted == report.accounting.seen == 10_000
    assert report.latency is not None
    assert (report.latency.min_ms, report.latency.mean_ms, report.latency.max_ms) == (1.0, 50.5, 100.0)
    assert report.latency.p50_ms == pytest.approx(50, rel=0.01)
    assert sum(one.n for one in report.latency.bins) == report.latency.count == 100
    assert [one.accepted for one in report.shards] == [5_000, 5_000]


def test_shards_share_one_grid_in_time() -> None:
    # Given a shard that began two seconds after the other and ended with it
    early = shard(0, arrivals=arrivals(5, 0, 7))
    late = shard(1, arrivals=arrivals(3, start=START.timestamp() + 2))
    report = reported(measured(shards=(early, late)))

    # Then both are told over the same three seconds
    assert report.arrivals is not None
    assert (report.arrivals.start_s, report.arrivals.width_s, report.arrivals.intervals) == (START.timestamp(), 1, 3)
    assert [one.arrivals for one in report.shards] == [(5, 0, 7), (0, 0, 3)]


def test_a_long_run_and_a_short_lived_shard_share_the_coarser_grid() -> None:
    # Given a shard over 1,000 s and one of three seconds only
    long = shard(0, arrivals=arrivals(1, start=START.timestamp()))
    long.arrivals.add(START.timestamp() + 1000)
    short = shard(1, arrivals=arrivals(10, 20, 30, start=START.timestamp() + 500))
    report = reported(measured(shards=(long, short)))

    # Then nothing is lost on the way to the two-second grid
    assert report.arrivals is not None
    assert report.arrivals.width_s == 2
    assert [sum(one.arrivals) for one in report.shards] == [2, 60]


def test_it_is_bounded_in_shards() -> None:
    # Given 100 shards, the higher the busier
    shards = tuple(shard(i, 100 + i, arrivals=arrivals(100 + i)) for i in range(100))
    report = reported(measured(shards=shards))

    # Then the busiest are told one by one and the others summed up
    assert len(report.shards) == MAX_SHARDS
    assert report.shards[0].shard_id == "shardId-000000000036"
    assert report.arrivals is not None
    assert report.arrivals.others == (sum(100 + i for i in range(36)),)


def test_what_is_not_known_is_null() -> None:
    # Given a run that measured nothing
    nothing = Measurement(run_id="r", stream_name="s", mode="PROVISIONED", missing=("everything",))
    document = json.loads(reported(nothing, cost=None, month=None, resources_left=None).model_dump_json())

    # Then no number stands where none is known
    assert set(document["accounting"].values()) == {None}
    assert (document["latency"], document["arrivals"], document["resources_left"]) == (None, None, None)
    assert document["costs"]["run"] is None
    assert document["missing"] == ["everything"]
    assert all(fact["value"] is None for fact in document["facts"])


def test_an_empty_histogram_is_no_latency() -> None:
    assert reported(measured(latency=latencies())).latency is None


def test_a_verdict_that_is_none_is_refused() -> None:
    with pytest.raises(ValidationError):
        reported(verdict="GREAT")
