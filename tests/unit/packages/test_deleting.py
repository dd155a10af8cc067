"""Deleting a version: what is gone, what others share, and that it is finished whatever breaks off."""

import copy
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.unit.packages.filing import NAME, PATH, SMALL, VERSION, Died, Line, World, key, of, sha256
from tests.unit.packages.registry import (
    BOB,
    NOON,
    Counted,
    Time,
    admin,
    asker,
    audited,
    caller,
    everything,
    package,
    put,
    restore,
    served,
    version,
    whats,
)
from weir.packages import aliases, browsing, deleting, items
from weir.packages.deleting import delete, finish, unfinished
from weir.packages.errors import CommitUnderWay, NotAvailable, NotTheOwner, UploadEnded, VersionNotFound
from weir.packages.models import State, Upload, UploadState
from weir.packages.opening import Asked, open_upload
from weir.packages.store import Store, stored_upload
from weir.packages.table import SCHEMA, manifest_key, signature_key

READS = ("get_", "batch_get", "query", "head_", "list_")
OTHER = b"\x08\0\0\0\0\0\0\0{}      other weights"


@pytest.fixture
def world(client: Counted, time: Time) -> World:
    """A package with a version of two files, one of which is another version's too; and an upload that is open."""
    made = World(client, time)
    made.register(of(SMALL), of(OTHER, "other.bin"), of(SMALL + b"!", "open.bin"), latest=None, versions=2)
    put(made.deps.store, package(versions=2), version("2.0.0", files=(of(SMALL),)), files=(of(SMALL),))
    return made


def filled(world: World) -> Upload:
    """All but one file is committed; the upload of that one is open, with a part in it."""
    world.pushed(SMALL)
    world.pushed(OTHER, "other.bin")
    world.pushed(SMALL, text="2.0.0")
    return world.sent(SMALL + b"!", "open.bin")[0]


def left(world: World) -> dict[str, list[str]]:
    """What there is of packages, by kind."""
    stored = everything(world.client)
    return {
        "files": [item["sk"].split("#", 2)[2] for item in stored if item["sk"].startswith("F#")],
        "uploads": [item["version"] for item in stored if item.get("list") == "UPLOADS"],
        "blobs": [item["sk"][2:] for item in stored if item["sk"].startswith("B#")],
        "manifests": [item["sk"] for item in stored if item["sk"].startswith("M#")],
        "marks": [item["sk"] for item in stored if item["sk"].startswith("D#")],
    }


def stored(world: World) -> list[str]:
    """The keys of all objects."""
    return [one for one, versions in world.s3.objects.items() if versions]


def listed(store: Store) -> list[str]:
    return [one.version for one in browsing.versions(store, NAME, caller(BOB), 50)[0]]


def test_the_signature_goes_with_the_version(world: World) -> None:
    signature = signature_key(NAME, VERSION)
    world.deps.store.table.put({**signature, "schema": SCHEMA})
    assert delete(NAME, VERSION, admin(), world.deps)
    assert world.deps.store.table.get(signature) is None


class DiesAfter(Line):
    """A process that dies once a call of an operation has taken effect."""

    def __init__(self, operation: str) -> None:
        super().__init__()
        self.operation = operation

    def call(self, name: str, send: Any) -> Any:
        if name == self.operation:
            self.at, self.fault = len(self.made), "dies after"
        return super().call(name, send)


def test_a_deleted_version_is_gone_with_all_that_is_its_own(world: World) -> None:
    filled(world)
    store = world.deps.store
    store.table.put(items.alias_item(NAME, "production", VERSION, 1, NOON))
    store.table.put(items.alias_item(NAME, "next", "2.0.0", 1, NOON))
    # When an admin deletes it
    assert delete(NAME, VERSION, admin(), world.deps)
    # Then it is not shown, and its files and their bytes are gone, but for those that another version has
    assert listed(store) == ["2.0.0"]
    with pytest.raises(VersionNotFound):
        browsing.version(store, NAME, VERSION, admin().principal)
    assert left(world) == {
        "files": [PATH],
        "uploads": [],
        "blobs": [of(SMALL).sha256],
        "manifests": [manifest_key(NAME, "2.0.0")["sk"]],
        "marks": [],
    }
    assert world.blob(SMALL).references == 1  # type: ignore[union-attr]
    assert world.s3.only(key(SMALL)).body == SMALL
    assert stored(world) == [key(SMALL)]
    assert world.s3.multiparts == {}
    # And so are the aliases that named it, and nothing else of the package
    assert [one.alias for one in aliases.of_package(store, NAME)] == ["next"]
    assert store.package(NAME).versions == 1  # type: ignore[union-attr]
    # And its number stays used, its audit is there, and again there is nothing to delete
    assert store.version(NAME, VERSION).state is State.REJECTED  # type: ignore[union-attr]
    assert ("version.deleted", admin().principal.sub, NAME, VERSION) in audited(world.client)
    with pytest.raises(VersionNotFound):
        delete(NAME, VERSION, admin(), world.deps)


def test_latest_is_the_next_one_after_a_deletion(world: World) -> None:
    store = world.deps.store
    put(store, package(latest="3.0.0", versions=4), served("3.0.0", files=()), served("2.5.0", files=()))
    delete(NAME, "3.0.0", admin(), world.deps)
    assert store.package(NAME).latest == "2.5.0"  # type: ignore[union-attr]


def test_nobody_deletes_another_users_version(world: World) -> None:
    with pytest.raises(NotTheOwner):
        delete(NAME, VERSION, asker(BOB), world.deps)
    with pytest.raises(VersionNotFound):
        delete(NAME, "7.0.0", admin(), world.deps)


def test_what_a_request_has_no_time_for_the_sweep_does(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(world)
    monkeypatch.setattr(deleting, "SECONDS", 0.0)
    assert not delete(NAME, VERSION, admin(), world.deps)
    # Out of sight all the same
    assert listed(world.deps.store) == ["2.0.0"]
    assert list(unfinished(world.deps.store)) == [(NAME, VERSION)]
    assert finish(NAME, VERSION, world.deps)
    assert list(unfinished(world.deps.store)) == []
    assert left(world)["files"] == [PATH]


def test_a_commit_that_is_under_way_is_waited_out(world: World, time: Time) -> None:
    # Given an upload that somebody is committing
    upload = filled(world)
    committing = replace(upload, state=UploadState.COMMITTING, lease_until=NOON + timedelta(seconds=60))
    world.deps.store.table.transact([stored_upload(upload, committing)])
    # When the version is deleted / Then the rest waits for the lease
    assert not delete(NAME, VERSION, admin(), world.deps)
    assert left(world)["marks"]
    time.pass_by(61)
    assert delete(NAME, VERSION, admin(), world.deps)
    assert (left(world)["files"], left(world)["marks"]) == ([PATH], [])
    assert world.s3.multiparts == {}


def test_a_deletion_that_dies_after_any_change_is_finished_when_it_is_asked_for_again(
    client: Counted, time: Time
) -> None:
    # Given a version with a file, and with an upload that is open; and how many calls its deletion takes
    world = World(client, time)
    world.register(of(SMALL), of(OTHER, "other.bin"), versions=1)
    world.pushed(SMALL)
    world.sent(OTHER, "other.bin")
    before = everything(client), copy.deepcopy((world.s3.objects, world.s3.multiparts))
    whole = Line()
    assert delete(NAME, VERSION, admin(), world.process(whole))
    for number in [number for number, call in enumerate(whole.made) if not call.startswith(READS)]:
        restore(before[0])
        world.s3.objects, world.s3.multiparts = copy.deepcopy(before[1])
        # When it dies there, and is asked for again
        line = Line(at=number, fault="dies after")
        with suppress(Died):
            delete(NAME, VERSION, admin(), world.process(line))
        assert line.dead
        if world.version().state is not State.REJECTED or left(world)["marks"]:
            assert delete(NAME, VERSION, admin(), world.deps)
        # Then nothing of it is left, and it was counted and told of once
        assert left(world) == {"files": [], "uploads": [], "blobs": [], "manifests": [], "marks": []}, (
            number,
            whole.made[number],
        )
        assert (stored(world), world.s3.multiparts) == ([], {})
        assert world.deps.store.package(NAME).versions == 0  # type: ignore[union-attr]
        assert whats(client).count("version.deleted") == 1


def test_an_upload_that_is_opened_while_its_version_is_deleted_leaves_nothing(client: Counted, time: Time) -> None:
    # Given a version that is being uploaded, the opening of another of its files, and before any call its deletion
    world = World(client, time)
    world.register(of(SMALL), of(OTHER, "other.bin"))
    world.sent(SMALL)
    before = everything(client), copy.deepcopy((world.s3.objects, world.s3.multiparts))
    asked, whole = Asked("other.bin", len(OTHER), sha256(OTHER)), Line()
    open_upload(NAME, VERSION, asked, asker(), world.process(whole))
    for number, call in enumerate(whole.made):
        restore(before[0])
        world.s3.objects, world.s3.multiparts = copy.deepcopy(before[1])
        deletes = Line(at=number, between=lambda: delete(NAME, VERSION, admin(), world.deps) and None)
        # When both have run / Then the opening is refused, and no row is left but those of what was
        with pytest.raises((NotAvailable, VersionNotFound)):
            open_upload(NAME, VERSION, asked, asker(), world.process(deletes))
        assert left(world) == {"files": [], "uploads": [], "blobs": [], "manifests": [], "marks": []}, call


def test_bytes_that_come_again_while_their_last_file_goes_are_kept(client: Counted, time: Time) -> None:
    # Given a deletion, and before any of its calls a commit of the same bytes to another version
    world = World(client, time)
    world.register(of(SMALL))
    world.another_version("2.0.0", of(SMALL))
    world.pushed(SMALL)
    upload, told = world.sent(SMALL, text="2.0.0")
    before = everything(client), copy.deepcopy((world.s3.objects, world.s3.multiparts))
    whole = Line()
    delete(NAME, VERSION, admin(), world.process(whole))
    answers = set()
    for number, call in enumerate(whole.made):
        restore(before[0])
        world.s3.objects, world.s3.multiparts = copy.deepcopy(before[1])

        def commits() -> None:
            try:
                world.commits(upload, told)
                answers.add("committed")
            except CommitUnderWay:
                answers.add("come again")

        # When both have run / Then the bytes are there for the other version, at once or when it comes again
        assert delete(NAME, VERSION, admin(), world.process(Line(at=number, between=commits))), call
        world.commits(upload, told)
        stored = world.s3.only(key(SMALL))
        blob = world.blob(SMALL)
        assert blob is not None, call
        assert (blob.references, blob.object_version, stored.body) == (1, stored.version_id, SMALL), call
        assert world.file(text="2.0.0").object_version == stored.version_id, call
    assert answers == {"committed", "come again"}


def test_bytes_whose_last_file_goes_while_a_commit_shares_them_are_not_made_a_file(client: Counted, time: Time) -> None:
    # Given a file, and a commit of the same bytes to another version, and a whole deletion before any of its calls
    world = World(client, time)
    world.register(of(SMALL))
    world.another_version("2.0.0", of(SMALL))
    world.pushed(SMALL)
    upload, told = world.sent(SMALL, text="2.0.0")
    before = everything(client), copy.deepcopy((world.s3.objects, world.s3.multiparts))
    whole = Line()
    world.commits(upload, told, world.process(whole))
    ends = set()
    for number, call in enumerate(whole.made):
        restore(before[0])
        world.s3.objects, world.s3.multiparts = copy.deepcopy(before[1])
        # When both have run
        deleted: list[bool] = []

        def deletes(deleted: list[bool] = deleted) -> None:
            deleted.append(delete(NAME, VERSION, admin(), world.deps))

        line = Line(at=number, between=deletes)
        try:
            world.commits(upload, told, world.process(line))
            ends.add("committed")
        except UploadEnded:
            ends.add("ended")
            assert world.s3.multiparts == {}
        # Then the other version has the bytes and they are there; or it is told to send them again, and may
        assert deleted == [True], call
        if world.file(text="2.0.0").state is not State.SCANNING:
            world.pushed(SMALL, text="2.0.0")
        blob = world.blob(SMALL)
        assert blob is not None, call
        assert (blob.references, world.file(text="2.0.0").object_version) == (1, blob.object_version), call
        assert world.s3.only(key(SMALL)).version_id == blob.object_version, call
        assert world.s3.only(key(SMALL)).body == SMALL
    assert ends == {"committed", "ended"}


def test_bytes_that_are_going_are_shared_by_nobody(client: Counted, time: Time) -> None:
    # Given verified bytes, and a deletion of the last version of them that dies before it deletes the object
    world = World(client, time)
    world.register(of(SMALL))
    world.another_version("2.0.0", of(SMALL))
    world.pushed(SMALL)
    verified = replace(world.blob(SMALL), verified=True, content="safetensors")  # type: ignore[type-var]
    world.deps.store.table.put(items.blob_item(verified))
    line = Line()
    whole = everything(client), copy.deepcopy(world.s3.objects)
    delete(NAME, VERSION, admin(), world.process(line))
    restore(whole[0])
    world.s3.objects = whole[1]
    with suppress(Died):
        at = line.made.index("delete_object")
        delete(NAME, VERSION, admin(), world.process(Line(at=at, fault="dies before")))
    # When the same bytes are opened for another version / Then they are to be sent
    upload, told = world.sent(SMALL, text="2.0.0")
    # And committed only once those are gone; the parts are kept until then
    with pytest.raises(CommitUnderWay):
        world.commits(upload, told)
    assert world.upload(upload).state is UploadState.OPEN
    assert finish(NAME, VERSION, world.deps)
    world.commits(upload, told)
    assert world.blob(SMALL).references == 1  # type: ignore[union-attr]
    assert world.file(text="2.0.0").object_version == world.s3.only(key(SMALL)).version_id


def test_an_object_that_became_no_file_is_not_shared_while_it_goes(client: Counted, time: Time) -> None:
    # Given the object of an upload whose commit died at once, and a commit of the same bytes to another version
    world = World(client, time)
    world.register(of(SMALL))
    world.another_version("2.0.0", of(SMALL))
    first, first_told = world.sent(SMALL)
    upload, told = world.sent(SMALL, text="2.0.0")
    with suppress(Died):
        world.commits(first, first_told, world.process(DiesAfter("complete_multipart_upload")))
    # When the version of the first is deleted, and the other commit comes before the object goes
    seen: list[str] = []

    def commits() -> None:
        with suppress(CommitUnderWay):
            world.commits(upload, told)
            seen.append("committed")

    class Watched(Line):
        def call(self, name: str, send: Any) -> Any:
            if name == "delete_object":
                commits()
            return super().call(name, send)

    assert delete(NAME, VERSION, admin(), world.process(Watched()))
    # Then it has to come again
    assert seen == []
    world.commits(upload, told)
    assert world.file(text="2.0.0").object_version == world.s3.only(key(SMALL)).version_id


def test_a_deletion_that_dies_while_the_object_of_a_dead_commit_goes_leaves_nothing(
    client: Counted, time: Time
) -> None:
    # Given a version whose only commit died once S3 had made the object; and how many calls its deletion takes
    world = World(client, time)
    world.register(of(SMALL), versions=1)
    upload, told = world.sent(SMALL)
    with suppress(Died):
        world.commits(upload, told, world.process(DiesAfter("complete_multipart_upload")))
    assert stored(world) == [key(SMALL)]
    time.pass_by(61)
    before = everything(client), copy.deepcopy((world.s3.objects, world.s3.multiparts))
    whole = Line()
    assert delete(NAME, VERSION, admin(), world.process(whole))
    for number in [number for number, call in enumerate(whole.made) if not call.startswith(READS)]:
        restore(before[0])
        world.s3.objects, world.s3.multiparts = copy.deepcopy(before[1])
        # When it dies there, and is asked for again / Then nothing is left
        with suppress(Died):
            delete(NAME, VERSION, admin(), world.process(Line(at=number, fault="dies after")))
        if world.version().state is not State.REJECTED or left(world)["marks"]:
            assert delete(NAME, VERSION, admin(), world.deps)
        assert left(world) == {"files": [], "uploads": [], "blobs": [], "manifests": [], "marks": []}, (
            number,
            whole.made[number],
        )
        assert (stored(world), world.s3.multiparts) == ([], {})
