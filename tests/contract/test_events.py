"""Sample events: one or more for each trigger, of the shape that AWS documents, and taken by the function behind it."""

import hashlib
import json
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

import botocore.session
import pytest
from aws_lambda_powertools.utilities.data_classes.api_gateway_authorizer_event import (
    APIGatewayAuthorizerRequestEvent,
)
from aws_lambda_powertools.utilities.parser.models import APIGatewayProxyEventModel, EventBridgeModel, SqsModel
from moto.backends import get_backend

from tests.contract import stack
from tests.contract.account import SESSION, Account, client
from weir.identity import passwords

EVENTS = {path.stem: json.loads(path.read_text()) for path in sorted((stack.ROOT / "events").glob("*.json"))}
RUN_ID = str(EVENTS["run-insert"]["run_id"])
API = [name for name, event in EVENTS.items() if "httpMethod" in event and event.get("type") != "REQUEST"]
NEEDS_NO_PERMISSION = {"sts:GetCallerIdentity"}
"""https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html"""

FUNCTION_OF = {
    "health": "HealthFunction",
    "streams": "StreamsFunction",
    "streams-settle": "StreamSettleFunction",
    "runs": "RunsFunction",
    "run-control": "RunControlFunction",
    "run-insert": "RunInsertFunction",
    "run-verify": "RunVerifyFunction",
    "run-events": "RunEventsFunction",
    "sweeper": "SweeperFunction",
    "authorizer": "AuthorizerFunction",
    "auth": "AuthFunction",
    "oauth": "OAuthFunction",
    "api-keys": "ApiKeysFunction",
    "users": "UsersFunction",
    "first-admin": "FirstAdminFunction",
    "rotate-signing-key": "RotateSigningKeyFunction",
}
A_RUN = (
    *("runs-dry-run", "runs-source", "runs-start", "run-control-plan", "run-control-create", "run-control-active"),
    *("runs-list", "runs-show", "run-insert", "run-verify", "run-control-metrics", "run-control-analyze"),
    *("run-control-delete", "run-control-deleted", "run-control-close", "runs-report", "runs-report-html"),
)
A_BROKEN_RUN = (
    *("run-control-plan", "run-control-create", "run-control-branch_failed", "runs-stop", "run-events-aborted"),
    *("sweeper-dry-run", "sweeper-scheduled"),
)
A_STREAM = (
    *("streams-limits", "streams-create", "streams-settle", "streams-list", "streams-describe", "streams-shards"),
    *("streams-put-records", "streams-read-records", "streams-metrics", "streams-change", "streams-delete"),
)
IDENTITY = (
    *("first-admin-create", "first-admin-update", "first-admin-delete"),
    *("auth-register", "auth-login", "authorizer-token", "auth-me", "auth-refresh"),
    *("api-keys-create", "api-keys-list", "authorizer-key", "api-keys-rotate", "api-keys-revoke"),
    *("users-create", "users-list", "users-show", "users-change", "users-delete", "users-audit"),
    *("oauth-providers", "oauth-authorize", "oauth-callback", "oauth-token"),
    *("rotate-signing-key-create", "rotate-signing-key-set", "rotate-signing-key-test", "rotate-signing-key-finish"),
    *("auth-logout", "auth-password"),
)
OTHERS = ("health-live", "health-aws", "health-llm", "health-all", "streams-delete-force")


def function_of(name: str) -> str:
    """The function that a sample event is for: that of the longest name which it starts with."""
    return FUNCTION_OF[max((known for known in FUNCTION_OF if name.startswith(known)), key=len)]


def send(made: Account, name: str, known: dict[str, str] | None = None) -> Any:
    """Send a sample, what stands in it by way of example replaced by what is known instead, longest first."""
    text = json.dumps(EVENTS[name])
    for example, real in sorted((known or {}).items(), key=lambda one: -len(one[0])):
        text = text.replace(example, real)
    answer = made.call(function_of(name), json.loads(text))
    return json.loads(json.dumps(answer))  # Lambda answers in JSON, whatever the caller


def test_every_event_is_sent_by_a_test() -> None:
    assert set(EVENTS) == {*A_RUN, *A_BROKEN_RUN, *A_STREAM, *IDENTITY, *OTHERS}


def test_every_function_and_every_route_has_a_sample() -> None:
    assert {function_of(name) for name in EVENTS} == set(stack.functions())
    sampled = {(EVENTS[name]["httpMethod"], EVENTS[name]["resource"]) for name in API}
    assert sampled == {(route.method, route.path) for route in stack.routes()}


@pytest.mark.parametrize("name", API)
def test_an_api_event_is_as_api_gateway_sends_it(name: str) -> None:
    # Given a sample of https://docs.aws.amazon.com/lambda/latest/dg/services-apigateway.html
    event = EVENTS[name]

    # Then it has the documented shape, and agrees with itself
    said = event["requestContext"].get("authorizer")
    by_itself = {**event["requestContext"], "authorizer": None}  # the model knows Cognito's alone
    APIGatewayProxyEventModel.model_validate({**event, "requestContext": by_itself})
    assert said is None or all(isinstance(value, str) for value in said.values())
    assert event["path"] == event["resource"].format(**(event["pathParameters"] or {}))
    assert event["multiValueHeaders"] == {key: [value] for key, value in event["headers"].items()}
    query, many = event["queryStringParameters"], event["multiValueQueryStringParameters"]
    assert (many is None) if query is None else {key: values[-1] for key, values in many.items()} == query
    context = event["requestContext"]
    assert context["resourcePath"] == event["resource"]
    assert context["httpMethod"] == event["httpMethod"]
    assert context["path"] == f"/{context['stage']}{event['path']}"


@pytest.mark.parametrize("name", API)
def test_a_sample_comes_from_a_caller_where_the_route_is_not_open(name: str) -> None:
    # Given a sample, Then the authorizer has said who is calling exactly where it is asked
    (route,) = [one for one in stack.routes() if one.name == f"{EVENTS[name]['httpMethod']} {EVENTS[name]['resource']}"]
    assert ("authorizer" in EVENTS[name]["requestContext"]) != route.is_open


@pytest.mark.parametrize("name", ["authorizer-key", "authorizer-token"])
def test_an_authorizers_event_is_as_api_gateway_sends_it(name: str) -> None:
    # Given a sample of https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-lambda-authorizer-input.html
    event = EVENTS[name]
    APIGatewayAuthorizerRequestEvent(event)
    assert event["methodArn"].endswith(f"/{event['requestContext']['stage']}/{event['httpMethod']}{event['path']}")
    assert event["multiValueHeaders"] == {key: [value] for key, value in event["headers"].items()}
    assert not {"body", "isBase64Encoded"} & set(event)


def test_the_queue_event_is_as_sqs_sends_it() -> None:
    event = EVENTS["streams-settle"]
    SqsModel.model_validate(event)
    for record in event["Records"]:
        assert record["md5OfBody"] == hashlib.md5(record["body"].encode(), usedforsecurity=False).hexdigest()
        assert record["eventSource"] == "aws:sqs"


def test_the_status_change_is_as_step_functions_sends_it_and_as_the_rule_asks() -> None:
    # Given a sample of https://docs.aws.amazon.com/step-functions/latest/dg/eventbridge-integration.html
    event = EVENTS["run-events-aborted"]
    EventBridgeModel.model_validate(event)

    # Then its detail is what DescribeExecution tells, times in milliseconds
    known = botocore.session.get_session().get_service_model("stepfunctions").operation_model("DescribeExecution")
    assert set(event["detail"]) <= set(known.output_shape.members)
    assert event["detail"]["stopDate"] > event["detail"]["startDate"] > 10**12
    assert event["resources"] == [event["detail"]["executionArn"]]
    assert event["detail"]["executionArn"].endswith(f":execution:weir-run:{event['detail']['name']}")

    # And the rule of the template lets it through
    (rule,) = stack.events("RunEventsFunction").values()
    assert matches(stack.resolve(rule["Properties"]["Pattern"]), event)
    assert not matches(stack.resolve(rule["Properties"]["Pattern"]), {**event, "source": "weir"})


def matches(pattern: dict[str, Any], event: dict[str, Any]) -> bool:
    """EventBridge's exact matching, which is all that the template uses."""
    return all(
        matches(wanted, event[field]) if isinstance(wanted, dict) else event.get(field) in wanted
        for field, wanted in pattern.items()
    )


def test_the_scheduled_event_is_the_schedules_input() -> None:
    (schedule,) = stack.events("SweeperFunction").values()
    assert json.loads(schedule["Properties"]["Input"]) == EVENTS["sweeper-scheduled"]


def payloads() -> Iterator[tuple[str, dict[str, Any]]]:
    """What the state machines send to functions: the function's placeholder and the payload."""
    for machine in stack.machines().values():
        pending: list[Any] = [machine]
        while pending:
            value = pending.pop()
            if isinstance(value, dict):
                if "Payload" in value and "FunctionName" in value:
                    yield value["FunctionName"], value["Payload"]
                pending += value.values()
            elif isinstance(value, list):
                pending += value


@pytest.mark.parametrize(
    "name", [name for name in EVENTS if name.startswith(("run-control", "run-insert", "run-verify"))]
)
def test_a_steps_event_has_the_fields_that_the_state_machines_send(name: str) -> None:
    event = EVENTS[name]
    placeholder = {"run-insert": "${InsertFunction}", "run-verify": "${VerifyFunction}"}.get(name, "${ControlFunction}")
    sent = [payload for to, payload in payloads() if to == placeholder and payload.get("step") == event.get("step")]
    assert sent
    assert all(set(payload) == set(event) for payload in sent)


def test_every_step_that_a_state_machine_names_has_a_sample() -> None:
    named = {payload["step"] for to, payload in payloads() if to == "${ControlFunction}"}
    assert named == {event["step"] for name, event in EVENTS.items() if name.startswith("run-control")}


@pytest.fixture(scope="module")
def answers(aws: Account) -> dict[str, Any]:
    """What the functions answer when the events come one after the other, on an account with nothing in it."""
    told: dict[str, Any] = {}
    known: dict[str, str] = {}
    for name in (*A_RUN, *A_STREAM, *OTHERS):
        told[name] = send(aws, name, known)
        if name == "runs-start":
            known[RUN_ID] = json.loads(told[name]["body"])["run_id"]
    return told


@pytest.fixture(scope="module")
def broken(aws: Account, answers: dict[str, Any]) -> dict[str, Any]:
    """The same of another run, which breaks, is stopped, and whose execution ends as ABORTED."""
    key = EVENTS["runs-start"]["headers"]["Idempotency-Key"]
    started = json.loads(send(aws, "runs-start", {key: f"another-{key}"})["body"])["run_id"]
    return {name: send(aws, name, {RUN_ID: started}) for name in A_BROKEN_RUN} | {"run_id": started}


@pytest.fixture(scope="module")
def identity(aws: Account) -> dict[str, Any]:
    """What comes of the events about users, with the two users there whom they are about."""
    asked = json.loads(EVENTS["auth-login"]["body"])
    ann = EVENTS["auth-me"]["requestContext"]["authorizer"]["sub"]
    dora = EVENTS["users-list"]["requestContext"]["authorizer"]["sub"]
    aws.user("admin", user_id=dora)
    aws.user("operator", user_id=ann, username=asked["username"], password_hash=passwords.hashed(asked["password"]))
    known = {
        EVENTS["auth-me"]["requestContext"]["authorizer"]["credential_id"]: SESSION,
        EVENTS["rotate-signing-key-create"]["SecretId"]: pending(aws),
    }
    told: dict[str, Any] = {}
    for name in IDENTITY:
        told[name] = send(aws, name, known)
        if name in {"auth-login", "api-keys-create", "users-create"}:
            learn(known, name, json.loads(told[name]["body"]))
    return told


def learn(known: dict[str, str], name: str, body: dict[str, Any]) -> None:
    """What later samples have by way of example, as it came to be."""
    if name == "auth-login":
        known[EVENTS["authorizer-token"]["headers"]["Authorization"]] = f"Bearer {body['access_token']}"
        known[json.loads(EVENTS["auth-refresh"]["body"])["refresh_token"]] = body["refresh_token"]
    elif name == "api-keys-create":
        known[EVENTS["authorizer-key"]["headers"]["Authorization"]] = f"Bearer {body['secret']}"
        known[EVENTS["api-keys-rotate"]["pathParameters"]["key_id"]] = body["key_id"]
    else:
        known[EVENTS["users-show"]["pathParameters"]["user_id"]] = body["user_id"]


def pending(aws: Account) -> str:
    """Begin a rotation of the signing secret, as Secrets Manager does: a version that has no value yet; its ARN."""
    arn = aws.secret_arn("SigningSecret")
    version = EVENTS["rotate-signing-key-create"]["ClientRequestToken"]
    secret = get_backend("secretsmanager")[stack.ACCOUNT][stack.REGION].secrets[arn]
    secret.versions[version] = {"version_id": version, "createdate": 0, "version_stages": ["AWSPENDING"]}
    return arn


def test_a_run_is_proved_event_by_event(answers: dict[str, Any]) -> None:
    assert [answers[name]["statusCode"] for name in A_RUN if name in API] == [200, 201, 202, 200, 200, 200, 200]
    assert answers["run-control-active"] == {"ready": True}
    assert answers["run-insert"] == {"done": True, "wait": 0}
    assert answers["run-verify"]["done"] is True
    assert answers["run-control-analyze"] == {"accepted": 1000, "seen": 1000, "lost": 0}
    assert answers["run-control-deleted"] == {"gone": True}
    # All that is short of a pass: the account is in a region whose prices are not in the list.
    assert answers["run-control-close"]["verdict"] == "DEGRADED"
    (reason,) = answers["run-control-close"]["reasons"]
    assert "prices" in reason
    assert json.loads(answers["runs-report"]["body"])["verdict"] == "DEGRADED"
    assert answers["runs-report-html"]["body"].startswith("<!doctype html>")


def test_a_broken_run_is_cleaned_up_event_by_event(broken: dict[str, Any]) -> None:
    # Then its stream is gone at once, and its clean-up was begun
    assert broken["run-control-branch_failed"] == {"failed": "Insert"}
    assert broken["runs-stop"]["statusCode"] == 202
    assert broken["run-events-aborted"] == {"run_id": broken["run_id"], "cleaned_up": True}
    assert broken["sweeper-dry-run"] == broken["sweeper-scheduled"] | {"dry_run": True}
    assert broken["sweeper-scheduled"]["examined"] == 0


def test_a_stream_comes_and_goes_event_by_event(answers: dict[str, Any]) -> None:
    statuses = [answers[name]["statusCode"] for name in A_STREAM if name in API]
    assert statuses == [200, 202, 200, 200, 200, 200, 200, 200, 202, 202]
    assert answers["streams-settle"] == {"batchItemFailures": []}


STATUSES = {
    "auth-register": 403,  # nobody registers unless the operator lets them
    "auth-login": 200,
    "auth-me": 200,
    "auth-refresh": 200,
    "api-keys-create": 201,
    "api-keys-list": 200,
    "api-keys-rotate": 200,
    "api-keys-revoke": 200,
    "users-create": 201,
    "users-list": 200,
    "users-show": 200,
    "users-change": 200,
    "users-delete": 204,
    "users-audit": 200,
    "oauth-providers": 200,
    "oauth-authorize": 400,  # neither an application nor a provider is set up
    "oauth-callback": 404,
    "oauth-token": 400,
    "auth-logout": 200,
    "auth-password": 200,
}


def test_people_and_their_keys_come_and_go_event_by_event(identity: dict[str, Any]) -> None:
    statuses = {name: identity[name]["statusCode"] for name in IDENTITY if name in API}
    assert statuses == STATUSES
    # And who logged in, and the key that was made, are let in
    for name, credential in (("authorizer-token", "token"), ("authorizer-key", "key")):
        said = identity[name]["context"]
        assert (said["username"], said["credential"]) == ("ann", credential)
        assert all(isinstance(value, str) for value in said.values())
    # And the audit tells of the user who is gone
    told = json.loads(identity["users-audit"]["body"])["items"]
    assert {"user.created", "user.deleted"} <= {one["what"] for one in told}


def test_the_first_admin_is_made_once_event_by_event(aws: Account, identity: dict[str, Any]) -> None:
    told = [(one["Status"], one["Data"]["Made"]) for one in aws.told]
    assert told == [("SUCCESS", "true"), ("SUCCESS", "false"), ("SUCCESS", "false")]
    assert {one["LogicalResourceId"] for one in aws.told} == set(stack.resources("Custom::FirstAdmin"))


def test_the_signing_secret_is_rotated_event_by_event(aws: Account, identity: dict[str, Any]) -> None:
    arn, version = aws.secret_arn("SigningSecret"), EVENTS["rotate-signing-key-create"]["ClientRequestToken"]
    stages = client("secretsmanager").describe_secret(SecretId=arn)["VersionIdsToStages"]
    assert "AWSCURRENT" in stages[version]
    assert ["AWSPREVIOUS"] in stages.values()


def test_events_that_ask_for_more_than_this_account_has_are_answered(answers: dict[str, Any]) -> None:
    # Given an account without a model service, and an admin who asks to delete a stream that is not there
    live = answers["health-live"]
    assert (live["statusCode"], json.loads(live["body"])) == (200, {"status": "ok"})

    # Then readiness says what fails in its own words, and the admin learns that there is nothing to delete
    for name in ("health-aws", "health-llm", "health-all"):
        told = json.loads(answers[name]["body"])
        assert {check["status"] for check in told["checks"]} <= {"ok", "failed", "timeout"}
        assert answers[name]["statusCode"] == (503 if told["status"] == "failed" else 200)
    assert answers["streams-delete-force"]["statusCode"] == 404


def test_each_function_may_do_what_it_did(aws: Account, broken: dict[str, Any], identity: dict[str, Any]) -> None:
    # Given the AWS calls that the functions made for all the events
    assert set(aws.actions) == set(stack.functions())
    for function, used in aws.actions.items():
        # Then the function's role allows every one
        allowed = [
            action
            for one in stack.statements(stack.functions()[function]["Policies"])
            if one["Effect"] == "Allow"
            for action in stack.many(one["Action"])
        ]
        missing = {
            action
            for action in used - NEEDS_NO_PERMISSION
            if not any(fnmatchcase(action, pattern) for pattern in allowed)
        }
        assert not missing, f"{function} calls {sorted(missing)}, which no statement of its role allows"


def test_alarms_and_dashboard_watch_metrics_that_were_published(aws: Account, broken: dict[str, Any]) -> None:
    # Given the metrics that the functions published for all the events, and those of ours that the template watches
    watched = {
        (stack.resolve(one["Namespace"]), dimensions(one["Dimensions"]), one["MetricName"])
        for one in (alarm["Properties"] for alarm in stack.resources("AWS::CloudWatch::Alarm").values())
    }
    shown = {
        (metric[0], frozenset(zip(metric[2::2], metric[3::2], strict=True)), metric[1])
        for widget in json.loads(stack.dashboard())["widgets"]
        for metric in widget["properties"].get("metrics", [])
    }
    ours = {one for one in watched | shown if str(one[0]).startswith("Weir/")}

    # Then all were published, but the one that needs points of CloudWatch's, which this account has not
    assert {name for _, _, name in ours - aws.metrics} == {"IteratorAge"}


def dimensions(described: list[dict[str, Any]]) -> frozenset[tuple[str, str]]:
    return frozenset((one["Name"], str(stack.resolve(one["Value"]))) for one in described)
