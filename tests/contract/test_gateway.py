"""The gateway: its routes in the template and in the code, its server, what it may do."""

import re
import subprocess
from typing import Any

import pytest

from local.open_routes import GUARDED_BY_THEIR_FUNCTION
from tests.contract import stack
from weir.gateway import paths
from weir.gateway.wiring import END_SECONDS

GATEWAY = "GatewayFunction"
ROUTES = stack.streamed_routes()
RUN = stack.ROOT / "functions/gateway/run.sh"


def test_the_routes_of_the_template_are_those_of_the_code() -> None:
    # Given each route of the template, for a model whose id is an ARN as API Gateway hands it on
    arn = "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.nova"
    found = {route.name: paths.matched(route.method, route.path.format(model_id=arn)) for route in ROUTES}
    # Then the code knows it, and no operation has two, and none is left out
    assert all(found.values())
    assert len({(one.dialect, one.kind, one.stream) for one in found.values() if one}) == len(ROUTES)
    assert len(ROUTES) == len(paths._ROUTES) + len(paths._BEDROCK)


def test_every_streamed_route_is_the_gateways_and_guarded_there() -> None:
    assert {route.function for route in ROUTES} == {GATEWAY} == stack.web_functions()
    assert {route.name for route in ROUTES} == GUARDED_BY_THEIR_FUNCTION
    assert all(route.is_open for route in ROUTES)
    assert not GUARDED_BY_THEIR_FUNCTION & {route.name for route in stack.routes()}


@pytest.mark.parametrize("event", stack.events(GATEWAY).values(), ids=list(stack.events(GATEWAY)))
def test_a_route_streams_for_as_long_as_a_call_may_take(event: dict[str, Any]) -> None:
    # https://docs.aws.amazon.com/apigateway/latest/developerguide/response-transfer-mode.html: 15 minutes
    assert event["Properties"]["ResponseTransferMode"] == "RESPONSE_STREAM"
    assert event["Properties"]["TimeoutInMillis"] == 900_000


def test_a_call_ends_and_is_settled_before_lambda_ends_the_function() -> None:
    timeout = stack.functions()[GATEWAY]["Timeout"]
    assert int(stack.environment(GATEWAY)["WEIR_GATEWAY_SECONDS"]) == timeout
    assert 0 < END_SECONDS < timeout / 2


def test_the_server_listens_where_the_adapter_looks() -> None:
    # Given the adapter (https://aws.github.io/aws-lambda-web-adapter/configuration/environment-variables.html)
    given, script = stack.environment(GATEWAY), RUN.read_text()
    assert stack.functions()[GATEWAY]["Handler"] == RUN.name
    assert given["AWS_LAMBDA_EXEC_WRAPPER"] == "/opt/bootstrap"
    assert given["AWS_LWA_INVOKE_MODE"] == "response_stream"
    assert given["AWS_LWA_READINESS_CHECK_PATH"] == "/health"
    assert "${AWS_LWA_PORT:-8080}" in script
    # Then the app keeps its connection for longer than the adapter does, and the script can be run
    (kept,) = re.findall(r"--timeout-keep-alive (\d+)", script)
    assert int(kept) > 4
    assert RUN.stat().st_mode & 0o111
    assert subprocess.run(["/bin/sh", "-n", str(RUN)], check=False).returncode == 0


def test_the_adapters_layer_is_of_the_functions_own_processor() -> None:
    (layer,) = stack.functions()[GATEWAY]["Layers"]
    condition, arm, intel = layer["If"]
    assert stack.template()["Conditions"][condition] == {"Equals": [{"Ref": "Architecture"}, "arm64"]}
    assert "LambdaAdapterLayerArm64" in arm["Sub"]
    assert "LambdaAdapterLayerX86" in intel["Sub"]


def test_the_gateway_writes_no_caps_no_prices_no_routes_and_no_keys() -> None:
    for one in stack.statements(stack.functions()[GATEWAY]["Policies"]):
        keys = [key for keys in one.get("Condition", {}).values() for key in keys["dynamodb:LeadingKeys"]]
        if re.match("PROVIDERS|ROUTES|CAPS|PRICE", " ".join(keys)):
            assert set(stack.many(one["Action"])) <= {"dynamodb:GetItem", "dynamodb:Query"}
        assert not {"secretsmanager:PutSecretValue", "secretsmanager:CreateSecret"} & set(stack.many(one["Action"]))
