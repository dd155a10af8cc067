"""Sessions: a refresh token is good once, whoever and however many come with it, and what ends stays ended."""

from dataclasses import replace
from threading import Barrier, Thread
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from tests.unit.identity.accounts import ANN, NOON, ORIGIN, Recorded, Time, audited, contend, stored, user
from tests.unit.identity.conftest import AnsweredTwice, Secret, caller_of
from weir.identity import sessions, tokens
from weir.identity.errors import BadCredentials, BadToken
from weir.identity.models import Claims, Tokens, User
from weir.identity.revocations import Revocations
from weir.identity.table import session_key, user_key
from weir.identity.tokens import Refresh
from weir.identity.user_store import Users
from weir.identity.wiring import Deps
from weir.runtime.dynamodb import Item, Table
from weir.runtime.errors import Forbidden, Unavailable

EPOCH = int(NOON.timestamp())
DAY = 86_400


def start(deps: Deps, who: User, **limits: Any) -> Tokens:
    return sessions.start(who, ORIGIN, deps, "password", **limits)


def refresh(deps: Deps, text: str | None) -> Tokens:
    assert text is not None
    return sessions.refresh(text, ORIGIN, deps)


def read(deps: Deps, given: Tokens) -> Claims:
    return tokens.verify_access(given.access_token, deps.keyring, "urn:weir:test", "weir", deps.clock.now())


def named(deps: Deps, given: Tokens) -> Refresh:
    assert given.refresh_token is not None
    return tokens.read_refresh(given.refresh_token, deps.keyring)


def session(deps: Deps, given: Tokens) -> Item:
    item = deps.table.get(session_key(ANN, read(deps, given).session_id))
    assert item is not None
    return item


def is_revoked(deps: Deps, given: Tokens) -> bool:
    """Whether a process of the authorizer that starts now would refuse the access token."""
    return Revocations(deps.table, deps.clock).holds(read(deps, given))


def with_client(deps: Deps, client: Any) -> Deps:
    table = Table(client, "identity")
    return replace(deps, table=table, users=Users(table))


def refuse(text: str | None, deps: Deps) -> None:
    with pytest.raises(BadToken):
        refresh(deps, text)


# ---- Log-in ----


def test_a_log_in_is_a_session_a_mark_in_the_user_and_an_audit_entry_in_one(
    deps: Deps, ann: User, client: Recorded
) -> None:
    # When a user logs in
    calls = len(client.called)
    given = start(deps, ann)

    # Then it is one transaction
    assert client.called[calls:] == ["transact_write_items"]
    assert named(deps, given) == Refresh(ANN, read(deps, given).session_id, 0)
    assert given.expires_in == 900
    found = deps.users.get(ANN)
    assert found is not None
    assert (found.last_login_at, found.version) == (NOON, ann.version)
    assert audited(client) == [
        {
            "what": "login.done",
            "who": ANN,
            "subject": ANN,
            "via": "password",
            "session": read(deps, given).session_id,
        }
    ]


def test_nothing_of_a_token_is_stored(deps: Deps, ann: User, client: Recorded) -> None:
    given = start(deps, ann)
    fresh = refresh(deps, given.refresh_token)
    for text in (given.access_token, given.refresh_token, fresh.access_token, fresh.refresh_token):
        assert text is not None
        assert text not in stored(client)
        assert text.rpartition(".")[2] not in stored(client)


def test_a_limited_log_in_has_no_refresh_token(deps: Deps, ann: User) -> None:
    given = start(deps, ann, max_uses=10)
    assert given.refresh_token is None
    assert read(deps, given).max_uses == 10

    given = start(deps, ann, seconds=60)
    assert (given.refresh_token, given.expires_in) == (None, 60)
    assert session(deps, given)["expires_at"] == EPOCH + 60


def test_a_session_says_when_it_ends_to_dynamodb_too(deps: Deps, ann: User) -> None:
    item = session(deps, start(deps, ann))
    assert item["expires_at"] == EPOCH + 14 * DAY
    assert item["ttl"] > item["expires_at"]
    assert item["schema"] == 1


@pytest.mark.parametrize("gone", ["disabled", "deleted", "password", "sessions"])
def test_who_is_no_longer_let_in_gets_no_session(deps: Deps, ann: User, gone: str, client: Recorded) -> None:
    # Given a user who was changed between the look at their password and the log-in
    match gone:
        case "disabled":
            deps.users.change(ann, replace(ann, disabled=True))
        case "deleted":
            deps.users.delete(ann, NOON)
        case "password":
            deps.users.change(ann, replace(ann, password_hash="another"))
        case "sessions":
            deps.users.change(ann, replace(ann, sessions_from=EPOCH + 1))

    # When they are logged in / Then they are not
    with pytest.raises(BadCredentials):
        start(deps, ann)
    assert "SESSION#" not in stored(client)


def test_a_change_of_roles_in_between_is_what_the_token_tells(deps: Deps, ann: User) -> None:
    deps.users.change(ann, replace(ann, roles=("member",), tokens_from=EPOCH + 1))
    claims = read(deps, start(deps, ann))
    assert claims.roles == ("member",)
    assert claims.issued_at >= EPOCH + 1


def test_two_at_once_who_meet_on_one_user_both_get_in(deps: Deps, ann: User, client: Recorded, time: Time) -> None:
    # Given a transaction that another one is in the way of, as DynamoDB tells it
    contend(client, "transact_write_items", 2)

    # When the user logs in / Then it is tried again, after a moment
    assert start(deps, ann).refresh_token
    assert len(time.slept) == 2


# ---- Refresh ----


def test_a_refresh_gives_the_next_pair_by_one_read_and_one_write(
    deps: Deps, ann: User, client: Recorded, time: Time
) -> None:
    given = start(deps, ann)
    time.pass_by(800)
    calls = len(client.called)

    fresh = refresh(deps, given.refresh_token)
    assert client.called[calls:] == ["get_item", "update_item"]
    assert named(deps, fresh) == replace(named(deps, given), generation=1)
    assert read(deps, fresh).expires_at == EPOCH + 800 + 900
    assert read(deps, fresh).session_id == read(deps, given).session_id
    assert session(deps, fresh)["expires_at"] == EPOCH + 800 + 14 * DAY


def test_a_refreshed_token_tells_the_rights_of_today(deps: Deps, ann: User) -> None:
    given = start(deps, ann)
    deps.users.change(ann, replace(ann, roles=("member",), groups=("new",), must_change_password=True))
    claims = read(deps, refresh(deps, given.refresh_token))
    assert (claims.roles, claims.groups, claims.scopes) == (("member",), ("new",), ())


def test_a_token_that_comes_again_ends_the_session_and_all_its_tokens(deps: Deps, ann: User, client: Recorded) -> None:
    # Given a refresh token that was used, by its owner or a thief
    given = start(deps, ann)
    fresh = refresh(deps, given.refresh_token)
    assert not is_revoked(deps, fresh)

    # When it comes again / Then it is refused, and the other's tokens are worth nothing any more
    refuse(given.refresh_token, deps)
    refuse(fresh.refresh_token, deps)
    assert is_revoked(deps, fresh)
    assert is_revoked(deps, given)

    # And that is told once, however often they come
    refuse(given.refresh_token, deps)
    told = [entry for entry in audited(client) if entry["what"] == "session.refreshed-twice"]
    assert told == [
        {
            "what": "session.refreshed-twice",
            "who": "anonymous",
            "subject": ANN,
            "session": read(deps, given).session_id,
        }
    ]


def test_the_users_other_sessions_live_on(deps: Deps, ann: User) -> None:
    one, other = start(deps, ann), start(deps, ann)
    refresh(deps, one.refresh_token)
    refuse(one.refresh_token, deps)
    assert refresh(deps, other.refresh_token)
    assert not is_revoked(deps, other)


def test_of_twenty_at_once_one_wins_and_the_family_is_dead(deps: Deps, ann: User) -> None:
    # Given a refresh token in 20 hands, on a table whose calls come one after the other as DynamoDB's writes do
    given = start(deps, ann)
    barrier = Barrier(20)
    won: list[Tokens] = []
    refused: list[BadToken] = []

    def come() -> None:
        barrier.wait()
        try:
            won.append(refresh(deps, given.refresh_token))
        except BadToken as error:
            refused.append(error)

    callers = [Thread(target=come) for _ in range(20)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()

    # Then exactly one got the next pair, and neither it nor any other goes on
    assert (len(won), len(refused)) == (1, 19)
    refuse(won[0].refresh_token, deps)
    assert is_revoked(deps, won[0])


def test_an_answer_that_was_lost_and_came_twice_is_no_theft(deps: Deps, ann: User, client: Recorded) -> None:
    # Given a write that was done, whose answer was lost, and which botocore sent again
    given = start(deps, ann)
    lossy = with_client(deps, AnsweredTwice(client, "update_item"))

    # When the session is refreshed / Then it is, once
    fresh = refresh(lossy, given.refresh_token)
    assert session(deps, given)["generation"] == 1
    assert refresh(deps, fresh.refresh_token)
    assert not is_revoked(deps, fresh)


def test_a_forged_token_changes_nothing(deps: Deps, ann: User, client: Recorded) -> None:
    # Given somebody who knows all of a session but the secret
    given = start(deps, ann)
    refresh(deps, given.refresh_token)
    before, calls = session(deps, given), len(client.called)

    # When they come with an old generation, and any other / Then no table is even looked at
    assert given.refresh_token is not None
    body, _, mac = given.refresh_token.rpartition(".")
    for forged in (f"{body}.{mac[::-1]}", f"{body[:-1]}1.{mac}", f"{body[:-1]}2.{mac}", f"{body}.", body):
        refuse(forged, deps)
    assert len(client.called) == calls
    assert session(deps, given) == before


def test_a_generation_that_was_never_given_ends_nothing(deps: Deps, ann: User) -> None:
    # Given a table that was restored to before a refresh
    given = start(deps, ann)
    ahead = tokens.issue_refresh(ANN, read(deps, given).session_id, 5, deps.keyring.signing())
    refuse(ahead, deps)
    assert not is_revoked(deps, given)


@pytest.mark.parametrize("why", ["disabled", "deleted", "password"])
def test_a_session_ends_with_its_users_right_to_it(deps: Deps, ann: User, why: str) -> None:
    given = start(deps, ann)
    match why:
        case "disabled":
            deps.users.change(ann, replace(ann, disabled=True))
        case "deleted":
            deps.users.delete(ann, NOON)
        case "password":
            deps.users.change(ann, replace(ann, sessions_from=EPOCH + 1))
    refuse(given.refresh_token, deps)


def test_a_session_of_the_second_after_a_change_is_not_ended_by_it(deps: Deps, ann: User) -> None:
    changed = deps.users.change(ann, replace(ann, sessions_from=EPOCH + 1, tokens_from=EPOCH + 1))
    given = start(deps, changed)
    assert refresh(deps, given.refresh_token)


def test_a_session_that_nobody_refreshes_ends_after_its_days(deps: Deps, ann: User, time: Time) -> None:
    given = start(deps, ann)
    time.pass_by(14 * DAY)
    refuse(given.refresh_token, deps)


def test_a_session_ends_after_90_days_however_often_it_is_refreshed(deps: Deps, ann: User, time: Time) -> None:
    given = start(deps, ann)
    for _ in range(9):
        time.pass_by(10 * DAY)
        given = refresh(deps, given.refresh_token)
    time.pass_by(1)
    refuse(given.refresh_token, deps)


def test_a_refresh_token_lives_through_a_rotation(deps: Deps, ann: User, secret: Secret, time: Time) -> None:
    given = start(deps, ann)
    secret.rotate("2")
    time.pass_by(600)
    fresh = refresh(deps, given.refresh_token)
    assert fresh.refresh_token is not None
    assert fresh.refresh_token.startswith("weir_rt_2.")
    secret.rotate("3")
    time.pass_by(600)
    assert refresh(deps, fresh.refresh_token)


def test_a_refresh_that_aws_fails_spends_nothing(deps: Deps, ann: User, client: Recorded) -> None:
    given = start(deps, ann)

    def fail(operation: str, request: dict[str, Any]) -> None:
        if operation == "update_item":
            raise EndpointConnectionError(endpoint_url="https://dynamodb")

    client.before = fail
    with pytest.raises(Unavailable):
        refresh(deps, given.refresh_token)
    client.before = lambda operation, request: None
    assert refresh(deps, given.refresh_token)


def test_rights_that_fit_into_no_token_spend_no_refresh_token(deps: Deps, ann: User) -> None:
    given = start(deps, ann)
    many = deps.users.change(ann, replace(ann, groups=tuple(f"{number:064}" for number in range(50))))
    with pytest.raises(tokens.TooManyRights):
        refresh(deps, given.refresh_token)
    deps.users.change(many, replace(many, groups=()))
    assert refresh(deps, given.refresh_token)


def test_a_refresh_beside_a_transaction_is_tried_again(deps: Deps, ann: User, client: Recorded, time: Time) -> None:
    given = start(deps, ann)
    contend(client, "update_item", 3)
    assert refresh(deps, given.refresh_token)
    assert len(time.slept) == 3

    # But not for ever
    contend(client, "update_item", 4)
    with pytest.raises(Unavailable):
        refresh(deps, refresh_of(deps, given))


def refresh_of(deps: Deps, given: Tokens) -> str:
    """The refresh token that a session's owner holds now."""
    item = session(deps, given)
    return tokens.issue_refresh(ANN, item["session_id"], item["generation"], deps.keyring.signing())


# ---- Log-out ----


def test_a_log_out_ends_the_session_in_one_transaction(deps: Deps, ann: User, client: Recorded, time: Time) -> None:
    given, other = start(deps, ann), start(deps, ann)
    time.pass_by(1)
    caller, calls = caller_of(ann, read(deps, given).session_id), len(client.called)

    sessions.end(caller, ORIGIN, deps)
    assert client.called[calls:] == ["transact_write_items"]
    assert is_revoked(deps, given)
    refuse(given.refresh_token, deps)
    assert audited(client)[-1] == {
        "what": "session.ended",
        "who": ANN,
        "subject": ANN,
        "session": read(deps, given).session_id,
    }

    # And no other
    assert refresh(deps, other.refresh_token)


def test_a_log_out_is_done_once(deps: Deps, ann: User, client: Recorded) -> None:
    given = start(deps, ann)
    caller = caller_of(ann, read(deps, given).session_id)
    for _ in range(3):
        sessions.end(caller, ORIGIN, deps)
    assert len([entry for entry in audited(client) if entry["what"] == "session.ended"]) == 1


def test_a_token_without_a_refresh_token_can_be_logged_out(deps: Deps, ann: User) -> None:
    given = start(deps, ann, max_uses=10)
    sessions.end(caller_of(ann, read(deps, given).session_id), ORIGIN, deps)
    assert is_revoked(deps, given)


def test_a_key_has_no_session(deps: Deps, ann: User, client: Recorded) -> None:
    calls = len(client.called)
    with pytest.raises(Forbidden):
        sessions.end(caller_of(ann, "nightly2nigh", credential="key"), ORIGIN, deps)
    assert len(client.called) == calls


def test_a_reader_of_tomorrow_finds_what_a_log_in_wrote(deps: Deps, ann: User) -> None:
    # Given the shape of a session that is stored / Then it is this one: others read it, `make migrate` too
    item = session(deps, start(deps, ann))
    assert {name: type(value) for name, value in item.items()} == {
        **dict.fromkeys(("pk", "sk", "user_id", "session_id"), str),
        **dict.fromkeys(("schema", "generation", "began", "expires_at", "ttl"), int),
    }
    assert deps.table.get(user_key(ANN)) is not None


def test_the_owner_of_a_stolen_token_is_told_to_log_in_and_can(deps: Deps, ann: User, time: Time) -> None:
    # Given a thief who used the owner's refresh token first
    given = start(deps, ann)
    stolen = refresh(deps, given.refresh_token)
    time.pass_by(60)
    refuse(given.refresh_token, deps)

    # When the owner logs in anew / Then that session holds, and the thief's does not
    again = start(deps, user(password_hash=ann.password_hash))
    assert not is_revoked(deps, again)
    assert refresh(deps, again.refresh_token)
    refuse(stolen.refresh_token, deps)
