"""The price of a model at a moment, from what the table tells, kept for a while in the process.

The price of the provider itself goes before one of its kind, one of the very region before one of any; of several
that hold from different days on, the newest that has begun. A model that has none has no price: none is guessed.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from threading import Lock

from weir.llm.tiers import STANDARD
from weir.usage.models import Price

MISSED_SECONDS = 5.0
"""How long it is remembered that a model has no price at all: short, for an admin may be adding it just now."""

MOST_KEPT = 4096
"""Models of a provider that are remembered; callers can ask for any name where a route ends in ``*``."""


@dataclass(frozen=True, slots=True)
class _Kept:
    until: float
    prices: dict[tuple[str, str], tuple[Price, ...]]  # by tier and region, oldest first


class Prices:
    """Looks prices up.

    Parameters
    ----------
    read
        Answers the prices of a provider's (or a kind's) model, all regions, tiers and days; WeirError where it can't.
    monotonic
        Answers seconds.
    kept_seconds
        How long what was read holds: a price that an admin changes is charged after that at the latest.
    """

    def __init__(
        self,
        read: Callable[[str, str], Iterable[Price]],
        monotonic: Callable[[], float],
        kept_seconds: float = 30.0,
    ) -> None:
        self._read, self._monotonic, self._kept_seconds = read, monotonic, kept_seconds
        self._kept: dict[tuple[str, str], _Kept] = {}
        self._lock = Lock()

    def of(self, provider: str, kind: str, region: str, model: str, at: datetime, tier: str = STANDARD) -> Price | None:
        """The price by which a call of a tier that begins ``at`` is charged; None where there is none.

        WeirError where the table can't be read.
        """
        for name in dict.fromkeys((provider, kind)):
            found = self._of_model(name, model)
            for place in dict.fromkeys((region, "")):
                if (price := _begun(found.get((tier, place), ()), at)) is not None:
                    return price
        return None

    def forget(self) -> None:
        """Read all anew at the next look-up."""
        with self._lock:
            self._kept.clear()

    def _of_model(self, provider: str, model: str) -> dict[tuple[str, str], tuple[Price, ...]]:
        now, key = self._monotonic(), (provider, model)
        found = self._kept.get(key)
        if found is not None and now < found.until:
            return found.prices
        prices: dict[tuple[str, str], tuple[Price, ...]] = {}
        for price in sorted(self._read(provider, model), key=lambda one: one.since):
            place = (price.tier, price.region)
            prices[place] = (*prices.get(place, ()), price)
        kept = self._kept_seconds if prices else min(MISSED_SECONDS, self._kept_seconds)
        with self._lock:
            if len(self._kept) >= MOST_KEPT:
                self._kept.clear()
            self._kept[key] = _Kept(now + kept, prices)
        return prices


def _begun(prices: tuple[Price, ...], at: datetime) -> Price | None:
    """The newest of some prices, oldest first, that has begun."""
    place = bisect_right(prices, at, key=lambda one: one.since)
    return prices[place - 1] if place else None
