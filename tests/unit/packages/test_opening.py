"""Opening uploads, URLs of parts, and what has arrived."""

from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.unit.packages.fake_bucket import MIB, checksum
from tests.unit.packages.fake_table import FakeTable
from tests.unit.packages.filing import NAME, PATH, SMALL, VERSION, World, key, of, piece, sha256
from tests.unit.packages.registry import BOB, Time, admin, asker
from weir.packages.errors import (
    CommitUnderWay,
    FileExists,
    NotAvailable,
    NotTheOwner,
    PackageNotFound,
    UploadEnded,
    UploadNotFound,
    VersionExists,
    VersionNotFound,
)
from weir.packages.items import blob_item, file_item, upload_item, version_item
from weir.packages.models import State, UploadState
from weir.packages.opening import OPEN_FOR, Asked, Opened, arrived, open_upload, part_urls
from weir.runtime.errors import Invalid, NotFound, WeirError

LARGE = b"1" * 8 * MIB + b"and a little"


@pytest.fixture
def world() -> World:
    made = World(FakeTable(), Time())
    made.register(of(SMALL), of(LARGE, "b/ω.bin"))
    return made


def opens(world: World, body: bytes = SMALL, path: str = PATH, **changes: object) -> Opened:
    asked = replace(Asked(path, len(body), sha256(body)), **changes)  # type: ignore[arg-type]
    return open_upload(NAME, VERSION, asked, asker(), world.deps)


def refuses(world: World, error: type[WeirError], **changes: object) -> WeirError:
    """An opening that is refused, and changes nothing."""
    rows, multiparts = world.rows(), dict(world.s3.multiparts)
    with pytest.raises(error) as caught:
        opens(world, **changes)  # type: ignore[arg-type]
    assert (world.rows(), world.s3.multiparts) == (rows, multiparts)
    return caught.value


# Opening


def test_an_upload_is_opened_at_s3_and_told_of(world: World) -> None:
    # When the upload of a declared file is opened
    opened = opens(world, LARGE, "b/ω.bin")
    # Then S3 has begun one under the bytes' key, with the upload's id on it
    upload = opened.upload
    assert upload is not None
    assert opened.is_new
    multipart = world.s3.multiparts[upload.s3_upload_id]
    assert (multipart.key, multipart.metadata) == (key(LARGE), {"weir-upload": upload.upload_id})
    # and its size of parts follows from its size, its end from now
    assert (upload.part_size, upload.parts) == (8 * MIB, 2)
    assert upload.expires_at == world.time.clock.now() + OPEN_FOR
    # and file and version are UPLOADING
    assert (world.file("b/ω.bin").state, world.version().state) == (State.UPLOADING, State.UPLOADING)
    assert world.told("upload.opened") == 1


def test_the_same_opening_again_is_the_same_upload(world: World) -> None:
    first, again = opens(world), opens(world)
    assert first.upload is not None
    assert again == Opened(world.file(), first.upload)
    assert len(world.s3.multiparts) == world.told("upload.opened") == 1


def test_a_version_without_files_takes_the_first_for_its_only_one() -> None:
    # Given a version that has declared no files
    world = World(FakeTable(), Time())
    world.register()
    # When a file is opened / Then it is the version's only one
    opens(world, content_type="application/x-weights")
    assert world.manifest() == (replace(of(SMALL), content_type="application/x-weights"),)
    # When another is / Then 409
    refuses(world, VersionExists, path="other.bin")
    refuses(world, FileExists, body=b"other bytes")


def test_other_bytes_than_declared_are_refused(world: World) -> None:
    for change in ({"sha256": "0" * 64}, {"size": len(SMALL) + 1}, {"content_type": "text/plain"}):
        assert "23 bytes" in refuses(world, FileExists, **change).detail
    refuses(world, VersionExists, path="none.bin")
    # Given an upload that is open / Then other bytes are refused as before
    opens(world)
    refuses(world, FileExists, sha256="0" * 64)


def test_a_file_that_is_there_needs_no_upload(world: World) -> None:
    # Given a file that was committed / When opened again / Then its bytes are here, scanned or not
    world.pushed(SMALL)
    again = opens(world)
    assert (again.upload, again.file.state) == (None, State.SCANNING)
    world.deps.store.table.put(file_item(replace(world.file(), state=State.AVAILABLE)))
    assert opens(world).file.state is State.AVAILABLE
    refuses(world, FileExists, sha256="0" * 64)
    assert world.s3.called.count("create_multipart_upload") == 1


def verified(world: World, body: bytes = SMALL) -> None:
    """Another version has brought these bytes, and they were verified."""
    world.another_version("0.9.0", of(body))
    world.pushed(body, text="0.9.0")
    blob = world.blob(body)
    assert blob is not None
    world.deps.store.table.put(blob_item(replace(blob, verified=True, content="safetensors")))


def test_verified_bytes_that_the_bucket_has_lost_are_sent_again(world: World) -> None:
    # Given verified bytes whose object somebody has deleted
    verified(world)
    world.s3.objects.clear()
    # When another version's file has the same / Then they are to be sent, and it is that object which is scanned
    opened = opens(world)
    assert opened.upload is not None
    kept = world.commits(opened.upload, world.sends(opened.upload, SMALL))
    stored, blob = world.s3.only(key(SMALL)), world.blob(SMALL)
    assert blob is not None
    assert (kept.file.state, kept.file.object_version) == (State.SCANNING, stored.version_id)
    assert (blob.object_version, blob.verified, blob.references) == (stored.version_id, False, 1)
    # And once it is verified, the next one is not to be sent
    world.deps.store.table.put(blob_item(replace(blob, verified=True, content="safetensors")))
    world.another_version("3.0.0", of(SMALL))
    asked = Asked(PATH, len(SMALL), sha256(SMALL))
    assert open_upload(NAME, "3.0.0", asked, asker(), world.deps).upload is None


def test_verified_bytes_are_taken_over_without_an_upload(world: World) -> None:
    # Given bytes that the package has, verified
    verified(world)
    world.s3.called.clear()
    # When another version's file has the same / Then it is served at once, and S3 is asked whether they are there
    opened = opens(world)
    assert (opened.upload, opened.file.state, opened.is_new) == (None, State.AVAILABLE, False)
    assert opened.file.verified_sha256 == sha256(SMALL)
    assert opened.file.object_version == world.s3.only(key(SMALL)).version_id
    assert world.s3.called == ["head_object"]
    # and it is counted
    blob = world.blob(SMALL)
    assert blob is not None
    assert blob.references == 2
    assert (world.version().committed, world.version().verified) == (1, 1)
    # and again, it is the same
    assert opens(world).upload is None
    assert world.version().committed == 1


def test_the_last_file_that_is_taken_over_makes_the_version_available() -> None:
    # Given a version without files, and verified bytes
    world = World(FakeTable(), Time())
    world.register()
    verified(world)
    # When its upload is opened / Then the version is served, and the package's latest
    opens(world)
    package = world.deps.store.package(NAME)
    assert package is not None
    assert (world.version().state, package.latest) == (State.AVAILABLE, VERSION)
    assert world.told("version.available") == 1


def test_a_file_that_is_refused_for_its_name_makes_the_version_quarantined_which_the_audit_tells() -> None:
    # Given verified bytes, and a version that has them under a name which promises another format
    world = World(FakeTable(), Time())
    world.register(of(SMALL, "x.npy"))
    verified(world)
    # When its upload is opened, twice / Then the audit tells once of the file, and of the version
    assert opens(world, path="x.npy").file.state is State.QUARANTINED
    with pytest.raises(NotAvailable):
        opens(world, path="x.npy")
    assert world.version().state is State.QUARANTINED
    assert (world.told("file.quarantined"), world.told("version.quarantined")) == (1, 1)


def test_known_bytes_of_another_size_are_refused() -> None:
    world = World(FakeTable(), Time())
    world.register()
    verified(world)
    refuses(world, FileExists, size=len(SMALL) + 1)


def test_bytes_that_are_not_verified_are_sent_again(world: World) -> None:
    # Given bytes that are there and not verified, and may be others than declared
    world.another_version("0.9.0", of(SMALL))
    world.pushed(SMALL, text="0.9.0")
    # When opened / Then they are to be sent
    assert opens(world).upload is not None


@pytest.mark.parametrize("state", [State.QUARANTINED, State.REJECTED])
def test_what_was_quarantined_or_rejected_takes_no_upload(world: World, state: State) -> None:
    world.deps.store.table.put(version_item(replace(world.version(), state=state)))
    refuses(world, NotAvailable)


def test_a_file_that_was_quarantined_takes_no_upload(world: World) -> None:
    world.pushed(SMALL)
    world.deps.store.table.put(file_item(replace(world.file(), state=State.QUARANTINED)))
    refuses(world, NotAvailable)


def test_an_expired_upload_gives_way_to_another(world: World) -> None:
    # Given an upload whose time has passed
    first, _ = world.sent(SMALL)
    world.time.pass_by(OPEN_FOR.total_seconds())
    # When opened again / Then there is another, and nothing of the first is left
    opened = opens(world)
    assert opened.upload is not None
    assert opened.is_new
    assert list(world.s3.multiparts) == [opened.upload.s3_upload_id]
    assert (world.upload(first).state, world.told("upload.expired")) == (UploadState.ABORTED, 1)


def test_a_file_that_is_being_committed_is_not_opened_anew(world: World) -> None:
    upload, _ = world.sent(SMALL)
    until = world.time.clock.now().replace(minute=1)
    leased = replace(world.upload(upload), state=UploadState.COMMITTING, lease_until=until)
    world.deps.store.table.put(upload_item(leased))
    refuses(world, CommitUnderWay)
    # Given that the lease has passed / Then the upload is open again
    world.time.pass_by(61)
    assert opens(world).upload is not None
    assert world.upload(upload).state is UploadState.OPEN


def test_only_the_owner_and_admins_may_open(world: World) -> None:
    asked = Asked(PATH, len(SMALL), sha256(SMALL))
    with pytest.raises(NotTheOwner):
        open_upload(NAME, VERSION, asked, asker(BOB), world.deps)
    for version in ("9.9.9", "latest", "1.0", "..", "1.0.0%00"):
        with pytest.raises(VersionNotFound):
            open_upload(NAME, version, asked, asker(), world.deps)
    with pytest.raises(PackageNotFound):
        open_upload("nowhere", VERSION, asked, asker(), world.deps)
    assert world.s3.multiparts == {}
    assert open_upload("BERT_base", VERSION, asked, admin(), world.deps).is_new


def test_a_restricted_package_does_not_exist_for_others() -> None:
    world = World(FakeTable(), Time())
    world.register(sensitivity="restricted", allowed_groups=("research",))
    with pytest.raises(PackageNotFound):
        open_upload(NAME, VERSION, Asked(PATH, 1, "0" * 64), asker(BOB), world.deps)
    with pytest.raises(NotTheOwner):
        open_upload(NAME, VERSION, Asked(PATH, 1, "0" * 64), asker(BOB, groups=("research",)), world.deps)


def test_a_planned_file_of_5_tib_is_opened_by_numbers() -> None:
    # Given a version that declares 5 TiB / When opened / Then its parts fit into S3's limits
    world = World(FakeTable(), Time())
    world.register()
    size = 5 * 1024 * 1024 * MIB
    opened = open_upload(NAME, VERSION, Asked(PATH, size, "0" * 64), asker(), world.deps)
    assert opened.upload is not None
    assert (opened.upload.parts, opened.upload.part_size) == (9_987, 525 * MIB)
    # and the URLs of its last thousand parts tell their sizes
    numbers = range(8_988, 9_988)
    urls = part_urls(NAME, VERSION, opened.upload.upload_id, dict.fromkeys(numbers, checksum(b"")), asker(), world.deps)
    assert [one.number for one in urls] == list(numbers)
    assert {one.size for one in urls[:-1]} == {525 * MIB}
    assert 9_986 * 525 * MIB + urls[-1].size == size


# URLs of parts


def test_a_parts_url_takes_that_part_and_no_other(world: World) -> None:
    # Given URLs of both parts of a file
    upload = world.opens(LARGE, "b/ω.bin")
    sums = {number: checksum(piece(LARGE, number)) for number in (1, 2)}
    first, second = part_urls(NAME, VERSION, upload.upload_id, sums, asker(), world.deps)
    assert second.headers == {"Content-Length": "12", "x-amz-checksum-sha256": sums[2]}
    query = parse_qs(urlsplit(second.url).query)
    assert query["partNumber"] == ["2"]
    assert query["X-Amz-Expires"] == ["900"]
    assert query["X-Amz-SignedHeaders"] == ["content-length;host;x-amz-checksum-sha256"]
    put = world.s3.put
    # When other bytes are sent there, or too few, or without their checksum, or too late / Then S3 refuses
    assert put(second.url, b"other bytes!", second.headers)[:2] == (400, "BadDigest")
    assert put(second.url, b"short", second.headers)[:2] == (400, "IncompleteBody")
    assert put(second.url, piece(LARGE, 2), {"Content-Length": "12"})[0] == 403
    more = {**second.headers, "x-amz-acl": "public-read"}
    assert put(second.url, piece(LARGE, 2), more)[0] == 403
    assert put(second.url, piece(LARGE, 2), second.headers, after=901)[0] == 403
    assert world.s3.multiparts[upload.s3_upload_id].parts == {}
    # When its own are, twice, for the first answer was lost / Then they have arrived, once
    for _ in range(2):
        assert put(second.url, piece(LARGE, 2), second.headers)[0] == 200
    assert list(world.s3.multiparts[upload.s3_upload_id].parts) == [2]
    assert first.number == 1


def test_urls_may_be_asked_for_again(world: World) -> None:
    upload = world.opens(SMALL)
    sums = {1: checksum(SMALL)}
    first = part_urls(NAME, VERSION, upload.upload_id, sums, asker(), world.deps)
    world.time.pass_by(3_600)
    (again,) = part_urls(NAME, VERSION, upload.upload_id, sums, asker(), world.deps)
    assert world.s3.put(first[0].url, SMALL, again.headers)[0] == 403
    assert world.s3.put(again.url, SMALL, again.headers)[0] == 200


def test_a_url_that_is_replayed_after_the_commit_changes_nothing(world: World) -> None:
    # Given a URL of a part, and an upload that was committed within its time
    upload = world.opens(SMALL)
    (url,) = part_urls(NAME, VERSION, upload.upload_id, {1: checksum(SMALL)}, asker(), world.deps)
    world.commits(upload, world.sends(upload, SMALL))
    # When it is used again / Then S3 knows no such upload, and the object is as it was
    assert world.s3.put(url.url, SMALL, url.headers)[:2] == (404, "NoSuchUpload")
    assert world.s3.only(key(SMALL)).body == SMALL


@pytest.mark.parametrize(
    "checksums",
    [{0: checksum(b"")}, {2: checksum(b"")}, {-1: checksum(b"")}, {1: "?"}, {1: ""}, {1: "AAAA"}, {1: "ä" * 44}],
)
def test_what_is_no_part_or_checksum_gets_no_url(world: World, checksums: dict[int, str]) -> None:
    upload = world.opens(SMALL)
    with pytest.raises(Invalid) as caught:
        part_urls(NAME, VERSION, upload.upload_id, checksums, asker(), world.deps)
    assert caught.value.errors[0].field == f"checksums.{next(iter(checksums))}"


def test_uploads_that_are_not_open_get_no_urls(world: World) -> None:
    sums = {1: checksum(SMALL)}
    upload, told = world.sent(SMALL)
    with pytest.raises(NotTheOwner):
        part_urls(NAME, VERSION, upload.upload_id, sums, asker(BOB), world.deps)
    with pytest.raises(UploadNotFound):
        part_urls(NAME, VERSION, "0" * 32, sums, asker(), world.deps)
    leased = replace(world.upload(upload), state=UploadState.COMMITTING)
    world.deps.store.table.put(upload_item(leased))
    with pytest.raises(CommitUnderWay):
        part_urls(NAME, VERSION, upload.upload_id, sums, asker(), world.deps)
    world.deps.store.table.put(upload_item(replace(leased, state=UploadState.OPEN)))
    world.commits(upload, told)
    with pytest.raises(UploadEnded):
        part_urls(NAME, VERSION, upload.upload_id, sums, asker(), world.deps)
    late = world.opens(LARGE, "b/ω.bin")
    world.time.pass_by(OPEN_FOR.total_seconds())
    with pytest.raises(UploadEnded):
        part_urls(NAME, VERSION, late.upload_id, sums, asker(), world.deps)


# What has arrived


def test_what_has_arrived_is_told_page_by_page() -> None:
    # Given 2,500 parts, of which some have arrived
    world = World(FakeTable(), Time())
    world.register()
    asked = Asked(PATH, 2_500 * 8 * MIB, "0" * 64)
    upload = open_upload(NAME, VERSION, asked, asker(), world.deps).upload
    assert upload is not None
    parts = world.s3.multiparts[upload.s3_upload_id].parts
    small = world.s3  # the bytes of a part are of no matter here
    for number in range(1, 2_501, 2):
        small.upload_part(
            Bucket="packages",
            Key=upload.key,
            UploadId=upload.s3_upload_id,
            PartNumber=number,
            Body=b"",
            ChecksumSHA256=checksum(b""),
        )
    # When read in pages / Then all are told, in order, each once
    found: list[int] = []
    after: int | None = 0
    pages = 0
    while after is not None:
        told, page, after = arrived(NAME, VERSION, upload.upload_id, after, 500, asker(), world.deps)
        assert told == upload
        found += [one.number for one in page]
        pages += 1
    assert found == sorted(parts)
    assert (len(found), pages) == (1_250, 3)
    # and all at once for a commit, with S3's 1,000 a page
    assert [one.number for one in world.deps.bucket.all_parts(upload.key, upload.s3_upload_id)] == found


def test_what_has_arrived_of_an_upload_that_ended_is_how_it_ended(world: World) -> None:
    upload, told = world.sent(SMALL)
    assert [one.sha256 for one in arrived(NAME, VERSION, upload.upload_id, 0, 10, asker(), world.deps)[1]] == [
        checksum(SMALL)
    ]
    world.commits(upload, told)
    ended, parts, position = arrived(NAME, VERSION, upload.upload_id, 0, 10, asker(), world.deps)
    assert (ended.state, list(parts), position) == (UploadState.COMMITTED, [], None)


def test_an_upload_that_s3_has_lost_has_ended(world: World) -> None:
    # Given an upload that S3's lifecycle has aborted / When looked at / Then it has ended, and can be opened anew
    upload, _ = world.sent(SMALL)
    world.s3.multiparts.clear()
    assert arrived(NAME, VERSION, upload.upload_id, 0, 10, asker(), world.deps)[0].state is UploadState.ABORTED
    assert opens(world).is_new
    with pytest.raises(NotFound):
        arrived(NAME, VERSION, "0" * 32, 0, 10, asker(), world.deps)


def test_all_uploads_and_objects_are_listed_for_the_sweep(world: World) -> None:
    # Given some objects, one with two versions, and an upload that no row tells of
    world.pushed(SMALL)
    world.s3.replaces("models/found", b"past Weir")
    world.s3.replaces("models/found", b"again")
    world.deps.bucket.create_upload("packages/x/y", "text/plain", "nobody's")
    world.opens(LARGE, "b/ω.bin")
    bucket = world.deps.bucket
    # When listed a page at a time / Then all are, each once
    seen: list[tuple[str, int, bool]] = []
    after = None
    while True:
        page, after = bucket.objects(after=after, limit=1)
        seen += [(one.key, one.size, one.is_latest) for one in page]
        if after is None:
            break
    assert seen == [("models/found", 5, True), ("models/found", 9, False), (key(SMALL), len(SMALL), True)]
    begun, after = bucket.uploads("packages/", limit=1)
    more, end = bucket.uploads("packages/", after, limit=1)
    assert [one.key for one in (*begun, *more)] == [key(LARGE), "packages/x/y"]
    assert end is None
