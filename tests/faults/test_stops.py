"""A run is killed in every state of its machine, and the clean-up in every state of its own: nothing is left.

Stopping and timing out skip every Catch, so what cleans up is the event rule, and behind it the sweeper.
"""

from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import partial
from io import StringIO
from typing import Any

import pytest

from tests.faults.account import Account, definition, deployed
from tests.faults.claims import lies
from tests.faults.fault import Fault, Kind
from tests.faults.machine import Execution, Place
from tests.faults.matrix import SLOW, SLOW_APART, SPECS
from tests.faults.neighbours import move_in
from tests.faults.outcome import Outcome, conclude


@dataclass(frozen=True)
class Way:
    """A run that comes through some states: its spec, and the call that must fail for good on the way."""

    spec: str
    fault: Fault | None = None


def broken(spec: str, state: str, operation: str) -> Way:
    """A run that comes through what follows when the call fails for good."""
    return Way(spec, Fault(Place("run", state), operation, 1, Kind.ERROR_500, lasting=True))


WAYS = {
    "InsertFailed": broken("plain", "InsertSlice", "kinesis.ListShards"),
    "VerifyFailed": broken("plain", "ReadShards", "kinesis.ListShards"),
    "InsertApartFailed": broken("apart", "InsertSliceApart", "kinesis.ListShards"),
    "InsertApartEnded": broken("apart", "InsertSliceApart", "kinesis.ListShards"),
    "VerifyApartFailed": broken("apart", "ReadShardsApart", "kinesis.ListShards"),
    "VerifyApartEnded": broken("apart", "ReadShardsApart", "kinesis.ListShards"),
    "RunFailed": broken("plain", "Analyze", "s3.PutObject"),
    "WaitMetrics": Way("watched"),
    "InsertAgain": Way("slow"),
    "VerifyAgain": Way("slow"),
    "InsertApartAgain": Way("slow-apart"),
    "VerifyApartAgain": Way("slow-apart"),
}
"""How to come to a state that a plain run, or one with several workers, does not come through."""

WAY_SPECS = {**SPECS, "slow": SLOW, "slow-apart": SLOW_APART}
ENDS = {"aborted": ("ABORTED", "Stopped", "stopped by a test"), "timed-out": ("TIMED_OUT", None, None)}


def states_of(machine: Any) -> Iterator[str]:
    """The names of all states, those inside Parallel and Map states included."""
    for name, state in machine["States"].items():
        yield name
        for inner in (*state.get("Branches", ()), *filter(None, [state.get("ItemProcessor")])):
            yield from states_of(inner)


def way_to(state: str) -> Way:
    """A run that comes through this state."""
    return WAYS.get(state) or Way("apart" if "Apart" in state else "plain")


def killed(way: Way, machine: str, state: str, end: Callable[[Execution], None]) -> tuple[Outcome, int, Account]:
    """Play a run, ended as soon as it enters the state; how often that was, and what came of it."""
    met: list[Execution] = []

    def entered(execution: Execution, name: str) -> None:
        if (execution.machine, name) == (machine, state) and not met:
            met.append(execution)
            end(execution)
        if machine == "cleanup" and (execution.machine, name) == ("run", "InsertDone?"):
            execution.end("ABORTED", "Stopped", "stopped by a test")

    with deployed(way.fault) as account, redirect_stdout(StringIO()):
        account.on_entered = entered
        if way.spec.startswith("slow"):
            account.timeouts["${InsertFunction}"] = 100.0  # 20 s of which it draws records
        neighbours = move_in(account.cloud)
        account.start(WAY_SPECS[way.spec])
        account.settle()
        return conclude(account, neighbours), len(met), account


@pytest.mark.parametrize("how", ENDS)
@pytest.mark.parametrize("state", list(states_of(definition("run"))))
def test_a_run_that_is_killed_in_a_state_leaves_nothing(state: str, how: str) -> None:
    # Given a run that enters the state; When it is stopped, or runs out of time, there
    outcome, met, _ = killed(way_to(state), "run", state, lambda execution: execution.end(*ENDS[how]))

    # Then, without the sweeper, its stream is gone, it is closed with a true verdict, and nothing else was touched
    assert met == 1
    assert outcome.first.settled
    assert outcome.disturbed == []
    assert lies(outcome) == []

    # And it is aborted, unless it was closed already
    closed_before = state in {"Verdict?", "RunDone", "RunFailed"}
    assert closed_before or way_to(state).fault or outcome.last.verdict == "ABORTED" or state == "Plan"
    assert closed_before or outcome.last.failure or (outcome.last.item is None and state == "Plan")


@pytest.mark.parametrize("state", list(states_of(definition("cleanup"))))
def test_a_clean_up_that_is_killed_in_a_state_is_done_again(state: str) -> None:
    # Given a run that was stopped; When the clean-up behind it is stopped, too, as it enters the state
    stop = partial(Execution.end, status="ABORTED", error="Stopped", cause="stopped by a test")
    outcome, met, _ = killed(Way("plain"), "cleanup", state, stop)

    # Then the sweeper has the rest done: the stream is gone, the run is closed, and nothing else was touched
    assert met == 1
    assert outcome.last.settled
    assert outcome.last.verdict == "ABORTED"
    assert outcome.disturbed == []
    assert lies(outcome) == []


@pytest.mark.parametrize("seconds", [1.0, 10.0, 25.0])
def test_a_stream_that_kinesis_does_not_show_yet_is_not_taken_for_gone(seconds: float) -> None:
    # Given a Kinesis that knows nothing, for a while, of a stream that it has made
    with deployed() as account, redirect_stdout(StringIO()):
        account.cloud.unknown_seconds = seconds
        account.on_entered = lambda execution, state: (
            execution.end("ABORTED", "Stopped", "stopped by a test") if state == "CheckActive" else None
        )
        neighbours = move_in(account.cloud)

        # When a run is stopped as soon as its stream is made
        account.start(SPECS["plain"])
        account.settle()
        outcome = conclude(account, neighbours)

    # Then, without the sweeper, the stream is deleted when it appears, and only then the run is closed
    assert account.cloud.born
    assert outcome.first.settled
    assert outcome.last.verdict == "ABORTED"
    assert outcome.disturbed == []
    assert lies(outcome) == []


def test_a_stream_that_kinesis_does_not_show_yet_is_waited_for() -> None:
    # Given the same Kinesis; When a run is left alone, Then it passes
    with deployed() as account, redirect_stdout(StringIO()):
        account.cloud.unknown_seconds = 10.0
        execution = account.start(SPECS["plain"])
        account.settle()
    assert execution.output["verdict"] == "PASSED"


def test_a_run_that_never_ends_runs_out_of_its_own_time() -> None:
    # Given a run that waits for its stream for longer than the whole execution may last
    def entered(execution: Execution, state: str) -> None:
        if state == "CheckActive":
            execution.kernel.sleep(definition("run")["TimeoutSeconds"] + 1.0)

    # When the time of the execution is up
    with deployed() as account, redirect_stdout(StringIO()):
        account.on_entered = entered
        neighbours = move_in(account.cloud)
        execution = account.start(SPECS["plain"])
        account.settle()
        outcome = conclude(account, neighbours)

    # Then it has timed out, and what it made is gone
    assert execution.status == "TIMED_OUT"
    assert outcome.first.settled
    assert outcome.last.verdict == "ABORTED"
    assert "TimedOut" in outcome.last.reasons[0]
    assert outcome.disturbed == []
