"""The official anthropic client, unmodified: its base URL and key are all that it is told."""

from collections.abc import Iterator

import anthropic
import pytest

from tests.e2e import ledger
from tests.e2e.conftest import Gateway
from tests.e2e.upstream_answers import CACHE_READ, INPUT, OUTPUT, TOOL_INPUT, WORDS

TEXT = "".join(WORDS)
ASKED = [{"role": "user", "content": "How is the weather?"}]
TOOL = {
    "name": "weather",
    "description": "The weather",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
}
every_provider = pytest.mark.parametrize("kind", ["an", "oa", "ge", "be"])


@pytest.fixture
def client(gateway: Gateway) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=f"{gateway.url}/anthropic", api_key=gateway.key, max_retries=0) as made:
        yield made


@every_provider
def test_a_message(gateway: Gateway, client: anthropic.Anthropic, kind: str) -> None:
    model = gateway.model(kind, "ok")

    said, record, bills = gateway.charged(
        model, lambda: client.messages.create(model=model, max_tokens=50, messages=ASKED)
    )

    assert said.content[0].text == TEXT
    assert (said.stop_reason, said.usage.input_tokens, said.usage.output_tokens) == ("end_turn", INPUT, OUTPUT)
    ledger.check(record, bills, model=model, dialect="anthropic", user=gateway.user, key=gateway.key_id, stream=False)


@every_provider
def test_a_streamed_message(gateway: Gateway, client: anthropic.Anthropic, kind: str) -> None:
    model = gateway.model(kind, "ok")

    def stream() -> anthropic.types.Message:
        with client.messages.stream(model=model, max_tokens=50, messages=ASKED) as events:
            assert "".join(events.text_stream) == TEXT
            return events.get_final_message()

    said, record, bills = gateway.charged(model, stream)

    assert (said.stop_reason, said.usage.output_tokens) == ("end_turn", OUTPUT)
    ledger.check(record, bills, stream=True, cut=False)
    assert record["first_token_milliseconds"] <= record["milliseconds"]


@every_provider
@pytest.mark.parametrize("streams", [False, True])
def test_a_tool_is_asked_for(gateway: Gateway, client: anthropic.Anthropic, kind: str, streams: bool) -> None:
    model = gateway.model(kind, "tools")
    asked = {"model": model, "max_tokens": 50, "messages": ASKED, "tools": [TOOL]}

    def ask() -> anthropic.types.Message:
        if not streams:
            return client.messages.create(**asked)
        with client.messages.stream(**asked) as events:
            return events.get_final_message()

    said, record, bills = gateway.charged(model, ask)

    (used,) = [block for block in said.content if block.type == "tool_use"]
    assert (used.name, used.input, said.stop_reason) == ("weather", TOOL_INPUT, "tool_use")
    ledger.check(record, bills)


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("kind", ["an", "be"])
def test_caches_are_told_and_priced_apart(
    gateway: Gateway, client: anthropic.Anthropic, kind: str, streams: bool
) -> None:
    model = gateway.model(kind, "cached")
    asked = {"model": model, "max_tokens": 50, "messages": ASKED}

    def ask() -> anthropic.types.Message:
        if not streams:
            return client.messages.create(**asked)
        with client.messages.stream(**asked) as events:
            return events.get_final_message()

    said, record, bills = gateway.charged(model, ask)

    assert said.usage.cache_read_input_tokens == CACHE_READ
    ledger.check(record, bills)


def test_what_is_not_understood_passes_in_the_same_dialect(gateway: Gateway, client: anthropic.Anthropic) -> None:
    model = gateway.model("an", "ok")
    system = [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral", "ttl": "1h"}}]

    gateway.charged(
        model,
        lambda: client.messages.create(
            model=model,
            max_tokens=50,
            messages=ASKED,
            system=system,
            extra_body={"brand_new": {"a": [1]}},
            extra_headers={"anthropic-beta": "new-2026-01-01"},
        ),
    )

    sent = gateway.upstream.requests[-1]
    assert (sent["body"]["system"], sent["body"]["brand_new"], sent["body"]["model"]) == (system, {"a": [1]}, "ok")
    headers = {name.lower(): value for name, value in sent["headers"].items()}
    assert headers["anthropic-beta"] == "new-2026-01-01"
    assert headers["x-api-key"] == f"upstream-{gateway.run}"
    assert gateway.key not in str(sent)


def test_what_is_not_understood_is_a_clear_400_across_dialects(gateway: Gateway, client: anthropic.Anthropic) -> None:
    before = len(gateway.upstream.requests)

    with pytest.raises(anthropic.BadRequestError, match="brand_new"):
        client.messages.create(
            model=gateway.model("oa", "ok"), max_tokens=50, messages=ASKED, extra_body={"brand_new": 1}
        )

    assert len(gateway.upstream.requests) == before


@pytest.mark.parametrize("kind", ["an", "oa"])
@pytest.mark.parametrize(
    ("does", "raised"),
    [
        ("e400", anthropic.BadRequestError),
        ("e404", anthropic.NotFoundError),
        ("e429", anthropic.RateLimitError),
        ("e500", anthropic.InternalServerError),
        ("e529", anthropic.InternalServerError),
        ("garbage", anthropic.InternalServerError),
    ],
)
def test_a_provider_that_fails_is_told_as_anthropic_tells_it(
    gateway: Gateway, client: anthropic.Anthropic, kind: str, does: str, raised: type[anthropic.APIStatusError]
) -> None:
    model = gateway.model(kind, does)

    def ask() -> anthropic.APIStatusError:
        with pytest.raises(raised) as failed:
            client.messages.create(model=model, max_tokens=50, messages=ASKED)
        return failed.value

    failed, record, bills = gateway.charged(model, ask)

    assert failed.body["type"] == "error"
    assert failed.body["error"]["type"].endswith("_error")
    assert record["status"] == failed.status_code
    if does != "garbage":
        assert (bills, record["cost"] in {"0", "0.00"}, record["output"]) == ([], True, 0)


def test_a_stream_that_dies_is_told_and_what_came_is_charged(gateway: Gateway, client: anthropic.Anthropic) -> None:
    model = gateway.model("an", "dies")

    def ask() -> None:
        with (
            pytest.raises(anthropic.APIError),
            client.messages.stream(model=model, max_tokens=50, messages=ASKED) as events,
        ):
            events.get_final_message()

    _, record, _ = gateway.charged(model, ask)

    assert (record["estimated"], record["input"]) == (True, INPUT)
    assert 0 < record["output"] <= 50


def test_a_client_that_leaves_is_charged_what_the_provider_bills(gateway: Gateway, client: anthropic.Anthropic) -> None:
    model = gateway.model("an", "slow")

    with client.messages.stream(model=model, max_tokens=50, messages=ASKED) as events:
        next(iter(events))

    record = gateway.settled(model)
    ledger.check(record, gateway.upstream.bills[-1:], stream=True)


def test_tokens_are_counted_and_models_listed(gateway: Gateway, client: anthropic.Anthropic) -> None:
    model = gateway.model("an", "ok")

    assert client.messages.count_tokens(model=model, messages=ASKED).input_tokens == INPUT
    assert model in [one.id for one in client.models.list()]


def test_a_wrong_key_is_told(gateway: Gateway) -> None:
    client = anthropic.Anthropic(base_url=f"{gateway.url}/anthropic", api_key="nonsense", max_retries=0)

    with pytest.raises(anthropic.AuthenticationError):
        client.messages.create(model=gateway.model("an", "ok"), max_tokens=50, messages=ASKED)
