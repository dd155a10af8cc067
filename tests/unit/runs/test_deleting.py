"""The end of a run's stream: deleted where it is the run's own, left alone where it is not."""

from datetime import timedelta
from typing import Any

import pytest

from tests.unit.runs.fakes import BROKEN, Wires, created, head, run_of, spec_of, step_of, stored
from weir.runs import steps
from weir.runs.creating import CREATED_WITHIN
from weir.runs.models import Failure
from weir.runs.steps import StreamNotOurs
from weir.runtime.errors import Timeout, Unavailable
from weir.streams import tags


def test_the_runs_stream_is_deleted(wires: Wires) -> None:
    run = created(wires)
    assert steps.delete(run.run_id, None, wires) == {"kept": False}
    assert wires.log.streams[run.stream_name].status == "DELETING"


def test_the_failure_that_led_here_is_stored(wires: Wires) -> None:
    run = created(wires)
    steps.delete(run.run_id, BROKEN, wires)
    assert head(wires, run).failure == BROKEN


@pytest.mark.parametrize(
    ("found", "why"),
    [
        ({}, "no tags"),
        ({tags.MANAGED: "true", tags.STACK: "weir"}, "no run"),
        ({tags.MANAGED: "true", tags.STACK: "weir", tags.RUN_ID: "another"}, "another's"),
        ({tags.RUN_ID: "SELF"}, "not managed"),
        ({tags.MANAGED: "True", tags.STACK: "weir", tags.RUN_ID: "SELF"}, "not managed"),
        ({tags.MANAGED: "true", tags.STACK: "other", tags.RUN_ID: "SELF"}, "another stack's"),
    ],
)
def test_a_stream_without_the_runs_tags_is_left_alone(found: dict[str, str], why: str, wires: Wires) -> None:
    # Given a stream of the run's name that is not its own
    run = stored(wires.table, run_of())
    mine = {key: run.run_id if value == "SELF" else value for key, value in found.items()}
    wires.log.add(run.stream_name, mine)
    # When it comes to deleting / Then it is not touched
    with pytest.raises(StreamNotOurs):
        steps.delete(run.run_id, BROKEN, wires)
    assert wires.log.streams[run.stream_name].status == "ACTIVE"
    assert "delete" not in wires.log.calls


def test_deleting_what_is_gone_or_going_is_done(wires: Wires) -> None:
    run = created(wires)
    steps.delete(run.run_id, None, wires)
    assert steps.delete(run.run_id, None, wires) == {"kept": False}
    del wires.log.streams[run.stream_name]
    assert steps.delete(run.run_id, None, wires) == {"kept": False}


def test_a_stream_that_kinesis_is_changing_is_deleted_when_that_is_done(wires: Wires) -> None:
    # Given a stream that can't be deleted yet / When it comes to that / Then it is no failure, and not gone either
    run = created(wires)
    stream = wires.log.streams[run.stream_name]
    stream.status = "UPDATING"
    assert steps.delete(run.run_id, None, wires) == {"kept": False}
    assert steps.deleted(run.run_id, wires) == {"gone": False}
    assert stream.status == "UPDATING"
    # When Kinesis is done, and it is looked at again / Then it goes
    stream.status = "ACTIVE"
    assert steps.deleted(run.run_id, wires) == {"gone": False}
    assert stream.status == "DELETING"


def test_a_stream_that_kinesis_is_changing_for_ever_is_told(wires: Wires) -> None:
    run = created(wires)
    wires.log.streams[run.stream_name].status = "UPDATING"
    steps.delete(run.run_id, None, wires)
    wires.time.seconds += timedelta(minutes=10, seconds=1).total_seconds()
    with pytest.raises(Timeout, match="UPDATING"):
        steps.deleted(run.run_id, wires)


@pytest.mark.parametrize(("keep", "failure", "kept"), [(True, None, True), (True, BROKEN, False), (False, None, False)])
def test_a_stream_is_kept_only_where_that_was_asked_and_all_went_well(
    keep: bool, failure: Failure | None, kept: bool, wires: Wires
) -> None:
    run = created(wires, spec_of(keep=keep))
    assert steps.delete(run.run_id, failure, wires) == {"kept": kept}
    assert wires.log.streams[run.stream_name].status == ("ACTIVE" if kept else "DELETING")


def test_a_branch_that_failed_is_a_failure_too(wires: Wires) -> None:
    # Given a run that asked to keep its stream, and whose inserting broke
    run = created(wires, spec_of(keep=True))
    assert steps.branch_failed(run.run_id, BROKEN, wires) == {"failed": "Insert"}
    assert steps.delete(run.run_id, None, wires) == {"kept": False}


def test_a_run_that_was_never_stored_can_be_deleted_after(wires: Wires) -> None:
    assert steps.delete("never-stored", BROKEN, wires) == {"kept": False}
    assert steps.deleted("never-stored", wires) == {"gone": True}


def test_deleting_is_not_deleted(wires: Wires) -> None:
    # Given a stream that is DELETING
    run = created(wires)
    steps.delete(run.run_id, None, wires)
    assert steps.deleted(run.run_id, wires) == {"gone": False}
    # When Kinesis no longer knows it / Then it is gone
    del wires.log.streams[run.stream_name]
    assert steps.deleted(run.run_id, wires) == {"gone": True}
    assert step_of(head(wires, run), "DeleteStream").detail == "gone"


def test_deleting_does_not_last_for_ever(wires: Wires) -> None:
    run = created(wires)
    steps.delete(run.run_id, None, wires)
    wires.time.seconds += timedelta(minutes=10, seconds=1).total_seconds()
    with pytest.raises(Timeout, match="DELETING"):
        steps.deleted(run.run_id, wires)


@pytest.mark.parametrize(
    ("found", "failures", "left"),
    [
        (None, [], 0),
        ({tags.MANAGED: "true", tags.STACK: "weir", tags.RUN_ID: "SELF"}, [], 1),
        ({tags.MANAGED: "true", tags.STACK: "weir", tags.RUN_ID: "another"}, [], 0),
        ({tags.MANAGED: "true", tags.STACK: "other", tags.RUN_ID: "SELF"}, [], 0),
        ({tags.RUN_ID: "SELF"}, [], 0),
        ({}, [Unavailable("no answer")], None),
    ],
)
def test_what_is_left(found: dict[str, str] | None, failures: list[Any], left: int | None, wires: Wires) -> None:
    run = run_of()
    if found is not None:
        wires.log.add(run.stream_name, {key: run.run_id if value == "SELF" else value for key, value in found.items()})
    wires.log.failures["tags"] = failures
    assert steps.stream_left(run, run.run_id, wires) == left


def test_a_clean_up_long_after_has_its_own_time_to_delete(wires: Wires) -> None:
    # Given a run that died while its stream was to be deleted, and a clean-up half an hour later
    run = created(wires)
    wires.log.failures["delete"] = [Unavailable("no answer")]
    with pytest.raises(Unavailable):
        steps.delete(run.run_id, None, wires)
    wires.time.seconds += 1_800
    # When it deletes the stream / Then that may take its time again
    steps.delete(run.run_id, BROKEN, wires)
    wires.time.seconds += 60
    assert steps.deleted(run.run_id, wires) == {"gone": False}
    wires.time.seconds += 560
    with pytest.raises(Timeout):
        steps.deleted(run.run_id, wires)


def test_a_stream_that_kinesis_has_not_shown_yet_is_not_called_gone(wires: Wires) -> None:
    # Given a run that was stopped just after CreateStream, whose stream Kinesis does not know yet
    run = stored(wires.table, run_of())
    steps.create(run.run_id, wires)
    hidden = wires.log.streams.pop(run.stream_name)
    assert steps.delete(run.run_id, Failure(step="Run", error="Stopped", cause="x"), wires) == {"kept": False}
    # When asked whether it is gone / Then not yet
    assert steps.deleted(run.run_id, wires) == {"gone": False}
    # And when it appears, it is deleted, and what is then unknown is gone
    wires.log.streams[run.stream_name] = hidden
    assert steps.deleted(run.run_id, wires) == {"gone": False}
    assert hidden.status == "DELETING"
    del wires.log.streams[run.stream_name]
    assert steps.deleted(run.run_id, wires) == {"gone": True}


def test_a_stream_that_never_appears_is_gone_in_the_end(wires: Wires) -> None:
    # Given a run that died when it was about to make its stream
    run = stored(wires.table, run_of())
    wires.table.announce_create(run.run_id, wires.clock.now())
    steps.delete(run.run_id, BROKEN, wires)
    assert steps.deleted(run.run_id, wires) == {"gone": False}
    # When that can't take effect any more / Then it is gone
    wires.time.seconds += CREATED_WITHIN.total_seconds() + 1
    assert steps.deleted(run.run_id, wires) == {"gone": True}
