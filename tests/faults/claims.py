"""What Weir says about a run, held against the truth: each false claim is a sentence."""

import builtins
from collections.abc import Iterator

from tests.faults.fault import STOPS, Kind
from tests.faults.machine import Place
from tests.faults.matrix import RECORDS, Case
from tests.faults.oracle import Truth
from tests.faults.outcome import Outcome

STEPS = {
    "Start": {"Start", "Run"},
    "Plan": {"Plan"},
    "CreateStream": {"CreateStream"},
    "CheckActive": {"WaitActive"},
    "InsertSlice": {"Insert"},
    "InsertSliceApart": {"Insert"},
    "ReadShards": {"Verify"},
    "ReadShardsApart": {"Verify"},
    "AwaitMetrics": {"AwaitMetrics"},
    "Analyze": {"Analyze"},
    "DeleteStream": {"DeleteStream"},
    "ConfirmDeleted": {"ConfirmDeleted", "DeleteStream"},
    "Close": {"Close"},
}
"""The step that a failure in a state is told of; the deletion is under way until it is confirmed."""


def lies(outcome: Outcome) -> list[str]:
    """What the closed run says and is not so, at the first close and at the end."""
    return [*_lies(outcome.first), *_lies(outcome.last)]


def _lies(truth: Truth) -> Iterator[str]:
    if not truth.closed:
        return
    whole = len(truth.stored) == RECORDS and truth.delivered == frozenset(truth.stored)
    if truth.verdict == "PASSED" and not whole:
        yield f"PASSED, but {len(truth.stored)} of {RECORDS} were stored and {len(truth.delivered)} read back"
    if truth.verdict in {"PASSED", "DEGRADED"} and truth.failure is not None:
        yield f"{truth.verdict}, and yet a failure: {truth.failure}"
    if truth.verdict == "PASSED" and truth.item is not None and truth.item.get("resources_left") != "0":
        yield f"PASSED with {truth.item.get('resources_left')} streams left"
    if truth.item is not None and truth.item.get("resources_left") == "0" and truth.stream_exists:
        yield f"{truth.verdict} with 0 streams left, but the stream is there"
    if truth.report is not None and truth.report["verdict"] != truth.verdict:
        yield f"the report says {truth.report['verdict']}, the run {truth.verdict}"
    if truth.report is None and not (truth.failure is not None and truth.failure["step"] == "Start"):
        yield "closed without a report"
    yield from _false_counts(truth)


def _false_counts(truth: Truth) -> Iterator[str]:
    counted = truth.measurement
    if counted is None or (truth.verdict == "ABORTED" and counted["lost"] is None):
        return
    stored, delivered = len(truth.stored), len(truth.delivered)
    if counted["seen"] > delivered:
        yield f"{counted['seen']} seen, but {delivered} were read back"
    if counted["accepted"] > stored:
        yield f"{counted['accepted']} accepted, but {stored} were stored"
    if counted["lost"] is not None and counted["lost"] != max(0, counted["accepted"] - counted["seen"]):
        yield f"{counted['lost']} lost, of {counted['accepted']} accepted and {counted['seen']} seen"
    if counted["lost"] == 0 and not counted["rejected"] and counted["seen"] != stored:
        yield f"nothing lost, but {counted['seen']} seen of {stored} stored"
    if truth.verdict == "PASSED" and counted["latency"]["count"] != counted["seen"]:
        yield f"PASSED, but {counted['latency']['count']} latencies were measured of {counted['seen']} seen"
    if truth.verdict == "PASSED" and counted["duplicates"] != truth.copies:
        yield f"{counted['duplicates']} duplicates, but there were {truth.copies}"


def uncounted(outcome: Outcome) -> list[str]:
    """What the metrics, which the alarms watch, do not say of the closed run. At least once, so twice is well."""
    if not outcome.last.closed:
        return []
    name, not_name = "RunsFailed", "RunsPassed"
    if outcome.last.verdict in {"PASSED", "DEGRADED"}:
        name, not_name = ("RunsPassed" if outcome.last.verdict == "PASSED" else "Runs"), "RunsFailed"
    told = [] if outcome.metrics[name] else [f"{outcome.last.verdict}, and {name} does not count it"]
    return [*told, *([f"{outcome.last.verdict}, and {not_name} counts it"] if outcome.metrics[not_name] else [])]


def unnamed(case: Case, truth: Truth) -> list[str]:
    """What a failed or aborted run does not say of its step and its cause."""
    if truth.verdict not in {"FAILED", "ABORTED"}:
        return []
    failure = truth.failure
    if failure is None:
        told = any("records" in reason for reason in truth.reasons)  # what was measured broke it, and says how much
        return [] if told else [f"no failure, and only {truth.reasons}"]
    wrong = []
    if not failure["cause"].strip() or not failure["error"].strip():
        wrong.append(f"no cause: {failure}")
    if hasattr(builtins, failure["error"]):
        wrong.append(f"a fault of the program: {failure}")
    if failure["step"] not in _steps_of(case):
        wrong.append(f"step {failure['step']}, but it was {case.fault.place.state}")
    if not truth.reasons or failure["cause"] not in truth.reasons[0]:
        wrong.append(f"the first reason is not the failure: {truth.reasons[:1]}")
    return wrong


def _steps_of(case: Case) -> set[str]:
    place = case.fault.place
    if case.spec in {"stopped", "orphaned"}:
        return {"Insert", "Verify", "Run"}  # stopped while it inserted, whatever failed behind it
    if case.fault.kind in STOPS and place.state in {"InsertSlice", "InsertSliceApart", "ReadShards", "ReadShardsApart"}:
        return {"Insert", "Verify", "Run"}  # side by side; "Run" where neither had begun to tell
    if case.fault.kind in STOPS:
        following = {"Close"} if place.state == "ConfirmDeleted" else set()
        return {*STEPS[place.state], *following, "Run"}  # "Run" where the step had not begun to tell, or had ended
    return STEPS[place.state]


def needs_the_sweeper(case: Case) -> bool:
    """Whether only the sweeper can end this case: what would clean up at once is itself stopped, or broken for good."""
    fault = case.fault
    if case.spec == "orphaned":
        return True
    if fault.place.state == "Plan" and fault.kind is Kind.STOPPED_STUCK:
        return True  # the clean-up found no run, and then it was stored
    if fault.place == Place("cleanup", "Close") and fault.kind is Kind.DENIED:
        return True  # what is denied is not tried again, and nothing comes after the clean-up's close
    if case.spec == "started":
        return fault.kind in {Kind.DIES_BEFORE, Kind.DIES_AFTER} or fault.lasting
    return fault.place.machine in {"cleanup", "events"} and (fault.lasting or fault.kind in STOPS)
