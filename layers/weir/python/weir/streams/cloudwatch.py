"""Adapter to CloudWatch: GetMetricData, in batches, over all pages, matched by id.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html: at most 500 queries and
100,800 points a call; a page may hold a part of a series, and its StatusCode says whether more is to come.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from weir.runtime import aws
from weir.streams.metrics import NAMESPACE, MetricQuery, Series

MAX_QUERIES = 500
MAX_POINTS = 100_800


class Metrics:
    """CloudWatch behind one botocore client."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def series(self, queries: Sequence[MetricQuery], start: datetime, end: datetime, period: int) -> list[Series]:
        """One Series a query, in their order, over [start, end) by ``period`` seconds.

        A series that CloudWatch did not give to its end is told as not ``complete``. WeirError where it refuses.
        """
        points_each = max(1, int((end - start).total_seconds() / period) + 1)
        size = max(1, min(MAX_QUERIES, MAX_POINTS // points_each))
        found: list[Series] = []
        for first in range(0, len(queries), size):
            found.extend(self._batch(queries[first : first + size], start, end, period))
        return found

    def _batch(self, queries: Sequence[MetricQuery], start: datetime, end: datetime, period: int) -> list[Series]:
        points: dict[str, dict[datetime, float]] = {f"q{index}": {} for index in range(len(queries))}
        status: dict[str, str] = {}
        for result in self._results(queries, start, end, period):
            moments = (moment.astimezone(UTC) for moment in result["Timestamps"])
            points[result["Id"]].update(zip(moments, result["Values"], strict=True))
            status[result["Id"]] = result.get("StatusCode", "Complete")
        return [
            Series(
                name=query.metric.name,
                stat=query.metric.stat,
                unit=query.metric.unit,
                period=period,
                points=tuple(sorted(points[f"q{index}"].items())),
                complete=status.get(f"q{index}") == "Complete",
                dimensions=query.dimensions,
            )
            for index, query in enumerate(queries)
        ]

    def _results(
        self, queries: Sequence[MetricQuery], start: datetime, end: datetime, period: int
    ) -> Iterator[dict[str, Any]]:
        params: dict[str, Any] = {
            "MetricDataQueries": [_query(index, query, period) for index, query in enumerate(queries)],
            "StartTime": start,
            "EndTime": end,
            "ScanBy": "TimestampAscending",
        }
        while True:
            try:
                answer = self._client.get_metric_data(**params)
            except Exception as error:
                if not aws.is_aws_error(error):
                    raise
                raise aws.translate(error, "reading metrics") from error
            yield from answer["MetricDataResults"]
            token = answer.get("NextToken")
            if not token:
                return
            params["NextToken"] = token


def _query(index: int, query: MetricQuery, period: int) -> dict[str, Any]:
    dimensions = [{"Name": name, "Value": value} for name, value in query.dimensions]
    metric = {"Namespace": NAMESPACE, "MetricName": query.metric.name, "Dimensions": dimensions}
    return {
        "Id": f"q{index}",
        "MetricStat": {"Metric": metric, "Period": period, "Stat": query.metric.stat},
        "ReturnData": True,
    }
