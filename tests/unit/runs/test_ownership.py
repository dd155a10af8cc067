"""Whose a run is: its owner's to see and stop, and an admin's; to everybody else there is no such run."""

import pytest

from tests.unit.runs.fakes import Wires, run_of, spec_of, stored
from weir.runs.bucket import RunsBucket
from weir.runs.starting import check_source, source_prefix, stop_run, visible_run
from weir.runs.table import RunNotFound, RunsTable
from weir.runtime.errors import Forbidden
from weir.runtime.http import Principal

ANN = Principal("ann2ann3ann4ann5", roles=frozenset({"operator"}), credential="token")
BOB = Principal("bob2bob3bob4bob5", roles=frozenset({"operator"}), credential="key")
ADMIN = Principal("boss", roles=frozenset({"admin"}), credential="token")
NOBODY = Principal()


@pytest.fixture
def wires(table: RunsTable, bucket: RunsBucket) -> Wires:
    return Wires(table, bucket)


def test_a_run_is_seen_and_stopped_by_its_owner_and_admins_alone(wires: Wires) -> None:
    # Given ann's run
    run = stored(wires.table, run_of(owner=ANN.sub))

    # Then bob, and a caller who is nobody, find no such run
    for stranger in (BOB, NOBODY):
        with pytest.raises(RunNotFound):
            visible_run(run.run_id, stranger, wires)
        with pytest.raises(RunNotFound):
            stop_run(run.run_id, stranger, wires)
    assert wires.machine.stopped == {}

    # And ann and an admin do
    for caller in (ANN, ADMIN):
        assert visible_run(run.run_id, caller, wires).run_id == run.run_id
    stop_run(run.run_id, ANN, wires)
    assert run.run_id in wires.machine.stopped


def test_a_run_that_was_made_when_nobody_was_known_is_nobodys(wires: Wires) -> None:
    # Given a run of an owner named like the principal of a request without credentials
    run = stored(wires.table, run_of(owner=NOBODY.sub))
    # Then such a request does not find it, and an admin does
    with pytest.raises(RunNotFound):
        visible_run(run.run_id, NOBODY, wires)
    assert visible_run(run.run_id, ADMIN, wires) == visible_run(run.run_id, ADMIN, wires)


def test_a_list_holds_the_callers_runs(wires: Wires) -> None:
    # Given runs of two owners
    mine = {stored(wires.table, run_of(owner="carl")).run_id for _ in range(3)}
    theirs = stored(wires.table, run_of(owner="dora")).run_id

    # When carl's are listed two at a time / Then they are all there, and no other
    first, after = wires.table.page(2, None, "carl")
    rest, end = wires.table.page(2, after, "carl")
    assert {run.run_id for run in first + rest} == mine
    assert {run.owner for run in first + rest} == {"carl"}
    assert end is None

    # And everybody's are listed without an owner
    everybody = {run.run_id for run in wires.table.page(200, None)[0]}
    assert mine | {theirs} <= everybody


def test_lines_are_run_by_who_uploaded_them() -> None:
    # Given a spec of lines that ann has uploaded
    key = f"{source_prefix(ANN.sub)}9f86d081"
    spec = spec_of(load={"source": {"type": "s3", "key": key}})
    # Then bob may not run them, nor see by a plan how many they are
    with pytest.raises(Forbidden, match="upload them"):
        check_source(spec, BOB)
    # But ann and admins may; and lines in the spec itself are whose spec it is
    check_source(spec, ANN)
    check_source(spec, ADMIN)
    check_source(spec_of(load={"source": {"type": "inline", "lines": ["a"]}}), BOB)
