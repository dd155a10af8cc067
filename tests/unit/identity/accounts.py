"""DynamoDB for the tests of keys and of the gate: moto's, one call at a time, with every call told."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import botocore.session
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from weir.identity.models import User
from weir.identity.roles import scopes_of
from weir.identity.table import session_key
from weir.identity.user_store import user_item
from weir.runtime import settings
from weir.runtime.clock import Clock
from weir.runtime.dynamodb import Table
from weir.runtime.http import Origin, Principal

BOTOCORE = botocore.session.Session()
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
ANN, BOB = "ann2ann3ann4ann5", "bob2bob3bob4bob5"
PEPPER = b"a pepper for tests, which is no secret"
ORIGIN = Origin("203.0.113.7", "curl/8.7.1", "c6af9ac6")


class Recorded:
    """A botocore client whose calls come one after the other, as DynamoDB's writes of an item do; moto's own do not.

    ``called`` names the operations; ``before`` is run ahead of each one, and may raise what AWS would.
    """

    def __init__(self, client: Any) -> None:
        self._client, self._lock = client, threading.Lock()
        self.called: list[str] = []
        self.before: Callable[[str, dict[str, Any]], None] = lambda operation, request: None

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        def call(**request: Any) -> Any:
            self.before(operation, request)
            with self._lock:
                self.called.append(operation)
                return getattr(self._client, operation)(**request)

        return call


@contextmanager
def dynamodb() -> Iterator[Recorded]:
    """A client of an account with the table ``identity``, keyed as the template says."""
    with pytest.MonkeyPatch.context() as patch, mock_aws():
        patch.setenv("AWS_ACCESS_KEY_ID", "a")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "b")
        settings.forget()
        client = BOTOCORE.create_client("dynamodb", region_name="eu-west-1")
        client.create_table(
            TableName="identity",
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            BillingMode="PAY_PER_REQUEST",
        )
        yield Recorded(client)
    settings.forget()


class Time:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.passed = 0.0
        self.slept: list[float] = []
        self.clock = Clock(
            now=lambda: NOON + timedelta(seconds=self.passed),
            monotonic=lambda: 1_000.0 + self.passed,
            sleep=self.slept.append,
            epoch=lambda: NOON.timestamp() + self.passed,
        )

    def pass_by(self, seconds: float) -> None:
        self.passed += seconds


def user(user_id: str = ANN, username: str = "ann", **fields: Any) -> User:
    """A user; an operator, unless ``roles`` says otherwise."""
    return User(**{"user_id": user_id, "username": username, "created_at": NOON, "roles": ("operator",), **fields})


def person(user_id: str = ANN, *roles: str, credential: str = "token") -> Principal:
    """A caller as the authorizer tells of them; an operator, unless ``roles`` says otherwise."""
    held = roles or ("operator",)
    return Principal(
        sub=user_id,
        roles=frozenset(held),
        scopes=scopes_of(held),
        username=user_id[:3],
        credential=credential,
        credential_id="session2session3",
    )


def let_in(table: Table, who: User, session_id: str = "session2session3", **fields: Any) -> None:
    """Store a user, and a session of theirs that began at noon: by default the one that ``person`` comes with."""
    table.put(user_item(who))
    began = {"schema": 1, "user_id": who.user_id, "session_id": session_id, "began": int(NOON.timestamp())}
    table.put({**session_key(who.user_id, session_id), **began, **fields})


def contend(client: Recorded, operation: str, times: int) -> None:
    """Let DynamoDB answer that another transaction is under way, some times."""
    left = times

    def conflict(asked: str, request: dict[str, Any]) -> None:
        nonlocal left
        if asked == operation and left:
            left -= 1
            response: dict[str, Any] = {"Error": {"Code": "TransactionConflictException", "Message": "ongoing"}}
            if operation == "transact_write_items":
                response["Error"]["Code"] = "TransactionCanceledException"
                response["CancellationReasons"] = [{"Code": "TransactionConflict"}, {"Code": "None"}, {"Code": "None"}]
            raise ClientError(response, operation)  # type: ignore[arg-type]

    client.before = conflict


def audited(client: Recorded) -> list[dict[str, str]]:
    """What the audit holds, in the order of its entries: what, who, subject, and the details."""
    found = client.scan(TableName="identity")["Items"]
    entries = sorted((item for item in found if item["pk"]["S"].startswith("AUDIT#")), key=lambda item: item["sk"]["S"])
    return [
        {name: entry[name]["S"] for name in ("what", "who", "subject")}
        | {name: value["S"] for name, value in entry["detail"]["M"].items()}
        for entry in entries
    ]


def stored(client: Recorded) -> str:
    """All items of the table, as one text, to look for what must not be in it."""
    return repr(client.scan(TableName="identity")["Items"])
