"""Reports to look at: a healthy run's, and what differs from it."""

from datetime import timedelta
from typing import Any

from tests.unit.analysis.measurements import START, measured
from weir.analysis.cost import cost_of_run, month_like_it
from weir.analysis.measurement import Measurement
from weir.analysis.rules import assess
from weir.runs.models import Step, Verdict
from weir.runs.report import Report, build_report

HOSTILE = "</pre></style><script>alert('x')</script>\"><img src=x onerror=alert(1)> & [bold red]"


def step(name: str, begin: float, end: float | None, status: str = "DONE", detail: str | None = None) -> Step:
    return Step.model_validate(
        {
            "name": name,
            "status": status,
            "started_at": START + timedelta(seconds=begin),
            "ended_at": None if end is None else START + timedelta(seconds=end),
            "detail": detail,
        }
    )


STEPS = (step("Plan", 0, 0.5), step("Insert", 1, 11, detail="2 writers"), step("Verify", 1, 12.5))


def reported(measurement: Measurement | None = None, **changes: Any) -> Report:
    m = measured() if measurement is None else measurement
    values: dict[str, Any] = {
        "verdict": Verdict.PASSED,
        "reasons": ["everything that was accepted was read back"],
        "spec": {"load": {"records": 10_000}},
        "steps": STEPS,
        "findings": assess(m),
        "cost": cost_of_run(m),
        "month": month_like_it(m),
        "resources_left": (),
        "generated_at": START + timedelta(seconds=20),
    }
    return build_report(m, **(values | changes))
