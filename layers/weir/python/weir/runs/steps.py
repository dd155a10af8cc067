"""The control steps of a run, one function a state of ``statemachines/run.asl.json``.

Each may be called again after it half happened, and then finishes or finds what was done. None waits: it answers
whether it is done, and Step Functions waits. What breaks a step is raised; the machine retries or goes on to delete.
"""

import json
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any

from pydantic import ValidationError

from weir.analysis.measurement import measurement_key
from weir.runs.creating import KNOWN_WITHIN, make_stream, may_still_come
from weir.runs.measuring import StreamFacts, measure
from weir.runs.models import RUN_ID, Failure, Run, RunSpec, Status
from weir.runs.planner import make_plan
from weir.runs.starting import new_run, source_size
from weir.runs.table import RunExists, RunNotFound
from weir.runs.watching import watch
from weir.runs.wiring import Wiring
from weir.runtime.errors import Conflict, Forbidden, Invalid, NotFound, Timeout, WeirError
from weir.runtime.field_errors import invalid
from weir.runtime.observability import logger
from weir.streams import tags as stream_tags
from weir.streams.assertions import check_stream
from weir.streams.errors import StreamBusy, StreamNotFound
from weir.streams.lifecycle import describe_stream
from weir.streams.models import MOST_LATENCY_MS, Stream, StreamSlo, StreamSpec

ACTIVE_WITHIN = timedelta(minutes=10)
DELETED_WITHIN = timedelta(minutes=10)

WHOLE_RUN = "Run"
"""Step of a failure that was not told by a state: the execution was stopped, or ran out of time."""

Answer = dict[str, Any]


class SpecInvalid(Invalid):
    """The input of the execution is no run spec, or its plan is refused."""

    slug, title = "spec-invalid", "The run spec can't be used"


class StreamNotAsAsked(Conflict):
    """AWS made another stream than was asked for."""

    slug, title = "stream-not-as-asked", "The stream is not as asked"


class StreamNotOurs(Forbidden):
    """There is a stream of the run's name that is not the run's; it is left alone."""

    slug, title = "stream-not-ours", "Not the run's stream"


def plan(run_id: str, document: Any, execution_arn: str, wires: Wiring) -> Answer:
    """Validate the spec, estimate the cost, store the run. SpecInvalid where it is refused."""
    if not RUN_ID.fullmatch(run_id):
        raise SpecInvalid(f"{run_id!r} can't name a run: 1 to 64 letters, digits, and _ . - within.")
    if not isinstance(document, Mapping):
        raise SpecInvalid("The execution's input must be a run spec, a JSON object.")
    try:
        spec = RunSpec.model_validate_json(json.dumps(dict(document)))
    except ValidationError as error:
        raise SpecInvalid(invalid(error.errors()).detail) from error
    run = _stored(run_id, spec, execution_arn, wires)
    if run.status is Status.CLOSED:
        raise SpecInvalid(f"There was a run {run_id!r} before, and it is closed: choose another name.")
    wires.table.begin_step(run_id, "Plan", wires.clock.now())
    try:
        source = source_size(spec, wires)
        made = make_plan(spec, source, wires.conf)
    except Invalid as error:
        raise SpecInvalid(error.detail) from error
    wires.table.begin(run_id, made, execution_arn, source.version if source else None)
    told = (
        f"{_counted(made.workers, 'writer')}, {_counted(made.readers, 'reader')}, about {made.seconds:,.0f} s, "
        f"about ${Decimal(made.cost_usd):.4f}"
    )
    wires.table.end_step(run_id, "Plan", wires.clock.now(), told)
    return {"stream_name": run.stream_name, "workers": made.workers, "readers": made.readers}


def planned(run_id: str, document: Any, execution_arn: str, wires: Wiring) -> Answer:
    """``plan``, with what is refused as an answer: the caller's mistake is no error of the function, which alarms."""
    try:
        return {**plan(run_id, document, execution_arn, wires), "planned": True, "failure": None}
    except SpecInvalid as refused:
        failure = Failure(step="Plan", error=type(refused).__name__, cause=refused.detail)
        return {"workers": 0, "readers": 0, "planned": False, "failure": failure.model_dump()}


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _stored(run_id: str, spec: RunSpec, execution_arn: str, wires: Wiring) -> Run:
    """The run as stored by whoever started it, or stored now where the machine was started directly."""
    run = new_run(run_id, spec, None, wires, execution_arn)
    try:
        wires.table.create(run)
    except RunExists:
        found = wires.table.head(run_id)
        if found is None or found.execution_arn != execution_arn:
            raise
        return found
    return run


def _head(run_id: str, wires: Wiring) -> Run:
    run = wires.table.head(run_id)
    if run is None:
        raise RunNotFound(f"There is no run {run_id!r}.")
    return run


def _stream_spec(run: Run) -> StreamSpec:
    ask = run.spec.stream
    latency = run.spec.slo.p99_latency_ms
    return StreamSpec(
        name=run.stream_name,
        mode=ask.mode,
        shard_count=ask.shard_count if ask.mode == "PROVISIONED" else None,
        expires_in=run.spec.expires_in,
        slo=None if latency is None else StreamSlo(data_latency_ms=min(max(1, round(latency)), MOST_LATENCY_MS)),
    )


def create(run_id: str, wires: Wiring) -> Answer:
    """Create the run's stream, tagged from its first moment; adopt it where an earlier try made it."""
    run = _head(run_id, wires)
    stream = make_stream(run, _stream_spec(run), wires)
    wires.table.end_step(
        run_id, "CreateStream", wires.clock.now(), f"{stream.mode}, {_counted(run.spec.stream.shard_count, 'shard')}"
    )
    return {"arn": stream.arn}


def active(run_id: str, wires: Wiring) -> Answer:
    """Whether the stream is ACTIVE and as asked: StreamNotAsAsked names what differs, Timeout after 10 minutes."""
    run = _head(run_id, wires)
    wires.table.begin_step(run_id, "WaitActive", wires.clock.now())
    since = _since(run, "CreateStream", wires)
    try:
        stream = describe_stream(wires.kinesis, run.stream_name)
    except StreamNotFound:
        if since > KNOWN_WITHIN:
            raise
        return {"ready": False}
    if not run.stream_seen:
        wires.table.seen(run_id)
    if stream.status != "ACTIVE":
        if since > ACTIVE_WITHIN:
            raise Timeout(f"The stream is {stream.status} after {since.total_seconds():,.0f} s.")
        return {"ready": False}
    own_tags = stream_tags.managed_tags(run.owner_tag, run_id, run.expires_at)
    del own_tags[stream_tags.EXPIRES_AT]  # it counts from when the stream was made, not the run
    differences = check_stream(_stream_spec(run), stream, own_tags)
    if stream.expires_at is None:
        differences.append(f"tag {stream_tags.EXPIRES_AT}: none that can be read, so that nobody could sweep it")
    if differences:
        raise StreamNotAsAsked("; ".join(differences))
    wires.table.end_step(run_id, "WaitActive", wires.clock.now(), "status, mode, shards, encryption and tags as asked")
    return {"ready": True}


def _since(run: Run, step: str, wires: Wiring) -> timedelta:
    began = next((one.started_at for one in run.steps if one.name == step), run.created_at)
    return wires.clock.now() - began


def branch_failed(run_id: str, failure: Failure, wires: Wiring) -> Answer:
    """Inserting or verifying broke: store why, so that the other side comes to its end."""
    wires.table.fail(run_id, failure)
    return {"failed": failure.step}


def metrics(run_id: str, wires: Wiring) -> Answer:
    """Whether CloudWatch shows all that was accepted, or need not be waited for any longer."""
    run = _head(run_id, wires)
    if run.failure is not None or "cloudwatch" not in run.spec.analyses:
        return {"done": True}
    wires.table.begin_step(run_id, "AwaitMetrics", wires.clock.now())
    waited = _since(run, "AwaitMetrics", wires) if any(one.name == "AwaitMetrics" for one in run.steps) else timedelta()
    facts = watch(run, _accepted(run, wires), wires.metrics, wires.clock)
    if not facts.complete and waited.total_seconds() < wires.conf.metrics_wait_seconds:
        return {"done": False}
    wires.table.end_step(
        run_id, "AwaitMetrics", wires.clock.now(), "complete" if facts.complete else "not complete: waited long enough"
    )
    return {"done": True}


def _accepted(run: Run, wires: Wiring) -> int:
    return sum(int(part.counts.get("kinesis_records", 0)) for part in wires.table.parts(run.run_id, "SLICE"))


def analyze(run_id: str, wires: Wiring) -> Answer:
    """Measure the run and store the measurement; the verdict and the report are made from it at the close."""
    run = _head(run_id, wires)
    wires.table.begin_step(run_id, "Analyze", wires.clock.now())
    stream = _described(run, wires)
    facts = StreamFacts(
        open_shards=stream.open_shard_count if stream else None,
        retention_hours=stream.retention_hours if stream else 24,
        created_at=stream.created_at.timestamp() if stream and stream.created_at else None,
    )
    cloudwatch = watch(run, _accepted(run, wires), wires.metrics, wires.clock)
    measured = measure(run, wires.table, wires.bucket, facts, cloudwatch, wires.conf, wires.clock)
    wires.bucket.save(measurement_key(run_id), measured.to_dict())
    wires.table.end_step(run_id, "Analyze", wires.clock.now(), f"{measured.seen} seen, {measured.lost} lost")
    return {"accepted": measured.accepted, "seen": measured.seen, "lost": measured.lost}


def _described(run: Run, wires: Wiring) -> Stream | None:
    try:
        return describe_stream(wires.kinesis, run.stream_name)
    except NotFound:
        return None


def delete(run_id: str, failure: Failure | None, wires: Wiring) -> Answer:
    """Begin to delete the run's stream; the state that every failure leads to.

    A stream is deleted only where its tags, read just before, name this run. One that Kinesis is changing can't be yet:
    ``deleted`` does it then. Where the run has failed, a table that does not answer does not keep the stream alive.
    """
    try:
        run = wires.table.head(run_id)
    except WeirError:
        if failure is None:
            raise  # whether the stream is to be kept is not known
        _delete_own(run_id, wires)
        raise
    if run is not None and run.spec.keep and failure is None and run.failure is None:
        wires.table.begin_step(run_id, "DeleteStream", wires.clock.now())
        return {"kept": True}
    try:
        found = _delete_own(run_id, wires)
        if found and run is not None and not run.stream_seen:
            wires.table.seen(run_id)
    finally:
        if run is not None:
            if failure is not None:
                wires.table.fail(run_id, located(failure, run_id, wires))
            # A clean-up long after the run died has its own ten minutes until the stream must be gone.
            late = _since(run, "DeleteStream", wires) > DELETED_WITHIN
            wires.table.begin_step(run_id, "DeleteStream", wires.clock.now(), anew=late)
    return {"kept": False}


def _delete_own(run_id: str, wires: Wiring) -> bool:
    """Begin to delete the run's stream, unless Kinesis is changing it; False where it is not there. StreamNotOurs."""
    name = wires.stream_name(run_id)
    try:
        if not stream_tags.is_of_run(wires.kinesis.tags(name), run_id):
            raise StreamNotOurs(f"Stream {name!r} does not bear this run's tags, so it is left alone.")
        wires.kinesis.delete(name)
    except StreamNotFound:
        return False
    except StreamBusy as busy:  # CREATING or UPDATING, or DELETING already
        logger().info("%s", busy.detail)
    return True


def deleted(run_id: str, wires: Wiring) -> Answer:
    """Whether the stream is gone: not merely DELETING, but unknown to Kinesis. Timeout after 10 minutes.

    A stream that is there and not DELETING is deleted again: a call of a step that was given up came after the first,
    or Kinesis was changing it.
    """
    run = wires.table.head(run_id)
    try:
        status = wires.kinesis.summary(wires.stream_name(run_id))["StreamStatus"]
    except StreamNotFound:
        if run is None:
            return {"gone": True}
        if may_still_come(run, wires):
            return {"gone": False}
        wires.table.end_step(run_id, "DeleteStream", wires.clock.now(), "gone")
        return {"gone": True}
    if run is not None and not run.stream_seen:
        wires.table.seen(run_id)
    if run is not None and not any(step.name == "DeleteStream" for step in run.steps):
        wires.table.begin_step(run_id, "DeleteStream", wires.clock.now())
    elif run is not None and _since(run, "DeleteStream", wires) > DELETED_WITHIN:
        raise Timeout(f"The stream is still {status} after 10 minutes of deleting it.")
    if status != "DELETING":
        _delete_own(run_id, wires)
    return {"gone": False}


def stream_left(run: Run | None, run_id: str, wires: Wiring) -> int | None:
    """How many streams of the run are there: 0 or 1; None where AWS would not say, or one may still be made."""
    name = run.stream_name if run is not None else wires.stream_name(run_id)
    try:
        tags = wires.kinesis.tags(name)
    except StreamNotFound:
        return None if run is not None and may_still_come(run, wires) else 0
    except WeirError:
        return None
    return int(stream_tags.is_of_run(tags, run_id))


def failure_of(raised: Mapping[str, Any] | None) -> Failure | None:
    """The failure in a machine's ``{step, error, cause}``, with Lambda's JSON cause unwrapped and no stack trace."""
    if not raised:
        return None
    cause = str(raised.get("cause") or "")
    try:
        document = json.loads(cause)
        cause = str(document["errorMessage"])
    except (ValueError, KeyError, TypeError):
        pass
    error = str(raised.get("error") or "Unknown")
    if error in {"States.Timeout", "Sandbox.Timedout"}:
        cause = cause or "it did not finish in its time"
    return Failure(step=str(raised.get("step") or WHOLE_RUN), error=error, cause=cause[:1000] or "no cause was told")


def failed(raised: Mapping[str, Any]) -> Failure:
    """The failure in a machine's ``{step, error, cause}``, where there is one for sure."""
    return failure_of(raised) or Failure(step=WHOLE_RUN, error="Unknown", cause="no cause was told")


def located(failure: Failure, run_id: str, wires: Wiring) -> Failure:
    """A failure of the run as a whole as one of the step that was under way: the first that began and was not done.

    Where all had ended and the stream was gone, it is the close, which could not even tell that it began.
    """
    if failure.step != WHOLE_RUN:
        return failure
    steps = wires.table.get(run_id).steps
    under_way = [step.name for step in steps if step.status != "DONE"]
    if not under_way and any(step.name == "DeleteStream" for step in steps):
        under_way = ["Close"]
    return failure.model_copy(update={"step": under_way[0]}) if under_way else failure
