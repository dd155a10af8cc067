"""The scheduled sweep: ``{"dry_run": bool}`` to what was, or would be, deleted."""

from random import Random
from typing import Any

from weir.runs.sweeping import sweep
from weir.runs.wiring import wiring
from weir.runtime.observability import emit, logger, traced
from weir.runtime.settings import settings

settings(needs=("runs_table", "runs_bucket", "run_machine_arn", "cleanup_machine_arn"))
SPARE_SECONDS = 30.0


def _handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
    wires = wiring()
    until = wires.clock.monotonic() + context.get_remaining_time_in_millis() / 1000 - SPARE_SECONDS
    swept = sweep(wires, dry_run=bool(event.get("dry_run", False)), until=until, rng=Random())
    logger().info("swept", extra=swept.to_dict())
    if not swept.dry_run:
        counts = {"StreamsSwept": swept.deleted, "RunsCleanedUp": swept.cleaned_up, "SweepFailures": swept.failed}
        emit({name: ("Count", len(found)) for name, found in counts.items()}, {})
    return swept.to_dict()


handler = traced(_handle)
