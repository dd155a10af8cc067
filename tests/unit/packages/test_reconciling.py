"""The sweep of packages: both ways, dry and in earnest, and what it never touches."""

import copy
from contextlib import suppress
from dataclasses import replace
from functools import partial
from random import Random
from typing import Any

import pytest

from tests.unit.packages import evil
from tests.unit.packages.filing import NAME, PATH, Died, Line, World, key, of, sha256
from tests.unit.packages.registry import SHA, Counted, Meanwhile, Time, admin, everything, package, put, restore
from weir.packages import deleting, found, healing, items, scans
from weir.packages.downloading import download
from weir.packages.models import Blob, State, UploadState
from weir.packages.opening import OPEN_FOR
from weir.packages.reconciling import YOUNG, Reconciled, reconcile
from weir.packages.scanning import scan
from weir.packages.table import blob_object
from weir.runtime.errors import Unavailable

HONEST = evil.safetensors(evil.weights((0, 4)), b"mine")
OTHER = evil.safetensors(evil.weights((0, 4)), b"else")


class Queue:
    """A scan queue that keeps what it is told."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []

    def send(self, name: str, sha256: str) -> None:
        self.sent.append((name, sha256))


@pytest.fixture
def world(client: Counted, time: Time) -> World:
    return World(client, time)


def swept(world: World, queue: Queue | None = None, *, dry_run: bool = False, seconds: float = 1e9) -> Reconciled:
    until = world.deps.clock.monotonic() + seconds
    return reconcile(world.deps, queue or Queue(), dry_run=dry_run, until=until, rng=Random(1))  # type: ignore[arg-type]


def all_there_is(world: World) -> tuple[list[dict[str, Any]], list[str], list[str]]:
    rows = sorted(everything(world.client, ""), key=lambda item: (item["pk"], item["sk"]))
    return rows, sorted(world.s3.objects), sorted(world.s3.multiparts)


def test_three_models_of_other_keys_and_no_row_come_in_unverified(world: World) -> None:
    # Given three models under keys that the table never expected, and nothing in the table
    keys = [f"models/{name}/model.safetensors" for name in ("bert", "gpt2", "llama")]
    for one in keys:
        world.s3.replaces(one, b"weights")
    # When a dry sweep runs, Then it tells of them and writes nothing
    dry = swept(world, dry_run=True)
    assert sorted(dry.unverified) == keys
    assert everything(world.client, "") == []
    # When it runs in earnest, and again, Then each is there once, under its real key, and none of them is a package
    assert sorted(swept(world).unverified) == keys
    assert swept(world).unverified == []
    assert [(one.key, one.size) for one in found.every(world.deps.store)] == [(one, 7) for one in keys]
    assert world.rows() == ([], [], [])
    # When one has gone, Then it is taken out
    del world.s3.objects[keys[1]]
    assert swept(world).forgotten == [keys[1]]
    assert [one.key for one in found.every(world.deps.store)] == [keys[0], keys[2]]


def test_of_an_object_that_was_replaced_the_latest_is_told(world: World) -> None:
    # Given an object that was recorded, and that somebody has replaced since: S3 keeps the old version for a while
    world.s3.replaces("models/a", b"one")
    swept(world)
    latest = world.s3.replaces("models/a", b"another")
    # When the sweep runs / Then it tells of the new one, and of the old one no more
    done = swept(world)
    assert (done.unverified, done.forgotten) == (["models/a"], ["models/a"])
    for _ in range(2):
        assert [(one.object_version, one.size) for one in found.every(world.deps.store)] == [(latest, 7)]
        done = swept(world)
        assert (done.unverified, done.forgotten) == ([], [])


def test_a_registry_that_is_in_order_is_left_as_it_is(world: World) -> None:
    # Given a file that is served, one that is being uploaded, and one whose commit is under way
    world.register(of(HONEST))
    world.pushed(HONEST)
    scan(NAME, sha256(HONEST), world.deps, 1e9)
    world.another_version("2.0.0", of(OTHER))
    world.sent(OTHER, text="2.0.0")
    before = all_there_is(world)
    # When the sweep runs, Then nothing is done
    queue = Queue()
    done = swept(world, queue)
    assert (done.uploads, done.aborted, done.unverified, done.missing, done.failed, queue.sent) == (
        {},
        [],
        [],
        [],
        [],
        [],
    )
    assert all_there_is(world) == before


def test_uploads_that_died_are_finished_or_ended(world: World, time: Time) -> None:
    # Given an upload that S3 has completed, and one that was left alone for a week
    world.register(of(HONEST))
    upload, _ = world.sent(HONEST)
    parts = world.deps.bucket.all_parts(upload.key, upload.s3_upload_id)
    world.another_version("2.0.0", of(OTHER))
    left, _ = world.sent(OTHER, text="2.0.0")
    world.deps.bucket.complete(upload.key, upload.s3_upload_id, parts, len(HONEST))
    time.pass_by(OPEN_FOR.total_seconds() + 1)
    # When a dry sweep runs, Then it tells of both and changes nothing
    before = all_there_is(world)
    assert set(swept(world, dry_run=True).uploads) == {upload.upload_id, left.upload_id}
    assert all_there_is(world) == before
    # When it runs in earnest, Then the one is a file and to be scanned, and of the other nothing is left
    queue = Queue()
    assert swept(world, queue).uploads == {upload.upload_id: "COMMITTED", left.upload_id: "ABORTED"}
    assert (NAME, sha256(HONEST)) in queue.sent
    assert world.file().state is State.SCANNING
    assert world.upload(left).state is UploadState.ABORTED
    assert world.s3.multiparts == {}


def test_multipart_uploads_that_no_row_tells_of_are_aborted_once_they_are_old(world: World, time: Time) -> None:
    # Given an upload at S3 whose row was never written, and one with a row
    world.register(of(HONEST))
    world.sent(HONEST)
    lost = world.deps.bucket.create_upload(key(OTHER), "application/octet-stream", "lost")
    # When the sweep runs at once, Then it may still be about to be written
    assert swept(world).aborted == []
    # When it runs later, Then it is aborted, and the other is not
    time.pass_by(YOUNG.total_seconds() + 1)
    assert swept(world, dry_run=True).aborted == [key(OTHER)]
    assert lost in world.s3.multiparts
    assert swept(world).aborted == [key(OTHER)]
    assert lost not in world.s3.multiparts
    assert len(world.s3.multiparts) == 1


def test_files_that_wait_for_a_scan_that_nobody_does_are_queued_again(world: World, time: Time) -> None:
    # Given a file that waits, and whose event was lost
    world.register(of(HONEST))
    world.pushed(HONEST)
    queue = Queue()
    # When somebody is at its scan, Then it is left to them
    blob = world.blob(HONEST)
    assert blob is not None
    scans.take(world.deps.store, blob)
    assert swept(world, queue).queued == []
    # When they are dead, Then it is queued
    time.pass_by(scans.LEASE.total_seconds() + 1)
    assert swept(world, queue).queued == [f"{NAME} {sha256(HONEST)}"]
    assert queue.sent == [(NAME, sha256(HONEST))]


def test_files_whose_object_is_gone_are_told(world: World) -> None:
    # Given a file that is served, whose object somebody has deleted past Weir
    world.register(of(HONEST))
    world.pushed(HONEST)
    scan(NAME, sha256(HONEST), world.deps, 1e9)
    world.s3.objects.clear()
    # When the sweep runs, Then it tells, and changes nothing: the object may be brought back
    rows = world.rows()
    assert swept(world).missing == [key(HONEST)]
    assert world.rows() == rows


def test_a_version_whose_deletion_died_goes_on_being_deleted(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a deletion that died after its first step
    world.register(of(HONEST))
    world.pushed(HONEST)
    monkeypatch.setattr(deleting, "finish", lambda *_: True)
    deleting.delete(NAME, "1.0.0", admin(), world.deps)
    monkeypatch.undo()
    assert len(world.s3.objects) == 1
    # When the sweep runs, Then it is done
    assert swept(world, dry_run=True).deleted == [f"{NAME} 1.0.0"]
    assert len(world.s3.objects) == 1
    assert swept(world).deleted == [f"{NAME} 1.0.0"]
    assert world.s3.objects == {}
    assert list(scans.waiting(world.deps.store, NAME)) == []


def test_one_thing_that_fails_does_not_stop_the_others(world: World) -> None:
    # Given an object that can't be looked at, and others
    for one in ("models/a", "models/b", "models/c"):
        world.s3.replaces(one, b"weights")

    def fails(operation: str, request: dict[str, Any]) -> None:
        if operation == "list_multipart_uploads":
            raise Unavailable("S3 does not answer.")

    world.s3.before = fails
    # When the sweep runs, Then the others are done, and it tells what was not
    done = swept(world)
    assert done.failed == ["unknown_uploads"]
    assert sorted(done.unverified) == ["models/a", "models/b", "models/c"]


def test_a_sweep_without_time_says_that_it_is_not_done(world: World) -> None:
    world.s3.replaces("models/a", b"weights")
    done = swept(world, seconds=-1)
    assert done.unfinished
    assert done.to_dict()["counts"]["unverified"] == 0


def test_a_sweep_of_a_bucket_that_is_larger_than_its_time_ends_between_two_pages(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given two objects that are in their places, a page each, and a clock that stands at the end after the first
    world.register(of(HONEST), of(OTHER, "other.safetensors"))
    world.pushed(HONEST)
    world.pushed(OTHER, "other.safetensors")
    monkeypatch.setattr(world.deps.bucket, "objects", partial(world.deps.bucket.objects, limit=1))
    listed = world.s3.called.count
    clock = replace(world.deps.clock, monotonic=lambda: 100.0 * listed("list_object_versions"))
    # When a sweep runs / Then it looks at one page, and says that it is not done
    done = reconcile(replace(world.deps, clock=clock), Queue(), dry_run=False, until=50, rng=Random(1))  # type: ignore[arg-type]
    assert done.unfinished
    assert listed("list_object_versions") == 1


def test_many_objects_are_looked_at_page_by_page_and_cost_no_read_each(world: World, client: Counted) -> None:
    # Given a thousand and five objects of nobody's that were recorded before
    for number in range(1005):
        world.s3.replaces(f"models/{number:04d}", b"w")
    swept(world, dry_run=True)
    assert world.s3.called.count("list_object_versions") == 2
    # Then no object of a page was read by itself
    assert world.s3.called.count("head_object") == 0
    assert client.read == 0


def test_every_package_is_looked_at_wherever_a_sweep_begins(world: World) -> None:
    # Given packages whose bytes are all gone from the bucket
    names = ("a", "b", "c")
    for name in names:
        put(world.deps.store, package(name))
        lost = Blob(name, SHA, 4, blob_object(name, SHA), "gone", verified=True, references=1)
        world.deps.store.table.put(items.blob_item(lost))
    # When sweeps begin at any of them / Then each tells of all
    for seed in range(8):
        done = reconcile(world.deps, Queue(), dry_run=False, until=1e12, rng=Random(seed))  # type: ignore[arg-type]
        assert sorted(done.missing) == [blob_object(name, SHA) for name in names]


# Objects that were lost, and came again


def lost_and_sent_again(world: World, *texts: str) -> None:
    """Versions that are served, whose object somebody has deleted past Weir; one more has sent the same bytes since."""
    for text in texts:
        world.another_version(text, of(HONEST))
    world.pushed(HONEST, text=texts[0])
    scan(NAME, sha256(HONEST), world.deps, 1e9)
    for text in texts[1:]:
        assert world.opened(HONEST, text=text).upload is None
    world.s3.objects.clear()
    world.another_version("9.0.0", of(HONEST))
    world.pushed(HONEST, text="9.0.0")


def downloaded(world: World, text: str) -> tuple[int, bytes]:
    return world.s3.get(download(NAME, text, PATH, 300, admin(), world.deps).url)


def test_files_whose_object_was_lost_are_given_the_one_that_came_again(world: World) -> None:
    # Given two versions whose bytes were lost, and came again with a third
    lost_and_sent_again(world, "1.0.0", "2.0.0")
    # When the sweep runs while the new ones are not verified, Then they stay missing
    assert (swept(world).restored, swept(world).missing) == ([], [key(HONEST)])
    # When they are, Then a dry sweep tells of both and changes nothing
    scan(NAME, sha256(HONEST), world.deps, 1e9)
    both = [f"{NAME} 1.0.0 {PATH}", f"{NAME} 2.0.0 {PATH}"]
    before = all_there_is(world)
    assert swept(world, dry_run=True).restored == both
    assert all_there_is(world) == before
    assert downloaded(world, "1.0.0") == (404, b"")
    # And the next in earnest gives it to both, once, and the audit tells
    assert (swept(world).restored, swept(world).restored) == (both, [])
    for text in ("1.0.0", "2.0.0", "9.0.0"):
        assert downloaded(world, text) == (200, HONEST)
    assert world.blob(HONEST).references == 3  # type: ignore[union-attr]
    assert world.told("file.restored") == 2
    # And the bytes stay until the last of the three goes
    for text in ("9.0.0", "1.0.0"):
        assert deleting.delete(NAME, text, admin(), world.deps)
    assert downloaded(world, "2.0.0") == (200, HONEST)
    assert deleting.delete(NAME, "2.0.0", admin(), world.deps)
    assert world.s3.objects.get(key(HONEST), []) == []


def test_a_file_whose_bytes_came_again_and_are_not_what_was_declared_stays_missing(world: World) -> None:
    # Given a version whose object was lost, and other bytes that somebody has sent for the same
    world.register(of(HONEST))
    world.pushed(HONEST)
    scan(NAME, sha256(HONEST), world.deps, 1e9)
    file = world.file()
    world.s3.objects.clear()
    world.another_version("2.0.0", of(HONEST))
    upload = world.opens(HONEST, text="2.0.0")
    world.commits(upload, world.sends(upload, b"?" * len(HONEST)))
    scan(NAME, sha256(HONEST), world.deps, 1e9)
    # When the sweep runs, Then it tells so, though no row tells of these bytes any more
    assert world.blob(HONEST) is None
    assert (swept(world).restored, swept(world).missing) == ([], [key(HONEST)])
    assert world.file() == file


def test_what_happens_to_a_file_meanwhile_is_not_undone(world: World, client: Counted) -> None:
    # Given a version whose bytes were lost and came again, and that is deleted while the sweep restores them
    lost_and_sent_again(world, "1.0.0")
    scan(NAME, sha256(HONEST), world.deps, 1e9)
    file = world.file()
    Meanwhile(client, "transact_write_items", lambda: deleting.delete(NAME, "1.0.0", admin(), world.deps))
    # When it goes on, Then it finds nothing to give it to
    assert not healing.heal(file, world.deps)
    assert world.blob(HONEST).references == 1  # type: ignore[union-attr]
    assert downloaded(world, "9.0.0") == (200, HONEST)


@pytest.mark.parametrize("gone", ["file", "bytes"])
def test_nothing_is_given_to_a_file_that_goes_nor_of_bytes_that_go(world: World, gone: str) -> None:
    # Given a file whose object was lost, and the same bytes; one of them is let go of by a deletion that goes on
    lost_and_sent_again(world, "1.0.0")
    scan(NAME, sha256(HONEST), world.deps, 1e9)
    file, blob = world.file(), world.blob(HONEST)
    assert blob is not None
    let_go = replace(file, state=State.REJECTED), replace(blob, references=0)
    world.deps.store.table.put(items.file_item(let_go[0]) if gone == "file" else items.blob_item(let_go[1]))
    before = all_there_is(world)
    # When the sweep comes to restore it / Then nothing is done
    assert not healing.heal(file, world.deps)
    assert all_there_is(world) == before


def test_a_file_whose_own_object_is_there_keeps_it(world: World) -> None:
    # Given a file that names another object than its bytes' row does, and both are there
    lost_and_sent_again(world, "1.0.0")
    scan(NAME, sha256(HONEST), world.deps, 1e9)
    own = replace(world.file(), object_version=world.s3.replaces(key(HONEST), HONEST))
    world.deps.store.table.put(items.file_item(own))
    # When the sweep runs, Then it has that one still
    assert (swept(world).restored, healing.heal(own, world.deps)) == ([], False)
    assert world.file() == own


def test_a_sweep_that_runs_out_of_time_restores_the_rest_the_next_time(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given more versions that have lost their bytes than a sweep has time for
    texts = [f"1.0.{number}" for number in range(5)]
    lost_and_sent_again(world, *texts)
    scan(NAME, sha256(HONEST), world.deps, 1e9)
    heal = healing.heal
    with monkeypatch.context() as slow:
        slow.setattr(healing, "heal", lambda file, deps: world.time.pass_by(60) or heal(file, deps))  # type: ignore[func-returns-value]
        first = swept(world, seconds=100)
    # When it ends, Then it tells so, and the next one goes on where it has ended
    assert (first.unfinished, len(first.restored)) == (True, 2)
    assert sorted([*first.restored, *swept(world).restored]) == [f"{NAME} {text} {PATH}" for text in texts]


def test_bytes_that_are_being_deleted_are_told_apart_from_those_that_are_missing(world: World) -> None:
    # Given a file whose object is lost, and a deletion that dies once the object is gone
    world.register(of(HONEST))
    world.pushed(HONEST)
    world.another_version("2.0.0", of(OTHER))
    world.pushed(OTHER, text="2.0.0")
    world.s3.objects.pop(key(HONEST))
    line = Line()
    rows, objects = everything(world.client, ""), copy.deepcopy(world.s3.objects)
    deleting.delete(NAME, "2.0.0", admin(), world.process(line))
    restore(rows)
    world.s3.objects = objects
    at = line.made.index("delete_object")
    with suppress(Died):
        deleting.delete(NAME, "2.0.0", admin(), world.process(Line(at=at, fault="dies after")))
    # When a sweep looks before that goes on, Then it tells which is which
    dry = swept(world, dry_run=True)
    assert (dry.going, dry.missing) == ([key(OTHER)], [key(HONEST)])
    assert dry.to_dict()["counts"]["going"] == 1
    # And once it has gone on, nothing is going
    done = swept(world)
    assert (done.going, done.missing, done.deleted) == ([], [key(HONEST)], [f"{NAME} 2.0.0"])
