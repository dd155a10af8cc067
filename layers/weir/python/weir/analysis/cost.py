"""What a run costs: estimated before it, added up after it, and for a month of the same load.

List prices from `prices.yaml`, so an upper bound: no free tier and no discount, and a begun hour of a shard or stream
counts whole. The formulas are those of aws.amazon.com/kinesis/data-streams/pricing: provisioned streams pay
shard-hours and PUT payload units of 25 KB a record, on-demand streams pay stream-hours, GB in (each record rounded up
to 1 KB) and GB out. A quantity that isn't known is named in `missing`; it is never priced as zero.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from typing import Any

from weir.analysis.facts import Fact
from weir.analysis.measurement import Measurement
from weir.analysis.prices import PriceList, price_list, usd

__all__ = [
    "HOURS_A_MONTH",
    "PAYLOAD_UNIT",
    "Cost",
    "CostLine",
    "MonthCost",
    "Usage",
    "cost_of_run",
    "estimate_run",
    "month_like_it",
    "stream_month",
]

HOURS_A_MONTH = 730
"""AWS' own month, 365 x 24 / 12 hours."""

PAYLOAD_UNIT = 25 * 1024
"""Bytes of a PUT payload unit."""

_KIB_A_GB = 1 << 20
_DAY, _WEEK = 24, 168
Number = int | float | Fraction


@dataclass(frozen=True, kw_only=True)
class Usage:
    """Billable quantities. None is not known, 0 is none. The names are those of the prices they are billed at."""

    kinesis_shard_hour: Number | None = 0
    kinesis_payload_unit: Number | None = 0
    kinesis_extended_shard_hour: Number | None = 0
    kinesis_stream_hour: Number | None = 0
    kinesis_gb_in: Number | None = 0
    kinesis_gb_out: Number | None = 0
    kinesis_extended_gb_month: Number | None = 0
    kinesis_long_term_gb_month: Number | None = 0
    lambda_gb_second: Number | None = 0
    lambda_request: Number | None = 0
    state_transition: Number | None = 0
    table_write: Number | None = 0
    table_read: Number | None = 0
    bucket_put: Number | None = 0
    bucket_get: Number | None = 0
    metric_requested: Number | None = 0


_ITEMS = {
    "kinesis_shard_hour": ("Kinesis", "shard-hours"),
    "kinesis_payload_unit": ("Kinesis", "PUT payload units"),
    "kinesis_extended_shard_hour": ("Kinesis", "extended retention"),
    "kinesis_stream_hour": ("Kinesis", "on-demand stream-hours"),
    "kinesis_gb_in": ("Kinesis", "on-demand data in"),
    "kinesis_gb_out": ("Kinesis", "on-demand data out"),
    "kinesis_extended_gb_month": ("Kinesis", "extended retention"),
    "kinesis_long_term_gb_month": ("Kinesis", "long-term retention"),
    "lambda_gb_second": ("Lambda", "duration"),
    "lambda_request": ("Lambda", "requests"),
    "state_transition": ("Step Functions", "state transitions"),
    "table_write": ("DynamoDB", "writes"),
    "table_read": ("DynamoDB", "reads"),
    "bucket_put": ("S3", "PUT requests"),
    "bucket_get": ("S3", "GET requests"),
    "metric_requested": ("CloudWatch", "metrics requested"),
}


@dataclass(frozen=True)
class CostLine:
    """`quantity` of `unit` at `unit_price` dollars (decimal strings) for every `per` units make `pico` pico-dollars."""

    service: str
    item: str
    quantity: str
    unit: str
    unit_price: str
    per: int
    pico: int

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able form, with the amount as a decimal string of dollars."""
        form = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "pico"}
        return {**form, "usd": usd(self.pico)}


@dataclass(frozen=True)
class Cost:
    """Lines and what they add up to.

    `missing` names what could not be priced, so that the total is then too low; `approximate` what was reckoned from
    the mean record size because the records' own sizes weren't counted.
    """

    lines: tuple[CostLine, ...]
    missing: tuple[str, ...]
    region: str
    priced_as: str
    effective_from: str
    not_counted: tuple[str, ...]
    approximate: tuple[str, ...] = ()

    @property
    def pico(self) -> int:
        """The total, pico-dollars."""
        return sum(line.pico for line in self.lines)

    @property
    def usd(self) -> str:
        """The total as a decimal string of dollars."""
        return usd(self.pico)

    @property
    def complete(self) -> bool:
        """Whether every quantity was known."""
        return not self.missing

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able form."""
        return {
            "usd": self.usd,
            "complete": self.complete,
            "lines": [line.to_dict() for line in self.lines],
            "missing": list(self.missing),
            "approximate": list(self.approximate),
            "region": self.region,
            "priced_as": self.priced_as,
            "effective_from": self.effective_from,
            "not_counted": list(self.not_counted),
        }


@dataclass(frozen=True)
class MonthCost:
    """A month (730 h) at the run's average rate, in either capacity mode; `evidence` is the arithmetic."""

    provisioned: Cost
    on_demand: Cost
    evidence: tuple[Fact, ...]


def _price(usage: Usage, prices: PriceList) -> Cost:
    lines, missing = [], []
    for name, (service, item) in _ITEMS.items():
        quantity, price = getattr(usage, name), prices.prices[name]
        if quantity is None:
            missing.append(f"{service} {item}")
        elif quantity:
            exact = Fraction(quantity)
            lines.append(
                CostLine(service, item, _decimal(exact), price.unit, usd(price.pico), price.per, price.of(exact))
            )
    return Cost(
        tuple(lines), tuple(missing), prices.region, prices.priced_as, prices.effective_from, prices.not_counted
    )


def _decimal(quantity: Fraction) -> str:
    """At most six decimals, without trailing zeros: a quantity to read, the amount is reckoned from the exact one."""
    return f"{float(quantity):.6f}".rstrip("0").rstrip(".") if quantity.denominator > 1 else str(quantity.numerator)


def _stream_usage(
    *,
    mode: str,
    shards: int | None,
    hours: Number | None,
    payload_units: int | None,
    kib_in: int | None,
    kib_out: Number | None,
    retention_hours: int,
) -> dict[str, Number | None]:
    """What the stream itself is billed for, hours begun counting whole; storage beyond a day is told by `_storage`."""
    begun = None if hours is None else math.ceil(hours)
    if mode == "ON_DEMAND":
        return {
            "kinesis_stream_hour": begun,
            "kinesis_gb_in": None if kib_in is None else Fraction(kib_in, _KIB_A_GB),
            "kinesis_gb_out": None if kib_out is None else Fraction(kib_out) / _KIB_A_GB,
        }
    shard_hours = None if begun is None or shards is None else begun * shards
    return {
        "kinesis_shard_hour": shard_hours,
        "kinesis_payload_unit": payload_units,
        "kinesis_extended_shard_hour": shard_hours if retention_hours > _DAY else 0,
    }


def _storage(mode: str, gb_an_hour: Fraction, retention_hours: int) -> dict[str, Number | None]:
    """GB-months held in a steady state: what came in an hour, times the hours it is kept past the included ones."""
    long_term = gb_an_hour * max(0, retention_hours - _WEEK)
    extended = gb_an_hour * max(0, min(retention_hours, _WEEK) - _DAY)
    return {
        "kinesis_long_term_gb_month": long_term,
        "kinesis_extended_gb_month": extended if mode == "ON_DEMAND" else 0,
    }


def estimate_run(
    *,
    mode: str,
    shards: int | None,
    records: int,
    record_bytes: int,
    stream_seconds: float,
    lambda_gb_seconds: float,
    lambda_requests: int,
    state_transitions: int,
    user_records_per_record: float = 1.0,
    reads: int = 1,
    retention_hours: int = _DAY,
    table_writes: int = 0,
    table_reads: int = 0,
    bucket_puts: int = 0,
    bucket_gets: int = 0,
    metrics_requested: int = 0,
    region: str = "us-east-1",
) -> Cost:
    """What a planned run will cost at most.

    `records` user records of `record_bytes` (data and key), `user_records_per_record` of them aggregated into one
    Kinesis record, each read `reads` times, in a stream of `shards` (no matter on demand) that exists for
    `stream_seconds`; the rest as planned.
    """
    stored, size = records / user_records_per_record, record_bytes * user_records_per_record
    usage = Usage(
        **_planned_stream(mode, shards, math.ceil(stored), math.ceil(size), stream_seconds, reads, retention_hours),
        lambda_gb_second=lambda_gb_seconds,
        lambda_request=lambda_requests,
        state_transition=state_transitions,
        table_write=table_writes,
        table_read=table_reads,
        bucket_put=bucket_puts,
        bucket_get=bucket_gets,
        metric_requested=metrics_requested,
    )
    return _price(usage, price_list(region))


def _planned_stream(
    mode: str, shards: int | None, records: int, size: int, seconds: float, reads: int, retention_hours: int
) -> dict[str, Number | None]:
    return _stream_usage(
        mode=mode,
        shards=shards,
        hours=Fraction(seconds) / 3600,
        payload_units=records * math.ceil(size / PAYLOAD_UNIT),
        kib_in=records * math.ceil(size / 1024),
        kib_out=Fraction(records * size * reads, 1024),
        retention_hours=retention_hours,
    )


def cost_of_run(measurement: Measurement) -> Cost:
    """What a run cost, from what it measured; what it could not measure is in `missing`."""
    m = measurement
    stream = _stream_usage(
        mode=m.mode,
        shards=m.open_shards,
        hours=None if m.stream_seconds is None else Fraction(m.stream_seconds) / 3600,
        payload_units=_payload_units(m),
        kib_in=_rounded_kib(m),
        kib_out=_kib_out(m),
        retention_hours=m.retention_hours,
    )
    usage = Usage(
        **stream,
        lambda_gb_second=m.lambda_gb_seconds,
        lambda_request=m.lambda_requests,
        state_transition=m.state_transitions,
        table_write=m.table_writes,
        table_read=m.table_reads,
        bucket_put=m.bucket_puts,
        bucket_get=m.bucket_gets,
        metric_requested=m.metrics_requested,
    )
    cost = _price(usage, price_list(m.region))
    return replace(cost, missing=(*cost.missing, *_unaccounted(m)), approximate=_approximate(m, m.mode))


def stream_month(
    *,
    mode: str,
    shards: int | None,
    payload_units: int | None,
    kib_in: int | None,
    kib_out: Number | None,
    gb_an_hour: Fraction,
    retention_hours: int,
    region: str,
) -> Cost:
    """What a stream costs in a month (730 h) of these quantities; `gb_an_hour` is what comes in, for the storage."""
    stream = _stream_usage(
        mode=mode,
        shards=shards,
        hours=HOURS_A_MONTH,
        payload_units=payload_units,
        kib_in=kib_in,
        kib_out=kib_out,
        retention_hours=retention_hours,
    )
    usage = Usage(**{**stream, **_storage(mode, gb_an_hour, retention_hours)})
    return _price(usage, price_list(region))


def month_like_it(measurement: Measurement, *, shards: int | None = None) -> MonthCost | None:
    """A month of the run's average rate, day and night, every record read once, in both capacity modes.

    `shards` is how many a provisioned stream would have; the run's own number when not given. None when the run's
    rate, sizes or shards aren't known.
    """
    m = measurement
    records, units, kib_in, shards = m.records, _payload_units(m), _rounded_kib(m), shards or m.open_shards
    if not (m.insert_seconds and records and m.bytes and units and kib_in and shards):
        return None
    factor = Fraction(HOURS_A_MONTH * 3600) / Fraction(m.insert_seconds)
    gb_an_hour = Fraction(m.bytes, 1 << 30) * factor / HOURS_A_MONTH
    costs = {
        mode: replace(
            stream_month(
                mode=mode,
                shards=shards,
                payload_units=math.ceil(units * factor),
                kib_in=math.ceil(kib_in * factor),
                kib_out=Fraction(m.bytes, 1024) * factor,
                gb_an_hour=gb_an_hour,
                retention_hours=m.retention_hours,
                region=m.region,
            ),
            approximate=_approximate(m, mode),
        )
        for mode in ("PROVISIONED", "ON_DEMAND")
    }
    run = "run: accepted / seconds of inserting"
    evidence = (
        Fact("hours in a month", HOURS_A_MONTH, "h", "365 x 24 / 12"),
        Fact("average write rate", float(records / m.insert_seconds), "records/s", run),
        Fact("average write volume", m.bytes / m.insert_seconds / 1024, "KiB/s", run),
        Fact("PUT payload units", float(units / m.insert_seconds), "units/s", run),
        Fact("shards when provisioned", shards, "shards", "run" if shards == m.open_shards else "recommendation"),
        Fact("reads of each record", 1, "reads", "assumption"),
    )
    return MonthCost(costs["PROVISIONED"], costs["ON_DEMAND"], evidence)


def _payload_units(m: Measurement) -> int | None:
    """25 KB units: as counted record by record, else from the mean record size."""
    if m.payload_units is not None or m.records is None or m.bytes is None:
        return m.payload_units
    return m.records * math.ceil(m.bytes / m.records / PAYLOAD_UNIT) if m.records else 0


def _rounded_kib(m: Measurement) -> int | None:
    """KiB with each record rounded up: as counted record by record, else from the mean record size."""
    if m.rounded_kib is not None or m.records is None or m.bytes is None:
        return m.rounded_kib
    return m.records * math.ceil(m.bytes / m.records / 1024) if m.records else 0


def _unaccounted(m: Measurement) -> tuple[str, ...]:
    """Losses are known only where every writer and reader told its end; else all that they counted is a beginning."""
    return () if m.lost is not None else ("what writers and readers did after their last checkpoints",)


def _approximate(m: Measurement, mode: str) -> tuple[str, ...]:
    counted, name = (
        (m.rounded_kib, "kinesis_gb_in") if mode == "ON_DEMAND" else (m.payload_units, "kinesis_payload_unit")
    )
    return () if counted is not None or not m.records or m.bytes is None else (" ".join(_ITEMS[name]),)


def _kib_out(m: Measurement) -> Fraction | None:
    read = [shard.read_bytes for shard in m.shards]
    known = [size for size in read if size is not None]
    return Fraction(sum(known), 1024) if known and len(known) == len(read) else None
