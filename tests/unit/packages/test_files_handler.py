"""The routes of uploads and downloads, event by event, on moto's DynamoDB: status, headers, bodies."""

import importlib.util
import json
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import quote

import pytest
from pydantic import ValidationError

from tests.unit.packages import evil
from tests.unit.packages.fake_bucket import MIB, checksum
from tests.unit.packages.fake_table import FakeTable
from tests.unit.packages.filing import NAME, PATH, SMALL, VERSION, World, of, sha256
from tests.unit.packages.registry import ANN, BOB, DORA, Counted, Time
from weir.packages import names, wiring
from weir.packages.contract import NewFile
from weir.packages.contract_files import NewUpload
from weir.packages.items import blob_item, file_item, version_item
from weir.packages.models import State, UploadState
from weir.packages.opening import OPEN_FOR
from weir.packages.scanning import scan
from weir.runtime import pagination

ROOT = Path(__file__).parents[3]
SAMPLE = json.loads((ROOT / "events" / "users-show.json").read_text())
UPLOADS = "/packages/{name}/{version}/uploads"
UPLOAD = f"{UPLOADS}/{{upload_id}}"
DOWNLOAD = "/packages/{name}/{version}/files/{file}/download"
Json = dict[str, Any]


class Context:
    """As much of the Lambda context as is read."""

    function_name = "package-files"
    memory_limit_in_mb = 512
    invoked_function_arn = "arn:aws:lambda:eu-west-1:123456789012:function:package-files"
    aws_request_id = "c6af9ac6-7b61-11e6-9a41-93e8deadbeef"


class Api:
    """The function, as API Gateway calls it."""

    def __init__(self, module: ModuleType, world: World) -> None:
        self.module, self.world = module, world

    def __call__(
        self,
        method: str,
        resource: str,
        body: Any = None,
        *,
        who: str = ANN,
        scopes: str = "packages:read packages:write",
        groups: str = "",
        decoded: bool = False,
        query: dict[str, str] | None = None,
        **parameters: str,
    ) -> tuple[int, Json, dict[str, str]]:
        """Status, body and headers. ``parameters`` are those of the path; on the wire they are percent-encoded, and so
        REST APIs hand them on; not so where ``decoded``."""
        given = {"name": NAME, "version": VERSION, **parameters}
        path = resource
        for name, value in given.items():
            path = path.replace(f"{{{name}}}", value if decoded else quote(value, safe=""))
        event = json.loads(json.dumps(SAMPLE)) | {
            "resource": resource,
            "path": path,
            "httpMethod": method,
            "body": None if body is None else json.dumps(body),
            "queryStringParameters": query,
            "multiValueQueryStringParameters": {key: [value] for key, value in (query or {}).items()} or None,
        }
        event["requestContext"] |= {"path": f"/v1{path}", "resourcePath": resource, "httpMethod": method}
        event["requestContext"]["authorizer"] |= {
            "sub": who,
            "username": who[:3],
            "roles": "admin" if who == DORA else "publisher",
            "groups": groups,
            "scopes": scopes,
        }
        answer = self.module.handler(event, Context())
        headers = {key: values[0] for key, values in answer["multiValueHeaders"].items()}
        return answer["statusCode"], json.loads(answer["body"]) if answer["body"] else {}, headers

    def opens(self, body: bytes = SMALL, file: str = PATH, **more: Any) -> tuple[int, Json, dict[str, str]]:
        """Ask for an upload."""
        return self("POST", UPLOADS, {"file": file, "size": len(body), "sha256": sha256(body)}, **more)

    def pushes(self, body: bytes = SMALL, file: str = PATH, **more: Any) -> tuple[int, Json]:
        """A file of one part, from its opening to its commit."""
        upload_id = self.opens(body, file, **more)[1]["upload_id"]
        asked = {"numbers": [1], "checksums": {"1": checksum(body)}}
        _, urls, _ = self("POST", f"{UPLOAD}/parts", asked, upload_id=upload_id, **more)
        (part,) = urls["items"]
        status, _, etag = self.world.s3.put(part["url"], body, part["headers"])
        assert status == 200
        told = {"parts": [{"number": 1, "etag": etag}]}
        return self("POST", f"{UPLOAD}/commit", told, upload_id=upload_id, **more)[:2]


@pytest.fixture(scope="module")
def module() -> ModuleType:
    """The handler, loaded once, as a process does."""
    spec = importlib.util.spec_from_file_location("unit_package_files", ROOT / "functions/package_files/handler.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = made
    spec.loader.exec_module(made)
    return made


def wired(module: ModuleType, world: World, patch: pytest.MonkeyPatch) -> Api:
    world.register()
    patch.setattr(wiring, "deps", lambda: world.deps)
    patch.setattr(pagination, "_mac", lambda kind, payload: kind.encode()[:16])
    return Api(module, world)


@pytest.fixture
def api(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Api:
    return wired(module, World(FakeTable(), Time()), monkeypatch)


@pytest.fixture
def on_moto(client: Counted, time: Time, module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Api:
    """On a DynamoDB that reads every expression."""
    return wired(module, World(client, time), monkeypatch)


def serve(world: World) -> None:
    """What the scan does once it has found nothing."""
    store = world.deps.store
    store.table.put(file_item(replace(world.file(), state=State.AVAILABLE, verified_sha256=sha256(SMALL))))
    store.table.put(version_item(replace(world.version(), state=State.AVAILABLE, verified=1)))


def test_a_file_is_pushed_and_got(on_moto: Api) -> None:
    # When an upload is opened / Then the answer tells how to go on
    status, opened, headers = on_moto.opens()
    own = f"/v1/packages/{NAME}/{VERSION}/uploads/{opened['upload_id']}"
    assert (status, headers["Location"]) == (201, own)
    assert opened["links"] == {"self": own, "parts": f"{own}/parts", "commit": f"{own}/commit"}
    assert (opened["present"], opened["part_size"], opened["parts"], opened["state"]) == (
        False,
        8 * MIB,
        1,
        "UPLOADING",
    )
    assert opened["expires_at"].startswith("2026-11-28T12:00:00")
    # When opened again / Then 200, the same
    status, again, headers = on_moto.opens()
    assert (status, again, "Location" in headers) == (200, opened, False)
    # When URLs are asked for, used, and the upload is looked at / Then the part has arrived
    asked = {"numbers": [1], "checksums": {"1": checksum(SMALL)}}
    status, urls, headers = on_moto("POST", f"{UPLOAD}/parts", asked, upload_id=opened["upload_id"])
    assert (status, urls["expires_in"], headers["Cache-Control"]) == (200, 900, "no-store")
    (part,) = urls["items"]
    assert part["headers"] == {"Content-Length": "23", "x-amz-checksum-sha256": checksum(SMALL)}
    _, _, etag = on_moto.world.s3.put(part["url"], SMALL, part["headers"])
    status, seen, _ = on_moto("GET", UPLOAD, upload_id=opened["upload_id"])
    assert (status, seen["state"], seen["cursor"]) == (200, "OPEN", None)
    assert seen["items"] == [{"number": 1, "size": 23, "etag": etag.strip('"'), "sha256": checksum(SMALL)}]
    # When committed, twice / Then the file is to be scanned, and told the same
    told = {"parts": [{"number": 1, "etag": etag, "sha256": checksum(SMALL)}]}
    first = on_moto("POST", f"{UPLOAD}/commit", told, upload_id=opened["upload_id"])
    assert on_moto("POST", f"{UPLOAD}/commit", told, upload_id=opened["upload_id"])[:2] == first[:2]
    status, done, _ = first
    assert (status, done["file"]["state"], done["file"]["verified_sha256"]) == (200, "SCANNING", None)
    assert done["version"] == {
        "name": NAME,
        "version": VERSION,
        "state": "SCANNING",
        "files": 1,
        "committed": 1,
        "verified": 0,
    }
    # When asked for before it was scanned / Then 409; after it / Then there is a URL
    assert on_moto("GET", DOWNLOAD, file=PATH)[0] == 409
    serve(on_moto.world)
    status, given, headers = on_moto("GET", DOWNLOAD, file=PATH, who=BOB, query={"ttl": "60"})
    assert (status, given["expires_in"], given["sha256"], given["size"]) == (200, 60, sha256(SMALL), 23)
    assert (given["object_version"], headers["Cache-Control"]) == (done["file"]["object_version"], "no-store")
    assert on_moto.world.s3.get(given["url"]) == (200, SMALL)
    # and the bytes need no second upload
    assert on_moto.opens()[:2][0] == 200
    assert on_moto.opens()[1]["present"] is True


def test_versions_share_bytes_on_dynamodb_too(on_moto: Api) -> None:
    # Given two versions with the same bytes, and one more with those once they are verified
    for text in ("2.0.0", "3.0.0"):
        on_moto.world.another_version(text, of(SMALL))
    assert on_moto.pushes()[0] == 200
    assert on_moto.pushes(version="2.0.0")[1]["version"]["state"] == "SCANNING"
    blob = on_moto.world.blob(SMALL)
    assert blob is not None
    assert blob.references == 2
    on_moto.world.deps.store.table.put(blob_item(replace(blob, verified=True, content="safetensors")))
    # When it is opened / Then its bytes are here, and it is served
    status, opened, _ = on_moto.opens(version="3.0.0")
    assert (status, opened["present"], opened["upload_id"], opened["links"]) == (200, True, None, None)
    blob = on_moto.world.blob(SMALL)
    assert blob is not None
    assert blob.references == 3
    package = on_moto.world.deps.store.package(NAME)
    assert package is not None
    assert (package.latest, on_moto.world.version("3.0.0").state) == ("3.0.0", State.AVAILABLE)


def test_bytes_whose_object_is_gone_are_told_anew_on_dynamodb_too(on_moto: Api) -> None:
    on_moto.world.another_version("2.0.0")
    on_moto.pushes()
    on_moto.world.s3.objects.clear()
    assert on_moto.pushes(version="2.0.0")[0] == 200


def test_an_upload_is_aborted(on_moto: Api) -> None:
    _, opened, _ = on_moto.opens()
    for _ in range(2):
        assert on_moto("DELETE", UPLOAD, upload_id=opened["upload_id"])[:2] == (204, {})
    assert on_moto.world.s3.multiparts == {}
    assert on_moto("GET", UPLOAD, upload_id=opened["upload_id"])[1]["state"] == "ABORTED"
    # When it is used all the same / Then 409
    told = {"parts": [{"number": 1, "etag": "e"}]}
    status, problem, _ = on_moto("POST", f"{UPLOAD}/commit", told, upload_id=opened["upload_id"])
    assert (status, problem["type"]) == (409, "https://weir.dev/problems/upload-ended")
    asked = {"numbers": [1], "checksums": {"1": checksum(SMALL)}}
    assert on_moto("POST", f"{UPLOAD}/parts", asked, upload_id=opened["upload_id"])[0] == 409


def test_an_expired_upload_gives_way_on_dynamodb_too(on_moto: Api, time: Time) -> None:
    api = on_moto
    first = api.opens()[1]["upload_id"]
    time.pass_by(OPEN_FOR.total_seconds())
    status, opened, _ = api.opens()
    assert status == 201
    assert opened["upload_id"] != first
    (ended,) = [one for one in api.world.uploads() if one.upload_id == first]
    assert ended.state is UploadState.ABORTED


def test_a_commit_under_way_tells_when_to_ask_again(api: Api) -> None:
    _, opened, _ = api.opens()
    upload = api.world.uploads()[0]
    sent = api.world.sends(upload, SMALL)
    told = {"parts": [{"number": 1, "etag": sent[0].etag}]}
    seen: list[tuple[int, str | None]] = []

    def second(operation: str, request: object) -> None:
        if operation == "complete_multipart_upload":
            api.world.s3.before = lambda operation, request: None
            status, problem, headers = api("POST", f"{UPLOAD}/commit", told, upload_id=opened["upload_id"])
            seen.append((status, headers.get("Retry-After")))
            assert problem["type"].endswith("/commit-under-way")

    # When a second commit comes while the first is at S3 / Then 409 with Retry-After, and the first is done
    api.world.s3.before = second
    assert api("POST", f"{UPLOAD}/commit", told, upload_id=opened["upload_id"])[0] == 200
    assert seen == [(409, "5")]


def test_parts_that_do_not_fit_are_named(api: Api) -> None:
    _, opened, _ = api.opens()
    told = {"parts": [{"number": 1, "etag": "e"}]}
    status, problem, _ = api("POST", f"{UPLOAD}/commit", told, upload_id=opened["upload_id"])
    assert (status, problem["type"]) == (422, "https://weir.dev/problems/parts-wrong")
    assert problem["errors"] == [{"field": "parts.1", "message": "has not arrived"}]


def test_a_thousand_urls_a_call(api: Api) -> None:
    # Given a file of more parts / When a thousand are asked for / Then all come; one more is refused
    asked = {"file": PATH, "size": 1_001 * 8 * MIB, "sha256": "0" * 64}
    upload_id = api("POST", UPLOADS, asked)[1]["upload_id"]

    def sign(count: int) -> tuple[int, Json]:
        sums = {str(number): checksum(b"") for number in range(1, count + 1)}
        body = {"numbers": list(range(1, count + 1)), "checksums": sums}
        return api("POST", f"{UPLOAD}/parts", body, upload_id=upload_id)[:2]

    status, urls = sign(1_000)
    assert (status, [one["number"] for one in urls["items"]]) == (200, list(range(1, 1_001)))
    assert len({one["url"] for one in urls["items"]}) == 1_000
    assert len(json.dumps(urls)) < 6_000_000 - 1_000 * 1_500  # what Lambda answers at most, with a role's long token
    assert sign(1_001)[0] == 422


def test_what_has_arrived_is_paged_by_a_cursor(api: Api) -> None:
    asked = {"file": PATH, "size": 5 * 8 * MIB, "sha256": "0" * 64}
    upload_id = api("POST", UPLOADS, asked)[1]["upload_id"]
    upload = api.world.uploads()[0]
    for number in range(1, 6):
        api.world.deps.bucket.upload_part(upload.key, upload.s3_upload_id, number, b"", checksum(b""))
    found: list[int] = []
    cursor: str | None = None
    for _ in range(3):
        query = {"limit": "2", **({"cursor": cursor} if cursor else {})}
        _, page, _ = api("GET", UPLOAD, upload_id=upload_id, query=query)
        found += [one["number"] for one in page["items"]]
        cursor = page["cursor"]
    assert (found, cursor) == ([1, 2, 3, 4, 5], None)
    assert api("GET", UPLOAD, upload_id=upload_id, query={"cursor": "made.up"})[0] == 400
    assert api("GET", UPLOAD, upload_id=upload_id, query={"limit": "1001"})[0] == 422


BAD_FILES: list[tuple[str, Any]] = [
    ("file", ".."),
    ("file", "../x"),
    ("file", "a/../x"),
    ("file", "/etc/passwd"),
    ("file", "a//b"),
    ("file", "a\\b"),
    ("file", "C:x"),
    ("file", "e\u0301.bin"),
    ("file", "a\u202eb"),
    ("file", "a\u0000b"),
    ("file", "con.bin"),
    ("file", "x" * 513),
    ("file", ""),
    ("file", 7),
    ("size", -1),
    ("size", 5 * 1024 * 1024 * MIB + 1),
    ("size", 1.5),
    ("size", 1.0),
    ("size", "1"),
    ("size", True),
    ("sha256", "0" * 63),
    ("sha256", "G" * 64),
    ("sha256", "A" * 64),
    ("content_type", "text"),
    ("content_type", "text/plain; charset=utf-8"),
    ("content_type", "text/html\r\nx: y"),
    ("owner", "me"),
]


@pytest.mark.parametrize(("field", "value"), BAD_FILES)
def test_a_file_that_is_none_is_refused_by_its_field(api: Api, field: str, value: Any) -> None:
    status, problem, _ = api("POST", UPLOADS, {"file": PATH, "size": 1, "sha256": "0" * 64, field: value})
    assert (status, problem["errors"][0]["field"]) == (422, field)
    assert (api.world.uploads(), api.world.s3.called) == ([], [])


BAD_PARTS: list[tuple[Any, str]] = [
    ({"numbers": [1]}, "checksums"),
    ({"numbers": [], "checksums": {}}, "numbers"),
    ({"numbers": [1, 1], "checksums": {"1": checksum(b"")}}, "numbers"),
    ({"numbers": [1], "checksums": {"2": checksum(b"")}}, "checksums"),
    ({"numbers": [1], "checksums": {"1": checksum(b""), "2": checksum(b"")}}, "checksums"),
    ({"numbers": [0], "checksums": {"0": checksum(b"")}}, "numbers.0"),
    ({"numbers": ["1"], "checksums": {"1": checksum(b"")}}, "numbers.0"),
    ({"numbers": [1.0], "checksums": {"1": checksum(b"")}}, "numbers.0"),
    ({"numbers": [True], "checksums": {"1": checksum(b"")}}, "numbers.0"),
    ({"numbers": [10_001], "checksums": {"10001": checksum(b"")}}, "numbers.0"),
    ({"numbers": [1], "checksums": {"1": "0" * 64}}, "checksums.1"),
    ({"numbers": [2], "checksums": {"2": checksum(b"")}}, "checksums.2"),
]


@pytest.mark.parametrize(("body", "field"), BAD_PARTS)
def test_parts_that_are_none_get_no_urls(api: Api, body: Any, field: str) -> None:
    upload_id = api.opens()[1]["upload_id"]
    status, problem, _ = api("POST", f"{UPLOAD}/parts", body, upload_id=upload_id)
    assert (status, problem["errors"][0]["field"]) == (422, field)
    assert api.world.s3.signed == {}


@pytest.mark.parametrize("number", ["1", 1.0, True, 0])
def test_a_part_that_has_no_number_is_not_committed(api: Api, number: Any) -> None:
    upload_id = api.opens()[1]["upload_id"]
    told = {"parts": [{"number": number, "etag": "e"}]}
    status, problem, _ = api("POST", f"{UPLOAD}/commit", told, upload_id=upload_id)
    assert (status, problem["errors"][0]["field"]) == (422, "parts.0.number")
    assert api.world.uploads()[0].state is UploadState.OPEN


def test_what_may_be_declared_of_a_file_is_one_for_versions_and_uploads() -> None:
    given = {"sha256": "0" * 64, "size": 1}
    for kind in ("text/plain", "application/x-a+b", "text/plain; charset=utf-8", "text", "a/b/c", ""):
        taken = []
        for model, named in ((NewFile, "path"), (NewUpload, "file")):
            with suppress(ValidationError):
                taken.append(model.model_validate({**given, named: "a.bin", "content_type": kind}))
        assert len(taken) in {0, 2}, kind


# Known bytes under another name


def test_files_that_are_quarantined_for_their_names_are_counted(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given bytes that are verified, and uploads of them, as another format, of two versions
    told: list[Any] = []
    monkeypatch.setattr(api.module, "emit", lambda values, _: told.append(values))
    honest = evil.safetensors(evil.weights((0, 4)), bytes(4))
    for text, path in (("2.0.0", PATH), ("3.0.0", "x.npy"), ("4.0.0", "x.npy")):
        api.world.another_version(text, of(honest, path))
    upload, parts = api.world.sent(honest, "x.npy", "3.0.0")
    api.world.pushed(honest, PATH, "2.0.0")
    assert scan(NAME, sha256(honest), api.world.deps, 1e12).quarantined == 0
    # When the one is committed, twice / Then that is told once
    body = {"parts": [{"number": one.number, "etag": one.etag} for one in parts]}
    for _ in range(2):
        status, view, _ = api("POST", f"{UPLOAD}/commit", body, upload_id=upload.upload_id, version="3.0.0")
        assert (status, view["file"]["state"]) == (200, "QUARANTINED")
    assert told == [{"FilesQuarantined": ("Count", 1)}]
    # And when the other is opened, for which nothing is to be sent
    new = {"file": "x.npy", "size": len(honest), "sha256": sha256(honest)}
    assert api("POST", UPLOADS, new, version="4.0.0")[1]["state"] == "QUARANTINED"
    assert api("POST", UPLOADS, new, version="4.0.0")[0] == 409
    assert told == [{"FilesQuarantined": ("Count", 1)}] * 2


# Who, and what is named how


def test_routes_need_their_scopes_and_the_owner(api: Api) -> None:
    upload_id = api.opens()[1]["upload_id"]
    told = {"parts": [{"number": 1, "etag": "e"}]}
    asked = {"numbers": [1], "checksums": {"1": checksum(SMALL)}}
    new = {"file": PATH, "size": len(SMALL), "sha256": sha256(SMALL)}
    for method, resource, body in (
        ("POST", UPLOADS, new),
        ("GET", UPLOAD, None),
        ("DELETE", UPLOAD, None),
        ("POST", f"{UPLOAD}/parts", asked),
        ("POST", f"{UPLOAD}/commit", told),
    ):
        other = "packages:write" if method == "GET" else "packages:read"
        assert api(method, resource, body, upload_id=upload_id, scopes=other)[0] == 403
        status, problem, _ = api(method, resource, body, upload_id=upload_id, who=BOB)
        assert (status, problem["type"]) == (403, "https://weir.dev/problems/not-the-owner")
    assert api("GET", DOWNLOAD, file=PATH, scopes="packages:write")[0] == 403
    # and an admin may
    assert api("DELETE", UPLOAD, upload_id=upload_id, who=DORA)[0] == 204


def test_what_a_caller_may_not_see_does_not_exist(api: Api) -> None:
    # Given a package of one group
    api.world.register(sensitivity="restricted", allowed_groups=("research",))
    api.pushes()
    serve(api.world)
    # Then others get what they get of a package that is not there
    status, hidden, _ = api("GET", DOWNLOAD, file=PATH, who=BOB)
    _, missing, _ = api("GET", DOWNLOAD, file=PATH, who=BOB, name="nowhere")
    assert status == 404
    unlike = {"instance", "request_id"}
    assert {key: str(value).replace(NAME, "nowhere") for key, value in hidden.items() if key not in unlike} == {
        key: str(value) for key, value in missing.items() if key not in unlike
    }
    assert api("GET", DOWNLOAD, file=PATH, who=BOB, groups="sales research")[0] == 200
    assert api.world.told("file.download-issued") == 1


@pytest.mark.parametrize("decoded", [False, True])
@pytest.mark.parametrize(
    "path", ["модель/вес 1.bin", "a/b#c`d.bin", "~1/~0.bin", "👍.bin", "100%.bin", "a+b&c=d;e@f.bin", "x'y\u00e9.bin"]
)
def test_every_path_that_may_be_declared_can_be_got(api: Api, path: str, decoded: bool) -> None:
    # Given a file whose name is no plain text
    assert names.path_problem(path) is None
    assert api.pushes(file=path)[0] == 200
    store = api.world.deps.store
    store.table.put(file_item(replace(api.world.file(path), state=State.AVAILABLE)))
    store.table.put(version_item(replace(api.world.version(), state=State.AVAILABLE, verified=1)))
    # When it is asked for, encoded as REST APIs hand paths on, or decoded as others do / Then it is given
    status, given, _ = api("GET", DOWNLOAD, file=names.in_url(path), decoded=decoded)
    assert (status, given.get("path")) == (200, path)


def test_a_version_with_build_metadata_is_the_one_without(api: Api) -> None:
    assert api.opens(version="1.0.0+build.7")[0] == 201
    assert api.opens()[0] == 200


@pytest.mark.parametrize(
    ("parameters", "status"),
    [
        ({"version": "latest"}, 404),
        ({"version": "1.0"}, 404),
        ({"version": "../1.0.0"}, 404),
        ({"name": "-x"}, 422),
        ({"name": "a" * 129}, 422),
        ({"file": "../../x"}, 404),
        ({"file": ".."}, 404),
    ],
)
def test_what_is_no_name_is_not_found(api: Api, parameters: dict[str, str], status: int) -> None:
    assert api("GET", DOWNLOAD, **{"file": PATH, **parameters})[0] == status


@pytest.mark.parametrize(("ttl", "given"), [("0", 1), ("-1", 1), ("901", 900), ("99999999999", 900)])
def test_ttl_is_cut_off(api: Api, ttl: str, given: int) -> None:
    api.pushes()
    serve(api.world)
    assert api("GET", DOWNLOAD, file=PATH, query={"ttl": ttl})[1]["expires_in"] == given


def test_a_ttl_that_is_no_number_is_refused(api: Api) -> None:
    assert api("GET", DOWNLOAD, file=PATH, query={"ttl": "soon"})[0] == 422
