"""What admins do with routes: add, change, remove. How they are followed: ``routing.py``."""

from dataclasses import replace

from weir.llm.models import Route
from weir.llm.routing import ANY
from weir.llm.store import Store, changed
from weir.runtime.audit import Asker
from weir.runtime.errors import FieldError, Invalid
from weir.runtime.etags import first_revision, matches


def add(asked: Route, store: Store, who: Asker | None = None) -> Route:
    """Add a route whose providers are there. NameTaken, Invalid."""
    _check(asked)
    made = replace(asked, revision=first_revision(store.clock))
    store.add_route(made, who)
    return made


def change(model: str, asked: Route, if_match: str | None, store: Store, who: Asker | None = None) -> Route:
    """Change all of a route but its name. RouteNotFound, Changed, Invalid."""
    before = store.route(model)
    if not matches(if_match, before.revision):
        raise changed("route")
    after = replace(asked, model=model, revision=before.revision)
    _check(after)
    return store.change_route(before, after, who)


def remove(model: str, if_match: str | None, store: Store, who: Asker | None = None) -> None:
    """Remove a route: nobody gets anywhere by its name any more. RouteNotFound, Changed."""
    before = store.route(model)
    if not matches(if_match, before.revision):
        raise changed("route")
    store.remove_route(before, who)


def _check(route: Route) -> None:
    if not route.model.endswith(ANY) and any(one.model == ANY for one in route.targets):
        told = "a model of * is for routes whose name ends in *"
        raise Invalid(f"targets: {told}.", errors=[FieldError("targets", told)])
