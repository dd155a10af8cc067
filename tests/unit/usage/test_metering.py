"""Metering: what is set aside, what is settled, and that nothing of it happens twice, or to nobody."""

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.unit.usage.metered import BOUND, CLAUDE, EVERYBODY, GPT, NOON, PICO, PRICE, World, cap
from weir.llm.models import Bound, Tokens
from weir.llm.tiers import Dearer
from weir.runtime.errors import Unavailable
from weir.usage.caps import CapExceeded, ModelUnpriced, ToolUnpriced
from weir.usage.counters import Place, settle
from weir.usage.estimating import DEFAULT_OUTPUT
from weir.usage.metering import Outcome
from weir.usage.models import Amount, Caller, Cap, Mode, Rates, Subject
from weir.usage.pricing import cost

CALL_COSTS = cost(Tokens(100, 50), PRICE)


def test_a_call_is_counted_by_what_it_can_use_and_then_by_what_it_did() -> None:
    world = World(cap(1000, "tokens"), cap(PICO, "cost"))
    # Given a call that can use 100 tokens and answer with 50
    admission = world.admit()
    # Then so much is set aside in the running hour, day and month
    for bucket in ("h2026112112", "d20261121", "m202611"):
        assert world.count().used(bucket, "tokens") == world.count().reserved(bucket, "tokens") == 150
        assert world.count().used(bucket, "requests") == 1
    assert world.used("cost") == CALL_COSTS
    # When it used less / Then that is what counts, and nothing is set aside any more
    record = world.settle(admission, 40, 10)
    assert (world.used("tokens"), world.used("requests")) == (50, 1)
    assert world.used("cost") == record.cost == cost(Tokens(40, 10), PRICE)
    assert not world.count().reservations
    # And the record tells of it
    assert world.records() == [record]
    assert (record.request_id, record.admitted_at, record.price_id) == ("r-1", NOON, "p1")
    assert not record.estimated


def test_a_user_without_any_cap_is_counted_all_the_same() -> None:
    world = World()
    admission = world.admit()
    assert world.count().reserved("d20261121", "requests") == 1
    world.settle(admission)
    assert world.used("tokens") == 150


def test_three_write_units_are_used_for_a_request_of_a_user_with_the_default_caps() -> None:
    world = World(defaults="day requests 1000, day tokens 100000, day cost 10")
    caller = Caller("ann2ann3ann4ann5", "ann", "aaaabbbbccccdddd", ("research", "operators"), ("member",))
    world.settle(world.admit(caller))  # the day's first tells that the user is active
    # When one more is made
    before, called = world.client.units, len(world.client.called)
    world.settle(world.admit(caller, request_id="c6af9ac6-7b61-11e6-9a41-93e8deadbeef"))
    # Then it takes two writes of the counter and one of the record, and reads nothing
    assert world.client.called[called:] == ["update_item", "put_item", "update_item"]
    assert world.client.units - before == 3


def test_what_would_pass_a_cap_is_refused_with_its_figures_and_nothing_is_set_aside() -> None:
    world = World(cap(200, "tokens"))
    world.settle(world.admit())
    # When a second call could make 300 of 200
    with pytest.raises(CapExceeded) as refused:
        world.admit()
    # Then it is told which cap, of what, how far it is used, and when it is reset
    error = refused.value
    assert (error.usage, error.cap.limit, error.requested) == (150, 200, 150)
    assert error.retry_after == 12 * 3600
    assert error.members == {
        "cap_id": error.cap.cap_id,
        "subject": "user",
        "limit_type": "tokens",
        "window": "day",
        "usage": 150,
        "limit": 200,
        "requested": 150,
        "resets_at": "2026-11-22T00:00:00.000Z",
        "retry_after_seconds": 43200,
    }
    assert world.used("tokens") == 150
    assert not world.count().reservations


def test_money_is_told_in_dollars() -> None:
    world = World(cap(PICO // 1000, "cost"))
    with pytest.raises(CapExceeded) as refused:
        world.admit()
    assert refused.value.members["limit"] == "0.001"
    assert "$0.001" in refused.value.detail


def test_a_call_that_alone_is_more_than_a_limit_is_refused_without_a_write() -> None:
    world = World(cap(149, "tokens"))
    world.recorder.active("ann", NOON)
    world.meter.expire([])
    with pytest.raises(CapExceeded):
        world.admit()
    assert "update_item" not in world.client.called


def test_a_call_that_fits_exactly_is_admitted() -> None:
    assert World(cap(150, "tokens")).admit()


def test_a_window_that_is_over_leaves_room_for_the_next_to_the_millisecond() -> None:
    world = World(cap(1, "requests", "hour"))
    world.settle(world.admit())
    # When it is a millisecond to one / Then there is no room; at one there is
    world.time.pass_by(3599.999)
    with pytest.raises(CapExceeded) as refused:
        world.admit()
    assert refused.value.retry_after == 1
    world.time.pass_by(0.001)
    world.admit()


def test_a_call_is_settled_in_the_windows_that_it_was_admitted_in() -> None:
    world = World(cap(1000, "tokens", "hour"))
    admission = world.admit()
    world.time.pass_by(3600)
    world.settle(admission, 40, 10)
    assert world.count().used("h2026112112", "tokens") == 50
    assert world.count().used("h2026112113", "tokens") == 0
    assert world.records()[0].admitted_at == NOON


def test_a_settle_that_comes_twice_counts_once() -> None:
    world = World(cap(1000, "tokens"))
    admission = world.admit()
    first = world.settle(admission, 40, 10)
    # When it comes again, with other figures, or its write is sent twice
    assert world.settle(admission, 1, 1) == first
    settle(world.counters, admission.held[0].place, admission.held[0].reservation, Amount(1, 99, 0))
    # Then the first holds
    assert world.used("tokens") == 50
    assert world.records() == [first]


@pytest.mark.parametrize("operation", ["update_item", "put_item"])
def test_a_write_whose_answer_is_lost_is_sent_again_and_done_once(operation: str) -> None:
    world = World(cap(1000, "tokens"))
    # Given that each write is sent twice, the first answer lost
    world.client.lost = {operation: 10}
    world.settle(world.admit(), 40, 10)
    assert (world.used("tokens"), world.used("requests")) == (50, 1)
    assert len(world.records()) == 1
    assert not world.count().reservations


def test_a_call_whose_reserve_is_not_answered_is_not_made_and_nothing_stays_set_aside() -> None:
    world = World(cap(1000, "tokens"))
    original = world.counters.reserve

    def lost(*args: object) -> object:
        original(*args)  # type: ignore[arg-type]
        raise Unavailable("no answer")

    world.counters.reserve = lost  # type: ignore[assignment, method-assign]
    with pytest.raises(Unavailable):
        world.admit()
    assert world.used("tokens") == 0
    assert not world.count().reservations
    assert not world.records()


def test_two_calls_of_one_request_id_are_two_calls() -> None:
    # Given that callers choose request ids / Then none of them rides along on another's admission
    world = World(cap(1, "requests"))
    world.admit(request_id="same")
    with pytest.raises(CapExceeded):
        world.admit(request_id="same")


# Whom a call is charged to


def test_a_call_is_charged_to_the_key_the_user_their_groups_and_everyone_where_they_have_caps() -> None:
    subjects = [Subject("key", "k1"), Subject("group", "red"), EVERYBODY]
    world = World(*(cap(1000, "tokens", subject=one) for one in subjects), cap(5, subject=Subject("group", "blue")))
    caller = Caller("ann", "Ann", "k1", ("red", "green"))
    admission = world.admit(caller)
    charged = [one.place.subject.kind for one in admission.held]
    assert charged == ["key", "user", "group", "everyone"]
    record = world.settle(admission, 40, 10)
    for subject in [*subjects, Subject("user", "ann")]:
        assert world.used("tokens", subject) == 50
        assert not world.count(subject).reservations
    assert len(world.records()) == 1
    assert record.caller == caller


@pytest.mark.parametrize("narrow", [True, False])
def test_what_narrower_ones_have_set_aside_is_given_back_where_a_wider_one_refuses(narrow: bool) -> None:
    wide, key = cap(100, "tokens", subject=EVERYBODY), cap(1000, "tokens", subject=Subject("key", "k1"))
    world = World(wide, key, cap(100, "tokens", subject=Subject("user", "ann"))) if narrow else World(wide, key)
    with pytest.raises(CapExceeded) as refused:
        world.admit(Caller("ann", "Ann", "k1"))
    assert refused.value.cap.subject.kind == ("user" if narrow else "everyone")
    for subject in (EVERYBODY, Subject("key", "k1"), Subject("user", "ann")):
        assert world.used("tokens", subject) == 0
        assert not world.count(subject).reservations
    assert not world.records()


def test_what_was_set_aside_before_a_store_failed_is_given_back() -> None:
    world = World(cap(1000, "tokens", subject=EVERYBODY))

    def fails(operation: str, request: dict[str, object]) -> None:
        if "COUNT#everyone" in str(request.get("Key")):
            raise Unavailable("away")

    world.client.before = fails
    with pytest.raises(Unavailable):
        world.admit()
    assert world.used("tokens") == 0


def test_the_cap_of_a_group_that_the_caller_is_not_in_does_not_hold() -> None:
    world = World(cap(0, subject=Subject("group", "blue")))
    assert world.admit(Caller("ann", "Ann", groups=("red",)))


def test_a_user_has_the_default_where_they_have_no_cap_of_their_own() -> None:
    world = World(cap(3, subject=Subject("user", "bob")), defaults="day requests 1, day tokens 1000")
    world.admit()
    with pytest.raises(CapExceeded) as refused:
        world.admit()
    assert refused.value.cap.default
    for _ in range(3):
        world.admit(Caller("bob", "Bob"))
    with pytest.raises(CapExceeded) as refused:
        world.admit(Caller("bob", "Bob"))
    assert not refused.value.cap.default


def test_a_cap_that_is_changed_counts_when_what_was_remembered_ends() -> None:
    world = World(cap(1))
    world.admit()
    changed = replace(world.store.of_subject(Subject("user", "ann"))[0], limit=2)
    world.store.change(changed.cap_id, changed, None)
    with pytest.raises(CapExceeded):
        world.admit()
    world.time.pass_by(30)
    assert world.admit()


@pytest.mark.parametrize("fields", [{"enforced": False}, {"enforced_from": NOON + timedelta(hours=1)}])
def test_a_cap_that_is_not_enforced_or_in_its_grace_counts_and_refuses_nothing(fields: dict[str, object]) -> None:
    world = World(cap(1, **fields))
    for _ in range(3):
        world.admit()
    assert world.used("requests") == 3
    # When the grace is over / Then what was counted in it counts
    world.time.pass_by(3600)
    if "enforced_from" in fields:
        with pytest.raises(CapExceeded):
            world.admit()


# Modes


def test_expected_sets_aside_what_is_likely() -> None:
    world = World(cap(1000, "tokens", mode="expected"), cap(PICO, "cost", mode="expected"))
    world.admit()
    assert world.used("tokens") == 45
    assert world.used("cost") == cost(Tokens(25, 20), PRICE)


def test_clamp_lowers_the_output_to_what_is_affordable() -> None:
    world = World(cap(270, "tokens", mode="clamp"))
    assert world.admit().max_output is None
    # When 120 are left of 270, and the next could use 150
    admission = world.admit()
    # Then it gets the 20 that are left beside its input
    assert admission.max_output == 20
    assert world.used("tokens") == 270
    # And when nothing is left for output, it is refused
    with pytest.raises(CapExceeded):
        world.admit()


def test_clamp_by_cost_is_exact_to_the_token() -> None:
    # Given a cap that affords 100 of input and 7 of output, less a pico-dollar of an eighth
    limit = cost(Tokens(100, 8), PRICE) - 1
    world = World(cap(limit, "cost", mode="clamp"))
    assert world.admit().max_output == 7


def test_clamp_holds_for_the_wider_ones_too() -> None:
    world = World(cap(120, "tokens", mode="clamp"), cap(1000, "tokens", subject=EVERYBODY))
    assert world.admit().max_output == 20
    assert world.used("tokens", EVERYBODY) == 120


def test_a_strict_cap_beside_a_clamp_refuses() -> None:
    world = World(cap(120, "tokens", mode="clamp"), cap(120, "tokens", window="month"))
    with pytest.raises(CapExceeded) as refused:
        world.admit()
    assert refused.value.cap.window == "month"


@pytest.mark.parametrize(("mode", "limit"), [("strict", DEFAULT_OUTPUT), ("clamp", DEFAULT_OUTPUT), ("expected", None)])
def test_a_call_without_a_limit_gets_one_where_a_cap_must_hold(mode: str, limit: int | None) -> None:
    world = World(cap(100_000, "tokens", mode=mode))  # type: ignore[arg-type]
    assert world.admit(bound=Bound(100, None, 25, 20)).max_output == limit


def test_a_call_without_a_limit_needs_none_where_requests_alone_are_capped() -> None:
    assert World(cap(5)).admit(bound=Bound(100, None, 25, 20)).max_output is None


# Prices


def test_a_model_without_a_price_is_refused_where_a_cap_on_cost_must_hold() -> None:
    world = World(cap(PICO, "cost"), prices=())
    with pytest.raises(ModelUnpriced):
        world.admit()
    assert not world.count().counts


SEARCHES = replace(BOUND, fee="web_search_20250305")


@pytest.mark.parametrize("mode", ["strict", "clamp"])
def test_a_tool_with_a_fee_is_refused_where_a_cap_on_cost_must_hold(mode: Mode) -> None:
    # Given a cap on cost, however much it leaves
    world = World(cap(10**6 * PICO, "cost", mode=mode, subject=EVERYBODY))
    # When a call asks for a tool that is charged by its use, Then it is not made, and its caller learns why
    with pytest.raises(ToolUnpriced, match=r"web_search_20250305.*mode expected"):
        world.admit(bound=SEARCHES)
    assert world.used("requests") == 0
    assert world.admit()


@pytest.mark.parametrize("caps", [(), (cap(PICO, "cost", mode="expected"),), (cap(1000, "tokens"),)])
def test_a_tool_with_a_fee_is_let_through_where_none_must_and_charged_by_its_tokens(caps: tuple[Cap, ...]) -> None:
    world = World(*caps)
    assert world.settle(world.admit(bound=SEARCHES)).cost == CALL_COSTS


@pytest.mark.parametrize("caps", [(), (cap(PICO, "cost", mode="expected"),), (cap(PICO, "cost", enforced=False),)])
def test_a_model_without_a_price_is_let_through_where_none_must_and_its_cost_is_not_known(caps: tuple) -> None:  # type: ignore[type-arg]
    world = World(*caps, prices=())
    record = world.settle(world.admit())
    assert record.cost is None
    assert world.used("tokens") == 150


def test_of_several_targets_the_dearest_is_set_aside_and_the_one_that_served_is_charged() -> None:
    dear = replace(PRICE, price_id="p2", provider="openai", model="gpt", rates=replace(PRICE.rates, output=60 * PICO))
    world = World(cap(PICO, "cost"), prices=(PRICE, dear))
    admission = world.admit(targets=(CLAUDE, GPT))
    assert world.used("cost") == cost(Tokens(100, 50), dear)
    record = world.meter.settle(admission, Outcome(200, Tokens(10, 5), served=GPT))
    assert (record.provider, record.target, record.price_id) == ("openai", "gpt", "p2")
    assert world.used("cost") == record.cost == cost(Tokens(10, 5), dear)


def test_the_price_at_admission_holds_whoever_serves_and_whatever_becomes_of_it() -> None:
    # Given a call that was admitted with two targets, and a price of the second that is gone since
    gpt = replace(PRICE, price_id="p2", provider="openai", model="gpt")
    world = World(cap(PICO, "cost"), prices=(PRICE, gpt))
    admission = world.admit(targets=(CLAUDE, GPT))
    meter = World(cap(PICO, "cost"), prices=()).meter
    # When it is settled where no price is known / Then it is charged by that one
    record = meter.settle(admission, Outcome(200, Tokens(10, 5), served=GPT))
    assert (record.price_id, record.cost) == ("p2", cost(Tokens(10, 5), gpt))


FAST = replace(PRICE, price_id="p2", tier="fast", rates=Rates(input=18 * PICO, output=90 * PICO))
BATCH = replace(PRICE, price_id="p3", tier="batch", rates=Rates(input=1, output=1))


def test_a_dearer_tier_is_set_aside_and_charged_by_its_own_price() -> None:
    # Given a model with a price of a tier that costs six times as much
    world = World(cap(CALL_COSTS * 7, "cost"), prices=(PRICE, FAST, BATCH))
    # When it is called in that tier, Then so much is set aside
    admission = world.admit(tier="fast")
    assert world.used("cost") == cost(Tokens(100, 50), FAST) == 6 * CALL_COSTS
    # And charged
    record = world.settle(admission)
    assert (record.cost, record.price_id) == (6 * CALL_COSTS, "p2")
    # And the standard tier is, as it was, by its own; a second one of the dearer is more than is left
    with pytest.raises(CapExceeded):
        world.admit(tier="fast")
    assert world.settle(world.admit()).price_id == "p1"


def test_a_dearer_tier_without_a_price_is_refused_whatever_caps_there_are() -> None:
    # Given a model with a price of the standard tier, and of batches
    world = World(prices=(PRICE, BATCH))
    # When a dearer one is asked for, Then it is refused, in words that tell an admin what to do
    with pytest.raises(Dearer, match=r"costs more.*POST /models/prices, with the tier fast"):
        world.admit(tier="fast")
    # And so it is where one of two targets has none
    world = World(prices=(PRICE, FAST))
    with pytest.raises(Dearer):
        world.admit(tier="fast", targets=(CLAUDE, GPT))
    assert not world.records()
    assert not world.client.writes()


def test_of_a_dearer_tier_whoever_dies_and_whoever_served_are_charged_by_it() -> None:
    gpt = replace(FAST, price_id="p4", provider="openai", model="gpt", rates=Rates(input=PICO, output=2 * PICO))
    world = World(prices=(PRICE, FAST, gpt))
    record = world.settle(world.admit(tier="fast", targets=(CLAUDE, GPT)), served=GPT)
    assert record.price_id == "p4"
    world.admit(tier="fast")
    world.time.pass_by(92)
    world.meter.expire([Place(Subject("user", "ann"))])
    (expired,) = [one for one in world.records() if one.error == "expired"]
    assert (expired.price_id, expired.cost) == ("p2", cost(Tokens(25), FAST))


def test_a_call_that_used_nothing_costs_nothing_and_is_a_request() -> None:
    world = World(cap(PICO, "cost"))
    record = world.meter.settle(world.admit(), Outcome(502, error="connect"))
    assert record.cost == 0
    assert (world.used("requests"), world.used("tokens")) == (1, 0)


def test_a_call_that_is_cancelled_leaves_nothing_behind() -> None:
    world = World(cap(1))
    world.meter.cancel(world.admit())
    assert world.used("requests") == 0
    assert not world.records()


# Whoever dies


def test_who_dies_before_they_settle_is_charged_for_their_input_by_the_next_request() -> None:
    world = World(cap(1000, "tokens"), cap(PICO, "cost"))
    world.admit(Caller("ann", "Ann", "k1", ("red",)), request_id="lost", stream=True)
    # When the deadline is over, and some more, and the next one comes
    world.time.pass_by(92)
    world.settle(world.admit(), 1, 1)
    # Then the lost one is charged at its likely input, and a record tells so
    (lost, _) = world.records()
    assert (lost.request_id, lost.input, lost.output, lost.estimated, lost.error) == ("lost", 25, 0, True, "expired")
    assert (lost.caller.key, lost.caller.groups, lost.stream, lost.admitted_at) == ("k1", ("red",), True, NOON)
    assert lost.cost == cost(Tokens(25), PRICE)
    assert world.used("tokens") == 25 + 2
    assert world.count().reserved("d20261121", "tokens") == 0


def test_who_is_past_the_deadline_makes_room_for_who_would_be_refused() -> None:
    world = World(cap(200, "tokens"))
    world.admit()
    world.time.pass_by(92)
    assert world.admit()


def test_before_the_deadline_nobody_is_taken_for_dead() -> None:
    world = World(cap(200, "tokens"))
    world.admit()
    world.time.pass_by(89)
    with pytest.raises(CapExceeded):
        world.admit()


def test_who_dies_after_the_record_is_counted_by_it() -> None:
    world = World(cap(1000, "tokens"), cap(1000, "tokens", subject=EVERYBODY))
    admission = world.admit()
    fails = True

    def away(operation: str, request: dict[str, object]) -> None:
        if fails and operation == "update_item":
            raise Unavailable("away")

    world.client.before = away
    with pytest.raises(Unavailable):
        world.settle(admission, 40, 10)
    fails = False
    world.time.pass_by(92)
    assert world.meter.expire([one.place for one in admission.held]) == 2
    assert world.used("tokens") == world.used("tokens", EVERYBODY) == 50
    assert [one.error for one in world.records()] == [""]


@pytest.mark.parametrize("order", [("user", "everyone"), ("everyone", "user"), ("everyone",), ("user", "user")])
def test_the_dead_are_settled_alike_whichever_counter_is_looked_at_first(order: tuple[str, ...]) -> None:
    world = World(cap(1000, "tokens", subject=EVERYBODY))
    places = {one.place.subject.kind: one.place for one in world.admit().held}
    world.time.pass_by(92)
    for kind in order:
        world.meter.expire([places[kind]])
    world.meter.expire(list(places.values()))
    assert world.used("tokens") == world.used("tokens", EVERYBODY) == 25
    assert len(world.records()) == 1


def test_who_dies_while_they_are_being_admitted_costs_nothing() -> None:
    world = World(cap(1000, "tokens", subject=Subject("key", "k1")))

    class Died(BaseException):
        pass

    def dies(operation: str, request: dict[str, object]) -> None:
        if "COUNT#user" in str(request.get("Key")):
            raise Died

    # Given one who has set aside with the key, and dies before the user; nor can they give it back
    world.client.before = dies
    world.meter._reserving.give_back = lambda held: None  # type: ignore[method-assign]
    with pytest.raises(Died):
        world.admit(Caller("ann", "Ann", "k1"))
    world.client.before = lambda operation, request: None
    world.time.pass_by(92)
    # When it is past the deadline / Then it is given back, for the call was never made
    (place,) = {one.place for one in world.another().admit(world.call(Caller("ann", "Ann", "k1"))).held[:1]}
    assert world.counters.read([place])[0].used("d20261121", "tokens") == 150
    assert not world.records()


@pytest.mark.parametrize("shards", [1, 4])
@pytest.mark.parametrize("wide", [Subject("group", "red"), EVERYBODY])
@pytest.mark.parametrize("found_by", ["the schedule", "the next request"])
def test_a_call_that_a_wider_cap_refused_leaves_no_record_though_giving_back_failed(
    wide: Subject, shards: int, found_by: str
) -> None:
    # Given a call that a wider cap refuses, and a store that fails as what the narrower ones set aside is given back
    caller = Caller("ann", "Ann", "k1", ("red",))
    caps = [cap(100, "tokens", subject=wide, shards=shards), cap(1000, subject=Subject("key", "k1"))]
    world = World(*caps, *([] if wide == EVERYBODY else [cap(1000, "tokens", subject=EVERYBODY)]))

    def away(operation: str, request: dict[str, object]) -> None:
        if "REMOVE" in str(request.get("UpdateExpression")):
            raise Unavailable("away")

    world.client.before = away
    with pytest.raises(CapExceeded):
        world.admit(caller)
    world.client.before = lambda operation, request: None
    user = Subject("user", "ann")
    assert world.count(user).reservations
    # When it is past its deadline
    world.time.pass_by(92)
    if found_by == "the schedule":
        world.meter.expire([Place(Subject("key", "k1")), Place(user)])
    else:
        with pytest.raises(CapExceeded):
            world.admit(caller)
    # Then it is given back, and nobody is told of a call that was never made
    assert world.used("tokens") == world.used("requests") == 0
    assert world.used("requests", Subject("key", "k1")) == 0
    assert not world.records()


@pytest.mark.parametrize("shards", [1, 4])
def test_a_call_that_was_admitted_by_all_is_charged_where_its_holder_died(shards: int) -> None:
    # Given a call of which four are charged
    caller = Caller("ann", "Ann", "k1", ("red",))
    wide = [cap(9000, "tokens", subject=one, shards=shards) for one in (Subject("group", "red"), EVERYBODY)]
    world = World(*wide, cap(9000, "tokens", subject=Subject("key", "k1")))
    places = [one.place for one in world.admit(caller).held]
    assert len(places) == 4
    # When its holder dies, Then all count its input, and it is told of once
    world.time.pass_by(92)
    assert world.another().expire(places) == 4
    counts = world.counters.read(places)
    assert [one.used("d20261121", "tokens") for one in counts] == [25] * 4
    assert [one.error for one in world.records()] == ["expired"]


def test_a_call_whose_widest_was_settled_and_its_user_not_is_counted_by_its_record() -> None:
    # Given a call whose settlement fails with the user alone
    world = World(cap(1000, "tokens", subject=EVERYBODY))
    admission = world.admit()

    def away(operation: str, request: dict[str, object]) -> None:
        if "COUNT#user" in str(request.get("Key")):
            raise Unavailable("away")

    world.client.before = away
    with pytest.raises(Unavailable):
        world.settle(admission, 40, 10)
    world.client.before = lambda operation, request: None
    assert not world.count(EVERYBODY).reservations
    # When it is past its deadline, Then the user counts what the record says
    world.time.pass_by(92)
    world.meter.expire([Place(Subject("user", "ann"))])
    assert world.used("tokens") == world.used("tokens", EVERYBODY) == 50
    assert [one.error for one in world.records()] == [""]


def test_a_reservation_from_before_the_widest_was_told_is_a_calls() -> None:
    # Given a reservation as it was written once
    world = World(cap(1000, "tokens", subject=EVERYBODY))
    (held, *_) = [one for one in world.admit().held if one.place.subject.kind == "user"]
    before = replace(held.reservation, detail=held.reservation.detail[:13])
    world.counters.exchange(held.place, held.reservation, before, {})
    # When nobody comes to settle it, Then it is charged
    world.time.pass_by(92)
    world.meter.expire([held.place])
    assert [one.error for one in world.records()] == ["expired"]


def test_who_was_taken_for_dead_and_was_not_is_charged_for_what_they_used() -> None:
    world = World(cap(1000, "tokens"), cap(1000, "tokens", subject=EVERYBODY))
    admission = world.admit()
    world.time.pass_by(92)
    world.meter.expire([one.place for one in admission.held])
    # When they settle after all, twice
    record = world.settle(admission, 90, 45)
    assert world.settle(admission, 90, 45) == record
    # Then the record tells what it was, and so do the counters
    assert world.records() == [record]
    assert world.used("tokens") == world.used("tokens", EVERYBODY) == 135
    assert not world.count().reservations


def test_what_has_no_use_any_more_is_taken_away() -> None:
    world = World(cap(1000, "tokens", "hour"))
    world.admit()
    world.time.pass_by(92)
    world.settle(world.admit())
    # Given counts of an hour and a day, and one who was taken for dead / When it is the day after tomorrow
    world.time.pass_by(2 * 86_400)
    world.settle(world.admit())
    # Then of those the month's are left
    assert {one[:-1] for one in world.count().counts} == {"h2026112312", "d20261123", "m202611"}
    assert not [one for one in world.count().reservations.values() if one.closed]


# Shards


def test_a_subject_that_is_split_holds_its_limit_in_all() -> None:
    world = World(cap(10, subject=EVERYBODY, shards=4))
    for _ in range(10):
        world.admit(Caller("ann", "Ann"))
    with pytest.raises(CapExceeded) as refused:
        world.admit()
    assert (refused.value.usage, refused.value.cap.limit) == (10, 10)
    assert [world.count(EVERYBODY, shard).used("d20261121", "requests") for shard in range(4)] == [3, 3, 2, 2]


def test_calls_are_spread_over_the_shards() -> None:
    world = World(cap(10_000, subject=EVERYBODY, shards=4))
    for _ in range(200):
        world.admit()
    assert all(world.count(EVERYBODY, one).used("d20261121", "requests") > 20 for one in range(4))


def test_who_is_refused_as_a_window_ends_is_told_when_that_window_ends() -> None:
    # Given a cap that is used up, a call a moment before midnight, and a store that answers after it
    world = World(cap(1))
    world.time.pass_by(12 * 3600 - 0.5)
    world.settle(world.admit())
    world.client.before = lambda operation, request: world.time.pass_by(1)
    with pytest.raises(CapExceeded) as refused:
        world.admit()
    # Then it may come again at once: not a day later
    assert refused.value.members["resets_at"] == "2026-11-22T00:00:00.000Z"
    assert refused.value.retry_after == 1
