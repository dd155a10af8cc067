"""What is refused before anything is asked of AWS."""

import base64
from typing import Any

import pytest
from pydantic import ValidationError

from weir.streams.models import Encryption, PutRequest, RecordIn, StreamPatch, StreamSpec

TEXT = {"encoding": "text", "data": "x", "partition_key": "k"}


def refused_field(model: type[Any], **values: Any) -> str:
    with pytest.raises(ValidationError) as refused:
        model(**values)
    return ".".join(str(part) for part in refused.value.errors()[0]["loc"])


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"name": "a/b", "shard_count": 1}, "name"),
        ({"name": "", "shard_count": 1}, "name"),
        ({"name": "n" * 129, "shard_count": 1}, "name"),
        ({"name": "a\n", "shard_count": 1}, "name"),
        ({"name": "a"}, "shard_count"),
        ({"name": "a", "shard_count": 0}, "shard_count"),
        ({"name": "a", "mode": "ON_DEMAND", "shard_count": 2}, "shard_count"),
        ({"name": "a", "shard_count": 1, "retention_hours": 23}, "retention_hours"),
        ({"name": "a", "shard_count": 1, "retention_hours": 8761}, "retention_hours"),
        ({"name": "a", "shard_count": 1, "expires_in": 59}, "expires_in"),
        ({"name": "a", "shard_count": 1, "expires_in": 2_592_001}, "expires_in"),
        ({"name": "a", "shard_count": 1, "encryption": {"type": "NONE", "key_id": "k"}}, "encryption.key_id"),
        ({"name": "a", "shard_count": 1, "tags": {"weir:managed": "false"}}, "tags.weir:managed.[key]"),
        ({"name": "a", "shard_count": 1, "tags": {"AWS:x": "1"}}, "tags.AWS:x.[key]"),
        ({"name": "a", "shard_count": 1, "tags": {"x": "a;b"}}, "tags.x"),
        ({"name": "a", "shard_count": 1, "surprise": 1}, "surprise"),
    ],
)
def test_a_wrong_stream_is_refused_by_its_field(wrong: dict[str, Any], field: str) -> None:
    # Given a spec with one wrong field, When it is read, Then that field is named
    assert refused_field(StreamSpec, **wrong) == field


def test_kms_without_a_key_means_the_key_that_aws_manages() -> None:
    assert Encryption(type="KMS").key_id == "alias/aws/kinesis"
    assert Encryption().key_id is None


def test_an_empty_patch_is_refused() -> None:
    with pytest.raises(ValidationError, match="at least one of"):
        StreamPatch()


def test_turning_all_shard_level_metrics_off_is_something_to_do() -> None:
    assert StreamPatch(shard_level_metrics=()).shard_level_metrics == ()


def test_data_is_what_its_encoding_says_and_never_guessed() -> None:
    # Given text that looks like base64
    text = base64.b64encode(b"hello").decode()

    # When it is sent as text and as base64, Then each is taken at its word
    assert RecordIn(encoding="text", data=text, partition_key="k").payload() == text.encode()
    assert RecordIn(encoding="base64", data=text, partition_key="k").payload() == b"hello"


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"encoding": "base64", "data": "not base64!", "partition_key": "k"}, "data"),
        ({"encoding": "base64", "data": "aGk", "partition_key": "k"}, "data"),
        ({"encoding": "text", "data": "\ud800", "partition_key": "k"}, "data"),
        ({"data": "x", "partition_key": "k"}, "encoding"),
        ({"encoding": "text", "data": "x", "partition_key": ""}, "partition_key"),
        ({"encoding": "text", "data": "x", "partition_key": "k" * 257}, "partition_key"),
        (
            {"encoding": "text", "data": "x", "partition_key": "k", "explicit_hash_key": str(2**128)},
            "explicit_hash_key",
        ),
        ({"encoding": "text", "data": "x", "partition_key": "k", "explicit_hash_key": "-1"}, "explicit_hash_key"),
        ({"encoding": "text", "data": "x", "partition_key": "k", "explicit_hash_key": "007"}, "explicit_hash_key"),
    ],
)
def test_a_wrong_record_is_refused_by_its_field(wrong: dict[str, Any], field: str) -> None:
    assert refused_field(RecordIn, **wrong) == field


def test_the_largest_explicit_hash_key_is_taken() -> None:
    record = RecordIn(encoding="text", data="", partition_key="k", explicit_hash_key=str(2**128 - 1))
    assert record.explicit_hash_key == str(2**128 - 1)


def test_a_request_is_at_most_500_records_and_10_mib_with_keys() -> None:
    # Given records that are each allowed
    small = {"encoding": "text", "data": "x", "partition_key": "k"}
    large = {"encoding": "text", "data": "x" * (1024 * 1024), "partition_key": "k"}

    # When too many, too much, or none are sent, Then the request is refused
    assert refused_field(PutRequest, records=[small] * 501) == "records"
    assert refused_field(PutRequest, records=[]) == "records"
    assert refused_field(PutRequest, records=[large] * 10) == "records"  # 10 MiB of data, and the keys on top
    assert len(PutRequest(records=[small] * 500).records) == 500
