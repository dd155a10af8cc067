"""HTTP: API keys. Make one, list them, change its secret, revoke it. The rules are in ``weir.identity.api_keys``."""

from datetime import datetime
from typing import Annotated

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.event_handler.openapi.params import Body, Header, Path, Query

from weir.identity.contract_api_keys import KeyList, MadeKey, NewKey, Rotation, ShownKey
from weir.identity.key_store import Keys
from weir.identity.table import table
from weir.runtime import http, pagination
from weir.runtime.clock import SYSTEM
from weir.runtime.secrets import secret
from weir.runtime.settings import settings

app = APIGatewayRestResolver(
    enable_validation=True, response_validation_error_http_code=500, json_body_deserializer=http.strict_json
)
http.wire(app)

NEEDS = {
    "POST /api-keys": "keys:manage",
    "GET /api-keys": "keys:manage",
    "DELETE /api-keys/{key_id}": "keys:manage",
    "POST /api-keys/{key_id}/rotate": "keys:manage",
}

KeyId = Annotated[str, Path(pattern=r"^[a-z2-7]{12}$", description="Key id")]
Owner = Annotated[
    str | None,
    Query(pattern=r"^[a-z2-7]{16}$", description="Id of the user whose keys; yours, unless you are an admin"),
]
UNSTORED = {"Cache-Control": "no-store"}
"""On answers that hold a secret."""


def _caller() -> http.Principal:
    return http.principal(app.current_event.raw_event)


def _origin() -> http.Origin:
    return http.origin(app.current_event.raw_event)


def _now() -> datetime:
    """To the millisecond, as times are kept: an answer tells the same of a key as the next one."""
    moment = SYSTEM.now()
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def _keys() -> Keys:
    return Keys(table())


def _pepper() -> bytes:
    return secret(settings(needs=("key_pepper_secret_arn",)).key_pepper_secret_arn).encode()


@app.post(
    "/api-keys",
    tags=["api-keys"],
    operation_id="createApiKey",
    summary="Make an API key",
    status_code=201,
    responses={
        201: {"description": "The key, with its secret, which is shown this once"},
        **http.problems(400, 403, 409, 422),
    },
)
def create(
    asked: Annotated[NewKey, Body(description="What the key may do, and for how long")],
    key: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            description="The same key makes no second API key: 409, for its secret can't be shown again",
        ),
    ] = None,
) -> Response[MadeKey]:
    """At most 100 live keys a user. Keys can't make keys."""
    from weir.identity.api_keys import make_key
    from weir.identity.contract_api_keys import made

    now = _now()
    found, text = make_key(asked, _caller(), _origin(), _keys(), pepper=_pepper(), now=now, idempotency_key=key)
    return http.answer(201, made(found, text, now).model_dump(mode="json"), UNSTORED)


@app.get(
    "/api-keys",
    tags=["api-keys"],
    operation_id="listApiKeys",
    summary="List API keys",
    responses={200: {"description": "A page of keys"}, **http.problems(400, 403, 422)},
)
def list_keys(
    limit: Annotated[int, Query(ge=1, le=pagination.MAX_LIMIT, description="Items in a page, at most")] = 50,
    cursor: Annotated[str | None, Query(max_length=4096, description="The cursor of the page before")] = None,
    owner: Owner = None,
) -> KeyList:
    """The caller's keys, by id; an admin may ask for those of another user. Keys that ended are shown for 90 days."""
    from weir.identity.api_keys import whose
    from weir.identity.contract_api_keys import shown

    user_id = whose(owner, _caller())
    kind = f"api-keys:{user_id}"
    after = pagination.open_cursor(kind, cursor) if cursor else None
    keys, position = _keys().page(user_id, limit, after)
    now = _now()
    items = tuple(shown(key, now) for key in keys)
    return KeyList(items=items, cursor=pagination.seal(kind, position) if position else None)


@app.delete(
    "/api-keys/<key_id>",
    tags=["api-keys"],
    operation_id="revokeApiKey",
    summary="Revoke an API key",
    responses={200: {"description": "The key, which is refused within 60 seconds"}, **http.problems(403, 404, 422)},
)
def revoke(key_id: KeyId, owner: Owner = None) -> ShownKey:
    """For good. The caller's own key; an admin may revoke any, and names its owner."""
    from weir.identity.api_keys import revoke_key, whose
    from weir.identity.contract_api_keys import shown

    caller, now = _caller(), _now()
    return shown(revoke_key(key_id, whose(owner, caller), caller, _origin(), _keys(), now=now), now)


@app.post(
    "/api-keys/<key_id>/rotate",
    tags=["api-keys"],
    operation_id="rotateApiKey",
    summary="Change an API key's secret",
    responses={
        200: {"description": "The key, with its new secret, which is shown this once"},
        **http.problems(400, 403, 404, 409, 422),
    },
)
def rotate(
    key_id: KeyId, asked: Annotated[Rotation | None, Body(description="How long the secret before works on")] = None
) -> Response[MadeKey]:
    """The caller's own key. The secret before is refused within 60 seconds, or after ``grace_seconds``."""
    from weir.identity.api_keys import rotate_key
    from weir.identity.contract_api_keys import made

    now = _now()
    grace = asked.grace_seconds if asked else 0
    found, text = rotate_key(key_id, grace, _caller(), _origin(), _keys(), pepper=_pepper(), now=now)
    return http.answer(200, made(found, text, now).model_dump(mode="json"), UNSTORED)


handler = http.entry(app, NEEDS, most_bytes=65_536)
