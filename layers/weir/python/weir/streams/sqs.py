"""Adapter to SQS: the queue that reminds Weir to finish the settings of a new stream."""

from typing import Any

from weir.runtime.sqs import Queue

FIRST_LOOK_SECONDS = 5
"""A stream needs some seconds to become ACTIVE; looking earlier is a wasted call."""


class SettleQueue:
    """The queue behind one botocore client. A message names a stream; what to set is written on the stream's tags."""

    def __init__(self, client: Any, url: str) -> None:
        self._queue = Queue(client, url)

    def send(self, stream_name: str) -> None:
        """Ask for ``settle_stream``. WeirError where SQS refuses or does not answer."""
        doing = f"queueing the settings of stream {stream_name!r}"
        self._queue.send({"stream": stream_name}, doing, FIRST_LOOK_SECONDS)

    def come_back(self, receipt_handle: str, seconds: int) -> None:
        """Let a received message come again after ``seconds``, whatever the queue's own time-out is."""
        self._queue.come_back(receipt_handle, seconds, "putting off the settings of a stream")
