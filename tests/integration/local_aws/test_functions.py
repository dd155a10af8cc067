"""Lambda failures reach callers as AWS reports them."""

import io
import json
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

RAISES = """
class StreamNotActive(Exception):
    pass

calls = 0

def handler(event, context):
    global calls
    calls += 1
    raise StreamNotActive(f"call {calls}")
"""


def invoke(client: Callable[[str], Any], arn: str) -> dict[str, Any]:
    answer = client("lambda").invoke(FunctionName=arn)
    assert answer["FunctionError"] == "Unhandled"
    document: dict[str, Any] = json.loads(answer["Payload"].read())
    return document


def test_an_exception_is_named_by_its_class_with_its_trace(client: Any, function: Any) -> None:
    # Given a function whose handler raises an exception of its own
    arn = function(RAISES)
    # When it is invoked
    failure = invoke(client, arn)
    # Then the payload names the class, the message and the place
    assert failure["errorType"] == "StreamNotActive"
    assert failure["errorMessage"] == "call 1"
    assert "in handler" in failure["stackTrace"][-1]


def test_an_exception_leaves_the_environment_warm(client: Any, function: Any) -> None:
    # Given a function that counts its calls in memory and has raised once
    arn = function(RAISES)
    invoke(client, arn)
    # When it is invoked again
    # Then it still counts
    assert invoke(client, arn)["errorMessage"] == "call 2"


@pytest.mark.parametrize(
    ("source", "kind", "text"),
    [
        ("import os\ndef handler(e, c): os._exit(3)", "Runtime.ExitError", "exit status 3"),
        ("import sys\ndef handler(e, c): sys.exit(1)", "Runtime.ExitError", "exit status 1"),
        ("import time\ndef handler(e, c): time.sleep(9)", "Sandbox.Timedout", "Task timed out after 1.00 seconds"),
        ("import nowhere\ndef handler(e, c): pass", "Runtime.ImportModuleError", "No module named 'nowhere'"),
    ],
)
def test_a_dead_late_or_broken_process_is_told_apart(
    client: Any, function: Any, source: str, kind: str, text: str
) -> None:
    # Given a function whose process ends, hangs or cannot start
    arn = function(source, timeout=1)
    # When it is invoked
    failure = invoke(client, arn)
    # Then the kind of failure is AWS's
    assert failure["errorType"] == kind
    assert text in failure["errorMessage"]


def test_step_functions_matches_the_class_name(function: Any, machines: Any) -> None:
    # Given a machine that catches the exception by its class name
    arn = function(RAISES)
    caught = {"ErrorEquals": ["StreamNotActive"], "Next": "Caught", "Output": "{% $states.errorOutput %}"}
    definition = {
        "StartAt": "Call",
        "States": {
            "Call": {"Type": "Task", "Resource": arn, "End": True, "Catch": [caught]},
            "Caught": {"Type": "Pass", "End": True},
        },
    }
    # When it runs
    output = machines.output(definition)
    # Then the cause is the payload as JSON text
    assert output["Error"] == "StreamNotActive"
    assert json.loads(output["Cause"])["errorType"] == "StreamNotActive"


def test_a_function_sees_its_layers(client: Any, function: Any, name: str) -> None:
    # Given two versions of a layer, and a function with the second
    versions = []
    for value in (1, 2):
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("python/shared/__init__.py", f"VALUE = {value}")
        content = {"ZipFile": packed.getvalue()}
        versions.append(client("lambda").publish_layer_version(LayerName=name, Content=content))
    arn = function("import shared\ndef handler(event, context): return shared.VALUE")
    for version, value in zip(versions, (1, 2), strict=True):
        client("lambda").update_function_configuration(FunctionName=arn, Layers=[version["LayerVersionArn"]])
        # When it is invoked
        answer = client("lambda").invoke(FunctionName=arn)
        # Then it imports from that version
        assert json.loads(answer["Payload"].read()) == value
    for version in versions:
        client("lambda").delete_layer_version(LayerName=name, VersionNumber=version["Version"])


def test_http_callers_learn_nothing_of_a_failure(client: Any, endpoint: str, function: Any, name: str) -> None:
    import urllib.error
    import urllib.request

    # Given a REST API in front of a function that raises
    arn = function(RAISES)
    api = client("apigateway")
    api_id = api.create_rest_api(name=name)["id"]
    try:
        root = api.get_resources(restApiId=api_id)["items"][0]["id"]
        method = {"restApiId": api_id, "resourceId": root, "httpMethod": "GET"}
        api.put_method(**method, authorizationType="NONE")
        uri = f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{arn}/invocations"
        api.put_integration(**method, type="AWS_PROXY", integrationHttpMethod="POST", uri=uri)
        api.create_deployment(restApiId=api_id, stageName="v1")
        client("lambda").add_permission(
            FunctionName=arn, StatementId="api", Action="lambda:InvokeFunction", Principal="apigateway.amazonaws.com"
        )
        # When it is called over HTTP
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{endpoint}/_aws/execute-api/{api_id}/v1/")
        # Then the answer is API Gateway's own
        with refused.value as answer:
            assert answer.code == 502
            assert json.loads(answer.read()) == {"message": "Internal server error"}
    finally:
        api.delete_rest_api(restApiId=api_id)


def test_a_rush_of_callers_is_served_by_a_few_processes(client: Any, function: Any) -> None:
    # Given a function that has never been called
    arn = function("import os\ndef handler(event, context): return os.getpid()", timeout=3)

    def call(_: int) -> int:
        return int(json.loads(client("lambda").invoke(FunctionName=arn)["Payload"].read()))

    client("lambda")  # made once, before the threads
    # When many call it at once
    with ThreadPoolExecutor(60) as pool:
        processes = list(pool.map(call, range(60)))
    # Then all are answered in time, and not each by a process of its own
    assert 1 <= len(set(processes)) < 60
