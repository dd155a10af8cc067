"""The shape of the sample events: as AWS documents what each trigger sends, and as the template's own triggers do."""

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import botocore.session
import pytest
from aws_lambda_powertools.utilities.data_classes.api_gateway_authorizer_event import (
    APIGatewayAuthorizerRequestEvent,
)
from aws_lambda_powertools.utilities.parser.models import APIGatewayProxyEventModel, EventBridgeModel, SqsModel

from tests.contract import stack
from tests.contract.samples import API, EVENTS, function_of

PLACEHOLDERS = {
    "run-insert": "${InsertFunction}",
    "run-verify": "${VerifyFunction}",
    "run-control": "${ControlFunction}",
    "package-import": "${ImportFunction}",
}
"""What the state machines call the functions that samples are for."""


def test_every_function_and_every_route_has_a_sample() -> None:
    assert {function_of(name) for name in EVENTS} == set(stack.functions()) - stack.web_functions()
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


@pytest.mark.parametrize("name", ["streams-settle", "package-scan-object", "package-scan-again"])
def test_a_queues_event_is_as_sqs_sends_it(name: str) -> None:
    event = EVENTS[name]
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


def test_the_objects_event_is_as_s3_sends_it_and_as_the_rule_asks() -> None:
    # Given a sample of https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html, on its way through SQS
    event = json.loads(EVENTS["package-scan-object"]["Records"][0]["body"])
    EventBridgeModel.model_validate(event)
    bucket = event["detail"]["bucket"]["name"]
    assert event["resources"] == [f"arn:aws:s3:::{bucket}"]
    assert {"key", "size", "etag", "version-id", "sequencer"} == set(event["detail"]["object"])

    # Then the rule of the template lets it through, and no other bucket's
    asked = stack.resolve(stack.resources("AWS::Events::Rule")["PackageObjects"]["Properties"]["EventPattern"])
    ours = {**event, "detail": {**event["detail"], "bucket": {"name": stack.physical("PackagesBucket")}}}
    assert matches(asked, ours)
    assert matches(asked, {**ours, "detail-type": "Object Deleted"})
    assert not matches(asked, event)


def matches(pattern: dict[str, Any], event: dict[str, Any]) -> bool:
    """EventBridge's exact matching, which is all that the template uses."""
    return all(
        matches(wanted, event[field]) if isinstance(wanted, dict) else event.get(field) in wanted
        for field, wanted in pattern.items()
    )


@pytest.mark.parametrize(
    ("function", "name"),
    [("SweeperFunction", "sweeper-scheduled"), ("PackageSweeperFunction", "package-sweeper-scheduled")],
)
def test_a_scheduled_event_is_the_schedules_input(function: str, name: str) -> None:
    (schedule,) = stack.events(function).values()
    assert json.loads(schedule["Properties"]["Input"]) == EVENTS[name]


def test_the_upkeep_of_usage_is_asked_for_by_its_schedules() -> None:
    inputs = [json.loads(one["Properties"]["Input"]) for one in stack.events("UsageRollupFunction").values()]
    assert inputs == [EVENTS["usage-rollup-upkeep"], EVENTS["usage-rollup-hourly"]]


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
    "name", [name for name in EVENTS if name.startswith(("run-control", "run-insert", "run-verify", "package-import"))]
)
def test_a_steps_event_has_the_fields_that_the_state_machines_send(name: str) -> None:
    event = EVENTS[name]
    placeholder = next(one for begin, one in PLACEHOLDERS.items() if name.startswith(begin))
    sent = [payload for to, payload in payloads() if to == placeholder and payload.get("step") == event.get("step")]
    assert sent
    assert all(set(payload) == set(event) for payload in sent)


@pytest.mark.parametrize("begin", ["run-control", "package-import"])
def test_every_step_that_a_state_machine_names_has_a_sample(begin: str) -> None:
    named = {payload["step"] for to, payload in payloads() if to == PLACEHOLDERS[begin]}
    assert named == {event["step"] for name, event in EVENTS.items() if name.startswith(begin)}
