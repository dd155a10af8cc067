"""The steps of an analysis, as Step Functions calls them: ``{"step", "analysis_id", ...}`` to a small answer."""

from collections.abc import Callable
from typing import Any

from weir.analysis.analyses import working
from weir.analysis.analyses.models import Analysis
from weir.analysis.analyses.wiring import deps
from weir.analysis.telling.model import Model
from weir.runtime.clock import SYSTEM
from weir.runtime.observability import logger, traced
from weir.runtime.settings import settings

settings(needs=("analyses_table", "analyses_bucket", "runs_bucket", "usage_table", "llm_table"))

COLLECT_MARGIN_SECONDS = 420.0
"""Kept for the metrics of 500 streams, which are read after the last of them was looked at."""

ANALYZE_MARGIN_SECONDS = 120.0
"""Kept for the streams of one part, once they are begun."""

NOBODY = "schedule"
"""Who is charged for analyses that nobody has started but a schedule."""

Event = dict[str, Any]


def _model_of(analysis: Analysis) -> Model | None:
    """The model that tells, charged to whoever started the analysis; a route may be for the role ``analysis`` alone."""
    if not settings().analysis_model:
        return None
    from weir.gateway.wiring import inside
    from weir.usage.models import Caller

    return inside(Caller(analysis.owner or NOBODY, analysis.owner or NOBODY, roles=("analysis",)))


def _collect(event: Event, left: float) -> dict[str, Any]:
    until = SYSTEM.monotonic() + left - COLLECT_MARGIN_SECONDS
    return working.collect(event["analysis_id"], event.get("given") or {}, deps(), until)


def _analyze(event: Event, left: float) -> dict[str, Any]:
    return working.analyze(event["analysis_id"], deps(), SYSTEM.monotonic() + left - ANALYZE_MARGIN_SECONDS)


def _tell(event: Event, _: float) -> dict[str, Any]:
    return working.tell(event["analysis_id"], deps(), _model_of)


def _close(event: Event, _: float) -> dict[str, Any]:
    return working.close(event["analysis_id"], deps())


def _close_failed(event: Event, _: float) -> dict[str, Any]:
    return working.close_failed(event["analysis_id"], working.failure_of(event["failure"]), deps())


_STEPS: dict[str, Callable[[Event, float], dict[str, Any]]] = {
    "collect": _collect,
    "analyze": _analyze,
    "tell": _tell,
    "close": _close,
    "close_failed": _close_failed,
}


def _handle(event: Event, context: Any) -> dict[str, Any]:
    logger().append_keys(analysis_id=event["analysis_id"], step=event["step"])
    return _STEPS[event["step"]](event, context.get_remaining_time_in_millis() / 1000)


handler = traced(_handle)
