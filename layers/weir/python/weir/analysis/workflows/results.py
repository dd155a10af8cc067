"""What a workflow gives: findings, facts, charts, and trees of causes. All of it has a JSON-able form."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from weir.analysis.facts import Fact
from weir.analysis.findings import Finding
from weir.analysis.slo import Slo
from weir.analysis.workflows.series import MetricSeries

__all__ = [
    "COLUMNS",
    "Baseline",
    "Chart",
    "Level",
    "Line",
    "Mark",
    "Options",
    "Support",
    "Why",
    "WorkflowResult",
    "chart_of",
    "comparable",
]

COLUMNS = 240
"""Columns of a chart at most; more points are drawn by each column's lowest, mean and highest."""

COMPARABLE = 0.9
"""Share of the points that must be known for a number to be compared with another time's."""

_DIGITS = 6

Support = Literal["supported", "ruled out", "hypothesis"]


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """An earlier analysis of the same stream: when it was, and its facts by name (numbers alone).

    `period` and `seconds` are those of its range: quantiles over other periods, or of a much shorter time, are other
    quantities.
    """

    id: str
    period: int
    seconds: float
    facts: Mapping[str, float]

    @classmethod
    def from_facts(cls, id_: str, facts: Iterable[Mapping[str, Any]], *, period: int, seconds: float) -> Baseline:
        """From facts as `Fact.to_dict` told them; what had too few points, or was not measured, is no baseline."""
        kept = {one["name"]: float(one["value"]) for one in facts if comparable(one)}
        return cls(id=id_, period=period, seconds=seconds, facts=kept)


def comparable(fact: Mapping[str, Any]) -> bool:
    """Whether a fact, as `to_dict` tells it, is a number of which enough is known to compare it."""
    value, origin = fact["value"], fact.get("origin")
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    if origin is None:
        return bool(fact["complete"])
    return bool(origin["points"] >= COMPARABLE * (origin["points"] + origin["missing"]))


@dataclass(frozen=True, kw_only=True)
class Options:
    """What was asked for beside the workflows.

    - `slo`: objectives that the stream is held against.
    - `headroom`: the share of the demand that shards are to have to spare.
    - `baseline`: what the regression workflow compares with.
    """

    slo: Slo = field(default_factory=Slo)
    headroom: float = 0.25
    baseline: Baseline | None = None


@dataclass(frozen=True)
class Line:
    """One line of a chart: a value or None (a gap) for each column."""

    name: str
    values: tuple[float | None, ...]

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able form."""
        return {"name": self.name, "values": list(self.values)}


@dataclass(frozen=True)
class Level:
    """A height that the lines of a chart are to be held against, in the chart's unit, and what it is."""

    value: float
    label: str

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able form."""
        return {"value": self.value, "label": self.label}


@dataclass(frozen=True)
class Mark:
    """Something to point at in a column, in words."""

    column: int
    label: str

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able form."""
        return {"column": self.column, "label": self.label}


@dataclass(frozen=True)
class Chart:
    """Lines over time: column `i` begins at `start` + `i` x `seconds`.

    `low` and `high` are the expected band; both are empty where none is drawn. `start` is in ISO 8601; where it is
    empty, the columns are hours of a day.
    """

    id: str
    title: str
    unit: str
    start: str
    seconds: int
    lines: tuple[Line, ...]
    low: tuple[float | None, ...] = ()
    high: tuple[float | None, ...] = ()
    marks: tuple[Mark, ...] = ()
    levels: tuple[Level, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able form."""
        return {
            "id": self.id,
            "title": self.title,
            "unit": self.unit,
            "start": self.start,
            "seconds": self.seconds,
            "lines": [line.to_dict() for line in self.lines],
            "band": {"low": list(self.low), "high": list(self.high)} if self.low else None,
            "marks": [mark.to_dict() for mark in self.marks],
            "levels": [level.to_dict() for level in self.levels],
        }


@dataclass(frozen=True)
class Why:
    """A step from a symptom to its cause: what is said, whether facts bear it out, those facts, and the whys below."""

    statement: str
    support: Support
    facts: tuple[Fact, ...] = ()
    because: tuple[Why, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able form."""
        return {
            "statement": self.statement,
            "support": self.support,
            "facts": [fact.to_dict() for fact in self.facts],
            "because": [why.to_dict() for why in self.because],
        }


@dataclass(frozen=True)
class WorkflowResult:
    """What one workflow, or several together, found of one stream."""

    findings: tuple[Finding, ...] = ()
    facts: tuple[Fact, ...] = ()
    charts: tuple[Chart, ...] = ()
    trees: tuple[Why, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able form."""
        return {
            "findings": [finding.to_dict() for finding in self.findings],
            "facts": [fact.to_dict() for fact in self.facts],
            "charts": [chart.to_dict() for chart in self.charts],
            "trees": [tree.to_dict() for tree in self.trees],
        }


def chart_of(
    id_: str,
    title: str,
    series: Mapping[str, MetricSeries],
    *,
    unit: str,
    scale: float = 1.0,
    band: tuple[Sequence[float | None], Sequence[float | None]] | None = None,
    marks: Mapping[int, str] | None = None,
    levels: Sequence[Level] = (),
) -> Chart | None:
    """Series of one grid as a chart of at most `COLUMNS` columns, values times `scale`; None where no point is known.

    `band` is the lowest and the highest expected for each point, `marks` words by the index of a point. Where points
    share a column, the line is their mean, its extremes are lines of their own, and the band is the widest.
    """
    drawn = {name: one for name, one in series.items() if one.known}
    if not drawn:
        return None
    first = next(iter(drawn.values()))
    step = math.ceil(len(first) / COLUMNS)
    lines: list[Line] = []
    for name, one in drawn.items():
        cells = _cells(one.values, step)
        lines.append(Line(name, _each(cells, scale, lambda cell: math.fsum(cell) / len(cell))))
        if step > 1:
            lines.append(Line(f"{name}, lowest", _each(cells, scale, min)))
            lines.append(Line(f"{name}, highest", _each(cells, scale, max)))
    low, high = band or ((), ())
    told: dict[int, str] = {}
    for index, label in sorted((marks or {}).items()):
        told.setdefault(index // step, label)
    return Chart(
        id_,
        title,
        unit,
        first.start.isoformat(),
        first.period * step,
        tuple(lines),
        _each(_cells(low, step), scale, min),
        _each(_cells(high, step), scale, max),
        tuple(Mark(column, label) for column, label in told.items()),
        tuple(levels),
    )


def _cells(values: Sequence[float | None], step: int) -> list[list[float]]:
    return [[v for v in values[i : i + step] if v is not None] for i in range(0, len(values), step)]


def _each(cells: Sequence[Sequence[float]], scale: float, of: Any) -> tuple[float | None, ...]:
    return tuple(_rounded(of(cell) * scale) if cell else None for cell in cells)


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")
