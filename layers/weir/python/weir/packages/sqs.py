"""Adapter to SQS: the queue of what is to be scanned. S3's events come by it, too."""

from typing import Any

from weir.runtime import aws
from weir.runtime.settings import settings
from weir.runtime.sqs import Queue


class ScanQueue:
    """The queue behind one botocore client. A message names bytes of a package, by their declared SHA-256."""

    def __init__(self, client: Any, url: str) -> None:
        self._queue = Queue(client, url)

    def send(self, name: str, sha256: str) -> None:
        """Ask for ``scanning.scan``. WeirError where SQS refuses or does not answer."""
        self._queue.send({"scan": {"name": name, "sha256": sha256}}, f"queueing the scan of {sha256} of {name}")

    def come_back(self, receipt_handle: str, seconds: int) -> None:
        """Let a received message come again after ``seconds``."""
        self._queue.come_back(receipt_handle, seconds, "putting off a scan")


def scan_queue() -> ScanQueue:
    """The stack's scan queue."""
    return ScanQueue(aws.client("sqs"), settings(needs=("scan_queue_url",)).scan_queue_url)
