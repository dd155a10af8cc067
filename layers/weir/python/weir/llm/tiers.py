"""What a caller can ask a provider for at more than the price that is kept: to be served sooner, or in one country.

Prices are those of the standard tier (`weir.usage.prices`). A call at several times of that would be written down for
less than it costs, and pass a cap that must hold. Cheaper tiers pass, and are charged as the standard one.

- Anthropic: https://platform.claude.com/docs/en/build-with-claude/fast-mode and
  https://platform.claude.com/docs/en/about-claude/pricing#data-residency-pricing
- OpenAI: https://developers.openai.com/api/docs/guides/priority-processing
- Bedrock: https://docs.aws.amazon.com/bedrock/latest/userguide/service-tiers-inference.html and
  https://docs.aws.amazon.com/bedrock/latest/userguide/latency-optimized-inference.html
"""

from collections.abc import Mapping
from typing import Any

from weir.llm.models import Dialect
from weir.runtime.errors import BadRequest, FieldError

Path = tuple[str, ...]
Allowed = Mapping[Path, tuple[str, ...]]

_ANTHROPIC: Allowed = {("speed",): ("standard",), ("inference_geo",): ("global",)}
_OPENAI: Allowed = {("service_tier",): ("auto", "default", "flex", "standard_only")}
_TIERS = ("default", "flex")
_FIELDS: Mapping[Dialect, Allowed] = {
    "anthropic": _ANTHROPIC,
    "openai": _OPENAI,
    "converse": {
        ("serviceTier", "type"): _TIERS,
        ("performanceConfig", "latency"): ("standard",),
        **{("additionalModelRequestFields", *path): allowed for path, allowed in {**_ANTHROPIC, **_OPENAI}.items()},
    },
    "invoke": {**_ANTHROPIC, **_OPENAI},
    "gemini": {},
}
_HEADERS = {"x-amzn-bedrock-service-tier": _TIERS, "x-amzn-bedrock-performanceconfig-latency": ("standard",)}


class Dearer(BadRequest):
    """A request that would cost more than the price that is kept."""

    slug, title = "dearer", "Dearer than the price that is kept"


def refuse_dearer(dialect: Dialect, body: Mapping[str, Any], headers: Mapping[str, str]) -> None:
    """Let a request pass that costs what its model's price says.

    Parameters
    ----------
    headers
        By names in lower case; of InvokeModel two of them count.

    Raises
    ------
    Dearer
        It would cost more.
    """
    for path, allowed in _FIELDS[dialect].items():
        value: object = body
        for name in path:
            value = value.get(name) if isinstance(value, Mapping) else None
        if value is not None and value not in allowed:
            raise _dearer(".".join(path), value)
    if dialect == "invoke":
        for name, allowed in _HEADERS.items():
            if headers.get(name, allowed[0]) not in allowed:
                raise _dearer(name, headers[name])


def _dearer(field: str, value: object) -> Dearer:
    why = f"{value!r:.40} costs more than the price that is kept, which is that of the standard tier"
    return Dearer(f"{field}: {why}", errors=(FieldError(field, why),))
