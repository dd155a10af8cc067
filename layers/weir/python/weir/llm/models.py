"""What the gateway knows of models: what a call used, where a model's name leads, and who may use it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Dialect = Literal["anthropic", "openai", "converse", "invoke", "gemini"]
"""The wire format of a request and its answer. ``invoke`` is Bedrock's InvokeModel: the model's own format."""

ProviderKind = Literal["bedrock", "anthropic", "openai", "gemini"]
"""How a provider is spoken to. ``openai`` is anything compatible: OpenAI, DeepSeek, Ollama, vLLM, a custom address."""

CacheWrite = Literal["", "5m", "1h"]
"""The longest that a call asks its input to be cached for; empty for not at all."""


MODEL = r"^[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,255}$"
"""A name that callers use for a model, or a provider's id of it: profiles and ARNs included."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a call used, in tokens. ``input`` leaves out what was read from or written to a cache.

    ``estimated`` says that the provider did not tell it to its end, and that it was reckoned from what was seen.
    """

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    estimated: bool = False

    @property
    def total(self) -> int:
        """All of them: what a cap on tokens counts."""
        return self.input + self.output + self.cache_read + self.cache_write_5m + self.cache_write_1h


@dataclass(frozen=True, slots=True)
class Bound:
    """How much a call can use at most, and how much it is likely to use: known before it is made.

    ``input`` is an upper bound of the input tokens, caches included; ``output`` of the output tokens (``max_tokens``
    times the choices asked for; None where neither the caller nor the route sets a limit). ``cache_write`` tells what
    its input can cost at most: writing to a cache costs more than reading anew. ``fee`` names a tool of the provider's
    that is charged by its use, beside tokens; empty where there is none.
    """

    input: int
    output: int | None
    likely_input: int
    likely_output: int
    cache_write: CacheWrite = "1h"
    fee: str = ""


@dataclass(frozen=True, slots=True)
class Provider:
    """Where models are served.

    ``address`` is the base URL (empty for the provider's own, or Bedrock's of ``region``). ``secret_arn`` names the
    secret that holds its key, empty where none is needed. ``private_networks`` are the CIDR ranges beside the public
    internet that its address may resolve to; metadata addresses never.
    """

    name: str
    kind: ProviderKind
    address: str = ""
    region: str = ""
    secret_arn: str = ""
    private_networks: tuple[str, ...] = ()
    timeout_seconds: int = 600
    enabled: bool = True
    revision: int = 1


@dataclass(frozen=True, slots=True)
class Target:
    """A provider's model, by the provider's own id, passed on as it is."""

    provider: str
    model: str


@dataclass(frozen=True, slots=True)
class Route:
    """Where a model's name leads: its targets in the order in which they are tried.

    ``model`` is the name that callers use, or its beginning where it ends in ``*`` (then a target's model may be ``*``:
    the name as it came). Whoever is in none of ``groups``, ``roles`` and ``keys`` does not see it; all empty is
    everybody. ``max_output`` bounds what a call may produce where the caller sets no limit.
    """

    model: str
    targets: tuple[Target, ...]
    groups: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    max_output: int | None = None
    enabled: bool = True
    revision: int = 1
