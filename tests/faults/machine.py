"""A small Step Functions in virtual time: runs the real definitions, JSONata and all, and calls the real functions.

What it knows is what AWS documents of Standard workflows (https://docs.aws.amazon.com/step-functions/latest/dg/,
"transforming-data", "workflow-variables", "concepts-error-handling", "state-map-distributed", "StopExecution"):

- Task (lambda:invoke) with Arguments, TimeoutSeconds, Retry, Catch, Assign, Output; Choice, Wait, Pass, Succeed, Fail,
  Parallel, Map INLINE and DISTRIBUTED. A state that it does not know fails the test, it is not skipped.
- A branch reads the variables around it and its own writes end with it; children of a distributed Map see none.
- A branch that fails ends its siblings; the functions that they called run on to their own end. The error of a
  distributed Map is not its child's: it says that the tolerated failures, none, were exceeded.
- Stopping, and a time-out of the whole execution, end it at once: no further state, no Catch, one event.
"""

import json
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Protocol

from jsonata import jsonata
from jsonata.jexception import JException
from jsonata.utils import Utils

from tests.faults.kernel import Kernel, Process

MOST_PAYLOAD_BYTES = 256 * 1024
THRESHOLD = "States.ExceedToleratedFailureThreshold"
State = dict[str, Any]


class Ended(BaseException):
    """Unwinds a branch of something that has ended. Not an Exception: nothing may take it."""


class StateFailed(Exception):
    """A state failed with an error name and a cause."""

    def __init__(self, error: str, cause: str) -> None:
        super().__init__(f"{error}: {cause}")
        self.error = error
        self.cause = cause


@dataclass(frozen=True)
class Place:
    """Where in which machine something happens."""

    machine: str
    state: str


class Invoke(Protocol):
    """Calls a function; StateFailed with the function's error, as Step Functions would be told."""

    def __call__(self, function: str, payload: Any, place: Place, seconds: float) -> Any: ...


class Scope:
    """What ends together: an execution, or the branches of one Parallel or Map state inside it."""

    def __init__(self, parent: "Scope | None" = None) -> None:
        self.parent = parent
        self.over = False

    def check(self) -> None:
        """Raise ``Ended`` where this scope, or one around it, is over."""
        scope: Scope | None = self
        while scope is not None:
            if scope.over:
                raise Ended
            scope = scope.parent


@dataclass
class Frame:
    """What a state sees: variables, the context object, and what it ends with."""

    scope: Scope
    variables: dict[str, Any]
    context: dict[str, Any]
    states: Mapping[str, State]

    def inner(self, scope: Scope, states: Mapping[str, State]) -> "Frame":
        """The frame of a branch: what it assigns is gone at its end."""
        return Frame(scope, dict(self.variables), json.loads(json.dumps(self.context)), states)


@dataclass
class Execution:
    """One execution; ``run`` is the body of a process."""

    machine: str
    arn: str
    name: str
    definition: State
    document: Any
    kernel: Kernel
    invoke: Invoke
    on_entered: Callable[["Execution", str], None] = lambda _execution, _state: None
    on_ended: Callable[["Execution"], None] = lambda _execution: None
    status: str = "RUNNING"
    error: str | None = None
    cause: str | None = None
    output: Any = None
    entered: list[str] = field(default_factory=list)
    root: Scope = field(default_factory=Scope)
    timer: Process | None = None

    def run(self) -> None:
        """Run to the end."""
        context = {"Execution": {"Id": self.arn, "Name": self.name, "Input": self.document}, "StateMachine": {}}
        frame = Frame(self.root, {}, context, self.definition["States"])
        self.timer = self.kernel.spawn(lambda: self.end("TIMED_OUT"), self.definition["TimeoutSeconds"])
        try:
            output = self._walk(self.definition["StartAt"], self.document, frame)
        except Ended:
            return
        except StateFailed as failed:
            self.end("FAILED", failed.error, failed.cause)
            return
        self.output = output
        self.end("SUCCEEDED")

    def end(self, status: str, error: str | None = None, cause: str | None = None) -> None:
        """End it as ``status`` at once: what StopExecution (ABORTED) and time-outs do. Only the first end counts."""
        if self.status != "RUNNING":
            return
        self.status, self.error, self.cause = status, error, cause
        self.root.over = True
        if self.timer is not None:
            self.kernel.cancel(self.timer)
        self.on_ended(self)

    def _walk(self, start: str, data: Any, frame: Frame) -> Any:
        name: str | None = start
        while name is not None:
            frame.scope.check()
            frame.context["State"] = {"Name": name}
            self.entered.append(name)
            self.on_entered(self, name)
            frame.scope.check()
            data, name = self._state(name, frame.states[name], data, frame)
            if len(json.dumps(data)) > MOST_PAYLOAD_BYTES:
                raise StateFailed("States.DataLimitExceeded", f"the output of {name} is too large")
        return data

    def _state(self, name: str, state: State, data: Any, frame: Frame) -> tuple[Any, str | None]:
        match state["Type"]:
            case "Task" | "Parallel" | "Map":
                return self._worked(name, state, data, frame)
            case "Choice":
                return self._chosen(state, data, frame)
            case "Wait":
                self.kernel.sleep(float(_evaluate(state["Seconds"], _states(data, frame), frame)))
                return self._finished(state, data, data, frame)
            case "Pass" | "Succeed":
                return self._finished(state, data, data, frame)
            case "Fail":
                told = [_evaluate(state[key], _states(data, frame), frame) for key in ("Error", "Cause")]
                raise StateFailed(*told)
            case unknown:
                raise AssertionError(f"{name}: a {unknown} state is not simulated")

    def _chosen(self, state: State, data: Any, frame: Frame) -> tuple[Any, str | None]:
        for choice in state["Choices"]:
            if _evaluate(choice["Condition"], _states(data, frame), frame) is True:
                return data, choice["Next"]
        if "Default" not in state:
            raise StateFailed("States.NoChoiceMatched", "no condition held, and there is no Default")
        return data, state["Default"]

    def _finished(self, state: State, data: Any, default: Any, frame: Frame, **more: Any) -> tuple[Any, str | None]:
        """Assign and Output, which both see the variables as they were before; without Output, ``default``."""
        states = _states(data, frame, **more)
        output = _evaluate(state["Output"], states, frame) if "Output" in state else default
        assigned = _evaluate(state.get("Assign", {}), states, frame)
        frame.variables.update(assigned)
        return output, state.get("Next")

    def _worked(self, name: str, state: State, data: Any, frame: Frame) -> tuple[Any, str | None]:
        tries: dict[int, int] = {}
        while True:
            try:
                result = self._work(name, state, data, frame)
                return self._finished(state, data, result, frame, result=result)
            except StateFailed as failed:
                frame.scope.check()
                wait = _retry_after(state.get("Retry", ()), failed, tries)
                if wait is None:
                    return self._caught(state, data, failed, frame)
                self.kernel.sleep(wait)
                frame.scope.check()

    def _caught(self, state: State, data: Any, failed: StateFailed, frame: Frame) -> tuple[Any, str | None]:
        told = {"Error": failed.error, "Cause": failed.cause}
        for catcher in state.get("Catch", ()):
            if _names(catcher["ErrorEquals"], failed):
                return self._finished(catcher, data, told, frame, errorOutput=told)
        raise failed

    def _work(self, name: str, state: State, data: Any, frame: Frame) -> Any:
        match state["Type"]:
            case "Task":
                return self._call(name, state, data, frame)
            case "Parallel":
                bodies = [(branch, data, frame.context) for branch in state["Branches"]]
                return self._together(bodies, frame, frame.variables)
        return self._mapped(state, data, frame)

    def _call(self, name: str, state: State, data: Any, frame: Frame) -> Any:
        assert state["Resource"] == "arn:aws:states:::lambda:invoke", state["Resource"]
        arguments = _evaluate(state["Arguments"], _states(data, frame), frame)
        payload = self.invoke(
            arguments["FunctionName"], arguments["Payload"], Place(self.machine, name), float(state["TimeoutSeconds"])
        )
        frame.scope.check()
        return {"StatusCode": 200, "Payload": payload}

    def _mapped(self, state: State, data: Any, frame: Frame) -> Any:
        processor = state["ItemProcessor"]
        apart = processor.get("ProcessorConfig", {}).get("Mode") == "DISTRIBUTED"
        bodies = []
        for index, value in enumerate(_evaluate(state["Items"], _states(data, frame), frame)):
            context = {**frame.context, "Map": {"Item": {"Index": index, "Value": value}}}
            seen = Frame(frame.scope, frame.variables, context, frame.states)
            item = _evaluate(state["ItemSelector"], _states(data, seen), seen) if "ItemSelector" in state else value
            if apart:
                # An execution of its own: neither the variables nor the name of the one around it.
                name = f"child-{index}"
                context = {"Execution": {"Id": f"{self.arn}/{state['Label']}:{name}", "Name": name, "Input": item}}
            bodies.append((processor, item, context))
        if not apart:
            return self._together(bodies, frame, frame.variables)
        try:
            return self._together(bodies, frame, {})
        except StateFailed as failed:
            raise StateFailed(THRESHOLD, "The specified tolerated failure threshold was exceeded") from failed

    def _together(self, bodies: list[tuple[State, Any, Any]], frame: Frame, variables: dict[str, Any]) -> list[Any]:
        """Run bodies side by side, each in a process; the first that fails ends them all, and is the failure."""
        parent = self.kernel.current
        assert parent is not None
        scope = Scope(frame.scope)
        outputs: list[Any] = [None] * len(bodies)
        failures: list[StateFailed] = []
        left = set(range(len(bodies)))

        def body(index: int, machine: State, data: Any, context: Any) -> Callable[[], None]:
            inner = Frame(scope, dict(variables), json.loads(json.dumps(context)), machine["States"])

            def run() -> None:
                try:
                    outputs[index] = self._walk(machine["StartAt"], data, inner)
                except StateFailed as failed:
                    failures.append(failed)
                    scope.over = True
                except Ended:
                    pass
                left.discard(index)
                if not left or failures or self.root.over:
                    self.kernel.wake(parent)

            return run

        for index, (machine, data, context) in enumerate(bodies):
            self.kernel.spawn(body(index, machine, data, context))
        while left and not failures:
            self.kernel.park()
            frame.scope.check()
        frame.scope.check()
        if failures:
            raise failures[0]
        return outputs


def _states(data: Any, frame: Frame, **more: Any) -> dict[str, Any]:
    return {"input": data, "context": frame.context, **more}


def _names(wanted: list[str], failed: StateFailed) -> bool:
    if failed.error in {"States.DataLimitExceeded", "States.Runtime"}:
        return failed.error in wanted
    general = {"States.ALL"} if failed.error == "States.Timeout" else {"States.ALL", "States.TaskFailed"}
    return failed.error in wanted or bool(general.intersection(wanted))


def _retry_after(retriers: Any, failed: StateFailed, tries: dict[int, int]) -> float | None:
    for index, retrier in enumerate(retriers):
        if not _names(retrier["ErrorEquals"], failed):
            continue
        tried = tries.get(index, 0)
        if tried >= retrier["MaxAttempts"]:
            return None
        tries[index] = tried + 1
        seconds = min(retrier["IntervalSeconds"] * retrier["BackoffRate"] ** tried, retrier["MaxDelaySeconds"])
        return random.uniform(0, seconds) if retrier.get("JitterStrategy") == "FULL" else float(seconds)
    return None


def _evaluate(template: Any, states: dict[str, Any], frame: Frame) -> Any:
    """A JSON value with every ``{% ... %}`` in it evaluated."""
    if isinstance(template, dict):
        return {key: _evaluate(value, states, frame) for key, value in template.items()}
    if isinstance(template, list):
        return [_evaluate(value, states, frame) for value in template]
    if not (isinstance(template, str) and template.startswith("{%") and template.endswith("%}")):
        return template
    expression = template[2:-2].strip()
    bindings = {**frame.variables, "states": states}
    with _query_errors(expression):
        value = _query(expression, bindings)
        if value is None and _query(f"$exists({expression})", bindings) is not True:
            raise StateFailed("States.QueryEvaluationError", f"{expression} is undefined")
    return json.loads(json.dumps(value))


@contextmanager
def _query_errors(expression: str) -> Iterator[None]:
    try:
        yield
    except JException as error:
        raise StateFailed("States.QueryEvaluationError", f"{expression}: {error}") from error


def _query(expression: str, bindings: Mapping[str, Any]) -> Any:
    compiled = _compiled(expression)
    frame = compiled.create_frame()
    for name, value in bindings.items():
        frame.bind(name, _nulls(value))
    return compiled.evaluate(None, frame)


@lru_cache(maxsize=256)
def _compiled(expression: str) -> Any:
    return jsonata.Jsonata(expression)


def _nulls(value: Any) -> Any:
    """JSON's null as JSONata's, which is not its undefined."""
    if value is None:
        return Utils.NULL_VALUE
    if isinstance(value, dict):
        return {key: _nulls(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_nulls(one) for one in value]
    return value
