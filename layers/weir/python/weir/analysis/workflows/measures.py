"""The facts that every analysis tells of a stream, whatever was asked for: what it is, and its metrics in numbers.

They are also what a later analysis compares with, so that a name stays what it is. Rates are a second; quantiles are
over the periods of the range, so that a p99 of latencies is that of the periods' averages, not of the calls.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from weir.analysis.facts import Fact

if TYPE_CHECKING:
    from weir.analysis.workflows.series import MetricSeries
    from weir.analysis.workflows.stream_facts import StreamFacts

__all__ = ["LATENCIES", "measures"]

LATENCIES = {
    "PutRecords.Latency": "PutRecords latency",
    "PutRecord.Latency": "PutRecord latency",
    "GetRecords.Latency": "GetRecords latency",
}
"""What the latency of each call is named in facts."""

_DESCRIBED = "DescribeStreamSummary"


def measures(stream: StreamFacts) -> Iterator[Fact]:
    """All of them, each name once."""
    yield from _described(stream)
    for name, used in (("write", stream.write_utilization), ("read", stream.read_utilization)):
        yield from _spread(f"{name} utilization", used, "%", ("mean", "p50", "p99", "highest"))
    yield from _rates(stream)
    yield from _throttles(stream)
    age = stream.metric("GetRecords.IteratorAgeMilliseconds")
    yield from _spread("iterator age", age, "s", ("p50", "p99", "highest"), 1000)
    for metric, name in LATENCIES.items():
        yield from _spread(name, stream.metric(metric), "ms", ("p50", "p95", "p99", "highest"))


def _described(stream: StreamFacts) -> Iterator[Fact]:
    yield Fact("capacity mode", stream.mode, "", _DESCRIBED)
    yield Fact("open shards", stream.open_shards, "shards", _DESCRIBED)
    yield Fact("retention", stream.retention_hours, "h", _DESCRIBED)
    yield Fact("encryption", stream.encryption, "", _DESCRIBED)
    yield Fact("fan-out consumers", stream.consumers, "consumers", _DESCRIBED)
    age = None if stream.created_at is None else max(0.0, (stream.now - stream.created_at).total_seconds() / 86_400)
    yield Fact("age of the stream", age, "days", "StreamCreationTimestamp")


def _spread(
    name: str, series: MetricSeries | None, unit: str, kinds: tuple[str, ...], divisor: int = 1
) -> Iterator[Fact]:
    """Statistics of the periods, `divisor` of the metric's units in one of `unit`."""
    for kind in kinds:
        told = f"{name}, {kind}"
        value = None if series is None else _statistic(series, kind)
        if series is None or value is None:
            yield Fact(told, None, unit, "AWS/Kinesis", complete=False)
        else:
            yield series.fact(told, value / divisor, unit, f"{kind} of the periods")


def _statistic(series: MetricSeries, kind: str) -> float | None:
    if kind == "mean":
        return series.mean
    return series.highest if kind == "highest" else series.quantile(int(kind[1:]) / 100)


def _rates(stream: StreamFacts) -> Iterator[Fact]:
    for name, metric, unit, divisor in (
        ("records in", "IncomingRecords", "records/s", 1),
        ("volume in", "IncomingBytes", "KiB/s", 1024),
        ("records out", "GetRecords.Records", "records/s", 1),
        ("volume out", "GetRecords.Bytes", "KiB/s", 1024),
    ):
        series = stream.metric(metric)
        for kind in ("mean", "p99"):
            if series is None:
                yield Fact(f"{name}, {kind}", None, unit, "AWS/Kinesis", complete=False)
            else:
                value = _statistic(series, kind)
                rate = None if value is None else value / series.period / divisor
                yield series.fact(f"{name}, {kind}", rate, unit, f"{kind} of the periods, a second")


def _throttles(stream: StreamFacts) -> Iterator[Fact]:
    writes, reads = (stream.metric(f"{what}ProvisionedThroughputExceeded") for what in ("Write", "Read"))
    yield _total("writes throttled", writes, "records")
    records, share = stream.metric("IncomingRecords"), None
    if writes is not None and records is not None:
        turned_away, came = writes.total or 0.0, records.total or 0.0
        share = 100 * turned_away / (turned_away + came) if turned_away + came else 0.0
    told = "throttled share of demand"
    how = "throttled / (came in + throttled)"
    yield Fact(told, None, "%", how, complete=False) if writes is None else writes.fact(told, share, "%", how)
    yield _total("reads throttled", reads, "calls")


def _total(name: str, series: MetricSeries | None, unit: str) -> Fact:
    if series is None or series.total is None:
        return Fact(name, None, unit, "AWS/Kinesis", complete=False)
    return series.fact(name, _whole(series.total), unit, "sum of the periods")


def _whole(value: float) -> float | int:
    return int(value) if value.is_integer() else value
