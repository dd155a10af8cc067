"""The scheduled sweep of packages: ``{"dry_run": bool}`` to what was, or would be, done."""

from random import Random
from typing import Any

from weir.packages.reconciling import reconcile
from weir.packages.sqs import scan_queue
from weir.packages.wiring import deps
from weir.runtime.observability import emit, logger, traced
from weir.runtime.settings import settings

settings(needs=("packages_table", "packages_bucket", "scan_queue_url"))
SPARE_SECONDS = 30.0


def _handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
    until = deps().clock.monotonic() + context.get_remaining_time_in_millis() / 1000 - SPARE_SECONDS
    done = reconcile(deps(), scan_queue(), dry_run=bool(event.get("dry_run", False)), until=until, rng=Random())
    logger().info("packages swept", extra=done.to_dict())
    if not done.dry_run:
        emit({"FilesMissing": ("Count", len(done.missing)), "SweepFailures": ("Count", len(done.failed))}, {})
    return done.to_dict()


handler = traced(_handle)
