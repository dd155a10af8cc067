"""The routes of the catalogue, event by event, on moto's DynamoDB: status, headers, bodies."""

import base64
import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import quote

import pytest

from tests.unit.packages.filing import SMALL, World, of
from tests.unit.packages.registry import (
    ANN,
    BOB,
    DORA,
    SHA,
    TABLE,
    Counted,
    Time,
    dynamodb,
    everything,
    package,
    put,
    served,
)
from weir.packages import found, wiring
from weir.packages.contract import NewVersion
from weir.packages.store import Store
from weir.runtime import aws, secrets, settings

ROOT = Path(__file__).parents[3]
SAMPLE = json.loads((ROOT / "events" / "users-show.json").read_text())
ALL, NAMED, CARD = "/packages", "/packages/{name}", "/packages/{name}"
VERSIONS, ONE = "/packages/{name}/versions", "/packages/{name}/{version}"
ALIAS = "/packages/{name}/aliases/{alias}"
NEW = {
    "name": "BERT_base",
    "version": "1.0.0",
    "description": "A base model",
    "tags": ["nlp"],
    "metadata": {"license": "mit", "dropout": 0.1},
    "files": [{"path": "model.safetensors", "size": 4, "sha256": SHA}],
}
Json = dict[str, Any]


class Context:
    """As much of the Lambda context as is read."""

    function_name = "packages"
    memory_limit_in_mb = 512
    invoked_function_arn = "arn:aws:lambda:eu-west-1:123456789012:function:packages"
    aws_request_id = "c6af9ac6-7b61-11e6-9a41-93e8deadbeef"

    @staticmethod
    def get_remaining_time_in_millis() -> int:
        return 29_000


class Api:
    """The function, as API Gateway calls it."""

    def __init__(self, client: Counted, patch: pytest.MonkeyPatch) -> None:
        self.client = client
        patch.setattr(aws, "client", lambda service: client)
        patch.setattr(secrets, "secret", lambda arn: "a secret of cursors")
        for name in ("PACKAGES_TABLE", "PACKAGES_BUCKET"):
            patch.setenv(f"WEIR_{name}", TABLE)
        patch.setenv("WEIR_IDEMPOTENCY_TABLE", "idempotency")
        patch.setenv("WEIR_CURSOR_SECRET_ARN", "arn:cursor")
        settings.forget()
        spec = importlib.util.spec_from_file_location("unit_packages", ROOT / "functions" / "packages" / "handler.py")
        assert spec is not None
        assert spec.loader is not None
        self.module: ModuleType = importlib.util.module_from_spec(spec)
        patch.setitem(sys.modules, spec.name, self.module)
        spec.loader.exec_module(self.module)
        self.store = self.module._store()

    def __call__(
        self,
        method: str,
        resource: str,
        body: Any = None,
        *,
        who: str = ANN,
        scopes: str = "packages:read packages:write",
        groups: str = "",
        headers: dict[str, str] | None = None,
        query: dict[str, str] | None = None,
        **parameters: str,
    ) -> tuple[int, Json, dict[str, str]]:
        """Status, body and headers. ``parameters`` are those of the path, percent-encoded as REST APIs hand them on."""
        path = resource
        for name, value in {"name": "bert-base", "version": "1.0.0", **parameters}.items():
            path = path.replace(f"{{{name}}}", quote(value, safe=""))
        event = json.loads(json.dumps(SAMPLE)) | {
            "resource": resource,
            "path": path,
            "httpMethod": method,
            "body": None if body is None else json.dumps(body),
            "queryStringParameters": query,
            "multiValueQueryStringParameters": {key: [value] for key, value in (query or {}).items()} or None,
        }
        event["headers"] |= {"Content-Type": "application/json", **(headers or {})}
        event["multiValueHeaders"] = {key: [value] for key, value in event["headers"].items()}
        event["requestContext"] |= {"path": f"/v1{path}", "resourcePath": resource, "httpMethod": method}
        event["requestContext"]["authorizer"] |= {
            "sub": who,
            "username": who[:3],
            "roles": "admin" if who == DORA else "publisher",
            "groups": groups,
            "scopes": scopes,
        }
        answer = self.module.handler(event, Context())
        told = {key: values[0] for key, values in answer["multiValueHeaders"].items()}
        return answer["statusCode"], json.loads(answer["body"]) if answer["body"] else {}, told


@pytest.fixture
def api() -> Iterator[Api]:
    with dynamodb() as client, pytest.MonkeyPatch.context() as patch:
        client.create_table(
            TableName="idempotency",
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
        )
        wiring.deps.cache_clear()
        yield Api(client, patch)
        wiring.deps.cache_clear()


def test_a_version_is_registered_shown_listed_and_found(api: Api) -> None:
    # When a version is registered
    api.client.called.clear()
    status, made, headers = api("POST", ALL, NEW)
    # Then it is told where it is, and DynamoDB was called twice
    assert (status, headers["Location"], headers["ETag"]) == (201, "/v1/packages/bert-base/1.0.0", '"1"')
    assert api.client.called == ["batch_get_item", "transact_write_items"]
    assert (made["name"], made["state"], made["owner"], made["size"]) == ("bert-base", "INITIATED", ANN, 4)
    assert made["metadata"] == NEW["metadata"]
    assert made["files"] == [
        {
            "path": "model.safetensors",
            "size": 4,
            "sha256": SHA,
            "content_type": "application/octet-stream",
            "state": "INITIATED",
            "verified_sha256": None,
            "reason": None,
            "findings": [],
            "findings_count": 0,
            "updated_at": None,
        }
    ]
    # And the same again is the same
    status, again, headers = api("POST", ALL, NEW)
    assert (status, again, headers["ETag"]) == (200, made, '"1"')
    # And it is shown, in its list, and its package is found in every way
    assert api("GET", ONE)[:2] == (200, made)
    status, page, _ = api("GET", VERSIONS)
    assert (status, [one["version"] for one in page["items"]], page["cursor"]) == (200, ["1.0.0"], None)
    for query in (
        {},
        {"query": "base MODEL"},
        {"name": "BERT."},
        {"pattern": "*_base"},
        {"owner": ANN},
        {"tag": "NLP"},
    ):
        status, page, _ = api("GET", ALL, query=query, who=BOB)
        assert (status, [one["name"] for one in page["items"]]) == (200, ["bert-base"]), query
    status, card, headers = api("GET", CARD, name="Bert-Base")
    assert (status, card["versions"], card["latest"], card["aliases"], headers["ETag"]) == (200, 1, None, [], '"1"')


def test_an_idempotency_key_replays_the_first_answer(api: Api) -> None:
    key = {"Idempotency-Key": "release-1"}
    first = api("POST", ALL, NEW, headers=key)
    again = api("POST", ALL, NEW, headers=key)
    assert (again[:2], again[2]["Location"]) == (first[:2], first[2]["Location"])
    assert first[0] == 201
    status, problem, _ = api("POST", ALL, {**NEW, "version": "1.0.1"}, headers=key)
    assert (status, problem["errors"][0]["field"]) == (422, "Idempotency-Key")
    # And another user's key is another key
    assert api("POST", ALL, {**NEW, "name": "other"}, headers=key, who=BOB)[0] == 201


def test_a_thousand_files_are_replayed_too(api: Api) -> None:
    files = [{"path": f"{number:04d}" + "p" * 80, "size": 1, "sha256": SHA} for number in range(1_000)]
    for _ in range(2):
        status, made, _ = api("POST", ALL, {**NEW, "files": files}, headers={"Idempotency-Key": "big"})
        assert (status, len(made["files"])) == (201, 1_000)


def test_a_refused_registration_spends_no_key(api: Api) -> None:
    put(api.store, package("bertbase"))
    key = {"Idempotency-Key": "release-1"}
    status, problem, _ = api("POST", ALL, NEW, headers=key)
    assert (status, problem["type"]) == (409, "https://weir.dev/problems/name-taken")
    assert api("POST", ALL, {**NEW, "name": "albert"}, headers=key)[0] == 201


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({**NEW, "version": "one"}, "version"),
        ({**NEW, "name": "audit"}, "name"),
        ({**NEW, "files": [{**NEW["files"][0], "path": "../etc"}]}, "files.0.path"),  # type: ignore[index]
        ({**NEW, "metadata": {"a": "\ud800"}}, "metadata"),
        ({**NEW, "sensitivity": "restricted"}, "allowed_groups"),
        ({"name": "a"}, "version"),
    ],
)
def test_what_can_not_be_accepted_is_named_and_changes_nothing(api: Api, body: Json, field: str) -> None:
    status, problem, _ = api("POST", ALL, body)
    assert (status, [one["field"] for one in problem["errors"]]) == (422, [field])
    assert everything(api.client) == []


def test_lists_go_on_by_cursor_and_a_cursor_tells_no_name(api: Api) -> None:
    hidden = {"sensitivity": "restricted", "allowed_groups": ("research",)}
    for number in range(5):
        put(api.store, package(f"model-{number}", **(hidden if number in {1, 3} else {})))
    told, query = [], {"limit": "1"}
    while True:
        status, page, _ = api("GET", ALL, query=query, who=BOB)
        assert status == 200
        told += [one["name"] for one in page["items"]]
        if page["cursor"] is None:
            break
        said = base64.urlsafe_b64decode(page["cursor"].split(".")[0] + "==").decode()
        assert "model" not in said
        query = {"limit": "1", "cursor": page["cursor"]}
    assert told == ["model-0", "model-2", "model-4"]
    # And of another list it is none
    status, _, _ = api("GET", ALL, query={**query, "owner": ANN}, who=BOB)
    assert status == 400


def test_a_version_is_found_by_alias_and_by_its_percent_encoded_text(api: Api) -> None:
    put(api.store, package(latest="1.0.0+linux.1"), served("1.0.0+linux.1"))
    for reference in ("1.0.0+linux.1", "1.0.0", "latest"):
        status, told, _ = api("GET", ONE, version=reference)
        assert (status, told["version"]) == (200, "1.0.0+linux.1")
    assert api("GET", ONE, version="nothing")[0] == 404
    assert api("GET", ONE, version="a/b")[0] == 404


def test_an_alias_is_set_and_moved_with_its_etag(api: Api) -> None:
    put(api.store, package(latest="2.0.0"), served("1.0.0"), served("2.0.0"))
    status, told, headers = api("PUT", ALIAS, {"version": "1.0.0"}, alias="production")
    assert (status, told["version"], headers["ETag"]) == (201, "1.0.0", told["etag"])
    assert api("PUT", ALIAS, {"version": "2.0.0"}, alias="production")[0] == 412
    fresh = {"If-None-Match": "*"}
    assert api("PUT", ALIAS, {"version": "2.0.0"}, alias="production", headers=fresh)[0] == 412
    seen = {"If-Match": headers["ETag"]}
    status, told, _ = api("PUT", ALIAS, {"version": "2.0.0"}, alias="production", headers=seen)
    assert (status, told["version"]) == (200, "2.0.0")
    assert api("PUT", ALIAS, {"version": "1.0.0"}, alias="production", headers=seen)[0] == 412
    assert api("PUT", ALIAS, {"version": "1.0.0"}, alias="latest")[0] == 409
    assert api("PUT", ALIAS, {"version": "latest"}, alias="production")[0] == 422
    _, card, _ = api("GET", CARD)
    assert [(one["alias"], one["version"]) for one in card["aliases"]] == [("latest", "2.0.0"), ("production", "2.0.0")]
    assert api("DELETE", ALIAS, alias="production")[0] == 204
    assert api("DELETE", ALIAS, alias="production")[0] == 404


def test_a_package_is_changed_with_its_etag(api: Api) -> None:
    put(api.store, package())
    status, told, headers = api("PATCH", NAMED, {"tags": ["NLP"]}, headers={"If-Match": '"1"'})
    assert (status, told["tags"], headers["ETag"]) == (200, ["nlp"], '"2"')
    status, problem, _ = api("PATCH", NAMED, {"tags": []}, headers={"If-Match": '"1"'})
    assert (status, problem["type"]) == (412, "https://weir.dev/problems/changed")
    assert api("PATCH", NAMED, {})[0] == 422
    assert api("PATCH", NAMED, {"allowed_groups": ["secret"]})[0] == 403


def test_a_version_is_yanked_and_back(api: Api) -> None:
    put(api.store, package(latest="1.0.0"), served("1.0.0"))
    status, told, _ = api("POST", f"{ONE}/yank", {"reason": "wrong tokenizer"})
    assert (status, told["yanked"], told["state"]) == (200, "wrong tokenizer", "AVAILABLE")
    assert api("GET", VERSIONS)[1]["items"] == []
    assert len(api("GET", VERSIONS, query={"yanked": "true"})[1]["items"]) == 1
    assert api("GET", ONE, version="latest")[0] == 404
    status, told, _ = api("POST", f"{ONE}/unyank")
    assert (status, told["yanked"]) == (200, None)
    assert api("POST", f"{ONE}/yank", {"reason": ""})[0] == 422


def test_the_audit_tells_owners_and_admins(api: Api) -> None:
    api("POST", ALL, NEW)
    for resource, query in ((f"{ONE}/audit", {}), ("/packages/audit", {"name": "bert-base"}), ("/packages/audit", {})):
        status, page, _ = api("GET", resource, query=query)
        assert status == 200
        assert "version.registered" in [one["what"] for one in page["items"]]
        assert {one["source_ip"] for one in page["items"]} == {"203.0.113.7"}
    assert api("GET", f"{ONE}/audit", who=BOB)[0] == 403
    assert api("GET", "/packages/audit", query={"name": "bert-base"}, who=BOB)[0] == 403
    assert api("GET", "/packages/audit", who=BOB)[1]["items"] == []
    assert len(api("GET", "/packages/audit", who=DORA)[1]["items"]) == 2
    # And goes on by cursor
    _, page, _ = api("GET", "/packages/audit", query={"limit": "1"})
    _, rest, _ = api("GET", "/packages/audit", query={"limit": "1", "cursor": page["cursor"]})
    assert {page["items"][0]["what"], rest["items"][0]["what"]} == {"package.registered", "version.registered"}


@pytest.mark.parametrize(
    "until", ["0001-01-01T00:00:00+14:00", "0999-05-01T00:00:00Z", "9999-12-31T23:00:00-14:00", "2026-01-01T00:00:00"]
)
def test_the_audit_is_until_a_time_that_can_be_reckoned_with(api: Api, until: str) -> None:
    for resource in (f"{ONE}/audit", "/packages/audit"):
        status, told, _ = api("GET", resource, query={"until": until}, who=DORA)
        assert (status, told["errors"][0]["field"]) == (422, "until")


def test_the_audit_until_long_ago_is_empty(api: Api) -> None:
    api("POST", ALL, NEW)
    for who in (ANN, DORA):
        assert api("GET", "/packages/audit", query={"until": "2001-03-01T00:00:00Z"}, who=who)[1]["items"] == []


def test_a_cursor_of_the_audit_tells_nothing_and_is_its_readers_alone(api: Api) -> None:
    # Given a page of the audit, and another
    api("POST", ALL, NEW)
    api("POST", ALL, {**NEW, "version": "2.0.0"})
    _, page, _ = api("GET", "/packages/audit", query={"limit": "1"})
    # Then the cursor says neither when it was nor of what
    said = base64.urlsafe_b64decode(page["cursor"].split(".")[0] + "==").decode()
    assert "2026" not in said
    assert "bert" not in said
    # And it leads nobody else anywhere
    query = {"limit": "1", "cursor": page["cursor"]}
    assert api("GET", "/packages/audit", query=query)[0] == 200
    for who in (BOB, DORA):
        assert api("GET", "/packages/audit", query=query, who=who)[0] == 400


def test_found_objects_are_listed_for_admins_with_their_real_keys(api: Api, time: Time) -> None:
    keys = [f"models/größe {number}/weights.bin" for number in range(3)]
    for key in keys:
        found.record(Store(api.store.table, time.clock), key, "v1", 3_600_000_000)
    told: list[Json] = []
    query = {"limit": "2"}
    while True:
        status, page, _ = api("GET", "/packages/unverified", query=query, who=DORA)
        assert status == 200
        told += page["items"]
        if page["cursor"] is None:
            break
        query = {"limit": "2", "cursor": page["cursor"]}
    assert [one["key"] for one in told] == keys
    assert told[0] == {
        "key": keys[0],
        "object_version": "v1",
        "size": 3_600_000_000,
        "state": "UNVERIFIED",
        "found_at": "2026-11-21T12:00:00Z",
    }
    assert api("GET", "/packages/unverified")[0] == 403


def test_a_found_object_is_deleted_by_admins_who_name_its_version(
    api: Api, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(api.client, time)
    monkeypatch.setattr(wiring, "deps", lambda: world.deps)
    at = "models/größe 1/weights.bin"
    version = world.s3.replaces(at, SMALL)
    found.record(world.deps.store, at, version, len(SMALL))
    where, etag = {"query": {"key": at}}, {"If-Match": f'"{version}"'}
    assert api("DELETE", "/packages/unverified", who=DORA, headers=etag)[0] == 422
    assert api("DELETE", "/packages/unverified", headers=etag, **where)[0] == 403
    status, problem, _ = api("DELETE", "/packages/unverified", who=DORA, **where)
    assert (status, version in problem["detail"]) == (412, True)
    assert api("DELETE", "/packages/unverified", who=DORA, headers=etag, **where)[0] == 204
    assert api("GET", "/packages/unverified", who=DORA)[1]["items"] == []
    status, problem, _ = api("DELETE", "/packages/unverified", who=DORA, headers=etag, **where)
    assert (status, problem["type"]) == (404, "https://weir.dev/problems/object-not-found")
    assert [one["what"] for one in api("GET", "/packages/audit", who=DORA)[1]["items"]] == ["object.deletion-asked"]


def test_a_version_is_deleted_by_admins_alone(api: Api, time: Time, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(api.client, time)
    world.register(of(SMALL), versions=1)
    world.pushed(SMALL)
    monkeypatch.setattr(wiring, "deps", lambda: world.deps)
    status, problem, _ = api("DELETE", ONE)
    assert (status, "yank" in problem["detail"]) == (403, True)
    assert api("DELETE", ONE, who=DORA)[0] == 204
    assert api("DELETE", ONE, who=DORA)[0] == api("GET", ONE)[0] == 404
    assert not [key for key, versions in world.s3.objects.items() if versions]
    status, problem, _ = api("POST", ALL, {"name": "bert-base", "version": "1.0.0"})
    assert (status, problem["type"]) == (409, "https://weir.dev/problems/version-exists")


def test_what_may_not_be_seen_is_not_there_on_any_route(api: Api) -> None:
    put(api.store, package(sensitivity="restricted", allowed_groups=("research",), latest="1.0.0"), served())
    asked: list[tuple[Any, ...]] = [
        ("GET", CARD),
        ("GET", VERSIONS),
        ("GET", ONE),
        ("GET", f"{ONE}/audit"),
        ("PATCH", NAMED, {"description": "x"}),
        ("PUT", ALIAS, {"version": "1.0.0"}),
        ("DELETE", ALIAS),
        ("POST", f"{ONE}/yank", {"reason": "x"}),
        ("POST", f"{ONE}/unyank"),
        ("POST", ALL, {"name": "bert-base", "version": "1.0.0"}),
    ]
    for one in asked:
        status, problem, _ = api(*one, who=BOB, alias="production")
        assert (status, problem["detail"]) == (404, "There is no package 'bert-base'."), one
    assert api("GET", "/packages/audit", query={"name": "bert-base"}, who=BOB)[0] == 404
    assert api("GET", ALL, who=BOB)[1]["items"] == []
    assert api("GET", CARD, who=BOB, groups="sales research")[0] == 200


def test_who_lacks_the_scope_gets_nowhere(api: Api) -> None:
    for method, resource in (route.split(" ") for route in api.module.NEEDS):
        needed = api.module.NEEDS[f"{method} {resource}"]
        held = "packages:read" if needed == "packages:write" else "packages:write"
        assert api(method, resource, {}, scopes=held, alias="production")[0] == 403


def test_the_largest_request_that_may_be_passes(api: Api) -> None:
    files = [{"path": f"{number:04d}" + "p" * 100, "size": 2**40, "sha256": SHA} for number in range(1_000)]
    body = {**NEW, "files": files, "metadata": {"card": "x" * 16_000}, "description": "d" * 2_000}
    assert NewVersion.model_validate(body)
    assert api("POST", ALL, body)[0] == 201
    assert api("POST", ALL, {**body, "metadata": {"card": "x" * 1_000_000}})[0] == 413
