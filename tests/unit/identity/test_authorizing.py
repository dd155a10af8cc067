"""The gate: what it reads for each decision, whom it admits, and what it refuses."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from threading import Thread
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from tests.unit.identity.accounts import ANN, BOB, NOON, PEPPER, Recorded, Time, dynamodb, user
from weir.identity import key_store, revocations, roles, tokens
from weir.identity.authorizing import KEPT_SECONDS, MOST_KEPT, Gate
from weir.identity.errors import BadToken
from weir.identity.keyring import Keyring
from weir.identity.models import Admitted, ApiKey, User
from weir.identity.revocations import Revocations
from weir.identity.user_store import user_item
from weir.runtime.dynamodb import Table
from weir.runtime.errors import Unavailable
from weir.runtime.settings import Settings

SECRET = json.dumps({"kid": "1", "secret": "s" * 64})
KEYRING = Keyring(lambda stage: SECRET if stage == "AWSCURRENT" else None, lambda: 0.0)
CONF = Settings(token_issuer="https://weir.test", token_audience="weir")
SESSION = "session2session3"


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def client() -> Iterator[Recorded]:
    with dynamodb() as made_for_test:
        yield made_for_test


@pytest.fixture
def table(client: Recorded) -> Table:
    table = Table(client, "identity")
    table.put(user_item(user()))
    return table


@pytest.fixture
def gate(table: Table, time: Time) -> Gate:
    return make_gate(table, time)


def make_gate(table: Table, time: Time) -> Gate:
    """The gate of another process."""
    known = {"issuer": CONF.token_issuer, "audience": CONF.token_audience}
    return Gate(table, KEYRING, Revocations(table, time.clock), lambda: PEPPER, clock=time.clock, **known)


def token(who: User | None = None, max_uses: int | None = None) -> str:
    return tokens.issue_access(who or user(), SESSION, KEYRING.signing(), CONF, NOON, max_uses=max_uses)[0]


def put_key(table: Table, **fields: Any) -> str:
    """Store a key of Ann's, which may read and write runs; its text."""
    key_id = key_store.new_key_id()
    text = key_store.new_text(ANN, key_id)
    key = ApiKey(key_id, ANN, "nightly", ("runs:read", "runs:write"), NOON, secret_hash=key_store.hashed(text, PEPPER))
    table.put(key_store.key_item(replace(key, **fields)))
    return text


def item_of(table: Table, text: str) -> dict[str, Any]:
    owner, key_id = key_store.parse(text) or ("", "")
    return table.get(key_store.api_key_key(owner, key_id)) or {}


def change(table: Table, text: str, **fields: Any) -> None:
    table.put({**item_of(table, text), **fields})


def calls(client: Recorded, decide: Callable[[], Any]) -> list[str]:
    """The operations that a decision takes."""
    client.called.clear()
    decide()
    return list(client.called)


def refused(decide: Callable[[], Any]) -> str:
    """Why a credential was refused, for the log."""
    with pytest.raises(BadToken) as told:
        decide()
    return told.value.reason


# ---- Tokens ----


def test_a_token_is_admitted_with_what_it_holds(gate: Gate) -> None:
    admitted = gate.admit(token(user(groups=("blue", "green"))))
    assert admitted == Admitted(
        sub=ANN,
        username="ann",
        roles=("operator",),
        groups=("blue", "green"),
        scopes=admitted.scopes,
        credential="token",
        credential_id=SESSION,
    )
    assert set(admitted.scopes) == roles.scopes_of(["operator"])


def test_a_token_of_a_password_that_must_be_changed_holds_nothing(gate: Gate) -> None:
    admitted = gate.admit(token(user(must_change_password=True)))
    assert admitted.must_change_password
    assert admitted.scopes == ()


def test_tokens_cost_no_read_but_the_list_of_revocations_once_in_thirty_seconds(
    gate: Gate, client: Recorded, time: Time
) -> None:
    # Given a process that has just started
    text = token()
    assert set(calls(client, lambda: gate.admit(text))) == {"query"}

    # Then a hundred decisions within the next 29 seconds ask nothing
    for _ in range(100):
        time.pass_by(0.29)
        assert calls(client, lambda: gate.admit(text)) == []

    # And the next one after 30 asks once
    time.pass_by(1.1)
    assert calls(client, lambda: [gate.admit(text) for _ in range(3)]) == ["query"]


@pytest.mark.parametrize("what", ["session", "user"])
def test_a_revoked_token_is_refused_within_a_minute(gate: Gate, table: Table, time: Time, what: str) -> None:
    # Given a token that a process knows, and a revocation of its session or of its user's tokens
    text = token()
    gate.admit(text)
    time.pass_by(5)
    write = (
        revocations.session_write(SESSION, time.clock.now())
        if what == "session"
        else revocations.user_write(ANN, int(NOON.timestamp()) + 1, time.clock.now())
    )
    table.transact([write])

    # Then at the latest after a minute it is refused, and another user's is not
    time.pass_by(60)
    assert "revoked" in refused(lambda: gate.admit(text))
    assert gate.admit(tokens.issue_access(user(BOB, "bob"), "other", KEYRING.signing(), CONF, NOON)[0]).sub == BOB


def test_exactly_as_many_of_many_at_once_get_in_as_a_token_has_uses(client: Recorded, table: Table, time: Time) -> None:
    # Given a token of 10 uses, and 100 callers at once, who come to four processes
    text = token(max_uses=10)
    gates = [make_gate(table, time) for _ in range(4)]
    assert at_once(lambda number: gates[number % 4].admit(text)) == 10

    # Then no more get in later, and one decision is one write
    assert "used up" in refused(lambda: gates[0].admit(text))
    assert calls(client, lambda: refused(lambda: gates[1].admit(text))) == ["update_item"]


def test_the_count_of_a_token_goes_when_the_token_is_long_gone(client: Recorded, gate: Gate) -> None:
    text = token(max_uses=2)
    gate.admit(text)
    (item,) = (one for one in client.scan(TableName="identity")["Items"] if one["pk"]["S"].startswith("USES#"))
    expires = int(NOON.timestamp()) + CONF.access_token_seconds
    assert int(item["ttl"]["N"]) > expires
    assert item["schema"] == {"N": "1"}
    assert text not in repr(item)


def at_once(admit: Callable[[int], Admitted], callers: int = 100) -> int:
    """How many of many callers at once get in."""
    admitted: list[Admitted] = []

    def come(number: int) -> None:
        try:
            admitted.append(admit(number))
        except BadToken:
            return

    threads = [Thread(target=come, args=(number,)) for number in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(admitted)


# ---- Keys ----


def test_a_key_is_admitted_for_its_owner(gate: Gate, table: Table) -> None:
    text = put_key(table)
    admitted = gate.admit(text)
    assert admitted == Admitted(
        sub=ANN,
        username="ann",
        roles=("operator",),
        groups=(),
        scopes=("runs:read", "runs:write"),
        credential="key",
        credential_id=item_of(table, text)["key_id"],
    )


def test_a_key_costs_one_read_a_minute(gate: Gate, client: Recorded, table: Table, time: Time) -> None:
    # Given a key that nobody has used / Then the first decision reads key and owner in one call, and notes the use
    text = put_key(table)
    assert calls(client, lambda: gate.admit(text)) == ["batch_get_item", "update_item"]

    # And within a minute it costs nothing
    time.pass_by(59)
    assert calls(client, lambda: [gate.admit(text) for _ in range(10)]) == []

    # And then one read
    time.pass_by(2)
    assert calls(client, lambda: gate.admit(text)) == ["batch_get_item"]


def test_the_last_use_is_noted_once_an_hour(gate: Gate, client: Recorded, table: Table, time: Time) -> None:
    text = put_key(table)
    gate.admit(text)
    assert item_of(table, text)["last_used_at"] == "2026-11-21T12:00:00.000Z"
    time.pass_by(3599)
    assert calls(client, lambda: gate.admit(text)) == ["batch_get_item"]
    time.pass_by(61)
    assert calls(client, lambda: gate.admit(text)) == ["batch_get_item", "update_item"]
    assert item_of(table, text)["last_used_at"] == "2026-11-21T13:01:00.000Z"


def test_a_use_that_can_not_be_noted_is_admitted_all_the_same(gate: Gate, client: Recorded, table: Table) -> None:
    text = put_key(table)
    client.before = failing("update_item")
    assert gate.admit(text).sub == ANN


def test_a_limited_key_costs_one_read_and_one_write(gate: Gate, client: Recorded, table: Table) -> None:
    text = put_key(table, max_uses=3)
    for _ in range(3):
        assert calls(client, lambda: gate.admit(text)) == ["batch_get_item", "update_item"]
    assert "used up" in refused(lambda: gate.admit(text))
    assert (item_of(table, text)["uses"], item_of(table, text)["last_used_at"]) == (3, "2026-11-21T12:00:00.000Z")


def test_exactly_as_many_of_many_at_once_get_in_as_a_key_has_uses(table: Table, time: Time) -> None:
    text = put_key(table, max_uses=10)
    gates = [make_gate(table, time) for _ in range(4)]
    assert at_once(lambda number: gates[number % 4].admit(text)) == 10
    assert item_of(table, text)["uses"] == 10


@pytest.mark.parametrize("max_uses", [None, 1_000])
def test_a_key_that_changes_is_refused_within_a_minute(
    gate: Gate, table: Table, time: Time, max_uses: int | None
) -> None:
    # Given keys that a process knows
    texts = [put_key(table, max_uses=max_uses) for _ in range(3)]
    for text in texts:
        gate.admit(text)

    # When one is revoked, one gets another secret, and one is gone
    change(table, texts[0], revoked_at="2026-11-21T12:00:00.000Z")
    change(table, texts[1], secret_hash=key_store.hashed("weir_other", PEPPER))
    table.delete({name: item_of(table, texts[2])[name] for name in ("pk", "sk")})

    # Then within the stated 60 seconds all are refused; those that are counted at once
    time.pass_by(0 if max_uses else KEPT_SECONDS)
    reasons = [refused(lambda text=text: gate.admit(text)) for text in texts]  # type: ignore[misc]
    for reason, words in zip(reasons, ("revoked", "wrong secret", "not there"), strict=True):
        assert words in reason
        assert not any(text in reason for text in texts)


def test_what_happens_to_the_owner_happens_to_the_key(gate: Gate, table: Table, time: Time) -> None:
    # Given a key that writes runs, and its owner, who may do so no longer
    text = put_key(table)
    gate.admit(text)
    table.put(user_item(user(roles=("member",))))
    time.pass_by(KEPT_SECONDS)
    assert gate.admit(text).scopes == ("runs:read",)

    # When the owner is disabled, or gone / Then so is the key
    table.put(user_item(user(disabled=True)))
    time.pass_by(KEPT_SECONDS)
    assert "owner disabled" in refused(lambda: gate.admit(text))
    table.delete({"pk": f"USER#{ANN}", "sk": "USER"})
    assert "gone" in refused(lambda: gate.admit(text))


def test_a_key_never_holds_what_is_for_people(gate: Gate, table: Table) -> None:
    # Given a key with scopes that it should not have, of an admin
    table.put(user_item(user(roles=("admin",))))
    text = put_key(table, scopes=("keys:manage", "users:write", "users:read"))
    assert gate.admit(text).scopes == ("users:read",)


def test_a_key_of_an_owner_with_a_password_to_change_works_on(gate: Gate, table: Table) -> None:
    # For services must not stop because a person forgot a password; who must be kept out is disabled
    table.put(user_item(user(must_change_password=True)))
    admitted = gate.admit(put_key(table))
    assert not admitted.must_change_password
    assert "runs:read" in admitted.scopes


def test_a_key_that_was_decided_is_remembered_as_long_as_it_is_kept(gate: Gate, table: Table, time: Time) -> None:
    # Given keys of which one is counted, and a token
    text, counted = put_key(table), put_key(table, max_uses=5)

    # Then nobody is remembered before they were admitted, and the counted one never
    assert gate.remembered(text) is None
    admitted = gate.admit(text)
    gate.admit(counted)
    assert gate.remembered(text) == admitted
    assert gate.remembered(counted) is None
    assert gate.remembered(text[:-1] + ("A" if text[-1] != "A" else "B")) is None
    assert gate.remembered("no.such.token") is None
    time.pass_by(KEPT_SECONDS)
    assert gate.remembered(text) is None


def test_a_key_ends_on_time_though_it_is_remembered(gate: Gate, table: Table, time: Time) -> None:
    text = put_key(table, expires_at=NOON + timedelta(seconds=30))
    time.pass_by(10)
    gate.admit(text)
    time.pass_by(19.9)
    gate.admit(text)
    time.pass_by(0.1)
    assert "expired" in refused(lambda: gate.admit(text))


def test_the_secret_before_works_until_its_grace_is_over(gate: Gate, table: Table, time: Time) -> None:
    # Given a key with a secret before
    text = put_key(table)
    old = key_store.new_text(ANN, item_of(table, text)["key_id"])
    until = {"previous_hash": key_store.hashed(old, PEPPER), "previous_until": "2026-11-21T12:00:30.000Z"}
    change(table, text, **until)

    # Then both work, and the old one no longer than said
    assert gate.admit(old) == gate.admit(text)
    time.pass_by(30)
    assert "expired" in refused(lambda: gate.admit(old))
    assert gate.admit(text).sub == ANN


def test_uses_of_both_secrets_count(gate: Gate, table: Table) -> None:
    text = put_key(table, max_uses=2)
    old = key_store.new_text(ANN, item_of(table, text)["key_id"])
    change(table, text, previous_hash=key_store.hashed(old, PEPPER), previous_until="2026-11-21T12:00:30.000Z")
    gate.admit(old)
    gate.admit(text)
    assert "used up" in refused(lambda: gate.admit(old))


def test_a_key_that_is_revoked_between_read_and_count_is_refused(gate: Gate, client: Recorded, table: Table) -> None:
    # Given a limited key, which somebody revokes while it is being looked at
    text = put_key(table, max_uses=2)

    def overtake(operation: str, request: dict[str, Any]) -> None:
        if operation == "update_item":
            client.before = lambda operation, request: None
            change(table, text, revoked_at="2026-11-21T12:00:00.000Z")

    client.before = overtake
    assert "revoked just now" in refused(lambda: gate.admit(text))
    assert item_of(table, text)["uses"] == 0


def test_a_wrong_secret_is_refused_and_costs_the_owner_nothing(gate: Gate, table: Table) -> None:
    text = put_key(table, max_uses=1)
    wrong = text[:-1] + ("A" if text[-1] != "A" else "B")
    assert "wrong secret" in refused(lambda: gate.admit(wrong))
    assert "not there" in refused(lambda: gate.admit(text.replace(ANN, BOB)))
    assert item_of(table, text)["uses"] == 0


def test_a_process_remembers_only_so_many_keys(gate: Gate, client: Recorded, table: Table) -> None:
    texts = [put_key(table, last_used_at=NOON) for _ in range(3)]
    gate.admit(texts[0])
    for number in range(MOST_KEPT - 1):
        gate._keep(str(number), gate._kept[next(iter(gate._kept))])
    assert calls(client, lambda: gate.admit(texts[0])) == []
    gate.admit(texts[1])
    assert len(gate._kept) == MOST_KEPT
    assert calls(client, lambda: gate.admit(texts[1])) == []
    assert calls(client, lambda: gate.admit(texts[0])) == ["batch_get_item"]


def failing(*operations: str) -> Callable[[str, dict[str, Any]], None]:
    """An account in which operations fail, as they do where AWS does not answer."""

    def fail(operation: str, request: dict[str, Any]) -> None:
        if operation in operations:
            raise EndpointConnectionError(endpoint_url="https://dynamodb.eu-west-1.amazonaws.com")

    return fail


@pytest.mark.parametrize(
    ("credential", "operation"),
    [("token", "query"), ("limited token", "update_item"), ("key", "batch_get_item"), ("limited key", "update_item")],
)
def test_where_aws_fails_nobody_is_told_that_the_credential_is_bad(
    gate: Gate, client: Recorded, table: Table, credential: str, operation: str
) -> None:
    text = {
        "token": token(),
        "limited token": token(max_uses=1),
        "key": put_key(table),
        "limited key": put_key(table, max_uses=1),
    }[credential]
    client.before = failing(operation)
    with pytest.raises(Unavailable):
        gate.admit(text)

    # And it holds once AWS is there again
    client.before = failing()
    assert gate.admit(text).sub == ANN


@pytest.mark.parametrize("text", ["x", "a.b.c", "weir_rt_1.2.3.4.5", "weir_", "é", "x" * 4_097])
def test_what_is_neither_a_token_nor_a_key_is_refused_without_a_call(gate: Gate, client: Recorded, text: str) -> None:
    assert calls(client, lambda: refused(lambda: gate.admit(text))) == []


def test_a_forged_token_is_refused_without_a_call(gate: Gate, client: Recorded) -> None:
    other = Keyring(lambda stage: SECRET.replace("ssss", "tttt"), lambda: 0.0).signing()
    forged = tokens.issue_access(user(), SESSION, replace(other, kid="1"), CONF, NOON)[0]
    assert calls(client, lambda: refused(lambda: gate.admit(forged))) == []
