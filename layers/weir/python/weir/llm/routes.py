"""What admins do with routes: add, change, remove. How they are followed: ``routing.py``."""

from dataclasses import replace

from weir.llm.models import Route
from weir.llm.routing import ANY
from weir.llm.store import Store, changed
from weir.runtime.errors import FieldError, Invalid
from weir.runtime.etags import first_revision, matches


def add(asked: Route, store: Store) -> Route:
    """Add a route whose providers are there. NameTaken, Invalid."""
    _check(asked)
    made = replace(asked, revision=first_revision(store.clock))
    store.add_route(made)
    return made


def change(model: str, asked: Route, if_match: str | None, store: Store) -> Route:
    """Change all of a route but its name. RouteNotFound, Changed, Invalid."""
    before = store.route(model)
    if not matches(if_match, before.revision):
        raise changed("route")
    after = replace(asked, model=model, revision=before.revision)
    _check(after)
    return store.change_route(after)


def remove(model: str, if_match: str | None, store: Store) -> None:
    """Remove a route: nobody gets anywhere by its name any more. RouteNotFound, Changed."""
    before = store.route(model)
    if not matches(if_match, before.revision):
        raise changed("route")
    store.remove_route(before)


def _check(route: Route) -> None:
    if not route.model.endswith(ANY) and any(one.model == ANY for one in route.targets):
        told = "a model of * is for routes whose name ends in *"
        raise Invalid(f"targets: {told}.", errors=[FieldError("targets", told)])
