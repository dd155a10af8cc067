"""Caps as they are set: defaults, one of a kind, changed by who has seen them, and what of them holds for a call."""

from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from tests.unit.usage.metered import EVERYBODY, NOON, World, cap
from weir.runtime.etags import etag
from weir.runtime.settings import SettingsError
from weir.usage.caps import CapExceeded, Default, defaults_of, limit_of, status
from weir.usage.errors import CapChanged, CapExists, CapNotFound, ShardsDiffer
from weir.usage.models import Subject
from weir.usage.table import cap_id, key_of_cap

ANN = Subject("user", "ann")


def test_the_defaults_are_read_from_the_settings() -> None:
    assert defaults_of("day requests 1000, day tokens 100000,day cost 10") == (
        Default("day", "requests", 1000),
        Default("day", "tokens", 100_000),
        Default("day", "cost", 10 * 10**12),
    )
    assert defaults_of("") == defaults_of(" , ") == ()


@pytest.mark.parametrize(
    "text",
    [
        *("day requests", "week cost 1", "day calls 5", "day tokens 1.5", "day cost -1", "hour cost x"),
        *("day requests 1 2", "day tokens 1, day tokens 2", "day requests -1"),
    ],
)
def test_a_stack_whose_defaults_can_not_be_read_does_not_start(text: str) -> None:
    with pytest.raises(SettingsError, match="WEIR_DEFAULT_CAPS"):
        defaults_of(text)


@pytest.mark.parametrize("subject", [ANN, EVERYBODY, Subject("group", "red/blue:1.x#y"), Subject("key", "k")])
def test_an_id_says_which_cap_it_is(subject: Subject) -> None:
    world = World()
    made = world.store.add(cap(5, subject=subject))
    assert made.cap_id == cap_id(subject, "day", "requests")
    assert set(made.cap_id) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
    assert world.store.get(made.cap_id) == made
    assert world.store.of_subject(subject) == (made,)


@pytest.mark.parametrize("text", ["", "nothing", "%%%", "dXNlcg", "a" * 9, "\N{SNOWMAN}"])
def test_what_is_no_id_names_no_cap(text: str) -> None:
    with pytest.raises(CapNotFound):
        World().store.get(text)
    key_of_cap(text)


def test_of_two_caps_of_a_kind_for_one_subject_the_second_is_refused() -> None:
    world = World(cap(5))
    with pytest.raises(CapExists) as refused:
        world.store.add(cap(6))
    assert refused.value.members["cap_id"] == cap_id(ANN, "day", "requests")
    world.store.add(cap(6, window="hour"))
    world.store.add(cap(6, "tokens"))


def test_a_subject_is_split_one_way() -> None:
    world = World(cap(5, subject=EVERYBODY, shards=4))
    with pytest.raises(ShardsDiffer):
        world.store.add(cap(5, "tokens", subject=EVERYBODY))
    world.store.add(cap(5, "tokens", subject=EVERYBODY, shards=4))


def test_a_cap_is_changed_and_deleted_only_as_it_was_read() -> None:
    world = World()
    made = world.store.add(cap(5))
    world.time.pass_by(1)
    changed = world.store.change(made.cap_id, replace(made, limit=6), etag(made.revision))
    assert (changed.limit, changed.revision, changed.created_at) == (6, made.revision + 1, NOON)
    for attempt in (
        lambda: world.store.change(made.cap_id, made, etag(made.revision)),
        lambda: world.store.remove(made.cap_id, etag(made.revision)),
    ):
        with pytest.raises(CapChanged):
            attempt()
    world.store.remove(made.cap_id, f'"x", {etag(changed.revision)}')
    with pytest.raises(CapNotFound):
        world.store.remove(made.cap_id, None)
    # And one that is made anew is another
    world.time.pass_by(1)
    assert etag(world.store.add(cap(5)).revision) != etag(made.revision)


@pytest.mark.parametrize("change", ["change", "remove"])
def test_of_two_who_change_a_cap_at_once_one_is_told(change: str) -> None:
    world = World()
    made = world.store.add(cap(5))

    def overtakes(operation: str, request: dict[str, Any]) -> None:
        world.client.before = lambda operation, request: None
        if operation == "transact_write_items":
            world.time.pass_by(1)
            world.store.change(made.cap_id, replace(made, limit=7), None)
        else:
            world.client.before = overtakes

    world.client.before = overtakes
    changes = {
        "change": lambda: world.store.change(made.cap_id, replace(made, limit=6), None),
        "remove": lambda: world.store.remove(made.cap_id, None),
    }
    with pytest.raises(CapChanged):
        changes[change]()
    assert world.store.get(made.cap_id).limit == 7


def test_all_caps_are_listed_page_by_page() -> None:
    subjects = [ANN, EVERYBODY, Subject("group", "a"), Subject("key", "k"), Subject("user", "bob")]
    world = World(*(cap(5, measure, subject=one) for one in subjects for measure in ("requests", "tokens")))  # type: ignore[arg-type]
    found, after = world.store.page(3)
    while after is not None:
        more, after = world.store.page(3, after)
        found += more
    assert [one.subject.kind for one in found] == ["everyone"] * 2 + ["group"] * 2 + ["key"] * 2 + ["user"] * 4
    assert list(world.store.all()) == found
    assert [one.subject.kind for one in world.store.of_many()] == ["everyone"] * 2 + ["group"] * 2


def test_the_parts_of_the_shards_are_the_limit() -> None:
    for limit in (0, 1, 7, 1000):
        assert sum(limit_of(cap(limit, shards=8), shard) for shard in range(8)) == limit


def test_caps_that_were_split_otherwise_at_the_same_time_hold_all_the_same() -> None:
    # Given two caps of everyone, set at once by two admins who did not see the other's: one is split, one is not
    world, other = World(), cap(5, "requests", "hour", EVERYBODY)

    def faster(operation: str, request: dict[str, Any]) -> None:
        if operation == "transact_write_items":
            world.client.before = lambda operation, request: None
            world.store.add(other)

    world.client.before = faster
    world.store.add(cap(100, subject=EVERYBODY, shards=4))
    # When everybody calls / Then no more calls are made than the narrower cap lets through
    admitted = 0
    for _ in range(40):
        with suppress(CapExceeded):
            world.admit()
            admitted += 1
    assert admitted == 5


def test_a_percentage_is_no_more_than_what_is_used() -> None:
    world = World(cap(3000, "tokens"))
    world.settle(world.admit(), 2999, 0)
    told = status(world.store.of_subject(ANN)[0], [world.count(ANN)], NOON)
    assert (told["percentage"], told["exceeded"]) == ("99.9", False)


def test_a_status_tells_what_is_used_and_set_aside_over_all_shards() -> None:
    world = World(cap(8, subject=EVERYBODY, shards=4))
    for _ in range(5):
        world.admit()
    world.settle(world.admit())
    counts = [world.count(EVERYBODY, shard) for shard in range(4)]
    (found,) = world.store.of_subject(EVERYBODY)
    told = status(found, counts, NOON)
    assert (told["usage"], told["reserved"], told["percentage"], told["exceeded"]) == (6, 5, "75.0", False)
    assert told["resets_at"].isoformat() == "2026-11-22T00:00:00+00:00"
