"""Close a run: verdict, cost, report, metrics. Once, whoever comes first: the run itself or the clean-up behind it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from weir.analysis.cost import Cost, cost_of_run, month_like_it
from weir.analysis.measurement import Measurement, measurement_key
from weir.analysis.rules import assess
from weir.analysis.slo import Slo as AnalysisSlo
from weir.runs.bucket import ObjectMissing, report_key
from weir.runs.measuring import CloudWatchFacts, StreamFacts, measure
from weir.runs.models import Failure, Run, Slo, Status, Verdict, spec_json
from weir.runs.publishing import publish
from weir.runs.report import Report, build_report
from weir.runs.report_html import render_html
from weir.runs.steps import located, stream_left
from weir.runs.table import RunNotFound
from weir.runs.verdict import judge
from weir.runs.wiring import Wiring
from weir.runtime.errors import Conflict, WeirError
from weir.runtime.observability import logger
from weir.streams.models import DEFAULT_RETENTION_HOURS


def close(run_id: str, failure: Failure | None, wires: Wiring) -> dict[str, Any]:
    """Give the verdict, write the report, publish the metrics.

    A cost that is not whole is told in the report alone, with what it lacks: as the run's own it would pass for all.
    A run that was closed before answers what it was closed with. A run that was never stored (its spec could not be
    read) answers its verdict, and has no report; so does an execution that took the name of a closed run.
    """
    head = wires.table.head(run_id)
    if head is not None and head.status is Status.CLOSED and (failure is None or failure.step != "Plan"):
        return _tell(head, wires)
    left = stream_left(head, run_id, wires)
    if head is None or head.status is Status.CLOSED:
        verdict, reasons = judge(Slo(), None, failure, left, kept=False)
        publish(verdict, None, None, left)
        return _answer(run_id, verdict, reasons)
    if failure is not None and head.failure is None:
        wires.table.fail(run_id, located(failure, run_id, wires))
    wires.table.begin_step(run_id, "Close", wires.clock.now())
    run = wires.table.get(run_id)
    measurement = _measurement(run, wires)
    cost = _cost(measurement)
    verdict, reasons = judge(
        run.spec.slo,
        measurement,
        run.failure,
        left,
        kept=run.spec.keep and run.failure is None,
        stand_ins=_stand_ins(cost),
    )
    _store(_report(run, measurement, verdict, reasons, cost, left, wires), wires)
    wires.table.end_step(run_id, "Close", wires.clock.now(), str(verdict))
    closed = wires.table.close(
        run_id,
        verdict=verdict,
        reasons=reasons,
        resources_left=left,
        cost_usd=cost.usd if cost is not None and cost.complete else None,
        ended_at=wires.clock.now(),
    )
    found = wires.table.head(run_id) or run
    if not closed and found.verdict is not None:
        # Somebody closed it first, and their report was just overwritten: tell what the run was closed with.
        _store(_report(run, measurement, found.verdict, found.reasons, cost, found.resources_left, wires), wires)
    return _tell(found, wires)


def _tell(run: Run, wires: Wiring) -> dict[str, Any]:
    """Publish a closed run's metrics, unless whoever closed it has; answer its verdict.

    At least once: a function that dies between the two writes is followed by one that publishes again, so that no loss
    goes without its alarm.
    """
    if run.verdict is not None and not run.published:
        measurement = _measurement(wires.table.get(run.run_id), wires)
        publish(run.verdict, measurement, run.cost_usd, run.resources_left)
        wires.table.published(run.run_id)
    return _answer(run.run_id, run.verdict, run.reasons)


def _cost(measurement: Measurement | None) -> Cost | None:
    return None if measurement is None else cost_of_run(measurement)


def _store(report: Report, wires: Wiring) -> None:
    wires.bucket.write(report_key(report.run_id, "json"), report.model_dump_json().encode(), "application/json")
    wires.bucket.write(report_key(report.run_id, "html"), render_html(report).encode(), "text/html; charset=utf-8")


def _stand_ins(cost: Cost | None) -> list[str]:
    """What stood in for something: prices of another region, so far."""
    if cost is None or cost.priced_as == cost.region:
        return []
    return [f"the cost is reckoned with the prices of {cost.priced_as}: there are none of {cost.region} in the list"]


def read_report(run_id: str, form: str, wires: Wiring) -> str:
    """The report of a closed run, as ``json`` or ``html``. RunNotFound; Conflict while the run is not closed."""
    run = wires.table.head(run_id)
    if run is None:
        raise RunNotFound(f"There is no run {run_id!r}.")
    if run.status is not Status.CLOSED:
        raise Conflict(f"Run {run_id} is not closed yet; watch /runs/{run_id}.", retry_after=2)
    return wires.bucket.read(report_key(run_id, form)).decode()


def _answer(run_id: str, verdict: Verdict | None, reasons: Sequence[str]) -> dict[str, Any]:
    """What the execution ends with; cut, for a Fail state's cause takes 32 KiB."""
    return {"run_id": run_id, "verdict": verdict, "reasons": [reason[:500] for reason in reasons[:20]]}


def _measurement(run: Run, wires: Wiring) -> Measurement | None:
    """What Analyze stored; of a run that did not come so far, what its checkpoints tell, where there are any."""
    try:
        return Measurement.from_dict(wires.bucket.load(measurement_key(run.run_id)))
    except ObjectMissing:
        pass
    if run.plan is None or run.progress is None or not run.progress.accepted:
        return None
    try:
        measured = measure(
            run,
            wires.table,
            wires.bucket,
            _as_asked(run),
            CloudWatchFacts(asked="cloudwatch" in run.spec.analyses),
            wires.conf,
            wires.clock,
        )
    except WeirError as error:
        logger().warning("the checkpoints of run %s were not read: %s", run.run_id, error.detail)
        return None
    # Before the first checkpoint there is only what the workers told.
    return measured if measured.accepted else None


def _as_asked(run: Run) -> StreamFacts:
    """The stream of a run that was not analyzed, and is gone: as it was asked for, since its CreateStream began."""
    began = next((step.started_at for step in run.steps if step.name == "CreateStream"), None)
    return StreamFacts(
        open_shards=run.spec.stream.shard_count if run.spec.stream.mode == "PROVISIONED" else None,
        retention_hours=DEFAULT_RETENTION_HOURS,
        created_at=None if began is None else began.timestamp(),
    )


def _report(
    run: Run,
    measurement: Measurement | None,
    verdict: Verdict,
    reasons: tuple[str, ...],
    cost: Cost | None,
    left: int | None,
    wires: Wiring,
) -> Report:
    now = wires.clock.now()
    measured = measurement or _only_told(run, wires)
    slo = AnalysisSlo(**run.spec.slo.model_dump())
    return build_report(
        replace(measured, ended_at=now),
        verdict=verdict,
        reasons=reasons,
        spec=spec_json(run.spec),
        # The report is a part of this step: for it, the step ends now.
        steps=tuple(
            step.model_copy(update={"status": "DONE", "ended_at": now, "detail": str(verdict)})
            if step.name == "Close"
            else step
            for step in run.steps
        ),
        findings=assess(measured, slo) if measurement is not None else (),
        cost=cost,
        month=month_like_it(measured) if measurement is not None else None,
        resources_left=None if left is None else [run.stream_name] * left,
        generated_at=now,
    )


def _only_told(run: Run, wires: Wiring) -> Measurement:
    """What is known of a run that ended before it was measured: its workers' last word, which is not an accounting."""
    told = run.progress
    return Measurement(
        run_id=run.run_id,
        stream_name=run.stream_name,
        mode=run.spec.stream.mode,
        region=wires.conf.region,
        started_at=run.created_at,
        planned=told.planned if told else None,
        accepted=told.accepted if told else None,
        seen=told.seen if told else None,
        missing=("the run ended before anything was measured: accepted and seen are what its workers told last",),
    )
