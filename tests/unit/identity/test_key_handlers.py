"""The functions round keys: the authorizer, the routes of keys, the first admin, and the rotation, event by event."""

import copy
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

from tests.unit.identity.accounts import ANN, BOB, BOTOCORE, Recorded, audited, dynamodb, let_in, stored, user
from weir.identity import custom_resource, key_store, tokens
from weir.identity.keyring import Keyring
from weir.identity.user_store import Users
from weir.runtime import aws, observability, secrets, settings
from weir.runtime.clock import SYSTEM
from weir.runtime.dynamodb import Table

ROOT = Path(__file__).parents[3]
PASSWORD = "correct horse battery staple"
SECRETS = {
    "signing": json.dumps({"kid": "1", "secret": "signed with this, which nobody may ever see in a log"}),
    "key_pepper": "peppered with this, which nobody may ever see",
    "admin": json.dumps({"username": "admin", "password": PASSWORD}),
    "cursor": "c" * 48,
}


class Context:
    """As much of the Lambda context as is read."""

    function_name = "api-keys"
    memory_limit_in_mb = 512
    invoked_function_arn = "arn:aws:lambda:eu-west-1:123456789012:function:api-keys"
    aws_request_id = "c6af9ac6-7b61-11e6-9a41-93e8deadbeef"


class Stack:
    """The functions on an account of their own."""

    def __init__(self, client: Recorded, patch: pytest.MonkeyPatch) -> None:
        self.client, self.table = client, Table(client, "identity")
        self.secrets = BOTOCORE.create_client("secretsmanager", region_name="eu-west-1")
        clients = {"dynamodb": client, "secretsmanager": self.secrets}
        patch.setattr(aws, "client", lambda service: clients[service])
        patch.setenv("WEIR_IDENTITY_TABLE", "identity")
        patch.setenv("WEIR_TOKEN_ISSUER", "https://weir.test")
        for name, text in SECRETS.items():
            arn = self.secrets.create_secret(Name=name, SecretString=text)["ARN"]
            patch.setenv(f"WEIR_{name.upper()}_SECRET_ARN", arn)
        settings.forget()
        self._patch = patch

    def load(self, folder: str) -> ModuleType:
        """A function's handler, as a new process would load it."""
        spec = importlib.util.spec_from_file_location(f"unit_{folder}", ROOT / "functions" / folder / "handler.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        self._patch.setitem(sys.modules, spec.name, module)
        spec.loader.exec_module(module)
        return module


@pytest.fixture
def stack() -> Iterator[Stack]:
    with dynamodb() as client, pytest.MonkeyPatch.context() as patch:
        secrets.secret.cache_clear()
        yield Stack(client, patch)
    secrets.secret.cache_clear()
    settings.forget()


@pytest.fixture
def logged(stack: Stack) -> Iterator[Callable[[], str]]:
    """What the logger wrote. It is the process's, so its stream is lent."""
    written = io.StringIO()
    (handler,) = (one for one in observability.logger().handlers if isinstance(one, logging.StreamHandler))
    before = handler.setStream(written)
    yield written.getvalue
    if before is not None:
        handler.setStream(before)


def sample(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / "events" / f"{name}.json").read_text())
    return found


# ---- The authorizer ----


def asking(credential: str) -> dict[str, Any]:
    event = sample("authorizer-token")
    event["headers"]["Authorization"] = f"Bearer {credential}"
    event["multiValueHeaders"]["Authorization"] = [f"Bearer {credential}"]
    return event


def test_the_authorizer_admits_tokens_and_keys(stack: Stack) -> None:
    # Given a user with a token and a key
    Users(stack.table).create(user())
    signing = Keyring(lambda stage: SECRETS["signing"], lambda: 0.0).signing()
    token = tokens.issue_access(user(), "session2session3", signing, settings.settings(), SYSTEM.now())[0]
    text = key_store.new_text(ANN, "nightly2nigh")
    hashed = key_store.hashed(text, SECRETS["key_pepper"].encode())
    key = key_store.ApiKey("nightly2nigh", ANN, "nightly", ("runs:read",), SYSTEM.now(), secret_hash=hashed)
    stack.table.put(key_store.key_item(key))

    # When API Gateway asks / Then both are let through as that user
    handler = stack.load("authorizer").handler
    by_token, by_key = handler(asking(token), None), handler(asking(text), None)
    assert (
        by_token["context"] | by_key["context"]
        == by_key["context"]
        == {
            "sub": ANN,
            "username": "ann",
            "roles": "operator",
            "groups": "",
            "scopes": "runs:read",
            "credential": "key",
            "credential_id": "nightly2nigh",
            "must_change_password": "false",
        }
    )
    assert by_token["context"]["credential"] == "token"
    assert by_token["policyDocument"]["Statement"][0]["Resource"].endswith(":abcde12345/v1/*")


@pytest.mark.parametrize("name", ["authorizer-token", "authorizer-key"])
def test_who_is_not_admitted_is_unauthorized_in_that_very_word(
    stack: Stack, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    # Given a credential that opens nothing
    event = sample(name)

    # When API Gateway asks / Then it hears the one word that it answers 401 to
    with pytest.raises(Exception, match=r"^Unauthorized$") as told:
        stack.load("authorizer").handler(event, None)
    assert told.value.__cause__ is None
    assert told.value.__suppress_context__

    # And one line of the log tells why, and not the credential
    (line,) = capsys.readouterr().out.splitlines()
    document = json.loads(line)
    assert (document["level"], document["message"], document["route"]) == ("WARNING", "refused", "GET /runs")
    assert (document["source_ip"], document["request_id"]) == ("203.0.113.7", event["requestContext"]["requestId"])
    assert document["reason"]
    assert event["headers"]["Authorization"].removeprefix("Bearer ") not in line
    assert "opens-nothing" not in line


def test_what_a_stranger_sends_can_not_break_the_log(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    # Given a request with line breaks in what is logged of it
    event = sample("authorizer-token")
    event["resource"] = '/runs\n{"level": "ERROR"}\x1b[31m'

    # Then the log has one line all the same
    with pytest.raises(Exception, match=r"^Unauthorized$"):
        stack.load("authorizer").handler(event, None)
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_where_aws_fails_the_authorizer_fails_with_another_word(stack: Stack) -> None:
    # Given a key, and a table that does not answer
    def fail(operation: str, request: dict[str, Any]) -> None:
        raise EndpointConnectionError(endpoint_url="https://dynamodb.eu-west-1.amazonaws.com")

    stack.client.before = fail

    # Then API Gateway hears of a failure, which it answers 503 to
    with pytest.raises(Exception, match="did not answer"):
        stack.load("authorizer").handler(sample("authorizer-key"), None)


def test_an_authorizer_that_is_not_configured_does_not_start(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WEIR_TOKEN_ISSUER")
    settings.forget()
    with pytest.raises(settings.SettingsError, match="WEIR_TOKEN_ISSUER"):
        stack.load("authorizer")


# ---- The routes of keys ----


def ask(stack: Stack, event: dict[str, Any]) -> tuple[int, dict[str, Any], dict[str, list[str]]]:
    answer = stack.load("api_keys").handler(event, Context())
    return answer["statusCode"], json.loads(answer["body"]), answer["multiValueHeaders"]


def as_other(event: dict[str, Any], **context: str) -> dict[str, Any]:
    changed = copy.deepcopy(event)
    changed["requestContext"]["authorizer"].update(context)
    return changed


@pytest.fixture
def ann(stack: Stack) -> None:
    """The caller of the samples, who has logged in."""
    let_in(stack.table, user())


@pytest.mark.usefixtures("ann")
def test_a_key_lives_and_dies_event_by_event(stack: Stack, logged: Callable[[], str]) -> None:
    # When a key is made / Then its secret is in the answer, which nobody keeps
    status, made, headers = ask(stack, sample("api-keys-create"))
    assert (status, headers["Cache-Control"]) == (201, ["no-store"])
    assert made["scopes"] == ["runs:read", "runs:write"]
    assert key_store.parse(made["secret"]) == (ANN, made["key_id"])

    # And it is listed, without
    status, listed, _ = ask(stack, sample("api-keys-list"))
    assert status == 200
    assert listed == {"items": [{name: value for name, value in made.items() if name != "secret"}], "cursor": None}

    # And the same request again makes none
    status, problem, _ = ask(stack, sample("api-keys-create"))
    assert (status, problem["type"].rpartition("/")[2], problem["key_id"]) == (409, "key-exists", made["key_id"])

    # When it is rotated / Then there is another secret
    status, rotated, headers = ask(stack, sample("api-keys-rotate"))
    assert (status, headers["Cache-Control"]) == (200, ["no-store"])
    assert rotated["secret"] != made["secret"]
    assert rotated["previous_until"] is not None

    # When it is revoked / Then it says so
    status, revoked, _ = ask(stack, sample("api-keys-revoke"))
    assert (status, revoked["status"], revoked["previous_until"]) == (200, "revoked", None)

    # And no secret is in the table or in the log
    for secret in (made["secret"], rotated["secret"]):
        assert secret[-43:] not in stored(stack.client)
        assert secret[-43:] not in logged()
    assert SECRETS["key_pepper"] not in logged()


@pytest.mark.usefixtures("ann")
def test_a_rotation_needs_no_body(stack: Stack) -> None:
    ask(stack, sample("api-keys-create"))
    event = sample("api-keys-rotate")
    event["body"] = None
    status, rotated, _ = ask(stack, event)
    assert (status, rotated["previous_until"]) == (200, None)


@pytest.mark.parametrize("name", ["api-keys-create", "api-keys-list", "api-keys-rotate", "api-keys-revoke"])
def test_keys_do_not_manage_keys_nor_do_strangers(stack: Stack, name: str) -> None:
    # Given a caller with a key, even one that claims the scope; and nobody
    event = sample(name)
    strangers = copy.deepcopy(event)
    del strangers["requestContext"]["authorizer"]
    ended = as_other(event, scopes="")

    # Then each is refused before anything is looked at
    stack.client.called.clear()
    assert ask(stack, as_other(event, credential="key"))[0] == 403
    assert ask(stack, ended)[0] == 403
    assert ask(stack, strangers)[0] == 401
    assert stack.client.called == []


@pytest.mark.usefixtures("ann")
def test_the_neighbour_s_keys_are_not_found_and_an_admin_s_view_is_asked_for(stack: Stack) -> None:
    # Given Ann's key, her neighbour, and an admin
    key_id = ask(stack, sample("api-keys-create"))[1]["key_id"]
    neighbour = {"sub": BOB, "username": "bob"}
    admin = {**neighbour, "roles": "admin"}
    of_ann = {"owner": ANN}

    def with_query(name: str, query: dict[str, str], who: dict[str, str]) -> int:
        event = as_other(sample(name), **who)
        event["queryStringParameters"] = query
        event["multiValueQueryStringParameters"] = {key: [value] for key, value in query.items()}
        return ask(stack, event)[0]

    # Then the neighbour finds nothing of hers, however they ask
    assert with_query("api-keys-list", of_ann, neighbour) == 403
    assert with_query("api-keys-revoke", of_ann, neighbour) == 403
    assert ask(stack, as_other(sample("api-keys-revoke"), **neighbour))[0] == 404
    assert ask(stack, as_other(sample("api-keys-rotate"), **neighbour))[0] == 404
    assert ask(stack, as_other(sample("api-keys-list"), **neighbour))[1]["items"] == []

    # And the admin sees and revokes it, but gets no secret of it
    assert ask(stack, as_other(sample("api-keys-rotate"), **admin))[0] == 404
    assert with_query("api-keys-list", of_ann, admin) == 200
    assert with_query("api-keys-revoke", of_ann, admin) == 200
    assert stack.table.get(key_store.api_key_key(ANN, key_id)) is not None


def test_who_has_logged_out_is_told_to_log_in(stack: Stack) -> None:
    # Given a token that is still admitted, of a session that has ended
    let_in(stack.table, user(), revoked_at="2026-11-21T12:00:00.000Z")
    status, problem, _ = ask(stack, sample("api-keys-create"))
    assert (status, problem["type"].rpartition("/")[2]) == (401, "bad-token")


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"name": "n", "scopes": ["users:read"]}, 422, "scopes"),
        ({"name": "n", "scopes": ["no:such"]}, 422, "scopes.0"),
        ({"name": "a\nb"}, 422, "name"),
        ({"name": "n", "expires_in": 1}, 422, "expires_in"),
        ({"name": "n", "max_uses": 0}, 422, "max_uses"),
        ({"name": "n", "secret": "mine"}, 422, "secret"),
        ({}, 422, "name"),
    ],
)
def test_what_can_not_be_a_key_is_told_by_field(stack: Stack, body: dict[str, Any], status: int, field: str) -> None:
    event = {**sample("api-keys-create"), "body": json.dumps(body)}
    answered, problem, _ = ask(stack, event)
    assert (answered, [error["field"] for error in problem["errors"]]) == (status, [field])
    assert stored(stack.client) == "[]"


@pytest.mark.usefixtures("ann")
def test_pages_go_on_where_the_one_before_ended(stack: Stack) -> None:
    # Given three keys, listed two by two
    made = set()
    for number in range(3):
        event = sample("api-keys-create")
        event["headers"]["Idempotency-Key"] = f"key {number}"
        event["multiValueHeaders"]["Idempotency-Key"] = [f"key {number}"]
        made.add(ask(stack, event)[1]["key_id"])
    event = sample("api-keys-list")
    event["multiValueQueryStringParameters"] = {"limit": ["2"]}
    first = ask(stack, event)[1]

    # Then the second page has the third, and the cursor is no good for another's list
    event["multiValueQueryStringParameters"] = {"limit": ["2"], "cursor": [first["cursor"]]}
    second = ask(stack, event)[1]
    assert {key["key_id"] for key in first["items"] + second["items"]} == made
    assert second["cursor"] is None
    assert ask(stack, as_other(event, sub=BOB))[0] == 400


# ---- The first admin ----


@pytest.fixture
def answered(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What CloudFormation was answered."""
    answers: list[dict[str, Any]] = []
    monkeypatch.setattr(custom_resource, "put", lambda url, body: answers.append(json.loads(body)))
    return answers


def test_cloudformation_makes_the_first_admin(
    stack: Stack, answered: list[dict[str, Any]], logged: Callable[[], str], capsys: pytest.CaptureFixture[str]
) -> None:
    # When the stack is made, updated and deleted
    handler = stack.load("first_admin").handler
    for name in ("first-admin-create", "first-admin-update", "first-admin-delete"):
        handler(sample(name), None)

    # Then each was answered, and the first made the admin, who can log in
    assert [answer["Status"] for answer in answered] == ["SUCCESS"] * 3
    assert [answer["Data"]["Made"] for answer in answered] == ["true", "false", "false"]
    assert {answer["PhysicalResourceId"] for answer in answered} == {"first-admin"}
    admin = Users(stack.table).by_name("admin")
    assert admin is not None
    assert (admin.roles, admin.must_change_password) == (("admin",), True)

    # And the password was told to nobody
    for told in (json.dumps(answered), logged(), capsys.readouterr().out, stored(stack.client)):
        assert PASSWORD not in told


def test_a_stack_may_say_that_the_password_need_not_be_changed(stack: Stack, answered: list[dict[str, Any]]) -> None:
    event = sample("first-admin-create")
    event["ResourceProperties"]["MustChangePassword"] = "false"
    stack.load("first_admin").handler(event, None)
    admin = Users(stack.table).by_name("admin")
    assert admin is not None
    assert not admin.must_change_password


@pytest.mark.parametrize("broken", ["table", "secret", "event"])
def test_cloudformation_is_answered_whatever_fails(
    stack: Stack, answered: list[dict[str, Any]], logged: Callable[[], str], broken: str
) -> None:
    # Given a table that does not answer, a secret of another form, or an event without its properties
    event = sample("first-admin-create")
    if broken == "table":

        def fail(operation: str, request: dict[str, Any]) -> None:
            raise EndpointConnectionError(endpoint_url="https://dynamodb.eu-west-1.amazonaws.com")

        stack.client.before = fail
    elif broken == "secret":
        stack.secrets.put_secret_value(SecretId="admin", SecretString=f"admin:{PASSWORD}")
    else:
        del event["ResourceProperties"]["MustChangePassword"]

    # Then the answer is that it failed, and why, and the log tells more, but no password
    stack.load("first_admin").handler(event, None)
    (answer,) = answered
    assert (answer["Status"], bool(answer["Reason"])) == ("FAILED", True)
    assert PASSWORD not in json.dumps(answer)
    assert "first admin was not made" in logged()
    assert PASSWORD not in logged()


# ---- The rotation ----


def test_secrets_manager_rotates_the_signing_secret(stack: Stack, logged: Callable[[], str]) -> None:
    # Given a version that Secrets Manager has begun
    arn = settings.settings().signing_secret_arn
    handler = stack.load("rotate_signing_key").handler
    event = sample("rotate-signing-key-create") | {"SecretId": arn}
    stack.secrets.put_secret_value(
        SecretId=arn,
        ClientRequestToken=event["ClientRequestToken"],
        SecretString=json.dumps({"kid": "2", "secret": "t" * 64}),
        VersionStages=["AWSPENDING"],
    )

    # When it takes the four steps
    for name in ("create", "set", "test", "finish"):
        handler(sample(f"rotate-signing-key-{name}") | {"SecretId": arn}, None)

    # Then that version signs, and the log tells the steps and no secret
    current = json.loads(stack.secrets.get_secret_value(SecretId=arn, VersionStage="AWSCURRENT")["SecretString"])
    assert current["kid"] == "2"
    before = stack.secrets.get_secret_value(SecretId=arn, VersionStage="AWSPREVIOUS")["SecretString"]
    assert before == SECRETS["signing"]
    assert [json.loads(line)["step"] for line in logged().splitlines()] == [
        *("createSecret", "setSecret", "testSecret", "finishSecret")
    ]
    assert current["secret"] not in logged()

    # And the audit tells that it was done, once
    version = event["ClientRequestToken"]
    assert audited(stack.client) == [{"what": "signing-key.rotated", "who": "system", "subject": version}]


def test_another_secret_is_not_rotated(stack: Stack) -> None:
    with pytest.raises(Exception, match="no other"):
        stack.load("rotate_signing_key").handler(sample("rotate-signing-key-create"), None)
