"""The charts of an analysis as inline SVG: lines over time, the expected band behind them, what is odd marked.

Gaps are gaps: a line breaks where nothing is known. Every text is escaped by `weir.analysis.drawing`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from weir.analysis import drawing as draw
from weir.analysis.analyses.document import Json

__all__ = ["chart_svg"]

TOP, HEIGHT = 58.0, 150.0
MOST_LABELS = 7
NEAR = 0.3
"""Share of a level from which on the lines have to do with it; drawn over lower ones it would flatten them."""

_EDGES = (", lowest", ", highest")
_DAY = 86_400
_PER_LEGEND_ROW = 3
_LONGER = {"ms": (1e3, "s"), "s": (3600.0, "h")}
_LONG = 10_000.0
_CLOCK = (3600, 7200, 10_800, 21_600, 43_200, _DAY, 2 * _DAY, 7 * _DAY, 14 * _DAY, 30 * _DAY, 60 * _DAY, 91 * _DAY)
_SHORT_CLOCK = (60, 300, 600, 900, 1800)

Values = Sequence[float | None]


def chart_svg(chart: Json) -> str:
    """A chart of the document as a picture; words in the place of one that has no point."""
    lines: list[Json] = list(chart["lines"])
    band: Json | None = chart.get("band")
    columns = max((len(line["values"]) for line in lines), default=0)
    drawn: list[Values] = [line["values"] for line in lines]
    highest = max((v for values in (*drawn, *_edges(band)) for v in values if v is not None), default=None)
    if highest is None or not columns:
        return draw.nothing(f"{chart['title']}: no point is known.")
    levels = [one for one in chart.get("levels") or () if highest >= NEAR * one["value"]]
    top = max(highest, 0.0, *(one["value"] for one in levels))
    divisor, unit = _scaled(draw.ticks_to(top)[-1], str(chart["unit"]))
    shown = draw.ticks_to(top / divisor)  # round in the unit that is shown: hours are no round seconds
    full = shown[-1] * divisor
    step = draw.PLOT / columns

    def y(value: float) -> float:
        return TOP + HEIGHT * (1 - min(max(value, 0.0), full) / full)

    parts = [draw.y_axis(shown, TOP, HEIGHT, unit)]
    if band is not None:
        parts.append(_band(band["low"], band["high"], step, y))
    classes = _classes(lines)
    parts += [_path(line["values"], step, y, css) for line, css in zip(lines, classes, strict=True)]
    parts += [_level(one, y(one["value"])) for one in levels]
    parts += _marks(chart, step, y)
    parts += _legend(lines, classes, band)
    parts.append(_time_axis(chart, columns, step))
    return draw.svg(TOP + HEIGHT + 30, "".join(parts), str(chart["title"]))


def _edges(band: Json | None) -> tuple[Values, ...]:
    return () if band is None else (band["high"],)


def _is_edge(line: Json) -> bool:
    return str(line["name"]).endswith(_EDGES)


def _classes(lines: Sequence[Json]) -> list[str]:
    """A colour for each line; what is lowest and highest in a coarse line's columns is thin, in the line's own."""
    mains = [str(line["name"]) for line in lines if not _is_edge(line)]
    found = []
    for line in lines:
        name = str(line["name"]).removesuffix(_EDGES[0]).removesuffix(_EDGES[1])
        found.append(f"line s{mains.index(name) % 8 if name in mains else 7}{' thin' if _is_edge(line) else ''}")
    return found


def _scaled(top: float, unit: str) -> tuple[float, str]:
    """What to divide by so that the axis has short numbers, and the unit of what comes out."""
    if unit in _LONGER and top >= _LONG:
        divisor, longer = _LONGER[unit]
        more, told = _scaled(top / divisor, longer)
        return divisor * more, told
    for size, prefix, word in ((1e9, "G", "thousand million"), (1e6, "M", "million"), (1e3, "k", "thousand")):
        if top >= 10 * size:
            return size, f"{prefix}B" if unit == "bytes" else f"{word} {unit}".strip()
    return 1.0, unit


def _runs(values: Values) -> Iterator[tuple[int, list[float]]]:
    """The stretches in which every point is known, each with the column that it begins in."""
    begun = 0
    run: list[float] = []
    for index, value in enumerate(values):
        if value is not None:
            begun = begun if run else index
            run.append(value)
        elif run:
            yield begun, run
            run = []
    if run:
        yield begun, run


def _path(values: Values, step: float, y: Any, css: str) -> str:
    """A line through the middles of its columns; a point between gaps is as wide as its column."""
    told = []
    for begun, run in _runs(values):
        middle = draw.LEFT + (begun + 0.5) * step
        if len(run) == 1:
            told.append(f"M{middle - step / 2:.1f} {y(run[0]):.1f}h{max(step, 1.0):.1f}")
        else:
            told.append("M" + "L".join(f"{middle + i * step:.1f} {y(v):.1f}" for i, v in enumerate(run)))
    return f'<path d="{"".join(told)}" class="{css}"/>'


def _band(low: Values, high: Values, step: float, y: Any) -> str:
    """What was expected, as an area; where either edge is not known there is none."""
    both = [None if a is None or b is None else b for a, b in zip(low, high, strict=True)]
    told = []
    for begun, run in _runs(both):
        x = [draw.LEFT + (begun + i + 0.5) * step for i in range(len(run))]
        lows = [low[begun + i] or 0.0 for i in range(len(run))]
        if len(run) == 1:  # as wide as its column
            x, run, lows = [x[0] - step / 2, x[0] + step / 2], run * 2, lows * 2
        above = [f"{at:.1f} {y(value):.1f}" for at, value in zip(x, run, strict=True)]
        below = [f"{at:.1f} {y(value):.1f}" for at, value in zip(x, lows, strict=True)]
        told.append("M" + "L".join([*above, *reversed(below)]) + "Z")
    return f'<path d="{"".join(told)}" class="band"/>'


def _level(level: Json, y: float) -> str:
    """A line across, and what it is."""
    right = draw.LEFT + draw.PLOT
    across = draw.line(draw.LEFT, y, right, y, "quota")
    return across + draw.text(right, y - 5, str(level["label"]), "tick", "end")


def _marks(chart: Json, step: float, y: Any) -> list[str]:
    """A ring around each point that is odd; the pointer shows when it was."""
    rings = []
    first, *others = chart["lines"]
    edges = [one["values"] for one in others if one["name"] in {first["name"] + edge for edge in _EDGES}]
    for mark in chart.get("marks") or ():
        column = int(mark["column"])
        value = _oddest(column, first["values"], edges)
        if value is not None:
            rings.append(draw.ring(draw.LEFT + (column + 0.5) * step, y(value), "odd", str(mark["label"])))
    return rings


def _oddest(column: int, values: Values, edges: Sequence[Values]) -> float | None:
    """Of the points that share a column, the one farthest from their mean: a mean hides the very one that is odd."""
    mean = values[column] if 0 <= column < len(values) else None
    if mean is None:
        return None
    return max((v for v in (mean, *(one[column] for one in edges)) if v is not None), key=lambda v: abs(v - mean))


def _legend(lines: Sequence[Json], classes: Sequence[str], band: Json | None) -> list[str]:
    """The names of the lines, three a row; the edges of coarse lines have one together."""
    both = list(zip(lines, classes, strict=True))
    named = [(css, str(line["name"])) for line, css in both if not _is_edge(line)]
    edges = [css for line, css in both if _is_edge(line)]
    if edges:
        named.append((edges[0], "lowest and highest"))
    if band is not None:
        named.append(("band", "expected"))
    told = []
    for index, (css, name) in enumerate(named[: 2 * _PER_LEGEND_ROW]):
        x = draw.LEFT + index % _PER_LEGEND_ROW * draw.PLOT / _PER_LEGEND_ROW
        at = 14 + 18 * (index // _PER_LEGEND_ROW)
        told.append(draw.rect(x, at - 9, 18, 10, css) if css == "band" else draw.line(x, at - 4, x + 18, at - 4, css))
        told.append(draw.text(x + 24, at, name if len(name) <= 40 else f"{name[:39]}…", "legend"))
    return told


def _time_axis(chart: Json, columns: int, step: float) -> str:
    """Moments in UTC, at round times; hours of a day where the chart has no beginning."""
    bottom = TOP + HEIGHT
    parts = [draw.line(draw.LEFT, bottom, draw.LEFT + draw.PLOT, bottom, "axis")]
    for column, words in _labels(chart, columns):
        x = draw.LEFT + column * step
        anchor = "middle" if draw.LEFT + 30 < x < draw.WIDTH - 50 else "start" if x <= draw.LEFT + 30 else "end"
        parts.append(draw.line(x, bottom, x, bottom + 5, "axis") + draw.text(x, bottom + 20, words, "tick", anchor))
    return "".join(parts)


def _labels(chart: Json, columns: int) -> Iterator[tuple[float, str]]:
    seconds = int(chart["seconds"])
    if not chart["start"]:
        every = max(1, columns // 8)
        yield from ((column, f"{column * seconds // 3600:02d}:00") for column in range(0, columns, every))
        return
    start = datetime.fromisoformat(chart["start"])
    span = columns * seconds
    clock = next((one for one in (*_SHORT_CLOCK, *_CLOCK) if span / one <= MOST_LABELS), span // MOST_LABELS + 1)
    first = -(-int(start.timestamp()) // clock) * clock
    form = "%Y-%m-%d" if clock >= _DAY else "%m-%d %H:%M" if span > _DAY else "%H:%M"
    for at in range(first, int(start.timestamp()) + span, clock):
        moment = start + timedelta(seconds=at - int(start.timestamp()))
        yield (at - start.timestamp()) / seconds, moment.strftime(form)
