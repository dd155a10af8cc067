"""What the tests of the emulator share: clients, and short-lived functions, machines and streams of their own."""

import io
import json
import time
import urllib.request
import uuid
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config

from local import places, stack

Client = Callable[[str], Any]
DEFAULTS = {"metrics": "on", "phase_seconds": "0.5", "shard_quota": "off"}
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": "sts:AssumeRole",
            "Principal": {"Service": ["lambda.amazonaws.com", "states.amazonaws.com", "scheduler.amazonaws.com"]},
        }
    ],
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "local_aws" in item.path.parts:
            item.add_marker(pytest.mark.local_only)


@pytest.fixture(scope="session")
def endpoint() -> str:
    document = stack.read()
    if document is None:
        pytest.fail("No local AWS is running: make up")
    return str(document["aws_endpoint_url"])


@pytest.fixture(scope="session")
def client(endpoint: str) -> Client:
    made: dict[str, Any] = {}

    def get(service: str) -> Any:
        if service not in made:
            made[service] = boto3.client(
                service,  # type: ignore[call-overload]
                endpoint_url=endpoint,
                region_name=places.REGION,
                aws_access_key_id=places.ROOT_KEY,
                aws_secret_access_key=places.ROOT_SECRET,
                config=Config(retries={"total_max_attempts": 1}),
            )
        return made[service]

    return get


@pytest.fixture
def name() -> str:
    return f"local-aws-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def role(client: Client) -> Iterator[Callable[..., str]]:
    """Make a role that allows the given actions, on everything unless a resource is named."""
    iam, made = client("iam"), []

    def make(*actions: str, resource: str = "*") -> str:
        role_name = f"local-aws-{uuid.uuid4().hex[:12]}"
        made.append(role_name)
        arn = iam.create_role(RoleName=role_name, AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
        if actions:
            statement = {"Effect": "Allow", "Action": list(actions), "Resource": resource}
            document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
            iam.put_role_policy(RoleName=role_name, PolicyName="given", PolicyDocument=document)
        return str(arn)

    yield make
    for role_name in made:
        for policy in iam.list_role_policies(RoleName=role_name)["PolicyNames"]:
            iam.delete_role_policy(RoleName=role_name, PolicyName=policy)
        iam.delete_role(RoleName=role_name)


@pytest.fixture
def function(client: Client, role: Callable[..., str]) -> Iterator[Callable[..., str]]:
    """Make a function from source; returns its ARN."""
    service, made = client("lambda"), []

    def make(source: str, *actions: str, timeout: int = 5, resource: str = "*") -> str:
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("handler.py", source)
        function_name = f"local-aws-{uuid.uuid4().hex[:12]}"
        made.append(function_name)
        answer = service.create_function(
            FunctionName=function_name,
            Runtime="python3.13",
            Handler="handler.handler",
            Role=role(*actions, resource=resource),
            Timeout=timeout,
            Code={"ZipFile": packed.getvalue()},
        )
        return str(answer["FunctionArn"])

    yield make
    for function_name in made:
        service.delete_function(FunctionName=function_name)


class Machines:
    """State machines of one test; all are deleted at its end."""

    def __init__(self, client: Client, role: Callable[..., str]) -> None:
        self._states = client("stepfunctions")
        self._role = role
        self.made: list[str] = []

    def create(self, definition: dict[str, Any], *, role_arn: str | None = None) -> str:
        machine = self._states.create_state_machine(
            name=f"local-aws-{uuid.uuid4().hex[:12]}",
            definition=json.dumps({"QueryLanguage": "JSONata"} | definition),
            roleArn=role_arn or self._role("lambda:InvokeFunction", "kinesis:*"),
        )["stateMachineArn"]
        self.made.append(machine)
        return str(machine)

    def start(self, definition: dict[str, Any], data: Any = None, *, role_arn: str | None = None) -> str:
        machine = self.create(definition, role_arn=role_arn)
        started = self._states.start_execution(stateMachineArn=machine, input=json.dumps(data or {}))
        return str(started["executionArn"])

    def end(self, arn: str, within: float = 15) -> dict[str, Any]:
        """Describe an execution when it is over."""
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            described: dict[str, Any] = self._states.describe_execution(executionArn=arn)
            if described["status"] != "RUNNING":
                return described
            time.sleep(0.05)
        raise AssertionError(f"Still running after {within} s: {arn}")

    def run(self, definition: dict[str, Any], data: Any = None, *, role_arn: str | None = None) -> dict[str, Any]:
        return self.end(self.start(definition, data, role_arn=role_arn))

    def output(self, definition: dict[str, Any], data: Any = None) -> Any:
        described = self.run(definition, data)
        assert described["status"] == "SUCCEEDED", described
        return json.loads(described["output"])

    def history(self, arn: str) -> list[dict[str, Any]]:
        pages = self._states.get_paginator("get_execution_history").paginate(executionArn=arn)
        return [event for page in pages for event in page["events"]]


@pytest.fixture
def machines(client: Client, role: Callable[..., str]) -> Iterator[Machines]:
    made = Machines(client, role)
    yield made
    for machine in made.made:
        client("stepfunctions").delete_state_machine(stateMachineArn=machine)


@pytest.fixture
def settled(client: Client) -> Callable[[str], str]:
    """Wait until a stream is neither created, updated nor deleted any more; tells ``ACTIVE`` or ``GONE``."""

    def wait(stream: str) -> str:
        kinesis, deadline = client("kinesis"), time.monotonic() + 10
        while time.monotonic() < deadline:
            try:
                summary = kinesis.describe_stream_summary(StreamName=stream)["StreamDescriptionSummary"]
            except kinesis.exceptions.ResourceNotFoundException:
                return "GONE"
            if summary["StreamStatus"] == "ACTIVE":
                return "ACTIVE"
            time.sleep(0.05)
        raise AssertionError(f"Stream {stream} does not settle")

    return wait


@pytest.fixture
def stream(client: Client, name: str, settled: Callable[[str], str]) -> Iterator[str]:
    """An active stream of one shard, deleted at the end."""
    kinesis = client("kinesis")
    kinesis.create_stream(StreamName=name, ShardCount=1)
    settled(name)
    yield name
    if settled(name) == "ACTIVE":
        kinesis.delete_stream(StreamName=name, EnforceConsumerDeletion=True)
    assert settled(name) == "GONE"


@pytest.fixture
def switch(endpoint: str) -> Iterator[Callable[[str, str], None]]:
    """Tell the emulator something for one test; afterwards all is as it was."""
    before: dict[str, str] = {}

    def tell(name: str, value: str) -> str:
        body = json.dumps({name: value}).encode()
        with urllib.request.urlopen(f"{endpoint}/_ministack/config", body) as answer:
            return str(json.loads(answer.read())["applied"][name])

    def change(name: str, value: str) -> None:
        before.setdefault(name, DEFAULTS[name])
        assert tell(name, value) == value

    yield change
    for name, value in before.items():
        tell(name, value)
