"""Prices, providers and routes on the deployed stack: over HTTP, with the function's own rights."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.integration.conftest import Api, Json, Stack, in_turn, problem
from weir.llm.contract import in_a_path

HEADER = (
    "region_id,model_id,model_name,provider,input_price,output_price,"
    "batch_input_price,batch_output_price,cache_write_price,cache_read_price,timestamp"
)


@pytest.fixture
def provider(api: Api, name: str) -> Iterator[str]:
    """A provider with a key, for as long as the test runs."""
    made = api("POST", "/models/providers", {"name": name, "kind": "anthropic", "key": f"sk-{name}"})
    assert made.status_code == 201, made.text
    yield name
    assert api("DELETE", f"/models/providers/{name}").status_code in {204, 404}


def taken(api: Api, body: str, kind: str, query: str = "") -> httpx.Response:
    """What an import answers."""

    def send() -> httpx.Response:
        return api.http.post(f"/models/prices/import{query}", content=body, headers={"Content-Type": kind})

    return in_turn(send, lambda answer: (answer.status_code, answer.text))


def removed(api: Api, provider: str) -> list[Json]:
    """The prices of a provider, all of which are removed."""
    found: list[Json] = api("GET", f"/models/prices?provider={provider}&limit=200").json()["items"]
    for one in found:
        assert api("DELETE", f"/models/prices/{one['price_id']}").status_code == 204
    return found


def keys_of(deployed: Stack, provider: str) -> list[str]:
    """The keys that Secrets Manager has of a provider."""
    secrets = deployed.client("secretsmanager")
    prefix = f"{deployed.document['stack_name']}/providers/{provider}/"
    pages = secrets.get_paginator("list_secrets").paginate(Filters=[{"Key": "name", "Values": [prefix]}])
    arns = [one["ARN"] for page in pages for one in page["SecretList"] if "DeletedDate" not in one]
    return [str(secrets.get_secret_value(SecretId=arn)["SecretString"]) for arn in arns]


def test_a_providers_key_comes_goes_and_is_told_to_nobody(api: Api, deployed: Stack, provider: str) -> None:
    # Given a provider, Then its key is in Secrets Manager, and in no answer
    read = api("GET", f"/models/providers/{provider}")
    assert read.json()["has_key"] is True
    assert f"sk-{provider}" not in read.text + api("GET", "/models/providers").text
    assert keys_of(deployed, provider) == [f"sk-{provider}"]

    # When it is replaced, Then the old one is gone; when the provider is, both are
    changed = api("PUT", f"/models/providers/{provider}", {"kind": "anthropic", "key": f"sk-2-{provider}"})
    assert changed.status_code == 200, changed.text
    assert keys_of(deployed, provider) == [f"sk-2-{provider}"]
    assert api("DELETE", f"/models/providers/{provider}", If_Match=changed.headers["ETag"]).status_code == 204
    assert keys_of(deployed, provider) == []


def test_a_provider_at_a_metadata_address_is_refused(api: Api, name: str) -> None:
    for address in ("https://169.254.169.254", "https://[fd00:ec2::254]", "https://2852039166", "http://api.example"):
        asked = {"name": name, "kind": "openai", "address": address, "private_networks": []}
        told = problem(api("POST", "/models/providers", asked), 422)
        assert [one["field"] for one in told["errors"]] == ["address"]
    assert api("GET", f"/models/providers/{name}").status_code == 404


def test_a_route_is_known_by_any_name(api: Api, provider: str) -> None:
    # Given names with slashes, colons and a star
    for model in (
        f"arn:aws:bedrock:eu-west-1:123456789012:inference-profile/{provider}",
        f"{provider}/m@1",
        f"{provider}*",
    ):
        path = f"/models/routes/{in_a_path(model)}"
        made = api("POST", "/models/routes", {"model": model, "targets": [{"provider": provider, "model": "m"}]})
        assert made.status_code == 201, made.text
        assert made.headers["Location"].endswith(path)
        # Then each is read, changed as it was read, and removed by its name, and holds its provider
        assert api("GET", path).json() == made.json()
        assert problem(api("DELETE", f"/models/providers/{provider}"), 409)["routes"] == [model]
        change = {"targets": [{"provider": provider, "model": "n"}]}
        changed = api("PUT", path, change, If_Match=made.headers["ETag"])
        assert changed.json()["targets"] == change["targets"]
        assert problem(api("PUT", path, change, If_Match=made.headers["ETag"]), 412)
        assert api("DELETE", path).status_code == 204


def test_prices_are_added_and_charged_from_their_moment(api: Api, name: str) -> None:
    asked: Json = {
        "provider": name,
        "model": "m",
        "since": "2026-01-01T00:00:00Z",
        "rates": {"input": "3", "output": "15"},
    }
    made = api("POST", "/models/prices", asked, Idempotency_Key=name)
    again = api("POST", "/models/prices", asked, Idempotency_Key=name)
    assert (made.status_code, again.status_code, again.json()) == (201, 201, made.json())
    assert problem(api("POST", "/models/prices", asked), 409)["price_id"] == made.json()["price_id"]
    path = f"/models/prices/{made.json()['price_id']}"
    changed = api("PUT", path, {"rates": {"input": "2", "output": "10"}}, If_Match=made.headers["ETag"])
    assert changed.json()["rates"]["input"] == "2.00"
    assert [one["rates"]["input"] for one in removed(api, name)] == ["2.00"]
    assert api("GET", path).status_code == 404


def test_files_of_prices_are_taken_as_a_whole(api: Api, name: str) -> None:
    # Given a CSV of more prices than a transaction takes, with one wrong line
    lines = [f"us-east-1,model-{number},M,A,0.003,0.015,,,,,2026-01-01T00:00:00Z" for number in range(120)]
    wrong = "\n".join((HEADER, *lines, "x"))
    told = problem(taken(api, wrong, "text/csv", f"?provider={name}"), 422)
    assert [one["field"] for one in told["errors"]] == ["line 122"]
    assert removed(api, name) == []
    # When it is put right, Then all of it is there; sent again, nothing changes
    done = taken(api, "\n".join((HEADER, *lines)), "text/csv", f"?provider={name}")
    assert (done.status_code, done.json()["created"]) == (200, 120)
    assert taken(api, "\n".join((HEADER, *lines)), "text/csv", f"?provider={name}").json()["unchanged"] == 120
    assert len(removed(api, name)) == 120


def test_litellms_file_is_taken(api: Api, name: str) -> None:
    entry: dict[str, Any] = {"litellm_provider": name, "input_cost_per_token": 3e-06, "output_cost_per_token": 1.5e-05}
    done = taken(api, json.dumps({f"{name}/m": entry}), "application/json")
    assert (done.status_code, done.json()["created"]) == (200, 1), done.text
    assert [(one["model"], one["rates"]["output"]) for one in removed(api, name)] == [("m", "15.00")]
