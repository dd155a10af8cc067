"""SQS: a queue of JSON messages, sent and put off."""

import json
from collections.abc import Mapping
from typing import Any

from weir.runtime import aws


class Queue:
    """The queue behind one botocore client. AWS failures become WeirErrors; ``doing`` tells in words what was tried."""

    def __init__(self, client: Any, url: str) -> None:
        self._client, self._url = client, url

    def send(self, message: Mapping[str, Any], doing: str, delay_seconds: int = 0) -> None:
        """Send a message that is seen after ``delay_seconds``."""
        self._call("send_message", doing, MessageBody=json.dumps(message), DelaySeconds=delay_seconds)

    def come_back(self, receipt_handle: str, seconds: int, doing: str) -> None:
        """Let a received message come again after ``seconds``, whatever the queue's own time-out is."""
        self._call("change_message_visibility", doing, ReceiptHandle=receipt_handle, VisibilityTimeout=seconds)

    def _call(self, operation: str, doing: str, **params: Any) -> None:
        try:
            getattr(self._client, operation)(QueueUrl=self._url, **params)
        except Exception as error:
            if not aws.is_aws_error(error):
                raise
            raise aws.translate(error, doing) from error
