"""A fact: one number with its unit and where it came from. Findings argue from facts alone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

__all__ = ["Fact", "Origin"]

_COUNTED = {"alarms", "calls", "consumers", "days", "facts", "keys", "metrics", "periods", "points", "reads", "records"}
_COUNTED |= {"requests", "shards", "steps", "times", "units"}


@dataclass(frozen=True, slots=True)
class Origin:
    """The points of a metric that a number was reckoned from.

    One point each `period` seconds from `start` to `end` (exclusive): `points` of them are known, `missing` are not,
    and none of these was taken for zero. `metric` names more than one where a formula joins them.
    """

    metric: str
    statistic: str
    period: int
    start: datetime
    end: datetime
    points: int
    missing: int

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able form."""
        return {
            "metric": self.metric,
            "statistic": self.statistic,
            "period": self.period,
            "from": self.start.isoformat(),
            "to": self.end.isoformat(),
            "points": self.points,
            "missing": self.missing,
        }


@dataclass(frozen=True)
class Fact:
    """`value` in `unit`, from `source`: "run", "AWS/Kinesis", "quota", "slo", "price list", or a formula in words.

    In the analysis of a stream a source "run" goes on with the run's id and the time that it took.
    A value of None says that it could not be measured; `complete=False` that it covers only a part of what it names.
    `origin` tells the metric's points, where it was reckoned from such.
    """

    name: str
    value: int | float | str | None
    unit: str
    source: str
    complete: bool = True
    origin: Origin | None = None

    @property
    def text(self) -> str:
        """The value and its unit as prose has it: `1,234 records`, `12.3 ms`, `not measured`."""
        if self.value is None:
            return "not measured"
        if isinstance(self.value, str):
            return self.value
        if self.unit.startswith("USD"):
            return f"${_money(self.value)} {self.unit.removeprefix('USD').replace('/', 'a ')}".rstrip()
        unit = self.unit[:-1] if self.value == 1 and self.unit in _COUNTED else self.unit
        return f"{_number(self.value)} {unit}".rstrip()

    @property
    def was(self) -> str:
        """The verb for `text`: `was` for one, `were` for more."""
        return "was" if self.value == 1 else "were"

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able form, `text` included so that every view words a number alike."""
        form: dict[str, Any] = {
            "name": self.name,
            "value": self.value,
            "unit": self.unit,
            "source": self.source,
            "complete": self.complete,
            "text": self.text,
        }
        return form if self.origin is None else {**form, "origin": self.origin.to_dict()}


def _money(dollars: int | float) -> str:
    """Cents, or as many decimals as show two digits of what is less than ten of them."""
    return f"{dollars:,.2f}" if abs(dollars) >= 0.1 or not dollars else format(Decimal(f"{dollars:.2g}"), "f")


def _number(value: int | float) -> str:
    """Integers in full, others to three significant digits; both with thousands separators."""
    if isinstance(value, int) or value.is_integer():
        return f"{int(value):,}"
    size = abs(value)
    if size >= 100:
        return f"{value:,.0f}"
    if size < 0.001:
        return format(Decimal(f"{value:.2g}"), "f")
    decimals = 1 if size >= 10 else 2 if size >= 1 else 3
    return f"{value:.{decimals}f}".rstrip("0").rstrip(".")
