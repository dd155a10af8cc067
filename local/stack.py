"""Build the template and put it on the local AWS, as `make deploy` puts it on a real one: sam build, sam deploy.

What differs is data: the interpreter and the wheels follow the emulator's own Python, because Lambda functions run on
it there.
"""

import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from local import bootstrap, places, sources
from local.server import Server

STACK_NAME = "weir"
RECIPE = ("build.mk", "requirements/layer.txt")
BUILT_FROM = places.BUILD / ".built-from"
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"  # .tools/ministack is made from this interpreter
ARCHITECTURE = "arm64" if platform.machine() in {"arm64", "aarch64"} else "x86_64"

NEVER_MADE = ("CREATE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED")
PARAMETERS = {
    "Stage": "local",
    "MetricsWaitSeconds": "15",
    "PythonRuntime": f"python{PYTHON}",
    "Architecture": ARCHITECTURE,
    "AnalysisModel": "weir-analysis",  # there is no such route until somebody makes one
    "MustChangePassword": "false",  # whoever reads .local/stack.json is whoever runs `make up`
    "OAuthClients": "weir=http://127.0.0.1:8753/callback other=http://127.0.0.1:8754/callback",
}


class DeployError(Exception):
    """A build or a deployment failed; the message is SAM's own."""


def build(fingerprint: str) -> bool:
    """Build the artefacts under ``.local/build`` unless they were built from the same sources; true if it did."""
    if BUILT_FROM.exists() and BUILT_FROM.read_text() == fingerprint:
        return False
    BUILT_FROM.unlink(missing_ok=True)
    # What SAM built before it builds again only where the sources of that function or layer changed. It knows nothing
    # of what else an artefact depends on, so that names the cache.
    cache = places.STATE / "cache" / sources.fingerprint(RECIPE, PYTHON, ARCHITECTURE)[:16]
    # uv needs the person's own environment (index, certificates, proxy, cache) to fetch the layer's wheels.
    target = {"WEIR_BUILD_PYTHON": PYTHON, "WEIR_BUILD_PLATFORM": "", "WEIR_BUILD_COMPILER": sys.executable}
    folders = ("--build-dir", str(places.BUILD), "--cached", "--cache-dir", str(cache))
    _sam(bootstrap.uv_environment() | target, "build", *folders)
    BUILT_FROM.write_text(fingerprint)
    return True


def deploy(server: Server, stack_name: str = STACK_NAME, **parameters: str) -> dict[str, str]:
    """Deploy the built template and return the stack's outputs.

    Raises
    ------
    DeployError
        The stack could not be created or updated.
    """
    bucket = f"{stack_name}-artifacts"
    cloudformation = _client("cloudformation", server)
    _client("s3", server).create_bucket(Bucket=bucket)
    _clear_away(cloudformation, stack_name)
    overrides = PARAMETERS | parameters
    _sam(
        places.clean_environment(AWS_ENDPOINT_URL=server.endpoint),
        *("deploy", "--config-file", str(places.REPOSITORY / "samconfig.toml"), "--config-env", "local"),
        *("--template-file", str(places.BUILD / "template.yaml")),
        *("--stack-name", stack_name, "--s3-bucket", bucket, "--no-progressbar", "--no-resolve-s3"),
        *("--parameter-overrides", *(f'{name}="{value}"' for name, value in overrides.items())),
    )
    stack = cloudformation.describe_stacks(StackName=stack_name)["Stacks"][0]
    return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}


def _clear_away(cloudformation: Any, stack_name: str) -> None:
    """Delete a stack whose creation failed: CloudFormation updates no such stack."""
    for summary in cloudformation.list_stacks(StackStatusFilter=list(NEVER_MADE))["StackSummaries"]:
        if summary["StackName"] == stack_name:
            cloudformation.delete_stack(StackName=stack_name)
            waiter = cloudformation.get_waiter("stack_delete_complete")
            waiter.wait(StackName=stack_name, WaiterConfig={"Delay": 1})


def admin(server: Server, outputs: dict[str, str]) -> dict[str, str]:
    """The first admin's ``username`` and ``password``."""
    found = _client("secretsmanager", server).get_secret_value(SecretId=outputs["AdminSecretArn"])["SecretString"]
    credentials: dict[str, str] = json.loads(found)
    return credentials


def describe(
    server: Server, outputs: dict[str, str], fingerprint: str, credentials: dict[str, str] | None = None
) -> dict[str, Any]:
    """What ``.local/stack.json`` tells: where the stack answers, how to speak to its AWS, and how to log in."""
    return {
        "api_url": local_url(outputs["ApiUrl"], server),
        "aws_endpoint_url": server.endpoint,
        "region": places.REGION,
        "stack_name": STACK_NAME,
        "admin": credentials,
        "outputs": outputs,
        "sources": fingerprint,
    }


def local_url(api_url: str, server: Server) -> str:
    """The emulator's address of a REST API whose AWS address is ``https://ID.execute-api.REGION.SUFFIX/STAGE``."""
    parts = urlsplit(api_url)
    match = re.fullmatch(r"([a-z0-9]+)\.execute-api\..+", parts.hostname or "")
    if match is None:
        raise DeployError(f"The output ApiUrl is not the address of a REST API: {api_url}")
    return f"{server.endpoint}/_aws/execute-api/{match[1]}{parts.path}"


def read(file: Path | None = None) -> dict[str, Any] | None:
    """The stack that a file tells of, if there is one: that which the environment names, or ``.local/stack.json``."""
    file = file or Path(os.environ.get(places.STACK_FILE_VARIABLE, places.STACK_FILE))
    try:
        document: dict[str, Any] = json.loads(file.read_text())
    except (FileNotFoundError, ValueError):
        return None
    return document


def write(document: dict[str, Any]) -> None:
    """Write ``.local/stack.json`` in one step, so that no reader sees half of it; it holds a password."""
    write_private(places.STACK_FILE, json.dumps(document, indent=2) + "\n")


def write_private(file: Path, text: str) -> None:
    """Write a file that nobody but its owner may read, in one step."""
    draft = file.with_suffix(".draft")
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600)
    draft.write_text(text)
    draft.replace(file)


def _client(service: str, server: Server) -> Any:
    # Imported on use: `make up` with nothing to do answers before botocore would have been loaded.
    import boto3

    return boto3.client(
        service,
        endpoint_url=server.endpoint,
        region_name=places.REGION,
        aws_access_key_id=places.ROOT_KEY,
        aws_secret_access_key=places.ROOT_SECRET,
    )


def _sam(environment: Mapping[str, str], *arguments: str) -> None:
    # An outer make would hand its flags and its job server down to the makes that SAM runs.
    child = {name: value for name, value in environment.items() if name not in {"MAKEFLAGS", "MFLAGS", "MAKELEVEL"}}
    child |= {"SAM_CLI_TELEMETRY": "0", "SAM_CLI_POLL_DELAY": "0.1"}
    finished = subprocess.run(
        [places.program(".tools/sam", "python"), "-m", "samcli", *arguments],
        cwd=places.REPOSITORY,
        env=child,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if finished.returncode:
        raise DeployError(f"sam {arguments[0]} failed:\n{finished.stdout}")
