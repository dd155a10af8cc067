"""How an execution of a state machine ends: stopped, timed out or failed once, and then nothing more of it runs.

AWS: StopExecution and the machine's TimeoutSeconds end an execution at once, whatever state it is in, Waits and
branches of Parallel and Map included; no further state starts and no Catch runs; the status is ABORTED or TIMED_OUT,
and one "Step Functions Execution Status Change" event tells it
(https://docs.aws.amazon.com/step-functions/latest/dg/, "Handling errors", "StopExecution", "eventbridge-integration").
A state's output is at most 256 KiB, else the execution fails with States.DataLimitExceeded, which no Catch sees. Retry
waits IntervalSeconds x BackoffRate^n, at most MaxDelaySeconds, and with JitterStrategy FULL a random part of that.

The emulator ignores the machine's TimeoutSeconds, MaxDelaySeconds, JitterStrategy and the size limit; after a stop it
sleeps its Waits out, runs branches to their end, and lets a late failure turn ABORTED into FAILED.
"""

import contextlib
import contextvars
import json
import random
import threading
from collections.abc import Iterator
from concurrent import futures
from typing import Any

from ministack.core.responses import now_iso
from ministack.services import stepfunctions as sfn

from local.shim.patching import patch

STATE_LIMIT_BYTES = 256 * 1024


class Ended(BaseException):
    """Unwinds a thread of an execution that is over. Not an Exception: no Retry, Catch or handler may take it."""


class Scope:
    """What ends together: an execution, or the branches of one Parallel or Map state inside it."""

    def __init__(self, parent: "Scope | None" = None, *, fails_together: bool = False) -> None:
        self.parent = parent
        self.fails_together = fails_together
        self.failure: Exception | None = None
        self.role_arn: str = parent.role_arn if parent else ""
        self._over: futures.Future[None] = futures.Future()
        self._inner: list[Scope] = []
        self._lock = threading.Lock()

    def end(self, failure: Exception | None = None) -> None:
        """End this scope and all inside it; the first to end it tells the failure."""
        with self._lock:
            if self._over.done():
                return
            self.failure = failure
            self._over.set_result(None)
            inner = list(self._inner)
        for scope in inner:
            scope.end()

    def check(self) -> None:
        """Raise ``Ended`` if this scope is over."""
        if self._over.done():
            raise Ended

    def sleep(self, seconds: float) -> None:
        """Wait, but not beyond the end of this scope."""
        futures.wait({self._over}, timeout=seconds)
        self.check()

    def result_of(self, task: "futures.Future[Any]") -> Any:
        """The task's result, or ``Ended`` when this scope is over first."""
        futures.wait({task, self._over}, return_when=futures.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise Ended

    @contextlib.contextmanager
    def within(self, *, fails_together: bool) -> "Iterator[Scope]":
        """An inner scope, current for this thread and the ones started from it."""
        inner = Scope(self, fails_together=fails_together)
        with self._lock:
            self._inner.append(inner)
        token = current.set(inner)
        try:
            self.check()
            yield inner
        finally:
            current.reset(token)
            with self._lock:
                self._inner.remove(inner)


current: contextvars.ContextVar[Scope | None] = contextvars.ContextVar("scope", default=None)
_scopes: dict[str, Scope] = {}
_history = threading.Lock()


@patch(sfn, "_run_execution")
def run_execution(original: Any, arn: str) -> None:
    """Run an execution inside a scope of its own, with the machine's time limit on it."""
    execution = sfn._executions.get(arn)
    machine = sfn._state_machines.get(execution["stateMachineArn"]) if execution else None
    scope = _scopes[arn] = Scope()
    scope.role_arn = (machine or {}).get("roleArn", "")
    token = current.set(scope)
    snapshot = contextvars.copy_context()
    timer = threading.Timer(_time_limit(machine), snapshot.run, (_time_out, execution, scope))
    timer.daemon = True
    timer.start()
    try:
        original(arn)
    except Ended:
        pass  # whoever ended the scope has written the status
    finally:
        timer.cancel()
        current.reset(token)
        del _scopes[arn]


def _time_limit(machine: dict[str, Any] | None) -> float:
    try:
        seconds = json.loads((machine or {})["definition"]).get("TimeoutSeconds")
    except (KeyError, ValueError):
        seconds = None  # the emulator reports a broken definition itself
    return float(seconds) if seconds else threading.TIMEOUT_MAX


def _time_out(execution: dict[str, Any], scope: Scope) -> None:
    if execution["status"] != "RUNNING":
        return
    execution.update(status="TIMED_OUT", stopDate=now_iso())
    sfn._add_event(execution, "ExecutionTimedOut", {"executionTimedOutEventDetails": {}})
    scope.end()
    sfn._emit_execution_status_event(execution)


@patch(sfn, "_stop_execution")
def stop_execution(original: Any, data: dict[str, Any]) -> Any:
    """Stop what still runs of a stopped execution."""
    answer = original(data)
    scope = _scopes.get(data.get("executionArn", ""))
    if answer[0] == 200 and scope:
        scope.end()
    return answer


@patch(sfn, "_fail_execution")
def fail_execution(original: Any, execution: dict[str, Any], error: str, cause: str) -> None:
    """An execution ends once: a failure that comes after the end changes nothing."""
    if execution["status"] == "RUNNING":
        original(execution, error, cause)


@patch(sfn, "_add_event")
def add_event(original: Any, execution: dict[str, Any], kind: str, details: Any = None) -> Any:
    """Number events in one order, write none after the end, and refuse a state's output that is too large."""
    output = (details or {}).get("stateExitedEventDetails", {}).get("output", "")
    if len(output.encode()) > STATE_LIMIT_BYTES:
        text = f"The state returned a result with a size exceeding {STATE_LIMIT_BYTES} bytes."
        raise sfn._ExecutionError("States.DataLimitExceeded", text)
    with _history:
        if execution["status"] != "RUNNING" and not kind.startswith("Execution"):
            return None
        return original(execution, kind, details)


@patch(sfn, "_scaled_sleep")
def sleep(original: Any, seconds: float) -> None:
    """Waits and retry delays end with the execution."""
    scope = current.get()
    if scope is None:
        original(seconds)
    else:
        scope.sleep(seconds * sfn._SFN_WAIT_SCALE)


@patch(sfn, "_invoke_resource")
def invoke_resource(original: Any, resource: str, data: Any) -> Any:
    """A task's call may outlive the execution; the execution does not wait for it."""
    scope = current.get()
    if scope is None:
        return original(resource, data)
    task: futures.Future[Any] = futures.Future()
    call = contextvars.copy_context().run
    threading.Thread(target=call, args=(_settle, task, original, resource, data), daemon=True).start()
    return scope.result_of(task)


def _settle(task: "futures.Future[Any]", action: Any, *arguments: Any) -> None:
    try:
        task.set_result(action(*arguments))
    except Exception as error:  # carried over to the thread that waits for it
        task.set_exception(error)


@patch(sfn, "_find_matching_retrier")
def find_retrier(original: Any, retriers: Any, error: str, counts: dict[int, int]) -> Any:
    """Delays as the retrier says them. The emulator caps each at 60 s, which stays."""
    retrier, index = original(retriers, error, counts)
    if retrier is None:
        return retrier, index
    delay = retrier.get("IntervalSeconds", 1) * retrier.get("BackoffRate", 2.0) ** counts.get(index, 0)
    delay = min(delay, retrier.get("MaxDelaySeconds", delay))
    if retrier.get("JitterStrategy") == "FULL":
        delay = random.uniform(0, delay)
    return {**retrier, "IntervalSeconds": delay, "BackoffRate": 1.0}, index
