"""Providers and routes as they are now, and their conditional writes."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from weir.llm.errors import Changed, NameTaken, ProviderNotFound, RouteNotFound
from weir.llm.items import provider_item, provider_of, provider_texts, route_item, route_of, route_texts
from weir.llm.models import Provider, Route
from weir.llm.shapes import SHAPES
from weir.llm.table import PROVIDERS, ROUTES, provider_key, route_key
from weir.runtime.audit import NOTHING, Asker, Audit, Told
from weir.runtime.clock import Clock
from weir.runtime.dynamodb import Item, Table, Write, again
from weir.runtime.errors import FieldError, Invalid


class Store:
    """The table, in providers and routes. WeirErrors where DynamoDB refuses or fails."""

    def __init__(self, table: Table, clock: Clock) -> None:
        self._table, self.clock = table, clock
        self.audit = Audit(table, SHAPES, clock)

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

    def add_provider(self, provider: Provider, who: Asker | None = None) -> None:
        """Store a provider that is new. NameTaken where there is one of its name."""
        write = Write(put=provider_item(provider), when="attribute_not_exists(pk)")
        if not self.audit.write(write, "provider.added", who, provider.name, NOTHING, provider_texts(provider)):
            raise name_taken("provider", provider.name)

    def change_provider(self, before: Provider, provider: Provider, who: Asker | None = None) -> Provider:
        """Store a provider over the one that was read. Changed where it is another now."""
        after = replace(provider, revision=before.revision + 1)
        write = Write(put=provider_item(after), **_as_read(before))
        told = (provider_texts(before), provider_texts(after))
        if not self.audit.write(write, "provider.changed", who, after.name, *told):
            raise changed("provider")
        return after

    def remove_provider(self, provider: Provider, who: Asker | None = None) -> None:
        """Delete a provider in the revision that it was read in. Changed where it is another now."""
        write = Write(key=provider_key(provider.name), **_as_read(provider))
        if not self.audit.write(write, "provider.removed", who, provider.name, provider_texts(provider), NOTHING):
            raise changed("provider")

    def add_route(self, route: Route, who: Asker | None = None) -> None:
        """Store a route that is new, and whose providers are there. NameTaken, Invalid."""
        told = self._told("route.added", who, route.model, NOTHING, route_texts(route))
        if not self._put_route(route, Write(put=route_item(route), when="attribute_not_exists(pk)"), told):
            raise name_taken("route", route.model)

    def change_route(self, before: Route, route: Route, who: Asker | None = None) -> Route:
        """Store a route over the one that was read. Changed, Invalid."""
        after = replace(route, revision=before.revision + 1)
        told = self._told("route.changed", who, after.model, route_texts(before), route_texts(after))
        if not self._put_route(after, Write(put=route_item(after), **_as_read(before)), told):
            raise changed("route")
        return after

    def remove_route(self, route: Route, who: Asker | None = None) -> None:
        """Delete a route in the revision that it was read in. Changed where it is another now."""
        write = Write(key=route_key(route.model), **_as_read(route))
        if not self.audit.write(write, "route.removed", who, route.model, route_texts(route), NOTHING):
            raise changed("route")

    def _told(self, what: str, who: Asker | None, subject: str, before: Told, after: Told) -> list[Write]:
        return [] if who is None else [self.audit.entry(what, who, subject, before, after)]

    def _put_route(self, route: Route, write: Write, entries: list[Write]) -> bool:
        """One transaction: no route leads to a provider that is not there when it is written. False: not as it was."""
        names = list(dict.fromkeys(one.provider for one in route.targets))
        checks = [Write(key=provider_key(name), when="attribute_exists(pk)", check=True) for name in names]
        held = again(lambda: self._table.transact([write, *checks, *entries]), self.clock)
        if not held:
            return True
        if not held[0]:
            return False
        missing = [name for name, there in zip(names, held[1:], strict=False) if not there]  # entries follow
        told = f"there is no provider {missing[0]!r}; add it first"
        raise Invalid(f"targets: {told}.", errors=[FieldError("targets", told)])


def _as_read(thing: Provider | Route) -> dict[str, Any]:
    return {"when": "revision = :revision", "values": {"revision": thing.revision}}


def name_taken(thing: str, name: str) -> NameTaken:
    """The refusal of a second one of a name."""
    return NameTaken(f"There is a {thing} {name!r} already; change it with PUT, or take another name.")


def changed(thing: str) -> Changed:
    """The refusal of a change to what somebody else has changed."""
    return Changed(f"Somebody else has changed the {thing} since; read it again.")
