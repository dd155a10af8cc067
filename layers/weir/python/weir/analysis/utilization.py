"""How much of its shards a stream used, and how many shards it needs: the formulas, without judgement.

With N open shards (quotas: 1 MiB/s and 1,000 records/s in, 2 MiB/s out, each a shard; Kinesis developer guide):

- write utilization = max(bytes/s / (N x 1,048,576), records/s / (N x 1,000))
- read utilization = bytes/s / (N x 2,097,152)
- shards needed = max(KiB_in/s / 1,024, KiB_out/s / 2,048, records/s / 1,000)

CloudWatch's sums over a minute divided by 60 hide bursts, so peaks are also taken per second from the arrival stamps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from weir.analysis.measurement import Measurement
from weir.analysis.rates import RateSeries
from weir.streams.pacing import SHARD_BYTES_PER_SECOND, SHARD_RECORDS_PER_SECOND

__all__ = [
    "SHARD_READ_BYTES",
    "Load",
    "Utilization",
    "average_load",
    "cloudwatch_peak",
    "peak_load",
    "read_utilization",
    "stream_arrivals",
    "utilization",
    "write_utilization",
]

SHARD_READ_BYTES = 2_097_152
"""Bytes a second that all readers of a shard share, without enhanced fan-out."""


@dataclass(frozen=True)
class Load:
    """A load, a second: records in, bytes in, bytes out (None where it isn't known)."""

    records: float
    bytes_in: float
    bytes_out: float | None = None

    @property
    def terms(self) -> tuple[float, float | None, float]:
        """What the load needs of each quota, in shards: by bytes in, by bytes out, by records."""
        out = None if self.bytes_out is None else self.bytes_out / 1024 / 2048
        return self.bytes_in / 1024 / 1024, out, self.records / SHARD_RECORDS_PER_SECOND

    @property
    def shards(self) -> int:
        """The fewest shards that carry it, at least one."""
        # A product of rates can end a hair above a whole number; that hair needs no shard.
        return max(1, math.ceil(max(term for term in self.terms if term is not None) - 1e-9))


@dataclass(frozen=True)
class Utilization:
    """Shares of the stream's capacity, 1.0 being all of it; None is not known."""

    write_average: float | None
    write_peak_second: float | None
    write_peak_minute: float | None
    read_average: float | None


def write_utilization(bytes_a_second: float, records_a_second: float, shards: int) -> float:
    """The share of N shards' write capacity that is in use: the scarcer of bytes and records."""
    return max(
        bytes_a_second / (shards * SHARD_BYTES_PER_SECOND), records_a_second / (shards * SHARD_RECORDS_PER_SECOND)
    )


def read_utilization(bytes_a_second: float, shards: int) -> float:
    """The share of N shards' read capacity that is in use (shared, without enhanced fan-out)."""
    return bytes_a_second / (shards * SHARD_READ_BYTES)


def stream_arrivals(m: Measurement) -> RateSeries:
    """All shards' arrivals, records a second."""
    merged = RateSeries()
    for shard in m.shards:
        merged.merge(shard.arrivals)
    return merged


def average_load(m: Measurement) -> Load | None:
    """The mean over the time of inserting; None when records, bytes or seconds aren't known."""
    if not m.insert_seconds or m.records is None or m.bytes is None:
        return None
    read = [shard.read_bytes for shard in m.shards]
    known = [size for size in read if size is not None]
    out = sum(known) / m.verify_seconds if m.verify_seconds and known and len(known) == len(read) else None
    return Load(m.records / m.insert_seconds, m.bytes / m.insert_seconds, out)


def peak_load(m: Measurement, seconds: int = 1) -> Load | None:
    """The busiest second (or aligned window of `seconds`), as a load a second.

    Bytes are counted where the shards tell `arrival_bytes`, else taken as records times the mean record size. Readers
    are taken to keep up, so as many bytes go out as come in.
    """
    arrivals = stream_arrivals(m)
    records = _busiest(arrivals, seconds)
    if records is None:
        return None
    if all(shard.arrival_bytes is not None for shard in m.shards):
        merged = RateSeries()
        for shard in m.shards:
            if shard.arrival_bytes is not None:
                merged.merge(shard.arrival_bytes)
        size = _busiest(merged, seconds)
    else:
        size = records * m.bytes / m.records if m.bytes is not None and m.records else None
    return None if size is None else Load(records, size, size)


def _busiest(series: RateSeries, seconds: int) -> float | None:
    if seconds == 1:
        return series.peak()
    most = series.peak_sum(seconds)
    return None if most is None else most / seconds


def utilization(m: Measurement) -> Utilization:
    """The run's utilization by its own measurements."""
    shards = m.open_shards
    if not shards:
        return Utilization(None, None, None, None)
    average, second, minute = average_load(m), peak_load(m), peak_load(m, 60)

    def write(load: Load | None) -> float | None:
        return None if load is None else write_utilization(load.bytes_in, load.records, shards)

    out = average.bytes_out if average else None
    return Utilization(
        write(average), write(second), write(minute), None if out is None else read_utilization(out, shards)
    )


def cloudwatch_peak(m: Measurement) -> tuple[float | None, float | None]:
    """Write and read utilization of the busiest period by CloudWatch; None where a metric has no points.

    A period counts for writing only where both IncomingBytes and IncomingRecords have a point.
    """
    if not m.open_shards:
        return None, None
    size, records, out = m.series("IncomingBytes"), m.series("IncomingRecords"), m.series("GetRecords.Bytes")
    writes: list[float] = []
    if size is not None and records is not None:
        counts = dict(records.points)
        writes = [
            write_utilization(value / size.period, counts[at] / records.period, m.open_shards)
            for at, value in size.points
            if at in counts
        ]
    reads = [read_utilization(value / out.period, m.open_shards) for _, value in out.points] if out else []
    return max(writes, default=None), max(reads, default=None)
