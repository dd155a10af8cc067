"""What tokens cost: exact, rounded up once, nothing free by mistake, and never more than the bound of the call."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.usage.priced import DOLLAR, price, rates
from weir.llm.models import Bound, CacheWrite, Tokens
from weir.usage import pricing
from weir.usage.models import Price, Rates

SONNET = price(
    rates=rates(3, 15, cache_read=30, cache_write_5m=375, cache_write_1h=600),
    long=rates(6, 22, cache_read=60, cache_write_5m=750, cache_write_1h=1200),
)
CENT = DOLLAR // 100


def test_every_kind_of_token_has_its_own_rate() -> None:
    # Given a call of a million tokens of each kind but input, at a price with all rates and no long ones
    used = Tokens(output=10**6, cache_read=10**6, cache_write_5m=10**6, cache_write_1h=10**6)
    # Then it costs the sum of the rates
    assert pricing.cost(used, price(rates=SONNET.rates)) == (1500 + 30 + 375 + 600) * CENT


@pytest.mark.parametrize(
    ("used", "dollars"),
    [
        (Tokens(cache_read=10**6), 3),
        (Tokens(cache_write_5m=10**6), 3),
        (Tokens(cache_write_1h=10**6), 6),
    ],
)
def test_tokens_of_a_cache_without_a_rate_are_not_free(used: Tokens, dollars: int) -> None:
    # Given a price that tells of input and output alone / Then what a cache took costs input, for an hour twice that
    assert pricing.cost(used, price()) == dollars * DOLLAR


def test_a_rate_of_nothing_is_nothing() -> None:
    assert pricing.cost(Tokens(cache_write_5m=10**6), price(rates=Rates(DOLLAR, DOLLAR, cache_write_5m=0))) == 0


def test_what_is_less_than_a_pico_dollar_is_rounded_up_once() -> None:
    # Given rates of which one token costs a fraction of a pico-dollar
    cheap = price(rates=Rates(input=1, output=1))
    # Then three such fractions are one pico-dollar, not three, and none at all is none
    assert pricing.cost(Tokens(input=1, output=1, cache_read=1), cheap) == 1
    assert pricing.cost(Tokens(), cheap) == 0


@pytest.mark.parametrize(
    "used",
    [
        Tokens(input=200_000, output=1_000),
        Tokens(input=100_000, cache_read=50_000, cache_write_5m=25_000, cache_write_1h=25_000, output=1_000),
    ],
)
def test_long_rates_hold_above_the_bound_and_not_at_it(used: Tokens) -> None:
    # Given a call whose input, caches included, is at the bound / Then it is charged by the ordinary rates
    assert pricing.cost(used, SONNET) == pricing.cost(used, price(rates=SONNET.rates))
    # When it takes one token more / Then all of it, output too, is charged by the long ones
    more = Tokens(used.input + 1, used.output, used.cache_read, used.cache_write_5m, used.cache_write_1h)
    assert SONNET.long is not None
    assert pricing.cost(more, SONNET) == pricing.cost(more, price(rates=SONNET.long))


def test_output_does_not_make_a_call_long() -> None:
    used = Tokens(input=100_000, output=150_000)
    assert pricing.cost(used, SONNET) == pricing.cost(used, price(rates=SONNET.rates))


counts = st.integers(0, 500_000)
amounts = st.integers(0, 10**15)
maybe = st.none() | amounts
some_rates = st.builds(Rates, amounts, amounts, maybe, maybe, maybe)
some_prices = st.builds(
    lambda ordinary, long, above: price(rates=ordinary, long=long, long_above=above),
    some_rates,
    st.none() | some_rates,
    st.integers(1, 400_000),
)


@given(st.builds(Tokens, counts, counts, counts, counts, counts), some_prices)
def test_it_is_what_fractions_say(used: Tokens, at: Price) -> None:
    # Given any tokens and any price / Then the cost is the sum in exact fractions, rounded up
    taken = used.input + used.cache_read + used.cache_write_5m + used.cache_write_1h
    held = at.long if at.long is not None and taken > at.long_above else at.rates
    read = held.input if held.cache_read is None else held.cache_read
    short = held.input if held.cache_write_5m is None else held.cache_write_5m
    hour = 2 * held.input if held.cache_write_1h is None else held.cache_write_1h
    exact = Fraction(used.input * held.input + used.output * held.output, 10**6)
    exact += Fraction(used.cache_read * read + used.cache_write_5m * short + used.cache_write_1h * hour, 10**6)
    assert pricing.cost(used, at) - 1 < exact <= pricing.cost(used, at)


@given(
    counts, counts, st.lists(st.integers(0, 3), max_size=4), st.sampled_from(["", "5m", "1h"]), some_prices, st.data()
)
def test_no_call_within_a_bound_costs_more_than_it(
    most_in: int, most_out: int, order: list[int], cache_write: CacheWrite, at: Price, data: st.DataObject
) -> None:
    # Given a bound, and any tokens within it, of the kinds that the call can use
    left, used = most_in, [0, 0, 0, 0]
    kinds = {"": (0, 1), "5m": (0, 1, 2), "1h": (0, 1, 2, 3)}[cache_write]
    for kind in (one for one in order if one in kinds):
        some = data.draw(st.integers(0, left))
        used[kind] += some
        left -= some
    tokens = Tokens(used[0], data.draw(st.integers(0, most_out)), used[1], used[2], used[3])
    bound = Bound(most_in, most_out, 0, 0, cache_write)
    # Then they cost no more than the bound does
    assert pricing.cost(tokens, at) <= pricing.bound_cost(bound, at)


@given(counts, st.none() | counts, some_prices, st.integers(0, 10**16))
def test_the_output_that_is_affordable_is_and_one_more_is_not(
    most_in: int, asked: int | None, at: Price, room: int
) -> None:
    # Given a call, and what is left of a cap
    bound = Bound(most_in, asked, 0, 0)
    found = pricing.affordable_output(bound, at, room)
    # Then so much output is within it, and one more token is not, or was not asked for
    if found:
        assert pricing.bound_cost(Bound(most_in, found, 0, 0), at) <= room
    if found < (2**31 - 1 if asked is None else asked):
        assert pricing.bound_cost(Bound(most_in, found + 1, 0, 0), at) > room


def test_a_call_without_a_bound_has_none() -> None:
    with pytest.raises(ValueError, match="no bound"):
        pricing.bound_cost(Bound(1, None, 1, 1), SONNET)


def test_a_call_that_asks_for_no_cache_is_bounded_by_input() -> None:
    # Given a provider that sells no cache writes / Then only a call that asks for them is bounded by what they cost
    assert pricing.bound_cost(Bound(10**6, 0, 0, 0, ""), price()) == 3 * DOLLAR
    assert pricing.bound_cost(Bound(10**6, 0, 0, 0, "5m"), price()) == 3 * DOLLAR
    assert pricing.bound_cost(Bound(10**6, 0, 0, 0), price()) == 6 * DOLLAR


def test_what_is_likely_costs_its_input_and_output() -> None:
    assert pricing.likely_cost(Bound(9, 9, 10**5, 10**5), SONNET) == 180 * CENT
