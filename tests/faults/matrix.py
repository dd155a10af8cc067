"""The cases: every AWS call that a run makes, as a clean run shows them, times every way in which it can fail."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import lru_cache
from io import StringIO
from typing import Any

from tests.faults.account import Account, deployed
from tests.faults.cloud import Call
from tests.faults.fault import ONCE_ONLY, Fault, kinds_of
from tests.faults.machine import Place

PLAIN = {"stream": {"shards": 2}, "load": {"records": 24, "keys": {"count": 6}}, "analyses": ["run"]}
WATCHED = {**PLAIN, "analyses": ["run", "cloudwatch"]}
APART = {
    **PLAIN,
    "stream": {"shards": 5},
    "load": {"records": 24, "keys": {"count": 12}, "workers": 2},
}
OWN_LINES = {
    **PLAIN,
    "load": {"source": {"type": "s3", "key": "sources/lines"}, "keys": {"count": 6}},
    "slo": {"ordered": True},
}
SPECS: dict[str, dict[str, Any]] = {"plain": PLAIN, "watched": WATCHED, "apart": APART, "own-lines": OWN_LINES}
LINES = [f'{{"line": {number}}}' for number in range(24)]
RECORDS = 24

_OF_SPEC: dict[str, Callable[[Call], bool]] = {
    "plain": lambda call: call.place.state != "AwaitMetrics",
    "watched": lambda call: call.place.state == "AwaitMetrics" or call.operation.startswith("cloudwatch."),
    "apart": lambda call: call.place.state.endswith("Apart"),
    "own-lines": lambda call: call.operation == "s3.HeadObject" or (call.operation, call.place.state) == ("s3.GetObject", "InsertSlice"),
}
"""Which calls of a clean run are tried with which spec, so that each is tried with one."""


@dataclass(frozen=True)
class Case:
    """One run with one fault."""

    spec: str
    fault: Fault

    def __str__(self) -> str:
        return f"{self.spec}-{self.fault}"


def clean_run(spec: str) -> Account:
    """A run in which nothing fails, to its end."""
    with deployed() as account, redirect_stdout(StringIO()):
        prepare(account, spec)
        execution = account.start(SPECS[spec])
        account.settle()
    assert execution.status == "SUCCEEDED", (execution.error, execution.cause)
    return account


def prepare(account: Account, spec: str) -> None:
    """What must be there before a run of this spec."""
    if spec == "own-lines":
        account.upload("sources/lines", "\n".join(LINES).encode())


@lru_cache(maxsize=1)
def cases() -> tuple[Case, ...]:
    """Every case, in the order of the calls."""
    return tuple(case for spec in SPECS for case in _cases_of(spec))


def _cases_of(spec: str) -> Iterator[Case]:
    calls: Counter[tuple[Place, str]] = Counter()
    for call in clean_run(spec).cloud.calls:
        if _OF_SPEC[spec](call):
            calls[call.place, call.operation] += 1
    for (place, operation), times in calls.items():
        for occurrence in _occurrences(times):
            for kind in kinds_of(operation):
                yield Case(spec, Fault(place, operation, occurrence, kind, lasting=False))
                if kind not in ONCE_ONLY:
                    yield Case(spec, Fault(place, operation, occurrence, kind, lasting=True))


def _occurrences(times: int) -> list[int]:
    """The first, the second and the last of many; those between are like one of them."""
    return sorted({1, min(2, times), times})
