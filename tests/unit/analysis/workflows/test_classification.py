"""Each kind of stream, and the rule that decided."""

import math
import random

import pytest

from tests.unit.analysis.workflows.streams import Values, evidence, hourly, result, stream

WEEK = 168
RNG = random.Random(3)
CASES: dict[str, Values] = {
    "steady": [500.0 + RNG.gauss(0, 20) for _ in range(WEEK)],
    "periodic": [500.0 + 400 * math.sin(n / 24 * 2 * math.pi) for n in range(WEEK)],
    "growing": [100.0 + n for n in range(2 * WEEK)],
    "spiky": [5000.0 if n in {31, 77, 78, 120, 121} else 50.0 for n in range(WEEK)],
    "idle": [10.0 if n in {40, 100} else 0.0 for n in range(WEEK)],
    "dead": [0.0] * WEEK,
    "unknown": [1.0] * 60 + [None] * 108,
}


@pytest.mark.parametrize("kind", CASES)
def test_each_kind(kind: str) -> None:
    answer = result("classification", hourly(CASES[kind]))
    (finding,) = answer.findings
    assert finding.id == f"class-{kind}"
    assert evidence(finding)["class"] == kind
    assert answer.facts[1].value in finding.title


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([0.0] * 24, "idle"),  # a day without a record is no week
        ([0.0] * 23, "unknown"),
        ([7.0], "unknown"),
        ([None] * WEEK, "unknown"),
        ([0.0] * 160 + [None] * 8, "dead"),
        ([0.0] * 100 + [None] * 68, "unknown"),
        ([1.0] + [0.0] * 150 + [None] * 17, "unknown"),
        ([1.0] + [0.0] * 151 + [None] * 16, "idle"),
    ],
)
def test_what_is_missing_is_not_zero(values: Values, kind: str) -> None:
    assert result("classification", hourly(values)).findings[0].id == f"class-{kind}"


def test_a_daily_load_that_grows_is_growing_first() -> None:
    values = [(500.0 + 300 * math.sin(n / 24 * 2 * math.pi)) * (1 + n / 168) for n in range(2 * WEEK)]
    assert result("classification", hourly(values)).findings[0].id == "class-growing"


def test_without_points_the_kind_is_unknown() -> None:
    assert result("classification", stream()).findings[0].id == "class-unknown"
