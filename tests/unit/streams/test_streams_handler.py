"""The routes of streams, called with API Gateway's events, on moto: wiring, statuses, headers, problems."""

import importlib.util
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import boto3
import pytest
from moto import mock_aws

from weir.runtime import aws as runtime_aws
from weir.runtime import secrets, settings
from weir.streams import tags

ROOT = Path(__file__).parents[3]
REGION = "eu-west-1"
Call = Callable[..., dict[str, Any]]


class Context:
    """As much of the Lambda context as the handlers use."""

    function_name = "streams"
    memory_limit_in_mb = 512
    invoked_function_arn = f"arn:aws:lambda:{REGION}:123456789012:function:streams"
    aws_request_id = "c6af9ac6-7b61-11e6-9a41-93e8deadbeef"

    def get_remaining_time_in_millis(self) -> int:
        return 25_000


@pytest.fixture(scope="module")
def module() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("POWERTOOLS_TRACE_DISABLED", "true")
        spec = importlib.util.spec_from_file_location("streams_handler", ROOT / "functions/streams/handler.py")
        assert spec is not None
        assert spec.loader is not None
        loaded = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(loaded)
        yield loaded


@pytest.fixture
def stack(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The stack's neighbours in moto; gives a kinesis client."""
    with mock_aws():
        queue = boto3.client("sqs", REGION).create_queue(QueueName="settle")["QueueUrl"]
        secret = boto3.client("secretsmanager", REGION).create_secret(Name="cursor", SecretString="s")["ARN"]  # noqa: S106
        boto3.client("dynamodb", REGION).create_table(
            TableName="once",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        for name, value in {
            "WEIR_REGION": REGION,
            "WEIR_SETTLE_QUEUE_URL": queue,
            "WEIR_CURSOR_SECRET_ARN": secret,
            "WEIR_IDEMPOTENCY_TABLE": "once",
            "AWS_ACCESS_KEY_ID": "a",
            "AWS_SECRET_ACCESS_KEY": "b",
        }.items():
            monkeypatch.setenv(name, value)
        forget(module)
        yield boto3.client("kinesis", REGION)
        forget(module)


def forget(module: ModuleType) -> None:
    settings.forget()
    runtime_aws.client.cache_clear()
    secrets.secret.cache_clear()
    module._kinesis.cache_clear()
    module._targets.cache_clear()


@pytest.fixture
def call(module: ModuleType, stack: Any) -> Call:
    def send(name: str, *, body: Any = None, query: dict[str, str] | None = None, **changes: Any) -> dict[str, Any]:
        event = json.loads((ROOT / "events" / f"streams-{name}.json").read_text())
        if body is not None:
            event["body"] = body if isinstance(body, str) else json.dumps(body)
        if query is not None:
            event["queryStringParameters"] = query
            event["multiValueQueryStringParameters"] = {key: [value] for key, value in query.items()}
        stream = changes.pop("stream", None)
        if stream is not None:
            event["path"] = event["path"].replace("orders", stream)
        event["headers"].update(changes.pop("headers", {}))
        if changes.pop("no_key", False):
            event["headers"].pop("Idempotency-Key")
        event["requestContext"].update(changes)
        answer: dict[str, Any] = module.handler(event, Context())
        answer["json"] = json.loads(answer["body"])
        return answer

    return send


def header(answer: dict[str, Any], name: str) -> str:
    found: str = answer["multiValueHeaders"][name][0]
    return found


def problem_fields(answer: dict[str, Any]) -> list[str]:
    assert header(answer, "Content-Type") == "application/problem+json"
    return [error["field"] for error in answer["json"]["errors"]]


def names(stack: Any) -> list[str]:
    found: list[str] = stack.list_streams()["StreamNames"]
    return found


def test_a_stream_from_creation_to_deletion(call: Call, stack: Any) -> None:
    # Given the sample events, When a stream is created
    created = call("create")

    # Then 202 says where it can be read, and it is Weir's
    assert created["statusCode"] == 202
    assert header(created, "Location") == "/v1/streams/orders"
    assert created["json"]["managed"] is True
    assert created["json"]["arn"] == f"arn:aws:kinesis:{REGION}:123456789012:stream/orders"
    assert created["json"]["tags"]["team"] == "data"
    assert created["json"]["run_id"].startswith("request-")
    assert created["json"]["expires_at"].endswith("Z")

    # And it can be described, listed, changed and deleted
    assert call("describe")["json"]["open_shard_count"] == 3
    listed = call("list")["json"]
    assert [(item["name"], item["managed"]) for item in listed["items"]] == [("orders", True)]
    changed = call("change")
    assert (changed["statusCode"], changed["json"]["begun"]["target"], changed["json"]["remaining"]) == (202, 6, [])
    deleted = call("delete")
    assert (deleted["statusCode"], deleted["json"]) == (202, {"name": "orders", "status": "DELETING"})
    assert names(stack) == []
    assert call("describe")["statusCode"] == 404


def test_the_same_key_replays_the_first_answer(call: Call, stack: Any) -> None:
    # Given a stream that was created with an Idempotency-Key, and is gone since
    first = call("create")
    stack.delete_stream(StreamName="orders")

    # When the same request comes again, Then the first answer is given and nothing is made
    again = call("create")
    assert (again["statusCode"], again["json"]) == (202, first["json"])
    assert header(again, "Location") == "/v1/streams/orders"
    assert names(stack) == []

    # And with another body, Then it is refused
    other = call("create", body={"name": "others", "shard_count": 1})
    assert other["statusCode"] == 422
    assert names(stack) == []


def test_a_taken_name_is_a_conflict_and_the_other_stream_is_left_alone(call: Call, stack: Any) -> None:
    stack.create_stream(StreamName="orders", ShardCount=1)
    refused = call("create")
    assert refused["statusCode"] == 409
    assert refused["json"]["type"].endswith("/stream-exists")
    assert stack.list_tags_for_stream(StreamName="orders")["Tags"] == []


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({"name": "a/b", "shard_count": 1}, ["name"]),
        ({"name": "a"}, ["shard_count"]),
        ({"name": "a", "shard_count": "many"}, ["shard_count"]),
        ({"name": "a", "mode": "SERVERLESS", "shard_count": 1}, ["mode"]),
        ({"name": "a", "shard_count": 1, "retention_hours": 1, "expires_in": 1}, ["retention_hours", "expires_in"]),
        ({"name": "a", "shard_count": 1, "encryption": {"type": "NONE", "key_id": "k"}}, ["encryption.key_id"]),
        ({"name": "a", "shard_count": 1, "surprise": True}, ["surprise"]),
    ],
)
def test_bad_input_is_refused_by_field_and_nothing_is_created(
    call: Call, stack: Any, body: Any, fields: list[str]
) -> None:
    refused = call("create", body=body)
    assert refused["statusCode"] == 422
    assert problem_fields(refused) == fields
    assert all(error["message"] for error in refused["json"]["errors"])
    assert names(stack) == []


def test_a_key_that_cannot_encrypt_is_refused_and_nothing_is_created(call: Call, stack: Any) -> None:
    encryption = {"type": "KMS", "key_id": "12345678-1234-1234-1234-123456789012"}
    refused = call("create", body={"name": "a", "shard_count": 1, "encryption": encryption})
    assert refused["statusCode"] == 422
    assert problem_fields(refused) == ["encryption.key_id"]
    assert names(stack) == []


def test_over_quota_is_429_with_a_time_to_come_back(call: Call, stack: Any) -> None:
    refused = call("create", body={"name": "a", "shard_count": 9_999})
    assert refused["statusCode"] == 429
    assert int(header(refused, "Retry-After")) > 0
    assert names(stack) == []


def test_json_that_is_none_is_400(call: Call, stack: Any) -> None:
    assert call("create", body="{")["statusCode"] == 400
    assert names(stack) == []


def test_settings_for_later_are_pending_and_queued(call: Call, stack: Any) -> None:
    # Given a stream with retention and AWS's own key
    created = call(
        "create", body={"name": "a", "shard_count": 1, "retention_hours": 48, "encryption": {"type": "KMS"}}
    )

    # Then it says what is pending, and a reminder is on its way
    assert created["json"]["pending"] == {"retention_hours": 48, "key_id": "alias/aws/kinesis"}
    queue = boto3.client("sqs", REGION)
    told = queue.get_queue_attributes(
        QueueUrl=settings.settings().settle_queue_url, AttributeNames=["ApproximateNumberOfMessagesDelayed"]
    )
    assert told["Attributes"]["ApproximateNumberOfMessagesDelayed"] == "1"


def test_streams_that_weir_did_not_make_are_read_and_never_touched(call: Call, stack: Any) -> None:
    # Given a stream of another's, with a name like Weir's
    stack.create_stream(StreamName="weir-run-x", ShardCount=1)

    # When it is read, Then it is shown as not managed
    assert call("describe", stream="weir-run-x")["json"]["managed"] is False
    shard = call("shards", stream="weir-run-x")["json"]["items"][0]["shard_id"]
    assert call("read-records", stream="weir-run-x", query={"shard": shard})["statusCode"] == 200
    assert call("metrics", stream="weir-run-x")["statusCode"] == 200

    # When it is changed, written to or deleted, even by an admin without force, Then 403 and it is as it was
    admin = {"sub": "ann", "roles": "admin"}
    for event in ("change", "put-records", "delete"):
        refused = call(event, stream="weir-run-x", authorizer=admin)
        assert (refused["statusCode"], refused["json"]["type"].rsplit("/", 1)[1]) == (403, "not-managed")
    forced = call("delete", stream="weir-run-x", query={"force": "true"})
    assert (forced["statusCode"], forced["json"]["type"].rsplit("/", 1)[1]) == (403, "force-not-allowed")
    iterator = stack.get_shard_iterator(StreamName="weir-run-x", ShardId=shard, ShardIteratorType="TRIM_HORIZON")
    assert stack.get_records(ShardIterator=iterator["ShardIterator"])["Records"] == []
    summary = stack.describe_stream_summary(StreamName="weir-run-x")["StreamDescriptionSummary"]
    assert (summary["OpenShardCount"], summary["StreamStatus"]) == (1, "ACTIVE")


def test_an_admin_may_insist(call: Call, stack: Any) -> None:
    stack.create_stream(StreamName="orders", ShardCount=1)
    assert call("delete-force")["statusCode"] == 202
    assert names(stack) == []


def test_nobody_gets_admin_by_a_header(call: Call, stack: Any) -> None:
    stack.create_stream(StreamName="orders", ShardCount=1)
    forged = {"roles": "admin", "X-Roles": "admin", "sub": "ann"}
    assert call("delete", query={"force": "true"}, headers=forged)["statusCode"] == 403
    assert names(stack) == ["orders"]


@pytest.mark.parametrize("event", ["describe", "change", "delete", "shards", "put-records", "read-records", "metrics"])
def test_an_unknown_stream_is_404_on_every_route(call: Call, event: str) -> None:
    refused = call(event)
    assert refused["statusCode"] == 404
    assert refused["json"]["type"].endswith("/stream-not-found")
    assert refused["json"]["request_id"]


def test_lists_go_on_by_cursor_and_only_by_their_own(call: Call, stack: Any) -> None:
    # Given four streams
    for number in range(4):
        stack.create_stream(StreamName=f"s-{number}", ShardCount=3)

    # When shards are read two at a time, Then nothing is missing
    first = call("shards", stream="s-0", query={"limit": "2"})["json"]
    second = call("shards", stream="s-0", query={"limit": "2", "cursor": first["cursor"]})["json"]
    assert len({item["shard_id"] for item in first["items"] + second["items"]}) == 3
    assert second["cursor"] is None

    # And a cursor of another list, or an edited one, is refused
    for stream, cursor in (("s-1", first["cursor"]), ("s-0", first["cursor"][:-2] + "xx"), ("s-0", "nonsense")):
        assert call("shards", stream=stream, query={"cursor": cursor})["statusCode"] == 400
    for limit in ("0", "201", "x"):
        assert problem_fields(call("list", query={"limit": limit})) == ["limit"]


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
        found.update({item["sequence_number"]: item for item in read["items"]})
        assert (read["closed"], read["cursor"] is None) == (False, False)
    assert len(found) == 2
    text, binary = (found[outcome["sequence_number"]] for outcome in outcomes)
    assert (text["data"], text["encoding"]) == ('{"cpu": 41.7}', "text")
    assert (binary["data"], binary["encoding"]) == ("/wDRgA==", "base64")
    assert binary["arrived_at"].endswith("Z")


def test_reading_goes_on_by_cursor(call: Call, stack: Any) -> None:
    # Given three records on one shard
    stack.create_stream(StreamName="one", ShardCount=1)
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
    at = call("read-records", stream="one", query={"shard": shard, "position": "sequence", "sequence": sequence})["json"]
    assert [item["data"] for item in at["items"]] == ["1", "2"]


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
    from weir.streams.entries import PutResult

    def put(entries: Any) -> list[PutResult]:
        ok, refused = PutResult("shardId-000000000000", "1", None), PutResult(None, None, "InternalFailure")
        return [refused if entry.ref == 1 else ok for entry in entries]

    monkeypatch.setattr(module, "PutAdapter", lambda client, name: put)
    monkeypatch.setattr(module.writing, "PUT_SECONDS", 0.2)
    monkeypatch.setattr(module.writing.write_records, "__kwdefaults__", {"seconds": 0.2})

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
    boto3.client("cloudwatch", REGION).put_metric_data(
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
    assert (records["name"], records["stat"], records["unit"], records["missing"]) == ("IncomingRecords", "Sum", "Count", 4)
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


def test_the_limits_tell_account_and_source(call: Call) -> None:
    told = call("limits")["json"]
    assert (told["account_id"], told["account_source"], told["region"]) == ("123456789012", "sts", REGION)
    assert told["shard_limit"] > 0


def test_every_sample_event_meets_a_route(module: ModuleType) -> None:
    # Given the sample events, When each is held against the routes, Then it is one of them
    routes = {(route.method, route.path) for route in module.app._static_routes + module.app._dynamic_routes}
    for path in (ROOT / "events").glob("streams-*.json"):
        event = json.loads(path.read_text())
        if "resource" in event:
            wanted = event["resource"].replace("{", "<").replace("}", ">")
            assert (event["httpMethod"], wanted) in routes, path.name


def test_the_contract_describes_every_route(module: ModuleType) -> None:
    # Given the OpenAPI document of these routes
    document = module.app.get_openapi_schema(title="t", version="1").model_dump(by_alias=True, exclude_none=True)

    # Then every operation has a summary and tells its success and its problems
    operations = {
        (method, path): operation
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method in {"get", "post", "patch", "delete"}
    }
    assert len(operations) == 11
    for (method, path), operation in operations.items():
        statuses = {int(status) for status in operation["responses"]}
        assert operation["summary"], path
        assert statuses & {200, 202}, path
        assert 429 in statuses, path
        if "{name}" in path or "<name>" in path:
            assert 404 in statuses, (method, path)


def test_only_managed_is_ever_true_by_the_tag(call: Call, stack: Any) -> None:
    stack.create_stream(StreamName="orders", ShardCount=1)
    stack.add_tags_to_stream(StreamName="orders", Tags={tags.MANAGED: "false", tags.RUN_ID: "r"})
    assert call("describe")["json"]["managed"] is False
