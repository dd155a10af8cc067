"""The lean PutRecords adapter, held against what botocore itself writes and reads."""

import json
from base64 import b64decode
from io import BytesIO
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import ClientError, ReadTimeoutError
from botocore.session import get_session
from hypothesis import given
from hypothesis import strategies as st

from weir.streams.entries import Entry, PutResult
from weir.streams.kinesis_put import PutAdapter

ENTRIES = [
    Entry("plain", b"hello"),
    Entry('quote " \\ \n é 🜁', bytes(range(256))),
    Entry("routed", b"", "340282366920938463463374607431768211455"),
]


class Wire:
    """A client whose requests end here, with the answer that is set."""

    def __init__(self) -> None:
        self.client = get_session().create_client(
            "kinesis",
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(retries={"total_max_attempts": 1}),
        )
        self.client.meta.events.register_first("before-send.kinesis.*", self._answer)
        self.requests: list[Any] = []
        self.status = 200
        self.body: Any = {"FailedRecordCount": 0, "Records": []}
        self.raises: Exception | None = None

    def _answer(self, request: Any, **_: Any) -> AWSResponse:
        self.requests.append(request)
        if self.raises is not None:
            raise self.raises
        raw = BytesIO(json.dumps(self.body).encode())
        raw.stream = lambda *_, **__: iter([raw.read()])  # type: ignore[attr-defined]
        return AWSResponse(request.url, self.status, {"content-type": "application/x-amz-json-1.1"}, raw)

    def sent(self) -> Any:
        return json.loads(self.requests[-1].body)


def as_botocore_writes(entry: Entry) -> dict[str, Any]:
    record: dict[str, Any] = {"Data": entry.data, "PartitionKey": entry.partition_key}
    if entry.explicit_hash_key is not None:
        record["ExplicitHashKey"] = entry.explicit_hash_key
    return record


def test_sends_what_botocore_would_send() -> None:
    # Given
    wire = Wire()
    wire.client.put_records(StreamName="orders", Records=[as_botocore_writes(entry) for entry in ENTRIES])
    expected, signed = wire.sent(), wire.requests[-1].headers
    # When
    PutAdapter(wire.client, "orders")(ENTRIES)
    # Then body and headers are the same
    assert wire.sent() == expected
    headers = wire.requests[-1].headers
    assert [headers[name] for name in ("X-Amz-Target", "Content-Type")] == [
        signed[name] for name in ("X-Amz-Target", "Content-Type")
    ]
    assert headers["Content-Length"] == str(len(wire.requests[-1].body))


def test_the_signature_is_that_of_the_body_sent() -> None:
    # Given two bodies that differ, signed in the same second
    wire = Wire()
    put = PutAdapter(wire.client, "orders")
    signatures = set()
    for _ in range(5):
        put(ENTRIES[:1])
        first = (wire.requests[-1].headers["X-Amz-Date"], wire.requests[-1].headers["Authorization"])
        put(ENTRIES[1:2])
        second = (wire.requests[-1].headers["X-Amz-Date"], wire.requests[-1].headers["Authorization"])
        if first[0] == second[0]:
            signatures = {first[1], second[1]}
            break
    # When, then
    assert len(signatures) == 2


ANY_ENTRY = st.builds(Entry, st.text(min_size=1, max_size=30), st.binary(max_size=100), st.none(), st.none())
SHARED_WIRE = Wire()


@given(st.lists(ANY_ENTRY, min_size=1, max_size=5))
def test_any_key_and_data_survive(entries: list[Entry]) -> None:
    wire = SHARED_WIRE
    PutAdapter(wire.client, "orders")(entries)
    assert [(record["PartitionKey"], b64decode(record["Data"])) for record in wire.sent()["Records"]] == [
        (entry.partition_key, entry.data) for entry in entries
    ]


def test_reads_results_in_order() -> None:
    # Given an answer with a failure in it
    wire = Wire()
    wire.body = {
        "FailedRecordCount": 1,
        "EncryptionType": "KMS",
        "Records": [
            {"SequenceNumber": "49", "ShardId": "shardId-000000000000"},
            {"ErrorCode": "ProvisionedThroughputExceededException", "ErrorMessage": "Rate exceeded for shard"},
        ],
    }
    # When
    results = PutAdapter(wire.client, "orders")(ENTRIES[:2])
    # Then
    assert results == [
        PutResult("shardId-000000000000", "49", None),
        PutResult(None, None, "ProvisionedThroughputExceededException"),
    ]
    assert all(isinstance(result, PutResult) for result in results)


def test_other_calls_of_the_same_client_are_untouched() -> None:
    # Given a client that the adapter uses too
    wire = Wire()
    PutAdapter(wire.client, "orders")(ENTRIES)
    wire.body = {"FailedRecordCount": 0, "Records": [{"SequenceNumber": "49", "ShardId": "shardId-000000000000"}]}
    # When it is called directly
    answer = wire.client.put_records(StreamName="other", Records=[{"Data": b"x", "PartitionKey": "k"}])
    # Then it sends and answers as ever
    assert wire.sent() == {"StreamName": "other", "Records": [{"Data": "eA==", "PartitionKey": "k"}]}
    assert answer["Records"] == wire.body["Records"]


def test_errors_are_botocores_own() -> None:
    # Given
    wire = Wire()
    put = PutAdapter(wire.client, "orders")
    wire.status, wire.body = 400, {"__type": "ResourceNotFoundException", "message": "Stream orders not found"}
    # When, then
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        put(ENTRIES)
    wire.raises = ReadTimeoutError(endpoint_url="https://kinesis")
    with pytest.raises(ReadTimeoutError):
        put(ENTRIES)
    # And the next call is sound
    wire.raises, wire.status, wire.body = None, 200, {"Records": [{"SequenceNumber": "1", "ShardId": "s"}]}
    assert put(ENTRIES[:1]) == [PutResult("s", "1", None)]
