"""Idempotency-Key on DynamoDB (moto): replays, refusals, and who shares a key with whom."""

from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from tests.unit.runtime.conftest import Context
from weir.runtime import aws, settings
from weir.runtime.errors import BadRequest, Conflict, Invalid, NotFound, TooManyRequests
from weir.runtime.idempotency import MAX_KEY_LENGTH, once

Once = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def dynamodb() -> Iterator[Any]:
    """A table as the template makes it; one client for the module, for making one takes longest."""
    with pytest.MonkeyPatch.context() as patch, mock_aws():
        patch.setenv("AWS_ACCESS_KEY_ID", "a")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "b")
        patch.setenv("WEIR_IDEMPOTENCY_TABLE", "once")
        settings.forget()
        aws.client.cache_clear()
        client = boto3.client("dynamodb", region_name="us-east-1")
        client.create_table(
            TableName="once",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        yield client
    settings.forget()
    aws.client.cache_clear()


@pytest.fixture
def calls() -> list[str]:
    """How often the use case really ran."""
    return []


@pytest.fixture
def create(dynamodb: Any, calls: list[str], context: Context, request: pytest.FixtureRequest) -> Once:
    """``create(...)`` runs a use case that answers a new id each time."""

    def use_case() -> dict[str, Any]:
        calls.append("ran")
        return {"id": len(calls), "items": []}

    def run(**changes: Any) -> dict[str, Any]:
        asked: dict[str, Any] = {
            "operation": "create-stream",
            "principal": "user-1",
            "key": request.node.name,
            "request": {"name": "orders", "shards": 1},
            "context": context,
            **changes,
        }
        return once(asked.pop("use_case", use_case), **asked)

    return run


def test_without_a_key_each_request_runs(create: Once, calls: list[str]) -> None:
    assert [create(key=None)["id"], create(key=None)["id"]] == [1, 2]


def test_the_same_key_and_body_replay_the_first_answer(create: Once, calls: list[str]) -> None:
    # Given a request with a key / When it comes again, its fields in another order
    first = create()
    again = create(request={"shards": 1, "name": "orders"})
    # Then the answer is the first one, and nothing ran twice
    assert first == again == {"id": 1, "items": []}
    assert calls == ["ran"]


def test_the_same_key_with_another_body_is_422(create: Once, calls: list[str]) -> None:
    create()
    with pytest.raises(Invalid, match="another body"):
        create(request={"name": "orders", "shards": 2})
    assert calls == ["ran"]


@pytest.mark.parametrize("other", [{"principal": "user-2"}, {"operation": "start-run"}])
def test_keys_of_others_and_of_other_operations_do_not_meet(other: dict[str, str], create: Once) -> None:
    # Given user 1's key / When another person, or another operation, uses the same one / Then they get their own
    assert create()["id"] == 1
    assert create(**other)["id"] == 2


def test_two_fields_can_not_be_shifted_into_one_another(create: Once) -> None:
    # Given a principal and a key whose texts run together to the same
    assert create(principal="ab", key="c-shift")["id"] == 1
    assert create(principal="a", key="bc-shift")["id"] == 2


def test_while_the_first_is_at_work_the_second_is_409(create: Once) -> None:
    # Given a use case in whose middle the same request comes again
    def slow() -> dict[str, Any]:
        with pytest.raises(Conflict) as caught:
            create()
        assert caught.value.retry_after == 1
        return {"id": "slow"}

    # When / Then the first is answered in the end
    assert create(use_case=slow) == {"id": "slow"}


def test_a_failure_is_not_kept(create: Once, calls: list[str]) -> None:
    # Given a use case that fails with an error of the domain
    def failing() -> dict[str, Any]:
        raise NotFound("no such stream")

    with pytest.raises(NotFound):
        create(use_case=failing)
    # When the same request comes again / Then it runs, and only then is it kept
    assert create()["id"] == 1
    assert create()["id"] == 1


@pytest.mark.parametrize("key", ["", "x" * (MAX_KEY_LENGTH + 1), "a\nb", "\x00"])
def test_a_key_that_is_none_is_400(key: str, create: Once, calls: list[str]) -> None:
    with pytest.raises(BadRequest):
        create(key=key)
    assert calls == []


def test_the_longest_key_and_any_script_will_do(create: Once) -> None:
    assert create(key="ß" * MAX_KEY_LENGTH) == create(key="ß" * MAX_KEY_LENGTH)


def test_the_key_is_kept_for_a_day_and_not_in_clear(create: Once, dynamodb: Any) -> None:
    # Given a request with a key
    create(key="my-secret-key")
    # When the table is read
    items = dynamodb.scan(TableName="once")["Items"]
    # Then there is no key, no principal, and an end
    assert "my-secret-key" not in str(items)
    assert "user-1" not in str(items)
    ends = [int(item["expiration"]["N"]) for item in items]
    import time

    assert all(0 < end - time.time() <= 24 * 3600 for end in ends)


def test_a_table_that_throttles_is_429_and_nothing_runs(
    create: Once, calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a table that throttles
    throttled = {"Error": {"Code": "ProvisionedThroughputExceededException", "Message": "slow"}}

    class Throttling:
        class exceptions:  # noqa: N801 (botocore's name)
            class ConditionalCheckFailedException(Exception):
                pass

        def put_item(self, **_: Any) -> None:
            raise ClientError(throttled, "PutItem")  # type: ignore[arg-type]

    monkeypatch.setattr(aws, "client", lambda _: Throttling())
    # When a request comes with a key / Then it is told to come again, and was not run unguarded
    with pytest.raises(TooManyRequests) as caught:
        create()
    assert caught.value.retry_after == 2
    assert calls == []
