"""HTTP: prompts, the templates by which a model is told what to do. Rules: ``weir.analysis.telling``."""

from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.event_handler.openapi.params import Body, Path, Query

from weir.analysis.telling.contract import (
    PROMPT_ID,
    NewPrompt,
    PromptDraft,
    PromptPage,
    PromptView,
    RenderAsked,
    Rendered,
    prompt_view,
)
from weir.runtime import http, idempotency, pagination
from weir.runtime.clock import SYSTEM
from weir.runtime.parameters import IfMatch, Key
from weir.runtime.settings import settings

if TYPE_CHECKING:
    from weir.analysis.telling.prompts import Prompt, Prompts

settings(needs=("analyses_table",))

app = APIGatewayRestResolver(
    enable_validation=True, response_validation_error_http_code=500, json_body_deserializer=http.strict_json
)
http.wire(app)

NEEDS = {
    "GET /prompts": "analyses:read",
    "POST /prompts": "analyses:write",
    "GET /prompts/{prompt_id}": "analyses:read",
    "PUT /prompts/{prompt_id}": "analyses:write",
    "DELETE /prompts/{prompt_id}": "analyses:write",
    "POST /prompts/{prompt_id}/render": "analyses:read",
}
MOST_BODY_BYTES = 1_000_000

Id = Annotated[str, Path(pattern=PROMPT_ID, description="Prompt id")]
Version = Annotated[int | None, Query(ge=1, le=999_999, description="The newest, where left out")]


@lru_cache(maxsize=1)
def _prompts() -> "Prompts":
    from weir.analysis.telling.prompts import Prompts
    from weir.runtime import aws
    from weir.runtime.dynamodb import Table

    return Prompts(Table(aws.client("dynamodb"), settings().analyses_table), SYSTEM)


def _answered(status: int, prompt: "Prompt", **headers: str) -> Response[Any]:
    return http.answer(status, prompt_view(prompt).model_dump(mode="json"), {"ETag": prompt.etag, **headers})


@app.get(
    "/prompts",
    tags=["prompts"],
    operation_id="listPrompts",
    summary="List prompts",
    responses={200: {"description": "A page of prompts"}, **http.problems(400, 422)},
)
def list_prompts(
    limit: Annotated[int, Query(ge=1, le=pagination.MAX_LIMIT, description="Items in a page, at most")] = 50,
    cursor: Annotated[str | None, Query(max_length=4096, description="The cursor of the page before")] = None,
) -> PromptPage:
    """Each in its newest version; those that are part of Weir and unchanged first."""
    after = pagination.open_cursor("prompts", cursor) if cursor else None
    found, position = _prompts().page(limit, after)
    return PromptPage(
        items=tuple(prompt_view(one) for one in found),
        cursor=pagination.seal("prompts", position) if position else None,
    )


@app.post(
    "/prompts",
    tags=["prompts"],
    operation_id="createPrompt",
    summary="Create a prompt",
    status_code=201,
    responses={
        201: {"description": "Version 1", "content": {"application/json": {"model": PromptView}}},
        **http.problems(400, 409, 422),
    },
)
def create_prompt(asked: Annotated[NewPrompt, Body(description="The prompt")], key: Key = None) -> Response[Any]:
    """Its owner, and admins, change it. Nothing in a template is run: what it may use is checked now."""
    event = app.current_event.raw_event
    caller = http.principal(event)

    def use_case() -> dict[str, Any]:
        return prompt_view(_prompts().create(asked.prompt_id, asked.draft(), caller)).model_dump(mode="json")

    made = idempotency.once(
        use_case,
        operation="create-prompt",
        principal=caller.sub,
        key=key,
        request=asked.model_dump(mode="json"),
        context=app.lambda_context,
    )
    location = http.link(event, f"/prompts/{made['prompt_id']}")
    return http.answer(201, made, {"ETag": made["etag"], "Location": location})


@app.get(
    "/prompts/<prompt_id>",
    tags=["prompts"],
    operation_id="getPrompt",
    summary="Read a prompt",
    responses={
        200: {"description": "A version of it", "content": {"application/json": {"model": PromptView}}},
        **http.problems(404, 422),
    },
)
def get_prompt(prompt_id: Id, version: Version = None) -> Response[Any]:
    """In its newest version, or any that it ever had."""
    return _answered(200, _prompts().get(prompt_id, version))


@app.put(
    "/prompts/<prompt_id>",
    tags=["prompts"],
    operation_id="changePrompt",
    summary="Change a prompt",
    responses={
        200: {"description": "The next version", "content": {"application/json": {"model": PromptView}}},
        **http.problems(400, 403, 404, 412, 422),
    },
)
def change_prompt(
    prompt_id: Id, asked: Annotated[PromptDraft, Body(description="What it shall be")], if_match: IfMatch = None
) -> Response[Any]:
    """With If-Match alone, so that nobody undoes what they have not seen. The versions before stay."""
    caller = http.principal(app.current_event.raw_event)
    return _answered(200, _prompts().change(prompt_id, asked.draft(), caller, if_match))


@app.delete(
    "/prompts/<prompt_id>",
    tags=["prompts"],
    operation_id="deletePrompt",
    summary="Delete a prompt",
    status_code=204,
    responses={
        204: {"description": "Gone with all its versions; one that is part of Weir is as it was shipped"},
        **http.problems(403, 404, 412, 422),
    },
)
def delete_prompt(prompt_id: Id, if_match: IfMatch = None) -> Response[None]:
    """With If-Match alone."""
    _prompts().delete(prompt_id, http.principal(app.current_event.raw_event), if_match)
    return Response(204, headers={})


@app.post(
    "/prompts/<prompt_id>/render",
    tags=["prompts"],
    operation_id="renderPrompt",
    summary="Preview a prompt",
    responses={200: {"description": "Its text"}, **http.problems(400, 404, 422)},
)
def render_prompt(prompt_id: Id, asked: Annotated[RenderAsked, Body(description="Values")]) -> Rendered:
    """With values for all its variables. Nothing is sent to a model."""
    from weir.analysis.telling.rendering import render

    prompt = _prompts().get(prompt_id, asked.version)
    text = render(prompt.template, prompt.variables, asked.values)
    return Rendered(prompt_id=prompt_id, version=prompt.version, text=text)


handler = http.entry(app, NEEDS, most_bytes=MOST_BODY_BYTES)
