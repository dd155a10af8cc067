"""Metrics of calls by model: requests, errors, latency, first token, tokens, cost, and what was refused.

A model is told by its route's name (``claude-*``), of which there are as many as admins have made: callers may ask for
any name, and each would be a metric of its own that somebody pays for.
"""

from collections.abc import Callable, Mapping

from weir.usage.metering import Outcome
from weir.usage.models import Record

Emit = Callable[[Mapping[str, tuple[str, float]], Mapping[str, str]], None]
PICO = 1_000_000_000_000


class Metrics:
    """Tells metrics. ``emit`` is ``observability.emit``."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit

    def called(self, model: str, outcome: Outcome, record: Record | None) -> None:
        """A call that was made."""
        tokens = outcome.tokens
        values: dict[str, tuple[str, float]] = {
            "ModelRequests": ("Count", 1),
            "ModelErrors": ("Count", int(outcome.status >= 500 or bool(outcome.error))),
            "ModelLatency": ("Milliseconds", outcome.milliseconds),
            "ModelInputTokens": ("Count", tokens.total - tokens.output),
            "ModelOutputTokens": ("Count", tokens.output),
        }
        if outcome.first_token_milliseconds is not None:
            values["ModelFirstToken"] = ("Milliseconds", outcome.first_token_milliseconds)
        if record is not None and record.cost is not None:
            values["ModelCostUsd"] = ("None", record.cost / PICO)
        self._emit(values, {"model": model})

    def refused(self, reason: str) -> None:
        """A call that was not admitted: ``cap-exceeded``, ``model-unknown`` and the like."""
        self._emit({"ModelRefused": ("Count", 1)}, {"reason": reason})
