"""The lean GetRecords adapter, held against every form that an answer may have."""

import json
from base64 import b64encode
from io import BytesIO
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.session import get_session
from hypothesis import given
from hypothesis import strategies as st

from weir.runtime.errors import Unavailable
from weir.streams.kinesis_get import GetAdapter, RawRecord

RECORD = {"SequenceNumber": "1", "PartitionKey": "k", "Data": "aGk=", "ApproximateArrivalTimestamp": 1_795_262_400.25}
READ = RawRecord("1", "k", b"hi", 1_795_262_400.25)


class Wire:
    """An adapter whose requests end here, with the answer that is set."""

    def __init__(self, body: bytes, status: int = 200) -> None:
        client = get_session().create_client(
            "kinesis",
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(retries={"total_max_attempts": 1}),
        )
        client.meta.events.register_first("before-send.kinesis.*", self._answer)
        self.body, self.status = body, status
        self.get = GetAdapter(client)

    def _answer(self, request: Any, **_: Any) -> AWSResponse:
        raw = BytesIO(self.body)
        raw.stream = lambda *_, **__: iter([raw.read()])  # type: ignore[attr-defined]
        return AWSResponse(request.url, self.status, {"content-type": "application/x-amz-json-1.1"}, raw)


def answer(*records: Any, **members: Any) -> bytes:
    return json.dumps({"Records": records, **members}).encode()


@pytest.fixture(scope="module")
def wire() -> Wire:
    return Wire(answer())


RECORDS = st.lists(
    st.builds(
        RawRecord,
        st.integers(0, 2**186).map(str),
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20),
        st.binary(max_size=100),
        st.floats(0, 4e9) | st.integers(0, 4_000_000_000).map(float),
    ),
    max_size=5,
)


@given(RECORDS, st.booleans(), st.sampled_from([None, 2]))
def test_records_are_read_as_they_were_written(
    wire: Wire, records: list[RawRecord], ascii_only: bool, indent: int | None
) -> None:
    # Given an answer with members in any order, escaped or not, and with some that nobody asks for
    told = [
        {
            "EncryptionType": "KMS",
            "ApproximateArrivalTimestamp": int(at) if at == int(at) else at,
            "Data": b64encode(data).decode(),
            "SequenceNumber": number,
            "PartitionKey": key,
        }
        for number, key, data, at in records
    ]
    body = {"MillisBehindLatest": 7, "Extra": {"Records": []}, "Records": told, "NextShardIterator": "next"}
    wire.body = json.dumps(body, ensure_ascii=ascii_only, indent=indent).encode()
    # When, then
    assert wire.get("iterator", 10) == (records, "next", 7, ())


def test_base64_with_escaped_slashes(wire: Wire) -> None:
    # Given the one character of base64 that JSON may escape
    data = b"\xff\xff\xfe???"
    wire.body = answer({**RECORD, "Data": "-"}).replace(b'"-"', b'"' + b64encode(data).replace(b"/", rb"\/") + b'"')
    assert rb"\/" in wire.body
    # When, then
    assert wire.get("iterator", 1).records == [READ._replace(data=data)]


@pytest.mark.parametrize("closed", [{}, {"NextShardIterator": None, "MillisBehindLatest": None, "ChildShards": None}])
def test_members_that_are_not_there(wire: Wire, closed: dict[str, None]) -> None:
    wire.body = answer(RECORD, **closed)
    assert wire.get("iterator", 1) == ([READ], None, None, ())


def test_the_children_of_a_closed_shard(wire: Wire) -> None:
    children = [{"ShardId": name, "ParentShards": ["p"], "HashKeyRange": {}} for name in ("a", "b")]
    wire.body = answer(ChildShards=children)
    assert wire.get("iterator", 1) == ([], None, None, ("a", "b"))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        answer(RECORD)[:-9],  # cut
        b"{}",
        answer({**RECORD, "Data": "c2VjcmV0!"}),
        answer({name: value for name, value in RECORD.items() if name != "ApproximateArrivalTimestamp"}),
        answer({**RECORD, "PartitionKey": None, "Data": b64encode(b"secret").decode()}),
    ],
)
def test_an_answer_that_cannot_be_read_is_for_another_try_and_tells_nobodys_data(body: bytes) -> None:
    with pytest.raises(Unavailable) as raised:
        Wire(body).get("iterator", 1)
    told = f"{raised.value} {raised.value.__cause__}"
    assert "c2VjcmV0" not in told


def test_an_answer_that_says_no_is_botocores() -> None:
    with pytest.raises(ClientError, match="ExpiredIteratorException"):
        Wire(b'{"__type":"ExpiredIteratorException","message":"m"}', 400).get("iterator", 1)
