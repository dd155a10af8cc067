"""What is written today is what the newest of the stored shapes say: a new field needs a fixture, or a schema."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.unit.identity.accounts import Time, person
from tests.unit.llm.catalogue import SECRET, World, provider, route, world
from weir.llm import providers, routes
from weir.llm.shapes import SHAPES
from weir.llm.store import Store
from weir.runtime.audit import Asker, Audit
from weir.runtime.dynamodb import Table
from weir.runtime.http import Origin
from weir.runtime.migrations import ShapeUnknown

DORA = Asker(person("dora", "admin"), Origin("203.0.113.7", "curl/8.7.1", "c6af9ac6"))
STORED = Path(__file__).parents[1] / "stored" / f"llm.{SHAPES.schema}.json"


@pytest.fixture
def here() -> Iterator[World]:
    with world() as made:
        yield made


def kept() -> dict[str, dict[str, Any]]:
    """Items as a version of this schema stores them, by what they are."""
    read: dict[str, dict[str, Any]] = json.loads(STORED.read_text())
    return read


def fields(items: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, set[str]]]:
    """The fields of each kind of item, and the types that they have."""
    kinds: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for item in items:
        for name, value in item.items():
            kinds[SHAPES.kind(item)][name].add(type(value).__name__)
    return {kind: dict(told) for kind, told in kinds.items()}


def test_what_is_written_is_what_is_told_of(here: World) -> None:
    # Given providers and routes with all that they can have, and with as little / Then that is what is told of
    providers.add(provider("local", private_networks=("10.0.0.0/8",)), SECRET, here.deps)
    providers.add(provider(), None, here.deps)
    routes.add(route(groups=("ml",), max_output=9), here.store, DORA)
    routes.change("claude", route(), None, here.store)
    routes.add(route("other", groups=("ml",), max_output=9), here.store)
    assert fields(here.items()) == fields(kept().values())
    assert set(fields(here.items())) == set(SHAPES.kinds)
    assert {item["schema"] for item in here.items()} == {SHAPES.schema}


def page_of_audit(store: Store) -> Any:
    found = Audit(store.audit.table, SHAPES, Time().clock).page(9, None)[0]
    return found[0], found, found


READ: dict[str, Callable[[Store], Any]] = {
    "provider": lambda store: (store.provider("local"), store.providers(), store.providers_page(9, None)[0]),
    "route": lambda store: (store.route("claude-*"), store.routes(), store.routes_page(9, None)[0]),
    "audit": page_of_audit,
}
"""Each kind's reader."""


def fill(here: World, items: Iterable[Mapping[str, Any]]) -> None:
    table = Table(here.client, "llm")
    for item in items:
        table.put(item)


@pytest.mark.parametrize("kind", READ)
def test_what_is_stored_is_read(here: World, kind: str) -> None:
    fill(here, kept().values())
    one, every, page = READ[kind](here.store)
    assert one in every == page


@pytest.mark.parametrize("kind", READ)
def test_what_a_newer_version_has_written_is_refused_by_every_reader(here: World, kind: str) -> None:
    # Given an item whose shape this version can't know / Then it is refused, and not taken for what it was
    fill(here, ({**item, "schema": 99} if SHAPES.kind(item) == kind else item for item in kept().values()))
    with pytest.raises(ShapeUnknown):
        READ[kind](here.store)


def test_every_kind_has_a_reader_here() -> None:
    assert set(READ) == set(SHAPES.kinds)
