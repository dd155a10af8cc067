"""HTTP: users, for admins, and the audit. The rules are in ``weir.identity``."""

from dataclasses import asdict
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.event_handler.openapi.params import Body, Header, Path, Query

from weir.identity.contract_users import (
    USER_ID,
    AuditEntry,
    AuditPage,
    NewUser,
    UserChanged,
    UserPage,
    UserPatch,
    UserView,
    view_of,
)
from weir.runtime import http, pagination
from weir.runtime.audit import Asker, asker
from weir.runtime.clock import SYSTEM
from weir.runtime.fields import Moment
from weir.runtime.parameters import Cursor, IfMatch, Limit

if TYPE_CHECKING:
    from weir.identity.models import User
    from weir.identity.user_store import Users

app = APIGatewayRestResolver(
    enable_validation=True, response_validation_error_http_code=500, json_body_deserializer=http.strict_json
)
http.wire(app)

NEEDS = {
    "GET /users": "users:read",
    "POST /users": "users:write",
    "GET /users/{user_id}": "users:read",
    "PATCH /users/{user_id}": "users:write",
    "DELETE /users/{user_id}": "users:write",
    "GET /audit": "audit:read",
}

Id = Annotated[str, Path(pattern=USER_ID, description="User id")]
Key = Annotated[
    str | None,
    Header(alias="Idempotency-Key", description="The same key makes no second user: 409 names the one it made"),
]
KEEP_NOWHERE = {"Cache-Control": "no-store"}


@lru_cache(maxsize=1)
def _users() -> "Users":
    from weir.identity.table import table
    from weir.identity.user_store import Users

    return Users(table())


def _asker() -> Asker:
    return asker(app.current_event.raw_event)


def _answer(status: int, user: "User", password: str | None, headers: dict[str, str] | None = None) -> Response[Any]:
    from weir.identity.users import etag

    body = UserChanged(**view_of(user).model_dump(), password=password).model_dump(mode="json")
    return http.answer(status, body, {"ETag": etag(user), **KEEP_NOWHERE, **(headers or {})})


@app.get(
    "/users",
    tags=["users"],
    operation_id="listUsers",
    summary="List users",
    responses={200: {"description": "A page of users"}, **http.problems(400, 422)},
)
def list_users(
    limit: Limit = 50,
    cursor: Cursor = None,
    q: Annotated[
        str, Query(max_length=64, pattern=r"^[A-Za-z0-9._-]*$", description="How the user's name begins")
    ] = "",
) -> UserPage:
    """All users by name. What was changed within the last second may be told as it was."""
    kind = f"users:{q.lower()}"
    after = pagination.open_cursor(kind, cursor) if cursor else None
    users, position = _users().page(limit, after, q.lower())
    items = tuple(view_of(user) for user in users)
    return UserPage(items=items, cursor=pagination.seal(kind, position) if position else None)


@app.post(
    "/users",
    tags=["users"],
    operation_id="createUser",
    summary="Make a user",
    status_code=201,
    responses={201: {"description": "Made; password is shown this once"}, **http.problems(400, 409, 422)},
)
def create(asked: Annotated[NewUser, Body(description="The user")], key: Key = None) -> Response[UserChanged]:
    """The password, given or made here, must be changed at the first use."""
    from weir.identity.users import create_user

    user, password = create_user(asked, _asker(), _users(), SYSTEM, key)
    location = http.link(app.current_event.raw_event, f"/users/{user.user_id}")
    return _answer(201, user, None if asked.password is not None else password, {"Location": location})


@app.get(
    "/users/<user_id>",
    tags=["users"],
    operation_id="getUser",
    summary="Read a user",
    responses={200: {"description": "The user; ETag is their version"}, **http.problems(404, 422)},
)
def show(user_id: Id) -> Response[UserView]:
    """A user, with the entity tag that a change may name."""
    from weir.identity.users import etag, found

    user = found(user_id, _users())
    return http.answer(200, view_of(user).model_dump(mode="json"), {"ETag": etag(user)})


@app.patch(
    "/users/<user_id>",
    tags=["users"],
    operation_id="changeUser",
    summary="Change a user",
    responses={200: {"description": "The user as changed"}, **http.problems(400, 404, 409, 412, 422)},
)
def change(
    user_id: Id, patch: Annotated[UserPatch, Body(description="What to change")], if_match: IfMatch = None
) -> Response[UserChanged]:
    """Roles, groups, e-mail address, disabled, a new password, all keys revoked. What ends, ends within 60 seconds."""
    from weir.identity.users import change_user

    user, password = change_user(user_id, patch, if_match, _asker(), _users(), SYSTEM)
    return _answer(200, user, password)


@app.delete(
    "/users/<user_id>",
    tags=["users"],
    operation_id="deleteUser",
    summary="Delete a user",
    status_code=204,
    responses={
        204: {"description": "Gone, with keys and sessions; the audit stays"},
        **http.problems(404, 409, 412, 422),
    },
)
def delete(user_id: Id, if_match: IfMatch = None) -> Response[None]:
    """Their tokens end within 60 seconds."""
    from weir.identity.users import delete_user

    delete_user(user_id, if_match, _asker(), _users(), SYSTEM)
    return Response(204, headers={})


@app.get(
    "/audit",
    tags=["audit"],
    operation_id="listAudit",
    summary="Read the audit",
    responses={200: {"description": "A page of entries"}, **http.problems(400, 422)},
)
def list_audit(
    limit: Limit = 50,
    cursor: Cursor = None,
    who: Annotated[str | None, Query(max_length=64, description="Only what this user has done, by user id")] = None,
    subject: Annotated[str | None, Query(max_length=64, description="Only what was done to this id")] = None,
    until: Annotated[Moment | None, Query(description="Only what was done until then, RFC 3339")] = None,
) -> AuditPage:
    """What was done in identity within 400 days, newest first. With a filter, a page may be short and not the last."""
    from weir.identity import audit

    kind = f"audit:{who}:{subject}:{until}"
    after = pagination.open_cursor(kind, cursor) if cursor else None
    entries, position = audit.page(_users().table, limit, after, SYSTEM.now(), who=who, subject=subject, until=until)
    items = tuple(AuditEntry(**asdict(entry)) for entry in entries)
    return AuditPage(items=items, cursor=pagination.seal(kind, position) if position else None)


handler = http.entry(app, NEEDS, most_bytes=65_536)
