"""The steps of an analysis, as its state machine calls them. Each may be called again wherever it broke off.

What is large goes from step to step by the bucket. A step of an analysis that was deleted, or has ended, stores nothing
more: AnalysisEnded.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from weir.analysis.analyses.bucket import NotKept, part_key, result_key
from weir.analysis.analyses.contract import WORKFLOW_NAMES, AnalysisSpec, ScheduledSpec, spec_json
from weir.analysis.analyses.document import Json, baseline_of, compose, counted, found_of, worse_of
from weir.analysis.analyses.models import Analysis, Failure, Status
from weir.analysis.analyses.wiring import Deps
from weir.analysis.telling.model import Model
from weir.runtime.clock import rfc3339
from weir.runtime.errors import FieldError, Invalid, WeirError
from weir.runtime.observability import logger

if TYPE_CHECKING:
    from weir.analysis.measurement import Measurement

__all__ = ["analyze", "close", "close_failed", "collect", "failure_of", "tell"]

STREAMS_A_PART = 10
MOST_TOLD = 200
"""Reasons that are kept with the analysis itself; the streams have all of theirs."""

_LONGEST_CAUSE = 1_000


def collect(analysis_id: str, given: Json, deps: Deps, until: float) -> dict[str, Any]:
    """Read what is known of the streams, and keep it. Answers ``{"streams"}``.

    `given` is the execution's input: the spec, where the analysis was not stored by whoever started it.

    Raises
    ------
    Invalid
        `given` is no spec, or there are too many streams for the range.
    AnalysisEnded
    WeirError
        The streams could not be listed.
    """
    from weir.analysis.analyses.collecting import Collecting

    analysis = _begun(analysis_id, given, deps)
    spec = AnalysisSpec.model_validate(analysis.spec)
    measured, unread = _measured(spec, deps)
    collecting = Collecting(deps.kinesis, deps.metrics, deps.clock, until, measured)
    found = collecting.collect(spec, workflows_of(analysis))
    from weir.analysis.analyses.collected import stored

    parts = [found.streams[i : i + STREAMS_A_PART] for i in range(0, len(found.streams), STREAMS_A_PART)]
    for number, part in enumerate(parts):
        deps.bucket.save(part_key(analysis_id, "collected", number), [stored(one) for one in part])
    span, partial = found.span, (*unread, *found.partial)
    deps.analyses.progressed(
        analysis_id,
        streams=len(found.streams),
        range={"from": rfc3339(span.start), "to": rfc3339(span.end), "period": span.period},
        complete=not partial,
        partial=partial[:MOST_TOLD],
        calls=found.calls,
    )
    logger().info("collected", extra={"streams": len(found.streams), "calls": dict(found.calls)})
    return {"streams": len(found.streams)}


def _measured(spec: AnalysisSpec, deps: Deps) -> tuple[list[Measurement], list[str]]:
    """What the runs of a spec measured; and in words, what of it could not be read."""
    from weir.analysis.measurement import Measurement

    measured, unread = [], []
    for run_id in dict.fromkeys(spec.runs or ()):
        try:
            measured.append(Measurement.from_dict(deps.measurements.load(run_id)))
        except NotKept:
            unread.append(f"run {run_id}: what it measured is not kept any more")
        except WeirError as error:
            unread.append(f"run {run_id}: what it measured: {error.detail}")
        except (
            AttributeError,
            EOFError,
            KeyError,
            OSError,
            TypeError,
            ValueError,
            zlib.error,
        ):  # damaged, or another form
            logger().exception("the measurement of run %s was not understood", run_id)
            unread.append(f"run {run_id}: what it measured is in a form that this version can't read")
    return measured, unread


def workflows_of(analysis: Analysis) -> tuple[str, ...]:
    """What was asked for, or all; without a baseline there is nothing to compare with."""
    asked = analysis.spec.get("workflows")
    if asked:
        return tuple(asked)
    return tuple(name for name in WORKFLOW_NAMES if name != "regression" or analysis.compared_with is not None)


def analyze(analysis_id: str, deps: Deps, until: float) -> dict[str, Any]:
    """Run the workflows over the streams while there is time. Answers ``{"done"}``; called again until it is done."""
    from weir.analysis.analyses.collected import facts_of
    from weir.analysis.workflows import registry
    from weir.analysis.workflows.results import Options

    analysis = deps.analyses.progressed(analysis_id, step="Analyze")
    baseline = _baseline(analysis, deps)
    names, headroom = workflows_of(analysis), float(analysis.spec.get("headroom", 0.25))
    while analysis.analyzed < (analysis.streams or 0):
        if deps.clock.monotonic() >= until:
            return {"done": False}
        number = analysis.analyzed // STREAMS_A_PART
        kept = deps.bucket.load(part_key(analysis_id, "collected", number))
        found = []
        for facts in map(facts_of, kept):
            before = None if baseline is None else baseline_of(baseline, facts.name)
            result = registry.run(names, facts, Options(headroom=headroom, baseline=before))
            found.append(found_of(facts, result))
        deps.bucket.save(part_key(analysis_id, "found", number), found)
        analysis = deps.analyses.progressed(analysis_id, analyzed=number * STREAMS_A_PART + len(kept))
    return {"done": True}


def tell(analysis_id: str, deps: Deps, model_of: Callable[[Analysis], Model | None]) -> dict[str, Any]:
    """Put the document together, told in words, and keep it. Answers ``{"by"}``: a model, or the template.

    `model_of` answers the model by which an analysis is told, None where there is none.
    """
    from weir.analysis.telling.prompts import FINDINGS
    from weir.analysis.telling.telling import tell as told_of

    analysis = deps.analyses.progressed(analysis_id, step="Tell")
    streams = [stream for part in _found(analysis, deps) for stream in part]
    baseline = _baseline(analysis, deps)
    worse = None if baseline is None else worse_of(baseline, streams)
    compared = {} if worse is None else {"worse": len(worse)}
    analysis = deps.analyses.progressed(analysis_id, findings=counted(streams), **compared)
    document = compose(analysis, streams, worse)
    told = told_of(document, model_of(analysis), deps.prompts.get(FINDINGS))
    deps.bucket.save(part_key(analysis_id, "told", 0), {**document, "told": told.to_dict()})
    return {"by": told.by}


def close(analysis_id: str, deps: Deps) -> dict[str, Any]:
    """Export the document, end the analysis, and tell the topic what got worse. Answers ``{"status", "worse"}``."""
    from weir.analysis.analyses.export_csv import render_csv
    from weir.analysis.analyses.export_html import render_html
    from weir.analysis.analyses.notifying import notify

    analysis = deps.analyses.get(analysis_id)
    document = deps.bucket.load(part_key(analysis_id, "told", 0))
    if analysis.status is Status.RUNNING:
        analysis = deps.analyses.progressed(analysis_id, step="Close")
        ended = {"status": Status.DONE.value, "step": "Close", "ended_at": rfc3339(deps.clock.now())}
        document = {**document, "analysis": {**document["analysis"], **ended}}
        for name, body, kind in (
            ("document.json", json.dumps(document, separators=(",", ":")), "application/json"),
            ("findings.csv", render_csv(document), "text/csv; charset=utf-8"),
            ("report.html", render_html(document), "text/html; charset=utf-8"),
        ):
            deps.bucket.write(result_key(analysis_id, name), body.encode(), kind)
        analysis = deps.analyses.end(analysis_id, Status.DONE) or deps.analyses.get(analysis_id)
    if analysis.status is Status.DONE:
        deps.analyses.set_last(analysis)
        notify(analysis, document["worse"] or (), deps)
    return {"status": analysis.status.value, "worse": analysis.worse or 0}


def close_failed(analysis_id: str, failure: Failure, deps: Deps) -> dict[str, Any]:
    """End an analysis that broke; one that has ended, or is gone, stays as it is."""
    deps.analyses.fail(analysis_id, failure)
    return {"status": Status.FAILED.value}


def failure_of(raised: Mapping[str, Any]) -> Failure:
    """The failure in the machine's ``{step, error, cause}``, with Lambda's JSON cause unwrapped and no stack trace."""
    cause = str(raised.get("cause") or "")
    with suppress(ValueError, KeyError, TypeError):
        cause = str(json.loads(cause)["errorMessage"])
    error = str(raised.get("error") or "Unknown")
    return Failure(str(raised.get("step") or "Run"), error, cause[:_LONGEST_CAUSE] or "no cause was told")


def _begun(analysis_id: str, given: Json, deps: Deps) -> Analysis:
    """The analysis in its first step, stored now where the state machine was started without it."""
    if deps.analyses.find(analysis_id) is None:
        _store(analysis_id, given, deps)
    analysis = deps.analyses.progressed(analysis_id, step="Collect", analyzed=0)
    wanted = analysis.spec.get("compare_with") or (
        None if analysis.schedule is None else deps.analyses.last_of(analysis.schedule)
    )
    if wanted is None or analysis.compared_with == wanted:
        return analysis
    return deps.analyses.progressed(analysis_id, compared_with=wanted)


def _store(analysis_id: str, given: Json, deps: Deps) -> None:
    from pydantic import ValidationError

    from weir.runtime.field_errors import invalid

    if not given:
        told = "the analysis was deleted, or the execution was started without a spec"
        raise Invalid(f"There is nothing to analyze: {told}.", errors=[FieldError("streams", told)])
    try:
        spec = ScheduledSpec.model_validate(given)
    except ValidationError as error:
        raise invalid(error.errors()) from error
    plain = AnalysisSpec.model_validate(spec.model_dump(exclude={"schedule"}, by_alias=True))
    deps.analyses.add(Analysis(analysis_id, spec_json(plain), deps.clock.now(), schedule=spec.schedule))


def _baseline(analysis: Analysis, deps: Deps) -> Json | None:
    """The document to compare with; None where there is none, or it is not kept any more."""
    if analysis.compared_with is None:
        return None
    try:
        document: Json = json.loads(deps.bucket.read(result_key(analysis.compared_with, "document.json")) or b"null")
    except NotKept:
        logger().warning("the baseline %s is not kept any more", analysis.compared_with)
        return None
    return document


def _found(analysis: Analysis, deps: Deps) -> Iterator[list[dict[str, Any]]]:
    for first in range(0, analysis.streams or 0, STREAMS_A_PART):
        yield deps.bucket.load(part_key(analysis.analysis_id, "found", first // STREAMS_A_PART))
