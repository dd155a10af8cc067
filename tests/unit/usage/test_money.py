"""Dollars as text and as pico-dollars."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weir.usage.money import PICO, pico, usd


@given(st.integers(0, 10**21 - 1))
def test_what_is_told_is_read_back(amount: int) -> None:
    assert pico(usd(amount)) == amount


@pytest.mark.parametrize(
    ("amount", "text"),
    [(0, "0.00"), (PICO, "1.00"), (1, "0.000000000001"), (75 * PICO // 1000, "0.075"), (-PICO // 2, "-0.50")],
)
def test_it_is_told_without_an_exponent(amount: int, text: str) -> None:
    assert usd(amount) == text


def test_a_price_of_a_thousand_tokens_becomes_one_of_a_million() -> None:
    assert pico("2.5e-4", 1000) == PICO // 4


@pytest.mark.parametrize("text", ["", "x", "NaN", "Infinity", "-1", "-0.01", "1e9", "1e400", "1e-13", "1e-999999"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no|is finer"):
        pico(text)
