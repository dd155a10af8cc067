"""What the routes of providers and of routes to models take and answer."""

from typing import Annotated, Self
from urllib.parse import quote, unquote

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from weir.llm.models import MODEL, Provider, ProviderKind, Route, Target
from weir.runtime.fields import wrong

PROVIDER = r"^[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?$"
ROUTE = r"^(?:\*|[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,255}\*?)$"
IN_A_PATH = r"^[A-Za-z0-9._:@+*~%-]{1,800}$"
"""A route's name in a path, as REST APIs hand it on: its slashes as ~1, for they hand on a %2F as one."""

MOST_TARGETS = 10
MOST_ALLOWED = 100
MOST_OUTPUT = 10_000_000


def _set(texts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(set(texts)))


Key = Annotated[
    str,
    Field(
        max_length=8_192,
        pattern=r"^[\x21-\x7e]*$",
        description="The provider's own key. It can be written, and is told to nobody",
        json_schema_extra={"writeOnly": True},
    ),
]
Named = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,63}$")]
Allowed = Annotated[tuple[Named, ...], Field(max_length=MOST_ALLOWED), AfterValidator(_set)]


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _View(BaseModel):
    model_config = ConfigDict(frozen=True)


class ProviderChange(_Body):
    """All of a provider but its name. A stored key stays where ``key`` is left out; an empty one takes it away."""

    kind: ProviderKind = Field(description="openai is anything compatible: DeepSeek, Ollama, vLLM, an own address")
    address: Annotated[
        str, Field(max_length=512, description="Base URL, by https; empty for the provider's own, or Bedrock's")
    ] = ""
    region: Annotated[
        str, Field(pattern=r"^[a-z0-9-]{0,32}$", description="Of Bedrock; empty for the gateway's own")
    ] = ""
    key: Key | None = None
    private_networks: Annotated[
        tuple[Annotated[str, Field(max_length=64)], ...],
        Field(max_length=20, description="CIDR ranges, private ones, that the address may lead to"),
    ] = ()
    timeout_seconds: Annotated[int, Field(strict=True, ge=1, le=900, description="Of a whole call")] = 600
    enabled: bool = True

    def provider(self, name: str = "") -> Provider:
        """As the rules take it, without the key."""
        return Provider(name=name, **self.model_dump(exclude={"key", "name"}))


class NewProvider(ProviderChange):
    """A provider to be added."""

    name: Annotated[str, Field(pattern=PROVIDER)]


class ProviderView(_View):
    """A provider. Of its key, whether there is one."""

    name: str
    kind: ProviderKind
    address: str
    region: str
    has_key: bool
    private_networks: tuple[str, ...]
    timeout_seconds: int
    enabled: bool


class ProviderPage(_View):
    """Providers, by name."""

    items: tuple[ProviderView, ...]
    cursor: str | None = Field(description="Where the next page begins; null on the last")


class TargetBody(_Body):
    """A model of a provider. ``*`` is the name as the caller gave it, for routes that end in ``*``."""

    provider: Annotated[str, Field(pattern=PROVIDER)]
    model: Annotated[str, Field(pattern=rf"{MODEL}|^\*$", description="The provider's own id of it")]


class RouteChange(_Body):
    """All of a route but its name."""

    targets: Annotated[
        tuple[TargetBody, ...],
        Field(min_length=1, max_length=MOST_TARGETS, description="In the order in which they are tried"),
    ]
    groups: Allowed = Field(default=(), description="Whose members may use it; with roles and keys empty, everybody")
    roles: Allowed = Field(default=(), description="Who may use it by a role")
    keys: Allowed = Field(default=(), description="Ids of the API keys that may use it")
    max_output: Annotated[
        int | None,
        Field(strict=True, ge=1, le=MOST_OUTPUT, description="Output tokens of a call that sets no limit itself"),
    ] = None
    enabled: bool = True

    @model_validator(mode="after")
    def _once_each(self) -> Self:
        if len(set(self.targets)) != len(self.targets):
            raise wrong("targets", "each may stand once")
        return self

    def route(self, model: str) -> Route:
        """As the rules take it."""
        targets = tuple(Target(one.provider, one.model) for one in self.targets)
        rest = self.model_dump(exclude={"targets", "model"})
        return Route(model=model, targets=targets, **rest)


class NewRoute(RouteChange):
    """A route to be added."""

    model: Annotated[
        str,
        Field(pattern=ROUTE, description="The name that callers use, or its beginning and then *, such as claude-*"),
    ]


class RouteView(_View):
    """A route."""

    model: str
    targets: tuple[TargetBody, ...]
    groups: tuple[str, ...]
    roles: tuple[str, ...]
    keys: tuple[str, ...]
    max_output: int | None
    enabled: bool


class RoutePage(_View):
    """Routes, by model."""

    items: tuple[RouteView, ...]
    cursor: str | None = Field(description="Where the next page begins; null on the last")


def provider_view(provider: Provider) -> ProviderView:
    """A provider as answered."""
    names = set(ProviderView.model_fields) - {"has_key"}
    return ProviderView(**{name: getattr(provider, name) for name in names}, has_key=bool(provider.secret_arn))


def route_view(route: Route) -> RouteView:
    """A route as answered."""
    targets = tuple(TargetBody(provider=one.provider, model=one.model) for one in route.targets)
    names = set(RouteView.model_fields) - {"targets"}
    return RouteView(**{name: getattr(route, name) for name in names}, targets=targets)


def in_a_path(model: str) -> str:
    """A route's name as part of a path."""
    return quote(model.replace("/", "~1"), safe="~")


def of_a_path(text: str) -> str:
    """The route's name that is part of a path."""
    return unquote(text).replace("~1", "/")
