"""Where a name leads for a caller: the most specific route decides, and it alone."""

from dataclasses import dataclass

import pytest

from tests.unit.llm.catalogue import provider, route
from weir.llm.errors import ModelUnknown, NoProvider, ProviderNotFound
from weir.llm.models import Provider, Route, Target
from weir.llm.routing import Routing
from weir.runtime.errors import Unavailable


@dataclass(frozen=True)
class Caller:
    """A caller of no group, unless told otherwise."""

    key: str = ""
    groups: tuple[str, ...] = ()
    roles: tuple[str, ...] = ("member",)


class Source:
    """Routes and providers in memory."""

    def __init__(self, *routes: Route, providers: tuple[Provider, ...] = (provider(), provider("other"))) -> None:
        self.all, self.served = list(routes), providers
        self.reads = 0
        self.fails = False

    def routes(self) -> list[Route]:
        self.reads += 1
        if self.fails:
            raise Unavailable("no answer")
        return self.all

    def providers(self) -> list[Provider]:
        return list(self.served)


class Clock:
    """Seconds, until they are moved."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


ANN = Caller()


def routing(*routes: Route, providers: tuple[Provider, ...] = (provider(), provider("other"))) -> Routing:
    return Routing(Source(*routes, providers=providers), Clock())


def leads(found: Routing, model: str, caller: Caller = ANN) -> str | None:
    """The name of the route that a model's name takes."""
    try:
        return found.resolve(model, caller).model
    except ModelUnknown:
        return None


def test_the_very_name_goes_before_the_longest_beginning() -> None:
    # Given routes from a name, from two beginnings of it, and from everything
    found = routing(route("claude-opus-4"), route("claude-*"), route("claude-opus-*"), route("*"))
    assert leads(found, "claude-opus-4") == "claude-opus-4"
    assert leads(found, "claude-opus-5") == "claude-opus-*"
    assert leads(found, "claude-opus-") == "claude-opus-*"
    assert leads(found, "claude-opus") == "claude-*"
    assert leads(found, "gpt-5") == "*"
    assert leads(routing(route("claude-*")), "gpt-5") is None


def test_targets_have_the_names_of_their_providers() -> None:
    # Given a beginning that leads to the name as it came, and to another
    found = routing(route("claude-*", ("anthropic", "*"), ("other", "best"), max_output=9)).resolve("claude-x", ANN)
    assert found.targets == (Target("anthropic", "claude-x"), Target("other", "best"))
    assert found.max_output == 9


@pytest.mark.parametrize(
    ("allowed", "caller", "may"),
    [
        (route(), Caller(roles=()), True),
        (route(groups=("ml",)), Caller(), False),
        (route(groups=("ml", "ops")), Caller(groups=("dev", "ops")), True),
        (route(roles=("operator",)), Caller(), False),
        (route(roles=("operator",)), Caller(roles=("member", "operator")), True),
        (route(keys=("k1",)), Caller(key="k1"), True),
        (route(keys=("k1",)), Caller(key="k2"), False),
        (route(keys=("k1",)), Caller(), False),
        (route(keys=("",)), Caller(), False),
        (route(groups=("ml",), keys=("k1",)), Caller(key="k1"), True),
        (route(groups=("ml",), roles=("admin",)), Caller(groups=("ml",)), True),
        (route(enabled=False), Caller(), False),
    ],
)
def test_a_route_is_for_whoever_is_in_one_of_its_lists(allowed: Route, caller: Caller, may: bool) -> None:
    found = routing(allowed)
    assert leads(found, "claude", caller) == ("claude" if may else None)
    assert found.models(caller) == (("claude",) if may else ())


@pytest.mark.parametrize("narrow", [route("claude-opus", groups=("ml",)), route("claude-opus", enabled=False)])
@pytest.mark.parametrize("beginning", [False, True])
def test_what_is_taken_from_somebody_has_no_way_around(narrow: Route, beginning: bool) -> None:
    # Given a model that is for others, or switched off, and a wider route that is for everybody
    if beginning:
        narrow = route("claude-op*", groups=narrow.groups, enabled=narrow.enabled)
    assert leads(routing(narrow, route("claude-*"), route("*")), "claude-opus") is None


def test_a_model_that_is_not_there_and_one_for_others_look_alike() -> None:
    found = routing(route("secret", groups=("ml",)))
    told = []
    for model in ("secret", "absent"):
        with pytest.raises(ModelUnknown) as error:
            found.resolve(model, ANN)
        told.append((error.value.detail.replace(model, "?"), error.value.status, error.value.members))
    assert told[0] == told[1]


def test_providers_that_are_off_or_gone_are_passed_over() -> None:
    # Given a route with fallbacks / When a provider is off and another gone / Then the rest is tried, in order
    to = route("m", ("gone", "a"), ("other", "b"), ("anthropic", "c"))
    assert routing(to, providers=(provider(), provider("other", enabled=False))).resolve("m", ANN).targets == (
        Target("anthropic", "c"),
    )
    # When none is left / Then it is no fault of the name
    with pytest.raises(NoProvider) as told:
        routing(to, providers=(provider(enabled=False),)).resolve("m", ANN)
    assert told.value.status == 503


def test_models_are_listed_by_name_and_beginnings_are_none() -> None:
    found = routing(route("b"), route("a"), route("c", groups=("ml",)), route("d-*"), route("*"))
    assert found.models(ANN) == ("a", "b")
    assert found.models(Caller(groups=("ml",))) == ("a", "b", "c")


def test_a_provider_is_found_by_its_name() -> None:
    assert routing().provider("other") == provider("other")
    with pytest.raises(ProviderNotFound):
        routing().provider("nobody")


def test_what_was_read_is_kept_for_a_while() -> None:
    # Given a route that was followed
    source, clock = Source(route()), Clock()
    found = Routing(source, clock, kept_seconds=30)
    found.resolve("claude", ANN)
    # When it is taken away / Then it holds for 30 seconds at most
    source.all = []
    clock.now = 29.9
    assert leads(found, "claude") == "claude"
    assert source.reads == 1
    clock.now = 30
    assert leads(found, "claude") is None
    # When it is there again, and nobody wants to wait / Then it is read at once
    source.all = [route()]
    found.forget()
    assert leads(found, "claude") == "claude"


def test_a_failure_is_told_and_not_kept() -> None:
    source = Source(route())
    found = Routing(source, Clock())
    source.fails = True
    with pytest.raises(Unavailable):
        found.resolve("claude", ANN)
    source.fails = False
    assert leads(found, "claude") == "claude"
