"""An identity table with its index, for the tests of users and of the audit."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.unit.identity.accounts import Recorded, dynamodb
from weir.identity.table import ADMINS_KEY
from weir.runtime.dynamodb import Table, plain


@contextmanager
def listed() -> Iterator[Recorded]:
    """A client of an account with the table ``identity``, and everything in it by ``list`` and ``at``."""
    with dynamodb() as client:
        client.update_table(
            TableName="identity",
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk", "list", "at")],
            GlobalSecondaryIndexUpdates=[
                {
                    "Create": {
                        "IndexName": "listing",
                        "KeySchema": [
                            {"AttributeName": "list", "KeyType": "HASH"},
                            {"AttributeName": "at", "KeyType": "RANGE"},
                        ],
                        "Projection": {"ProjectionType": "ALL"},
                    }
                }
            ],
        )
        client.called.clear()
        yield client


def items(client: Recorded) -> list[dict[str, Any]]:
    """All items of the table."""
    return [plain(item) for item in client.scan(TableName="identity")["Items"]]


def keys(client: Recorded, prefix: str = "") -> set[tuple[str, str]]:
    """The keys of all items whose partition key begins so."""
    return {(item["pk"], item["sk"]) for item in items(client) if item["pk"].startswith(prefix)}


def admins(table: Table) -> int:
    """How many admins are counted."""
    return int((table.get(ADMINS_KEY) or {"admins": 0})["admins"])


class Meanwhile:
    """Runs something once, ahead of the next call of an operation: what comes between a read and a write."""

    def __init__(self, client: Recorded, operation: str, happens: Any) -> None:
        self._client, self._operation, self._happens = client, operation, happens
        client.before = self

    def __call__(self, operation: str, request: dict[str, Any]) -> None:
        if operation == self._operation:
            self._client.before = lambda operation, request: None
            self._happens()
