"""Runs on a schedule: what the template would start is a run spec, and it starts it on the machine that runs."""

import json

from tests.contract.stack import template
from weir.runs.models import RunSpec


def test_the_default_spec_of_scheduled_runs_is_a_run_spec() -> None:
    spec = RunSpec.model_validate_json(template()["Parameters"]["RunScheduleSpec"]["Default"])
    assert spec.load.records == 10_000
    assert spec.keep is False


def test_nothing_is_scheduled_unless_asked() -> None:
    # Given the default of the schedule
    assert template()["Parameters"]["RunSchedule"]["Default"] == ""
    # Then the schedule and its role are made only where one is given
    resources = template()["Resources"]
    assert resources["ScheduledRun"]["Condition"] == resources["ScheduledRunRole"]["Condition"] == "HasRunSchedule"
    assert json.dumps(resources["ScheduledRun"]["Properties"]["Target"]["Arn"]) == json.dumps({"Ref": "RunMachine"})
