"""What a request may say: each wrong field is named, none is guessed."""

from typing import Any

import pytest
from pydantic import ValidationError

from weir.analysis.analyses.contract import (
    WORKFLOW_NAMES,
    AnalysisSpec,
    ScheduledSpec,
    TagFilter,
    spec_json,
)
from weir.analysis.workflows.registry import WORKFLOWS
from weir.runtime.field_errors import field_errors


def test_the_workflows_are_those_of_the_registry() -> None:
    assert tuple(WORKFLOWS) == WORKFLOW_NAMES


def test_streams_are_names_or_tags() -> None:
    assert AnalysisSpec.model_validate({"streams": ["a", "b"]}).streams == ("a", "b")
    asked = AnalysisSpec.model_validate({"streams": {"tags": {"team": "a"}}})
    assert asked.streams == TagFilter(tags={"team": "a"})


def test_runs_bring_their_streams_with_them() -> None:
    asked = AnalysisSpec.model_validate({"runs": ["run-1", "run-2", "run-1"]})
    assert (asked.streams, asked.most_streams) == (None, 2)
    assert AnalysisSpec.model_validate(spec_json(asked)) == asked
    assert AnalysisSpec.model_validate({"streams": {"tags": {"team": "a"}}, "runs": ["run-1"]}).most_streams == 2
    assert AnalysisSpec.model_validate({"streams": ["a", "b", "a"]}).most_streams == 2


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({}, "streams"),
        ({"streams": []}, "streams"),
        ({"streams": "a"}, "streams"),
        ({"runs": []}, "runs"),
        ({"runs": ["a"] * 21}, "runs"),
        ({"runs": ["a/../b"]}, "runs.0"),
        ({"streams": None, "runs": None}, "streams"),
        ({"streams": ["a b"]}, "streams.0"),
        ({"streams": ["a"] * 501}, "streams"),
        ({"streams": {"tags": {}}}, "streams.tags"),
        ({"streams": {"tags": {str(n): "x" for n in range(11)}}}, "streams.tags"),
        ({"streams": {"names": ["a"]}}, "streams.tags"),
        ({"streams": ["a"], "workflows": ["guessing"]}, "workflows.0"),
        ({"streams": ["a"], "workflows": []}, "workflows"),
        ({"streams": ["a"], "last": "a week"}, "last"),
        ({"streams": ["a"], "last": "0d"}, "last"),
        (
            {"streams": ["a"], "last": "1d", "range": {"from": "2026-11-20T00:00:00Z", "to": "2026-11-21T00:00:00Z"}},
            "last",
        ),
        ({"streams": ["a"], "range": {"from": "2026-11-21T00:00:00Z", "to": "2026-11-20T00:00:00Z"}}, "range.to"),
        ({"streams": ["a"], "range": {"from": "2026-11-20T00:00:00", "to": "2026-11-21T00:00:00Z"}}, "range.from"),
        ({"streams": ["a"], "range": {"from": "0001-01-01T00:00:00+14:00", "to": "2026-11-21T00:00Z"}}, "range.from"),
        ({"streams": ["a"], "range": {"from": "2026-11-20T00:00:00Z", "to": "9999-12-31T23:59:59-14:00"}}, "range.to"),
        ({"streams": ["a"], "schedule": "nightly"}, "schedule"),
        ({"streams": ["a"], "headroom": -1}, "headroom"),
    ],
)
def test_what_is_wrong_is_told_by_its_field(asked: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as refused:
        AnalysisSpec.model_validate(asked)
    assert field_errors(refused.value.errors())[0].field == field


def test_the_same_wish_is_the_same_json() -> None:
    asked = {"streams": ["a"], "range": {"from": "2026-11-20T01:00:00+01:00", "to": "2026-11-21T00:00:00Z"}}
    told = spec_json(AnalysisSpec.model_validate(asked))
    assert told["range"] == {"from": "2026-11-20T00:00:00.000Z", "to": "2026-11-21T00:00:00.000Z"}
    assert spec_json(AnalysisSpec.model_validate(told)) == told


def test_a_schedule_is_named_on_the_state_machine_alone() -> None:
    assert ScheduledSpec.model_validate({"streams": ["a"], "schedule": "nightly"}).schedule == "nightly"
