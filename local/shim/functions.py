"""Lambda failures as AWS reports them, in the payload that Step Functions, destinations and callers see.

AWS: an exception is reported as ``errorType`` (the class name), ``errorMessage``, ``requestId`` and ``stackTrace``
(https://docs.aws.amazon.com/lambda/latest/dg/python-exceptions.html), and Step Functions matches ``ErrorEquals`` on
that class name; a process that ends is ``Runtime.ExitError``, one past its time-out ``Sandbox.Timedout``, a module that
can't be imported ``Runtime.ImportModuleError``. An exception leaves the execution environment warm. API Gateway hides
all of it: ``502 {"message": "Internal server error"}``
(https://docs.aws.amazon.com/apigateway/latest/developerguide/handle-errors-in-lambda-integration.html).

The emulator reports every failure as ``Runtime.HandlerError`` without a trace, ends the worker process after each
exception, and hands the payload on to HTTP callers.
"""

import contextvars
import json
from typing import Any

from ministack.core import lambda_runtime
from ministack.services import apigateway_v1, lambda_svc

from local.shim.patching import patch, rewrite

_failure: contextvars.ContextVar[dict[str, Any] | None] = contextvars.ContextVar("failure", default=None)

lambda_runtime._PYTHON_WORKER_SCRIPT = rewrite(
    rewrite(
        lambda_runtime._PYTHON_WORKER_SCRIPT,
        """{"status": "error", "error": str(e), "trace": traceback.format_exc()}""",
        """{"status": "ok", "trace": traceback.format_exc(), "failure": {
                "errorMessage": str(e), "errorType": type(e).__name__, "requestId": context.aws_request_id,
                "stackTrace": traceback.format_list(traceback.extract_tb(e.__traceback__)[1:])}}""",
    ),
    """{"status": "error", "error": str(e)}""",
    """{"status": "error", "error": json.dumps({
            "errorType": "Runtime.ImportModuleError" if isinstance(e, ImportError) else type(e).__name__,
            "errorMessage": (f"Unable to import module '{module_name}': {e}" if isinstance(e, ImportError)
                             else str(e)),
            "requestId": "", "stackTrace": []})}""",
)

_INIT_FAILED = "Worker init failed: "


@patch(lambda_runtime.Worker, "_spawn")
def remember_process(original: Any, worker: Any) -> None:
    """Keep hold of the process, whose exit status is part of what AWS reports."""
    original(worker)
    worker.spawned = worker._proc


@patch(lambda_runtime.Worker, "invoke")
def invoke(original: Any, worker: Any, event: Any, request_id: str, **options: Any) -> dict[str, Any]:
    """Name a failure as AWS does, and leave a worker alive whose handler only raised."""
    try:
        response: dict[str, Any] = original(worker, event, request_id, **options)
    except RuntimeError as error:
        if str(error).startswith(_INIT_FAILED):
            _failure.set(json.loads(str(error).removeprefix(_INIT_FAILED)))
        raise
    if "failure" in response:
        _failure.set(response["failure"])
        return response | {"status": "error", "error": response["failure"]["errorMessage"]}
    if response.get("status") == "error":
        kind, text = _ending(worker, response["error"])
        _failure.set({"errorType": kind, "errorMessage": f"RequestId: {request_id} Error: {text}"})
    return response


@patch(lambda_svc, "_execute_function_warm")
def execute(original: Any, function: Any, event: Any, request_id: str) -> dict[str, Any]:
    """Put the named failure into the result that every caller of the function reads."""
    _failure.set(None)
    result: dict[str, Any] = original(function, event, request_id)
    failure = _failure.get()
    return result | {"body": failure} if result.get("error") and failure else result


@patch(apigateway_v1, "_lambda_proxy_response")
def proxy_response(original: Any, result: dict[str, Any]) -> Any:
    """Tell HTTP callers nothing of a function's failure, as API Gateway does."""
    if result.get("error") and not result.get("throttle"):
        return None, "Internal server error"
    return original(result)


def _ending(worker: Any, text: str) -> tuple[str, str]:
    if lambda_svc._RIE_TIMEOUT_TEXT_RE.fullmatch(text):
        return "Sandbox.Timedout", f"Task timed out after {worker.config.get('Timeout', 3):.2f} seconds"
    status = worker.spawned.returncode
    how = f"signal: {-status}" if status is not None and status < 0 else f"exit status {status}"
    return "Runtime.ExitError", f"Runtime exited with error: {how}"
