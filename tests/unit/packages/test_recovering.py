"""A commit, an abort or an opening that dies at any one of its calls, or at two: finished or undone, never half.

Every call to DynamoDB and S3 is found by running the use case once; then it is run again for each call and each fault.
Afterwards somebody comes by: the client that asks again, an event of S3, the sweep, or nobody but the sweep.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import product

import pytest

from tests.unit.packages.fake_table import FakeTable
from tests.unit.packages.filing import FAULTS, SMALL, Died, Fault, Line, World, key, of
from tests.unit.packages.half_done import Sent, asks_until_answered, broken, calls_of, sent, sharing, the_sweep, whole
from tests.unit.packages.registry import Time, asker
from weir.packages import finishing
from weir.packages.committing import LEASE, Outcome
from weir.packages.errors import UploadEnded
from weir.packages.items import blob_item, version_item
from weir.packages.models import State, UploadState
from weir.packages.opening import OPEN_FOR, Asked, open_upload
from weir.runtime.errors import WeirError

DEATHS: tuple[Fault, ...] = ("dies before", "dies after")


def the_client(made: Sent) -> None:
    asks_until_answered(made)


def an_event_then_the_client(made: Sent) -> None:
    made.sweeps(made.world.deps)
    whole(made, settled=False)
    asks_until_answered(made)


def the_sweep_then_the_client(made: Sent) -> None:
    the_sweep(made)
    asks_until_answered(made)


AFTERWARDS = (the_client, an_event_then_the_client, the_sweep_then_the_client)


@pytest.mark.parametrize("afterwards", AFTERWARDS)
def test_a_commit_that_breaks_at_any_call_is_finished_once_somebody_asks_again(
    afterwards: Callable[[Sent], None], record_property: Callable[[str, object], None]
) -> None:
    # Given a commit, and every call that it makes
    calls = calls_of(sent, Sent.commits)
    assert calls >= 12
    cases = list(product(range(calls), FAULTS))
    record_property("cases", len(cases))
    for at, fault in cases:
        made = sent()
        # When one of its calls breaks, and somebody comes by afterwards
        broken(made, Sent.commits, at, fault)
        whole(made, settled=False)
        afterwards(made)
        # Then there is one file of one object, told of once
        assert whole(made) is UploadState.COMMITTED, (at, fault)


def test_a_commit_that_breaks_and_is_never_asked_for_again_is_finished_or_undone_by_the_sweep() -> None:
    # Given a commit that breaks at any call
    states = set()
    for at, fault in product(range(calls_of(sent, Sent.commits)), FAULTS):
        made = sent()
        broken(made, Sent.commits, at, fault)
        # When the sweep comes after the lease / Then it is finished, or as before
        the_sweep(made)
        before = whole(made)
        # When the upload has expired / Then it is finished, or nothing is left of it
        made.world.time.pass_by(OPEN_FOR.total_seconds())
        made.sweeps(made.world.deps)
        after = whole(made)
        assert (before, after) in {
            (UploadState.COMMITTED, UploadState.COMMITTED),
            (UploadState.OPEN, UploadState.ABORTED),
        }, (at, fault)
        states.add(before)
    assert states == {UploadState.COMMITTED, UploadState.OPEN}


def test_a_recovery_that_dies_itself_is_recovered() -> None:
    # Given a commit that dies at any call, and a recovery that dies at any of its calls
    cases = 0
    for at, fault in product(range(calls_of(sent, Sent.commits)), DEATHS):
        for again, and_fault in product(range(20), DEATHS):
            made = sent()
            broken(made, Sent.commits, at, fault)
            made.world.time.pass_by(LEASE.total_seconds() + 1)
            line = Line(at=again, fault=and_fault)
            with suppress(Died):
                made.sweeps(made.world.process(line))
            whole(made, settled=False)
            # When the sweep comes again, and the client after it / Then there is one file
            the_sweep_then_the_client(made)
            assert whole(made) is UploadState.COMMITTED, (at, fault, again, and_fault)
            cases += 1
            if not line.dead:
                break  # it has fewer calls than that
    assert cases > 200


@pytest.mark.parametrize("afterwards", [the_client, the_sweep_then_the_client])
def test_a_commit_of_bytes_that_are_there_breaks_at_any_call(afterwards: Callable[[Sent], None]) -> None:
    # Given a version whose bytes another version has brought meanwhile
    for at, fault in product(range(calls_of(sharing, Sent.commits)), FAULTS):
        made = sharing()
        # When its commit breaks at any call, and somebody comes by
        broken(made, Sent.commits, at, fault)
        if afterwards is the_sweep_then_the_client:
            made.world.time.pass_by(LEASE.total_seconds() + 1)
            made.sweeps(made.world.deps)
        asks_until_answered(made)
        # Then both versions share one object, counted twice, and no parts are left
        assert whole(made, others=1) is UploadState.COMMITTED, (at, fault)


def test_an_abort_that_breaks_at_any_call_is_gone_in_the_end() -> None:
    # Given an abort that breaks at any call
    for at, fault in product(range(calls_of(sent, Sent.aborts)), FAULTS):
        for comes in (Sent.aborts, Sent.sweeps):
            made = sent()
            broken(made, Sent.aborts, at, fault)
            # When it is asked for again, or the sweep comes
            comes(made, made.world.deps)
            state = whole(made)
            # Then nothing is left; where not even the intent was written, the sweep leaves it to its owner
            expected = {UploadState.ABORTED} | ({UploadState.OPEN} if comes is Sent.sweeps and at < 4 else set())
            assert state in expected, (at, fault, comes)


def other_openings() -> Iterator[tuple[str, Callable[[], World]]]:
    def empty() -> World:
        world = World(FakeTable(), Time())
        world.register()
        return world

    def expired() -> World:
        world = empty()
        world.sent(SMALL)
        world.time.pass_by(OPEN_FOR.total_seconds() + 1)
        return world

    yield "first", empty
    yield "after one that has expired", expired


@pytest.mark.parametrize(("named", "make"), list(other_openings()))
def test_an_opening_that_breaks_at_any_call_leaves_no_second_upload(named: str, make: Callable[[], World]) -> None:
    # Given an opening, and every call that it makes
    asked = Asked("model.safetensors", len(SMALL), of(SMALL).sha256)
    line, world = Line(), make()
    open_upload("bert-base", "1.0.0", asked, asker(), world.process(line))
    for at, fault in product(range(len(line.made)), FAULTS):
        world = make()
        # When one of them breaks, and it is asked for again
        with suppress(Died, WeirError):
            open_upload("bert-base", "1.0.0", asked, asker(), world.process(Line(at=at, fault=fault)))
        opened = open_upload("bert-base", "1.0.0", asked, asker(), world.deps)
        # Then one upload is open, and its file names it; S3 may have begun one that no row tells of, for the sweep
        assert opened.upload is not None
        live = [one for one in world.uploads() if one.state is UploadState.OPEN]
        assert [one.upload_id for one in live] == [opened.upload.upload_id] == [world.file().upload_id]
        assert live[0].s3_upload_id in world.s3.multiparts
        assert len(world.s3.multiparts) <= 2, (at, fault)
        # and it can be committed
        world.commits(live[0], world.sends(live[0], SMALL))
        assert world.version().state is State.SCANNING


# What recovery finds


def test_recovery_tells_what_there_is_and_changes_nothing_that_is_well() -> None:
    made = sent()
    assert made.sweeps(made.world.deps) is Outcome.OPEN
    before = dict(made.world.client.items)  # type: ignore[union-attr]
    assert made.sweeps(made.world.deps) is Outcome.OPEN
    assert made.world.client.items == before  # type: ignore[union-attr]
    made.commits(made.world.deps)
    assert made.sweeps(made.world.deps) is Outcome.COMMITTED
    assert made.sweeps(made.world.deps) is Outcome.COMMITTED
    whole(made)


def test_an_upload_that_s3_has_given_up_is_ended() -> None:
    # Given an open upload that S3's lifecycle has aborted
    made = sent()
    made.world.s3.multiparts.clear()
    # When the sweep comes / Then it has ended, and the file can be sent again
    assert made.sweeps(made.world.deps) is Outcome.ABORTED
    with pytest.raises(UploadEnded):
        made.commits(made.world.deps)
    made.world.pushed(SMALL)
    assert made.world.version().state is State.SCANNING


def test_a_commit_whose_version_was_deleted_meanwhile_is_undone() -> None:
    # Given a commit that died after S3 had made the object, and a version that an admin has rejected since
    whole_line = Line()
    sent_once = sent()
    sent_once.commits(sent_once.world.process(whole_line))
    made = sent()
    broken(made, Sent.commits, whole_line.made.index("complete_multipart_upload"), "dies after")
    made.world.deps.store.table.put(version_item(replace(made.world.version(), state=State.REJECTED)))
    # When the sweep comes / Then the upload has ended, and no row names the object
    assert made.sweeps(made.world.deps) is Outcome.ABORTED
    assert made.world.rows()[2] == []
    assert made.world.told("upload.committed") == 0


def test_a_file_that_a_recovery_refuses_for_its_name_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a commit that shares verified bytes under a name which promises another format, and dies at its last call
    counted: list[object] = []
    monkeypatch.setattr(finishing, "emit", lambda values, _: counted.append(values))
    calls = calls_of(misnamed, Sent.commits)
    made = misnamed()
    broken(made, Sent.commits, calls - 1, "dies before")
    assert made.world.file("x.npy").state is State.COMMITTING
    # When the sweep comes, twice / Then the file is quarantined, and that is counted once
    made.world.time.pass_by(LEASE.total_seconds() + 1)
    for _ in range(2):
        assert made.sweeps(made.world.deps) is Outcome.COMMITTED
        assert made.world.file("x.npy").state is State.QUARANTINED
    assert counted == [{"FilesQuarantined": ("Count", 1)}]


def misnamed() -> Sent:
    """A file has arrived whose bytes another version has had verified meanwhile, by a name that fits."""
    world = World(FakeTable(), Time())
    world.register(of(SMALL, "x.npy"))
    upload, told = world.sent(SMALL, "x.npy")
    world.another_version("2.0.0", of(SMALL))
    world.pushed(SMALL, text="2.0.0")
    blob = world.blob(SMALL)
    assert blob is not None
    world.deps.store.table.put(blob_item(replace(blob, verified=True, content="safetensors")))
    return Sent(world, upload, told)


def test_another_object_of_the_same_key_is_not_taken_for_the_uploads_own() -> None:
    # Given an upload, and an object under its key that nobody's upload has made
    made = sent()
    made.world.s3.replaces(key(SMALL), b"x" * len(SMALL))
    # When the sweep comes / Then the upload is as open as before
    assert made.sweeps(made.world.deps) is Outcome.OPEN
    assert whole_but_the_object(made) is UploadState.OPEN


def whole_but_the_object(made: Sent) -> UploadState:
    made.world.s3.objects.clear()
    return whole(made)
