"""Metrics in the embedded metric format, and logs with what is needed to find a request again."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.runtime.conftest import Configure
from weir.runtime import observability

LAYER = Path(observability.__file__).parents[2]


def test_metrics_are_one_emf_line_flushed_at_once(configure: Configure, capsys: pytest.CaptureFixture[str]) -> None:
    # Given a namespace of the stage
    configure(metrics_namespace="Weir/dev", service="weir")
    # When values are emitted
    observability.emit({"Runs": ("Count", 1), "CostUsd": ("None", 0.25)}, {"Route": "POST /runs"})
    # Then one line tells CloudWatch units, namespace and a single set of dimensions
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1
    emf = json.loads(lines[0])
    (told,) = emf["_aws"]["CloudWatchMetrics"]
    assert told["Namespace"] == "Weir/dev"
    assert {metric["Name"]: metric["Unit"] for metric in told["Metrics"]} == {"Runs": "Count", "CostUsd": "None"}
    assert [sorted(names) for names in told["Dimensions"]] == [["Route", "service"]]
    assert (emf["Runs"], emf["CostUsd"], emf["Route"], emf["service"]) == ([1], [0.25], "POST /runs", "weir")
    assert emf["_aws"]["Timestamp"] > 1_600_000_000_000


def test_one_emission_does_not_hold_what_another_told(configure: Configure, capsys: pytest.CaptureFixture[str]) -> None:
    configure()
    observability.emit({"A": ("Count", 1)}, {"Route": "one"})
    observability.emit({"B": ("Count", 2)}, {})
    _, second = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert "A" not in second
    assert "Route" not in second
    assert second["B"] == [2]


def test_the_tracer_is_loaded_only_where_tracing_is_on(tmp_path: Path) -> None:
    # Given a process that wires a handler with tracing off
    code = (
        "import sys\n"
        "from weir.runtime.observability import traced\n"
        "handler = lambda event, context: {}\n"
        "assert traced(handler) is handler\n"
        "assert not [name for name in sys.modules if 'xray' in name or name.endswith('.tracing')]\n"
    )
    # When it runs / Then it finds no tracer among its modules
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, env={"PYTHONPATH": str(LAYER)}, timeout=60)


TRACED = """
import json
from aws_xray_sdk.core import xray_recorder
from weir.runtime.observability import traced

told = []

class Emitter:
    def send_entity(self, entity):
        told.append(entity.to_dict())

xray_recorder.configure(emitter=Emitter())

def handler(event, context):
    if event["fails"]:
        raise ValueError("a failure")
    return {"access_token": "an access token"}

traced(handler)({"fails": False}, None)
try:
    traced(handler)({"fails": True}, None)
except ValueError:
    print(json.dumps(told))
"""


def test_a_trace_tells_that_a_handler_ran_and_nothing_of_what_it_answered(tmp_path: Path) -> None:
    # Given a function on Lambda with tracing on, and what would go to X-Ray
    environment = {
        "PYTHONPATH": str(LAYER),
        "WEIR_TRACING": "true",
        "LAMBDA_TASK_ROOT": str(tmp_path),
        "_X_AMZN_TRACE_ID": "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1",
    }
    # When it answers once, and fails once
    done = subprocess.run(
        [sys.executable, "-c", TRACED], capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=60
    )
    # Then both are told, the second as a failure, and no answer is
    assert done.returncode == 0, done.stderr
    answered, failed = json.loads(done.stdout)
    assert answered["name"] == failed["name"] == "## handler"
    assert failed["fault"]
    assert "an access token" not in done.stdout
    assert "metadata" not in answered | failed
