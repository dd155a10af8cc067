"""Start, plan and stop runs, for a caller over HTTP."""

import hashlib
import secrets
from datetime import datetime, timedelta

from weir.runs.bucket import ObjectMissing
from weir.runs.models import Failure, Run, RunPlan, RunSpec, S3Source, Status, Verdict, spec_json
from weir.runs.planner import SourceSize, make_plan
from weir.runs.source import records_estimated
from weir.runs.table import RunExists
from weir.runs.wiring import Wiring
from weir.runtime.errors import Conflict, FieldError, Invalid, WeirError


class RunClosed(Conflict):
    """The run has ended already."""

    slug, title = "run-closed", "The run is closed"


def new_run_id(now: datetime) -> str:
    """A run id that sorts by time, such as ``20261121t140500-9f86d081``."""
    return f"{now:%Y%m%dt%H%M%S}-{secrets.token_hex(4)}"


def keyed_run_id(now: datetime, owner: str, key: str) -> str:
    """A run id that follows from the day, the owner and an idempotency key.

    A request that comes again then finds the run of the first, even where the first answer could not be kept.
    """
    digest = hashlib.blake2b(f"{owner}\n{key}".encode(), digest_size=10).hexdigest()
    return f"{now:%Y%m%d}-{digest}"


def source_size(spec: RunSpec, wires: Wiring) -> SourceSize | None:
    """The size of the spec's own lines; None where records are generated. Invalid where the upload is missing.

    Lines of an upload are not counted but estimated, from its beginning.
    """
    source = spec.load.source
    if source is None:
        return None
    if not isinstance(source, S3Source):
        return SourceSize(sum(len(line.encode()) for line in source.lines), len(source.lines))
    try:
        size = wires.bucket.size(source.key)
    except ObjectMissing as error:
        told = "nothing was uploaded there: PUT the lines to the URL that POST /runs/sources answered, first"
        raise Invalid(f"load.source.key: {told}.", errors=[FieldError("load.source.key", told)]) from error
    if size == 0:
        raise Invalid("The source is empty.", errors=[FieldError("load.source.key", "holds no line")])
    return SourceSize(size, None, records_estimated(wires.bucket.open_at(source.key, 0), size))


def plan_run(spec: RunSpec, wires: Wiring) -> RunPlan:
    """What a spec would come to; nothing is created. Invalid where it would be refused."""
    return make_plan(spec, source_size(spec, wires), wires.conf)


def new_run(run_id: str, spec: RunSpec, owner: str, wires: Wiring, execution_arn: str | None = None) -> Run:
    """A run that has not begun."""
    now = wires.clock.now()
    return Run(
        run_id=run_id,
        owner=owner,
        status=Status.QUEUED,
        created_at=now,
        expires_at=now + timedelta(seconds=spec.expires_in),
        stream_name=wires.stream_name(run_id),
        spec=spec,
        execution_arn=execution_arn,
    )


def start_run(spec: RunSpec, owner: str, wires: Wiring, key: str | None = None) -> Run:
    """Plan, store and start a run; or find the one that the same idempotency ``key`` has made today.

    Raises
    ------
    Invalid
        The plan is refused (cost, time, source); nothing was created.
    WeirError
        Step Functions would not start it; the run is closed as ABORTED.
    """
    plan_run(spec, wires)
    machine = wires.run_machine
    now = wires.clock.now()
    run_id = new_run_id(now) if key is None else keyed_run_id(now, owner, key)
    run = new_run(run_id, spec, owner, wires, machine.execution_arn(run_id))
    try:
        wires.table.create(run)
    except RunExists:
        found = wires.table.head(run_id)  # made with the same key, or by this very call: the answer to it was lost
        if found is None or found.spec != spec:
            raise
        run = found
        if found.status is Status.CLOSED and found.failure is not None and found.failure.step == "Start":
            # The first try could not be started; its id is spent, the key is not.
            fresh = new_run_id(now)
            run = new_run(fresh, spec, owner, wires, machine.execution_arn(fresh))
            wires.table.create(run)
    try:
        machine.start(run.run_id, spec_json(spec))
    except WeirError as error:
        _close_unstarted(run, error, wires)
        raise
    return run


def _close_unstarted(run: Run, error: WeirError, wires: Wiring) -> None:
    if wires.run_machine.status(run.run_id) is not None:
        return  # it did start, only the answer was lost: the caller learns of the error, the run goes on
    wires.table.fail(run.run_id, Failure(step="Start", error=type(error).__name__, cause=error.detail))
    wires.table.close(
        run.run_id,
        verdict=Verdict.ABORTED,
        reasons=(f"Start: {error.detail}",),
        resources_left=0,
        cost_usd=None,
        ended_at=wires.clock.now(),
    )


def stop_run(run_id: str, who: str, wires: Wiring) -> Run:
    """Stop a run; its stream is deleted right after, by the clean-up that the stopped execution sets off.

    Raises
    ------
    RunNotFound, RunClosed
    """
    run = wires.table.get(run_id)
    if run.status is Status.CLOSED:
        raise RunClosed(f"Run {run_id} is closed: {run.verdict}.")
    cause = f"stopped by {who}"
    wires.run_machine.stop(run_id, cause)
    # After the stop: a failure that stood there before it would break a run that goes on because the stop failed.
    wires.table.fail(run_id, Failure(step="Run", error="Stopped", cause=cause))
    return run
