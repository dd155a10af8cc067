"""What is written today is what the newest of the stored shapes say: a new field needs a fixture, or a schema."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.unit.identity.accounts import ANN, BOB, NOON, ORIGIN, PEPPER, Recorded, Time, let_in, person, user
from tests.unit.identity.conftest import PASSWORD, caller_of
from tests.unit.identity.directory import items, listed
from tests.unit.identity.key_calls import make
from weir.identity import api_keys, first_admin, login, sessions, tokens, users
from weir.identity.authorizing import Gate
from weir.identity.contract_api_keys import NewKey
from weir.identity.contract_auth import LoginRequest
from weir.identity.contract_users import UserPatch
from weir.identity.errors import BadCredentials
from weir.identity.key_store import Keys
from weir.identity.models import User
from weir.identity.revocations import Revocations
from weir.identity.shapes import SHAPES
from weir.identity.table import REVOKED, email_key, identity_key, name_key, session_key
from weir.identity.wiring import Deps
from weir.runtime.audit import Asker
from weir.runtime.clock import rfc3339
from weir.runtime.dynamodb import Table
from weir.runtime.migrations import ShapeUnknown

STORED = Path(__file__).parents[1] / "stored" / f"identity.{SHAPES.schema}.json"
OF_A_PROVIDER = {"state", "code"}
"""Kinds that only a log-in at a provider writes."""


@pytest.fixture
def client() -> Iterator[Recorded]:
    with listed() as made:
        yield made


def fields(found: list[dict[str, Any]]) -> dict[str, dict[str, str]]:
    """The fields of each kind of item, and their types."""
    kinds: dict[str, dict[str, str]] = defaultdict(dict)
    for item in found:
        kinds[SHAPES.kind(item)] |= {name: type(value).__name__ for name, value in item.items()}
    return kinds


def test_what_is_written_is_what_is_told_of(deps: Deps, ann: User, client: Recorded, time: Time) -> None:
    # Given a life of users, sessions and keys, with every write that there is but those of providers
    now = time.clock.now()
    dora = first_admin.make_first_admin(
        deps.users,
        lambda: '{"username": "dora", "password": "a long sentence for dora"}',
        lambda text: text,
        now,
        must_change_password=False,
    )
    admin = deps.users.by_name("dora")
    assert dora.made
    assert admin is not None
    by = Asker(person(admin.user_id, "admin"), ORIGIN)
    deps.users.create(user(BOB, "bob"), deps.users.identity(BOB, "google", "110", now))
    gate = Gate(
        deps.table,
        deps.keyring,
        Revocations(deps.table, deps.clock),
        lambda: PEPPER,
        issuer=deps.settings.token_issuer,
        audience=deps.settings.token_audience,
        clock=deps.clock,
    )
    with pytest.raises(BadCredentials):
        login.log_in(LoginRequest(username="ann", password="wrong"), ORIGIN, deps)
    limited = login.log_in(LoginRequest(username="ann", password=PASSWORD, max_uses=3), ORIGIN, deps)
    gate.admit(limited.tokens.access_token)
    whole = sessions.start(ann, ORIGIN, deps, "password")
    assert whole.refresh_token is not None
    whole = sessions.refresh(whole.refresh_token, ORIGIN, deps)
    session = gate.admit(whole.access_token).credential_id
    maker = replace(person(), credential_id=session)
    keys, asked = Keys(deps.table), NewKey(name="nightly", expires_in=3600, max_uses=3)
    key, text = api_keys.make_key(asked, maker, ORIGIN, keys, pepper=PEPPER, now=now)
    gate.admit(text)
    _, text = api_keys.make_key(NewKey(name="any"), maker, ORIGIN, keys, pepper=PEPPER, now=now)
    gate.admit(text)
    api_keys.rotate_key(key.key_id, 60, maker, ORIGIN, keys, pepper=PEPPER, now=now)
    sessions.end(caller_of(ann, session), ORIGIN, deps)
    changes = UserPatch(email="ann@example.org", groups=("research",), roles=("admin",), disabled=True)
    users.change_user(ANN, changes, None, by, deps.users, deps.clock)
    before = items(client)
    users.delete_user(ANN, None, by, deps.users, deps.clock)
    api_keys_left = [item for item in items(client) if item["sk"].startswith("KEY#")]
    assert api_keys_left == []

    # Then every item that was written, before and after, is of a kind, a schema and with fields that are told of
    written, told = fields([*before, *items(client)]), fields(list(json.loads(STORED.read_text()).values()))
    assert set(written) == set(told) - OF_A_PROVIDER
    for kind, found in written.items():
        assert found == told[kind], kind
    assert {item["schema"] for item in [*before, *items(client)]} == {SHAPES.schema}


def newer(table: Table, item: dict[str, Any]) -> None:
    """Store an item as a version that comes after this one writes it."""
    table.put({**item, "schema": 99})


NEWER: dict[str, tuple[dict[str, Any], Callable[[Deps], Any]]] = {
    "name": ({**name_key("ann"), "user_id": ANN}, lambda deps: deps.users.by_name("ann")),
    "email": ({**email_key("a@b.example"), "user_id": ANN}, lambda deps: deps.users.by_email("a@b.example")),
    "identity": ({**identity_key("corp", "1"), "user_id": ANN}, lambda deps: deps.users.by_identity("corp", "1")),
    "identity that is to be taken over": (
        {**identity_key("corp", "1"), "user_id": BOB},
        lambda deps: deps.users.identity(ANN, "corp", "1", deps.clock.now()),
    ),
    "revocation": (
        {"pk": REVOKED, "sk": f"{rfc3339(NOON)}#user#{ANN}", "before": 1},
        lambda deps: Revocations(deps.table, deps.clock).holds(
            tokens.issue_access(user(), "session", deps.keyring.signing(), deps.settings, deps.clock.now())[1]
        ),
    ),
    "keys made": ({"pk": f"USER#{ANN}", "sk": "KEYS", "made": 1}, lambda deps: make(Keys(deps.table))),
    "session": (
        {**session_key(ANN, "session2session3"), "began": int(NOON.timestamp())},
        lambda deps: make(Keys(deps.table)),
    ),
}


@pytest.mark.parametrize("kind", NEWER)
def test_what_a_newer_version_has_written_is_refused_by_every_reader(deps: Deps, kind: str) -> None:
    # Given an item whose shape this version can't know
    let_in(deps.table, user())
    item, read = NEWER[kind]
    newer(deps.table, item)
    # When it is read / Then it is refused, and not taken for what it may no longer be
    with pytest.raises(ShapeUnknown):
        read(deps)
