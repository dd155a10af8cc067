"""The control steps of a run, as Step Functions calls them: ``{"step", "run_id", ...}`` to a small answer."""

from collections.abc import Callable
from typing import Any

from weir.runs import closing, steps
from weir.runs.wiring import Wiring, wiring
from weir.runtime.observability import logger, traced
from weir.runtime.settings import settings

settings(needs=("runs_table", "runs_bucket"))

Event = dict[str, Any]
_STEPS: dict[str, Callable[[str, Event, Wiring], Any]] = {
    "plan": lambda run_id, event, wires: steps.planned(run_id, event["spec"], event["execution_arn"], wires),
    "create": lambda run_id, _, wires: steps.create(run_id, wires),
    "active": lambda run_id, _, wires: steps.active(run_id, wires),
    "branch_failed": lambda run_id, event, wires: steps.branch_failed(run_id, steps.failed(event["failure"]), wires),
    "metrics": lambda run_id, _, wires: steps.metrics(run_id, wires),
    "analyze": lambda run_id, _, wires: steps.analyze(run_id, wires),
    "delete": lambda run_id, event, wires: steps.delete(run_id, steps.failure_of(event["failure"]), wires),
    "deleted": lambda run_id, _, wires: steps.deleted(run_id, wires),
    "close": lambda run_id, event, wires: closing.close(run_id, steps.failure_of(event["failure"]), wires),
}


def _handle(event: Event, _: Any) -> Any:
    logger().append_keys(run_id=event["run_id"], step=event["step"])
    return _STEPS[event["step"]](event["run_id"], event, wiring())


handler = traced(_handle)
