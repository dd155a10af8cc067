"""Measurements to argue about: a healthy run of two shards over ten seconds, and what differs from it."""

from datetime import UTC, datetime
from typing import Any

from weir.analysis.findings import Finding
from weir.analysis.histogram import Histogram
from weir.analysis.measurement import Measurement, ShardMeasurement
from weir.analysis.rates import RateSeries
from weir.analysis.rules import assess
from weir.analysis.slo import Slo
from weir.streams.metrics import Series, Statistic

START = datetime(2026, 11, 21, 14, 5, tzinfo=UTC)


def latencies(*milliseconds: float) -> Histogram:
    histogram = Histogram()
    histogram.add_many([int(ms * 1000) for ms in milliseconds])
    return histogram


def arrivals(*per_second: int, start: float = START.timestamp()) -> RateSeries:
    series = RateSeries()
    for second, n in enumerate(per_second):
        if n:
            series.add(start + second, n)
    return series


def shard(index: int, records: int = 5_000, **changes: Any) -> ShardMeasurement:
    values: dict[str, Any] = {
        "shard_id": f"shardId-{index:012d}",
        "accepted_records": records,
        "accepted_bytes": records * 256,
        "throttled": 0,
        "read_records": records,
        "read_bytes": records * 256,
        "arrivals": arrivals(*[records // 10] * 10),
    }
    return ShardMeasurement(**(values | changes))


def _healthy() -> dict[str, Any]:
    return {
        "run_id": "run-1",
        "stream_name": "weir-run-1",
        "mode": "PROVISIONED",
        "open_shards": 2,
        "started_at": START,
        "ended_at": START,
        "planned": 10_000,
        "accepted": 10_000,
        "rejected": 0,
        "retried": 0,
        "throttled": 0,
        "uncertain": 0,
        "requests": 20,
        "insert_seconds": 10.0,
        "verify_seconds": 12.5,
        "stream_seconds": 30.0,
        "seen": 10_000,
        "lost": 0,
        "duplicates": 0,
        "reordered": 0,
        "corrupted": 0,
        "foreign": 0,
        "latency": latencies(*range(1, 101)),
        "arrival_latency": latencies(*range(1, 51)),
        "shards": (shard(0), shard(1)),
        "top_keys": (("a", 40), ("b", 30)),
        "lambda_gb_seconds": 20.0,
        "lambda_requests": 10,
        "state_transitions": 40,
        "table_writes": 30,
        "table_reads": 20,
        "bucket_puts": 5,
        "bucket_gets": 5,
        "metrics_requested": 7,
        "cloudwatch": (),
        "target_rate": 1_000.0,
    }


def measured(**changes: Any) -> Measurement:
    """10,000 records of 256 bytes in 10 s over 2 shards: 1,000 records/s, 250 KiB/s, all read back."""
    values = _healthy() | changes
    if "bytes" not in values:
        values["bytes"] = None if values["accepted"] is None else values["accepted"] * 256
    return Measurement(**values)


def series(name: str, *values: float, stat: Statistic = "Sum", **changes: Any) -> Series:
    """One point a minute."""
    start = START.timestamp()
    points = tuple((datetime.fromtimestamp(start + 60 * i, UTC), value) for i, value in enumerate(values))
    values_of: dict[str, Any] = {"unit": "Count", "period": 60, "points": points, "complete": True}
    return Series(name, stat, **(values_of | changes))


def found(measurement: Measurement, slo: Slo | None = None) -> dict[str, Finding]:
    """The findings by id; an id that comes twice fails."""
    findings = assess(measurement, slo)
    by_id = {finding.id: finding for finding in findings}
    assert len(by_id) == len(findings)
    return by_id


def evidence(finding: Finding) -> dict[str, Any]:
    return {fact.name: fact.value for fact in finding.evidence}
