"""SQS: what came into the packages bucket, and what is to be scanned.

A message is an event of S3, as EventBridge brings it, or ``{"scan": {"name", "sha256"}}``: bytes to go on with, which
this function sends itself where one invocation is not enough. What can't be done now comes again soon, and after the
queue's last try goes to the dead-letter queue, which alarms; the sweep queues its file anew.
https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html#services-sqs-batchfailurereporting
"""

import json
from typing import Any

from weir.packages.arriving import arrived, event_of
from weir.packages.scanning import Progress, scan
from weir.packages.sqs import scan_queue
from weir.packages.wiring import deps
from weir.runtime.errors import WeirError
from weir.runtime.observability import emit, logger, traced
from weir.runtime.settings import settings

settings(needs=("packages_table", "packages_bucket", "scan_queue_url"))
SPARE_SECONDS = 60.0
PAUSE_SECONDS = 15
"""The pause before the next try, times the number of tries."""


def _handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
    failed = [record for record in event["Records"] if not _is_done(record, context)]
    for record in failed:
        _come_back(record)
    return {"batchItemFailures": [{"itemIdentifier": record["messageId"]} for record in failed]}


def _is_done(record: dict[str, Any], context: Any) -> bool:
    message = json.loads(record["body"])
    try:
        wanted = message.get("scan")
        named = (wanted["name"], wanted["sha256"]) if wanted else arrived(event_of(message), deps())
        if named is not None:
            _scan(named[0], named[1], context)
    except WeirError as error:
        logger().warning("comes again", extra={"tries": _tries(record), "reason": error.detail})
        return False
    return True


def _scan(name: str, sha256: str, context: Any) -> None:
    until = deps().clock.monotonic() + context.get_remaining_time_in_millis() / 1000 - SPARE_SECONDS
    scanned = scan(name, sha256, deps(), until)
    logger().info("scanned", extra={"package": name, "sha256": sha256, "progress": scanned.progress.value})
    if scanned.progress is Progress.AGAIN:
        scan_queue().send(name, sha256)
    if scanned.quarantined:
        emit({"FilesQuarantined": ("Count", scanned.quarantined)}, {})


def _come_back(record: dict[str, Any]) -> None:
    try:
        scan_queue().come_back(record["receiptHandle"], PAUSE_SECONDS * _tries(record))
    except WeirError as error:  # it comes back all the same, only later: by the queue's own time-out
        logger().warning("message not put off", extra={"reason": error.detail})


def _tries(record: dict[str, Any]) -> int:
    return int(record["attributes"]["ApproximateReceiveCount"])


handler = traced(_handle)
