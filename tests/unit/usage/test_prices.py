"""Which price a call is charged by."""

from collections.abc import Iterable
from datetime import timedelta

import pytest

from tests.unit.usage.priced import NOON, price, rates
from weir.runtime.errors import Unavailable
from weir.usage.models import Price
from weir.usage.prices import MISSED_SECONDS, MOST_KEPT, Prices

HOUR = timedelta(hours=1)


class Read:
    """Prices in memory; ``asked`` tells what was looked up."""

    def __init__(self, *prices: Price) -> None:
        self.prices = list(prices)
        self.asked: list[tuple[str, str]] = []
        self.fails = False

    def __call__(self, provider: str, model: str) -> Iterable[Price]:
        self.asked.append((provider, model))
        if self.fails:
            raise Unavailable("no answer")
        return [one for one in self.prices if (one.provider, one.model) == (provider, model)]


class Clock:
    """Seconds, until they are moved."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def look(read: Read, provider: str = "main", region: str = "eu-west-1", **late: timedelta) -> Price | None:
    return Prices(read, Clock()).of(provider, "anthropic", region, "claude", NOON + late.get("late", timedelta()))


def test_the_provider_goes_before_its_kind_and_the_region_before_any() -> None:
    # Given prices of the provider and of its kind, of the region and of any, the best last
    best = [
        price(provider="anthropic"),
        price(provider="anthropic", region="eu-west-1"),
        price(provider="main"),
        price(provider="main", region="eu-west-1"),
    ]
    others = [price(provider="main", region="us-east-1"), price(provider="main", model="claude-2"), price("x")]
    # When the best of them is taken away, one after the other / Then the next one holds
    for number in range(len(best), 0, -1):
        assert look(Read(*others, *best[:number])) == best[number - 1]
    assert look(Read(*others)) is None


def test_the_newest_that_has_begun_holds_from_its_very_moment() -> None:
    # Given a price that goes up an hour later, in any order
    now, then = price(), price(since=NOON + HOUR, rates=rates(4))
    read = Read(then, now)
    # Then the older one holds until that moment, and none before the first
    assert look(read, late=HOUR - timedelta(milliseconds=1)) == now
    assert look(read, late=HOUR) == then
    assert look(read, late=-timedelta(milliseconds=1)) is None


def test_a_price_that_has_not_begun_gives_way_to_a_wider_one() -> None:
    wide, narrow = price(), price(region="eu-west-1", since=NOON + HOUR)
    assert look(Read(wide, narrow)) == wide


def test_a_price_of_batches_is_none_of_calls() -> None:
    assert look(Read(price(tier="batch"))) is None


def test_prices_are_kept_for_a_while_and_misses_for_a_short_one() -> None:
    # Given a model with a price, and one without
    read, clock = Read(price()), Clock()
    prices = Prices(read, clock, kept_seconds=30)
    for _ in range(3):
        prices.of("anthropic", "anthropic", "", "claude", NOON)
        prices.of("anthropic", "anthropic", "", "gpt", NOON)
    assert read.asked == [("anthropic", "claude"), ("anthropic", "gpt")]
    # When both get another price / Then the new one is known a few seconds later, the changed one after 30
    read.prices = [price(rates=rates(9)), price("gpt")]
    clock.now = MISSED_SECONDS
    assert prices.of("anthropic", "anthropic", "", "gpt", NOON) == price("gpt")
    assert prices.of("anthropic", "anthropic", "", "claude", NOON) == price()
    clock.now = 30
    assert prices.of("anthropic", "anthropic", "", "claude", NOON) == price(rates=rates(9))


def test_a_failure_is_told_and_not_kept() -> None:
    read = Read(price())
    prices = Prices(read, Clock())
    read.fails = True
    with pytest.raises(Unavailable):
        prices.of("anthropic", "anthropic", "", "claude", NOON)
    read.fails = False
    assert prices.of("anthropic", "anthropic", "", "claude", NOON) == price()


def test_what_is_forgotten_is_read_anew() -> None:
    read = Read(price())
    prices = Prices(read, Clock())
    prices.of("anthropic", "anthropic", "", "claude", NOON)
    prices.forget()
    prices.of("anthropic", "anthropic", "", "claude", NOON)
    assert len(read.asked) == 2


def test_names_that_callers_make_up_do_not_fill_the_memory() -> None:
    prices = Prices(Read(), Clock())
    for number in range(MOST_KEPT + 10):
        prices.of("anthropic", "anthropic", "", f"made-up-{number}", NOON)
    assert len(prices._kept) <= MOST_KEPT
