"""A table of providers and routes and a Secrets Manager of moto's, for the tests of the catalogue of models."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from moto import mock_aws

from tests.unit.identity.accounts import BOTOCORE, NOON, Recorded, Time
from weir.llm.models import Provider, Route, Target
from weir.llm.providers import Deps
from weir.llm.secrets import Vault
from weir.llm.store import Store
from weir.runtime import settings
from weir.runtime.dynamodb import Table, plain

__all__ = ["NOON", "Recorded", "Time"]

TABLE = "llm"
REGION = "eu-west-1"
PREFIX = "weir/providers/"
SECRET = "sk-ant-an-example"


class World:
    """The table, the secrets, and a clock."""

    def __init__(self, client: Recorded, secrets: Recorded) -> None:
        self.client, self.secrets, self.time = client, secrets, Time()
        self.store = Store(Table(client, TABLE, self.time.clock), self.time.clock)
        self.deps = Deps(self.store, Vault(secrets, PREFIX))

    def items(self) -> list[dict[str, Any]]:
        """All items, by key."""
        found = [plain(item) for item in self.client.scan(TableName=TABLE)["Items"]]
        return sorted(found, key=lambda item: (item["pk"], item["sk"]))

    def keys(self) -> dict[str, str]:
        """The text of every secret that can be read, by its ARN."""
        listed = self.secrets.list_secrets()["SecretList"]
        return {one["ARN"]: self.secrets.get_secret_value(SecretId=one["ARN"])["SecretString"] for one in listed}


@contextmanager
def world() -> Iterator[World]:
    """An account with the table ``llm``, keyed as the template says."""
    with pytest.MonkeyPatch.context() as patch, mock_aws():
        patch.setenv("AWS_ACCESS_KEY_ID", "a")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "b")
        settings.forget()
        client = BOTOCORE.create_client("dynamodb", region_name=REGION)
        client.create_table(
            TableName=TABLE,
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            BillingMode="PAY_PER_REQUEST",
        )
        secrets = BOTOCORE.create_client("secretsmanager", region_name=REGION)
        yield World(Recorded(client), Recorded(secrets))
    settings.forget()


def provider(name: str = "anthropic", **fields: Any) -> Provider:
    """Anthropic, unless ``fields`` say otherwise."""
    return replace(Provider(name, "anthropic"), **fields)


def route(model: str = "claude", *targets: tuple[str, str], **fields: Any) -> Route:
    """A route for everybody to Anthropic, unless ``fields`` say otherwise."""
    to = targets or (("anthropic", "claude-sonnet-4-5"),)
    return replace(Route(model, tuple(Target(*one) for one in to)), **fields)
