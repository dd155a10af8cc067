"""GetRecords, lean: the adapter that readers read with.

botocore signs, sends, times out, retries and classifies errors as ever; only the JSON of a good answer is read here,
through botocore's own event. Walking the service model for each member of 10,000 records, and making a datetime of
each arrival, is most of what a GetRecords call costs: 16 us of CPU a record with it, under 3 us without.

botocore's events: https://botocore.amazonaws.com/v1/documentation/api/latest/topics/events.html
"""

import json
from binascii import a2b_base64
from functools import partial
from threading import local
from typing import Any, NamedTuple


class RawRecord(NamedTuple):
    """A record as Kinesis gave it. ``arrived_at`` is epoch seconds."""

    sequence_number: str
    partition_key: str
    data: bytes
    arrived_at: float


class RecordsAnswer(NamedTuple):
    """One GetRecords answer. No ``next_iterator`` means that a closed shard was read to its end."""

    records: list[RawRecord]
    next_iterator: str | None
    millis_behind: int | None
    child_shard_ids: tuple[str, ...]


_ours = local()  # .reading: whether this thread is in a call of a GetAdapter
_record = partial(tuple.__new__, RawRecord)


class GetAdapter:
    """Reads with one client: ``adapter(iterator, limit) -> RecordsAnswer``. Thread-safe, as botocore's clients are.

    Raises what botocore raises. https://docs.aws.amazon.com/kinesis/latest/APIReference/API_GetRecords.html
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        client.meta.events.register("before-parse.kinesis.GetRecords", _read_answer, unique_id="weir-get-read")

    def __call__(self, iterator: str, limit: int) -> RecordsAnswer:
        _ours.reading = True
        try:
            answer = self._client.get_records(ShardIterator=iterator, Limit=limit)
        finally:
            _ours.reading = False
        children = tuple(child["ShardId"] for child in answer.get("ChildShards") or ())
        return RecordsAnswer(
            answer["Records"], answer.get("NextShardIterator"), answer.get("MillisBehindLatest"), children
        )


def _read_answer(response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: Any) -> None:
    if not getattr(_ours, "reading", False) or response_dict["status_code"] != 200:
        return
    answer = json.loads(response_dict["body"])
    answer["Records"] = [
        _record(
            (
                item["SequenceNumber"],
                item["PartitionKey"],
                a2b_base64(item["Data"]),
                float(item["ApproximateArrivalTimestamp"]),
            )
        )
        for item in answer["Records"]
    ]
    customized_response_dict.update(answer)
    response_dict["body"] = b"{}"
