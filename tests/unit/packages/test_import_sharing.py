"""Uploads that an import shares with others: it fails, and they go on."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.unit.packages.filing import Line, World, sha256
from tests.unit.packages.importing_world import (
    LARGE,
    LONG,
    NAME,
    VERSION,
    FakeMachine,
    Quick,
    planned,
    stored_bytes,
)
from tests.unit.packages.registry import Counted, Meanwhile, Time, asker
from tests.unit.packages.stub_hub import StubHub, serving
from weir.packages import import_steps, opening
from weir.packages.hub import Hub
from weir.packages.import_steps import Until
from weir.packages.imports import Failure, Imports, ImportState
from weir.packages.models import UploadState


@pytest.fixture
def large() -> Iterator[StubHub]:
    """A hub that has one file, of three parts."""
    with serving(StubHub({"model.safetensors": LARGE}, {"model.safetensors"})) as made:
        yield made


@pytest.fixture
def hub(large: StubHub, time: Time) -> Hub:
    return Hub(large.url, time.clock)


@pytest.fixture
def world(time: Time) -> World:
    return World(Quick(), time)


@pytest.fixture
def real(client: Counted, time: Time) -> World:
    """The same on moto's DynamoDB."""
    return World(client, time)


@pytest.fixture
def machine() -> Any:
    return FakeMachine()


def half_copied(world: World, hub: Hub, stub: StubHub, import_id: str, time: Time) -> None:
    """A function has time for one of the three parts."""
    before = time.clock.monotonic()
    stub.answers = lambda asked: time.pass_by(10) if asked.path.startswith("/cdn/") else None  # type: ignore[func-returns-value]
    told = import_steps.copy(import_id, 0, world.deps, hub, Until(before + 5, 1e9))
    assert not told["done"]
    stub.answers = lambda asked: None


FAILED = Failure("CopyFiles", "HubBusy", "The hub does not answer")


@pytest.mark.parametrize("first", [True, False], ids=["who opened it", "who came to it"])
def test_an_import_that_fails_leaves_another_one_its_upload(
    world: World, hub: Hub, machine: Any, large: StubHub, time: Time, first: bool
) -> None:
    # Given two imports of one repository, which copy a file at the same time
    both = [planned(world, hub, machine), planned(world, hub, machine)]
    for import_id in both:
        half_copied(world, hub, large, import_id, time)
    (upload,) = world.uploads()
    failing, other = both if first else reversed(both)

    # When one of them fails
    assert import_steps.undo(failing, FAILED, world.deps) == {"aborted": 0}

    # Then the other ends, with the same upload
    while not import_steps.copy(other, 0, world.deps, hub, LONG)["done"]:
        pass
    assert [(one.upload_id, one.state) for one in world.uploads()] == [(upload.upload_id, UploadState.COMMITTED)]
    assert stored_bytes(world, LARGE) == LARGE


def test_an_import_that_fails_leaves_a_push_its_upload(
    world: World, hub: Hub, machine: Any, large: StubHub, time: Time
) -> None:
    # Given an import that has opened an upload, and Ann who opens it, too, to push the file herself
    import_id = planned(world, hub, machine)
    half_copied(world, hub, large, import_id, time)
    asked = opening.Asked("model.safetensors", len(LARGE), sha256(LARGE))
    pushed = opening.open_upload(NAME, VERSION, asked, asker(), world.deps)
    assert pushed.upload is not None
    assert not pushed.is_new

    # When the import fails, Then the upload is open still, with the part that is there
    assert import_steps.undo(import_id, FAILED, world.deps) == {"aborted": 0}
    upload, parts, _ = opening.arrived(NAME, VERSION, pushed.upload.upload_id, 0, 10, asker(), world.deps)
    assert (upload.state, [one.number for one in parts]) == (UploadState.OPEN, [1])


def test_an_import_aborts_no_upload_that_it_came_to(
    world: World, hub: Hub, machine: Any, large: StubHub, time: Time
) -> None:
    # Given an upload of Ann's that an import has come to
    import_id = planned(world, hub, machine)
    asked = opening.Asked("model.safetensors", len(LARGE), sha256(LARGE))
    opening.open_upload(NAME, VERSION, asked, asker(), world.deps)
    half_copied(world, hub, large, import_id, time)

    # When the import fails, Then the upload is Ann's as before
    assert import_steps.undo(import_id, FAILED, world.deps) == {"aborted": 0}
    assert [one.state for one in world.uploads()] == [UploadState.OPEN]


def test_an_upload_that_somebody_is_given_while_an_import_ends_is_theirs(
    real: World, hub: Hub, machine: Any, large: StubHub, time: Time, client: Counted
) -> None:
    # Given a push that is given the upload between the look at it and the write that ends it
    world, import_id = real, planned(real, hub, machine)
    half_copied(world, hub, large, import_id, time)
    found_ = Imports(world.deps.store.table, world.time.clock).failed(import_id, FAILED)
    asked = opening.Asked("model.safetensors", len(LARGE), sha256(LARGE))
    pushing = world.process(Line())
    Meanwhile(client, "transact_write_items", lambda: opening.open_upload(NAME, VERSION, asked, asker(), pushing))

    # When the import, which has failed, is undone, Then the upload stays open
    assert found_.state is ImportState.FAILED
    assert import_steps.undo(import_id, FAILED, world.deps) == {"aborted": 0}
    assert [one.state for one in world.uploads()] == [UploadState.OPEN]
