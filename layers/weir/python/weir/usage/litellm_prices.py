"""Prices from LiteLLM's ``model_prices_and_context_window.json``, all or nothing: US dollars for a token, by model.

https://github.com/BerriAI/litellm/blob/main/model_prices_and_context_window.schema.json

``litellm_provider`` becomes the name of one of Weir's providers, or the kind of one: ``bedrock_converse`` is
``bedrock``, what serves OpenAI's own models ``openai``. The provider's name before a model's
(``gemini/gemini-2.5-pro``) is left out, and a region after Bedrock's (``bedrock/eu-west-1/...``) is the price's region.

What is not sold by the token (images, minutes, throughput by the month) has no price here and is left out; so is what
the file says is free, for mostly it is not known there, and what has two prices under one name. What is left out is
told, by reason. Output is charged as reasoning is, where that costs more; tokens of sound are charged as others are.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from weir.runtime.errors import BadRequest, FieldError
from weir.usage.models import Price, Rates
from weir.usage.price_csv import MODEL, refused

SAMPLE = "sample_spec"
NO_MODELS = frozenset({SAMPLE, "fallback_generalizations"})

KINDS = {
    "bedrock_converse": "bedrock",
    "text-completion-openai": "openai",
    "vertex_ai-language-models": "vertex_ai",
}
PROVIDER = r"^[a-z0-9][a-z0-9_-]{0,63}$"

MODES = frozenset({"chat", "completion", "responses", "embedding", "rerank"})
"""What the gateway can pass on, or is sold by the token like that."""

TWO_PRICES = "two prices under one name"

_PICO_A_MILLION = 10**18
_LONG = re.compile(r"input_cost_per_token_above_([0-9]{1,5})k_tokens")
_BEDROCK_REGION = re.compile(r"bedrock(?:_converse)?/([a-z]{2}(?:-[a-z]+)+-[0-9])/([^/]+)")


@dataclass(slots=True)
class Read:
    """The prices of a file, and of what it has beside them: why it was left out, with the models' names."""

    prices: list[Price] = field(default_factory=list)
    left_out: dict[str, list[str]] = field(default_factory=dict)


class _LeftOut(Exception):
    """No error: the entry has no price for tokens."""


class _Wrong(ValueError):
    """An entry that can't be what it stands for."""


def read(text: str, since: datetime, providers: frozenset[str] = frozenset()) -> Read:
    """The prices of a file.

    Parameters
    ----------
    since
        From when they hold: the file does not tell.
    providers
        Take only those of these providers, by Weir's names; empty takes all.

    Raises
    ------
    BadRequest
        It is no JSON object.
    PricesRefused
        Something is wrong with it; ``errors`` name each model.
    """
    document = _document(text)
    told, errors = Read(), []
    found: dict[tuple[str, str, str, str], dict[Price, str]] = {}
    for name, entry in document.items():
        if name in NO_MODELS:
            continue
        try:
            for price in _prices(name, entry, since, providers):
                place = (price.provider, price.model, price.region, price.tier)
                found.setdefault(place, {}).setdefault(price, name[:256])
        except _LeftOut as why:
            told.left_out.setdefault(str(why), []).append(name[:256])
        except _Wrong as error:
            errors.append(FieldError(name[:256], str(error)))
    for prices in found.values():
        if len(prices) == 1:
            told.prices += prices
        else:
            told.left_out.setdefault(TWO_PRICES, []).extend(prices.values())
    if errors:
        raise refused(errors, f"{len(errors)} of its models can't be taken")
    if not told.prices:
        raise refused([FieldError("body", "no model has a price for its tokens")], "it holds none")
    return told


def _document(text: str) -> dict[str, Any]:
    try:
        document = json.loads(text, parse_float=Decimal, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise BadRequest("The body is no JSON.") from error
    if not isinstance(document, dict):
        raise BadRequest("The body is no JSON object of models by name.")
    return document


def _no_constant(text: str) -> Any:
    raise _Wrong(text)


def _prices(name: str, entry: Any, since: datetime, providers: frozenset[str]) -> Iterator[Price]:
    """The price of an entry, and that of its batches where it has one."""
    if not isinstance(entry, dict):
        raise _Wrong("is no object")
    if "alias_of" in entry:
        raise _LeftOut("another name of a model")
    told_by = entry.get("litellm_provider")
    if not isinstance(told_by, str) or not re.fullmatch(PROVIDER, KINDS.get(told_by, told_by)):
        raise _Wrong("litellm_provider is no name of a provider")
    provider = KINDS.get(told_by, told_by)
    if providers and provider not in providers:
        raise _LeftOut("of another provider")
    if entry.get("mode", "chat") not in MODES:
        raise _LeftOut("no chat, completion or embedding")
    rates = _rates(entry, "")
    if rates is None:
        raise _LeftOut("not sold by the token")
    if rates.input == rates.output == 0:
        raise _LeftOut("free, or not known")
    if entry.get("input_cost_per_request"):
        raise _LeftOut("charged by the call, too")
    model, region = _model(name, told_by, provider)
    long, long_above = _long(entry)
    common = {"price_id": "", "provider": provider, "model": model, "region": region, "since": since}
    bounds = {"long": long} | ({"long_above": long_above} if long else {})
    yield Price(**common, rates=rates, source="litellm", **bounds)  # type: ignore[arg-type]
    if (batch := _rates(entry, "_batches")) is not None:
        yield Price(**common, rates=batch, tier="batch", source="litellm")  # type: ignore[arg-type]


def _model(name: str, told_by: str, provider: str) -> tuple[str, str]:
    """The model's name as its provider has it, and the region where the entry is of one."""
    found = _BEDROCK_REGION.fullmatch(name)
    region, model = (found[1], found[2]) if found else ("", name)
    for before in (told_by, provider):
        model = model.removeprefix(f"{before}/")
    if provider == "bedrock" and "/" in model and not model.startswith("arn:"):
        raise _LeftOut("throughput by the month, or another route to Bedrock")
    if not re.fullmatch(MODEL, model):
        raise _LeftOut("a name that no model can have here")
    return model, region


def _long(entry: Mapping[str, Any]) -> tuple[Rates | None, int]:
    """The rates of long calls, and above how many tokens of input they hold."""
    bounds = sorted(int(found[1]) for name in entry if (found := _LONG.fullmatch(name)))
    if not bounds:
        return None, 0
    if len(bounds) > 1:
        raise _LeftOut("several rates for long calls")
    rates = _rates(entry, f"_above_{bounds[0]}k_tokens")
    if rates is None:
        raise _Wrong(f"has an input price above {bounds[0]}k tokens, and no output price")
    return rates, bounds[0] * 1_000


def _rates(entry: Mapping[str, Any], suffix: str) -> Rates | None:
    """The rates of a kind of calls; None where there are not both input and output. Embeddings have no output."""
    given = _rate(entry, f"input_cost_per_token{suffix}")
    made = _rate(entry, f"output_cost_per_token{suffix}")
    reasoned = _rate(entry, f"output_cost_per_reasoning_token{suffix}")
    if made is not None and reasoned is not None:
        made = max(made, reasoned)
    if entry.get("mode") in {"embedding", "rerank"} and made is None:
        made = 0
    if given is None or made is None:
        return None
    return Rates(
        input=given,
        output=made,
        cache_read=_rate(entry, f"cache_read_input_token_cost{suffix}"),
        cache_write_5m=_rate(entry, f"cache_creation_input_token_cost{suffix}"),
        cache_write_1h=_rate(entry, f"cache_creation_input_token_cost_above_1hr{suffix}"),
    )


def _rate(entry: Mapping[str, Any], name: str) -> int | None:
    """Dollars for a token as pico-dollars for a million, to the nearest: the file's numbers are rounded floats."""
    value = entry.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise _Wrong(f"{name} is no number")
    if not 0 <= value < 100:
        raise _Wrong(f"{name} is no price of a token")
    return int((Decimal(value) * _PICO_A_MILLION).to_integral_value(ROUND_HALF_EVEN))
