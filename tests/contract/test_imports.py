"""What each handler may load when it is imported: a cold start pays for every module, asked for or not.

Each handler is imported in a process of its own, with the environment that the template gives it. What is loaded later,
on first use, is free to every request that does not need it.
"""

import json
import os
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

import pytest

from tests.contract import stack

PROBE = "import json, sys; before = set(sys.modules); import {}; print(json.dumps(sorted(set(sys.modules) - before)))"
TRACED = """
import json, os, runpy, sys
from weir.runtime import observability
traced, seen = observability.traced, []
def noted(handler):
    wrapped = traced(handler)
    assert wrapped is not handler
    seen.append(source)
    return wrapped
observability.traced = noted
for source in sys.argv[1:]:
    sys.path.insert(0, os.path.dirname(source))
    runpy.run_path(source)
print(json.dumps(seen))
"""
PYDANTIC = {"annotated_types", "pydantic", "pydantic_core", "typing_extensions", "typing_inspection"}
RESOLVER = {"aws_lambda_powertools", "jmespath", "botocore"}
"""The HTTP resolver and what it loads itself; of botocore nothing but its version."""

CLIENT = {"botocore", "certifi", "dateutil", "jmespath", "six", "urllib3"}
"""A client of AWS's."""

THIRD_PARTY = {
    "HealthFunction": set(),  # liveness is answered out of the standard library
    "StreamsFunction": PYDANTIC | RESOLVER,
    "RunsFunction": PYDANTIC | RESOLVER,
    "StreamSettleFunction": PYDANTIC,
    "RunControlFunction": PYDANTIC,
    "RunInsertFunction": PYDANTIC,
    "RunVerifyFunction": PYDANTIC,
    "RunEventsFunction": PYDANTIC,
    "SweeperFunction": PYDANTIC,
    "AuthorizerFunction": CLIENT,  # at its start, for there is no request that needs none; PyJWT with the first token
    "AuthFunction": PYDANTIC | RESOLVER,
    "OAuthFunction": PYDANTIC | RESOLVER,
    "ApiKeysFunction": PYDANTIC | RESOLVER,
    "UsersFunction": PYDANTIC | RESOLVER,
    "PackagesFunction": PYDANTIC | RESOLVER,
    "PackageFilesFunction": PYDANTIC | RESOLVER,
    "PackageTrustFunction": PYDANTIC | RESOLVER,  # cryptography with the first key or signature
    "PackageScanFunction": set(),
    "PackageSweeperFunction": set(),
    "AnalysesFunction": PYDANTIC | RESOLVER,
    "AnalysisWorkFunction": PYDANTIC,  # Jinja2 with the step that tells
    "PromptsFunction": PYDANTIC | RESOLVER,  # Jinja2 with the first template that is checked or rendered
    "UsageFunction": PYDANTIC | RESOLVER,
    "UsageRollupFunction": set(),
    "ModelsFunction": PYDANTIC | RESOLVER,  # yaml with an import of the shipped prices
    "GatewayFunction": set(),  # what it needs it loads when it starts, before the first request
    "QuestionsFunction": PYDANTIC | RESOLVER,
    "PackageImportFunction": set(),  # pydantic with the version that is registered
    "FirstAdminFunction": set(),
    "RotateSigningKeyFunction": set(),
}
NEVER = {
    *("boto3", "botocore.session", "botocore.client", "botocore.endpoint", "urllib3", "aws_xray_sdk", "yaml"),
    *("aws_lambda_powertools.utilities.idempotency", "aws_lambda_powertools.utilities.parser"),
    *("moto", "jsonschema", "multiprocessing"),
}
"""Clients are made on first use; traces and replays are loaded where there are any."""

OF_A_CLIENT = frozenset({"botocore.session", "botocore.client", "botocore.endpoint", "urllib3"})

FOR_THE_REPORT = ("weir.runs.report", "weir.analysis.rules", "weir.analysis.findings")
each_function = pytest.mark.parametrize("function", THIRD_PARTY)


@lru_cache(maxsize=32)
def loaded(function: str, module: str = "handler") -> frozenset[str]:
    """The modules that importing a module loads, in the environment of a function."""
    folder = stack.ROOT / "functions" / stack.folder(function)
    environment = stack.environment(function) | {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join([str(folder), str(stack.ROOT / "layers/weir/python")]),
        "AWS_REGION": stack.REGION,
    }
    done = subprocess.run(
        [sys.executable, "-c", PROBE.format(module)],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return frozenset(json.loads(done.stdout))


def roots(modules: frozenset[str]) -> set[str]:
    """The top-level names of third-party modules."""
    own = {"weir", *(source.stem for source in (stack.ROOT / "functions").glob("*/*.py")), *sys.stdlib_module_names}
    return {name.split(".")[0] for name in modules if not name.startswith("_sysconfigdata")} - own


def test_every_function_has_a_contract() -> None:
    assert set(THIRD_PARTY) == set(stack.functions())


@each_function
def test_a_handler_loads_the_third_party_code_that_it_may_and_no_other(function: str) -> None:
    assert roots(loaded(function)) == THIRD_PARTY[function]


@each_function
def test_a_handler_makes_no_client_and_loads_nothing_for_later(function: str) -> None:
    allowed = OF_A_CLIENT if function == stack.authorizer() else frozenset()
    assert not loaded(function) & (NEVER - allowed)


@pytest.mark.parametrize("function", ["RunsFunction", "RunInsertFunction", "RunVerifyFunction", "RunEventsFunction"])
def test_only_the_step_that_closes_a_run_loads_what_makes_reports(function: str) -> None:
    assert not [name for name in loaded(function) if name.startswith(FOR_THE_REPORT)]


def test_the_authorizer_loads_no_cryptography_before_a_token_comes() -> None:
    assert not {name.split(".")[0] for name in loaded(stack.authorizer())} & {"jwt", "cryptography", "argon2"}


def test_liveness_loads_of_ours_only_what_answers_it() -> None:
    own = {name for name in loaded("HealthFunction") if name.startswith("weir")}
    assert own == {
        *("weir", "weir.health", "weir.health.liveness", "weir.runtime", "weir.runtime.errors"),
        *("weir.runtime.http", "weir.runtime.observability", "weir.runtime.settings"),
    }


def test_readiness_loads_neither_pydantic_nor_a_client() -> None:
    assert not roots(loaded("HealthFunction", "health_routes")) & {"pydantic", "pydantic_core"}
    assert not loaded("HealthFunction", "health_routes") & NEVER


def test_every_handler_starts_with_tracing_on(tmp_path: Path) -> None:
    # Given Lambda, by what the X-Ray SDK knows it, and the parameter Tracing
    handled = set(THIRD_PARTY) - stack.web_functions()
    functions = {name: stack.ROOT / "functions" / stack.folder(name) for name in THIRD_PARTY if name in handled}
    sources = {
        name: str(folder / ("health_routes.py" if name == "HealthFunction" else "handler.py"))
        for name, folder in functions.items()
    }
    environment = {name: value for one in functions for name, value in stack.environment(one).items()} | {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(stack.ROOT / "layers/weir/python"),
        "AWS_REGION": stack.REGION,
        "LAMBDA_TASK_ROOT": str(tmp_path),
        "WEIR_TRACING": "true",
    }
    # When each handler is loaded, in one process, for a start of each of its own would take half a minute
    done = subprocess.run(
        [sys.executable, "-c", TRACED, *sources.values()], env=environment, capture_output=True, text=True, check=False
    )
    # Then each starts, and its calls are traced
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == list(sources.values())


def test_the_layer_brings_nothing_that_the_lambda_runtime_has() -> None:
    # Given the layer's wheels, among them the tracer, whose SDK asks for botocore
    lines = (stack.ROOT / "requirements/layer.txt").read_text().splitlines()
    wheels = {line.partition("==")[0] for line in lines if "==" in line}
    assert {"aws-lambda-powertools", "aws-xray-sdk"} <= wheels
    # Then the runtime's own are not among them: 25 MB that each cold start would unpack
    assert not wheels & {"boto3", "botocore", "s3transfer", "urllib3", "python-dateutil", "six"}


def test_a_module_that_is_loaded_is_seen() -> None:
    assert loaded("HealthFunction", "yaml") & NEVER == {"yaml"}
