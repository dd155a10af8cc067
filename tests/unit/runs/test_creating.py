"""CreateStream against the run's end: none is sent after it, and one that was is waited out, whatever became of it."""

from typing import Any

import pytest

from tests.contract import stack
from tests.unit.runs.fakes import Died, Wires, head, run_of, spec_of, step_of, stored
from tests.unit.streams.fakes import NOON
from weir.runs import steps
from weir.runs.creating import CREATED_WITHIN, KNOWN_WITHIN, NoStreamWanted
from weir.runs.models import Failure, Run, Step, Verdict
from weir.runtime.errors import Unavailable, WeirError
from weir.streams import tags
from weir.streams.errors import NotKnownYet, StreamExists, StreamQuotaExceeded

STOPPED = Failure(step="Run", error="Stopped", cause="enough")


@pytest.fixture
def run(wires: Wires) -> Run:
    return stored(wires.table, run_of())


def made(wires: Wires, run: Run) -> Step:
    """The step CreateStream as it stands."""
    return step_of(head(wires, run), "CreateStream")


def end(wires: Wires, run: Run, how: str) -> None:
    """The run comes to its end, or its stream is seen, in another function."""
    if how == "failed":
        wires.table.fail(run.run_id, STOPPED)
    elif how == "closed":
        wires.table.close(
            run.run_id, verdict=Verdict.ABORTED, reasons=("x",), resources_left=0, cost_usd=None, ended_at=NOON
        )
    else:
        wires.table.seen(run.run_id)


def while_in(wires: Wires, method: str, happens: Any) -> None:
    """Let something happen during the next call of a method of Kinesis, before it takes effect."""
    original = getattr(wires.log, method)

    def call(*args: Any, **named: Any) -> Any:
        setattr(wires.log, method, original)
        happens()
        return original(*args, **named)

    setattr(wires.log, method, call)


def settle(wires: Wires, run: Run) -> float:
    """Delete and confirm until the stream is gone, every two seconds; how long that took."""
    began = wires.time.seconds
    steps.delete(run.run_id, STOPPED, wires)
    while not steps.deleted(run.run_id, wires)["gone"]:
        wires.time.seconds += 2
        if wires.log.streams.get(run.stream_name) and wires.log.streams[run.stream_name].status == "DELETING":
            del wires.log.streams[run.stream_name]
        assert wires.time.seconds - began < 1_000
    return wires.time.seconds - began


@pytest.mark.parametrize("how", ["failed", "closed", "seen"])
def test_no_stream_is_made_for_a_run_that_ended_while_the_quota_was_asked(how: str, wires: Wires, run: Run) -> None:
    # Given a run that ends, or whose stream another try made, while this one asks for the quota
    while_in(wires, "limits", lambda: end(wires, run, how))
    # When it comes to CreateStream / Then that is not sent
    with pytest.raises(NoStreamWanted):
        steps.create(run.run_id, wires)
    assert "create" not in wires.log.calls


@pytest.mark.parametrize("how", ["failed", "closed", "seen"])
def test_no_stream_is_made_for_a_run_that_ended_before_the_first_write(
    how: str, wires: Wires, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a function that has read the run before it ended
    before = wires.table.head(run.run_id)
    monkeypatch.setattr(wires.table, "head", lambda _: before)
    end(wires, run, how)
    # When it goes on / Then not even the quota is asked
    with pytest.raises(NoStreamWanted):
        steps.create(run.run_id, wires)
    assert wires.log.calls == []


def test_a_call_that_nobody_waits_for_is_waited_out_as_long_as_its_function_may_run(wires: Wires, run: Run) -> None:
    # Given a run that was stopped while its CreateStream is stuck, and a stream that it makes after 270 s
    def die() -> None:
        raise Died

    while_in(wires, "create", die)
    with pytest.raises(Died):
        steps.create(run.run_id, wires)
    assert steps.delete(run.run_id, STOPPED, wires) == {"kept": False}
    wires.time.seconds += 270
    assert steps.deleted(run.run_id, wires) == {"gone": False}
    late = wires.log.add(
        run.stream_name, {tags.MANAGED: "true", tags.STACK: "weir", tags.RUN_ID: run.run_id, tags.OWNER: "user-1"}
    )
    # When asked whether it is gone / Then it is deleted, and only then is it gone
    assert steps.deleted(run.run_id, wires) == {"gone": False}
    assert late.status == "DELETING"
    del wires.log.streams[run.stream_name]
    assert steps.deleted(run.run_id, wires) == {"gone": True}


def test_what_is_left_is_not_known_while_a_stream_may_come(wires: Wires, run: Run) -> None:
    wires.table.announce_create(run.run_id, wires.clock.now())
    announced = wires.table.head(run.run_id)
    assert steps.stream_left(announced, run.run_id, wires) is None
    wires.time.seconds += CREATED_WITHIN.total_seconds()
    assert steps.stream_left(announced, run.run_id, wires) == 0


def test_the_wait_outlasts_the_function_that_creates() -> None:
    # Given Lambda's hard limit of the function, which ends it whatever it waits for
    timeout = stack.functions()["RunControlFunction"]["Timeout"]
    # Then a stream that it makes in its last moment is known before the wait is over
    assert timeout + KNOWN_WITHIN.total_seconds() <= CREATED_WITHIN.total_seconds()


@pytest.mark.parametrize("error", [Unavailable("no answer"), NotKnownYet("exists, and is not known")])
def test_a_call_that_failed_may_have_made_the_stream(error: WeirError, wires: Wires, run: Run) -> None:
    # Given a CreateStream of 55 s of tries, none of which was answered, though the last one took effect
    def give_up() -> None:
        wires.time.seconds += 55
        raise error

    while_in(wires, "create", give_up)
    with pytest.raises(type(error)):
        steps.create(run.run_id, wires)
    broken = Failure(step="CreateStream", error=type(error).__name__, cause=error.detail)
    steps.delete(run.run_id, broken, wires)
    # When Kinesis does not know it yet / Then it is not called gone, and deleted when it appears
    wires.time.seconds += 5
    assert steps.deleted(run.run_id, wires) == {"gone": False}
    late = wires.log.add(run.stream_name, {tags.MANAGED: "true", tags.STACK: "weir", tags.RUN_ID: run.run_id})
    assert steps.deleted(run.run_id, wires) == {"gone": False}
    assert late.status == "DELETING"


def test_a_refusal_does_not_keep_the_run_open_for_long(wires: Wires, run: Run) -> None:
    # Given an account that has no room
    wires.log.most_shards = 0
    with pytest.raises(StreamQuotaExceeded):
        steps.create(run.run_id, wires)
    # Then the step has failed, with why, and the run is not held open longer than Kinesis needs to know a stream
    assert made(wires, run).status == "FAILED"
    assert "no room" in str(made(wires, run).detail)
    assert settle(wires, run) <= KNOWN_WITHIN.total_seconds()


def test_a_run_that_was_stopped_in_time_is_not_held_open_for_long(wires: Wires, run: Run) -> None:
    # Given a function that lives, and learns just before CreateStream that the run was stopped
    while_in(wires, "limits", lambda: end(wires, run, "failed"))
    with pytest.raises(NoStreamWanted):
        steps.create(run.run_id, wires)
    # Then it has told that it sends nothing
    assert settle(wires, run) <= KNOWN_WITHIN.total_seconds()


def test_a_failed_try_is_forgotten_when_the_next_begins(wires: Wires, run: Run) -> None:
    wires.log.failures["create"] = [Unavailable("no answer")]
    with pytest.raises(Unavailable):
        steps.create(run.run_id, wires)
    seen: list[str] = []
    while_in(wires, "create", lambda: seen.append(made(wires, run).status))
    steps.create(run.run_id, wires)
    assert seen == ["RUNNING"]
    assert made(wires, run).status == "DONE"


def test_a_try_does_not_speak_for_an_earlier_one_that_told_no_end(wires: Wires, run: Run) -> None:
    # Given a try of which nobody knows whether it is still on its way, and one after it that is refused for sure
    wires.table.announce_create(run.run_id, wires.clock.now())
    wires.log.add(run.stream_name, {tags.RUN_ID: "another"})
    with pytest.raises(StreamExists):
        steps.create(run.run_id, wires)
    # Then the step has not ended
    assert made(wires, run).ended_at is None


def test_an_earlier_try_does_not_speak_for_a_later_one(wires: Wires, run: Run) -> None:
    # Given a try that is still on its way, and another that was begun since
    def begin_again() -> None:
        wires.time.seconds += 90
        wires.table.announce_create(run.run_id, wires.clock.now())
        raise Unavailable("no answer")

    while_in(wires, "create", begin_again)
    # When the first one fails / Then the step has not ended
    with pytest.raises(Unavailable):
        steps.create(run.run_id, wires)
    assert made(wires, run).ended_at is None


def test_why_no_stream_was_made_is_told_although_the_table_does_not_answer(
    wires: Wires, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(*_: Any) -> bool:
        raise Unavailable("no answer")

    monkeypatch.setattr(wires.table, "withdraw_create", silent)
    wires.log.most_shards = 0
    with pytest.raises(StreamQuotaExceeded):
        steps.create(run.run_id, wires)


def test_a_step_says_whether_it_has_begun(wires: Wires, run: Run) -> None:
    assert wires.table.begin_step(run.run_id, "Plan", NOON) is True
    end(wires, run, "closed")
    assert wires.table.begin_step(run.run_id, "Analyze", NOON) is False
    assert wires.table.announce_create(run.run_id, NOON) is False
    assert wires.table.withdraw_create(run.run_id, NOON, NOON, "x") is False


def test_a_run_that_was_stopped_between_two_tries_was_stopped_in_that_step(wires: Wires, run: Run) -> None:
    # Given a run that waits to try CreateStream again / When it is stopped / Then that is the step
    wires.log.failures["create"] = [Unavailable("no answer")]
    with pytest.raises(Unavailable):
        steps.create(run.run_id, wires)
    assert steps.located(STOPPED, run.run_id, wires).step == "CreateStream"


@pytest.mark.parametrize(("asked", "told"), [(None, None), (1500.4, "1500"), (0.2, "1"), (1e12, "604800000")])
def test_the_service_level_of_a_run_stands_on_its_stream(asked: float | None, told: str | None, wires: Wires) -> None:
    # Given a run that is, or is not, to be held against a latency
    run = stored(wires.table, run_of(spec_of(slo={"p99_latency_ms": asked})))
    # When its stream is made, Then the sweep finds on it what alarms it is to have, should it live that long
    steps.create(run.run_id, wires)
    assert wires.log.streams[run.stream_name].tags.get(tags.SLO_LATENCY) == told
