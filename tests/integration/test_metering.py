"""Metering on the DynamoDB of the stack's AWS, and on a real Redis or Valkey server: the unit tests' crowd."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from local import places, redis_server
from tests.integration.conftest import Stack
from tests.unit.usage.crowd import LIMIT, REQUESTS, crowd
from tests.unit.usage.metered import BOUND, EVERYBODY, World, cap
from weir.llm.models import Tokens
from weir.usage.caps import CapExceeded
from weir.usage.counters import Place, Reservation, Room, settle
from weir.usage.metering import Outcome
from weir.usage.models import Amount, Caller, Subject
from weir.usage.valkey import ValkeyCounters, connected

ANN = Subject("user", "ann")
AT = 1_795_262_400_000
"""2026-11-21 12:00 UTC."""


@pytest.fixture
def dynamodb(deployed: Stack, name: str) -> Iterator[Any]:
    """A client, and a table of its own by the test's name, keyed as the template says."""
    endpoint = deployed.document["aws_endpoint_url"]
    local = {"aws_access_key_id": places.ROOT_KEY, "aws_secret_access_key": places.ROOT_SECRET} if endpoint else {}
    config = Config(max_pool_connections=64, retries={"mode": "standard", "total_max_attempts": 8})
    client = boto3.client(
        "dynamodb", endpoint_url=endpoint, region_name=deployed.document["region"], config=config, **local
    )
    client.create_table(
        TableName=name,
        AttributeDefinitions=[{"AttributeName": one, "AttributeType": "S"} for one in ("pk", "sk", "list", "at")],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "listing",
                "KeySchema": [
                    {"AttributeName": "list", "KeyType": "HASH"},
                    {"AttributeName": "at", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
        BillingMode="PAY_PER_REQUEST",
    )
    client.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    yield client
    client.delete_table(TableName=name)
    client.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server that was started for these tests."""
    with redis_server.running(Path(tmp_path_factory.mktemp("redis"))) as address:
        yield address


@pytest.fixture
def valkey(server: str) -> Iterator[ValkeyCounters]:
    """Empty counters."""
    client = connected(server)
    client.flushall()
    yield ValkeyCounters(client)
    client.close()


def check(world: World) -> None:
    """Sixty-four callers make a thousand requests; every one that was admitted is counted, once, and no more are."""
    came = crowd(world)
    assert len(came.settled) + len(came.dead) == LIMIT == REQUESTS - len(came.refused)
    assert came.dead
    assert came.cut
    world.time.pass_by(120)
    world.meter.expire([Place(ANN), Place(EVERYBODY)])
    records = world.records()
    assert len(records) == LIMIT
    for subject in (ANN, EVERYBODY):
        count = world.count(subject)
        assert not [one for one in count.reservations.values() if not one.closed]
        assert count.used("d20261121", "requests") == LIMIT
        assert count.used("h2026112112", "tokens") == sum(one.input + one.output for one in records)
        assert count.used("m202611", "cost") == sum(one.cost or 0 for one in records)


def test_sixty_four_callers_never_pass_a_cap_on_dynamodb(dynamodb: Any, name: str) -> None:
    check(World(cap(LIMIT, subject=EVERYBODY), client=dynamodb, table=name))


def test_nor_on_a_real_valkey(dynamodb: Any, name: str, valkey: ValkeyCounters) -> None:
    check(World(cap(LIMIT, subject=EVERYBODY), client=dynamodb, table=name, counters=valkey))


def test_a_request_of_one_user_takes_three_write_units(dynamodb: Any, name: str) -> None:
    # Given a user with the default caps, who is known to be active, and what DynamoDB tells of each write
    units: list[float] = []

    def ask(params: dict[str, Any], **_: Any) -> None:
        params["ReturnConsumedCapacity"] = "TOTAL"

    def note(parsed: dict[str, Any], **_: Any) -> None:
        units.append(parsed["ConsumedCapacity"]["CapacityUnits"])

    world = World(client=dynamodb, table=name, defaults="day requests 1000, day tokens 100000, day cost 10")
    world.settle(world.admit())
    for operation in ("UpdateItem", "PutItem"):
        dynamodb.meta.events.register(f"before-parameter-build.dynamodb.{operation}", ask)
        dynamodb.meta.events.register(f"after-call.dynamodb.{operation}", note)
    # When they make another request / Then it takes three
    world.settle(world.admit())
    assert units == [1, 1, 1]


def test_what_dynamodb_is_asked_for_besides_it_takes(dynamodb: Any, name: str) -> None:
    # Given a clamp, a key, a crash, and a holder who was not dead after all
    key = Subject("key", "k1")
    world = World(cap(160, "tokens", mode="clamp"), cap(900, "tokens", subject=key), client=dynamodb, table=name)
    caller = Caller("ann", "Ann", "k1", ("red",))
    lost = world.admit(caller)
    with pytest.raises(CapExceeded):
        world.admit(caller)
    world.time.pass_by(92)
    assert world.admit(caller).max_output == 35
    record = world.meter.settle(lost, Outcome(200, Tokens(90, 45)))
    assert world.records() == [record]
    assert world.used("tokens", key) == 135 + 150  # the key, charged first, before the user's cap lowered it
    # And what was counted long ago goes
    world.time.pass_by(2 * 86_400)
    world.settle(world.admit(caller, BOUND))
    assert "h2026112112" not in {one[:-1] for one in world.count(key).counts}


def a_reservation(known_as: str, cost: int) -> Reservation:
    return Reservation(known_as, AT, AT // 1000 + 60, Amount(1, 10, cost))


def test_valkey_counts_exactly_above_what_lua_can(valkey: ValkeyCounters) -> None:
    # Given a limit of $12,345.678901234567 a month, which no double holds to the pico-dollar
    place, limit, first = Place(EVERYBODY), 12_345_678_901_234_567, a_reservation("a", 12_345_678_901_234_566)
    assert valkey.reserve(place, first, [Room("m202611", "cost", limit - first.amount.cost)]).done
    # Then one pico-dollar more fits, and two do not
    two, one = a_reservation("b", 2), a_reservation("c", 1)
    assert not valkey.reserve(place, two, [Room("m202611", "cost", limit - 2)]).done
    assert valkey.reserve(place, one, [Room("m202611", "cost", limit - 1)]).done
    assert valkey.read([place])[0].used("m202611", "cost") == limit


def test_valkey_does_nothing_twice(valkey: ValkeyCounters) -> None:
    place, made = Place(ANN), a_reservation("a", 100)
    for _ in range(2):
        assert valkey.reserve(place, made, [Room("d20261121", "requests", 0)]).done
    for _ in range(2):
        settle(valkey, place, made, Amount(1, 4, 40))
    (count,) = valkey.read([place])
    assert not count.reservations
    assert {one: count.used("d20261121", one) for one in ("requests", "tokens", "cost")} == {  # type: ignore[arg-type]
        "requests": 1,
        "tokens": 4,
        "cost": 40,
    }
    assert timedelta(seconds=valkey._client.ttl("weir:count:user:ann:0")) > timedelta(days=31)  # type: ignore[arg-type]
