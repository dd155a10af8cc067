"""What costs more than the price that is kept is refused by name."""

from typing import Any

import pytest

from weir.llm.models import Dialect
from weir.llm.tiers import Dearer, refuse_dearer

LATENCY, TIER = "x-amzn-bedrock-performanceconfig-latency", "x-amzn-bedrock-service-tier"
DEARER: list[tuple[Dialect, dict[str, Any], dict[str, str], str]] = [
    ("anthropic", {"speed": "fast"}, {}, "speed"),
    ("anthropic", {"inference_geo": "us"}, {}, "inference_geo"),
    ("openai", {"service_tier": "priority"}, {}, "service_tier"),
    ("openai", {"service_tier": "fast"}, {}, "service_tier"),
    ("openai", {"service_tier": ["priority"]}, {}, "service_tier"),
    ("converse", {"serviceTier": {"type": "priority"}}, {}, "serviceTier.type"),
    ("converse", {"performanceConfig": {"latency": "optimized"}}, {}, "performanceConfig.latency"),
    ("converse", {"additionalModelRequestFields": {"speed": "fast"}}, {}, "additionalModelRequestFields.speed"),
    ("invoke", {"speed": "fast"}, {}, "speed"),
    ("invoke", {"service_tier": "priority"}, {}, "service_tier"),
    ("invoke", {}, {TIER: "priority"}, TIER),
    ("invoke", {}, {LATENCY: "optimized"}, LATENCY),
    ("invoke", {}, {LATENCY: "standard, optimized"}, LATENCY),
]


@pytest.mark.parametrize(("dialect", "body", "headers", "field"), DEARER)
def test_what_costs_more_is_refused_by_name(
    dialect: Dialect, body: dict[str, Any], headers: dict[str, str], field: str
) -> None:
    with pytest.raises(Dearer) as refused:
        refuse_dearer(dialect, body, headers)
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
def test_what_costs_no_more_passes(dialect: Dialect, body: dict[str, Any], headers: dict[str, str]) -> None:
    refuse_dearer(dialect, body, headers)
