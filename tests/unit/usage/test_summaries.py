"""Summaries are what the records say: while a period runs, when it is summed up, and whatever comes late."""

from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest

from tests.unit.usage.history import CALLERS, Past, cell_of, record
from tests.unit.usage.metered import KEPT, NOON, World, at
from weir.runtime.errors import Invalid, Unavailable
from weir.usage.metering import Outcome
from weir.usage.models import Caller
from weir.usage.records import Recorder
from weir.usage.rolling import Rolled
from weir.usage.summaries import AT_ONCE, Known, Summaries, Totals, by, totals_of
from weir.usage.windows import begin, end

LONG_AGO = NOON - timedelta(days=25)
TWO_DAYS = 2 * 24 - 1
"""Hours that are over since two days ago, and five minutes."""


def test_nothing_need_be_summed_up_for_the_figures_to_be_exact() -> None:
    past = Past(150, days=25)
    past.check(LONG_AGO, NOON)
    assert past.told("hour", past.plain[0].admitted_at) == past.truth("hour", past.plain[0].admitted_at)


def test_what_is_summed_up_is_told_as_the_records_say_without_reading_them() -> None:
    # Given that all that is over was summed up
    past = Past(150, days=25, since=LONG_AGO)
    assert past.rolling.roll().hours == 25 * 24 - 1
    past.check(LONG_AGO, NOON)
    # When a month of it is asked for, Then no record is read
    past.client.called.clear()
    queries: list[str] = []
    past.client.before = lambda operation, request: queries.append(str(request.get("ExpressionAttributeValues")))
    assert past.told("month", LONG_AGO)
    assert past.told("week", NOON - timedelta(days=7))
    assert not [one for one in queries if "REC#" in one]


def busy(users: int) -> World:
    """A world in whose running hour many have called, each twice."""
    world = World()
    for _ in range(2):
        for number in range(users):
            world.settle(world.admit(Caller(f"u{number:04d}", "One of many")))
    return world


def sums(world: World) -> Summaries:
    return Summaries(world.table, world.clock, KEPT)


def test_the_running_hour_of_many_users_is_read_for_some_at_a_time() -> None:
    # Given a store in which no read of records ends before as many have begun as go at a time
    world = busy(3 * AT_ONCE)
    together = Barrier(AT_ONCE, timeout=30)

    def waits(operation: str, request: dict[str, Any]) -> None:
        if "REC#" in str(request.get("ExpressionAttributeValues")):
            together.wait()

    world.client.before = waits
    # When all are summed up, Then they are read so, and nothing is left out or told twice
    rows = sums(world).rows("hour", begin("hour", NOON), Known({}, frozenset()))
    assert len(rows) == 3 * AT_ONCE
    assert by(rows, ())[()].requests == 6 * AT_ONCE
    assert {one.requests for one in rows.values()} == {2}


def test_a_read_that_fails_fails_the_sum_and_the_summing_up() -> None:
    # Given a store that is away for one of many
    world = busy(40)

    def away(operation: str, request: dict[str, Any]) -> None:
        if "REC#u0017" in str(request.get("ExpressionAttributeValues")):
            raise Unavailable("away")

    world.client.before = away
    # Then no sum is told, or kept, that leaves them out
    hour, nothing = begin("hour", NOON), Known({}, frozenset())
    with pytest.raises(Unavailable):
        sums(world).rows("hour", hour, nothing)
    with pytest.raises(Unavailable):
        sums(world).seal("hour", hour, nothing)
    assert not list(world.items("ROWS#"))
    assert not list(world.items("SUM#"))


def test_a_row_that_can_not_be_written_leaves_its_period_open() -> None:
    world = busy(40)

    def away(operation: str, request: dict[str, Any]) -> None:
        if operation == "put_item" and "u0017" in str(request["Item"]):
            raise Unavailable("away")

    world.client.before = away
    with pytest.raises(Unavailable):
        sums(world).seal("hour", begin("hour", NOON), Known({}, frozenset()))
    assert not list(world.items("SUM#"))


def test_summing_up_again_and_rebuilding_give_the_same_figures() -> None:
    past = Past(60, days=9, since=NOON - timedelta(days=9))
    past.rolling.roll()
    before, rows = past.sealed(), len(list(past.items("ROWS#")))
    assert past.rolling.rebuild(NOON - timedelta(days=9), NOON) > 9 * 24
    assert past.rolling.roll() == Rolled(0, 0)
    assert (past.sealed(), len(list(past.items("ROWS#")))) == (before, rows)


def test_a_record_that_comes_late_counts_in_its_own_period_at_once() -> None:
    past = Past(60, days=9, since=NOON - timedelta(days=9))
    past.rolling.roll()
    # When a call that was admitted on Monday is settled on Saturday
    monday = at(9, day=16)
    past.write(record(9001, monday, CALLERS[2]))
    # Then Monday's hour, day, week and month have it, before anything was summed up anew
    for period in ("hour", "day", "week", "month"):
        assert past.told(period, monday) == past.truth(period, monday)  # type: ignore[arg-type]
    assert [one["sk"] for one in past.items("LATE")] == ["2026111609"]
    # And when it was, the mark is gone, and what is kept says the same
    past.time.pass_by(301)
    assert past.rolling.roll().late == 1
    assert not list(past.items("LATE"))
    past.check(begin("week", monday), NOON)
    # As does a rebuild from nothing but the records
    kept = past.sealed()
    past.rolling.rebuild(NOON - timedelta(days=9), NOON)
    assert past.sealed() == kept


def test_a_mark_rests_while_somebody_may_still_write() -> None:
    past = Past(0)
    past.rolling.roll()
    past.write(record(1, at(9)))
    past.time.pass_by(299)
    assert past.rolling.roll().late == 0
    past.time.pass_by(2)
    assert past.rolling.roll().late == 1


def test_a_record_that_comes_while_late_ones_are_taken_in_is_not_lost() -> None:
    past = Past(0)
    past.rolling.roll()
    past.write(record(1, at(9)))
    past.time.pass_by(400)

    # Given that another comes after the hour was added up, and before its mark goes
    def comes(operation: str, request: dict[str, Any]) -> None:
        if operation == "delete_item":
            past.client.before = lambda operation, request: None
            past.write(record(2, at(9)))

    past.client.before = comes
    past.rolling.roll()
    # Then the mark stays, the figures are right, and the next time takes it in
    assert list(past.items("LATE"))
    assert past.told("day", NOON) == past.truth("day", NOON)
    past.time.pass_by(400)
    past.rolling.roll()
    assert not list(past.items("LATE"))
    assert past.told("day", NOON) == past.truth("day", NOON)


@pytest.mark.parametrize("number", range(1, 12))
def test_a_summing_up_that_dies_anywhere_is_done_by_the_next(number: int) -> None:
    past = Past(20, days=1)
    past.rolling.roll()
    past.write(record(9001, at(3)))
    past.time.pass_by(3 * 3600)
    left = number

    def dies(operation: str, request: dict[str, Any]) -> None:
        nonlocal left
        left -= operation != "query"
        if left == 0:
            raise Unavailable("away")

    past.client.before = dies
    with pytest.raises(Unavailable):
        past.rolling.roll()
    past.client.before = lambda operation, request: None
    past.check(begin("week", NOON), NOON)
    past.rolling.roll()
    assert not list(past.items("LATE"))
    past.check(begin("week", NOON), NOON)


def test_there_is_time_for_as_much_as_there_is_and_the_rest_is_for_the_next() -> None:
    past = Past(0)
    left = iter([True, True, False])
    assert past.rolling.roll(lambda: next(left)) == Rolled(2, 0)
    assert past.rolling.roll().hours == TWO_DAYS - 2


def test_an_hour_is_not_summed_up_before_its_last_write_is_done() -> None:
    past = Past(0)
    past.rolling.roll()
    past.time.pass_by(3600 + 299)
    assert past.rolling.roll().hours == 1  # the one that ended at noon
    past.time.pass_by(1)
    assert past.rolling.roll().hours == 1


def test_what_is_no_longer_there_to_be_added_up_is_not_rebuilt() -> None:
    with pytest.raises(Invalid):
        Past(0).rolling.rebuild(NOON - KEPT - timedelta(days=1), NOON)


def test_a_call_that_is_settled_in_the_next_hour_marks_its_own_once_a_minute() -> None:
    world = World()
    admissions = [world.admit() for _ in range(3)]
    world.time.pass_by(3601)
    world.client.called.clear()
    for one in admissions:
        world.meter.settle(one, Outcome(200))
    # Then the first one has written a mark beside its record
    assert world.client.called.count("update_item") == 4
    assert [one["n"] for one in world.items("LATE")] == [1]


def test_sums_are_by_whatever_is_asked() -> None:
    some = [record(1, NOON, CALLERS[0]), record(2, NOON, CALLERS[1]), record(3, NOON, CALLERS[2], model="gpt")]
    rows = {cell_of(one): totals_of(one) for one in some}
    assert by(rows, ()) == {(): sum(map(totals_of, some), Totals())}
    assert by({}, ()) == {}
    assert {key: one.requests for key, one in by(rows, ("user",)).items()} == {("ann",): 2, ("bob",): 1}
    assert set(by(rows, ("model", "key"))) == {("claude", ""), ("claude", "k1"), ("gpt", "k2")}
    # A call counts in each group of its caller's, and in none's where they are in none
    assert {key: one.requests for key, one in by(rows, ("group",)).items()} == {("",): 1, ("blue",): 1, ("red",): 2}


def test_what_is_not_priced_is_told_apart() -> None:
    totals = totals_of(record(1, NOON, cost=None, status=500, estimated=True, cut=True))
    assert (totals.unpriced, totals.cost, totals.errors, totals.estimated, totals.cut) == (1, 0, 1, 1, 1)


def test_who_is_active_is_told_once_a_process_and_day() -> None:
    world = World()
    for _ in range(3):
        world.meter.cancel(world.admit())
    world.time.pass_by(86_400)
    world.meter.cancel(world.admit())
    Recorder(world.table, world.clock, KEPT).active("ann", world.clock.now())
    assert [(one["pk"], one["sk"]) for one in world.items("ACTIVE#")] == [
        ("ACTIVE#20261121", "ann"),
        ("ACTIVE#20261122", "ann"),
    ]
    assert world.client.called.count("put_item") == 3
    assert end("day", NOON) > NOON
