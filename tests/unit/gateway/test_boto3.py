"""boto3's bedrock-runtime as it is, with a key of ours in AWS_BEARER_TOKEN_BEDROCK, over the local gateway's TLS."""

import asyncio
import json
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from local import tls
from tests.unit.gateway.stub import FRAMES, JSON, Stub, answers, streams
from tests.unit.gateway.test_server import server
from tests.unit.gateway.world import SECRET, World, run
from tests.unit.llm import wire
from weir.gateway import bedrock

ASKED: dict[str, Any] = {"modelId": "us.nova-v1:0", "messages": [{"role": "user", "content": [{"text": "Hello"}]}]}
ANSWER = {
    "output": {"message": {"role": "assistant", "content": [{"text": "Hello!"}]}},
    "stopReason": "end_turn",
    "usage": {"inputTokens": 7, "outputTokens": 3, "totalTokens": 10},
    "metrics": {"latencyMs": 5},
}


class Credentials:
    access_key, secret_key, token = "AKIDEXAMPLE", "a secret of the function", "a session token"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bedrock.aws, "credentials", lambda: Credentials)
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", SECRET)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")  # it looks for credentials of AWS all the same


def client(url: str, certificate: Path) -> Any:
    config = Config(retries={"total_max_attempts": 1})
    address = f"{url}/bedrock"
    return boto3.Session().client(
        "bedrock-runtime", endpoint_url=address, region_name="eu-west-1", verify=str(certificate), config=config
    )


def test_boto3_calls_models_with_a_key_of_ours(tmp_path: Path) -> None:
    async def test() -> None:
        # Given the gateway behind TLS, as `make up` starts it, and a model of Bedrock's
        certificate, key = tmp_path / "gateway.pem", tmp_path / "gateway.key"
        tls.make_certificate(certificate, key)
        assert key.stat().st_mode & 0o077 == 0
        world = World()
        stub = Stub(
            answers(200, json.dumps(ANSWER).encode()),
            streams(wire.CONVERSE.events, FRAMES),
            answers(400, b'{"message":"no"}', {**JSON, "x-amzn-ErrorType": "ValidationException"}),
        )
        async with stub, server(world, 20) as (_, url):
            relay = await tls.relay(0, int(url.rpartition(":")[2]), certificate, key)
            world.provider("aws", stub, "bedrock")
            world.route("us.nova-v1:0", ("aws", "us.nova-v1:0"))
            models = client(f"https://127.0.0.1:{relay.sockets[0].getsockname()[1]}", certificate)
            # When boto3 converses
            whole = await asyncio.to_thread(models.converse, **ASKED)
            events = await asyncio.to_thread(lambda: list(models.converse_stream(**ASKED)["stream"]))
            # Then it has what the model said
            assert whole["output"] == ANSWER["output"]
            assert [next(iter(one)) for one in events] == [name for name, _ in wire.CONVERSE_EVENTS]
            # And raises what it raises for Bedrock's own errors
            with pytest.raises(models.exceptions.ValidationException, match="no"):
                await asyncio.to_thread(models.converse, **ASKED)
            with pytest.raises(models.exceptions.ResourceNotFoundException):
                await asyncio.to_thread(lambda: models.converse(**ASKED | {"modelId": "nothing"}))
            models.close()
            relay.close()
            await relay.wait_closed()
        assert [one.status for one in world.records()] == [200, 200, 400]
        assert SECRET not in str(stub.requests)

    run(test)
