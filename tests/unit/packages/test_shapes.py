"""What is written today is what the newest of the stored shapes say: a new field needs a fixture, or a schema."""

import base64
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from tests.unit.packages import evil
from tests.unit.packages.filing import NAME, PATH, SMALL, World, sha256
from tests.unit.packages.importing_world import COMMIT, WANTED
from tests.unit.packages.registry import Counted, Time, admin, asker, caller, everything, fill
from tests.unit.packages.test_signing import pem, signed, statement
from weir.packages import aliases, browsing, found, scans, yanking
from weir.packages.aborting import abort_upload
from weir.packages.auditing import of_package
from weir.packages.contract import NewVersion
from weir.packages.deleting import delete, unfinished
from weir.packages.errors import NameTaken
from weir.packages.hashing import Sha256
from weir.packages.imports import Failure, Import, ImportedFile, Imports
from weir.packages.judging import Verdict
from weir.packages.models import UploadState
from weir.packages.opening import Asked, open_upload
from weir.packages.registering import register
from weir.packages.rules import Count
from weir.packages.scanning import scan
from weir.packages.searching import Wanted, page
from weir.packages.shapes import SHAPES
from weir.packages.signing import key, register_key, sign, signature
from weir.packages.store import Store, stored_upload
from weir.packages.validating import validate
from weir.runtime.migrations import ShapeUnknown

STORED = Path(__file__).parents[1] / "stored" / f"packages.{SHAPES.schema}.json"
HONEST = evil.safetensors(evil.weights((0, 4)), bytes(4))
IMPORT = "20261121-9f86d081884c7d659a2f"
FOREVER = 1e12


def decoded(value: dict[str, Any]) -> Any:
    """JSON has no bytes: they are kept as ``{"base64": ...}``."""
    return base64.b64decode(value["base64"]) if set(value) == {"base64"} else value


def kept() -> dict[str, dict[str, Any]]:
    """Items as a version of this schema stores them, by what they are."""
    read: dict[str, dict[str, Any]] = json.loads(STORED.read_text(), object_hook=decoded)
    return read


def fields(items: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, set[str]]]:
    """The fields of each kind of item, and the types that they have."""
    kinds: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for item in items:
        for name, value in item.items():
            kinds[SHAPES.kind(item)][name].add(type(value).__name__)
    return {kind: dict(told) for kind, told in kinds.items()}


def registered(world: World, version: str, body: bytes, path: str = PATH, **fields: Any) -> None:
    file = {"path": path, "size": len(body), "sha256": sha256(body)}
    asked = {"name": NAME, "version": version, "files": [file], **fields}
    register(NewVersion.model_validate(asked), asker(), world.deps.store)


def publishing(world: World) -> Iterator[None]:
    """A version comes to be served, after an upload that was aborted; stops where its items are of interest."""
    store, clock = world.deps.store, world.time.clock
    registered(world, "1.0.0", HONEST, description="weights", tags=["nlp"], metadata={"license": "mit"})
    asked = Asked(PATH, len(HONEST), sha256(HONEST))
    imported = required(open_upload(NAME, "1.0.0", asked, asker(), world.deps, IMPORT).upload)
    abort_upload(NAME, "1.0.0", imported.upload_id, asker(), world.deps)
    upload, parts = world.sent(HONEST)
    yield
    world.commits(upload, parts)
    blob = world.blob(HONEST)
    assert blob is not None
    held = scans.take(store, blob)
    assert held is not None
    told = Verdict(sha256(HONEST), None, "safetensors", ())
    assert scans.save(store, replace(held, hashed=3, state=Sha256().state(), verdict=told))
    yield
    assert scans.save(store, held, release=True)
    yield
    scan(NAME, sha256(HONEST), world.deps, FOREVER)
    aliases.move(store, NAME, "production", "1.0.0", asker())
    register_key("release", pem("ed25519"), admin(), store.table, clock)
    sign(NAME, "1.0.0", signed(statement({PATH: sha256(HONEST)})), asker(), store, clock)
    validate(NAME, "1.0.0", (Count(name="some", kind="count"),), asker(), store, clock)
    yanking.yank(store, NAME, "1.0.0", "no good", asker())
    yield


def ending(world: World) -> Iterator[None]:
    """A file is quarantined, an object of nobody's comes and goes, a version is deleted while somebody commits."""
    store, clock, bad = world.deps.store, world.time.clock, evil.system()
    registered(world, "1.1.0", bad, "model.pkl")
    world.pushed(bad, "model.pkl", "1.1.0")
    scan(NAME, sha256(bad), world.deps, FOREVER)
    found.record(store, "models/a.bin", "v1", 3, "1A")
    registered(world, "1.2.0", SMALL)
    upload = world.opens(SMALL, text="1.2.0")
    lease = clock.now() + timedelta(minutes=1)
    store.table.transact([stored_upload(upload, replace(upload, state=UploadState.COMMITTING, lease_until=lease))])
    assert not delete(NAME, "1.2.0", admin(), world.deps)
    yield
    found.forget(store, "models/a.bin", "v1", "1B")
    yield


def importing(world: World) -> Iterator[None]:
    """An import is made, planned, and fails while a file is being copied."""
    clock = world.time.clock
    imports, now = Imports(world.deps.store.table, clock), clock.now()
    made = Import(IMPORT, replace(WANTED, tags=("nlp",), description="b", sensitivity="internal"), asker(), now, now)
    assert imports.add(made)
    yield
    files = [
        ImportedFile(IMPORT, 0, "model.safetensors", 9, "a" * 64, None, made.ttl),
        ImportedFile(IMPORT, 1, "config.json", 2, None, "b" * 40, made.ttl),
    ]
    plan = imports.planned(made, replace(made, commit=COMMIT, last_modified=now, files=2, size=11), files)
    imports.copying(plan, "1.0.0")
    began = imports.began(files[0], "0" * 32)
    imports.progressed(began, replace(began, next_part=2, hashed=Sha256().state()))
    yield
    imports.failed(IMPORT, Failure("CopyFiles", "CopyWrong", "other bytes"))
    yield


def lived(world: World) -> list[dict[str, Any]]:
    """Every item that is written for all that, as it is on the way and in the end."""
    lives = chain(publishing(world), ending(world), importing(world))
    return [item for _ in lives for item in everything(world.client)]


def test_what_is_written_is_what_is_told_of(client: Counted, time: Time) -> None:
    # Given a life of packages, uploads, scans, keys and imports / Then what it writes is told of, and nothing else is
    items = lived(World(client, time))
    written, told = fields(items), fields(kept().values())
    assert set(written) == set(told) == set(SHAPES.kinds)
    for kind, found_ones in written.items():
        assert found_ones == told[kind], kind
    assert {item["schema"] for item in items} == {SHAPES.schema}


READ: dict[str, Callable[[Store], Any]] = {
    "package": lambda store: store.package(NAME),
    "version": lambda store: store.version(NAME, "1.0.0"),
    "manifest": lambda store: store.manifest(required(store.version(NAME, "1.0.0"))),
    "file": lambda store: store.file(NAME, "1.0.0", PATH),
    "blob": lambda store: store.blob(NAME, sha256(HONEST)),
    "scan": lambda store: scans.take(store, required(store.blob(NAME, sha256(HONEST)))),
    "waiting": lambda store: list(scans.waiting(store, NAME)),
    "alias": lambda store: aliases.of_package(store, NAME),
    "deletion": lambda store: list(unfinished(store)),
    "signature": lambda store: signature(NAME, "1.0.0", caller(), store),
    "upload": lambda store: [required(store.upload(one["upload_id"])) for one in of_kind("upload")],
    "word": lambda store: page(store, caller(), Wanted(words=("weights",)), 10)[0],
    "tag": lambda store: page(store, caller(), Wanted(tag="nlp"), 10)[0],
    "public-key": lambda store: [key(one["key_id"], store.table) for one in of_kind("public-key")],
    "import": lambda store: Imports(store.table, store.clock).get(IMPORT),
    "imported-file": lambda store: list(Imports(store.table, store.clock).files(IMPORT)),
    "found": lambda store: browsing.unverified(store, 10, None)[0],
    "look-alike": lambda store: refused_as_look_alike(store),
    "audit": lambda store: of_package(store, NAME, caller(), 200, None)[0],
}
"""Each kind's reader."""


def of_kind(kind: str) -> list[dict[str, Any]]:
    """Kept items of a kind."""
    return [item for item in kept().values() if SHAPES.kind(item) == kind]


def refused_as_look_alike(store: Store) -> str:
    with pytest.raises(NameTaken) as told:
        register(NewVersion(name="bertbase", version="1.0.0"), asker(), store)
    return str(told.value)


def required(value: Any) -> Any:
    assert value is not None
    return value


@pytest.mark.parametrize("kind", READ)
def test_what_is_stored_is_read(store: Store, kind: str) -> None:
    # Given items as schema 1 stores them / When each is read by its reader / Then something is found
    fill(kept().values())
    assert READ[kind](store)


@pytest.mark.parametrize("kind", READ)
def test_what_a_newer_version_has_written_is_refused_by_every_reader(store: Store, kind: str) -> None:
    # Given an item whose shape this version can't know, beside others
    fill({**item, "schema": 99} if SHAPES.kind(item) == kind else item for item in kept().values())
    # When it is read / Then it is refused, and not taken for what it may no longer be
    with pytest.raises(ShapeUnknown):
        READ[kind](store)


def test_every_kind_has_a_reader_here() -> None:
    # Of an object that is gone nothing is read: that it is told of is all
    assert set(READ) == set(SHAPES.kinds) - {"gone"}
