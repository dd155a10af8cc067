"""Parallel, Map and JSONata on the local AWS."""

import time
from typing import Any

ECHO = "def handler(event, context): return event"


def parallel(*branches: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {
        "StartAt": "Both",
        "States": {"Both": {"Type": "Parallel", "Branches": list(branches), "End": True} | fields},
    }


def one(state: dict[str, Any]) -> dict[str, Any]:
    return {"StartAt": "Only", "States": {"Only": state | {"End": True}}}


def test_parallel_takes_arguments_output_and_assign(machines: Any) -> None:
    # Given branches that read the state's Arguments, and an Output and an Assign over their results
    definition = parallel(
        one({"Type": "Pass", "Output": "{% $states.input.n + 1 %}"}),
        one({"Type": "Pass", "Output": "{% $states.input.n + 2 %}"}),
        Arguments={"n": "{% $states.input.start %}"},
        Output={"sum": "{% $sum($states.result) %}"},
        Assign={"first": "{% $states.result[0] %}"},
        Next="Tell",
    )
    del definition["States"]["Both"]["End"]
    definition["States"]["Tell"] = {
        "Type": "Pass",
        "Output": {"sum": "{% $states.input.sum %}", "first": "{% $first %}"},
        "End": True,
    }
    # When it runs
    # Then both are evaluated over the results
    assert machines.output(definition, {"start": 10}) == {"sum": 23, "first": 11}


def test_branches_read_outer_variables_and_keep_their_own(machines: Any) -> None:
    # Given two branches that assign the same name and read a name from outside
    branch = {
        "StartAt": "Set",
        "States": {
            "Set": {"Type": "Pass", "Assign": {"mine": "{% $states.input %}"}, "Next": "Wait"},
            "Wait": {"Type": "Wait", "Seconds": 1, "Next": "Tell"},
            "Tell": {"Type": "Pass", "Output": "{% $mine & $outer %}", "End": True},
        },
    }
    other = {**branch, "States": {**branch["States"], "Set": {**branch["States"]["Set"], "Assign": {"mine": "b"}}}}
    definition = parallel(branch, other, Arguments="a", Next="After")
    del definition["States"]["Both"]["End"]
    definition["StartAt"] = "Outer"
    definition["States"]["Outer"] = {"Type": "Pass", "Assign": {"outer": "!"}, "Next": "Both"}
    definition["States"]["After"] = {
        "Type": "Pass",
        "Output": {"results": "{% $states.input %}", "leaked": "{% $exists($mine) %}"},
        "End": True,
    }
    # When it runs
    # Then each saw its own value, and none is left after them
    assert machines.output(definition) == {"results": ["a!", "b!"], "leaked": False}


def test_a_failing_branch_stops_the_others(machines: Any) -> None:
    # Given a branch that fails at once beside one that waits for a minute
    failing = {"StartAt": "Fail", "States": {"Fail": {"Type": "Fail", "Error": "Broken", "Cause": "on purpose"}}}
    caught = [{"ErrorEquals": ["Broken"], "Next": "Caught", "Output": "{% $states.errorOutput.Cause %}"}]
    definition = parallel(one({"Type": "Wait", "Seconds": 60}), failing, Catch=caught)
    definition["States"]["Caught"] = {"Type": "Pass", "End": True}
    # When it runs
    started = time.monotonic()
    # Then its error is caught by name without the minute
    assert machines.output(definition) == "on purpose"
    assert time.monotonic() - started < 5


def mapped(mode: dict[str, Any], processor: dict[str, Any], **fields: Any) -> dict[str, Any]:
    state = {"Type": "Map", "ItemProcessor": {"ProcessorConfig": mode, **processor}, "End": True} | fields
    return {"StartAt": "Each", "States": {"Each": state}}


INLINE = {"Mode": "INLINE"}
DISTRIBUTED = {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}
SELECTOR = {
    "n": "{% $states.context.Map.Item.Value %}",
    "i": "{% $states.context.Map.Item.Index %}",
    "base": "{% $states.input.base %}",
}


def test_maps_take_items_selector_and_output(machines: Any) -> None:
    # Given a Map, inline and distributed, with expressions for its items, inputs, width and output
    processor = one({"Type": "Pass", "Output": "{% $states.input.n * 10 + $states.input.i + $states.input.base %}"})
    for mode in (INLINE, DISTRIBUTED):
        definition = mapped(
            mode,
            processor,
            Items="{% $states.input.numbers %}",
            ItemSelector=SELECTOR,
            MaxConcurrency="{% $states.input.width %}",
            Output={"results": "{% $states.result %}"},
        )
        # When it runs
        output = machines.output(definition, {"numbers": [1, 2, 3], "base": 100, "width": 2})
        # Then every item was mapped, in order
        assert output == {"results": [110, 121, 132]}


def test_a_distributed_map_batches_its_items(machines: Any) -> None:
    # Given a distributed Map with batches of two
    definition = mapped(
        DISTRIBUTED,
        one({"Type": "Pass"}),
        Items="{% [1..5] %}",
        ItemBatcher={"MaxItemsPerBatch": 2, "BatchInput": {"run": "{% $states.input.run %}"}},
    )
    # When it runs
    output = machines.output(definition, {"run": "r"})
    # Then each child got a batch with the common input
    assert [batch["Items"] for batch in output] == [[1, 2], [3, 4], [5]]
    assert all(batch["BatchInput"] == {"run": "r"} for batch in output)


def test_a_distributed_map_keeps_to_its_width(machines: Any) -> None:
    # Given four items that each wait a second, two at a time
    definition = mapped(DISTRIBUTED, one({"Type": "Wait", "Seconds": 1}), Items="{% [1..4] %}", MaxConcurrency=2)
    # When it runs
    started = time.monotonic()
    machines.output(definition)
    # Then it takes two rounds
    assert 2 <= time.monotonic() - started < 4


def test_children_of_a_distributed_map_see_no_outer_variables(machines: Any) -> None:
    # Given a variable set before a distributed Map
    definition = mapped(DISTRIBUTED, one({"Type": "Pass", "Output": "{% $exists($outer) %}"}), Items=[1])
    definition["StartAt"] = "Outer"
    definition["States"]["Outer"] = {"Type": "Pass", "Assign": {"outer": 1}, "Next": "Each"}
    # When it runs
    # Then the child execution does not see it
    assert machines.output(definition) == [False]


def test_failures_of_a_distributed_map_count(machines: Any) -> None:
    # Given a distributed Map of which one of three items fails
    states = {
        "Check": {
            "Type": "Choice",
            "Choices": [{"Condition": "{% $states.input = 2 %}", "Next": "Fail"}],
            "Default": "Fine",
        },
        "Fail": {"Type": "Fail", "Error": "Two"},
        "Fine": {"Type": "Pass", "End": True},
    }
    processor = {"StartAt": "Check", "States": states}
    # When it runs without and with tolerance for one failure
    strict = machines.run(mapped(DISTRIBUTED, processor, Items=[1, 2, 3]))
    tolerant = machines.run(mapped(DISTRIBUTED, processor, Items=[1, 2, 3], ToleratedFailureCount=1))
    # Then only the tolerant one succeeds
    assert (strict["status"], strict["error"]) == ("FAILED", "States.ExceedToleratedFailureThreshold")
    assert "Two" not in strict["cause"]  # what failed the child is not told
    assert tolerant["status"] == "SUCCEEDED"


def test_expressions_steer_choice_wait_timeout_and_succeed(machines: Any, function: Any) -> None:
    # Given expressions in a Choice with Assign and Output, a Wait, a Task's time-out, and a Succeed
    arn = function(ECHO)
    states = {
        "Choose": {
            "Type": "Choice",
            "Choices": [
                {
                    "Condition": "{% $states.input.n > 1 %}",
                    "Assign": {"chosen": "{% $states.input.n %}"},
                    "Output": {"seconds": "{% $states.input.n - 1 %}"},
                    "Next": "Wait",
                }
            ],
            "Default": "Nothing",
        },
        "Nothing": {"Type": "Fail", "Error": "NotChosen"},
        "Wait": {"Type": "Wait", "Seconds": "{% $states.input.seconds %}", "Next": "Call"},
        "Call": {
            "Type": "Task",
            "Resource": "arn:aws:states:::lambda:invoke",
            "Arguments": {"FunctionName": arn, "Payload": {"n": "{% $chosen %}"}},
            "TimeoutSeconds": "{% 5 %}",
            "Output": "{% $states.result.Payload %}",
            "Next": "Done",
        },
        "Done": {"Type": "Succeed", "Output": {"answer": "{% $states.input.n %}"}},
    }
    # When it runs
    started = time.monotonic()
    output = machines.output({"StartAt": "Choose", "States": states}, {"n": 2})
    # Then every one was evaluated
    assert output == {"answer": 2}
    assert time.monotonic() - started >= 1


def test_a_catch_assigns_and_goes_on(machines: Any, function: Any) -> None:
    # Given a task that fails, with a Catch that assigns and shapes its output
    arn = function("def handler(event, context): raise KeyError('gone')")
    catch = {
        "ErrorEquals": ["States.ALL"],
        "Assign": {"error": "{% $states.errorOutput.Error %}"},
        "Output": {"input": "{% $states.input %}"},
        "Next": "Tell",
    }
    states = {
        "Call": {"Type": "Task", "Resource": arn, "Catch": [catch], "End": True},
        "Tell": {"Type": "Pass", "Output": {"error": "{% $error %}", "kept": "{% $states.input.input %}"}, "End": True},
    }
    # When it runs
    # Then both are there
    assert machines.output({"StartAt": "Call", "States": states}, {"a": 1}) == {"error": "KeyError", "kept": {"a": 1}}


def test_the_history_tells_the_states_inside_branches(machines: Any) -> None:
    # Given a Parallel of two branches
    arn = machines.start(parallel(one({"Type": "Pass"}), one({"Type": "Pass"})))
    # When it has run
    machines.end(arn)
    history = machines.history(arn)
    # Then the states inside them are told, and ids are in order
    assert [event["type"] for event in history].count("PassStateEntered") == 2
    assert [event["id"] for event in history] == list(range(1, len(history) + 1))
