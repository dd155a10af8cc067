"""What people do with their own: change the password, register, look at who they are."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.unit.identity.accounts import ANN, NOON, ORIGIN, Recorded, Time, audited, stored, user
from tests.unit.identity.conftest import HASH, PASSWORD, Hashes, caller_of
from tests.unit.identity.test_login import ELSEWHERE, log_in, read, refused, whats
from weir.identity import login, passwords, sessions, tokens
from weir.identity.contract_auth import LoginRequest, PasswordChange, Registration
from weir.identity.errors import BadToken, NameTaken, TooManyAttempts
from weir.identity.login import LoggedIn, RegistrationClosed
from weir.identity.models import User
from weir.identity.revocations import Revocations
from weir.identity.wiring import Deps
from weir.runtime.errors import Forbidden, Invalid, Unavailable
from weir.runtime.http import Principal

NEW = "another sentence, which is longer still"


# ---- A change of the password ----


def caller(deps: Deps, given: LoggedIn, credential: str = "token") -> Principal:
    return caller_of(user(), read(deps, given).session_id, credential)


def change(deps: Deps, given: LoggedIn, current: str = PASSWORD, new: str = NEW) -> LoggedIn:
    asked = PasswordChange(current_password=current, new_password=new)
    return login.change_password(asked, caller(deps, given), ORIGIN, deps)


def test_a_change_ends_all_that_was_before_and_begins_a_session(deps: Deps, ann: User, time: Time) -> None:
    # Given a user with two sessions and a device
    mine, other = log_in(deps), log_in(deps, origin=ELSEWHERE)
    time.pass_by(60)

    # When the password is changed in one
    fresh = change(deps, mine)

    # Then the new session holds at once
    revoked = Revocations(deps.table, deps.clock)
    assert not revoked.holds(read(deps, fresh))
    assert fresh.tokens.refresh_token is not None
    assert sessions.refresh(fresh.tokens.refresh_token, ORIGIN, deps)

    # And what was before is over: access tokens, refresh tokens, devices, and the password
    for given in (mine, other):
        assert revoked.holds(read(deps, given))
        assert given.tokens.refresh_token is not None
        with pytest.raises(BadToken):
            sessions.refresh(given.tokens.refresh_token, ORIGIN, deps)
    found = deps.users.get(ANN)
    assert tokens.verify_device(mine.device, found, deps.keyring, time.clock.now()) is None
    assert tokens.verify_device(fresh.device, found, deps.keyring, time.clock.now()) is not None
    refused(deps, password=PASSWORD)
    assert log_in(deps, password=NEW)


def test_a_log_in_in_the_second_of_the_change_holds(deps: Deps, ann: User) -> None:
    # Given a change of the password, and a log-in right after it, within the same second
    change(deps, log_in(deps))
    given = log_in(deps, password=NEW)
    assert not Revocations(deps.table, deps.clock).holds(read(deps, given))
    assert given.tokens.refresh_token is not None
    assert sessions.refresh(given.tokens.refresh_token, ORIGIN, deps)


def test_a_second_change_in_the_same_second_ends_what_came_between(deps: Deps, ann: User) -> None:
    # Given two changes of the password within one second
    between = change(deps, log_in(deps))
    after = change(deps, between, NEW, "a third sentence, which nobody has seen yet")

    # Then what the first one gave ended with the second, and what the second gave holds
    revoked = Revocations(deps.table, deps.clock)
    assert revoked.holds(read(deps, between))
    assert not revoked.holds(read(deps, after))
    assert between.tokens.refresh_token is not None
    with pytest.raises(BadToken):
        sessions.refresh(between.tokens.refresh_token, ORIGIN, deps)
    assert after.tokens.refresh_token is not None
    assert sessions.refresh(after.tokens.refresh_token, ORIGIN, deps)


def test_a_change_is_one_transaction_and_told_to_the_audit(deps: Deps, ann: User, client: Recorded) -> None:
    given = log_in(deps)
    calls = len(client.called)
    change(deps, given)
    written = [operation for operation in client.called[calls:] if operation != "get_item"]
    assert written == ["update_item", "update_item", "transact_write_items"]
    assert sorted(whats(client)) == ["login.done", "user.password-changed"]


def test_a_password_that_somebody_else_knew_is_changed_and_all_is_open(deps: Deps) -> None:
    deps.users.create(user(password_hash=HASH, must_change_password=True))
    fresh = change(deps, log_in(deps))
    assert not fresh.tokens.must_change_password
    assert "runs:write" in read(deps, fresh).scopes
    found = deps.users.get(ANN)
    assert found is not None
    assert not found.must_change_password


@pytest.mark.parametrize(
    ("current", "new", "field"),
    [
        ("wrong", NEW, "current_password"),
        (PASSWORD, PASSWORD, "new_password"),
        (PASSWORD, "short", "new_password"),
        (PASSWORD, "I am ann, the great", "new_password"),
        (PASSWORD, "password1234", "new_password"),
        (PASSWORD, "x" * 257, "new_password"),
        (PASSWORD, "nul \0 nul nul nul", "new_password"),
    ],
)
def test_a_change_that_is_refused_changes_nothing(deps: Deps, ann: User, current: str, new: str, field: str) -> None:
    given = log_in(deps)
    with pytest.raises(Invalid) as caught:
        change(deps, given, current, new)
    assert [error.field for error in caught.value.errors] == [field]
    assert current not in caught.value.detail
    assert new not in caught.value.detail
    assert deps.users.get(ANN) == replace(ann, last_login_at=NOON)


def test_a_stolen_token_guesses_at_the_password_ten_times_an_hour(
    deps: Deps, ann: User, time: Time, hashes: Hashes
) -> None:
    # Given somebody with another's access token, and not the password
    given = log_in(deps)
    verified = hashes.verified
    for _ in range(10):
        with pytest.raises(Invalid):
            change(deps, given, "guess")
    with pytest.raises(TooManyAttempts):
        change(deps, given)
    assert hashes.verified == verified + 10

    # Then the owner, in a session of their own, is free to change it
    assert change(deps, log_in(deps))


def test_a_key_changes_no_password(deps: Deps, ann: User) -> None:
    given = log_in(deps)
    asked = PasswordChange(current_password=PASSWORD, new_password=NEW)
    with pytest.raises(Forbidden):
        login.change_password(asked, caller(deps, given, "key"), ORIGIN, deps)


@pytest.mark.parametrize("state", ["disabled", "gone"])
def test_who_is_gone_changes_nothing(deps: Deps, ann: User, state: str) -> None:
    given = log_in(deps)
    if state == "gone":
        deps.users.delete(ann, NOON)
    else:
        deps.users.change(ann, replace(ann, disabled=True))
    with pytest.raises(BadToken):
        change(deps, given)


def test_a_change_by_an_admin_in_between_is_kept(deps: Deps, ann: User, client: Recorded) -> None:
    # Given an admin who gives a role while the password is being changed
    given = log_in(deps)
    interfere(client, 1, lambda: change_roles(deps))
    change(deps, given)

    # Then both have happened
    found = deps.users.get(ANN)
    assert found is not None
    assert found.roles == ("member",)
    assert passwords.matches(NEW, found.password_hash)


def test_a_reset_by_an_admin_in_between_is_not_overruled(deps: Deps, ann: User, client: Recorded) -> None:
    # Given an admin who resets the password while its owner changes it
    given = log_in(deps)
    reset = passwords.hashed("made up by the admin")

    def by_admin() -> None:
        found = deps.users.get(ANN)
        assert found is not None
        deps.users.change(found, replace(found, password_hash=reset))

    interfere(client, 1, by_admin)

    # Then the one that was known to the owner changes nothing any more
    with pytest.raises(Invalid):
        change(deps, given)
    found = deps.users.get(ANN)
    assert found is not None
    assert found.password_hash == reset


def test_a_user_who_changes_all_the_time_is_told_to_try_again(deps: Deps, ann: User, client: Recorded) -> None:
    given = log_in(deps)
    interfere(client, 9, lambda: change_roles(deps))
    with pytest.raises(Unavailable):
        change(deps, given)


def change_roles(deps: Deps) -> None:
    found = deps.users.get(ANN)
    assert found is not None
    other = ("member",) if found.roles != ("member",) else ("operator",)
    deps.users.change(found, replace(found, roles=other))


def interfere(client: Recorded, times: int, change: Callable[[], None]) -> None:
    """Let somebody change the user ahead of each of some transactions."""
    left, busy = times, False

    def before(operation: str, request: dict[str, Any]) -> None:
        nonlocal left, busy
        if operation == "transact_write_items" and left and not busy:
            left, busy = left - 1, True
            change()
            busy = False

    client.before = before


def test_no_password_and_no_token_is_stored_or_audited(deps: Deps, ann: User, client: Recorded) -> None:
    given = log_in(deps)
    refused(deps, password="a wrong guess that is somebody's password elsewhere")
    login.change_password(
        PasswordChange(current_password=PASSWORD, new_password=NEW), caller(deps, given), ORIGIN, deps
    )
    told = stored(client)
    for secret in (PASSWORD, NEW, "a wrong guess", given.tokens.access_token, given.device):
        assert secret not in told
        assert secret not in repr(given)
    assert PASSWORD not in repr(LoginRequest(username="ann", password=PASSWORD))


# ---- Registration ----


def open_to_all(deps: Deps) -> Deps:
    return replace(deps, settings=replace(deps.settings, self_registration=True))


def register(deps: Deps, username: str = "bob", password: str = PASSWORD, origin: Any = ORIGIN) -> User:
    return login.register(Registration(username=username, password=password), origin, deps)


def test_nobody_registers_unless_the_stack_lets_them(deps: Deps, client: Recorded, hashes: Hashes) -> None:
    with pytest.raises(RegistrationClosed):
        register(deps)
    assert client.called == []
    assert hashes.made == 0


def test_who_registers_is_a_member_and_nothing_more(deps: Deps, client: Recorded) -> None:
    made = register(open_to_all(deps), "Bob")
    found = deps.users.by_name("bob")
    assert found == made
    assert found is not None
    assert (found.roles, found.groups, found.email, found.must_change_password) == (("member",), (), None, False)
    assert read(deps, log_in(deps, "bob")).roles == ("member",)
    assert audited(client)[0]["what"] in {"user.registered", "login.done"}
    assert sorted(whats(client)) == ["login.done", "user.registered"]


@pytest.mark.parametrize("field", ["roles", "groups", "email", "disabled", "user_id", "password_hash"])
def test_nothing_else_can_be_asked_for(field: str) -> None:
    with pytest.raises(ValueError, match="Extra inputs"):
        Registration.model_validate({"username": "bob", "password": PASSWORD, field: ["admin"]})


def test_a_name_is_given_once(deps: Deps, ann: User) -> None:
    with pytest.raises(NameTaken):
        register(open_to_all(deps), "ANN")
    assert deps.users.get(ANN) == ann


def test_a_bad_password_registers_nobody(deps: Deps) -> None:
    with pytest.raises(Invalid) as caught:
        register(open_to_all(deps), password="bob's password")
    assert caught.value.errors[0].field == "password"
    assert deps.users.by_name("bob") is None


def test_one_address_registers_ten_in_an_hour(deps: Deps) -> None:
    for number in range(10):
        register(open_to_all(deps), f"user-{number}")
    with pytest.raises(TooManyAttempts):
        register(open_to_all(deps), "user-10")
    assert register(open_to_all(deps), "user-10", origin=ELSEWHERE)


# ---- Oneself ----


def test_who_is_gone_is_nobody(deps: Deps, ann: User) -> None:
    assert login.me(caller_of(ann, "session2session3"), deps) == ann
    deps.users.delete(ann, NOON)
    with pytest.raises(BadToken):
        login.me(caller_of(ann, "session2session3"), deps)
