"""What goes to a provider, and what never does."""

import json
from typing import Any

import pytest
from botocore.session import get_session

from tests.unit.gateway.stub import Stub, answers
from tests.unit.gateway.test_failures import ANSWER
from tests.unit.gateway.world import COMPLETION, CONVERSATION, MESSAGE, PROVIDER_KEY, SECRET, Client, leading_to, run
from weir.gateway import bedrock

EVERYWHERE = {
    "x-api-key": SECRET,
    "cookie": f"session={SECRET}",
    "proxy-authorization": f"Basic {SECRET}",
    "x-amz-security-token": SECRET,
    "forwarded": f"for={SECRET}",
    "connection": "close, x-secret",
    "x-secret": SECRET,
    "te": "trailers",
    "upgrade": "h2c",
    "transfer-encoding": "identity",
    "x-amzn-request-context": SECRET,
    "x-forwarded-for": "203.0.113.7",
}
CONVERSED = json.dumps({"output": {}, "usage": {"inputTokens": 7, "outputTokens": 3}}).encode()


class Credentials:
    access_key, secret_key, token = "AKIDEXAMPLE", "a secret of the function", "a session token"


@pytest.mark.parametrize(
    ("kind", "path", "body", "own"),
    [
        ("anthropic", "/anthropic/v1/messages", MESSAGE, "x-api-key"),
        ("openai", "/openai/v1/chat/completions", COMPLETION | {"model": "claude"}, "authorization"),
        ("bedrock", "/bedrock/model/claude/converse", CONVERSATION, "authorization"),
    ],
)
def test_the_callers_secret_never_travels_nor_what_belongs_to_their_connection(
    monkeypatch: pytest.MonkeyPatch, kind: str, path: str, body: Any, own: str
) -> None:
    monkeypatch.setattr(bedrock.aws, "credentials", lambda: Credentials)

    async def test() -> None:
        # Given a caller who sends their secret wherever a header can be
        stub = Stub(answers(200, CONVERSED if kind == "bedrock" else ANSWER))
        async with leading_to(stub, kind=kind) as world:
            sent = {name.replace("-", "_"): value for name, value in EVERYWHERE.items()}
            assert (await world.ask(path, body, **sent)).status == 200
            # Then the provider sees none of it, but the gateway's own credential
            (request,) = stub.requests
            assert SECRET not in str(request)
            told = {"accept", "accept-encoding", "content-length", "content-type", "host", "user-agent", "x-request-id"}
            more = {"anthropic": {own, "anthropic-version"}, "openai": {own}}
            aws = {own, "x-amz-date", "x-amz-security-token"}
            assert set(request.headers) == told | more.get(kind, aws)
            assert (PROVIDER_KEY if kind != "bedrock" else "AWS4-HMAC-SHA256") in request.headers[own]

    run(test)


def test_the_request_id_and_what_the_dialect_has_of_its_own_travel() -> None:
    async def test() -> None:
        stub = Stub(answers(200, ANSWER))
        async with leading_to(stub) as world:
            beta = "context-1m-2025-08-07,prompt-caching-2024-07-31"
            more = {"anthropic_beta": beta, "anthropic_version": "2023-06-01", "x_request_id": "trace-1"}
            reply = await world.ask("/anthropic/v1/messages", MESSAGE, **more)
            (request,) = stub.requests
            assert request.headers["anthropic-beta"] == beta
            assert request.headers["anthropic-version"] == "2023-06-01"
            assert request.headers["x-request-id"] == "trace-1"
            assert reply.headers["request-id"] == reply.headers["x-request-id"] == "trace-1"
            assert world.records()[0].request_id == "trace-1"

    run(test)


def test_bedrocks_own_headers_travel_by_invoke_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bedrock.aws, "credentials", lambda: Credentials)
    names = [
        member["name"].lower()
        for member in (
            shape.serialization
            for shape in get_session()
            .get_service_model("bedrock-runtime")
            .operation_model("InvokeModel")
            .input_shape.members.values()
        )
        if member.get("location") == "header"
    ]
    own = {name: "standard" if "latency" in name else "default" for name in names if name.startswith("x-amzn-")}
    assert own

    async def test() -> None:
        stub = Stub(answers(200, ANSWER))
        async with leading_to(stub, kind="bedrock") as world:
            await world.ask("/bedrock/model/claude/invoke", MESSAGE, **own)
            assert own.items() <= stub.requests[0].headers.items()

    run(test)


def test_a_header_that_comes_twice_travels_as_one() -> None:
    async def test() -> None:
        stub = Stub(answers(200, ANSWER))
        async with leading_to(stub) as world:
            path = b"/anthropic/v1/messages"
            sent = {"authorization": f"Bearer {SECRET}", "anthropic-beta": "one"}
            headers = [*((name.encode(), value.encode()) for name, value in sent.items()), (b"anthropic-beta", b"two")]
            scope = {"type": "http", "method": "POST", "path": path.decode(), "raw_path": path, "headers": headers}
            client = Client()
            client._body, client._early = json.dumps(MESSAGE).encode(), False
            await world.app(scope, client._receive, client._send)
            assert stub.requests[0].headers["anthropic-beta"] == "one, two"

    run(test)


@pytest.mark.parametrize("given", ["", "a b", "\r\nx: y", "a" * 200])
def test_a_request_id_that_can_be_none_is_replaced(given: str) -> None:
    async def test() -> None:
        stub = Stub(answers(200, ANSWER))
        async with leading_to(stub) as world:
            reply = await world.ask("/anthropic/v1/messages", MESSAGE, x_request_id=given)
            assert reply.headers["request-id"] != given
            assert stub.requests[0].headers["x-request-id"] == reply.headers["request-id"]

    run(test)


def test_a_body_passes_as_it_came_where_the_model_is_called_by_its_own_name() -> None:
    async def test() -> None:
        # Given a request with fields that nobody here knows, spaces, and a system prompt in parts
        raw = b'{ "model":"claude-0",  "max_tokens": 5, "new_field": {"a": [1.0, 2e3]}, "messages":[], '
        raw += b'"system":[{"type":"text","text":"\\u00fc","cache_control":{"type":"ephemeral"}}] }'
        stub = Stub(answers(200, ANSWER))
        async with leading_to(stub, model="claude") as world:
            world.route("claude-0", ("p0", "claude-0"))
            await world.ask("/anthropic/v1/messages", raw)
            assert stub.requests[0].body == raw

    run(test)


@pytest.mark.parametrize(
    ("path", "target", "stub_path"),
    [
        ("/bedrock/model/us.nova/converse", "us.nova-0", "/model/us.nova-0/converse"),
        ("/bedrock/model/us.nova/invoke", "us.nova-0", "/model/us.nova-0/invoke"),
    ],
)
def test_bedrock_is_asked_by_a_signature_that_holds(
    monkeypatch: pytest.MonkeyPatch, path: str, target: str, stub_path: str
) -> None:
    monkeypatch.setattr(bedrock.aws, "credentials", lambda: Credentials)

    async def test() -> None:
        stub = Stub(answers(200, CONVERSED))
        async with leading_to(stub, kind="bedrock", model="us.nova", region="us-west-2") as world:
            await world.ask(path, CONVERSATION)
            (request,) = stub.requests
            assert request.target == stub_path
            assert "/us-west-2/bedrock/aws4_request" in request.headers["authorization"]
            assert signature_holds(request, stub.url + request.target)

    run(test)


def test_an_arn_travels_encoded_as_botocore_does_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bedrock.aws, "credentials", lambda: Credentials)

    async def test() -> None:
        # Given the ARN of a profile, encoded by boto3 in the path
        arn = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-sonnet-4-v1:0"
        encoded = arn.replace(":", "%3A").replace("/", "%2F")
        stub = Stub(answers(200, CONVERSED))
        async with leading_to(stub, kind="bedrock") as world:
            world.route(arn, ("p0", "*"))
            # When it comes as it was sent, and as API Gateway decodes it
            for path in (encoded, arn):
                assert (await world.ask(f"/bedrock/model/{path}/converse", CONVERSATION)).status == 200
            # Then the id goes on as it is
            assert {one.target for one in stub.requests} == {f"/model/{encoded}/converse"}
            assert all(signature_holds(one, stub.url + one.target) for one in stub.requests)

    run(test)


def signature_holds(request: Any, url: str) -> bool:
    """Whether botocore signs the request as it came alike."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest

    signed = request.headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
    headers = {name: request.headers[name] for name in signed if name != "host"}
    region = request.headers["authorization"].split("/")[2]
    again = AWSRequest(method="POST", url=url, headers=headers, data=request.body)
    again.context["timestamp"] = request.headers["x-amz-date"]
    auth = SigV4Auth(Credentials, "bedrock", region)
    told = auth.signature(auth.string_to_sign(again, auth.canonical_request(again)), again)
    return str(request.headers["authorization"]).endswith(f"Signature={told}")
