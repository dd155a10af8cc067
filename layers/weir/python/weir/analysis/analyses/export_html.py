"""An analysis as one HTML page: self-contained, no script, no external resource, every text escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from weir.analysis import page
from weir.analysis.analyses.charts import chart_svg
from weir.analysis.analyses.document import Json, counted
from weir.analysis.findings import SEVERITIES

__all__ = ["render_html"]

MOST_DRAWN = 40
"""Streams of which all is in the page; of more, those with the worst findings. The document has all.

Of the others there are the findings, with the evidence of those that ask for something: a page of 500 streams is to
open at once on any machine.
"""

MOST_TOLD = 12
"""Sentences of a template that are shown at once."""


def render_html(document: Json) -> str:
    """The page, as a str of UTF-8 text. The streams come in the document's order, the worst first."""
    analysis = document["analysis"]
    parts = [
        _head(document),
        _banner(document),
        _tiles(document),
        _worse(document),
        _told(document),
        _overview(document["streams"]),
        *(_stream(one, index, whole=index < MOST_DRAWN) for index, one in enumerate(document["streams"])),
        _how(document),
    ]
    return page.document(f"Analysis of {len(document['streams'])} streams: {analysis['analysis_id']}", "".join(parts))


def _head(document: Json) -> str:
    span = document["range"]
    told = f"{_moment(span['from'])} to {_moment(span['to'])} UTC, by {span['period']} s" if span else "no range"
    id_ = document["analysis"]["analysis_id"]
    return (
        f'<header class="top"><h1>Analysis <code>{escape(id_)}</code></h1>'
        f'<span class="soft">{escape(told)}</span></header>'
    )


def _moment(text: str) -> str:
    return text[:16].replace("T", " ")


def _worst(findings: Iterable[Json]) -> str:
    found = {finding["severity"] for finding in findings}
    return next((severity for severity in SEVERITIES if severity in found), "info")


def _banner(document: Json) -> str:
    """How bad it is, and whether all of it was seen."""
    worst = _worst(finding for stream in document["streams"] for finding in stream["findings"])
    partial = "".join(f"<li>{escape(str(one))}</li>" for one in document["partial"])
    seen = (
        f"<div><b>Partial.</b> Not all that was asked for could be read:<ul>{partial}</ul></div>"
        if document["partial"]
        else "<div>All that was asked for was read.</div>"
    )
    return f'<section class="banner {worst}"><span class="word">{worst.upper()}</span>{seen}</section>'


def _tiles(document: Json) -> str:
    counts = counted(document["streams"])
    calls = sum(count for name, count in document["calls"].items() if name != "queries")
    worse = document["worse"]
    told = [
        ("streams", len(document["streams"]), False),
        ("critical findings", counts["critical"], bool(counts["critical"])),
        ("warnings", counts["warning"], False),
        ("got worse", "not compared" if worse is None else len(worse), bool(worse)),
        (f"AWS calls, for {document['calls'].get('queries', 0):,} metric series", calls, False),
    ]
    tiles = "".join(
        f'<div class="tile {"bad" if bad else "unknown" if isinstance(value, str) else ""}">'
        f"<b>{escape(value if isinstance(value, str) else f'{value:,}')}</b><span>{escape(name)}</span></div>"
        for name, value, bad in told
    )
    return f'<div class="tiles">{tiles}</div>'


def _told(document: Json) -> str:
    """The analysis in words; of the findings' own, those that ask for something are shown, the rest on demand."""
    told = document["told"]
    if not told:
        return ""
    sentences = [f"<li>{escape(one['text'])}</li>" for one in told["sentences"]]
    counts = counted(document["streams"])
    first = len(sentences) if told["by"] == "model" else min(max(3, counts["critical"] + counts["warning"]), MOST_TOLD)
    body = f"<ul>{''.join(sentences[:first])}</ul>"
    if sentences[first:]:
        rest = "".join(sentences[first:])
        body += f"<details><summary>{len(sentences) - first} more</summary><ul>{rest}</ul></details>"
    by = f"Told by {told['model']}." if told["by"] == "model" else ""
    note = " ".join(part for part in (by, told["note"]) if part)
    return page.section("In words", f'{body}<p class="small soft">{escape(note)}</p>')


def _worse(document: Json) -> str:
    if not document["worse"]:
        return ""
    rows = [(one["stream"], one["severity"], one["title"]) for one in document["worse"]]
    against = document["analysis"]["compared_with"] or ""
    return page.section(f"Worse than in {against}", page.table(("Stream", "Severity", "Finding"), rows))


def _overview(streams: Sequence[Json]) -> str:
    if not streams:
        return page.section("Streams", '<p class="nothing">None was found.</p>')
    rows = []
    for index, one in enumerate(streams):
        found = [finding["severity"] for finding in one["findings"]]
        share = one["completeness"]["share"]
        known = "none" if share is None else f"{share:.0%}"
        cells = (
            f'<td><a href="#s{index}">{escape(one["name"])}</a></td><td>{escape(str(one["mode"]))}</td>'
            f'<td class="n">{escape("not known" if one["open_shards"] is None else str(one["open_shards"]))}</td>'
            f'<td class="n">{found.count("critical")}</td><td class="n">{found.count("warning")}</td>'
            f'<td class="n">{known}</td>'
        )
        rows.append(f"<tr>{cells}</tr>")
    heads = (("Stream", ""), ("Mode", ""), ("Shards", "n"), ("Critical", "n"), ("Warnings", "n"), ("Points known", "n"))
    head = "".join(f'<th class="{css}">{title}</th>' for title, css in heads)
    table = f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
    return page.section("Streams", table)


def _stream(stream: Json, index: int, *, whole: bool) -> str:
    missing = [*stream["completeness"]["not_read"]]
    if stream["completeness"]["empty"]:
        missing.append(f"no point at all: {', '.join(stream['completeness']['empty'])}")
    gaps = "".join(f"<li>{escape(one)}</li>" for one in missing)
    parts = [
        f'<ul class="small soft">{gaps}</ul>' if gaps else "",
        _findings(stream["findings"], whole=whole),
        _charts(stream["charts"], opened=index == 0) if whole else "",
        _trees(stream.get("trees") or ()),
        f"<details><summary>All {len(stream['facts'])} facts</summary>{_facts(stream['facts'])}</details>"
        if whole
        else f"<p class='small soft'>Its {len(stream['facts'])} facts and its charts are in the JSON.</p>",
    ]
    return (
        f'<section id="s{index}"><h2><code>{escape(stream["name"])}</code> '
        f'<span class="soft small">{escape(str(stream["mode"]))}</span></h2>{"".join(parts)}</section>'
    )


def _findings(findings: Sequence[Json], *, whole: bool) -> str:
    """Those that ask for something, and on demand those that inform."""
    asking = [_finding(one) for one in findings if one["severity"] != "info"]
    informing = [_finding(one, proven=whole) for one in findings if one["severity"] == "info"]
    if not informing:
        return "".join(asking) or "<p class='nothing'>No findings.</p>"
    opened = "" if asking else " open"
    more = f"<summary>{len(informing)} {'more ' if asking else ''}findings</summary>{''.join(informing)}"
    return f"{''.join(asking)}<details{opened}>{more}</details>"


def _finding(finding: Json, *, proven: bool = True) -> str:
    evidence = f"<details><summary>Evidence</summary>{_facts(finding['evidence'])}</details>" if proven else ""
    severity = finding["severity"] if finding["severity"] in SEVERITIES else "info"
    return (
        f'<div class="finding {severity}"><span class="chip">{severity}</span> '
        f"<small class='soft'>{escape(finding.get('workflow') or '')}: {escape(finding['id'])}</small>"
        f"<h3>{escape(finding['title'])}</h3><p>{escape(finding['advice'])}</p>{evidence}</div>"
    )


def _facts(facts: Iterable[Json]) -> str:
    rows = [
        (fact["name"], fact["text"], fact["source"] if fact["complete"] else f"{fact['source']} (partial)")
        for fact in facts
    ]
    return page.table(("What", "#Value", "Source"), rows)


def _charts(charts: Sequence[Json], *, opened: bool) -> str:
    if not charts:
        return ""
    drawn = "".join(f"<h3 class='chart'>{escape(one['title'])}</h3>{chart_svg(one)}" for one in charts)
    return f"<details{' open' if opened else ''}><summary>{len(charts)} charts</summary>{drawn}</details>"


def _trees(trees: Sequence[Json]) -> str:
    if not trees:
        return ""
    body = "".join(f"<ul class='why'>{_why(tree)}</ul>" for tree in trees)
    return f"<details><summary>Why: from the symptom to its cause</summary>{body}</details>"


def _why(why: Json) -> str:
    below = "".join(map(_why, why["because"]))
    facts = "; ".join(f"{fact['name']}: {fact['text']}" for fact in why["facts"])
    told = f" <small class='soft'>{escape(facts)}</small>" if facts else ""
    return (
        f"<li>{escape(why['statement'])} <span class='chip'>{escape(why['support'])}</span>{told}"
        f"{f'<ul>{below}</ul>' if below else ''}</li>"
    )


def _how(document: Json) -> str:
    """What it took, and what was asked for."""
    rows = [(name, f"{count:,}") for name, count in sorted(document["calls"].items())]
    failed = document["analysis"]["failure"]
    note = f"<p>{escape(failed['cause'])}</p>" if failed else ""
    note += (
        "<p class='small soft'>A missing point is unknown: it was taken neither for zero nor for low load. "
        "Every number in a finding is that of a fact under its evidence.</p>"
    )
    return page.section("What was asked of AWS", page.table(("Call", "#Count"), rows) + note)
