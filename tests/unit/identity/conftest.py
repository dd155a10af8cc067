"""What the tests of log-in, tokens and sessions share: a table, a clock, a signing secret that can rotate."""

import json
from collections.abc import Iterator
from typing import Any

import argon2
import pytest

from tests.unit.identity.accounts import BOB, NOON, ORIGIN, Recorded, Time, dynamodb, let_in, user
from weir.identity import passwords
from weir.identity.key_store import Keys
from weir.identity.keyring import Keyring
from weir.identity.models import User
from weir.identity.user_store import Users
from weir.identity.wiring import Deps
from weir.runtime.dynamodb import Table
from weir.runtime.http import Principal
from weir.runtime.settings import Settings

__all__ = ["NOON", "ORIGIN", "PASSWORD", "AnsweredTwice", "Hashes", "Secret", "caller_of"]

PASSWORD = "a long sentence that nobody else knows"
HASH = passwords.hashed(PASSWORD)


class Secret:
    """The signing secret, by stage; ``reads`` tells how often it was asked for."""

    def __init__(self) -> None:
        self.stages = {"AWSCURRENT": secret_text("1")}
        self.reads: list[str] = []
        self.failure: Exception | None = None

    def read(self, stage: str) -> str | None:
        self.reads.append(stage)
        if self.failure is not None:
            raise self.failure
        return self.stages.get(stage)

    def rotate(self, kid: str) -> None:
        """What Secrets Manager does at the end of a rotation."""
        self.stages = {"AWSCURRENT": secret_text(kid), "AWSPREVIOUS": self.stages["AWSCURRENT"]}


def secret_text(kid: str) -> str:
    return json.dumps({"kid": kid, "secret": f"{kid}-is-the-secret-of-this-key-and-long-enough"})


class AnsweredTwice:
    """A client that sends the first call of an operation again, for the first answer was lost on the way."""

    def __init__(self, client: Any, operation: str) -> None:
        self._client, self._operation, self.lost = client, operation, False

    def __getattr__(self, operation: str) -> Any:
        call = getattr(self._client, operation)
        if operation != self._operation or self.lost:
            return call
        self.lost = True

        def twice(**request: Any) -> Any:
            call(**request)
            return call(**request)

        return twice


class Hashes:
    """How often a hash was made, and one was verified."""

    def __init__(self) -> None:
        self.made = self.verified = 0


def caller_of(person: User, session_id: str, credential: str = "token") -> Principal:
    """A user as the authorizer tells of them."""
    return Principal(
        sub=person.user_id,
        username=person.username,
        roles=frozenset(person.roles),
        credential=credential,
        credential_id=session_id,
    )


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def client() -> Iterator[Recorded]:
    with dynamodb() as made:
        yield made


@pytest.fixture
def secret() -> Secret:
    return Secret()


@pytest.fixture
def deps(client: Recorded, time: Time, secret: Secret) -> Deps:
    """An empty identity table, and the settings of a stack."""
    table = Table(client, "identity")
    conf = Settings(token_issuer="urn:weir:test", token_audience="weir", access_token_seconds=900)
    return Deps(table, Users(table), Keyring(secret.read, time.clock.monotonic), conf, time.clock)


@pytest.fixture
def ann(deps: Deps) -> User:
    """A user, an operator, with a password."""
    made = user(password_hash=HASH)
    deps.users.create(made)
    return made


@pytest.fixture
def keys(client: Recorded, time: Time) -> Keys:
    """No keys, and two users who have logged in."""
    table = Table(client, "identity")
    let_in(table, user())
    let_in(table, user(BOB, "bob"))
    client.called.clear()
    return Keys(table, time.clock)


@pytest.fixture
def hashes(monkeypatch: pytest.MonkeyPatch) -> Hashes:
    counted = Hashes()
    hash_, verify = argon2.PasswordHasher.hash, argon2.PasswordHasher.verify

    def counting_hash(self: Any, *given: Any, **named: Any) -> str:
        counted.made += 1
        return hash_(self, *given, **named)

    def counting_verify(self: Any, *given: Any) -> bool:
        counted.verified += 1
        return verify(self, *given)

    monkeypatch.setattr(argon2.PasswordHasher, "hash", counting_hash)
    monkeypatch.setattr(argon2.PasswordHasher, "verify", counting_verify)
    return counted
