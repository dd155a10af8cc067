"""The routes of streams, called with API Gateway's events, on moto: wiring, statuses, headers, problems."""

import json
from functools import lru_cache
from types import ModuleType
from typing import Any

import pytest

from tests.unit.streams.fakes import FakeKinesis
from tests.unit.streams.handler_calls import REGION, ROOT, Call, header, names, problem_fields
from weir.runtime import aws as runtime_aws
from weir.runtime import settings
from weir.streams import tags
from weir.streams.alarming import Alarming
from weir.streams.cloudwatch import Alarms


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


def test_the_key_is_found_in_any_case(call: Call, stack: Any) -> None:
    # Given a first request with a key, and a second with the same key in a header of lower case
    first = call("create")
    stack.delete_stream(StreamName="orders")
    event = json.loads((ROOT / "events" / "streams-create.json").read_text())
    again = call("create", no_key=True, headers={"idempotency-key": event["headers"]["Idempotency-Key"]})

    # Then it is the same request
    assert again["json"] == first["json"]
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
    created = call("create", body={"name": "a", "shard_count": 1, "retention_hours": 48, "encryption": {"type": "KMS"}})

    # Then it says what is pending, and a reminder is on its way
    assert created["json"]["pending"] == {"retention_hours": 48, "key_id": "alias/aws/kinesis"}
    queue = runtime_aws.client("sqs")
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
    assert call("read-records", stream="weir-run-x", query={"shard": shard})["statusCode"] == 403
    assert call("metrics", stream="weir-run-x")["statusCode"] == 200

    # When it is changed, written to or deleted, even by an admin without force, Then 403 and it is as it was
    admin = {"roles": "admin"}
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


def test_another_users_stream_is_told_of_and_not_touched(call: Call, stack: Any) -> None:
    # Given a stream that ann has made
    call("create")
    neighbour = {"sub": "bob2bob3bob4bob5"}

    # When bob, an operator too, changes it, writes to it, reads it or deletes it, Then 403 and it is as it was
    for event in ("change", "put-records", "read-records", "delete"):
        refused = call(event, authorizer=neighbour)
        assert (event, refused["statusCode"]) == (event, 403)
        assert refused["json"]["type"].endswith("/not-owned")
    assert names(stack) == ["orders"]

    # And that ann has just written to it, so that it is remembered, opens it to nobody
    assert call("put-records")["statusCode"] == 200
    assert call("put-records", authorizer=neighbour, no_key=True)["statusCode"] == 403

    # But its description is told, and an admin may delete it
    assert call("describe", authorizer=neighbour)["json"]["owner"] == "ann2ann3ann4ann5"
    assert call("delete", authorizer=neighbour | {"roles": "admin"})["statusCode"] == 202


@pytest.mark.parametrize("event", ["describe", "change", "delete", "shards", "put-records", "read-records", "metrics"])
def test_an_unknown_stream_is_404_on_every_route(call: Call, event: str) -> None:
    refused = call(event)
    assert refused["statusCode"] == 404
    assert refused["json"]["type"].endswith("/stream-not-found")
    assert refused["json"]["request_id"]


def test_lists_go_on_by_cursor_and_only_by_their_own(
    call: Call, module: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given four streams of three shards (in a fake: moto does not page these lists as AWS does)
    kinesis = FakeKinesis()
    for number in range(4):
        kinesis.add(f"s-{number}", count=3)
    monkeypatch.setattr(module, "_kinesis", lru_cache(lambda: kinesis))

    # When shards are read two at a time, Then nothing is missing
    first = call("shards", stream="s-0", query={"limit": "2"})["json"]
    second = call("shards", stream="s-0", query={"limit": "2", "cursor": first["cursor"]})["json"]
    assert len({item["shard_id"] for item in first["items"] + second["items"]}) == 3
    assert second["cursor"] is None

    # And streams as well
    page = call("list", query={"limit": "3"})["json"]
    rest = call("list", query={"limit": "3", "cursor": page["cursor"]})["json"]
    assert [item["name"] for item in page["items"] + rest["items"]] == ["s-0", "s-1", "s-2", "s-3"]
    assert rest["cursor"] is None

    # And a cursor of another list, or an edited one, is refused
    for stream, cursor in (("s-1", first["cursor"]), ("s-0", first["cursor"][:-2] + "xx"), ("s-0", "nonsense")):
        assert call("shards", stream=stream, query={"cursor": cursor})["statusCode"] == 400
    for limit in ("0", "201", "x"):
        assert problem_fields(call("list", query={"limit": limit})) == ["limit"]


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
    assert len(operations) == 10
    for (method, path), operation in operations.items():
        statuses = {int(status) for status in operation["responses"]}
        assert operation["summary"], path
        assert statuses & {200, 202}, path
        assert 429 in statuses, path
        if "{name}" in path or "<name>" in path:
            assert 404 in statuses, (method, path)


@pytest.mark.parametrize("expiry", ["0001-01-01T00:00:00+23:00", "9999-12-31T23:59:59-23:00"])
def test_an_expiry_that_is_no_moment_in_utc_is_none(expiry: str, call: Call, stack: Any) -> None:
    # Given somebody's stream with an expiry that can't be told in UTC
    stack.create_stream(StreamName="theirs", ShardCount=1, Tags={tags.EXPIRES_AT: expiry})
    # When it is listed and described, Then it has none
    assert [item["expires_at"] for item in call("list")["json"]["items"]] == [None]
    described = call("describe", stream="theirs")
    assert (described["statusCode"], described["json"]["expires_at"]) == (200, None)


def test_only_managed_is_ever_true_by_the_tag(call: Call, stack: Any) -> None:
    stack.create_stream(StreamName="orders", ShardCount=1)
    stack.add_tags_to_stream(StreamName="orders", Tags={tags.MANAGED: "false", tags.STACK: "weir", tags.RUN_ID: "r"})
    assert call("describe")["json"]["managed"] is False


def test_the_alarms_of_a_stream_go_with_it(call: Call, stack: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a stream with its alarms, in a stack that has a topic for them
    monkeypatch.setenv("WEIR_ALERTS_TOPIC_ARN", "arn:aws:sns:eu-west-1:123456789012:alerts")
    settings.forget()
    assert call("create", no_key=True)["statusCode"] == 202
    stack.get_waiter("stream_exists").wait(StreamName="orders")
    cloudwatch = runtime_aws.client("cloudwatch")
    alarming = Alarming(Alarms(cloudwatch), "weir", "arn:aws:sns:eu-west-1:123456789012:alerts")
    told = {one["Key"]: one["Value"] for one in stack.list_tags_for_stream(StreamName="orders")["Tags"]}
    assert len(alarming.make("orders", told)) == 2

    # When it is deleted, Then they are gone
    assert call("delete")["statusCode"] == 202
    assert alarming.known() == set()
    settings.forget()
