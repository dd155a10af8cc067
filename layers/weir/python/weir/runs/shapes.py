"""The shapes of the items of the runs table, by schema. What each item is for: ``table.py``.

| schema | what is new |
|---|---|
| 2 | a run's ``owner`` is a user or left out, and ``started_by`` tells how it came to be |

Until 2, ``owner`` held a name of nobody for a run that is no user's: it was started on the state machine, or over HTTP
before there were users. ``owner`` is the key of the index ``owned``, where such runs lay under names that no caller
has; there it is sparse now, and what holds an owner holds a user's id.
"""

from typing import Any

from weir.runtime.migrations import Item, Shapes, Step

SCHEMA = 2

NAMES_OF_NOBODY = {"execution": "states:start-execution", "anonymous": "anonymous"}
"""Who started a run that is no user's, and the name that stood for its owner: streams still bear it as a tag."""

_STARTED_BY = {name: started_by for started_by, name in NAMES_OF_NOBODY.items()}


def _owned_by_users(item: Item) -> dict[str, Any]:
    owner = item["owner"]
    if owner in _STARTED_BY:
        return {"started_by": _STARTED_BY[owner]}
    return {"owner": owner, "started_by": "user"}


def _owned_by_names(item: Item) -> dict[str, Any]:
    return {"owner": item["owner"] if "owner" in item else NAMES_OF_NOBODY[item["started_by"]]}


SHAPES = Shapes(
    table="runs",
    schema=SCHEMA,
    kinds={"run": ("RUN#", "RUN"), "slice": ("RUN#", "SLICE#"), "reader": ("RUN#", "READER#")},
    steps=(Step("run", 2, ("owner", "started_by"), _owned_by_users, _owned_by_names),),
)


def owner_of(owner: str | None) -> str | None:
    """The user's id in an ``owner`` of any schema; for what an index tells, which knows no schema."""
    return None if owner in _STARTED_BY else owner
