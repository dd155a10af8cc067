"""A key outlives the session that makes it, so that session must hold then; and a key in use can be changed."""

from typing import Any

import pytest

from tests.unit.identity.accounts import ANN, NOON, Recorded, audited, contend, let_in, stored, user
from tests.unit.identity.key_calls import make, revoke, rotate
from weir.identity.errors import BadToken
from weir.identity.key_store import Keys
from weir.identity.table import session_key, user_key
from weir.runtime.dynamodb import Table


def end_session(table: Table) -> None:
    table.update(session_key(ANN, "session2session3"), "SET revoked_at = :now", values={"now": "2026-11-21"})


def end_all_sessions(table: Table) -> None:
    table.update(user_key(ANN), "SET sessions_from = :now", values={"now": int(NOON.timestamp()) + 1})


def disable(table: Table) -> None:
    table.update(user_key(ANN), "SET disabled = :yes", values={"yes": True})


def delete(table: Table) -> None:
    table.delete(user_key(ANN))


def clear(table: Table) -> None:
    delete(table)
    table.delete(session_key(ANN, "session2session3"))


ENDS = pytest.mark.parametrize("ends", [end_session, end_all_sessions, disable, delete, clear])


@ENDS
def test_a_token_whose_session_has_ended_makes_no_key(keys: Keys, client: Recorded, ends: Any) -> None:
    # Given a token that the authorizer still admits, though its owner has logged out, or is no longer let in
    table = Table(client, "identity")
    key, _ = make(keys, again="before")
    ends(table)
    before = stored(client)

    # Then who holds it gets neither a key that outlives it nor the secret of another
    for attempt in (lambda: make(keys), lambda: make(keys, again="before"), lambda: rotate(keys, key)):
        with pytest.raises(BadToken):
            attempt()
    assert stored(client) == before


@ENDS
@pytest.mark.parametrize("what", [make, rotate])
def test_a_session_that_ends_meanwhile_makes_no_key(keys: Keys, client: Recorded, ends: Any, what: Any) -> None:
    # Given a session that ends between the look at it and the write
    table = Table(client, "identity")
    key, _ = make(keys)
    ended: list[str] = []

    def overtake(operation: str, request: dict[str, Any]) -> None:
        if operation == "transact_write_items" and not ended:
            ended.append("now")
            ends(table)
            ended.append(stored(client))

    client.before = overtake

    # Then nothing is made or changed by it
    with pytest.raises(BadToken):
        make(keys) if what is make else rotate(keys, key)
    assert stored(client) == ended[1]


def test_a_session_that_began_after_the_others_were_ended_makes_keys(keys: Keys, client: Recorded) -> None:
    # Given a change of the password, and the session that began with it, in the same second
    table, moment = Table(client, "identity"), int(NOON.timestamp()) + 1
    let_in(table, user(sessions_from=moment), began=moment)
    assert make(keys)


@pytest.mark.parametrize("times", [1, 3])
def test_a_key_in_use_is_revoked_all_the_same(keys: Keys, client: Recorded, times: int) -> None:
    # Given a key whose uses are being counted at this moment
    key, _ = make(keys, max_uses=10)
    contend(client, "transact_write_items", times)
    # When it is revoked / Then it is, and is not answered that somebody else is changing it
    assert revoke(keys, key).revoked_at is not None
    assert len([entry for entry in audited(client) if entry["what"] == "api-key.revoked"]) == 1


def test_a_key_in_use_is_rotated_all_the_same(keys: Keys, client: Recorded) -> None:
    key, _ = make(keys, max_uses=10)
    contend(client, "transact_write_items", 3)
    rotated, _ = rotate(keys, key)
    assert keys.get(ANN, key.key_id) == rotated


def test_a_key_is_made_while_its_maker_logs_in_elsewhere(keys: Keys, client: Recorded) -> None:
    contend(client, "transact_write_items", 3)
    key, _ = make(keys)
    assert keys.get(ANN, key.key_id) == key
