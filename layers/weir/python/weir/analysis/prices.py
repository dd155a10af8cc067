"""The dated price list, `prices.yaml`, read on first use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

__all__ = ["PICO", "Price", "PriceList", "price_list", "usd"]

PICO = 10**12
"""Pico-dollars in a dollar. Money is an integer of these inside, a decimal string outside, never a float."""


@dataclass(frozen=True)
class Price:
    """`pico` pico-dollars for every `per` of `unit`, held since the day `since` as read at `source`."""

    pico: int
    per: int
    unit: str
    since: str
    source: str

    def of(self, quantity: Fraction) -> int:
        """What `quantity` units cost, pico-dollars, rounded up."""
        return -int(-(quantity * self.pico) // self.per)


@dataclass(frozen=True)
class PriceList:
    """The prices for `region`. `fallback` is true when they are those of `priced_as`, for want of its own."""

    region: str
    priced_as: str
    effective_from: str
    not_counted: tuple[str, ...]
    prices: Mapping[str, Price]

    @property
    def fallback(self) -> bool:
        """Whether these are another region's prices."""
        return self.region != self.priced_as


def usd(pico: int) -> str:
    """Pico-dollars as a decimal string of dollars: at least two decimals, all that matter, no exponent."""
    sign, pico = ("-", -pico) if pico < 0 else ("", pico)
    dollars, rest = divmod(pico, PICO)
    decimals = f"{rest:012d}".rstrip("0").ljust(2, "0")
    return f"{sign}{dollars}.{decimals}"


@lru_cache(maxsize=8)
def price_list(region: str) -> PriceList:
    """The prices of a region, or those of the fallback region, said to be so."""
    import yaml  # needed by the two steps that tell costs, and by no others

    document = yaml.safe_load(Path(__file__).with_name("prices.yaml").read_text("utf-8"))
    priced_as = region if region in document["regions"] else document["fallback_region"]
    prices = {
        name: Price(int(Decimal(entry["usd"]) * PICO), entry["per"], entry["unit"], entry["since"], entry["source"])
        for name, entry in document["regions"][priced_as].items()
    }
    not_counted = tuple(document["not_counted"])
    return PriceList(region, priced_as, document["effective_from"], not_counted, prices)
