"""What is written of analyses and prompts today is what the stored shapes say: a new field needs a schema."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.unit.analysis.analyses.world import ANN, World
from weir.analysis.analyses.contract import AnalysisSpec
from weir.analysis.analyses.items import analysis_of, item_of
from weir.analysis.analyses.models import Failure
from weir.analysis.analyses.shapes import SHAPES
from weir.analysis.analyses.starting import start
from weir.analysis.telling.prompts import Draft
from weir.runtime.dynamodb import Item, plain, wire
from weir.runtime.migrations import ShapeUnknown

STORED = Path(__file__).parents[2] / "stored" / f"analyses.{SHAPES.schema}.json"
SPEC: dict[str, Any] = {"streams": ["orders"], "workflows": ["performance"]}


def kept() -> dict[str, Item]:
    """Items as a version of this schema stores them, by what they are."""
    read: dict[str, Item] = json.loads(STORED.read_text())
    return read


def fields(items: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, set[str]]]:
    """The fields of each kind of item, and the types that they have."""
    kinds: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for item in items:
        for name, value in item.items():
            kinds[SHAPES.kind(item)][name].add(type(value).__name__)
    return {kind: dict(told) for kind, told in kinds.items()}


def lived(world: World, dynamodb: Any) -> list[Item]:
    """All items after analyses that are queued, done, compared and broken, and a prompt that was edited."""
    world.streams.add("orders")
    start(AnalysisSpec.model_validate(SPEC), ANN, world)
    broken = start(AnalysisSpec.model_validate(SPEC), ANN, world).analysis_id
    world.analyses.fail(broken, Failure("Collect", "Unavailable", "AWS did not answer"))
    scheduled = {**SPEC, "workflows": None, "schedule": "nightly"}
    world.run("night-1", {**scheduled, "last": "24h"})
    del world.streams.streams["orders"]
    world.run("night-2", {**scheduled, "last": "24h", "compare_with": "night-1"})
    world.analyses.notified("night-2")
    made = world.prompts.create("short", Draft("Short", ("streams",), "{{ streams }} streams."), ANN)
    world.prompts.change("short", Draft("Shorter", (), "Tell it."), ANN, made.etag)
    return [plain(item) for item in dynamodb.scan(TableName="analyses")["Items"]]


def test_what_is_written_today_has_the_stored_shapes(world: World, aws: dict[str, Any]) -> None:
    # Given whatever there is to write / When it is beside what the shapes keep / Then no field is new, and none lost
    written = fields(lived(world, aws["dynamodb"]))
    assert set(written) == set(SHAPES.kinds)
    assert written == fields(kept().values())


@pytest.mark.parametrize("name", kept())
def test_a_stored_analysis_is_read_and_written_back_as_it_was(name: str) -> None:
    item = kept()[name]
    if SHAPES.kind(item) == "analysis":
        assert item_of(analysis_of(item)) == item


def test_what_a_newer_version_has_stored_is_left_alone(world: World, aws: dict[str, Any]) -> None:
    # Given items of a schema that this version does not know
    for item in kept().values():
        newer = {**item, "schema": SHAPES.schema + 1, "ttl": 2**40}
        aws["dynamodb"].put_item(TableName="analyses", Item=wire(newer))
    ids = {SHAPES.kind(item): str(item["pk"]).partition("#")[2] for item in kept().values()}

    # When they are read / Then each says so
    for read in (
        lambda: world.analyses.get(ids["analysis"]),
        lambda: world.analyses.last_of(ids["last"]),
        lambda: world.prompts.get(ids["prompt"]),
    ):
        with pytest.raises(ShapeUnknown):
            read()
