"""Money: an integer of pico-dollars inside, a decimal string of US dollars outside, never a float."""

from decimal import Decimal, InvalidOperation

PICO = 10**12
"""Pico-dollars in a dollar."""

PATTERN = r"^[0-9]{1,9}(\.[0-9]{1,12})?$"
"""An amount as it is taken: no sign, no exponent, nothing finer than a pico-dollar."""


def usd(pico: int) -> str:
    """Pico-dollars as dollars: at least two decimals, all that matter, no exponent."""
    sign, pico = ("-", -pico) if pico < 0 else ("", pico)
    dollars, rest = divmod(pico, PICO)
    return f"{sign}{dollars}.{f'{rest:012d}'.rstrip('0').ljust(2, '0')}"


def pico(text: str, times: int = 1) -> int:
    """Dollars, as text, in pico-dollars, ``times`` over; an exponent is taken.

    ValueError where the text is no amount from 0 to a billion, or is finer than a pico-dollar then.
    """
    try:
        amount = Decimal(text)
    except InvalidOperation as error:
        raise ValueError(f"{text[:32]!r} is no number") from error
    if not amount.is_finite() or not 0 <= amount < 10**9:
        raise ValueError(f"{text[:32]!r} is no amount of dollars")
    if amount and amount.adjusted() < -18:
        raise ValueError(f"{text[:32]!r} is finer than a pico-dollar")
    scaled = amount * PICO * times
    if scaled != scaled.to_integral_value():
        raise ValueError(f"{text[:32]!r} is finer than a pico-dollar")
    return int(scaled)
