"""State machine definitions as graphs: scopes of states, edges, expressions.

Amazon States Language, JSONata flavour: https://states-language.net and
https://docs.aws.amazon.com/step-functions/latest/dg/transforming-data.html
"""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from tests.contract import stack

State = dict[str, Any]
BUILT_IN = {"states", "floor", "random", "join"}
"""JSONata's own functions and Step Functions' own variable, as far as the machines use them."""


class Edge(NamedTuple):
    """A way from one state to the next, and the variables that are assigned on it."""

    source: str
    target: str
    assigned: frozenset[str]
    caught: bool


class Scope(NamedTuple):
    """States that can name each other: a machine, a branch, or a map's processor. ``path`` leads to it."""

    path: str
    start: str
    states: dict[str, State]
    parent: str | None

    def edges(self) -> Iterator[Edge]:
        """Every way from state to state."""
        for name, state in self.states.items():
            assigned = frozenset(state.get("Assign", {}))
            targets = [state.get("Next"), state.get("Default"), *(one["Next"] for one in state.get("Choices", []))]
            yield from (Edge(name, target, assigned, False) for target in targets if target is not None)
            for caught in state.get("Catch", []):
                yield Edge(name, caught["Next"], frozenset(caught.get("Assign", {})), True)


def scopes(machine: str) -> list[Scope]:
    """All scopes of a machine, its own first."""
    return list(_scopes(machine, stack.machines()[machine], None))


def _scopes(path: str, definition: dict[str, Any], parent: str | None) -> Iterator[Scope]:
    yield Scope(path, definition["StartAt"], definition["States"], parent)
    for name, state in definition["States"].items():
        inner = [*state.get("Branches", []), *([state["ItemProcessor"]] if "ItemProcessor" in state else [])]
        for index, one in enumerate(inner):
            yield from _scopes(f"{path}/{name}[{index}]", one, path)


def all_states() -> list[tuple[str, str, State]]:
    """Every state of every machine: the scope's path, its name, itself."""
    return [
        (scope.path, name, state)
        for machine in stack.machines()
        for scope in scopes(machine)
        for name, state in scope.states.items()
    ]


def reached(start: str, edges: list[Edge]) -> set[str]:
    """States that can be reached from one."""
    found, pending = set(), [start]
    while pending:
        name = pending.pop()
        if name not in found:
            found.add(name)
            pending += [edge.target for edge in edges if edge.source == name]
    return found


def expressions(value: Any) -> Iterator[str]:
    """The JSONata expressions within a state, those of inner scopes left out."""
    if isinstance(value, str) and value.startswith("{%"):
        yield value.removeprefix("{%").removesuffix("%}").strip()
    elif isinstance(value, dict):
        for key, one in value.items():
            if key not in {"Branches", "ItemProcessor"}:
                yield from expressions(one)
    elif isinstance(value, list):
        for one in value:
            yield from expressions(one)


def variables(expression: str) -> set[str]:
    """The machine's variables that an expression reads."""
    return set(re.findall(r"\$([A-Za-z_]\w*)", expression)) - BUILT_IN


def assigned_for_sure(scope: Scope, given: frozenset[str]) -> dict[str, frozenset[str]]:
    """The variables that each state of a scope can count on, whichever way it was reached."""
    edges = list(scope.edges())
    everything = given.union(*(edge.assigned for edge in edges))
    sure = dict.fromkeys(scope.states, everything) | {scope.start: given}
    changed = True
    while changed:
        changed = False
        for edge in edges:
            left = sure[edge.target] & (sure[edge.source] | edge.assigned)
            if left != sure[edge.target]:
                sure[edge.target], changed = left, True
    return sure
