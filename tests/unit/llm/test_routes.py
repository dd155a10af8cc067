"""Routes in the table: added, changed and removed, each led by providers that are there."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.unit.llm.catalogue import World, provider, route, world
from weir.llm import providers, routes
from weir.llm.errors import Changed, NameTaken, RouteNotFound
from weir.runtime.errors import Invalid
from weir.runtime.etags import etag


@pytest.fixture
def here() -> Iterator[World]:
    with world() as made:
        for name in ("anthropic", "bedrock"):
            providers.add(provider(name), None, made.deps)
        yield made


def test_a_route_is_read_as_it_was_added(here: World) -> None:
    asked = route("claude-*", ("anthropic", "*"), ("bedrock", "anthropic.claude"), groups=("ml",), roles=("admin",))
    made = routes.add(replace(asked, keys=("k1",), max_output=9, enabled=False), here.store)
    assert here.store.route("claude-*") == made
    assert here.store.routes() == [made]
    assert replace(made, revision=1) == replace(asked, keys=("k1",), max_output=9, enabled=False)


def test_no_two_routes_lead_from_one_name(here: World) -> None:
    made = routes.add(route(), here.store)
    with pytest.raises(NameTaken):
        routes.add(route("claude", ("bedrock", "x")), here.store)
    assert here.store.routes() == [made]


@pytest.mark.parametrize(
    "wrong", [route("claude", ("anthropic", "a"), ("nobody", "b")), route("claude", ("anthropic", "*"))]
)
def test_a_route_that_leads_nowhere_is_refused(here: World, wrong: object) -> None:
    assert isinstance(wrong, type(route()))
    with pytest.raises(Invalid) as told:
        routes.add(wrong, here.store)
    assert [one.field for one in told.value.errors] == ["targets"]
    assert here.store.routes() == []
    made = routes.add(route(), here.store)
    with pytest.raises(Invalid):
        routes.change("claude", wrong, None, here.store)
    assert here.store.routes() == [made]


def test_a_route_is_changed_as_it_was_read_or_not_at_all(here: World) -> None:
    made = routes.add(route(), here.store)
    changed = routes.change("claude", route("ignored", ("bedrock", "x")), etag(made.revision), here.store)
    assert here.store.routes() == [changed]
    assert changed.model == "claude"
    for stale in (etag(made.revision), '"other"'):
        with pytest.raises(Changed):
            routes.change("claude", route(), stale, here.store)
        with pytest.raises(Changed):
            routes.remove("claude", stale, here.store)
    routes.remove("claude", etag(changed.revision), here.store)
    for ask in (lambda: routes.remove("claude", None, here.store), lambda: here.store.route("claude")):
        with pytest.raises(RouteNotFound):
            ask()
    # When it is made anew / Then whoever has read the older one changes nothing
    here.time.pass_by(1)
    routes.add(route(), here.store)
    with pytest.raises(Changed):
        routes.change("claude", route(), etag(made.revision), here.store)


def test_of_two_who_change_a_route_at_once_one_is_told(here: World) -> None:
    read = routes.add(route(), here.store)
    here.store.change_route(read, replace(read, max_output=1))
    with pytest.raises(Changed):
        here.store.change_route(read, replace(read, max_output=2))
    with pytest.raises(Changed):
        here.store.remove_route(read)
    assert here.store.route("claude").max_output == 1


def test_routes_and_providers_are_listed_page_by_page(here: World) -> None:
    for name in ("c", "a", "b"):
        routes.add(route(name), here.store)
    first, position = here.store.routes_page(2, None)
    rest, end = here.store.routes_page(2, position)
    assert ([one.model for one in (*first, *rest)], end) == (["a", "b", "c"], None)
    assert [one.name for one in here.store.providers_page(9, None)[0]] == ["anthropic", "bedrock"]
