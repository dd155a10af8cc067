"""Prompts change version by version; of two who edit at once one is told; what is shipped is always there."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from moto import mock_aws

from weir.analysis.telling.prompts import (
    FINDINGS,
    Draft,
    PromptChanged,
    PromptExists,
    PromptNotFound,
    Prompts,
    prompt_key,
    shipped,
    version_key,
    with_text,
)
from weir.runtime.clock import Clock
from weir.runtime.dynamodb import Table
from weir.runtime.errors import Forbidden, Invalid
from weir.runtime.http import Principal

ANN = Principal("u-ann", frozenset({"operator"}), credential="token")
BOB = Principal("u-bob", frozenset({"operator"}), credential="token")
ADMIN = Principal("u-admin", frozenset({"admin"}), credential="token")
DRAFT = Draft("Short", ("streams",), "Tell of {{ streams }} streams.")
NEWER = Draft("Shorter", (), "Tell it.")


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> Iterator[Table]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    with mock_aws():
        client: Any = boto3.client("dynamodb", region_name="us-east-1")
        names = ("pk", "sk", "list", "at")
        client.create_table(
            TableName="analyses",
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in names],
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            GlobalSecondaryIndexes=[
                {
                    "IndexName": "listing",
                    "KeySchema": [
                        {"AttributeName": "list", "KeyType": "HASH"},
                        {"AttributeName": "at", "KeyType": "RANGE"},
                    ],
                    "Projection": {"ProjectionType": "ALL"},
                }
            ],
        )
        yield Table(client, "analyses")


@pytest.fixture
def prompts(table: Table) -> Prompts:
    return Prompts(table, Clock(now=lambda: datetime(2026, 11, 20, 1, 2, 3, 456_789, tzinfo=UTC)))


def ids(prompts: Prompts, limit: int = 50) -> list[str]:
    found: list[str] = []
    after: Any = None
    while True:
        page, after = prompts.page(limit, after)
        assert len(page) <= limit
        found += [one.prompt_id for one in page]
        if after is None:
            return found


def test_a_prompt_keeps_every_version(prompts: Prompts) -> None:
    first = prompts.create("short", DRAFT, ANN)
    second = prompts.change("short", NEWER, ANN, first.etag)

    assert prompts.get("short") == second
    assert prompts.get("short", 1) == first
    assert (second.version, second.owner, second.by) == (2, "u-ann", "u-ann")
    with pytest.raises(PromptNotFound, match="version 3"):
        prompts.get("short", 3)


def test_an_id_is_taken_once(prompts: Prompts) -> None:
    prompts.create("short", DRAFT, ANN)

    for name in ("short", FINDINGS):
        with pytest.raises(PromptExists):
            prompts.create(name, DRAFT, BOB)


def test_of_two_who_edit_one_version_the_second_is_told(prompts: Prompts) -> None:
    read = prompts.create("short", DRAFT, ANN)
    prompts.change("short", NEWER, ADMIN, read.etag)

    for stale in (None, read.etag):
        with pytest.raises(PromptChanged) as refused:
            prompts.change("short", DRAFT, ANN, stale)
        assert refused.value.members["etag"] == '"2"'
    with pytest.raises(PromptChanged):
        prompts.delete("short", ANN, read.etag)
    assert prompts.change("short", DRAFT, ANN, "*").version == 3  # whatever it is: asked for in so many words


def test_of_two_who_edit_at_once_one_wins(prompts: Prompts, table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    read = prompts.create("short", DRAFT, ANN)
    stored = Table.transact

    def meanwhile(self: Table, writes: Any, token: Any = None) -> Any:
        monkeypatch.setattr(Table, "transact", stored)
        prompts.change("short", NEWER, ADMIN, read.etag)
        return stored(self, writes, token)

    monkeypatch.setattr(Table, "transact", meanwhile)

    with pytest.raises(PromptChanged):
        prompts.change("short", DRAFT, ANN, read.etag)
    assert prompts.get("short").template == NEWER.template


def test_a_prompt_is_its_owners_and_an_admins(prompts: Prompts) -> None:
    read = prompts.create("short", DRAFT, ANN)

    with pytest.raises(Forbidden):
        prompts.change("short", NEWER, BOB, read.etag)
    with pytest.raises(Forbidden):
        prompts.delete("short", BOB, read.etag)
    assert prompts.change("short", NEWER, ADMIN, read.etag).owner == "u-ann"


def test_what_is_shipped_is_there_can_be_changed_by_admins_and_comes_back(prompts: Prompts) -> None:
    default = prompts.get(FINDINGS)

    with pytest.raises(Forbidden):
        prompts.change(FINDINGS, NEWER, ANN, default.etag)
    with pytest.raises(Invalid):
        prompts.delete(FINDINGS, ADMIN, default.etag)
    changed = prompts.change(FINDINGS, NEWER, ADMIN, default.etag)
    assert (prompts.get(FINDINGS), changed.version, prompts.get(FINDINGS, 1)) == (changed, 2, default)
    prompts.delete(FINDINGS, ADMIN, changed.etag)
    assert prompts.get(FINDINGS) == default


def test_every_shipped_prompt_can_be_rendered() -> None:
    for prompt in shipped().values():
        assert "7" in with_text(prompt, streams=7, findings=7, sentences=7)


@pytest.mark.parametrize("limit", [1, 2, 3, 50])
def test_the_list_tells_each_once_on_all_pages(prompts: Prompts, limit: int) -> None:
    for name in ("b", "a", "c"):
        prompts.create(name, DRAFT, ANN)
    prompts.change(FINDINGS, NEWER, ADMIN, '"1"')

    assert ids(prompts, limit) == ["question", "a", "b", "c", "findings"]


def test_a_deletion_takes_all_versions_and_none_of_a_prompt_made_meanwhile(prompts: Prompts, table: Table) -> None:
    first = prompts.create("short", DRAFT, ANN)
    second = prompts.change("short", NEWER, ANN, first.etag)
    left = table.get(version_key("short", 2))
    prompts.delete("short", ANN, second.etag)
    assert list(table.all("pk = :pk", {"pk": prompt_key("short")["pk"]})) == []

    # A deletion that died half way leaves a version, which a prompt of the same id does not show.
    assert left is not None
    table.put(left)
    again = prompts.create("short", DRAFT, BOB)
    with pytest.raises(PromptNotFound):
        prompts.get("short", 2)
    prompts.delete("short", BOB, again.etag)
    assert table.get(version_key("short", 2)) == left  # of another prompt: no harm, and not this deletion's to take


@pytest.mark.parametrize(
    "draft",
    [
        Draft("", (), "{{ x }}"),
        Draft("", ("X",), "x"),
        Draft("", (), "{% for"),
        Draft("", ("a b",), "x"),
        Draft("", (), "x" * 16_001),
    ],
)
def test_what_can_be_no_prompt_changes_nothing(prompts: Prompts, draft: Draft) -> None:
    with pytest.raises(Invalid):
        prompts.create("bad", draft, ANN)
    assert "bad" not in ids(prompts)
