"""An account with Weir in it: the real handlers and state machines, in virtual time, on the simulated AWS.

``Account`` is one run's world. It answers Step Functions' calls, invokes the functions as their services would (with
time-outs, and asynchronously with two more tries), and turns executions that end badly into EventBridge's event.
"""

import copy
import importlib
import json
import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

import botocore.retries.quota
from moto.dynamodb.models import dynamodb_backends
from moto.s3.models import s3_backends

from tests.faults.cloud import (
    ACCOUNT,
    CALL_SECONDS,
    READ_TIMEOUT_SECONDS,
    REGION,
    Cloud,
    FunctionDied,
    Invocation,
)
from tests.faults.fault import INVOKE, Fault, Kind
from tests.faults.kernel import Kernel
from tests.faults.machine import Execution, Place, StateFailed
from weir.runs import starting, working
from weir.runs import wiring as composition
from weir.runs.models import RunSpec
from weir.runtime import aws, clock, settings
from weir.runtime.errors import WeirError
from weir.streams import sts

REPOSITORY = Path(__file__).resolve().parents[2]
BEGAN = 1_795_262_700.0  # 2026-11-21T12:05:00Z
RUN_ID = "proof-1"
STREAM = f"weir-run-{RUN_ID}"
TABLE, BUCKET = "weir-runs", "weir-runs-bucket"
ARN = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:weir-"
EVENT_SECONDS = 1.0
HTTP_SECONDS = 29.0
ASYNC_TRIES = (60.0, 120.0)
"""Lambda tries an asynchronous event twice more, after one and two minutes."""

ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_REGION": REGION,
    "WEIR_AWS_TIMEOUT_SECONDS": f"{READ_TIMEOUT_SECONDS}",
    "WEIR_LOG_LEVEL": "CRITICAL",
    "WEIR_RUNS_TABLE": TABLE,
    "WEIR_RUNS_BUCKET": BUCKET,
    "WEIR_RUN_MACHINE_ARN": f"{ARN}run",
    "WEIR_CLEANUP_MACHINE_ARN": f"{ARN}cleanup",
}
FUNCTIONS = {
    # function: (its module, its Timeout in template.yaml)
    "${ControlFunction}": ("functions.run_control.handler", 300.0),
    "${InsertFunction}": ("functions.run_insert.handler", 900.0),
    "${VerifyFunction}": ("functions.run_verify.handler", 900.0),
    "events": ("functions.run_events.handler", 29.0),
    "sweeper": ("functions.sweeper.handler", 900.0),
}

Entered = Callable[[Execution, str], None]


@dataclass(frozen=True)
class Context:
    """The part of Lambda's context object that the functions read."""

    account: "Account"
    until: float

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the function is cut off."""
        return int((self.until - self.account.kernel.now) * 1000)


class Account:
    """One account with Weir deployed, and one fault in it at most."""

    def __init__(self, fault: Fault | None = None) -> None:
        self.kernel = Kernel(BEGAN)
        self.cloud = Cloud(self.kernel, fault)
        self.executions: dict[str, Execution] = {}
        self.events_lost = False
        self.timeouts = {function: timeout for function, (_, timeout) in FUNCTIONS.items()}
        self.on_entered: Entered = lambda _execution, _state: None
        self.cloud.on_stop = self._stop
        self.cloud.states = self._states

    # Things that people and clocks do

    def start(self, spec: dict[str, Any]) -> Execution:
        """Start a run directly on the state machine."""
        return self._start(f"{ARN}run", RUN_ID, spec)

    def upload(self, key: str, body: bytes) -> None:
        """Put an object into the bucket, as a caller does with the URL that Weir gave."""
        s3_backends[ACCOUNT]["aws"].put_object(BUCKET, key, body)

    def settle(self, seconds: float | None = None) -> None:
        """Let time pass until nothing moves any more, or for so many seconds."""
        self.kernel.run(seconds)

    def sweep(self, *, dry_run: bool = False) -> list[Any]:
        """Let the schedule invoke the sweeper once, and what it starts run to its end; what it answered."""
        answers = self.sweep_soon(dry_run=dry_run)
        self.settle()
        return answers

    def sweep_soon(self, *, dry_run: bool = False) -> list[Any]:
        """The same, beside whatever else is going on: its answer is there once time has passed."""
        answers: list[Any] = []
        event = {"dry_run": dry_run}
        self.kernel.spawn(lambda: self._invoke_async("sweeper", event, Place("sweeper", "Sweep"), answers))
        return answers

    def start_over_http(self, spec: dict[str, Any]) -> None:
        """Start a run as ``POST /runs`` does; whoever asked sees an error, or not."""

        def run() -> None:
            process = self.kernel.current
            assert process is not None
            process.invocation = Invocation(Place("http", "Start"), self.kernel.now + HTTP_SECONDS)
            with suppress(WeirError, FunctionDied), patch.object(starting, "new_run_id", lambda _now: RUN_ID):
                starting.start_run(RunSpec.model_validate_json(json.dumps(spec)), "somebody", composition.wiring())

        self.kernel.spawn(run)

    # Step Functions

    def _start(self, machine_arn: str, name: str, document: Any) -> Execution:
        machine = machine_arn.removeprefix(ARN)
        arn = f"{machine_arn.replace(':stateMachine:', ':execution:')}:{name}"
        execution = Execution(
            machine=machine,
            arn=arn,
            name=name,
            definition=definition(machine),
            document=copy.deepcopy(document),
            kernel=self.kernel,
            invoke=self._invoke_for_a_state,
            on_entered=lambda execution, state: self.on_entered(execution, state),
            on_ended=self._ended,
        )
        self.executions[arn] = execution
        self.kernel.spawn(execution.run)
        return execution

    def _ended(self, execution: Execution) -> None:
        """EventBridge's *Step Functions Execution Status Change*, and the rule that matches it."""
        if execution.machine != "run" or execution.status == "SUCCEEDED" or self.events_lost:
            return
        detail = {
            "executionArn": execution.arn,
            "stateMachineArn": f"{ARN}run",
            "name": execution.name,
            "status": execution.status,
            "error": execution.error,
            "cause": execution.cause,
        }
        place = Place("events", "Ended")
        self.kernel.spawn(lambda: self._invoke_async("events", {"detail": detail}, place, []), EVENT_SECONDS)

    def _stop(self, machine: str, status: str, error: str | None, cause: str | None) -> None:
        for execution in list(self.executions.values()):
            if execution.machine == machine:
                execution.end(status, error, cause)

    def _states(self, name: str, asked: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if name == "StartExecution":
            arn = f"{asked['stateMachineArn'].replace(':stateMachine:', ':execution:')}:{asked['name']}"
            if arn not in self.executions:
                self._start(asked["stateMachineArn"], asked["name"], json.loads(asked["input"]))
            elif (
                self.executions[arn].document != json.loads(asked["input"]) or self.executions[arn].status != "RUNNING"
            ):
                return 400, {"__type": "ExecutionAlreadyExists", "message": f"Execution already exists: {arn}"}
            return 200, {"executionArn": arn, "startDate": self.kernel.now}
        execution = self.executions.get(asked["executionArn"])
        if execution is None:
            return 400, {"__type": "ExecutionDoesNotExist", "message": f"Execution does not exist: {asked}"}
        if name == "StopExecution":
            execution.end("ABORTED", asked.get("error"), asked.get("cause"))
            return 200, {"stopDate": self.kernel.now}
        assert name == "DescribeExecution", name
        return 200, {
            "executionArn": execution.arn,
            "stateMachineArn": f"{ARN}{execution.machine}",
            "name": execution.name,
            "status": execution.status,
            "startDate": self.kernel.began,
        }

    # Lambda

    def _invoke_for_a_state(self, function: str, payload: Any, place: Place, seconds: float) -> Any:
        if self.cloud.called(place, INVOKE) is Kind.FUNCTION_THROTTLED:
            self.kernel.sleep(CALL_SECONDS)
            raise StateFailed("Lambda.TooManyRequestsException", "Rate Exceeded. (Service: Lambda, Status Code: 429)")
        return self._invoke(function, payload, place, seconds)

    def _invoke(self, function: str, payload: Any, place: Place, seconds: float) -> Any:
        module, _ = FUNCTIONS[function]
        process = self.kernel.current
        assert process is not None
        outer, until = process.invocation, self.kernel.now + min(seconds, self.timeouts[function])
        process.invocation = Invocation(place, until)
        try:
            answer = handler(module)(json.loads(json.dumps(payload)), Context(self, until))
            return json.loads(json.dumps(answer))
        except FunctionDied as death:
            raise StateFailed(death.error, "RequestId: 1 Error: Runtime exited") from death
        except Exception as error:  # as Lambda tells any error of a function
            told = {"errorMessage": str(error), "errorType": type(error).__name__, "stackTrace": []}
            raise StateFailed(type(error).__name__, json.dumps(told)) from error
        finally:
            process.invocation = outer

    def _invoke_async(self, function: str, payload: Any, place: Place, answers: list[Any]) -> None:
        for wait in (*ASYNC_TRIES, None):
            try:
                answers.append(self._invoke(function, payload, place, 900.0))
            except StateFailed:
                if wait is None:
                    return
                self.kernel.sleep(wait)
            else:
                return


@lru_cache(maxsize=4)
def definition(machine: str) -> dict[str, Any]:
    """The real definition of a state machine."""
    found: dict[str, Any] = json.loads((REPOSITORY / "statemachines" / f"{machine}.asl.json").read_text())
    return found


@lru_cache(maxsize=8)
def handler(module: str) -> Any:
    """The real handler of a function."""
    return importlib.import_module(module).handler


_quotas: list[botocore.retries.quota.RetryQuota] = []


class _Quota(botocore.retries.quota.RetryQuota):
    """botocore's retry quota, known here, so that each case begins with a full one."""

    def __init__(self) -> None:
        super().__init__()
        _quotas.append(self)


@contextmanager
def deployed(fault: Fault | None = None) -> Iterator[Account]:
    """An account with Weir in it, empty otherwise. Clients are kept from one to the next, as in a warm function."""
    random.seed(7)
    account = Account(fault)
    virtual = clock.Clock(
        now=account.kernel.datetime,
        monotonic=lambda: account.kernel.now - BEGAN + 1_000.0,
        sleep=account.cloud.sleep,
        epoch=lambda: account.kernel.now,
    )
    with ExitStack() as stack:
        stack.enter_context(patch.dict("os.environ", ENVIRONMENT))
        stack.enter_context(patch("botocore.retries.quota.RetryQuota", _Quota))
        stack.enter_context(account.cloud.connected())
        settings.forget()
        composition.wiring.cache_clear()
        stack.enter_context(patch.object(composition, "SYSTEM", virtual))
        stack.enter_context(patch.object(working, "WRITER_THREADS", 1))  # a writer's threads would not take turns
        stack.enter_context(patch.object(working, "Random", partial(Random, 7)))
        handler("functions.sweeper.handler")
        stack.enter_context(patch("functions.sweeper.handler.Random", partial(Random, 7)))
        stack.callback(settings.forget)
        stack.callback(composition.wiring.cache_clear)
        stack.callback(account.kernel.close)
        for quota in _quotas:
            quota.release(quota._max_capacity)
        sts._from_sts.cache_clear()
        _furnish()
        yield account


def forget_clients() -> None:
    """Leave no client behind that knows of this AWS."""
    aws.client.cache_clear()
    handler.cache_clear()
    sts._from_sts.cache_clear()


def _furnish() -> None:
    """The table and the bucket, as the template makes them."""
    index = {"Projection": {"ProjectionType": "ALL"}}
    hash_of, range_of = {"KeyType": "HASH"}, {"KeyType": "RANGE"}
    aws.client("dynamodb").create_table(
        TableName=TABLE,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "pk", **hash_of}, {"AttributeName": "sk", **range_of}],
        AttributeDefinitions=[{"AttributeName": n, "AttributeType": "S"} for n in ("pk", "sk", "list", "open", "at")],
        GlobalSecondaryIndexes=[
            {
                "IndexName": name,
                "KeySchema": [{"AttributeName": key, **hash_of}, {"AttributeName": "at", **range_of}],
                **index,
            }
            for name, key in (("listing", "list"), ("open", "open"))
        ],
    )
    s3_backends[ACCOUNT]["aws"].create_bucket(BUCKET, REGION)
    s3_backends[ACCOUNT]["aws"].put_bucket_versioning(BUCKET, "Enabled")
    assert TABLE in dynamodb_backends[ACCOUNT][REGION].tables
