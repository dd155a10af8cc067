"""What CloudWatch has of a run's stream, and whether it is all there.

Kinesis' metrics come minutes late. They are complete for a run when the sum of IncomingRecords has reached what Kinesis
accepted; until then a point that is missing is not a low load.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from weir.runs.measuring import CloudWatchFacts
from weir.runs.models import Run
from weir.runtime.clock import Clock
from weir.runtime.errors import WeirError
from weir.runtime.observability import logger
from weir.streams.cloudwatch import Metrics
from weir.streams.metrics import MINUTE, Series, stream_queries

RUN_METRICS = (
    "IncomingBytes",
    "IncomingRecords",
    "GetRecords.Bytes",
    "GetRecords.Records",
    "GetRecords.IteratorAgeMilliseconds",
    "WriteProvisionedThroughputExceeded",
    "ReadProvisionedThroughputExceeded",
    "PutRecords.ThrottledRecords",
    "PutRecords.FailedRecords",
    "PutRecords.Latency",
    "GetRecords.Latency",
)


def watch(run: Run, accepted_records: int, metrics: Metrics, clock: Clock) -> CloudWatchFacts:
    """Read the run's metrics. A failure of CloudWatch is not the run's: it is told as incomplete, and logged."""
    if "cloudwatch" not in run.spec.analyses:
        return CloudWatchFacts(asked=False)
    start, end = _range(run.created_at, clock.now())
    try:
        series = metrics.series(stream_queries(run.stream_name, RUN_METRICS), start, end, MINUTE)
    except WeirError as error:
        logger().warning("CloudWatch was not read: %s", error.detail)
        return CloudWatchFacts(asked=True, requested=len(RUN_METRICS))
    return CloudWatchFacts(
        asked=True,
        complete=all(one.complete for one in series) and _incoming(series) >= accepted_records,
        series=tuple(series),
        requested=len(RUN_METRICS),
    )


def _range(created_at: datetime, now: datetime) -> tuple[datetime, datetime]:
    """From the whole minute before the run to the one after now."""
    minute = timedelta(seconds=MINUTE)
    return created_at.replace(second=0, microsecond=0) - minute, now.replace(second=0, microsecond=0) + minute


def _incoming(series: Sequence[Series]) -> float:
    return sum(value for one in series if one.name == "IncomingRecords" for _, value in one.points)
