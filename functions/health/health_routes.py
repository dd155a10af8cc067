"""HTTP: the routes of health, liveness included (``handler`` answers that one earlier, with the same body).

Without the resolver's validation and its ``Query``, which would load pydantic for routes that take one word.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response

from weir.health import readiness
from weir.health.dependencies import checks, reason
from weir.health.liveness import ALIVE
from weir.runtime import http
from weir.runtime.clock import SYSTEM, rfc3339
from weir.runtime.settings import settings

app = APIGatewayRestResolver()
http.wire(app, validates=False)

NEEDS = {"GET /health": http.PUBLIC, "GET /health/aws": http.PUBLIC, "GET /health/llm": http.PUBLIC}

KEPT_SECONDS = 5.0
"""Health is open to anybody: an answer this fresh is given again, so that asking often costs AWS quotas nothing."""

_kept: dict[frozenset[readiness.Group], tuple[float, "Health"]] = {}


@dataclass(frozen=True, slots=True)
class Dependency(readiness.CheckResult):
    """One dependency. ``latency_ms`` is up to its answer, or its time-out; ``reason`` is null when it is ok."""


@dataclass(frozen=True, slots=True)
class Health:
    """``failed``: a required dependency is not ready. ``degraded``: only others are not. Alive alone has no checks."""

    status: Literal["ok", "degraded", "failed"]
    checked_at: str | None = None
    checks: tuple[Dependency, ...] | None = None


_ANSWERS: dict[int, Any] = {
    200: {"description": "Alive, or everything that is required is ready"},
    503: {"description": "A required dependency is not ready"},
}


@app.get(
    "/health",
    operation_id="getHealth",
    summary="Liveness, or readiness with `check`",
    description="Without `check`: alive, asked of nobody. With `all`, or some of `aws`, `db`, `llm` by commas: the "
    "dependencies of these groups, asked at the same time, each with its own time-out. `llm` is required only when it "
    "is asked for alone.",
    tags=["health"],
    responses={**_ANSWERS, **http.problems(400)},
)
def health(check: str | None = None) -> Response[Health]:  # noqa: ARG001 (it stands for the parameter's description)
    asked = app.current_event.query_string_parameters or {}
    if "check" not in asked:
        return http.answer(200, dict(ALIVE), {"Cache-Control": "no-store"})
    return _answer(readiness.select(asked["check"]))


@app.get(
    "/health/aws",
    operation_id="getHealthOfAws",
    summary="Readiness of every AWS service",
    tags=["health"],
    responses=_ANSWERS,
)
def health_aws() -> Response[Health]:
    return _answer(frozenset({"aws"}))


@app.get(
    "/health/llm",
    operation_id="getHealthOfModels",
    summary="Readiness of the model service",
    tags=["health"],
    responses=_ANSWERS,
)
def health_llm() -> Response[Health]:
    return _answer(frozenset({"llm"}))


def _answer(groups: frozenset[readiness.Group]) -> Response[Health]:
    until, told = _kept.get(groups, (0.0, Health("failed")))
    if SYSTEM.monotonic() >= until:
        wanted = checks(groups, settings(), llm_required=groups == {"llm"})
        told = _told(readiness.run_checks(wanted, SYSTEM, reason))
        _kept[groups] = (SYSTEM.monotonic() + KEPT_SECONDS, told)
    return http.answer(503 if told.status == "failed" else 200, asdict(told), {"Cache-Control": "no-store"})


def _told(results: Iterable[readiness.CheckResult]) -> Health:
    found = list(results)
    return Health(readiness.overall(found), rfc3339(SYSTEM.now()), tuple(Dependency(**asdict(each)) for each in found))


handler = http.entry(app, NEEDS)
