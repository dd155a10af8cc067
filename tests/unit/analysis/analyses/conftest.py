"""What the tests of analyses share: table and bucket on moto, made once for a module."""

from collections.abc import Iterator
from typing import Any

import pytest
from moto import mock_aws

from tests.unit.analysis.analyses.world import World
from tests.unit.runs.conftest import BOTOCORE
from weir.analysis.analyses.bucket import AnalysesBucket
from weir.runtime import settings

REGION = "us-east-1"


@pytest.fixture(scope="module")
def aws() -> Iterator[dict[str, Any]]:
    """Clients by service, inside moto."""
    with pytest.MonkeyPatch.context() as patch, mock_aws():
        patch.setenv("AWS_ACCESS_KEY_ID", "a")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "b")
        settings.forget()
        clients = {name: BOTOCORE.create_client(name, region_name=REGION) for name in ("dynamodb", "s3")}
        clients["dynamodb"].create_table(
            TableName="analyses",
            AttributeDefinitions=[
                {"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk", "list", "owner", "at")
            ],
            KeySchema=_schema("pk", "sk"),
            BillingMode="PAY_PER_REQUEST",
            GlobalSecondaryIndexes=[
                {"IndexName": name, "KeySchema": _schema(key, "at"), "Projection": {"ProjectionType": "ALL"}}
                for name, key in (("listing", "list"), ("owned", "owner"))
            ],
        )
        clients["s3"].create_bucket(Bucket="analyses")
        yield clients
    settings.forget()


def _schema(first: str, second: str) -> list[dict[str, str]]:
    return [{"AttributeName": first, "KeyType": "HASH"}, {"AttributeName": second, "KeyType": "RANGE"}]


@pytest.fixture
def world(aws: dict[str, Any]) -> World:
    """A world with nothing in it; ids are new, so that what other tests of the module left is not met."""
    return World(aws["dynamodb"], AnalysesBucket(aws["s3"], "analyses"))
