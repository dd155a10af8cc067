"""Fixtures: the streams handler, loaded as Lambda loads it, on moto."""

import importlib.util
import json
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from moto import mock_aws

from tests.unit.streams.handler_calls import REGION, ROOT, Call, Context
from weir.runtime import aws as runtime_aws
from weir.runtime import secrets, settings


@pytest.fixture(scope="module")
def module() -> Iterator[ModuleType]:
    """The handler, loaded as Lambda loads it. Its clients are kept over the tests, for making them takes longest."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "WEIR_REGION": REGION,
            "WEIR_SETTLE_QUEUE_URL": f"https://sqs.{REGION}.amazonaws.com/123456789012/settle",
            "WEIR_CURSOR_SECRET_ARN": "cursor",
            "WEIR_IDEMPOTENCY_TABLE": "once",
            "AWS_ACCESS_KEY_ID": "a",
            "AWS_SECRET_ACCESS_KEY": "b",
        }.items():
            patch.setenv(name, value)
        forget()
        spec = importlib.util.spec_from_file_location("streams_handler", ROOT / "functions/streams/handler.py")
        assert spec is not None
        assert spec.loader is not None
        loaded = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(loaded)
        yield loaded
    forget()


def forget() -> None:
    settings.forget()
    runtime_aws.client.cache_clear()
    secrets.secret.cache_clear()


@pytest.fixture
def stack(module: ModuleType) -> Iterator[Any]:
    """The stack's neighbours, in moto; gives the kinesis client."""
    with mock_aws():
        runtime_aws.client("sqs").create_queue(QueueName="settle")
        runtime_aws.client("secretsmanager").create_secret(Name="cursor", SecretString="s")
        runtime_aws.client("dynamodb").create_table(
            TableName="once",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        module._targets.cache_clear()
        yield runtime_aws.client("kinesis")


@pytest.fixture
def call(module: ModuleType, stack: Any) -> Call:
    def send(name: str, *, body: Any = None, query: dict[str, str] | None = None, **changes: Any) -> dict[str, Any]:
        event = json.loads((ROOT / "events" / f"streams-{name}.json").read_text())
        if body is not None:
            event["body"] = body if isinstance(body, str) else json.dumps(body)
        if query is not None:
            event["queryStringParameters"] = query
            event["multiValueQueryStringParameters"] = {key: [value] for key, value in query.items()}
        stream = changes.pop("stream", None)
        if stream is not None:
            event["path"] = event["path"].replace("orders", stream)
        if changes.pop("no_key", False):
            event["headers"].pop("Idempotency-Key")
        event["headers"].update(changes.pop("headers", {}))
        event["multiValueHeaders"] = {key: [value] for key, value in event["headers"].items()}
        event["requestContext"]["authorizer"].update(changes.pop("authorizer", {}))
        event["requestContext"].update(changes)
        answer: dict[str, Any] = module.handler(event, Context())
        answer["json"] = json.loads(answer["body"])
        return answer

    return send
