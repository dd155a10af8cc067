"""Imports from a hub, against a real server: started, planned, registered as whoever asked, watched."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests.unit.packages.filing import World, sha256
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
    found,
    imported,
    planned,
    rows,
    stored_bytes,
    version,
)
from tests.unit.packages.registry import ANN, BOB, Counted, Time, admin, asker, audited, caller, package, put
from tests.unit.packages.registry import version as registered_version
from tests.unit.packages.stub_hub import COMMIT, REPO, StubHub, serving
from weir.packages import import_steps
from weir.packages.errors import NameTaken, NotTheOwner, PackageNotFound, VersionExists
from weir.packages.hub import Hub
from weir.packages.import_steps import Until, metadata_of
from weir.packages.importing import ImportExists, watch
from weir.packages.imports import Failure, ImportState, Wanted
from weir.packages.models import State
from weir.packages.names import skeleton
from weir.packages.parts import MIB
from weir.packages.shapes import SHAPES
from weir.packages.table import looks_key
from weir.packages.trust_errors import (
    CopyWrong,
    ImportNotFound,
    ImportRefused,
    RepositoryNotFound,
)
from weir.runtime.errors import Forbidden, Invalid, TooManyRequests, Unavailable


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


# ---- From start to end


def test_a_repository_becomes_a_version_of_the_caller(
    real: World, hub: Hub, machine: Any, stub: StubHub, client: Counted
) -> None:
    world = real
    # Given a card that tells something
    stub.card = {"license": "apache-2.0", "base_model": "acme/bert", "datasets": ["squad", "c4"], "extra": {"a": 1}}

    # When Ann imports the repository
    import_id = imported(world, hub, machine)

    # Then all its bytes are in S3, to be scanned, and the version is hers, named after the repository and its commit
    made = version(world)
    assert (made.owner, made.state, made.committed, made.total) == (ANN, State.SCANNING, 3, 3)
    assert {one.path: (one.size, one.sha256) for one in world.deps.store.manifest(made).files} == {
        path: (len(body), sha256(body)) for path, body in stub.files.items()
    }
    assert all(stored_bytes(world, body) == body for body in stub.files.values())

    # And it tells what the card tells, and where it is from
    assert made.metadata == {
        "license": "apache-2.0",
        "base_model": "acme/bert",
        "dataset": ["squad", "c4"],
        "framework": "transformers",
        "task": "fill-mask",
    }
    assert made.source == {
        "kind": "huggingface",
        "repo": REPO,
        "revision": "main",
        "commit": COMMIT,
        "import_id": import_id,
        "last_modified": "2026-10-01T08:30:00.000Z",
    }
    told = [what for what, who, *_ in audited(client) if who == ANN]
    assert {what: told.count(what) for what in told} == {
        "package.registered": 1,
        "version.registered": 1,
        "upload.opened": 3,
        "upload.committed": 3,
        "version.imported": 1,
    }

    # And whoever started it sees that it is done
    done, progress = watch(import_id, caller(), world.deps.store, machine)
    size = sum(map(len, stub.files.values()))
    assert (done.state, done.files, done.size) == (ImportState.DONE, 3, size)
    assert (progress.files, progress.size, progress.version) == (3, size, made)


def test_everything_is_read_at_the_commit(world: World, hub: Hub, machine: Any, stub: StubHub) -> None:
    imported(world, hub, machine, wanted=replace(WANTED, revision="refs/pr/3"))
    assert [asked.path for asked in stub.of("/api/")] == [f"/api/models/{REPO}/revision/refs/pr/3"]
    assert all(f"/{COMMIT}/" in asked.path for asked in stub.of(f"/{REPO}/"))


def test_what_is_asked_for_is_what_it_becomes(world: World, hub: Hub, machine: Any) -> None:
    wanted = Wanted(REPO, "main", NAME, "1.2.3", "About it", "restricted", ("ml",), ("nlp",))
    imported(world, hub, machine, who=asker(groups=("ml",)), wanted=wanted)
    made = world.deps.store.package(NAME)
    assert made is not None
    assert (made.description, made.sensitivity, made.allowed_groups, made.tags) == (
        *("About it", "restricted"),
        *(("ml",), ("nlp",)),
    )
    assert version(world, "1.2.3").description == "About it"


@pytest.mark.parametrize("body", [b"", LARGE[:PART], LARGE[: PART + 1], LARGE], ids=len)
@pytest.mark.parametrize("lfs", [True, False])
def test_files_of_any_size_are_copied(
    world: World, hub: Hub, machine: Any, stub: StubHub, body: bytes, lfs: bool
) -> None:
    stub.files, stub.lfs = {"weights.safetensors": body}, {"weights.safetensors"} if lfs else set()
    imported(world, hub, machine)
    assert stored_bytes(world, body) == body
    assert world.s3.multiparts == {}


def test_the_same_again_copies_nothing(world: World, hub: Hub, machine: Any, stub: StubHub) -> None:
    imported(world, hub, machine)
    stub.asked.clear()
    world.s3.called.clear()
    imported(world, hub, machine)
    assert [asked.path for asked in stub.asked if "safetensors" in asked.path] == []
    assert not {"create_multipart_upload", "upload_part"} & set(world.s3.called)
    assert version(world).committed == 3


def test_what_another_import_left_is_gone_on_with(world: World, hub: Hub, machine: Any, stub: StubHub) -> None:
    # Given an import that has copied one file, and failed
    first = planned(world, hub, machine)
    import_steps.copy(first, 0, world.deps, hub, LONG)
    import_steps.undo(first, Failure("CopyFiles", "HubBusy", "why"), world.deps)

    # When another one is started, Then it ends, and the file was uploaded once
    imported(world, hub, machine)
    assert version(world).committed == 3
    assert world.s3.called.count("create_multipart_upload") == 3


# ---- Planning


def test_a_plan_that_has_no_time_left_goes_on_where_it_was(
    world: World, hub: Hub, machine: Any, stub: StubHub, time: Time
) -> None:
    # Given a function whose time is over after the list, and after each digest
    import_id = begun(world, machine)
    over = Until(time.clock.monotonic(), 1e9)
    assert import_steps.plan(import_id, world.deps, hub, over) == {"done": False, "files": 3}
    assert world.deps.store.package(NAME) is None
    assert stub.of("/cdn/") == []

    # When another one goes on, Then the list is not asked for again
    assert import_steps.plan(import_id, world.deps, hub, LONG) == {"done": True, "files": 3}
    assert len(stub.of("/api/")) == 1
    assert found(world, import_id).version == VERSION

    # And once more changes nothing
    assert import_steps.plan(import_id, world.deps, hub, LONG) == {"done": True, "files": 3}
    assert version(world).revision == 1


def test_a_file_that_is_not_what_git_says_is_refused(world: World, hub: Hub, machine: Any, stub: StubHub) -> None:
    stub.served["config.json"] = b"[]"
    import_id = begun(world, machine)
    with pytest.raises(CopyWrong, match=r"config\.json has the git digest"):
        import_steps.plan(import_id, world.deps, hub, LONG)
    assert world.deps.store.package(NAME) is None


@pytest.mark.parametrize(
    ("files", "lies", "told"),
    [
        ({}, {}, "has 0 files"),
        ({f"{number}.txt": b"" for number in range(1_001)}, {}, "has 1,001 files"),
        ({"../../etc/passwd": b"x"}, {}, "without empty segments"),
        ({"a\\b": b"x"}, {}, "must not hold any of"),
        ({"aux.txt": b"x"}, {}, "Windows"),
        ({"a.bin": b"x"}, {"a.bin": {"size": 64 * MIB + 1}}, "is not in LFS"),
        ({"a.bin": b"x"}, {"a.bin": {"lfs": {"sha256": "a" * 64, "size": 10_000 * 64 * MIB + 1}}}, "has 671"),
        (
            {"a.bin": b"x", "b.bin": b"x", "c.bin": b"", "d.bin": b""},
            {f"{name}.bin": {"lfs": {"sha256": "a" * 64, "size": 10_000 * 64 * MIB}} for name in "abcd"},
            "an import takes at most",
        ),
    ],
    ids=["none", "many", "upwards", "backslash", "device", "plain", "huge", "all"],
)
def test_what_can_not_be_a_version_is_not_begun(
    world: World, hub: Hub, machine: Any, stub: StubHub, files: dict[str, bytes], lies: dict[str, Any], told: str
) -> None:
    stub.files, stub.lies = files, lies
    import_id = begun(world, machine)
    with pytest.raises(ImportRefused, match=told):
        import_steps.plan(import_id, world.deps, hub, LONG)
    assert world.deps.store.package(NAME) is None
    assert stub.of("/cdn/") == []


def test_files_that_differ_in_case_alone_are_refused(world: World, hub: Hub, machine: Any, stub: StubHub) -> None:
    stub.files = {"A.txt": b"1", "a.txt": b"2"}
    with pytest.raises(Invalid, match=r"there twice"):
        import_steps.plan(begun(world, machine), world.deps, hub, LONG)


def test_a_repository_that_is_not_there(world: World, hub: Hub, machine: Any) -> None:
    import_id = begun(world, machine, wanted=replace(WANTED, repo="acme/other"))
    with pytest.raises(RepositoryNotFound):
        import_steps.plan(import_id, world.deps, hub, LONG)


@pytest.mark.parametrize(
    ("card", "metadata"),
    [
        ({}, {}),
        ({"license": "other", "license_name": "acme-1.0"}, {"license": "acme-1.0"}),
        ({"license": "other"}, {"license": "other"}),
        ({"license": ["mit"], "language": ["en", 7, " "]}, {"license": "mit", "language": "en"}),
        ({"license": {"a": 1}, "metrics": None, "datasets": []}, {}),
        ({"base_model": "x" * 1_000}, {"base_model": "x" * 256}),
        ({"datasets": [f"d{number}" for number in range(99)]}, {"dataset": [f"d{number}" for number in range(20)]}),
    ],
)
def test_a_card_is_taken_as_far_as_it_is_short_texts(card: dict[str, Any], metadata: dict[str, Any]) -> None:
    assert metadata_of(card) == metadata


# ---- Whose it is


def test_the_name_of_another_users_package_is_refused_at_once(world: World, machine: Any) -> None:
    put(world.deps.store, package(NAME))
    with pytest.raises(NotTheOwner):
        begun(world, machine, who=asker(BOB))
    put(world.deps.store, package(NAME, sensitivity="restricted", allowed_groups=("ml",)))
    with pytest.raises(PackageNotFound):
        begun(world, machine, who=asker(BOB))
    assert machine.started == {}


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        ({"sensitivity": "restricted"}, Invalid),
        ({"sensitivity": "restricted", "allowed_groups": ()}, Invalid),
        ({"allowed_groups": ("research",)}, Forbidden),
        ({"name": "acme.tiny.bett"}, NameTaken),
        ({"name": "mine", "tags": ("cv",)}, VersionExists),
        ({"name": "mine", "sensitivity": "public"}, VersionExists),
        ({"name": "mine", "version": "1.0.0", "description": "other"}, VersionExists),
        ({"name": "mine", "version": "0.9.0"}, VersionExists),
    ],
    ids=str,
)
def test_what_could_never_be_registered_is_refused_before_anything_begins(
    real: World, machine: Any, asked: dict[str, Any], error: type[Exception]
) -> None:
    # Given a package of Ann's with a version that was deleted, and one of Bob's
    deleted = registered_version("0.9.0", "mine", state=State.REJECTED)
    put(real.deps.store, package("mine", tags=("nlp",)), registered_version("1.0.0", "mine"), deleted)
    real.deps.store.table.put({**looks_key(skeleton("acme-tiny-bett")), "schema": 1, "name": "acme-tiny-bett"})

    # When Ann asks for an import that can't end well, Then she is told so, and none is there
    with pytest.raises(error):
        begun(real, machine, wanted=replace(WANTED, **asked))
    assert (machine.started, rows(real)) == ({}, [])


@pytest.mark.parametrize(
    "asked",
    [
        {"sensitivity": "restricted", "allowed_groups": ("ml",)},
        {"name": "mine", "tags": ("nlp",), "sensitivity": "internal"},
        {"name": "mine", "description": "of a version that may be there, as far as is known"},
        {"name": "mine", "version": "1.0.0"},
    ],
    ids=str,
)
def test_what_may_be_registered_is_begun(real: World, machine: Any, asked: dict[str, Any]) -> None:
    put(real.deps.store, package("mine", tags=("nlp",)), registered_version("1.0.0", "mine"))
    import_id = begun(real, machine, who=asker(groups=("ml",)), wanted=replace(WANTED, **asked))
    assert list(machine.started) == [import_id]


@pytest.mark.parametrize(
    ("there", "error"),
    [
        (package(NAME, owner=BOB), NotTheOwner),
        (package("acme-tiny-bett"), None),
        (package("acme.tiny.bert"), NameTaken),
    ],
    ids=["other's", "alike", "look-alike"],
)
def test_it_is_registered_with_the_rights_of_who_asked(
    world: World, hub: Hub, machine: Any, there: Any, error: type[Exception] | None
) -> None:
    # Given a package that came after the request
    import_id = begun(world, machine)
    put(world.deps.store, there)

    # When it is planned, Then registering decides as for any other request of Ann's
    if error is None:
        assert import_steps.plan(import_id, world.deps, hub, LONG)["done"]
    else:
        with pytest.raises(error):
            import_steps.plan(import_id, world.deps, hub, LONG)


def test_a_version_with_other_content_is_in_the_way(world: World, hub: Hub, machine: Any, stub: StubHub) -> None:
    imported(world, hub, machine, wanted=replace(WANTED, version="1.0.0"))
    stub.files["config.json"] = b'{"a": 1}'
    with pytest.raises(VersionExists):
        import_steps.plan(begun(world, machine, wanted=replace(WANTED, version="1.0.0")), world.deps, hub, LONG)


# ---- Starting and watching


def test_the_same_key_starts_one_import(world: World, machine: Any) -> None:
    first = begun(world, machine, key="nightly")
    assert begun(world, machine, key="nightly") == first
    assert list(machine.started) == [first]
    assert machine.started[first] == {"import_id": first}
    assert begun(world, machine, who=asker(BOB), key="nightly") != first
    with pytest.raises(ImportExists):
        begun(world, machine, wanted=replace(WANTED, revision="dev"), key="nightly")
    assert len({begun(world, machine) for _ in range(3)}) == 3


def test_what_could_not_be_started_leaves_nothing(world: World, machine: Any) -> None:
    machine.failure = TooManyRequests("throttled")
    with pytest.raises(TooManyRequests):
        begun(world, machine, key="nightly")
    assert rows(world) == []
    machine.failure = None
    assert begun(world, machine, key="nightly") in machine.started


def test_what_did_start_is_kept_though_its_answer_was_lost(world: World, machine: Any) -> None:
    machine.failure = Unavailable("no answer")
    machine.status = lambda name: "RUNNING"
    with pytest.raises(Unavailable):
        begun(world, machine, key="nightly")
    assert len(rows(world)) == 1


def test_an_import_is_its_owners_and_the_admins_to_see(world: World, hub: Hub, machine: Any) -> None:
    import_id = planned(world, hub, machine)
    assert watch(import_id, admin().principal, world.deps.store, machine)[0].import_id == import_id
    for who, which in ((caller(BOB), import_id), (caller(), "20261121-" + "0" * 20)):
        with pytest.raises(ImportNotFound):
            watch(which, who, world.deps.store, machine)
    items = rows(world)
    assert len({item["ttl"] for item in items}) == 1
    kinds = {SHAPES.kind(item) for item in items}
    assert kinds == {"import", "imported-file"}


@pytest.mark.parametrize("status", ["FAILED", "TIMED_OUT", "ABORTED"])
def test_an_execution_that_was_ended_is_told_as_a_failure(world: World, hub: Hub, machine: Any, status: str) -> None:
    import_id = planned(world, hub, machine)
    assert watch(import_id, caller(), world.deps.store, machine)[0].state is ImportState.COPYING
    machine.statuses[import_id] = status
    ended, _ = watch(import_id, caller(), world.deps.store, machine)
    assert ended.state is ImportState.FAILED
    assert ended.failure is not None
    assert (ended.failure.step, ended.failure.error) == ("Import", status)


def test_an_import_is_forgotten_after_ninety_days(world: World, machine: Any) -> None:
    import_id = begun(world, machine)
    world.time.pass_by(90 * 86_400 - 1)
    assert watch(import_id, caller(), world.deps.store, machine)[0].import_id == import_id
    world.time.pass_by(1)
    with pytest.raises(ImportNotFound):
        watch(import_id, caller(), world.deps.store, machine)
