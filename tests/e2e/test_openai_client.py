"""The official openai client, unmodified: its base URL and key are all that it is told."""

import json
from collections.abc import Iterator

import openai
import pytest

from tests.e2e import ledger
from tests.e2e.conftest import Gateway
from tests.e2e.upstream_answers import CACHE_READ, INPUT, OUTPUT, TOOL_INPUT, WORDS
from tests.integration.conftest import a_key

TEXT = "".join(WORDS)
ASKED = [{"role": "user", "content": "How is the weather?"}]
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}}
TOOL = {"type": "function", "function": {"name": "weather", "description": "The weather", "parameters": PARAMETERS}}
every_provider = pytest.mark.parametrize("kind", ["an", "oa", "ge", "be"])


@pytest.fixture
def client(gateway: Gateway) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{gateway.url}/openai/v1", api_key=gateway.key, max_retries=0) as made:
        yield made


@every_provider
def test_a_completion(gateway: Gateway, client: openai.OpenAI, kind: str) -> None:
    model = gateway.model(kind, "ok")

    said, record, bills = gateway.charged(
        model, lambda: client.chat.completions.create(model=model, max_tokens=50, messages=ASKED)
    )

    assert (said.choices[0].message.content, said.choices[0].finish_reason) == (TEXT, "stop")
    assert said.usage is not None
    assert (said.usage.prompt_tokens, said.usage.completion_tokens) == (INPUT, OUTPUT)
    ledger.check(record, bills, dialect="openai", user=gateway.user)


@every_provider
@pytest.mark.parametrize("told", [False, True])
def test_a_streamed_completion(gateway: Gateway, client: openai.OpenAI, kind: str, told: bool) -> None:
    model = gateway.model(kind, "ok")
    options = {"stream_options": {"include_usage": True}} if told else {}

    def stream() -> list[openai.types.chat.ChatCompletionChunk]:
        return list(client.chat.completions.create(model=model, max_tokens=50, messages=ASKED, stream=True, **options))

    chunks, record, bills = gateway.charged(model, stream)

    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == TEXT
    assert [chunk.usage.completion_tokens for chunk in chunks if chunk.usage] == ([OUTPUT] if told else [])
    assert all(chunk.choices for chunk in chunks) != told
    ledger.check(record, bills, stream=True, cut=False)


@every_provider
@pytest.mark.parametrize("streams", [False, True])
def test_a_tool_is_asked_for(gateway: Gateway, client: openai.OpenAI, kind: str, streams: bool) -> None:
    model = gateway.model(kind, "tools")
    asked = {"model": model, "max_tokens": 50, "messages": ASKED, "tools": [TOOL]}

    def ask() -> tuple[str, str, str]:
        if not streams:
            choice = client.chat.completions.create(**asked).choices[0]
            called = choice.message.tool_calls[0].function
            return called.name, called.arguments, choice.finish_reason
        name = arguments = reason = ""
        for chunk in client.chat.completions.create(**asked, stream=True):
            for choice in chunk.choices:
                reason = choice.finish_reason or reason
                for call in choice.delta.tool_calls or ():
                    name, arguments = call.function.name or name, arguments + (call.function.arguments or "")
        return name, arguments, reason

    (name, arguments, reason), record, bills = gateway.charged(model, ask)

    assert (name, json.loads(arguments), reason) == ("weather", TOOL_INPUT, "tool_calls")
    ledger.check(record, bills)


def test_a_tool_s_answer_goes_back(gateway: Gateway, client: openai.OpenAI) -> None:
    model = gateway.model("an", "ok")
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": json.dumps(TOOL_INPUT)}}
    messages = [
        {"role": "system", "content": "Be brief."},
        *ASKED,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "Sunny."},
    ]

    gateway.charged(
        model,
        lambda: client.chat.completions.create(model=model, max_tokens=50, messages=messages, tools=[TOOL]),
    )

    sent = gateway.upstream.requests[-1]["body"]
    assert sent["messages"][-1]["content"][0]["type"] == "tool_result"
    assert sent["messages"][-2]["content"][0]["input"] == TOOL_INPUT
    assert "Be brief." in json.dumps(sent["system"])


def test_caches_are_told_and_priced_apart(gateway: Gateway, client: openai.OpenAI) -> None:
    model = gateway.model("oa", "cached")

    said, record, _ = gateway.charged(
        model, lambda: client.chat.completions.create(model=model, max_tokens=50, messages=ASKED)
    )

    assert said.usage is not None
    assert said.usage.prompt_tokens_details is not None
    assert said.usage.prompt_tokens_details.cached_tokens == CACHE_READ
    assert (record["input"], record["cache_read"]) == (INPUT, CACHE_READ)


def test_embeddings(gateway: Gateway, client: openai.OpenAI) -> None:
    model = gateway.model("oa", "ok")

    said, record, bills = gateway.charged(
        model, lambda: client.embeddings.create(model=model, input=["a", "b"], encoding_format="float")
    )

    assert [len(one.embedding) for one in said.data] == [2, 2]
    ledger.check(record, bills)


@pytest.mark.parametrize(
    ("does", "raised"),
    [
        ("e400", openai.BadRequestError),
        ("e404", openai.NotFoundError),
        ("e429", openai.RateLimitError),
        ("e500", openai.InternalServerError),
        ("garbage", openai.InternalServerError),
    ],
)
@pytest.mark.parametrize("kind", ["oa", "be"])
def test_a_provider_that_fails_is_told_as_openai_tells_it(
    gateway: Gateway, client: openai.OpenAI, kind: str, does: str, raised: type[openai.APIStatusError]
) -> None:
    model = gateway.model(kind, does)

    def ask() -> openai.APIStatusError:
        with pytest.raises(raised) as failed:
            client.chat.completions.create(model=model, max_tokens=50, messages=ASKED)
        return failed.value

    failed, record, _ = gateway.charged(model, ask)

    assert {"message", "type"} <= set(failed.body)
    assert record["status"] == failed.status_code


def test_a_cap_that_is_reached_is_told_and_nothing_is_sent_on(gateway: Gateway) -> None:
    # Given a key that may make no call this month
    key = a_key(gateway.member, scopes=["models:invoke"])
    cap = {"subject": {"kind": "key", "id": key["key_id"]}, "window": "month", "measure": "requests", "limit": 0}
    made = gateway.api("POST", "/usage/caps", cap)
    assert made.status_code == 201, made.text
    before = len(gateway.upstream.requests)

    # When it makes one, Then it is refused in words that a program and a person can act on
    with (
        openai.OpenAI(base_url=f"{gateway.url}/openai/v1", api_key=key["secret"]) as client,
        pytest.raises(openai.RateLimitError) as refused,
    ):
        client.chat.completions.create(model=gateway.model("oa", "ok"), max_tokens=50, messages=ASKED)
    assert int(refused.value.response.headers["retry-after"]) > 0
    assert refused.value.response.headers["x-should-retry"] == "false"
    assert "0 requests a month" in str(refused.value)
    assert len(gateway.upstream.requests) == before

    gone = gateway.api("DELETE", f"/usage/caps/{made.json()['cap_id']}", **{"If-Match": "*"})
    assert gone.status_code == 204, gone.text


def test_models_are_listed(gateway: Gateway, client: openai.OpenAI) -> None:
    assert gateway.model("oa", "ok") in [one.id for one in client.models.list()]


def test_the_same_key_again_answers_from_the_record_and_costs_nothing(gateway: Gateway, client: openai.OpenAI) -> None:
    model = gateway.model("oa", "ok")
    headers = {"Idempotency-Key": f"once-{gateway.run}"}

    def ask() -> str:
        said = client.chat.completions.create(model=model, max_tokens=50, messages=ASKED, extra_headers=headers)
        return said.model_dump_json()

    first, _, bills = gateway.charged(model, ask)
    asked = len(gateway.upstream.requests)

    assert ask() == first
    assert (len(bills), len(gateway.records(model)), len(gateway.upstream.requests)) == (1, gateway.seen[model], asked)
