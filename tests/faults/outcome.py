"""Play one case to its end, and hold what Weir says against what is so."""

import json
from collections import Counter
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from io import StringIO
from typing import Any

from tests.faults.account import Account, deployed
from tests.faults.matrix import EXPIRY_SECONDS, Case, begin
from tests.faults.neighbours import disturbed, move_in
from tests.faults.oracle import Truth, truth

BETWEEN_SWEEPS_SECONDS = 900.0


@dataclass(frozen=True)
class Outcome:
    """How a case ended: ``first`` without the sweeper and with a lasting fault still there, ``last`` after both.

    ``metrics`` are the sums of the counts that were published, by name.
    """

    struck: int
    first: Truth
    last: Truth
    disturbed: list[str]
    metrics: Counter[str]


def play(case: Case) -> Outcome:
    """Run a case: the run, the clean-up behind it, then the fault heals, the stream expires, and the sweeper comes."""
    printed = StringIO()
    with deployed(case.fault) as account, redirect_stdout(printed):
        neighbours = move_in(account.cloud)
        begin(account, case.spec)
        outcome = conclude(account, neighbours)
    return replace(outcome, metrics=_counts(printed.getvalue()))


def conclude(account: Account, neighbours: dict[str, Any]) -> Outcome:
    """The end of any case whose machines have come to rest."""
    first = truth(account.cloud)
    account.cloud.heal()
    swept = not first.settled
    if swept:
        account.kernel.sleep(EXPIRY_SECONDS)
        account.sweep()
        account.kernel.sleep(BETWEEN_SWEEPS_SECONDS)
        account.sweep()
    return Outcome(
        account.cloud.struck,
        first,
        truth(account.cloud) if swept else first,
        disturbed(account.cloud, neighbours),
        Counter(),
    )


def _counts(printed: str) -> Counter[str]:
    """What the functions printed in the embedded metric format: a line of JSON for each set of metrics."""
    counts: Counter[str] = Counter()
    for line in printed.splitlines():
        document = json.loads(line) if '"_aws"' in line else {}
        counts.update({name: sum(value) for name, value in document.items() if isinstance(value, list)})
    return counts
