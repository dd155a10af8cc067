"""A usage table of moto's with its index, and prices, for the tests of prices."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from moto import mock_aws

from tests.unit.identity.accounts import BOTOCORE, NOON, Recorded, Time
from weir.runtime import settings
from weir.runtime.dynamodb import plain
from weir.usage.models import Price, Rates

__all__ = ["NOON", "Recorded", "Time"]

TABLE = "usage"
REGION = "eu-west-1"
DOLLAR = 10**12


@contextmanager
def dynamodb() -> Iterator[Recorded]:
    """A client of an account with the table ``usage``, keyed and indexed as the template says."""
    with pytest.MonkeyPatch.context() as patch, mock_aws():
        patch.setenv("AWS_ACCESS_KEY_ID", "a")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "b")
        settings.forget()
        client = BOTOCORE.create_client("dynamodb", region_name=REGION)
        by = [{"AttributeName": "list", "KeyType": "HASH"}, {"AttributeName": "at", "KeyType": "RANGE"}]
        client.create_table(
            TableName=TABLE,
            AttributeDefinitions=[{"AttributeName": one, "AttributeType": "S"} for one in ("pk", "sk", "list", "at")],
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            GlobalSecondaryIndexes=[
                {"IndexName": "listing", "KeySchema": by, "Projection": {"ProjectionType": "ALL"}},
            ],
            BillingMode="PAY_PER_REQUEST",
        )
        yield Recorded(client)
    settings.forget()


def everything(client: Recorded) -> list[dict[str, Any]]:
    """All items, by key."""
    found = [plain(item) for item in client.scan(TableName=TABLE)["Items"]]
    return sorted(found, key=lambda item: (item["pk"], item["sk"]))


def rates(dollars: int = 3, output: int = 15, **fields: Any) -> Rates:
    """What a million tokens cost, in whole dollars."""
    return Rates(dollars * DOLLAR, output * DOLLAR, **{name: one * DOLLAR // 100 for name, one in fields.items()})


def price(model: str = "claude", **fields: Any) -> Price:
    """A price of Anthropic's from noon on, unless ``fields`` say otherwise."""
    return replace(Price("", "anthropic", model, NOON, rates()), **fields)
