"""Adapter to SQS: the queue that reminds Weir to finish the settings of a new stream."""

import json
from typing import Any

from weir.runtime import aws

FIRST_LOOK_SECONDS = 5
"""A stream needs some seconds to become ACTIVE; looking earlier is a wasted call."""


class SettleQueue:
    """The queue behind one botocore client. A message names a stream; what to set is written on the stream's tags."""

    def __init__(self, client: Any, url: str) -> None:
        self._client = client
        self._url = url

    def send(self, stream_name: str) -> None:
        """Ask for ``settle_stream``. WeirError where SQS refuses or does not answer."""
        body = json.dumps({"stream": stream_name})
        doing = f"queueing the settings of stream {stream_name!r}"
        self._call("send_message", doing, MessageBody=body, DelaySeconds=FIRST_LOOK_SECONDS)

    def come_back(self, receipt_handle: str, seconds: int) -> None:
        """Let a received message come again after ``seconds``, whatever the queue's own time-out is."""
        doing = "putting off the settings of a stream"
        self._call("change_message_visibility", doing, ReceiptHandle=receipt_handle, VisibilityTimeout=seconds)

    def _call(self, operation: str, doing: str, **params: Any) -> None:
        try:
            getattr(self._client, operation)(QueueUrl=self._url, **params)
        except Exception as error:
            if not aws.is_aws_error(error):
                raise
            raise aws.translate(error, doing) from error
