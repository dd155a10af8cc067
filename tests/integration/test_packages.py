"""Packages on the deployed stack: registered, uploaded by presigned URLs, scanned, served, refused, found, swept."""

import base64
import hashlib
import json
import os
import pickle
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

import boto3
import botocore.exceptions
import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from securesystemslib.dsse import Envelope
from securesystemslib.signer import CryptoSigner

from tests.integration.conftest import Api, Json, People, Stack, problem

MIB = 1024 * 1024
WAIT_SECONDS = 90.0
"""Until a file must be scanned."""


def safetensors(size: int = 64) -> bytes:
    """A file of weights as it should be."""
    header = json.dumps({"w": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    return len(header).to_bytes(8, "little") + header + os.urandom(size)


class Evil:
    """Whose pickle runs a command when it is loaded."""

    def __reduce__(self) -> Any:
        return os.system, ("touch /tmp/weir-was-here",)


def declared(path: str, body: bytes) -> Json:
    """A file as its publisher declares it."""
    return {"path": path, "size": len(body), "sha256": hashlib.sha256(body).hexdigest()}


def send(url: Json, body: bytes) -> httpx.Response:
    """One part, put to its presigned URL."""
    return httpx.put(url["url"], content=body, headers=url.get("headers", {}), timeout=60)


class Publisher:
    """A publisher, and what they do again and again."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.made: list[str] = []

    def register(self, version: str = "1.0.0", name: str | None = None, **fields: Any) -> str:
        """Register a version; its path."""
        name = name or f"it-{uuid.uuid4().hex[:12]}"
        answer = self.api("POST", "/packages", {"name": name, "version": version, **fields})
        assert answer.status_code in {200, 201}, answer.text
        self.made.append(f"/packages/{name}/{version}")
        return self.made[-1]

    def open(self, version: str, path: str, body: bytes) -> Json:
        """Open an upload."""
        told = declared(path, body)
        asked = {"file": path, "size": told["size"], "sha256": told["sha256"]}
        answer = self.api("POST", f"{version}/uploads", asked)
        assert answer.status_code in {200, 201}, answer.text
        opened: Json = answer.json()
        return opened

    def parts(self, version: str, opened: Json, body: bytes) -> list[Json]:
        """Put all parts; what a commit says of them."""
        size, count = opened["part_size"], opened["parts"]
        pieces = {n: body[(n - 1) * size : n * size] for n in range(1, count + 1)}
        sums = {n: base64.b64encode(hashlib.sha256(piece).digest()).decode() for n, piece in pieces.items()}
        place = f"{version}/uploads/{opened['upload_id']}"
        asked = {"numbers": sorted(pieces), "checksums": {str(n): text for n, text in sums.items()}}
        answer = self.api("POST", f"{place}/parts", asked)
        assert answer.status_code == 200, answer.text
        parts = []
        for url in answer.json()["items"]:
            put = send(url, pieces[url["number"]])
            assert put.status_code == 200, put.text
            parts.append({"number": url["number"], "etag": put.headers["ETag"], "sha256": sums[url["number"]]})
        return parts

    def commit(self, version: str, opened: Json, parts: list[Json]) -> httpx.Response:
        """Commit an upload."""
        return self.api("POST", f"{version}/uploads/{opened['upload_id']}/commit", {"parts": parts})

    def upload(self, version: str, path: str, body: bytes) -> None:
        """Upload a file from its beginning to its end."""
        opened = self.open(version, path, body)
        committed = self.commit(version, opened, self.parts(version, opened, body))
        assert committed.status_code == 200, committed.text

    def settled(self, version: str) -> Json:
        """The version once its files are scanned."""
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            found: Json = self.api("GET", version).json()
            if found["state"] in {"AVAILABLE", "QUARANTINED", "REJECTED"}:
                return found
            assert time.monotonic() < deadline, found
            time.sleep(0.2)


@pytest.fixture(scope="module")
def publisher(people: People, api: Api) -> Iterator[Publisher]:
    made = Publisher(people("publisher"))
    yield made
    for version in dict.fromkeys(made.made):
        assert api("DELETE", version).status_code in {204, 404}


@pytest.fixture(scope="module")
def published(publisher: Publisher) -> tuple[str, bytes]:
    """A version that is served, and the bytes of its file ``model.safetensors``."""
    body = safetensors()
    version = publisher.register(metadata={"license": "apache-2.0"}, description="for the tests")
    publisher.upload(version, "model.safetensors", body)
    assert publisher.settled(version)["state"] == "AVAILABLE"
    return version, body


def test_a_package_goes_from_registration_to_download(publisher: Publisher) -> None:
    # Given a version of two files, one of them in two parts
    weights, card = os.urandom(8 * MIB + 1), b"# A card\n"
    version = publisher.register(files=[declared("weights.bin", weights), declared("docs/README.md", card)])
    assert publisher.api("GET", version).json()["state"] == "INITIATED"
    # When both are uploaded
    for path, body in (("weights.bin", weights), ("docs/README.md", card)):
        publisher.upload(version, path, body)
    # Then both are hashed again, and served as they were
    found = publisher.settled(version)
    assert found["state"] == "AVAILABLE", found
    for path, body in (("weights.bin", weights), ("docs/README.md", card)):
        (file,) = [one for one in found["files"] if one["path"] == path]
        assert file["verified_sha256"] == hashlib.sha256(body).hexdigest()
        answer = publisher.api("GET", f"{version}/files/{path.replace('/', '~1')}/download?ttl=60")
        assert answer.status_code == 200, answer.text
        assert httpx.get(answer.json()["url"], timeout=60).content == body
    # And the card names the newest release
    name = version.split("/")[2]
    assert publisher.api("GET", f"/packages/{name}").json()["latest"] == "1.0.0"
    assert publisher.api("GET", f"/packages/{name}/latest").json()["version"] == "1.0.0"
    # And the audit tells all of it
    told = {one["what"] for one in publisher.api("GET", f"{version}/audit").json()["items"]}
    assert {"version.registered", "upload.opened", "upload.committed", "file.download-issued"} <= told


def test_a_version_is_the_same_for_good(publisher: Publisher, published: tuple[str, bytes]) -> None:
    # Given a version that is served
    version, body = published
    name = version.split("/")[2]
    # When the same is registered and uploaded again, Then that is fine, and nothing is sent
    same = {"name": name, "version": "1.0.0", "metadata": {"license": "apache-2.0"}, "description": "for the tests"}
    assert publisher.api("POST", "/packages", same).status_code == 200
    assert publisher.open(version, "model.safetensors", body)["present"] is True
    # When anything else is, Then it is refused
    problem(publisher.api("POST", "/packages", {**same, "description": "another"}), 409)
    other = declared("model.safetensors", b"other bytes")
    problem(
        publisher.api(
            "POST", f"{version}/uploads", {"file": other["path"], "size": other["size"], "sha256": other["sha256"]}
        ),
        409,
    )


def test_what_is_not_what_was_declared_is_quarantined(publisher: Publisher) -> None:
    # Given bytes that are not those whose hash was declared
    body, declared_as = os.urandom(1000), os.urandom(1000)
    version = publisher.register()
    opened = publisher.open(version, "model.bin", declared_as)
    # When they are uploaded
    assert publisher.commit(version, opened, publisher.parts(version, opened, body)).status_code == 200
    # Then the version is quarantined, tells why, and can't be downloaded
    found = publisher.settled(version)
    assert found["state"] == "QUARANTINED"
    assert hashlib.sha256(body).hexdigest()[:12] in json.dumps(found)
    problem(publisher.api("GET", f"{version}/files/model.bin/download"), 409)


def test_a_pickle_that_runs_commands_is_quarantined_and_never_run(publisher: Publisher) -> None:
    # Given a pickle that would run a command
    version = publisher.register()
    publisher.upload(version, "model.pkl", pickle.dumps(Evil()))
    # When it is scanned, Then it is quarantined for what it would call
    found = publisher.settled(version)
    assert found["state"] == "QUARANTINED"
    assert "system" in json.dumps(found)
    assert not os.path.exists("/tmp/weir-was-here")  # noqa: PTH110


def test_a_version_is_judged_scored_and_signed(api: Api, publisher: Publisher, published: tuple[str, bytes]) -> None:
    # Given a version that is served, and a public key that an admin has registered
    version, body = published
    private = Ed25519PrivateKey.generate()
    pem = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    problem(publisher.api("POST", "/packages/public-keys", {"label": "mine", "public_key": pem}), 403)
    made = api("POST", "/packages/public-keys", {"label": "a test's", "public_key": pem})
    assert made.status_code == 201, made.text
    key_id = made.json()["key_id"]
    try:
        # When it is held against the rules, and scored
        report = publisher.api("POST", f"{version}/validate", {}).json()
        score = publisher.api("GET", f"{version}/score").json()
        # Then each rule and measure tells its evidence
        assert report["verdict"] in {"passed", "failed"}
        assert all(one["evidence"] for one in report["rules"])
        assert all(one["evidence"] for one in score["measures"])
        # When it is signed by that key, over the very files
        subject = [{"name": "model.safetensors", "digest": {"sha256": hashlib.sha256(body).hexdigest()}}]
        predicate = {"predicateType": "https://example.org/released/v1", "predicate": {}}
        statement = {"_type": "https://in-toto.io/Statement/v1", "subject": subject, **predicate}
        signed = Envelope(json.dumps(statement).encode(), "application/vnd.in-toto+json", {})
        signed.sign(CryptoSigner(private))
        put = publisher.api("PUT", f"{version}/signature", signed.to_dict())
        assert put.status_code in {200, 201}, put.text
        # Then whoever may see it sees who signed
        assert publisher.api("GET", f"{version}/signature").json()["trusted"] == [key_id]
        # When other files are signed, Then that is refused
        subject[0]["digest"] = {"sha256": "0" * 64}
        other = Envelope(json.dumps(statement).encode(), "application/vnd.in-toto+json", {})
        other.sign(CryptoSigner(private))
        assert publisher.api("PUT", f"{version}/signature", other.to_dict()).status_code in {409, 422}
    finally:
        assert api("DELETE", f"/packages/public-keys/{key_id}").status_code == 204


def test_two_commits_at_once_make_one_object(deployed: Stack, publisher: Publisher) -> None:
    # Given an upload whose parts have arrived
    body = os.urandom(2000)
    version = publisher.register()
    opened = publisher.open(version, "model.bin", body)
    parts = publisher.parts(version, opened, body)
    # When it is committed eight times at once
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: publisher.commit(version, opened, parts), range(8)))
    # Then somebody has done it, nobody else was told anything but that, and there is one object
    assert {answer.status_code for answer in answers} <= {200, 409}
    assert publisher.commit(version, opened, parts).status_code == 200
    found = publisher.settled(version)
    assert (found["state"], len(found["files"])) == ("AVAILABLE", 1)
    listed = deployed.client("s3").list_object_versions(
        Bucket=deployed.outputs["PackagesBucketName"], Prefix=f"packages/{version.split('/')[2]}/"
    )
    assert len(listed.get("Versions", [])) == 1


def test_parts_that_do_not_fit_are_refused_and_can_be_mended(publisher: Publisher) -> None:
    # Given an upload of two parts
    body = os.urandom(8 * MIB + 5)
    version = publisher.register()
    opened = publisher.open(version, "model.bin", body)
    place = f"{version}/uploads/{opened['upload_id']}"
    # When a part is sent whose bytes are not those whose checksum was signed, Then S3 refuses it
    asked = {"numbers": [2], "checksums": {"2": base64.b64encode(hashlib.sha256(b"right").digest()).decode()}}
    (url,) = publisher.api("POST", f"{place}/parts", asked).json()["items"]
    assert send(url, b"wrong").status_code == 400
    # When a part is missing, or they are swapped, Then the commit is refused
    parts = publisher.parts(version, opened, body)
    problem(publisher.commit(version, opened, parts[:1]), 422)
    swapped = [{**parts[0], "etag": parts[1]["etag"]}, {**parts[1], "etag": parts[0]["etag"]}]
    problem(publisher.commit(version, opened, swapped), 422)
    # And with the right ones it is done
    arrived = publisher.api("GET", place).json()["items"]
    assert [(one["number"], one["size"]) for one in arrived] == [(1, 8 * MIB), (2, 5)]
    assert publisher.commit(version, opened, parts).status_code == 200
    assert publisher.settled(version)["state"] == "AVAILABLE"


def test_an_upload_that_is_aborted_leaves_nothing(deployed: Stack, publisher: Publisher) -> None:
    # Given an upload with a part
    body = os.urandom(100)
    version = publisher.register()
    opened = publisher.open(version, "model.bin", body)
    parts = publisher.parts(version, opened, body)
    # When it is aborted
    assert publisher.api("DELETE", f"{version}/uploads/{opened['upload_id']}").status_code == 204
    # Then S3 has no upload of it, it can't be committed, and another can be opened
    uploads = deployed.client("s3").list_multipart_uploads(
        Bucket=deployed.outputs["PackagesBucketName"], Prefix=f"packages/{version.split('/')[2]}/"
    )
    assert uploads.get("Uploads", []) == []
    assert publisher.commit(version, opened, parts).status_code == 409
    publisher.upload(version, "model.bin", body)
    assert publisher.settled(version)["state"] == "AVAILABLE"


def test_who_may_not_see_a_package_learns_nothing_of_it(api: Api, publisher: Publisher, people: People) -> None:
    # Given a package for a group, and somebody who is not in it
    group = f"it-{uuid.uuid4().hex[:8]}"
    user = publisher.api.user["user_id"]
    assert api("PATCH", f"/users/{user}", {"groups": [group]}).status_code == 200
    stranger = people("publisher")
    member = publisher.api
    relogged = member.login
    answer = member("POST", "/auth/refresh", {"refresh_token": relogged.refresh_token})
    relogged.take(answer.json())
    version = publisher.register(sensitivity="restricted", allowed_groups=[group])
    publisher.upload(version, "model.bin", b"for the group")
    assert publisher.settled(version)["state"] == "AVAILABLE"
    name = version.split("/")[2]
    # When the stranger tries whatever there is, Then there is no such package
    for method, path, body in (
        ("GET", f"/packages/{name}", None),
        ("GET", f"/packages/{name}/versions", None),
        ("GET", version, None),
        ("GET", f"{version}/files/model.bin/download", None),
        ("GET", f"{version}/audit", None),
        ("GET", f"{version}/score", None),
        ("POST", f"{version}/validate", {}),
        ("POST", f"{version}/yank", {"reason": "no"}),
        ("POST", f"{version}/uploads", {"file": "x", "size": 1, "sha256": "0" * 64}),
        ("PUT", f"/packages/{name}/aliases/production", {"version": "1.0.0"}),
    ):
        assert stranger(method, path, body).status_code == 404, path
    listed = stranger("GET", f"/packages?name={name}").json()["items"]
    assert listed == []
    # And the owner finds it
    assert [one["name"] for one in member("GET", f"/packages?name={name}").json()["items"]] == [name]


@pytest.mark.local_only
def test_the_bucket_refuses_whoever_guesses_a_key(deployed: Stack, published: tuple[str, bytes]) -> None:
    # Given somebody with every right on S3 in the account, and the key of a file
    version, body = published
    bucket = deployed.outputs["PackagesBucketName"]
    key = f"packages/{version.split('/')[2]}/{hashlib.sha256(body).hexdigest()}"
    # And an object that others have put there, which nobody has looked into
    own, other = deployed.client("s3"), f"models/{uuid.uuid4().hex[:8]}/model.safetensors"
    put = own.put_object(Bucket=bucket, Key=other, Body=safetensors())
    iam, name = deployed.client("iam"), f"it-{uuid.uuid4().hex[:8]}"
    iam.create_user(UserName=name)
    allow = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
    iam.put_user_policy(UserName=name, PolicyName="all", PolicyDocument=json.dumps(allow))
    made = iam.create_access_key(UserName=name)["AccessKey"]
    try:
        s3 = boto3.client(
            "s3",
            endpoint_url=deployed.document["aws_endpoint_url"],
            region_name=deployed.document["region"],
            aws_access_key_id=made["AccessKeyId"],
            aws_secret_access_key=made["SecretAccessKey"],
        )
        # When they read, overwrite or delete the file, or read the other one, Then the bucket refuses
        for call in (
            lambda: s3.get_object(Bucket=bucket, Key=key),
            lambda: s3.get_object(Bucket=bucket, Key=other),
            lambda: s3.put_object(Bucket=bucket, Key=key, Body=b"mine"),
            lambda: s3.delete_object(Bucket=bucket, Key=key),
        ):
            with pytest.raises(botocore.exceptions.ClientError) as told:
                call()
            assert told.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
        # And without any credentials, too
        assert httpx.get(f"{deployed.document['aws_endpoint_url']}/{bucket}/{key}").status_code == 403
        s3.close()
    finally:
        own.delete_object(Bucket=bucket, Key=other, VersionId=put["VersionId"])
        iam.delete_access_key(UserName=name, AccessKeyId=made["AccessKeyId"])
        iam.delete_user_policy(UserName=name, PolicyName="all")
        iam.delete_user(UserName=name)


@pytest.fixture
def sweep(deployed: Stack) -> Callable[..., Json]:
    def call(*, dry_run: bool) -> Json:
        answer = deployed.client("lambda").invoke(
            FunctionName=deployed.outputs["PackageSweeperName"], Payload=json.dumps({"dry_run": dry_run})
        )
        assert "FunctionError" not in answer, answer["Payload"].read()
        swept: Json = json.loads(answer["Payload"].read())
        return swept

    return call


def test_objects_that_no_package_knows_come_in_unverified_under_their_keys(
    deployed: Stack, api: Api, publisher: Publisher, sweep: Callable[..., Json]
) -> None:
    # Given three models under keys that are not Weir's, and no row of any
    s3, bucket = deployed.client("s3"), deployed.outputs["PackagesBucketName"]
    keys = {f"models/{uuid.uuid4().hex[:8]}/{n}/model.safetensors" for n in range(3)}
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=safetensors())

    def found() -> dict[str, Json]:
        items: list[Json] = []
        cursor: str | None = ""
        while cursor is not None:
            page = api("GET", "/packages/unverified?limit=200" + (f"&cursor={cursor}" if cursor else "")).json()
            items, cursor = items + page["items"], page["cursor"]
        return {one["key"]: one for one in items}

    try:
        # When the sweep runs, dry and then in earnest, and events come as they will
        sweep(dry_run=True)
        sweep(dry_run=False)
        # Then they are there under their real keys, once each, and none of them is a package
        deadline = time.monotonic() + WAIT_SECONDS
        while not keys <= set(found()):
            assert time.monotonic() < deadline, found()
            time.sleep(0.3)
        problem(publisher.api("GET", "/packages/unverified"), 403)
        # And an admin who names the version deletes one of them
        one = found()[min(keys)]
        path = f"/packages/unverified?key={quote(one['key'], safe='')}"
        problem(publisher.api("DELETE", path, **{"If-Match": f'"{one["object_version"]}"'}), 403)
        problem(api("DELETE", path, **{"If-Match": '"another"'}), 412)
        assert api("DELETE", path, **{"If-Match": f'"{one["object_version"]}"'}).status_code == 204
        assert one["key"] not in found()
        assert not s3.list_object_versions(Bucket=bucket, Prefix=one["key"]).get("Versions")
    finally:
        for key in keys:
            for one in s3.list_object_versions(Bucket=bucket, Prefix=key).get("Versions", []):
                s3.delete_object(Bucket=bucket, Key=key, VersionId=one["VersionId"])
    # And once they are gone the sweep forgets them
    sweep(dry_run=False)
    assert not keys & set(found())
