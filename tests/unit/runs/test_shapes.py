"""Runs that older versions have stored are read as they are meant; what is written today has the newest shape."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.runs.fakes import run_of, stored
from weir.runs.items import item_of
from weir.runs.models import Run, Verdict
from weir.runs.shapes import NAMES_OF_NOBODY, SHAPES
from weir.runs.table import RunsTable
from weir.runtime.dynamodb import plain, wire
from weir.runtime.migrations import ShapeUnknown

STORED = Path(__file__).parents[1] / "stored"
OLD = "20261120t120000-0a1b2c3d"
ANN = "ann2ann3ann4ann5"


def shapes(schema: int) -> dict[str, dict[str, Any]]:
    """Items as a version of that schema stored them, by what they are."""
    found: dict[str, dict[str, Any]] = json.loads((STORED / f"runs.{schema}.json").read_text())
    return found


def put(aws: dict[str, Any], item: dict[str, Any]) -> str:
    aws["dynamodb"].put_item(TableName="runs", Item=wire(item))
    return str(item["pk"]).removeprefix("RUN#")


def raw(aws: dict[str, Any], run_id: str) -> dict[str, Any]:
    key = {"pk": {"S": f"RUN#{run_id}"}, "sk": {"S": "RUN"}}
    return plain(aws["dynamodb"].get_item(TableName="runs", Key=key)["Item"])


@pytest.mark.parametrize("schema", range(1, SHAPES.schema + 1))
@pytest.mark.parametrize(
    ("name", "whose"),
    [
        ("a run of a user, as stored", (ANN, "user", ANN)),
        ("a run from before there were users, closed", (None, "anonymous", "anonymous")),
        ("a run that was started on the machine itself", (None, "execution", "states:start-execution")),
    ],
)
def test_a_run_of_any_schema_is_read_alike(
    aws: dict[str, Any], table: RunsTable, name: str, whose: tuple[str | None, str, str], schema: int
) -> None:
    # Given a run as a version of that schema stored it, beside what its workers wrote
    for item in shapes(schema).values():
        put(aws, item)
    run_id = put(aws, shapes(schema)[name])

    # When it is read / Then it is told whose it is, and its stream's tag is found as it was made
    for run in (table.head(run_id), table.get(run_id)):
        assert run is not None
        assert (run.owner, run.started_by, run.owner_tag) == whose
    # And in the list, whose index knows no schema
    listed = {one.run_id: one.owner for one in table.page(200, None)[0]}
    assert listed[run_id] == whose[0]


def test_a_run_of_an_older_schema_lives_on(aws: dict[str, Any], table: RunsTable) -> None:
    # Given a run that was stored before the version that now closes it was deployed
    run_id = put(aws, {**shapes(1)["a run of a user, as stored"], "pk": "RUN#under-way-1"})
    table.seen(run_id)
    at = run_of().created_at
    table.close(run_id, verdict=Verdict.PASSED, reasons=(), resources_left=0, cost_usd=None, ended_at=at)

    # Then it is closed, in the shape that it had, for the migration to take on
    found = table.head(run_id)
    assert found is not None
    assert (found.verdict, found.owner) == (Verdict.PASSED, ANN)
    assert SHAPES.moved(raw(aws, run_id), 2)["started_by"] == "user"


def test_a_run_of_a_newer_schema_is_refused(aws: dict[str, Any], table: RunsTable) -> None:
    run_id = put(aws, {**shapes(2)["a run of a user, as stored"], "pk": "RUN#newer-1", "schema": 3})
    with pytest.raises(ShapeUnknown, match="has schema 3, and this version knows 2 at most"):
        table.head(run_id)


def test_what_is_nobodys_lies_under_no_owner(aws: dict[str, Any], table: RunsTable) -> None:
    # Given a run that was started on the state machine itself, and one of a user
    theirs = stored(table, run_of(owner=None, started_by="execution"))
    mine = stored(table, run_of(owner="erna"))

    # Then the index of owners holds the user's alone
    assert [run.run_id for run in table.page(200, None, "erna")[0]] == [mine.run_id]
    for name in NAMES_OF_NOBODY.values():
        assert theirs.run_id not in [run.run_id for run in table.page(200, None, name)[0]]
    assert "owner" not in raw(aws, theirs.run_id)


@pytest.mark.parametrize(
    "run", [run_of(planned=False, owner=ANN), run_of(planned=False, owner=None, started_by="execution")]
)
def test_what_is_written_has_the_newest_shape(run: Run) -> None:
    # Given a run as it is stored, and one of the same kind as the newest version has stored it
    written = json.loads(json.dumps(plain(item_of(run))))
    kept = shapes(SHAPES.schema)["a run of a user, as stored"]

    # Then the two have the same fields, but for an owner where there is none
    missing = set() if run.owner else {"owner"}
    assert {name: type(value) for name, value in written.items()} == {
        name: type(value) for name, value in kept.items() if name not in missing
    }
    assert written["schema"] == SHAPES.schema
