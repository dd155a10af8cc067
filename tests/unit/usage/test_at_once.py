"""Many callers at once on one cap: it is never passed, whoever dies, and all that was admitted is written down."""

import threading

import pytest

from tests.unit.usage.crowd import LIMIT, REQUESTS, crowd
from tests.unit.usage.metered import EVERYBODY, World, cap
from weir.runtime.errors import Unavailable
from weir.usage.caps import CapExceeded
from weir.usage.counters import Place
from weir.usage.models import Cap, Measure, Subject

ANN = Subject("user", "ann")


def check(world: World, limit: int, measure: Measure, subject: Subject = ANN, shards: int = 1) -> None:
    """After the deadlines nothing is set aside, and the counters say what the records say: no more than the limit."""
    places = [Place(subject, shard) for shard in range(shards)]
    world.time.pass_by(120)
    world.meter.expire([*places, Place(ANN)])
    counts = world.counters.read([*places, Place(ANN)])
    assert not [one for count in counts for one in count.reservations.values() if not one.closed]
    records = world.records()
    figures = {"requests": len(records), "tokens": sum(one.input + one.output for one in records)}
    figures["cost"] = sum(one.cost or 0 for one in records)
    for bucket in ("h2026112112", "d20261121", "m202611"):
        for name in ("requests", "tokens", "cost"):
            assert sum(one.used(bucket, name) for one in counts[:shards]) == figures[name]  # type: ignore[arg-type]
    assert figures[measure] <= limit


@pytest.mark.parametrize("subject", [ANN, EVERYBODY])
def test_sixty_four_callers_never_pass_a_cap_of_three_hundred_requests(subject: Subject) -> None:
    # Given a cap of 300 / When 64 make 1,000 requests, 10 % of them cut, 7 % dead before or amid the settling
    world = World(cap(LIMIT, subject=subject))
    came = crowd(world)
    # Then exactly so many were admitted as the cap has room for, and each is written down once
    assert len(came.settled) + len(came.dead) == LIMIT == REQUESTS - len(came.refused)
    assert came.dead
    assert came.cut
    check(world, LIMIT, "requests", subject)
    assert sorted(one.record_id for one in world.records()) == sorted(
        one.admission_id for one in [*came.settled, *came.dead]
    )


@pytest.mark.parametrize(
    ("found", "shards"),
    [
        (cap(20_000, "tokens"), 1),
        (cap(200_000_000_000, "cost"), 1),
        (cap(20_000, "tokens", mode="clamp"), 1),
        (cap(20_000, "tokens", subject=EVERYBODY, shards=4), 4),
    ],
)
def test_nor_do_they_pass_one_of_tokens_or_cost(found: Cap, shards: int) -> None:
    world = World(found)
    came = crowd(world, requests=400)
    assert came.refused
    assert len(came.settled) + len(came.dead) + len(came.refused) == 400
    check(world, found.limit, found.measure, found.subject, shards)


def test_nor_where_every_seventh_write_is_lost_and_every_eleventh_call_fails() -> None:
    world = World(cap(LIMIT, subject=EVERYBODY), cap(200, subject=ANN))
    lock, calls = threading.Lock(), 0

    def trouble(operation: str, request: dict[str, object]) -> None:
        nonlocal calls
        with lock:
            calls += 1
            if calls % 7 == 0:
                world.client.lost[operation] = 1
            fails = calls % 11 == 0
        if fails and operation == "update_item":
            raise Unavailable("away")

    admitted = 0
    world.client.before = trouble
    for _ in range(600):
        try:
            admission = world.admit()
        except (Unavailable, CapExceeded):
            continue
        admitted += 1
        for _ in range(3):
            try:
                world.settle(admission)
                break
            except Unavailable:
                continue
    world.client.before = lambda operation, request: None
    # Then no more is counted than is written down, of which there may be some that were not admitted after all
    check(world, 200, "requests", ANN)
    assert admitted <= len(world.records()) <= 200
