"""Downloads: who gets a URL, of what, for how long, and what the audit tells of it."""

from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.unit.packages.fake_table import FakeTable
from tests.unit.packages.filing import NAME, PATH, SMALL, VERSION, World, key, of, sha256
from tests.unit.packages.registry import ANN, BOB, Time, admin, asker, everything
from weir.packages.downloading import Download, disposition, download
from weir.packages.errors import FileNotFound, NotAvailable, PackageNotFound, VersionNotFound
from weir.packages.items import file_item, version_item
from weir.packages.models import State
from weir.runtime.audit import Asker

OTHER = b"other bytes, past Weir"


def available(**of_package: object) -> World:
    """A package with a version that is served."""
    world = World(FakeTable(), Time())
    world.register(**of_package)  # type: ignore[arg-type]
    world.pushed(SMALL)
    store = world.deps.store
    store.table.put(file_item(replace(world.file(), state=State.AVAILABLE, verified_sha256=sha256(SMALL))))
    store.table.put(version_item(replace(world.version(), state=State.AVAILABLE, verified=1)))
    return world


@pytest.fixture
def world() -> World:
    return available()


def gets(world: World, path: str = PATH, seconds: int = 300, who: Asker | None = None) -> Download:
    return download(NAME, VERSION, path, seconds, who or asker(BOB), world.deps)


def refuses(world: World, error: type[Exception], path: str = PATH, who: Asker | None = None) -> None:
    with pytest.raises(error):
        gets(world, path, who=who)
    assert world.told("file.download-issued") == 0
    assert not [url for url, (operation, *_) in world.s3.signed.items() if operation == "get_object"]


def test_a_download_is_two_reads_and_an_entry_of_the_audit(world: World) -> None:
    # When somebody asks for a file
    world.client.called.clear()
    world.s3.called.clear()
    given = gets(world)
    # Then that took two reads and one write, and no call of S3's
    assert world.client.called == ["batch_get_item", "get_item", "put_item"]
    assert world.s3.called == []
    # and they get these bytes, and what they must be
    assert world.s3.get(given.url) == (200, SMALL)
    assert (given.expires_in, given.file.declared.sha256, given.yanked) == (300, sha256(SMALL), None)
    # and the audit tells who it was, and of what
    (entry,) = [one for one in everything(world.client, "AUDIT#") if one["what"] == "file.download-issued"]  # type: ignore[arg-type]
    assert (entry["who"], entry["version"]) == (BOB, VERSION)
    assert entry["detail"] == {"file": PATH, "object_version": given.object_version, "seconds": "300"}


@pytest.mark.parametrize(
    ("asked", "given"), [(-5, 1), (0, 1), (1, 1), (300, 300), (900, 900), (901, 900), (10**9, 900)]
)
def test_a_url_lives_for_1_to_900_seconds(world: World, asked: int, given: int) -> None:
    issued = gets(world, seconds=asked)
    assert issued.expires_in == given
    assert parse_qs(urlsplit(issued.url).query)["X-Amz-Expires"] == [str(given)]
    # and may be used again and again until then, and not after
    assert world.s3.get(issued.url, after=given)[0] == world.s3.get(issued.url)[0] == 200
    assert world.s3.get(issued.url, after=given + 1)[0] == 403


def test_a_url_is_of_one_version_of_the_object(world: World) -> None:
    # Given other bytes that somebody has stored under the same key since, past Weir
    world.s3.replaces(key(SMALL), OTHER)
    # When the file is asked for / Then it is the one that was verified
    given = gets(world)
    assert world.s3.get(given.url) == (200, SMALL)
    assert parse_qs(urlsplit(given.url).query)["versionId"] == [given.object_version]


def test_a_file_is_saved_under_its_own_name_and_type(world: World) -> None:
    query = parse_qs(urlsplit(gets(world).url).query)
    told = "attachment; filename=\"model.safetensors\"; filename*=UTF-8''model.safetensors"
    assert query["response-content-disposition"] == [told]
    assert query["response-content-type"] == ["application/octet-stream"]


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("a/b c.bin", "attachment; filename=\"b c.bin\"; filename*=UTF-8''b%20c.bin"),
        (
            "модель.bin",
            "attachment; filename=\"______.bin\"; filename*=UTF-8''" + "%D0%BC%D0%BE%D0%B4%D0%B5%D0%BB%D1%8C.bin",
        ),
        ('x"; evil=".exe', "attachment; filename=\"x__ evil__.exe\"; filename*=UTF-8''x%22%3B%20evil%3D%22.exe"),
        ("x\r\nSet-Cookie: a", "attachment; filename=\"x__Set-Cookie_ a\"; filename*=UTF-8''x%0D%0ASet-Cookie%3A%20a"),
        ("../../etc/passwd", "attachment; filename=\"passwd\"; filename*=UTF-8''passwd"),
        ("a/%2e%2e", "attachment; filename=\"_2e_2e\"; filename*=UTF-8''%252e%252e"),
    ],
)
def test_no_name_breaks_out_of_its_header(path: str, told: str) -> None:
    assert disposition(path) == told
    assert told.isascii()


@pytest.mark.parametrize(
    "state", [State.INITIATED, State.UPLOADING, State.COMMITTING, State.SCANNING, State.QUARANTINED, State.REJECTED]
)
def test_only_what_is_available_is_served(world: World, state: State) -> None:
    # Given a file in another state, in a version that would be served / Then not
    world.deps.store.table.put(file_item(replace(world.file(), state=state)))
    refuses(world, NotAvailable)
    refuses(world, NotAvailable, who=admin())
    # Given a version in another state, with a file that would be served / Then not
    world.deps.store.table.put(file_item(replace(world.file(), state=State.AVAILABLE)))
    world.deps.store.table.put(version_item(replace(world.version(), state=state)))
    refuses(world, NotAvailable)


def test_a_file_that_was_never_sent_is_not_available() -> None:
    world = World(FakeTable(), Time())
    world.register(of(SMALL))
    refuses(world, NotAvailable)


def test_a_yanked_version_is_served_to_who_names_it_and_says_so(world: World) -> None:
    world.deps.store.table.put(version_item(replace(world.version(), yanked="wrong tokenizer")))
    assert gets(world).yanked == "wrong tokenizer"


def test_what_is_not_there_is_not_found(world: World) -> None:
    for path in ("none.bin", "../model.safetensors", "/model.safetensors", "model.safetensors/", "MODEL.safetensors"):
        refuses(world, FileNotFound, path)
    for version in ("9.9.9", "latest", "1.0", "../1.0.0", ""):
        with pytest.raises(VersionNotFound):
            download(NAME, version, PATH, 300, asker(), world.deps)
    with pytest.raises(PackageNotFound):
        download("nowhere", VERSION, PATH, 300, asker(), world.deps)


def test_a_restricted_package_is_its_groups_alone() -> None:
    # Given a package for one group
    world = available(sensitivity="restricted", allowed_groups=("research",))
    # Then others don't know of it
    refuses(world, PackageNotFound)
    refuses(world, PackageNotFound, who=asker(BOB, groups=("sales", "Research", "researc")))
    # and its members, its owner and admins get it
    for who in (asker(BOB, groups=("sales", "research")), asker(ANN), admin()):
        assert gets(world, who=who).url


def test_an_internal_package_with_groups_is_theirs() -> None:
    world = available(allowed_groups=("research",))
    refuses(world, PackageNotFound)
    assert gets(world, who=asker(BOB, groups=("research",))).url


def test_nothing_is_given_out_that_the_audit_does_not_tell_of(world: World) -> None:
    # Given an audit that can't be written
    def broken(*given: object) -> None:
        raise RuntimeError("DynamoDB is away")

    world.deps.store.table.put = broken  # type: ignore[method-assign, assignment]
    # When asked for / Then there is no URL
    with pytest.raises(RuntimeError):
        gets(world)
    assert not [url for url, (operation, *_) in world.s3.signed.items() if operation == "get_object"]
