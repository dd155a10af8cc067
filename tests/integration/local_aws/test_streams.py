"""Kinesis on the local AWS: tags, quotas, resharding, metrics."""

import itertools
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

MIB = 1024 * 1024


def put(client: Any, stream: str, count: int, size: int = 100) -> list[dict[str, Any]]:
    records = [{"Data": b"x" * size, "PartitionKey": str(index)} for index in range(count)]
    outcome: list[dict[str, Any]] = client("kinesis").put_records(StreamName=stream, Records=records)["Records"]
    return outcome


def read_all(client: Any, stream: str, shard_id: str) -> tuple[int, list[dict[str, Any]]]:
    """Records of a shard and, when it is closed, its children."""
    kinesis = client("kinesis")
    where = {"StreamName": stream, "ShardId": shard_id, "ShardIteratorType": "TRIM_HORIZON"}
    iterator, total = kinesis.get_shard_iterator(**where)["ShardIterator"], 0
    for _ in range(20):
        page = kinesis.get_records(ShardIterator=iterator)
        total += len(page["Records"])
        if "NextShardIterator" not in page or (not page["Records"] and not page["MillisBehindLatest"]):
            return total, page.get("ChildShards", [])
        iterator = page["NextShardIterator"]
    raise AssertionError("The shard does not end")


def test_tags_given_at_create_are_kept(client: Any, name: str, settled: Any) -> None:
    # Given a stream created with tags
    kinesis = client("kinesis")
    kinesis.create_stream(StreamName=name, ShardCount=1, Tags={"weir:managed": "true"})
    # When its tags are listed
    tags = kinesis.list_tags_for_stream(StreamName=name)["Tags"]
    settled(name)
    kinesis.delete_stream(StreamName=name)
    # Then they are there
    assert tags == [{"Key": "weir:managed", "Value": "true"}]


def test_an_on_demand_stream_opens_four_shards(client: Any, name: str, settled: Any) -> None:
    # Given an on-demand stream
    kinesis = client("kinesis")
    kinesis.create_stream(StreamName=name, StreamModeDetails={"StreamMode": "ON_DEMAND"})
    # When it is described
    settled(name)
    summary = kinesis.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]
    kinesis.delete_stream(StreamName=name)
    # Then it has the shards that AWS starts with
    assert summary["OpenShardCount"] == 4
    assert summary["StreamModeDetails"] == {"StreamMode": "ON_DEMAND"}


def test_limits_count_what_is_open(client: Any, stream: str) -> None:
    # Given a stream of one shard
    before = client("kinesis").describe_limits()
    # When it doubles
    client("kinesis").update_shard_count(StreamName=stream, TargetShardCount=2, ScalingType="UNIFORM_SCALING")
    after = client("kinesis").describe_limits()
    # Then the closed parent does not count
    assert after["OpenShardCount"] == before["OpenShardCount"] + 1
    assert after["ShardLimit"] > after["OpenShardCount"]


def test_the_mode_can_be_switched(client: Any, stream: str) -> None:
    # Given a provisioned stream
    kinesis = client("kinesis")
    arn = kinesis.describe_stream_summary(StreamName=stream)["StreamDescriptionSummary"]["StreamARN"]
    # When its mode is switched
    kinesis.update_stream_mode(StreamARN=arn, StreamModeDetails={"StreamMode": "ON_DEMAND"})
    # Then the summary tells the new one
    summary = kinesis.describe_stream_summary(StreamName=stream)["StreamDescriptionSummary"]
    assert summary["StreamModeDetails"] == {"StreamMode": "ON_DEMAND"}


def test_shard_level_metrics_are_told(client: Any, stream: str) -> None:
    # Given a stream with one shard-level metric on
    client("kinesis").enable_enhanced_monitoring(StreamName=stream, ShardLevelMetrics=["IncomingBytes"])
    # When it is described
    summary = client("kinesis").describe_stream_summary(StreamName=stream)["StreamDescriptionSummary"]
    # Then the metric is named
    assert summary["EnhancedMonitoring"] == [{"ShardLevelMetrics": ["IncomingBytes"]}]


def test_a_request_may_hold_ten_mebibytes(client: Any, stream: str) -> None:
    # Given ten records just below 1 MiB, and eleven
    # When they are put
    accepted = put(client, stream, 10, MIB - 100)
    # Then ten are taken and eleven are refused
    assert all("SequenceNumber" in outcome for outcome in accepted)
    with pytest.raises(ClientError):
        put(client, stream, 11, MIB - 100)


@pytest.mark.parametrize("steps", [[2], [2, 1], [2, 3], [2, 4, 3, 2]])
def test_resharding_keeps_the_parents_and_leads_to_the_children(
    client: Any, stream: str, settled: Any, steps: list[int]
) -> None:
    # Given records in a stream that is resharded step by step, with records after each step
    kinesis, written = client("kinesis"), len(put(client, stream, 40))
    for target in steps:
        kinesis.update_shard_count(StreamName=stream, TargetShardCount=target, ScalingType="UNIFORM_SCALING")
        settled(stream)
        written += len(put(client, stream, 40))
    # When all shards are read
    shards = {shard["ShardId"]: shard for shard in kinesis.list_shards(StreamName=stream)["Shards"]}
    found = {shard_id: read_all(client, stream, shard_id) for shard_id in shards}
    closed = {i for i, shard in shards.items() if "EndingSequenceNumber" in shard["SequenceNumberRange"]}
    # Then nothing is lost, the open shards are as many as asked, and divide the hash keys without gap or overlap
    assert sum(count for count, _children in found.values()) == written
    summary = kinesis.describe_stream_summary(StreamName=stream)["StreamDescriptionSummary"]
    assert summary["OpenShardCount"] == len(shards) - len(closed) == steps[-1]
    ranges = sorted(
        (int(shards[i]["HashKeyRange"]["StartingHashKey"]), int(shards[i]["HashKeyRange"]["EndingHashKey"]))
        for i in set(shards) - closed
    )
    assert ranges[0][0] == 0
    assert ranges[-1][1] == 2**128 - 1
    assert all(left[1] + 1 == right[0] for left, right in itertools.pairwise(ranges))
    # And exactly the closed shards end, each naming children that name it as parent
    for shard_id, (_count, children) in found.items():
        assert bool(children) == (shard_id in closed)
        for child in children:
            assert shard_id in child["ParentShards"]
            told = shards[child["ChildShardId" if "ChildShardId" in child else "ShardId"]]
            assert shard_id in (told["ParentShardId"], told.get("AdjacentParentShardId"))


def test_a_shard_count_at_most_doubles(client: Any, stream: str) -> None:
    # Given a stream of one shard
    # When three are asked for
    with pytest.raises(ClientError) as refused:
        client("kinesis").update_shard_count(StreamName=stream, TargetShardCount=3, ScalingType="UNIFORM_SCALING")
    # Then AWS's refusal comes
    assert refused.value.response["Error"]["Code"] == "InvalidArgumentException"


def test_a_closed_shard_cannot_be_split_again(client: Any, stream: str, settled: Any) -> None:
    # Given a shard that was split
    split = {"StreamName": stream, "ShardToSplit": "shardId-000000000000", "NewStartingHashKey": str(2**127)}
    client("kinesis").split_shard(**split)
    settled(stream)
    # When it is split once more
    with pytest.raises(ClientError) as refused:
        client("kinesis").split_shard(**split)
    # Then that is refused
    assert refused.value.response["Error"]["Code"] == "InvalidArgumentException"


def total(client: Any, stream: str, metric: str, statistic: str = "Sum", **dimensions: str) -> list[float]:
    query = {
        "Id": "m",
        "MetricStat": {
            "Metric": {
                "Namespace": "AWS/Kinesis",
                "MetricName": metric,
                "Dimensions": [
                    {"Name": key, "Value": value} for key, value in ({"StreamName": stream} | dimensions).items()
                ],
            },
            "Period": 3600,
            "Stat": statistic,
        },
    }
    now = datetime.now(UTC)
    data = client("cloudwatch").get_metric_data(
        MetricDataQueries=[query], StartTime=now - timedelta(hours=2), EndTime=now + timedelta(hours=2)
    )
    values: list[float] = data["MetricDataResults"][0]["Values"]
    return values


def test_served_operations_become_metrics(client: Any, stream: str) -> None:
    # Given 50 records written in two calls and read in one
    put(client, stream, 20)
    put(client, stream, 30)
    read_all(client, stream, "shardId-000000000000")
    # When CloudWatch is asked
    # Then the sums are exact, keys counted
    size = sum(100 + len(str(index)) for count in (20, 30) for index in range(count))
    assert sum(total(client, stream, "IncomingRecords")) == 50
    assert sum(total(client, stream, "IncomingBytes")) == size
    assert sum(total(client, stream, "PutRecords.TotalRecords")) == 50
    assert sum(total(client, stream, "PutRecords.SuccessfulRecords")) == 50
    assert sum(total(client, stream, "PutRecords.FailedRecords")) == 0
    assert sum(total(client, stream, "PutRecords.ThrottledRecords")) == 0
    assert sum(total(client, stream, "WriteProvisionedThroughputExceeded")) == 0
    assert sum(total(client, stream, "GetRecords.Records")) == 50
    assert sum(total(client, stream, "GetRecords.Bytes")) == size
    assert max(total(client, stream, "GetRecords.IteratorAgeMilliseconds", "Maximum")) >= 0
    assert total(client, stream, "PutRecords.Success", "Average") == [1.0]
    assert 0 < total(client, stream, "PutRecords.Latency", "Average")[0] < 10_000
    assert sum(total(client, stream, "IncomingRecords", "SampleCount")) == 2


def test_shard_level_metrics_come_with_enhanced_monitoring(client: Any, stream: str) -> None:
    # Given a stream with the shard-level metric IncomingRecords on
    client("kinesis").enable_enhanced_monitoring(StreamName=stream, ShardLevelMetrics=["IncomingRecords"])
    # When records are put
    put(client, stream, 7)
    # Then the shard has the metric that is on, and no other
    shard = {"ShardId": "shardId-000000000000"}
    assert sum(total(client, stream, "IncomingRecords", **shard)) == 7
    assert total(client, stream, "IncomingBytes", **shard) == []


def test_metrics_can_be_missing(client: Any, stream: str, switch: Any) -> None:
    # Given an emulator told to publish no metrics
    switch("metrics", "off")
    # When records are put
    put(client, stream, 5)
    # Then CloudWatch has no points, rather than zeros
    assert total(client, stream, "IncomingRecords") == []


def test_records_within_retention_stay(client: Any, stream: str) -> None:
    # Given records well inside retention
    put(client, stream, 3)
    time.sleep(0.05)
    # When they are read twice
    # Then both reads find them
    assert [read_all(client, stream, "shardId-000000000000")[0] for _ in range(2)] == [3, 3]
