"""The routes of prices, providers and routes as they are called: status, headers, bodies, and who may."""

import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.unit.llm import catalogue
from tests.unit.llm.catalogue import PREFIX, SECRET, World
from weir.llm import wiring
from weir.llm.contract import in_a_path
from weir.runtime import aws, pagination, settings
from weir.usage.price_csv import COLUMNS

ROOT = Path(__file__).parents[3]
SAMPLE = json.loads((ROOT / "events" / "users-show.json").read_text())
PRICES, PRICE, IMPORT = "/models/prices", "/models/prices/{price_id}", "/models/prices/import"
PROVIDERS, PROVIDER = "/models/providers", "/models/providers/{name}"
ROUTES, ROUTE = "/models/routes", "/models/routes/{model}"
Json = dict[str, Any]

SONNET: Json = {
    "provider": "anthropic",
    "model": "claude-sonnet-4-5",
    "since": "2025-09-29T00:00:00Z",
    "rates": {"input": "3", "output": "15", "cache_read": "0.30", "cache_write_5m": "3.75", "cache_write_1h": "6.00"},
    "long": {"input": "6.00", "output": "22.50"},
}
ANTHROPIC: Json = {"name": "anthropic", "kind": "anthropic", "key": SECRET}
TO_SONNET: Json = {"model": "claude-*", "targets": [{"provider": "anthropic", "model": "*"}]}
LINE = "us-east-1,anthropic.claude-v1:0,Claude,Anthropic,0.003,0.015,,,,,"


class Context:
    """As much of the Lambda context as is read."""

    function_name = "models"
    memory_limit_in_mb = 512
    invoked_function_arn = "arn:aws:lambda:eu-west-1:123456789012:function:models"
    aws_request_id = "c6af9ac6-7b61-11e6-9a41-93e8deadbeef"

    def get_remaining_time_in_millis(self) -> int:
        return 29_000


class Api:
    """The function, as API Gateway calls it."""

    def __init__(self, module: ModuleType, world: World) -> None:
        self._module, self.world = module, world

    def __call__(
        self,
        method: str,
        resource: str,
        body: Any = None,
        *,
        scopes: str = "models:write",
        query: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
        **parameters: str,
    ) -> tuple[int, Json, dict[str, str]]:
        """Status, body and headers."""
        path = resource
        for name, value in parameters.items():
            path = path.replace(f"{{{name}}}", in_a_path(value))
        event = json.loads(json.dumps(SAMPLE)) | {
            "resource": resource,
            "path": path,
            "httpMethod": method,
            "body": body if body is None or isinstance(body, str) else json.dumps(body),
            "queryStringParameters": query,
            "multiValueQueryStringParameters": {key: [value] for key, value in (query or {}).items()} or None,
        }
        event["headers"] = {"Content-Type": "application/json", **(headers or {})}
        event["multiValueHeaders"] = {name: [value] for name, value in event["headers"].items()}
        event["requestContext"] |= {"path": f"/v1{path}", "resourcePath": resource, "httpMethod": method}
        event["requestContext"]["authorizer"] |= {"roles": "admin", "scopes": scopes}
        answer = self._module.handler(event, Context())
        told = {key: values[0] for key, values in answer["multiValueHeaders"].items()}
        return answer["statusCode"], json.loads(answer["body"]) if answer["body"] else {}, told

    def take(self, body: str, kind: str = "text/csv", **query: str) -> tuple[int, Json]:
        """What an import answers."""
        return self("POST", IMPORT, body, query=query, headers={"Content-Type": kind})[:2]


def load(patch: pytest.MonkeyPatch) -> ModuleType:
    """The function's handler, as a new process would load it."""
    patch.syspath_prepend(str(ROOT / "functions" / "models"))
    spec = importlib.util.spec_from_file_location("unit_models", ROOT / "functions" / "models" / "handler.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    patch.setitem(sys.modules, spec.name, made)
    spec.loader.exec_module(made)
    return made


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    """On moto's DynamoDB and Secrets Manager, with nothing in them."""
    with catalogue.world() as world:
        by = [{"AttributeName": "list", "KeyType": "HASH"}, {"AttributeName": "at", "KeyType": "RANGE"}]
        world.client.create_table(
            TableName="usage",
            AttributeDefinitions=[{"AttributeName": one, "AttributeType": "S"} for one in ("pk", "sk", "list", "at")],
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            GlobalSecondaryIndexes=[
                {"IndexName": "listing", "KeySchema": by, "Projection": {"ProjectionType": "ALL"}},
            ],
            BillingMode="PAY_PER_REQUEST",
        )
        world.client.create_table(
            TableName="once",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        monkeypatch.setenv("WEIR_USAGE_TABLE", "usage")
        monkeypatch.setenv("WEIR_LLM_TABLE", catalogue.TABLE)
        monkeypatch.setenv("WEIR_PROVIDER_SECRET_PREFIX", PREFIX)
        monkeypatch.setenv("WEIR_IDEMPOTENCY_TABLE", "once")
        settings.forget()
        wiring.deps.cache_clear()
        clients = {"dynamodb": world.client, "secretsmanager": world.secrets}
        monkeypatch.setattr(aws, "client", lambda service, **_: clients[service])
        monkeypatch.setattr(pagination, "_mac", lambda kind, payload: kind.encode()[:16])
        yield Api(load(monkeypatch), world)
        wiring.deps.cache_clear()


def test_only_who_may_write_models_may_do_anything(api: Api) -> None:
    for route in api._module.NEEDS:
        method, _, resource = route.partition(" ")
        body = {} if method in {"POST", "PUT"} else None
        status, told, _ = api(
            method, resource, body, scopes="models:invoke usage:read", price_id="a", name="a", model="a"
        )
        assert (status, told["title"]) == (403, "Forbidden"), route
    assert len(api._module.NEEDS) == 17


# Prices


def test_a_price_is_added_read_changed_and_removed(api: Api) -> None:
    # Given a price that is added
    status, made, headers = api("POST", PRICES, SONNET)
    assert status == 201
    assert headers["Location"] == f"/v1/models/prices/{made['price_id']}"
    # Then it is told in dollars, what was left out as null
    assert made["rates"] == SONNET["rates"] | {"input": "3.00", "output": "15.00"}
    assert made["long"] == {
        "input": "6.00",
        "output": "22.50",
        "cache_read": None,
        "cache_write_5m": None,
        "cache_write_1h": None,
    }
    assert (made["region"], made["tier"], made["long_above"], made["source"]) == ("", "standard", 200_000, "api")
    assert made["since"].startswith("2025-09-29T00:00:00")
    # When it is read / Then it is the same, with the same tag
    status, read, tags = api("GET", PRICE, price_id=made["price_id"])
    assert (status, read, tags["ETag"]) == (200, made, headers["ETag"])
    # When it is changed as it was read / Then it is; and as it was before, no more
    change = {"rates": {"input": "2.00", "output": "10.00"}}
    status, changed, _ = api("PUT", PRICE, change, price_id=made["price_id"], headers={"If-Match": tags["ETag"]})
    assert (status, changed["rates"]["input"], changed["rates"]["cache_read"], changed["long"]) == (
        200,
        "2.00",
        None,
        None,
    )
    for method, body in (("PUT", change), ("DELETE", None)):
        stale = {"If-Match": tags["ETag"]}
        assert api(method, PRICE, body, price_id=made["price_id"], headers=stale)[0] == 412
    # When it is removed / Then it is gone
    assert api("DELETE", PRICE, price_id=made["price_id"])[0] == 204
    assert api("GET", PRICE, price_id=made["price_id"])[0] == 404


def test_the_same_price_again_is_a_conflict_and_with_the_same_key_the_same_answer(api: Api) -> None:
    once = {"Idempotency-Key": "k1"}
    first = api("POST", PRICES, SONNET, headers=once)
    again = api("POST", PRICES, SONNET, headers=once)
    assert first[:2] == again[:2]
    assert {name: first[2][name] for name in ("ETag", "Location")} == {
        name: again[2][name] for name in ("ETag", "Location")
    }
    status, told, _ = api("POST", PRICES, SONNET)
    assert (status, told["price_id"]) == (409, first[1]["price_id"])
    assert api("POST", PRICES, SONNET | {"model": "other"}, headers=once)[0] == 422


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"rates": {"input": 3, "output": "15"}}, "rates.input"),
        ({"rates": {"input": "-3", "output": "15"}}, "rates.input"),
        ({"rates": {"input": "1e3", "output": "15"}}, "rates.input"),
        ({"rates": {"input": "0.0000000000001", "output": "15"}}, "rates.input"),
        ({"rates": {"input": "3"}}, "rates.output"),
        ({"since": "2025-09-29T00:00:00"}, "since"),
        ({"since": "0001-01-01T00:00:00+23:00"}, "since"),
        ({"since": "1999-12-31T00:00:00Z"}, "since"),
        ({"model": "a#b"}, "model"),
        ({"provider": "A"}, "provider"),
        ({"tier": "free"}, "tier"),
        ({"long_above": 0}, "long_above"),
        ({"colour": "blue"}, "colour"),
    ],
)
def test_a_price_that_can_not_be_is_refused_by_field(api: Api, change: Json, field: str) -> None:
    status, told, _ = api("POST", PRICES, SONNET | change)
    assert (status, [one["field"] for one in told["errors"]]) == (422, [field])
    assert api("GET", PRICES)[1]["items"] == []


def test_prices_are_listed_in_pages_and_by_provider(api: Api) -> None:
    for model in ("a", "b", "c"):
        api("POST", PRICES, SONNET | {"model": model})
    _, first, _ = api("GET", PRICES, query={"limit": "2"})
    _, rest, _ = api("GET", PRICES, query={"limit": "2", "cursor": first["cursor"]})
    assert [one["model"] for one in (*first["items"], *rest["items"])] == ["a", "b", "c"]
    assert rest["cursor"] is None
    _, some, _ = api("GET", PRICES, query={"provider": "anthropic", "model": "b"})
    assert [one["model"] for one in some["items"]] == ["b"]
    assert api("GET", PRICES, query={"provider": "openai", "cursor": first["cursor"]})[0] == 400


# Imports


def test_a_csv_is_taken_as_a_whole(api: Api) -> None:
    # Given a CSV of two lines / When it is sent / Then its prices are there, of Bedrock
    lines = [",".join(COLUMNS), LINE, LINE.replace("us-east-1", "eu-west-1") + "2024-01-15T10:30:00Z"]
    status, done = api.take("\n".join(lines), "text/csv; charset=utf-8")
    assert (status, done["created"], done["changed"], done["unchanged"], done["left_out"]) == (200, 2, 0, 0, [])
    items = api("GET", PRICES, query={"provider": "bedrock"})[1]["items"]
    assert [(one["region"], one["rates"]["input"], one["source"]) for one in items] == [
        ("eu-west-1", "3.00", "csv"),
        ("us-east-1", "3.00", "csv"),
    ]
    # And a line that tells no moment holds from today, or from when it is said
    assert items[1]["since"].endswith("T00:00:00Z")
    assert api.take("\n".join(lines))[1] == {**done, "import_id": "", "created": 0, "unchanged": 2}
    api.take("\n".join(lines[:2]), since="2023-01-01T00:00:00+01:00", provider="eu")
    assert api("GET", PRICES, query={"provider": "eu"})[1]["items"][0]["since"] == "2022-12-31T23:00:00Z"


def test_a_csv_with_wrong_lines_is_refused_by_line(api: Api) -> None:
    lines = [",".join(COLUMNS), LINE, "x", LINE.replace(",,,,,", ",0.00375,0.0003,,,")]
    status, told = api.take("\n".join(lines))
    assert (status, told["wrong"], [one["field"] for one in told["errors"]]) == (422, 2, ["line 3", "line 4"])
    assert api("GET", PRICES)[1]["items"] == []
    shifted = "\n".join((lines[0], lines[3]))
    assert api.take(shifted, shifted="move")[1]["created"] == 1
    (item,) = api("GET", PRICES)[1]["items"]
    assert (item["rates"]["cache_read"], item["rates"]["cache_write_5m"]) == ("0.30", "3.75")


def test_litellms_file_is_taken_and_what_is_left_out_is_told(api: Api) -> None:
    models = {
        "gpt-5": {"litellm_provider": "openai", "input_cost_per_token": 1.25e-06, "output_cost_per_token": 1e-05},
        "dall-e": {"litellm_provider": "openai", "mode": "image_generation"},
        "command": {"litellm_provider": "cohere", "input_cost_per_token": 1e-06, "output_cost_per_token": 1e-06},
    }
    status, done = api.take(json.dumps(models), "application/json", provider="openai")
    assert (status, done["created"]) == (200, 1)
    assert [(one["models"], one["examples"]) for one in done["left_out"]] == [(1, ["dall-e"]), (1, ["command"])]
    assert api("GET", PRICES)[1]["items"][0]["rates"]["input"] == "1.25"
    assert api.take("[]", "application/json")[0] == 400


def test_the_list_that_weir_brings_along_is_taken_when_asked_for(api: Api) -> None:
    # Given no prices at all, as none counts by itself / When an admin asks for the list
    assert api("GET", PRICES)[1]["items"] == []
    status, done = api.take("", shipped="true")
    assert status == 200
    # Then each price tells where and when it was read, and sending it again changes nothing
    items = api("GET", PRICES, query={"limit": "200"})[1]["items"]
    assert len(items) == done["created"] > 20
    assert all(", read 20" in one["source"] for one in items)
    assert {one["provider"] for one in items} == {"anthropic", "openai", "gemini"}
    assert api.take("", shipped="true")[1]["unchanged"] == done["created"]


@pytest.mark.parametrize(
    ("body", "kind", "query", "status"),
    [
        ("", "text/csv", {}, 400),
        ("a", "text/csv", {"shipped": "true"}, 400),
        ("a", "text/plain", {}, 415),
        ("a,b", "text/csv", {}, 422),
        ("{", "application/json", {}, 400),
        ("a", "text/csv", {"since": "9999-12-31T23:59:59-12:00"}, 422),
        ("a", "text/csv", {"since": "yesterday"}, 422),
        ("a", "text/csv", {"shifted": "guess"}, 422),
        ("a", "text/csv", {"provider": "A#"}, 422),
    ],
)
def test_an_import_of_something_else_is_refused(api: Api, body: str, kind: str, query: Json, status: int) -> None:
    assert api.take(body, kind, **query)[0] == status


def test_no_other_route_takes_csv(api: Api) -> None:
    assert api("POST", PRICES, "a,b", headers={"Content-Type": "text/csv"})[0] == 415


def test_an_import_with_a_key_is_done_once(api: Api) -> None:
    text = "\n".join((",".join(COLUMNS), LINE))
    headers = {"Content-Type": "text/csv", "Idempotency-Key": "k1"}
    first = api("POST", IMPORT, text, headers=headers)
    assert api("POST", IMPORT, text, headers=headers)[:2] == first[:2]
    assert first[1]["created"] == 1
    assert api("POST", IMPORT, text + "2024-01-01T00:00:00Z", headers=headers)[0] == 422


# Providers


def test_a_providers_key_is_written_and_told_to_nobody(api: Api) -> None:
    # Given a provider with a key / When it is added, read, listed and changed
    status, made, headers = api("POST", PROVIDERS, ANTHROPIC, headers={"Idempotency-Key": "k1"})
    assert (status, headers["Location"]) == (201, "/v1/models/providers/anthropic")
    answers = [
        made,
        api("POST", PROVIDERS, ANTHROPIC, headers={"Idempotency-Key": "k1"})[1],
        api("GET", PROVIDER, name="anthropic")[1],
        api("GET", PROVIDERS)[1],
        api("PUT", PROVIDER, {"kind": "anthropic"}, name="anthropic")[1],
        api("POST", PROVIDERS, ANTHROPIC)[1],
        api("POST", PROVIDERS, ANTHROPIC | {"key": f"{SECRET} "})[1],
    ]
    # Then its key is in Secrets Manager, and in no answer and no table
    assert list(api.world.keys().values()) == [SECRET]
    assert SECRET not in json.dumps(answers)
    for table in (catalogue.TABLE, "once", "usage"):
        assert SECRET not in repr(api.world.client.scan(TableName=table)["Items"])
    assert made["has_key"] is True
    assert "secret_arn" not in made
    assert answers[4]["has_key"] is True


def test_a_provider_is_changed_and_removed_as_it_was_read(api: Api) -> None:
    _, made, tags = api("POST", PROVIDERS, ANTHROPIC)
    change = {"kind": "anthropic", "timeout_seconds": 60}
    status, changed, now = api("PUT", PROVIDER, change, name="anthropic", headers={"If-Match": tags["ETag"]})
    assert (status, changed) == (200, made | {"timeout_seconds": 60})
    assert api("GET", PROVIDER, name="anthropic")[2]["ETag"] == now["ETag"] != tags["ETag"]
    assert api("DELETE", PROVIDER, name="anthropic", headers={"If-Match": tags["ETag"]})[0] == 412
    assert api("DELETE", PROVIDER, name="anthropic", headers={"If-Match": now["ETag"]})[0] == 204
    assert api("GET", PROVIDER, name="anthropic")[0] == 404
    assert api.world.keys() == {}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": "A"}, "name"),
        ({"kind": "cohere"}, "kind"),
        ({"key": "with space"}, "key"),
        ({"key": "with\nline"}, "key"),
        ({"address": "https://169.254.169.254"}, "address"),
        ({"address": "http://api.example.com"}, "address"),
        ({"private_networks": ["0.0.0.0/0"]}, "private_networks"),
        ({"region": "EU"}, "region"),
        ({"timeout_seconds": 0}, "timeout_seconds"),
        ({"timeout_seconds": 901}, "timeout_seconds"),
        ({"secret_arn": "arn:aws:secretsmanager:eu-west-1:1:secret:of-others"}, "secret_arn"),
        ({"kind": "bedrock"}, "key"),
    ],
)
def test_a_provider_that_can_not_be_is_refused_by_field(api: Api, change: Json, field: str) -> None:
    status, told, _ = api("POST", PROVIDERS, ANTHROPIC | change)
    assert (status, [one["field"] for one in told["errors"]]) == (422, [field])
    assert api("GET", PROVIDERS)[1]["items"] == []
    assert api.world.keys() == {}


def test_a_provider_that_routes_lead_to_stays(api: Api) -> None:
    api("POST", PROVIDERS, ANTHROPIC)
    api("POST", ROUTES, TO_SONNET)
    status, told, _ = api("DELETE", PROVIDER, name="anthropic")
    assert (status, told["routes"]) == (409, ["claude-*"])


# Routes


def test_a_route_is_added_read_changed_and_removed_by_any_name(api: Api) -> None:
    # Given a name that is an ARN, with slashes and colons
    api("POST", PROVIDERS, ANTHROPIC)
    arn = "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.anthropic.claude-v1:0"
    for model in (arn, "claude-*", "*"):
        asked = {"model": model, "targets": [{"provider": "anthropic", "model": "claude"}], "groups": ["ml", "a", "ml"]}
        status, made, tags = api("POST", ROUTES, asked)
        assert (status, tags["Location"]) == (201, f"/v1/models/routes/{in_a_path(model)}")
        assert made == {
            "model": model,
            "targets": asked["targets"],
            "groups": ["a", "ml"],
            "roles": [],
            "keys": [],
            "max_output": None,
            "enabled": True,
        }
        # When it is read by its name, percent-encoded / Then it is found, changed and removed
        assert api("GET", ROUTE, model=model)[:2] == (200, made)
        change = {"targets": asked["targets"], "max_output": 9}
        status, changed, now = api("PUT", ROUTE, change, model=model, headers={"If-Match": tags["ETag"]})
        assert (status, changed) == (200, made | {"groups": [], "max_output": 9})
        assert api("DELETE", ROUTE, model=model, headers={"If-Match": tags["ETag"]})[0] == 412
        assert api("DELETE", ROUTE, model=model, headers={"If-Match": now["ETag"]})[0] == 204
        assert api("GET", ROUTE, model=model)[0] == 404


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"model": "a*b"}, "model"),
        ({"model": "-a"}, "model"),
        ({"model": "claude"}, "targets"),
        ({"targets": []}, "targets"),
        ({"targets": [{"provider": "nobody", "model": "m"}]}, "targets"),
        ({"targets": [{"provider": "anthropic", "model": "m"}] * 2}, "targets"),
        ({"targets": [*TO_SONNET["targets"], {"provider": "anthropic", "model": "m#"}]}, "targets.1.model"),
        ({"groups": [""]}, "groups.0"),
        ({"max_output": 0}, "max_output"),
        ({"enabled": "perhaps"}, "enabled"),
    ],
)
def test_a_route_that_can_not_be_is_refused_by_field(api: Api, change: Json, field: str) -> None:
    api("POST", PROVIDERS, ANTHROPIC)
    status, told, _ = api("POST", ROUTES, TO_SONNET | change)
    assert (status, [one["field"] for one in told["errors"]]) == (422, [field])
    assert api("GET", ROUTES)[1]["items"] == []


def test_routes_and_providers_are_listed_in_pages(api: Api) -> None:
    for name in ("a", "b", "c"):
        api("POST", PROVIDERS, {"name": name, "kind": "openai"})
        api("POST", ROUTES, {"model": name, "targets": [{"provider": name, "model": "m"}]})
    for resource, named in ((PROVIDERS, "name"), (ROUTES, "model")):
        _, first, _ = api("GET", resource, query={"limit": "2"})
        _, rest, _ = api("GET", resource, query={"cursor": first["cursor"]})
        assert [one[named] for one in (*first["items"], *rest["items"])] == ["a", "b", "c"]
        assert rest["cursor"] is None


# The audit


def test_who_changed_providers_and_routes_is_told_and_no_key(api: Api) -> None:
    # Given a provider and a route that are added, changed and removed
    api("POST", PROVIDERS, ANTHROPIC)
    api("POST", ROUTES, TO_SONNET)
    api("PUT", ROUTE, {"targets": TO_SONNET["targets"], "groups": ["ml"]}, model="claude-*")
    api("PUT", PROVIDER, {"kind": "anthropic", "key": "another-secret", "timeout_seconds": 9}, name="anthropic")
    api("DELETE", ROUTE, model="claude-*")
    api("DELETE", PROVIDER, name="anthropic")
    api("DELETE", PROVIDER, name="anthropic")
    # Then each of it is told with who did it, and no key is
    status, page, _ = api("GET", "/models/audit", scopes="audit:read")
    assert status == 200
    told = sorted((one["what"], one["subject"]) for one in page["items"])
    things = [("provider", "anthropic"), ("route", "claude-*")]
    assert told == sorted(
        (f"{thing}.{done}", name) for thing, name in things for done in ("added", "changed", "removed")
    )
    changed = {one["what"]: one["detail"] for one in page["items"]}
    assert changed["route.changed"] == {"groups": '[] -> ["ml"]'}
    assert set(changed["provider.changed"]) == {"key", "timeout_seconds"}
    assert {one["who"] for one in page["items"]} == {"dora2dora3dora4d"}
    assert SECRET not in json.dumps(page)
    assert "another-secret" not in json.dumps(page)
    assert api("GET", "/models/audit")[0] == 403


def test_who_changed_prices_is_told_in_the_table_of_usage(api: Api) -> None:
    _, made, _ = api("POST", PRICES, SONNET)
    api("PUT", PRICE, {"rates": {"input": "4", "output": "15"}}, price_id=made["price_id"])
    api("DELETE", PRICE, price_id=made["price_id"])
    api.take("\n".join((",".join(COLUMNS), LINE)))
    from weir.runtime.dynamodb import plain

    items = [plain(one) for one in api.world.client.scan(TableName="usage")["Items"]]
    told = {one["what"]: one for one in items if one["pk"].startswith("AUDIT#")}
    assert set(told) == {"price.added", "price.changed", "price.removed", "prices.imported"}
    assert told["price.changed"]["detail"]["input"] == "3.00 -> 4.00"
    assert told["price.added"]["detail"]["model"] == "claude-sonnet-4-5"
    assert told["prices.imported"]["detail"] == {"created": "1", "changed": "0", "unchanged": "0"}
    assert {one["who_name"] for one in told.values()} == {"dora"}
