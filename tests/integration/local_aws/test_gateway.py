"""A REST API answers for itself as its OpenAPI document says, and tells functions what was really sent."""

import http.client
import json
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

TELLS = """
import json
def handler(event, context):
    if event.get("type") == "REQUEST":
        if "refuse" in event["path"]:
            raise Exception("Unauthorized")
        if "fail" in event["path"]:
            raise Exception("the table does not answer")
        context = {"authorization": json.dumps(event["multiValueHeaders"].get("authorization")),
                   "from": event["requestContext"]["identity"]["sourceIp"]}
        allow = {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": event["methodArn"]}
        return {"principalId": "p", "policyDocument": {"Version": "2012-10-17", "Statement": [allow]},
                "context": context}
    if "none" in event["path"]:
        return {"statusCode": 204, "body": None}
    return {"statusCode": 200, "body": json.dumps(event)}
"""
PROBLEM = '{"status":%d,"instance":"$context.path","request_id":"$context.requestId"}'
Send = Callable[..., tuple[int, dict[str, str], Any]]


def response(status: int, **headers: str) -> dict[str, Any]:
    named = {"Content-Type": "'application/problem+json'", **headers}
    return {
        "statusCode": status,
        "responseParameters": {f"gatewayresponse.header.{name}": value for name, value in named.items()},
        "responseTemplates": {"application/json": PROBLEM % status},
    }


def document(arn: str) -> dict[str, Any]:
    uri = f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{arn}/invocations"
    method = {
        "security": [{"gate": []}],
        "x-amazon-apigateway-integration": {"type": "aws_proxy", "httpMethod": "POST", "uri": uri},
    }
    gate = {
        "type": "apiKey",
        "name": "Unused",
        "in": "header",
        "x-amazon-apigateway-authtype": "custom",
        "x-amazon-apigateway-authorizer": {
            "type": "request",
            "authorizerUri": uri,
            "authorizerResultTtlInSeconds": 0,
        },
    }
    return {
        "openapi": "3.0.1",
        "info": {"title": "tells", "version": "1"},
        "paths": {
            f"/{name}": {"get": method, "post": method} for name in ("one", "none", "refuse", "fail", "slow/down")
        },
        "components": {"securitySchemes": {"gate": gate}},
        "x-amazon-apigateway-gateway-responses": {
            "UNAUTHORIZED": response(401, **{"WWW-Authenticate": "'Bearer'"}),
            "AUTHORIZER_FAILURE": response(503, **{"Retry-After": "'1'", "X-Request-Id": "context.requestId"}),
            "MISSING_AUTHENTICATION_TOKEN": response(404),
            "REQUEST_TOO_LARGE": response(413),
            "THROTTLED": response(429),
        },
    }


@pytest.fixture
def send(client: Any, endpoint: str, function: Any, name: str) -> Iterator[Send]:
    """A stack with a REST API whose routes tell what came; call it, headers as a list of pairs."""
    arn = function(TELLS)
    slow = {
        "ResourcePath": "/~1slow~1down",
        "HttpMethod": "GET",
        "ThrottlingRateLimit": 1,
        "ThrottlingBurstLimit": 1,
    }
    template = {
        "Resources": {
            "Api": {"Type": "AWS::ApiGateway::RestApi", "Properties": {"Name": name, "Body": document(arn)}},
            "Deployment": {"Type": "AWS::ApiGateway::Deployment", "Properties": {"RestApiId": {"Ref": "Api"}}},
            "Stage": {
                "Type": "AWS::ApiGateway::Stage",
                "Properties": {
                    "RestApiId": {"Ref": "Api"},
                    "DeploymentId": {"Ref": "Deployment"},
                    "StageName": "v1",
                    "MethodSettings": [slow],
                },
            },
        },
        "Outputs": {"Id": {"Value": {"Ref": "Api"}}},
    }
    cloudformation = client("cloudformation")
    cloudformation.create_stack(StackName=name, TemplateBody=json.dumps(template))
    cloudformation.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 1})
    (output,) = cloudformation.describe_stacks(StackName=name)["Stacks"][0]["Outputs"]

    def call(
        path: str, *headers: tuple[str, str], method: str = "GET", body: bytes = b""
    ) -> tuple[int, dict[str, str], Any]:
        connection = http.client.HTTPConnection(urlsplit(endpoint).netloc, timeout=30)
        connection.putrequest(method, f"/_aws/execute-api/{output['OutputValue']}/v1{path}")
        for key, value in (*headers, ("Content-Length", str(len(body)))):
            connection.putheader(key, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        told = answer.status, dict(answer.getheaders()), json.loads(answer.read() or b"null")
        connection.close()
        return told

    yield call
    cloudformation.delete_stack(StackName=name)
    cloudformation.get_waiter("stack_delete_complete").wait(StackName=name, WaiterConfig={"Delay": 1})


def test_the_documents_own_answers_are_given(send: Send) -> None:
    # Given an API that says how it answers for itself
    for path, status, header in (("/refuse", 401, "WWW-Authenticate"), ("/fail", 503, "Retry-After")):
        # When its authorizer refuses, or fails
        answered, headers, told = send(path)
        # Then the answer is the document's, with the path that was asked for
        assert (answered, told["status"], told["instance"]) == (status, status, f"/v1{path}")
        assert headers["Content-Type"] == "application/problem+json"
        assert header in headers
    # And a path that could break the JSON does not
    status, headers, told = send('/no/%22such%22"route')
    assert status == 404
    assert told["instance"].startswith("/v1/no/%22such%22")


def test_a_header_that_comes_twice_is_two_values(send: Send) -> None:
    # Given one header, sent on two lines
    status, _, event = send("/one", ("Authorization", "Bearer a"), ("Authorization", "Bearer b"))
    # Then the function and the authorizer see both, and the last where there is room for one
    assert status == 200
    assert event["multiValueHeaders"]["authorization"] == ["Bearer a", "Bearer b"]
    assert event["headers"]["authorization"] == "Bearer b"
    assert json.loads(event["requestContext"]["authorizer"]["authorization"]) == ["Bearer a", "Bearer b"]


def test_the_caller_does_not_say_from_where_it_calls(send: Send) -> None:
    # Given a caller on loopback that says otherwise
    _, _, event = send("/one", ("X-Forwarded-For", "203.0.113.9"))
    # Then the address is the connection's, and stands last in what was said
    assert event["requestContext"]["identity"]["sourceIp"] == "127.0.0.1"
    assert event["requestContext"]["authorizer"]["from"] == "127.0.0.1"
    assert event["headers"]["x-forwarded-for"] == "203.0.113.9, 127.0.0.1"


def test_a_function_may_answer_without_a_body(send: Send) -> None:
    # Given a function that answers null, When it is called, Then the answer is empty
    status, _, body = send("/none")
    assert (status, body) == (204, None)


def test_a_body_above_the_limit_is_refused(send: Send) -> None:
    # Given a body of 10 MB, and one of a byte more
    for size, status in ((10_485_760, 200), (10_485_761, 413)):
        # When it is posted, Then only the first gets through
        answered, _, told = send("/one", method="POST", body=b"x" * size)
        assert answered == status
    assert told["instance"] == "/v1/one"


def test_a_route_has_a_rate_of_its_own(send: Send) -> None:
    # Given a route that takes one request a second
    statuses = [send("/slow/down")[0] for _ in range(5)]
    # Then of many at once it takes one or two, another route all, and a second later it takes one again
    assert set(statuses) == {200, 429}
    assert [send("/one")[0] for _ in range(5)] == [200] * 5
    time.sleep(1.5)
    assert send("/slow/down")[0] == 200
