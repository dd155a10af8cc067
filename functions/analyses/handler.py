"""HTTP: analyses of streams. Start one, read it as JSON, CSV or HTML, delete it. Rules: ``weir.analysis.analyses``."""

from typing import Annotated, Any

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.event_handler.openapi.params import Body, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from weir.analysis.analyses.contract import AnalysisSpec, AnalysisView, spec_json, view
from weir.analysis.analyses.models import ANALYSIS_ID
from weir.runtime import http, idempotency, pagination
from weir.runtime.parameters import Key
from weir.runtime.settings import settings

settings(needs=("analyses_table", "analyses_bucket", "runs_table"))

app = APIGatewayRestResolver(
    enable_validation=True, response_validation_error_http_code=500, json_body_deserializer=http.strict_json
)
http.wire(app)

NEEDS = {
    "POST /analyses": "analyses:write",
    "GET /analyses": "analyses:read",
    "GET /analyses/{analysis_id}": "analyses:read",
    "DELETE /analyses/{analysis_id}": "analyses:write",
}
RUNS_NEED = "runs:read"
"""As for GET /runs/{run_id}: whoever may not read a run is not told of it by an analysis either."""

MOST_BODY_BYTES = 200_000
MOST_ANSWERED = 5_000_000
"""Lambda answers no more than 6 MB: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""

AnalysisId = Annotated[str, Path(max_length=80, pattern=f"^{ANALYSIS_ID.pattern}$", description="Analysis id")]


def _caller() -> http.Principal:
    return http.principal(app.current_event.raw_event)


class Started(BaseModel):
    """An analysis that was started; ``location`` tells how it stands."""

    model_config = ConfigDict(frozen=True)

    analysis_id: str
    status: str
    location: str


class AnalysisPage(BaseModel):
    """Analyses, newest first."""

    model_config = ConfigDict(frozen=True)

    items: tuple[AnalysisView, ...]
    cursor: str | None = Field(description="Where the next page begins; null on the last")


class StreamResult(BaseModel):
    """What was found of one stream; every number in a finding's text is that of a fact in its evidence."""

    model_config = ConfigDict(frozen=True)

    name: str
    mode: str
    open_shards: int | None
    tags: dict[str, str] = Field(description="As far as they were looked at: somebody else's words")
    findings: tuple[dict[str, Any], ...]
    facts: tuple[dict[str, Any], ...]
    charts: tuple[dict[str, Any], ...]
    trees: tuple[dict[str, Any], ...]
    completeness: dict[str, Any]


class Results(BaseModel):
    """An analysis, and once it is done what it found; until then ``streams`` is empty."""

    model_config = ConfigDict(frozen=True)

    analysis: AnalysisView
    range: dict[str, Any] = Field(description="from, to, period")
    streams: tuple[StreamResult, ...] = Field(description="Those with the worst findings first")
    partial: tuple[str, ...] = Field(description="What could not be read")
    calls: dict[str, int] = Field(description="AWS calls by operation, and the queries of GetMetricData")
    worse: tuple[dict[str, Any], ...] | None = Field(description="Findings that got worse; null without a baseline")
    told: dict[str, Any] | None = Field(description="The findings in words, and by whom")


@app.post(
    "/analyses",
    tags=["analyses"],
    operation_id="startAnalysis",
    summary="Analyze streams",
    status_code=202,
    responses={
        202: {
            "description": "Started; Location tells how it stands",
            "content": {"application/json": {"model": Started}},
        },
        **http.problems(400, 403, 409, 422, 429),
    },
)
def start(
    spec: Annotated[AnalysisSpec, Body(description="Streams or runs, workflows, range")], key: Key = None
) -> Response[Any]:
    """One stream or hundreds, by their CloudWatch metrics. Follow ``Location`` until ``status`` is DONE or FAILED.

    With ``runs`` also by what these measured, which takes the scope runs:read besides.
    """
    from weir.analysis.analyses import starting
    from weir.analysis.analyses.wiring import deps

    caller, event = _caller(), app.current_event.raw_event
    if spec.runs:
        http.admit(event, RUNS_NEED)

    def use_case() -> dict[str, Any]:
        if spec.runs:
            from weir.runs.measured import check_measured
            from weir.runs.wiring import runs_table

            check_measured(spec.runs, caller, runs_table())
        made = starting.start(spec, caller, deps(), key)
        location = http.link(event, f"/analyses/{made.analysis_id}")
        return Started(analysis_id=made.analysis_id, status=made.status, location=location).model_dump(mode="json")

    started = idempotency.once(
        use_case,
        operation="start-analysis",
        principal=caller.sub,
        key=key,
        request=spec_json(spec),
        context=app.lambda_context,
    )
    return http.answer(202, started, {"Location": started["location"]})


@app.get(
    "/analyses",
    tags=["analyses"],
    operation_id="listAnalyses",
    summary="List analyses",
    responses={200: {"description": "A page of analyses"}, **http.problems(400, 422)},
)
def list_analyses(
    limit: Annotated[int, Query(ge=1, le=pagination.MAX_LIMIT, description="Items in a page, at most")] = 50,
    cursor: Annotated[str | None, Query(max_length=4096, description="The cursor of the page before")] = None,
) -> AnalysisPage:
    """The caller's analyses, for an admin everybody's and the scheduled ones; newest first, kept for 30 days."""
    from weir.analysis.analyses.wiring import deps

    owner = None if _caller().is_admin else _caller().sub
    kind = f"analyses:{owner or 'all'}"
    after = pagination.open_cursor(kind, cursor) if cursor else None
    found, position = deps().analyses.page(limit, after, owner)
    return AnalysisPage(
        items=tuple(map(view, found)), cursor=pagination.seal(kind, position) if position is not None else None
    )


@app.get(
    "/analyses/<analysis_id>",
    tags=["analyses"],
    operation_id="getAnalysis",
    summary="Read an analysis",
    responses={
        200: {
            "description": "As the Accept header asks",
            "content": {
                "application/json": {"model": Results},
                "text/csv": {"schema": {"type": "string"}},
                "text/html": {"schema": {"type": "string"}},
            },
        },
        303: {"description": "More than one answer holds: Location reads it from S3, for five minutes"},
        **http.problems(404, 409, 422),
    },
)
def show(analysis_id: AnalysisId) -> Response[Any]:
    """Findings, facts and charts; JSON, or with ``Accept`` CSV or one self-contained page. 409 for these until done."""
    from weir.analysis.analyses import starting
    from weir.analysis.analyses.forms import JSON, form_of
    from weir.analysis.analyses.wiring import deps

    form = form_of(http.header(app.current_event.raw_event, "Accept"))
    if form is JSON:
        found = starting.visible(analysis_id, _caller(), deps())
        if found.status != "DONE":
            return http.answer(200, starting.without_results(found))
    else:
        starting.done(analysis_id, _caller(), deps())
    body = starting.kept(analysis_id, form, deps(), MOST_ANSWERED)
    if isinstance(body, str):
        return Response(303, "text/plain", "", headers={"Location": body})
    return Response(200, form.content_type, body.decode(), headers={"Vary": "Accept"})


@app.delete(
    "/analyses/<analysis_id>",
    tags=["analyses"],
    operation_id="deleteAnalysis",
    summary="Delete an analysis",
    status_code=204,
    responses={204: {"description": "Gone, with its results"}, **http.problems(404, 422)},
)
def delete(analysis_id: AnalysisId) -> Response[None]:
    """One that is under way is stopped."""
    from weir.analysis.analyses import starting
    from weir.analysis.analyses.wiring import deps

    starting.delete(analysis_id, _caller(), deps())
    return Response(204, headers={})


handler = http.entry(app, NEEDS, most_bytes=MOST_BODY_BYTES)
