"""What tokens cost at a price: exact integers, in pico-dollars, rounded up once, at the end.

Nothing is free by mistake: tokens of a cache for which the price has no rate cost what input costs, and those that are
kept for an hour twice as much, as Anthropic charges them beside its input:
https://docs.claude.com/en/docs/build-with-claude/prompt-caching#pricing

Where the whole input of a call, caches included, passes ``long_above`` tokens, all of it is charged by the rates of
long calls, its output too: https://docs.claude.com/en/docs/about-claude/pricing#long-context-pricing and
https://ai.google.dev/gemini-api/docs/pricing
"""

from weir.llm.models import Bound, Tokens
from weir.usage.models import Price, Rates

PER = 1_000_000
"""Rates are for so many tokens."""

HOUR_BY_INPUT = 2
"""What writing to a cache for an hour costs, by what input costs, where the price does not tell."""


def cost(tokens: Tokens, price: Price) -> int:
    """What a call cost, in pico-dollars."""
    taken_in = tokens.input + tokens.cache_read + tokens.cache_write_5m + tokens.cache_write_1h
    rates = _rates(price, taken_in)
    return _charged(
        tokens.input * rates.input
        + tokens.output * rates.output
        + tokens.cache_read * cache_read(rates)
        + tokens.cache_write_5m * cache_write_5m(rates)
        + tokens.cache_write_1h * cache_write_1h(rates)
    )


def bound_cost(bound: Bound, price: Price) -> int:
    """What a call can cost at most, in pico-dollars: no less than ``cost`` of any tokens within the bound.

    ValueError where its output has no bound.
    """
    if bound.output is None:
        raise ValueError("a call without a limit of its output has no bound")
    return _charged(bound.input * _dearest_input(bound, price) + bound.output * _dearest_output(bound, price))


def likely_cost(bound: Bound, price: Price) -> int:
    """What a call is likely to cost, in pico-dollars: its likely tokens, none of them from or to a cache."""
    return cost(Tokens(input=bound.likely_input, output=bound.likely_output), price)


def affordable_output(bound: Bound, price: Price, room: int) -> int:
    """The most output tokens for which ``bound_cost`` is within ``room`` pico-dollars; 0 where none are.

    No more than the bound's own. Where output costs nothing and the input is within the room, any number is: then the
    bound's own, or 2**31 - 1 where it has none.
    """
    left = room * PER - bound.input * _dearest_input(bound, price)
    most = bound.output if bound.output is not None else 2**31 - 1
    if left < 0:
        return 0
    rate = _dearest_output(bound, price)
    return most if rate == 0 else min(most, left // rate)


def cache_read(rates: Rates) -> int:
    """The rate of tokens that were read from a cache."""
    return rates.input if rates.cache_read is None else rates.cache_read


def cache_write_5m(rates: Rates) -> int:
    """The rate of tokens that were written to a cache, for five minutes or for as long as the provider keeps them."""
    return rates.input if rates.cache_write_5m is None else rates.cache_write_5m


def cache_write_1h(rates: Rates) -> int:
    """The rate of tokens that were written to a cache for an hour."""
    return rates.input * HOUR_BY_INPUT if rates.cache_write_1h is None else rates.cache_write_1h


def _rates(price: Price, taken_in: int) -> Rates:
    return price.long if price.long is not None and taken_in > price.long_above else price.rates


def _possible(bound: Bound, price: Price) -> tuple[Rates, ...]:
    """The rates that a call within the bound may be charged by: it may as well stay short."""
    return tuple({price.rates, _rates(price, bound.input)})


def _dearest_input(bound: Bound, price: Price) -> int:
    return max(_dearest_of(rates, bound) for rates in _possible(bound, price))


def _dearest_of(rates: Rates, bound: Bound) -> int:
    written = (cache_write_5m(rates),) if bound.cache_write else ()
    kept = (cache_write_1h(rates),) if bound.cache_write == "1h" else ()
    return max(rates.input, cache_read(rates), *written, *kept)


def _dearest_output(bound: Bound, price: Price) -> int:
    return max(rates.output for rates in _possible(bound, price))


def _charged(by_a_million: int) -> int:
    """Rounded up: a call that used anything with a price costs something."""
    return -(-by_a_million // PER)
