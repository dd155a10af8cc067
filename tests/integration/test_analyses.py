"""Analyses on the deployed stack: from metrics in CloudWatch to findings in every form, for whom they are."""

import csv
import io
import json
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.integration.conftest import PATIENCE_SECONDS, Api, Json, Stack, problem

Made = Callable[..., str]
UNKNOWN = "it-no-such-stream"


@dataclass(frozen=True, slots=True)
class Pair:
    """Two streams with a tag of their own, of one shard each, and the first whole minute of both."""

    busy: str
    calm: str
    tag: str
    minute: datetime

    @property
    def range(self) -> Json:
        """Of their lives, once a whole minute of them has begun: what was before was not theirs."""
        time.sleep(max(0.0, (self.minute - datetime.now(UTC)).total_seconds() + 1))
        return {"from": self.minute.isoformat(), "to": datetime.now(UTC).isoformat(), "period": 60}


@pytest.fixture(scope="module")
def pair(kinesis: Any) -> Iterator[Pair]:
    """Made before any other test of this module, which use up the minute."""
    tag = f"it-{uuid.uuid4().hex[:12]}"
    busy, calm = f"{tag}-busy", f"{tag}-calm"
    for name in (busy, calm):
        kinesis.create_stream(StreamName=name, ShardCount=1, Tags={"it": tag})
    for name in (busy, calm):
        kinesis.get_waiter("stream_exists").wait(StreamName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 120})
    minute = datetime.now(UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
    yield Pair(busy, calm, tag, minute)
    for name in (busy, calm):
        kinesis.delete_stream(StreamName=name)


def load(cloudwatch: Any, stream: str, minute: datetime, records_a_second: float, *, throttled: float = 0.0) -> None:
    """What AWS would have published of a stream in a minute."""
    values = {
        "IncomingRecords": ("Count", 60 * records_a_second),
        "IncomingBytes": ("Bytes", 6_000 * records_a_second),
        "GetRecords.Records": ("Count", 60 * records_a_second),
        "GetRecords.Bytes": ("Bytes", 6_000 * records_a_second),
        "WriteProvisionedThroughputExceeded": ("Count", 60 * throttled),
        "GetRecords.IteratorAgeMilliseconds": ("Milliseconds", 250.0),
    }
    data = [
        {
            "MetricName": name,
            "Dimensions": [{"Name": "StreamName", "Value": stream}],
            "Timestamp": minute,
            "Unit": unit,
            "Value": value,
        }
        for name, (unit, value) in values.items()
    ]
    cloudwatch.put_metric_data(Namespace="AWS/Kinesis", MetricData=data)


@pytest.fixture
def analyses(operator: Api, api: Api) -> Iterator[Made]:
    """Start an analysis; whatever was started is deleted at the end."""
    made: dict[str, Api] = {}

    def start(spec: Json, who: Api = operator, **headers: str) -> str:
        answer = who("POST", "/analyses", spec, **headers)
        assert answer.status_code == 202, answer.text
        assert answer.headers["Location"] == answer.json()["location"]
        made[answer.json()["analysis_id"]] = who
        return str(answer.json()["analysis_id"])

    yield start
    for analysis_id, who in made.items():
        assert who("DELETE", f"/analyses/{analysis_id}").status_code in {204, 404}


def ended(who: Api, analysis_id: str) -> Json:
    """The document of an analysis, once it is DONE or FAILED."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        document: Json = who("GET", f"/analyses/{analysis_id}").json()
        if document["analysis"]["status"] != "RUNNING":
            return document
        assert time.monotonic() < deadline, document
        time.sleep(0.2)


def findings(document: Json, stream: str) -> set[str]:
    """The ids of what was found of a stream that asks for something."""
    (one,) = [told for told in document["streams"] if told["name"] == stream]
    return {finding["id"] for finding in one["findings"] if finding["severity"] != "info"}


def test_an_analysis_is_its_owner_s_and_an_admin_s(
    operator: Api, neighbour: Api, api: Api, pair: Pair, analyses: Made
) -> None:
    # Given an analysis of an operator's
    analysis_id = analyses({"streams": [pair.calm], "workflows": ["performance"]})
    assert ended(operator, analysis_id)["analysis"]["status"] == "DONE"

    # When others look / Then another operator finds nothing, in any way, and an admin finds it
    for method in ("GET", "DELETE"):
        problem(neighbour(method, f"/analyses/{analysis_id}"), 404)
    refused = neighbour("POST", "/analyses", {"streams": ["any"], "compare_with": analysis_id})
    assert problem(refused, 422)["errors"][0]["field"] == "compare_with"
    assert analysis_id not in listed(neighbour)
    assert analysis_id in listed(operator)
    assert analysis_id in listed(api)
    # And once it is deleted nobody does
    assert operator("DELETE", f"/analyses/{analysis_id}").status_code == 204
    problem(api("GET", f"/analyses/{analysis_id}"), 404)
    assert analysis_id not in listed(operator)


def listed(who: Api) -> list[str]:
    """The ids of all analyses that somebody sees, page by page."""
    found: list[str] = []
    cursor = ""
    while cursor is not None:
        page = who("GET", "/analyses?limit=2" + (f"&cursor={cursor}" if cursor else "")).json()
        found += [one["analysis_id"] for one in page["items"]]
        cursor = page["cursor"]
    return found


def test_a_key_starts_one_analysis(operator: Api, pair: Pair, analyses: Made) -> None:
    # Given an analysis that was started with a key
    key, spec = uuid.uuid4().hex, {"streams": [pair.calm], "workflows": ["performance"]}
    first = analyses(spec, Idempotency_Key=key)

    # When it is asked for again / Then it is the same one; another body with the key is refused
    assert analyses(spec, Idempotency_Key=key) == first
    problem(operator("POST", "/analyses", {**spec, "last": "2h"}, Idempotency_Key=key), 422)
    assert ended(operator, first)["analysis"]["status"] == "DONE"


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"streams": []}, "streams"),
        ({"streams": {"tags": {}}}, "streams.tags"),
        ({"streams": ["orders"], "workflows": ["magic"]}, "workflows.0"),
        ({"streams": ["orders"], "last": "1y"}, "last"),
        ({"streams": ["orders"], "range": {"from": "2026-11-02T00:00:00Z", "to": "2026-11-01T00:00:00Z"}}, "range.to"),
        ({"streams": ["orders"], "compare_with": "no-such-analysis"}, "compare_with"),
        ({"streams": ["orders"], "runs": ["no-such-run"]}, "runs.0"),
        ({"last": "24h"}, "streams"),
    ],
)
def test_what_cannot_be_analyzed_is_refused_with_its_field(operator: Api, spec: Json, field: str) -> None:
    document = problem(operator("POST", "/analyses", spec), 422)
    assert field in {error["field"] for error in document["errors"]}, document


@pytest.mark.local_only  # AWS lets nobody but itself publish to AWS/Kinesis
def test_many_streams_are_read_together_and_told_in_every_form(
    deployed: Stack, operator: Api, pair: Pair, analyses: Made
) -> None:
    # Given a stream at its shard's limit, and one with next to nothing
    load(deployed.client("cloudwatch"), pair.busy, pair.minute, 990.0, throttled=80.0)
    load(deployed.client("cloudwatch"), pair.calm, pair.minute, 1.0)

    # When both are analyzed, with one that is not there
    analysis_id = analyses({"streams": [pair.busy, pair.calm, UNKNOWN], "range": pair.range})
    document = ended(operator, analysis_id)
    analysis = document["analysis"]

    # Then all of it was read in few calls, and what is missing is told
    assert analysis["status"] == "DONE", analysis
    assert document["calls"]["DescribeStreamSummary"] == 3
    assert document["calls"]["queries"] > 20
    assert document["calls"]["GetMetricData"] <= 2  # the range, and the months before it
    assert analysis["complete"] is False
    assert any(UNKNOWN in told for told in document["partial"])
    # And the worst stream comes first, with what is wrong, and why
    assert [one["name"] for one in document["streams"]] == [pair.busy, pair.calm]
    assert findings(document, pair.busy) - findings(document, pair.calm)
    facts = {fact["name"]: fact for fact in document["streams"][0]["facts"]}
    assert facts["write utilization, p99"]["value"] == pytest.approx(99.0)
    assert document["told"]["sentences"]
    # And so in every other form
    page = operator("GET", f"/analyses/{analysis_id}", Accept="text/html")
    assert page.headers["Content-Type"].startswith("text/html")
    assert pair.busy in page.text
    assert "<svg" in page.text
    assert "<script" not in page.text
    told = operator("GET", f"/analyses/{analysis_id}", Accept="text/csv")
    assert told.headers["Content-Type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(told.text)))
    assert {row["stream"] for row in rows} == {pair.busy, pair.calm}


@pytest.mark.local_only
def test_the_analyses_of_a_schedule_are_compared_with_the_last(
    deployed: Stack, api: Api, pair: Pair, stream: Callable[..., str]
) -> None:
    # Given streams of which two carry a tag, and an analysis of these that a schedule started
    stream("-other")
    machine = deployed.client("stepfunctions")
    spec = {"streams": {"tags": {"it": pair.tag}}, "range": pair.range, "schedule": pair.tag}

    def scheduled(analysis_id: str) -> Json:
        arn = deployed.outputs["AnalysisMachineArn"]
        machine.start_execution(stateMachineArn=arn, name=analysis_id, input=json.dumps(spec))
        deadline = time.monotonic() + PATIENCE_SECONDS
        while api("GET", f"/analyses/{analysis_id}").status_code == 404:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        return ended(api, analysis_id)

    first, second = f"{pair.tag}-1", f"{pair.tag}-2"
    before = scheduled(first)
    assert before["analysis"]["status"] == "DONE", before["analysis"]
    assert {one["name"] for one in before["streams"]} == {pair.busy, pair.calm}
    assert before["worse"] is None

    # When one of them gets worse, and the schedule comes again
    load(deployed.client("cloudwatch"), pair.calm, pair.minute, 980.0, throttled=100.0)
    after = scheduled(second)

    # Then it is compared with the last, and what got worse is told
    assert after["analysis"]["compared_with"] == first
    assert {one["stream"] for one in after["worse"]} == {pair.calm}
    for analysis_id in (first, second):
        assert api("DELETE", f"/analyses/{analysis_id}").status_code == 204


def test_what_a_run_measured_is_analyzed_for_its_owner(operator: Api, neighbour: Api, api: Api, analyses: Made) -> None:
    # Given an operator's run, whose stream is gone
    run = operator.run({"stream": {"shards": 1}, "load": {"records": 50}, "analyses": ["run"]})
    spec = {"runs": [run["run_id"]], "workflows": ["performance", "patterns"]}

    # When its owner and an admin have it analyzed / Then it is told by what was measured, and when
    for who in (operator, api):
        document = ended(who, analyses(spec, who))
        assert document["analysis"]["status"] == "DONE", document["analysis"]
        (stream,) = document["streams"]
        assert stream["name"] == run["stream_name"]
        (latency,) = [one for one in stream["findings"] if one["id"] == "run-latency"]
        assert any(fact["source"].startswith(f"run {run['run_id']}, 20") for fact in latency["evidence"])
        assert [told for told in document["partial"] if "the stream is gone" in told]

    # And another operator is told what they are of a run that never was
    refused = problem(neighbour("POST", "/analyses", spec), 422)["errors"]
    assert refused == [{"field": "runs.0", "message": f"there is no run '{run['run_id']}'"}]
