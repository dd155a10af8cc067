"""The manifest of a version: written once, read where paths are asked for; whatever else is done stays small."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.unit.packages import evil
from tests.unit.packages.filing import NAME, PATH, SMALL, VERSION, World, of, sha256
from tests.unit.packages.registry import Counted, Meanwhile, Time, admin, asker, caller, everything
from weir.packages import browsing
from weir.packages.contract import MOST_FILES, NewVersion
from weir.packages.deleting import delete
from weir.packages.downloading import download
from weir.packages.errors import VersionExists, VersionNotFound
from weir.packages.items import blob_item, version_item
from weir.packages.models import Declared, Manifest, State
from weir.packages.opening import Asked, open_upload
from weir.packages.registering import register
from weir.packages.scanning import scan
from weir.packages.store import Store
from weir.packages.yanking import yank
from weir.runtime.dynamodb import wire

HONEST = evil.safetensors(evil.weights((0, 4)), bytes(4))
FOREVER = 1e12
SMALL_BYTES = 2_000


@pytest.fixture
def world(client: Counted, time: Time) -> World:
    return World(client, time)


class Sizes:
    """The longest items written and read since, by how their sort keys begin: as JSON, above what DynamoDB counts."""

    def __init__(self, client: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
        self.written: dict[str, int] = {}
        self.read: dict[str, int] = {}
        for operation in ("get_item", "batch_get_item", "query", "put_item", "transact_write_items"):
            monkeypatch.setattr(client, operation, self._seen(getattr(client, operation)), raising=False)

    def _seen(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def seen(**request: Any) -> Any:
            answer = call(**request)
            puts = [one["Put"]["Item"] for one in request.get("TransactItems", ()) if "Put" in one]
            _note(self.written, [*puts, *([request["Item"]] if "Item" in request else [])])
            found = [item for items in answer.get("Responses", {}).values() for item in items]
            _note(self.read, [*found, *answer.get("Items", ()), *([answer["Item"]] if "Item" in answer else [])])
            return answer

        return seen


def _note(sizes: dict[str, int], items: list[dict[str, Any]]) -> None:
    for item in items:
        kind = item["sk"]["S"].split("#")[0]
        sizes[kind] = max(sizes.get(kind, 0), _size(item))


def _size(item: dict[str, Any]) -> int:
    return len(json.dumps(item, ensure_ascii=False, default=repr).encode())


def many(world: World) -> list[str]:
    """A version of as many files as there may be, of one of which the bytes are known; their paths."""
    paths = [f"{number:04}/{'x' * 80}.safetensors" for number in range(MOST_FILES)]
    files = [{"path": path, "size": len(HONEST), "sha256": sha256(HONEST)} for path in paths]
    register(NewVersion.model_validate({"name": NAME, "version": VERSION, "files": files}), asker(), world.deps.store)
    return paths


def manifests(client: Counted) -> list[str]:
    return [item["sk"] for item in everything(client, "PKG#") if item["sk"].startswith("M#")]


def test_no_step_of_a_file_of_many_writes_or_reads_what_all_of_them_are(
    world: World, client: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a version of a thousand files
    first, *_ = many(world)
    store = world.deps.store
    assert _size(wire(next(item for item in everything(client) if item["sk"].startswith("M#")))) > 100_000
    # When one of them is opened, sent, committed and scanned
    opening = Sizes(client, monkeypatch)
    upload = world.opens(HONEST, first)
    told = world.sends(upload, HONEST)
    assert opening.read.pop("M") > 100_000
    seen = Sizes(client, monkeypatch)
    world.commits(upload, told)
    scan(NAME, sha256(HONEST), world.deps, FOREVER)
    assert world.version().verified == 1
    # Then each step has written items of less than two kilobytes, the version's among them, and read no larger ones
    for sizes in (opening.written, opening.read, seen.written, seen.read):
        assert "V" in sizes
        assert max(sizes.values()) < SMALL_BYTES, sizes
    # And when it is opened again, listed, and downloaded, no manifest is read
    again = Sizes(client, monkeypatch)
    assert open_upload(NAME, VERSION, Asked(first, len(HONEST), sha256(HONEST)), asker(), world.deps).upload is None
    yank(store, NAME, VERSION, "no good", asker())
    (listed,) = browsing.versions(store, NAME, caller(), 10, yanked=True)[0]
    assert (listed.total, listed.size) == (MOST_FILES, MOST_FILES * len(HONEST))
    assert again.read["V"] < SMALL_BYTES
    assert "M" not in again.read


def test_a_download_reads_two_small_items(world: World, client: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a version of a thousand files that is served
    paths = many(world)
    world.pushed(HONEST, paths[0])
    scan(NAME, sha256(HONEST), world.deps, FOREVER)
    whole = replace(world.version(), committed=MOST_FILES, verified=MOST_FILES, state=State.AVAILABLE)
    world.deps.store.table.put(version_item(whole))
    # When a file is asked for
    sizes = Sizes(client, monkeypatch)
    client.called.clear()
    download(NAME, VERSION, paths[0], 300, asker(), world.deps)
    # Then that was two reads, of small items, and an entry of the audit
    assert client.called == ["batch_get_item", "get_item", "put_item"]
    assert set(sizes.read) == {"PKG", "V", "F"}
    assert max(sizes.read.values()) < SMALL_BYTES


def test_a_version_that_takes_its_first_file_has_it_for_its_manifest(world: World, client: Counted) -> None:
    # Given versions without files, and bytes that are verified
    world.another_version("0.9.0", of(HONEST))
    world.pushed(HONEST, text="0.9.0")
    scan(NAME, sha256(HONEST), world.deps, FOREVER)
    world.another_version("1.0.0")
    world.another_version("1.1.0")
    assert (world.manifest("1.0.0"), len(manifests(client))) == ((), 1)
    # When one is sent a file, and one takes over what is there
    world.opens(SMALL, text="1.0.0")
    open_upload(NAME, "1.1.0", Asked("w.safetensors", len(HONEST), sha256(HONEST)), asker(), world.deps)
    # Then that is all they declare
    assert world.manifest("1.0.0") == (of(SMALL),)
    assert world.manifest("1.1.0") == (of(HONEST, "w.safetensors"),)
    assert (world.version("1.0.0").total, world.version("1.0.0").size) == (1, len(SMALL))
    assert world.version("1.1.0").state is State.AVAILABLE


@pytest.mark.parametrize("present", [False, True])
def test_of_two_first_files_at_once_one_is_the_versions(world: World, client: Counted, present: bool) -> None:
    # Given a version without files, and another first file that comes between reading and writing of one
    world.another_version("0.9.0", of(SMALL))
    world.pushed(SMALL, text="0.9.0")
    if present:
        known = world.blob(SMALL)
        assert known is not None
        world.deps.store.table.put({**blob_item(known), "verified": True, "content": "safetensors"})
    world.another_version("1.0.0")
    Meanwhile(client, "transact_write_items", lambda: world.opens(HONEST, "first.safetensors"))
    # When it is written / Then it is refused, and the other is the only one
    with pytest.raises(VersionExists):
        open_upload(NAME, VERSION, Asked(PATH, len(SMALL), sha256(SMALL)), asker(), world.deps)
    assert world.manifest() == (of(HONEST, "first.safetensors"),)


def test_a_manifest_goes_with_its_version(world: World, client: Counted) -> None:
    # Given a version that somebody has read
    many(world)
    before = world.version()
    # When it is deleted / Then its manifest is gone, and who goes on to read it is told so
    assert delete(NAME, VERSION, admin(), world.deps)
    assert manifests(client) == []
    with pytest.raises(VersionNotFound):
        world.deps.store.manifest(before)
    # And of what is left no manifest is read
    assert world.deps.store.manifest(world.version()) == Manifest()


def test_a_manifest_tells_what_it_holds(store: Store) -> None:
    files = (Declared("a", 1, "0" * 64), Declared("b", 2, "1" * 64))
    manifest = Manifest(files)
    assert (manifest.total, manifest.size, manifest.declared("b"), manifest.declared("c")) == (2, 3, files[1], None)
