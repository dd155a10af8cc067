"""The small Step Functions that the fault matrix runs on does what AWS documents."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.faults.kernel import Kernel
from tests.faults.machine import Execution, Place, StateFailed

Function = Callable[[Any], Any]
LAMBDA = "arn:aws:states:::lambda:invoke"


def task(name: str, **more: Any) -> dict[str, Any]:
    arguments = {"FunctionName": name, "Payload": "{% $states.input %}"}
    return {"Type": "Task", "Resource": LAMBDA, "Arguments": arguments, "TimeoutSeconds": 60, **more}


def execute(states: dict[str, Any], functions: dict[str, Function], document: Any = None) -> Execution:
    """Run a machine that begins with its first state, to its end."""
    kernel = Kernel(0.0)

    def invoke(function: str, payload: Any, place: Place, seconds: float) -> Any:
        kernel.sleep(1.0)
        return functions[function](payload)

    definition = {"TimeoutSeconds": 1_000, "StartAt": next(iter(states)), "States": states}
    execution = Execution("m", "arn:m:one", "one", definition, document or {}, kernel, invoke)
    kernel.spawn(execution.run)
    kernel.run()
    return execution


def failing(times: int, error: str = "Unavailable") -> tuple[Function, list[Any]]:
    """A function that fails so many times, then answers; and its calls."""
    calls: list[Any] = []

    def function(payload: Any) -> Any:
        calls.append(payload)
        if len(calls) <= times:
            raise StateFailed(error, "why")
        return {"calls": len(calls)}

    return function, calls


RETRY = [
    {"ErrorEquals": ["Unavailable"], "IntervalSeconds": 2, "BackoffRate": 2, "MaxDelaySeconds": 5, "MaxAttempts": 3}
]


def test_a_task_is_retried_with_back_off() -> None:
    # Given a task that fails three times, of three retries
    function, _ = failing(3)

    # When it runs
    execution = execute({"A": task("f", Retry=RETRY, Output="{% $states.result.Payload %}", End=True)}, {"f": function})

    # Then it has waited 2, 4 and 5 seconds between its four calls of a second each
    assert (execution.status, execution.output) == ("SUCCEEDED", {"calls": 4})
    assert execution.kernel.now == pytest.approx(4 * 1 + 2 + 4 + 5)


@pytest.mark.parametrize(("error", "calls_made"), [("Unavailable", 4), ("AttributeError", 1)])
def test_what_retries_do_not_mend_is_caught(error: str, calls_made: int) -> None:
    # Given a task that fails always, with an error that may be retried, or one that may not
    function, calls = failing(99, error)
    assign = {"failure": {"error": "{% $states.errorOutput.Error %}", "cause": "{% $states.errorOutput.Cause %}"}}
    states = {
        "A": task("f", Retry=RETRY, Catch=[{"ErrorEquals": ["States.ALL"], "Assign": assign, "Next": "B"}], Next="B"),
        "B": {"Type": "Pass", "Output": "{% $failure %}", "End": True},
    }

    # When it runs, Then it is called as often as it may be, and the next state knows why it failed
    execution = execute(states, {"f": function})
    assert len(calls) == calls_made
    assert execution.output == {"error": error, "cause": "why"}


def test_an_undefined_expression_fails_the_execution() -> None:
    # Given a state whose output asks for what is not there; When it runs
    execution = execute({"A": {"Type": "Pass", "Output": "{% $states.input.nothing %}", "End": True}}, {})

    # Then the execution fails, as AWS makes it, and does not go on with null
    assert (execution.status, execution.error) == ("FAILED", "States.QueryEvaluationError")


def test_a_null_is_not_undefined() -> None:
    # Given an input that holds null; When it is asked for, Then null it is
    states = {"A": {"Type": "Pass", "Output": "{% $states.input.nothing %}", "End": True}}
    execution = execute(states, {}, {"nothing": None})
    assert (execution.status, execution.output) == ("SUCCEEDED", None)


def branch(name: str, **more: Any) -> dict[str, Any]:
    return {"StartAt": name, "States": {name: task(name, **more, End=True)}}


def test_a_branch_that_fails_ends_the_others_and_their_functions_run_on() -> None:
    # Given two branches: one fails at once, the other's function takes longer, and has a state to follow
    ended: list[str] = []

    def slow(_payload: Any) -> Any:
        execution_kernel[0].sleep(10.0)
        ended.append("slow")
        return {}

    def broken(_payload: Any) -> Any:
        raise StateFailed("Broken", "why")

    execution_kernel: list[Kernel] = []
    following = {
        "StartAt": "slow",
        "States": {"slow": task("slow", Next="after"), "after": task("after", End=True)},
    }
    states = {"P": {"Type": "Parallel", "Branches": [following, branch("broken")], "End": True}}
    definition = {"TimeoutSeconds": 1_000, "StartAt": "P", "States": states}
    kernel = Kernel(0.0)
    execution_kernel.append(kernel)
    functions: dict[str, Function] = {"slow": slow, "broken": broken, "after": lambda _: ended.append("after")}

    def invoke(function: str, payload: Any, place: Place, seconds: float) -> Any:
        return functions[function](payload)

    execution = Execution("m", "arn:m:one", "one", definition, {}, kernel, invoke)
    kernel.spawn(execution.run)

    # When it runs, Then it fails at once; the slow function comes to its end, and nothing after it is called
    kernel.run(1.0)
    assert (execution.status, execution.error, ended) == ("FAILED", "Broken", [])
    kernel.run()
    assert ended == ["slow"]


def test_the_children_of_a_distributed_map_know_nothing_of_their_parent() -> None:
    # Given an inline and a distributed Map, whose items ask for a variable and for the execution's name
    def mapped(mode: str) -> dict[str, Any]:
        inner = {"Type": "Pass", "Output": ["{% $name %}", "{% $states.context.Execution.Name %}"], "End": True}
        processor = {"ProcessorConfig": {"Mode": mode}, "StartAt": "I", "States": {"I": inner}}
        whole = {"Type": "Map", "Items": [1, 2], "Label": "M", "ItemProcessor": processor, "End": True}
        return {"V": {"Type": "Pass", "Assign": {"name": "mine"}, "Next": "M"}, "M": whole}

    # When they run, Then the inline one knows both, and the distributed one fails, without telling that it was for
    # want of the variable
    assert execute(mapped("INLINE"), {}).output == [["mine", "one"]] * 2
    apart = execute(mapped("DISTRIBUTED"), {})
    assert apart.error == "States.ExceedToleratedFailureThreshold"
    assert "$name" not in str(apart.cause)


def test_an_execution_that_is_stopped_goes_no_further_and_catches_nothing() -> None:
    # Given a task with a Catch, and one after it
    function, calls = failing(0)
    states = {
        "A": task("f", Catch=[{"ErrorEquals": ["States.ALL"], "Next": "B"}], Next="B"),
        "B": task("f", End=True),
    }
    kernel = Kernel(0.0)
    ends: list[str] = []

    def invoke(name: str, payload: Any, place: Place, seconds: float) -> Any:
        kernel.sleep(10.0)
        return function(payload)

    definition = {"TimeoutSeconds": 1_000, "StartAt": "A", "States": states}
    execution = Execution(
        "m", "arn", "one", definition, {}, kernel, invoke, on_ended=lambda one: ends.append(one.status)
    )
    kernel.spawn(execution.run)
    kernel.run(5.0)

    # When it is stopped, twice, while its function runs
    execution.end("ABORTED", "Stopped", "by a test")
    execution.end("TIMED_OUT")
    kernel.run()

    # Then the function came to its end, no state followed, and the end was told once
    assert (len(calls), execution.entered, ends) == (1, ["A"], ["ABORTED"])


def test_an_execution_ends_when_its_time_is_up() -> None:
    # Given a machine that waits for longer than it may run; When it runs
    execution = execute({"W": {"Type": "Wait", "Seconds": 5_000, "End": True}}, {})

    # Then it has timed out
    assert execution.status == "TIMED_OUT"
