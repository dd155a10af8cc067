"""Log-in by a provider of users who have a password: one that somebody else knows ends, with all that it let in."""

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.identity.accounts import ANN, ORIGIN, audited, user
from tests.unit.identity.oauth.world import World, call, exchange, problem
from weir.identity import sessions, tokens
from weir.identity.models import Tokens
from weir.identity.revocations import Revocations


def test_a_password_that_an_admin_made_up_ends_with_the_link(world: World) -> None:
    # Given a user who has not changed the password that an admin knows
    world.users.create(user(email="ann@corp.example", password_hash="$argon2id$", must_change_password=True))

    # When they log in by a provider
    answer = exchange(world.code())

    # Then they need not know it, and nobody else can use it
    assert answer["json"]["must_change_password"] is False
    after = world.users.get(ANN)
    assert after is not None
    assert (after.password_hash, after.must_change_password) == (None, False)


def logged_in_with_the_made_up_password(world: World) -> Tokens:
    """The tokens of somebody who knows the password that an admin made up: they open nothing but its change."""
    ann = world.users.get(ANN)
    assert ann is not None
    assert ann.must_change_password
    given = sessions.start(ann, ORIGIN, world.oauth.deps, "password")
    assert given.must_change_password
    return given


def is_over(world: World, given: Tokens) -> bool:
    """Whether neither the refresh token holds nor, where revocations are heeded, the access token."""
    conf, clock = world.oauth.deps.settings, world.time.clock
    claims = tokens.verify_access(
        given.access_token, world.oauth.deps.keyring, conf.token_issuer, conf.token_audience, clock.now()
    )
    refreshed = call("token", body={"grant_type": "refresh_token", "refresh_token": given.refresh_token})
    return refreshed["statusCode"] == 400 and Revocations(world.oauth.deps.table, clock).holds(claims)


def test_who_knew_the_made_up_password_is_out_with_the_link(world: World) -> None:
    # Given somebody who logged in with the password that an admin made up
    world.users.create(user(email="ann@corp.example", password_hash="$argon2id$", must_change_password=True))
    theirs = logged_in_with_the_made_up_password(world)

    # When the user logs in by a provider
    answer = exchange(world.code())

    # Then that session and its tokens are over, and the user's are good
    assert is_over(world, theirs)
    assert world.owner(answer).user_id == ANN
    again = {"grant_type": "refresh_token", "refresh_token": answer["json"]["refresh_token"]}
    assert world.owner(call("token", body=again)).user_id == ANN

    # And the audit tells that the password ended
    what = sorted(entry["what"] for entry in audited(world.client) if entry["what"] != "login.done")
    assert what == ["user.password-ended", "user.provider-linked"]


def test_a_password_that_an_admin_resets_ends_with_the_next_log_in_by_a_linked_provider(world: World) -> None:
    # Given a linked user, whose password an admin has reset, and somebody who knows it
    world.users.create(user(email="ann@corp.example", password_hash="$argon2id$"))
    world.logged_in("corp")
    ann = world.users.get(ANN)
    assert ann is not None
    world.users.change(ann, replace(ann, password_hash="$argon2id$made-up", must_change_password=True))
    theirs = logged_in_with_the_made_up_password(world)

    # When the user logs in by the provider
    answer = exchange(world.code())

    # Then they are in with all rights, and nobody is by that password
    assert answer["json"]["must_change_password"] is False
    assert is_over(world, theirs)
    after = world.users.get(ANN)
    assert after is not None
    assert (after.password_hash, after.must_change_password) == (None, False)

    # And the next log-in changes nothing
    world.logged_in("corp")
    assert world.users.get(ANN) == after
    ended = [entry for entry in audited(world.client) if entry["what"] == "user.password-ended"]
    assert ended == [{"what": "user.password-ended", "who": ANN, "subject": ANN, "provider": "corp"}]


def test_a_linked_user_who_goes_as_their_password_ends_is_nobody(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a linked user with a made-up password, whom an admin deletes in the moment of the log-in
    world.users.create(user(email="ann@corp.example"))
    world.logged_in("corp")
    ann = world.users.get(ANN)
    assert ann is not None
    stored_ann = world.users.change(ann, replace(ann, password_hash="$argon2id$", must_change_password=True))
    change = world.users.change

    def deleted_before(*given: Any) -> Any:
        world.users.delete(stored_ann, world.time.clock.now())
        return change(*given)

    monkeypatch.setattr(world.users, "change", deleted_before)
    assert problem(world.logged_in("corp")) == (403, "not-a-user")


def test_a_password_of_ones_own_stays(world: World) -> None:
    world.users.create(user(email="ann@corp.example", password_hash="$argon2id$"))
    world.logged_in("corp")
    after = world.users.get(ANN)
    assert after is not None
    assert after.password_hash == "$argon2id$"
