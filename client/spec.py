"""A run spec from a file or from command-line options. What it may hold is the API's to judge."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer import Option

__all__ = ["SpecOptions", "SpecUnusable", "spec_from"]

Skew = Literal["uniform", "zipf", "single"]

# The options of `weir run`, as typer reads them.
Spec = Annotated[str | None, typer.Argument(metavar="SPEC.json", help="a whole run spec; - reads standard input")]
Records = Annotated[int | None, Option(metavar="N", help="instead of a file: generate so many records")]
File = Annotated[Path | None, Option(metavar="LINES", help="instead of a file: insert the lines of this file")]
KeyField = Annotated[str | None, Option(metavar="FIELD", help="with --file: JSON field that is the partition key")]
Bytes = Annotated[int | None, Option(metavar="B", help="size of a generated record, 36 bytes of header included")]
Rate = Annotated[float | None, Option(metavar="R", help="records per second; as fast as possible if left out")]
Keys = Annotated[int | None, Option(metavar="K", help="number of partition keys")]
SkewOf = Annotated[Skew | None, Option(help="how records spread over the keys")]
Workers = Annotated[int | None, Option(metavar="W", help="writers side by side; planned if left out")]
Aggregated = Annotated[bool, Option("--aggregated", help="pack records in the KPL's aggregation format")]
Shards = Annotated[int | None, Option(metavar="S", help="shards of the stream")]
OnDemand = Annotated[bool, Option("--on-demand", help="the stream's mode")]
Keep = Annotated[bool, Option("--keep", help="leave the stream until it expires")]
Ordered = Annotated[bool, Option("--ordered", help="what must hold: the order of every partition key")]
P99 = Annotated[float | None, Option(metavar="MS", help="99 of 100 records are read within this time")]
MinRate = Annotated[float | None, Option(metavar="R", help="at least so many records per second")]
MaxCost = Annotated[str | None, Option(metavar="USD", help="refuse to start above this estimate")]


class SpecUnusable(Exception):
    """The spec can't be read; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecOptions:
    """What the person gave; None and False are left to the API."""

    spec: str | None = None
    records: int | None = None
    file: Path | None = None
    key_field: str | None = None
    bytes: int | None = None
    rate: float | None = None
    keys: int | None = None
    skew: Skew | None = None
    workers: int | None = None
    aggregated: bool = False
    shards: int | None = None
    on_demand: bool = False
    keep: bool = False
    ordered: bool = False
    p99_ms: float | None = None
    min_rate: float | None = None
    max_cost: str | None = None


def spec_from(options: SpecOptions) -> dict[str, Any]:
    """The spec that the options name; a ``--file`` is not in it yet. SpecUnusable where there is none."""
    if options.spec is not None:
        if options.records is not None or options.file is not None:
            raise SpecUnusable("Give a spec file or options, not both.")
        return _read(options.spec)
    if (options.records is None) == (options.file is None):
        raise SpecUnusable("Say what to insert: a spec file, --records N, or --file LINES.")
    keys = _given(count=options.keys, distribution=options.skew)
    load = _given(
        records=options.records,
        bytes=options.bytes,
        rate=options.rate,
        workers=options.workers,
        keys=keys or None,
        aggregated=options.aggregated or None,
    )
    stream = _given(mode="ON_DEMAND" if options.on_demand else "PROVISIONED", shards=options.shards)
    slo = _given(
        ordered=options.ordered or None, p99_latency_ms=options.p99_ms, min_records_per_second=options.min_rate
    )
    return {"stream": stream, "load": load, "slo": slo} | _given(max_cost=options.max_cost, keep=options.keep or None)


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _read(name: str) -> dict[str, Any]:
    try:
        document = json.loads(sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8"))
    except OSError as error:
        raise SpecUnusable(f"{name} can't be read: {error.strerror or error}.") from error
    except ValueError as error:
        raise SpecUnusable(f"{name} is not JSON: {error}.") from error
    if not isinstance(document, dict):
        raise SpecUnusable(f"{name} must hold a JSON object: a run spec.")
    return document
