"""The routes of trust and imports, and the steps of an import as they are called: status, headers, bodies."""

import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import quote

import pytest

from tests.unit.packages.filing import World
from tests.unit.packages.importing_world import SMALL, FakeMachine
from tests.unit.packages.registry import ANN, BOB, DORA, NOON, TABLE, Counted, Time, package, put, served, version
from tests.unit.packages.stub_hub import REPO, StubHub, serving
from tests.unit.packages.test_signing import FILES, pem, signed, statement
from weir.packages import wiring
from weir.packages.contract_trust import MOST_BODY_BYTES
from weir.packages.items import file_item, version_item
from weir.packages.models import Declared, File, State
from weir.packages.store import Store
from weir.runtime import aws, pagination, settings
from weir.runtime.dynamodb import Table

ROOT = Path(__file__).parents[3]
SAMPLE = json.loads((ROOT / "events" / "users-show.json").read_text())
BOTH = "packages:read packages:write"
OF_VERSION = "/packages/{name}/{version}"
KEYS = "/packages/public-keys"
IMPORT = "/packages/imports/{import_id}"
Json = dict[str, Any]


class Context:
    """As much of the Lambda context as is read."""

    function_name = "package-trust"
    memory_limit_in_mb = 512
    invoked_function_arn = "arn:aws:lambda:eu-west-1:123456789012:function:package-trust"
    aws_request_id = "c6af9ac6-7b61-11e6-9a41-93e8deadbeef"

    def get_remaining_time_in_millis(self) -> int:
        return 900_000


class Api:
    """The function, as API Gateway calls it."""

    def __init__(self, module: ModuleType, store: Store, machine: FakeMachine) -> None:
        self._module, self.store, self.machine = module, store, machine

    def __call__(
        self,
        method: str,
        resource: str,
        body: Any = None,
        *,
        who: str = ANN,
        scopes: str = BOTH,
        groups: str = "",
        query: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
        **parameters: str,
    ) -> tuple[int, Json, dict[str, str]]:
        """Status, body and headers."""
        path = resource
        for name, value in {"name": "bert-base", "version": "1.0.0", **parameters}.items():
            path = path.replace(f"{{{name}}}", quote(value, safe=""))
        event = json.loads(json.dumps(SAMPLE)) | {
            "resource": resource,
            "path": path,
            "httpMethod": method,
            "body": body if body is None or isinstance(body, str) else json.dumps(body),
            "queryStringParameters": query,
            "multiValueQueryStringParameters": {key: [value] for key, value in (query or {}).items()} or None,
        }
        for name, value in (headers or {}).items():
            event["headers"][name], event["multiValueHeaders"][name] = value, [value]
        event["requestContext"] |= {"path": f"/v1{path}", "resourcePath": resource, "httpMethod": method}
        event["requestContext"]["authorizer"] |= {
            "sub": who,
            "username": who[:3],
            "roles": "admin" if who == DORA else "publisher",
            "groups": groups,
            "scopes": scopes,
        }
        answer = self._module.handler(event, Context())
        told = {key: values[0] for key, values in answer["multiValueHeaders"].items()}
        return answer["statusCode"], json.loads(answer["body"]) if answer["body"] else {}, told


def load(folder: str, patch: pytest.MonkeyPatch) -> ModuleType:
    """A function's handler, as a new process would load it."""
    spec = importlib.util.spec_from_file_location(f"unit_{folder}", ROOT / "functions" / folder / "handler.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    patch.setitem(sys.modules, spec.name, made)
    spec.loader.exec_module(made)
    return made


@pytest.fixture
def api(client: Counted, store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    """On moto's DynamoDB, with a version of two files that were hashed."""
    monkeypatch.setenv("WEIR_PACKAGES_TABLE", TABLE)
    monkeypatch.setenv("WEIR_IDEMPOTENCY_TABLE", "once")
    monkeypatch.setenv("WEIR_IMPORT_MACHINE_ARN", "arn:aws:states:eu-west-1:123456789012:stateMachine:weir-import")
    settings.forget()
    monkeypatch.setattr(aws, "client", lambda service: client)
    monkeypatch.setattr(pagination, "_mac", lambda kind, payload: kind.encode()[:16])
    client.create_table(
        TableName="once",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    of = tuple(Declared(path, 4, digest) for path, digest in FILES.items())
    put(
        store, package(latest="1.0.0"), served(files=of, committed=2, verified=2, metadata={"license": "mit"}), files=of
    )
    for one in of:
        store.table.put(file_item(File("bert-base", "1.0.0", one, "key", State.AVAILABLE, verified_sha256=one.sha256)))
    module, machine = load("package_trust", monkeypatch), FakeMachine()
    monkeypatch.setattr(module, "_machine", lambda: machine)
    yield Api(module, store, machine)
    settings.forget()


COUNT = {"name": "some", "kind": "count"}
PATHS = {"name": "x", "kind": "paths", "allow": ["a*"] * 40}
SIGNED = {"keyid": "a" * 64, "sig": "AAAA"}
ENVELOPE = {"payload": "AAAA", "payloadType": "application/vnd.in-toto+json", "signatures": [SIGNED]}


# ---- Validation and score


def test_a_version_is_validated(api: Api) -> None:
    status, report, _ = api("POST", f"{OF_VERSION}/validate", {})
    assert (status, report["verdict"], report["by"]) == (200, "passed", ANN)
    asked = {"rules": [{"name": "for-ml", "kind": "groups", "any_of": ["ml"]}]}
    assert api("POST", f"{OF_VERSION}/validate", asked, groups="ml ops")[1]["verdict"] == "passed"
    status, report, _ = api("POST", f"{OF_VERSION}/validate", asked)
    assert report["verdict"] == "failed"
    assert report["rules"][-1] == {
        "rule": "for-ml",
        "kind": "groups",
        "verdict": "failed",
        "evidence": "the caller is in none of ml",
    }


@pytest.mark.parametrize(
    "rule",
    [
        {"name": "x", "kind": "eval", "code": "1"},
        {"name": "x", "kind": "groups", "any_of": ["g"], "caller": ["g"]},
        {"name": "all-hashed", "kind": "signed"},
        "all",
    ],
)
def test_a_rule_of_an_unknown_kind_is_422_and_nothing_is_stored(api: Api, rule: Any) -> None:
    status, problem, _ = api("POST", f"{OF_VERSION}/validate", {"rules": [rule]})
    assert status == 422
    assert problem["errors"][0]["field"].startswith("rules.0")
    found = api.store.version("bert-base", "1.0.0")
    assert found is not None
    assert found.validation is None


@pytest.mark.parametrize("version", ["1.0.0", "latest"])
def test_a_version_is_scored_by_number_or_alias(api: Api, version: str) -> None:
    status, scored, _ = api("GET", f"{OF_VERSION}/score", who=BOB, version=version)
    assert (status, scored["name"], scored["version"], scored["of"]) == (200, "bert-base", "1.0.0", 6)
    values = {one["name"]: one["value"] for one in scored["measures"]}
    assert (values["license"], values["safe_weights"]) == (1.0, 1.0)
    assert scored["measured"] == 6


def test_versions_with_build_metadata_are_found(api: Api) -> None:
    put(api.store, package(), served("2.0.0+build.7"))
    assert api("GET", f"{OF_VERSION}/score", version="2.0.0+build.7")[1]["version"] == "2.0.0+build.7"


@pytest.mark.parametrize("resource", [f"{OF_VERSION}/score", f"{OF_VERSION}/signature"])
def test_what_a_caller_may_not_see_is_not_there(api: Api, resource: str) -> None:
    put(api.store, package(sensitivity="restricted", allowed_groups=("ml",)))
    assert api("GET", resource, who=BOB)[0] == 404
    assert api("GET", f"{OF_VERSION}/score", who=BOB, groups="ml")[0] == 200
    for wrong in ({"version": "9.9.9"}, {"version": "nope"}, {"name": "other"}):
        assert api("GET", resource, **wrong)[0] == 404


# ---- Signatures


def test_a_signature_comes_and_is_read(api: Api) -> None:
    # Given a key that an admin has registered
    status, key, _ = api("POST", KEYS, {"label": "release", "public_key": pem("ed25519")}, who=DORA)
    assert (status, key["kind"], key["created_by"]) == (201, "ed25519", DORA)
    assert api("POST", KEYS, {"label": "other", "public_key": pem("ed25519")}, who=DORA)[:2] == (200, key)
    assert api("GET", KEYS, who=BOB)[1] == {"items": [key], "cursor": None}

    # When the owner brings a signature, Then everybody reads it as it came
    assert api("GET", f"{OF_VERSION}/signature")[0] == 404
    envelope = _body(signed(statement(FILES)))
    status, told, _ = api("PUT", f"{OF_VERSION}/signature", envelope)
    assert (status, told["keys"], told["trusted"]) == (200, [key["key_id"]], [key["key_id"]])
    status, read, _ = api("GET", f"{OF_VERSION}/signature", who=BOB, version="latest")
    assert (status, read, read["envelope"]) == (200, told, envelope)
    rule = {"rules": [{"name": "is-signed", "kind": "signed"}]}
    assert api("POST", f"{OF_VERSION}/validate", rule)[1]["verdict"] == "passed"

    # And it is trusted no more once its key was taken back
    assert api("DELETE", f"{KEYS}/{{key_id}}", who=DORA, key_id=key["key_id"])[0] == 204
    assert api("DELETE", f"{KEYS}/{{key_id}}", who=DORA, key_id=key["key_id"])[0] == 404
    assert api("GET", f"{OF_VERSION}/signature")[1]["trusted"] == []


def _body(envelope: Any) -> Json:
    from weir.packages.contract_trust import signature_view
    from weir.packages.signing import Signature

    body: Json = signature_view(Signature(envelope, (), (), NOON, ANN)).envelope.model_dump(mode="json")
    return body


@pytest.mark.parametrize(
    "change",
    [
        {"payloadType": "text/plain"},
        {"payload": "not base64!"},
        {"payload": ""},
        {"signatures": []},
        {"signatures": [{"sig": "AAAA"}]},
        {"signatures": [{"keyid": "x", "sig": "AAAA"}]},
        {"signatures": [{"keyid": "a" * 64, "sig": "?"}]},
        {"signatures": [{"keyid": "a" * 64, "sig": "AAAA"}] * 2},
        {"signatures": [{"keyid": f"{number:064x}", "sig": "AAAA"} for number in range(11)]},
        {"more": 1},
    ],
)
def test_what_is_no_envelope_is_422(api: Api, change: Json) -> None:
    assert api("PUT", f"{OF_VERSION}/signature", _body(signed(statement(FILES))) | change)[0] == 422


@pytest.mark.parametrize(
    ("method", "resource", "body", "field"),
    [
        ("POST", f"{OF_VERSION}/validate", {"rules": [COUNT, {"kind": "count"}]}, "rules.1.name"),
        ("POST", f"{OF_VERSION}/validate", {"rules": [COUNT, {**COUNT, "least": -1}]}, "rules.1.least"),
        ("POST", f"{OF_VERSION}/validate", {"rules": [{**COUNT, "count": 1}]}, "rules.0.count"),
        ("POST", f"{OF_VERSION}/validate", {"rules": [{**COUNT, "kind": "eval"}]}, "rules.0.kind"),
        ("POST", f"{OF_VERSION}/validate", {"rules": [{"name": "x"}]}, "rules.0.kind"),
        ("POST", f"{OF_VERSION}/validate", {"rules": [7]}, "rules.0"),
        ("POST", f"{OF_VERSION}/validate", {"rules": [PATHS, {**PATHS, "name": "y"}]}, "rules"),
        ("POST", f"{OF_VERSION}/validate", [], "body"),
        ("PUT", f"{OF_VERSION}/signature", {**ENVELOPE, "signatures": [SIGNED, SIGNED]}, "signatures"),
        ("PUT", f"{OF_VERSION}/signature", {**ENVELOPE, "signatures": [{**SIGNED, "sig": "?"}]}, "signatures.0.sig"),
        ("POST", "/packages/import", {"source": "huggingface", "repo": "audit"}, "name"),
    ],
)
def test_the_field_that_is_meant_is_named(api: Api, method: str, resource: str, body: Any, field: str) -> None:
    status, problem, _ = api(method, resource, body)
    assert (status, problem["errors"][0]["field"]) == (422, field)
    assert problem["detail"].startswith(f"The request can't be accepted: {field}: ")


def test_a_signature_of_a_version_that_was_deleted_is_404(api: Api) -> None:
    # Given a version of which its number is all that is left
    api.store.table.put(version_item(version(state=State.REJECTED, files=())))
    status, problem, _ = api("PUT", f"{OF_VERSION}/signature", _body(signed(statement(FILES))))
    assert (status, problem["type"]) == (404, "https://weir.dev/problems/version-not-found")


def test_a_signature_by_a_stranger_or_of_something_else_is_422(api: Api) -> None:
    status, problem, _ = api("PUT", f"{OF_VERSION}/signature", _body(signed(statement(FILES))))
    assert (status, problem["type"]) == (422, "https://weir.dev/problems/signature-refused")
    api("POST", KEYS, {"label": "release", "public_key": pem("ed25519")}, who=DORA)
    status, problem, _ = api("PUT", f"{OF_VERSION}/signature", _body(signed(statement({}))))
    assert (status, [one["field"] for one in problem["errors"]]) == (422, list(FILES))


def test_a_body_beyond_the_largest_signature_is_413(api: Api) -> None:
    assert api("PUT", f"{OF_VERSION}/signature", {"payload": "A" * MOST_BODY_BYTES})[0] == 413


def test_keys_are_registered_by_admins_and_told_page_by_page(api: Api) -> None:
    asked = {"label": "x", "public_key": pem("ed25519")}
    assert api("POST", KEYS, asked)[0] == 403
    assert api("POST", KEYS, {"label": "x", "public_key": "no"}, who=DORA)[0] == 422
    assert api("POST", KEYS, {"label": "a\nb", "public_key": pem("ed25519")}, who=DORA)[0] == 422
    ids = {
        api("POST", KEYS, asked | {"public_key": pem(kind)}, who=DORA)[1]["key_id"]
        for kind in ("ed25519", "ecdsa-p256")
    }
    _, first, _ = api("GET", KEYS, query={"limit": "1"})
    _, second, _ = api("GET", KEYS, query={"limit": "1", "cursor": first["cursor"]})
    assert {one["key_id"] for one in (*first["items"], *second["items"])} == ids
    assert api("GET", KEYS, query={"cursor": "made up"})[0] == 400
    assert api("DELETE", f"{KEYS}/{{key_id}}", key_id=ids.pop())[0] == 403
    assert api("DELETE", f"{KEYS}/{{key_id}}", key_id="x")[0] == 422


# ---- Imports


def test_an_import_is_started_once_for_a_key_and_watched(api: Api) -> None:
    asked = {"source": "huggingface", "repo": REPO}
    status, started, headers = api("POST", "/packages/import", asked, headers={"Idempotency-Key": "nightly"})
    assert (status, started["state"], started["name"]) == (202, "PLANNING", "acme-tiny-bert")
    assert headers["Location"] == started["location"] == f"/v1/packages/imports/{started['import_id']}"
    assert api("POST", "/packages/import", asked, headers={"Idempotency-Key": "nightly"})[:2] == (202, started)
    assert list(api.machine.started) == [started["import_id"]]
    other = asked | {"revision": "dev"}
    assert api("POST", "/packages/import", other, headers={"Idempotency-Key": "nightly"})[0] == 422

    status, seen, _ = api("GET", IMPORT, import_id=started["import_id"])
    assert status == 200
    assert {name: seen[name] for name in ("state", "repo", "revision", "commit", "version", "files", "size")} == {
        "state": "PLANNING",
        "repo": REPO,
        "revision": "main",
        "commit": None,
        "version": None,
        "files": {"copied": 0, "total": None},
        "size": {"copied": 0, "total": None},
    }
    assert api("GET", IMPORT, who=BOB, import_id=started["import_id"])[0] == 404
    assert api("GET", IMPORT, who=DORA, import_id=started["import_id"])[0] == 200
    assert api("GET", IMPORT, import_id="nothing")[0] == 422


@pytest.mark.parametrize(
    "change",
    [
        {"source": "ftp"},
        {"repo": "../etc"},
        {"repo": "a/b/c"},
        {"repo": "http://169.254.169.254/x"},
        {"repo": "acme/x?y=1"},
        {"repo": "a/b-"},
        {"repo": "import"},
        {"repo": f"{'a' * 90}/{'b' * 90}"},
        {"revision": "../../x"},
        {"revision": "a b"},
        {"revision": ""},
        {"version": "latest"},
        {"name": "-"},
        {"sensitivity": "secret"},
        {"token": "hf_x"},
    ],
    ids=str,
)
def test_what_can_not_be_imported_is_422(api: Api, change: Json) -> None:
    assert api("POST", "/packages/import", {"source": "huggingface", "repo": REPO} | change)[0] == 422
    assert api.machine.started == {}


def test_another_users_package_is_not_imported_into(api: Api) -> None:
    asked = {"source": "huggingface", "repo": REPO, "name": "Bert.Base"}
    assert api("POST", "/packages/import", asked, who=BOB)[0] == 403
    assert api("POST", "/packages/import", asked)[0] == 202


# ---- Scopes


ROUTES = [
    *[("POST", f"{OF_VERSION}/validate"), ("GET", f"{OF_VERSION}/score"), ("PUT", f"{OF_VERSION}/signature")],
    *[("GET", f"{OF_VERSION}/signature"), ("POST", KEYS), ("GET", KEYS), ("DELETE", f"{KEYS}/{{key_id}}")],
    *[("POST", "/packages/import"), ("GET", IMPORT)],
]


@pytest.mark.parametrize(("method", "resource"), ROUTES)
def test_reading_needs_one_scope_and_all_else_the_other(api: Api, method: str, resource: str) -> None:
    missing = "packages:write" if method == "GET" else "packages:read"
    status, problem, _ = api(method, resource, {}, who=DORA, scopes=missing, key_id="a" * 64, import_id="x")
    assert (status, "scope" in problem["detail"]) == (403, True)


# ---- The steps


def test_the_steps_of_an_import_are_called_by_name(
    client: Counted, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given the function of the steps, and an import that was started
    world = World(client, time)
    monkeypatch.setattr(wiring, "deps", lambda: world.deps)
    monkeypatch.setenv("WEIR_PACKAGES_TABLE", TABLE)
    monkeypatch.setenv("WEIR_PACKAGES_BUCKET", "packages")
    with serving(StubHub({"model.safetensors": SMALL}, {"model.safetensors"})) as stub:
        monkeypatch.setenv("WEIR_HUB_URL", stub.url)
        settings.forget()
        module, table = load("package_import", monkeypatch), Table(client, TABLE)
        import_id = _started(world, table)

        def step(name: str, **more: Any) -> Any:
            return module.handler({"step": name, "import_id": import_id, **more}, Context())

        # When its steps are called as the state machine does, Then each answers what the next one needs
        assert step("plan_import") == {"done": True, "files": 1}
        assert step("copy_file", number=0) == {"done": True, "next_part": 2, "quarantined": False}
        assert step("finish_import")["name"] == "acme-tiny-bert"
        assert step("undo_import", failure={"step": "Finish", "error": "States.Timeout", "cause": ""}) == {"aborted": 0}


def _started(world: World, table: Table) -> str:
    from tests.unit.packages.importing_world import begun

    return begun(world, FakeMachine())
