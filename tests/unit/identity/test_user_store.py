"""Users in the table: names are one's own, an admin is left, and of two changes at once one is told of the other."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.unit.identity.accounts import ANN, BOB, NOON, Recorded, user
from tests.unit.identity.directory import Meanwhile, admins, items, keys, listed
from weir.identity.errors import NameTaken, UserNotFound
from weir.identity.models import User
from weir.identity.table import session_key
from weir.identity.user_store import LastAdmin, Overtaken, UserExists, Users, new_user_id, user_item, user_of
from weir.runtime.dynamodb import Table, Write
from weir.runtime.errors import PreconditionFailed
from weir.runtime.migrations import ShapeUnknown

FULL = User(
    user_id=ANN,
    username="ann",
    created_at=NOON,
    email="ann@example.org",
    roles=("admin", "member"),
    groups=("research",),
    disabled=True,
    must_change_password=True,
    password_hash="$argon2id$...",
    last_login_at=NOON + timedelta(hours=1),
    tokens_from=7,
    sessions_from=8,
    version=9,
)
NEVER = Write(put={"pk": "X", "sk": "X", "schema": 1}, when="attribute_exists(pk)")
ALWAYS = Write(put={"pk": "Y", "sk": "Y", "schema": 1})


@pytest.fixture
def client() -> Iterator[Recorded]:
    with listed() as made:
        yield made


@pytest.fixture
def users(client: Recorded) -> Users:
    return Users(Table(client, "identity"))


def admin(user_id: str, name: str, **fields: object) -> User:
    return user(user_id, name, roles=("admin",), **fields)


# ---- Items ----


@pytest.mark.parametrize("person", [FULL, user(), user(roles=())])
def test_a_user_is_read_as_stored(users: Users, person: User) -> None:
    users.create(person)
    assert users.get(person.user_id) == person
    assert user_of(user_item(person)) == person


def test_what_an_older_version_does_not_know_is_left_out() -> None:
    assert user_of({**user_item(FULL), "to_come": {"x": 1}}) == FULL


def test_a_user_of_a_newer_schema_is_refused() -> None:
    with pytest.raises(ShapeUnknown, match="deploy a newer version"):
        user_of({**user_item(FULL), "schema": 2})


def test_ids_are_random_and_fit_into_a_key() -> None:
    made = {new_user_id() for _ in range(200)}
    assert len(made) == 200
    assert all(len(one) == 16 and set(one) <= set("abcdefghijklmnopqrstuvwxyz234567") for one in made)


# ---- Finding ----


def test_a_user_is_found_by_name_and_address(users: Users) -> None:
    ann = user(email="ann@example.org")
    users.create(ann)
    assert users.by_name("ann") == users.by_email("ann@example.org") == ann
    assert users.by_name("bob") is users.by_email("bob@example.org") is users.get(BOB) is None


def test_a_name_that_is_nobodys_costs_as_many_reads(users: Users, client: Recorded) -> None:
    users.create(user())
    calls = []
    for name in ("ann", "nobody-here"):
        client.called.clear()
        users.by_name(name)
        calls.append(list(client.called))
    assert calls[0] == calls[1] == ["get_item", "get_item"]


# ---- Making ----


@pytest.mark.parametrize(
    "second",
    [
        pytest.param(user(BOB, "ann"), id="name"),
        pytest.param(user(BOB, "bob", email="ann@example.org"), id="address"),
        pytest.param(admin(BOB, "bob", email="ann@example.org"), id="address of an admin"),
    ],
)
def test_no_two_users_share_a_name_or_an_address(users: Users, client: Recorded, second: User) -> None:
    users.create(user(email="ann@example.org"))
    before = keys(client)
    with pytest.raises(NameTaken):
        users.create(second, ALWAYS)
    assert keys(client) == before
    assert admins(users.table) == 0


def test_an_id_is_taken_once(users: Users) -> None:
    users.create(user())
    with pytest.raises(UserExists):
        users.create(user(ANN, "anna"))
    assert users.by_name("anna") is None


def test_what_goes_with_it_is_written_with_it_or_nothing_is(users: Users, client: Recorded) -> None:
    with pytest.raises(Overtaken) as refused:
        users.create(admin(ANN, "ann", email="a@example.org"), NEVER)
    assert refused.value.extra == 0
    assert keys(client) == set()
    users.create(user(), ALWAYS)
    assert ("Y", "Y") in keys(client)


# ---- Changing ----


def test_a_change_is_a_new_version(users: Users) -> None:
    ann = user(email="ann@example.org")
    users.create(ann)
    changed = users.change(ann, replace(ann, groups=("research",), email=None, disabled=True))
    assert users.get(ANN) == changed
    assert (changed.version, changed.groups, changed.email, changed.disabled) == (2, ("research",), None, True)


def test_of_two_changes_at_once_the_second_is_told(users: Users, client: Recorded) -> None:
    # Given two who have read the same version
    ann = user()
    users.create(ann)
    users.change(ann, replace(ann, groups=("first",)))

    # When the second writes / Then it is refused, and nothing of it is there
    with pytest.raises(PreconditionFailed):
        users.change(ann, replace(ann, groups=("second",), email="a@example.org"), ALWAYS)
    found = users.get(ANN)
    assert found is not None
    assert found.groups == ("first",)
    assert users.by_email("a@example.org") is None
    assert ("Y", "Y") not in keys(client)


def test_a_log_in_meanwhile_stays(users: Users, client: Recorded) -> None:
    # Given a log-in, which is no change, between the read and the write of a change
    ann = user()
    users.create(ann)
    later = "2026-11-21T15:00:00.000Z"

    def log_in() -> None:
        users.table.update({"pk": f"USER#{ANN}", "sk": "USER"}, "SET last_login_at = :at", values={"at": later})

    Meanwhile(client, "transact_write_items", log_in)
    users.change(ann, replace(ann, groups=("research",)))

    # Then both are there
    found = users.get(ANN)
    assert found is not None
    assert found.groups == ("research",)
    assert found.last_login_at == NOON + timedelta(hours=3)


def test_what_a_version_to_come_has_stored_is_kept_by_a_change(users: Users, client: Recorded) -> None:
    ann = user()
    users.create(ann)
    users.table.update({"pk": f"USER#{ANN}", "sk": "USER"}, "SET to_come = :it", values={"it": 1})
    users.change(ann, replace(ann, groups=("research",)))
    assert [item["to_come"] for item in items(client) if item["sk"] == "USER"] == [1]


def test_an_address_moves_with_its_user(users: Users) -> None:
    # Given two users with an address each
    ann, bob = user(email="ann@example.org"), user(BOB, "bob", email="bob@example.org")
    users.create(ann)
    users.create(bob)

    # When one wants the other's / Then it is refused
    with pytest.raises(NameTaken):
        users.change(ann, replace(ann, email="bob@example.org"))
    # And once the other has left it, it is theirs, and the old one is free
    users.change(bob, replace(bob, email=None))
    ann = users.change(ann, replace(ann, email="bob@example.org"))
    assert users.by_email("bob@example.org") == ann
    assert users.by_email("ann@example.org") is None


def test_a_user_who_is_gone_is_told(users: Users) -> None:
    ann = user()
    with pytest.raises(UserNotFound):
        users.change(ann, replace(ann, groups=("x",)))
    with pytest.raises(UserNotFound):
        users.delete(ann, NOON)


def test_a_change_whose_companion_is_refused_is_not_made(users: Users) -> None:
    ann = user(email="a@example.org")
    users.create(ann)
    with pytest.raises(Overtaken) as refused:
        users.change(ann, replace(ann, email=None, roles=("admin",)), ALWAYS, NEVER)
    assert refused.value.extra == 1
    assert users.get(ANN) == ann


# ---- Admins ----


def test_the_last_admin_stays_whatever_is_tried(users: Users) -> None:
    # Given the only admin who can log in, and one who can't
    ann, bob = admin(ANN, "ann"), admin(BOB, "bob", disabled=True)
    users.create(ann)
    users.create(bob)
    assert admins(users.table) == 1

    # Then no change takes the first away
    for changed in (replace(ann, roles=("member",)), replace(ann, disabled=True)):
        with pytest.raises(LastAdmin):
            users.change(ann, changed, ALWAYS)
    with pytest.raises(LastAdmin):
        users.delete(ann, NOON, ALWAYS)
    assert users.get(ANN) == ann

    # And once the other one may log in again, any does
    users.change(bob, replace(bob, disabled=False))
    users.change(ann, replace(ann, roles=()))
    assert admins(users.table) == 1


def test_two_admins_who_remove_each_other_at_once_leave_one(users: Users, client: Recorded) -> None:
    # Given two admins, each about to be written off by the other, as read before
    ann, bob = admin(ANN, "ann"), admin(BOB, "bob")
    users.create(ann)
    users.create(bob)
    Meanwhile(client, "transact_write_items", lambda: users.delete(ann, NOON))

    # When both writes come / Then the later one is refused
    with pytest.raises(LastAdmin):
        users.change(bob, replace(bob, roles=()))
    assert (users.get(ANN), users.get(BOB), admins(users.table)) == (None, bob, 1)


def test_admins_are_counted_whatever_becomes_of_them(users: Users) -> None:
    ann, bob, carl = admin(ANN, "ann"), admin(BOB, "bob"), admin("c" * 16, "carl")
    for one in (ann, bob, carl):
        users.create(one)
    bob = users.change(bob, replace(bob, groups=("still",)))
    assert admins(users.table) == 3
    bob = users.change(bob, replace(bob, disabled=True))
    bob = users.change(bob, replace(bob, roles=()))
    assert admins(users.table) == 2
    users.delete(bob, NOON)
    assert admins(users.table) == 2
    users.delete(carl, NOON)
    assert admins(users.table) == 1


# ---- Deleting ----


def test_a_deleted_user_leaves_a_stone_alone(users: Users, client: Recorded) -> None:
    # Given a user with an address, a key, a session and an account at a provider, and a neighbour with the same
    for person, name in ((ANN, "ann"), (BOB, "bob")):
        users.create(user(person, name, email=f"{name}@example.org"), users.identity(person, "google", name, NOON))
        users.table.put({"pk": f"USER#{person}", "sk": "KEY#k", "schema": 1})
        users.table.put({**session_key(person, "s"), "schema": 1})
    theirs = {key for key in keys(client) if BOB in key[0] or "bob" in key[0]}
    assert len(theirs) == 6

    # When the first is deleted, and what they have left is cleared
    ann = users.get(ANN)
    assert ann is not None
    users.delete(ann, NOON)
    users.clear(ANN)

    # Then nothing is left but what keeps the id from being given again, and the neighbour has everything
    assert keys(client) == theirs | {(f"USER#{ANN}", "GONE")}
    assert users.by_name("ann") is users.by_email("ann@example.org") is users.by_identity("google", "ann") is None


def test_a_name_may_be_taken_anew_and_the_stone_falls_in_time(users: Users, client: Recorded) -> None:
    ann = user()
    users.create(ann)
    users.delete(ann, NOON)
    users.create(user(BOB, "ann"))
    found = users.by_name("ann")
    assert found is not None
    assert found.user_id == BOB
    (stone,) = [item for item in items(client) if item["sk"] == "GONE"]
    assert stone["ttl"] == int((NOON + timedelta(days=400)).timestamp())


def test_who_has_changed_is_not_deleted_as_read(users: Users) -> None:
    ann = user()
    users.create(ann)
    users.change(ann, replace(ann, groups=("kept",)))
    with pytest.raises(PreconditionFailed):
        users.delete(ann, NOON)
    assert users.by_name("ann") is not None


# ---- Providers ----


def test_an_account_of_a_provider_is_one_users(users: Users) -> None:
    users.create(user(), users.identity(ANN, "google", "110", NOON))
    users.create(user(BOB, "bob"))
    found = users.by_identity("google", "110")
    assert found is not None
    assert found.user_id == ANN
    assert users.by_identity("github", "110") is None
    with pytest.raises(NameTaken):
        users.identity(BOB, "google", "110", NOON)


def test_of_two_who_link_the_same_account_at_once_one_is_refused(users: Users) -> None:
    # Given two who both saw it free
    bob = user(BOB, "bob")
    users.create(bob)
    mine, theirs = users.identity(ANN, "google", "110", NOON), users.identity(BOB, "google", "110", NOON)
    users.create(user(), mine)
    with pytest.raises(Overtaken):
        users.change(bob, bob, theirs)


def test_an_account_that_a_deleted_user_has_left_can_be_linked(users: Users) -> None:
    # Given a link that was made just as its user was deleted, so that nothing cleared it
    ann = user()
    users.create(ann, users.identity(ANN, "google", "110", NOON))
    users.delete(ann, NOON)
    # When another user links the account / Then it is theirs
    users.create(user(BOB, "bob"), users.identity(BOB, "google", "110", NOON))
    found = users.by_identity("google", "110")
    assert found is not None
    assert found.user_id == BOB


# ---- Listing ----


def test_users_are_listed_by_name_page_by_page(users: Users) -> None:
    names = ["zoe", "ann", "anna", "bob", "annika"]
    for index, name in enumerate(names):
        users.create(user(f"{index}" * 16, name), users.identity(f"{index}" * 16, "google", name, NOON))

    found, after = users.page(2)
    rest, end = users.page(200, after)
    assert [one.username for one in found + rest] == sorted(names)
    assert end is None
    assert [one.username for one in users.page(200, prefix="ann")[0]] == ["ann", "anna", "annika"]
    after = users.page(2, prefix="ann")[1]
    assert after is not None
    assert [one.username for one in users.page(2, after, "ann")[0]] == ["annika"]
