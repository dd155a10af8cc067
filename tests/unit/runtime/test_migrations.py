"""Shapes and steps: up, down, up is the same; what nobody names is kept; what is not known is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weir.analysis.analyses.shapes import SHAPES as ANALYSES
from weir.identity.shapes import SHAPES as IDENTITY
from weir.llm.shapes import SHAPES as LLM
from weir.packages.shapes import SHAPES as PACKAGES
from weir.runs.shapes import SHAPES as RUNS
from weir.runtime.migrations import Item, Shapes, ShapeUnknown, Step

STORED = Path(__file__).parents[1] / "stored"
TABLES = {"analyses": ANALYSES, "identity": IDENTITY, "llm": LLM, "packages": PACKAGES, "runs": RUNS}


def stored(table: str, schema: int) -> dict[str, dict[str, Any]]:
    """An item of each kind, as a version of that schema has stored it; by what it is."""
    found: dict[str, dict[str, Any]] = json.loads((STORED / f"{table}.{schema}.json").read_text())
    return found


EVERY = [
    pytest.param(table, schema, name, id=f"{table} {schema}: {name}")
    for table, shapes in TABLES.items()
    for schema in range(1, shapes.schema + 1)
    for name in stored(table, schema)
]


@pytest.mark.parametrize(("table", "schema", "name"), EVERY)
def test_a_stored_item_has_its_shape_in_every_schema(table: str, schema: int, name: str) -> None:
    # Given an item as a version stored it / When it is taken to any schema / Then it is as that version stores it
    item = stored(table, schema)[name]
    for other in range(1, TABLES[table].schema + 1):
        assert TABLES[table].moved(item, other) == stored(table, other)[name]


@pytest.mark.parametrize(("table", "schema", "name"), EVERY)
def test_up_and_down_loses_nothing(table: str, schema: int, name: str) -> None:
    shapes, item = TABLES[table], stored(table, schema)[name] | {"of_a_version_to_come": {"it": ["knows"]}}
    there = shapes.moved(item, shapes.schema)
    back = shapes.moved(there, 1)
    assert shapes.moved(back, shapes.schema) == there
    assert shapes.moved(there, schema) == item


@pytest.mark.parametrize("table", TABLES)
def test_every_kind_is_stored_in_every_schema(table: str) -> None:
    shapes = TABLES[table]
    for schema in range(1, shapes.schema + 1):
        items = stored(table, schema).values()
        assert {shapes.kind(item) for item in items} == set(shapes.kinds)
        assert {item["schema"] for item in items} == {schema}


def test_each_kind_is_told_by_its_keys_alone() -> None:
    # Given two kinds whose keys begin alike / Then neither passes for the other
    assert IDENTITY.kind({"pk": "ADMIN", "sk": "ADMIN"}) == "first-admin"
    assert IDENTITY.kind({"pk": "ADMINS", "sk": "ADMINS"}) == "admins"
    assert IDENTITY.kind({"pk": "USER#u", "sk": "KEYS"}) == "keys-made"
    assert IDENTITY.kind({"pk": "USER#u", "sk": "KEY#k"}) == "api-key"


# ---- A table with a history ----


def _renamed(before: str, after: str) -> Any:
    def change(item: Item) -> dict[str, Any]:
        return {after: item[before]} if before in item else {}

    return change


def _cents(item: Item) -> dict[str, Any]:
    return {"cents": item["dollars"] * 100}


def _dollars(item: Item) -> dict[str, Any]:
    return {"dollars": item["cents"] // 100}


LONG = Shapes(
    table="bills",
    schema=4,
    kinds={"bill": ("BILL#", "BILL"), "line": ("BILL#", "LINE#")},
    steps=(
        Step("bill", 2, ("payer", "owner"), _renamed("payer", "owner"), _renamed("owner", "payer")),
        Step("bill", 3, ("owner", "user"), _renamed("owner", "user"), _renamed("user", "owner")),
        Step("line", 3, ("dollars", "cents"), _cents, _dollars),
    ),
)
BILL: dict[str, Any] = {"pk": "BILL#1", "sk": "BILL", "schema": 1, "payer": "ann", "note": "kept"}


def test_steps_follow_each_other_both_ways() -> None:
    assert LONG.moved(BILL, 2) == {**_without(BILL, "payer"), "schema": 2, "owner": "ann"}
    newest = LONG.moved(BILL, 4)
    assert newest == {**_without(BILL, "payer"), "schema": 4, "user": "ann"}
    assert LONG.moved(newest, 2) == LONG.moved(BILL, 2)
    assert LONG.moved(newest, 1) == BILL
    # And a kind without a step is the same but for its number
    line = {"pk": "BILL#1", "sk": "LINE#1", "schema": 1, "dollars": 3}
    assert LONG.moved(line, 2) == {**line, "schema": 2}
    assert LONG.moved(line, 4) == {**_without(line, "dollars"), "cents": 300, "schema": 4}


def _without(item: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in item.items() if key != name}


@given(
    payer=st.none() | st.text(),
    more=st.dictionaries(
        st.text().filter(lambda name: name not in {"pk", "sk", "schema", "payer", "owner", "user"}), st.integers()
    ),
    way=st.lists(st.integers(1, 4)),
)
def test_any_way_through_the_schemas_ends_where_the_straight_one_does(
    payer: str | None, more: dict[str, int], way: list[int]
) -> None:
    item: Item = {"pk": "BILL#1", "sk": "BILL", "schema": 1, **more, **({} if payer is None else {"payer": payer})}
    moved = item
    for schema in way:
        moved = LONG.moved(moved, schema)
    assert LONG.moved(moved, 1) == item


def test_a_reader_gets_the_newest_shape() -> None:
    assert LONG.current(BILL) == LONG.moved(BILL, 4)
    newest = LONG.moved(BILL, 4)
    assert LONG.current(newest) is newest


def test_the_item_itself_is_never_changed() -> None:
    before = json.dumps(BILL)
    LONG.moved(BILL, 4)
    assert json.dumps(BILL) == before


def test_the_fields_of_a_way_are_those_of_its_steps() -> None:
    assert LONG.fields(BILL, 2) == ("schema", "payer", "owner")
    assert LONG.fields(BILL, 4) == ("schema", "payer", "owner", "user")
    assert LONG.fields({**BILL, "schema": 4}, 3) == ("schema",)
    assert LONG.fields({**BILL, "schema": 4}, 2) == ("schema", "owner", "user")


@pytest.mark.parametrize(
    ("item", "schema", "told"),
    [
        ({**BILL, "schema": 5}, 4, "has schema 5, and this version knows 4 at most: deploy a newer version"),
        ({**BILL, "schema": None}, 4, "carries no schema"),
        ({**BILL, "schema": True}, 4, "carries no schema"),
        ({**BILL, "schema": 0}, 4, "carries no schema"),
        ({**BILL, "schema": "1"}, 4, "carries no schema"),
        ({"pk": "BILL#1", "sk": "LINES", "schema": 1}, 4, "is of no kind that this version knows"),
        (BILL, 5, "has the schemas 1 to 4, and no 5"),
        (BILL, 0, "has the schemas 1 to 4, and no 0"),
    ],
)
def test_what_is_not_known_is_refused(item: Item, schema: int, told: str) -> None:
    with pytest.raises(ShapeUnknown, match=told):
        LONG.moved(item, schema)


def test_a_newer_item_is_refused_by_a_reader() -> None:
    with pytest.raises(ShapeUnknown, match="deploy a newer version"):
        LONG.current({**BILL, "schema": 5})


def test_a_step_that_makes_what_it_does_not_name_is_a_mistake() -> None:
    # Given a step that would write a field which no condition guards
    wrong = Shapes("bills", 2, LONG.kinds, (Step("bill", 2, ("payer",), lambda item: {"owner": "x"}, dict),))
    with pytest.raises(ValueError, match=r"makes \['owner'\], which it does not name"):
        wrong.moved(BILL, 2)
