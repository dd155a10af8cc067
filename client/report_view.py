"""A run's report on the terminal, drawn from its JSON form (as `GET /runs/{id}/report` answers it).

Nothing is computed here that the report doesn't say. What it doesn't know is printed as "not known". Every text goes
through `Text`, so that a key or a name with square brackets can't become terminal markup.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table

from client.plain import Text

__all__ = ["render"]

Json = Mapping[str, Any]

_VERDICTS = {"PASSED": "green", "FAILED": "red", "DEGRADED": "yellow", "ABORTED": "bright_black"}
_SEVERITIES = {"critical": "bold red", "warning": "yellow", "info": "blue"}
_STATUSES = {"DONE": "green", "FAILED": "red", "RUNNING": "yellow"}
_BLOCKS = " ▁▂▃▄▅▆▇█"
_ASCII = " .:-=+*#@"
_SHARDS_TOLD = 16
_CHART_ROWS = 5


def render(report: Json, console: Console) -> None:
    """Prints the report: verdict, key numbers, latency, shards, timeline, findings, cost, what was missing."""
    ascii_only = console.options.ascii_only
    width = min(console.width, 110)
    parts: list[RenderableType | None] = [
        _verdict(report),
        _numbers(report),
        _latency(report, width, ascii_only),
        _shards(report, width, ascii_only),
        _timeline(report, width, ascii_only),
        _findings(report),
        _cost(report),
        _missing(report),
    ]
    for part in parts:
        if part is not None:
            console.print(part, width=width)
            console.print()


def _verdict(report: Json) -> Panel:
    colour = _VERDICTS.get(report["verdict"], "white")
    shards = report["open_shards"]
    of_shards = "" if shards is None else f", {shards} shard{'' if shards == 1 else 's'}"
    about = Text(f"run {report['run_id']}\nstream {report['stream_name']}, {report['mode']}{of_shards}", "bright_black")
    reasons = [Text(f"- {reason}") for reason in report["reasons"]]
    return Panel(Group(*reasons, about), title=Text(f" {report['verdict']} ", f"bold {colour}"), border_style=colour)


def _count(n: float | None) -> str:
    if n is None:
        return "not known"
    return f"{n:,.0f}" if isinstance(n, int) or n >= 100 else f"{n:.3g}"


def _milliseconds(ms: float | None) -> str:
    if ms is None:
        return "not known"
    if ms < 1:
        return f"{ms * 1000:.3g} us"
    return f"{ms:.3g} ms" if ms < 999.5 else f"{ms / 1000:,.3g} s" if ms < 999_500 else f"{ms / 60_000:,.1f} min"


def _seconds(s: float) -> str:
    if s < 119.5:
        return f"{s:.1f} s"
    minutes, rest = divmod(round(s), 60)
    return f"{minutes} min {rest:02d} s"


def _money(amount: str | None) -> str:
    if amount is None:
        return "not known"
    value = float(amount)
    return f"${value:,.2f}" if value == 0 or value >= 0.1 else f"${value:.4f}" if value >= 0.001 else f"${value:.6f}"


def _numbers(report: Json) -> Table:
    accounting, latency, left = report["accounting"], report["latency"] or {}, report["resources_left"]
    rate = next((fact["value"] for fact in report["facts"] if fact["name"] == "throughput"), None)
    cost = report["costs"]["run"]
    numbers = (
        ("accepted", _count(accounting["accepted"]), ""),
        ("read back", _count(accounting["seen"]), ""),
        ("lost", _count(accounting["lost"]), "bold red" if accounting["lost"] else ""),
        ("duplicates", _count(accounting["duplicates"]), ""),
        ("throttled", _count(accounting["throttled"]), ""),
        ("p50 latency", _milliseconds(latency.get("p50_ms")), ""),
        ("p99 latency", _milliseconds(latency.get("p99_ms")), ""),
        ("records/s", "not known" if rate is None else f"{rate:,.0f}", ""),
        ("cost", ("at least " if cost and cost["missing"] else "") + _money(cost and cost["usd"]), ""),
        ("left behind", "not known" if left is None else str(len(left)), "bold red" if left else ""),
    )
    table = Table.grid(padding=(0, 3), expand=True)
    for _ in range(5):
        table.add_column()
    for row in (numbers[:5], numbers[5:]):
        table.add_row(
            *(Text(value, style or ("yellow" if value == "not known" else "bold")) for _, value, style in row)
        )
        table.add_row(*(Text(name, "bright_black") for name, _, _ in row))
    return table


def _heading(words: str) -> Text:
    return Text(words, "bold underline")


def _resampled(counts: Sequence[float], columns: int) -> list[float]:
    """At most `columns` means of neighbours; the last may be of fewer."""
    each = max(1, -(-len(counts) // columns))
    stretches = [counts[i : i + each] for i in range(0, len(counts), each)]
    return [sum(stretch) / len(stretch) for stretch in stretches]


def _spark(counts: Sequence[float], most: float, ascii_only: bool) -> str:
    """One character for each number; anything above zero shows at least the lowest mark."""
    marks = _ASCII if ascii_only else _BLOCKS
    top = len(marks) - 1
    return "".join(marks[min(top, max(1, round(n / most * top)))] if n else marks[0] for n in counts)


def _latency(report: Json, width: int, ascii_only: bool) -> Group | None:
    latency = report["latency"]
    if latency is None:
        return None
    bins = latency["bins"]
    heights = _resampled([one["n"] for one in bins], width - 14)
    wide = max(1, min(4, (width - 14) // len(heights)))
    marks, most = (_ASCII if ascii_only else _BLOCKS), max(heights)
    top = len(marks) - 1
    lines = []
    for row in range(_CHART_ROWS - 1, -1, -1):
        cells = []
        for n in heights:
            level = n / most * _CHART_ROWS * top - row * top
            # Whatever was counted at all stays visible in the lowest row.
            mark = max(0, min(top, round(level))) or (1 if row == 0 and n else 0)
            cells.append(marks[mark] * wide)
        lines.append(Text("  " + "".join(cells), "cyan"))
    first, last = _milliseconds(bins[0]["from_ms"]), _milliseconds(bins[-1]["to_ms"])
    gap = max(1, wide * len(heights) - len(first) - len(last))
    axis = Text(f"  {first}{' ' * gap}{last}", "bright_black")
    quantiles = "   ".join(f"{name} {_milliseconds(latency[f'{name}_ms'])}" for name in ("p50", "p95", "p99", "max"))
    title = f"Latency, from produced to read (logarithmic, {latency['count']:,} records)"
    return Group(_heading(title), *lines, axis, Text(f"  {quantiles}", "bold"))


def _shards(report: Json, width: int, ascii_only: bool) -> Group | None:
    shards = report["shards"]
    if not any(sum(shard["arrivals"]) for shard in shards):
        return None
    told = sorted(shards, key=lambda shard: sum(shard["arrivals"]), reverse=True)[:_SHARDS_TOLD]
    columns = max(8, width - 76)
    lines = {shard["shard_id"]: _resampled(shard["arrivals"], columns) for shard in told}
    most = max((max(line, default=0) for line in lines.values()), default=0) or 1
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bright_black")
    table.add_column("  shard")
    for title in ("accepted", "read", "throttled", "busiest s"):
        table.add_column(title, justify="right")
    table.add_column("over time", no_wrap=True)
    for shard in sorted(told, key=lambda shard: str(shard["shard_id"])):
        table.add_row(
            Text(f"  {shard['shard_id']}"),
            _count(shard["accepted"]),
            _count(shard["read"]),
            Text(_count(shard["throttled"]), "yellow" if shard["throttled"] else ""),
            _count(shard["peak_per_second"]),
            Text(_spark(lines[shard["shard_id"]], most, ascii_only), "cyan"),
        )
    more = (
        [Text(f"  the {len(told)} busiest; the HTML report has more", "bright_black")]
        if len(shards) > len(told)
        else []
    )
    return Group(_heading("Shards"), table, *more)


def _timeline(report: Json, width: int, ascii_only: bool) -> Group | None:
    steps = report["steps"]
    if not steps:
        return None
    end = datetime.fromisoformat(report["ended_at"] or report["generated_at"])
    starts = [datetime.fromisoformat(step["started_at"]) for step in steps]
    ends = [datetime.fromisoformat(step["ended_at"]) if step["ended_at"] else end for step in steps]
    begin, columns = min(starts), max(20, width - 36)
    span = max((max(ends) - begin).total_seconds(), 0.1)
    table = Table.grid(padding=(0, 2))
    for step, start, stop in zip(steps, starts, ends, strict=True):
        took = max(0.0, (stop - start).total_seconds())
        left = min(columns - 1, int((start - begin).total_seconds() / span * columns))
        bar = max(1, min(columns - left, round(took / span * columns)))
        colour = _STATUSES.get(step["status"], "white")
        drawn = Text(" " * left).append(("=" if ascii_only else "━") * bar, colour)
        open_end = "" if step["ended_at"] else " not ended"
        table.add_row(Text(f"  {step['name']}"), drawn, Text(f"{_seconds(took)}{open_end}", "bright_black"))
    return Group(_heading("Timeline"), table)


def _findings(report: Json) -> Group | None:
    if not report["findings"]:
        return None
    lines: list[RenderableType] = []
    for finding in report["findings"]:
        style = _SEVERITIES.get(finding["severity"], "")
        lines.append(Text("  ").append(f"{finding['severity']:<9}", style).append(finding["title"]))
        if finding["severity"] != "info":
            lines.append(Padding(Text(finding["advice"], "bright_black"), (0, 0, 0, 11)))
    return Group(_heading("Findings"), *lines)


def _cost(report: Json) -> Group | None:
    costs = report["costs"]
    run = costs["run"]
    if run is None:
        return None
    lines = [Text(f"  this run {'at least ' if run['missing'] else ''}{_money(run['usd'])}")]
    provisioned, on_demand = costs["month_provisioned"], costs["month_on_demand"]
    if provisioned and on_demand:
        month = f"  a month at its rate: provisioned {_money(provisioned['usd'])}, on demand {_money(on_demand['usd'])}"
        lines.append(Text(month))
    lent = "" if run["priced_as"] == run["region"] else f", for want of {run['region']}'s own"
    lines.append(Text(f"  list prices of {run['priced_as']} from {run['effective_from']}{lent}", "bright_black"))
    return Group(_heading("Cost"), *lines)


def _missing(report: Json) -> Group | None:
    items = [*report["missing"], *(f"left behind: {name}" for name in report["resources_left"] or ())]
    if report["resources_left"] is None:
        items.append("whether anything was left behind")
    if not items:
        return None
    return Group(_heading("What was missing"), *(Text(f"  - {item}", "yellow") for item in items))
