"""The environment of a function, for a process beside the emulator: its variables, and credentials of its role.

AWS: every runtime is started with both (https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html). A
function that streams its answers is not run by the emulator, which would buffer them: it runs as a process of its own
(``local/gateway.py``), which asks here for what Lambda would have given it. Loopback alone can ask.
"""

import json
from typing import Any

from ministack import app
from ministack.core import lambda_runtime
from ministack.services import lambda_svc

from local.shim.patching import patch

PATH = "/_weir/environment/"


@patch(app, "_handle_lambda_download_request")
def environment(original: Any, path: str, method: str) -> Any:
    """Tell the environment of a function, by its name."""
    if not path.startswith(PATH) or method != "GET":
        return original(path, method)
    function = lambda_svc._functions.get(path.removeprefix(PATH))
    if not function:
        return 404, {"Content-Type": "text/plain"}, b"No such function"
    config = function["config"]
    variables = config.get("Environment", {}).get("Variables", {})
    _, region = lambda_runtime._account_region_from_function_config(config)
    given = {
        **variables,
        **lambda_runtime.execution_credentials(config),
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_LAMBDA_FUNCTION_NAME": config.get("FunctionName", ""),
    }
    return 200, {"Content-Type": "application/json"}, json.dumps(given).encode()
