"""A shard's quotas, where the switch ``shard_quota`` is on.

AWS: a shard takes 1 MiB and 1,000 records a second, keys counted, and gives 2 MiB in 5 calls a second; what is beyond
is refused with ProvisionedThroughputExceededException, record by record in PutRecords
(https://docs.aws.amazon.com/streams/latest/dev/service-sizes-and-limits.html). The emulator throttles nothing. Here the
quotas hold for each second of the clock. Off at the start: on one small machine the quotas of AWS are rarely reached,
and tests that want throttling turn it on.
"""

import json
import time
from typing import Any

from ministack.core.responses import error_response_json, json_response
from ministack.services import kinesis

from local.shim import metrics, switches
from local.shim.patching import patch

MIB = 1024 * 1024
RECORDS, BYTES = 1000, MIB
READS, READ_BYTES = 5, 2 * MIB


class Window:
    """What one shard has spent of the present second."""

    def __init__(self) -> None:
        self._second, self._calls, self._bytes = 0, 0, 0

    def take(self, size: int, calls: int, length: int) -> bool:
        """Spend one call of ``size`` bytes, if both quotas allow; the first call of a second always may."""
        second = int(time.time())
        if second != self._second:
            self._second, self._calls, self._bytes = second, 0, 0
        if self._calls and (self._calls + 1 > calls or self._bytes + size > length):
            return False
        self._calls += 1
        self._bytes += size
        return True


_writes: dict[tuple[str, str], Window] = {}
_reads: dict[tuple[str, str], Window] = {}


@patch(kinesis, "_put_records")
def put_records(original: Any, data: dict[str, Any]) -> Any:
    """Refuse the records that their shard can't take this second, and only those."""
    name, stream = kinesis._resolve_stream(data)
    if not switches.on("shard_quota") or not stream:
        return original(data)
    refused = {i: shard for i, record in enumerate(data["Records"]) if (shard := _full(record, stream))}
    taken = [record for i, record in enumerate(data["Records"]) if i not in refused]
    answer = original({**data, "Records": taken})
    if answer[0] != 200 or not refused:
        return answer
    document = json.loads(answer[2])
    accepted = iter(document["Records"])
    document["Records"] = [
        {"ErrorCode": metrics.THROTTLED, "ErrorMessage": _message(refused[i], name)} if i in refused else next(accepted)
        for i in range(len(data["Records"]))
    ]
    document["FailedRecordCount"] = len(refused)
    return json_response(document)


@patch(kinesis, "_put_record")
def put_record(original: Any, data: dict[str, Any]) -> Any:
    """Refuse the record if its shard can't take it this second."""
    name, stream = kinesis._resolve_stream(data)
    if switches.on("shard_quota") and stream and (shard := _full(data, stream)):
        return error_response_json(metrics.THROTTLED, _message(shard, name), 400)
    return original(data)


@patch(kinesis, "_get_records")
def get_records(original: Any, data: dict[str, Any]) -> Any:
    """Refuse a read beyond the shard's calls this second, or after it gave all that it may."""
    iterator = kinesis._shard_iterators.get(data.get("ShardIterator"))
    if not switches.on("shard_quota") or iterator is None:
        return original(data)
    window = _reads.setdefault((iterator["stream_arn"], iterator["shard_id"]), Window())
    answer = original(data)
    size = len(answer[2]) * 3 // 4 if answer[0] == 200 else 0  # base64
    if window.take(size, READS, READ_BYTES):
        return answer
    return error_response_json(metrics.THROTTLED, _message(iterator["shard_id"], iterator["stream"]), 400)


def _full(record: dict[str, Any], stream: dict[str, Any]) -> str:
    """The record's shard if it can't take the record this second, else nothing."""
    explicit = record.get("ExplicitHashKey")
    hashed = int(explicit) if explicit else kinesis._partition_key_to_hash(record.get("PartitionKey", ""))
    shard: str = kinesis._route_to_shard(hashed, stream)
    window = _writes.setdefault((stream["StreamARN"], shard), Window())
    return "" if window.take(metrics._size(record), RECORDS, BYTES) else shard


def _message(shard: str, stream: str) -> str:
    return f"Rate exceeded for shard {shard} in stream {stream}."
