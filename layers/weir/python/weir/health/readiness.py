"""Readiness: every dependency asked at the same time, each with its own time-out, whatever hangs behind it.

A check runs in a thread of its own, which is left behind when its time is up: a hung call must not hold the answer.
What a check tells is an error's class or AWS code and never its message, for that may name roles, keys and secrets.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Literal

from weir.health.errors import UnknownCheck
from weir.runtime.clock import Clock

Group = Literal["aws", "db", "llm"]
GROUPS: tuple[Group, ...] = ("aws", "db", "llm")
ALL = "all"

State = Literal["ok", "failed", "timeout"]


@dataclass(frozen=True, slots=True)
class Check:
    """One dependency. ``call`` returns when it is ready and raises when it is not; ``timeout`` is in seconds."""

    name: str
    group: Group
    call: Callable[[], None]
    required: bool = True
    timeout: float = 2.0


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What a check came to. ``latency_ms`` is up to the answer, or to the time-out; ``reason`` is None when ok."""

    name: str
    group: Group
    status: State
    required: bool
    latency_ms: float
    reason: str | None


def select(names: str) -> frozenset[Group]:
    """The groups that ``?check=`` names: ``all``, or groups by commas. UnknownCheck for any other."""
    wanted = [name.strip() for name in names.split(",")]
    unknown = sorted(name for name in wanted if name not in {ALL, *GROUPS})
    if unknown:
        raise UnknownCheck(f"No check {', '.join(repr(name) for name in unknown)}; there are {known()}.")
    return frozenset(group for group in GROUPS if ALL in wanted or group in wanted)


def known() -> str:
    """The names that ``select`` takes, for people."""
    return ", ".join((ALL, *GROUPS))


def run_checks(checks: Sequence[Check], clock: Clock, reason: Callable[[Exception], str]) -> list[CheckResult]:
    """Run all checks at once; answers, in their order, no later than the longest of their time-outs.

    ``reason`` puts an exception into a few words that hold no secret.
    """
    finished: SimpleQueue[tuple[int, float, Exception | None]] = SimpleQueue()
    started = clock.monotonic()

    def run(index: int, call: Callable[[], None]) -> None:
        failure: Exception | None = None
        try:
            call()
        except Exception as error:  # whatever a dependency raises is the answer to "is it ready"
            failure = error
        finished.put((index, clock.monotonic() - started, failure))

    for index, check in enumerate(checks):
        threading.Thread(target=run, args=(index, check.call), name=f"check-{check.name}", daemon=True).start()
    results: dict[int, CheckResult] = {}
    last = started + max((check.timeout for check in checks), default=0.0)
    while len(results) < len(checks):
        try:
            index, seconds, failure = finished.get(timeout=max(0.0, last - clock.monotonic()))
        except Empty:
            break
        results[index] = _result(checks[index], seconds, None if failure is None else reason(failure))
    return [results.get(index) or _late(check) for index, check in enumerate(checks)]


def _result(check: Check, seconds: float, failed: str | None) -> CheckResult:
    if seconds > check.timeout:
        return _late(check)
    status: State = "ok" if failed is None else "failed"
    return CheckResult(check.name, check.group, status, check.required, round(seconds * 1000, 1), failed)


def _late(check: Check) -> CheckResult:
    told = f"no answer within {check.timeout:g} s"
    return CheckResult(check.name, check.group, "timeout", check.required, check.timeout * 1000, told)


def overall(results: Sequence[CheckResult]) -> Literal["ok", "degraded", "failed"]:
    """``failed`` when a required check is not ok, ``degraded`` when only others are not."""
    bad = [result for result in results if result.status != "ok"]
    if any(result.required for result in bad):
        return "failed"
    return "degraded" if bad else "ok"
