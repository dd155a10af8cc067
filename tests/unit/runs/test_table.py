"""The runs table on moto: what is stored is read, and whoever comes second in a race is told."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError

from tests.unit.runs.fakes import plan_of, run_of, spec_of, stored
from tests.unit.streams.fakes import NOON
from weir.runs.models import Failure, Run, Status, Verdict
from weir.runs.shapes import SCHEMA
from weir.runs.table import Claim, RunExists, RunNotFound, RunsTable, TakenOver
from weir.runtime.clock import SYSTEM, Clock
from weir.runtime.errors import Unavailable

END: dict[str, Any] = {
    "verdict": Verdict.PASSED,
    "reasons": ("all well",),
    "resources_left": 0,
    "cost_usd": "0.02",
    "ended_at": NOON + timedelta(minutes=3),
}


def test_a_run_is_read_as_it_was_stored(table: RunsTable) -> None:
    # Given a run with a spec of many parts
    spec = spec_of(stream={"shards": 3}, slo={"p99_latency_ms": 250.5}, max_cost="0.75", keep=True)
    run = run_of(spec, planned=False)
    # When stored / Then it is read as it was, with and without progress
    table.create(run)
    assert table.head(run.run_id) == run
    read = table.get(run.run_id)
    assert read.progress is not None
    assert read.model_copy(update={"progress": None}) == run


def test_a_run_without_an_execution_yet(table: RunsTable) -> None:
    run = run_of(planned=False, execution_arn=None)
    table.create(run)
    assert table.head(run.run_id) == run


def test_an_id_is_used_once(table: RunsTable) -> None:
    run = stored(table, run_of())
    with pytest.raises(RunExists):
        table.create(run_of(spec_of(keep=True), run_id=run.run_id))
    assert table.head(run.run_id) == run


def test_what_is_not_there(table: RunsTable) -> None:
    assert table.head("nobody") is None
    with pytest.raises(RunNotFound):
        table.get("nobody")
    with pytest.raises(RunNotFound):
        table.begin_step("nobody", "Plan", NOON)
    with pytest.raises(RunNotFound):
        table.begin("nobody", plan_of(spec_of()), "arn", None)
    assert table.close("nobody", **END) is False
    assert table.head("nobody") is None


@pytest.mark.parametrize("version", [None, "v1"])
def test_the_plan_makes_a_run_running(version: str | None, table: RunsTable) -> None:
    run = run_of(planned=False)
    table.create(run)
    plan = plan_of(run.spec)
    table.begin(run.run_id, plan, "arn:execution", version)
    found = table.head(run.run_id)
    assert found is not None
    assert (found.status, found.plan, found.execution_arn) == (Status.RUNNING, plan, "arn:execution")
    assert found.source_version == version


def test_a_run_is_closed_once(table: RunsTable) -> None:
    # Given a run that two would close
    run = stored(table, run_of())
    # When they do / Then the first one's verdict stays
    assert table.close(run.run_id, **END) is True
    second = {**END, "verdict": Verdict.ABORTED, "reasons": ("stopped",), "resources_left": None}
    assert table.close(run.run_id, **second) is False
    closed = table.head(run.run_id)
    assert closed is not None
    assert (closed.status, closed.verdict, closed.reasons) == (Status.CLOSED, Verdict.PASSED, ("all well",))
    assert (closed.resources_left, closed.cost_usd, closed.ended_at) == (0, "0.02", END["ended_at"])


def test_what_is_unknown_at_the_close_stays_unknown(table: RunsTable) -> None:
    run = stored(table, run_of())
    table.close(run.run_id, **{**END, "resources_left": None, "cost_usd": None})
    closed = table.head(run.run_id)
    assert closed is not None
    assert (closed.resources_left, closed.cost_usd) == (None, None)


def test_a_closed_run_does_not_begin_again(table: RunsTable) -> None:
    # Given a run that was closed because its start seemed to have failed
    run = run_of(planned=False)
    table.create(run)
    table.close(run.run_id, **{**END, "verdict": Verdict.ABORTED})
    # When its execution comes late all the same / Then it can't begin, and the verdict stands
    with pytest.raises(RunNotFound):
        table.begin(run.run_id, plan_of(run.spec), "arn", None)
    found = table.head(run.run_id)
    assert found is not None
    assert (found.status, found.verdict, found.plan) == (Status.CLOSED, Verdict.ABORTED, None)


def test_steps_begin_once_and_end_last(table: RunsTable) -> None:
    # Given a step that was tried twice
    run = stored(table, run_of())
    for second in (1, 5):
        table.begin_step(run.run_id, "CreateStream", NOON + timedelta(seconds=second))
        table.end_step(run.run_id, "CreateStream", NOON + timedelta(seconds=second + 1), f"try at {second}")
    table.begin_step(run.run_id, "Plan", NOON)
    # When read / Then it lasts from its first beginning to its last end, in the order of time
    found = table.head(run.run_id)
    assert found is not None
    assert [step.name for step in found.steps] == ["Plan", "CreateStream"]
    assert [step.status for step in found.steps] == ["RUNNING", "DONE"]
    made = found.steps[1]
    assert (made.started_at, made.ended_at) == (NOON + timedelta(seconds=1), NOON + timedelta(seconds=6))
    assert made.detail == "try at 5"


def test_the_first_failure_stays_and_breaks_its_step(table: RunsTable) -> None:
    run = stored(table, run_of())
    table.begin_step(run.run_id, "WaitActive", NOON)
    first = Failure(step="WaitActive", error="Timeout", cause="too long")
    table.fail(run.run_id, first)
    table.fail(run.run_id, Failure(step="DeleteStream", error="Other", cause="later"))
    found = table.head(run.run_id)
    assert found is not None
    assert found.failure == first
    assert (found.steps[0].status, found.steps[0].detail) == ("FAILED", "too long")


def test_a_claim_begins_and_goes_on(table: RunsTable) -> None:
    # Given a slice that nobody holds
    run = stored(table, run_of())
    first = table.claim(run.run_id, "SLICE", 3, run.expires_at)
    assert (first.index, first.version, first.checkpoint) == (3, 1, 0)
    # When its holder saves, and another takes over
    table.tell(run.run_id, "SLICE", first, {"accepted": 5}, saved=True)
    second = table.claim(run.run_id, "SLICE", 3, run.expires_at)
    # Then the other goes on at the checkpoint
    assert (second.version, second.checkpoint) == (2, 1)
    (part,) = table.parts(run.run_id, "SLICE")
    assert (part.index, part.done, part.checkpoint) == (3, False, 1)
    assert part.counts == {"accepted": 5, "invocations": 2}


def test_who_was_taken_over_writes_nothing_more(table: RunsTable) -> None:
    # Given a slice that was taken over from a holder who lives
    run = stored(table, run_of())
    old = table.claim(run.run_id, "READER", 0, run.expires_at)
    new = table.claim(run.run_id, "READER", 0, run.expires_at)
    table.tell(run.run_id, "READER", new, {"seen": 7}, saved=True, done=True)
    # When the old one tells / Then it is stopped, and nothing has changed
    with pytest.raises(TakenOver):
        table.tell(run.run_id, "READER", old, {"seen": 1}, saved=True)
    (part,) = table.parts(run.run_id, "READER")
    assert (part.counts["seen"], part.done, part.checkpoint) == (7, True, 2)


def test_progress_without_a_save_leaves_the_checkpoint(table: RunsTable) -> None:
    run = stored(table, run_of())
    claim = table.claim(run.run_id, "SLICE", 0, run.expires_at)
    table.tell(run.run_id, "SLICE", claim, {"accepted": 1})
    assert table.claim(run.run_id, "SLICE", 0, run.expires_at).checkpoint == 0


def two_workers(table: RunsTable) -> Run:
    return stored(table, run_of(spec_of(load={"records": 100, "workers": 2})))


def told(began: float, ended: float, **counts: int) -> dict[str, Any]:
    return {"began_at": NOON.timestamp() + began, "ended_at": NOON.timestamp() + ended, **counts}


def test_progress_is_summed_and_the_steps_follow(table: RunsTable) -> None:
    # Given two writers, of which one is done, and a reader
    run = two_workers(table)
    first, second = (table.claim(run.run_id, "SLICE", index, run.expires_at) for index in (0, 1))
    reader = table.claim(run.run_id, "READER", 0, run.expires_at)
    table.tell(run.run_id, "SLICE", first, told(1, 4, accepted=50, retried=2), saved=True, done=True)
    table.tell(run.run_id, "SLICE", second, told(2, 3, accepted=20, rejected=1, throttled=5))
    table.tell(run.run_id, "READER", reader, told(1, 5, seen=60))
    # When read
    read = table.get(run.run_id)
    # Then counts are totals
    progress = read.progress
    assert progress is not None
    assert (progress.planned, progress.accepted, progress.rejected, progress.seen) == (100, 70, 1, 60)
    assert (progress.retried, progress.throttled, progress.workers_done, progress.readers_done) == (2, 5, 1, 0)
    # and both steps run still
    assert [(step.name, step.status, step.ended_at) for step in read.steps] == [
        ("Insert", "RUNNING", None),
        ("Verify", "RUNNING", None),
    ]
    # When all are done / Then they last from the first beginning to the last end
    table.tell(run.run_id, "SLICE", second, told(2, 9, accepted=50), saved=True, done=True)
    insert = next(step for step in table.get(run.run_id).steps if step.name == "Insert")
    assert insert.status == "DONE"
    assert insert.ended_at is not None
    assert (insert.ended_at - insert.started_at).total_seconds() == 8


def test_inserting_is_not_done_before_every_writer_has_begun(table: RunsTable) -> None:
    # Given two writers, of which one is done before the other has begun
    run = two_workers(table)
    claim = table.claim(run.run_id, "SLICE", 0, run.expires_at)
    table.tell(run.run_id, "SLICE", claim, told(1, 4, accepted=50), saved=True, done=True)
    # Then inserting goes on
    assert [(step.name, step.status) for step in table.get(run.run_id).steps] == [("Insert", "RUNNING")]


def test_parts_of_more_than_a_page_are_all_read(table: RunsTable) -> None:
    # Given 30 writers whose items come to 1.5 MB, more than the 1 MB of one answer
    run = stored(table, run_of())
    for index in range(30):
        claim = table.claim(run.run_id, "SLICE", index, run.expires_at)
        table.tell(run.run_id, "SLICE", claim, {"accepted": 1, "errors": {"x" * 50_000: 1}})
    # When read / Then none is missing, and they come by number
    assert [part.index for part in table.parts(run.run_id, "SLICE")] == list(range(30))
    progress = table.get(run.run_id).progress
    assert progress is not None
    assert progress.accepted == 30


def test_runs_are_listed_newest_first_over_pages(table: RunsTable) -> None:
    # Given five runs of the far future, the newest of which is closed
    runs = [run_of(created_at=NOON + timedelta(days=365, minutes=minute)) for minute in range(5)]
    for run in runs:
        stored(table, run)
    table.close(runs[4].run_id, **END)
    # When listed by two
    first, position = table.page(2, None)
    second, _ = table.page(2, position)
    # Then they come newest first, without a gap, as the index keeps them
    assert [one.run_id for one in (*first, *second)] == [run.run_id for run in reversed(runs[1:])]
    assert (first[0].status, first[0].verdict, first[0].reasons) == (Status.CLOSED, Verdict.PASSED, ("all well",))
    assert first[1].verdict is None


def test_the_last_page_ends_the_list(table: RunsTable) -> None:
    for _ in range(8):
        stored(table, run_of())
    position: dict[str, str] | None = None
    seen: list[str] = []
    for _ in range(100):
        page, position = table.page(7, position)
        seen += [one.run_id for one in page]
        if position is None:
            break
    assert position is None
    assert len(seen) == len(set(seen)) > 7


def test_open_runs_are_those_that_are_not_closed(table: RunsTable) -> None:
    # Given two runs, one of them closed
    opened, closed = stored(table, run_of()), stored(table, run_of())
    table.close(closed.run_id, **END)
    # When the open ones are read / Then only the other is there, with its time
    found = dict(table.open_runs())
    assert found[opened.run_id] == NOON
    assert closed.run_id not in found


def test_items_carry_schema_and_an_end(table: RunsTable, aws: dict[str, Any]) -> None:
    run = stored(table, run_of())
    table.claim(run.run_id, "SLICE", 0, run.expires_at)
    keys = [{"pk": {"S": f"RUN#{run.run_id}"}, "sk": {"S": sort}} for sort in ("RUN", "SLICE#00000")]
    for key in keys:
        item = aws["dynamodb"].get_item(TableName="runs", Key=key)["Item"]
        assert item["schema"] == {"N": str(SCHEMA)}
        assert int(item["ttl"]["N"]) >= int((NOON + timedelta(days=90)).timestamp())


class Unreachable:
    """A DynamoDB that doesn't answer."""

    def __getattr__(self, operation: str) -> Any:
        def fail(*_: Any, **__: Any) -> Any:
            raise ReadTimeoutError(endpoint_url="https://dynamodb")

        return fail if operation != "get_paginator" else lambda _: self


def test_no_answer_is_unavailable_whatever_was_asked() -> None:
    # Given a table that does not answer / When anything is asked / Then it is Unavailable, which the machine retries
    table, run = RunsTable(Unreachable(), "runs", SYSTEM), run_of()
    claim = Claim(0, 1, 0)
    asks: list[Callable[[], object]] = [
        lambda: table.create(run),
        lambda: table.head("x"),
        lambda: table.page(1, None),
        lambda: table.begin_step("x", "Plan", NOON),
        lambda: table.close("x", **END),
        lambda: table.claim("x", "SLICE", 0, NOON),
        lambda: table.tell("x", "SLICE", claim, {}),
    ]
    for ask in asks:
        with pytest.raises(Unavailable):
            ask()


def test_what_has_outlived_its_time_is_not_there(aws: dict[str, Any], table: RunsTable) -> None:
    # Given a closed run, seen from a day after its time to live, when DynamoDB has not removed it yet
    run = stored(table, run_of())
    table.close(run.run_id, verdict=Verdict.PASSED, reasons=(), resources_left=0, cost_usd=None, ended_at=NOON)
    later = NOON + timedelta(days=91)
    then = RunsTable(aws["dynamodb"], "runs", Clock(now=lambda: later, epoch=later.timestamp))
    # When looked for, by any way / Then it is not there
    assert then.head(run.run_id) is None
    with pytest.raises(RunNotFound):
        then.get(run.run_id)
    assert run.run_id not in {one.run_id for one in then.page(200, None)[0]}
    # And its id is not free before its writers' items are removed with it: a new run would go on at their checkpoints
    with pytest.raises(RunExists):
        then.create(run.model_copy(update={"created_at": later}))


def test_a_closed_run_stays_as_it_was_judged(table: RunsTable) -> None:
    # Given a closed run
    run = stored(table, run_of())
    table.close(run.run_id, verdict=Verdict.PASSED, reasons=("fine",), resources_left=0, cost_usd=None, ended_at=NOON)
    before = table.head(run.run_id)
    # When something late would change it / Then it does not
    table.fail(run.run_id, Failure(step="Run", error="Stopped", cause="too late"))
    table.begin_step(run.run_id, "DeleteStream", NOON)
    table.end_step(run.run_id, "DeleteStream", NOON)
    table.seen(run.run_id)
    assert table.head(run.run_id) == before
