"""Start, plan and stop runs, for a caller over HTTP."""

import hashlib
import secrets
from datetime import datetime, timedelta

from weir.runs.bucket import ObjectMissing
from weir.runs.models import NEVER_STARTED, Failure, Run, RunPlan, RunSpec, S3Source, Status, Verdict, spec_json
from weir.runs.planner import SourceSize, make_plan
from weir.runs.publishing import publish
from weir.runs.source import records_estimated
from weir.runs.table import RunExists, RunNotFound
from weir.runs.wiring import Wiring
from weir.runtime import idempotency
from weir.runtime.errors import Conflict, FieldError, Forbidden, Invalid, WeirError
from weir.runtime.http import Principal

KEY_HOLDS = timedelta(seconds=idempotency.KEPT_SECONDS)
MOST_TRIES = 10
"""Runs of one idempotency key in a day that could not be started, until another key is asked for."""


class RunClosed(Conflict):
    """The run has ended already."""

    slug, title = "run-closed", "The run is closed"


def source_prefix(user_id: str) -> str:
    """How the keys of a user's uploads begin."""
    return f"sources/{user_id}."


def check_source(spec: RunSpec, caller: Principal) -> None:
    """Forbidden where the spec names lines that another user has uploaded."""
    source = spec.load.source
    if not isinstance(source, S3Source) or caller.is_admin or source.key.startswith(source_prefix(caller.sub)):
        return
    raise Forbidden("These lines are not yours: upload them with POST /runs/sources and name the key that it answers.")


def visible_run(run_id: str, caller: Principal, wires: Wiring) -> Run:
    """A run as it stands. RunNotFound where there is none, or it is another user's: strangers learn of no run."""
    run = wires.table.get(run_id)
    if not caller.owns(run.owner):
        raise RunNotFound(f"There is no run {run_id!r}.")
    return run


def new_run_id(now: datetime) -> str:
    """A run id that sorts by time, such as ``20261121t140500-9f86d081``."""
    return f"{now:%Y%m%dt%H%M%S}-{secrets.token_hex(4)}"


def keyed_run_id(now: datetime, owner: str, key: str, attempt: int = 0) -> str:
    """A run id that follows from the day, the owner and an idempotency key.

    A request that comes again then finds the run of the first, even where the first answer could not be kept.
    ``attempt`` counts the runs of the key that could not be started.
    """
    digest = hashlib.blake2b(f"{owner}\n{key}\n{attempt}".encode(), digest_size=10).hexdigest()
    return f"{now:%Y%m%d}-{digest}"


def source_size(spec: RunSpec, wires: Wiring) -> SourceSize | None:
    """The size of the spec's own lines; None where records are generated. Invalid where the upload is missing.

    Lines of an upload are not counted but estimated, from its beginning. It is the latest version that is sized.
    """
    source = spec.load.source
    if source is None:
        return None
    if not isinstance(source, S3Source):
        return SourceSize(sum(len(line.encode()) for line in source.lines), len(source.lines))
    try:
        size, version = wires.bucket.look(source.key)
    except ObjectMissing as error:
        told = "nothing was uploaded there: PUT the lines to the URL that POST /runs/sources answered, first"
        raise Invalid(f"load.source.key: {told}.", errors=[FieldError("load.source.key", told)]) from error
    if size == 0:
        raise Invalid("The source is empty.", errors=[FieldError("load.source.key", "holds no line")])
    estimated = records_estimated(wires.bucket.open_at(source.key, 0, version), size)
    return SourceSize(size, None, estimated, version)


def plan_run(spec: RunSpec, wires: Wiring) -> RunPlan:
    """What a spec would come to; nothing is created. Invalid where it would be refused."""
    return make_plan(spec, source_size(spec, wires), wires.conf)


def new_run(run_id: str, spec: RunSpec, owner: str | None, wires: Wiring, execution_arn: str | None = None) -> Run:
    """A run that has not begun; ``owner`` is None where it was started on the state machine itself."""
    now = wires.clock.now()
    return Run(
        run_id=run_id,
        owner=owner,
        started_by="execution" if owner is None else "user",
        status=Status.QUEUED,
        created_at=now,
        expires_at=now + timedelta(seconds=spec.expires_in),
        stream_name=wires.stream_name(run_id),
        spec=spec,
        execution_arn=execution_arn,
    )


def start_run(spec: RunSpec, owner: str, wires: Wiring, key: str | None = None) -> Run:
    """Plan, store and start a run; or find the one that the same idempotency ``key`` has made in the last 24 hours.

    Raises
    ------
    Invalid
        The plan is refused (cost, time, source); nothing was created.
    RunExists
        The key has made a run of another spec.
    Conflict
        The key has been tried too often, and none of its runs could be started.
    WeirError
        Step Functions would not start it; the run is closed as ABORTED.
    """
    plan_run(spec, wires)
    run = _stored(new_run_id(wires.clock.now()), spec, owner, wires) if key is None else _keyed(spec, owner, key, wires)
    if run.status is Status.CLOSED:
        return run
    try:
        wires.run_machine.start(run.run_id, spec_json(spec))
    except WeirError as error:
        _close_unstarted(run, error, wires)
        raise
    return run


def _keyed(spec: RunSpec, owner: str, key: str, wires: Wiring) -> Run:
    """The run of an idempotency key: stored now, or by an earlier request with the key, today or yesterday."""
    now = wires.clock.now()
    for attempt in range(MOST_TRIES):
        found = wires.table.head(keyed_run_id(now - KEY_HOLDS, owner, key, attempt))
        if found is None:
            break
        if not _spent(found) and now - found.created_at < KEY_HOLDS:
            return _same(found, spec, owner)
    for attempt in range(MOST_TRIES):
        run = _stored(keyed_run_id(now, owner, key, attempt), spec, owner, wires)
        if not _spent(run):
            return run
    raise Conflict(f"{MOST_TRIES} runs of this Idempotency-Key could not be started today; use a new key.")


def _stored(run_id: str, spec: RunSpec, owner: str, wires: Wiring) -> Run:
    """A run, stored; or the one that has its id: an earlier request's, or this very one's, whose answer was lost."""
    run = new_run(run_id, spec, owner, wires, wires.run_machine.execution_arn(run_id))
    try:
        wires.table.create(run)
    except RunExists:
        found = wires.table.head(run_id)
        if found is None:
            raise
        return found if _spent(found) else _same(found, spec, owner)
    return run


def _same(found: Run, spec: RunSpec, owner: str) -> Run:
    if (found.spec, found.owner) != (spec, owner):
        raise RunExists(f"There is a run {found.run_id!r} already, of another spec.")
    return found


def _spent(run: Run) -> bool:
    """Whether the run never began and never will: its id is spent, its key is not."""
    return run.failure is not None and (run.failure.step == "Start" or run.failure.error == NEVER_STARTED)


def _close_unstarted(run: Run, error: WeirError, wires: Wiring) -> None:
    if wires.run_machine.status(run.run_id) is not None:
        return  # it did start, only the answer was lost: the caller learns of the error, the run goes on
    wires.table.fail(run.run_id, Failure(step="Start", error=type(error).__name__, cause=error.detail))
    # Before the close, unlike a run's own: nobody comes after this one who would, for sweeps look for open runs.
    publish(Verdict.ABORTED, None, None, 0)
    wires.table.published(run.run_id)
    wires.table.close(
        run.run_id,
        verdict=Verdict.ABORTED,
        reasons=(f"Start: {error.detail}",),
        resources_left=0,
        cost_usd=None,
        ended_at=wires.clock.now(),
    )


def stop_run(run_id: str, caller: Principal, wires: Wiring) -> Run:
    """Stop a run; its stream is deleted right after, by the clean-up that the stopped execution sets off.

    Raises
    ------
    RunNotFound, RunClosed
    """
    run = visible_run(run_id, caller, wires)
    if run.status is Status.CLOSED:
        raise RunClosed(f"Run {run_id} is closed: {run.verdict}.")
    cause = f"stopped by {caller.sub}"
    wires.run_machine.stop(run_id, cause)
    # After the stop: a failure that stood there before it would break a run that goes on because the stop failed.
    wires.table.fail(run_id, Failure(step="Run", error="Stopped", cause=cause))
    return run
