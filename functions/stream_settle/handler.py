"""SQS: finish the settings of new streams. A message names a stream; it comes back until the stream is settled.

A stream that is still CREATING or UPDATING is told as a partial batch failure, which returns the message to the queue
without counting as an error of this function:
https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html#services-sqs-batchfailurereporting
"""

import json
from typing import Any

from weir.runtime import aws
from weir.runtime.errors import WeirError
from weir.runtime.observability import logger, traced
from weir.streams.changes import settle_stream
from weir.streams.kinesis import Kinesis

MISSING_LOOKS = 4
"""Times that a stream may be missing: the message is sent before the stream is made, and Kinesis tells of it late."""


def _settle(event: dict[str, Any], _: Any) -> dict[str, Any]:
    kinesis = Kinesis(aws.client("kinesis"))
    again = [record["messageId"] for record in event["Records"] if _must_come_again(kinesis, record)]
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in again]}


def _must_come_again(kinesis: Kinesis, record: dict[str, Any]) -> bool:
    name = json.loads(record["body"])["stream"]
    looks = int(record["attributes"]["ApproximateReceiveCount"])
    try:
        settled = settle_stream(kinesis, name)
    except WeirError as error:
        logger().warning("stream not settled yet", extra={"stream": name, "looks": looks, "reason": error.detail})
        return True
    logger().info("looked at a new stream", extra={"stream": name, "looks": looks, "settled": settled})
    return settled == "waiting" or (settled == "gone" and looks < MISSING_LOOKS)


handler = traced(_settle)
