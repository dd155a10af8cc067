"""What letting somebody in costs: a decision of a warm authorizer, and the hash of a password.

``python -m tests.benchmarks.identity_case decisions|argon2`` prints one JSON line. Decisions are the gate's own, on a
table in memory that counts what it is asked: DynamoDB's time is not in them, a few milliseconds for each read.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from tests.benchmarks.verify_case import peak_kib

DECISIONS, HASHES = 5_000, 20
OWNER, SESSION = "ann2ann3ann4ann5", "session2session3"
PEPPER, SECRET = b"a pepper", json.dumps({"kid": "1", "secret": "s" * 64})


class Stored:
    """An identity table in memory, as far as the gate asks it."""

    def __init__(self, *items: Mapping[str, Any]) -> None:
        self._items = {(item["pk"], item["sk"]): dict(item) for item in items}
        self.reads = self.writes = 0

    def get_many(self, keys: Sequence[Mapping[str, str]]) -> list[dict[str, Any]]:
        """Items by their keys: one read."""
        self.reads += 1
        return [self._items[key["pk"], key["sk"]] for key in keys]

    def all(self, *_: Any, **__: Any) -> Iterator[dict[str, Any]]:
        """Nothing was revoked: one read."""
        self.reads += 1
        return iter(())

    def update(self, *_: Any, **__: Any) -> Any:
        """A write that is done."""
        from weir.runtime.dynamodb import Outcome

        self.writes += 1
        return Outcome(True, None)


def decisions() -> dict[str, Any]:
    """By credential: AWS calls and CPU milliseconds of one decision of a process that has decided before."""
    from weir.identity import key_store, tokens
    from weir.identity.authorizing import KEPT_SECONDS, Gate
    from weir.identity.keyring import Keyring
    from weir.identity.models import ApiKey, User
    from weir.identity.revocations import Revocations
    from weir.identity.user_store import user_item
    from weir.runtime.clock import SYSTEM
    from weir.runtime.settings import Settings

    conf, now = Settings(token_issuer="bench"), datetime.now(UTC)
    user = User(OWNER, "ann", now, roles=("operator",))
    keyring = Keyring(lambda stage: SECRET if stage == "AWSCURRENT" else None, SYSTEM.monotonic)
    token, _ = tokens.issue_access(user, SESSION, keyring.signing(), conf, now)
    limited, _ = tokens.issue_access(user, SESSION, keyring.signing(), conf, now, max_uses=DECISIONS * 2)
    passed = 0.0
    clock = replace(SYSTEM, monotonic=lambda: passed)

    def key(max_uses: int | None = None) -> tuple[str, dict[str, Any]]:
        key_id = key_store.new_key_id()
        text = key_store.new_text(OWNER, key_id)
        hash_ = key_store.hashed(text, PEPPER)
        made = ApiKey(key_id, OWNER, "bench", ("runs:read",), now, None, max_uses, secret_hash=hash_, last_used_at=now)
        return text, key_store.key_item(made)

    (free, free_item), (counted, counted_item) = key(), key(DECISIONS * 2)
    table: Any = Stored(user_item(user), free_item, counted_item)
    # Revocations are looked for every 30 s, by the process and not by the decision: their clock stands still.
    known = Revocations(table, replace(SYSTEM, monotonic=lambda: 0.0))
    gate = Gate(table, keyring, known, lambda: PEPPER, issuer="bench", audience=conf.token_audience, clock=clock)

    def later() -> None:
        nonlocal passed
        passed += KEPT_SECONDS

    cases: dict[str, tuple[str, Callable[[], None]]] = {
        "access token": (token, lambda: None),
        "access token of counted uses": (limited, lambda: None),
        "API key, decided within 60 s": (free, lambda: None),
        "API key, not decided within 60 s": (free, later),
        "API key of counted uses": (counted, lambda: None),
    }
    told = {}
    for name, (credential, between) in cases.items():
        gate.admit(credential)
        table.reads = table.writes = 0
        began = time.process_time()
        for _ in range(DECISIONS):
            between()
            gate.admit(credential)
        spent = time.process_time() - began
        told[name] = {
            "reads": table.reads / DECISIONS,
            "writes": table.writes / DECISIONS,
            "cpu_ms": spent * 1000 / DECISIONS,
        }
    return told


def argon2() -> dict[str, float]:
    """CPU milliseconds of a hash, and MiB that the process grows by for it (Linux)."""
    from argon2 import PasswordHasher

    from weir.identity import passwords

    PasswordHasher(memory_cost=8, time_cost=1, parallelism=1).hash("loads what it loads")
    before = peak_kib()
    passwords.hashed("the first one takes the memory")
    began = time.process_time()
    for _ in range(HASHES):
        passwords.hashed("a password that is hashed here")
    spent = time.process_time() - began
    return {"cpu_ms": spent * 1000 / HASHES, "mib": (peak_kib() - before) / 1024}


if __name__ == "__main__":
    print(json.dumps({"decisions": decisions, "argon2": argon2}[sys.argv[1]]()))
