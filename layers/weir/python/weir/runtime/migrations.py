"""How the items of a table change their shape: a number a table, ``schema``, that every item carries, and pure steps.

A reader upgrades what it reads (``Shapes.current``), so that code goes first and the items follow, in place and beside
live traffic (``make migrate``). A step goes both ways and names the fields that it looks at: the migration writes those
alone, and only while they are as it read them. Fields that no step names are kept, known or not.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from weir.runtime.errors import WeirError

Item = Mapping[str, Any]
Change = Callable[[Item], dict[str, Any]]


class ShapeUnknown(WeirError):
    """An item of no kind or schema that this version knows: it is left alone. 500 to a caller."""

    slug, title = "shape-unknown", "An item that this version can't read"


@dataclass(frozen=True, slots=True)
class Step:
    """Takes one kind of item from ``schema - 1`` to ``schema``, and back.

    ``up`` and ``down`` get the item's ``fields`` that are there, and answer those that shall be there.
    """

    kind: str
    schema: int
    fields: tuple[str, ...]
    up: Change
    down: Change


@dataclass(frozen=True, slots=True)
class Shapes:
    """The shapes of one table: its newest ``schema``, its kinds of items, and the steps between schemas.

    ``kinds`` tells the partition and sort key of each kind: whole, or their beginning where that ends in ``#`` or is
    empty. A kind without a step to a schema has the same shape in it as before.
    """

    table: str
    schema: int
    kinds: Mapping[str, tuple[str, str]]
    steps: Sequence[Step] = ()

    def kind(self, item: Item) -> str:
        """The kind of an item, by its keys. ShapeUnknown where it is none."""
        pk, sk = str(item["pk"]), str(item["sk"])
        for name, (partition, sort) in self.kinds.items():
            if _fits(pk, partition) and _fits(sk, sort):
                return name
        raise ShapeUnknown(f"The item {_named(item)} of the {self.table} table is of no kind that this version knows.")

    def current(self, item: Item) -> Item:
        """An item in the newest shape, for a reader. ShapeUnknown where it is newer than this version."""
        return item if item.get("schema") == self.schema else self.moved(item, self.schema)

    def moved(self, item: Item, schema: int) -> dict[str, Any]:
        """An item, up or down, in the shape that it has in ``schema``.

        Raises
        ------
        ShapeUnknown
            The item's schema or kind is not known, or ``schema`` is none of 1 to the newest.
        """
        here = self._schema_of(item)
        if not 1 <= schema <= self.schema:
            raise ShapeUnknown(f"The {self.table} table has the schemas 1 to {self.schema}, and no {schema}.")
        kind = self.kind(item)
        moved = dict(item)
        for number in range(here + 1, schema + 1):
            for step in self._steps(kind, number):
                moved = _changed(moved, step, step.up)
        for number in range(here, schema, -1):
            for step in reversed(self._steps(kind, number)):
                moved = _changed(moved, step, step.down)
        return {**moved, "schema": schema}

    def fields(self, item: Item, schema: int) -> tuple[str, ...]:
        """The fields that moving an item to ``schema`` looks at, ``schema`` itself included."""
        low, high = sorted((self._schema_of(item), schema))
        kind = self.kind(item)
        steps = [step for number in range(low + 1, high + 1) for step in self._steps(kind, number)]
        return ("schema", *dict.fromkeys(name for step in steps for name in step.fields))

    def _steps(self, kind: str, schema: int) -> list[Step]:
        return [step for step in self.steps if (step.kind, step.schema) == (kind, schema)]

    def _schema_of(self, item: Item) -> int:
        found = item.get("schema")
        if isinstance(found, bool) or not isinstance(found, int) or found < 1:
            raise ShapeUnknown(f"The item {_named(item)} of the {self.table} table carries no schema.")
        if found > self.schema:
            told = f"has schema {found}, and this version knows {self.schema} at most"
            raise ShapeUnknown(f"The item {_named(item)} of the {self.table} table {told}: deploy a newer version.")
        return found


def _changed(item: Item, step: Step, change: Change) -> dict[str, Any]:
    """The item with the fields of a step replaced by what it makes of them."""
    kept = {name: value for name, value in item.items() if name not in step.fields}
    made = change({name: item[name] for name in step.fields if name in item})
    if strangers := sorted(set(made) - set(step.fields)):
        raise ValueError(f"a step of {step.kind} to {step.schema} makes {strangers}, which it does not name")
    return kept | made


def _fits(key: str, pattern: str) -> bool:
    return key.startswith(pattern) if pattern.endswith("#") or not pattern else key == pattern


def _named(item: Item) -> str:
    return f"{item.get('pk')} / {item.get('sk')}"
