"""API keys: what they may hold, who may change them, and that secrets are shown once and kept nowhere."""

from datetime import timedelta
from threading import Thread
from typing import Any

import pytest
from pydantic import ValidationError

from tests.unit.identity.accounts import (
    ANN,
    BOB,
    NOON,
    PEPPER,
    Recorded,
    audited,
    person,
    stored,
)
from tests.unit.identity.key_calls import HOUR, make, revoke, rotate
from weir.identity import api_keys, audit, key_store
from weir.identity.contract_api_keys import NewKey, Rotation, made, shown
from weir.identity.errors import KeyNotFound
from weir.identity.key_store import MOST_LIVE, KeyExists, Keys, TooManyKeys
from weir.identity.models import ApiKey
from weir.runtime.dynamodb import Table
from weir.runtime.errors import BadRequest, Conflict, Forbidden, Invalid, Unavailable


def put_live(client: Recorded, number: int) -> None:
    for index in range(number):
        key = ApiKey(f"filled{index:06}", ANN, "filled", ("runs:read",), NOON)
        Table(client, "identity").put(key_store.key_item(key))


def test_a_key_holds_what_its_maker_does_but_what_is_for_people(keys: Keys, client: Recorded) -> None:
    # When an admin makes a key and names no scopes
    key, text = make(keys, person(ANN, "admin"))

    # Then it holds all of the admin's, but what only people hold
    assert "runs:write" in key.scopes
    assert "audit:read" in key.scopes
    assert not {"keys:manage", "users:write"} & set(key.scopes)

    # And its text tells whose it is, and is found by scanners
    assert text.startswith(f"weir_{ANN}_{key.key_id}_")
    assert key_store.parse(text) == (ANN, key.key_id)
    assert keys.get(ANN, key.key_id) == key

    # And the secret is kept nowhere: a keyed hash is
    assert text[-43:] not in stored(client)
    assert key.secret_hash == key_store.hashed(text, PEPPER) != key_store.hashed(text, b"another pepper")


def test_a_key_is_told_to_the_audit_without_its_secret(keys: Keys, client: Recorded) -> None:
    key, _ = make(keys, scopes=["runs:read", "runs:read"], expires_in=3600, max_uses=10)
    (entry,) = audited(client)
    assert entry == {"what": "api-key.created", "who": ANN, "subject": key.key_id, "name": "nightly"} | {
        "scopes": "runs:read",
        "expires_in": "3600",
        "max_uses": "10",
    }
    assert (key.expires_at, key.max_uses, key.uses) == (NOON + HOUR, 10, 0)


@pytest.mark.parametrize("beyond", ["packages:write", "users:read", "keys:manage"])
def test_a_key_holds_nothing_beyond_its_maker(keys: Keys, client: Recorded, beyond: str) -> None:
    # When an operator asks for what operators do not hold, or what no key does / Then it is refused, by its name
    before = stored(client)
    with pytest.raises(Invalid, match=beyond) as refused:
        make(keys, scopes=["runs:read", beyond])
    assert [error.field for error in refused.value.errors] == ["scopes"]
    assert stored(client) == before


def test_a_key_can_not_manage_keys(keys: Keys, client: Recorded) -> None:
    # Given a caller with a key that somehow holds all scopes
    key, _ = make(keys)
    before = stored(client)
    caller = person(ANN, "admin", credential="key")

    # Then it may neither make, see, change nor revoke any
    for attempt in (
        lambda: make(keys, caller),
        lambda: api_keys.whose(None, caller),
        lambda: rotate(keys, key, caller=caller),
    ):
        with pytest.raises(Forbidden, match="can't manage"):
            attempt()
    assert stored(client) == before


@pytest.mark.parametrize(
    "asked",
    [
        {"name": ""},
        {"name": "n" * 101},
        {"name": "line\nbreak"},
        {"name": "\u202etxet"},
        {"name": "zero\u200bwidth"},
        {"name": "n", "scopes": []},
        {"name": "n", "scopes": ["everything"]},
        {"name": "n", "expires_in": 59},
        {"name": "n", "max_uses": 0},
        {"name": "n", "max_uses": "many"},
        {"name": "n", "owner": BOB},
    ],
)
def test_what_a_key_can_not_be(asked: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        NewKey.model_validate(asked)


def test_names_of_any_script_are_taken() -> None:
    assert NewKey(name="Nächtlicher Lauf, 夜間 (v2)").name.startswith("Nächt")


def test_the_same_idempotency_key_makes_no_second_key(keys: Keys, client: Recorded) -> None:
    # Given a key that was made with an Idempotency-Key
    key, text = make(keys, again="order 66")
    before = stored(client)

    # When it comes again / Then it is told which key that was, and no secret
    with pytest.raises(KeyExists, match=key.key_id) as refused:
        make(keys, again="order 66")
    assert refused.value.members == {"key_id": key.key_id}
    assert text not in str(refused.value)
    assert stored(client) == before

    # And for others, and other keys, it means another
    assert make(keys, person(BOB), again="order 66")[0].key_id != key.key_id
    assert make(keys, again="order 67")[0].key_id != key.key_id


@pytest.mark.parametrize("again", ["", "x" * 257, "a\nb"])
def test_an_idempotency_key_is_short_and_printable(keys: Keys, again: str) -> None:
    with pytest.raises(BadRequest, match="Idempotency-Key"):
        make(keys, again=again)


def test_a_user_has_so_many_live_keys_and_no_more(keys: Keys, client: Recorded) -> None:
    # Given a user with all the keys that one may have, and some that are dead
    put_live(client, MOST_LIVE - 1)
    dead = {"revoked_at": NOON}, {"expires_at": NOON}, {"max_uses": 1, "uses": 1}
    for index, fields in enumerate(dead):
        key = ApiKey(f"dead{index:08}", ANN, "dead", (), NOON, **fields)  # type: ignore[arg-type]
        Table(client, "identity").put(key_store.key_item(key))
    last, _ = make(keys, again="last")

    # Then there is room for no other, but the same request is told of the key that it made
    with pytest.raises(TooManyKeys, match="100"):
        make(keys)
    with pytest.raises(KeyExists, match=last.key_id):
        make(keys, again="last")

    # And one that is revoked makes room
    revoke(keys, last)
    make(keys)


def test_the_number_of_keys_holds_when_two_are_made_at_once(keys: Keys, client: Recorded) -> None:
    # Given room for one key, and somebody who makes it between another's count and write
    put_live(client, MOST_LIVE - 1)
    late: list[str] = []

    def overtake(operation: str, request: dict[str, Any]) -> None:
        if operation == "transact_write_items" and not late:
            late.append("overtaken")
            make(keys)

    client.before = overtake

    # Then the other learns that there is no room any more
    with pytest.raises(TooManyKeys):
        make(keys)
    assert sum(key_store.is_live(key, NOON) for key in keys.page(ANN, 200, None)[0]) == MOST_LIVE


def test_keys_made_at_the_same_time_are_all_made_or_told_to_come_again(keys: Keys, client: Recorded) -> None:
    # When eight are made at once
    outcomes: list[str] = []

    def one() -> None:
        try:
            outcomes.append(make(keys)[0].key_id)
        except Unavailable:
            outcomes.append("busy")

    threads = [Thread(target=one) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    # Then what was told is what is there, and each is in the audit
    told = sorted(outcome for outcome in outcomes if outcome != "busy")
    assert len(outcomes) == 8
    assert told == [key.key_id for key in keys.page(ANN, 200, None)[0]]
    assert sorted(entry["subject"] for entry in audited(client)) == told


def test_keys_are_listed_page_by_page_and_of_their_owner_alone(keys: Keys) -> None:
    mine = sorted(make(keys)[0].key_id for _ in range(3))
    make(keys, person(BOB))
    first, position = keys.page(ANN, 2, None)
    second, end = keys.page(ANN, 2, position)
    assert [key.key_id for key in first + second] == mine
    assert end is None


def test_only_an_admin_sees_the_keys_of_others() -> None:
    assert api_keys.whose(None, person()) == ANN
    assert api_keys.whose(ANN, person()) == ANN
    assert api_keys.whose(BOB, person(ANN, "admin")) == BOB
    with pytest.raises(Forbidden, match="admin"):
        api_keys.whose(BOB, person())


def test_a_revoked_key_is_so_for_good(keys: Keys, client: Recorded) -> None:
    # Given a key with a secret that is being changed
    key, _ = make(keys)
    rotate(keys, key, grace=3600)

    # When it is revoked, twice
    revoked = revoke(keys, key)
    assert revoke(keys, key) == revoked

    # Then it says when, no hash of it is left, and the audit tells of one revocation
    assert revoked.revoked_at == NOON + HOUR
    assert (revoked.secret_hash, revoked.previous_hash, revoked.previous_until) == ("", "", None)
    assert [entry["what"] for entry in audited(client)].count("api-key.revoked") == 1

    # And it gets no secret any more
    with pytest.raises(Conflict, match="works no more"):
        rotate(keys, key)


def test_what_is_not_there_or_another_s_is_not_found(keys: Keys) -> None:
    key, _ = make(keys)
    for attempt in (
        lambda: revoke(keys, key, owner=BOB, caller=person(BOB)),
        lambda: rotate(keys, key, caller=person(BOB, "admin")),
        lambda: keys.get(ANN, "aaaaaaaaaaaa"),
    ):
        with pytest.raises(KeyNotFound):
            attempt()


def test_a_rotation_changes_the_secret_and_nothing_else(keys: Keys, client: Recorded) -> None:
    key, old = make(keys, scopes=["runs:read"], max_uses=5, expires_in=7200)
    rotated, new = rotate(keys, key)
    assert new != old
    assert keys.get(ANN, key.key_id) == rotated
    assert rotated.secret_hash == key_store.hashed(new, PEPPER)
    assert (rotated.previous_hash, rotated.previous_until) == ("", None)
    assert (rotated.scopes, rotated.max_uses, rotated.expires_at) == (key.scopes, key.max_uses, key.expires_at)
    entry = {"what": "api-key.rotated", "who": ANN, "subject": key.key_id, "name": "nightly", "grace_seconds": "0"}
    assert audited(client)[-1] == entry
    assert new[-43:] not in stored(client)


def test_the_secret_before_works_on_for_the_grace_that_was_asked(keys: Keys) -> None:
    # Given a rotation with a grace
    key, old = make(keys)
    rotated, _ = rotate(keys, key, grace=600)
    assert rotated.previous_hash == key_store.hashed(old, PEPPER)
    assert rotated.previous_until == NOON + HOUR + timedelta(seconds=600)
    assert keys.get(ANN, key.key_id) == rotated

    # When it is rotated again without / Then neither of the two before works
    again, _ = rotate(keys, rotated)
    assert again.previous_until is None
    assert keys.get(ANN, key.key_id) == again


@pytest.mark.parametrize("overtaker", ["rotate", "revoke"])
def test_of_two_changes_at_once_one_is_told_to_look_again(keys: Keys, client: Recorded, overtaker: str) -> None:
    # Given a rotation, between whose read and write another rotation or a revocation comes
    key, _ = make(keys)
    other: list[Any] = []

    def overtake(operation: str, request: dict[str, Any]) -> None:
        if operation == "transact_write_items" and not other:
            other.append("on its way")
            other.append(rotate(keys, key)[0] if overtaker == "rotate" else revoke(keys, key))

    client.before = overtake

    # Then it learns so, and the other's stands: no secret is shown that does not work
    with pytest.raises(Conflict, match="at the same time"):
        rotate(keys, key)
    assert keys.get(ANN, key.key_id) == other[1]


@pytest.mark.parametrize("fields", [{"expires_in": 60}, {"max_uses": 1}])
def test_a_key_that_has_ended_gets_no_new_secret(keys: Keys, client: Recorded, fields: dict[str, int]) -> None:
    key, _ = make(keys, **fields)
    Table(client, "identity").update(
        {"pk": f"USER#{ANN}", "sk": f"KEY#{key.key_id}"}, "ADD #uses :one", values={"one": 1}, names={"uses": "uses"}
    )
    with pytest.raises(Conflict, match="works no more"):
        rotate(keys, key)


def test_what_a_key_shows() -> None:
    # Given keys in each state
    key = ApiKey("abcdabcdabcd", ANN, "nightly", ("runs:read",), NOON, secret_hash="5ec2e7", previous_hash="01d")
    limited = ApiKey("abcdabcdabcd", ANN, "nightly", (), NOON, max_uses=3, uses=3, expires_at=NOON + HOUR)
    revoked = ApiKey("abcdabcdabcd", ANN, "nightly", (), NOON, revoked_at=NOON)

    # Then each says how it is, and neither its hash nor, but once, its secret
    assert shown(key, NOON).status == "live"
    assert shown(key, NOON).uses is None
    assert (shown(limited, NOON).status, shown(limited, NOON).uses) == ("used_up", 3)
    assert shown(limited, NOON + HOUR).status == "expired"
    assert shown(revoked, NOON).status == "revoked"
    assert "5ec2e7" not in shown(key, NOON).model_dump_json()
    assert made(key, "weir_it", NOON).secret == "weir_it"
    assert "weir_it" not in repr(made(key, "weir_it", NOON))


def test_the_secret_before_is_shown_while_it_works() -> None:
    key = ApiKey("abcdabcdabcd", ANN, "n", (), NOON, previous_hash="01d", previous_until=NOON + HOUR)
    assert shown(key, NOON).previous_until == NOON + HOUR
    assert shown(key, NOON + HOUR).previous_until is None


def test_a_key_that_ends_by_itself_is_cleared_away_later(keys: Keys, client: Recorded) -> None:
    make(keys, expires_in=3600)
    (item,) = (item for item in client.scan(TableName="identity")["Items"] if item["sk"]["S"].startswith("KEY#"))
    assert int(item["ttl"]["N"]) == int((NOON + HOUR + key_store.KEPT).timestamp())


def test_nothing_is_made_without_its_audit(keys: Keys, client: Recorded) -> None:
    # Given an audit entry that can't be written
    broken = audit.Write(put={"pk": "AUDIT", "sk": "there"}, when="attribute_exists(pk)")
    key, _ = make(keys)
    count = len(client.scan(TableName="identity")["Items"])
    with pytest.raises((Conflict, Unavailable)):
        keys.create(ApiKey("eeeeeeeeeeee", ANN, "n", (), NOON), "session2session3", broken)
    with pytest.raises(Conflict):
        keys.rotate(key, "new", None, "session2session3", broken)
    assert len(client.scan(TableName="identity")["Items"]) == count
    assert keys.get(ANN, key.key_id) == key


@pytest.mark.parametrize("grace", [-1, 86_401, "long"])
def test_a_grace_is_a_day_at_most(grace: Any) -> None:
    with pytest.raises(ValidationError):
        Rotation.model_validate({"grace_seconds": grace})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "weir_",
        f"weir_{ANN}_abcdabcdabcd_{'x' * 42}",
        f"weir_{ANN}_abcdabcdabcd_{'x' * 44}",
        f"WEIR_{ANN}_abcdabcdabcd_{'x' * 43}",
        f"weir_{ANN}_abcdabcdabc1_{'x' * 43}",
        f"weir_{ANN}_abcdabcdabcd_{'x' * 42}\n",
        f"weir_{ANN}_abcdabcdabcd_{'x' * 42}é",
        "weir_rt_1.ann2ann3ann4ann5.session.1.mac",
    ],
)
def test_what_is_not_the_text_of_a_key(text: str) -> None:
    assert key_store.parse(text) is None


def test_texts_and_ids_are_of_the_stated_form_and_never_the_same() -> None:
    ids = {key_store.new_key_id() for _ in range(50)}
    texts = {key_store.new_text(ANN, key_id) for key_id in ids}
    assert len(ids) == len(texts) == 50
    assert {key_store.parse(text) for text in texts} == {(ANN, key_id) for key_id in ids}
    assert key_store.parse(key_store.new_text(ANN, key_store.key_id_for(ANN, "again"))) is not None
