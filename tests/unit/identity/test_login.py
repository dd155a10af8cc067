"""Log-in: who knows the password gets in, and nobody else learns anything by trying."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import argon2
import pytest

from tests.unit.identity.accounts import ANN, BOB, NOON, ORIGIN, Recorded, Time, audited, stored, user
from tests.unit.identity.conftest import HASH, PASSWORD, Hashes, Secret
from weir.identity import login, passwords, tokens
from weir.identity.contract_auth import LoginRequest
from weir.identity.errors import BadCredentials, TooManyAttempts
from weir.identity.login import LoggedIn
from weir.identity.models import Claims, User
from weir.identity.table import session_key
from weir.identity.wiring import Deps
from weir.runtime.errors import Invalid, Unavailable

EPOCH = int(NOON.timestamp())
ELSEWHERE = replace(ORIGIN, source_ip="198.51.100.9")
NEW = "another sentence, which is longer still"


def log_in(deps: Deps, username: str = "ann", password: str = PASSWORD, origin: Any = ORIGIN, **more: Any) -> LoggedIn:
    return login.log_in(LoginRequest(username=username, password=password, **more), origin, deps)


def refused(deps: Deps, username: str = "ann", password: str = "wrong", origin: Any = ORIGIN, **more: Any) -> str:
    with pytest.raises(BadCredentials) as caught:
        log_in(deps, username, password, origin, **more)
    return caught.value.detail


def read(deps: Deps, given: LoggedIn) -> Claims:
    return tokens.verify_access(given.tokens.access_token, deps.keyring, "urn:weir:test", "weir", deps.clock.now())


def whats(client: Recorded) -> list[str]:
    return [entry["what"] for entry in audited(client)]


# ---- Log-in ----


def test_who_knows_the_password_gets_tokens(deps: Deps, ann: User) -> None:
    given = log_in(deps)
    claims = read(deps, given)
    assert (claims.sub, claims.username, claims.roles) == (ANN, "ann", ("operator",))
    assert given.tokens.refresh_token is not None
    assert tokens.verify_device(given.device, ann, deps.keyring, NOON) is not None


def test_the_case_of_a_user_name_tells_no_two_apart(deps: Deps, ann: User) -> None:
    assert read(deps, log_in(deps, "ANN")).sub == ANN


def test_limits_that_are_asked_for_are_given(deps: Deps, ann: User) -> None:
    given = log_in(deps, max_uses=10, expires_in=60)
    assert (read(deps, given).max_uses, given.tokens.expires_in, given.tokens.refresh_token) == (10, 60, None)


def test_no_token_lives_longer_than_the_stack_allows(deps: Deps, ann: User) -> None:
    with pytest.raises(Invalid) as caught:
        log_in(deps, expires_in=901)
    assert caught.value.errors[0].field == "expires_in"


def test_who_must_change_the_password_is_told(deps: Deps, client: Recorded) -> None:
    deps.users.create(user(password_hash=HASH, must_change_password=True))
    given = log_in(deps)
    assert given.tokens.must_change_password
    assert read(deps, given).scopes == ()


def test_a_hash_of_older_parameters_is_made_anew(deps: Deps, ann: User) -> None:
    # Given a user whose hash is from before the parameters were raised
    old = argon2.PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash(PASSWORD)
    deps.users.change(ann, replace(ann, password_hash=old))

    # When they log in / Then the hash is a new one, of the same password, and the user's version what it was
    log_in(deps)
    found = deps.users.get(ANN)
    assert found is not None
    assert found.password_hash is not None
    assert not passwords.needs_rehash(found.password_hash)
    assert found.version == 2
    assert log_in(deps)


# ---- Enumeration: the same words, calls and work for all that is wrong ----

WRONG: dict[str, Callable[[Deps], None]] = {
    "wrong password": lambda deps: deps.users.create(user(password_hash=HASH)),
    "unknown user": lambda deps: None,
    "without a password": lambda deps: deps.users.create(user()),
    "disabled": lambda deps: deps.users.create(user(password_hash=HASH, disabled=True)),
}


@pytest.mark.parametrize(
    "username", ["ann", "Ann", "\u0430nn", "ann\u200b", "a", "ann@example.com", "", "ann\n", "x" * 60_000]
)
@pytest.mark.parametrize("case", WRONG)
def test_nothing_tells_why_it_was_wrong(deps: Deps, client: Recorded, hashes: Hashes, case: str, username: str) -> None:
    # Given a user, or none, whom a name may mean
    WRONG[case](deps)
    calls = len(client.called)

    # When the password is wrong / Then the words are the same, and so are the calls and the work
    assert refused(deps, username) == "User name or password is wrong."
    assert client.called[calls:] == ["get_item", "get_item", "update_item", "update_item", "update_item"]
    assert (hashes.made, hashes.verified) == (0, 1)


@pytest.mark.parametrize(
    "username", ["\u0430nn", "\uff41nn", "ann\u200b", "ann ", " ann", "ann\0", "\ud800nn", "a\u0301nn"]
)
def test_a_look_alike_of_a_name_is_nobody(deps: Deps, ann: User, username: str) -> None:
    assert refused(deps, username, PASSWORD) == "User name or password is wrong."


def test_a_disabled_user_is_told_nothing_even_with_the_right_password(deps: Deps, ann: User, client: Recorded) -> None:
    deps.users.change(ann, replace(ann, disabled=True))
    assert refused(deps, password=PASSWORD) == refused(deps, "nobody")
    assert "SESSION#" not in stored(client)


@pytest.mark.parametrize("password", ["x" * 1_025, "x" * 60_000, PASSWORD + "\0", "\0", "\ud800"])
@pytest.mark.parametrize("username", ["ann", "nobody"])
def test_what_is_nobodys_password_is_refused_without_work(
    deps: Deps, ann: User, client: Recorded, hashes: Hashes, username: str, password: str
) -> None:
    calls = len(client.called)
    assert refused(deps, username, password) == "User name or password is wrong."
    assert client.called[calls:] == []
    assert hashes.verified == 0


# ---- Guessing ----


def test_guesses_from_one_address_are_slowed_and_the_owner_elsewhere_is_not(
    deps: Deps, ann: User, time: Time, client: Recorded
) -> None:
    # Given five wrong guesses from one address
    for _ in range(5):
        refused(deps)

    # Then the sixth is not looked at, be it right or not, until the minute is over
    with pytest.raises(TooManyAttempts) as caught:
        log_in(deps)
    assert caught.value.retry_after == 60
    time.pass_by(60)
    assert log_in(deps)

    # And the owner, who is elsewhere, was free to log in all the time
    for _ in range(5):
        refused(deps)
    assert log_in(deps, origin=ELSEWHERE)
    assert whats(client).count("login.refused") == 2


def test_log_ins_that_succeed_count_for_nothing(deps: Deps, ann: User) -> None:
    for _ in range(7):
        log_in(deps)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passwords that are compared without a hash, for tests that try dozens."""
    monkeypatch.setattr(passwords, "matches", lambda password, hash_: hash_ is not None and password == PASSWORD)


@pytest.mark.usefixtures("quick")
def test_guesses_at_one_user_from_one_address_lock_nobody_out(
    deps: Deps, ann: User, time: Time, client: Recorded
) -> None:
    # Given an attacker who guesses from one address until the hour's count at this user is full
    for _ in range(10):
        for _ in range(5):
            refused(deps)
        time.pass_by(60)

    # Then they may guess once a minute there, and no more
    refused(deps)
    with pytest.raises(TooManyAttempts) as caught:
        refused(deps)
    assert caught.value.retry_after == 60

    # But the owner, who is elsewhere and has never logged in on a device, gets in: again and again
    for _ in range(3):
        assert log_in(deps, origin=ELSEWHERE)

    # And after a mistake, in a minute
    refused(deps, origin=ELSEWHERE)
    with pytest.raises(TooManyAttempts):
        log_in(deps, origin=ELSEWHERE)
    time.pass_by(60)
    assert log_in(deps, origin=ELSEWHERE)


@pytest.mark.usefixtures("quick")
def test_guesses_from_everywhere_are_slowed_but_not_a_device_that_is_known(
    deps: Deps, ann: User, time: Time, client: Recorded
) -> None:
    # Given a user who has logged in on a device, and an attacker with an address for each guess
    device = log_in(deps).device
    for number in range(50):
        refused(deps, origin=replace(ORIGIN, source_ip=f"198.51.100.{number}"))
    time.pass_by(60)
    another = replace(ORIGIN, source_ip="198.51.100.51")
    refused(deps, origin=another)
    with pytest.raises(TooManyAttempts):
        log_in(deps, origin=another)
    refused(deps, origin=ELSEWHERE, device="weir_dt_made-up")
    with pytest.raises(TooManyAttempts):
        log_in(deps, origin=ELSEWHERE, device="weir_dt_made-up")

    # Then the owner gets in on that device, wherever it is, however often it is mistyped within its own count
    refused(deps, origin=ELSEWHERE, device=device)
    assert log_in(deps, origin=ELSEWHERE, device=device)

    # And without it as ever when the hour is over; it was told once
    time.pass_by(3_600)
    for _ in range(4):
        refused(deps, origin=another)
    assert log_in(deps, origin=another)
    assert whats(client).count("login.refused") == 1


def test_a_device_has_a_count_of_its_own(deps: Deps, ann: User) -> None:
    # Given a device in the hands of somebody who guesses
    device = log_in(deps).device
    for _ in range(10):
        refused(deps, device=device)
    with pytest.raises(TooManyAttempts):
        log_in(deps, device=device)

    # Then log-ins without it are not slowed by that
    assert log_in(deps)


def test_another_log_in_on_a_device_is_the_same_device(deps: Deps, ann: User) -> None:
    first = log_in(deps).device
    second = log_in(deps, device=first).device
    assert tokens.verify_device(first, ann, deps.keyring, NOON) == tokens.verify_device(second, ann, deps.keyring, NOON)


def test_a_device_of_another_user_is_none(deps: Deps, ann: User) -> None:
    deps.users.create(user(BOB, "bob", password_hash=HASH))
    device = log_in(deps, "bob").device
    for _ in range(5):
        refused(deps, device=device)
    with pytest.raises(TooManyAttempts):
        log_in(deps, device=device)


@pytest.mark.usefixtures("quick")
def test_one_address_that_tries_everybody_is_slowed(deps: Deps, ann: User) -> None:
    for number in range(60):
        refused(deps, f"user-{number}")
    with pytest.raises(TooManyAttempts):
        log_in(deps)
    assert log_in(deps, origin=ELSEWHERE)


def test_nobody_is_slowed_as_somebody_is(deps: Deps, ann: User, client: Recorded) -> None:
    # Given as many guesses at a user as at a name that is nobody's
    told = {}
    for username in ("ann", "a-name-of-nobody"):
        for _ in range(5):
            refused(deps, username)
        calls = len(client.called)
        with pytest.raises(TooManyAttempts) as caught:
            log_in(deps, username)
        told[username] = (caught.value.detail, caught.value.retry_after, client.called[calls:])

    # Then both are answered alike, and the name that was typed in is nowhere
    assert told["ann"] == told["a-name-of-nobody"]
    assert "a-name-of-nobody" not in stored(client)
    subjects = [entry["subject"] for entry in audited(client) if entry["what"] == "login.refused"]
    assert sorted(subjects) == sorted([ANN, "nobody"])


def test_a_password_is_not_looked_at_before_the_attempt_is_counted(deps: Deps, ann: User, hashes: Hashes) -> None:
    for _ in range(5):
        refused(deps)
    looked_at = hashes.verified
    for _ in range(20):
        with pytest.raises(TooManyAttempts):
            log_in(deps)
    assert hashes.verified == looked_at


def test_a_log_in_while_the_secret_cant_be_read_is_told_as_that(deps: Deps, ann: User, secret: Secret) -> None:
    secret.failure = Unavailable("down")
    with pytest.raises(Unavailable):
        log_in(deps)


def test_what_a_log_in_writes_can_be_found_by_its_token(deps: Deps, ann: User) -> None:
    claims = read(deps, log_in(deps))
    item = deps.table.get(session_key(claims.sub, claims.session_id))
    assert item is not None
    assert item["began"] == EPOCH
