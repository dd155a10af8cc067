"""Upload, run, watch, report: what ``weir demo`` and ``weir run`` do."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from client import exits
from client.api import Api, ApiError
from client.lines import Lines
from client.plain import Text
from client.progress_view import view_for
from client.report_view import render
from client.watching import Left, watch

__all__ = ["demo_spec", "prove", "source_of", "upload", "write_page"]

DEMO_P99_MS = 10_000
"""Loose on purpose: a laptop that is busy with other things must not make the demo fail."""


def demo_spec(source: Mapping[str, Any], *, shards: int, ordered: bool) -> dict[str, Any]:
    """The demo's run spec: lines over ``shards`` shards, nothing lost, and in order where the lines name their key."""
    return {
        "stream": {"mode": "PROVISIONED", "shards": shards},
        "load": {"source": dict(source)},
        "slo": {"p99_latency_ms": DEMO_P99_MS, "max_lost": 0, "ordered": ordered},
    }


def upload(api: Api, lines: Lines, console: Console) -> dict[str, Any]:
    """Upload lines; the ``load.source`` that names them."""
    with console.status(Text(f"Uploading {lines.records:,} records")):
        place = api.new_source()
        api.upload(place, lines.read, lines.size)
    console.print(Text(f"Uploaded {lines.records:,} records, {lines.size / 1e6:.1f} MB: {lines.name}"), soft_wrap=True)
    return source_of(place, lines)


def source_of(place: Mapping[str, Any], lines: Lines) -> dict[str, Any]:
    """The ``load.source`` of lines that were uploaded to ``place``."""
    return {**place["source"]} | ({"key_field": lines.key_field} if lines.key_field else {})


def prove(api: Api, spec: Mapping[str, Any], console: Console, *, records: int | None, page: Path | None) -> int:
    """Start a run, watch it, show its report, and write its page to ``page``; the exit code."""
    started = api.start_run(spec)
    run_id = started["run_id"]
    console.print(Text(f"Run {run_id} on stream {started['stream_name']}"), soft_wrap=True)
    try:
        with view_for(console, records) as view:
            run = watch(api, run_id, view)
    except Left:
        words = f"Left. Weir deletes the stream by itself; `weir show {run_id}` tells when it is gone."
        console.print(Text(words), soft_wrap=True)
        return exits.INTERRUPTED
    console.print()
    _report(api, run, console, page)
    _tell_what_is_left(run, console)
    return exits.of_verdict(run["verdict"])


def _report(api: Api, run: Mapping[str, Any], console: Console, page: Path | None) -> None:
    try:
        render(api.report(run["run_id"]), console)
    except ApiError as error:
        # A run that broke before it could be measured may have no report; what is known stands in the run itself.
        console.print(Text(f"{run['verdict']}: {'; '.join(run['reasons'])}"), soft_wrap=True)
        console.print(Text(f"There is no report: {error}", "yellow"), soft_wrap=True)
        return
    if page is not None:
        write_page(api, run["run_id"], page, console)


def write_page(api: Api, run_id: str, page: Path, console: Console) -> None:
    """Write a run's report as a self-contained page, and say where."""
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(api.report_html(run_id), encoding="utf-8")
    uri = page.resolve().as_uri()
    console.print(Text("Report: ").append(uri, f"link {uri}"), soft_wrap=True)


def _tell_what_is_left(run: Mapping[str, Any], console: Console) -> None:
    name, left = run["stream_name"], run["resources_left"]
    kept = run["spec"].get("keep")
    if left == 0:
        words, style = f"Nothing is left behind: the stream {name} is gone.", "green"
    elif left is None:
        words, style = f"It is not known whether the stream {name} is gone; the sweeper takes it if not.", "yellow"
    elif kept:
        words, style = f"The stream {name} was kept, as asked, until {run['expires_at']}.", "yellow"
    else:
        words, style = f"The stream {name} is left; the sweeper deletes it after {run['expires_at']}.", "red"
    console.print(Text(words, style), soft_wrap=True)
