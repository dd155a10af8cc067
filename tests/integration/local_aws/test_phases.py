"""Streams on the local AWS take their time, and are refused what they are refused on AWS."""

from typing import Any

import pytest
from botocore.exceptions import ClientError


def status(client: Any, stream: str) -> str:
    summary = client("kinesis").describe_stream_summary(StreamName=stream)["StreamDescriptionSummary"]
    return str(summary["StreamStatus"])


def code(error: "pytest.ExceptionInfo[ClientError]") -> str:
    return str(error.value.response["Error"]["Code"])


def test_a_stream_is_created_written_updated_and_deleted_in_its_time(client: Any, name: str, settled: Any) -> None:
    kinesis, record = client("kinesis"), {"StreamName": name, "Data": b"x", "PartitionKey": "k"}
    # Given a stream being created
    kinesis.create_stream(StreamName=name, ShardCount=1)
    assert status(client, name) == "CREATING"
    # When it is written to or deleted before it is active
    with pytest.raises(ClientError) as unwritten:
        kinesis.put_record(**record)
    with pytest.raises(ClientError) as undeleted:
        kinesis.delete_stream(StreamName=name)
    # Then it is not there yet, and in use
    assert (code(unwritten), code(undeleted)) == ("ResourceNotFoundException", "ResourceInUseException")

    # And when it is updated, then it takes records, but no second change
    assert settled(name) == "ACTIVE"
    kinesis.increase_stream_retention_period(StreamName=name, RetentionPeriodHours=48)
    assert status(client, name) == "UPDATING"
    kinesis.put_record(**record)
    with pytest.raises(ClientError) as unchanged:
        kinesis.update_shard_count(StreamName=name, TargetShardCount=2, ScalingType="UNIFORM_SCALING")
    assert code(unchanged) == "ResourceInUseException"

    # And when it is deleted, then it is DELETING, keeps its name, and then is gone
    assert settled(name) == "ACTIVE"
    kinesis.delete_stream(StreamName=name)
    assert status(client, name) == "DELETING"
    with pytest.raises(ClientError) as taken:
        kinesis.create_stream(StreamName=name, ShardCount=1)
    assert code(taken) == "ResourceInUseException"
    assert settled(name) == "GONE"
    assert name not in kinesis.list_streams()["StreamNames"]


def test_a_stream_with_consumers_is_deleted_only_when_told_to(client: Any, stream: str) -> None:
    # Given a stream with a registered consumer
    kinesis = client("kinesis")
    arn = kinesis.describe_stream_summary(StreamName=stream)["StreamDescriptionSummary"]["StreamARN"]
    kinesis.register_stream_consumer(StreamARN=arn, ConsumerName="reader")
    # When it is deleted without enforcing
    with pytest.raises(ClientError) as refused:
        kinesis.delete_stream(StreamName=stream)
    # Then it stays; enforcing deletes it
    assert code(refused) == "ResourceInUseException"
    kinesis.delete_stream(StreamName=stream, EnforceConsumerDeletion=True)
    assert status(client, stream) == "DELETING"


def test_a_shard_takes_a_thousand_records_a_second(client: Any, stream: str, switch: Any) -> None:
    # Given an emulator that enforces the quotas of shards
    switch("shard_quota", "on")
    kinesis = client("kinesis")
    records = [{"Data": b"x", "PartitionKey": str(i)} for i in range(500)]
    # When five times 500 records are put as fast as possible
    answers = [kinesis.put_records(StreamName=stream, Records=records) for _ in range(5)]
    # Then at least 1,000 are taken, some are refused record by record, and each outcome stands at its place
    outcomes = [outcome for answer in answers for outcome in answer["Records"]]
    refused = [outcome for outcome in outcomes if "ErrorCode" in outcome]
    assert len(outcomes) == 2500
    assert sum("SequenceNumber" in outcome for outcome in outcomes) >= 1000
    assert {outcome["ErrorCode"] for outcome in refused} == {"ProvisionedThroughputExceededException"}
    assert sum(answer["FailedRecordCount"] for answer in answers) == len(refused) > 0


def test_a_shard_gives_five_reads_a_second(client: Any, stream: str, switch: Any) -> None:
    # Given an emulator that enforces the quotas of shards
    switch("shard_quota", "on")
    kinesis = client("kinesis")
    where = {"StreamName": stream, "ShardId": "shardId-000000000000", "ShardIteratorType": "TRIM_HORIZON"}
    iterator = kinesis.get_shard_iterator(**where)["ShardIterator"]

    # When it is read twelve times at once
    def read_on() -> None:
        for _ in range(12):
            kinesis.get_records(ShardIterator=iterator)

    with pytest.raises(ClientError) as refused:
        read_on()
    # Then it is throttled
    assert code(refused) == "ProvisionedThroughputExceededException"
