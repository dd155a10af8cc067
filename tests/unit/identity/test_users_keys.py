"""What a change of a user does to their keys: disabling lets them rest, and only ``revoke_keys`` ends them."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from tests.unit.identity.accounts import ANN, BOB, NOON, ORIGIN, PEPPER, Recorded, Time, audited, person, user
from tests.unit.identity.directory import Meanwhile, listed
from weir.identity import key_store
from weir.identity.authorizing import KEPT_SECONDS, Gate
from weir.identity.contract_users import UserPatch
from weir.identity.errors import BadToken
from weir.identity.key_store import Keys
from weir.identity.keyring import Keyring
from weir.identity.models import ApiKey, User
from weir.identity.revocations import Revocations
from weir.identity.user_store import Users
from weir.identity.users import change_user
from weir.runtime.audit import Asker
from weir.runtime.dynamodb import Table
from weir.runtime.errors import Unavailable

ADMIN = "dora2dora3dora4d"
BY = Asker(person(ADMIN, "admin"), ORIGIN)
DEAD: dict[str, dict[str, Any]] = {
    "expired": {"expires_at": NOON - timedelta(days=1)},
    "used up": {"max_uses": 1, "uses": 1},
    "revoked": {"revoked_at": NOON - timedelta(days=1)},
}


@pytest.fixture
def client() -> Iterator[Recorded]:
    with listed() as made:
        yield made


@pytest.fixture
def users(client: Recorded) -> Users:
    """An admin, who asks; ann and bob, operators."""
    made = Users(Table(client, "identity"))
    made.create(user(ADMIN, "dora", roles=("admin",)))
    made.create(user())
    made.create(user(BOB, "bob"))
    return made


@pytest.fixture
def gate(users: Users, time: Time) -> Gate:
    keyring = Keyring(lambda stage: None, time.clock.monotonic)
    revocations = Revocations(users.table, time.clock)
    return Gate(users.table, keyring, revocations, lambda: PEPPER, issuer="i", audience="a", clock=time.clock)


def put_key(users: Users, owner: str = ANN, name: str = "nightly", **fields: Any) -> tuple[str, str]:
    """Store a key; its id and its text."""
    key_id = key_store.new_key_id()
    text = key_store.new_text(owner, key_id)
    key = ApiKey(key_id, owner, name, ("runs:read",), NOON, secret_hash=key_store.hashed(text, PEPPER))
    users.table.put(key_store.key_item(replace(key, **fields)))
    return key_id, text


def changed(users: Users, time: Time, **patch: Any) -> User:
    return change_user(ANN, UserPatch(**patch), None, BY, users, time.clock)[0]


def test_the_keys_of_who_is_disabled_rest_and_wake_again(users: Users, gate: Gate, time: Time) -> None:
    # Given a key / When its owner is disabled / Then it opens nothing
    _, text = put_key(users)
    changed(users, time, disabled=True)
    with pytest.raises(BadToken):
        gate.admit(text)
    # And once they are let in again, it does
    changed(users, time, disabled=False)
    assert gate.admit(text).sub == ANN


@pytest.mark.parametrize("patch", [{"reset_password": True}, {"roles": ["member"]}], ids=str)
def test_keys_outlive_other_changes(users: Users, gate: Gate, time: Time, patch: dict[str, Any]) -> None:
    _, text = put_key(users)
    changed(users, time, **patch)
    assert gate.admit(text).sub == ANN


def test_all_keys_of_a_user_are_revoked_at_once_for_good(
    users: Users, client: Recorded, gate: Gate, time: Time
) -> None:
    # Given live keys of ann's, one that was just used, dead ones, and one of bob's
    live = dict(put_key(users) for _ in range(3))
    dead = {name: put_key(users, name=name, **fields)[0] for name, fields in DEAD.items()}
    _, bobs = put_key(users, BOB)
    gate.admit(next(iter(live.values())))

    # When an admin revokes them
    found = changed(users, time, revoke_keys=True)

    # Then within a minute none of ann's opens anything, even if she is disabled and let in again, and bob's does
    time.pass_by(KEPT_SECONDS)
    changed(users, time, disabled=True)
    changed(users, time, disabled=False)
    for text in live.values():
        with pytest.raises(BadToken):
            gate.admit(text)
    assert gate.admit(bobs).sub == BOB
    # And they are shown as revoked now; the dead stay as they were, and the user too
    keys = Keys(users.table)
    assert {keys.get(ANN, key_id).revoked_at for key_id in live} == {NOON}
    assert [keys.get(ANN, key_id).revoked_at for key_id in dead.values()] == [None, None, NOON - timedelta(days=1)]
    assert found.version == 1
    # And the audit tells of each
    told = [entry for entry in audited(client) if entry["what"] == "api-key.revoked"]
    assert sorted(entry["subject"] for entry in told) == sorted(live)
    assert {(entry["who"], entry["owner"], entry["name"]) for entry in told} == {(ADMIN, ANN, "nightly")}


def test_sessions_end_before_keys_do_so_that_they_make_no_other(users: Users, client: Recorded, time: Time) -> None:
    # Given a thief with a session of ann's
    put_key(users)
    seen: list[User | None] = []
    Meanwhile(client, "query", lambda: seen.append(users.get(ANN)))
    # When ann is disabled and her keys are revoked / Then the one is done before the other begins
    changed(users, time, disabled=True, revoke_keys=True)
    (ann,) = seen
    assert ann is not None
    assert ann.disabled
    assert ann.sessions_from > NOON.timestamp()


def test_a_revocation_that_broke_off_is_finished_by_the_next(users: Users, client: Recorded, time: Time) -> None:
    # Given three keys, and a DynamoDB that fails after the first
    ids = [put_key(users)[0] for _ in range(3)]
    written = 0

    def fail(operation: str, request: dict[str, Any]) -> None:
        nonlocal written
        written += operation == "transact_write_items"
        if written > 1:
            raise EndpointConnectionError(endpoint_url="https://dynamodb")

    client.before = fail
    with pytest.raises(Unavailable):
        changed(users, time, revoke_keys=True)
    client.before = lambda operation, request: None
    # When it is asked again / Then all are revoked, and each is told of once
    changed(users, time, revoke_keys=True)
    assert all(Keys(users.table).get(ANN, key_id).revoked_at for key_id in ids)
    assert sorted(entry["subject"] for entry in audited(client)) == sorted(ids)


def test_a_key_that_is_being_used_is_revoked_all_the_same(users: Users, time: Time) -> None:
    key_id, _ = put_key(users, max_uses=10, uses=3)
    changed(users, time, revoke_keys=True)
    key = Keys(users.table).get(ANN, key_id)
    assert (key.revoked_at, key.uses, key.secret_hash) == (NOON, 3, "")
