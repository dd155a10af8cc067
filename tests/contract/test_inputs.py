"""Whatever is sent: no failure of Weir's own, every refusal a problem of the documented shape, nothing undocumented.

Inputs are made from the OpenAPI document (schemathesis), good ones and bad ones, and sent to the handlers in this
process, behind their authorizer: as an admin, then as nobody. The drawing is seeded, so that a failure comes again.
"""

import json
import secrets
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import CheckContext
from schemathesis.core.transport import Response
from schemathesis.specs.openapi import checks
from werkzeug.test import Client

from local.openapi_models import TAG
from tests.contract import stack
from tests.contract.account import SESSION, Account, account, client
from tests.contract.gateway import NO_ROUTE, Gateway
from tests.contract.package_events import NAME, Life
from tests.contract.requests import a_request, bearer_of, said_of
from tests.contract.samples import EVENTS
from weir.identity import tokens
from weir.identity.models import User

gateway = Gateway()
schema = schemathesis.openapi.from_wsgi("/openapi.json", gateway).exclude(tag=TAG["name"])  # no handler's: a server's
STREAM, RUN = "orders", "20261121t120000-9f86d081"
UNTOLD = {415}
"""What the resolver itself answers to a request that is no request of the route's, told under ``default``."""

drawn = settings(
    max_examples=20,
    deadline=None,
    derandomize=True,
    database=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module", autouse=True)
def behind() -> Iterator[Account]:
    with account() as made:
        gateway.account = made
        yield made
        gateway.account = None


@pytest.fixture(scope="module", autouse=True)
def admin(behind: Account) -> User:
    behind.user("admin")  # another one, so that none is the last
    return behind.user("admin")


def documented(context: CheckContext, response: Response, case: schemathesis.Case) -> None:
    """Only documented answers; 5xx of health alone, which tells of others' failures."""
    path = case.operation.path
    if response.status_code >= 500:
        assert path.startswith("/health"), response.text
        assert response.status_code == 503, response.text
    told = {status for status in case.operation.definition.raw["responses"] if status != "default"}
    assert response.status_code in UNTOLD or str(response.status_code) in told, response.text
    if response.status_code >= 400 and not (path.startswith("/health") and response.status_code == 503):
        assert response.headers["content-type"] == ["application/problem+json"]
        problem = response.json()
        assert problem["status"] == response.status_code
        assert bool(problem.get("errors")) or response.status_code != 422


HELD = [
    documented,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]


def hold(case: schemathesis.Case, caller: User) -> None:
    session = tokens.new_id() if case.operation.path == "/auth/logout" else SESSION  # which goes on for the others
    case.headers["Authorization"] = bearer_of(caller, session)
    response = case.call()
    if response.headers.get("x-amzn-errortype") != [NO_ROUTE]:  # else it never came to a function
        case.validate_response(response, checks=HELD)


@schema.parametrize()
@drawn
def test_any_input_is_answered_as_documented(case: schemathesis.Case, admin: User) -> None:
    hold(case, admin)


@schema.parametrize()
@settings(drawn, max_examples=3, phases=(Phase.generate,))  # who is nobody is refused whatever the input
def test_any_input_of_nobodys_is_refused(case: schemathesis.Case) -> None:
    # Given a request by nobody, or by somebody who makes up a token
    for credential in (None, "Bearer made-up", "Basic YTpi"):
        case.headers.pop("Authorization", None)
        if credential is not None:
            case.headers["Authorization"] = credential
        # When it comes to a route that is not open, Then it is refused, whatever else it holds
        response = case.call()
        if case.operation.definition.raw["security"] and response.headers.get("x-amzn-errortype") != [NO_ROUTE]:
            assert response.status_code == 401, response.text
            case.validate_response(response, checks=HELD)


@schema.include(path_regex=r"^/streams/\{name\}").parametrize()
@drawn
def test_any_input_about_a_stream_that_is_there_is_answered_as_documented(case: schemathesis.Case, admin: User) -> None:
    # Given a stream of Weir's
    make_stream()

    # When it is asked about, changed, written to, deleted
    case.path_parameters = {"name": STREAM}
    hold(case, admin)


@schema.include(path_regex=r"^/packages/\{name\}").parametrize()
@settings(drawn, phases=(Phase.generate,))  # what is explicit comes without a package, too, and is a thousand bodies
def test_any_input_about_a_package_that_is_there_is_answered_as_documented(
    case: schemathesis.Case, admin: User, a_package: dict[str, str], an_upload: dict[str, str]
) -> None:
    # Given a version that is served, and one of which an upload is open, which the inputs before may have deleted
    known = an_upload if "upload_id" in case.path_parameters else a_package
    case.path_parameters = {name: known[name] for name in case.path_parameters}
    hold(case, admin)


@schema.include(path_regex=r"/users/\{user_id\}|/api-keys/\{key_id\}").parametrize()
@drawn
def test_any_input_about_a_user_or_key_that_is_there_is_answered_as_documented(
    case: schemathesis.Case, admin: User, there: dict[str, str]
) -> None:
    # Given a user, and a key of the caller's, whom the inputs before may have changed and deleted
    case.path_parameters = {name: there[name] for name in case.path_parameters}
    hold(case, admin)


@schema.include(path_regex=r"\{run_id\}").parametrize()
@drawn
def test_any_input_about_a_run_that_is_there_is_answered_as_documented(
    case: schemathesis.Case, admin: User, a_run: dict[str, Any]
) -> None:
    case.path_parameters = {"run_id": RUN}
    hold(case, admin)


@pytest.mark.parametrize(
    ("method", "url", "kind", "status"),
    [
        ("POST", "/v1/runs?dry_run=true", "multipart/form-data", 415),
        ("POST", "/v1/runs?dry_run=true", "application/x-www-form-urlencoded", 415),
        ("PATCH", f"/v1/streams/{STREAM}", "text/plain", 415),
        ("GET", f"/v1/streams/{STREAM}/metrics?to=0001-01-01T00:00:00Z", None, 422),
        ("GET", f"/v1/streams/{STREAM}/metrics?from=9999-12-31T23:59:59Z", None, 422),
        ("GET", f"/v1/streams/{STREAM}/metrics?shard=", None, 422),
        ("GET", f"/v1/streams/{STREAM}/metrics?consumer=%C3%AA", None, 422),
    ],
)
def test_inputs_that_were_once_failures_are_refused(
    method: str, url: str, kind: str | None, status: int, admin: User
) -> None:
    make_stream()
    sent = {} if kind is None else {"data": b'{"load": {"records": 1}}', "content_type": kind}
    signed = {"Authorization": bearer_of(admin)}
    answer = Client(gateway).open(url, method=method, headers=signed, **sent)  # type: ignore[arg-type]
    assert answer.status_code == status, answer.text
    assert answer.content_type == "application/problem+json"


@pytest.fixture
def there(behind: Account, admin: User) -> dict[str, str]:
    """The ids of a user and of the admin's key, by the names of path parameters."""
    route = stack.Route("POST", "/api-keys", "ApiKeysFunction")
    answer = behind.call(route.function, a_request(route, said_of(admin.user_id, "admin")))
    return {"user_id": behind.user("member").user_id, "key_id": str(json.loads(answer["body"])["key_id"])}


@pytest.fixture(scope="module")
def lives() -> dict[str, Life]:
    """Packages that are there, by what they are for. Each costs seconds: moto copies the table for a transaction."""
    return {}


@pytest.fixture
def a_package(behind: Account, lives: dict[str, Life]) -> dict[str, str]:
    """A version that is served, by the names of path parameters; another where it was deleted."""
    if not is_still("packages-version", "AVAILABLE", lives.get("served")):
        lives["served"] = begun(behind)
        lives["served"].upload()
    return {"name": lives["served"].known[NAME], "version": "1.0.0", "file": "vocab.txt", "alias": "production"}


@pytest.fixture
def an_upload(behind: Account, lives: dict[str, Life]) -> dict[str, str]:
    """An upload that is open; another where it was ended."""
    if not is_still("package-files-show", "OPEN", lives.get("open")):
        lives["open"] = begun(behind)
        lives["open"].send("package-files-open")
    upload_id = lives["open"].body("package-files-open")["upload_id"]
    return {"name": lives["open"].known[NAME], "version": "1.0.0", "upload_id": upload_id}


def is_still(asked: str, state: str, life: Life | None) -> bool:
    """Whether a sample is answered with this state."""
    if life is None:
        return False
    life.send(asked)
    return bool(life.body(asked).get("state") == state)


def begun(behind: Account) -> Life:
    """A package that is registered, under a name of its own."""
    name, key = secrets.token_hex(8), EVENTS["packages-register"]["headers"]["Idempotency-Key"]
    life = Life(behind, **{NAME: name, key: f"{key}-{name}"})
    life.send("packages-register")
    return life


def make_stream() -> None:
    kinesis = client("kinesis")
    if STREAM not in kinesis.list_streams()["StreamNames"]:
        kinesis.create_stream(StreamName=STREAM, ShardCount=2)
        tags = {
            "weir:managed": "true",
            "weir:stack": "weir",
            "weir:expires-at": "2099-01-01T00:00:00Z",
            "weir:owner": "anonymous",
        }
        kinesis.add_tags_to_stream(StreamName=STREAM, Tags=tags)


@pytest.fixture(scope="module")
def a_run(behind: Account) -> Any:
    event = {
        "step": "plan",
        "run_id": RUN,
        "spec": {"load": {"records": 10}},
        "execution_arn": f"arn:aws:states:eu-west-1:123456789012:execution:weir-run:{RUN}",
    }
    return behind.call("RunControlFunction", event)
