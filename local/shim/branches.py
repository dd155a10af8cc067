"""Parallel and Map states in JSONata, each branch with variables of its own, all stopped when one fails.

AWS (https://docs.aws.amazon.com/step-functions/latest/dg/, "state-parallel", "state-map-distributed",
"workflow-variables", "transforming-data"):

- Parallel takes Arguments, Output and Assign; Distributed Map takes Items, ItemSelector, ItemReader, ItemBatcher, and
  expressions for MaxConcurrency and the tolerated failures; a Task's TimeoutSeconds may be an expression; Succeed takes
  Output.
- A branch or iteration reads the variables around it and writes its own, which are gone at its end; children of a
  Distributed Map are executions of their own and see none of the parent's.
- A branch or iteration that fails stops the others at once, and its error is the state's; but a Distributed Map's is
  States.ExceedToleratedFailureThreshold, which does not tell the child's.
- The states inside branches stand in the execution's history.

The emulator knows these in JSONPath alone, or not at all; shares one set of variables; runs the other branches to their
end; and writes no history of branches.
"""

import copy
from typing import Any

from ministack.core.responses import now_iso
from ministack.services import stepfunctions as sfn

from local.shim.executions import Ended, Scope, current
from local.shim.patching import patch

_WITH_EXECUTION = frozenset({"Task", "Parallel", "Map"})
_KINDS = _WITH_EXECUTION | {"Pass", "Choice", "Wait"}


@patch(sfn, "_run_sub_machine")
def run_sub_machine(_original: Any, states: Any, start_at: str, data: Any, execution: Any, ctx: Any) -> Any:
    """Run one branch or iteration; what its end means for the others is the scope's."""
    scope = current.get() or Scope()
    own = {**ctx, "variables": dict(ctx.get("variables", {}))}
    try:
        return _walk(states, start_at, copy.deepcopy(data), execution, own, scope)
    except Ended:
        return None  # the state around it ends, too, and tells why
    except sfn._ExecutionError as error:
        if scope.fails_together:
            scope.end(error)
        raise


def _walk(states: Any, name: str | None, data: Any, execution: Any, ctx: Any, scope: Scope) -> Any:
    while name:
        scope.check()
        state = states.get(name)
        if state is None:
            raise sfn._ExecutionError("States.Runtime", f"State '{name}' not found")
        ctx["State"] = {"Name": name, "EnteredTime": now_iso(), "RetryCount": 0}
        kind = state.get("Type")
        entered = {"name": name, "input": sfn.json.dumps(data)}
        sfn._add_event(execution, f"{kind}StateEntered", {"stateEnteredEventDetails": entered})
        data, following = _step(kind, state, data, execution, ctx)
        exited = {"name": name, "output": sfn.json.dumps(data)}
        sfn._add_event(execution, f"{kind}StateExited", {"stateExitedEventDetails": exited})
        name = following
    return data


def _step(kind: str, state: Any, data: Any, execution: Any, ctx: Any) -> tuple[Any, str | None]:
    if kind == "Succeed":
        return sfn._apply_output_path(state, sfn._apply_input_path(state, data, ctx), ctx), None
    if kind == "Fail":
        raise sfn._ExecutionError(*sfn._fail_state_error(state, data, ctx))
    if kind not in _KINDS:
        raise sfn._ExecutionError("States.Runtime", f"Unknown state type: {kind}")
    step = getattr(sfn, f"_execute_{kind.lower()}")
    output, following = step(state, data, execution, ctx) if kind in _WITH_EXECUTION else step(state, data, ctx)
    return output, following


@patch(sfn, "_apply_output_path")
def apply_output_path(original: Any, state: Any, data: Any, ctx: Any = None) -> Any:
    """Succeed takes Output in JSONata."""
    if state.get("Type") == "Succeed" and _in_jsonata(state, ctx):
        return sfn._apply_jsonata_output(state, data, ctx, default=data)
    return original(state, data, ctx)


@patch(sfn, "_execute_task")
def execute_task(original: Any, state: Any, data: Any, execution: Any, ctx: Any) -> Any:
    """A Task's TimeoutSeconds may be an expression."""
    if isinstance(state.get("TimeoutSeconds"), str):
        seconds = sfn._jsonata_state_field(state, "TimeoutSeconds", "number", data, ctx)
        state = {**state, "TimeoutSeconds": seconds}
    return original(state, data, execution, ctx)


@patch(sfn, "_run_parallel_branches")
def run_parallel(original: Any, state: Any, data: Any, execution: Any, ctx: Any) -> Any:
    """Parallel with Arguments, Output and Assign, failing as one."""
    if not _in_jsonata(state, ctx):
        return _together(True, original, state, data, execution, ctx)
    arguments = sfn._apply_jsonata_arguments(state, data, ctx)
    plain = {"Branches": state["Branches"]}
    results, _following = _together(True, original, plain, arguments, execution, ctx)
    return _finish(state, data, ctx, results)


@patch(sfn, "_run_map_items")
def run_map(original: Any, state: Any, data: Any, execution: Any, ctx: Any) -> Any:
    """Map failing as one, unless it is distributed and says how many failures it tolerates."""
    processor = state.get("ItemProcessor") or state.get("Iterator") or {}
    distributed = processor.get("ProcessorConfig", {}).get("Mode") == "DISTRIBUTED"
    tolerant = "ToleratedFailureCount" in state or "ToleratedFailurePercentage" in state
    return _together(not (distributed and tolerant), original, state, data, execution, ctx)


@patch(sfn, "_run_distributed_map")
def run_distributed(
    original: Any, state: Any, data: Any, effective: Any, processor: Any, execution: Any, ctx: Any
) -> Any:
    """Distributed Map in JSONata: its expressions are evaluated here, then the emulator runs the children."""
    if not _in_jsonata(state, ctx):
        return original(state, data, effective, processor, execution, ctx)
    inputs = _batched(state, data, ctx, _inputs(state, data, ctx))
    fields = ("MaxConcurrency", "ToleratedFailureCount", "ToleratedFailurePercentage")
    numbers = {field: sfn._jsonata_state_field(state, field, "number", data, ctx) for field in fields if field in state}
    plain = {"Label": state.get("Label"), **numbers}
    alone = {**ctx, "variables": {}}
    results, _following = original(plain, inputs, inputs, processor, execution, alone)
    outer = current.get()
    if outer:
        outer.check()
    return _finish(state, data, ctx, results)


def _inputs(state: Any, data: Any, ctx: Any) -> list[Any]:
    if "ItemReader" in state:
        reader = sfn._apply_jsonata_template(state["ItemReader"], data, ctx)
        items = sfn._read_map_items(reader, data, ctx)
    elif "Items" in state:
        items = sfn._jsonata_state_field(state, "Items", "array", data, ctx)
    else:
        items = data
    selector = state.get("ItemSelector")
    if selector is None:
        return list(items)
    contexts = [{**ctx, "Map": {"Item": {"Index": index, "Value": item}}} for index, item in enumerate(items)]
    return [sfn._apply_jsonata_template(selector, data, item_ctx) for item_ctx in contexts]


def _batched(state: Any, data: Any, ctx: Any, items: list[Any]) -> list[Any]:
    if "ItemBatcher" not in state:
        return items
    batcher = sfn._apply_jsonata_template(state["ItemBatcher"], data, ctx)
    size = int(batcher.get("MaxItemsPerBatch", len(items) or 1))
    common = {"BatchInput": batcher["BatchInput"]} if "BatchInput" in batcher else {}
    return [{**common, "Items": items[start : start + size]} for start in range(0, len(items), size)]


def _together(fails_together: bool, action: Any, *arguments: Any) -> Any:
    outer = current.get() or Scope()
    with outer.within(fails_together=fails_together) as scope:
        try:
            answer = action(*arguments)
        except sfn._ExecutionError as error:
            outer.check()
            if error.error == "States.ExceedToleratedFailureThreshold":
                raise  # the emulator's own of a Distributed Map, as AWS says it
            raise (scope.failure or error) from None
        outer.check()
    return answer


def _finish(state: Any, data: Any, ctx: Any, results: Any) -> tuple[Any, str | None]:
    output = sfn._apply_jsonata_output(state, data, ctx, result=results, default=results)
    sfn._apply_state_assign(state, data, ctx, result=results)
    return output, sfn._next_or_end(state)


def _in_jsonata(state: Any, ctx: Any) -> bool:
    return bool(sfn._state_query_language(state, ctx) == "JSONata")
