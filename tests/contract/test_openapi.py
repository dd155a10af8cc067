"""The OpenAPI document: valid, in step with the handlers, and the same set of routes as the template's."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator, validate

from local import openapi
from local.open_routes import GUARDED_BY_THEIR_FUNCTION
from tests.contract import stack
from tests.contract.account import Account
from tests.contract.requests import a_request, said_of
from weir.identity.models import User

DOCUMENT: dict[str, Any] = json.loads(openapi.DOCUMENT.read_text())
OPERATIONS = [
    (method, path, operation) for path, methods in DOCUMENT["paths"].items() for method, operation in methods.items()
]
NAMES = [operation["operationId"] for _, _, operation in OPERATIONS]
each_operation = pytest.mark.parametrize(("method", "path", "operation"), OPERATIONS, ids=NAMES)
HANDLED = [one for one in OPERATIONS if f"{one[0].upper()} {one[1]}" not in GUARDED_BY_THEIR_FUNCTION]
"""Those of Powertools' handlers; the gateway's, which fail in their callers' dialects, have a test of their own."""

each_handled = pytest.mark.parametrize(
    ("method", "path", "operation"), HANDLED, ids=[operation["operationId"] for _, _, operation in HANDLED]
)


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from (one for key, one in value.items() if key == "$ref")
        for one in value.values():
            yield from references(one)
    elif isinstance(value, list):
        for one in value:
            yield from references(one)


def test_the_document_is_openapi_3_1() -> None:
    assert DOCUMENT["openapi"] == "3.1.0"
    validate(DOCUMENT, cls=OpenAPIV31SpecValidator)


def test_the_committed_files_are_what_the_handlers_say() -> None:
    assert openapi.stale(openapi.render()) == []


@pytest.mark.parametrize("seed", ["1", "2"])
def test_the_files_are_the_same_in_every_process(seed: str) -> None:
    # Given a process whose sets come in an order of their own, Then --check finds no difference there
    done = subprocess.run(
        [sys.executable, "-m", "local.openapi", "--check"],
        cwd=stack.ROOT,
        env=os.environ | {"PYTHONHASHSEED": seed},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_stale_file_is_told_by_its_difference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given a committed document that has another title than the handlers say
    document = tmp_path / "openapi" / "weir.json"
    document.parent.mkdir()
    document.write_text(openapi.DOCUMENT.read_text().replace('"title": "Weir"', '"title": "Dam"'))
    monkeypatch.setattr(openapi, "DOCUMENT", document)
    monkeypatch.setattr(openapi.places, "REPOSITORY", tmp_path)
    monkeypatch.setattr(openapi, "render", lambda: {document: openapi.DOCUMENT.read_text().replace("Dam", "Weir")})

    # Then --check fails, names the file and the line, and says what to do
    assert openapi.main(["--check"]) == 1
    told = capsys.readouterr().err
    assert "make openapi" in told
    assert "--- openapi/weir.json" in told
    assert '-    "title": "Dam"' in told

    # And after writing it is in step
    assert openapi.main([]) == 0
    assert openapi.main(["--check"]) == 0


def test_the_template_and_the_document_have_the_same_routes() -> None:
    described = {f"{method.upper()} {path}" for method, path, _ in OPERATIONS}
    assert described == {route.name for route in (*stack.routes(), *stack.streamed_routes())}


@pytest.fixture(scope="module")
def admin(aws: Account) -> User:
    return aws.user("admin")


@pytest.mark.parametrize("route", stack.routes(), ids=lambda route: route.name)
def test_the_function_behind_a_route_knows_it(aws: Account, admin: User, route: stack.Route) -> None:
    # Given the event that API Gateway makes of a route, with nothing in it, when an admin calls it
    event = a_request(route, said_of(admin.user_id, "admin"))

    # When the function takes it, Then the answer is the route's, not that of an unknown one
    answer = aws.call(route.function, event)
    described = DOCUMENT["paths"][route.path][route.method.lower()]["responses"]
    assert str(answer["statusCode"]) in described
    assert "No route" not in answer["body"]


def test_an_unknown_route_is_told_as_one(aws: Account) -> None:
    route = stack.Route("GET", "/dams", "RunsFunction")
    answer = aws.call("RunsFunction", a_request(route, said_of("aaaabbbbccccdddd", "member")))
    assert answer["statusCode"] == 404
    assert "No route GET /dams" in json.loads(answer["body"])["detail"]


def test_operation_ids_are_unique_names() -> None:
    assert len(set(NAMES)) == len(NAMES)
    assert all(name.isidentifier() and "_" not in name for name in NAMES)


@each_operation
def test_an_operation_says_what_it_is(method: str, path: str, operation: dict[str, Any]) -> None:
    known = {tag["name"] for tag in DOCUMENT["tags"]}
    assert operation["summary"]
    assert operation["summary"] != f"{method.upper()} {path}"  # what Powertools makes up where there is none
    assert operation["tags"]
    assert set(operation["tags"]) <= known
    told = operation.get("description", "")
    assert all(one.get("description") or f"`{one['name']}`" in told for one in operation.get("parameters", []))


@each_handled
def test_an_operations_answers_have_schemas_and_its_failures_are_problems(
    method: str, path: str, operation: dict[str, Any]
) -> None:
    answers = operation["responses"]
    good = {status: one for status, one in answers.items() if status[0] in "23"}
    assert good
    assert {"500", "default"} <= set(answers)
    assert ("422" in answers) or not (operation.get("parameters") or operation.get("requestBody")) or path == "/health"
    for status, one in answers.items():
        assert one["headers"]["X-Request-Id"] == {"$ref": "#/components/headers/X-Request-Id"}
        assert one["content"] or status == "204", f"{status} has no content"
        if status in good or (status == "503" and path.startswith("/health")):
            assert all(content["schema"] for content in one["content"].values())
        else:
            schema = {"schema": {"$ref": "#/components/schemas/Problem"}}
            assert one["content"] == {"application/problem+json": schema}


def test_every_schema_is_used_and_every_reference_resolves() -> None:
    schemes = {name for _, _, operation in OPERATIONS for one in operation["security"] for name in one}
    used = set(references(DOCUMENT)) | {f"#/components/securitySchemes/{name}" for name in schemes}
    there = {f"#/components/{kind}/{name}" for kind, group in DOCUMENT["components"].items() for name in group}
    assert used == there


def test_the_page_tells_every_operation_and_schema() -> None:
    page = openapi.PAGE.read_text()
    headings = {line.lstrip("# ") for line in page.splitlines() if line.startswith("##")}
    assert {*NAMES, *DOCUMENT["components"]["schemas"]} <= headings
    anchors = {heading.lower() for heading in headings}
    linked = {part.split(")")[0] for part in page.split("](#")[1:]}
    assert linked <= anchors
