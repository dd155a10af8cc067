"""One reader of a run: ``{"run_id", "index"}`` to ``{"done", "wait"}``; called again until it is done."""

from typing import Any

from weir.runs.wiring import wiring
from weir.runs.working import read_shards
from weir.runtime import garbage
from weir.runtime.observability import logger, traced
from weir.runtime.settings import settings

settings(needs=("runs_table", "runs_bucket"))
garbage.rarely()


def _handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
    logger().append_keys(run_id=event["run_id"], reader=event["index"])
    return read_shards(event["run_id"], event["index"], context.get_remaining_time_in_millis() / 1000, wiring())


handler = traced(_handle)
