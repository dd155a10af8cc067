"""A made-up AWS account in this process (moto) that holds what the template says, and the functions deployed on it.

Each function is called with the environment that the template gives it, so a variable that is missing there is missing
here. Every AWS call is remembered as the IAM action that it needs.
"""

import base64
import hashlib
import importlib.util
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from functools import lru_cache
from io import StringIO
from types import ModuleType
from typing import Any, NamedTuple

import boto3
import pytest
from moto import mock_aws
from moto.backends import get_backend

from tests.contract import stack
from weir.identity import custom_resource
from weir.identity.models import User
from weir.identity.table import SCHEMA, session_key
from weir.identity.user_store import Users, new_user_id
from weir.runtime import aws
from weir.runtime.clock import SYSTEM
from weir.runtime.dynamodb import Table

ACTIONS = {
    "HeadBucket": "ListBucket",
    "HeadObject": "GetObject",
    "ListObjectsV2": "ListBucket",
    "DeleteObjects": "DeleteObject",
    "ListObjectVersions": "ListBucketVersions",
    "ListMultipartUploads": "ListBucketMultipartUploads",
    "ListParts": "ListMultipartUploadParts",
    "CreateMultipartUpload": "PutObject",
    "UploadPart": "PutObject",
    "CompleteMultipartUpload": "PutObject",
}
PINNED = {"HeadObject": "GetObjectVersion", "GetObject": "GetObjectVersion", "DeleteObject": "DeleteObjectVersion"}
"""S3 operations whose IAM action has another name, and those where it has it for a version that is named:
https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html"""

SERVICES = {"stepfunctions": "states"}
SESSION = "aaaabbbbccccdddd"


class Metric(NamedTuple):
    """A metric that a function published, by what alarms look it up with."""

    namespace: str
    dimensions: frozenset[tuple[str, str]]
    name: str


class Touched(NamedTuple):
    """An item or index of a table, by what IAM decides on: the action, the resource, the partition key."""

    action: str
    arn: str
    key: str


class Context:
    """The Lambda context: https://docs.aws.amazon.com/lambda/latest/dg/python-context.html"""

    memory_limit_in_mb = 1024
    aws_request_id = "c6af9ac6-7b61-11e6-9a41-93e8deadbeef"
    function_version = "$LATEST"

    def __init__(self, function: str, seconds: float) -> None:
        self.function_name = function
        self.invoked_function_arn = f"arn:aws:lambda:{stack.REGION}:{stack.ACCOUNT}:function:{function}"
        self._seconds = seconds

    def get_remaining_time_in_millis(self) -> int:
        return int(self._seconds * 1000)


class Account:
    """The stack's functions, callable, on the resources that they need."""

    def __init__(self) -> None:
        self.actions: dict[str, set[str]] = {}
        self.touched: dict[str, set[Touched]] = {}
        self.told: list[dict[str, Any]] = []
        """What custom resources answered CloudFormation."""
        self.metrics: set[Metric] = set()
        self._overrides: dict[str, str] = {}
        self._loaded: dict[str, ModuleType] = {}
        self._current = ""

    def make_resources(self) -> None:
        """Tables, bucket, queues, secret and state machines, as the template describes them."""
        for name, table in stack.resources("AWS::DynamoDB::Table").items():
            wanted = ("BillingMode", "AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes")
            described = {key: table["Properties"][key] for key in wanted if key in table["Properties"]}
            client("dynamodb").create_table(TableName=stack.physical(name), **described)
        where = {"LocationConstraint": stack.REGION}
        for name, bucket in stack.resources("AWS::S3::Bucket").items():
            client("s3").create_bucket(Bucket=stack.physical(name), CreateBucketConfiguration=where)
            versions = bucket["Properties"]["VersioningConfiguration"]
            client("s3").put_bucket_versioning(Bucket=stack.physical(name), VersioningConfiguration=versions)
        for name in stack.resources("AWS::SQS::Queue"):
            client("sqs").create_queue(QueueName=stack.physical(name))
        for name in stack.resources("AWS::SecretsManager::Secret"):
            text = stack.secret_text(name)
            made = client("secretsmanager").create_secret(Name=stack.physical(name), SecretString=text)
            self._overrides[stack.attribute(name, "Id")] = made["ARN"]
        for name in stack.machines():
            client("stepfunctions").create_state_machine(
                name=stack.physical(name), definition="{}", roleArn=f"arn:aws:iam::{stack.ACCOUNT}:role/machine"
            )

    def call(self, function: str, event: dict[str, Any], seconds: float | None = None) -> Any:
        """Invoke a function with an event, as Lambda would; ``seconds`` is the time it is told to have left."""
        allowed = float(stack.functions()[function]["Timeout"] if seconds is None else seconds)
        before = self._current
        if function not in self._loaded or function != stack.authorizer():
            self._switch_to(function)
            before = function
        self._current = function
        handler: Callable[..., Any] = self._loaded[function].handler
        try:
            with redirect_stdout(StringIO()) as printed:
                answer = handler(event, Context(function, allowed))
        finally:
            self._current = before  # the authorizer has what it needs since its start: nothing is put in its place
        self.metrics |= set(metrics_in(printed.getvalue()))
        return answer

    def _switch_to(self, function: str) -> None:
        if function == self._current:
            return
        for name in [name for name in os.environ if name.startswith(("WEIR_", "POWERTOOLS_"))]:
            del os.environ[name]
        for name, value in stack.environment(function).items():
            os.environ[name] = self._overrides.get(value, value)
        forget("settings", "wiring", "_from_process")
        folder = str(stack.ROOT / "functions" / stack.folder(function))
        if function not in self._loaded:
            sys.path.insert(0, folder)
            self._loaded[function] = load(function)
        self._current = function

    def remember(self, service: str, operation: str, parameters: dict[str, Any]) -> None:
        """One AWS call of the function that runs now; a transaction is what its items are."""
        called = [(operation, parameters)]
        if operation == "TransactWriteItems":
            called = [(f"{kind}Item", one) for item in parameters["TransactItems"] for kind, one in item.items()]
        pinned = "VersionId" in parameters
        named = {f"{service}:{PINNED.get(one, one) if pinned else ACTIONS.get(one, one)}" for one, _ in called}
        self.actions.setdefault(self._current, set()).update(named)
        if service == "dynamodb":
            touched = {Touched(f"dynamodb:{one}", *item) for one, asked in called for item in items_of(asked)}
            self.touched.setdefault(self._current, set()).update(touched)

    def instead(self, value: str, real: str) -> None:
        """Give functions another value where a variable of theirs has this one."""
        self._overrides[value] = real

    def secret_arn(self, name: str) -> str:
        """The ARN of a secret of the template."""
        return self._overrides[stack.attribute(name, "Id")]

    def user(self, *roles: str, user_id: str = "", username: str = "", password_hash: str | None = None) -> User:
        """A user with these roles, stored, and the session ``SESSION`` of theirs."""
        known, now = user_id or new_user_id(), SYSTEM.now()
        made = User(known, username or f"user-{known}", now, roles=roles, password_hash=password_hash)
        table = Table(client("dynamodb"), stack.physical("IdentityTable"))
        Users(table).create(made)
        began = int(now.timestamp())
        session = {**session_key(known, SESSION), "schema": SCHEMA, "user_id": known, "session_id": SESSION}
        table.put({**session, "generation": 0, "began": began, "expires_at": began + 3600})
        return made


def load(function: str) -> ModuleType:
    """A function's ``handler.py``, under a name of its own."""
    source = stack.ROOT / "functions" / stack.folder(function) / "handler.py"
    spec = importlib.util.spec_from_file_location(f"contract_{stack.folder(function)}", source)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def metrics_in(printed: str) -> Iterator[Metric]:
    """The metrics in what a function printed (embedded metric format):
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html"""
    for line in printed.splitlines():
        if line.startswith('{"_aws"'):
            document = json.loads(line)
            for one in document["_aws"]["CloudWatchMetrics"]:
                for names in one["Dimensions"]:
                    dimensions = frozenset((name, document[name]) for name in names)
                    yield from (Metric(one["Namespace"], dimensions, metric["Name"]) for metric in one["Metrics"])


def items_of(asked: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The table or index of a request to DynamoDB, by ARN, with each partition key that is asked for on it."""
    if "RequestItems" in asked:
        for name, of_table in asked["RequestItems"].items():
            yield from ((table_arn(name), partition_of(key)) for key in of_table["Keys"])
    elif "KeyConditionExpression" in asked:
        index = f"/index/{asked['IndexName']}" if "IndexName" in asked else ""
        (value,) = asked["ExpressionAttributeValues"][asked["KeyConditionExpression"].split()[2]].values()
        yield table_arn(asked["TableName"]) + index, str(value)
    elif "Key" in asked or "Item" in asked:
        yield table_arn(asked["TableName"]), partition_of(asked.get("Key") or asked["Item"])


def table_arn(name: str) -> str:
    """The ARN of a table by its name."""
    return f"arn:aws:dynamodb:{stack.REGION}:{stack.ACCOUNT}:table/{name}"


def partition_of(key: dict[str, Any]) -> str:
    """The partition key of an item or a key."""
    (value,) = key["pk" if "pk" in key else "id"].values()
    return str(value)


def forget(*names: str) -> None:
    """Empty the process-wide caches of these names, or all, in Weir's modules and the handlers."""
    for module in [
        one for key, one in sys.modules.items() if key.split(".")[0] == "weir" or key.startswith("contract_")
    ]:
        for name, value in list(vars(module).items()):
            if hasattr(value, "cache_clear") and (not names or name in names):
                value.cache_clear()


def client(service: str) -> Any:
    """A client of the tests' own, whose calls are not remembered."""
    return boto3.client(service, region_name=stack.REGION)  # type: ignore[call-overload]


@contextmanager
def account() -> Iterator[Account]:
    """An account for as long as the block lasts; the environment and the caches are as before afterwards."""
    made = Account()
    with pytest.MonkeyPatch.context() as patch:
        before, path = dict(os.environ), list(sys.path)
        for name, value in {"ACCESS_KEY_ID": "a", "SECRET_ACCESS_KEY": "b", "REGION": stack.REGION}.items():
            patch.setenv(f"AWS_{name}", value)
        with mock_aws():
            forget()
            made.make_resources()
            plain = aws.client.__wrapped__
            patch.setattr(aws, "client", _remembering(plain, made))
            patch.setattr(custom_resource, "put", lambda _url, body: made.told.append(json.loads(body)))
            try:
                yield made
            finally:
                forget()
                os.environ.clear()
                os.environ.update(before)
                sys.path[:] = path


def _remembering(make: Callable[..., Any], made_for: Account) -> Callable[..., Any]:
    @lru_cache(maxsize=32)
    def remembering(service: str, *, attempts: int | None = None, validate: bool = True) -> Any:
        def note(params: dict[str, Any], event_name: str, **_: Any) -> None:
            made_for.remember(SERVICES.get(service, service), event_name.rsplit(".", 1)[1], params)

        made = make(service, attempts=attempts, validate=validate)
        made.meta.events.register("before-parameter-build", note)
        made.meta.events.register("after-call.s3.ListParts", _with_checksums)
        return made

    return remembering


def _with_checksums(parsed: dict[str, Any], **_: Any) -> None:
    """Tell of each part of an upload the checksum that S3 keeps, and moto does not."""
    bucket = get_backend("s3")[stack.ACCOUNT]["aws"].buckets[parsed["Bucket"]] if "Bucket" in parsed else None
    for one in parsed.get("Parts", []) if bucket else []:
        body = bucket.multiparts[parsed["UploadId"]].parts[one["PartNumber"]].value
        one["ChecksumSHA256"] = base64.b64encode(hashlib.sha256(body).digest()).decode()
