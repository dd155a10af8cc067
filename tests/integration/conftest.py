"""The deployed stack, over HTTP and through Step Functions: on the local AWS, or on a real account alike."""

import json
import secrets
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import boto3
import httpx
import pytest

from local import places, stack
from tests.integration import secret_texts

Json = dict[str, Any]
Answer = TypeVar("Answer")
PATIENCE_SECONDS = 240.0
"""Until a run must be closed: far more than any takes, on AWS too."""


def problem(answer: httpx.Response, status: int) -> Json:
    """The problem that an answer tells (RFC 9457)."""
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    document: Json = answer.json()
    assert {"type", "title", "status", "detail", "instance", "request_id"} <= set(document)
    assert document["status"] == status
    assert answer.headers["X-Request-Id"]
    return document


@dataclass(frozen=True)
class Stack:
    """Where the stack is, and its outputs."""

    document: Json
    clients: dict[str, Any] = field(default_factory=dict)

    @property
    def outputs(self) -> dict[str, str]:
        """Its CloudFormation outputs."""
        found: dict[str, str] = self.document["outputs"]
        return found

    def client(self, service: str) -> Any:
        """A boto3 client with an operator's rights, of the AWS that the stack is on; one for each service."""
        if service not in self.clients:
            self.clients[service] = self._made(service)
        return self.clients[service]

    def _made(self, service: str) -> Any:
        endpoint = self.document["aws_endpoint_url"]
        local = {"aws_access_key_id": places.ROOT_KEY, "aws_secret_access_key": places.ROOT_SECRET} if endpoint else {}
        return boto3.client(  # type: ignore[call-overload]
            service, endpoint_url=endpoint, region_name=self.document["region"], **local
        )

    def function(self, logical_id: str) -> str:
        """The name of a function of the stack."""
        described = self.client("cloudformation").describe_stack_resource(
            StackName=self.document["stack_name"], LogicalResourceId=logical_id
        )
        return str(described["StackResourceDetail"]["PhysicalResourceId"])


class Login(httpx.Auth):
    """A log-in that is kept up: what is asked bears its access token, and another one before that ends."""

    def __init__(self, http: httpx.Client, tokens: Json) -> None:
        self._http = http
        self.take(tokens)

    def take(self, tokens: Json) -> None:
        """Go on with other tokens."""
        self.access_token, self.refresh_token = str(tokens["access_token"]), tokens["refresh_token"]
        self._until = time.monotonic() + int(tokens["expires_in"]) / 2

    def auth_flow(self, request: httpx.Request) -> Iterator[httpx.Request]:
        """Put the token on a request."""
        if time.monotonic() > self._until and self.refresh_token:
            renewed = self._http.post("/auth/refresh", json={"refresh_token": self.refresh_token})
            assert renewed.status_code == 200, renewed.text
            self.take(renewed.json())
        request.headers["Authorization"] = f"Bearer {self.access_token}"
        yield request


def in_turn(send: Callable[[], Answer], told: Callable[[Answer], tuple[int, str]]) -> Answer:
    """An answer that is not API Gateway's word that a route is asked too often: log-ins have 50 a second, 50 at once.

    The suite logs in more often than people do, and how often in a second is the machine's doing.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        answer = send()
        status, body = told(answer)
        if status != 429 or "/problems/too-many-requests" not in body or time.monotonic() > deadline:
            return answer
        time.sleep(1)  # what its Retry-After says


class Api:
    """The HTTP API as somebody sees it, and what tests do with it again and again.

    ``http`` bears a log-in, an API key, or nothing; ``user`` is who it is, as an admin sees them; ``password`` theirs.
    """

    def __init__(self, http: httpx.Client, user: Json | None = None, password: str = "") -> None:
        self.http, self.user, self.password = http, user or {}, password

    @property
    def login(self) -> Login:
        """The log-in that its requests bear."""
        assert isinstance(self.http.auth, Login)
        return self.http.auth

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        content = None if body is None else json.dumps(body)
        sent = {"Content-Type": "application/json"} if body is not None else {}
        named = {name.replace("_", "-"): value for name, value in headers.items()}

        def send() -> httpx.Response:
            return self.http.request(method, path, content=content, headers={**sent, **named})

        return in_turn(send, lambda answer: (answer.status_code, answer.text))

    def start(self, spec: Json, **headers: str) -> str:
        """Start a run; its id."""
        answer = self("POST", "/runs", spec, **headers)
        assert answer.status_code == 202, answer.text
        assert answer.headers["Location"] == answer.json()["location"]
        return str(answer.json()["run_id"])

    def closed(self, run_id: str) -> Json:
        """The run, once it is closed."""
        return self.until(run_id, lambda run: bool(run["status"] == "CLOSED"))

    def until(self, run_id: str, reached: Callable[[Json], bool]) -> Json:
        """The run, once it is as far as wanted."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            run: Json = self("GET", f"/runs/{run_id}").json()
            if reached(run):
                return run
            assert time.monotonic() < deadline, f"not there after {PATIENCE_SECONDS} s: {run}"
            time.sleep(0.2)

    def report(self, run_id: str) -> Json:
        """The JSON report of a closed run."""
        answer = self("GET", f"/runs/{run_id}/report")
        assert answer.status_code == 200, answer.text
        document: Json = answer.json()
        return document

    def run(self, spec: Json) -> Json:
        """Start a run and wait until it is closed."""
        return self.closed(self.start(spec))


def bearer(credential: str) -> dict[str, str]:
    """The header that a token or key is sent in."""
    return {"Authorization": f"Bearer {credential}"}


def a_key(owner: Api, **asked: Any) -> Json:
    """An API key that was just made, with its secret."""
    answer = owner("POST", "/api-keys", {"name": "of a test", **asked})
    assert answer.status_code == 201, answer.text
    made: Json = answer.json()
    return made


@pytest.fixture(scope="session")
def deployed() -> Iterator[Stack]:
    document = stack.read()
    if document is None:
        pytest.fail("No stack to test: make up")
    found = Stack(document)
    yield found
    for client in found.clients.values():
        client.close()


@pytest.fixture(scope="session", autouse=True)
def kept_for_the_last_test(request: pytest.FixtureRequest, deployed: Stack) -> Iterator[None]:
    """Where the suite is several processes, each leaves its secrets to the one that looks for them in the logs."""
    yield
    looked_for = any("no_secret_logged" in item.nodeid for item in request.session.items)
    if not looked_for and deployed.document["aws_endpoint_url"] is not None:
        secret_texts.keep()


@pytest.fixture(scope="session")
def anonymous(deployed: Stack) -> Iterator[Api]:
    """The API as nobody sees it."""
    with secret_texts.watched(base_url=deployed.document["api_url"], timeout=60) as http:
        yield Api(http)


def logged_in(anonymous: Api, username: str, password: str) -> Api:
    """The API as a user sees it."""
    answer = anonymous("POST", "/auth/login", {"username": username, "password": password})
    assert answer.status_code == 200, answer.text
    assert not answer.json()["must_change_password"], f"{username} must change their password first"
    base = anonymous.http
    http = secret_texts.watched(base_url=base.base_url, timeout=base.timeout, auth=Login(base, answer.json()))
    me = http.get("/auth/me")
    assert me.status_code == 200, me.text
    return Api(http, me.json(), password)


@pytest.fixture(scope="session")
def api(deployed: Stack, anonymous: Api) -> Iterator[Api]:
    """The API as an admin sees it."""
    admin = deployed.document["admin"]
    made = logged_in(anonymous, admin["username"], admin["password"])
    yield made
    made.http.close()


People = Callable[..., Api]


@pytest.fixture(scope="session")
def people(api: Api, anonymous: Api) -> Iterator[People]:
    """Make a user with these roles, who has changed their first password; all are deleted at the end."""
    made: list[Api] = []

    def make(*roles: str) -> Api:
        username, first = f"it-{uuid.uuid4().hex[:12]}", secrets.token_urlsafe(18)
        asked = {"username": username, "roles": roles or ("member",), "password": first}
        user = api("POST", "/users", asked)
        assert user.status_code == 201, user.text
        tokens = anonymous("POST", "/auth/login", {"username": username, "password": first}).json()
        password = secrets.token_urlsafe(18)
        new = {"current_password": first, "new_password": password}
        changed = anonymous("POST", "/auth/password", new, **bearer(tokens["access_token"]))
        assert changed.status_code == 200, changed.text
        made.append(logged_in(anonymous, username, password))
        return made[-1]

    yield make
    for one in made:
        one.http.close()
        assert api("DELETE", f"/users/{one.user['user_id']}").status_code in {204, 404}


Elsewhere = Callable[[int], Api]


@pytest.fixture(scope="session")
def elsewhere(deployed: Stack) -> Iterator[Elsewhere]:
    """The API as nobody sees it, called from another address of loopback; for the local AWS alone."""
    made: dict[int, Api] = {}

    def call_from(number: int) -> Api:
        if number not in made:
            address = f"127.0.{1 + number // 250}.{1 + number % 250}"
            transport = httpx.HTTPTransport(local_address=address)
            made[number] = Api(
                secret_texts.watched(base_url=deployed.document["api_url"], timeout=60, transport=transport)
            )
        return made[number]

    yield call_from
    for one in made.values():
        one.http.close()


@pytest.fixture(scope="session")
def operator(people: People) -> Api:
    """The API as an operator sees it."""
    return people("operator")


@pytest.fixture(scope="session")
def neighbour(people: People) -> Api:
    """The API as another operator sees it."""
    return people("operator")


@pytest.fixture(scope="session")
def kinesis(deployed: Stack) -> Any:
    return deployed.client("kinesis")


@pytest.fixture(scope="session")
def streams(kinesis: Any) -> Callable[[], set[str]]:
    def names() -> set[str]:
        pages = kinesis.get_paginator("list_streams").paginate()
        return {name for page in pages for name in page["StreamNames"]}

    return names


@pytest.fixture
def name() -> str:
    return f"it-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def stream(kinesis: Any, name: str) -> Iterator[Callable[..., str]]:
    """Make a stream outside Weir, with the tags given, for as long as the test runs."""
    made: list[str] = []

    def make(suffix: str = "", tags: dict[str, str] | None = None) -> str:
        full = f"{name}{suffix}"
        kinesis.create_stream(StreamName=full, ShardCount=1, Tags=tags or {"made-by": "a test"})
        made.append(full)
        kinesis.get_waiter("stream_exists").wait(StreamName=full, WaiterConfig={"Delay": 0.3, "MaxAttempts": 400})
        return full

    yield make
    for full in made:
        try:
            kinesis.delete_stream(StreamName=full, EnforceConsumerDeletion=True)
        except (kinesis.exceptions.ResourceNotFoundException, kinesis.exceptions.ResourceInUseException):
            continue  # gone, or going
