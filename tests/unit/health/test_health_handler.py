"""The routes of health, and how little liveness loads."""

import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from weir.health.readiness import Check
from weir.runtime import settings

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "functions/health"


def event(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((ROOT / "events" / f"health-{name}.json").read_text())
    return loaded


@pytest.fixture
def handler(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(FOLDER))
    spec = importlib.util.spec_from_file_location("health_handler", FOLDER / "handler.py")
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


@pytest.fixture
def routes(handler: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The routes, whose checks are the test's own."""
    loaded = importlib.import_module("health_routes")
    loaded._kept.clear()
    settings.forget()
    yield loaded
    settings.forget()


def with_checks(routes: ModuleType, monkeypatch: pytest.MonkeyPatch, *found: Check) -> list[frozenset[str]]:
    asked: list[frozenset[str]] = []

    def checks(groups: frozenset[str], conf: object, *, llm_required: bool) -> list[Check]:
        asked.append(groups)
        return [check for check in found if check.group in groups]

    monkeypatch.setattr(routes, "checks", checks)
    return asked


def fail() -> None:
    raise OSError("password=hunter2")


def test_liveness_loads_nothing_that_is_slow() -> None:
    # Given a fresh process, When the handler is loaded and asked
    script = (
        f"import sys; sys.path[:0] = [{str(ROOT / 'layers/weir/python')!r}, {str(FOLDER)!r}]\n"
        "import json, handler\n"
        f"answer = handler.handler({event('live')!r}, None)\n"
        "loaded = [name for name in sys.modules if name.split('.')[0] in"
        " {'boto3', 'botocore', 'pydantic', 'pydantic_core', 'aws_lambda_powertools', 'yaml', 'jmespath'}]\n"
        "print(json.dumps([answer, loaded]))"
    )
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)

    # Then it answers, and no library was loaded
    answer, loaded = json.loads(told.stdout)
    assert answer["statusCode"] == 200
    assert loaded == []


def test_liveness_asks_nobody(handler: ModuleType, routes: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given dependencies that are all down
    asked = with_checks(routes, monkeypatch, Check("down", "aws", fail))

    # When liveness is asked, by the short way and by the documented route, Then both say the same: alive
    short = handler.handler(event("live"), None)
    documented = routes.handler(event("live"), None)
    assert (short["statusCode"], json.loads(short["body"])) == (200, {"status": "ok"})
    assert json.loads(documented["body"]) == json.loads(short["body"])
    assert documented["statusCode"] == 200
    assert short["headers"]["X-Request-Id"] == documented["multiValueHeaders"]["X-Request-Id"][0]
    assert asked == []


def test_everything_ready(handler: ModuleType, routes: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = with_checks(
        routes,
        monkeypatch,
        Check("a", "aws", lambda: None),
        Check("t", "db", lambda: None),
        Check("l", "llm", fail, False),
    )

    # When all is asked and only what is not required is down
    answer = handler.handler(event("all"), None)
    told = json.loads(answer["body"])

    # Then it is degraded, and 200
    assert (answer["statusCode"], told["status"]) == (200, "degraded")
    assert [(check["name"], check["group"], check["status"]) for check in told["checks"]] == [
        ("a", "aws", "ok"),
        ("t", "db", "ok"),
        ("l", "llm", "failed"),
    ]
    assert all(check["latency_ms"] >= 0 for check in told["checks"])
    assert told["checked_at"].endswith("Z")
    assert asked == [frozenset({"aws", "db", "llm"})]


@pytest.mark.parametrize(("name", "group"), [("aws", "aws"), ("llm", "llm")])
def test_a_required_dependency_that_fails_is_503(
    handler: ModuleType, routes: ModuleType, monkeypatch: pytest.MonkeyPatch, name: str, group: Any
) -> None:
    asked = with_checks(routes, monkeypatch, Check("down", group, fail))
    answer = handler.handler(event(name), None)
    assert (answer["statusCode"], json.loads(answer["body"])["status"]) == (503, "failed")
    assert "hunter2" not in answer["body"]
    assert asked == [frozenset({group})]


def test_llm_is_required_only_when_asked_for_alone(
    handler: ModuleType, routes: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    required: list[bool] = []

    def checks(groups: frozenset[str], conf: object, *, llm_required: bool) -> list[Check]:
        required.append(llm_required)
        return []

    monkeypatch.setattr(routes, "checks", checks)
    handler.handler(event("all"), None)
    handler.handler(event("llm"), None)
    assert required == [False, True]


@pytest.mark.parametrize("check", ["cache", "", "all;aws"])
def test_an_unknown_check_is_400_and_tells_the_known_ones(handler: ModuleType, routes: ModuleType, check: str) -> None:
    # Given a check that there is none of
    asked = event("all")
    asked["queryStringParameters"] = {"check": check}
    asked["multiValueQueryStringParameters"] = {"check": [check]}

    # When it is asked for, Then it is refused, for it must not pass for healthy
    answer = handler.handler(asked, None)
    told = json.loads(answer["body"])
    assert (answer["statusCode"], told["type"].rsplit("/", 1)[1]) == (400, "unknown-check")
    assert "all, aws, db, llm" in told["detail"]


def test_answers_are_kept_for_some_seconds_so_that_asking_costs_no_quota(
    handler: ModuleType, routes: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a clock that stands, and a dependency that counts
    calls: list[int] = []
    now = [100.0]
    monkeypatch.setattr(routes, "SYSTEM", routes.SYSTEM.__class__(monotonic=lambda: now[0]))
    with_checks(routes, monkeypatch, Check("a", "aws", lambda: calls.append(1)))

    # When health is asked often, Then the dependency is asked once, and again after some seconds
    for _ in range(5):
        handler.handler(event("aws"), None)
    assert len(calls) == 1
    now[0] += routes.KEPT_SECONDS
    handler.handler(event("aws"), None)
    assert len(calls) == 2


def test_the_contract_describes_the_routes(routes: ModuleType) -> None:
    document = routes.app.get_openapi_schema(title="t", version="1").model_dump(by_alias=True, exclude_none=True)
    assert set(document["paths"]) == {"/health", "/health/aws", "/health/llm"}
    told = document["paths"]["/health"]["get"]["responses"]
    assert {int(status) for status in told} >= {200, 400, 503}
