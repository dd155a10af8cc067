"""Events of S3: twice, out of order, of files and of what is none."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.packages.filing import NAME, SMALL, World, key, of, sha256
from tests.unit.packages.registry import Counted, Time, everything
from weir.packages import found
from weir.packages.arriving import CREATED, DELETED, Event, arrived, event_of
from weir.packages.models import State, UploadState
from weir.packages.table import blob_key

STRANGE = "models/llama/1/model.safetensors"


@pytest.fixture
def world(client: Counted, time: Time) -> World:
    return World(client, time)


def event(kind: str, key: str, object_version: str, sequencer: str = "0A", size: int = 7) -> Event:
    return Event(kind, key, object_version, size, sequencer)


def rows(world: World) -> list[dict[str, Any]]:
    return [item for item in everything(world.client, "FOUND#") if item.get("list")]


def test_an_event_is_read_as_eventbridge_brings_it() -> None:
    sample = json.loads((Path(__file__).parents[3] / "events" / "package-scan-object.json").read_text())
    document = json.loads(sample["Records"][0]["body"])
    told = document["detail"]["object"]
    assert event_of(document) == Event(CREATED, told["key"], told["version-id"], told["size"], told["sequencer"])


def test_the_object_of_a_file_is_to_be_scanned_however_often_it_is_told(world: World) -> None:
    world.register(of(SMALL))
    world.pushed(SMALL)
    stored = world.s3.only(key(SMALL))
    for _ in range(2):
        assert arrived(event(CREATED, key(SMALL), stored.version_id), world.deps) == (NAME, sha256(SMALL))
    assert rows(world) == []


def test_an_object_whose_commit_died_is_finished(world: World) -> None:
    # Given an upload that was completed at S3, and of which nobody has heard since
    world.register(of(SMALL))
    upload, _ = world.sent(SMALL)
    parts = world.deps.bucket.all_parts(upload.key, upload.s3_upload_id)
    world.deps.bucket.complete(upload.key, upload.s3_upload_id, parts, len(SMALL))
    stored = world.s3.only(key(SMALL))
    # When S3 tells of the object, Then it is a file, and to be scanned
    assert arrived(event(CREATED, key(SMALL), stored.version_id), world.deps) == (NAME, sha256(SMALL))
    assert (world.upload(upload).state, world.file().state) == (UploadState.COMMITTED, State.SCANNING)


@pytest.mark.parametrize("strange", [STRANGE, f"packages/{NAME}/{'0' * 64}", "packages/x", "\u00fc/ b+c%20d"])
def test_an_object_of_nobodys_is_recorded_under_its_real_key(world: World, strange: str) -> None:
    # Given an object that no upload has made
    version_id = world.s3.replaces(strange, b"weights")
    # When S3 tells of it, twice
    for _ in range(2):
        assert arrived(event(CREATED, strange, version_id), world.deps) is None
    # Then it is there once, unverified, and is no package
    (row,) = rows(world)
    assert (row["list"], row["key"], row["object_version"], row["size"]) == ("UNVERIFIED", strange, version_id, 7)
    assert world.rows() == ([], [], [])
    # When S3 tells that it is gone, Then it is no more
    world.s3.objects.clear()
    arrived(event(DELETED, strange, version_id, "0B"), world.deps)
    assert rows(world) == []


def test_an_older_event_changes_nothing(world: World) -> None:
    # Given an object of which S3 told first that it went
    version_id = world.s3.replaces(STRANGE, b"weights")
    arrived(event(DELETED, STRANGE, version_id, "F0"), world.deps)
    # When it tells that it came, which was before, Then it is not there
    arrived(event(CREATED, STRANGE, version_id, "EF"), world.deps)
    assert rows(world) == []
    # And numbers are compared as numbers, not as texts
    other = world.s3.replaces("models/other", b"weights")
    arrived(event(CREATED, "models/other", other, "100"), world.deps)
    arrived(event(DELETED, "models/other", other, "9"), world.deps)
    assert [row["key"] for row in rows(world)] == ["models/other"]


def test_an_object_that_is_gone_before_anybody_looks_is_not_recorded(world: World) -> None:
    assert arrived(event(CREATED, STRANGE, "version-99"), world.deps) is None
    assert rows(world) == []


def test_bytes_under_a_files_key_that_are_another_object_are_nobodys(world: World) -> None:
    # Given a file, and other bytes that somebody has stored under its key, past Weir
    world.register(of(SMALL))
    world.pushed(SMALL)
    before = world.rows()
    version_id = world.s3.replaces(key(SMALL), b"others")
    # When S3 tells of them, Then they are recorded, and the file is as it was
    assert arrived(event(CREATED, key(SMALL), version_id), world.deps) is None
    assert [one.object_version for one in found.every(world.deps.store)] == [version_id]
    assert world.rows() == before


def test_bytes_that_are_gone_are_looked_at_while_files_wait_for_them(world: World) -> None:
    # Given a file that waits, whose object and row a scan has deleted before it died
    world.register(of(SMALL))
    world.pushed(SMALL)
    stored = world.s3.only(key(SMALL))
    world.s3.objects.clear()
    world.deps.store.table.delete(blob_key(NAME, sha256(SMALL)))
    # When S3's event of it comes again, Then its scan is asked for
    assert arrived(event(CREATED, key(SMALL), stored.version_id), world.deps) == (NAME, sha256(SMALL))
