"""Runs on the deployed stack: what passes, what must not pass, and that nothing is left behind."""

import json
import time
import uuid
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.integration.conftest import Api, Json, Stack

SMALL: Json = {"load": {"records": 300, "bytes": 100}, "analyses": ["run"]}
Streams = Callable[[], set[str]]


def problem(answer: httpx.Response, status: int) -> Json:
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    document: Json = answer.json()
    assert {"type", "title", "status", "detail", "instance", "request_id"} <= set(document)
    assert document["status"] == status
    return document


def test_a_run_passes_and_leaves_nothing(api: Api, streams: Streams) -> None:
    # Given a stream of two shards, ordered, with CloudWatch asked too
    spec = {
        "stream": {"shards": 2},
        "load": {"records": 2000, "bytes": 150, "keys": {"count": 40, "distribution": "zipf"}},
        "slo": {"ordered": True, "p99_latency_ms": 60_000, "max_duplicates": 0},
    }
    # When it runs
    run = api.run(spec)
    # Then every record was read back, the steps say so, and the stream is gone
    assert run["verdict"] == "PASSED", run
    assert run["resources_left"] == 0
    assert run["stream_name"] not in streams()
    assert run["progress"]["accepted"] == run["progress"]["seen"] == 2000
    assert [step["status"] for step in run["steps"]] == ["DONE"] * 9
    assert {step["name"] for step in run["steps"]} == {
        *("Plan", "CreateStream", "WaitActive", "Insert", "Verify"),
        *("AwaitMetrics", "Analyze", "DeleteStream", "Close"),
    }


def test_the_report_tells_what_was_measured(api: Api) -> None:
    # Given a closed run
    run_id = api.start({"stream": {"shards": 2}, "load": {"records": 500}})
    problem(api("GET", f"/runs/{run_id}/report"), 409)
    api.closed(run_id)
    # When its report is read in both forms
    report = api.report(run_id)
    page = api("GET", f"/runs/{run_id}/report", Accept="text/html")
    # Then the numbers agree with one another
    accounting = report["accounting"]
    assert (accounting["planned"], accounting["accepted"], accounting["seen"], accounting["lost"]) == (500, 500, 500, 0)
    assert sum(shard["read"] for shard in report["shards"]) == report["latency"]["count"] == 500
    assert float(report["costs"]["run"]["usd"]) > 0.03  # two shard-hours
    assert page.headers["Content-Type"].startswith("text/html")
    assert run_id in page.text


def test_many_workers_fan_out(api: Api) -> None:
    # Given more workers and shards than one execution handles: both sides are Distributed Maps
    run = api.run({"stream": {"shards": 6}, "load": {"records": 1200, "workers": 3}, "analyses": ["run"]})
    # Then they add up
    assert run["verdict"] == "PASSED", run
    assert (run["plan"]["workers"], run["plan"]["readers"]) == (3, 2)
    assert (run["progress"]["workers_done"], run["progress"]["readers_done"]) == (3, 2)


def test_aggregated_records_are_taken_apart(api: Api) -> None:
    run_id = api.start({"stream": {"shards": 2}, "load": {"records": 3000, "bytes": 80, "aggregated": True}})
    run = api.closed(run_id)
    assert run["verdict"] == "PASSED", run
    assert run["progress"]["seen"] == 3000
    # Then far fewer Kinesis records carried them
    assert sum(shard["accepted"] for shard in api.report(run_id)["shards"]) < 300


def test_on_demand_with_lines_given_inline(api: Api) -> None:
    lines = ['{"k": "a", "v": 1}', '{"k": "b", "v": "aGVsbG8="}', '{"k": "a", "v": null}']
    source = {"type": "inline", "lines": lines, "key_field": "k"}
    run = api.run({"stream": {"mode": "ON_DEMAND"}, "load": {"source": source}, "analyses": ["run"]})
    assert run["verdict"] == "PASSED", run
    assert run["progress"]["seen"] == 3


def upload(api: Api, content: bytes) -> Json:
    ticket = api("POST", "/runs/sources").json()
    answer = httpx.put(ticket["url"], content=content, headers=ticket["headers"])
    assert answer.status_code == 200, answer.text
    source: Json = ticket["source"]
    return source


def test_lines_uploaded_are_all_read_back(api: Api) -> None:
    # Given a file of lines, the last without an end, one empty
    lines = [json.dumps({"key": f"k{index % 7}", "n": index}) for index in range(1000)]
    source = upload(api, ("\n".join(lines[:500]) + "\n\n" + "\n".join(lines[500:])).encode())
    # When it is inserted by two workers
    run = api.run({"load": {"source": {**source, "key_field": "key"}, "workers": 2}, "slo": {"ordered": True}})
    # Then each line is one record
    assert run["verdict"] == "PASSED", run
    assert run["progress"]["accepted"] == run["progress"]["seen"] == 1000


def test_a_line_that_cannot_be_used_fails_the_run_and_names_it(api: Api, streams: Streams) -> None:
    source = upload(api, b'{"key": "a"}\n{"other": 1}\n')
    run = api.run({"load": {"source": {**source, "key_field": "key"}}, "analyses": ["run"]})
    assert run["verdict"] == "FAILED"
    assert run["failure"]["step"] == "Insert"
    assert "'key'" in run["failure"]["cause"]
    assert run["stream_name"] not in streams()


def test_a_missing_upload_is_told_before_anything_is_made(api: Api) -> None:
    source = {"type": "s3", "key": "sources/never-uploaded"}
    document = problem(api("POST", "/runs", {"load": {"source": source}}), 422)
    assert document["errors"][0]["field"] == "load.source.key"


def slow(api: Api, slo: Json | None = None) -> tuple[str, str]:
    """A run that writes for some seconds, and its stream, once records are in it."""
    run_id = api.start({"load": {"records": 800, "rate": 80}, "slo": slo or {}, "analyses": ["run"]})
    run = api.until(run_id, lambda run: run["progress"]["seen"] > 0)
    return run_id, str(run["stream_name"])


def a_record(kinesis: Any, stream_name: str) -> Json:
    iterator = kinesis.get_shard_iterator(
        StreamName=stream_name, ShardId="shardId-000000000000", ShardIteratorType="TRIM_HORIZON"
    )["ShardIterator"]
    record: Json = kinesis.get_records(ShardIterator=iterator, Limit=1)["Records"][0]
    return record


@pytest.mark.parametrize(("slo", "verdict"), [({}, "PASSED"), ({"max_duplicates": 0}, "FAILED")])
def test_duplicates_are_counted_and_fail_only_where_asked(api: Api, kinesis: Any, slo: Json, verdict: str) -> None:
    # Given a run under way
    run_id, stream_name = slow(api, slo)
    # When a record of it comes a second time, as after a retried put
    record = a_record(kinesis, stream_name)
    kinesis.put_record(StreamName=stream_name, Data=record["Data"], PartitionKey=record["PartitionKey"])
    # Then it is counted, and breaks only the run that allows none
    run = api.closed(run_id)
    assert run["verdict"] == verdict, run
    assert ("1 duplicates" in run["reasons"][0]) == (verdict == "FAILED")
    assert api.report(run_id)["accounting"]["duplicates"] == 1


def test_foreign_and_corrupted_records_are_told_apart(api: Api, kinesis: Any) -> None:
    # Given a run under way
    run_id, stream_name = slow(api)
    # When somebody else writes to its stream, and a record of its own comes with a changed byte
    kinesis.put_record(StreamName=stream_name, Data=b"not of the run", PartitionKey="other")
    record = a_record(kinesis, stream_name)
    changed = record["Data"][:-1] + bytes([record["Data"][-1] ^ 1])
    kinesis.put_record(StreamName=stream_name, Data=changed, PartitionKey=record["PartitionKey"])
    run = api.closed(run_id)
    # Then the one is foreign, the other corrupted, and the run has failed for it
    accounting = api.report(run_id)["accounting"]
    assert (accounting["foreign"], accounting["corrupted"], accounting["lost"]) == (1, 1, 0)
    assert run["verdict"] == "FAILED"


def test_a_service_level_that_does_not_hold_fails_the_run(api: Api) -> None:
    run = api.run({**SMALL, "slo": {"p99_latency_ms": 0.001, "min_records_per_second": 10_000_000}})
    assert run["verdict"] == "FAILED"
    assert "p99 latency" in run["reasons"][0]
    assert "records/s" in run["reasons"][1]


@pytest.mark.local_only
def test_metrics_that_never_come_degrade_the_verdict(api: Api, deployed: Stack) -> None:
    # Given a CloudWatch that shows nothing of Kinesis
    config = f"{deployed.document['aws_endpoint_url']}/_ministack/config"
    httpx.post(config, json={"metrics": "off"})
    try:
        run = api.run({"load": {"records": 100}})
    finally:
        httpx.post(config, json={"metrics": "on"})
    # Then the run waited, said so, and did not pass
    assert run["verdict"] == "DEGRADED", run
    assert "CloudWatch" in run["reasons"][0]
    assert api.report(run["run_id"])["accounting"]["lost"] == 0


def test_a_plan_costs_nothing_and_grows_with_workers_only(api: Api, streams: Streams) -> None:
    # Given a billion records
    before = streams()
    spec = {"stream": {"shards": 1000}, "load": {"records": 10**9, "bytes": 100}, "max_cost": "1000"}
    # When it is planned, under a stage limit that allows less
    document = problem(api("POST", "/runs?dry_run=true", spec), 422)
    # Then it is refused with what it would cost, and nothing was made
    assert float(document["estimated_cost_usd"]) > 5
    assert streams() <= before
    plans = [
        api("POST", "/runs?dry_run=true", {"load": {"records": records, "workers": 3}, "expires_in": 86_400}).json()
        for records in (10_000, 1_000_000)
    ]
    assert plans[0]["largest_state_payload_bytes"] == plans[1]["largest_state_payload_bytes"]


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"load": {}}, "load"),
        ({"load": {"records": 0}}, "load.records"),
        ({"load": {"records": 5, "bytes": 1}}, "load.bytes"),
        ({"load": {"records": 5}, "stream": {"mode": "ON_DEMAND", "shards": 2}}, "stream.shards"),
        ({"load": {"records": 5}, "max_cost": "0.000001"}, "max_cost"),
        ({"load": {"records": 5}, "surprise": 1}, "surprise"),
        (
            {"load": {"records": 5, "burst": {"every_seconds": 1, "length_seconds": 2, "factor": 2}}},
            "load.burst.length_seconds",
        ),
    ],
)
def test_a_wrong_spec_is_refused_by_field(api: Api, streams: Streams, spec: Json, field: str) -> None:
    before, there = api("GET", "/runs?limit=1").json()["items"], streams()
    document = problem(api("POST", "/runs", spec), 422)
    assert field in [error["field"] for error in document["errors"]], document
    assert api("GET", "/runs?limit=1").json()["items"] == before
    assert streams() <= there


def test_unreadable_bodies_and_unknown_runs(api: Api) -> None:
    problem(api.http.post("/runs", content=b"{not json", headers={"Content-Type": "application/json"}), 400)
    problem(api("GET", "/runs/no-such-run"), 404)
    problem(api("POST", "/runs/no-such-run/stop"), 404)
    problem(api("GET", "/runs?cursor=forged.cursor"), 400)
    problem(api("GET", "/runs?limit=1000"), 422)


def test_an_idempotency_key_starts_one_run(api: Api) -> None:
    # Given a key
    key = str(uuid.uuid4())
    # When the same request comes twice, and another body with the same key
    first, again = api.start(SMALL, Idempotency_Key=key), api.start(SMALL, Idempotency_Key=key)
    other = api("POST", "/runs", {"load": {"records": 301}}, Idempotency_Key=key)
    # Then there is one run
    assert first == again
    problem(other, 422)
    assert api.closed(first)["verdict"] == "PASSED"


def test_runs_are_listed_newest_first_over_pages(api: Api) -> None:
    for run_id in [api.start(SMALL) for _ in range(3)]:
        api.closed(run_id)
    first = api("GET", "/runs?limit=2").json()
    second = api("GET", f"/runs?limit=2&cursor={first['cursor']}").json()
    found = first["items"] + second["items"]
    assert len({run["run_id"] for run in found}) == len(found) >= 3
    assert [run["created_at"] for run in found] == sorted((run["created_at"] for run in found), reverse=True)


def test_a_run_started_on_the_state_machine_itself(api: Api, deployed: Stack) -> None:
    # Given no HTTP request at all
    name = f"by-hand-{uuid.uuid4().hex[:8]}"
    states = deployed.client("stepfunctions")
    machine = deployed.outputs["RunMachineArn"]
    # When an execution is started with the spec as its input
    arn = states.start_execution(stateMachineArn=machine, name=name, input=json.dumps(SMALL))["executionArn"]
    while (execution := states.describe_execution(executionArn=arn))["status"] == "RUNNING":
        time.sleep(0.2)
    # Then it ends with the verdict, and is a run like any other
    assert json.loads(execution["output"])["verdict"] == "PASSED"
    assert api("GET", f"/runs/{name}").json()["verdict"] == "PASSED"


def test_a_wrong_spec_on_the_state_machine_fails_with_the_reason(deployed: Stack, streams: Streams) -> None:
    states = deployed.client("stepfunctions")
    name = f"wrong-{uuid.uuid4().hex[:8]}"
    machine = deployed.outputs["RunMachineArn"]
    arn = states.start_execution(stateMachineArn=machine, name=name, input='{"load": {"records": -1}}')["executionArn"]
    while (execution := states.describe_execution(executionArn=arn))["status"] == "RUNNING":
        time.sleep(0.2)
    assert execution["status"] == "FAILED"
    assert "load.records" in execution["cause"]
    assert not [stream for stream in streams() if name in stream]


def gone(streams: Streams, stream_name: str) -> bool:
    deadline = time.monotonic() + 120
    while stream_name in streams():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True


def test_a_stopped_run_is_aborted_and_its_stream_is_gone(api: Api, streams: Streams) -> None:
    run_id, stream_name = slow(api)
    answer = api("POST", f"/runs/{run_id}/stop")
    assert answer.status_code == 202
    assert gone(streams, stream_name)
    run = api.closed(run_id)
    assert run["verdict"] == "ABORTED"
    assert run["failure"]["cause"].startswith("stopped by ")
    assert run["resources_left"] == 0
    problem(api("POST", f"/runs/{run_id}/stop"), 409)
    assert api.report(run_id)["verdict"] == "ABORTED"


@pytest.mark.parametrize("after", [0.0, 0.4, 0.8, 1.2, 1.8])
def test_an_execution_killed_at_any_time_leaves_nothing(
    api: Api, deployed: Stack, streams: Streams, after: float
) -> None:
    # Given a run some way along
    run_id = api.start({"load": {"records": 500, "rate": 400}, "analyses": ["run"]})
    time.sleep(after)
    # When its execution is stopped from outside Weir
    arn = deployed.outputs["RunMachineArn"].replace(":stateMachine:", ":execution:") + f":{run_id}"
    deployed.client("stepfunctions").stop_execution(executionArn=arn, cause="killed by a test")
    # Then the run is closed, and its stream is not there
    run = api.closed(run_id)
    assert run["verdict"] == "ABORTED", run
    assert gone(streams, run["stream_name"])


def test_a_kept_stream_stays_until_it_expires(api: Api, streams: Streams) -> None:
    run = api.run({**SMALL, "keep": True})
    try:
        assert run["verdict"] == "PASSED", run
        assert run["resources_left"] == 1
        assert run["stream_name"] in streams()
    finally:
        assert api("DELETE", f"/streams/{run['stream_name']}").status_code == 202
    assert gone(streams, run["stream_name"])
