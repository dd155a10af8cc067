"""The sweeper and the clean-up: everything of Weir's that is over goes, and nothing else, ever."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from random import Random
from typing import Any

import pytest

from tests.unit.runs.fakes import FakeAlarming, Wires, run_of, stored
from tests.unit.streams.fakes import NOON
from weir.runs.bucket import RunsBucket
from weir.runs.models import Verdict
from weir.runs.sweeping import ALARMS, Sweep, clean_up_after, cleanup_input, sweep
from weir.runs.table import RunsTable
from weir.runtime.clock import rfc3339
from weir.runtime.errors import TooManyRequests, Unavailable
from weir.streams import tags
from weir.streams.errors import StreamNotFound

PAST, FUTURE = rfc3339(NOON - timedelta(seconds=1)), rfc3339(NOON + timedelta(hours=1))
OURS = {tags.MANAGED: "true", tags.STACK: "weir", tags.EXPIRES_AT: PAST}


@pytest.fixture
def wires(table: RunsTable, bucket: RunsBucket) -> Wires:
    for run_id, _ in list(table.open_runs()):  # what other tests of this module left open
        table.close(run_id, verdict=Verdict.ABORTED, reasons=(), resources_left=0, cost_usd=None, ended_at=NOON)
    return Wires(table, bucket)


def swept(wires: Wires, *, dry_run: bool = False, until: float = 1_000.0) -> Sweep:
    return sweep(wires, dry_run=dry_run, until=until, rng=Random(1))


def deleting(wires: Wires) -> list[str]:
    return sorted(name for name, stream in wires.log.streams.items() if stream.status == "DELETING")


def test_what_is_managed_and_expired_is_deleted(wires: Wires) -> None:
    wires.log.add("weir-run-1", OURS)
    found = swept(wires)
    assert (found.examined, found.deleted, found.failed) == (1, ["weir-run-1"], [])
    assert deleting(wires) == ["weir-run-1"]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("weir-run-1", {}),
        ("weir-run-20261121t140500-9f86d081", {"Name": "weir", "owner": "somebody"}),
        ("weir-run-1", {tags.MANAGED: "true", tags.STACK: "weir"}),
        ("weir-run-1", {tags.EXPIRES_AT: PAST}),
        ("weir-run-1", {tags.MANAGED: "false", tags.STACK: "weir", tags.EXPIRES_AT: PAST}),
        ("weir-run-1", {tags.MANAGED: "True", tags.STACK: "weir", tags.EXPIRES_AT: PAST}),
        ("weir-run-1", {tags.MANAGED: " true", tags.STACK: "weir", tags.EXPIRES_AT: PAST}),
        ("weir-run-1", {"Weir:Managed": "true", tags.EXPIRES_AT: PAST}),
        ("weir-run-1", {"managed": "true", "expires-at": PAST}),
        ("weir-run-1", {tags.MANAGED: "true", tags.STACK: "weir", tags.EXPIRES_AT: FUTURE}),
        ("weir-run-1", {tags.MANAGED: "true", tags.STACK: "weir", tags.EXPIRES_AT: ""}),
        ("weir-run-1", {tags.MANAGED: "true", tags.STACK: "weir", tags.EXPIRES_AT: "yesterday"}),
        ("weir-run-1", {tags.MANAGED: "true", tags.STACK: "weir", tags.EXPIRES_AT: "2020-01-01"}),
        ("weir-run-1", {tags.MANAGED: "true", tags.STACK: "weir", tags.EXPIRES_AT: "2020-01-01T00:00:00"}),
        ("weir-run-1", {tags.MANAGED: "true", tags.STACK: "weir", tags.EXPIRES_AT: "1577836800"}),
        ("weir-run-1", {tags.MANAGED: "true", tags.STACK: "weir", tags.EXPIRES_AT: "2020-13-01T00:00:00Z"}),
        ("weir-run-1", {tags.MANAGED: "true", tags.STACK: "weir", tags.EXPIRES_AT: "0001-01-01T00:00:00+23:00"}),
        ("weir-run-1", {tags.MANAGED: "true", tags.STACK: "weir", tags.EXPIRES_AT: "9999-12-31T23:59:59-23:00"}),
        ("orders", {tags.EXPIRES_AT: "0001-01-01T00:00:00+23:00"}),
        ("orders", {tags.RUN_ID: "run-1", tags.OWNER: "user-1", tags.EXPIRES_AT: PAST}),
    ],
)
def test_everything_else_is_left_alone(name: str, found: dict[str, str], wires: Wires) -> None:
    # Given a stream that looks like Weir's, or was Weir's, but is not both managed and expired for sure
    wires.log.add(name, found)
    # When swept, long after
    assert swept(wires).deleted == []
    # Then it was not even tried
    assert wires.log.streams[name].status == "ACTIVE"
    assert "delete" not in wires.log.calls


def test_the_second_of_its_expiry_counts(wires: Wires) -> None:
    wires.log.add(
        "now", {tags.MANAGED: "true", tags.STACK: "weir", tags.EXPIRES_AT: rfc3339(NOON + timedelta(seconds=0.2))}
    )
    assert swept(wires).deleted == ["now"]


@pytest.mark.parametrize(
    "second",
    [
        {**OURS, tags.EXPIRES_AT: FUTURE},
        {tags.EXPIRES_AT: PAST},
        {**OURS, tags.MANAGED: "false", tags.STACK: "weir"},
        {},
    ],
)
def test_tags_are_read_again_just_before_deleting(second: dict[str, str], wires: Wires) -> None:
    # Given an expired stream whose owner gives it more time, or takes it over, between the two looks
    stream = wires.log.add("weir-run-1", OURS)
    original: Callable[[str], dict[str, str]] = wires.log.tags

    def read(name: str) -> dict[str, str]:
        found = original(name)
        stream.tags = second
        return found

    wires.log.tags = read  # type: ignore[method-assign]
    # When swept / Then it stays
    assert swept(wires).deleted == []
    assert stream.status == "ACTIVE"
    assert wires.log.calls.count("tags") == 2


def test_a_dry_run_tells_and_touches_nothing(wires: Wires) -> None:
    wires.log.add("a", OURS)
    wires.log.add("b", {})
    run = stored(wires.table, run_of())
    wires.time.seconds = 600
    found = swept(wires, dry_run=True)
    assert (found.deleted, found.cleaned_up, found.dry_run) == (["a"], [run.run_id], True)
    assert deleting(wires) == []
    assert wires.cleanup.started == {}


def test_a_stream_that_is_going_already_is_neither_deleted_nor_a_failure(wires: Wires) -> None:
    wires.log.add("going", OURS, status="DELETING")
    found = swept(wires)
    assert (found.deleted, found.failed) == ([], [])


def test_one_stream_that_fails_does_not_stop_the_others(wires: Wires) -> None:
    # Given three expired streams, of which one is being changed, and one can't be looked at
    wires.log.add("a", OURS, status="UPDATING")
    wires.log.add("b", OURS)
    wires.log.add("c", OURS)
    original: Callable[[str], dict[str, str]] = wires.log.tags

    def read(name: str) -> dict[str, str]:
        if name == "b":
            raise TooManyRequests("slow", retry_after=2)
        return original(name)

    wires.log.tags = read  # type: ignore[method-assign]
    found = swept(wires)
    # Then the rest goes, and both are told
    assert (found.examined, sorted(found.failed), found.deleted) == (3, ["a", "b"], ["c"])
    # When swept again, when Kinesis is well / Then they go too
    wires.log.streams["a"].status = "ACTIVE"
    wires.log.tags = original  # type: ignore[assignment, method-assign]
    assert sorted(swept(wires).deleted) == ["a", "b"]
    assert deleting(wires) == ["a", "b", "c"]


def test_a_stream_that_goes_by_itself_is_no_failure(wires: Wires) -> None:
    wires.log.add("a", OURS)
    wires.log.failures["delete"] = [StreamNotFound("gone")]
    found = swept(wires)
    assert (found.deleted, found.failed) == ([], [])


def test_a_sweep_that_runs_out_of_time_says_what_it_has_not_seen(wires: Wires) -> None:
    # Given twenty streams and two seconds, at five tag calls a second
    for number in range(20):
        wires.log.add(f"s{number:02d}", {})
    found = swept(wires, until=wires.time.seconds + 2.0)
    assert found.examined + found.unexamined == 20
    assert 9 <= found.examined <= 11


def test_sweeps_that_run_out_of_time_begin_at_different_places(wires: Wires) -> None:
    # Given more expired streams than a sweep can take
    for number in range(20):
        wires.log.add(f"s{number:02d}", OURS)
    first = {
        sweep(wires, dry_run=True, until=wires.time.seconds + 0.1, rng=Random(seed)).deleted[0] for seed in range(30)
    }
    assert len(first) > 5


def test_tag_calls_are_paced(wires: Wires) -> None:
    for number in range(10):
        wires.log.add(f"s{number:02d}", {})
    swept(wires)
    assert wires.time.seconds == pytest.approx(2.0)


def orphan(wires: Wires, status: str | None) -> str:
    """A run that nobody closed, ten minutes old."""
    run = stored(wires.table, run_of())
    if status is not None:
        wires.machine.statuses[run.run_id] = status
    wires.time.seconds = 600
    return run.run_id


@pytest.mark.parametrize(
    ("status", "error"),
    [
        ("FAILED", "FAILED"),
        ("TIMED_OUT", "TimedOut"),
        ("ABORTED", "Stopped"),
        ("SUCCEEDED", "SUCCEEDED"),
        (None, "NEVER_STARTED"),
    ],
)
def test_a_run_that_nobody_drives_any_more_is_cleaned_up(status: str | None, error: str, wires: Wires) -> None:
    run_id = orphan(wires, status)
    assert swept(wires).cleaned_up == [run_id]
    ((name, document),) = wires.cleanup.started.items()
    assert name.startswith(run_id)
    assert len(name) <= 80
    assert document["run_id"] == run_id
    assert document["failure"]["error"] == error


def test_a_run_that_goes_on_is_left_alone(wires: Wires) -> None:
    orphan(wires, "RUNNING")
    assert swept(wires).cleaned_up == []
    assert wires.cleanup.started == {}


def test_a_run_that_has_just_been_stored_may_not_have_started_yet(wires: Wires) -> None:
    stored(wires.table, run_of())
    wires.time.seconds = 299
    assert swept(wires).cleaned_up == []


def test_each_sweep_cleans_up_under_a_name_of_its_own(wires: Wires) -> None:
    # Given a run whose clean-up has died / When swept again / Then another one is started
    orphan(wires, "FAILED")
    swept(wires)
    wires.time.seconds += 900
    swept(wires, until=2_000.0)
    assert len(wires.cleanup.started) == 2


def test_one_run_that_fails_does_not_stop_the_others(wires: Wires) -> None:
    first, second = orphan(wires, "FAILED"), orphan(wires, "FAILED")
    wires.machine.failures["status"] = [Unavailable("no answer")]
    found = swept(wires)
    assert sorted(found.failed + found.cleaned_up) == sorted([first, second])
    assert len(wires.cleanup.started) == 1


def test_a_table_that_does_not_answer_keeps_no_stream_alive(wires: Wires) -> None:
    # Given a table that can't be asked for its open runs, and an expired stream
    wires.log.add("weir-run-1", OURS)

    def no_answer(_: RunsTable) -> Iterator[tuple[str, datetime]]:
        raise Unavailable("no answer")
        yield

    # When swept
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(wires.table), "open_runs", no_answer)
        found = swept(wires)
    # Then the stream goes, and the runs are said to be left
    assert (found.deleted, found.failed) == (["weir-run-1"], ["open runs"])
    assert deleting(wires) == ["weir-run-1"]


def test_a_sweep_out_of_time_leaves_runs_for_the_next(wires: Wires) -> None:
    # Given an orphan, and no time left / When swept / Then it is left alone
    orphan(wires, "FAILED")
    assert swept(wires, until=0.0).cleaned_up == []


def test_a_run_that_was_closed_meanwhile_is_left_alone(wires: Wires) -> None:
    # Given a run that the index still calls open, though it has just been closed
    run_id = orphan(wires, "FAILED")
    wires.table.close(
        run_id, verdict=Verdict.PASSED, reasons=(), resources_left=0, cost_usd=None, ended_at=wires.clock.now()
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(wires.table), "open_runs", lambda _: iter([(run_id, NOON)]))
        assert swept(wires).cleaned_up == []


# The rule on Execution Status Change


def event(run_id: str, status: str = "ABORTED", **more: Any) -> dict[str, Any]:
    return {"name": run_id, "status": status, **more}


def test_a_stopped_execution_has_its_stream_deleted_at_once(wires: Wires) -> None:
    # Given a run that was stopped while its stream was there
    run = stored(wires.table, run_of())
    wires.log.add(run.stream_name, {**OURS, tags.RUN_ID: run.run_id})
    # When its event comes
    assert clean_up_after(event(run.run_id, cause="stopped by user-1"), wires)["cleaned_up"] is True
    # Then the stream goes, and the clean-up closes the run
    assert deleting(wires) == [run.stream_name]
    failure = {"step": "Run", "error": "Stopped", "cause": "stopped by user-1"}
    assert wires.cleanup.started == {run.run_id: {"run_id": run.run_id, "failure": failure}}


@pytest.mark.parametrize(
    "found",
    [
        {},
        OURS,
        {**OURS, tags.RUN_ID: "another"},
        {tags.RUN_ID: "own"},
        {**OURS, tags.MANAGED: "True", tags.RUN_ID: "own"},
        {**OURS, tags.STACK: "other", tags.RUN_ID: "own"},
    ],
)
def test_a_stream_of_that_name_that_is_not_the_runs_stays(found: dict[str, str], wires: Wires) -> None:
    run = stored(wires.table, run_of())
    if found.get(tags.RUN_ID) == "own":
        found = {**found, tags.RUN_ID: run.run_id}
    wires.log.add(run.stream_name, found)
    clean_up_after(event(run.run_id), wires)
    assert deleting(wires) == []
    assert run.run_id in wires.cleanup.started


def test_a_run_that_closed_itself_needs_no_cleaning_up(wires: Wires) -> None:
    # Given a run that ended with the verdict FAILED, which its execution ends as
    run = stored(wires.table, run_of())
    wires.table.close(
        run.run_id, verdict=Verdict.FAILED, reasons=("x",), resources_left=0, cost_usd=None, ended_at=NOON
    )
    assert clean_up_after(event(run.run_id, "FAILED"), wires) == {"run_id": run.run_id, "cleaned_up": False}
    assert wires.cleanup.started == {}


@pytest.mark.parametrize("method", ["tags", "delete"])
def test_a_first_blow_that_fails_is_left_to_the_clean_up(method: str, wires: Wires) -> None:
    run = stored(wires.table, run_of())
    wires.log.add(run.stream_name, {**OURS, tags.RUN_ID: run.run_id})
    wires.log.failures[method] = [Unavailable("no answer")]
    assert clean_up_after(event(run.run_id), wires)["cleaned_up"] is True
    assert run.run_id in wires.cleanup.started


def test_an_event_that_comes_twice_starts_one_clean_up(wires: Wires) -> None:
    run = stored(wires.table, run_of())
    for _ in range(2):
        clean_up_after(event(run.run_id), wires)
    assert list(wires.cleanup.started) == [run.run_id]


def test_a_run_that_was_never_stored_is_cleaned_up_too(wires: Wires) -> None:
    assert clean_up_after(event("never-stored", "FAILED"), wires)["cleaned_up"] is True


def test_what_ended_a_run_is_told_as_the_machines_failures_are() -> None:
    told = cleanup_input("r", "TIMED_OUT", None)
    assert told == {
        "run_id": "r",
        "failure": {"step": "Run", "error": "TimedOut", "cause": "the execution ended as TIMED_OUT"},
    }


# Alarms of streams

LIVING = {tags.MANAGED: "true", tags.STACK: "weir", tags.EXPIRES_AT: FUTURE}
WITH_LEVELS = LIVING | {tags.SLO_LATENCY: "2000", tags.SLO_ITERATOR_AGE: "60000"}


def alarmed(wires: Wires, *there: str) -> FakeAlarming:
    made = FakeAlarming(*there)
    object.__setattr__(wires, "alarms", made)
    return made


def test_no_alarm_outlives_its_stream(wires: Wires) -> None:
    # Given alarms of a stream that is there, of one that is being deleted, and of one that is gone
    alarms = alarmed(wires, "there", "deleting", "gone")
    wires.log.add("there", LIVING)
    wires.log.add("deleting", LIVING, status="DELETING")

    # When the sweep only looks, Then they stay; when it sweeps, those without a stream go
    looked = swept(wires, dry_run=True)
    assert (len(alarms.there), len(looked.alarms_deleted)) == (6, 4)
    assert swept(wires).alarms_deleted == looked.alarms_deleted
    assert {name.split(":")[1] for name in alarms.there} == {"there"}


def test_a_stream_without_its_alarms_gets_them(wires: Wires) -> None:
    # Given streams with service levels, of which one has its alarms, and one is somebody else's
    alarms = alarmed(wires, "has")
    wires.log.add("has", WITH_LEVELS)
    wires.log.add("lacks", WITH_LEVELS)
    wires.log.add("theirs", {name: value for name, value in WITH_LEVELS.items() if name != tags.STACK})
    assert swept(wires, dry_run=True).alarms_made == []
    made = swept(wires).alarms_made
    assert made == ["weir-stream:lacks:data-latency", "weir-stream:lacks:iterator-age"]
    assert {name.split(":")[1] for name in alarms.there} == {"has", "lacks"}
    assert swept(wires).alarms_made == []


def test_a_stream_that_has_expired_gets_no_alarms(wires: Wires) -> None:
    alarms = alarmed(wires)
    wires.log.add("over", WITH_LEVELS | {tags.EXPIRES_AT: PAST})
    assert swept(wires).deleted == ["over"]
    assert alarms.there == set()


@pytest.mark.parametrize("method", ["known", "delete_all", "make"])
def test_a_cloudwatch_that_fails_keeps_no_stream_alive(wires: Wires, method: str) -> None:
    # Given an expired stream, one that lacks alarms, alarms without a stream, and a CloudWatch that fails
    alarms = alarmed(wires, "gone")
    alarms.failures[method] = [TooManyRequests("slow down")]
    wires.log.add("over", OURS)
    wires.log.add("lacks", WITH_LEVELS)
    found = swept(wires)
    assert found.deleted == ["over"]
    assert found.failed == (["lacks"] if method == "make" else [ALARMS])
    # And the next sweep does what this one could not
    assert swept(wires).failed == []
    assert {name.split(":")[1] for name in alarms.there} == {"lacks"}
