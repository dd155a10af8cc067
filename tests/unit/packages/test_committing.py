"""Committing: parts that fit and parts that don't, the same again, bytes that are there, and other bytes."""

from dataclasses import replace

import pytest

from tests.unit.packages.fake_bucket import MIB, checksum
from tests.unit.packages.fake_table import FakeTable
from tests.unit.packages.filing import PATH, SMALL, VERSION, World, key, of, piece, sha256
from tests.unit.packages.registry import BOB, Time, admin, asker
from weir.packages.bucket import Interfered, ObjectThere, Part
from weir.packages.committing import LEASE, MOST_ERRORS, Told, commit, composite, fitting_parts
from weir.packages.errors import (
    CommitUnderWay,
    FileExists,
    NotTheOwner,
    PackageNotFound,
    PartsWrong,
    UploadEnded,
    UploadNotFound,
)
from weir.packages.items import blob_item, upload_item
from weir.packages.models import Blob, Declared, State, Upload, UploadState
from weir.packages.opening import OPEN_FOR
from weir.packages.parts import part_count, part_range, part_size

LARGE = b"1" * 8 * MIB + b"2" * 8 * MIB + b"and a little"
"""Three parts: twice 8 MiB, and 12 bytes."""


@pytest.fixture
def world() -> World:
    made = World(FakeTable(), Time())
    made.register()
    return made


def refused(world: World, upload: Upload, told: list[Told]) -> PartsWrong:
    """A commit that is refused, and leaves everything as it was."""
    before = world.rows()
    with pytest.raises(PartsWrong) as caught:
        world.commits(upload, told)
    assert world.upload(upload) == upload
    assert world.rows() == before
    assert world.s3.objects == {}
    return caught.value


def test_the_parts_become_the_file(world: World) -> None:
    # Given a file of three parts that have arrived
    upload, told = world.sent(LARGE)
    assert upload.parts == len(told) == 3
    # When committed
    kept = world.commits(upload, told)
    # Then the version's file is that object, to be scanned, and the audit tells who did it
    stored = world.s3.only(key(LARGE))
    assert stored.body == LARGE
    assert (kept.file.state, kept.file.object_version) == (State.SCANNING, stored.version_id)
    assert kept.file.verified_sha256 is None
    assert (kept.version.state, kept.version.committed) == (State.SCANNING, 1)
    assert (world.file().state, world.version().state) == (State.SCANNING, State.SCANNING)
    assert world.blob(LARGE) == Blob(
        "bert-base", sha256(LARGE), len(LARGE), key(LARGE), stored.version_id, verified=False, references=1
    )
    assert world.told("upload.committed") == 1
    assert world.s3.multiparts == {}


def test_the_same_commit_again_is_answered_the_same(world: World) -> None:
    upload, told = world.sent(SMALL)
    first = world.commits(upload, told)
    again = world.commits(upload, told)
    assert (again.file.object_version, again.version.committed) == (first.file.object_version, 1)
    assert world.told("upload.committed") == 1


@pytest.mark.parametrize("size", [0, 1, 5 * MIB + 1])
def test_files_of_one_part(world: World, size: int) -> None:
    # Given a file of no bytes, of one, of 5 MiB and one / When pushed / Then it is there as it was
    body = b"x" * size
    kept = world.pushed(body)
    assert world.s3.only(key(body)).body == body
    assert kept.file.declared.size == size


def test_checksums_may_be_left_to_what_s3_has_checked(world: World) -> None:
    upload, told = world.sent(SMALL)
    kept = world.commits(upload, [replace(one, sha256=None, etag=one.etag.strip('"')) for one in told])
    assert kept.file.state is State.SCANNING


# Parts that don't fit


def test_parts_that_are_missing_are_named(world: World) -> None:
    # Given three parts, of which the second has not arrived
    upload, told = world.sent(LARGE)
    del world.s3.multiparts[upload.s3_upload_id].parts[2]
    # When all three are committed / Then that one is named
    error = refused(world, upload, told)
    assert [(one.field, one.message) for one in error.errors] == [("parts.2", "has not arrived")]
    # When only two are named / Then the third is, too
    assert [one.field for one in refused(world, upload, told[:2]).errors] == ["parts.2", "parts.3"]


def test_parts_that_are_swapped_are_named(world: World) -> None:
    upload, told = world.sent(LARGE)
    error = refused(world, upload, [replace(told[0], number=2), replace(told[1], number=1), told[2]])
    assert [(one.field, one.message) for one in error.errors] == [
        ("parts.1", "arrived with another ETag: send it again"),
        ("parts.2", "arrived with another ETag: send it again"),
    ]
    # When only the order in which they are named is another / Then they fit
    assert world.commits(upload, told[::-1]).file.state is State.SCANNING
    assert world.s3.only(key(LARGE)).body == LARGE


def test_a_part_with_another_checksum_is_named(world: World) -> None:
    upload, told = world.sent(SMALL)
    error = refused(world, upload, [replace(told[0], sha256=checksum(b"other"))])
    assert [(one.field, one.message) for one in error.errors] == [
        ("parts.1", "arrived with another checksum: send it again")
    ]


def test_a_part_that_is_short_is_named(world: World) -> None:
    # Given a part that was sent past its URL, a byte short
    upload, told = world.sent(LARGE)
    short = piece(LARGE, 2)[:-1]
    part = world.deps.bucket.upload_part(upload.key, upload.s3_upload_id, 2, short, checksum(short))
    # When committed as it is / Then it is named, with both sizes
    error = refused(world, upload, [told[0], Told(2, part.etag, part.sha256), told[2]])
    assert error.errors[0] == ("parts.2", "has 8,388,607 bytes, not 8,388,608: send it again")


def test_parts_that_are_named_twice_or_are_none(world: World) -> None:
    upload, told = world.sent(SMALL)
    assert [one.field for one in refused(world, upload, [*told, *told]).errors] == ["parts"]
    error = refused(world, upload, [*told, Told(2, "etag"), Told(10_000, "etag")])
    assert [one.field for one in error.errors] == ["parts.2", "parts.10000"]


def test_ten_thousand_wrong_parts_are_counted_and_a_hundred_named() -> None:
    # Given a planned file of 5 TiB of which nothing has arrived
    size = 5 * 1024 * 1024 * MIB
    upload = planned(size)
    assert (upload.parts, upload.part_size) == (9_987, 525 * MIB)
    # When committed / Then the error has a bounded size
    with pytest.raises(PartsWrong) as caught:
        fitting_parts(upload, [Told(number, "e") for number in range(1, upload.parts + 1)], [])
    assert (len(caught.value.errors), caught.value.members["wrong"]) == (MOST_ERRORS, upload.parts)


def test_a_planned_file_of_5_tib_fits_to_the_byte() -> None:
    # Given all parts of a file of 5 TiB, as numbers
    size = 5 * 1024 * 1024 * MIB
    upload = planned(size)
    arrived = [Part(n, f"e{n}", part_range(size, n)[1], checksum(b"")) for n in range(1, upload.parts + 1)]
    told = [Told(one.number, one.etag) for one in reversed(arrived)]
    # When looked at / Then they are all of it, in order, within S3's limits
    fitting = fitting_parts(upload, told, arrived)
    assert [one.number for one in fitting] == list(range(1, upload.parts + 1))
    assert sum(one.size for one in fitting) == size
    assert max(one.size for one in fitting) <= 5 * 1024 * MIB
    assert min(one.size for one in fitting[:-1]) >= 5 * MIB
    assert upload.parts <= 10_000


def planned(size: int) -> Upload:
    time = Time()
    return Upload(
        upload_id="0" * 32,
        name="bert-base",
        version=VERSION,
        declared=Declared(PATH, size, "0" * 64),
        key="key",
        s3_upload_id="s3",
        part_size=part_size(size),
        parts=part_count(size),
        owner="ann",
        created_at=time.clock.now(),
        expires_at=time.clock.now(),
    )


def test_what_s3_itself_refuses_leaves_the_upload_open(world: World) -> None:
    # Given a part that is sent anew between our look and S3's
    upload, told = world.sent(SMALL)

    def meanwhile(operation: str, request: object) -> None:
        if operation == "complete_multipart_upload":
            other = b"!" * len(SMALL)
            world.s3.before = lambda operation, request: None
            world.deps.bucket.upload_part(upload.key, upload.s3_upload_id, 1, other, checksum(other))

    world.s3.before = meanwhile
    # When committed / Then it is refused, and nothing else has changed
    with pytest.raises(PartsWrong):
        world.commits(upload, told)
    assert (world.upload(upload).state, world.file().state) == (UploadState.OPEN, State.UPLOADING)
    assert world.upload(upload).lease_until is None
    # When the part is sent right, and committed again / Then it is done
    assert world.commits(upload, world.sends(upload, SMALL)).file.state is State.SCANNING


# Others, and other times


def test_a_live_lease_keeps_others_out_and_a_passed_one_does_not(world: World) -> None:
    # Given an upload that somebody is committing
    upload, told = world.sent(SMALL)
    leased = replace(world.upload(upload), state=UploadState.COMMITTING, lease_until=world.time.clock.now() + LEASE)
    world.deps.store.table.put(upload_item(leased))
    # When committed within the lease / Then 409, to ask again
    with pytest.raises(CommitUnderWay) as caught:
        world.commits(upload, told)
    assert caught.value.retry_after is not None
    # When committed after it / Then it is done
    world.time.pass_by(LEASE.total_seconds() + 1)
    assert world.commits(upload, told).file.state is State.SCANNING


def test_an_expired_upload_is_ended(world: World) -> None:
    # Given an upload whose time has passed
    upload, told = world.sent(SMALL)
    world.time.pass_by(OPEN_FOR.total_seconds())
    # When committed / Then it has ended, and no parts of it are left
    with pytest.raises(UploadEnded):
        world.commits(upload, told)
    assert (world.upload(upload).state, world.s3.multiparts) == (UploadState.ABORTED, {})
    assert world.told("upload.expired") == 1
    # and the file can be sent anew
    assert world.pushed(SMALL).file.state is State.SCANNING


def test_only_the_owner_and_admins_may_commit(world: World) -> None:
    upload, told = world.sent(SMALL)
    with pytest.raises(NotTheOwner):
        commit("bert-base", VERSION, upload.upload_id, told, asker(BOB), world.deps)
    with pytest.raises(UploadNotFound):
        commit("bert-base", VERSION, "f" * 32, told, asker(), world.deps)
    world.another_version("2.0.0")
    with pytest.raises(UploadNotFound):
        commit("bert-base", "2.0.0", upload.upload_id, told, asker(), world.deps)
    with pytest.raises(PackageNotFound):
        commit("nowhere", VERSION, upload.upload_id, told, asker(), world.deps)
    commit("Bert_Base", VERSION, upload.upload_id, told, admin(), world.deps)
    assert world.version().committed == 1


# Bytes that are there


def test_the_same_bytes_in_another_version_share_one_object(world: World) -> None:
    # Given two versions with the same bytes, both being sent
    world.another_version("2.0.0")
    first, second = world.sent(LARGE), world.sent(LARGE, text="2.0.0")
    # When both are committed
    world.commits(*first)
    kept = world.commits(*second)
    # Then there is one object, counted twice, and no parts are left
    assert kept.file.object_version == world.s3.only(key(LARGE)).version_id
    blob = world.blob(LARGE)
    assert blob is not None
    assert blob.references == 2
    assert world.s3.multiparts == {}


def test_bytes_that_were_verified_meanwhile_are_available_at_once(world: World) -> None:
    # Given two versions with the same bytes, of which the first was verified while the second was sent
    world.another_version("2.0.0")
    first, second = world.sent(SMALL), world.sent(SMALL, text="2.0.0")
    world.commits(*first)
    blob = world.blob(SMALL)
    assert blob is not None
    world.deps.store.table.put(
        blob_item(replace(blob, verified=True, content="safetensors", findings=({"what": "seen"},)))
    )
    # When the second is committed / Then it is served, with what was found, and is the package's latest
    kept = world.commits(*second)
    assert (kept.file.state, kept.version.state) == (State.AVAILABLE, State.AVAILABLE)
    assert (kept.file.verified_sha256, kept.file.findings) == (sha256(SMALL), ({"what": "seen"},))
    package = world.deps.store.package("bert-base")
    assert package is not None
    assert package.latest == "2.0.0"
    assert world.told("version.available") == 1


def test_a_blob_whose_object_is_gone_is_told_anew(world: World) -> None:
    # Given bytes that turned out to be others: their object was deleted, what is told of it not yet
    world.another_version("2.0.0")
    world.pushed(SMALL)
    world.s3.objects.clear()
    # When the right bytes come / Then they are told of as they are, and are to be verified
    kept = world.pushed(SMALL, text="2.0.0")
    blob = world.blob(SMALL)
    assert blob is not None
    assert (blob.object_version, blob.references) == (world.s3.only(key(SMALL)).version_id, 1)
    assert kept.file.state is State.SCANNING


@pytest.mark.parametrize("other", [b"?" * len(SMALL), b"short"])
def test_other_bytes_under_the_same_checksum_are_a_conflict(world: World, other: bytes) -> None:
    # Given an object that is not what its key tells, and an honest upload of these bytes
    upload, told = world.sent(SMALL)
    world.s3.replaces(key(SMALL), other)
    if len(other) == len(SMALL):
        world.s3.only(key(SMALL)).checksum = "AAAA-1"
    # When committed / Then 409, the upload stays open, its parts stay
    with pytest.raises(FileExists) as caught:
        world.commits(upload, told)
    assert caught.value.retry_after == 60
    assert (world.upload(upload).state, world.version().committed) == (UploadState.OPEN, 0)
    # When the scan has removed the other one / Then the same commit is done
    world.s3.objects.clear()
    assert world.commits(upload, told).file.state is State.SCANNING


def test_s3s_word_that_something_interfered_ends_the_upload_unless_it_made_the_object(world: World) -> None:
    # Given S3, which answers that something else happened to the key
    upload, told = world.sent(SMALL)
    complete = world.deps.bucket.complete

    def interfered(*given: object) -> None:
        raise Interfered("as S3 says")

    world.deps.bucket.complete = interfered  # type: ignore[method-assign]
    # When committed / Then the upload has ended, as S3 asks for a new one, and nothing is left of it
    with pytest.raises(UploadEnded):
        world.commits(upload, told)
    assert (world.upload(upload).state, world.s3.multiparts) == (UploadState.ABORTED, {})
    # Given that what interfered was an earlier try of the same commit
    upload, told = world.sent(SMALL)

    def done_before(*given: object) -> None:
        complete(*given)  # type: ignore[arg-type]
        raise Interfered("as S3 says")

    world.deps.bucket.complete = done_before  # type: ignore[method-assign]
    # When committed / Then it is the file
    assert world.commits(upload, told).file.state is State.SCANNING


def test_an_object_that_is_gone_before_it_is_looked_at_ends_the_upload(world: World) -> None:
    upload, told = world.sent(SMALL)

    def there(*given: object) -> None:
        raise ObjectThere("as S3 says")

    world.deps.bucket.complete = there  # type: ignore[method-assign]
    with pytest.raises(UploadEnded):
        world.commits(upload, told)
    assert world.s3.multiparts == {}


def test_the_checksum_of_parts_is_s3s(world: World) -> None:
    # Given an object of three parts / When its checksum is computed from theirs / Then it is S3's
    upload, told = world.sent(LARGE)
    parts = world.deps.bucket.all_parts(upload.key, upload.s3_upload_id)
    world.commits(upload, told)
    stored = world.deps.bucket.head(key(LARGE))
    assert stored is not None
    assert composite(parts) == stored.checksum
    assert composite([replace(parts[0], sha256=None)]) is None


def test_a_version_of_many_files_is_whole_with_the_last() -> None:
    # Given a version of two files
    world = World(FakeTable(), Time())
    bodies = {"a/config.json": b"{}", "a/модель.bin": b"weights"}
    world.register(*(of(body, path) for path, body in bodies.items()))
    # When the first is committed / Then the version still waits
    world.pushed(bodies["a/config.json"], "a/config.json")
    assert (world.version().state, world.version().committed) == (State.UPLOADING, 1)
    # When the second is / Then all of it is to be scanned
    world.pushed(bodies["a/модель.bin"], "a/модель.bin")
    assert (world.version().state, world.version().committed) == (State.SCANNING, 2)


def test_a_commit_makes_few_calls(world: World) -> None:
    # Given a file that has arrived / When committed / Then S3 is asked four times, and DynamoDB written to twice
    upload, told = world.sent(SMALL)
    world.client.called.clear()
    world.s3.called.clear()
    world.commits(upload, told)
    assert world.s3.called == ["list_parts", "complete_multipart_upload", "head_object", "head_object"]
    assert world.client.called.count("transact_write_items") == 2
    assert len(world.client.called) <= 10
