"""PutRecords, lean: the adapter that the producer sends with.

botocore signs, sends, times out and classifies errors as ever; only the JSON body is written, and the JSON answer is
read, here, through botocore's own events. Walking the service model for each member of 500 records is most of what a
PutRecords call costs: 5.8 ms of CPU with it, under 2 ms without (100-byte records; ``docs/benchmarks.md``).

botocore's events: https://botocore.amazonaws.com/v1/documentation/api/latest/topics/events.html
"""

import json
from binascii import b2a_base64
from collections.abc import Sequence
from functools import partial
from json.encoder import encode_basestring_ascii as _quoted
from threading import local
from typing import Any

from weir.streams.entries import Entry, PutResult

# Validation and the serializer want one record; the body that is really sent replaces it.
_PLACEHOLDER = [{"Data": b"", "PartitionKey": "-"}]

_ours = local()  # .body: the body of the PutAdapter call that this thread is in, if any

_result = partial(tuple.__new__, PutResult)


class PutAdapter:
    """Puts entries on one stream: ``adapter(entries) -> results``, in order. Thread-safe, as botocore's clients are.

    At most 500 entries and 10 MiB, which is the caller's to keep. Raises what botocore raises: ClientError, and
    BotoCoreError when no answer came. Retries are the client's; the producer's client has none.
    https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html
    """

    def __init__(self, client: Any, stream_name: str) -> None:
        self._client = client
        self._stream_name = stream_name
        self._head = b'{"StreamName":' + json.dumps(stream_name).encode() + b',"Records":['
        events = client.meta.events
        events.register("before-call.kinesis.PutRecords", _write_body, unique_id="weir-put-write")
        events.register("before-parse.kinesis.PutRecords", _read_results, unique_id="weir-put-read")

    def __call__(self, entries: Sequence[Entry]) -> list[PutResult]:
        _ours.body = _json_body(self._head, entries)
        try:
            answer = self._client.put_records(StreamName=self._stream_name, Records=_PLACEHOLDER)
        finally:
            _ours.body = None
        results: list[PutResult] = answer["Records"]
        return results


def _json_body(head: bytes, entries: Sequence[Entry]) -> bytes:
    pieces = [head]
    for key, data, explicit_hash_key, _ in entries:
        pieces += (b'{"Data":"', b2a_base64(data, newline=False), b'","PartitionKey":', _quoted(key).encode())
        if explicit_hash_key is not None:
            pieces += (b',"ExplicitHashKey":', _quoted(explicit_hash_key).encode())
        pieces.append(b"},")
    pieces[-1] = b"}]}"
    return b"".join(pieces)  # the one copy of what may be megabytes


def _write_body(params: dict[str, Any], **_: Any) -> None:
    body = getattr(_ours, "body", None)
    if body is not None:
        params["body"] = body


def _read_results(response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: Any) -> None:
    if getattr(_ours, "body", None) is None or response_dict["status_code"] != 200:
        return
    records = json.loads(response_dict["body"])["Records"]
    customized_response_dict["Records"] = [
        _result((record.get("ShardId"), record.get("SequenceNumber"), record.get("ErrorCode"))) for record in records
    ]
    response_dict["body"] = b"{}"
