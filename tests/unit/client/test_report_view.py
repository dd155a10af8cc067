"""The report on a terminal: complete, safe against markup, and legible for odd runs and narrow or plain terminals."""

import io
import json
from typing import Any

import pytest
from rich.console import Console

from client.report_view import render
from tests.unit.analysis.measurements import arrivals, latencies, measured, shard
from tests.unit.runs.reports import HOSTILE, reported, step
from weir.analysis.measurement import Measurement
from weir.runs.models import Verdict
from weir.runs.report import Report

NOTHING = Measurement(run_id="r", stream_name="s", mode="PROVISIONED", missing=("all of it",))


def shown(report: Report, width: int = 100, encoding: str = "utf-8") -> str:
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    document: dict[str, Any] = json.loads(report.model_dump_json())
    render(document, Console(file=file, width=width, color_system=None, force_terminal=False))
    file.flush()
    file.seek(0)
    return file.read()


def test_it_tells_verdict_numbers_findings_and_cost() -> None:
    # Given a run that lost records
    m = measured(lost=12, seen=9_988)
    text = shown(reported(m, verdict=Verdict.FAILED, reasons=["12 records were lost"]))

    # Then everything that matters is on the terminal
    for words in (
        "FAILED",
        "- 12 records were lost",
        "10,000",
        "9,988",
        "1,000",
        "critical 12 records were accepted and never read back",
        "shardId-000000000001",
        "Verify",
        "p99 99",
        "provisioned $",
        "on demand $",
    ):
        assert words in text, words


def test_what_is_not_known_is_said() -> None:
    report = reported(NOTHING, cost=None, month=None, resources_left=None, steps=(), verdict=Verdict.ABORTED)
    text = shown(report)
    assert text.count("not known") == 10
    assert "- all of it" in text
    assert "- whether anything was left behind" in text


def test_what_was_left_behind_is_named() -> None:
    assert "left behind: weir-run-1" in shown(reported(resources_left=("weir-run-1",)))


@pytest.mark.parametrize("width", [40, 80, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    shards = tuple(shard(i, 100 + i, arrivals=arrivals(*[1] * 300)) for i in range(40))
    text = shown(reported(measured(shards=shards)), width=width)
    assert max(len(line) for line in text.splitlines()) <= width


def test_of_many_shards_the_busiest_are_told() -> None:
    # Given 40 shards, the last the busiest
    shards = tuple(shard(i, 100, arrivals=arrivals(100 + i)) for i in range(40))
    text = shown(reported(measured(shards=shards)))
    assert text.count("shardId-0000") == 16
    assert "shardId-000000000039" in text
    assert "the 16 busiest; the HTML report has more" in text


def test_names_can_not_become_markup() -> None:
    # Given names with terminal markup in them
    m = measured(run_id="[bold red]x[/]", shards=(shard(0, shard_id="[link=evil]y[/link]"), shard(1)))
    text = shown(reported(m, reasons=[HOSTILE], steps=(step("[/]", 0, 1),)))

    # Then they are printed as they are
    for words in ("[bold red]x[/]", "[link=evil]y[/link]", "[/]"):
        assert words in text


def test_a_terminal_without_unicode_gets_ascii() -> None:
    assert shown(reported(), encoding="ascii").isascii()


@pytest.mark.parametrize(
    "measurement",
    [
        measured(accepted=0, seen=0, shards=(shard(0, 0, arrivals=arrivals()),), latency=None),
        measured(accepted=1, latency=latencies(3), shards=(shard(0, 1, arrivals=arrivals(1)),)),
        measured(latency=latencies(0, 0)),
        measured(latency=latencies(0.001, 3_600_000)),
    ],
    ids=["no record", "one record", "no latency to speak of", "up to an hour"],
)
def test_odd_runs_are_shown_too(measurement: Measurement) -> None:
    assert "PASSED" in shown(reported(measurement))


def test_one_slow_record_among_many_stays_visible() -> None:
    # Given a million fast records and a slow one, Then the chart's lowest row has a mark at its end
    latency = latencies(9_000)
    latency.add(10_000, 1_000_000)
    text = shown(reported(measured(latency=latency))).splitlines()
    axis = next(i for i, line in enumerate(text) if line.startswith("  10 ms ") and line.endswith(" 10 s"))
    assert text[axis - 1].endswith("▁")
    assert text[axis - 2].strip() == text[axis - 3].strip() == "█"
