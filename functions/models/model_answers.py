"""What the routes of this function have in common: their parameters, who asks, and how what was made is answered."""

from typing import TYPE_CHECKING, Annotated, Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Header, Query

from weir.runtime import http, idempotency, pagination
from weir.runtime.audit import Asker
from weir.runtime.etags import etag

if TYPE_CHECKING:
    from aws_lambda_powertools.event_handler.api_gateway import BaseRouter

Limit = Annotated[int, Query(ge=1, le=pagination.MAX_LIMIT, description="Items in a page, at most")]
Cursor = Annotated[str | None, Query(max_length=4096, description="The cursor of the page before")]
IfMatch = Annotated[
    str | None, Header(alias="If-Match", max_length=256, description="The ETag as read; 412 where it is another now")
]
Key = Annotated[
    str | None,
    Header(alias="Idempotency-Key", description="The same key and body within 24 hours replays the first answer"),
]


def asker(app: "BaseRouter") -> Asker:
    """Who asks, and from where."""
    event = app.current_event.raw_event
    return Asker(http.principal(event), http.origin(event))


def made(
    app: "BaseRouter", operation: str, key: str | None, request: dict[str, Any], use_case: Any, path: str
) -> Response[Any]:
    """What a POST has made, with its ETag and where it is: made once for a key."""
    event = app.current_event.raw_event

    def stored() -> dict[str, Any]:
        view, revision, name = use_case()
        return {"view": view.model_dump(mode="json"), "revision": revision, "name": name}

    told = idempotency.once(
        stored,
        operation=operation,
        principal=http.principal(event).sub,
        key=key,
        request=request,
        context=app.lambda_context,
    )
    headers = {"ETag": etag(told["revision"]), "Location": http.link(event, f"{path}/{told['name']}")}
    return http.answer(201, told["view"], headers)


def tagged(view: Any, revision: int) -> Response[Any]:
    """What is there, with its ETag."""
    return http.answer(200, view.model_dump(mode="json"), {"ETag": etag(revision)})
