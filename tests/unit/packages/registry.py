"""A packages table of moto's with its indexes, callers, and ready-made packages, for the tests of packages."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from moto import mock_aws
from moto.dynamodb.models import dynamodb_backends

from tests.unit.identity.accounts import BOTOCORE, NOON, ORIGIN, Recorded, Time
from weir.identity.roles import scopes_of
from weir.packages import items, names, searching
from weir.packages.models import Declared, Manifest, Package, State, Version
from weir.packages.store import Store
from weir.packages.table import looks_key
from weir.runtime import settings
from weir.runtime.audit import Asker
from weir.runtime.dynamodb import plain, wire
from weir.runtime.http import Principal

__all__ = ["NOON", "ORIGIN", "Recorded", "Time"]

TABLE = "packages"
REGION = "eu-west-1"
ANN, BOB, DORA = "ann2ann3ann4ann5", "bob2bob3bob4bob5", "dora2dora3dora4d"
SHA = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"


class Counted(Recorded):
    """A recorded client that counts the items which its answers hold, and can send a call twice.

    ``read`` is what was read, by whatever operation; ``twice`` names an operation whose next answer is lost on the way,
    so that botocore sends the same call again.
    """

    def __init__(self, client: Any) -> None:
        super().__init__(client)
        self.read = 0
        self.twice: str | None = None

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        call = super().__getattr__(operation)

        def counting(**request: Any) -> Any:
            if operation == self.twice:
                self.twice = None
                call(**request)
            answer = call(**request)
            self.read += len(answer.get("Items", ())) + ("Item" in answer)
            self.read += sum(map(len, answer.get("Responses", {}).values()))
            return answer

        return counting


@contextmanager
def dynamodb() -> Iterator[Counted]:
    """A client of an account with the table ``packages``, keyed and indexed as the template says."""
    with pytest.MonkeyPatch.context() as patch, mock_aws():
        patch.setenv("AWS_ACCESS_KEY_ID", "a")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "b")
        settings.forget()
        client = BOTOCORE.create_client("dynamodb", region_name=REGION)
        client.create_table(
            TableName=TABLE,
            AttributeDefinitions=[
                {"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk", "list", "owner", "at")
            ],
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            GlobalSecondaryIndexes=[_index("listing", "list"), _index("owned", "owner")],
            BillingMode="PAY_PER_REQUEST",
        )
        yield Counted(client)
    settings.forget()


def _index(name: str, by: str) -> dict[str, Any]:
    keys = [{"AttributeName": by, "KeyType": "HASH"}, {"AttributeName": "at", "KeyType": "RANGE"}]
    return {"IndexName": name, "KeySchema": keys, "Projection": {"ProjectionType": "ALL"}}


# Callers


def caller(user_id: str = ANN, *roles: str, groups: tuple[str, ...] = (), credential: str = "token") -> Principal:
    """A caller as the authorizer tells of them; a publisher, unless ``roles`` says otherwise."""
    held = roles or ("publisher",)
    return Principal(
        sub=user_id,
        roles=frozenset(held),
        groups=frozenset(groups),
        scopes=scopes_of(held),
        username=user_id[:3],
        credential=credential,
        credential_id="session2session3",
    )


def asker(user_id: str = ANN, *roles: str, groups: tuple[str, ...] = ()) -> Asker:
    """Who asks, and from where."""
    return Asker(caller(user_id, *roles, groups=groups), ORIGIN)


def admin() -> Asker:
    """Dora, who may do everything."""
    return asker(DORA, "admin")


# What is stored


def declared(path: str = "model.safetensors", size: int = 4, sha256: str = SHA) -> Declared:
    """A file as it is declared."""
    return Declared(path, size, sha256)


def package(name: str = "bert-base", **fields: Any) -> Package:
    """A package of Ann's that everybody may see, unless ``fields`` say otherwise."""
    made = Package(
        name=name,
        owner=ANN,
        description="",
        sensitivity="internal",
        allowed_groups=(),
        tags=(),
        created_at=NOON,
        updated_at=NOON,
    )
    return replace(made, **fields)


def version(
    text: str = "1.0.0", name: str = "bert-base", files: Sequence[Declared] | None = None, **fields: Any
) -> Version:
    """A version of Ann's of one file, or of ``files``, registered and no more, unless ``fields`` say otherwise."""
    manifest = Manifest((declared(),) if files is None else tuple(files))
    made = Version(
        name=name,
        version=text,
        owner=ANN,
        description="",
        metadata={},
        digest="0" * 64,
        created_at=NOON,
        updated_at=NOON,
        total=manifest.total,
        size=manifest.size,
    )
    return replace(made, **fields)


def served(text: str = "1.0.0", name: str = "bert-base", **fields: Any) -> Version:
    """A version that is AVAILABLE."""
    return version(text, name, **{"state": State.AVAILABLE, "committed": 1, "verified": 1, **fields})


def put(store: Store, package: Package, *versions: Version, files: Sequence[Declared] | None = None) -> None:
    """Store a package with its look-alike, its words and tags, and its versions, as they are given.

    ``files`` are those that each of the versions declares, where it is not the usual one.
    """
    store.table.put(items.package_item(package))
    store.table.put({**looks_key(names.skeleton(package.name)), "schema": 1, "name": package.name})
    for write in searching.added(package):
        assert write.put is not None
        store.table.put(write.put)
    for one in versions:
        store.table.put(items.version_item(one))
        if one.total:
            manifest = Manifest((declared(),) if files is None else tuple(files))
            assert (one.total, one.size) == (manifest.total, manifest.size)
            store.table.put(items.manifest_item(one.name, one.version, manifest))


def fill(stored: Iterable[dict[str, Any]]) -> None:
    """Put items straight into moto's table: many, that no call need show to be taken."""
    (backend,) = (one[REGION] for one in dynamodb_backends.values() if TABLE in one[REGION].tables)
    for item in stored:
        backend.tables[TABLE].put_item(wire(item))


def restore(stored: Iterable[dict[str, Any]]) -> None:
    """Let moto's table hold these items and no others."""
    (backend,) = (one[REGION] for one in dynamodb_backends.values() if TABLE in one[REGION].tables)
    backend.tables[TABLE].items.clear()
    fill(stored)


def everything(client: Recorded, kind: str = "") -> list[dict[str, Any]]:
    """All items whose partition key begins so, by key."""
    found: list[dict[str, Any]] = []
    after: dict[str, Any] = {}
    while True:
        answer = client.scan(TableName=TABLE, **after)
        found += [plain(item) for item in answer["Items"] if item["pk"]["S"].startswith(kind)]
        if "LastEvaluatedKey" not in answer:
            return sorted(found, key=lambda item: (item["pk"], item["sk"]))
        after = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}


def audited(client: Recorded) -> list[tuple[str, str, str, str]]:
    """What the audit holds, in order: what, who, and of which package and version."""
    entries = sorted(everything(client, "AUDIT#"), key=lambda item: item["sk"])
    return [(one["what"], one["who"], one["name"], one["version"]) for one in entries]


def whats(client: Recorded) -> list[str]:
    """What was done, by name."""
    return sorted(what for what, *_ in audited(client))


class Meanwhile:
    """Runs something once, ahead of the next call of an operation: what comes between a read and a write."""

    def __init__(self, client: Recorded, operation: str, happens: Callable[[], Any]) -> None:
        self._client, self._operation, self._happens = client, operation, happens
        client.before = self

    def __call__(self, operation: str, request: dict[str, Any]) -> None:
        if operation == self._operation:
            self._client.before = lambda operation, request: None
            self._happens()


def at(seconds: float) -> datetime:
    """A moment so long after noon."""
    return datetime.fromtimestamp(NOON.timestamp() + seconds, NOON.tzinfo)
