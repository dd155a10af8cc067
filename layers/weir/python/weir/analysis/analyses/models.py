"""What an analysis is: what was asked for, how far it has come, and what became of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from weir.runtime.errors import Conflict, NotFound

__all__ = [
    "ANALYSIS_ID",
    "ENDED",
    "KEPT",
    "Analysis",
    "AnalysisEnded",
    "AnalysisNotFound",
    "AnalysisRunning",
    "Failure",
    "Status",
]

ANALYSIS_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,79}")
"""What an execution may be named, which is an analysis' id."""

KEPT = timedelta(days=30)


class AnalysisNotFound(NotFound):
    """No analysis of this id, or not for this caller."""

    slug, title = "analysis-not-found", "No such analysis"


class AnalysisRunning(Conflict):
    """It has no results yet."""

    slug, title = "analysis-running", "The analysis is not done"


class AnalysisEnded(Conflict):
    """It has ended, or was deleted: nothing more is stored of it."""

    slug, title = "analysis-ended", "The analysis has ended"


class Status(StrEnum):
    """How an analysis stands."""

    RUNNING = "RUNNING"
    DONE = "DONE"
    FAILED = "FAILED"


ENDED = frozenset({Status.DONE, Status.FAILED})


@dataclass(frozen=True, slots=True)
class Failure:
    """What broke an analysis: the step, the kind of error, and what it said."""

    step: str
    error: str
    cause: str

    def to_dict(self) -> dict[str, str]:
        """A JSON-able form."""
        return {"step": self.step, "error": self.error, "cause": self.cause}


@dataclass(frozen=True, slots=True)
class Analysis:
    """An analysis as it stands.

    - `spec` is what was asked for, as JSON (`contract.AnalysisSpec`).
    - `owner` is None where it was started on the state machine: by a schedule, say.
    - `schedule` names those that are compared with one another.
    - `step` is the one that it is in; `streams` how many it has, `analyzed` how many of them are done.
    - `complete` is False where anything that was asked for could not be read, and `partial` tells what.
    - `findings` counts them by severity, `calls` the AWS calls by operation; `worse` the findings that got worse, of
      which the topic is told where `notified`.
    """

    analysis_id: str
    spec: Mapping[str, Any]
    created_at: datetime
    owner: str | None = None
    schedule: str | None = None
    status: Status = Status.RUNNING
    step: str = "Queued"
    streams: int | None = None
    analyzed: int = 0
    range: Mapping[str, Any] | None = None
    compared_with: str | None = None
    complete: bool | None = None
    partial: tuple[str, ...] = ()
    findings: Mapping[str, int] = field(default_factory=dict)
    calls: Mapping[str, int] = field(default_factory=dict)
    worse: int | None = None
    notified: bool = False
    ended_at: datetime | None = None
    failure: Failure | None = None

    @property
    def expires_at(self) -> datetime:
        """When it is no longer kept."""
        return self.created_at + KEPT
