"""Deleting what was found in the bucket: by admins, the version that they saw, and nothing that is a file's."""

import copy
from contextlib import suppress
from random import Random

import pytest

from tests.unit.packages.filing import NAME, SMALL, Died, Fault, Line, World, key, of
from tests.unit.packages.registry import Counted, Time, admin, asker, everything, restore, whats
from tests.unit.packages.test_reconciling import Queue
from weir.packages import auditing, found
from weir.packages.audit import OF_UNVERIFIED
from weir.packages.bucket import ObjectMissing
from weir.packages.committing import LEASE
from weir.packages.discarding import discard
from weir.packages.errors import Changed, CommitUnderWay, NotAvailable, PackageNotFound, UploadEnded
from weir.packages.models import State
from weir.packages.reconciling import reconcile
from weir.runtime.errors import Forbidden, WeirError

STRAY = "models/größe/weights.bin"
DEATHS: tuple[Fault, ...] = ("dies before", "dies after")


@pytest.fixture
def world(client: Counted, time: Time) -> World:
    """A version that waits for its file."""
    made = World(client, time)
    made.register(of(SMALL))
    return made


def strays(world: World, at: str, body: bytes = SMALL) -> str:
    """An object that somebody has put there past Weir, and that is recorded; its version in quotes."""
    version = world.s3.replaces(at, body)
    assert found.record(world.deps.store, at, version, len(body))
    return f'"{version}"'


def swept(world: World) -> None:
    until = world.deps.clock.monotonic() + 1e9
    reconcile(world.deps, Queue(), dry_run=False, until=until, rng=Random(1))  # type: ignore[arg-type]


def recorded(world: World) -> list[str]:
    return [one.key for one in found.every(world.deps.store)]


def there(world: World) -> list[str]:
    return [one for one, versions in world.s3.objects.items() if versions]


@pytest.mark.parametrize("at", [STRAY, key(SMALL), "packages/nobodys/weights.bin"])
def test_an_object_that_no_package_knows_goes_and_is_told_of(world: World, at: str) -> None:
    # Given an object of nobody's, and another
    etag = strays(world, at)
    strays(world, "models/other")
    # When an admin deletes it
    discard(at, etag, admin(), world.deps)
    # Then it is gone from the bucket and the list, the other stays, and the audit tells who asked
    assert there(world) == recorded(world) == ["models/other"]
    (entry,) = [one for one in everything(world.client, "AUDIT#unverified") if one["what"] == "object.deletion-asked"]
    assert (entry["who"], entry["detail"]["key"], entry["detail"]["object_version"]) == (
        admin().principal.sub,
        at,
        etag.strip('"'),
    )
    # And so does the audit of what is no package's, to admins alone
    entries, _ = auditing.of_package(world.deps.store, OF_UNVERIFIED, admin().principal, 50)
    assert "object.deletion-asked" in [one.what for one in entries]
    with pytest.raises(PackageNotFound):
        auditing.of_package(world.deps.store, OF_UNVERIFIED, asker().principal, 50)
    # And it can't be deleted again
    with pytest.raises(ObjectMissing):
        discard(at, etag, admin(), world.deps)


def test_bytes_whose_stray_object_was_deleted_can_be_pushed(world: World) -> None:
    # Given an object of nobody's that stands where a file is to be
    upload, told = world.sent(SMALL)
    etag = strays(world, key(SMALL))
    discard(key(SMALL), etag, admin(), world.deps)
    assert world.commits(upload, told).file.state is State.SCANNING


@pytest.mark.parametrize("if_match", [None, "", "*", '"another"', "version-1"])
def test_whoever_has_not_seen_this_version_deletes_nothing(world: World, if_match: str | None) -> None:
    strays(world, STRAY)
    with pytest.raises(Changed, match="version-1"):
        discard(STRAY, if_match, admin(), world.deps)
    assert there(world) == recorded(world) == [STRAY]
    assert "object.deletion-asked" not in whats(world.client)


def test_only_admins_delete(world: World) -> None:
    etag = strays(world, STRAY)
    with pytest.raises(Forbidden):
        discard(STRAY, etag, asker(), world.deps)
    assert there(world) == [STRAY]


def test_an_object_that_was_not_found_is_not_deleted(world: World) -> None:
    # Given an object that is there, and not recorded; and one that is told to be gone
    version = world.s3.replaces(STRAY, SMALL)
    found.forget(world.deps.store, "models/gone", "v", "1")
    for at, etag in ((STRAY, f'"{version}"'), ("models/gone", '"v"')):
        with pytest.raises(ObjectMissing):
            discard(at, etag, admin(), world.deps)
    assert there(world) == [STRAY]


def test_the_object_of_a_file_stays(world: World) -> None:
    # Given an object that was recorded before it became a file's
    world.pushed(SMALL)
    version = world.s3.only(key(SMALL)).version_id
    found.record(world.deps.store, key(SMALL), version, len(SMALL))
    with pytest.raises(NotAvailable):
        discard(key(SMALL), f'"{version}"', admin(), world.deps)
    assert world.s3.only(key(SMALL)).version_id == version


def test_an_object_that_may_become_a_file_stays(world: World, time: Time) -> None:
    # Given a commit that died once S3 had made the object
    upload, told = world.sent(SMALL)
    line = Line()
    before = everything(world.client, ""), copy.deepcopy((world.s3.objects, world.s3.multiparts))
    world.commits(upload, told, world.process(line))
    restore(before[0])
    world.s3.objects, world.s3.multiparts = before[1]
    dies = Line(at=line.made.index("complete_multipart_upload"), fault="dies after")
    with suppress(Died):
        world.commits(upload, told, world.process(dies))
    version = world.s3.only(key(SMALL)).version_id
    found.record(world.deps.store, key(SMALL), version, len(SMALL))
    # When an admin would delete it / Then they are told to wait, and the sweep makes it the file
    with pytest.raises(CommitUnderWay):
        discard(key(SMALL), f'"{version}"', admin(), world.deps)
    time.pass_by(LEASE.total_seconds() + 1)
    swept(world)
    assert (world.file().state, recorded(world)) == (State.SCANNING, [])


@pytest.mark.parametrize("at", [STRAY, key(SMALL)])
@pytest.mark.parametrize("by", ["asked again", "the sweep"])
def test_a_deletion_that_breaks_at_any_call_can_be_finished_and_is_in_nobodys_way(
    world: World, time: Time, at: str, by: str
) -> None:
    # Given a deletion, and every call that it makes
    etag = strays(world, at)
    before, objects = everything(world.client, ""), copy.deepcopy(world.s3.objects)
    line = Line()
    discard(at, etag, admin(), world.process(line))
    for number in range(len(line.made)):
        for fault in DEATHS:
            restore(before)
            world.s3.objects, world.s3.multiparts = copy.deepcopy(objects), {}
            # When one of them breaks
            with suppress(Died, WeirError):
                discard(at, etag, admin(), world.process(Line(at=number, fault=fault)))
            # and it is asked for again, or the sweep comes twice
            if by == "asked again":
                with suppress(ObjectMissing):
                    discard(at, etag, admin(), world.deps)
                assert there(world) == [], (number, fault)
            swept(world)
            swept(world)
            # Then the list tells what is there, no bytes are going for good, and what is gone was told of
            assert recorded(world) == there(world), (number, fault)
            assert world.rows()[2] == [], (number, fault)
            assert there(world) or "object.deletion-asked" in whats(world.client), (number, fault)


def test_a_commit_that_shares_the_object_meanwhile_has_it_or_none(world: World) -> None:
    # Given bytes that have arrived, an object of nobody's of the same parts, and its deletion
    upload, told = world.sent(SMALL)
    version = world.s3.replaces(key(SMALL), SMALL)
    found.record(world.deps.store, key(SMALL), version, len(SMALL))
    before = everything(world.client, ""), copy.deepcopy((world.s3.objects, world.s3.multiparts))
    line = Line()
    discard(key(SMALL), f'"{version}"', admin(), world.process(line))
    outcomes = set()
    for number, call in enumerate(line.made):
        restore(before[0])
        world.s3.objects, world.s3.multiparts = copy.deepcopy(before[1])

        def commits() -> None:
            try:
                world.commits(upload, told)
            except (CommitUnderWay, UploadEnded):
                outcomes.add("not now")
            else:
                outcomes.add("committed")

        # When a commit of the same bytes comes between any two of its calls
        try:
            discard(key(SMALL), f'"{version}"', admin(), world.process(Line(at=number, between=commits)))
        except NotAvailable:
            outcomes.add("kept")
        # Then a file that says it has an object has it
        file = world.deps.store.file(NAME, "1.0.0", "model.safetensors")
        assert file is not None
        if file.object_version is not None:
            assert [one.version_id for one in world.s3.objects[key(SMALL)]] == [file.object_version], call
    assert outcomes == {"committed", "not now", "kept"}
