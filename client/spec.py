"""A run spec from a file or from command-line options. What it may hold is the API's to judge."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

__all__ = ["SpecUnusable", "add_options", "spec_from"]


class SpecUnusable(Exception):
    """The spec can't be read; the message says why."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that make a spec."""
    parser.add_argument("spec", nargs="?", metavar="SPEC.json", help="a whole run spec; - reads standard input")
    load = parser.add_argument_group("or, instead of a file: load")
    load.add_argument("--records", type=int, metavar="N", help="generate so many records")
    load.add_argument("--file", type=Path, metavar="LINES", help="insert the lines of this file")
    load.add_argument("--key-field", metavar="FIELD", help="with --file: JSON field that is the partition key")
    load.add_argument("--bytes", type=int, metavar="B", help="size of a generated record, 36 bytes of header included")
    load.add_argument("--rate", type=float, metavar="R", help="records per second; as fast as possible if left out")
    load.add_argument("--keys", type=int, metavar="K", help="number of partition keys")
    load.add_argument("--skew", choices=("uniform", "zipf", "single"), help="how records spread over the keys")
    load.add_argument("--workers", type=int, metavar="W", help="writers side by side; planned if left out")
    load.add_argument("--aggregated", action="store_true", help="pack records in the KPL's aggregation format")
    stream = parser.add_argument_group("stream")
    stream.add_argument("--shards", type=int, metavar="S")
    stream.add_argument("--on-demand", action="store_true")
    stream.add_argument("--keep", action="store_true", help="leave the stream until it expires")
    limits = parser.add_argument_group("what must hold")
    limits.add_argument("--ordered", action="store_true", help="the order of every partition key")
    limits.add_argument("--p99-ms", type=float, metavar="MS", help="99 of 100 records are read within this time")
    limits.add_argument("--min-rate", type=float, metavar="R", help="at least so many records per second")
    limits.add_argument("--max-cost", metavar="USD", help="refuse to start above this estimate")


def spec_from(options: argparse.Namespace) -> dict[str, Any]:
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
