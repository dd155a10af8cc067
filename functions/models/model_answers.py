"""How the routes of this function answer what was made, and what is there."""

from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.event_handler import Response

from weir.runtime import http, idempotency
from weir.runtime.etags import etag

if TYPE_CHECKING:
    from aws_lambda_powertools.event_handler.api_gateway import BaseRouter


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
