"""A fact: one number with its unit and where it came from. Findings argue from facts alone."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

__all__ = ["Fact"]

_COUNTED = frozenset({"calls", "keys", "metrics", "points", "reads", "records", "requests", "shards", "times", "units"})


@dataclass(frozen=True)
class Fact:
    """`value` in `unit`, from `source`: "run", "AWS/Kinesis", "quota", "slo", "price list", or a formula in words.

    A value of None says that it could not be measured; `complete=False` that it covers only a part of what it names.
    """

    name: str
    value: int | float | str | None
    unit: str
    source: str
    complete: bool = True

    @property
    def text(self) -> str:
        """The value and its unit as prose has it: `1,234 records`, `12.3 ms`, `not measured`."""
        if self.value is None:
            return "not measured"
        if isinstance(self.value, str):
            return self.value
        unit = self.unit[:-1] if self.value == 1 and self.unit in _COUNTED else self.unit
        return f"{_number(self.value)} {unit}".rstrip()

    @property
    def was(self) -> str:
        """The verb for `text`: `was` for one, `were` for more."""
        return "was" if self.value == 1 else "were"

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able form, `text` included so that every view words a number alike."""
        return {
            "name": self.name,
            "value": self.value,
            "unit": self.unit,
            "source": self.source,
            "complete": self.complete,
            "text": self.text,
        }


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
