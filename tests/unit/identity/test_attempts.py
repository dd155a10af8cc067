"""Guesses are counted before they are looked at, and nobody's count keeps a user out who has logged in there before."""

from dataclasses import replace
from threading import Barrier, Thread

import pytest
from botocore.exceptions import EndpointConnectionError
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.identity.accounts import ANN, NOON, Recorded, Time, stored
from tests.unit.identity.conftest import AnsweredTwice
from weir.identity import attempts
from weir.identity.attempts import ADDRESS, DEVICE, USER, USER_AT_ADDRESS, Bucket, Limit, Reserved
from weir.identity.errors import TooManyAttempts
from weir.identity.wiring import Deps
from weir.runtime.dynamodb import Table

THREE = Limit("three", 3, 60)


def reserve(deps: Deps, *buckets: Bucket) -> Reserved:
    return attempts.reserve(buckets, deps.table, deps.keyring.signing(), deps.clock.now())


def refused(deps: Deps, *buckets: Bucket) -> int | None:
    with pytest.raises(TooManyAttempts) as caught:
        reserve(deps, *buckets)
    assert caught.value.status == 429
    return caught.value.retry_after


def test_no_more_get_in_than_a_window_holds_and_the_next_is_another(deps: Deps, time: Time) -> None:
    # Given three attempts, 20 seconds into a minute
    time.pass_by(20)
    filled = [reserve(deps, Bucket(THREE, ("ann",))).filled for _ in range(3)]

    # Then the last of them is told to be the last, and more are refused until the minute is over
    assert filled == [(), (), ("three",)]
    assert refused(deps, Bucket(THREE, ("ann",))) == 40
    assert reserve(deps, Bucket(THREE, ("bob",)))
    time.pass_by(39)
    assert refused(deps, Bucket(THREE, ("ann",))) == 1
    time.pass_by(1)
    assert reserve(deps, Bucket(THREE, ("ann",)))


def test_of_many_at_once_exactly_as_many_get_in(deps: Deps) -> None:
    # Given a table whose calls come one after the other, as DynamoDB's writes of an item do, and 20 callers at once
    barrier, let_in = Barrier(20), []

    def attempt() -> None:
        barrier.wait()
        try:
            let_in.append(reserve(deps, Bucket(THREE, ("ann",))))
        except TooManyAttempts:
            return

    callers = [Thread(target=attempt) for _ in range(20)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert len(let_in) == 3


def test_what_is_given_back_is_free_again_and_once(deps: Deps) -> None:
    # Given a full window, of which one attempt was right
    reserved = [reserve(deps, Bucket(THREE, ("ann",))) for _ in range(3)]
    attempts.give_back(reserved[0], deps.table)

    # Then one more gets in
    reserve(deps, Bucket(THREE, ("ann",)))
    assert refused(deps, Bucket(THREE, ("ann",)))

    # And a count never goes below none, however often it is given back
    for _ in range(9):
        attempts.give_back(reserved[0], deps.table)
    assert [reserve(deps, Bucket(THREE, ("ann",))).filled for _ in range(3)][-1] == ("three",)


def test_giving_back_is_not_worth_a_refusal(deps: Deps, client: Recorded) -> None:
    reserved = reserve(deps, Bucket(THREE, ("ann",)))

    def fail(operation: str, request: dict[str, object]) -> None:
        raise EndpointConnectionError(endpoint_url="https://dynamodb")

    client.before = fail
    attempts.give_back(reserved, deps.table)


def test_an_answer_that_came_twice_lets_none_more_in(deps: Deps, client: Recorded) -> None:
    # Given a first attempt that botocore sent twice / Then it counts as two at worst
    table = Table(AnsweredTwice(client, "update_item"), "identity")
    attempts.reserve([Bucket(THREE, ("ann",))], table, deps.keyring.signing(), NOON)
    reserve(deps, Bucket(THREE, ("ann",)))
    assert refused(deps, Bucket(THREE, ("ann",)))


def test_a_guess_is_counted_by_where_and_by_whom() -> None:
    # Given no device, or one that nobody knows
    assert attempts.at_log_in("ann", ANN, None, "203.0.113.7") == (
        Bucket(ADDRESS, ("203.0.113.7",)),
        Bucket(USER_AT_ADDRESS, ("ann", "203.0.113.7")),
        Bucket(USER, ("ann",)),
    )
    # And for nobody just as for somebody
    assert attempts.at_log_in("ann", None, None, "203.0.113.7") == attempts.at_log_in("ann", ANN, None, "203.0.113.7")

    # But a known device counts by itself
    known = attempts.at_log_in("ann", ANN, "device2device3de", "203.0.113.7")
    assert known == (Bucket(ADDRESS, ("203.0.113.7",)), Bucket(DEVICE, (ANN, "device2device3de")))


def test_a_full_bucket_that_spares_lets_each_address_try_once_a_minute(deps: Deps, time: Time) -> None:
    # Given a user at whom others have guessed as often as an hour holds
    most = [Bucket(replace(USER, most=2), ("ann",))]
    for _ in range(2):
        reserve(deps, *most)

    def here(address: str) -> tuple[Bucket, ...]:
        return Bucket(USER_AT_ADDRESS, ("ann", address)), *most

    # Then an address that has not tried in this minute may, once, and is told when it may again: not in an hour
    time.pass_by(15)
    reserved = reserve(deps, *here("203.0.113.7"))
    assert (len(reserved.keys), reserved.filled) == (1, ())
    assert refused(deps, *here("203.0.113.7")) == 45
    assert reserve(deps, *here("203.0.113.8"))
    time.pass_by(45)
    assert reserve(deps, *here("203.0.113.7"))
    assert refused(deps, *here("203.0.113.7")) == 60

    # And alone, it lets nobody in
    assert refused(deps, *most) == 3_540


def test_an_attempt_that_was_spared_takes_nothing_back_from_the_full_bucket(deps: Deps) -> None:
    # Given an owner who is right while the count of guesses is full
    most = Bucket(replace(USER, most=1), ("ann",))
    here = Bucket(USER_AT_ADDRESS, ("ann", "203.0.113.7"))
    reserve(deps, most)
    attempts.give_back(reserve(deps, here, most), deps.table)

    # Then they may try again at once, and those who guess have won no other try by it
    assert reserve(deps, here, most).filled == ()
    assert refused(deps, most)


def test_neither_names_nor_addresses_are_stored(deps: Deps, client: Recorded) -> None:
    reserve(deps, *attempts.at_log_in("somebodys-password", None, None, "203.0.113.7"))
    assert "somebodys" not in stored(client)
    assert "203.0.113" not in stored(client)
    items = client.scan(TableName="identity")["Items"]
    assert len(items) == 3
    assert all(int(item["ttl"]["N"]) > NOON.timestamp() for item in items)
    assert {item["schema"]["N"] for item in items} == {"1"}


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("unknown", "unknown"),
    ],
)
def test_who_holds_a_network_is_one_caller(address: str, network: str) -> None:
    assert attempts.network(address) == network


@given(st.lists(st.tuples(st.sampled_from(["try", "right"]), st.integers(0, 30)), max_size=30))
def test_wrong_guesses_in_a_window_never_pass_its_limit(steps: list[tuple[str, int]]) -> None:
    # Given attempts of which some are right, in a table that is only a dict
    guessed: dict[int, int] = {}
    time, table = Time(), Counting()
    from tests.unit.identity.conftest import Secret
    from weir.identity.keyring import Keyring

    key = Keyring(Secret().read, lambda: 0.0).signing()
    for what, seconds in steps:
        time.pass_by(seconds)
        window = int(time.clock.now().timestamp()) // THREE.seconds
        try:
            reserved = attempts.reserve([Bucket(THREE, ("ann",))], table, key, time.clock.now())  # type: ignore[arg-type]
        except TooManyAttempts:
            assert guessed[window] == THREE.most
            continue
        if what == "right":
            attempts.give_back(reserved, table)  # type: ignore[arg-type]
        else:
            guessed[window] = guessed.get(window, 0) + 1
    assert all(count <= THREE.most for count in guessed.values())


class Counting:
    """As much of a table as counting needs."""

    def __init__(self) -> None:
        self.counts: dict[tuple[str, str], int] = {}

    def update(
        self, key: dict[str, str], changes: str, when: str, values: dict[str, int], names: object = None
    ) -> object:
        from weir.runtime.dynamodb import Outcome

        at = (key["pk"], key["sk"])
        count = self.counts.get(at, 0)
        if "most" in values and count >= values["most"]:
            return Outcome(False, {"attempts": count})
        if "none" in values and count <= 0:
            return Outcome(False, None)
        self.counts[at] = count + values.get("one", values.get("less", 0))
        return Outcome(True, {"attempts": self.counts[at]})
