"""LiteLLM's JSON of prices: by provider, with long calls, caches and batches; what is left out is told."""

import json
from typing import Any

import pytest

from tests.unit.usage.priced import DOLLAR, NOON
from weir.runtime.errors import BadRequest
from weir.usage import litellm_prices
from weir.usage.litellm_prices import Read
from weir.usage.models import Price, Rates
from weir.usage.price_errors import PricesRefused

CENT = DOLLAR // 100
CHAT = {"input_cost_per_token": 1e-06, "output_cost_per_token": 2e-06, "mode": "chat"}
GPT = CHAT | {"litellm_provider": "openai"}
SONNET = {
    "litellm_provider": "anthropic",
    "mode": "chat",
    "input_cost_per_token": 3e-06,
    "output_cost_per_token": 1.5e-05,
    "cache_read_input_token_cost": 3e-07,
    "cache_creation_input_token_cost": 3.75e-06,
    "cache_creation_input_token_cost_above_1hr": 6e-06,
    "input_cost_per_token_above_200k_tokens": 6e-06,
    "output_cost_per_token_above_200k_tokens": 2.25e-05,
    "cache_read_input_token_cost_above_200k_tokens": 6e-07,
    "cache_creation_input_token_cost_above_200k_tokens": 7.5e-06,
    "cache_creation_input_token_cost_above_1hr_above_200k_tokens": 1.2e-05,
    "max_tokens": 64000,
    "supports_vision": True,
}


def read(models: Any, *providers: str) -> Read:
    return litellm_prices.read(json.dumps(models), NOON, frozenset(providers))


def test_all_rates_are_read_exactly() -> None:
    # Given a model with every rate, beside the file's own sample
    told = read({"sample_spec": {"input_cost_per_token": "words"}, "claude-sonnet": SONNET})
    # Then floats of the file are exact amounts of money
    assert told.prices == [
        Price(
            "",
            "anthropic",
            "claude-sonnet",
            NOON,
            Rates(3 * DOLLAR, 15 * DOLLAR, 30 * CENT, 375 * CENT, 6 * DOLLAR),
            long=Rates(6 * DOLLAR, 2250 * CENT, 60 * CENT, 750 * CENT, 12 * DOLLAR),
            long_above=200_000,
            source="litellm",
        )
    ]
    assert not told.left_out


@pytest.mark.parametrize(
    ("name", "provider", "expected"),
    [
        ("gpt-5", "openai", ("openai", "gpt-5", "")),
        ("ft:gpt-4o-mini:org::id", "openai", ("openai", "ft:gpt-4o-mini:org::id", "")),
        ("gpt-3.5-turbo-instruct", "text-completion-openai", ("openai", "gpt-3.5-turbo-instruct", "")),
        ("gemini/gemini-2.5-pro", "gemini", ("gemini", "gemini-2.5-pro", "")),
        ("deepseek/deepseek-chat", "deepseek", ("deepseek", "deepseek-chat", "")),
        ("openrouter/openai/gpt-5", "openrouter", ("openrouter", "openai/gpt-5", "")),
        ("amazon.nova-pro-v1:0", "bedrock_converse", ("bedrock", "amazon.nova-pro-v1:0", "")),
        ("us.anthropic.claude-v1:0", "bedrock_converse", ("bedrock", "us.anthropic.claude-v1:0", "")),
        ("bedrock/eu-west-1/cohere.x-v3", "bedrock", ("bedrock", "cohere.x-v3", "eu-west-1")),
        ("bedrock/us-gov-west-1/amazon.x", "bedrock", ("bedrock", "amazon.x", "us-gov-west-1")),
    ],
)
def test_providers_names_and_regions_are_told_apart(name: str, provider: str, expected: tuple[str, str, str]) -> None:
    (found,) = read({name: CHAT | {"litellm_provider": provider}}).prices
    assert (found.provider, found.model, found.region) == expected


def test_batches_have_a_price_of_their_own() -> None:
    both = {"input_cost_per_token_batches": 5e-07, "output_cost_per_token_batches": 1e-06}
    standard, batch = read({"gpt": GPT | both}).prices
    assert (standard.tier, batch.tier, batch.rates) == ("standard", "batch", Rates(50 * CENT, DOLLAR))


def test_embeddings_have_no_output() -> None:
    entry = {"litellm_provider": "openai", "mode": "embedding", "input_cost_per_token": 2e-08}
    assert read({"text-embedding-3-small": entry}).prices[0].rates == Rates(2 * CENT, 0)


def test_another_bound_of_long_calls_is_read() -> None:
    long = {"input_cost_per_token_above_272k_tokens": 2e-06, "output_cost_per_token_above_272k_tokens": 3e-06}
    (found,) = read({"gpt": GPT | long}).prices
    assert (found.long_above, found.long) == (272_000, Rates(2 * DOLLAR, 3 * DOLLAR))


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ({"litellm_provider": "openai", "mode": "image_generation", "output_cost_per_image": 0.04}, "no chat"),
        ({"litellm_provider": "openai", "mode": "chat"}, "not sold by the token"),
        (GPT | {"input_cost_per_token": 0, "output_cost_per_token": 0.0}, "free"),
        (CHAT | {"litellm_provider": "cohere"}, "another provider"),
        ({"alias_of": "gpt"}, "another name"),
        (GPT | {"input_cost_per_request": 0.01}, "by the call"),
        (
            GPT
            | {
                f"{name}_cost_per_token_above_{bound}k_tokens": 1e-5
                for name in ("input", "output")
                for bound in (128, 200)
            },
            "several rates",
        ),
    ],
)
def test_what_has_no_price_for_tokens_is_left_out_and_told(entry: dict[str, Any], why: str) -> None:
    told = read({"gpt": GPT, "other": entry}, "openai")
    assert [one.model for one in told.prices] == ["gpt"]
    ((reason, names),) = told.left_out.items()
    assert why in reason
    assert names == ["other"]


@pytest.mark.parametrize("name", ["bedrock/us-east-1/1-month-commitment/anthropic.claude", "a model\nof lines", ""])
def test_names_that_no_call_can_have_are_left_out(name: str) -> None:
    provider = {"litellm_provider": "bedrock"} if name.startswith("bedrock") else {}
    assert list(read({"gpt": GPT, name: GPT | provider}).left_out.values()) == [[name]]


@pytest.mark.parametrize(
    ("entry", "word"),
    [
        ([], "no object"),
        (CHAT, "litellm_provider"),
        (CHAT | {"litellm_provider": "a#b"}, "litellm_provider"),
        (GPT | {"input_cost_per_token": "1e-06"}, "no number"),
        (GPT | {"output_cost_per_token": True}, "no number"),
        (GPT | {"output_cost_per_token": -1e-06}, "no price"),
        (GPT | {"cache_read_input_token_cost": 1e300}, "no price"),
        (GPT | {"input_cost_per_token_above_200k_tokens": 1e-6}, "no output price"),
    ],
)
def test_what_is_wrong_is_told_by_model_and_nothing_is_taken(entry: Any, word: str) -> None:
    with pytest.raises(PricesRefused) as told:
        read({"gpt": GPT, "other": entry})
    ((where, message),) = told.value.errors
    assert where == "other"
    assert word in message


def test_one_model_under_two_names_is_taken_once_or_not_at_all() -> None:
    # Given a model under two names / When they agree / Then it has one price
    two = {"deepseek/chat": CHAT | {"litellm_provider": "deepseek"}, "chat": CHAT | {"litellm_provider": "deepseek"}}
    assert len(read(two | {"gpt": GPT}).prices) == 2
    # When they do not / Then nobody can say which it is
    two["chat"] |= {"output_cost_per_token": 9e-06}
    told = read(two | {"gpt": GPT})
    assert [one.model for one in told.prices] == ["gpt"]
    assert told.left_out == {litellm_prices.TWO_PRICES: ["deepseek/chat", "chat"]}


def test_reasoning_that_costs_more_is_charged_so() -> None:
    for reasoning, output in ((5e-06, 5), (1e-06, 2)):
        (found,) = read({"gpt": GPT | {"output_cost_per_reasoning_token": reasoning}}).prices
        assert found.rates.output == output * DOLLAR


@pytest.mark.parametrize("text", ["", "[]", "{", "1", '{"a": NaN}', "[" * 100_000])
def test_what_is_no_object_is_no_file_of_prices(text: str) -> None:
    with pytest.raises(BadRequest):
        litellm_prices.read(text, NOON)


def test_a_file_without_prices_is_refused() -> None:
    with pytest.raises(PricesRefused):
        read({})
