"""What the pages' pictures are drawn of: inline SVG, its colours CSS classes, every text escaped here.

One picture so serves light, dark and print.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

__all__ = ["LEFT", "PLOT", "WIDTH", "line", "nothing", "plain", "rect", "ring", "svg", "text", "ticks_to", "y_axis"]

WIDTH = 860
LEFT, RIGHT = 64, 16
PLOT = WIDTH - LEFT - RIGHT


def svg(height: float, body: str, label: str) -> str:
    """A picture of its own, as wide as the page; `label` tells it in words."""
    return (
        f'<div class="wide"><svg viewBox="0 0 {WIDTH} {height:g}" role="img" aria-label="{escape(label)}">'
        f"<title>{escape(label)}</title>{body}</svg></div>"
    )


def text(x: float, y: float, words: str, css: str = "", anchor: str = "start") -> str:
    """Words at a place."""
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{css}" text-anchor="{anchor}">{escape(words)}</text>'


def line(x1: float, y1: float, x2: float, y2: float, css: str) -> str:
    """A straight line."""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{css}"/>'


def rect(x: float, y: float, width: float, height: float, css: str, title: str = "") -> str:
    """A box; the pointer shows its title."""
    tip = f"<title>{escape(title)}</title>" if title else ""
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.2f}" height="{height:.1f}" class="{css}">{tip}</rect>'


def nothing(words: str) -> str:
    """In the place of a picture that would be empty."""
    return f'<p class="nothing">{escape(words)}</p>'


def plain(n: float) -> str:
    """A number without an exponent: whole from 100 on, else three digits."""
    return f"{n:,.0f}" if abs(n) >= 100 else f"{n:.3g}"


def ticks_to(top: float, most: int = 5) -> list[float]:
    """Round numbers from 0 up to at least `top`, no more than about `most` of them."""
    if top <= 0:
        return [0.0, 1.0]
    raw = top / most
    magnitude = 10 ** math.floor(math.log10(raw))
    step = next(m * magnitude for m in (1, 2, 2.5, 5, 10) if m * magnitude >= raw * 0.999)
    return [step * i for i in range(math.ceil(top / step - 1e-9) + 1)]


def y_axis(ticks: Sequence[float], top: float, height: float, unit: str) -> str:
    """Lines across the plot at `ticks`, of which the last is at `top`, with their numbers."""
    parts = []
    for tick in ticks:
        y = top + height * (1 - tick / ticks[-1])
        parts.append(line(LEFT, y, LEFT + PLOT, y, "grid" if tick else "axis"))
        parts.append(text(LEFT - 8, y + 4, plain(tick), "tick", "end"))
    return "".join(parts) + text(LEFT - 8, top - 12, unit, "unit", "end")


def ring(x: float, y: float, css: str, title: str) -> str:
    """A small circle around a place; the pointer shows its title."""
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" class="{css}"><title>{escape(title)}</title></circle>'
