"""The right statistic, whole periods, gaps that stay gaps, and completeness that is told."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.stub import ANY, Stubber

from weir.runtime.errors import Invalid, TooManyRequests
from weir.streams.cloudwatch import Metrics
from weir.streams.metrics import (
    CATALOGUE,
    DEFAULT_NAMES,
    Range,
    Series,
    aligned_range,
    on_grid,
    queries_for,
    stream_queries,
)

NOW = datetime(2026, 11, 21, 12, 0, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("level", "name", "stat", "unit"),
    [
        ("stream", "IncomingBytes", "Sum", "Bytes"),
        ("stream", "IncomingRecords", "Sum", "Count"),
        ("stream", "GetRecords.IteratorAgeMilliseconds", "Maximum", "Milliseconds"),
        ("stream", "PutRecords.Latency", "Average", "Milliseconds"),
        ("stream", "PutRecords.Success", "Average", "Count"),
        ("stream", "PutRecords.ThrottledRecords", "Sum", "Count"),
        ("stream", "WriteProvisionedThroughputExceeded", "Sum", "Count"),
        ("shard", "OutgoingBytes", "Sum", "Bytes"),
        ("shard", "IteratorAgeMilliseconds", "Maximum", "Milliseconds"),
        ("consumer", "SubscribeToShardEvent.MillisBehindLatest", "Maximum", "Milliseconds"),
    ],
)
def test_each_metric_has_the_statistic_that_makes_it_true(level: Any, name: str, stat: str, unit: str) -> None:
    metric = CATALOGUE[level, name]
    assert (metric.stat, metric.unit) == (stat, unit)


def test_no_count_of_bytes_or_records_is_averaged() -> None:
    # An average of Incoming* or of Put*Records is per call, and was once taken for a rate.
    averaged = {metric.name for metric in CATALOGUE.values() if metric.stat == "Average"}
    assert all(name.endswith((".Latency", ".Success")) for name in averaged)


def test_names_are_held_against_the_catalogue() -> None:
    # Given names of the stream's, of a shard's and of nobody's
    asked = queries_for("s", ["IncomingBytes", "IncomingBytes"])
    assert [query.metric.name for query in asked] == ["IncomingBytes"]
    assert asked[0].dimensions == (("StreamName", "s"),)
    assert queries_for("s", ["OutgoingBytes"], shard="x")[0].dimensions == (("StreamName", "s"), ("ShardId", "x"))

    # When one is not of that level, Then it is refused with those that there are
    for wrong in (["OutgoingBytes"], ["incomingbytes"], ["Nonsense"]):
        with pytest.raises(Invalid, match="there are IncomingBytes") as refused:
            queries_for("s", wrong)
        assert refused.value.errors[0].field == "names"
    with pytest.raises(Invalid):
        queries_for("s", [], shard="x", consumer="y")


def test_without_names_the_usual_ones_are_told() -> None:
    assert tuple(query.metric.name for query in queries_for("s", [])) == DEFAULT_NAMES
    assert queries_for("s", []) == stream_queries("s")
    assert len(queries_for("s", [], consumer="c")) == 6


def test_a_range_is_widened_to_whole_periods() -> None:
    span = aligned_range(NOW - HOUR, NOW, 300, series=1, now=NOW)
    assert (span.start, span.end) == (NOW.replace(hour=11, second=0), NOW.replace(minute=5, second=0))
    assert len(span) == 13
    assert span.moments()[1] == span.start + timedelta(minutes=5)
    exact = aligned_range(span.start, span.end, 300, series=1, now=NOW)
    assert exact == span


@pytest.mark.parametrize(
    ("ago", "length", "period", "field"),
    [
        (1, 1, 61, "period"),
        (1, 0, 60, "to"),
        (24 * 16, 1, 60, "period"),
        (24 * 64, 1, 300, "period"),
        (24 * 456, 1, 3600, "from"),
        (24 * 14, 24 * 14, 60, "period"),
    ],
)
def test_what_cloudwatch_cannot_answer_is_refused_by_its_field(ago: int, length: int, period: int, field: str) -> None:
    start = NOW - timedelta(hours=ago)
    with pytest.raises(Invalid) as refused:
        aligned_range(start, start + timedelta(hours=length), period, series=7, now=NOW)
    assert refused.value.errors[0].field == field


def test_older_ranges_are_answered_by_longer_periods() -> None:
    start = NOW - timedelta(days=16)
    assert len(aligned_range(start, start + HOUR, 300, series=1, now=NOW)) == 13
    start = NOW - timedelta(days=64)
    assert len(aligned_range(start, start + HOUR, 3600, series=1, now=NOW)) == 2


def series(points: dict[int, float], *, complete: bool = True) -> Series:
    start = NOW.replace(hour=11, minute=0, second=0)
    told = tuple((start + timedelta(minutes=minute), value) for minute, value in points.items())
    return Series("IncomingRecords", "Sum", "Count", 60, told, complete, (("StreamName", "s"),))


def test_gaps_are_gaps_and_zero_is_zero() -> None:
    # Given minutes of which one is zero and two are missing
    start = NOW.replace(hour=11, minute=0, second=0)
    span = Range(start, start + timedelta(minutes=5), 60)

    # When they are put on the grid, Then they are told apart
    grid = on_grid(series({0: 5.0, 2: 0.0, 4: 7.0}), span, NOW)
    assert grid.values == (5.0, None, 0.0, None, 7.0)
    assert (grid.missing, grid.complete) == (2, True)
    assert grid.dimensions == {"StreamName": "s"}


def test_what_may_still_come_is_not_complete() -> None:
    start = NOW.replace(hour=11, minute=58, second=0)
    span = Range(start, start + timedelta(minutes=2), 60)
    assert not on_grid(series({}), span, NOW).complete
    assert on_grid(series({}), span, NOW + timedelta(minutes=10)).complete
    assert not on_grid(series({}, complete=False), span, NOW + HOUR).complete


@pytest.fixture
def stub() -> Iterator[tuple[Metrics, Stubber]]:
    client = boto3.client("cloudwatch", "eu-west-1", aws_access_key_id="a", aws_secret_access_key="b")
    with Stubber(client) as stubber:
        yield Metrics(client), stubber
        stubber.assert_no_pending_responses()


def result(number: int, minutes: list[int], status: str = "Complete") -> dict[str, Any]:
    start = NOW.replace(hour=11, minute=0, second=0)
    moments = [start + timedelta(minutes=minute) for minute in minutes]
    return {
        "Id": f"q{number}",
        "Timestamps": moments,
        "Values": [float(minute) for minute in minutes],
        "StatusCode": status,
    }


def test_pages_are_followed_and_series_matched_by_id(stub: tuple[Metrics, Stubber]) -> None:
    # Given an answer in two pages, out of order, with a series that is cut and one that fails
    metrics, stubber = stub
    names = ["IncomingBytes", "IncomingRecords", "GetRecords.Bytes", "GetRecords.Records"]
    first = {
        "MetricDataResults": [result(1, [3], "PartialData"), result(0, [0, 1]), result(2, [0], "InternalError")],
        "NextToken": "t",
    }
    second = {"MetricDataResults": [result(1, [1, 2])]}
    asked = {"MetricDataQueries": ANY, "StartTime": NOW - HOUR, "EndTime": NOW, "ScanBy": "TimestampAscending"}
    stubber.add_response("get_metric_data", first, asked)
    stubber.add_response("get_metric_data", second, {**asked, "NextToken": "t"})

    # When they are read
    found = metrics.series(stream_queries("s", names), NOW - HOUR, NOW, 60)

    # Then each has its own points in the order of time, and says whether it is whole
    assert [item.name for item in found] == names
    assert [[value for _, value in item.points] for item in found] == [[0.0, 1.0], [1.0, 2.0, 3.0], [0.0], []]
    assert [item.complete for item in found] == [True, True, False, False]


def test_queries_go_in_batches_of_500() -> None:
    # Given a client that counts
    batches: list[list[dict[str, Any]]] = []

    class Client:
        def get_metric_data(self, **params: Any) -> dict[str, Any]:
            batches.append(params["MetricDataQueries"])
            told = [{"Id": query["Id"], "Timestamps": [], "Values": []} for query in params["MetricDataQueries"]]
            return {"MetricDataResults": told}

    # When 1,201 series are asked for, Then that is three calls; and fewer series a call when each has many points
    queries = stream_queries("s", ["IncomingBytes"]) * 1201
    assert len(Metrics(Client()).series(queries, NOW - HOUR, NOW, 60)) == 1201
    assert [len(batch) for batch in batches] == [500, 500, 201]
    assert batches[0][0]["MetricStat"]["Stat"] == "Sum"
    batches.clear()
    Metrics(Client()).series(queries[:100], NOW - timedelta(days=14), NOW, 60)
    assert all(len(batch) * 20_161 <= 100_800 for batch in batches)


def test_a_throttled_cloudwatch_is_too_many_requests(stub: tuple[Metrics, Stubber]) -> None:
    metrics, stubber = stub
    stubber.add_client_error("get_metric_data", "Throttling", "Rate exceeded", 400)
    with pytest.raises(TooManyRequests):
        metrics.series(stream_queries("s"), NOW - HOUR, NOW, 60)
