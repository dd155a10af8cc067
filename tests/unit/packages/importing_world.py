"""Imports in an account in memory, with a hub that is a real server: started, planned, done, and what is left."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.faults.kernel import Kernel
from tests.faults.machine import Execution, Place, StateFailed
from tests.unit.packages.fake_table import FakeTable
from tests.unit.packages.filing import World, of, sha256
from tests.unit.packages.registry import asker, everything
from tests.unit.packages.stub_hub import COMMIT, REPO, StubHub
from weir.packages import import_steps
from weir.packages.hub import Hub
from weir.packages.import_steps import Until, failure_of
from weir.packages.importing import start
from weir.packages.imports import Import, ImportedFile, Imports, Wanted
from weir.packages.models import Version
from weir.runtime.audit import Asker
from weir.runtime.errors import WeirError

ROOT = Path(__file__).parents[3]
DEFINITION = json.loads((ROOT / "statemachines/import.asl.json").read_text())
PART = 8 * 1024 * 1024
SMALL = b"\x08\0\0\0\0\0\0\0{}      weights"
LARGE = bytes(range(251)) * (2 * PART // 251 + 100)
"""Three parts, the last of 24 KB; no two parts alike."""

NAME, VERSION = "acme-tiny-bert", f"0.0.0-git.{COMMIT[:12]}"
LONG = Until(begin=1e9, end=1e9)
WANTED = Wanted(repo=REPO, revision="main", name=NAME)


class Quick(FakeTable):
    """The table in memory, with what imports and registering send beside what files do: thousands of calls a second.

    That DynamoDB takes all of it is shown on moto, by a test of each.
    """

    def _query(self, request: dict[str, Any]) -> dict[str, Any]:
        assert request["KeyConditionExpression"] == "pk = :pk AND begins_with(sk, :begin)"
        values = {name: value["S"] for name, value in request["ExpressionAttributeValues"].items()}
        found = sorted(key for key in self.items if key[0] == values[":pk"] and key[1].startswith(values[":begin"]))
        return {"Items": [dict(self.items[key]) for key in found]}

    def _delete_item(self, request: dict[str, Any]) -> dict[str, Any]:
        self.items.pop((request["Key"]["pk"]["S"], request["Key"]["sk"]["S"]), None)
        return {}

    def _holds(self, write: dict[str, Any], key: dict[str, Any]) -> bool:
        condition = write.get("ConditionExpression", "")
        for mark, name in write.get("ExpressionAttributeNames", {}).items():
            condition = condition.replace(mark, name)
        return super()._holds({**write, "ConditionExpression": condition} if condition else write, key)


def copying(world: World, body: bytes, text: str) -> str:
    """An import of one file that is planned, without a hub; its id."""
    world.another_version(text, of(body))
    imports, now = Imports(world.deps.store.table, world.time.clock), world.time.clock.now()
    made = Import(f"20261121-{text}", replace(WANTED, name="bert-base"), asker(), now, now)
    assert imports.add(made)
    file = ImportedFile(made.import_id, 0, "model.safetensors", len(body), sha256(body), None, made.ttl)
    plan = imports.planned(made, replace(made, commit=COMMIT, files=1, size=len(body)), [file])
    imports.copying(plan, text)
    return made.import_id


class FakeMachine:
    """Step Functions, as far as an import asks it. ``started`` are the executions, by name."""

    def __init__(self) -> None:
        self.started: dict[str, Any] = {}
        self.failure: WeirError | None = None
        self.statuses: dict[str, str] = {}

    def start(self, name: str, document: dict[str, Any]) -> str:
        if self.failure is not None:
            raise self.failure
        self.started[name] = document
        return f"arn:{name}"

    def status(self, name: str) -> str | None:
        return self.statuses.get(name, "RUNNING" if name in self.started else None)


def begun(world: World, machine: Any, who: Asker | None = None, wanted: Wanted = WANTED, key: str | None = None) -> str:
    """An import that was started; its id."""
    return start(wanted, who or asker(), world.deps.store, machine, world.time.clock, key).import_id


def planned(world: World, hub: Hub, machine: Any, **options: Any) -> str:
    """An import whose version is registered; its id."""
    import_id = begun(world, machine, **options)
    assert import_steps.plan(import_id, world.deps, hub, LONG)["done"]
    return import_id


def imported(world: World, hub: Hub, machine: Any, **options: Any) -> str:
    """An import from its start to its end; its id."""
    import_id = planned(world, hub, machine, **options)
    for number in range(found(world, import_id).files or 0):
        assert import_steps.copy(import_id, number, world.deps, hub, LONG)["done"]
    import_steps.finish(import_id, world.deps)
    return import_id


def found(world: World, import_id: str) -> Import:
    return Imports(world.deps.store.table, world.time.clock).get(import_id)


def version(world: World, text: str = VERSION) -> Version:
    made = world.deps.store.version(NAME, text)
    assert made is not None
    return made


def stored_bytes(world: World, body: bytes) -> bytes:
    return world.s3.only(f"packages/{NAME}/{sha256(body)}").body


def rows(world: World) -> list[dict[str, Any]]:
    """All items of imports."""
    return everything(world.client, "IMPORT#")


def executed(world: World, stub: StubHub, import_id: str, before: Any = lambda step, payload: None) -> Execution:
    """The real definition, run to its end in virtual time on the real steps."""
    kernel = Kernel(0.0)
    hub = Hub(stub.url, world.time.clock)

    def invoke(function: str, payload: Any, place: Place, seconds: float) -> Any:
        kernel.sleep(1.0)
        assert function == "${ImportFunction}"
        steps = {
            "plan_import": lambda: import_steps.plan(payload["import_id"], world.deps, hub, LONG),
            "copy_file": lambda: import_steps.copy(payload["import_id"], payload["number"], world.deps, hub, LONG),
            "finish_import": lambda: import_steps.finish(payload["import_id"], world.deps),
            "undo_import": lambda: import_steps.undo(payload["import_id"], failure_of(payload["failure"]), world.deps),
        }
        try:
            before(payload["step"], payload)
            return json.loads(json.dumps(steps[payload["step"]]()))
        except WeirError as error:
            raise StateFailed(type(error).__name__, json.dumps({"errorMessage": error.detail})) from error

    execution = Execution("m", f"arn:m:{import_id}", import_id, DEFINITION, {"import_id": import_id}, kernel, invoke)
    kernel.spawn(execution.run)
    kernel.run()
    return execution
