"""Play one case to its end, and hold what Weir says against what is so."""

from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from typing import Any

from tests.faults.account import Account, deployed
from tests.faults.matrix import SPECS, Case, prepare
from tests.faults.neighbours import disturbed, move_in
from tests.faults.oracle import Truth, truth

EXPIRY_SECONDS = 3_700.0
BETWEEN_SWEEPS_SECONDS = 900.0


@dataclass(frozen=True)
class Outcome:
    """How a case ended: ``first`` without the sweeper and with a lasting fault still there, ``last`` after both."""

    struck: int
    first: Truth
    last: Truth
    disturbed: list[str]
    statuses: dict[str, str]
    dead_letters: int


def play(case: Case) -> Outcome:
    """Run a case: the run, the clean-up behind it, then the fault heals, the stream expires, and the sweeper comes."""
    with deployed(case.fault) as account, redirect_stdout(StringIO()):
        prepare(account, case.spec)
        neighbours = move_in(account.cloud)
        account.start(SPECS[case.spec])
        account.settle()
        return conclude(account, neighbours)


def conclude(account: Account, neighbours: dict[str, Any]) -> Outcome:
    """The end of any case whose machines have come to rest."""
    first = truth(account.cloud)
    account.cloud.heal()
    account.kernel.sleep(EXPIRY_SECONDS)
    account.sweep()
    account.kernel.sleep(BETWEEN_SWEEPS_SECONDS)
    account.sweep()
    return Outcome(
        account.cloud.struck,
        first,
        truth(account.cloud),
        disturbed(account.cloud, neighbours),
        {execution.name: execution.status for execution in account.executions.values()},
        len(account.dead_letters),
    )
