"""The routes of records and metrics, called with API Gateway's events, on moto."""

from types import ModuleType
from typing import Any

import pytest

from tests.unit.streams.handler_calls import Call, problem_fields
from weir.runtime import aws as runtime_aws
from weir.streams.entries import PutResult

OURS = {"weir:managed": "true", "weir:stack": "weir", "weir:owner": "ann2ann3ann4ann5"}


def test_records_are_written_and_read_back_as_they_were(call: Call, stack: Any) -> None:
    # Given a stream of Weir's, When the sample records are put on it
    call("create")
    put = call("put-records")

    # Then each has its place
    assert put["statusCode"] == 200
    assert (put["json"]["accepted"], put["json"]["failed"]) == (2, 0)
    outcomes = put["json"]["outcomes"]
    assert [outcome["status"] for outcome in outcomes] == ["accepted", "accepted"]
    assert outcomes[1]["shard_id"] == "shardId-000000000000"

    # And the same key does not write them again
    assert call("put-records")["json"] == put["json"]

    # And they come back with the encoding that suits them
    found = {}
    for outcome in outcomes:
        read = call("read-records", query={"shard": outcome["shard_id"]})["json"]
        found.update({(item["shard_id"], item["sequence_number"]): item for item in read["items"]})
        assert (read["closed"], read["cursor"] is None) == (False, False)
    assert len(found) == 2
    text, binary = (found[outcome["shard_id"], outcome["sequence_number"]] for outcome in outcomes)
    assert (text["data"], text["encoding"]) == ('{"cpu": 41.7}', "text")
    assert (binary["data"], binary["encoding"]) == ("/wDRgA==", "base64")
    assert binary["arrived_at"].endswith("Z")


def test_reading_goes_on_by_cursor(call: Call, stack: Any) -> None:
    # Given three records on one shard
    stack.create_stream(StreamName="one", ShardCount=1)
    stack.add_tags_to_stream(StreamName="one", Tags=OURS)
    for number in range(3):
        stack.put_record(StreamName="one", Data=str(number).encode(), PartitionKey="k")
    shard = "shardId-000000000000"

    # When they are read two at a time, Then the cursor goes on with the third, and then finds nothing new
    first = call("read-records", stream="one", query={"shard": shard, "limit": "2"})["json"]
    rest = {"shard": shard, "cursor": first["cursor"]}
    second = call("read-records", stream="one", query=rest)["json"]
    assert [item["data"] for item in first["items"] + second["items"]] == ["0", "1", "2"]
    third = call("read-records", stream="one", query={"shard": shard, "cursor": second["cursor"]})["json"]
    assert third["items"] == []

    # And a sequence number is a position too
    sequence = first["items"][1]["sequence_number"]
    at = call("read-records", stream="one", query={"shard": shard, "position": "sequence", "sequence": sequence})[
        "json"
    ]
    assert [item["data"] for item in at["items"]] == ["1", "2"]


def test_what_others_hold_is_for_admins_alone(call: Call, stack: Any) -> None:
    # Given a stream that Weir did not make, with a record
    stack.create_stream(StreamName="theirs", ShardCount=1)
    stack.put_record(StreamName="theirs", Data=b"secret", PartitionKey="k")
    query = {"shard": "shardId-000000000000"}

    # When a caller reads it, Then 403, though its description is told; and an admin reads it
    refused = call("read-records", stream="theirs", query=query)
    assert (refused["statusCode"], refused["json"]["type"].rsplit("/", 1)[1]) == (403, "not-managed")
    assert "secret" not in refused["body"]
    assert call("describe", stream="theirs")["statusCode"] == 200
    read = call("read-records", stream="theirs", query=query, authorizer={"roles": "admin"})["json"]
    assert [item["data"] for item in read["items"]] == ["secret"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({}, "shard"),
        ({"shard": "s", "position": "middle"}, "position"),
        ({"shard": "s", "position": "sequence"}, "sequence"),
        ({"shard": "s", "position": "sequence", "sequence": "x"}, "sequence"),
        ({"shard": "s", "position": "timestamp"}, "timestamp"),
        ({"shard": "s", "position": "timestamp", "timestamp": "2026-11-21T12:00:00"}, "timestamp"),
        ({"shard": "s", "position": "timestamp", "timestamp": "noon"}, "timestamp"),
        ({"shard": "s", "encoding": "latin-1"}, "encoding"),
    ],
)
def test_a_bad_position_is_refused_by_field(call: Call, stack: Any, query: dict[str, str], field: str) -> None:
    stack.create_stream(StreamName="orders", ShardCount=1)
    refused = call("read-records", query=query)
    assert refused["statusCode"] == 422
    assert problem_fields(refused) == [field]


def test_records_that_do_not_all_get_through_are_207(
    call: Call, module: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a Kinesis that refuses one record for good
    call("create")

    def put(entries: Any) -> list[PutResult]:
        ok, refused = PutResult("shardId-000000000000", "1", None), PutResult(None, None, "InternalFailure")
        return [refused if entry.ref == 1 else ok for entry in entries]

    monkeypatch.setattr(module, "PutAdapter", lambda client, name: put)
    monkeypatch.setattr(module.writing, "PUT_SECONDS", 0.2)

    # When records are put, Then the status itself says that not all is well, and the outcomes say what
    put_answer = call("put-records", no_key=True)
    assert put_answer["statusCode"] == 207
    assert (put_answer["json"]["accepted"], put_answer["json"]["failed"]) == (1, 1)
    assert put_answer["json"]["outcomes"][1]["error"] == "InternalFailure"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"records": []}, "records"),
        ({"records": [{"data": "x", "partition_key": "k"}]}, "records.0.encoding"),
        ({"records": [{"encoding": "base64", "data": "?", "partition_key": "k"}]}, "records.0.data"),
        ({"records": [{"encoding": "text", "data": "x", "partition_key": "k"}] * 501}, "records"),
    ],
)
def test_bad_records_are_refused_by_field_and_nothing_is_written(call: Call, body: Any, field: str) -> None:
    call("create")
    refused = call("put-records", body=body)
    assert refused["statusCode"] == 422
    assert problem_fields(refused) == [field]
    shards = [item["shard_id"] for item in call("shards")["json"]["items"]]
    assert all(call("read-records", query={"shard": shard})["json"]["items"] == [] for shard in shards)


def test_metrics_are_on_a_grid_and_gaps_are_null(call: Call, stack: Any) -> None:
    # Given a stream with one minute of CloudWatch in an hour
    stack.create_stream(StreamName="orders", ShardCount=1)
    runtime_aws.client("cloudwatch").put_metric_data(
        Namespace="AWS/Kinesis",
        MetricData=[
            {
                "MetricName": "IncomingRecords",
                "Dimensions": [{"Name": "StreamName", "Value": "orders"}],
                "Timestamp": "2026-11-20T12:02:30Z",
                "Value": 7,
            }
        ],
    )

    # When that range is asked for by the minute
    told = call(
        "metrics",
        query={"names": "IncomingRecords,IncomingBytes", "from": "2026-11-20T12:00:00Z", "to": "2026-11-20T12:05:00Z"},
    )

    # Then there is one value, and the others are unknown rather than zero
    assert told["statusCode"] == 200
    records, written = told["json"]["series"]
    assert records["values"] == [None, None, 7.0, None, None]
    assert (records["name"], records["stat"], records["unit"], records["missing"]) == (
        "IncomingRecords",
        "Sum",
        "Count",
        4,
    )
    assert written["values"] == [None] * 5
    assert (told["json"]["start"], told["json"]["period"]) == ("2026-11-20T12:00:00Z", 60)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"names": "Nonsense"}, "names"),
        ({"period": "61"}, "period"),
        ({"period": "1"}, "period"),
        ({"from": "yesterday"}, "from"),
        ({"from": "2026-11-20T12:00:00"}, "from"),
        ({"from": "2026-11-20T12:00:00Z", "to": "2026-11-20T11:00:00Z"}, "to"),
    ],
)
def test_bad_ranges_and_names_are_refused_by_field(call: Call, stack: Any, query: dict[str, str], field: str) -> None:
    stack.create_stream(StreamName="orders", ShardCount=1)
    refused = call("metrics", query=query)
    assert refused["statusCode"] == 422
    assert problem_fields(refused) == [field]
