"""Runs and analyses on a schedule: what the template would start is a spec, and it starts it on the right machine."""

import json

from tests.contract.stack import template
from weir.analysis.analyses.contract import ScheduledSpec, TagFilter
from weir.runs.models import RunSpec


def test_the_default_spec_of_scheduled_runs_is_a_run_spec() -> None:
    spec = RunSpec.model_validate_json(template()["Parameters"]["RunScheduleSpec"]["Default"])
    assert spec.load.records == 10_000
    assert spec.keep is False


def test_the_default_spec_of_scheduled_analyses_is_one_of_managed_streams() -> None:
    spec = ScheduledSpec.model_validate_json(template()["Parameters"]["AnalysisScheduleSpec"]["Default"])
    assert spec.streams == TagFilter(tags={"weir:managed": "true"})
    assert spec.schedule == "default"


def test_nothing_is_scheduled_unless_asked() -> None:
    # Given the defaults of the schedules
    assert template()["Parameters"]["RunSchedule"]["Default"] == ""
    assert template()["Parameters"]["AnalysisSchedule"]["Default"] == ""
    # Then the schedule and its role are made only where one is given
    resources = template()["Resources"]
    assert resources["ScheduledRun"]["Condition"] == resources["ScheduledRunRole"]["Condition"] == "HasRunSchedule"
    assert json.dumps(resources["ScheduledRun"]["Properties"]["Target"]["Arn"]) == json.dumps({"Ref": "RunMachine"})
    made = {resources[one]["Condition"] for one in ("ScheduledAnalysis", "ScheduledAnalysisRole")}
    assert made == {"HasAnalysisSchedule"}
    target = resources["ScheduledAnalysis"]["Properties"]["Target"]["Arn"]
    assert json.dumps(target) == json.dumps({"Ref": "AnalysisMachine"})
