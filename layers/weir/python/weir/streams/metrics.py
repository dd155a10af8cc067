"""The metrics of AWS/Kinesis with the statistic and the unit that make each of them true, and series of them.

Source: https://docs.aws.amazon.com/streams/latest/dev/monitoring-with-cloudwatch.html. The Incoming*, Get* and Put*
counts are sums (an average is per call, not a rate), iterator age is a maximum, the success ratios and latencies are
averages. Shard-level metrics are there only while EnableEnhancedMonitoring is on. A missing point is missing: it is
neither zero nor low load.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from pydantic import Field

from weir.runtime.errors import FieldError, Invalid
from weir.streams.models import Model

NAMESPACE = "AWS/Kinesis"
MINUTE = 60
MAX_POINTS = 20_000
"""Points in one HTTP answer, over all of its series."""

LAG = timedelta(minutes=5)
"""CloudWatch publishes Kinesis' minutes late; a younger range can't be called complete."""

Statistic = Literal["Sum", "Average", "Maximum"]
Unit = Literal["Bytes", "Count", "Milliseconds"]
Level = Literal["stream", "shard", "consumer"]

_KEPT = ((MINUTE, timedelta(days=15)), (300, timedelta(days=63)), (3600, timedelta(days=455)))
"""How long CloudWatch keeps points of each period."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric, its right statistic and unit, and whether it is told per stream, per shard or per consumer."""

    name: str
    stat: Statistic
    unit: Unit
    level: Level = "stream"


def _catalogue() -> Iterator[Metric]:
    for name in ("IncomingBytes", "GetRecords.Bytes", "PutRecord.Bytes", "PutRecords.Bytes"):
        yield Metric(name, "Sum", "Bytes")
    for name in (
        "IncomingRecords",
        "GetRecords.Records",
        "PutRecords.TotalRecords",
        "PutRecords.SuccessfulRecords",
        "PutRecords.FailedRecords",
        "PutRecords.ThrottledRecords",
        "ReadProvisionedThroughputExceeded",
        "WriteProvisionedThroughputExceeded",
    ):
        yield Metric(name, "Sum", "Count")
    for call in ("GetRecords", "PutRecord", "PutRecords"):
        yield Metric(f"{call}.Success", "Average", "Count")
        yield Metric(f"{call}.Latency", "Average", "Milliseconds")
    yield Metric("GetRecords.IteratorAgeMilliseconds", "Maximum", "Milliseconds")
    for name in ("IncomingBytes", "OutgoingBytes"):
        yield Metric(name, "Sum", "Bytes", "shard")
    for name in (
        "IncomingRecords",
        "OutgoingRecords",
        "ReadProvisionedThroughputExceeded",
        "WriteProvisionedThroughputExceeded",
    ):
        yield Metric(name, "Sum", "Count", "shard")
    yield Metric("IteratorAgeMilliseconds", "Maximum", "Milliseconds", "shard")
    yield Metric("SubscribeToShard.RateExceeded", "Sum", "Count", "consumer")
    yield Metric("SubscribeToShard.Success", "Average", "Count", "consumer")
    yield Metric("SubscribeToShardEvent.Bytes", "Sum", "Bytes", "consumer")
    yield Metric("SubscribeToShardEvent.Records", "Sum", "Count", "consumer")
    yield Metric("SubscribeToShardEvent.MillisBehindLatest", "Maximum", "Milliseconds", "consumer")
    yield Metric("SubscribeToShardEvent.Success", "Average", "Count", "consumer")


CATALOGUE = {(metric.level, metric.name): metric for metric in _catalogue()}
DEFAULT_NAMES = (
    "IncomingBytes",
    "IncomingRecords",
    "GetRecords.Bytes",
    "GetRecords.Records",
    "WriteProvisionedThroughputExceeded",
    "ReadProvisionedThroughputExceeded",
    "GetRecords.IteratorAgeMilliseconds",
)


@dataclass(frozen=True, slots=True)
class MetricQuery:
    """What to ask CloudWatch: a metric of a stream, of one of its shards or of one of its consumers."""

    metric: Metric
    dimensions: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Series:
    """The points that CloudWatch has, oldest first; gaps are absent. ``complete``: CloudWatch gave all it has."""

    name: str
    stat: Statistic
    unit: Unit
    period: int
    points: tuple[tuple[datetime, float], ...]
    complete: bool
    dimensions: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Range:
    """From ``start`` to ``end`` (exclusive) by ``period`` seconds; both are multiples of the period."""

    start: datetime
    end: datetime
    period: int

    def __len__(self) -> int:
        return int((self.end - self.start).total_seconds()) // self.period

    def moments(self) -> list[datetime]:
        """The start of every period."""
        return [self.start + timedelta(seconds=self.period * index) for index in range(len(self))]


class GridSeries(Model):
    """A series on a regular grid: a value for each period from ``start`` on, null where CloudWatch has none."""

    name: str
    stat: Statistic
    unit: Unit
    dimensions: dict[str, str]
    values: tuple[float | None, ...]
    missing: int = Field(description="Periods without a value; they are unknown, not zero")
    complete: bool = Field(
        description="CloudWatch gave all it has, and the range is old enough that no value is still to come"
    )


class MetricsAnswer(Model):
    """Series over one range; value ``i`` is of the period that begins at ``start`` + ``i`` x ``period`` seconds."""

    stream: str
    start: datetime
    end: datetime
    period: int = Field(description="Seconds")
    series: tuple[GridSeries, ...]


def stream_queries(stream: str, names: Iterable[str] = DEFAULT_NAMES) -> list[MetricQuery]:
    """Queries of stream-level metrics; KeyError for a name that is not in the catalogue."""
    return [MetricQuery(CATALOGUE["stream", name], (("StreamName", stream),)) for name in names]


def queries_for(
    stream: str, names: Sequence[str], *, shard: str | None = None, consumer: str | None = None
) -> list[MetricQuery]:
    """Queries of the named metrics of a stream, or of its ``shard`` or ``consumer`` where one is given.

    Invalid, with the names that there are, where one is not in the catalogue for that level.
    """
    level: Level = "stream"
    dimensions: tuple[tuple[str, str], ...] = (("StreamName", stream),)
    if shard is not None and consumer is not None:
        raise Invalid("Ask for a shard or for a consumer.", errors=[FieldError("consumer", "not together with shard")])
    if shard is not None:
        level, dimensions = "shard", (*dimensions, ("ShardId", shard))
    elif consumer is not None:
        level, dimensions = "consumer", (*dimensions, ("ConsumerName", consumer))
    known = [name for at, name in CATALOGUE if at == level]
    wanted = list(dict.fromkeys(names)) or [name for name in DEFAULT_NAMES if name in known] or known
    unknown = [name for name in wanted if name not in known]
    if unknown:
        why = f"no {level}-level metric {', '.join(unknown)}; there are {', '.join(known)}"
        raise Invalid(f"Unknown metric: {why}.", errors=[FieldError("names", why)])
    return [MetricQuery(CATALOGUE[level, name], dimensions) for name in wanted]


def aligned_range(start: datetime, end: datetime, period: int, *, series: int, now: datetime) -> Range:
    """The range on whole periods that holds [start, end). Invalid, with the field, where CloudWatch can't answer it."""
    wrong: list[FieldError] = []
    if period < MINUTE or period % MINUTE:
        wrong.append(FieldError("period", "a multiple of 60 seconds, at least 60: Kinesis publishes by the minute"))
        raise Invalid("The range can't be answered.", errors=wrong)
    if end <= start:
        wrong.append(FieldError("to", "must be later than from"))
    aligned = Range(_floor(start, period), _floor(end + timedelta(seconds=period, microseconds=-1), period), period)
    finest = next((least for least, kept in _KEPT if now - start <= kept), None)
    if finest is None:
        wrong.append(FieldError("from", "CloudWatch keeps 455 days"))
    elif period % finest:
        wrong.append(
            FieldError("period", f"CloudWatch keeps this range by {finest} s only; use a multiple of {finest}")
        )
    if not wrong and len(aligned) * series > MAX_POINTS:
        wrong.append(FieldError("period", f"{len(aligned) * series} points; at most {MAX_POINTS}: use a longer period"))
    if wrong:
        raise Invalid("The range can't be answered.", errors=wrong)
    return aligned


def on_grid(series: Series, span: Range, now: datetime) -> GridSeries:
    """The series with a value or a null for every period of ``span``."""
    found = dict(series.points)
    values = tuple(found.get(moment) for moment in span.moments())
    return GridSeries(
        name=series.name,
        stat=series.stat,
        unit=series.unit,
        dimensions=dict(series.dimensions),
        values=values,
        missing=values.count(None),
        complete=series.complete and span.end <= now - LAG,
    )


def _floor(moment: datetime, period: int) -> datetime:
    return datetime.fromtimestamp(moment.timestamp() // period * period, UTC)
