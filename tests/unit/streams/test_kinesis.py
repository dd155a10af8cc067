"""The Kinesis adapter: against moto where it knows the call, against botocore's Stubber for pages and errors."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError, ReadTimeoutError
from botocore.stub import Stubber
from moto import mock_aws

from weir.runtime.errors import Invalid, TooManyRequests, Unavailable, UpstreamFailed, WeirError
from weir.streams.errors import (
    IteratorExpired,
    KeyUnusable,
    ShardNotFound,
    StreamBusy,
    StreamExists,
    StreamNotFound,
    StreamQuotaExceeded,
)
from weir.streams.kinesis import Kinesis
from weir.streams.lifecycle import stream_of
from weir.streams.models import StreamSpec

SPEC = StreamSpec(name="orders", shard_count=3)
TAGS = {"weir:managed": "true", "team": "a"}


def new_client() -> Any:
    return boto3.client("kinesis", "eu-west-1", aws_access_key_id="a", aws_secret_access_key="b")


@pytest.fixture
def kinesis() -> Iterator[Kinesis]:
    with mock_aws():
        yield Kinesis(new_client())


@pytest.fixture
def stub() -> Iterator[tuple[Kinesis, Stubber]]:
    client = new_client()
    with Stubber(client) as stubber:
        yield Kinesis(client), stubber
        stubber.assert_no_pending_responses()


def test_a_stream_is_created_and_described(kinesis: Kinesis) -> None:
    # Given a stream (whose tags moto drops at create, so they are added)
    kinesis.create(SPEC, TAGS)
    kinesis.add_tags("orders", TAGS)

    # When it is described
    stream = stream_of(kinesis.summary("orders"), kinesis.tags("orders"))

    # Then account and region are those of its real ARN, and the tags are there
    assert stream.arn == "arn:aws:kinesis:eu-west-1:123456789012:stream/orders"
    assert (stream.account_id, stream.region) == ("123456789012", "eu-west-1")
    assert (stream.status, stream.mode, stream.open_shard_count) == ("ACTIVE", "PROVISIONED", 3)
    assert stream.tags == TAGS
    assert kinesis.region == "eu-west-1"


def test_an_on_demand_stream(kinesis: Kinesis) -> None:
    kinesis.create(StreamSpec(name="wide", mode="ON_DEMAND"), TAGS)
    assert kinesis.summary("wide")["StreamModeDetails"]["StreamMode"] == "ON_DEMAND"


def test_a_taken_name_is_a_stream_that_exists(kinesis: Kinesis) -> None:
    kinesis.create(SPEC, TAGS)
    with pytest.raises(StreamExists):
        kinesis.create(SPEC, TAGS)


def test_shards_cover_all_hash_keys(kinesis: Kinesis) -> None:
    # Given a stream of three shards, When they are listed one at a time
    kinesis.create(SPEC, TAGS)
    found = list(kinesis.shards("orders"))

    # Then their ranges are all hash keys without a gap
    assert [shard.open for shard in found] == [True] * 3
    bounds = [(int(shard.starting_hash_key), int(shard.ending_hash_key)) for shard in found]
    assert bounds[0][0] == 0
    assert bounds[-1][1] == 2**128 - 1
    assert all(before[1] + 1 == behind[0] for before, behind in pairwise(bounds))


def test_tags_are_added_and_removed(kinesis: Kinesis) -> None:
    kinesis.create(SPEC, TAGS)
    kinesis.add_tags("orders", {"x": "1", "team": "b"})
    kinesis.remove_tags("orders", ["weir:managed", "never-there"])
    assert kinesis.tags("orders") == {"x": "1", "team": "b"}


def test_retention_encryption_metrics_and_mode_change(kinesis: Kinesis) -> None:
    # Given a stream, When each of its settings is changed
    kinesis.create(SPEC, TAGS)
    kinesis.increase_retention("orders", 48)
    kinesis.decrease_retention("orders", 36)
    kinesis.start_encryption("orders", "alias/aws/kinesis")
    kinesis.enable_metrics("orders", ["IncomingBytes", "OutgoingBytes"])
    kinesis.disable_metrics("orders", ["OutgoingBytes"])
    kinesis.update_shard_count("orders", 6)
    changed = stream_of(kinesis.summary("orders"), {})

    # Then Kinesis tells the new values
    assert (changed.retention_hours, changed.encryption.key_id) == (36, "alias/aws/kinesis")
    assert changed.shard_level_metrics == ("IncomingBytes",)
    assert changed.open_shard_count == 6
    kinesis.stop_encryption("orders", "alias/aws/kinesis")
    kinesis.update_mode("orders", changed.arn, "ON_DEMAND")
    again = stream_of(kinesis.summary("orders"), {})
    assert (again.encryption.type, again.mode) == ("NONE", "ON_DEMAND")


def test_a_deleted_stream_is_not_found(kinesis: Kinesis) -> None:
    kinesis.create(SPEC, TAGS)
    kinesis.delete("orders")
    with pytest.raises(StreamNotFound):
        kinesis.summary("orders")


def test_records_are_read_from_a_position(kinesis: Kinesis) -> None:
    # Given a record on a stream of one shard
    kinesis.create(StreamSpec(name="one", shard_count=1), TAGS)
    new_client().put_record(StreamName="one", Data=b"hello", PartitionKey="k")
    shard = next(iter(kinesis.shards("one"))).shard_id

    # When it is read from the beginning
    answer = kinesis.get_records(kinesis.iterator("one", shard, "TRIM_HORIZON"), 10, about="one")

    # Then it is as it was written, and its arrival is epoch seconds
    (record,) = answer.records
    assert (record.partition_key, record.data) == ("k", b"hello")
    assert abs(record.arrived_at - datetime.now(UTC).timestamp()) < 60
    assert answer.next_iterator is not None

    # And behind its sequence number, or in the future, there is nothing
    after = kinesis.iterator("one", shard, "AFTER_SEQUENCE_NUMBER", sequence=record.sequence_number)
    assert kinesis.get_records(after, 10, about="one").records == []
    later = kinesis.iterator("one", shard, "AT_TIMESTAMP", timestamp=datetime.now(UTC) + timedelta(hours=1))
    assert kinesis.get_records(later, 10, about="one").records == []


def test_an_unknown_shard_is_not_found(kinesis: Kinesis) -> None:
    kinesis.create(SPEC, TAGS)
    with pytest.raises(ShardNotFound):
        kinesis.iterator("orders", "shardId-000000000099", "TRIM_HORIZON")


def test_tags_go_with_create_so_that_the_stream_is_never_without(stub: tuple[Kinesis, Stubber]) -> None:
    # Given a Kinesis that expects mode, count and tags in one call, When streams are created, Then that is what it gets
    kinesis, stubber = stub
    provisioned = {"StreamModeDetails": {"StreamMode": "PROVISIONED"}, "ShardCount": 3}
    stubber.add_response("create_stream", {}, {"StreamName": "orders", "Tags": TAGS, **provisioned})
    kinesis.create(SPEC, TAGS)
    on_demand = {"StreamModeDetails": {"StreamMode": "ON_DEMAND"}}
    stubber.add_response("create_stream", {}, {"StreamName": "wide", "Tags": TAGS, **on_demand})
    kinesis.create(StreamSpec(name="wide", mode="ON_DEMAND"), TAGS)


def test_all_streams_are_listed_over_all_pages(stub: tuple[Kinesis, Stubber]) -> None:
    # Given three pages of streams, the last of them empty
    kinesis, stubber = stub
    pages = [["a", "b"], ["c"], []]
    asked: dict[str, Any] = {"Limit": 100}
    for number, names in enumerate(pages):
        told = {
            "StreamNames": names,
            "HasMoreStreams": number < 2,
            "StreamSummaries": [summary(name) for name in names],
        }
        stubber.add_response("list_streams", told, dict(asked))
        asked["ExclusiveStartStreamName"] = names[-1] if names else ""

    # When they are listed, Then each comes once
    assert [item["StreamName"] for item in kinesis.list_streams()] == ["a", "b", "c"]


def summary(name: str) -> dict[str, Any]:
    return {"StreamName": name, "StreamARN": f"arn:aws:kinesis:eu-west-1:1:stream/{name}", "StreamStatus": "ACTIVE"}


def shard_item(number: int, **more: Any) -> dict[str, Any]:
    return {
        "ShardId": f"shardId-{number:012d}",
        "HashKeyRange": {"StartingHashKey": "0", "EndingHashKey": "1"},
        "SequenceNumberRange": {"StartingSequenceNumber": "1", **more},
    }


def test_shards_follow_next_token_and_go_on_behind_a_full_page(stub: tuple[Kinesis, Stubber]) -> None:
    # Given a first page that Kinesis cut with a token
    kinesis, stubber = stub
    stubber.add_response(
        "list_shards",
        {"Shards": [shard_item(0, EndingSequenceNumber="9")], "NextToken": "t"},
        {"StreamName": "s", "MaxResults": 2},
    )
    stubber.add_response("list_shards", {"Shards": [shard_item(1)]}, {"NextToken": "t", "MaxResults": 1})

    # When a page of two is asked for, Then both pages make it, and the closed shard is told as closed
    page = kinesis.shard_page("s", after=None, limit=2)
    assert [(shard.shard_id[-1], shard.open) for shard in page] == [("0", False), ("1", True)]

    # And the next page begins behind the last shard
    stubber.add_response(
        "list_shards",
        {"Shards": []},
        {"StreamName": "s", "MaxResults": 2, "ExclusiveStartShardId": "shardId-000000000001"},
    )
    assert kinesis.shard_page("s", after=page[-1].shard_id, limit=2) == []


def test_tags_follow_their_pages(stub: tuple[Kinesis, Stubber]) -> None:
    kinesis, stubber = stub
    stubber.add_response(
        "list_tags_for_stream", {"Tags": [{"Key": "a", "Value": "1"}], "HasMoreTags": True}, {"StreamName": "s"}
    )
    stubber.add_response(
        "list_tags_for_stream",
        {"Tags": [{"Key": "b"}], "HasMoreTags": False},
        {"StreamName": "s", "ExclusiveStartTagKey": "a"},
    )
    assert kinesis.tags("s") == {"a": "1", "b": ""}


def test_a_lean_answer_is_what_botocore_would_read(kinesis: Kinesis) -> None:
    # Given records of every kind on a stream of one shard
    kinesis.create(StreamSpec(name="one", shard_count=1), TAGS)
    plain = new_client()
    for number, data in enumerate((b"", b"text", bytes(range(256)), b"x" * 100_000)):
        plain.put_record(StreamName="one", Data=data, PartitionKey=f"naïve-{number}")
    iterator = kinesis.iterator("one", "shardId-000000000000", "TRIM_HORIZON")

    # When they are read lean, and by botocore alone with the same client, in between and after
    lean = kinesis.get_records(iterator, 10, about="one")
    whole = kinesis._client.get_records(ShardIterator=iterator, Limit=10)
    again = kinesis.get_records(iterator, 10, about="one")

    # Then both say the same
    assert [
        (item["SequenceNumber"], item["PartitionKey"], item["Data"], item["ApproximateArrivalTimestamp"].timestamp())
        for item in whole["Records"]
    ] == lean.records
    assert again.records == lean.records
    assert lean.millis_behind == whole["MillisBehindLatest"]
    assert lean.next_iterator is not None


def test_a_closed_shard_ends_with_its_children(stub: tuple[Kinesis, Stubber]) -> None:
    kinesis, stubber = stub
    children = [
        {"ShardId": name, "ParentShards": ["p"], "HashKeyRange": {"StartingHashKey": "0", "EndingHashKey": "1"}}
        for name in ("a", "b")
    ]
    stubber.add_response("get_records", {"Records": [], "MillisBehindLatest": 0, "ChildShards": children})
    answer = kinesis.get_records("i", 10, about="s")
    assert (answer.next_iterator, answer.child_shard_ids) == (None, ("a", "b"))


@pytest.mark.parametrize(
    ("operation", "code", "message", "expected"),
    [
        ("summary", "ResourceNotFoundException", "Stream s under account 1 not found.", StreamNotFound),
        ("iterator", "ResourceNotFoundException", "Shard x in stream s under account 1 does not exist", ShardNotFound),
        ("create", "ResourceInUseException", "Stream s already exists.", StreamExists),
        ("create", "LimitExceededException", "You already have 5 streams in CREATING.", StreamQuotaExceeded),
        ("create", "LimitExceededException", "Rate exceeded for CreateStream", TooManyRequests),
        ("create", "InvalidArgumentException", "ShardCount is wrong", Invalid),
        ("delete", "ResourceInUseException", "Stream s is CREATING", StreamBusy),
        ("encrypt", "KMSDisabledException", "arn:aws:kms:secret", KeyUnusable),
        ("encrypt", "KMSNotFoundException", "arn:aws:kms:secret", KeyUnusable),
        ("encrypt", "KMSThrottlingException", "slow", TooManyRequests),
        ("get", "ExpiredIteratorException", "Iterator expired.", IteratorExpired),
        ("get", "ProvisionedThroughputExceededException", "Rate exceeded for shard", TooManyRequests),
        ("summary", "AccessDeniedException", "User: arn:aws:sts::1:x is not authorized", UpstreamFailed),
        ("summary", "InternalFailure", "", Unavailable),
    ],
)
def test_every_failure_means_one_thing(
    stub: tuple[Kinesis, Stubber], operation: str, code: str, message: str, expected: type[WeirError]
) -> None:
    # Given a Kinesis that answers with an error
    kinesis, stubber = stub
    calls = {
        "summary": ("describe_stream_summary", lambda: kinesis.summary("s")),
        "iterator": ("get_shard_iterator", lambda: kinesis.iterator("s", "x", "LATEST")),
        "create": ("create_stream", lambda: kinesis.create(SPEC, TAGS)),
        "delete": ("delete_stream", lambda: kinesis.delete("s")),
        "encrypt": ("start_stream_encryption", lambda: kinesis.start_encryption("s", "k")),
        "get": ("get_records", lambda: kinesis.get_records("i", 1, about="s")),
    }
    method, call = calls[operation]
    stubber.add_client_error(method, code, message, 400)

    # When it is called, Then the error is the one of the domain, and says how long to wait where waiting helps
    with pytest.raises(expected) as raised:
        call()
    assert type(raised.value) is expected
    assert "arn:" not in raised.value.detail
    assert (raised.value.retry_after is not None) == isinstance(
        raised.value, TooManyRequests | StreamBusy | Unavailable | StreamQuotaExceeded
    )


DENIED = ("delete_stream", "AccessDeniedException", "User: arn:aws:sts::1:x is not authorized", 400)


def test_a_stream_that_is_gone_is_not_found_though_its_deletion_is_denied(stub: tuple[Kinesis, Stubber]) -> None:
    # Given a right to delete that hangs on tags, and a stream that went, and its tags with it
    kinesis, stubber = stub
    stubber.add_client_error(*DENIED)
    stubber.add_client_error("list_tags_for_stream", "ResourceNotFoundException", "Stream s not found.", 400)
    # When it is deleted, Then it is not found
    with pytest.raises(StreamNotFound):
        kinesis.delete("s")


def test_a_stream_that_is_there_and_may_not_be_deleted_is_no_missing_one(stub: tuple[Kinesis, Stubber]) -> None:
    kinesis, stubber = stub
    stubber.add_client_error(*DENIED)
    stubber.add_response("list_tags_for_stream", {"Tags": [], "HasMoreTags": False})
    with pytest.raises(UpstreamFailed):
        kinesis.delete("s")


@pytest.mark.parametrize(
    "lost",
    [EndpointConnectionError(endpoint_url="https://kinesis"), ReadTimeoutError(endpoint_url="https://kinesis")],
)
def test_no_answer_is_unavailable(lost: Exception) -> None:
    # Given a Kinesis that can't be reached, or never answers
    client = new_client()

    def lose(**_: Any) -> None:
        raise lost

    client.meta.events.register("before-send.kinesis.*", lose)

    # When it is called, Then that is temporary
    with pytest.raises(Unavailable):
        Kinesis(client).tags("s")


def test_a_mistake_of_ours_is_not_dressed_up_as_an_aws_failure() -> None:
    class Broken:
        def describe_stream_summary(self, **_: Any) -> None:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Kinesis(Broken()).summary("s")
