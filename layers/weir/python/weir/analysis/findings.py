"""A finding: what a rule concluded, how bad it is, the facts it rests on, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from weir.analysis.facts import Fact

__all__ = ["SEVERITIES", "Finding", "Severity"]

Severity = Literal["info", "warning", "critical"]
SEVERITIES: tuple[Severity, ...] = ("critical", "warning", "info")
"""The severities, the worst first."""


@dataclass(frozen=True)
class Finding:
    """One conclusion. `id` is a stable slug; every number in `title` and `advice` is that of a fact in `evidence`.

    `workflow` is the one that found it, where a stream was analyzed by several.
    """

    id: str
    severity: Severity
    title: str
    evidence: tuple[Fact, ...]
    advice: str
    workflow: str = ""

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able form."""
        form: dict[str, Any] = {
            "id": self.id,
            "severity": self.severity,
            "title": self.title,
            "evidence": [fact.to_dict() for fact in self.evidence],
            "advice": self.advice,
        }
        return {**form, "workflow": self.workflow} if self.workflow else form
