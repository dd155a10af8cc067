"""Copying an import's files, finishing and undoing: in parts, hashed, whatever happens between; and the machine."""

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from tests.faults.machine import StateFailed
from tests.unit.packages import evil
from tests.unit.packages.filing import FAULTS, Died, Fault, Line, World, key, sha256
from tests.unit.packages.importing_world import (
    LARGE,
    LONG,
    NAME,
    PART,
    SMALL,
    VERSION,
    WANTED,
    FakeMachine,
    Quick,
    begun,
    copying,
    executed,
    found,
    imported,
    planned,
    stored_bytes,
    version,
)
from tests.unit.packages.registry import Counted, Meanwhile, Time, audited, caller
from tests.unit.packages.stub_hub import REPO, Answer, Asked, StubHub, serving
from weir.packages import import_steps
from weir.packages.hub import Hub
from weir.packages.import_steps import Until, failure_of
from weir.packages.importing import watch
from weir.packages.imports import Failure, Imports, ImportState
from weir.packages.items import version_item
from weir.packages.models import State, UploadState
from weir.packages.scanning import scan
from weir.packages.trust_errors import (
    CopyWrong,
    HubBusy,
    ImportEnded,
)
from weir.runtime.dynamodb import Contended
from weir.runtime.errors import WeirError


@pytest.fixture
def stub() -> Iterator[StubHub]:
    files = {"README.md": b"# Tiny", "config.json": b"{}", "model.safetensors": SMALL}
    with serving(StubHub(files, {"model.safetensors"})) as made:
        yield made


@pytest.fixture
def hub(stub: StubHub, time: Time) -> Hub:
    return Hub(stub.url, time.clock)


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


# ---- Copying


def test_a_large_file_is_copied_by_functions_one_after_the_other(
    world: World, hub: Hub, machine: Any, stub: StubHub, time: Time
) -> None:
    # Given a file of three parts, and functions that have time for one part each
    stub.files, stub.lfs = {"model.safetensors": LARGE}, {"model.safetensors"}
    import_id = planned(world, hub, machine)
    told = []
    for function in range(3):
        before = time.clock.monotonic()
        stub.answers = lambda asked: time.pass_by(10) if asked.path.startswith("/cdn/") else None  # type: ignore[func-returns-value]
        told.append(import_steps.copy(import_id, 0, world.deps, Hub(stub.url, time.clock), Until(before + 5, 1e9)))
        _, progress = watch(import_id, caller(), world.deps.store, machine)
        assert progress.size == min((function + 1) * PART, len(LARGE))

    # Then each goes on where the one before has stopped, no byte is fetched twice, and the whole was hashed
    assert told == [
        {"done": False, "next_part": 2, "quarantined": False},
        {"done": False, "next_part": 3, "quarantined": False},
        {"done": True, "next_part": 4, "quarantined": False},
    ]
    ranges = [asked.headers["range"] for asked in stub.of("/cdn/")]
    assert ranges == [f"bytes={n * PART}-{min((n + 1) * PART, len(LARGE)) - 1}" for n in range(3)]
    assert stored_bytes(world, LARGE) == LARGE
    (item,) = Imports(world.deps.store.table, world.time.clock).files(import_id)
    assert item.done


def test_bytes_that_are_not_those_of_lfs_are_never_committed(
    world: World, hub: Hub, machine: Any, stub: StubHub
) -> None:
    # Given a hub that gives one other byte, in the first of three parts
    stub.files, stub.lfs = {"model.safetensors": LARGE}, {"model.safetensors"}
    stub.served["model.safetensors"] = b"!" + LARGE[1:]
    import_id = planned(world, hub, machine)

    # When it is copied, Then that fails, and stays so however often it is tried
    for _ in range(2):
        with pytest.raises(CopyWrong, match="has the SHA-256"):
            import_steps.copy(import_id, 0, world.deps, hub, LONG)
    assert world.s3.objects == {}

    # And after undoing it nothing is left of it
    import_steps.undo(import_id, Failure("CopyFiles", "CopyWrong", "why"), world.deps)
    assert world.s3.multiparts == {}
    assert [one.state for one in world.uploads()] == [UploadState.ABORTED]


def test_of_two_at_once_one_goes_on(world: World, hub: Hub, machine: Any, stub: StubHub, time: Time) -> None:
    # Given a second invocation that copies two parts of the file while the first is at its first part
    stub.files, stub.lfs = {"model.safetensors": LARGE}, {"model.safetensors"}
    import_id = planned(world, hub, machine)
    others = [Hub(stub.url, time.clock)]
    began = time.clock.monotonic()

    def meanwhile(asked: Asked) -> Answer | None:
        if not asked.path.startswith("/cdn/"):
            return None
        if others:
            until = Until(began + 15, 1e9)
            told = import_steps.copy(import_id, 0, world.process(Line()), others.pop(), until)
            assert (told["done"], told["next_part"]) == (False, 3)
        else:
            time.pass_by(10)
        return None

    stub.answers = meanwhile

    # When the first goes on, Then it is told so, and nothing that the second did is done again
    with pytest.raises(Contended):
        import_steps.copy(import_id, 0, world.deps, hub, LONG)
    assert import_steps.copy(import_id, 0, world.deps, hub, LONG)["done"]
    assert [asked.headers["range"].split("-")[0] for asked in stub.of("/cdn/")] == [
        *("bytes=0", "bytes=0", f"bytes={PART}", f"bytes={2 * PART}")
    ]
    assert stored_bytes(world, LARGE) == LARGE


@pytest.mark.parametrize("fault", FAULTS)
def test_whatever_a_copy_dies_of_the_next_one_ends_it(stub: StubHub, time: Time, fault: Fault) -> None:
    # Given a process that dies at one of its calls, or whose call fails or loses its answer: each of them in turn
    world, hub = World(Quick(), time), Hub(stub.url, time.clock)
    stub.lfs = {"model.safetensors"}
    for at in range(100):
        body = stub.files["model.safetensors"] = SMALL + b"%03d" % at
        import_id = copying(world, body, f"{at + 1}.0.0")
        line = Line(at=at, fault=fault)
        with suppress(Died, WeirError):
            import_steps.copy(import_id, 0, world.process(line), hub, LONG)

        # When it is called again, once a lease that may be left has passed
        time.pass_by(61)
        assert import_steps.copy(import_id, 0, world.deps, hub, LONG)["done"]

        # Then the file is there, once, and nothing else
        assert world.s3.only(key(body)).body == body
        made = world.version(f"{at + 1}.0.0")
        assert (made.state, made.committed) == (State.SCANNING, 1)
        if len(line.made) <= at:
            break
    assert 10 < at < 99


# ---- Ends


def test_an_import_that_has_failed_begins_no_upload(real: World, hub: Hub, machine: Any) -> None:
    world = real
    # Given an import that fails while one of its files is about to be begun
    import_id = planned(world, hub, machine)

    def undone(operation: str, request: dict[str, Any]) -> None:
        if operation == "create_multipart_upload":
            world.s3.before = lambda operation, request: None
            import_steps.undo(import_id, Failure("CopyFiles", "CopyWrong", "why"), world.deps)

    world.s3.before = undone

    # When it is begun, Then it is ended at once
    with pytest.raises(ImportEnded):
        import_steps.copy(import_id, 2, world.deps, hub, LONG)
    assert world.s3.multiparts == {}
    assert [one.state for one in world.uploads()] == [UploadState.ABORTED]

    # And no step does anything any more
    for step in (
        lambda: import_steps.plan(import_id, world.deps, hub, LONG),
        lambda: import_steps.copy(import_id, 0, world.deps, hub, LONG),
        lambda: import_steps.finish(import_id, world.deps),
    ):
        with pytest.raises(ImportEnded):
            step()


def test_undoing_tells_why_and_leaves_what_is_committed(world: World, hub: Hub, machine: Any, stub: StubHub) -> None:
    import_id = planned(world, hub, machine)
    import_steps.copy(import_id, 0, world.deps, hub, LONG)
    stub.answers = lambda asked: Answer(503)
    with pytest.raises(HubBusy):
        import_steps.copy(import_id, 2, world.deps, Hub(stub.url, world.time.clock), LONG)

    failure = Failure("CopyFiles", "HubBusy", "The hub does not answer")
    assert import_steps.undo(import_id, failure, world.deps) == {"aborted": 1}
    assert import_steps.undo(import_id, Failure("Undo", "Other", "later"), world.deps) == {"aborted": 1}
    assert world.s3.multiparts == {}
    assert len(world.s3.objects) == 1
    ended, progress = watch(import_id, caller(), world.deps.store, machine)
    assert (ended.state, ended.failure, progress.files) == (ImportState.FAILED, failure, 1)
    assert version(world).source == {}


def test_what_is_done_is_not_undone(real: World, hub: Hub, machine: Any, client: Counted) -> None:
    world = real
    import_id = imported(world, hub, machine)
    assert import_steps.finish(import_id, world.deps) == {"name": NAME, "version": VERSION}
    assert import_steps.undo(import_id, Failure("Finish", "States.Timeout", ""), world.deps) == {"aborted": 0}
    assert found(world, import_id).state is ImportState.DONE
    assert [what for what, *_ in audited(client)].count("version.imported") == 1


def test_finishing_undoes_nothing_that_the_scan_has_told(real: World, hub: Hub, machine: Any, client: Counted) -> None:
    world = real
    # Given a version that changes between reading and writing
    import_id = planned(world, hub, machine)
    for number in range(3):
        import_steps.copy(import_id, number, world.deps, hub, LONG)
    before = version(world)

    def scanned() -> None:
        after = replace(before, verified=1, revision=before.revision + 1)
        world.deps.store.table.put(version_item(after))

    Meanwhile(client, "transact_write_items", scanned)
    import_steps.finish(import_id, world.deps)
    assert (version(world).verified, version(world).source["repo"]) == (1, REPO)


@pytest.mark.parametrize(
    ("raised", "failure"),
    [
        (
            {"step": "Plan", "error": "CopyWrong", "cause": '{"errorMessage": "why", "stackTrace": ["secret"]}'},
            Failure("Plan", "CopyWrong", "why"),
        ),
        (
            {"step": "Plan", "error": "States.Timeout", "cause": ""},
            Failure("Plan", "States.Timeout", "no cause was told"),
        ),
        ({"cause": "x" * 5_000}, Failure("Import", "Unknown", "x" * 1_000)),
        ({"cause": "[1]", "error": "E", "step": "S"}, Failure("S", "E", "[1]")),
    ],
)
def test_a_failure_is_told_without_a_stack_trace(raised: dict[str, Any], failure: Failure) -> None:
    assert failure_of(raised) == failure


# ---- The state machine
def test_the_machine_goes_from_plan_to_finish(world: World, machine: Any, stub: StubHub) -> None:
    import_id = begun(world, machine)
    done = executed(world, stub, import_id)
    assert (done.status, done.output) == ("SUCCEEDED", {"name": NAME, "version": VERSION})
    assert found(world, import_id).state is ImportState.DONE
    assert version(world).committed == 3


def test_the_machine_tries_again_what_passes(world: World, machine: Any, stub: StubHub) -> None:
    # Given a hub that is busy for the first four requests of every place, and functions that are refused a place
    busy: dict[str, int] = {}
    refused = iter(["Lambda.TooManyRequestsException", "Sandbox.Timedout", "Contended"])

    def answers(asked: Asked) -> Answer | None:
        busy[asked.path] = busy.get(asked.path, 0) + 1
        return Answer(503) if busy[asked.path] <= 4 else None

    def before(step: str, payload: Any) -> None:
        if error := next(refused, None):
            raise StateFailed(error, "why")

    stub.answers = answers
    import_id = begun(world, machine)
    assert executed(world, stub, import_id, before).status == "SUCCEEDED"
    assert version(world).committed == 3


@pytest.mark.parametrize(
    ("broken", "step", "error"),
    [("config.json", "Plan", "CopyWrong"), ("model.safetensors", "CopyFiles", "CopyWrong")],
)
def test_the_machine_undoes_what_fails_and_fails_itself(
    world: World, machine: Any, stub: StubHub, broken: str, step: str, error: str
) -> None:
    stub.served[broken] = b"!" * len(stub.files[broken])
    import_id = begun(world, machine)
    ended = executed(world, stub, import_id)
    assert (ended.status, ended.error) == ("FAILED", error)
    told = found(world, import_id)
    assert (told.state, told.failure and (told.failure.step, told.failure.error)) == (ImportState.FAILED, (step, error))
    assert world.s3.multiparts == {}


def test_the_machine_fails_where_even_undoing_does(world: World, machine: Any, stub: StubHub) -> None:
    def before(step: str, payload: Any) -> None:
        if step == "undo_import":
            raise StateFailed("AttributeError", "a bug")

    import_id = begun(world, machine, wanted=replace(WANTED, repo="acme/other"))
    ended = executed(world, stub, import_id, before)
    assert (ended.status, ended.error) == ("FAILED", "RepositoryNotFound")


def test_known_bytes_under_a_name_that_they_may_not_have_are_told_of_once(
    real: World, hub: Hub, machine: Any, stub: StubHub
) -> None:
    world = real
    # Given bytes that were imported, and verified, as one format, and a hub that has them as another's
    honest = evil.safetensors(evil.weights((0, 4)), bytes(4))
    stub.files = {"model.safetensors": honest}
    imported(world, hub, machine)
    scan(NAME, sha256(honest), world.deps, 1e12)
    assert version(world).state is State.AVAILABLE
    stub.files, stub.lfs = {"model.npy": honest}, {"model.npy"}
    again = planned(world, hub, machine, wanted=replace(WANTED, version="2.0.0"))

    # When they are copied, Then the call that quarantines the file says so, and no other
    told = [import_steps.copy(again, 0, world.deps, hub, LONG)["quarantined"] for _ in range(2)]
    assert version(world, "2.0.0").state is State.QUARANTINED
    assert told == [True, False]


def test_a_manifest_says_what_was_hashed(world: World, hub: Hub, machine: Any, stub: StubHub) -> None:
    # Given that the digests in the manifest are computed here for what is not in LFS
    planned(world, hub, machine)
    made = {one.path: one.sha256 for one in world.deps.store.manifest(version(world)).files}
    assert made["README.md"] == hashlib.sha256(b"# Tiny").hexdigest()


def test_a_failure_that_comes_while_the_plan_ends_takes_nothing_away(
    real: World, hub: Hub, machine: Any, client: Counted
) -> None:
    # Given an import whose plan ends while its failure is being stored
    world, import_id = real, begun(real, machine)
    Meanwhile(client, "transact_write_items", lambda: import_steps.plan(import_id, world.process(Line()), hub, LONG))

    # When it has failed, Then the version that it has registered is known
    import_steps.undo(import_id, Failure("Plan", "States.Timeout", "why"), world.deps)
    ended = found(world, import_id)
    assert (ended.state, ended.version, ended.files) == (ImportState.FAILED, VERSION, 3)
