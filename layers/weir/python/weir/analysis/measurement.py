"""All that one run measured, in the form that the rules, the cost and the report read.

Nothing in here is assumed: a count that could not be measured is None, and `missing` says in words what is not
known and why. Zero always means that zero was counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import TYPE_CHECKING, Any

from weir.analysis.histogram import Histogram
from weir.analysis.rates import RateSeries

if TYPE_CHECKING:
    from weir.streams.metrics import Series

__all__ = ["Measurement", "ShardMeasurement", "measurement_key"]


def measurement_key(run_id: str) -> str:
    """Where in the runs bucket a run's measurement is kept."""
    return f"runs/{run_id}/measurement"


@dataclass(frozen=True, kw_only=True)
class ShardMeasurement:
    """What was written to and read from one shard. Counts are Kinesis records and bytes of data with their keys.

    `arrivals` counts records by the second of their ApproximateArrivalTimestamp; `arrival_bytes` the same in bytes.
    """

    shard_id: str
    accepted_records: int | None = None
    accepted_bytes: int | None = None
    throttled: int | None = None
    read_records: int | None = None
    read_bytes: int | None = None
    arrivals: RateSeries = field(default_factory=RateSeries)
    arrival_bytes: RateSeries | None = None

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able form."""
        form = {f.name: getattr(self, f.name) for f in fields(self)}
        form["arrivals"] = self.arrivals.to_dict()
        form["arrival_bytes"] = self.arrival_bytes.to_dict() if self.arrival_bytes else None
        return form

    @classmethod
    def from_dict(cls, form: Mapping[str, Any]) -> ShardMeasurement:
        """The measurement that `to_dict` told of; TypeError on a field that it doesn't know."""
        values = dict(form)
        values["arrivals"] = RateSeries.from_dict(form["arrivals"])
        values["arrival_bytes"] = RateSeries.from_dict(form["arrival_bytes"]) if form["arrival_bytes"] else None
        return cls(**values)


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """A finished, or a broken off, run in numbers.

    - `planned`, `accepted`, `rejected`, `seen` (unique), `lost`, `duplicates`, `reordered`, `corrupted` and `foreign`
      (not the run's) count user records; `seen + lost = accepted` where both are known.
    - `uncertain` counts records that were sent again after a lost answer: each may have made a duplicate.
    - `bytes` are the data and keys of the accepted records; `requests` the PutRecords calls.
    - `kinesis_records` are the records as Kinesis counts them, which differ from `accepted` in aggregated mode;
      `payload_units` their 25 KB units and `rounded_kib` their sizes rounded up to 1 KiB each, as they are billed.
    - `latency` is produce to read, `arrival_latency` produce to Kinesis' arrival stamp, microseconds.
    - `stream_seconds` is how long the stream existed.
    - `cloudwatch` is None when CloudWatch wasn't asked or didn't answer.
    """

    run_id: str
    stream_name: str
    mode: str
    region: str = "us-east-1"
    open_shards: int | None = None
    retention_hours: int = 24
    started_at: datetime | None = None
    ended_at: datetime | None = None

    planned: int | None = None
    accepted: int | None = None
    rejected: int | None = None
    retried: int | None = None
    throttled: int | None = None
    uncertain: int | None = None
    requests: int | None = None
    bytes: int | None = None
    kinesis_records: int | None = None
    payload_units: int | None = None
    rounded_kib: int | None = None
    insert_seconds: float | None = None
    verify_seconds: float | None = None
    stream_seconds: float | None = None

    seen: int | None = None
    lost: int | None = None
    duplicates: int | None = None
    reordered: int | None = None
    corrupted: int | None = None
    foreign: int | None = None
    ordered_asked: bool = False

    latency: Histogram | None = None
    arrival_latency: Histogram | None = None
    shards: tuple[ShardMeasurement, ...] = ()
    top_keys: tuple[tuple[str, int], ...] = ()
    aggregated: bool = False
    user_records_per_record: float | None = None
    target_rate: float | None = None

    lambda_gb_seconds: float | None = None
    lambda_requests: int | None = None
    state_transitions: int | None = None
    table_writes: int | None = None
    table_reads: int | None = None
    bucket_puts: int | None = None
    bucket_gets: int | None = None
    metrics_requested: int | None = None

    cloudwatch: tuple[Series, ...] | None = None
    cloudwatch_complete: bool = False
    missing: tuple[str, ...] = ()

    @property
    def records(self) -> int | None:
        """The accepted records as Kinesis counts them."""
        return self.accepted if self.kinesis_records is None and not self.aggregated else self.kinesis_records

    @property
    def records_per_second(self) -> float | None:
        """Accepted user records a second of inserting; None when either isn't known or no time passed."""
        if self.accepted is None or not self.insert_seconds:
            return None
        return self.accepted / self.insert_seconds

    def series(self, name: str) -> Series | None:
        """The stream-level CloudWatch series of that metric name; None when there is none."""
        return next(
            (series for series in self.cloudwatch or () if series.name == name and len(series.dimensions) < 2), None
        )

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able form, whose size grows with shards and not with records."""
        form = {f.name: getattr(self, f.name) for f in fields(self)}
        for name in ("started_at", "ended_at"):
            form[name] = form[name].isoformat() if form[name] else None
        for name in ("latency", "arrival_latency"):
            form[name] = form[name].to_dict() if form[name] else None
        form["shards"] = [shard.to_dict() for shard in self.shards]
        form["top_keys"] = [list(pair) for pair in self.top_keys]
        form["missing"] = list(self.missing)
        form["cloudwatch"] = None if self.cloudwatch is None else [_series_form(s) for s in self.cloudwatch]
        return {"schema": 1, **form}

    @classmethod
    def from_dict(cls, form: Mapping[str, Any]) -> Measurement:
        """The measurement that `to_dict` told of; ValueError when it is of another schema."""
        values = dict(form)
        if values.pop("schema", None) != 1:
            raise ValueError(f"unknown measurement schema {form.get('schema')!r}")
        for name in ("started_at", "ended_at"):
            values[name] = datetime.fromisoformat(values[name]) if values[name] else None
        for name in ("latency", "arrival_latency"):
            values[name] = Histogram.from_dict(values[name]) if values[name] else None
        values["shards"] = tuple(ShardMeasurement.from_dict(shard) for shard in values["shards"])
        values["top_keys"] = tuple((key, count) for key, count in values["top_keys"])
        values["missing"] = tuple(values["missing"])
        if values["cloudwatch"] is not None:
            values["cloudwatch"] = tuple(_series(form) for form in values["cloudwatch"])
        return cls(**values)


def _series_form(series: Series) -> dict[str, Any]:
    return {
        "name": series.name,
        "stat": series.stat,
        "unit": series.unit,
        "period": series.period,
        "points": [[at.isoformat(), value] for at, value in series.points],
        "complete": series.complete,
        "dimensions": [list(pair) for pair in series.dimensions],
    }


def _series(form: Mapping[str, Any]) -> Series:
    from weir.streams.metrics import Series  # not needed by runs that read no CloudWatch

    points = tuple((datetime.fromisoformat(at), value) for at, value in form["points"])
    dimensions = tuple((name, value) for name, value in form["dimensions"])
    return Series(**{**form, "points": points, "dimensions": dimensions})
