"""What is known of one stream: what it is, its metrics on one grid, those of its shards, and a run's measurement.

The formulas are those of `weir.analysis.utilization`, a period at a time. A period counts only where what the formula
needs is known in it. Shards are those open now: CloudWatch tells no earlier count.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property
from itertools import repeat
from typing import Any

from weir.analysis.facts import Fact
from weir.analysis.measurement import Measurement
from weir.analysis.utilization import read_utilization, write_utilization
from weir.analysis.workflows.measures import measures
from weir.analysis.workflows.series import MetricSeries
from weir.analysis.workflows.shape import Shape, shape_of

__all__ = ["METRICS", "SHARD_METRICS", "StreamFacts"]

METRICS = (
    "IncomingBytes",
    "IncomingRecords",
    "GetRecords.Bytes",
    "GetRecords.Records",
    "WriteProvisionedThroughputExceeded",
    "ReadProvisionedThroughputExceeded",
    "GetRecords.IteratorAgeMilliseconds",
    "GetRecords.Latency",
    "PutRecords.Latency",
    "PutRecord.Latency",
    "PutRecords.TotalRecords",
    "PutRecords.FailedRecords",
)
"""The stream-level metrics that the workflows read; each of them does without those that are not there."""

SHARD_METRICS = ("IncomingBytes", "IncomingRecords", "WriteProvisionedThroughputExceeded", "IteratorAgeMilliseconds")
"""The shard-level ones, where EnableEnhancedMonitoring is on."""


@dataclass(frozen=True, kw_only=True)
class StreamFacts:
    """One stream. None and absent are not known; an empty series is not known either.

    - `series`: stream-level metrics by name, all on the same grid.
    - `history`: the same metrics by a longer period over a longer time (up to CloudWatch's 455 days), for what needs
      weeks; may be empty.
    - `shards`: shard-level series by shard id, then by metric name.
    - `tags` are data that somebody else wrote.
    - `not_read`: in words, what could not be asked for or was not answered.
    """

    name: str
    mode: str
    now: datetime
    region: str = "us-east-1"
    open_shards: int | None = None
    retention_hours: int | None = None
    encryption: str | None = None
    created_at: datetime | None = None
    consumers: int | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    series: Mapping[str, MetricSeries] = field(default_factory=dict)
    history: Mapping[str, MetricSeries] = field(default_factory=dict)
    shards: Mapping[str, Mapping[str, MetricSeries]] = field(default_factory=dict)
    measurement: Measurement | None = None
    not_read: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for held in (self.series, self.history):
            if len({(one.start, one.period, len(one)) for one in held.values()}) > 1:
                raise ValueError("the series of a stream have one grid")
        if self.created_at is not None:
            # What is told of the name before is another stream's; that there was nothing is no gap.
            for field_ in ("series", "history", "shards"):
                object.__setattr__(self, field_, _since(getattr(self, field_), self.created_at))

    def metric(self, name: str) -> MetricSeries | None:
        """The stream-level series of that name; None where it has no point."""
        found = self.series.get(name)
        return found if found is not None and found.known else None

    def long(self, name: str) -> MetricSeries | None:
        """The series of that name over the longest time that is known; None where it has no point."""
        found = self.history.get(name)
        return found if found is not None and found.known else self.metric(name)

    def of_run(self, facts: Iterable[Fact]) -> tuple[Fact, ...]:
        """The facts; a run's own with its id and its time in their source, for the range of the metrics is another."""
        run = self.measurement
        if run is None:
            return tuple(facts)
        times = [f"{at:%Y-%m-%d %H:%M:%S}" for at in (run.started_at, run.ended_at) if at is not None]
        named = ", ".join([f"run {run.run_id}", *([f"{' to '.join(times)} UTC"] if times else [])])
        return tuple(
            replace(fact, source=named + fact.source[len("run") :]) if fact.source.split(":")[0] == "run" else fact
            for fact in facts
        )

    @property
    def seconds(self) -> float:
        """The length of the range; 0 without any series."""
        return next((float(len(one) * one.period) for one in self.series.values()), 0.0)

    @property
    def period(self) -> int:
        """The period of the range; 0 without any series."""
        return next((one.period for one in self.series.values()), 0)

    @cached_property
    def measures(self) -> Mapping[str, Fact]:
        """What every analysis tells of a stream, by name."""
        return {fact.name: fact for fact in measures(self)}

    @cached_property
    def shape(self) -> Shape | None:
        """What is regular about the load over the longest time known; None where neither records nor bytes came in."""
        load = self.long("IncomingRecords") or self.long("IncomingBytes")
        return None if load is None else shape_of(load)

    @cached_property
    def write_shards(self) -> MetricSeries | None:
        """Shards that the writes of each period would fill: max(KiB in / 1,024, records / 1,000), a second."""
        size, records = self.metric("IncomingBytes"), self.metric("IncomingRecords")
        if size is None or records is None:
            return None
        period = size.period
        values = tuple(
            None if b is None or r is None else write_utilization(b / period, r / period, 1)
            for b, r in zip(size.values, records.values, strict=True)
        )
        both = size.complete and records.complete
        return _some(replace(size, name="IncomingBytes, IncomingRecords", unit="shards", values=values, complete=both))

    @cached_property
    def read_shards(self) -> MetricSeries | None:
        """Shards that the reads of each period would fill without enhanced fan-out: KiB out / 2,048, a second."""
        size = self.metric("GetRecords.Bytes")
        if size is None:
            return None
        values = tuple(None if b is None else read_utilization(b / size.period, 1) for b in size.values)
        return _some(replace(size, unit="shards", values=values))

    @cached_property
    def write_utilization(self) -> MetricSeries | None:
        """The share of the open shards' write capacity that each period used, in percent."""
        return self._of_capacity(self.write_shards)

    @cached_property
    def read_utilization(self) -> MetricSeries | None:
        """The share of the open shards' read capacity that each period used, in percent."""
        return self._of_capacity(self.read_shards)

    def _of_capacity(self, shards: MetricSeries | None) -> MetricSeries | None:
        if shards is None or not self.open_shards:
            return None
        share = 100 / self.open_shards
        values = tuple(None if value is None else value * share for value in shards.values)
        return replace(shards, unit="%", values=values)

    @cached_property
    def demand(self) -> MetricSeries | None:
        """Records a second that were wanted: (IncomingRecords + WriteProvisionedThroughputExceeded) / period.

        A period whose throttles are not known counts what came in, and makes the series incomplete: demand is then no
        less than that. A record that was sent again after a throttle counts each time.
        """
        records = self.metric("IncomingRecords")
        if records is None:
            return None
        throttled = self.metric("WriteProvisionedThroughputExceeded")
        turned_away = throttled.values if throttled else repeat(None, len(records))
        values = tuple(
            None if r is None else (r + (t or 0.0)) / records.period
            for r, t in zip(records.values, turned_away, strict=True)
        )
        sure = throttled is not None and records.complete and throttled.whole
        name = "IncomingRecords, WriteProvisionedThroughputExceeded"
        return replace(records, name=name, unit="records/s", values=values, complete=sure)

    @cached_property
    def demand_shards(self) -> MetricSeries | None:
        """Shards that the demand of each period needs: writes as much larger as demand is than what came in, or reads.

        A throttled record is taken to have the mean size of those that came in beside it.
        """
        write, demand, records = self.write_shards, self.demand, self.metric("IncomingRecords")
        if write is None or demand is None or records is None:
            return None
        read = self.read_shards
        reads = read.values if read else repeat(None, len(write))
        values = tuple(
            None
            if w is None or d is None or r is None
            else max(w * d * write.period / r if r else write_utilization(0.0, d, 1), out or 0.0)
            for w, d, r, out in zip(write.values, demand.values, records.values, reads, strict=True)
        )
        sure = demand.complete and write.complete and read is not None and read.whole
        name = "IncomingBytes, IncomingRecords, WriteProvisionedThroughputExceeded, GetRecords.Bytes"
        return _some(replace(write, name=name, values=values, complete=sure))

    @property
    def completeness(self) -> dict[str, Any]:
        """How much of what was asked for is there: a JSON-able form for the document and its readers."""
        points = sum(len(one) for one in self.series.values())
        known = sum(len(one.known) for one in self.series.values())
        return {
            "complete": bool(points) and not self.not_read and all(one.whole for one in self.series.values()),
            "points": points,
            "known": known,
            "share": round(known / points, 6) if points else None,
            "empty": sorted(name for name, one in self.series.items() if not one.known),
            "unfinished": sorted(name for name, one in self.series.items() if not one.complete),
            "not_read": list(self.not_read),
        }


def _since(held: Mapping[str, Any], created_at: datetime) -> dict[str, Any]:
    """The series, or mappings of them, from the period on that holds the creation."""
    return {
        name: one.rest(created_at - timedelta(seconds=one.period, microseconds=-1))
        if isinstance(one, MetricSeries)
        else _since(one, created_at)
        for name, one in held.items()
    }


def _some(series: MetricSeries) -> MetricSeries | None:
    return series if series.known else None
