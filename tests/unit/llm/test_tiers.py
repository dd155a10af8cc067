"""The tier that a request asks for, by which its price is found; what is none with a price is refused by name."""

from typing import Any, get_args

import pytest

from weir.llm import tiers
from weir.llm.models import Dialect
from weir.llm.tiers import STANDARD, Dearer, tier_of
from weir.usage.contract_prices import Tier

LATENCY, TIER = "x-amzn-bedrock-performanceconfig-latency", "x-amzn-bedrock-service-tier"
ASKED: list[tuple[Dialect, dict[str, Any], dict[str, str], str]] = [
    ("anthropic", {"speed": "fast"}, {}, "fast"),
    ("anthropic", {"inference_geo": "us"}, {}, "us"),
    ("openai", {"service_tier": "priority"}, {}, "priority"),
    ("openai", {"service_tier": "fast"}, {}, "fast"),
    ("converse", {"serviceTier": {"type": "priority"}}, {}, "priority"),
    ("converse", {"performanceConfig": {"latency": "optimized"}}, {}, "optimized"),
    ("converse", {"additionalModelRequestFields": {"speed": "fast"}}, {}, "fast"),
    ("invoke", {"speed": "fast"}, {}, "fast"),
    ("invoke", {"service_tier": "priority"}, {}, "priority"),
    ("invoke", {}, {TIER: "priority"}, "priority"),
    ("invoke", {}, {LATENCY: "optimized", TIER: "default"}, "optimized"),
]


@pytest.mark.parametrize(("dialect", "body", "headers", "tier"), ASKED)
def test_what_costs_more_is_a_tier_of_its_own(
    dialect: Dialect, body: dict[str, Any], headers: dict[str, str], tier: str
) -> None:
    assert tier_of(dialect, body, headers) == tier


def test_every_tier_that_can_be_asked_for_can_have_a_price() -> None:
    fields = [*tiers._HEADERS.values(), *(one for by_path in tiers._FIELDS.values() for one in by_path.values())]
    dearer = {name for values in fields for name in values.dearer}
    assert set(get_args(Tier)) == {STANDARD, "batch"} | dearer


@pytest.mark.parametrize(
    ("dialect", "body", "headers", "field"),
    [
        ("anthropic", {"inference_geo": "eu"}, {}, "inference_geo"),
        ("anthropic", {"service_tier": "priority"}, {}, "service_tier"),
        ("anthropic", {"speed": "fast", "inference_geo": "us"}, {}, "inference_geo"),
        ("openai", {"service_tier": ["priority"]}, {}, "service_tier"),
        ("openai", {"service_tier": "batch"}, {}, "service_tier"),
        ("converse", {"serviceTier": {"type": "reserved"}}, {}, "serviceTier.type"),
        ("invoke", {}, {LATENCY: "standard, optimized"}, LATENCY),
        ("invoke", {"speed": "fast"}, {TIER: "priority"}, TIER),
    ],
)
def test_what_is_no_tier_with_a_price_or_two_at_once_is_refused_by_name(
    dialect: Dialect, body: dict[str, Any], headers: dict[str, str], field: str
) -> None:
    with pytest.raises(Dearer) as refused:
        tier_of(dialect, body, headers)
    assert refused.value.status == 400
    assert refused.value.errors[0].field == field


@pytest.mark.parametrize(
    ("dialect", "body", "headers"),
    [
        ("anthropic", {"speed": "standard", "inference_geo": "global", "service_tier": "auto"}, {}),
        ("anthropic", {"speed": None, "service_tier": "standard_only"}, {TIER: "priority"}),
        ("openai", {"service_tier": "flex"}, {}),
        ("openai", {"service_tier": "auto", "speed": "fast"}, {}),
        ("converse", {"serviceTier": {"type": "flex"}, "performanceConfig": {"latency": "standard"}}, {}),
        ("converse", {"serviceTier": "no object", "performanceConfig": None}, {}),
        ("invoke", {}, {TIER: "default", LATENCY: "standard"}),
    ],
)
def test_what_costs_no_more_is_of_the_standard_tier(
    dialect: Dialect, body: dict[str, Any], headers: dict[str, str]
) -> None:
    assert tier_of(dialect, body, headers) == STANDARD
