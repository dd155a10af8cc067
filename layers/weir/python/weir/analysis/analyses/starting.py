"""Start, look at and delete analyses, for a caller over HTTP."""

from __future__ import annotations

import hashlib
import json
import secrets
from datetime import datetime, timedelta
from typing import Any

from weir.analysis.analyses.bucket import result_key
from weir.analysis.analyses.contract import AnalysisSpec, spec_json
from weir.analysis.analyses.document import compose
from weir.analysis.analyses.forms import Form
from weir.analysis.analyses.models import ENDED, Analysis, AnalysisNotFound, AnalysisRunning, Failure, Status
from weir.analysis.analyses.ranges import resolve
from weir.analysis.analyses.wiring import Deps
from weir.analysis.workflows.stream_facts import METRICS
from weir.runtime.errors import Conflict, FieldError, Invalid, WeirError
from weir.runtime.http import Principal

__all__ = ["AnalysisExists", "TooLarge", "delete", "document", "done", "kept", "start", "visible", "without_results"]

STARTED_WITHIN = timedelta(minutes=2)
BROKEN = frozenset({"FAILED", "TIMED_OUT", "ABORTED"})


class TooLarge(Conflict):
    """There is more in it than can be looked through for an answer."""

    slug, title = "analysis-too-large", "Too large an analysis"


class AnalysisExists(Conflict):
    """The key has started another analysis."""

    slug, title = "analysis-exists", "The analysis exists already"


def start(spec: AnalysisSpec, caller: Principal, deps: Deps, key: str | None = None) -> Analysis:
    """Store and start an analysis, or find the one that `key` has started today.

    Raises
    ------
    Invalid
        CloudWatch can't answer the range, or the baseline is none.
    AnalysisExists
        The key has started another analysis.
    WeirError
        Step Functions would not start it; nothing is left of it.
    """
    now = deps.clock.now()
    now = now.replace(microsecond=now.microsecond // 1000 * 1000)  # as it is read back
    resolve(spec, series=spec.most_streams * len(METRICS), now=now)
    _check_baseline(spec, caller, deps)
    made = Analysis(_id(now, caller.sub, key), spec_json(spec), now, owner=caller.sub)
    if not deps.analyses.add(made):
        found = deps.analyses.get(made.analysis_id)
        if (found.spec, found.owner) != (made.spec, made.owner):
            raise AnalysisExists("This Idempotency-Key has started another analysis; use a new key.")
        made = found
    if made.status in ENDED:
        return made
    try:
        deps.machine.start(made.analysis_id, {})
    except WeirError:
        if deps.machine.status(made.analysis_id) is None:
            deps.analyses.delete(made.analysis_id)
        raise
    return made


def visible(analysis_id: str, caller: Principal, deps: Deps) -> Analysis:
    """An analysis as it stands. AnalysisNotFound where there is none, or it is another user's.

    One whose execution was stopped, or ran out of time, tells so by itself nowhere: that is looked up.
    """
    found = _ones_own(analysis_id, caller, deps)
    if found.status in ENDED:
        return found
    status = deps.machine.status(analysis_id)
    never = status is None and deps.clock.now() - found.created_at > STARTED_WITHIN
    if status not in BROKEN and not never:
        return found
    cause = "its execution was never started" if never else "its execution was stopped, or ran out of time"
    failure = Failure(found.step, status or "NeverStarted", cause)
    ended = deps.analyses.fail(analysis_id, failure)
    return ended if ended is not None else deps.analyses.get(analysis_id)


def done(analysis_id: str, caller: Principal, deps: Deps) -> Analysis:
    """An analysis that has results.

    Raises
    ------
    AnalysisNotFound
    AnalysisRunning
        It is under way, or has failed.
    """
    return _with_results(visible(analysis_id, caller, deps))


def _ones_own(analysis_id: str, caller: Principal, deps: Deps) -> Analysis:
    found = deps.analyses.get(analysis_id)
    if not caller.owns(found.owner):
        raise AnalysisNotFound(f"There is no analysis {analysis_id!r}.")
    return found


def _with_results(found: Analysis) -> Analysis:
    if found.status is not Status.DONE:
        raise AnalysisRunning(f"Analysis {found.analysis_id!r} is {found.status}: it has no results.", retry_after=5)
    return found


def kept(analysis_id: str, form: Form, deps: Deps, most: int) -> bytes | str:
    """The results in a form; a URL of them, good for five minutes, where they pass `most` bytes. NotKept."""
    key = result_key(analysis_id, form.name)
    body = deps.bucket.read(key, most)
    return deps.bucket.url(key) if body is None else body


def document(analysis_id: str, caller: Principal, deps: Deps, most: int) -> dict[str, Any]:
    """The document of an analysis that is done; its state machine is not asked, for whoever reads need not see it.

    Raises
    ------
    AnalysisNotFound, AnalysisRunning, NotKept
        As of `done` and `kept`.
    TooLarge
        It passes `most` bytes.
    """
    _with_results(_ones_own(analysis_id, caller, deps))
    raw = deps.bucket.read(result_key(analysis_id, "document.json"), most)
    if raw is None:
        raise TooLarge(f"The analysis has more than {most:,} bytes: ask about one of fewer streams.")
    found: dict[str, Any] = json.loads(raw)
    return found


def without_results(analysis: Analysis) -> dict[str, Any]:
    """The document of one that is not done."""
    return compose(analysis, (), None)


def delete(analysis_id: str, caller: Principal, deps: Deps) -> None:
    """Delete an analysis and all that is kept of it; one that is under way is stopped. AnalysisNotFound."""
    found = visible(analysis_id, caller, deps)
    if found.status not in ENDED:
        deps.machine.stop(analysis_id, f"deleted by {caller.sub}")
    deps.bucket.delete_all(analysis_id)  # before the item, without which nobody would come back for the rest
    deps.analyses.delete(analysis_id)


def _check_baseline(spec: AnalysisSpec, caller: Principal, deps: Deps) -> None:
    if spec.compare_with is None:
        return
    try:
        found = visible(spec.compare_with, caller, deps)
    except AnalysisNotFound as error:
        told = f"there is no analysis {spec.compare_with!r}"
        raise Invalid(f"compare_with: {told}.", errors=[FieldError("compare_with", told)]) from error
    if found.status is not Status.DONE:
        told = f"is {found.status}, and has nothing to compare with"
        raise Invalid(f"compare_with: {spec.compare_with!r} {told}.", errors=[FieldError("compare_with", told)])


def _id(now: datetime, owner: str, key: str | None) -> str:
    """An id that begins with the day; with an idempotency key it follows from owner and key."""
    if key is None:
        return f"{now:%Y%m%d}-{secrets.token_hex(10)}"
    digest = hashlib.blake2b(f"{owner}\n{key}".encode(), digest_size=10).hexdigest()
    return f"{now:%Y%m%d}-{digest}"
