"""What a caller can ask a provider for at more than the standard price: to be served sooner, or in one country.

A call at several times of the price that is kept would be written down for less than it costs, and pass a cap that must
hold. So a dearer tier is let through where an admin has told its price (`weir.usage.metering`), and is set aside and
charged by that; else it is refused. Cheaper tiers pass, and are charged as the standard one.

- Anthropic: https://platform.claude.com/docs/en/build-with-claude/fast-mode and
  https://platform.claude.com/docs/en/about-claude/pricing#data-residency-pricing
- OpenAI: https://developers.openai.com/api/docs/guides/priority-processing
- Bedrock: https://docs.aws.amazon.com/bedrock/latest/userguide/service-tiers-inference.html and
  https://docs.aws.amazon.com/bedrock/latest/userguide/latency-optimized-inference.html
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from weir.llm.models import Dialect
from weir.runtime.errors import BadRequest, FieldError

STANDARD = "standard"
"""The tier whose price holds for all that is not dearer."""

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Values:
    """Of a field: what costs no more than the standard tier, and what is a dearer one, by its own name."""

    standard: tuple[str, ...]
    dearer: tuple[str, ...]


Fields = Mapping[Path, _Values]

_ANTHROPIC: Fields = {
    ("speed",): _Values(("standard",), ("fast",)),
    ("inference_geo",): _Values(("global",), ("us",)),
    ("service_tier",): _Values(("auto", "standard_only"), ()),
}
_OPENAI: Fields = {("service_tier",): _Values(("auto", "default", "flex", "standard_only"), ("priority", "fast"))}
_TIER, _LATENCY = _Values(("default", "flex"), ("priority",)), _Values(("standard",), ("optimized",))
_FIELDS: Mapping[Dialect, Fields] = {
    "anthropic": _ANTHROPIC,
    "openai": _OPENAI,
    "converse": {
        ("serviceTier", "type"): _TIER,
        ("performanceConfig", "latency"): _LATENCY,
        **{("additionalModelRequestFields", *path): values for path, values in {**_ANTHROPIC, **_OPENAI}.items()},
    },
    "invoke": {**_ANTHROPIC, **_OPENAI},
    "gemini": {},
}
_HEADERS = {"x-amzn-bedrock-service-tier": _TIER, "x-amzn-bedrock-performanceconfig-latency": _LATENCY}


class Dearer(BadRequest):
    """A request that would cost more than the price that is kept."""

    slug, title = "dearer", "Dearer than the price that is kept"


def tier_of(dialect: Dialect, body: Mapping[str, Any], headers: Mapping[str, str]) -> str:
    """The tier whose price a call is charged by: ``standard``, or the name of the dearer one that it asks for.

    Parameters
    ----------
    headers
        By names in lower case; of InvokeModel two of them count.

    Raises
    ------
    Dearer
        It asks for what is no tier with a price of its own, or for two of them at once.
    """
    asked = [one for one in _asked(dialect, body, headers) if one[1] not in one[2].standard]
    if not asked:
        return STANDARD
    field, value, values = asked[-1]
    if value not in values.dearer:
        raise _dearer(field, f"{value!r:.40} costs more than the standard tier, or is not known")
    if len(asked) > 1:
        raise _dearer(field, f"{value!r:.40} costs more than the standard tier, and so does {asked[0][0]} beside it")
    return str(value)


def unpriced(tier: str, model: str) -> Dearer:
    """The refusal of a dearer tier whose price nobody has told."""
    return Dearer(
        f"The tier {tier} costs more than the price that is kept of {model[:128]!r}, that of the standard tier. "
        f"An admin can let it through by adding its price: POST /models/prices, with the tier {tier}."
    )


def _asked(
    dialect: Dialect, body: Mapping[str, Any], headers: Mapping[str, str]
) -> Iterator[tuple[str, object, _Values]]:
    """The fields and headers of tiers that a request has."""
    for path, values in _FIELDS[dialect].items():
        value: object = body
        for name in path:
            value = value.get(name) if isinstance(value, Mapping) else None
        if value is not None:
            yield ".".join(path), value, values
    if dialect == "invoke":
        yield from ((name, headers[name], values) for name, values in _HEADERS.items() if name in headers)


def _dearer(field: str, why: str) -> Dearer:
    return Dearer(f"{field}: {why}", errors=(FieldError(field, why),))
