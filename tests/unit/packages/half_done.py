"""A file that has arrived, what is done with it, and what must be so of it whatever broke on the way."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from tests.unit.packages.fake_table import FakeTable
from tests.unit.packages.filing import SMALL, Died, Fault, Line, World, key, of
from tests.unit.packages.registry import Time, asker
from weir.packages.aborting import abort_upload
from weir.packages.committing import LEASE, Outcome, Told, commit, recover
from weir.packages.errors import CommitUnderWay
from weir.packages.models import State, Upload, UploadState
from weir.packages.wiring import Deps
from weir.runtime.errors import Unavailable, WeirError


@dataclass(frozen=True)
class Sent:
    """A world in which all parts of a file have arrived."""

    world: World
    upload: Upload
    told: list[Told]

    def commits(self, deps: Deps) -> None:
        commit("bert-base", "1.0.0", self.upload.upload_id, self.told, asker(), deps)

    def aborts(self, deps: Deps) -> None:
        abort_upload("bert-base", "1.0.0", self.upload.upload_id, asker(), deps)

    def sweeps(self, deps: Deps) -> Outcome:
        return recover(self.upload.upload_id, deps)


def sent() -> Sent:
    world = World(FakeTable(), Time())
    world.register(of(SMALL))
    return Sent(world, *world.sent(SMALL))


def sharing() -> Sent:
    """Another version was committed with the same bytes meanwhile."""
    made = sent()
    made.world.another_version("2.0.0", of(SMALL))
    made.world.pushed(SMALL, text="2.0.0")
    return made


def calls_of(make: Callable[[], Sent], use: Callable[[Sent, Deps], object]) -> int:
    """How many calls a use case makes where nothing goes wrong."""
    made, line = make(), Line()
    with suppress(WeirError):
        use(made, made.world.process(line))
    return len(line.made)


def broken(made: Sent, use: Callable[[Sent, Deps], object], at: int, fault: Fault) -> None:
    """Run a use case in a process to which this happens at this call."""
    with suppress(Died, WeirError):
        use(made, made.world.process(Line(at=at, fault=fault)))


def asks_until_answered(made: Sent) -> None:
    """The client asks again, as Retry-After tells it."""
    for _ in range(3):
        try:
            made.commits(made.world.deps)
        except (CommitUnderWay, Unavailable):
            made.world.time.pass_by(LEASE.total_seconds() + 1)
        else:
            return
    raise AssertionError("never answered")


def the_sweep(made: Sent) -> None:
    made.world.time.pass_by(LEASE.total_seconds() + 1)
    made.sweeps(made.world.deps)
    whole(made)


def whole(made: Sent, *, settled: bool = True, others: int = 0) -> UploadState:
    """That upload, file, version, blob, object and audit tell the same, whatever that is; the upload's state.

    ``settled`` forbids that something is under way, ``others`` is how many files share the bytes beside this one.
    """
    world = made.world
    upload, file, version = world.upload(made.upload), world.file(), world.version()
    versions, _, blobs = world.rows()
    assert len(versions) == 1 + others
    done = upload.state is UploadState.COMMITTED
    held = done or others > 0
    assert (version.committed, version.state) == ((1, State.SCANNING) if done else (0, State.UPLOADING))
    assert [one.references for one in blobs] == ([others + done] if held else [])
    assert world.told("upload.committed") == others + done
    ended = upload.state is UploadState.ABORTED
    assert world.told("upload.aborted") + world.told("upload.expired") == ended
    if done:
        stored = world.s3.only(key(SMALL))
        assert (file.state, file.object_version) == (State.SCANNING, stored.version_id)
        assert (blobs[0].object_version, stored.body) == (stored.version_id, SMALL)
    elif upload.state is UploadState.OPEN:
        assert (file.state, file.object_version) == (State.UPLOADING, None)
        assert list(world.s3.multiparts[upload.s3_upload_id].parts) == [1]
    elif ended:
        assert (file.state, file.upload_id, file.object_version) == (State.INITIATED, None, None)
    else:
        assert not settled, upload.state
        return upload.state
    assert len(world.s3.objects.get(key(SMALL), [])) == (1 if held else 0)
    assert len(world.s3.multiparts) == (upload.state is UploadState.OPEN)
    assert (upload.lease_until is None) == (upload.state is not UploadState.COMMITTING)
    return upload.state
