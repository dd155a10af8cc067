"""The frame of a page that is read offline: self-contained, no script, no external resource, every text escaped.

A Content-Security-Policy in the page itself forbids whatever isn't inline style, so that a name that slipped through
could still not load or run anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from html import escape
from pathlib import Path

__all__ = ["document", "section", "table"]


def document(title: str, body: str) -> str:
    """The whole page around a body of HTML; `title` is plain text."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_css()}</style></head>"
        f"<body><main>{body}</main></body></html>\n"
    )


@lru_cache(maxsize=1)
def _css() -> str:
    return Path(__file__).with_name("report.css").read_text("utf-8")


def section(title: str, body: str) -> str:
    """A part of the page with its heading; `body` is HTML."""
    return f"<section><h2>{escape(title)}</h2>{body}</section>"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], css: Sequence[str] = ()) -> str:
    """A table of plain texts; a head that begins with # is of a column of numbers, `css` has a class a row."""
    mark = [' class="n"' if head.startswith("#") else "" for head in heads]
    head = "".join(f"<th{m}>{escape(title.removeprefix('#'))}</th>" for title, m in zip(heads, mark, strict=True))
    lines = []
    for index, row in enumerate(rows):
        cells = "".join(f"<td{m}>{escape(cell)}</td>" for cell, m in zip(row, mark, strict=True))
        kind = f' class="{css[index]}"' if index < len(css) and css[index] else ""
        lines.append(f"<tr{kind}>{cells}</tr>")
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'
