"""Where a model's name leads for a caller. The routes and providers are kept in the process for a while.

The most specific route decides, alone: the one of the very name, else the longest beginning (``claude-opus-*`` before
``claude-*``). Where it is switched off, or not for this caller, no wider one steps in: a model that was taken from
somebody can't be had by another of its routes.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from weir.llm.errors import ModelUnknown, NoProvider, ProviderNotFound
from weir.llm.models import MODEL, Provider, Route, Target

ANY = "*"
_NAME = re.compile(MODEL.removeprefix("^").removesuffix("$"))


class Caller(Protocol):
    """What an allow-list is held against: as verified by the gate."""

    @property
    def key(self) -> str:
        """The id of the API key; empty for a token."""

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups that the caller is in."""

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles that the caller has."""


class Source(Protocol):
    """All routes and providers; WeirError where they can't be read."""

    def routes(self) -> Sequence[Route]:
        """Every route."""

    def providers(self) -> Sequence[Provider]:
        """Every provider."""


@dataclass(frozen=True, slots=True)
class _Known:
    until: float
    exact: dict[str, Route]
    beginnings: tuple[tuple[str, Route], ...]  # the longest first
    providers: dict[str, Provider]


class Routing:
    """Resolves names.

    Parameters
    ----------
    source
        The table.
    monotonic
        Answers seconds.
    kept_seconds
        How long what was read holds: what an admin changes counts after that at the latest.
    """

    def __init__(self, source: Source, monotonic: Callable[[], float], kept_seconds: float = 30.0) -> None:
        self._source, self._monotonic, self._kept_seconds = source, monotonic, kept_seconds
        self._known: _Known | None = None

    def resolve(self, model: str, caller: Caller) -> Route:
        """The route from a name, its targets by the providers' own ids, those of providers switched off left out.

        Raises
        ------
        ModelUnknown
            No route leads from the name, or it is switched off, or not for this caller.
        NoProvider
            None of its targets' providers is switched on.
        """
        known = self._fresh()
        route = _most_specific(known, model)
        if route is None or not route.enabled or not may_use(route, caller):
            raise ModelUnknown(f"There is no model {model[:256]!r} for you. Ask for the list of models, or an admin.")
        targets = tuple(
            Target(one.provider, model if one.model == ANY else one.model)
            for one in route.targets
            if one.provider in known.providers and known.providers[one.provider].enabled
        )
        if not targets:
            raise NoProvider(f"No provider of the model {model[:256]!r} is switched on.", retry_after=60)
        return replace(route, targets=targets)

    def models(self, caller: Caller) -> tuple[str, ...]:
        """The names that a caller may use, in order; of a beginning (``claude-*``) no one knows what it leads to."""
        known = self._fresh()
        return tuple(sorted(name for name, one in known.exact.items() if one.enabled and may_use(one, caller)))

    def provider(self, name: str) -> Provider:
        """The provider of a name. ProviderNotFound where there is none."""
        found = self._fresh().providers.get(name)
        if found is None:
            raise ProviderNotFound(f"There is no provider {name[:64]!r}.")
        return found

    def forget(self) -> None:
        """Read all anew at the next use."""
        self._known = None

    def _fresh(self) -> _Known:
        now, known = self._monotonic(), self._known
        if known is None or now >= known.until:
            routes, providers = self._source.routes(), self._source.providers()
            beginnings = {one.model.removesuffix(ANY): one for one in routes if one.model.endswith(ANY)}
            known = self._known = _Known(
                until=now + self._kept_seconds,
                exact={one.model: one for one in routes if not one.model.endswith(ANY)},
                beginnings=tuple(sorted(beginnings.items(), key=lambda one: -len(one[0]))),
                providers={one.name: one for one in providers},
            )
        return known


def may_use(route: Route, caller: Caller) -> bool:
    """Whether a route is for a caller: for everybody, or by one of their groups, roles, or their key."""
    if not (route.groups or route.roles or route.keys):
        return True
    if caller.key and caller.key in route.keys:
        return True
    return not (set(route.groups).isdisjoint(caller.groups) and set(route.roles).isdisjoint(caller.roles))


def _most_specific(known: _Known, model: str) -> Route | None:
    if model in known.exact:
        return known.exact[model]
    if not _NAME.fullmatch(model):  # it would be in records and metrics, and go to a provider
        return None
    return next((route for beginning, route in known.beginnings if model.startswith(beginning)), None)
