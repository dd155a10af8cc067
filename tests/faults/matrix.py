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
from tests.faults.fault import BRIEF, STOPS, Fault, Kind, is_read, kinds_of
from tests.faults.machine import Execution, Place

PLAIN = {"stream": {"shards": 2}, "load": {"records": 24, "keys": {"count": 6}}, "analyses": ["run"]}
WATCHED = {**PLAIN, "analyses": ["run", "cloudwatch"]}
SLOW_LOAD = {"records": 24, "keys": {"count": 12}, "rate": 0.2}
SLOW = {**PLAIN, "load": SLOW_LOAD}
APART = {
    **PLAIN,
    "stream": {"shards": 5},
    "load": {"records": 24, "keys": {"count": 12}, "workers": 2},
}
SLOW_APART = {**APART, "load": {**SLOW_LOAD, "workers": 2}}
OWN_LINES = {
    **PLAIN,
    "load": {"source": {"type": "s3", "key": "sources/lines"}, "keys": {"count": 6}},
    "slo": {"ordered": True},
}
LONG = {**PLAIN, "load": {**PLAIN["load"], "rate": 0.5}}
"""48 seconds: a writer and a reader save three times in one invocation."""

SPECS: dict[str, dict[str, Any]] = {
    "plain": PLAIN,
    "watched": WATCHED,
    "apart": APART,
    "own-lines": OWN_LINES,
    "long": LONG,
    "stopped": PLAIN,  # stopped while it inserts: the clean-up's calls are tried
    "started": PLAIN,  # over HTTP: the calls that start a run are tried
    "orphaned": PLAIN,  # the same, and the event that tells it is lost: the sweeper's calls are tried
}
STOPPED_IN = "InsertDone?"
EXPIRY_SECONDS = 3_700.0
LINES = [f'{{"line": {number}}}' for number in range(24)]
RECORDS = 24
PLAIN_CALLS = 50
"""Different (state, operation) pairs of a plain run, at least: the list of cases can't shrink unnoticed."""

_OF_SPEC: dict[str, Callable[[Call], bool]] = {
    "plain": lambda call: call.place.state != "AwaitMetrics",
    "watched": lambda call: call.place.state == "AwaitMetrics" or call.operation.startswith("cloudwatch."),
    "apart": lambda call: call.place.state.endswith("Apart"),
    "own-lines": lambda call: call.operation.startswith("s3.") and call.place.state in {"Plan", "InsertSlice"},
    "long": lambda call: (
        call.place.state in {"InsertSlice", "ReadShards"} and call.operation in {"dynamodb.UpdateItem", "s3.PutObject"}
    ),
    "stopped": lambda call: call.place.machine != "run",
    "started": lambda call: call.place.machine == "http",
    "orphaned": lambda call: call.place.machine == "sweeper",
}
"""Which calls of a clean run are tried with which spec, so that each is tried with one."""

LATER = (Kind.LOST_AFTER, Kind.DIES_BEFORE, Kind.DIES_AFTER, Kind.STOPPED, Kind.FUNCTION_THROTTLED)
"""Tried on the second and the last of the same calls in a state, too: those that meet a step half done."""

ALIKE = (Kind.THROTTLED, Kind.DENIED, Kind.ERROR_500, Kind.DIES_AFTER)
"""One of each sort that lasts, where the same functions are called from other states: others end the same way."""

A_WHILE = {Kind.ERROR_500: 6, Kind.TIMED_OUT: 6, Kind.FUNCTION_THROTTLED: 6, Kind.NOT_KNOWN_YET: 3}
"""Calls in a row, more than the tries of a client: these are over only when the state is tried again."""


AT_THE_END = (Kind.ERROR_500, Kind.DIES_BEFORE, Kind.DIES_AFTER)
"""Tried on the last of the same calls of a long run, which tells of an end whose checkpoint may be saved already."""


@dataclass(frozen=True)
class Case:
    """One run with one fault."""

    spec: str
    fault: Fault

    def __str__(self) -> str:
        return f"{self.spec}-{self.fault}"


def clean_run(spec: str) -> Account:
    """A run in which no call fails, to its end."""
    with deployed() as account, redirect_stdout(StringIO()):
        begin(account, spec)
    assert account.cloud.calls
    return account


def begin(account: Account, spec: str) -> None:
    """Start a run of this spec, and let it and what follows it come to rest."""
    if spec == "own-lines":
        account.upload("sources/lines", "\n".join(LINES).encode())
    if spec in {"stopped", "orphaned"}:
        account.on_entered = _stop
        account.events_lost = spec == "orphaned"
    if spec == "started":
        account.start_over_http(SPECS[spec])
    else:
        account.start(SPECS[spec])
    account.settle()
    if spec == "orphaned":
        account.kernel.sleep(EXPIRY_SECONDS)
        account.sweep()


def _stop(execution: Execution, state: str) -> None:
    if state == STOPPED_IN:
        execution.end("ABORTED", "Stopped", "stopped by a test")


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
        if spec == "long":
            for kind in AT_THE_END:
                yield Case(spec, Fault(place, operation, times, kind, lasting=False, calls=A_WHILE.get(kind, 1)))
            continue
        for kind in kinds_of(place, operation):
            if kind in STOPS and place.machine in {"events", "http", "sweeper"}:
                continue  # no execution
            yield Case(spec, Fault(place, operation, 1, kind, lasting=False))
            if kind not in BRIEF and (spec not in {"apart", "own-lines"} or kind in ALIKE):
                yield Case(spec, Fault(place, operation, 1, kind, lasting=True))
            if kind in A_WHILE and spec in {"plain", "watched", "own-lines"}:
                yield Case(spec, Fault(place, operation, 1, kind, lasting=False, calls=A_WHILE[kind]))
        for occurrence in sorted({min(2, times), times} - {1}) if spec in {"plain", "watched"} else ():
            for kind in kinds_of(place, operation):
                if kind in LATER and not (is_read(operation) and kind is Kind.LOST_AFTER):
                    yield Case(spec, Fault(place, operation, occurrence, kind, lasting=False))


def share(all_cases: list[Case], of: int) -> list[Case]:
    """One of ``of`` cases, such that every call of every state is among them, and every way to fail.

    The cases of a call come in the order of the ways to fail; each call begins with another way than the one before.
    """
    calls: dict[tuple[str, Place, str], list[Case]] = {}
    for case in all_cases:
        calls.setdefault((case.spec, case.fault.place, case.fault.operation), []).append(case)
    chosen: list[Case] = []
    for number, cases_of_call in enumerate(calls.values()):
        chosen += cases_of_call[number % min(of, len(cases_of_call)) :: of]
    ways = {(case.fault.kind, case.fault.lasting) for case in chosen}
    rest = {(case.fault.kind, case.fault.lasting): case for case in reversed(all_cases)}
    return chosen + [case for way, case in rest.items() if way not in ways]
