"""The report as one HTML page: self-contained, no script, no external resource, every text escaped."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from typing import Any
from urllib.parse import urlsplit

from weir.analysis import page
from weir.analysis.drawing import plain
from weir.runs.report import CostOut, Report, ReportFact, ReportFinding
from weir.runs.report_charts import arrivals_chart, latency_chart, milliseconds, seconds, timeline_chart

__all__ = ["render_html"]

_UNKNOWN = "not known"
_LISTED = 20


def render_html(report: Report) -> str:
    """The page, as a str of UTF-8 text."""
    body = "".join(
        (
            _head(report),
            _banner(report),
            _tiles(report),
            page.section("Latency, from produced to read", latency_chart(report.latency)),
            page.section("Records per second, by shard", arrivals_chart(report.arrivals, report.shards)),
            page.section(
                "Timeline", timeline_chart(report.steps, report.ended_at or report.generated_at) + _steps(report)
            ),
            page.section("Findings", "".join(map(_finding, report.findings)) or "<p class='nothing'>None.</p>"),
            _missing(report),
            f'<div class="pair">{_accounting(report)}{_measures(report)}</div>',
            _shards(report),
            _cost(report),
            _spec(report),
        )
    )
    return page.document(f"{report.verdict}: Weir run {report.run_id}", body)


def _count(n: int | float | None) -> str:
    return _UNKNOWN if n is None else f"{n:,}" if isinstance(n, int) else plain(n)


def _money(amount: str) -> str:
    """Dollars for reading: cents, or where they would show nothing, the first three digits that do."""
    value = float(amount)
    if value == 0 or value >= 0.1:
        return f"${value:,.2f}"
    return f"${value:.4f}" if value >= 0.001 else f"${value:.3g}" if value >= 0.0001 else f"${value:.6f}"


def _time(moment: datetime | None) -> str:
    return _UNKNOWN if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _head(r: Report) -> str:
    shards = "" if r.open_shards is None else f", {r.open_shards} shard{'' if r.open_shards == 1 else 's'}"
    took = ""
    if r.started_at and r.ended_at:
        took = f", took {seconds((r.ended_at - r.started_at).total_seconds())}"
    return (
        f'<header class="top"><h1>Weir run <code>{escape(r.run_id)}</code></h1>'
        f'<span class="soft">stream <code>{escape(r.stream_name)}</code>, {escape(r.mode)}{shards}, '
        f"{escape(r.region)}; started {escape(_time(r.started_at))}{escape(took)}</span></header>"
    )


def _banner(r: Report) -> str:
    reasons = "".join(f"<li>{escape(reason)}</li>" for reason in r.reasons)
    return (
        f'<section class="banner {r.verdict.lower()}"><span class="word">{escape(r.verdict)}</span>'
        f"<ul>{reasons}</ul></section>"
    )


def _tiles(r: Report) -> str:
    a, rate = r.accounting, next((fact for fact in r.facts if fact.name == "throughput"), None)
    left = None if r.resources_left is None else len(r.resources_left)
    tiles = [
        _tile("records accepted", a.accepted),
        _tile("read back, unique", a.seen),
        _tile("lost", a.lost, bad=bool(a.lost)),
        _tile("duplicates", a.duplicates),
        _tile("p50 latency", milliseconds(r.latency.p50_ms) if r.latency else None),
        _tile("p99 latency", milliseconds(r.latency.p99_ms) if r.latency else None),
        _tile("accepted a second", f"{rate.value:,.0f}" if rate and isinstance(rate.value, int | float) else None),
        _tile("throttled, sent again", a.throttled),
        _tile("cost of this run", _total(r.costs.run) if r.costs.run else None),
        _tile("resources left behind", left, bad=bool(left)),
    ]
    return f'<div class="tiles">{"".join(tiles)}</div>'


def _tile(label: str, value: int | str | None, bad: bool = False) -> str:
    css = "unknown" if value is None else "bad" if bad else ""
    words = value if isinstance(value, str) else _count(value)
    return f'<div class="tile {css}"><b>{escape(words)}</b><span>{escape(label)}</span></div>'


def _steps(r: Report) -> str:
    told = [step for step in r.steps if step.detail]
    if not told:
        return ""
    rows = [(step.name, step.status, step.detail or "") for step in told]
    return f"<details><summary>Details of the steps</summary>{page.table(('Step', 'Status', 'Detail'), rows)}</details>"


def _evidence(facts: Sequence[ReportFact]) -> str:
    rows = [(fact.name, fact.text, fact.source if fact.complete else f"{fact.source} (partial)") for fact in facts]
    return page.table(("What", "#Value", "Source"), rows)


def _finding(finding: ReportFinding) -> str:
    opened = "" if finding.severity == "info" else " open"
    return (
        f'<div class="finding {finding.severity}"><span class="chip">{escape(finding.severity)}</span> '
        f"<small class='soft'>{escape(finding.id)}</small><h3>{escape(finding.title)}</h3>"
        f"<p>{escape(finding.advice)}</p>"
        f"<details{opened}><summary>Evidence</summary>{_evidence(finding.evidence)}</details></div>"
    )


def _missing(r: Report) -> str:
    items = list(r.missing)
    if r.resources_left is None:
        items.append("whether anything was left behind")
    items += [f"what remains: {name}" for name in r.resources_left or ()]
    if not items:
        return ""
    rows = "".join(f"<li>{escape(item)}</li>" for item in items)
    return page.section("What was missing", f"<ul>{rows}</ul>")


_ACCOUNTS = (
    ("planned", "planned"),
    ("accepted", "accepted by Kinesis"),
    ("rejected", "refused for good"),
    ("seen", "read back, unique"),
    ("lost", "lost (accepted, never read)"),
    ("duplicates", "duplicates"),
    ("reordered", "out of order within a key"),
    ("corrupted", "corrupted"),
    ("foreign", "not of this run"),
    ("retried", "sent again"),
    ("throttled", "throttled"),
    ("uncertain", "sent again after a lost answer"),
    ("requests", "PutRecords calls"),
    ("bytes", "bytes of data and keys"),
)


def _accounting(r: Report) -> str:
    rows = [(label, _count(getattr(r.accounting, name))) for name, label in _ACCOUNTS]
    return page.section("Accounting", page.table(("Records", "#Count"), rows))


def _measures(r: Report) -> str:
    rows = [(fact.name, fact.text if fact.complete else f"{fact.text} (partial)") for fact in r.facts]
    return page.section("Measurements", page.table(("What", "#Value"), rows))


def _shards(r: Report) -> str:
    if not r.shards:
        return ""
    rows = [
        (
            shard.shard_id,
            _count(shard.accepted),
            _count(shard.accepted_bytes),
            _count(shard.throttled),
            _count(shard.read),
            _count(shard.peak_per_second),
        )
        for shard in r.shards
    ]
    heads = ("Shard", "#Accepted", "#Bytes", "#Throttled", "#Read", "#Busiest second")
    table = page.table(heads, rows)
    keys = [(key, _count(n)) for key, n in r.top_keys[:10]]
    body = table if len(rows) <= 16 else f"<details><summary>All {len(rows)} shards</summary>{table}</details>"
    if keys:
        body += f"<h3 style='margin:16px 0 4px'>Busiest keys</h3>{page.table(('Partition key', '#Records'), keys)}"
    return page.section("Shards", body)


def _cost(r: Report) -> str:
    c = r.costs
    if c.run is None:
        return page.section("Cost", '<p class="nothing">The cost could not be told.</p>')
    body = _cost_table(c.run, "This run")
    if c.month_provisioned and c.month_on_demand:
        rows = [
            (f"Provisioned: {_quantities(c.month_provisioned)}", _money(c.month_provisioned.usd)),
            (f"On demand: {_quantities(c.month_on_demand)}", _money(c.month_on_demand.usd)),
        ]
        body += "<h3 style='margin:18px 0 4px'>A month at this rate, day and night</h3>"
        body += page.table(("Stream", "#A month"), rows)
        body += f"<details><summary>Arithmetic</summary>{_evidence(c.month_evidence)}</details>"
    priced = c.run.region if c.run.region == c.run.priced_as else f"{c.run.priced_as}, for want of {c.run.region}'s own"
    notes = f"List prices of {priced}, known to hold from {c.run.effective_from}; begun hours count whole. "
    if c.run.missing:
        notes += f"Not known, so not in the total: {', '.join(c.run.missing)}. "
    if c.run.approximate:
        notes += f"Reckoned from the mean record size: {', '.join(c.run.approximate)}. "
    notes += f"Never counted: {', '.join(c.run.not_counted)}."
    return page.section("Cost", body + f'<p class="small soft">{escape(notes)}</p>')


def _cost_table(cost: CostOut, title: str) -> str:
    rows = [
        (
            f"{line.service}: {line.item}",
            plain(float(line.quantity)),
            f"${line.unit_price} for {line.per:,} {line.unit}" if line.per > 1 else f"${line.unit_price} a {line.unit}",
            _money(line.usd),
        )
        for line in cost.lines
    ]
    total = "At least, in all" if cost.missing else "In all"
    rows.append((total, "", "", _money(cost.usd)))
    return page.table((title, "#Quantity", "Price", "#Cost"), rows, [""] * len(cost.lines) + ["total"])


def _total(cost: CostOut) -> str:
    return f"at least {_money(cost.usd)}" if cost.missing else _money(cost.usd)


def _quantities(cost: CostOut) -> str:
    return ", ".join(f"{plain(float(line.quantity))} {line.item} {_money(line.usd)}" for line in cost.lines)


def _spec(r: Report) -> str:
    document = json.dumps(_shortened(r.spec), indent=2, sort_keys=True, ensure_ascii=False)
    links = "".join(_link(title, address) for title, address in sorted(r.links.items()))
    made = f'<p class="small soft">Written {escape(_time(r.generated_at))}, report schema {r.schema_version}.</p>'
    return page.section("What was asked", f"<pre>{escape(document)}</pre>{f'<p>{links}</p>' if links else ''}{made}")


def _shortened(value: Any) -> Any:
    """The spec without the bulk of a source given inline; the JSON report has all of it."""
    if isinstance(value, dict):
        return {key: _shortened(item) for key, item in value.items()}
    if isinstance(value, list | tuple) and len(value) > _LISTED:
        return [*map(_shortened, value[:_LISTED]), f"... and {len(value) - _LISTED:,} more"]
    return [_shortened(item) for item in value] if isinstance(value, list | tuple) else value


def _link(title: str, address: str) -> str:
    """A link, or plain text where the address isn't one of the web: a `javascript:` address must not become one."""
    if urlsplit(address).scheme not in ("http", "https", ""):
        return f"{escape(title)}: {escape(address)} "
    return f'<a href="{escape(address)}" rel="noreferrer">{escape(title)}</a> '
