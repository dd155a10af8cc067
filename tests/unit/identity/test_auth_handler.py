"""The routes of log-in, event by event: their answers, what stands in no cache, and what no log tells."""

import importlib.util
import io
import json
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from tests.unit.identity.accounts import ANN, BOTOCORE, Recorded, audited, dynamodb, user
from tests.unit.identity.conftest import HASH, PASSWORD, secret_text
from weir.identity import tokens, wiring
from weir.identity.models import Claims
from weir.identity.roles import scopes_of
from weir.identity.user_store import Users
from weir.runtime import aws, observability, settings
from weir.runtime.dynamodb import Table

ROOT = Path(__file__).parents[3]
NEW = "another sentence, which is longer still"
Answer = dict[str, Any]


class Context:
    """As much of the Lambda context as is read."""

    function_name = "auth"
    memory_limit_in_mb = 1024
    invoked_function_arn = "arn:aws:lambda:eu-west-1:123456789012:function:auth"
    aws_request_id = "c6af9ac6-7b61-11e6-9a41-93e8deadbeef"


class Auth:
    """The function on an account of its own."""

    def __init__(self, client: Recorded, patch: pytest.MonkeyPatch) -> None:
        self.client, self.table = client, Table(client, "identity")
        secrets = BOTOCORE.create_client("secretsmanager", region_name="eu-west-1")
        arn = secrets.create_secret(Name="signing", SecretString=secret_text("1"))["ARN"]
        clients = {"dynamodb": client, "secretsmanager": secrets}
        patch.setattr(aws, "client", lambda service: clients[service])
        patch.setenv("WEIR_IDENTITY_TABLE", "identity")
        patch.setenv("WEIR_TOKEN_ISSUER", "urn:weir:test")
        patch.setenv("WEIR_SIGNING_SECRET_ARN", arn)
        self._patch = patch
        self.anew()
        self.module = self._load()

    def anew(self, **environment: str) -> None:
        """As a new process would begin, in an environment with changes."""
        for name, value in environment.items():
            self._patch.setenv(f"WEIR_{name.upper()}", value)
        settings.forget()
        wiring.deps.cache_clear()

    def call(self, name: str, body: Any = None, signed_in_by: str | None = None, **changes: Any) -> Answer:
        """The answer to a sample event, with another body, by the bearer of an access token."""
        event = json.loads((ROOT / "events" / f"auth-{name}.json").read_text()) | changes
        if body is not None:
            event["body"] = body if isinstance(body, str) else json.dumps(body)
        event["requestContext"].pop("authorizer", None)
        if signed_in_by is not None:
            event["requestContext"]["authorizer"] = as_told(self.read(signed_in_by))
        answer: Answer = self.module.handler(event, Context())
        return answer

    def read(self, text: str) -> Claims:
        deps = wiring.deps()
        return tokens.verify_access(text, deps.keyring, "urn:weir:test", "weir", deps.clock.now())

    def log_in(self, password: str = PASSWORD, **more: Any) -> Any:
        answer = self.call("login", {"username": "ann", "password": password, **more})
        assert answer["statusCode"] == 200, answer["body"]
        return json.loads(answer["body"])

    def _load(self) -> ModuleType:
        spec = importlib.util.spec_from_file_location("unit_auth", ROOT / "functions/auth/handler.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        self._patch.setitem(sys.modules, spec.name, module)
        spec.loader.exec_module(module)
        return module


def as_told(claims: Claims) -> dict[str, str]:
    """What the authorizer tells of a token."""
    return {
        "sub": claims.sub,
        "username": claims.username,
        "roles": " ".join(claims.roles),
        "groups": " ".join(claims.groups),
        "scopes": " ".join(claims.scopes),
        "credential": "token",
        "credential_id": claims.session_id,
        "must_change_password": "true" if claims.must_change_password else "false",
    }


@pytest.fixture
def auth() -> Iterator[Auth]:
    with dynamodb() as client, pytest.MonkeyPatch.context() as patch:
        made = Auth(client, patch)
        Users(made.table).create(user(password_hash=HASH))
        yield made
    settings.forget()
    wiring.deps.cache_clear()


@pytest.fixture
def logged(auth: Auth) -> Iterator[Callable[[], str]]:
    """What the logger wrote. It is the process's, so its stream is lent."""
    written = io.StringIO()
    (handler,) = (one for one in observability.logger().handlers if isinstance(one, logging.StreamHandler))
    before = handler.setStream(written)
    yield written.getvalue
    if before is not None:
        handler.setStream(before)


def told(answer: Answer, status: int) -> Any:
    """The body of an answer of this status, which no cache may keep."""
    assert answer["statusCode"] == status, answer["body"]
    headers = {name.lower(): values for name, values in answer["multiValueHeaders"].items()}
    assert headers["cache-control"] == ["no-store"]
    if status >= 400:
        assert headers["content-type"] == ["application/problem+json"]
    return json.loads(answer["body"])


def test_a_person_logs_in_looks_refreshes_changes_the_password_and_logs_out(auth: Auth) -> None:
    # When a user logs in
    first = told(auth.call("login", {"username": "ann", "password": PASSWORD}), 200)
    assert (first["token_type"], first["expires_in"], first["must_change_password"]) == ("Bearer", 900, False)

    # Then they are who they are
    me = told(auth.call("me", signed_in_by=first["access_token"]), 200)
    assert (me["user_id"], me["username"], me["roles"]) == (ANN, "ann", ["operator"])
    assert (me["credential"], me["credential_id"]) == ("token", auth.read(first["access_token"]).session_id)
    assert set(me["scopes"]) == scopes_of(["operator"])
    assert not {name for name in me if "hash" in name}

    # And the session goes on, each refresh token once
    second = told(auth.call("refresh", {"refresh_token": first["refresh_token"]}), 200)
    assert set(second) == {"access_token", "token_type", "expires_in", "refresh_token", "must_change_password"}

    # And with a new password another begins
    body = {"current_password": PASSWORD, "new_password": NEW}
    third = told(auth.call("password", body, signed_in_by=second["access_token"]), 200)
    assert set(third) == set(first)
    assert told(auth.call("refresh", {"refresh_token": second["refresh_token"]}), 401)["type"].endswith("/bad-token")

    # And it ends
    assert told(auth.call("logout", signed_in_by=third["access_token"]), 200) == {"ended": True}
    told(auth.call("refresh", {"refresh_token": third["refresh_token"]}), 401)
    assert auth.log_in(NEW)


def test_wrong_and_unknown_are_one_answer(auth: Auth) -> None:
    answers = [
        told(auth.call("login", {"username": name, "password": password}), 401)
        for name, password in (("ann", "wrong"), ("nobody", PASSWORD), ("\u0430nn", PASSWORD), ("ann", "x" * 2_000))
    ]
    assert len({json.dumps(answer) for answer in answers}) == 1
    assert answers[0]["type"].endswith("/bad-credentials")


def test_too_many_guesses_are_told_until_when(auth: Auth) -> None:
    for _ in range(5):
        told(auth.call("login", {"username": "ann", "password": "wrong"}), 401)
    answer = auth.call("login", {"username": "ann", "password": PASSWORD})
    assert told(answer, 429)["type"].endswith("/too-many-attempts")
    assert 1 <= int(answer["multiValueHeaders"]["Retry-After"][0]) <= 60


def test_an_unauthenticated_answer_says_how(auth: Auth) -> None:
    answer = auth.call("refresh", {"refresh_token": "weir_rt_"})
    told(answer, 401)
    assert answer["multiValueHeaders"]["WWW-Authenticate"] == ["Bearer"]


@pytest.mark.parametrize("route", ["me", "logout", "password"])
def test_what_is_about_oneself_is_for_nobody_else(auth: Auth, route: str) -> None:
    told(auth.call(route), 401)


@pytest.mark.parametrize("route", ["logout", "password"])
def test_a_key_ends_no_session_and_changes_no_password(auth: Auth, route: str) -> None:
    event = json.loads((ROOT / "events" / f"auth-{route}.json").read_text())
    event["requestContext"]["authorizer"] |= {"credential": "key", "credential_id": "nightly2nigh"}
    told(auth.module.handler(event, Context()), 403)


def test_who_must_change_the_password_can_do_that_and_leave(auth: Auth) -> None:
    users = Users(auth.table)
    found = users.get(ANN)
    assert found is not None
    users.change(found, user(password_hash=HASH, must_change_password=True))

    given = auth.log_in()
    assert given["must_change_password"] is True
    assert told(auth.call("me", signed_in_by=given["access_token"]), 200)["scopes"] == []
    body = {"current_password": PASSWORD, "new_password": NEW}
    fresh = told(auth.call("password", body, signed_in_by=given["access_token"]), 200)
    assert fresh["must_change_password"] is False
    told(auth.call("logout", signed_in_by=fresh["access_token"]), 200)


def test_people_register_where_they_may(auth: Auth) -> None:
    body = {"username": "Bob", "password": PASSWORD}
    assert told(auth.call("register", body), 403)["type"].endswith("/registration-closed")
    auth.anew(self_registration="true")
    made = told(auth.call("register", body), 201)
    assert (made["username"], made["roles"], made["groups"]) == ("bob", ["member"], [])
    assert told(auth.call("register", body), 409)["type"].endswith("/name-taken")
    for field in ("roles", "groups", "email", "must_change_password"):
        errors = told(auth.call("register", {**body, "username": "eve", field: "admin"}), 422)["errors"]
        assert [error["field"] for error in errors] == [field]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("{", 400),
        ("[" * 10_000, 400),
        ('{"username": "ann", "username": "bob", "password": "p"}', 400),
        ('{"username": "ann", "password": NaN}', 400),
        ("[]", 422),
        ("null", 422),
        ('{"username": "ann"}', 422),
        ('{"username": "ann", "password": 7}', 422),
        ('{"username": ["ann"], "password": "p"}', 422),
        ('{"username": "ann", "password": "p", "admin": true}', 422),
        ('{"username": "ann", "password": "p", "max_uses": 0}', 422),
        ('{"username": "ann", "password": "p", "max_uses": 1001}', 422),
        ('{"username": "ann", "password": "p", "expires_in": 59}', 422),
        ('{"username": "ann", "password": "p", "expires_in": 3600}', 422),
        ('{"username": "ann\\u0000", "password": "p"}', 401),
        ('{"username": "ann", "password": "\\u0000"}', 401),
        ('{"username": "ann", "password": "' + "p" * 65_536 + '"}', 413),
    ],
)
def test_bodies_that_are_none(auth: Auth, body: str, status: int) -> None:
    told(auth.call("login", body), status)


@pytest.mark.parametrize("name", ["username", "password"])
def test_half_a_character_is_no_users(auth: Auth, name: str) -> None:
    # Given JSON that names a lone surrogate, which no UTF-8 can / Then it is a client's mistake, whichever
    answer = auth.call("login", json.dumps({"username": "ann", "password": PASSWORD, name: "ann\ud800"}))
    assert answer["statusCode"] in {401, 422}


def test_another_content_type_is_none_of_ours(auth: Auth) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    told(auth.call("login", "username=ann&password=p", headers=headers), 415)


def test_aws_that_does_not_answer_is_not_the_callers_fault(auth: Auth) -> None:
    def fail(operation: str, request: dict[str, Any]) -> None:
        raise EndpointConnectionError(endpoint_url="https://dynamodb")

    auth.client.before = fail
    answer = auth.call("login", {"username": "ann", "password": PASSWORD})
    told(answer, 503)
    assert answer["multiValueHeaders"]["Retry-After"]


def test_no_log_tells_a_secret(auth: Auth, logged: Callable[[], str], capsys: pytest.CaptureFixture[str]) -> None:
    # Given log-ins, good and bad, and all that may follow
    given = auth.log_in()
    wrong = "a guess that is somebody's password elsewhere"
    auth.call("login", {"username": "a-name-typed-by-mistake", "password": wrong})
    auth.call("login", {"username": "ann", "password": wrong, "surprise": wrong})
    fresh = told(auth.call("refresh", {"refresh_token": given["refresh_token"]}), 200)
    told(auth.call("refresh", {"refresh_token": given["refresh_token"]}), 401)
    body = {"current_password": PASSWORD, "new_password": NEW}
    told(auth.call("password", body, signed_in_by=fresh["access_token"]), 200)

    # Then the log tells what happened, and nothing that opens anything
    lines = logged() + capsys.readouterr().out
    assert "came again; the session was ended" in lines
    secrets = [PASSWORD, NEW, wrong, "a-name-typed-by-mistake", json.loads(secret_text("1"))["secret"], HASH]
    secrets += [token for answer in (given, fresh) for name, token in answer.items() if "token" in name[-5:]]
    secrets += [token.rpartition(".")[2] for token in (given["access_token"], given["refresh_token"], given["device"])]
    assert not [secret for secret in secrets if secret in lines]


def test_the_audit_tells_from_where(auth: Auth) -> None:
    auth.log_in()
    assert [entry["what"] for entry in audited(auth.client)] == ["login.done"]
    item = next(
        item for item in auth.client.scan(TableName="identity")["Items"] if item["pk"]["S"].startswith("AUDIT#")
    )
    assert item["source_ip"]["S"] == "203.0.113.7"
    assert item["user_agent"]["S"] == "curl/8.7.1"


@pytest.mark.parametrize("name", ["login", "refresh", "register", "logout", "me", "password"])
def test_every_sample_is_answered_cleanly(auth: Auth, name: str) -> None:
    event = json.loads((ROOT / "events" / f"auth-{name}.json").read_text())
    answer = auth.module.handler(event, Context())
    assert told(answer, answer["statusCode"])
    assert answer["statusCode"] in {"login": {401}, "refresh": {401}, "register": {403}, "password": {422}}.get(
        name, {200}
    )


@pytest.mark.parametrize(
    ("name", "value"), [("token_issuer", ""), ("access_token_seconds", "3601"), ("access_token_seconds", "59")]
)
def test_a_function_that_is_configured_wrongly_stops_at_its_start(auth: Auth, name: str, value: str) -> None:
    auth.anew(**{name: value})
    with pytest.raises(settings.SettingsError, match=f"WEIR_{name.upper()}"):
        auth._load()
