"""SQS: finish the settings of new streams, make their alarms. A message comes back until its stream is settled.

A stream that is still CREATING or UPDATING is told as a partial batch failure, which returns the message to the queue
without counting as an error of this function; it comes back within seconds, because the queue's own time-out is made
for a function that died. After the queue's last try the message goes to the dead-letter queue, which alarms.
https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html#services-sqs-batchfailurereporting
"""

import json
from typing import Any

from weir.runtime import aws
from weir.runtime.errors import WeirError
from weir.runtime.observability import logger, traced
from weir.runtime.settings import settings
from weir.streams.alarming import Alarming
from weir.streams.changes import settle_stream
from weir.streams.cloudwatch import Alarms
from weir.streams.kinesis import Kinesis
from weir.streams.sqs import SettleQueue

MISSING_LOOKS = 4
"""Times that a stream may be missing: the message is sent before the stream is made, and Kinesis tells of it late."""

LONGEST_PAUSE_SECONDS = 60
PAUSE_SECONDS = 5
"""The pause after each look, times the number of looks: soon at first, seldom for a stream that takes long."""


def _settle(event: dict[str, Any], _: Any) -> dict[str, Any]:
    kinesis = Kinesis(aws.client("kinesis"))
    queue = SettleQueue(aws.client("sqs"), settings(needs=("settle_queue_url",)).settle_queue_url)
    again = [record for record in event["Records"] if not _is_done(kinesis, record)]
    for record in again:
        _come_back(queue, record)
    return {"batchItemFailures": [{"itemIdentifier": record["messageId"]} for record in again]}


def _is_done(kinesis: Kinesis, record: dict[str, Any]) -> bool:
    name = json.loads(record["body"])["stream"]
    looks = _looks(record)
    try:
        settled = settle_stream(kinesis, name)
        if settled == "settled":
            _make_alarms(name, kinesis)
    except WeirError as error:
        logger().warning("stream not settled", extra={"stream": name, "looks": looks, "reason": error.detail})
        return False
    logger().info("looked at a new stream", extra={"stream": name, "looks": looks, "settled": settled})
    return settled != "waiting" and (settled != "gone" or looks >= MISSING_LOOKS)


def _make_alarms(name: str, kinesis: Kinesis) -> None:
    conf = settings()
    if conf.alerts_topic_arn:
        alarming = Alarming(Alarms(aws.client("cloudwatch")), conf.stack, conf.alerts_topic_arn)
        alarming.make(name, kinesis.tags(name))


def _come_back(queue: SettleQueue, record: dict[str, Any]) -> None:
    pause = min(LONGEST_PAUSE_SECONDS, PAUSE_SECONDS * _looks(record))
    try:
        queue.come_back(record["receiptHandle"], pause)
    except WeirError as error:  # it comes back all the same, only later: by the queue's own time-out
        logger().warning("message not put off", extra={"reason": error.detail})


def _looks(record: dict[str, Any]) -> int:
    return int(record["attributes"]["ApproximateReceiveCount"])


handler = traced(_settle)
