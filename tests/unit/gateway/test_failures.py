"""Providers that refuse, fail, or can't be reached: what the caller is told, what is tried next, and the ledger."""

import json
import socket
from typing import Any

import pytest
from aiohttp.abc import AbstractResolver

from tests.unit.gateway.stub import JSON, SSE, Stub, answers, never, says, streams
from tests.unit.gateway.world import COMPLETION, CONVERSATION, MESSAGE, PROVIDER_KEY, World, leading_to, run, serving
from tests.unit.llm import wire
from tests.unit.usage.metered import cap
from weir.gateway import bedrock
from weir.gateway.upstream import Upstreams
from weir.usage.windows import name

HELLO = {"id": "m", "type": "message", "content": [], "usage": {"input_tokens": 7, "output_tokens": 3}}
ANSWER = json.dumps(HELLO).encode()


def error(kind: str, message: str = "as the provider says") -> bytes:
    return json.dumps({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}).encode()


REFUSALS = [(400, "invalid_request_error"), (404, "not_found_error"), (413, "request_too_large")]
FAILURES = [(429, "rate_limit_error"), (500, "api_error"), (503, "api_error"), (529, "overloaded_error")]


@pytest.mark.parametrize(("status", "kind"), REFUSALS + FAILURES)
def test_a_providers_refusal_passes_as_it_is_where_the_caller_speaks_its_dialect(status: int, kind: str) -> None:
    async def test() -> None:
        # Given a provider that refuses
        told = {**JSON, "retry-after": "7", "request-id": "req_1", "set-cookie": "a=b", "connection": "keep-alive"}
        async with leading_to(Stub(answers(status, error(kind), told))) as world:
            # When it is called
            reply = await world.ask("/anthropic/v1/messages", MESSAGE, x_request_id="r-77")
            # Then the caller gets its status and its very bytes
            assert reply.status == status
            assert reply.body == error(kind)
            assert reply.headers["retry-after"] == "7"
            assert reply.headers["request-id"] == "r-77"
            assert reply.headers["x-upstream-request-id"] == "req_1"
            assert not {"set-cookie", "connection"} & set(reply.headers)
            # And the record says so, of a call that used nothing
            (record,) = world.records()
            assert (record.status, record.input, record.output, record.estimated) == (status, 0, 0, False)
            assert [(one.provider, one.status) for one in record.attempts] == [("p0", status)]
            assert world.reserved() == 0

    run(test)


@pytest.mark.parametrize(
    ("status", "told", "kind"),
    [(401, 502, "api_error"), (402, 402, "billing_error"), (403, 403, "permission_error")],
)
def test_what_is_about_the_gateways_own_account_is_told_in_other_words(
    status: int, told: int, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        # Given a provider that refuses the gateway's key, and says which it is
        secret = f"{PROVIDER_KEY} of arn:aws:iam::123456789012:role/gateway"
        async with leading_to(Stub(answers(status, error(kind, secret)))) as world:
            # When it is called
            reply = await world.ask("/anthropic/v1/messages", MESSAGE)
            # Then the caller learns that it is not theirs, and nothing of the key
            assert (reply.status, reply.json["error"]["type"]) == (told, kind)
            assert PROVIDER_KEY not in reply.body.decode()
            assert "arn:" not in reply.body.decode()
            assert world.records()[0].status == told
            # And the log has what an operator needs, and not the key
            log = str([vars(one) for one in caplog.records])
            assert "arn:aws:iam::123456789012:role/gateway" in log
            assert PROVIDER_KEY not in log

    run(test)


@pytest.mark.parametrize(
    ("path", "body", "kind"),
    [
        ("/anthropic/v1/messages", MESSAGE, lambda told: told["error"]["type"]),
        ("/openai/v1/chat/completions", COMPLETION | {"model": "claude"}, lambda told: told["error"]["type"]),
    ],
)
@pytest.mark.parametrize(
    ("behaviour", "charged"),
    [
        (answers(200, b'{"usage": '), True),
        (says(b"HTTP/1.1 200 X\r\ncontent-length: 500\r\n\r\n{}"), True),
        (says(b""), True),
        (says(b"this is no HTTP\r\n\r\n"), True),
        (answers(302, b"", {"location": "http://169.254.169.254/"}), False),
    ],
    ids=["malformed JSON", "dies in its body", "dies before an answer", "no HTTP", "redirects"],
)
def test_an_answer_that_is_none_is_a_502(path: str, body: Any, kind: Any, behaviour: Any, charged: bool) -> None:
    async def test() -> None:
        # Given a provider that answers what can't be read
        provider_kind = "openai" if "openai" in path else "anthropic"
        async with leading_to(Stub(behaviour), kind=provider_kind) as world:
            reply = await world.ask(path, body)
            # Then the caller is told so in their dialect
            assert reply.status == 502
            assert kind(reply.json) in {"api_error", "server_error"}
            (record,) = world.records()
            assert record.status == 502
            assert record.error
            assert world.reserved() == 0
            # And what the provider may have made is charged
            assert (record.estimated, record.input > 0) == (charged, charged)

    run(test)


SILENT_IN_ITS_BODY = says(
    b"HTTP/1.1 200 X\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n", then_closes=False
)


@pytest.mark.parametrize("silent", [never, SILENT_IN_ITS_BODY], ids=["no answer", "no body"])
@pytest.mark.parametrize("mode", ["strict", "clamp", "expected"])
def test_a_provider_that_takes_too_long_is_a_504_and_charged_for_what_it_may_have_made(silent: Any, mode: Any) -> None:
    async def test() -> None:
        # Given one that is silent, and another behind it, and a cap that must hold
        ceiling = cap(100_000, "tokens", mode=mode)
        stubs = (Stub(silent), Stub(answers(200, ANSWER)))
        async with leading_to(*stubs, timeout_seconds=0.2, caps=(ceiling,)) as world:
            reply = await world.ask("/anthropic/v1/messages", MESSAGE | {"max_tokens": 6_000})
            # Then the other is not asked: the first may be at it still
            assert (reply.status, reply.json["error"]["type"]) == (504, "timeout_error")
            (record,) = world.records()
            assert (record.status, record.provider, record.estimated) == (504, "p0", True)
            assert len(record.attempts) == 1
            # And it may charge for an answer that nobody waited for: what is likely counts, input and output
            assert (record.input > 0, record.output) == (True, 1_500)
            assert world.ledger.used("tokens", bucket=name("day", record.admitted_at)) == record.input + record.output
            assert world.reserved() == 0

    run(test)


class Names(AbstractResolver):
    """A DNS of the tests: each look-up of a name takes the next of its answers, the last one for ever."""

    def __init__(self, **names: list[str]) -> None:
        self.names, self.asked = names, 0

    async def resolve(self, host: str, port: int = 0, family: Any = socket.AF_INET) -> Any:
        self.asked += 1
        answers = self.names.get(host.split(".")[0])
        if not answers:
            raise OSError(socket.EAI_NONAME, "Name or service not known")
        address = answers.pop(0) if len(answers) > 1 else answers[0]
        kind = socket.AF_INET6 if ":" in address else socket.AF_INET
        return [{"hostname": host, "host": address, "port": port, "family": kind, "proto": 0, "flags": 0}]

    async def close(self) -> None:
        pass


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("address", ["https://nowhere.example.com", "http://127.0.0.1:{port}"], ids=["DNS", "refused"])
def test_a_provider_that_can_not_be_reached_is_a_502_that_costs_nothing(address: str) -> None:
    async def test() -> None:
        world = World(upstreams=Upstreams(resolver=Names()))
        async with serving(world):
            world.provider("p0", address.format(port=closed_port()))
            world.route("claude", ("p0", "claude"))
            reply = await world.ask("/anthropic/v1/messages", MESSAGE)
            assert (reply.status, reply.json["error"]["type"]) == (502, "api_error")
            (record,) = world.records()
            assert (record.status, record.input, record.output, record.estimated) == (502, 0, 0, False)
            assert [one.status for one in record.attempts] == [0]
            assert world.reserved() == 0

    run(test)


METADATA = ["169.254.169.254", "fd00:ec2::254", "::ffff:169.254.169.254", "169.254.170.2", "100.100.100.200"]
PRIVATE = ["10.0.0.7", "192.168.1.1", "172.16.0.1", "127.0.0.1", "::1", "fd12::1", "100.64.0.1", "0.0.0.0"]


@pytest.mark.parametrize("address", [*METADATA, *PRIVATE])
def test_a_name_that_leads_to_metadata_or_a_private_network_is_refused_at_connect(address: str) -> None:
    async def test() -> None:
        # Given a provider whose name was fine when it was made
        names = Names(models=[address])
        world = World(upstreams=Upstreams(resolver=names))
        async with serving(world):
            world.provider("p0", "https://models.example.com", private_networks=())
            world.route("claude", ("p0", "claude"))
            # When it resolves to what no provider may have
            reply = await world.ask("/anthropic/v1/messages", MESSAGE)
            # Then nothing is connected to, and nothing of it is told
            assert reply.status == 502
            assert address.encode() not in reply.body
            (record,) = world.records()
            assert [(one.status, one.error) for one in record.attempts] == [(0, "address refused")]
            assert names.asked == 1

    run(test)


def test_a_name_that_leads_elsewhere_the_second_time_is_refused_then() -> None:
    async def test() -> None:
        # Given DNS rebinding: first an address that is allowed, then one of the machine's credentials
        stub, names = Stub(answers(200, ANSWER, {**JSON, "connection": "close"})), Names()
        upstreams = Upstreams(resolver=names)
        async with serving(world := World(upstreams=upstreams), stub):
            names.names = {"models": ["127.0.0.1", "169.254.169.254"]}
            port = stub.url.rpartition(":")[2]
            world.provider("p0", f"http://models.example.com:{port}")
            world.route("claude", ("p0", "claude"))
            assert (await world.ask("/anthropic/v1/messages", MESSAGE)).status == 200
            # When it is asked again, and its connection is not there any more
            (session,) = upstreams._sessions.values()
            session.connector.clear_dns_cache()  # type: ignore[union-attr]
            reply = await world.ask("/anthropic/v1/messages", MESSAGE)
            # Then the new address is held against the same rules
            assert reply.status == 502
            assert len(stub.requests) == 1

    run(test)


def test_a_connection_that_one_provider_may_have_is_not_used_for_another() -> None:
    async def test() -> None:
        # Given two providers at one address, of which one is allowed to be there
        stub = Stub(answers(200, ANSWER))
        async with serving(world := World(), stub):
            world.provider("inside", stub)
            world.provider("outside", stub, private_networks=())
            world.route("claude", ("inside", "claude"))
            world.route("other", ("outside", "claude"))
            assert (await world.ask("/anthropic/v1/messages", MESSAGE)).status == 200
            # When the other is asked, while the first one's connection is open
            reply = await world.ask("/anthropic/v1/messages", MESSAGE | {"model": "other"})
            # Then it is refused
            assert reply.status == 502
            assert len(stub.requests) == 1

    run(test)


@pytest.mark.parametrize(
    "behaviour",
    [
        answers(429, error("rate_limit_error")),
        answers(500, b"oops", {}),
        answers(529, error("overloaded_error")),
        says(b""),
    ],
    ids=["429", "500", "529", "dies"],
)
@pytest.mark.parametrize("stream", [False, True])
def test_the_next_target_is_asked_where_one_throttles_fails_or_dies(behaviour: Any, stream: bool) -> None:
    async def test() -> None:
        # Given a provider that fails, and another one
        does = streams(wire.ANTHROPIC.events, SSE) if stream else answers(200, ANSWER)
        first, second = Stub(behaviour), Stub(does)
        async with leading_to(first, second) as world:
            # When the model is called
            reply = await world.ask("/anthropic/v1/messages", MESSAGE | {"stream": stream})
            # Then the other answers, asked for its own model
            assert reply.status == 200
            assert reply.body == (wire.ANTHROPIC.raw if stream else ANSWER)
            assert json.loads(first.requests[0].body)["model"] == "claude-0"
            assert json.loads(second.requests[0].body)["model"] == "claude-1"
            # And each try is in the record, of the one who served it
            (record,) = world.records()
            assert (record.provider, record.target, record.status) == ("p1", "claude-1", 200)
            assert [one.provider for one in record.attempts] == ["p0", "p1"]
            assert record.attempts[0].error
            assert record.attempts[1].status == 200
            assert record.error == ""

    run(test)


def test_a_provider_that_can_not_be_reached_is_passed_over() -> None:
    async def test() -> None:
        async with leading_to(Stub(), Stub(answers(200, ANSWER))) as world:
            world.provider("p0", f"http://127.0.0.1:{closed_port()}")
            reply = await world.ask("/anthropic/v1/messages", MESSAGE)
            assert reply.status == 200
            assert [one.status for one in world.records()[0].attempts] == [0, 200]

    run(test)


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_a_refusal_that_another_would_repeat_is_the_answer(status: int) -> None:
    async def test() -> None:
        second = Stub(answers(200, ANSWER))
        async with leading_to(Stub(answers(status, error("x"))), second) as world:
            await world.ask("/anthropic/v1/messages", MESSAGE)
            assert second.requests == []

    run(test)


def test_a_stream_that_has_begun_is_not_begun_again_elsewhere() -> None:
    async def test() -> None:
        # Given a provider that dies after its first event
        second = Stub(streams(wire.ANTHROPIC.events, SSE))
        async with leading_to(Stub(streams(wire.ANTHROPIC.events[:1], SSE, dies=True)), second) as world:
            await world.ask("/anthropic/v1/messages", MESSAGE | {"stream": True})
            assert second.requests == []

    run(test)


def test_all_targets_that_fail_are_told_by_the_last() -> None:
    async def test() -> None:
        last = answers(529, error("overloaded_error"))
        async with leading_to(Stub(answers(500, error("api_error"))), Stub(last)) as world:
            reply = await world.ask("/anthropic/v1/messages", MESSAGE)
            assert reply.status == 529
            assert [one.status for one in world.records()[0].attempts] == [500, 529]

    run(test)


@pytest.mark.parametrize("is_there", [True, False])
def test_a_provider_that_died_is_charged_for_where_the_next_gives_no_answer(is_there: bool) -> None:
    async def test() -> None:
        # Given a provider that dies with the request in its hands, and another that is busy, or not there
        async with leading_to(Stub(says(b"")), Stub(answers(529, error("overloaded_error")))) as world:
            if not is_there:
                world.provider("p1", f"http://127.0.0.1:{closed_port()}")
            # When the model is called
            await world.ask("/anthropic/v1/messages", MESSAGE)
            # Then what the first one may charge for counts, as its own
            (record,) = world.records()
            assert (record.provider, record.target, record.estimated) == ("p0", "claude-0", True)
            assert record.input > 0
            assert [one.provider for one in record.attempts] == ["p0", "p1"]

    run(test)


def test_bedrocks_own_error_keeps_its_type_and_its_status(monkeypatch: pytest.MonkeyPatch) -> None:
    class Credentials:
        access_key, secret_key, token = "AKIDEXAMPLE", "a secret of the function", "a session token"

    monkeypatch.setattr(bedrock.aws, "credentials", lambda: Credentials)

    async def test() -> None:
        # Given a 400 of Bedrock's, which names its type in a header
        headers = {
            **JSON,
            "x-amzn-ErrorType": "ValidationException:http://internal.amazon.com/",
            "x-amzn-RequestId": "b",
        }
        stub = Stub(answers(400, b'{"message":"max_tokens is too large"}', headers))
        async with leading_to(stub, kind="bedrock", model="us.nova") as world:
            reply = await world.ask("/bedrock/model/us.nova/converse", CONVERSATION)
            # Then it stays that
            assert reply.status == 400
            assert reply.headers["x-amzn-ErrorType"].startswith("ValidationException")
            assert reply.json == {"message": "max_tokens is too large"}

    run(test)
