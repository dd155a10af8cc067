"""Which runs an analysis may rest on: the caller's own, closed and measured; the others are named, and why."""

import pytest

from tests.unit.runs.fakes import Wires, run_of, stored
from weir.runs.measured import check_measured
from weir.runs.models import Run, Verdict
from weir.runs.table import RunsTable
from weir.runtime.errors import Invalid
from weir.runtime.http import Principal

ANN = Principal("u-ann", roles=frozenset({"operator"}), credential="token")
BOB = Principal("u-bob", roles=frozenset({"operator"}), credential="key")
ADMIN = Principal("boss", roles=frozenset({"admin"}), credential="token")


def closed(wires: Wires, *, measured: bool = True, owner: str = ANN.sub, **more: str) -> Run:
    run = stored(wires.table, run_of(owner=owner, **more))
    wires.table.begin_step(run.run_id, "Analyze", wires.clock.now())
    if measured:
        wires.table.end_step(run.run_id, "Analyze", wires.clock.now(), "all seen")
    wires.table.close(
        run.run_id,
        verdict=Verdict.PASSED,
        reasons=(),
        resources_left=0,
        cost_usd=None,
        ended_at=wires.clock.now(),
    )
    return run


def refused(run_ids: list[str], caller: Principal, table: RunsTable) -> dict[str, str]:
    with pytest.raises(Invalid) as error:
        check_measured(run_ids, caller, table)
    return {one.field: one.message for one in error.value.errors}


def test_a_closed_run_is_its_owners_and_an_admins(wires: Wires) -> None:
    # Given ann's run, which was measured
    run_id = closed(wires).run_id
    # Then she and an admin may
    for caller in (ANN, ADMIN):
        check_measured([run_id], caller, wires.table)
    # And for bob, and for a caller who is nobody, it is as if there were none
    for stranger in (BOB, Principal()):
        told = refused([run_id, "none-such"], stranger, wires.table)
        assert told == {"runs.0": f"there is no run {run_id!r}", "runs.1": "there is no run 'none-such'"}


def test_a_run_of_no_user_is_the_admins(wires: Wires) -> None:
    run = stored(wires.table, run_of(owner=None, started_by="execution"))
    assert refused([run.run_id], Principal(), wires.table) == {"runs.0": f"there is no run {run.run_id!r}"}
    assert refused([run.run_id], ADMIN, wires.table) == {"runs.0": f"run {run.run_id!r} is not closed yet"}


def test_what_a_run_lacks_is_told_by_its_place(wires: Wires) -> None:
    # Given a run that is good, one that is under way, and one that broke while it was measured
    good, running, broken = closed(wires), stored(wires.table, run_of(owner=ANN.sub)), closed(wires, measured=False)
    # Then the two are named
    assert refused([good.run_id, running.run_id, broken.run_id], ANN, wires.table) == {
        "runs.1": f"run {running.run_id!r} is not closed yet",
        "runs.2": f"run {broken.run_id!r} ended before anything was measured",
    }


def test_of_a_stream_one_run_is_taken(wires: Wires) -> None:
    # Given two runs on a stream of the same name, one of which is named twice
    first, second = (closed(wires, stream_name="orders") for _ in range(2))
    check_measured([first.run_id, first.run_id], ANN, wires.table)
    # When both are named / Then the second is refused
    assert refused([first.run_id, second.run_id], ANN, wires.table) == {
        "runs.1": f"run {second.run_id!r} was on the stream of {first.run_id!r}; name one of them"
    }
