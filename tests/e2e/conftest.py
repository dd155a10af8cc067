"""The deployed gateway, as the official clients see it, before providers of our own over real HTTP."""

import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

import pytest

from tests.e2e.upstream import Bill, Upstream
from tests.integration.conftest import (  # noqa: F401 (fixtures)
    Api,
    Json,
    Stack,
    a_key,
    anonymous,
    api,
    deployed,
    people,
)

Answer = TypeVar("Answer")
KINDS = {"an": "anthropic", "oa": "openai", "ge": "gemini", "be": "bedrock"}
MODELS = (
    "ok",
    "tools",
    "cached",
    "slow",
    "dies",
    "silent",
    "garbage",
    *(f"e{status}" for status in (400, 401, 403, 404, 429, 500, 529)),
)
WAIT_SECONDS = 60.0
OF_BEDROCK = "anthropic.claude-3-haiku-20240307-v1:0"
SINCE = "2026-01-01T00:00:00Z"
RATES = {"input": "3", "output": "15", "cache_read": "0.3", "cache_write_5m": "3.75", "cache_write_1h": "6"}


@dataclass
class Gateway:
    """The gateway, its providers, and a key that may use them.

    A model's name is ``<run>-<kind>-<what it does>``: ``w3f9-an-ok`` is answered by Anthropic's stub.
    """

    url: str
    upstream: Upstream
    api: Api
    member: Api
    key: str
    key_id: str
    user: str
    run: str
    made: list[str] = field(default_factory=list)
    seen: dict[str, int] = field(default_factory=dict)
    """How many records of each model are known."""

    def model(self, kind: str, does: str) -> str:
        """The name by which a model is asked for."""
        return f"{self.run}-{kind}-{does}"

    def records(self, model: str) -> list[Json]:
        """What the ledger has of a model's calls, the newest first."""
        answer = self.member("GET", f"/usage/records?model={model}&limit=200")
        assert answer.status_code == 200, answer.text
        found: list[Json] = answer.json()["items"]
        return found

    def charged(self, model: str, call: Callable[[], Answer]) -> tuple[Answer, Json, list[Bill]]:
        """What a call answers, the one record that it makes, and what its providers bill for it."""
        billed = len(self.upstream.bills)
        answered = call()
        records = self.records(model)
        assert len(records) == self.seen.get(model, 0) + 1, records
        self.seen[model] = len(records)
        return answered, records[0], self.upstream.bills[billed:]

    def settled(self, model: str) -> Json:
        """The next record of a model, once it is there."""
        until = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < until:
            records = self.records(model)
            if len(records) > self.seen.get(model, 0):
                self.seen[model] = len(records)
                return records[0]
            time.sleep(0.1)
        raise AssertionError(f"no record of {model} within {WAIT_SECONDS} s")


@pytest.fixture(scope="session")
def upstream() -> Iterator[Upstream]:
    """Providers on loopback."""
    serving = Upstream().start()
    yield serving
    serving.stop()


@pytest.fixture(scope="session")
def gateway(deployed: Stack, api: Api, people: Callable[..., Api], upstream: Upstream) -> Iterator[Gateway]:  # noqa: F811
    """The gateway with four providers, their models' prices and routes, and a member's key."""
    run = f"w{uuid.uuid4().hex[:6]}"
    made: list[str] = []

    def put(path: str, body: Json, there: str) -> None:
        answer = api("POST", path, body)
        assert answer.status_code == 201, answer.text
        made.append(f"{path}/{there or answer.json()['price_id']}")

    for short, kind in KINDS.items():
        name = f"{run}-{short}"
        provider = {"name": name, "kind": kind, "address": _base(kind, upstream), "private_networks": ["127.0.0.0/8"]}
        put("/models/providers", provider | ({} if kind == "bedrock" else {"key": f"upstream-{run}"}), name)
        for model in MODELS:
            put(
                "/models/routes",
                {"model": f"{name}-{model}", "targets": [{"provider": name, "model": model}], "max_output": 100},
                f"{name}-{model}",
            )
            put("/models/prices", {"provider": name, "model": model, "since": SINCE, "rates": RATES}, "")
    if address := deployed.document["aws_endpoint_url"]:
        name = f"{run}-aws"
        loopback = {"address": address, "private_networks": ["127.0.0.0/8"]}
        put("/models/providers", {"name": name, "kind": "bedrock", **loopback}, name)
        target = {"provider": name, "model": OF_BEDROCK}
        put("/models/routes", {"model": f"{name}-claude", "targets": [target], "max_output": 100}, f"{name}-claude")
        put("/models/prices", {**target, "since": SINCE, "rates": RATES}, "")
    member, url = people("member"), deployed.document["gateway_url"]
    key = a_key(member, scopes=["models:invoke", "usage:read"])
    yield Gateway(url, upstream, api, member, key["secret"], key["key_id"], member.user["user_id"], run, made)
    for path in reversed(made):
        answer = api("DELETE", path, **{"If-Match": "*"})
        assert answer.status_code in {200, 204}, answer.text


def _base(kind: str, upstream: Upstream) -> str:
    return {"openai": f"{upstream.address}/v1", "gemini": f"{upstream.address}/v1beta"}.get(kind, upstream.address)
