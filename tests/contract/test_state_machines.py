"""The graphs of the state machines, which neither SAM nor cfn-lint checks: targets, ways, retries, expressions."""

import ast
import json
from pathlib import Path
from typing import Any

import pytest
from jsonata import Jsonata

from tests.contract import asl, stack
from weir.packages.errors import CommitUnderWay, Crowded
from weir.packages.trust_errors import HubBusy
from weir.runtime import errors
from weir.runtime.dynamodb import Contended
from weir.streams.errors import NotKnownYet, StreamBusy, StreamQuotaExceeded

MACHINES = list(stack.machines())
SCOPES = [scope for machine in MACHINES for scope in asl.scopes(machine)]
STATES = asl.all_states()
TASKS = [(path, name, state) for path, name, state in STATES if state["Type"] == "Task"]
TYPES = {"Task", "Choice", "Wait", "Parallel", "Map", "Pass", "Succeed", "Fail"}
ENDS = {"Succeed", "Fail"}
LAMBDA_TRANSIENT = {
    *("Lambda.ClientExecutionTimeoutException", "Lambda.ServiceException"),
    *("Lambda.AWSLambdaException", "Lambda.SdkClientException", "Lambda.TooManyRequestsException"),
}
"""https://docs.aws.amazon.com/step-functions/latest/dg/bp-lambda-serviceexception.html"""

_OF_STREAMS = (errors.TooManyRequests, errors.Unavailable, NotKnownYet, StreamBusy, StreamQuotaExceeded)
_OF_PACKAGES = (errors.TooManyRequests, errors.Unavailable, Contended, Crowded, CommitUnderWay)
OWN_TRANSIENT = {
    "RunMachine": {one.__name__ for one in _OF_STREAMS},
    "CleanupMachine": {one.__name__ for one in _OF_STREAMS},
    "ImportMachine": {one.__name__ for one in _OF_PACKAGES},
    "AnalysisMachine": {one.__name__ for one in (errors.TooManyRequests, errors.Unavailable, Contended)},
}
SHORT_STEPS = {"plan", "create", "active", "branch_failed", "metrics", "delete", "deleted"}
WORKERS = {"${InsertFunction}", "${VerifyFunction}"}
ASK_THE_HUB = {"plan_import", "copy_file"}
each_machine = pytest.mark.parametrize("machine", MACHINES)
each_scope = pytest.mark.parametrize("scope", SCOPES, ids=[scope.path for scope in SCOPES])
each_state = pytest.mark.parametrize(
    ("path", "name", "state"), STATES, ids=[f"{path}/{name}" for path, name, _ in STATES]
)
each_task = pytest.mark.parametrize(("path", "name", "state"), TASKS, ids=[f"{path}/{name}" for path, name, _ in TASKS])


def evaluate(expression: str, **variables: Any) -> Any:
    """A JSONata expression's value where its variables have these values."""
    parsed = Jsonata(expression.removeprefix("{%").removesuffix("%}").strip())
    for name, value in variables.items():
        parsed.assign(name, value)
    return parsed.evaluate(None)


@each_machine
def test_a_machine_ends_by_itself(machine: str) -> None:
    definition = stack.machines()[machine]
    assert definition["QueryLanguage"] == "JSONata"
    assert definition["TimeoutSeconds"] > 0
    assert definition["Comment"]


def test_a_run_may_take_as_long_as_its_stream_may_live() -> None:
    # Given the longest life of a stream that a spec may ask for
    described = json.loads((stack.ROOT / "openapi/weir.json").read_text())["components"]["schemas"]["RunSpec-Input"]
    longest = described["properties"]["expires_in"]["maximum"]

    # Then the execution's own time-out comes after it
    assert stack.machines()["RunMachine"]["TimeoutSeconds"] > longest


@each_scope
def test_every_target_is_there_and_every_state_is_reached(scope: asl.Scope) -> None:
    edges = list(scope.edges())
    assert scope.start in scope.states
    assert {edge.target for edge in edges} <= set(scope.states)
    assert asl.reached(scope.start, edges) == set(scope.states)


@each_scope
def test_every_state_leads_to_an_end(scope: asl.Scope) -> None:
    edges = list(scope.edges())
    ends = {name for name, state in scope.states.items() if state["Type"] in ENDS or state.get("End")}
    assert ends
    for name in scope.states:
        assert asl.reached(name, edges) & ends, f"{name} runs in a circle"


@each_machine
def test_state_names_are_unique_in_the_whole_machine(machine: str) -> None:
    names = [name for scope in asl.scopes(machine) for name in scope.states]
    assert len(names) == len(set(names))  # the states language asks for it, and histories are read by name
    assert all(len(name) <= 80 for name in names)


@each_state
def test_a_state_is_of_a_known_type_with_one_way_on(path: str, name: str, state: asl.State) -> None:
    assert state["Type"] in TYPES
    ways_on = [key for key in ("Next", "End") if key in state]
    assert len(ways_on) == (0 if state["Type"] in ENDS | {"Choice"} else 1)
    if state["Type"] == "Choice":
        assert "Default" in state  # without one, a case that nobody thought of fails the execution
        assert all(set(choice) >= {"Condition", "Next"} for choice in state["Choices"])


@each_task
def test_a_task_has_a_time_out_after_its_functions_own(path: str, name: str, state: asl.State) -> None:
    # Given the function that the task calls
    machine = path.split("/")[0]
    function = called(machine, state)
    if state["Arguments"]["Payload"].get("step") in SHORT_STEPS:
        assert state["TimeoutSeconds"] == 90  # they share a function with steps that may take much longer
        return

    # Then Lambda's own time-out comes first, because it says more; and the state's comes some time
    assert stack.functions()[function]["Timeout"] <= state["TimeoutSeconds"] <= 900


@each_task
def test_a_task_retries_what_passes_and_nothing_else(path: str, name: str, state: asl.State) -> None:
    *busy, retry = state["Retry"]
    caught = {error for one in state["Retry"] for error in one["ErrorEquals"]}
    asks_the_hub = state["Arguments"]["Payload"].get("step") in ASK_THE_HUB
    transient = OWN_TRANSIENT[path.split("/")[0]] | ({HubBusy.__name__} if asks_the_hub else set())
    assert caught >= LAMBDA_TRANSIENT | transient | {"States.Timeout"}
    assert len(busy) == (state["Arguments"]["FunctionName"] in WORKERS or asks_the_hub)
    assert not caught & {"States.ALL", "States.TaskFailed"}  # these would also repeat what can't get better
    own = {error for error in caught if "." not in error}
    assert own == transient
    assert retry["JitterStrategy"] == "FULL"
    assert retry["BackoffRate"] > 1
    assert retry["MaxAttempts"] >= 3
    assert retry["MaxDelaySeconds"] <= 60


def test_workers_wait_long_for_a_place_to_run() -> None:
    # Given a thousand workers and an account whose concurrent executions are taken
    workers = [state for _, _, state in TASKS if state["Arguments"]["FunctionName"] in WORKERS]
    for state in workers:
        busy, other = state["Retry"]

        # Then being refused a place has tries of its own, for long, and does not use up those of other errors
        assert busy["ErrorEquals"] == ["Lambda.TooManyRequestsException"]
        assert "Lambda.TooManyRequestsException" not in other["ErrorEquals"]
        assert (busy["MaxAttempts"], busy["MaxDelaySeconds"], busy["JitterStrategy"]) == (30, 30, "FULL")
    assert len(workers) == 4


def test_a_hub_that_is_busy_is_waited_for_longer_than_anything_else() -> None:
    # Given a hub that counts requests by windows of minutes, and may be down for longer
    asking = [state for _, _, state in TASKS if state["Arguments"]["Payload"].get("step") in ASK_THE_HUB]
    for state in asking:
        busy, other = state["Retry"]

        # Then it has tries of its own, of which the last are far apart, and does not use up those of other errors
        assert busy["ErrorEquals"] == [HubBusy.__name__]
        assert HubBusy.__name__ not in other["ErrorEquals"]
        assert busy["MaxDelaySeconds"] >= 600
        assert busy["JitterStrategy"] == "FULL"
        waits = [busy["IntervalSeconds"] * busy["BackoffRate"] ** tried for tried in range(busy["MaxAttempts"])]
        assert sum(min(wait, busy["MaxDelaySeconds"]) for wait in waits) >= 3600
    assert len(asking) == len(ASK_THE_HUB)


@pytest.mark.parametrize("machine", ["RunMachine", "CleanupMachine"])
def test_every_task_and_fan_out_catches_into_deleting_or_closing(machine: str) -> None:
    # Given the machine's own states
    scope = asl.scopes(machine)[0]
    for name, state in scope.states.items():
        if state["Type"] not in {"Task", "Parallel", "Map"} or name == "Close":
            continue
        # Then all errors lead to DeleteStream, or from there on to Close
        (caught,) = state["Catch"]
        assert caught["ErrorEquals"] == ["States.ALL"]
        after = asl.reached("DeleteStream", [edge for edge in scope.edges() if not edge.caught])
        assert caught["Next"] == ("Close" if name in after else "DeleteStream"), name


def test_every_task_and_fan_out_of_an_import_catches_into_undoing_and_failing() -> None:
    # Given the machine's own states
    scope = asl.scopes("ImportMachine")[0]
    for name, state in scope.states.items():
        if state["Type"] not in {"Task", "Parallel", "Map"}:
            continue
        # Then all errors lead to Undo with what failed, and from there to the end that tells so
        (caught,) = state["Catch"]
        assert caught["ErrorEquals"] == ["States.ALL"]
        assert caught["Next"] == ("Failed" if name == "Undo" else "Undo"), name
        if name != "Undo":
            assert caught["Assign"]["failure"]["step"] == name
    assert scope.states["Undo"]["Next"] == "Failed"
    assert scope.states["Failed"]["Type"] == "Fail"

    # And nobody gets from a failure to the end of what was done
    edges = list(scope.edges())
    assert "Imported" not in asl.reached("Undo", edges)


def test_every_task_of_an_analysis_catches_into_closing_it_as_failed() -> None:
    # Given the machine's own states
    scope = asl.scopes("AnalysisMachine")[0]
    for name, state in scope.states.items():
        if state["Type"] != "Task":
            continue
        # Then all errors lead to CloseFailed with what failed, and from there to the end that tells so
        (caught,) = state["Catch"]
        assert caught["ErrorEquals"] == ["States.ALL"]
        assert caught["Next"] == ("Failed" if name == "CloseFailed" else "CloseFailed"), name
        if name != "CloseFailed":
            assert caught["Assign"]["failure"]["step"] == name
    assert scope.states["CloseFailed"]["Next"] == "Failed"
    assert scope.states["Failed"]["Type"] == "Fail"

    # And nobody gets from a failure to the end of what was done
    assert "Done" not in asl.reached("CloseFailed", list(scope.edges()))


def test_an_analysis_is_analyzed_until_it_is_done() -> None:
    choice = asl.scopes("AnalysisMachine")[0].states["Analyzed?"]
    assert (choice["Choices"][0]["Next"], choice["Default"]) == ("Tell", "Analyze")


def test_a_failure_is_told_with_step_error_and_cause() -> None:
    for path, name, state in STATES:
        for caught in state.get("Catch", []) if path.startswith("RunMachine") else []:
            told = caught.get("Assign", {}).get("failure", caught.get("Output"))
            if isinstance(told, dict) and "failure" in told:  # a child, which has the run's id from its input alone
                assert told["run_id"] == "{% $states.input.run_id %}"
                told = told["failure"]
            if isinstance(told, dict):
                assert set(told) == {"step", "error", "cause"}, name
                assert "States.Timeout" not in told["error"]
            else:  # a failure that stood there before is kept: the first cause is what people want to know
                earlier = {"step": "Insert", "error": "X", "cause": "Y"}
                states = {"errorOutput": {"Error": "E", "Cause": "C"}}
                assert evaluate(told, failure=earlier, states=states) == earlier
                assert evaluate(told, failure=None, states=states) == {"step": name, "error": "E", "cause": "C"}


def test_the_way_from_start_to_close_passes_deleting_whatever_happens() -> None:
    # Given the machine without DeleteStream, Then Close can't be reached at all
    scope = asl.scopes("RunMachine")[0]
    without = [edge for edge in scope.edges() if "DeleteStream" not in {edge.source, edge.target}]
    assert "Close" not in asl.reached(scope.start, without)
    with_it = list(scope.edges())
    assert all(
        "Close" in asl.reached(name, with_it) for name in asl.reached("DeleteStream", with_it) & {"Gone?", "Kept?"}
    )


@pytest.mark.parametrize("scope", [scope for scope in SCOPES if scope.parent is not None], ids=lambda scope: scope.path)
def test_within_a_branch_every_fan_out_catches(scope: asl.Scope) -> None:
    for name, state in scope.states.items():
        if state["Type"] in {"Map", "Parallel"}:
            (caught,) = state["Catch"]
            assert caught["ErrorEquals"] == ["States.ALL"], name
            assert scope.states[caught["Next"]]["Arguments"]["Payload"]["step"] == "branch_failed"


@pytest.mark.parametrize(("worker", "step"), [("InsertSliceApart", "Insert"), ("ReadShardsApart", "Verify")])
def test_a_worker_apart_tells_its_failure_itself(worker: str, step: str) -> None:
    # Given a worker in an execution of its own: the Map around it only learns that too many of its children failed
    (scope,) = [scope for scope in SCOPES if worker in scope.states]

    # Then what it caught is told to the run from within, and then the child fails, so that the Map does
    (caught,) = scope.states[worker]["Catch"]
    assert caught["ErrorEquals"] == ["States.ALL"]
    assert caught["Output"]["failure"]["step"] == step
    telling = scope.states[caught["Next"]]
    assert telling["Arguments"]["Payload"] == {
        "step": "branch_failed",
        "run_id": "{% $states.input.run_id %}",
        "failure": "{% $states.input.failure %}",
    }
    assert scope.states[telling["Next"]]["Type"] == "Fail"


@each_machine
def test_substitutions_are_given_and_used(machine: str) -> None:
    given = stack.resources("AWS::Serverless::StateMachine")[machine]["Properties"]["DefinitionSubstitutions"]
    used = {
        state["Arguments"]["FunctionName"].removeprefix("${").removesuffix("}")
        for path, _, state in TASKS
        if path.split("/")[0] == machine
    }
    assert used == set(given)


@each_machine
def test_the_role_may_call_exactly_the_functions_of_the_machine(machine: str) -> None:
    called_ones = {called(machine, state) for path, _, state in TASKS if path.split("/")[0] == machine}
    allowed = allowed_resources(machine, "lambda:InvokeFunction")
    assert allowed == {stack.attribute(function, "Arn") for function in called_ones}


@each_machine
def test_a_machine_that_fans_out_may_start_and_stop_its_own_executions(machine: str) -> None:
    # Given the maps that run each item in an execution of its own
    apart = [
        state
        for path, _, state in STATES
        if path.split("/")[0] == machine
        and state.get("ItemProcessor", {}).get("ProcessorConfig", {}).get("Mode") == "DISTRIBUTED"
    ]

    # Then the role allows what Step Functions asks for, on this machine alone:
    # https://docs.aws.amazon.com/step-functions/latest/dg/iam-policies-eg-dist-map.html
    own = stack.attribute(machine, "Arn")
    executions = {own.replace(":stateMachine:", ":execution:") + rest for rest in ("/*", ":*")}
    assert allowed_resources(machine, "states:StartExecution") == ({own} if apart else set())
    for action in ("states:DescribeExecution", "states:StopExecution"):
        assert allowed_resources(machine, action) == (executions if apart else set())
    for state in apart:
        assert state["ItemProcessor"]["ProcessorConfig"]["ExecutionType"] == "STANDARD"
        assert 0 < state["MaxConcurrency"] <= 1000
        assert state["Label"]


@pytest.mark.parametrize(
    ("function", "folder"), [("ControlFunction", "run_control"), ("ImportFunction", "package_import")]
)
def test_every_step_that_is_named_is_known_to_the_function_and_the_other_way_round(function: str, folder: str) -> None:
    named = {
        state["Arguments"]["Payload"]["step"]
        for _, _, state in TASKS
        if state["Arguments"]["FunctionName"] == f"${{{function}}}"
    }
    assert named == known_steps(stack.ROOT / f"functions/{folder}/handler.py")


@each_state
def test_the_expressions_of_a_state_parse(path: str, name: str, state: asl.State) -> None:
    for expression in asl.expressions(state):
        Jsonata(expression)  # raises JException where it does not parse


def test_a_broken_expression_would_be_found() -> None:
    with pytest.raises(Exception, match=r"Syntax error|Expected"):
        Jsonata("$states.input.(")


@each_scope
def test_variables_are_assigned_on_every_way_to_where_they_are_read(scope: asl.Scope) -> None:
    if scope.parent is not None and "Apart[" in scope.path:
        given: frozenset[str] = frozenset()  # executions of their own see no variable of the one that began them
    elif scope.parent is not None:
        machine, around, *_ = scope.path.split("/")
        given = asl.assigned_for_sure(asl.scopes(machine)[0], frozenset())[around.partition("[")[0]]
    else:
        given = frozenset()
    sure = asl.assigned_for_sure(scope, given)
    for name, state in scope.states.items():
        for expression in asl.expressions(state):
            missing = asl.variables(expression) - sure[name]
            assert not missing, f"{name} reads {missing}, which not every way to it assigns"


@pytest.mark.parametrize("count", [1, 2, 1000])
def test_fan_outs_go_over_a_list_however_many_there_are(count: int) -> None:
    # JSONata makes a single value of a list of one, unless it is written as an array.
    for _, name, state in STATES:
        if state["Type"] == "Map":
            assert evaluate(state["Items"], workers=count, readers=count, files=count) == list(range(count)), name


def test_a_plan_that_was_refused_goes_on_as_a_failure() -> None:
    # Given the answer of a plan that was refused / Then what failed is known to all that follows
    failure = {"step": "Plan", "error": "SpecInvalid", "cause": "too many shards"}
    plan = asl.scopes("RunMachine")[0].states["Plan"]
    answer = {"result": {"Payload": {"planned": False, "failure": failure}}}
    assert evaluate(plan["Assign"]["failure"], states=answer) == failure


def test_waits_are_jittered_seconds() -> None:
    for _, name, state in STATES:
        if state["Type"] == "Wait" and "$random" in state["Seconds"]:
            drawn = {evaluate(state["Seconds"]) for _ in range(200)}
            assert drawn <= set(range(1, 61)), name
            assert len(drawn) > 1
            assert all(isinstance(seconds, int) or float(seconds).is_integer() for seconds in drawn)


@pytest.mark.parametrize(
    ("scope", "choice", "given", "target"),
    [
        ("RunMachine", "Planned?", {"planned": True}, "CreateStream"),
        ("RunMachine", "Planned?", {"planned": False}, "DeleteStream"),
        ("RunMachine", "Active?", {"ready": True}, "Transfer"),
        ("RunMachine", "Active?", {"ready": False}, "WaitActive"),
        ("RunMachine", "MetricsThere?", {"done": True}, "Analyze"),
        ("RunMachine", "MetricsThere?", {"done": False}, "WaitMetrics"),
        ("RunMachine", "Kept?", {"kept": True}, "Close"),
        ("RunMachine", "Kept?", {"kept": False}, "ConfirmDeleted"),
        ("RunMachine", "Gone?", {"gone": True}, "Close"),
        ("RunMachine", "Gone?", {"gone": False}, "WaitDeleted"),
        ("RunMachine", "Verdict?", {"verdict": "PASSED"}, "RunDone"),
        ("RunMachine", "Verdict?", {"verdict": "DEGRADED"}, "RunDone"),
        ("RunMachine", "Verdict?", {"verdict": "FAILED"}, "RunFailed"),
        ("RunMachine", "Verdict?", {"verdict": "ABORTED"}, "RunFailed"),
        ("ImportMachine", "Planned?", {"done": True}, "CopyFiles"),
        ("ImportMachine", "Planned?", {"done": False}, "Plan"),
        ("CleanupMachine", "Gone?", {"gone": True}, "Close"),
        ("CleanupMachine", "Gone?", {"gone": False}, "WaitDeleted"),
    ],
)
def test_choices_go_where_they_should(scope: str, choice: str, given: dict[str, Any], target: str) -> None:
    state = asl.scopes(scope)[0].states[choice]
    for one in state["Choices"]:
        held = evaluate(one["Condition"], states={"input": given})
        assert isinstance(held, bool)  # anything else fails the execution: States.QueryEvaluationError
        if held:
            assert one["Next"] == target
            return
    assert state["Default"] == target


def called(machine: str, state: asl.State) -> str:
    """The logical id of the function that a task calls."""
    given = stack.resources("AWS::Serverless::StateMachine")[machine]["Properties"]["DefinitionSubstitutions"]
    assert state["Resource"] == "arn:aws:states:::lambda:invoke"
    placeholder = state["Arguments"]["FunctionName"].removeprefix("${").removesuffix("}")
    return str(given[placeholder]["GetAtt"]).removesuffix(".Arn")


def allowed_resources(machine: str, action: str) -> set[str]:
    """The ARNs on which a machine's role allows an action."""
    policies = stack.resources("AWS::Serverless::StateMachine")[machine]["Properties"]["Policies"]
    return {
        str(arn)
        for one in stack.statements(policies)
        if action in stack.many(one["Action"])
        for arn in stack.many(stack.resolve(one["Resource"]))
    }


def known_steps(source: Path) -> set[str]:
    """The keys of the table of steps in a handler."""
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.AnnAssign) and isinstance(node.value, ast.Dict) and "STEPS" in ast.dump(node.target):
            return {str(ast.literal_eval(key)) for key in node.value.keys if key is not None}
    raise AssertionError(f"{source} holds no table of steps")
