"""Items of the table of providers and routes, from and to the values that the rules work with. Keys: ``table.py``."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from weir.llm.models import Provider, Route, Target
from weir.llm.shapes import SHAPES
from weir.llm.table import SCHEMA, provider_key, route_key
from weir.runtime.audit import Told, texts
from weir.runtime.dynamodb import Item


def provider_item(provider: Provider) -> Item:
    """A provider's item. Its key is not in it: only where Secrets Manager has it."""
    return {**provider_key(provider.name), "schema": SCHEMA, **asdict(provider)}


def provider_of(item: Mapping[str, Any]) -> Provider:
    """The provider of an item."""
    item = SHAPES.current(item)
    return Provider(
        name=item["name"],
        kind=item["kind"],
        address=item["address"],
        region=item["region"],
        secret_arn=item["secret_arn"],
        private_networks=tuple(item["private_networks"]),
        timeout_seconds=item["timeout_seconds"],
        enabled=item["enabled"],
        revision=item["revision"],
    )


def route_item(route: Route) -> Item:
    """A route's item."""
    return {**route_key(route.model), "schema": SCHEMA, **asdict(route)}


def route_of(item: Mapping[str, Any]) -> Route:
    """The route of an item."""
    item = SHAPES.current(item)
    return Route(
        model=item["model"],
        targets=tuple(Target(one["provider"], one["model"]) for one in item["targets"]),
        groups=tuple(item["groups"]),
        roles=tuple(item["roles"]),
        keys=tuple(item["keys"]),
        max_output=item["max_output"],
        enabled=item["enabled"],
        revision=item["revision"],
    )


def provider_texts(provider: Provider) -> Told:
    """A provider as the audit tells it; of its key the name of the secret, by which one is told from another."""
    names = ("kind", "address", "region", "private_networks", "timeout_seconds", "enabled")
    return texts({name: getattr(provider, name) for name in names} | {"key": provider.secret_arn.rpartition("/")[2]})


def route_texts(route: Route) -> Told:
    """A route as the audit tells it."""
    names = ("groups", "roles", "keys", "max_output", "enabled")
    targets = [f"{one.provider} {one.model}" for one in route.targets]
    return texts({"targets": targets} | {name: getattr(route, name) for name in names})
