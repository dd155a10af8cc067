"""What admins do with users: rights that are taken away end, nobody takes their own, and the audit tells of it all."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from tests.unit.identity.accounts import ANN, BOB, NOON, ORIGIN, Recorded, Time, audited, contend, person, stored, user
from tests.unit.identity.directory import Meanwhile, admins, items, keys, listed
from weir.identity import passwords
from weir.identity.contract_users import NewUser, UserPatch
from weir.identity.errors import NameTaken, UserNotFound
from weir.identity.models import User
from weir.identity.user_store import LastAdmin, UserExists, Users
from weir.identity.users import change_user, check_match, create_user, delete_user, etag, generated_password
from weir.runtime.audit import Asker
from weir.runtime.clock import Clock
from weir.runtime.dynamodb import Table
from weir.runtime.errors import BadRequest, Forbidden, Invalid, PreconditionFailed, Unavailable

ADMIN = "dora2dora3dora4d"
BY = Asker(person(ADMIN, "admin"), ORIGIN)
BY_KEY = Asker(person(ADMIN, "admin", credential="key"), ORIGIN)
NOW = int(NOON.timestamp())


@pytest.fixture
def client() -> Iterator[Recorded]:
    with listed() as made:
        yield made


@pytest.fixture
def users(client: Recorded) -> Users:
    """A table with an admin, who asks, and ann, an operator."""
    made = Users(Table(client, "identity"))
    made.create(user(ADMIN, "dora", roles=("admin",)))
    made.create(user(email="ann@example.org", password_hash="$argon2id$old"))
    client.called.clear()
    return made


@pytest.fixture
def clock() -> Clock:
    return Time().clock


def changed(users: Users, clock: Clock, user_id: str = ANN, asker: Asker = BY, **patch: Any) -> User:
    """A user as a patch leaves them."""
    return change_user(user_id, UserPatch(**patch), None, asker, users, clock)[0]


def revoked(client: Recorded) -> dict[str, int]:
    """Before when the tokens of whom were issued that are revoked."""
    found = [item for item in items(client) if item["pk"] == "REVOKED"]
    return {item["sk"].split("#")[2]: item["before"] for item in found}


# ---- Making ----


def test_a_user_is_made_with_a_password_that_is_told_once(users: Users, client: Recorded, clock: Clock) -> None:
    asked = NewUser(username="Bob.Smith", email="Bob@Example.org", roles=("operator",), groups=("b", "a", "b"))
    made, password = create_user(asked, BY, users, clock)

    # Then they are there, as asked, and must change what an admin has seen
    assert users.by_name("bob.smith") == made == users.by_email("bob@example.org")
    assert (made.roles, made.groups, made.must_change_password) == (("operator",), ("a", "b"), True)
    assert passwords.matches(password, made.password_hash)
    # And the password stands nowhere
    assert password not in stored(client)
    assert audited(client) == [
        {
            "what": "user.created",
            "who": ADMIN,
            "subject": made.user_id,
            "username": "bob.smith",
            "roles": "operator",
            "groups": "a b",
        }
    ]


def test_a_password_that_an_admin_gives_must_be_changed_too(users: Users, client: Recorded, clock: Clock) -> None:
    given = "a long sentence for one alone"
    made, password = create_user(NewUser(username="bob", password=given), BY, users, clock)
    assert password == given
    assert passwords.matches(given, made.password_hash)
    assert made.must_change_password
    assert given not in stored(client)


@pytest.mark.parametrize("password", ["short", "bob-and-his-password", "password1234", "x" * 300, "a sentence with \0"])
def test_a_password_that_anybody_would_try_is_refused(
    users: Users, client: Recorded, clock: Clock, password: str
) -> None:
    before = keys(client)
    with pytest.raises(Invalid) as refused:
        create_user(NewUser(username="bob", password=password), BY, users, clock)
    assert [error.field for error in refused.value.errors] == ["password"]
    assert password not in refused.value.detail
    assert keys(client) == before


def test_generated_passwords_are_ones_to_take() -> None:
    made = {generated_password() for _ in range(100)}
    assert len(made) == 100
    assert all(passwords.problem(one, "bob") is None for one in made)


def test_a_name_that_is_taken_is_refused_without_a_trace(users: Users, client: Recorded, clock: Clock) -> None:
    with pytest.raises(NameTaken):
        create_user(NewUser(username="ANN"), BY, users, clock)
    assert audited(client) == []


def test_a_key_makes_one_user(users: Users, client: Recorded, clock: Clock) -> None:
    # Given a user that was made with a key
    asked = NewUser(username="bob")
    made, _ = create_user(asked, BY, users, clock, "k-1")

    # When the request comes again, even with another body / Then it is told which user it made, and no password
    for again in (asked, NewUser(username="carl")):
        with pytest.raises(UserExists, match="reset_password") as refused:
            create_user(again, BY, users, clock, "k-1")
        assert refused.value.members == {"user_id": made.user_id}
    assert users.by_name("carl") is None

    # And another admin's key, and another key, make others
    users.create(user(BOB, "boss", roles=("admin",)))
    other, _ = create_user(NewUser(username="carl"), Asker(person(BOB, "admin"), ORIGIN), users, clock, "k-1")
    third, _ = create_user(NewUser(username="dan"), BY, users, clock, "k-2")
    assert len({made.user_id, other.user_id, third.user_id}) == 3


def test_a_key_that_comes_twice_at_once_makes_one_user(users: Users, client: Recorded, clock: Clock) -> None:
    asked = NewUser(username="bob")
    Meanwhile(client, "transact_write_items", lambda: create_user(asked, BY, users, clock, "k-1"))
    with pytest.raises(UserExists):
        create_user(asked, BY, users, clock, "k-1")
    assert [entry["what"] for entry in audited(client)] == ["user.created"]


def test_a_key_does_not_bring_a_deleted_user_back(users: Users, clock: Clock) -> None:
    # Given a user whose runs and audit still bear their id
    made, _ = create_user(NewUser(username="bob"), BY, users, clock, "k-1")
    delete_user(made.user_id, None, BY, users, clock)
    # Then the key makes nobody of that id
    with pytest.raises(UserExists):
        create_user(NewUser(username="bob"), BY, users, clock, "k-1")
    assert users.get(made.user_id) is None


@pytest.mark.parametrize("key", ["", "x" * 257, "a\nb"])
def test_a_key_that_is_none_is_refused(users: Users, clock: Clock, key: str) -> None:
    with pytest.raises(BadRequest):
        create_user(NewUser(username="bob"), BY, users, clock, key)


# ---- Changing ----


def test_a_change_of_rights_ends_tokens_that_tell_of_the_old_ones(users: Users, client: Recorded, clock: Clock) -> None:
    found = changed(users, clock, roles=["publisher", "member", "publisher"], groups=["research"])

    # Then tokens issued up to now hold no more, and sessions go on
    assert (found.roles, found.groups) == (("member", "publisher"), ("research",))
    assert (found.tokens_from, found.sessions_from) == (NOW + 1, 0)
    assert revoked(client) == {ANN: NOW + 1}
    assert sorted(audited(client), key=lambda entry: entry["what"]) == [
        {"what": "user.groups-changed", "who": ADMIN, "subject": ANN, "from": "", "to": "research"},
        {"what": "user.roles-changed", "who": ADMIN, "subject": ANN, "from": "operator", "to": "member publisher"},
    ]


def test_who_is_disabled_is_out_with_all_sessions_and_may_come_back(
    users: Users, client: Recorded, clock: Clock
) -> None:
    found = changed(users, clock, disabled=True)
    assert (found.disabled, found.tokens_from, found.sessions_from) == (True, NOW + 1, NOW + 1)
    assert revoked(client) == {ANN: NOW + 1}
    found = changed(users, clock, disabled=False)
    assert (found.disabled, found.tokens_from, found.sessions_from) == (False, NOW + 1, NOW + 1)
    assert sorted(entry["what"] for entry in audited(client)) == ["user.disabled", "user.enabled"]


def test_a_new_password_is_told_once_and_ends_all_sessions(users: Users, client: Recorded, clock: Clock) -> None:
    found, password = change_user(ANN, UserPatch(reset_password=True), None, BY, users, clock)
    assert password is not None
    assert passwords.matches(password, found.password_hash)
    assert (found.must_change_password, found.tokens_from, found.sessions_from) == (True, NOW + 1, NOW + 1)
    assert revoked(client) == {ANN: NOW + 1}
    assert password not in stored(client)
    assert [entry["what"] for entry in audited(client)] == ["user.password-reset"]


def test_an_address_ends_nothing(users: Users, client: Recorded, clock: Clock) -> None:
    found = changed(users, clock, email="Ann@Example.com")
    assert (found.email, found.tokens_from) == ("ann@example.com", 0)
    assert changed(users, clock, email=None).email is None
    assert revoked(client) == {}
    assert [entry["what"] for entry in audited(client)] == ["user.changed", "user.changed"]


def test_what_changes_nothing_writes_nothing(users: Users, client: Recorded, clock: Clock) -> None:
    found = changed(users, clock, roles=["operator"], disabled=False, email="ann@example.org", reset_password=False)
    assert found == users.get(ANN)
    assert "transact_write_items" not in client.called


def test_tokens_never_come_to_hold_again(users: Users, clock: Clock) -> None:
    # Given a user whose tokens were ended by a clock that is ahead of ours
    ann = users.get(ANN)
    assert ann is not None
    users.change(ann, replace(ann, tokens_from=NOW + 30, sessions_from=NOW + 30))
    found = changed(users, clock, disabled=True)
    assert (found.tokens_from, found.sessions_from) == (NOW + 31, NOW + 31)


def test_if_match_decides_between_two_who_change(users: Users, clock: Clock) -> None:
    # Given two admins who have read version 1
    read = users.get(ANN)
    assert read is not None
    first, _ = change_user(ANN, UserPatch(groups=("first",)), etag(read), BY, users, clock)

    # When the second writes with it / Then it is refused; without, it is a change of what is there now
    with pytest.raises(PreconditionFailed):
        change_user(ANN, UserPatch(roles=("member",)), etag(read), BY, users, clock)
    assert users.get(ANN) == first
    second = changed(users, clock, roles=["member"])
    assert (second.groups, second.roles) == (("first",), ("member",))


def test_a_change_that_comes_between_is_not_lost(users: Users, client: Recorded, clock: Clock) -> None:
    # Given another change between the read and the write of one without If-Match
    Meanwhile(client, "transact_write_items", lambda: changed(users, clock, groups=["theirs"]))
    found = changed(users, clock, roles=["member"])
    assert (found.groups, found.roles) == (("theirs",), ("member",))

    # And with If-Match it is told
    read = users.get(ANN)
    assert read is not None
    Meanwhile(client, "transact_write_items", lambda: changed(users, clock, groups=["again"]))
    with pytest.raises(PreconditionFailed):
        change_user(ANN, UserPatch(roles=("operator",)), etag(read), BY, users, clock)


def test_where_others_never_stop_changing_it_gives_up(users: Users, client: Recorded, clock: Clock) -> None:
    count = 0

    def always(operation: str, request: dict[str, Any]) -> None:
        nonlocal count
        if operation == "transact_write_items":
            count += 1
            client.before = lambda operation, request: None
            changed(users, clock, groups=[f"theirs-{count}"])
            client.before = always

    client.before = always
    with pytest.raises(Unavailable):
        changed(users, clock, roles=["member"])


@pytest.mark.parametrize("tag", ["*", ' "1" ', '"7", "1"'])
def test_a_tag_that_matches(tag: str) -> None:
    check_match(tag, user())


@pytest.mark.parametrize("tag", ['"2"', "1", 'W/"1"', "", '"11"'])
def test_a_tag_that_does_not_match(tag: str) -> None:
    with pytest.raises(PreconditionFailed):
        check_match(tag, user())


# ---- Deleting ----


def test_a_deleted_user_is_out_and_the_audit_stays(users: Users, client: Recorded, clock: Clock) -> None:
    # Given a user with a key and a session
    for sort in ("KEY#k", "SESSION#s"):
        users.table.put({"pk": f"USER#{ANN}", "sk": sort, "schema": 1})
    delete_user(ANN, None, BY, users, clock)

    # Then nothing is left that lets them in, and tokens from before are revoked
    assert keys(client, f"USER#{ANN}") == {(f"USER#{ANN}", "GONE")}
    assert users.by_name("ann") is users.by_email("ann@example.org") is None
    assert revoked(client) == {ANN: NOW + 1}
    assert audited(client) == [{"what": "user.deleted", "who": ADMIN, "subject": ANN, "username": "ann"}]
    with pytest.raises(UserNotFound):
        delete_user(ANN, None, BY, users, clock)


def test_a_deletion_that_broke_off_is_finished_by_the_next(users: Users, client: Recorded, clock: Clock) -> None:
    # Given a deletion that died before it had removed the user's keys
    users.table.put({"pk": f"USER#{ANN}", "sk": "KEY#k", "schema": 1})

    def dying(operation: str, request: dict[str, Any]) -> None:
        if operation == "delete_item":
            raise EndpointConnectionError(endpoint_url="https://dynamodb")

    client.before = dying
    with pytest.raises(Unavailable):
        delete_user(ANN, None, BY, users, clock)
    assert (f"USER#{ANN}", "KEY#k") in keys(client)

    # When it is asked for again / Then the user is gone already, and now the keys are too
    client.before = lambda operation, request: None
    with pytest.raises(UserNotFound):
        delete_user(ANN, None, BY, users, clock)
    assert keys(client, f"USER#{ANN}") == {(f"USER#{ANN}", "GONE")}


def test_of_a_user_who_changes_meanwhile_the_deletion_knows(users: Users, client: Recorded, clock: Clock) -> None:
    read = users.get(ANN)
    assert read is not None
    Meanwhile(client, "transact_write_items", lambda: changed(users, clock, roles=["member"]))
    with pytest.raises(PreconditionFailed):
        delete_user(ANN, etag(read), BY, users, clock)
    assert users.get(ANN) is not None
    # Without a tag it is done all the same
    Meanwhile(client, "transact_write_items", lambda: changed(users, clock, roles=["operator"]))
    delete_user(ANN, None, BY, users, clock)
    assert users.get(ANN) is None


# ---- Who may not ----


def test_no_key_changes_users(users: Users, client: Recorded, clock: Clock) -> None:
    for ask in (
        lambda: create_user(NewUser(username="bob"), BY_KEY, users, clock),
        lambda: change_user(ANN, UserPatch(disabled=True), None, BY_KEY, users, clock),
        lambda: delete_user(ANN, None, BY_KEY, users, clock),
    ):
        with pytest.raises(Forbidden):
            ask()
    assert client.called == []


@pytest.mark.parametrize("now", [{"roles": ("member",)}, {"disabled": True}, None])
def test_who_was_an_admin_a_moment_ago_makes_no_other(
    users: Users, client: Recorded, clock: Clock, now: dict[str, Any] | None
) -> None:
    # Given an admin who was removed, and whose token does not tell so yet
    bob = user(BOB, "bob", roles=("admin",))
    users.create(bob)
    if now is None:
        delete_user(BOB, None, BY, users, clock)
    else:
        users.change(bob, replace(bob, **now))
    before, by_bob = stored(client), Asker(person(BOB, "admin"), ORIGIN)

    # Then nothing that they ask for is done
    for ask in (
        lambda: create_user(NewUser(username="carl", roles=("admin",)), by_bob, users, clock),
        lambda: change_user(ANN, UserPatch(roles=("admin",)), None, by_bob, users, clock),
        lambda: delete_user(ANN, None, by_bob, users, clock),
    ):
        with pytest.raises(Forbidden):
            ask()
    assert stored(client) == before


@pytest.mark.parametrize("patch", [{"roles": ("member",)}, {"disabled": True}, {"reset_password": True}])
def test_admins_do_not_shut_themselves_out(users: Users, client: Recorded, clock: Clock, patch: dict[str, Any]) -> None:
    # Given another admin, so that it is not for want of one
    users.create(user(BOB, "bob", roles=("admin",)))
    before = stored(client)
    with pytest.raises(Forbidden):
        change_user(ADMIN, UserPatch(**patch), None, BY, users, clock)
    with pytest.raises(Forbidden):
        delete_user(ADMIN, None, BY, users, clock)
    assert stored(client) == before


def test_admins_may_change_the_rest_of_themselves(users: Users, clock: Clock) -> None:
    found = changed(users, clock, ADMIN, roles=["admin", "operator"], groups=["x"], email="dora@example.org")
    assert found.roles == ("admin", "operator")


def test_two_admins_who_disable_each_other_leave_one(users: Users, client: Recorded, clock: Clock) -> None:
    users.create(user(BOB, "bob", roles=("admin",)))
    by_bob = Asker(person(BOB, "admin"), ORIGIN)
    Meanwhile(client, "transact_write_items", lambda: changed(users, clock, ADMIN, by_bob, disabled=True))
    with pytest.raises(LastAdmin):
        changed(users, clock, BOB, disabled=True)
    assert admins(users.table) == 1


def test_a_user_who_is_not_there_is_told(users: Users, clock: Clock) -> None:
    with pytest.raises(UserNotFound):
        changed(users, clock, BOB, disabled=True)


def test_later_changes_end_later_tokens(users: Users, client: Recorded) -> None:
    time = Time()
    changed(users, time.clock, roles=["member"])
    time.pass_by(timedelta(minutes=5).total_seconds())
    assert changed(users, time.clock, roles=["operator"]).tokens_from == NOW + 301


def test_a_user_who_is_busy_is_disabled_and_deleted_all_the_same(users: Users, client: Recorded, clock: Clock) -> None:
    # Given a user who logs in all the time, each time in a transaction that is in the way of others
    contend(client, "transact_write_items", 3)
    assert changed(users, clock, disabled=True).disabled

    contend(client, "transact_write_items", 3)
    delete_user(ANN, None, BY, users, clock)
    assert users.get(ANN) is None
