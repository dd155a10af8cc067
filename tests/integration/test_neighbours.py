"""As the owner's neighbour: another operator, with the same scopes, on things that are not theirs.

Streams of an account are told to everybody who may read streams; their records, and every change, are their owner's.
Runs, their reports and their sources are nobody's business but the owner's and the admins'.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.conftest import Api

Json = dict[str, Any]
RUN: Json = {"stream": {"shards": 1}, "load": {"records": 50}, "analyses": ["run"]}


def refused(answer: Any, status: int, slug: str) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["type"].endswith(f"/{slug}")


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
    for _ in range(2):
        operator.closed(operator.start(RUN))
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
