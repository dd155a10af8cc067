"""Providers and routes as they are now, and their conditional writes."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from weir.llm.errors import Changed, NameTaken, ProviderNotFound, RouteNotFound
from weir.llm.items import provider_item, provider_of, route_item, route_of
from weir.llm.models import Provider, Route
from weir.llm.table import PROVIDERS, ROUTES, provider_key, route_key
from weir.runtime.clock import Clock
from weir.runtime.dynamodb import Item, Table, Write, again
from weir.runtime.errors import FieldError, Invalid


class Store:
    """The table, in providers and routes. WeirErrors where DynamoDB refuses or fails."""

    def __init__(self, table: Table, clock: Clock) -> None:
        self._table, self.clock = table, clock

    def providers(self) -> Sequence[Provider]:
        """Every provider, by name."""
        return [provider_of(item) for item in self._table.all("pk = :pk", {"pk": PROVIDERS})]

    def routes(self) -> Sequence[Route]:
        """Every route, by model."""
        return [route_of(item) for item in self._table.all("pk = :pk", {"pk": ROUTES})]

    def providers_page(self, limit: int, after: Mapping[str, Any] | None) -> tuple[list[Provider], Item | None]:
        """Providers by name, and where to go on; None at the end."""
        items, position = self._table.page("pk = :pk", {"pk": PROVIDERS}, limit=limit, after=after)
        return [provider_of(item) for item in items], position

    def routes_page(self, limit: int, after: Mapping[str, Any] | None) -> tuple[list[Route], Item | None]:
        """Routes by model, and where to go on; None at the end."""
        items, position = self._table.page("pk = :pk", {"pk": ROUTES}, limit=limit, after=after)
        return [route_of(item) for item in items], position

    def provider(self, name: str) -> Provider:
        """A provider. ProviderNotFound where there is none of this name."""
        item = self._table.get(provider_key(name))
        if item is None:
            raise ProviderNotFound(f"There is no provider {name!r}.")
        return provider_of(item)

    def route(self, model: str) -> Route:
        """A route. RouteNotFound where there is none of this name."""
        item = self._table.get(route_key(model))
        if item is None:
            raise RouteNotFound(f"There is no route {model!r}.")
        return route_of(item)

    def has_provider(self, name: str) -> bool:
        """Whether there is a provider of this name."""
        return self._table.get(provider_key(name)) is not None

    def add_provider(self, provider: Provider) -> None:
        """Store a provider that is new. NameTaken where there is one of its name."""
        if not self._table.put_new(provider_item(provider)):
            raise name_taken("provider", provider.name)

    def change_provider(self, provider: Provider) -> Provider:
        """Store a provider over the revision that it was read in. Changed where it is another now."""
        after = replace(provider, revision=provider.revision + 1)
        if not self._table.put(
            provider_item(after), when="revision = :revision", values={"revision": provider.revision}
        ).done:
            raise changed("provider")
        return after

    def remove_provider(self, provider: Provider) -> None:
        """Delete a provider in the revision that it was read in. Changed where it is another now."""
        if not self._table.delete(
            provider_key(provider.name), when="revision = :revision", values={"revision": provider.revision}
        ).done:
            raise changed("provider")

    def add_route(self, route: Route) -> None:
        """Store a route that is new, and whose providers are there. NameTaken, Invalid."""
        if not self._put_route(route, Write(put=route_item(route), when="attribute_not_exists(pk)")):
            raise name_taken("route", route.model)

    def change_route(self, route: Route) -> Route:
        """Store a route over the revision that it was read in. Changed, Invalid."""
        after = replace(route, revision=route.revision + 1)
        values = {"revision": route.revision}
        if not self._put_route(after, Write(put=route_item(after), when="revision = :revision", values=values)):
            raise changed("route")
        return after

    def remove_route(self, route: Route) -> None:
        """Delete a route in the revision that it was read in. Changed where it is another now."""
        if not self._table.delete(
            route_key(route.model), when="revision = :revision", values={"revision": route.revision}
        ).done:
            raise changed("route")

    def _put_route(self, route: Route, write: Write) -> bool:
        """One transaction: no route leads to a provider that is not there when it is written. False: not as it was."""
        names = list(dict.fromkeys(one.provider for one in route.targets))
        checks = [Write(key=provider_key(name), when="attribute_exists(pk)", check=True) for name in names]
        held = again(lambda: self._table.transact([write, *checks]), self.clock)
        if not held:
            return True
        if not held[0]:
            return False
        missing = [name for name, there in zip(names, held[1:], strict=True) if not there]
        told = f"there is no provider {missing[0]!r}; add it first"
        raise Invalid(f"targets: {told}.", errors=[FieldError("targets", told)])


def name_taken(thing: str, name: str) -> NameTaken:
    """The refusal of a second one of a name."""
    return NameTaken(f"There is a {thing} {name!r} already; change it with PUT, or take another name.")


def changed(thing: str) -> Changed:
    """The refusal of a change to what somebody else has changed."""
    return Changed(f"Somebody else has changed the {thing} since; read it again.")
