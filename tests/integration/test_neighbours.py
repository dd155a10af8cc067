"""As the owner's neighbour: another operator, with the same scopes, on things that are not theirs.

Streams of an account are told to everybody who may read streams; their records, and every change, are their owner's.
Runs, their reports and their sources are nobody's business but the owner's and the admins'. A package that a publisher
sees is not theirs to change; that one which they may not see is not there for them, ``test_packages.py`` holds.
"""

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.contract.ownership import OWNED
from tests.integration.conftest import Api, People, Stack, a_key

Json = dict[str, Any]
TRIED: set[str] = set()
"""The routes of ``OWNED`` on which somebody was refused what is not theirs."""

STATEMENT: Json = {
    "_type": "https://in-toto.io/Statement/v1",
    "subject": [{"name": "model.bin", "digest": {"sha256": "0" * 64}}],
    "predicateType": "https://example.org/released/v1",
}
ENVELOPE: Json = {
    "payload": base64.b64encode(json.dumps(STATEMENT).encode()).decode(),
    "payloadType": "application/vnd.in-toto+json",
    "signatures": [{"keyid": "0" * 64, "sig": "bm9uZQ=="}],
}
RUN: Json = {"stream": {"shards": 1}, "load": {"records": 50}, "analyses": ["run"]}


def refused(answer: Any, status: int, slug: str) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["type"].endswith(f"/{slug}")
    for route in OWNED:
        method, _, path = route.partition(" ")
        if method == answer.request.method and re.search(
            re.sub(r"{\w+}", "[^/]+", path) + "$", answer.request.url.path
        ):
            TRIED.add(route)


@pytest.fixture
def owned(operator: Api, kinesis: Any, name: str) -> Iterator[str]:
    """A stream that the operator has made with Weir, ACTIVE."""
    made = operator("POST", "/streams", {"name": name, "mode": "PROVISIONED", "shard_count": 1, "expires_in": 900})
    assert made.status_code == 202, made.text
    kinesis.get_waiter("stream_exists").wait(StreamName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    yield name
    operator("DELETE", f"/streams/{name}")


def test_a_stream_is_its_owners_to_change_write_read_and_delete(
    api: Api, operator: Api, neighbour: Api, owned: str
) -> None:
    # Given the operator's stream, with a record
    records = {"records": [{"data": "mine", "encoding": "text", "partition_key": "k"}]}
    assert operator("POST", f"/streams/{owned}/records", records).status_code == 200
    (shard,) = neighbour("GET", f"/streams/{owned}/shards").json()["items"]
    read = f"/streams/{owned}/records?shard={shard['shard_id']}"

    # When the neighbour tries each, Then it is refused and they learn no record
    refused(neighbour("PATCH", f"/streams/{owned}", {"retention_hours": 48}), 403, "not-owned")
    refused(neighbour("POST", f"/streams/{owned}/records", records), 403, "not-owned")
    refused(neighbour("GET", read), 403, "not-owned")
    refused(neighbour("DELETE", f"/streams/{owned}"), 403, "not-owned")
    refused(neighbour("DELETE", f"/streams/{owned}?force=true"), 403, "force-not-allowed")

    # And the stream is as it was, with its one record, for the owner and for an admin
    for reader in (operator, api):
        assert [one["data"] for one in reader("GET", read).json()["items"]] == ["mine"]
    assert neighbour("GET", f"/streams/{owned}").json()["owner"] == operator.user["user_id"]
    assert operator("GET", f"/streams/{owned}").json()["retention_hours"] == 24


def test_a_run_is_seen_and_stopped_by_its_owner(api: Api, operator: Api, neighbour: Api) -> None:
    # Given the operator's run
    run_id = operator.start(RUN)
    run = operator.closed(run_id)
    assert run["owner"] == operator.user["user_id"]

    # When the neighbour looks for it, Then there is no such run
    for method, path in (("GET", ""), ("GET", "/report"), ("POST", "/stop")):
        refused(neighbour(method, f"/runs/{run_id}{path}"), 404, "run-not-found")
    assert run_id not in [one["run_id"] for one in neighbour("GET", "/runs?limit=200").json()["items"]]

    # And the owner and an admin find it
    for reader in (operator, api):
        assert reader.report(run_id)["run_id"] == run_id
        assert run_id in [one["run_id"] for one in reader("GET", "/runs?limit=200").json()["items"]]


def test_the_same_idempotency_key_of_two_users_makes_two_runs(operator: Api, neighbour: Api, name: str) -> None:
    # Given the same key and the same spec from both / Then neither gets the other's answer
    first, second = (one.start(RUN, Idempotency_Key=name) for one in (operator, neighbour))
    assert first != second
    assert [operator.closed(first)["verdict"], neighbour.closed(second)["verdict"]] == ["PASSED", "PASSED"]


def test_uploaded_lines_are_run_by_who_uploaded_them(operator: Api, neighbour: Api) -> None:
    # Given a place to upload to, of the operator's
    source = operator("POST", "/runs/sources").json()["source"]
    # When the neighbour names it, to run or only to learn its size, Then it is refused
    for path in ("/runs", "/runs?dry_run=true"):
        refused(neighbour("POST", path, {"load": {"source": source}}), 403, "forbidden")


def test_a_cursor_of_ones_own_list_opens_nobody_elses(api: Api, operator: Api, neighbour: Api) -> None:
    # Given an admin's cursor into the list of everybody's runs
    for run_id in [operator.start(RUN) for _ in range(2)]:
        operator.closed(run_id)
    cursor = api("GET", "/runs?limit=1").json()["cursor"]
    assert cursor
    # When the neighbour uses it / Then it is not one that their list gave out
    assert neighbour("GET", f"/runs?cursor={cursor}").status_code == 400


def test_a_members_key_does_not_become_an_operators(api: Api, people: Any) -> None:
    # Given an operator with a key that may start runs, who then becomes a member
    person = people("operator")
    made = person("POST", "/api-keys", {"name": "ci", "scopes": ["runs:write"]})
    assert made.status_code == 201, made.text
    changed = api("PATCH", f"/users/{person.user['user_id']}", {"roles": ["member"]})
    assert changed.status_code == 200, changed.text

    # When the key starts a run / Then it may not any more
    answer = api.http.post(
        "/runs?dry_run=true",
        json={"load": {"records": 1}},
        auth=None,
        headers={"Authorization": f"Bearer {made.json()['secret']}"},
    )
    refused(answer, 403, "forbidden")


def test_a_key_is_seen_rotated_and_revoked_by_its_owner(api: Api, operator: Api, neighbour: Api) -> None:
    # Given the operator's key
    key_id, owner = a_key(operator)["key_id"], operator.user["user_id"]

    # When the neighbour tries each, as one of their own or as the operator's, Then it is refused
    refused(neighbour("POST", f"/api-keys/{key_id}/rotate", {}), 404, "key-not-found")
    refused(neighbour("DELETE", f"/api-keys/{key_id}"), 404, "key-not-found")
    refused(neighbour("DELETE", f"/api-keys/{key_id}?owner={owner}"), 403, "forbidden")
    refused(neighbour("GET", f"/api-keys?owner={owner}"), 403, "forbidden")

    # And the key is as it was, for the owner and for an admin
    for path, reader in (("/api-keys?limit=200", operator), (f"/api-keys?limit=200&owner={owner}", api)):
        (found,) = (one for one in reader("GET", path).json()["items"] if one["key_id"] == key_id)
        assert found["status"] == "live"


def test_an_admin_ends_all_keys_of_a_user_and_a_neighbour_does_not(api: Api, neighbour: Api, people: Any) -> None:
    # Given a user with keys
    person = people("operator")
    made = [a_key(person)["key_id"] for _ in range(3)]
    # When a neighbour ends them / Then they may not; an admin may
    path = f"/users/{person.user['user_id']}"
    refused(neighbour("PATCH", path, {"revoke_keys": True}), 403, "forbidden")
    assert api("PATCH", path, {"revoke_keys": True}).status_code == 200
    found = {one["key_id"]: one["status"] for one in person("GET", "/api-keys").json()["items"]}
    assert {found[key_id] for key_id in made} == {"revoked"}


@pytest.fixture(scope="module")
def publishers(people: People) -> tuple[Api, Api]:
    """Two publishers: one whose package it is, and a neighbour."""
    return people("publisher"), people("publisher")


def test_a_package_is_its_owners_to_add_to_change_and_audit(api: Api, publishers: tuple[Api, Api], name: str) -> None:
    # Given a publisher's package that everybody sees, with an upload that is open
    owner, other = publishers
    package, version = f"/packages/{name}", f"/packages/{name}/1.0.0"
    assert owner("POST", "/packages", {"name": name, "version": "1.0.0"}).status_code == 201
    file = {"file": "model.bin", "size": 4, "sha256": hashlib.sha256(b"mine").hexdigest()}
    opened = owner("POST", f"{version}/uploads", file)
    assert opened.status_code == 201, opened.text
    upload = f"{version}/uploads/{opened.json()['upload_id']}"
    digest = base64.b64encode(hashlib.sha256(b"mine").digest()).decode()

    # When the neighbour tries each, Then it is refused, though they see the package
    before = other("GET", version).json()
    assert before["owner"] == owner.user["user_id"]
    for method, path, body in (
        ("PATCH", package, {"description": "theirs"}),
        ("PUT", f"{package}/aliases/production", {"version": "1.0.0"}),
        ("DELETE", f"{package}/aliases/production", None),
        ("POST", f"{version}/yank", {"reason": "no good"}),
        ("POST", f"{version}/unyank", None),
        ("GET", f"{version}/audit", None),
        ("POST", f"{version}/validate", {}),
        ("PUT", f"{version}/signature", ENVELOPE),
        ("POST", f"{version}/uploads", file),
        ("GET", upload, None),
        ("POST", f"{upload}/parts", {"numbers": [1], "checksums": {"1": digest}}),
        ("POST", f"{upload}/commit", {"parts": [{"number": 1, "etag": "0" * 32}]}),
        ("DELETE", upload, None),
        ("POST", "/packages", {"name": name, "version": "2.0.0"}),
    ):
        refused(other(method, path, body), 403, "not-the-owner")
    refused(other("DELETE", version), 403, "forbidden")

    # And all is as it was, for the owner and for an admin
    for reader in (owner, api):
        assert reader("GET", version).json() == before
        assert reader("GET", upload).json()["state"] == "OPEN"
        assert [one["version"] for one in reader("GET", f"{package}/versions").json()["items"]] == ["1.0.0"]
    assert api("DELETE", version).status_code == 204


def test_an_import_is_watched_by_its_owner(deployed: Stack, api: Api, publishers: tuple[Api, Api], name: str) -> None:
    # Given a publisher's import, which is stopped
    owner, other = publishers
    asked = {"source": "huggingface", "repo": "nobody/nothing", "name": name}
    started = owner("POST", "/packages/import", asked)
    assert started.status_code == 202, started.text
    import_id = started.json()["import_id"]
    machine = deployed.outputs["RunMachineArn"].removesuffix("-run") + "-import"
    execution = f"{machine.replace(':stateMachine:', ':execution:')}:{import_id}"
    deployed.client("stepfunctions").stop_execution(executionArn=execution)
    # When the neighbour looks for it, Then there is none; the owner and an admin find it, and it has failed
    refused(other("GET", f"/packages/imports/{import_id}"), 404, "import-not-found")
    for reader in (owner, api):
        assert reader("GET", f"/packages/imports/{import_id}").json()["state"] == "FAILED"


def test_a_prompt_is_its_owners_to_change_and_delete(api: Api, operator: Api, neighbour: Api, name: str) -> None:
    # Given the operator's prompt
    draft = {"variables": ["streams"], "template": "Tell of {{ streams }} streams."}
    made = operator("POST", "/prompts", {"prompt_id": name, **draft})
    assert made.status_code == 201, made.text
    tag = {"If-Match": made.headers["ETag"]}

    # When the neighbour tries each, Then it is refused, and they may read and render it all the same
    refused(neighbour("PUT", f"/prompts/{name}", {**draft, "template": "x"}, **tag), 403, "forbidden")
    refused(neighbour("DELETE", f"/prompts/{name}", **tag), 403, "forbidden")
    assert neighbour("GET", f"/prompts/{name}").json() == made.json()
    rendered = neighbour("POST", f"/prompts/{name}/render", {"values": {"streams": 3}})
    assert rendered.json()["text"] == "Tell of 3 streams."

    # And an admin may change and delete it
    changed = api("PUT", f"/prompts/{name}", draft, **tag)
    assert changed.json()["version"] == 2, changed.text
    assert api("DELETE", f"/prompts/{name}", **{"If-Match": changed.headers["ETag"]}).status_code == 204


def test_an_analysis_is_its_owners(api: Api, operator: Api, neighbour: Api) -> None:
    # Given the operator's analysis of a stream that is not there
    started = operator("POST", "/analyses", {"streams": ["it-is-not-there"], "last": "3h"})
    assert started.status_code == 202, started.text
    analysis = f"/analyses/{started.json()['analysis_id']}"

    # When the neighbour looks for it, Then there is none
    refused(neighbour("GET", analysis), 404, "analysis-not-found")
    refused(neighbour("POST", f"{analysis}/questions", {"question": "What is it?"}), 404, "analysis-not-found")
    refused(neighbour("DELETE", analysis), 404, "analysis-not-found")

    # And the owner and an admin find it
    for reader in (operator, api):
        assert reader("GET", analysis).status_code == 200
    assert api("DELETE", analysis).status_code == 204


def test_every_route_about_what_is_somebodys_was_tried() -> None:
    # Last of this file: a route that comes anew is in the table, and then here
    assert TRIED == OWNED
