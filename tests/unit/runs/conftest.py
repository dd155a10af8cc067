"""What the tests of runs share: the real table and bucket adapters on moto, made once for a module."""

from collections.abc import Iterator
from typing import Any

import botocore.session
import pytest
from moto import mock_aws

from tests.unit.runs.fakes import REGION, Wires
from tests.unit.streams.fakes import NOON
from weir.runs.bucket import RunsBucket
from weir.runs.table import RunsTable
from weir.runtime import settings
from weir.runtime.clock import Clock

BOTOCORE = botocore.session.Session()
"""One session for all modules, because reading the service models takes longest."""


@pytest.fixture(scope="module")
def aws() -> Iterator[dict[str, Any]]:
    """Clients by service, inside moto."""
    with pytest.MonkeyPatch.context() as patch, mock_aws():
        patch.setenv("AWS_ACCESS_KEY_ID", "a")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "b")
        settings.forget()
        yield {name: BOTOCORE.create_client(name, region_name=REGION) for name in ("dynamodb", "s3")}
    settings.forget()


@pytest.fixture(scope="module")
def table(aws: dict[str, Any]) -> RunsTable:
    """The runs table, keyed and indexed as the template says."""
    attributes = ("pk", "sk", "list", "owner", "open", "at")
    listed = ["owner", "status", "created_at", "ended_at", "stream_name", "verdict", "reasons"]

    def schema(first: str, second: str) -> list[dict[str, str]]:
        return [{"AttributeName": first, "KeyType": "HASH"}, {"AttributeName": second, "KeyType": "RANGE"}]

    aws["dynamodb"].create_table(
        TableName="runs",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in attributes],
        KeySchema=schema("pk", "sk"),
        BillingMode="PAY_PER_REQUEST",
        GlobalSecondaryIndexes=[
            {
                "IndexName": "listing",
                "KeySchema": schema("list", "at"),
                "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": listed},
            },
            {
                "IndexName": "owned",
                "KeySchema": schema("owner", "at"),
                "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": listed[1:]},
            },
            {"IndexName": "open", "KeySchema": schema("open", "at"), "Projection": {"ProjectionType": "KEYS_ONLY"}},
        ],
    )
    return RunsTable(aws["dynamodb"], "runs", Clock(now=lambda: NOON, epoch=NOON.timestamp))


@pytest.fixture(scope="module")
def bucket(aws: dict[str, Any]) -> RunsBucket:
    """The runs bucket, which keeps versions as the template says."""
    aws["s3"].create_bucket(Bucket="runs", CreateBucketConfiguration={"LocationConstraint": REGION})
    aws["s3"].put_bucket_versioning(Bucket="runs", VersioningConfiguration={"Status": "Enabled"})
    return RunsBucket(aws["s3"], "runs")


@pytest.fixture
def wires(table: RunsTable, bucket: RunsBucket) -> Wires:
    """What the use cases of a run speak to, with a clock that begins at noon."""
    return Wires(table, bucket)
