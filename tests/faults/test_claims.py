"""The oracle and the list of cases are themselves tested: a matrix that can't fail would prove nothing."""

import re
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from tests.faults.account import FUNCTIONS, REPOSITORY
from tests.faults.claims import lies, uncounted, unnamed
from tests.faults.fault import Fault, Kind, kinds_of
from tests.faults.machine import Place
from tests.faults.matrix import PLAIN_CALLS, RECORDS, Case, cases, clean_run
from tests.faults.oracle import Truth
from tests.faults.outcome import Outcome
from tests.faults.verdicts import RULES, expected

STORED = Counter({(0, "key", sequence): 1 for sequence in range(RECORDS)})
COUNTED = {
    "accepted": RECORDS,
    "seen": RECORDS,
    "lost": 0,
    "rejected": 0,
    "duplicates": 0,
    "latency": {"count": RECORDS},
}
GOOD = Truth(
    stored=STORED,
    delivered=frozenset(STORED),
    stream_exists=False,
    item={"status": "CLOSED", "verdict": "PASSED", "reasons": "[]", "resources_left": "0"},
    measurement=COUNTED,
    report={"verdict": "PASSED"},
)
FEWER = Counter(dict.fromkeys(list(STORED)[1:], 1))

FALSE: dict[str, dict[str, Any]] = {
    "a record was never stored": {"stored": FEWER, "delivered": frozenset(FEWER)},
    "a record was never read": {"delivered": frozenset(FEWER)},
    "duplicates were not counted": {"stored": STORED + Counter({(0, "key", 0): 1})},
    "a loss is not told": {"measurement": {**COUNTED, "seen": RECORDS - 1}},
    "a latency was not measured": {"measurement": {**COUNTED, "latency": {"count": RECORDS - 1}}},
    "another report": {"report": {"verdict": "FAILED"}},
    "no report": {"report": None},
    "a stream is there that is told gone": {"stream_exists": True},
    "a stream is left": {"item": {"status": "CLOSED", "verdict": "PASSED", "resources_left": "1"}},
}


def outcome_of(truth: Truth) -> Outcome:
    return Outcome(1, truth, truth, [], Counter({"Runs": 1, "RunsPassed": 1}))


def test_the_truth_is_no_lie() -> None:
    # Given a run that passed, and rightly; When it is held against the truth, Then nothing is found
    assert lies(outcome_of(GOOD)) == []


@pytest.mark.parametrize("change", FALSE.values(), ids=FALSE)
def test_a_lie_is_found(change: dict[str, Any]) -> None:
    # Given a run that says PASSED, and one thing that is otherwise; When it is held against the truth, Then it is found
    assert lies(outcome_of(replace(GOOD, **change)))


@pytest.mark.parametrize(
    "failure",
    [
        '{"step": "Insert", "error": "Unavailable", "cause": "AWS did not answer"}',
        '{"step": "Analyze", "error": "Unavailable", "cause": " "}',
    ],
    ids=["another step", "no cause"],
)
def test_a_failure_without_its_step_or_cause_is_found(failure: str) -> None:
    # Given a run that failed in Analyze, and a failure that does not say so, or not why
    case = Case("plain", Fault(Place("run", "Analyze"), "s3.PutObject", 1, Kind.ERROR_500, lasting=True))
    item = {"status": "CLOSED", "verdict": "FAILED", "reasons": "[]", "resources_left": "0", "failure": failure}

    # When it is held against the fault, Then it is found
    assert unnamed(case, replace(GOOD, item=item))


@pytest.mark.parametrize(
    ("verdict", "metrics"),
    [
        ("FAILED", {"Runs": 1}),
        ("ABORTED", {"Runs": 1, "RunsPassed": 1}),
        ("PASSED", {"Runs": 1}),
        ("PASSED", {"RunsPassed": 1, "RunsFailed": 1}),
        ("DEGRADED", {}),
    ],
)
def test_a_run_that_the_metrics_do_not_count_right_is_found(verdict: str, metrics: dict[str, int]) -> None:
    # Given a closed run, and metrics that say less, or otherwise; When they are held against it, Then it is found
    item = {"status": "CLOSED", "verdict": verdict, "reasons": "[]", "resources_left": "0"}
    assert uncounted(replace(outcome_of(replace(GOOD, item=item)), metrics=Counter(metrics)))
    assert uncounted(outcome_of(GOOD)) == []


def test_every_rule_of_verdicts_is_about_some_case() -> None:
    # Given the rules; When the first that is about a case tells its verdict, Then each tells one, and no case has none
    assert {expected(case).why for case in cases()} == {rule.why for rule in RULES}


def test_every_call_of_a_run_is_tried_in_every_way() -> None:
    # Given every (state, operation) of a clean run
    made = {(call.place, call.operation) for call in clean_run("plain").cloud.calls}
    assert len(made) >= PLAIN_CALLS

    # When the cases are listed
    tried = {(case.fault.place, case.fault.operation, case.fault.kind) for case in cases()}

    # Then each is tried in every way that there is
    wanted = {(place, operation, kind) for place, operation in made for kind in kinds_of(place, operation)}
    assert wanted <= tried


def test_functions_are_cut_off_when_the_template_says_so() -> None:
    # Given the template's functions and their time-outs, which come from Globals where they have none of their own
    template = (REPOSITORY / "template.yaml").read_text()
    sections = dict(re.findall(r"^  (\w+):\n((?:    .*\n|\n)+)", template, re.MULTILINE))
    general = re.search(r"^    Timeout: (\d+)", sections["Function"], re.MULTILINE)
    assert general is not None

    # When each is compared with the simulated one, Then they are the same
    for module, seconds in FUNCTIONS.values():
        folder = module.split(".")[1]
        body = next(body for body in sections.values() if f"CodeUri: functions/{folder}\n" in body)
        own = re.search(r"^      Timeout: (\d+)", body, re.MULTILINE) or general
        assert float(own[1]) == seconds, folder
