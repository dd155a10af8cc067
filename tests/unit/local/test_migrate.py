"""A table's items are taken to another schema in place: beside live traffic, and after it was killed."""

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from zlib import crc32

import botocore.session
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from local import migrate
from local.migrate import Migration, MigrationError, Position
from weir.runs.shapes import SHAPES
from weir.runtime.dynamodb import plain, wire
from weir.runtime.migrations import Shapes, ShapeUnknown, Step

STORED = Path(__file__).parents[1] / "stored"
BOTOCORE = botocore.session.Session()
PAGE = 10


class Account:
    """A client of an account with a table of runs, one call at a time; ``before`` runs ahead of each.

    moto knows no segments, so a scan leaves out here what is of another one: by partition key, as DynamoDB does.
    """

    def __init__(self, client: Any) -> None:
        self._client, self._lock = client, threading.RLock()
        self.before: Callable[[str, dict[str, Any]], None] = lambda operation, request: None
        self.called: list[str] = []

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        def call(**request: Any) -> Any:
            with self._lock:
                self.before(operation, request)
                self.called.append(operation)
                return self._scan(**request) if operation == "scan" else getattr(self._client, operation)(**request)

        return call

    def _scan(self, **request: Any) -> Any:
        segment, segments = request.pop("Segment"), request.pop("TotalSegments")
        if "ProjectionExpression" in request:
            request["ProjectionExpression"] += ", pk"
        answer = self._client.scan(**request)
        answer["Items"] = [one for one in answer["Items"] if crc32(one["pk"]["S"].encode()) % segments == segment]
        return answer

    def put(self, item: dict[str, Any]) -> None:
        self._client.put_item(TableName="runs", Item=wire(item))

    def items(self) -> dict[tuple[str, str], dict[str, Any]]:
        """All items, by key."""
        pages = self._client.get_paginator("scan").paginate(TableName="runs")
        found = [plain(item) for page in pages for item in page["Items"]]
        return {(item["pk"], item["sk"]): item for item in found}


@pytest.fixture
def account() -> Iterator[Account]:
    with pytest.MonkeyPatch.context() as patch, mock_aws():
        patch.setattr(migrate, "PAGE", PAGE)
        patch.setenv("AWS_ACCESS_KEY_ID", "a")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "b")
        client = BOTOCORE.create_client("dynamodb", region_name="eu-west-1")
        client.create_table(
            TableName="runs",
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            BillingMode="PAY_PER_REQUEST",
        )
        yield Account(client)


def runs(count: int, schema: int = 1) -> list[dict[str, Any]]:
    """Runs of nobody, with an item of each kind that is stored beside them."""
    kept = json.loads((STORED / f"runs.{schema}.json").read_text())
    run = kept["a run from before there were users, closed"]
    return [*kept.values(), *({**run, "pk": f"RUN#{number}"} for number in range(count))]


def migration(account: Account, schema: int, shapes: Shapes = SHAPES, **options: Any) -> Migration:
    told: list[str] = []
    made = Migration(account, "runs", shapes, schema, told.append, sleep=lambda seconds: None, **options)
    made.told = told  # type: ignore[attr-defined]
    return made


def by_key(items: list[dict[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(item["pk"], item["sk"]): item for item in items}


def test_a_table_goes_up_and_comes_down_again(account: Account, tmp_path: Path) -> None:
    # Given items of schema 1, more than a page of them
    before = runs(PAGE + 5)
    for item in before:
        account.put(item)

    # When they are taken to 2 / Then all are as their steps say, and nothing else differs
    up = migration(account, 2)
    counts = up.run(tmp_path / "position.json")
    assert account.items() == by_key(runs(PAGE + 5, schema=2))
    assert counts == {"moved": len(before)}
    assert up.told[-1] == f"The table has {len(before):,} of schema 2"  # type: ignore[attr-defined]

    # And back to 1, they are what they were
    migration(account, 1).run(tmp_path / "position.json")
    assert account.items() == by_key(before)
    assert list(tmp_path.iterdir()) == []


def test_done_again_it_writes_nothing(account: Account) -> None:
    for item in runs(3, schema=2):
        account.put(item)
    counts = migration(account, 2).run()
    assert counts == {"there": len(runs(3))}
    assert "update_item" not in account.called


def test_a_dry_run_writes_nothing_and_keeps_no_position(account: Account, tmp_path: Path) -> None:
    for item in runs(3):
        account.put(item)
    counts = migration(account, 2, dry_run=True).run(tmp_path / "position.json")
    assert counts == {"moved": len(runs(3))}
    assert "update_item" not in account.called
    assert account.items() == by_key(runs(3))
    assert list(tmp_path.iterdir()) == []


def test_killed_it_goes_on_where_it_was(account: Account, tmp_path: Path) -> None:
    # Given a migration that dies at its 20th write
    before = runs(3 * PAGE)
    for item in before:
        account.put(item)
    writes = 0

    def dying(operation: str, request: dict[str, Any]) -> None:
        nonlocal writes
        writes += operation == "update_item"
        if writes >= 20:
            raise SystemExit

    account.before = dying
    with pytest.raises(SystemExit):
        migration(account, 2).run(tmp_path / "position.json")
    at_work = sum(item["schema"] == 2 for item in account.items().values())
    assert 0 < at_work < len(before)

    # When it is run again / Then it begins after the pages that were done, and ends with all items moved, once each
    account.before = lambda operation, request: None
    account.called.clear()
    again = migration(account, 2)
    counts = again.run(tmp_path / "position.json")
    assert again.told[0].startswith("Going on where it was stopped, after ")  # type: ignore[attr-defined]
    assert account.items() == by_key(runs(3 * PAGE, schema=2))
    assert account.called.count("update_item") == len(before) - at_work
    assert counts.total() == len(before)
    assert not (tmp_path / "position.json").exists()


def test_a_position_of_another_table_or_schema_is_not_gone_on_from(tmp_path: Path) -> None:
    # Given the position of a migration of one table to one schema
    file = tmp_path / "position.json"
    of = {"table": "runs", "made": "one", "schema": 2, "segments": 4}
    Position.found(file, of).page_done(0, {"pk": "a", "sk": "b"}, migrate.Counter(moved=3))
    assert Position.found(file, of).begun

    # Then a table of the same name that was made anew, and another schema, begin at the beginning
    for other in ({**of, "made": "two"}, {**of, "schema": 1}):
        assert not Position.found(file, other).begun


def test_half_a_position_is_none(tmp_path: Path) -> None:
    (tmp_path / "position.json").write_text('{"of": {')
    assert not Position.found(tmp_path / "position.json", {}).begun


def test_what_is_written_meanwhile_is_kept(account: Account) -> None:
    # Given a run that its execution fails, and somebody gives to a user, between the migration's read and its write
    (item,) = [one for one in runs(1) if one["pk"] == "RUN#0"]
    account.put(item)

    def meanwhile(operation: str, request: dict[str, Any]) -> None:
        if operation == "update_item":
            account.before = lambda operation, request: None
            account.put({**item, "failure": "late", "owner": "ann2ann3ann4ann5"})

    account.before = meanwhile
    counts = migration(account, 2).run()

    # Then what they wrote is there, and was migrated as they left it
    (stored,) = account.items().values()
    assert (stored["owner"], stored["started_by"], stored["failure"]) == ("ann2ann3ann4ann5", "user", "late")
    assert counts == {"moved": 1}


def test_a_field_that_no_step_looks_at_may_change_at_the_same_time(account: Account) -> None:
    # Given a run whose status changes between the migration's read and its write
    (item,) = [one for one in runs(1) if one["pk"] == "RUN#0"]
    account.put(item)

    def meanwhile(operation: str, request: dict[str, Any]) -> None:
        if operation == "update_item":
            account.before = lambda operation, request: None
            account.put({**item, "status": "RUNNING"})

    account.before = meanwhile
    migration(account, 2).run()

    # Then the write goes through the first time, and does not undo it
    (stored,) = account.items().values()
    assert (stored["status"], stored["schema"], account.called.count("update_item")) == ("RUNNING", 2, 1)


def test_what_is_deleted_meanwhile_does_not_come_back(account: Account) -> None:
    (item,) = [one for one in runs(1) if one["pk"] == "RUN#0"]
    account.put(item)

    def meanwhile(operation: str, request: dict[str, Any]) -> None:
        if operation == "update_item":
            account.before = lambda operation, request: None
            account.delete_item(TableName="runs", Key=wire({"pk": item["pk"], "sk": item["sk"]}))

    account.before = meanwhile
    assert migration(account, 2).run() == {"gone": 1}
    assert account.items() == {}


def test_what_a_busy_table_refuses_is_tried_again(account: Account) -> None:
    for item in runs(2):
        account.put(item)
    refusals = iter([refusal("ThrottlingException"), refusal("TransactionConflictException")])

    def busy(operation: str, request: dict[str, Any]) -> None:
        if operation == "update_item" and (error := next(refusals, None)) is not None:
            raise error

    account.before = busy
    counts = migration(account, 2).run()
    assert counts == {"moved": len(runs(2))}


def refusal(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": ""}}, "UpdateItem")


def test_what_is_never_let_through_ends_it_with_its_key(account: Account) -> None:
    account.put(runs(1)[-1])

    def always(operation: str, request: dict[str, Any]) -> None:
        if operation == "update_item":
            raise refusal("ThrottlingException")

    account.before = always
    with pytest.raises(MigrationError, match=r"RUN#0 / RUN is being changed all the time, or DynamoDB is busy"):
        migration(account, 2).run()


def test_what_another_version_writes_behind_the_scan_is_told(account: Account) -> None:
    # Given functions of the older version, still at work
    for item in runs(1):
        account.put(item)
    late = {**runs(1)[-1], "pk": "RUN#late"}

    def behind(operation: str, request: dict[str, Any]) -> None:
        if operation == "scan" and "ProjectionExpression" in request:
            account.put(late)

    account.before = behind
    made = migration(account, 2)
    with pytest.raises(MigrationError, match="1 items have another schema: a version that is still at work"):
        made.run()
    assert made.told[-1] == "The table has 1 of schema 1, 7 of schema 2"  # type: ignore[attr-defined]


def test_an_item_that_is_not_known_stops_it_before_it_is_touched(account: Account) -> None:
    newer = {**runs(1)[-1], "schema": 3}
    account.put(newer)
    with pytest.raises(ShapeUnknown, match="has schema 3, and this version knows 2 at most"):
        migration(account, 1).run()
    assert list(account.items().values()) == [newer]


@pytest.mark.parametrize("schema", [0, 3])
def test_a_schema_that_there_is_not_is_refused(account: Account, schema: int) -> None:
    with pytest.raises(MigrationError, match=f"has the schemas 1 to 2, and no {schema}"):
        migration(account, schema)


def test_fields_named_like_words_of_dynamodb_can_be_moved(account: Account) -> None:
    # Given a step between fields whose names DynamoDB keeps for itself
    def swapped(item: Any) -> dict[str, Any]:
        return {"values" if name == "status" else "status": value for name, value in item.items()}

    shapes = Shapes("runs", 2, SHAPES.kinds, (Step("run", 2, ("status", "values"), swapped, swapped),))
    account.put({"pk": "RUN#1", "sk": "RUN", "schema": 1, "status": {"a": [1, None, True, b"x"]}})
    migration(account, 2, shapes).run()
    assert list(account.items().values()) == [
        {"pk": "RUN#1", "sk": "RUN", "schema": 2, "values": {"a": [1, None, True, b"x"]}}
    ]


# ---- The command ----


@pytest.fixture
def command(account: Account, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Account:
    monkeypatch.setattr(migrate, "_opened", lambda stage, output: (account, "runs", f"stack of {stage}, {output}"))
    monkeypatch.setattr(migrate.places, "STATE", tmp_path)
    for item in runs(1):
        account.put(item)
    return account


def test_on_a_real_account_it_asks_first(
    command: Account, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = iter(["no\n", "yes\n"])
    monkeypatch.setattr("sys.stdin.readline", lambda: next(answers), raising=False)
    monkeypatch.setattr(migrate.sys, "stdin", type("In", (), {"readline": lambda self: next(answers)})())

    # When the answer is no / Then nothing is done
    assert migrate.main(["runs", "2", "prod"]) == 1
    assert "stack of prod, RunsTableName.\nGo on? Type yes: " in capsys.readouterr().out
    assert command.called == []

    # When it is yes / Then it is
    assert migrate.main(["runs", "2", "prod"]) == 0
    told = capsys.readouterr().out
    assert told.endswith("7 items: 7 were taken to schema 2, 0 had it, 0 were deleted meanwhile.\n")


def test_a_dry_run_does_not_ask(command: Account, capsys: pytest.CaptureFixture[str]) -> None:
    assert migrate.main(["runs", "2", "prod", "--dry-run"]) == 0
    assert "7 would be taken to schema 2" in capsys.readouterr().out


def test_a_failure_is_told_without_a_trace(command: Account, capsys: pytest.CaptureFixture[str]) -> None:
    assert migrate.main(["runs", "9", "local"]) == 1
    assert capsys.readouterr().err == "The table runs has the schemas 1 to 2, and no 9.\n"
    command.put({**runs(1)[-1], "pk": "RUN#new", "schema": 3})
    assert migrate.main(["runs", "2", "local"]) == 1
    assert "deploy a newer version" in capsys.readouterr().err


def test_without_a_local_aws_it_says_how_to_have_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(migrate.stack, "read", lambda: None)
    assert migrate.main(["identity", "1", "local"]) == 1
    assert capsys.readouterr().err == "No local AWS is running: make up\n"
