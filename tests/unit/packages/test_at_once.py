"""Commits, aborts, openings, scans and sweeps at once: between any two calls of one, the whole of another."""

from contextlib import suppress
from dataclasses import replace

import pytest

from tests.unit.packages.fake_table import FakeTable
from tests.unit.packages.filing import SMALL, Line, World, of
from tests.unit.packages.half_done import Sent, asks_until_answered, calls_of, sent, sharing, whole
from tests.unit.packages.registry import Time, asker
from weir.packages.committing import LEASE, Outcome
from weir.packages.errors import CommitUnderWay, NotAvailable, PartsWrong, UploadEnded
from weir.packages.items import blob_item, file_item, upload_item
from weir.packages.models import State, UploadState
from weir.packages.opening import Asked, open_upload
from weir.packages.wiring import Deps
from weir.runtime.errors import WeirError


def test_two_commits_at_once_make_one_file() -> None:
    # Given a commit, and between any two of its calls a whole second one
    answers = set()
    for at in range(calls_of(sent, Sent.commits)):
        made = sent()
        seen: list[str] = []

        def second(made: Sent = made, seen: list[str] = seen) -> None:
            seen.append(answer(made, made.world.deps))

        # When both have run
        seen.append(answer(made, made.world.process(Line(at=at, between=second))))
        # Then one has won, and the other has answered the same or 409
        assert "done" in seen, at
        assert set(seen) <= {"done", "commit-under-way"}, at
        assert whole(made) is UploadState.COMMITTED, at
        answers.add(tuple(seen))
    assert ("commit-under-way", "done") in answers
    assert ("done", "done") in answers or ("done", "commit-under-way") in answers


def answer(made: Sent, deps: Deps) -> str:
    try:
        made.commits(deps)
    except WeirError as error:
        return error.slug
    return "done"


@pytest.mark.parametrize("late", [False, True])
def test_the_sweep_may_come_between_any_two_calls_of_a_commit(late: bool) -> None:
    # Given a commit, and between any two of its calls the sweep, in time or after the lease of a slow one
    for at in range(calls_of(sent, Sent.commits)):
        made = sent()

        def sweep(made: Sent = made) -> None:
            if late:
                made.world.time.pass_by(LEASE.total_seconds() + 1)
            made.sweeps(made.world.deps)

        # When both have run / Then there is one file; or it is open, and the client's next call makes it one
        answer(made, made.world.process(Line(at=at, between=sweep)))
        whole(made, settled=False)
        asks_until_answered(made)
        assert whole(made) is UploadState.COMMITTED, (at, late)


@pytest.mark.parametrize("late", [False, True])
def test_an_abort_may_come_between_any_two_calls_of_a_commit(late: bool) -> None:
    # Given a commit, and between any two of its calls an abort, in time or after the lease of a slow one
    ends = set()
    for at in range(calls_of(sent, Sent.commits)):
        made = sent()

        def abort(made: Sent = made) -> None:
            if late:
                made.world.time.pass_by(LEASE.total_seconds() + 1)
            with suppress(CommitUnderWay, NotAvailable):
                made.aborts(made.world.deps)

        # When both have run / Then there is a file, or nothing: and the commit has answered so
        told = answer(made, made.world.process(Line(at=at, between=abort)))
        ended = whole(made)
        assert (told, ended) in {
            ("done", UploadState.COMMITTED),
            ("upload-ended", UploadState.ABORTED),
        }, (at, late, told)
        ends.add(ended)
    assert ends == {UploadState.COMMITTED, UploadState.ABORTED}


def test_bytes_that_are_verified_between_any_two_calls_of_a_commit_are_available() -> None:
    # Given a commit of bytes that another version has brought, and a scan that ends between any two of its calls
    for at in range(calls_of(sharing, Sent.commits)):
        made = sharing()

        def scan(made: Sent = made) -> None:
            blob = made.world.blob(SMALL)
            assert blob is not None
            made.world.deps.store.table.put(blob_item(replace(blob, verified=True, content="safetensors")))

        made.commits(made.world.process(Line(at=at, between=scan)))
        # Then the file is not left waiting for a scan that has been
        assert made.world.file().state is State.AVAILABLE, at
        assert made.world.version().state is State.AVAILABLE, at


def test_a_slow_commit_does_not_undo_the_lease_of_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a commit that S3 refuses so late that its lease has passed, and another has begun since
    made = sent()

    def meanwhile(*given: object) -> None:
        made.world.time.pass_by(LEASE.total_seconds() + 1)
        made.sweeps(made.world.deps)
        now = made.world.upload(made.upload)
        until = made.world.time.clock.now() + LEASE
        leased = replace(now, state=UploadState.COMMITTING, lease_until=until, revision=now.revision + 1)
        made.world.deps.store.table.put(upload_item(leased))
        raise PartsWrong("as S3 says")

    monkeypatch.setattr(made.world.deps.bucket, "complete", meanwhile)
    # When it is answered / Then the other's lease is as it was
    with pytest.raises(PartsWrong):
        made.commits(made.world.deps)
    assert made.world.upload(made.upload).state is UploadState.COMMITTING


def test_an_upload_whose_file_has_another_by_now_brings_nothing() -> None:
    # Given an upload, and a file that has come to be another upload's
    made = sent()
    file = made.world.file()
    made.world.deps.store.table.put(file_item(replace(file, upload_id="0" * 32)))
    before = made.world.rows()
    # When it is committed, or S3 had made its object before / Then it has ended, and nothing is counted
    with pytest.raises(UploadEnded):
        made.commits(made.world.deps)
    parts = made.world.deps.bucket.all_parts(made.upload.key, made.upload.s3_upload_id)
    made.world.deps.bucket.complete(made.upload.key, made.upload.s3_upload_id, parts, len(SMALL))
    assert made.sweeps(made.world.deps) is Outcome.ABORTED
    assert made.world.rows() == before


def test_two_openings_at_once_make_one_upload() -> None:
    # Given an opening, and between any two of its calls a second one
    asked = Asked("model.safetensors", len(SMALL), of(SMALL).sha256)

    def begin() -> World:
        world = World(FakeTable(), Time())
        world.register()
        return world

    line = Line()
    open_upload("bert-base", "1.0.0", asked, asker(), begin().process(line))
    for at in range(len(line.made)):
        world = begin()
        ids: list[str] = []

        def second(world: World = world, ids: list[str] = ids) -> None:
            ids.append(world.opens(SMALL).upload_id)

        opened = open_upload("bert-base", "1.0.0", asked, asker(), world.process(Line(at=at, between=second)))
        # Then both were told of the same upload, and S3 holds no other
        assert opened.upload is not None
        assert [opened.upload.upload_id] == ids
        assert list(world.s3.multiparts) == [opened.upload.s3_upload_id]
        assert world.told("upload.opened") == 1
