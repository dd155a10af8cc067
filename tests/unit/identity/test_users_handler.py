"""The routes of users and of the audit, event by event: status, headers, bodies, and what the log must not hold."""

import io
import json
import logging
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest

from tests.unit.identity.accounts import ANN, user
from tests.unit.identity.directory import keys, listed
from tests.unit.identity.test_key_handlers import Context, Stack, sample
from weir.identity.user_store import Users
from weir.runtime import observability, secrets, settings

ADMIN = "dora2dora3dora4d"
KEY = {"Idempotency-Key": "welcome-carl"}
BOB = sample("users-show")["pathParameters"]["user_id"]


@pytest.fixture
def stack() -> Iterator[Stack]:
    with listed() as client, pytest.MonkeyPatch.context() as patch:
        secrets.secret.cache_clear()
        made = Stack(client, patch)
        Users(made.table).create(user(ADMIN, "dora", roles=("admin",)))
        yield made
    secrets.secret.cache_clear()
    settings.forget()


@pytest.fixture
def module(stack: Stack) -> ModuleType:
    return stack.load("users")


@pytest.fixture
def logged(stack: Stack) -> Iterator[Callable[[], str]]:
    """What the logger wrote. It is the process's, so its stream is lent."""
    written = io.StringIO()
    (handler,) = (one for one in observability.logger().handlers if isinstance(one, logging.StreamHandler))
    before = handler.setStream(written)
    yield written.getvalue
    if before is not None:
        handler.setStream(before)


def send(module: ModuleType, name: str, **changes: Any) -> tuple[int, Any, dict[str, str]]:
    """Status, body and headers that a sample event is answered with.

    ``changes`` replace members of the event; of its ``headers``, ``query``, ``body`` and ``caller`` those named.
    """
    event = sample(name)
    event["headers"] |= changes.pop("headers", {})
    event["multiValueHeaders"] = {key: [value] for key, value in event["headers"].items()}
    event["requestContext"]["authorizer"] |= changes.pop("caller", {})
    if "query" in changes:
        query = changes.pop("query")
        event["queryStringParameters"] = query
        event["multiValueQueryStringParameters"] = {key: [value] for key, value in query.items()}
    if "body" in changes:
        event["body"] = json.dumps(changes.pop("body"))
    answer = module.handler(event | changes, Context())
    headers = {key: values[0] for key, values in answer["multiValueHeaders"].items()}
    return answer["statusCode"], json.loads(answer["body"]) if answer["body"] else None, headers


def test_a_user_comes_changes_and_goes(module: ModuleType, stack: Stack) -> None:
    # When bob is made
    status, made, headers = send(module, "users-create")
    # Then the answer is the user, with a password that no cache may keep
    password = made.pop("password")
    assert (status, headers["Location"], headers["ETag"]) == (201, f"/v1/users/{BOB}", '"1"')
    assert headers["Cache-Control"] == "no-store"
    assert len(password) == 22
    assert made == {
        "user_id": BOB,
        "username": "bob",
        "email": "bob@example.org",
        "roles": ["operator"],
        "groups": ["research"],
        "disabled": False,
        "must_change_password": True,
        "created_at": made["created_at"],
        "last_login_at": None,
    }

    # And they are listed, and shown as made
    status, page, _ = send(module, "users-list")
    assert (status, page) == (200, {"items": [made], "cursor": None})
    status, shown, headers = send(module, "users-show")
    assert (status, shown, headers["ETag"]) == (200, made, '"1"')

    # And changed, once with this version
    status, changed, headers = send(module, "users-change")
    assert (status, changed["roles"], changed["disabled"], changed["password"]) == (200, ["member"], True, None)
    assert headers["ETag"] == '"2"'
    status, problem, _ = send(module, "users-change")
    assert (status, problem["type"]) == (412, "https://weir.dev/problems/precondition-failed")

    # And deleted, and all of it is told
    status, nothing, headers = send(module, "users-delete")
    assert (status, nothing) == (204, None)
    assert send(module, "users-show")[0] == send(module, "users-delete")[0] == 404
    status, audit, _ = send(module, "users-audit")
    assert status == 200
    assert next(entry["what"] for entry in audit["items"]) == "user.deleted"
    assert {entry["what"] for entry in audit["items"]} == {
        *("user.deleted", "user.disabled", "user.roles-changed", "user.created")
    }
    first = audit["items"][0]
    assert (first["who"], first["who_name"], first["subject"]) == (ADMIN, "dora", BOB)
    assert (first["source_ip"], first["user_agent"]) == ("203.0.113.7", "curl/8.7.1")
    assert first["request_id"] == sample("users-audit")["requestContext"]["requestId"]


def test_no_password_and_no_hash_is_in_answers_or_logs(
    module: ModuleType, stack: Stack, logged: Callable[[], str]
) -> None:
    # Given a user whose password an admin chose, then reset
    given = "a long sentence for one alone"
    asked = json.loads(sample("users-create")["body"]) | {"password": given}
    _, made, _ = send(module, "users-create", body=asked)
    _, reset, _ = send(module, "users-change", body={"reset_password": True}, headers={"If-Match": "*"})
    assert made["password"] is None
    assert len(reset["password"]) == 22
    # And a request that is refused
    refused = send(module, "users-create", body={"username": "carl", "password": "tooshort"}, headers=KEY)
    wrong = send(module, "users-create", body={"username": "carl", "password": [given]}, headers=KEY)

    # Then neither stands anywhere else
    told = [send(module, name)[1] for name in ("users-list", "users-show", "users-audit")]
    everything = (
        json.dumps([made, *told, refused[1], wrong[1]]) + logged() + str(stack.client.scan(TableName="identity"))
    )
    for secret in (given, "tooshort", reset["password"]):
        assert secret not in everything
    assert "argon2" not in json.dumps([made, reset, *told]) + logged()
    assert (refused[0], wrong[0]) == (422, 422)


def test_the_same_key_again_names_the_user_and_tells_no_password(module: ModuleType) -> None:
    send(module, "users-create")
    status, problem, _ = send(module, "users-create")
    assert (status, problem["user_id"]) == (409, BOB)
    assert "password" not in problem


# ---- Pages ----


def test_users_are_told_page_by_page(module: ModuleType, stack: Stack) -> None:
    for index, name in enumerate(("ann", "anna", "annika", "bob")):
        Users(stack.table).create(user(f"{index + 2}" * 16, name))
    names: list[str] = []
    query: dict[str, str] = {"limit": "2", "q": "An"}
    while True:
        status, page, _ = send(module, "users-list", query=query)
        assert status == 200
        names += [one["username"] for one in page["items"]]
        if page["cursor"] is None:
            break
        query["cursor"] = page["cursor"]
    assert names == ["ann", "anna", "annika"]

    # And a cursor is good for its own list alone
    for other in ({"q": "b", "cursor": query["cursor"]}, {"cursor": query["cursor"]}, {"cursor": "x.y"}):
        assert send(module, "users-list", query=other)[0] == 400
    assert send(module, "users-audit", query={"cursor": query["cursor"]})[0] == 400


def test_the_audit_is_told_page_by_page(module: ModuleType) -> None:
    send(module, "users-create")
    send(module, "users-change")
    query = {"limit": "1"}
    found = []
    while True:
        _, page, _ = send(module, "users-audit", query=query)
        found += [entry["what"] for entry in page["items"]]
        if page["cursor"] is None:
            break
        query["cursor"] = page["cursor"]
    assert sorted(found) == ["user.created", "user.disabled", "user.roles-changed"]
    assert send(module, "users-audit", query={"who": ANN})[1] == {"items": [], "cursor": None}
    assert len(send(module, "users-audit", query={"who": ADMIN})[1]["items"]) == 3
    assert send(module, "users-audit", query={"until": "2020-01-01T00:00:00Z"})[1]["items"] == []
    assert send(module, "users-audit", query={"until": "2020-01-01T00:00:00Z", "cursor": query["cursor"]})[0] == 400


@pytest.mark.parametrize("until", ["0001-01-01T00:00:00+14:00", "0999-05-01T00:00:00Z", "9999-12-31T23:00:00-14:00"])
def test_the_audit_is_until_a_time_that_can_be_reckoned_with(module: ModuleType, until: str) -> None:
    assert send(module, "users-audit", query={"until": until})[0] == 422


# ---- What is refused ----


@pytest.mark.parametrize(
    ("name", "changes", "field"),
    [
        ("users-create", {"body": {"username": "System"}}, "username"),
        ("users-create", {"body": {}}, "username"),
        ("users-create", {"body": {"username": "bo"}}, "username"),
        ("users-create", {"body": {"username": "b\u043eb"}}, "username"),  # a Cyrillic o
        ("users-create", {"body": {"username": "bob\0"}}, "username"),
        ("users-create", {"body": {"username": "bob", "email": "bob"}}, "email"),
        ("users-create", {"body": {"username": "bob", "roles": ["root"]}}, "roles.0"),
        ("users-create", {"body": {"username": "bob", "groups": ["a b"]}}, "groups.0"),
        ("users-create", {"body": {"username": "bob", "groups": ["g"] * 51}}, "groups"),
        ("users-create", {"body": {"username": "bob", "password": "x" * 1025}}, "password"),
        ("users-create", {"body": {"username": "bob", "version": 7}}, "version"),
        ("users-change", {"body": {}}, "body"),
        ("users-change", {"body": {"roles": None}}, "roles"),
        ("users-change", {"body": {"disabled": None}}, "disabled"),
        ("users-change", {"body": {"password_hash": "x"}}, "password_hash"),
        ("users-change", {"body": {"username": "carl"}}, "username"),
        ("users-show", {"pathParameters": {"user_id": "ann"}, "path": "/users/ann"}, "user_id"),
        ("users-list", {"query": {"limit": "201"}}, "limit"),
        ("users-list", {"query": {"q": "a b"}}, "q"),
        ("users-audit", {"query": {"until": "2026-11-21T12:00:00"}}, "until"),
        ("users-audit", {"query": {"until": "yesterday"}}, "until"),
    ],
)
def test_a_field_that_can_not_be_is_named(
    module: ModuleType, stack: Stack, name: str, changes: dict[str, Any], field: str
) -> None:
    before = keys(stack.client)
    status, problem, _ = send(module, name, **changes)
    assert status == 422
    assert field in [error["field"] for error in problem["errors"]]
    assert keys(stack.client) == before


@pytest.mark.parametrize(
    ("body", "status"),
    [('{"username": "bob", "username": "carl"}', 400), ('{"username":', 400), ("[" * 100_000, 400)],
)
def test_a_body_that_can_not_be_read_is_refused(module: ModuleType, body: str, status: int) -> None:
    event = {**sample("users-create"), "body": body}
    answer = module.handler(event, Context())
    assert answer["statusCode"] in {status, 413}
    assert answer["multiValueHeaders"]["Content-Type"] == ["application/problem+json"]


ROLES = {
    "member": "keys:manage models:invoke packages:read runs:read streams:read",
    "operator": "keys:manage models:invoke packages:read runs:read streams:read runs:write streams:write",
}


@pytest.mark.parametrize("name", ["create", "list", "show", "change", "delete", "audit"])
@pytest.mark.parametrize("role", ROLES)
def test_nobody_but_an_admin_gets_anything(module: ModuleType, stack: Stack, name: str, role: str) -> None:
    stack.client.called.clear()
    status, problem, _ = send(module, f"users-{name}", caller={"roles": role, "scopes": ROLES[role]})
    assert (status, problem["type"]) == (403, "https://weir.dev/problems/forbidden")
    # And the anonymous less: not even what their body lacks
    body = {"body": {}} if name in {"create", "change"} else {}
    assert send(module, f"users-{name}", caller={"sub": "", "credential": ""}, **body)[0] == 401
    assert stack.client.called == []


@pytest.mark.parametrize("name", ["create", "change", "delete"])
def test_a_key_changes_nothing_whatever_it_holds(module: ModuleType, stack: Stack, name: str) -> None:
    stack.client.called.clear()
    status, _, _ = send(module, f"users-{name}", caller={"credential": "key"})
    assert (status, stack.client.called) == (403, [])


def test_a_key_may_read(module: ModuleType) -> None:
    key = {"credential": "key", "scopes": "users:read audit:read"}
    assert [send(module, f"users-{name}", caller=key)[0] for name in ("list", "audit")] == [200, 200]


def test_who_must_change_their_password_does_that_first(module: ModuleType) -> None:
    status, problem, _ = send(module, "users-list", caller={"must_change_password": "true"})
    assert (status, problem["type"]) == (403, "https://weir.dev/problems/password-change-needed")


def test_admins_do_not_delete_themselves_over_http(module: ModuleType, stack: Stack) -> None:
    own = {"pathParameters": {"user_id": ADMIN}, "path": f"/users/{ADMIN}"}
    assert send(module, "users-delete", **own)[0] == 403
    assert Users(stack.table).get(ADMIN) is not None


def test_groups_that_fit_into_no_token_are_refused(module: ModuleType, stack: Stack) -> None:
    # Given more names of groups than a header could carry / When they are given / Then 422 names them, before anybody
    # finds at log-in that they can't
    send(module, "users-create")
    groups = [f"{number:02d}{'x' * 60}" for number in range(50)]
    status, problem, _ = send(module, "users-change", body={"groups": groups}, headers={"If-Match": '"1"'})
    assert (status, [one["field"] for one in problem["errors"]]) == (422, ["groups"])
    assert "1,500 characters" in problem["errors"][0]["message"]
