"""HTTP: questions about an analysis, answered from its facts. Rules: ``weir.analysis.telling.asking``."""

from functools import lru_cache
from typing import TYPE_CHECKING, Annotated

from aws_lambda_powertools.event_handler import APIGatewayRestResolver
from aws_lambda_powertools.event_handler.openapi.params import Body, Path

from weir.analysis.telling.contract import AnswerView, Question, answer_view
from weir.runtime import http
from weir.runtime.settings import settings

if TYPE_CHECKING:
    from weir.analysis.analyses.wiring import Deps
    from weir.analysis.telling.model import Model

settings(needs=("analyses_table", "analyses_bucket", "usage_table", "llm_table"))

app = APIGatewayRestResolver(
    enable_validation=True, response_validation_error_http_code=500, json_body_deserializer=http.strict_json
)
http.wire(app)

NEEDS = {"POST /analyses/{analysis_id}/questions": "analyses:read"}
MOST_BODY_BYTES = 20_000
MOST_DOCUMENT_BYTES = 50_000_000
INVOKES = "models:invoke"


@lru_cache(maxsize=1)
def _deps() -> "Deps":
    from weir.analysis.analyses.wiring import deps

    return deps()


def _model(caller: http.Principal) -> "Model | None":
    """The model, for a caller who may invoke models: they are charged for the answer."""
    if INVOKES not in caller.scopes or not settings().analysis_model:
        return None
    from weir.gateway.wiring import inside
    from weir.usage.models import Caller

    key = caller.credential_id if caller.credential == "key" else ""
    return inside(Caller(caller.sub, caller.username, key, tuple(sorted(caller.groups)), tuple(sorted(caller.roles))))


@app.post(
    "/analyses/<analysis_id>/questions",
    tags=["analyses"],
    operation_id="askAboutAnalysis",
    summary="Ask about an analysis",
    responses={200: {"description": "The answer, and the facts that it rests on"}, **http.problems(400, 404, 409, 422)},
)
def ask(
    analysis_id: Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,79}$", description="Analysis id")],
    asked: Annotated[Question, Body(description="The question")],
) -> AnswerView:
    """From the facts of the analysis alone. Without a model, by the facts that match; ``note`` says so."""
    from weir.analysis.analyses.starting import document
    from weir.analysis.telling.asking import answer
    from weir.analysis.telling.prompts import QUESTION

    deps, caller = _deps(), http.principal(app.current_event.raw_event)
    found = document(analysis_id, caller, deps, MOST_DOCUMENT_BYTES)
    return answer_view(answer(found, asked.question, _model(caller), deps.prompts.get(QUESTION)))


handler = http.entry(app, NEEDS, most_bytes=MOST_BODY_BYTES)
