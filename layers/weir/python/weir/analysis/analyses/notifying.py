"""Telling the topic which findings of a scheduled analysis got worse since the last."""

from __future__ import annotations

from collections.abc import Sequence

from weir.analysis.analyses.document import Json
from weir.analysis.analyses.models import Analysis
from weir.analysis.analyses.wiring import Deps

__all__ = ["notify"]

MOST_LINES = 50
_LONGEST_SUBJECT = 99
"""https://docs.aws.amazon.com/sns/latest/api/API_Publish.html: fewer than 100 characters, of ASCII."""


def notify(analysis: Analysis, worse: Sequence[Json], deps: Deps) -> bool:
    """Tell, where the analysis is a schedule's and anything got worse; whether it was told now.

    It is noted afterwards: who dies in between tells twice, and nobody is left untold. WeirError where telling fails.
    """
    if analysis.schedule is None or not worse or analysis.notified:
        return False
    deps.topic.publish(*_said(analysis, worse))
    deps.analyses.notified(analysis.analysis_id)
    return True


def _said(analysis: Analysis, worse: Sequence[Json]) -> tuple[str, str, dict[str, str]]:
    count = f"{len(worse):,} finding{'' if len(worse) == 1 else 's'} got worse"
    lines = [f"- {one['severity']}: {one['stream']}: {one['title']}" for one in worse[:MOST_LINES]]
    if len(worse) > MOST_LINES:
        lines.append(f"- and {len(worse) - MOST_LINES:,} more")
    message = (
        f"{count} in the scheduled analysis {analysis.schedule}, since {analysis.compared_with}.\n\n"
        + "\n".join(lines)
        + f"\n\nRead it all: GET /analyses/{analysis.analysis_id}\n"
    )
    subject = f"Weir: {count} ({analysis.schedule})"
    attributes = {"analysis_id": analysis.analysis_id, "schedule": str(analysis.schedule)}
    return subject[:_LONGEST_SUBJECT], message, attributes
