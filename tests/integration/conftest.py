"""The deployed stack, over HTTP and through Step Functions: on the local AWS, or on a real account alike."""

import json
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import httpx
import pytest

from local import places, stack

Json = dict[str, Any]
PATIENCE_SECONDS = 240.0
"""Until a run must be closed: far more than any takes, on AWS too."""


@dataclass(frozen=True)
class Stack:
    """Where the stack is, and its outputs."""

    document: Json

    @property
    def outputs(self) -> dict[str, str]:
        """Its CloudFormation outputs."""
        found: dict[str, str] = self.document["outputs"]
        return found

    def client(self, service: str) -> Any:
        """A boto3 client with an operator's rights, of the AWS that the stack is on."""
        endpoint = self.document["aws_endpoint_url"]
        local = {"aws_access_key_id": places.ROOT_KEY, "aws_secret_access_key": places.ROOT_SECRET} if endpoint else {}
        return boto3.client(  # type: ignore[call-overload]
            service, endpoint_url=endpoint, region_name=self.document["region"], **local
        )


class Api:
    """The HTTP API, and what tests do with it again and again."""

    def __init__(self, http: httpx.Client) -> None:
        self.http = http

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        content = None if body is None else json.dumps(body)
        sent = {"Content-Type": "application/json"} if body is not None else {}
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.http.request(method, path, content=content, headers={**sent, **named})

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


@pytest.fixture(scope="session")
def deployed() -> Stack:
    document = stack.read()
    if document is None:
        pytest.fail("No stack to test: make up")
    return Stack(document)


@pytest.fixture(scope="session")
def api(deployed: Stack) -> Iterator[Api]:
    with httpx.Client(base_url=deployed.document["api_url"], timeout=60) as http:
        yield Api(http)


@pytest.fixture(scope="session")
def kinesis(deployed: Stack) -> Iterator[Any]:
    client = deployed.client("kinesis")
    yield client
    client.close()


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
        kinesis.get_waiter("stream_exists").wait(StreamName=full, WaiterConfig={"Delay": 1, "MaxAttempts": 120})
        return full

    yield make
    for full in made:
        try:
            kinesis.delete_stream(StreamName=full, EnforceConsumerDeletion=True)
        except (kinesis.exceptions.ResourceNotFoundException, kinesis.exceptions.ResourceInUseException):
            continue  # gone, or going
