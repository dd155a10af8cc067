"""The KPL's format, held against golden bytes, AWS's own package, and damage."""

from base64 import b64encode
from hashlib import md5
from typing import Any

import pytest
from aws_kinesis_agg.aggregator import RecordAggregator
from aws_kinesis_agg.deaggregator import iter_deaggregate_records
from hypothesis import given
from hypothesis import strategies as st

from weir.streams.aggregation import MAGIC, RECORD_OVERHEAD, Aggregate, aggregate, deaggregate, is_aggregated
from weir.streams.entries import Entry

KEYS = st.text(min_size=1, max_size=12).filter(lambda text: text.isprintable())
HASHES = st.none() | st.integers(0, 2**128 - 1).map(str)
ENTRIES = st.lists(st.builds(Entry, KEYS, st.binary(max_size=300), HASHES, st.none()), min_size=1, max_size=40)

# Two records of one key, the second with an explicit hash key, written out by the format's description.
GOLDEN_BODY = (
    b"\x0a\x01k"  # partition_key_table[0] = "k"
    b"\x12\x0242"  # explicit_hash_key_table[0] = "42"
    b"\x1a\x06\x08\x00\x1a\x02hi"  # key 0, data "hi"
    b"\x1a\x07\x08\x00\x10\x00\x1a\x01!"  # key 0, hash key 0, data "!"
)
GOLDEN = MAGIC + GOLDEN_BODY + md5(GOLDEN_BODY).digest()


def test_writes_the_bytes_that_the_format_describes() -> None:
    assert aggregate([Entry("k", b"hi"), Entry("k", b"!", "42")]) == GOLDEN


def test_reads_the_bytes_that_the_format_describes() -> None:
    assert deaggregate(GOLDEN) == [("k", None, b"hi"), ("k", "42", b"!")]


@given(ENTRIES)
def test_what_is_aggregated_comes_back(entries: list[Entry]) -> None:
    # Given, when
    data = aggregate(entries)
    # Then
    assert is_aggregated(data)
    assert deaggregate(data) == [(entry.partition_key, entry.explicit_hash_key, entry.data) for entry in entries]
    # And the overhead stays below what the packer counts with
    texts = {entry.partition_key for entry in entries} | {str(entry.explicit_hash_key) for entry in entries}
    most = sum(len(entry.data) + RECORD_OVERHEAD for entry in entries) + sum(len(text.encode()) for text in texts)
    assert len(data) <= most + len(MAGIC) + 16


@given(ENTRIES)
def test_an_aggregate_knows_the_bytes_of_its_data(entries: list[Entry]) -> None:
    record = Aggregate()
    record.extend(entries)
    assert record.data_bytes == sum(len(entry.data) for entry in entries)


@pytest.mark.parametrize("size", [0, 1, 127, 128, 16_383, 16_384, 70_000, 1_000_000])
def test_every_length_of_varint(size: int) -> None:
    data = aggregate([Entry("k", b"x" * size), Entry("l", b"")])
    assert deaggregate(data) == [("k", None, b"x" * size), ("l", None, b"")]


def test_many_keys_need_longer_indexes() -> None:
    entries = [Entry(f"key-{n}", b"x", str(n)) for n in range(20_000)]
    assert deaggregate(aggregate(entries)) == [(entry[0], entry[2], entry[1]) for entry in entries]


@given(ENTRIES)
def test_aws_kinesis_agg_reads_what_we_write(entries: list[Entry]) -> None:
    # Given: that package takes hash key 0 where a record has none, so all have one or none has
    explicit = "7" if entries[0].explicit_hash_key else None
    entries = [entry._replace(explicit_hash_key=explicit) for entry in entries]
    # When
    read = list(iter_deaggregate_records([lambda_record(aggregate(entries))]))
    # Then
    assert [(one["kinesis"]["partitionKey"], one["kinesis"]["explicitHashKey"]) for one in read] == [
        (entry.partition_key, entry.explicit_hash_key) for entry in entries
    ]
    assert [one["kinesis"]["data"] for one in read] == [b64encode(entry.data) for entry in entries]


@given(ENTRIES)
def test_we_read_what_aws_kinesis_agg_writes(entries: list[Entry]) -> None:
    # Given
    aggregator = RecordAggregator()
    for entry in entries:
        aggregator.add_user_record(entry.partition_key, entry.data, entry.explicit_hash_key)
    # When
    _, _, data = aggregator.clear_and_get().get_contents()
    # Then they are the same records, and even the same bytes
    assert deaggregate(data) == [(entry.partition_key, entry.explicit_hash_key, entry.data) for entry in entries]
    assert aggregate(entries) == data


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"plain",
        MAGIC,
        MAGIC + b"x" * 16,
        GOLDEN[:-1],
        GOLDEN[:-1] + bytes([GOLDEN[-1] ^ 1]),  # digest
        GOLDEN[:6] + b"?" + GOLDEN[7:],  # body
    ],
)
def test_anything_else_is_a_record_itself(data: bytes) -> None:
    assert not is_aggregated(data)
    assert deaggregate(data, "key") == [("key", None, data)]


def sealed(body: bytes) -> bytes:
    return MAGIC + body + md5(body).digest()


@pytest.mark.parametrize(
    "body",
    [
        b"\x1a\x04\x08\x00\x1a\x00",  # a key index without a table
        b"\x0a\x01k\x1a\x02\x08\x00",  # no data
        b"\x0a\x01k\x1a\x02\x1a\x00",  # no key
        b"\x0a\x01k\x1a\x06\x08\x00\x1a\x09hi",  # data longer than its record
        b"\x0a\x7fk",  # a key longer than the message
        b"\x0a\x01\xff\x1a\x04\x08\x00\x1a\x00",  # a key that is not UTF-8
        b"\x0a\x01k\x1a\x06\x08\x00\x10\x00\x1a\x00",  # a hash key index without a table
        b"\x08" + b"\xff" * 11,  # a varint without an end
        b"\x0a",  # cut after a tag
        b"\x0b\x00",  # a group, which protobuf gave up
    ],
)
def test_a_broken_protobuf_is_a_record_itself(body: bytes) -> None:
    assert is_aggregated(sealed(body))
    assert deaggregate(sealed(body), "key") == [("key", None, sealed(body))]


@given(st.binary(max_size=60))
def test_no_bytes_make_the_reader_fail(body: bytes) -> None:
    data = sealed(body)
    records = deaggregate(data, "key")
    assert all(isinstance(key, str) and isinstance(piece, bytes) for key, _, piece in records)


def test_fields_that_we_do_not_know_are_passed_over() -> None:
    # Given a message with fields of every wire type, and a record with tags, as later KPLs may write
    record = b"\x08\x00\x1a\x02hi" + b"\x22\x03\x0a\x01t" + b"\x29" + b"\x00" * 8 + b"\x35" + b"\x00" * 4
    body = b"\x20\x96\x01" + b"\x0a\x01k" + b"\x1a" + bytes([len(record)]) + record
    # When, then
    assert deaggregate(sealed(body)) == [("k", None, b"hi")]


def lambda_record(data: bytes) -> dict[str, Any]:
    """A Kinesis record as Lambda hands it over, which is what the package reads."""
    return {
        "kinesis": {
            "kinesisSchemaVersion": "1.0",
            "sequenceNumber": "1",
            "approximateArrivalTimestamp": 1.0,
            "partitionKey": "outer",
            "data": b64encode(data),
        }
    }
