"""The metrics of 20 streams, 10 each, over 7 days: read as an analysis reads them, or query by query.

``python -m tests.benchmarks.analyses_case together|one-by-one|boto3 [STREAMS]`` prints one JSON line: the calls, the
time, and the points that came. All read the same queries over the same range, by the period that an analysis of 7 days
has, from ``AWS_ENDPOINT_URL``; the analysis waits as its quotas tell it. ``boto3`` is the loop that people write.
"""

import json
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3

from weir.analysis.analyses.quotas import METRIC_CALLS, Paced, points_a_second
from weir.analysis.workflows.series import MetricSeries
from weir.analysis.workflows.stream_facts import METRICS
from weir.runtime import aws
from weir.runtime.clock import SYSTEM
from weir.streams.cloudwatch import Metrics
from weir.streams.metrics import NAMESPACE, MetricQuery, Range, Series, stream_queries

STREAMS, METRICS_EACH, PERIOD = 20, 10, 300
END = datetime(2026, 11, 27, tzinfo=UTC)
SPAN = Range(END - timedelta(days=7), END, PERIOD)


def together(metrics: Metrics, queries: list[MetricQuery]) -> list[MetricSeries]:
    """As an analysis does."""
    calls, points = Paced(SYSTEM, METRIC_CALLS), Paced(SYSTEM, points_a_second(SPAN.start, END))

    def pace(most: int) -> None:
        calls.wait()
        points.wait(most)

    batches = metrics.batches(queries, SPAN.start, SPAN.end, SPAN.period, pace)
    return [MetricSeries.from_points(series, SPAN) for batch in batches for series in batch.series]


def of_boto3(client: Any, queries: list[MetricQuery]) -> list[MetricSeries]:
    """The same without Weir's client."""
    found = []
    for query in queries:
        metric = {
            "Namespace": NAMESPACE,
            "MetricName": query.metric.name,
            "Dimensions": [{"Name": name, "Value": value} for name, value in query.dimensions],
        }
        stat = {"Metric": metric, "Period": SPAN.period, "Stat": query.metric.stat}
        asked = [{"Id": "q0", "MetricStat": stat}]
        answer = client.get_metric_data(MetricDataQueries=asked, StartTime=SPAN.start, EndTime=SPAN.end)
        (result,) = answer["MetricDataResults"]
        points = zip(result["Timestamps"], result["Values"], strict=True)
        whole = result["StatusCode"] == "Complete"
        metric_of = query.metric
        series = Series(metric_of.name, metric_of.stat, metric_of.unit, SPAN.period, tuple(points), whole)
        found.append(MetricSeries.from_points(series, SPAN))
    return found


def one_by_one(metrics: Metrics, queries: list[MetricQuery]) -> list[MetricSeries]:
    """One call after another, a query in each."""
    found = [metrics.series([query], SPAN.start, SPAN.end, SPAN.period) for query in queries]
    return [MetricSeries.from_points(one[0], SPAN) for one in found]


def main(how: str, streams: int) -> None:
    client = boto3.client("cloudwatch") if how == "boto3" else aws.client("cloudwatch")
    calls = 0

    def count(**_: object) -> None:
        nonlocal calls
        calls += 1

    client.meta.events.register("before-send.cloudwatch.GetMetricData", count)
    queries = [
        query for number in range(streams) for query in stream_queries(f"orders-{number}", METRICS[:METRICS_EACH])
    ]
    began, cpu = time.perf_counter(), time.process_time()
    if how == "boto3":
        found = of_boto3(client, queries)
    else:
        found = {"together": together, "one-by-one": one_by_one}[how](Metrics(client), queries)
    told = {
        "calls": calls,
        "wall_seconds": time.perf_counter() - began,
        "cpu_seconds": time.process_time() - cpu,
        "points": sum(len(series.known) for series in found),
        "whole": all(series.whole for series in found),
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else STREAMS)
