"""Telling of caps: at 80 % and at 100 %, once a window, whatever fails or looks at the same time."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.unit.usage.metered import EVERYBODY, PRICE, World, cap
from weir.llm.models import Tokens
from weir.runtime.errors import Unavailable
from weir.runtime.sns import Topic
from weir.usage import upkeep
from weir.usage.alarming import Alarming
from weir.usage.caps import CapExceeded
from weir.usage.counters import Place
from weir.usage.models import Caller, Measure, Mode, Subject
from weir.usage.pricing import cost

CALL_COSTS = cost(Tokens(100, 50), PRICE)


@dataclass
class Heard:
    """A topic that somebody follows, and that may be away."""

    told: list[tuple[str, str, Mapping[str, str]]] = field(default_factory=list)
    is_away: bool = False

    def publish(self, subject: str, message: str, attributes: Mapping[str, str]) -> None:
        if self.is_away:
            raise Unavailable("away")
        self.told.append((subject, message, attributes))


def look(world: World, heard: Heard) -> list[int]:
    """The percentages that were told."""
    found = upkeep.caps(world.table, world.store, world.defaults, world.clock)
    return [one.percent for one in Alarming(world.table, world.counters, heard, world.clock).look(found)]


def use(world: World, number: int, caller: Caller = Caller("ann", "Ann")) -> None:  # noqa: B008
    for _ in range(number):
        world.settle(world.admit(caller))


def test_a_cap_is_told_of_at_eighty_and_at_a_hundred_percent_once_a_window() -> None:
    world, heard = World(cap(10, window="hour")), Heard()
    use(world, 7)
    assert look(world, heard) == []
    use(world, 1)
    assert look(world, heard) == [80]
    use(world, 2)
    assert look(world, heard) == [100]
    assert look(world, heard) == []
    # When the next hour comes, Then it begins again
    world.time.pass_by(3600)
    use(world, 8)
    assert look(world, heard) == [80]
    subject, message, attributes = heard.told[1]
    assert subject == "Weir: 100 % of the hour's requests used by user ann"
    assert "10 requests of 10 requests are used in the hour 2026112112 (UTC)" in message
    assert attributes["percent"] == "100"


def test_who_is_over_both_at_once_is_told_of_once() -> None:
    world, heard = World(cap(2)), Heard()
    use(world, 2)
    assert look(world, heard) == [100]
    assert look(world, heard) == []


def refuse(world: World, number: int = 1, **fields: Any) -> None:
    for _ in range(number):
        with pytest.raises(CapExceeded):
            world.admit(**fields)


def test_a_cap_that_refuses_below_its_limit_is_told_of_as_used_up_once() -> None:
    # Given a cap of 1,000 tokens, 900 of them used, and calls that can use 150
    world, heard = World(cap(1000, "tokens"), cap(500, subject=EVERYBODY, shards=2)), Heard()
    use(world, 6)
    assert look(world, heard) == [80]
    # When some are refused
    before = world.client.writes().count("put_item")
    refuse(world, 5)
    # Then the process wrote that down once, and one alarm tells of it, with what is used
    assert world.client.writes().count("put_item") == before + 1
    assert look(world, heard) == [100]
    assert look(world, heard) == []
    subject, message, attributes = heard.told[1]
    assert subject == "Weir: all of the day's tokens used up by user ann"
    assert (
        "900 tokens of 1,000 tokens are used in the day 20261121 (UTC) by user ann, and a call was refused" in message
    )
    assert attributes["percent"] == "100"
    # And in the next window it begins again
    world.time.pass_by(86_400)
    assert look(world, heard) == []


@pytest.mark.parametrize("mode", ["strict", "clamp", "expected"])
@pytest.mark.parametrize(("measure", "limit"), [("requests", 3), ("tokens", 450), ("cost", 3 * CALL_COSTS)])
@pytest.mark.parametrize("subject", [Subject("user", "ann"), EVERYBODY])
def test_a_cap_whose_count_reaches_its_limit_is_told_of_though_it_refused_nobody(
    mode: Mode, measure: Measure, limit: int, subject: Subject
) -> None:
    # Given a cap, whatever its mode, which three calls use up to the last of it
    world, heard = World(cap(limit, measure, mode=mode, subject=subject)), Heard()
    use(world, 2)
    assert look(world, heard) == []
    # When the last one ends, and nobody is refused
    use(world, 1)
    assert world.used(measure, subject) == limit
    # Then it is told of, and not as one that has refused
    assert look(world, heard) == [100]
    told, message, _ = heard.told[0]
    assert told.startswith("Weir: 100 % of the day's")
    assert "refused" not in message
    # And not again by the refusal that follows
    refuse(world)
    assert look(world, heard) == []


def test_a_call_that_no_empty_cap_lets_through_uses_up_nothing() -> None:
    world, heard = World(cap(100, "tokens"), cap(0, window="hour")), Heard()
    refuse(world)
    assert look(world, heard) == []


def test_a_clamped_cap_is_used_up_when_it_has_no_token_left() -> None:
    world, heard = World(cap(220, "tokens", mode="clamp")), Heard()
    world.settle(world.admit(), 100, 20)  # 100 are left: those of the input alone
    refuse(world)
    assert look(world, heard) == [100]
    # And another cap, which stands in the way of more output and of no call, is not
    world, heard = World(cap(220, "tokens", mode="clamp"), cap(1)), Heard()
    world.settle(world.admit(), 50, 20)
    refuse(world)
    told = [attributes["measure"] for _, _, attributes in heard.told] if look(world, heard) else []
    assert told == ["requests"]


def test_a_refusal_is_one_whether_or_not_it_could_be_written_down() -> None:
    world, heard = World(cap(1000, "tokens")), Heard()
    use(world, 6)

    def away(operation: str, request: dict[str, Any]) -> None:
        if operation == "put_item":
            raise connection_failure()

    world.client.before = away
    refuse(world)
    world.client.before = lambda operation, request: None
    assert look(world, heard) == [80]
    # And the next one is
    refuse(world)
    assert look(world, heard) == [100]


def connection_failure() -> Exception:
    from botocore.exceptions import ConnectTimeoutError

    return ConnectTimeoutError(endpoint_url="https://dynamodb")


def test_what_is_set_aside_is_not_used_yet() -> None:
    world, heard = World(cap(1000, "tokens")), Heard()
    for _ in range(6):
        world.admit()
    assert look(world, heard) == []


def test_the_default_of_a_user_and_a_split_cap_are_told_of_too() -> None:
    world, heard = World(cap(5, subject=EVERYBODY, shards=4), defaults="day requests 4"), Heard()
    use(world, 4)
    assert sorted(look(world, heard)) == [80, 100]


def test_what_was_used_up_just_before_a_window_ended_is_told_of() -> None:
    world, heard = World(cap(2, window="hour")), Heard()
    world.time.pass_by(3590)
    use(world, 2)
    world.time.pass_by(60)
    assert look(world, heard) == [100]
    assert "2026112112" in heard.told[0][1]


def test_what_could_not_be_told_is_told_the_next_time() -> None:
    world, heard = World(cap(2)), Heard(is_away=True)
    use(world, 2)
    assert look(world, heard) == []
    heard.is_away = False
    assert look(world, heard) == [100]


def test_of_two_that_look_at_the_same_time_one_tells() -> None:
    world, heard = World(cap(2)), Heard()
    use(world, 2)
    said: list[int] = []

    def other_looks(operation: str, request: dict[str, Any]) -> None:
        if operation == "put_item":
            world.client.before = lambda operation, request: None
            said.extend(look(world, heard))

    world.client.before = other_looks
    said.extend(look(world, heard))
    assert said == [100]


def test_upkeep_looks_at_every_counter_on_which_something_may_be_set_aside() -> None:
    world = World(cap(5, subject=EVERYBODY, shards=2), cap(5, subject=Subject("key", "k1")))
    world.admit(Caller("ann", "Ann", "k1"))
    world.time.pass_by(86_400)
    world.admit(Caller("bob", "Bob"))
    assert upkeep.places(world.table, world.store, world.clock) == [
        Place(Subject("user", "ann")),
        Place(Subject("user", "bob")),
        Place(EVERYBODY, 0),
        Place(EVERYBODY, 1),
        Place(Subject("key", "k1")),
    ]
    world.time.pass_by(120)
    found = upkeep.places(world.table, world.store, world.clock)
    world.meter.expire(found)
    assert all(one.closed for count in world.counters.read(found) for one in count.reservations.values())


def test_sns_is_told_in_its_own_words() -> None:
    sent: list[dict[str, Any]] = []

    class Client:
        def publish(self, **request: Any) -> None:
            sent.append(request)
            if len(sent) > 1:
                from botocore.exceptions import ConnectTimeoutError

                raise ConnectTimeoutError(endpoint_url="https://sns")

    topic = Topic(Client(), "arn:topic")
    topic.publish("subject", "message", {"percent": "80"})
    assert sent[0]["MessageAttributes"] == {"percent": {"DataType": "String", "StringValue": "80"}}
    with pytest.raises(Unavailable):
        topic.publish("subject", "message", {})
