"""Adapter to CloudWatch: GetMetricData, in batches, over all pages, matched by id; and the alarms of streams.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html: at most 500 queries and
100,800 points a call; a page may hold a part of a series, and its StatusCode says whether more is to come.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from weir.runtime import aws
from weir.runtime.errors import WeirError
from weir.streams.alarms import Alarm
from weir.streams.metrics import NAMESPACE, MetricQuery, Series

MAX_QUERIES = 500
MAX_POINTS = 100_800
MAX_ALARMS = 100
"""Alarms in one call."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What came of one batch of queries: a Series a query, in their order, and the calls that it took.

    ``error`` is why CloudWatch broke off; the series then have what came before it, and are not ``complete``.
    """

    series: tuple[Series, ...]
    calls: int
    error: WeirError | None = None


def _at_once(_points: int) -> None:
    """Wait for nothing."""


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
            batch = self._batch(queries[first : first + size], start, end, period, _at_once)
            if batch.error is not None:
                raise batch.error
            found.extend(batch.series)
        return found

    def batches(
        self,
        queries: Sequence[MetricQuery],
        start: datetime,
        end: datetime,
        period: int,
        before_call: Callable[[int], None] = _at_once,
    ) -> Iterator[Batch]:
        """The same of any number of queries, 500 in each call, a batch at a time; a batch that fails says so.

        ``before_call`` is told how many points a call may bring, at most, and may wait.
        """
        for first in range(0, len(queries), MAX_QUERIES):
            yield self._batch(queries[first : first + MAX_QUERIES], start, end, period, before_call)

    def _batch(
        self,
        queries: Sequence[MetricQuery],
        start: datetime,
        end: datetime,
        period: int,
        before_call: Callable[[int], None],
    ) -> Batch:
        asked: dict[str, Any] = {
            "MetricDataQueries": [_query(index, query, period) for index, query in enumerate(queries)],
            "StartTime": start,
            "EndTime": end,
            "ScanBy": "TimestampAscending",
        }
        points: list[dict[datetime, float]] = [{} for _ in queries]
        status: dict[int, str] = {}
        left = len(queries) * max(1, int((end - start).total_seconds() / period))
        calls, error = 0, None
        while True:
            before_call(max(1, min(left - calls * MAX_POINTS, MAX_POINTS)))
            calls += 1
            try:
                answer = self._page(asked)
            except WeirError as failed:
                error = failed
                break
            for result in answer["MetricDataResults"]:
                index = int(result["Id"][1:])
                moments = (moment.astimezone(UTC) for moment in result["Timestamps"])
                points[index].update(zip(moments, result["Values"], strict=True))
                status[index] = result.get("StatusCode", "Complete")
            if not answer.get("NextToken"):
                break
            asked["NextToken"] = answer["NextToken"]
        whole = [error is None and status.get(index) == "Complete" for index in range(len(queries))]
        series = tuple(map(_series, queries, points, whole, [period] * len(queries)))
        return Batch(series, calls, error)

    def _page(self, asked: dict[str, Any]) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = self._client.get_metric_data(**asked)
        except Exception as error:
            if not aws.is_aws_error(error):
                raise
            raise aws.translate(error, "reading metrics") from error
        return answer


class Alarms:
    """CloudWatch's alarms behind one botocore client: https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/"""

    def __init__(self, client: Any) -> None:
        self._client = client

    def put(self, alarm: Alarm, tell: str) -> None:
        """Make an alarm, or make the one of its name like this; it tells the topic ``tell``. WeirError."""
        alone = not alarm.expression
        metrics: list[dict[str, Any]] = [
            {"Id": name, "MetricStat": _measured(alarm, *metric), "ReturnData": alone}
            for name, metric in alarm.metrics.items()
        ]
        if not alone:
            metrics.append({"Id": "whole", "Expression": alarm.expression, "ReturnData": True})
        self._call(
            "put_metric_alarm",
            f"setting the alarm {alarm.name}",
            AlarmName=alarm.name,
            AlarmDescription=alarm.description,
            Metrics=metrics,
            Threshold=alarm.threshold,
            EvaluationPeriods=alarm.periods,
            DatapointsToAlarm=alarm.periods,
            ComparisonOperator="GreaterThanThreshold",
            TreatMissingData="missing",  # a reader that dies late publishes no age any more, and nothing is well again
            AlarmActions=[tell],
            OKActions=[tell],
        )

    def names(self, prefix: str) -> Iterator[str]:
        """The names of all alarms that begin like this, over all pages. WeirError."""
        asked: dict[str, Any] = {"AlarmNamePrefix": prefix, "AlarmTypes": ["MetricAlarm"], "MaxRecords": 100}
        while True:
            answer = self._call("describe_alarms", "listing alarms", **asked)
            yield from (str(one["AlarmName"]) for one in answer["MetricAlarms"])
            if not answer.get("NextToken"):
                return
            asked["NextToken"] = answer["NextToken"]

    def delete(self, names: Sequence[str]) -> None:
        """Delete alarms; those that are not there are no error. WeirError."""
        for first in range(0, len(names), MAX_ALARMS):
            some = list(names[first : first + MAX_ALARMS])
            answer = self._call("describe_alarms", "looking for alarms", AlarmNames=some, AlarmTypes=["MetricAlarm"])
            # Of names of which one is not there, AWS deletes none.
            if found := [one["AlarmName"] for one in answer["MetricAlarms"]]:
                self._call("delete_alarms", "deleting alarms", AlarmNames=found)

    def _call(self, operation: str, doing: str, **asked: Any) -> Any:
        try:
            return getattr(self._client, operation)(**asked)
        except Exception as error:
            if aws.error_code(error) == "ResourceNotFound":
                return {}  # somebody else has deleted them meanwhile
            if not aws.is_aws_error(error):
                raise
            raise aws.translate(error, doing) from error


def _measured(alarm: Alarm, metric: str, stat: str) -> dict[str, Any]:
    dimensions = [{"Name": "StreamName", "Value": alarm.stream}]
    named = {"Namespace": NAMESPACE, "MetricName": metric, "Dimensions": dimensions}
    return {"Metric": named, "Period": alarm.period, "Stat": stat}


def _series(query: MetricQuery, points: dict[datetime, float], complete: bool, period: int) -> Series:
    return Series(
        name=query.metric.name,
        stat=query.metric.stat,
        unit=query.metric.unit,
        period=period,
        points=tuple(sorted(points.items())),
        complete=complete,
        dimensions=query.dimensions,
    )


def _query(index: int, query: MetricQuery, period: int) -> dict[str, Any]:
    dimensions = [{"Name": name, "Value": value} for name, value in query.dimensions]
    metric = {"Namespace": NAMESPACE, "MetricName": query.metric.name, "Dimensions": dimensions}
    return {
        "Id": f"q{index}",
        "MetricStat": {"Metric": metric, "Period": period, "Stat": query.metric.stat},
        "ReturnData": True,
    }
