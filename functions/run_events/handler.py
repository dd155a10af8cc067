"""*Step Functions Execution Status Change* of a run that failed, timed out or was stopped: clean up behind it."""

from typing import Any

from weir.runs.sweeping import clean_up_after
from weir.runs.wiring import wiring
from weir.runtime.observability import logger, traced
from weir.runtime.settings import settings

settings(needs=("runs_table", "runs_bucket", "run_machine_arn", "cleanup_machine_arn"))


def _handle(event: dict[str, Any], _: Any) -> dict[str, Any]:
    logger().append_keys(run_id=event["detail"]["name"])
    return clean_up_after(event["detail"], wiring())


handler = traced(_handle)
