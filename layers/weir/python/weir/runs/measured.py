"""Which runs have measured their streams, for those who want to reckon with it."""

from collections.abc import Iterable

from weir.runs.models import Run, Status
from weir.runs.table import RunsTable
from weir.runtime.errors import FieldError, Invalid
from weir.runtime.http import Principal


def check_measured(run_ids: Iterable[str], caller: Principal, table: RunsTable) -> None:
    """See that each run is there for the caller, closed and measured, and each on a stream of its own.

    Raises
    ------
    Invalid
        Some are not; with a field ``runs.<n>`` for each. Strangers learn of no run.
    """
    wrong, on = [], dict[str, str]()
    for place, run_id in enumerate(run_ids):
        run = table.head(run_id)
        if run is None or not caller.owns(run.owner):
            wrong.append(FieldError(f"runs.{place}", f"there is no run {run_id!r}"))
        elif (lacks := _lacks(run)) is not None:
            wrong.append(FieldError(f"runs.{place}", lacks))
        elif (other := on.setdefault(run.stream_name, run_id)) != run_id:
            wrong.append(
                FieldError(f"runs.{place}", f"run {run_id!r} was on the stream of {other!r}; name one of them")
            )
    if wrong:
        raise Invalid(f"{wrong[0].field}: {wrong[0].message}.", errors=wrong)


def _lacks(run: Run) -> str | None:
    if run.status is not Status.CLOSED:
        return f"run {run.run_id!r} is not closed yet"
    if not any(step.name == "Analyze" and step.status == "DONE" for step in run.steps):
        return f"run {run.run_id!r} ended before anything was measured"
    return None
