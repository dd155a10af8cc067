"""What a run that goes on looks like, as values: its steps, and how fast records come and go.

Times of steps that ended are the server's; how long a running one takes is counted here, from when it was first seen,
because the clocks of two machines differ.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

__all__ = ["Bar", "ProgressLog", "Rate", "StepLine"]

Json = Mapping[str, Any]

TITLES = {
    "Plan": "Plan",
    "CreateStream": "Create the stream",
    "WaitActive": "Wait until it is active",
    "Insert": "Insert",
    "Verify": "Read back and verify",
    "AwaitMetrics": "Wait for CloudWatch",
    "Analyze": "Analyze",
    "DeleteStream": "Delete the stream",
    "Close": "Judge",
}
_COUNTED = {"Insert": "accepted", "Verify": "seen"}
_RATE_SECONDS = 4.0
_MAX_DETAIL_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Bar:
    """Records done, of how many (None: not known), and per second (None: not known yet)."""

    done: int
    total: int | None
    per_second: float | None


@dataclass(frozen=True, slots=True)
class StepLine:
    """One step to show. ``seconds`` is None before it begins."""

    name: str
    title: str
    status: Literal["PENDING", "RUNNING", "DONE", "FAILED"]
    seconds: float | None = None
    detail: str | None = None
    bar: Bar | None = None


@dataclass(slots=True)
class Rate:
    """A rate over the last seconds, of a counter that moves in jumps: from jump to jump, so that it doesn't flicker."""

    _jumps: deque[tuple[float, int]] = field(default_factory=deque)

    def per_second(self, at: float, count: int) -> float | None:
        """Enter the counter at ``at`` (monotonic seconds); None until it has moved twice."""
        if not self._jumps or count != self._jumps[-1][1]:
            self._jumps.append((at, count))
        while len(self._jumps) > 2 and self._jumps[0][0] < at - _RATE_SECONDS:
            self._jumps.popleft()
        (began, first), (ended, last) = self._jumps[0], self._jumps[-1]
        return (last - first) / (ended - began) if ended > began else None


@dataclass(slots=True)
class ProgressLog:
    """Makes lines of runs as they are polled. ``records`` is how many there will be, where the person knows."""

    records: int | None = None
    _first_seen: dict[str, float] = field(default_factory=dict)
    _rates: dict[str, Rate] = field(default_factory=dict)

    def lines(self, run: Json, at: float) -> list[StepLine]:
        """The steps of a run polled at ``at`` (monotonic seconds): those begun, then those to come."""
        begun = {step["name"]: step for step in run["steps"]}
        lines = [self._line(run, step, at) for step in run["steps"]]
        if run["status"] == "CLOSED":
            return lines
        return lines + [
            StepLine(name, title, "PENDING") for name, title in TITLES.items() if self._to_come(name, run, begun)
        ]

    def _to_come(self, name: str, run: Json, begun: Mapping[str, Json]) -> bool:
        if name in begun:
            return False
        if run.get("failure"):
            return name in {"DeleteStream", "Close"}
        return name != "AwaitMetrics" or "cloudwatch" in run["spec"]["analyses"]

    def _line(self, run: Json, step: Json, at: float) -> StepLine:
        name: str = step["name"]
        first_seen = self._first_seen.setdefault(name, at)
        seconds = _between(step["started_at"], step["ended_at"]) if step["ended_at"] else at - first_seen
        counted = _COUNTED.get(name)
        bar = self._bar(run, name, counted, step, seconds, at) if counted else None
        detail = (step["detail"] or "")[:_MAX_DETAIL_CHARACTERS] or None
        return StepLine(name, TITLES.get(name, name), step["status"], max(0.0, seconds), detail, bar)

    def _bar(self, run: Json, name: str, counted: str, step: Json, seconds: float, at: float) -> Bar | None:
        progress = run["progress"]
        if progress is None:
            return None
        done = int(progress[counted])
        rate = self._rates.setdefault(name, Rate()).per_second(at, done)
        if step["ended_at"]:
            rate = done / seconds if seconds > 0 else None
        total = progress["planned"] or self.records
        if name == "Verify" and progress["rejected"] and total is not None:
            total -= progress["rejected"]
        return Bar(done, total, rate)


def _between(start: str, end: str) -> float:
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()
