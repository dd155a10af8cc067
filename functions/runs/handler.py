"""HTTP: runs. Start one, watch it, read its report, stop it. The rules are in ``weir.runs``."""

import secrets
from typing import Annotated, Any

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.event_handler.openapi.params import Path, Query
from pydantic import BaseModel, ConfigDict, Field

from weir.runs.models import Run, RunPlan, RunSpec, RunSummary, spec_json
from weir.runtime import http, idempotency, pagination
from weir.runtime.parameters import Key

app = APIGatewayRestResolver(
    enable_validation=True, response_validation_error_http_code=500, json_body_deserializer=http.strict_json
)
http.wire(app)

NEEDS = {
    "POST /runs": "runs:write",
    "POST /runs/sources": "runs:write",
    "GET /runs": "runs:read",
    "GET /runs/{run_id}": "runs:read",
    "GET /runs/{run_id}/report": "runs:read",
    "POST /runs/{run_id}/stop": "runs:write",
}

RunId = Annotated[str, Path(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", description="Run id")]
JSON_LINES = "application/jsonl"


def _caller() -> http.Principal:
    return http.principal(app.current_event.raw_event)


class Started(BaseModel):
    """A run that was started; ``location`` tells its progress."""

    model_config = ConfigDict(frozen=True)

    run_id: str
    status: str
    stream_name: str
    location: str


class Runs(BaseModel):
    """Runs, newest first."""

    model_config = ConfigDict(frozen=True)

    items: tuple[RunSummary, ...]
    cursor: str | None = Field(description="Where the next page begins; null on the last")


class Upload(BaseModel):
    """Where to PUT a file of lines, and what to name as ``load.source``. A run reads what it finds when it begins."""

    model_config = ConfigDict(frozen=True)

    source: dict[str, str]
    url: str
    method: str = "PUT"
    headers: dict[str, str]
    expires_in: int = Field(description="Seconds")


@app.post(
    "/runs",
    tags=["runs"],
    operation_id="startRun",
    summary="Start a run, or plan one",
    status_code=202,
    responses={
        200: {
            "description": "With dry_run: the plan and its cost; nothing was started",
            "content": {"application/json": {"model": RunPlan}},
        },
        202: {
            "description": "Started; Location tells its progress",
            "content": {"application/json": {"model": Started}},
        },
        **http.problems(400, 403, 409, 422, 429),
    },
)
def start(
    spec: RunSpec,
    dry_run: Annotated[bool, Query(description="Answer the plan and its cost, 200, and start nothing")] = False,
    key: Key = None,
) -> Response[Any]:
    """Create a stream, insert, verify, analyze, delete, and judge. Follow ``Location`` until ``status`` is CLOSED."""
    from weir.runs.starting import check_source, plan_run, start_run
    from weir.runs.wiring import wiring

    caller = _caller()
    check_source(spec, caller)
    if dry_run:
        return http.answer(200, plan_run(spec, wiring()).model_dump(mode="json"))
    event = app.current_event.raw_event

    def use_case() -> dict[str, Any]:
        run = start_run(spec, caller.sub, wiring(), key)
        location = http.link(event, f"/runs/{run.run_id}")
        return Started(run_id=run.run_id, status=run.status, stream_name=run.stream_name, location=location).model_dump(
            mode="json"
        )

    started = idempotency.once(
        use_case,
        operation="start-run",
        principal=caller.sub,
        key=key,
        request=spec_json(spec),
        context=app.lambda_context,
    )
    return http.answer(202, started, {"Location": started["location"]})


@app.post(
    "/runs/sources",
    tags=["runs"],
    operation_id="createRunSource",
    summary="Upload lines of your own",
    status_code=201,
    responses={201: {"description": "PUT the file to url with these headers, then start a run with this source"}},
)
def new_source() -> Response[Upload]:
    """A place for a file of lines (JSON lines, say), any size that one PUT takes (5 GB). Nobody else may run it."""
    from weir.runs.bucket import UPLOAD_SECONDS
    from weir.runs.starting import source_prefix
    from weir.runs.wiring import wiring

    key = f"{source_prefix(_caller().sub)}{secrets.token_hex(16)}"
    upload = Upload(
        source={"type": "s3", "key": key},
        url=wiring().bucket.upload_url(key, JSON_LINES),
        headers={"Content-Type": JSON_LINES},
        expires_in=UPLOAD_SECONDS,
    )
    return http.answer(201, upload.model_dump(mode="json"))


@app.get(
    "/runs",
    tags=["runs"],
    operation_id="listRuns",
    summary="List runs",
    responses={200: {"description": "A page of runs"}, **http.problems(400, 422)},
)
def list_runs(
    limit: Annotated[int, Query(ge=1, le=pagination.MAX_LIMIT, description="Items in a page, at most")] = 50,
    cursor: Annotated[str | None, Query(max_length=4096, description="The cursor of the page before")] = None,
) -> Runs:
    """The caller's runs, for an admin everybody's; newest first, kept for 90 days."""
    from weir.runs.wiring import wiring

    owner = None if _caller().is_admin else _caller().sub
    kind = f"runs:{owner or 'all'}"
    after = pagination.open_cursor(kind, cursor) if cursor else None
    items, position = wiring().table.page(limit, after, owner)
    return Runs(items=tuple(items), cursor=pagination.seal(kind, position) if position else None)


@app.get(
    "/runs/<run_id>",
    tags=["runs"],
    operation_id="getRun",
    summary="Watch a run",
    responses={200: {"description": "The run, as far as it has come"}, **http.problems(404, 422)},
)
def show(run_id: RunId) -> Run:
    """Progress by step, then the verdict and its reasons. The caller's own run; for an admin, any."""
    from weir.runs.starting import visible_run
    from weir.runs.wiring import wiring

    return visible_run(run_id, _caller(), wiring())


@app.get(
    "/runs/<run_id>/report",
    tags=["runs"],
    operation_id="getRunReport",
    summary="Read a run's report",
    responses={
        200: {
            "description": "The report, as the Accept header asks",
            "content": {
                "application/json": {"schema": {"type": "object"}},
                "text/html": {"schema": {"type": "string"}},
            },
        },
        **http.problems(404, 409, 422),
    },
)
def report(run_id: RunId) -> Response[Any]:
    """JSON, or with ``Accept: text/html`` one self-contained page. 409 while the run is not closed."""
    from weir.runs.closing import read_report
    from weir.runs.starting import visible_run
    from weir.runs.wiring import wiring

    visible_run(run_id, _caller(), wiring())
    form = "html" if "text/html" in (http.header(app.current_event.raw_event, "Accept") or "") else "json"
    content_type = "text/html; charset=utf-8" if form == "html" else "application/json"
    return Response(200, content_type, read_report(run_id, form, wiring()))


@app.post(
    "/runs/<run_id>/stop",
    tags=["runs"],
    operation_id="stopRun",
    summary="Stop a run",
    status_code=202,
    responses={202: {"description": "Stopping; its stream is deleted right after"}, **http.problems(404, 409, 422)},
)
def stop(run_id: RunId) -> Response[Started]:
    """Stop a run. It closes as ABORTED, and its stream is gone soon after."""
    from weir.runs.starting import stop_run
    from weir.runs.wiring import wiring

    event = app.current_event.raw_event
    run = stop_run(run_id, _caller(), wiring())
    location = http.link(event, f"/runs/{run_id}")
    started = Started(run_id=run.run_id, status="STOPPING", stream_name=run.stream_name, location=location)
    return http.answer(202, started.model_dump(mode="json"), {"Location": location})


handler = http.entry(app, NEEDS)
