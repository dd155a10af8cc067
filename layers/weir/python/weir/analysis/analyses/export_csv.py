"""An analysis as CSV (RFC 4180), a row for each finding and each fact, made to be opened in a spreadsheet.

A spreadsheet takes a cell that begins with one of a few signs for a formula, and runs it. Names and tags are strangers'
words, so every text that begins so gets an apostrophe before it (https://owasp.org/www-community/attacks/CSV_Injection);
numbers are written as numbers.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

from weir.analysis.analyses.document import Json

__all__ = ["COLUMNS", "cell", "render_csv"]

COLUMNS = (
    *("analysis_id", "stream", "kind", "workflow", "severity", "name", "text", "value", "unit", "complete"),
    *("metric", "statistic", "period_s", "from", "to", "points", "missing", "source", "advice"),
)

_FORMULA = ("=", "+", "-", "@", "|", "%", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""The last four are full-width signs, which spreadsheets take for the plain ones."""

_CONTROL = ("\t", "\r", "\n", "\0")


def render_csv(document: Json) -> str:
    """The document's findings and facts, CRLF at the end of each line."""
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_MINIMAL, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    analysis_id = document["analysis"]["analysis_id"]
    for stream in document["streams"]:
        for row in _rows(stream):
            row |= {"analysis_id": analysis_id, "stream": stream["name"]}
            writer.writerow([cell(row.get(column)) for column in COLUMNS])
    return out.getvalue()


def cell(value: Any) -> str | int | float:
    """A value that no spreadsheet runs: numbers as they are, texts that look like a formula behind an apostrophe."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return value
    text = str(value).replace("\0", "")
    begins = text.lstrip()
    return f"'{text}" if text.startswith(_CONTROL) or begins.startswith(_FORMULA) else text


def _rows(stream: Json) -> Iterator[dict[str, Any]]:
    for finding in stream["findings"]:
        yield {
            "kind": "finding",
            "workflow": finding.get("workflow"),
            "severity": finding["severity"],
            "name": finding["id"],
            "text": finding["title"],
            "advice": finding["advice"],
        }
    for fact in stream["facts"]:
        origin = fact.get("origin") or {}
        yield {
            "kind": "fact",
            **{name: fact.get(name) for name in ("name", "text", "value", "unit", "complete", "source")},
            **{name: origin.get(name) for name in ("metric", "statistic", "from", "to", "points", "missing")},
            "period_s": origin.get("period"),
        }
