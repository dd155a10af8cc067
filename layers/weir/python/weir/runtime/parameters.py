"""Parameters that routes of all kinds take, told in the same words."""

from typing import Annotated

from aws_lambda_powertools.event_handler.openapi.params import Header, Query

from weir.runtime import pagination

Limit = Annotated[int, Query(ge=1, le=pagination.MAX_LIMIT, description="Items in a page, at most")]
Cursor = Annotated[str | None, Query(max_length=4096, description="The cursor of the page before")]
IfMatch = Annotated[
    str | None, Header(alias="If-Match", max_length=256, description="The ETag as read; 412 where it is another now")
]
Key = Annotated[
    str | None,
    Header(alias="Idempotency-Key", description="The same key and body within 24 hours replays the first answer"),
]
