"""The steps of an import, as Step Functions calls them: ``{"step", "import_id", ...}`` to a small answer."""

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from weir.packages import import_steps
from weir.packages.import_steps import Until, failure_of
from weir.packages.wiring import deps
from weir.runtime.clock import SYSTEM
from weir.runtime.observability import emit, logger, traced
from weir.runtime.settings import settings

if TYPE_CHECKING:
    from weir.packages.hub import Hub

settings(needs=("packages_table", "packages_bucket", "hub_url"))

MARGIN_SECONDS = 90.0
"""Before the function's end nothing new begins: what is under way has a minute, its checkpoint the rest."""

Event = dict[str, Any]


@lru_cache(maxsize=1)
def _hub() -> "Hub":
    from weir.packages.hub import Hub

    return Hub(settings().hub_url, SYSTEM)


def _plan(event: Event, until: Until) -> dict[str, Any]:
    return import_steps.plan(event["import_id"], deps(), _hub(), until)


def _copy(event: Event, until: Until) -> dict[str, Any]:
    copied = import_steps.copy(event["import_id"], event["number"], deps(), _hub(), until)
    if copied["quarantined"]:
        emit({"FilesQuarantined": ("Count", 1)}, {})
    return copied


def _finish(event: Event, _: Until) -> dict[str, Any]:
    return import_steps.finish(event["import_id"], deps())


def _undo(event: Event, _: Until) -> dict[str, Any]:
    return import_steps.undo(event["import_id"], failure_of(event["failure"]), deps())


_STEPS: dict[str, Callable[[Event, Until], dict[str, Any]]] = {
    "plan_import": _plan,
    "copy_file": _copy,
    "finish_import": _finish,
    "undo_import": _undo,
}


def _handle(event: Event, context: Any) -> dict[str, Any]:
    logger().append_keys(import_id=event["import_id"], step=event["step"])
    left = context.get_remaining_time_in_millis() / 1000
    now = SYSTEM.monotonic()
    return _STEPS[event["step"]](event, Until(now + max(0.0, left - MARGIN_SECONDS), now + max(1.0, left - 30.0)))


handler = traced(_handle)
