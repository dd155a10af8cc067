"""boto3's bedrock-runtime, unmodified: an endpoint, and a key of ours as its bearer token."""

import json
from collections.abc import Iterator
from typing import Any

import boto3
import botocore.exceptions
import pytest
from botocore.config import Config

from tests.e2e import ledger
from tests.e2e.conftest import OF_BEDROCK, Gateway
from tests.e2e.upstream_answers import CACHE_READ, INPUT, OUTPUT, TOOL_INPUT, WORDS
from tests.integration.conftest import Stack

TEXT = "".join(WORDS)
ASKED = [{"role": "user", "content": [{"text": "How is the weather?"}]}]
SCHEMA = {"json": {"type": "object", "properties": {"city": {"type": "string"}}}}
TOOLS = {"tools": [{"toolSpec": {"name": "weather", "description": "The weather", "inputSchema": SCHEMA}}]}
BODY = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 50, "messages": [{"role": "user", "content": "Well?"}]}
every_provider = pytest.mark.parametrize("kind", ["an", "oa", "ge", "be"])


def over_tls(deployed: Stack) -> dict[str, Any]:
    """Where boto3 finds the gateway: botocore sends a bearer token by HTTPS alone."""
    document = deployed.document
    url = document.get("gateway_tls_url") or document["gateway_url"]
    return {"endpoint_url": f"{url}/bedrock", "verify": document.get("gateway_ca")}


@pytest.fixture
def client(gateway: Gateway, deployed: Stack, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", gateway.key)
    once: Any = Config(retries={"mode": "standard", "total_max_attempts": 1})
    made: Any = boto3.session.Session(region_name="us-east-1")
    client = made.client("bedrock-runtime", **over_tls(deployed), config=once)
    yield client
    client.close()


@every_provider
def test_converse(gateway: Gateway, client: Any, kind: str) -> None:
    model = gateway.model(kind, "ok")

    said, record, bills = gateway.charged(
        model, lambda: client.converse(modelId=model, messages=ASKED, inferenceConfig={"maxTokens": 50})
    )

    assert said["output"]["message"]["content"][0]["text"] == TEXT
    assert (said["stopReason"], said["usage"]["inputTokens"], said["usage"]["outputTokens"]) == (
        "end_turn",
        INPUT,
        OUTPUT,
    )
    ledger.check(record, bills, dialect="converse", user=gateway.user)


@every_provider
def test_converse_stream(gateway: Gateway, client: Any, kind: str) -> None:
    model = gateway.model(kind, "ok")

    def stream() -> list[dict[str, Any]]:
        answer = client.converse_stream(modelId=model, messages=ASKED, inferenceConfig={"maxTokens": 50})
        return list(answer["stream"])

    events, record, bills = gateway.charged(model, stream)

    assert (
        "".join(event["contentBlockDelta"]["delta"].get("text", "") for event in events if "contentBlockDelta" in event)
        == TEXT
    )
    assert events[-1]["metadata"]["usage"]["outputTokens"] == OUTPUT
    ledger.check(record, bills, stream=True)


@every_provider
def test_a_tool_is_asked_for(gateway: Gateway, client: Any, kind: str) -> None:
    model = gateway.model(kind, "tools")

    said, record, bills = gateway.charged(
        model,
        lambda: client.converse(modelId=model, messages=ASKED, toolConfig=TOOLS, inferenceConfig={"maxTokens": 50}),
    )

    (used,) = [block["toolUse"] for block in said["output"]["message"]["content"] if "toolUse" in block]
    assert (used["name"], used["input"], said["stopReason"]) == ("weather", TOOL_INPUT, "tool_use")
    ledger.check(record, bills)


@pytest.mark.parametrize("does", ["ok", "cached"])
def test_invoke(gateway: Gateway, client: Any, does: str) -> None:
    model = gateway.model("be", does)

    said, record, bills = gateway.charged(
        model, lambda: json.loads(client.invoke_model(modelId=model, body=json.dumps(BODY))["body"].read())
    )

    assert said["content"][0]["text"] == TEXT
    ledger.check(record, bills, dialect="invoke")


@pytest.mark.parametrize("does", ["ok", "cached"])
def test_invoke_with_response_stream(gateway: Gateway, client: Any, does: str) -> None:
    model = gateway.model("be", does)

    def stream() -> list[dict[str, Any]]:
        answer = client.invoke_model_with_response_stream(modelId=model, body=json.dumps(BODY))
        return [json.loads(event["chunk"]["bytes"]) for event in answer["body"]]

    events, record, bills = gateway.charged(model, stream)

    assert (events[0]["type"], events[-1]["type"]) == ("message_start", "message_stop")
    ledger.check(record, bills, stream=True)


def test_caches_are_told_and_priced_apart(gateway: Gateway, client: Any) -> None:
    model = gateway.model("be", "cached")

    said, record, bills = gateway.charged(model, lambda: client.converse(modelId=model, messages=ASKED))

    assert said["usage"]["cacheReadInputTokens"] == CACHE_READ
    ledger.check(record, bills)


@pytest.mark.parametrize(
    ("does", "code"),
    [
        ("e400", "ValidationException"),
        ("e404", "ResourceNotFoundException"),
        ("e429", "ThrottlingException"),
    ],
)
@pytest.mark.parametrize("kind", ["be", "an"])
def test_a_provider_that_fails_is_told_as_bedrock_tells_it(
    gateway: Gateway, client: Any, kind: str, does: str, code: str
) -> None:
    model = gateway.model(kind, does)

    def ask() -> botocore.exceptions.ClientError:
        with pytest.raises(botocore.exceptions.ClientError) as failed:
            client.converse(modelId=model, messages=ASKED)
        return failed.value

    failed, record, _ = gateway.charged(model, ask)

    assert failed.response["Error"]["Code"] == code
    assert record["status"] == failed.response["ResponseMetadata"]["HTTPStatusCode"]


def test_a_wrong_key_is_told(gateway: Gateway, deployed: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "nonsense")
    made: Any = boto3.session.Session(region_name="us-east-1")
    client = made.client("bedrock-runtime", **over_tls(deployed))

    with pytest.raises(botocore.exceptions.ClientError) as refused:
        client.converse(modelId=gateway.model("be", "ok"), messages=ASKED)

    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] in {401, 403}


@pytest.mark.local_only  # on AWS the provider needs no address, and the models cost money
@pytest.mark.parametrize("streams", [False, True])
def test_bedrock_itself_is_called_under_the_gateways_own_role(gateway: Gateway, client: Any, streams: bool) -> None:
    # Given Bedrock of the AWS that the stack is on, which checks signatures and rights
    model = gateway.model("aws", "claude")

    def ask() -> dict[str, Any]:
        if not streams:
            return dict(client.converse(modelId=model, messages=ASKED)["usage"])
        events = list(client.converse_stream(modelId=model, messages=ASKED)["stream"])
        return dict(events[-1]["metadata"]["usage"])

    # When it is called, Then the ledger has what it told
    usage, record, _ = gateway.charged(model, ask)
    assert usage["outputTokens"] > 0
    assert (record["input"], record["output"]) == (usage["inputTokens"], usage["outputTokens"])
    assert (record["status"], record["estimated"], record["target"]) == (200, False, OF_BEDROCK)
