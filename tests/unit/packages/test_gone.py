"""Objects that come to be a file and go, as a whole, between what a commit has read and what it writes."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from tests.unit.packages import evil
from tests.unit.packages.filing import NAME, PATH, SMALL, VERSION, Line, World, key, of, sha256
from tests.unit.packages.registry import Counted, Time, admin, everything, restore
from weir.packages import gone
from weir.packages.committing import Told, recover
from weir.packages.deleting import delete
from weir.packages.errors import CommitUnderWay, UploadEnded
from weir.packages.models import State, Upload
from weir.packages.scanning import scan

OTHER = "2.0.0"
EVIL = evil.system()


@dataclass(frozen=True)
class Shared:
    """An object that an upload has made and nobody has finished, and another version's upload of the same bytes."""

    world: World
    body: bytes
    path: str
    first: Upload
    upload: Upload
    told: list[Told]

    def at_each_call(self, happens: Callable[[], None]) -> Iterator[str]:
        """Commit the other upload, each time with this ahead of another of its calls; what the commit has answered."""
        world = self.world
        before = everything(world.client), copy.deepcopy((world.s3.objects, world.s3.multiparts))
        whole = Line()
        world.commits(self.upload, self.told, world.process(whole))
        for number in range(len(whole.made)):
            restore(before[0])
            world.s3.objects, world.s3.multiparts = copy.deepcopy(before[1])
            try:
                world.commits(self.upload, self.told, world.process(Line(at=number, between=happens)))
                yield "committed"
            except UploadEnded:
                yield "ended"
            except CommitUnderWay:
                yield "come again"

    def finishes(self) -> None:
        """What the first upload has made becomes a file."""
        recover(self.first.upload_id, self.world.deps)


def shared(client: Counted, time: Time, body: bytes, path: str = PATH) -> Shared:
    world = World(client, time)
    world.register(of(body, path), versions=2)
    world.another_version(OTHER, of(body, path))
    first, _ = world.sent(body, path)
    upload, told = world.sent(body, path, OTHER)
    parts = world.deps.bucket.all_parts(first.key, first.s3_upload_id)
    world.deps.bucket.complete(first.key, first.s3_upload_id, parts, len(body))
    return Shared(world, body, path, first, upload, told)


def test_bytes_that_become_a_file_and_go_with_it_meanwhile_are_not_made_another(client: Counted, time: Time) -> None:
    # Given a commit that shares an object, and ahead of any of its calls a whole other commit of it, and its deletion
    made = shared(client, time, SMALL)
    world = made.world

    def comes_and_goes() -> None:
        made.finishes()
        assert delete(NAME, VERSION, admin(), world.deps)

    answers = set()
    for answer in made.at_each_call(comes_and_goes):
        # When both have run / Then there is a file whose object is there; or none, and the bytes can be sent again
        if world.file(text=OTHER).state is not State.SCANNING:
            world.pushed(SMALL, text=OTHER)
        blob = world.blob(SMALL)
        assert blob is not None
        stored = world.s3.only(key(SMALL))
        assert (blob.references, blob.object_version) == (1, stored.version_id)
        assert (world.file(text=OTHER).object_version, stored.body) == (stored.version_id, SMALL)
        answers.add(answer)
    assert answers == {"committed", "ended"}


def test_an_object_of_nobodys_that_goes_with_its_upload_meanwhile_is_not_made_a_file(
    client: Counted, time: Time
) -> None:
    # Given a commit that shares an object, and ahead of any of its calls the deletion of the version it was made for
    made = shared(client, time, SMALL)
    world = made.world

    def goes() -> None:
        delete(NAME, VERSION, admin(), world.deps)

    answers = set()
    for answer in made.at_each_call(goes):
        # When both have run / Then the same holds
        if world.file(text=OTHER).state is not State.SCANNING:
            world.pushed(SMALL, text=OTHER)
        assert world.file(text=OTHER).object_version == world.s3.only(key(SMALL)).version_id
        answers.add(answer)
    assert answers == {"committed", "ended"}


def test_bytes_that_a_scan_deletes_meanwhile_are_not_made_a_file(client: Counted, time: Time) -> None:
    # Given a commit that shares bytes which are not safe, and ahead of any of its calls their scan for another version
    made = shared(client, time, EVIL, "model.pkl")
    world = made.world

    def is_scanned() -> None:
        made.finishes()
        scan(NAME, sha256(EVIL), world.deps, 1e12)

    for _ in made.at_each_call(is_scanned):
        # When both have run / Then no row tells of bytes that are not there, nor after the scan once more
        blob = world.blob(EVIL)
        assert blob is None or blob.object_version == world.s3.only(key(EVIL)).version_id
        scan(NAME, sha256(EVIL), world.deps, 1e12)
        assert world.blob(EVIL) is None
        assert world.s3.objects.get(key(EVIL), []) == []
        assert world.file("model.pkl", OTHER).state in {State.QUARANTINED, State.INITIATED}


def test_an_object_that_is_told_to_be_gone_is_told_so_for_an_hour(client: Counted, time: Time) -> None:
    # Given a file / When its version is deleted
    world = World(client, time)
    world.register(of(SMALL), versions=1)
    object_version = world.pushed(SMALL).file.object_version
    assert delete(NAME, VERSION, admin(), world.deps)
    # Then its object is told to be gone, until DynamoDB takes that out
    (item,) = [item for item in everything(client, "PKG#") if item["sk"].startswith("G#")]
    assert item["sk"] == f"G#{sha256(SMALL)}#{object_version}"
    assert item["ttl"] == int((time.clock.now() + gone.KEPT).timestamp())


def beside(client: Counted, time: Time) -> Shared:
    """Bytes whose object was lost; an upload of another version has made them again, and one of a third shares that."""
    world = World(client, time)
    world.register(of(SMALL), versions=3)
    world.another_version(OTHER, of(SMALL))
    world.another_version("3.0.0", of(SMALL))
    world.pushed(SMALL)
    world.s3.objects.clear()
    first, _ = world.sent(SMALL, text=OTHER)
    upload, told = world.sent(SMALL, text="3.0.0")
    parts = world.deps.bucket.all_parts(first.key, first.s3_upload_id)
    world.deps.bucket.complete(first.key, first.s3_upload_id, parts, len(SMALL))
    return Shared(world, SMALL, PATH, first, upload, told)


def test_an_object_beside_that_of_the_bytes_that_goes_meanwhile_is_not_made_a_file(client: Counted, time: Time) -> None:
    # Given a commit that shares such an object, and ahead of any of its calls the deletion of the version it is of
    made = beside(client, time)
    world = made.world
    answers = set()
    for answer in made.at_each_call(lambda: delete(NAME, OTHER, admin(), world.deps)):
        # When both have run / Then there is a file whose object is there; or none, and the bytes can be sent again
        if world.file(text="3.0.0").state is not State.SCANNING:
            world.pushed(SMALL, text="3.0.0")
        assert world.file(text="3.0.0").object_version == world.s3.only(key(SMALL)).version_id
        answers.add(answer)
    assert answers == {"committed", "ended"}


@pytest.mark.parametrize("is_files", [False, True])
def test_an_object_beside_that_of_the_bytes_goes_only_while_it_is_nobodys(
    client: Counted, time: Time, is_files: bool
) -> None:
    # Given bytes whose object was lost, and an object that an upload of the same has made since
    here = beside(client, time)
    world, upload, told = here.world, here.upload, here.told
    made = world.s3.only(key(SMALL)).version_id
    # When the version of that upload is deleted, and another commit shares the object ahead of the deletion's write
    seen: list[str] = []

    def shares(operation: str, request: dict[str, object]) -> None:
        told_gone = any(made in str(one) and "G#" in str(one) for one in request.get("TransactItems", ()))  # type: ignore[attr-defined]
        if is_files and told_gone and not seen:
            seen.append(operation)
            world.commits(upload, told)

    client.before = shares  # type: ignore[assignment]
    assert delete(NAME, OTHER, admin(), world.deps)
    # Then the object is that file's, and stays; otherwise it is gone
    assert bool(seen) == is_files
    if is_files:
        assert world.s3.only(key(SMALL)).version_id == world.file(text="3.0.0").object_version == made
    else:
        assert world.s3.objects.get(key(SMALL), []) == []
        world.commits(upload, told)
        assert world.file(text="3.0.0").object_version == world.s3.only(key(SMALL)).version_id != made
