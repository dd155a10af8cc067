"""Aborting: until nothing is left, once, and never a file."""

from dataclasses import replace

import pytest

from tests.unit.packages.fake_table import FakeTable
from tests.unit.packages.filing import NAME, SMALL, VERSION, World, key
from tests.unit.packages.registry import BOB, Time, asker
from weir.packages.aborting import abort_upload
from weir.packages.committing import LEASE, Outcome, recover
from weir.packages.ending import ROUNDS
from weir.packages.errors import CommitUnderWay, NotAvailable, NotTheOwner, UploadEnded, UploadNotFound
from weir.packages.items import upload_item
from weir.packages.models import State, Upload, UploadState
from weir.runtime.errors import Unavailable


@pytest.fixture
def world() -> World:
    made = World(FakeTable(), Time())
    made.register()
    return made


def aborts(world: World, upload: Upload) -> None:
    abort_upload(NAME, VERSION, upload.upload_id, asker(), world.deps)


def test_nothing_is_left_of_an_upload_that_is_aborted(world: World) -> None:
    upload, told = world.sent(SMALL)
    aborts(world, upload)
    assert (world.s3.multiparts, world.s3.objects) == ({}, {})
    assert (world.upload(upload).state, world.file().state, world.file().upload_id) == (
        UploadState.ABORTED,
        State.INITIATED,
        None,
    )
    # and again, it is gone still
    aborts(world, upload)
    assert world.told("upload.aborted") == 1
    # and can't be committed
    with pytest.raises(UploadEnded):
        world.commits(upload, told)
    # and the file can be sent anew
    assert world.pushed(SMALL).file.state is State.SCANNING


def test_parts_that_were_under_way_are_aborted_too(world: World) -> None:
    # Given parts that arrive after the abort, one after the other
    upload, _ = world.sent(SMALL)
    world.s3.multiparts[upload.s3_upload_id].under_way = [(1, SMALL), (1, SMALL)]
    # When aborted / Then S3 is asked until it has none
    aborts(world, upload)
    assert world.s3.multiparts == {}
    assert world.s3.called.count("abort_multipart_upload") == 3
    assert world.upload(upload).state is UploadState.ABORTED


def test_parts_that_keep_arriving_are_left_to_the_sweep(world: World) -> None:
    # Given more parts under way than one is patient for
    upload, told = world.sent(SMALL)
    world.s3.multiparts[upload.s3_upload_id].under_way = [(1, SMALL)] * (ROUNDS + 1)
    # When aborted / Then 503, and from here on nobody commits it or opens it
    with pytest.raises(Unavailable):
        aborts(world, upload)
    assert world.upload(upload).state is UploadState.ABORTING
    with pytest.raises((UploadEnded, Unavailable)):
        world.commits(upload, told)
    # When the sweep comes / Then it is gone
    assert recover(upload.upload_id, world.deps) is Outcome.ABORTED
    assert world.s3.multiparts == {}


def test_a_file_that_was_committed_stays(world: World) -> None:
    upload, told = world.sent(SMALL)
    world.commits(upload, told)
    with pytest.raises(NotAvailable):
        aborts(world, upload)
    assert world.s3.only(key(SMALL)).body == SMALL
    assert world.file().state is State.SCANNING


def test_what_is_being_committed_is_aborted_after_its_lease(world: World) -> None:
    upload, _ = world.sent(SMALL)
    until = world.time.clock.now() + LEASE
    world.deps.store.table.put(
        upload_item(replace(world.upload(upload), state=UploadState.COMMITTING, lease_until=until))
    )
    with pytest.raises(CommitUnderWay):
        aborts(world, upload)
    world.time.pass_by(LEASE.total_seconds() + 1)
    aborts(world, upload)
    assert (world.upload(upload).state, world.s3.multiparts) == (UploadState.ABORTED, {})


def test_a_completion_that_came_before_the_abort_is_a_file(world: World) -> None:
    # Given a commit that died once S3 had made the object, and a sweep that had taken it for dead before
    upload, _ = world.sent(SMALL)
    parts = world.deps.bucket.all_parts(upload.key, upload.s3_upload_id)
    world.deps.bucket.complete(upload.key, upload.s3_upload_id, parts, len(SMALL))
    assert world.upload(upload).state is UploadState.OPEN
    # When aborted / Then it is told that the file is there
    with pytest.raises(NotAvailable):
        aborts(world, upload)
    assert (world.upload(upload).state, world.version().committed) == (UploadState.COMMITTED, 1)


def test_only_the_owner_may_abort(world: World) -> None:
    upload, _ = world.sent(SMALL)
    with pytest.raises(NotTheOwner):
        abort_upload(NAME, VERSION, upload.upload_id, asker(BOB), world.deps)
    with pytest.raises(UploadNotFound):
        abort_upload(NAME, VERSION, "0" * 32, asker(), world.deps)
    assert world.upload(upload).state is UploadState.OPEN
