"""What is set aside for a call: all that it can use where a cap must hold, what it is likely to use elsewhere.

Of several targets that may come to serve it, the dearest counts. How much output a cap can still afford is worked out
from the same figures, so that what was affordable is never refused.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from weir.llm.models import Bound
from weir.usage import pricing
from weir.usage.caps import ModelUnpriced, ToolUnpriced, is_enforced, left
from weir.usage.counters import Count
from weir.usage.models import Amount, Cap, Measure, Price

DEFAULT_OUTPUT = 4096
"""Output tokens that a call gets which sets no limit of its own, where a cap must hold that its output counts for."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A call's bound, with the prices of all its targets (None: it has none), and the model's name to tell of."""

    model: str
    bound: Bound
    prices: tuple[Price | None, ...]

    def limited(self, output: int) -> "Estimate":
        """It, with so much output at most."""
        return replace(self, bound=replace(self.bound, output=output))

    def amount(self, caps: Sequence[Cap], now: datetime) -> Amount:
        """What to set aside for a subject with these caps.

        Raises
        ------
        ModelUnpriced, ToolUnpriced
            A cap on cost must hold, and one of the targets has no price, or a tool has none.
        ValueError
            A cap must hold that the output counts for, and the call has no limit of it.
        """
        return Amount(
            requests=1,
            tokens=self.most_tokens() if _must_hold(caps, "tokens", now) else self.likely_tokens(),
            cost=self._most_cost() if _must_hold(caps, "cost", now) else self._likely_cost(),
        )

    def most_tokens(self) -> int:
        """The tokens that it can use at most."""
        if self.bound.output is None:
            raise ValueError("a call without a limit of its output has no bound")
        return self.bound.input + self.bound.output

    def likely_tokens(self) -> int:
        """The tokens that it is likely to use; no more than it can."""
        likely, most = self.bound.likely_output, self.bound.output
        return min(self.bound.likely_input, self.bound.input) + (likely if most is None else min(likely, most))

    def needs_limit(self, caps: Iterable[Cap], now: datetime) -> bool:
        """Whether one of the caps can't be held without a limit of the call's output."""
        return self.bound.output is None and any(_must_hold([one], "tokens", now, "cost") for one in caps)

    def affordable(self, caps: Iterable[Cap], count: Count, shard: int, now: datetime) -> int:
        """The most output for which the call passes none of the caps, by their counter; 0 or less where none is."""
        found = [self._affordable(one, left(one, count, shard, now)) for one in caps]
        return max(0, min(found, default=0))

    def _affordable(self, cap: Cap, room: int) -> int:
        if cap.measure == "tokens":
            return room - self.bound.input
        if cap.measure == "cost":
            return min(pricing.affordable_output(self.bound, one, room) for one in self._priced())
        return 0

    def _most_cost(self) -> int:
        if self.bound.fee:
            raise ToolUnpriced(
                f"{self.bound.fee}: what this tool costs beside tokens is not kept, and a cap on cost holds for you. "
                "Leave it out, or ask an admin for a cap of the mode expected."
            )
        return max(pricing.bound_cost(self.bound, one) for one in self._priced())

    def _likely_cost(self) -> int:
        return max((pricing.likely_cost(self.bound, one) for one in self.prices if one is not None), default=0)

    def _priced(self) -> list[Price]:
        found = [one for one in self.prices if one is not None]
        if len(found) < len(self.prices) or not found:
            raise ModelUnpriced(
                f"Nobody has told what {self.model[:128]!r} costs, and a cap on cost holds for you. "
                "Ask an admin to add its price: POST /models/prices."
            )
        return found


def _must_hold(caps: Iterable[Cap], measure: Measure, now: datetime, *more: Measure) -> bool:
    return any(one.mode != "expected" and one.measure in {measure, *more} and is_enforced(one, now) for one in caps)
