"""``Idempotency-Key``: one key is one call, and the same answer again costs nothing."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from moto import mock_aws

from tests.unit.gateway.stub import JSON, SSE, Stub, answers, streams
from tests.unit.gateway.test_failures import ANSWER, error
from tests.unit.gateway.world import MESSAGE, Client, leading_to, run
from tests.unit.identity.accounts import BOTOCORE, Recorded, Time
from tests.unit.llm import wire
from weir.gateway.replaying import PART_BYTES, Claim, Kept, Replays
from weir.runtime import settings
from weir.runtime.dynamodb import Table
from weir.runtime.errors import BadRequest, Conflict, Invalid

DAY = 24 * 3600
HEADERS = (("content-type", "application/json"),)


@pytest.fixture
def client() -> Iterator[Recorded]:
    with pytest.MonkeyPatch.context() as patch, mock_aws():
        patch.setenv("AWS_ACCESS_KEY_ID", "a")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "b")
        settings.forget()
        found = BOTOCORE.create_client("dynamodb", region_name="eu-west-1")
        found.create_table(
            TableName="idempotency",
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
        )
        yield Recorded(found)


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def replays(client: Recorded, time: Time) -> Replays:
    return Replays(Table(client, "idempotency", time.clock), time.clock)


def claim(replays: Replays, owner: str = "a", body: bytes = b"{}", **changed: Any) -> Claim | Kept:
    told = {"user": "ann", "route": "anthropic complete claude", "key": "k"} | changed
    return replays.claim(**told, body=body, owner=owner, seconds=900)


def claimed(replays: Replays, owner: str = "a") -> Claim:
    found = claim(replays, owner)
    assert isinstance(found, Claim)
    return found


@pytest.mark.parametrize("length", [0, 10, PART_BYTES, 3 * PART_BYTES + 7])
def test_an_answer_that_is_kept_comes_again_however_long_it_is(replays: Replays, length: int) -> None:
    # Given an answer of bytes that do not pack
    body = bytes((n * n * 31 + n // 255 * 7 + n // 65_000) % 256 for n in range(length))
    kept = Kept(200, HEADERS, body)
    assert replays.keep(claimed(replays), kept)
    # When its key comes again, Then so does it
    assert claim(replays, "b") == kept


def test_of_two_at_once_the_second_is_refused(replays: Replays) -> None:
    claimed(replays, "a")
    with pytest.raises(Conflict):
        claim(replays, "b")


def test_a_claim_whose_answer_was_lost_is_had_by_asking_again(replays: Replays) -> None:
    assert claim(replays, "a") == claim(replays, "a")


def test_another_request_with_the_key_is_refused(replays: Replays) -> None:
    replays.keep(claimed(replays), Kept(200, HEADERS, b"{}"))
    with pytest.raises(Invalid):
        claim(replays, "b", body=b'{"other": 1}')
    with pytest.raises(Invalid):
        claim(replays, "b", body=b'{"another": 1}')


@pytest.mark.parametrize(
    ("path", "kind", "first", "other"),
    [
        ("/anthropic/v1/messages", "anthropic", {"anthropic_beta": "context-1m"}, {"anthropic_beta": "context-2m"}),
        ("/anthropic/v1/messages", "anthropic", {}, {"anthropic_beta": "context-1m"}),
        (
            "/anthropic/v1/messages",
            "anthropic",
            {"anthropic_version": "2023-06-01"},
            {"anthropic_version": "2026-01-01"},
        ),
        ("/openai/v1/chat/completions", "openai", {}, {"openai_beta": "assistants=v2"}),
    ],
)
def test_a_header_that_changes_what_is_asked_for_makes_another_request(
    replays: Replays, path: str, kind: str, first: dict[str, str], other: dict[str, str]
) -> None:
    async def test() -> None:
        # Given a call with a key
        stub = Stub(answers(200, ANSWER))
        async with leading_to(stub, kind=kind, replays=replays) as world:
            assert (await world.ask(path, MESSAGE, idempotency_key="k1", **first)).status == 200
            # When the same body comes again with the key, and asks for something else by a header
            reply = await world.ask(path, MESSAGE, idempotency_key="k1", **other)
            # Then it does not get the first one's answer
            assert reply.status == 422
            assert "another request" in reply.json["error"]["message"]
            # And as it was asked first, with headers that change nothing, it does
            again = await world.ask(
                path, MESSAGE, idempotency_key="k1", **first, user_agent="another", x_request_id="r2"
            )
            assert (again.status, again.headers["idempotency-replayed"]) == (200, "true")
            assert len(stub.requests) == 1

    run(test)


@pytest.mark.parametrize("changed", [{"user": "bob"}, {"route": "openai complete gpt"}, {"key": "k2"}])
def test_a_key_means_something_to_its_user_on_its_route_alone(replays: Replays, changed: dict[str, str]) -> None:
    replays.keep(claimed(replays), Kept(200, HEADERS, b"{}"))
    assert isinstance(claim(replays, "b", **changed), Claim)


def test_what_was_released_can_be_tried_again(replays: Replays) -> None:
    replays.release(claimed(replays, "a"))
    assert isinstance(claim(replays, "b", body=b'{"other": 1}'), Claim)


def test_a_holder_that_died_is_succeeded_and_may_not_keep_its_answer_then(replays: Replays, time: Time) -> None:
    # Given a holder whose time is up, and another one in its place
    first = claimed(replays, "a")
    time.pass_by(902)
    second = claimed(replays, "b")
    # When both have an answer
    assert not replays.keep(first, Kept(200, HEADERS, b"first"))
    replays.release(first)
    assert replays.keep(second, Kept(200, HEADERS, b"second"))
    # Then it is the successor's that holds
    assert claim(replays, "c") == Kept(200, HEADERS, b"second")


def test_an_answer_is_forgotten_after_a_day(replays: Replays, time: Time) -> None:
    # Given that DynamoDB deletes late
    replays.keep(claimed(replays), Kept(200, HEADERS, b"{}"))
    time.pass_by(DAY - 1)
    assert isinstance(claim(replays, "b"), Kept)
    time.pass_by(2)
    assert isinstance(claim(replays, "b"), Claim)


@pytest.mark.parametrize("key", ["", "a" * 257, "a\nb"])
def test_a_key_that_can_be_none_is_refused(replays: Replays, key: str) -> None:
    with pytest.raises(BadRequest):
        claim(replays, key=key)


@pytest.mark.parametrize("stream", [False, True])
def test_a_replay_answers_the_very_bytes_and_costs_nothing(replays: Replays, stream: bool) -> None:
    async def test() -> None:
        # Given a call with a key
        does = streams(wire.ANTHROPIC.events, SSE) if stream else answers(200, ANSWER)
        stub = Stub(does)
        async with leading_to(stub, replays=replays) as world:
            body = MESSAGE | {"stream": stream}
            first = await world.ask("/anthropic/v1/messages", body, idempotency_key="k1")
            # When it is made again
            again = await world.ask("/anthropic/v1/messages", body, idempotency_key="k1")
            # Then the answer is the same, and says what it is
            assert (again.status, again.body) == (first.status, first.body)
            assert again.headers["content-type"] == first.headers["content-type"]
            assert again.headers["idempotency-replayed"] == "true"
            assert "idempotency-replayed" not in first.headers
            # And no provider was asked, and nothing charged
            assert len(stub.requests) == 1
            assert len(world.records()) == 1
            assert world.reserved() == 0

    run(test)


def test_who_left_before_the_end_gets_the_answer_by_the_same_key(replays: Replays) -> None:
    async def test() -> None:
        # Given a caller whose connection breaks in mid-stream
        client = Client(leaves_after=len(wire.ANTHROPIC.events[0]))
        stub = Stub(streams(wire.ANTHROPIC.events, SSE, client.pace))
        async with leading_to(stub, replays=replays) as world:
            body = MESSAGE | {"stream": True}
            cut = await world.ask("/anthropic/v1/messages", body, client=client, idempotency_key="k1")
            assert not cut.ended
            # When they ask again
            again = await world.ask("/anthropic/v1/messages", body, idempotency_key="k1")
            # Then they have all of it, for the price of one
            assert again.body == wire.ANTHROPIC.raw
            assert len(stub.requests) == len(world.records()) == 1

    run(test)


@pytest.mark.parametrize(
    "first",
    [
        answers(529, error("overloaded_error")),
        answers(400, error("invalid_request_error")),
        answers(200, b"{"),
        streams(wire.ANTHROPIC.events[:4], SSE, dies=True),
        streams(wire.ANTHROPIC.events[:4], SSE),
    ],
    ids=["529", "400", "malformed", "dies", "ends early"],
)
def test_what_failed_is_made_again(replays: Replays, first: Any) -> None:
    async def test() -> None:
        stub = Stub(first, streams(wire.ANTHROPIC.events, SSE))
        async with leading_to(stub, replays=replays) as world:
            body = MESSAGE | {"stream": True}
            await world.ask("/anthropic/v1/messages", body, idempotency_key="k1")
            again = await world.ask("/anthropic/v1/messages", body, idempotency_key="k1")
            assert again.body == wire.ANTHROPIC.raw
            assert "idempotency-replayed" not in again.headers
            assert len(world.records()) == 2

    run(test)


def test_a_stream_that_could_not_be_told_to_its_end_is_no_success(replays: Replays) -> None:
    async def test() -> None:
        # Given a provider that goes on with one call of a tool after another, and tells its usage in the end
        calls = [
            wire.call(0, id="a", function={"name": "a"}),
            wire.call(1, id="b", function={"name": "b"}),
            wire.call(0, function={"arguments": "{}"}),
        ]
        usage = {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}}
        chunks = [*(wire.chunk(one) for one in calls), wire.chunk({}, "tool_calls"), usage]
        stub = Stub(streams(wire.data(chunks), SSE))
        async with leading_to(stub, kind="openai", replays=replays) as world:
            # When the same key comes twice
            for _ in range(2):
                reply = await world.ask("/anthropic/v1/messages", MESSAGE | {"stream": True}, idempotency_key="k1")
                assert b"event: error" in reply.body
            # Then it was made twice, charged as told, and written down as what it was
            assert len(stub.requests) == 2
            assert {(one.output, one.estimated, one.error) for one in world.records()} == {(3, False, "untranslatable")}

    run(test)


def test_refusals_of_keys_are_told_in_the_callers_dialect(replays: Replays) -> None:
    async def test() -> None:
        # Given a call under way
        under_way, go_on = asyncio.Event(), asyncio.Event()

        async def waits(writer: asyncio.StreamWriter) -> None:
            under_way.set()
            await go_on.wait()
            await answers(200, ANSWER, JSON)(writer)

        async with leading_to(Stub(waits), replays=replays) as world:
            first = asyncio.create_task(world.ask("/anthropic/v1/messages", MESSAGE, idempotency_key="k1"))
            await under_way.wait()
            # When its key comes again meanwhile, and with another request
            second = await world.ask("/anthropic/v1/messages", MESSAGE, idempotency_key="k1")
            other = await world.ask("/anthropic/v1/messages", MESSAGE | {"max_tokens": 7}, idempotency_key="k1")
            go_on.set()
            # Then both are refused, and the first is answered
            assert (second.status, second.json["type"], second.headers["retry-after"]) == (409, "error", "1")
            assert (other.status, other.json["type"]) == (422, "error")
            assert (await first).body == ANSWER
            assert len(world.records()) == 1

    run(test)


def test_a_store_that_fails_takes_nothing_from_the_answer(replays: Replays, client: Recorded) -> None:
    async def test() -> None:
        async with leading_to(Stub(answers(200, ANSWER)), replays=replays) as world:
            calls = iter(range(100))

            def fails(operation: str, request: dict[str, Any]) -> None:
                if next(calls) > 0:  # all but the claim
                    raise ConnectionError

            client.before = fails
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("weir.runtime.aws.is_aws_error", lambda error: True)
                reply = await world.ask("/anthropic/v1/messages", MESSAGE, idempotency_key="k1")
            assert (reply.status, reply.body) == (200, ANSWER)
            assert len(world.records()) == 1

    run(test)
