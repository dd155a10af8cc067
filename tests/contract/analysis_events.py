"""Samples about analyses: one is asked for over HTTP, one of a run, another is a schedule's, and one breaks."""

import json
from typing import Any

from tests.contract.account import Account, client
from tests.contract.samples import EVENTS, send

STATUSES = {
    "analyses-start": 202,
    "analyses-list": 200,
    "analyses-show": 200,
    "analyses-csv": 200,
    "analyses-html": 200,
    "questions-ask": 200,
    "analyses-delete": 204,
}
STEPS = (
    *("analysis-work-collect", "analysis-work-analyze", "analysis-work-tell", "analysis-work-close"),
    *("analysis-work-scheduled", "analysis-work-close-failed"),
)
ANALYSIS_ID = str(EVENTS["analysis-work-collect"]["analysis_id"])


def lived(aws: Account) -> dict[str, Any]:
    """What the functions answer to each, on an account that has one of the two streams that are asked for."""
    kinesis = client("kinesis")
    kinesis.create_stream(StreamName="payments", ShardCount=2)
    kinesis.add_tags_to_stream(StreamName="payments", Tags={"weir:managed": "true"})
    told = {"analyses-start": send(aws, "analyses-start")}
    known = {ANALYSIS_ID: body(told, "analyses-start")["analysis_id"]}
    for name in (*STEPS[:4], "analyses-list", "analyses-show", "analyses-csv", "analyses-html"):
        told[name] = send(aws, name, known)
    for name in ("questions-ask", "analyses-delete"):
        told[name] = send(aws, name, known)
    for scheduled in ("nightly-1", "nightly-2"):
        for name in ("analysis-work-scheduled", *STEPS[1:4]):
            told[f"{scheduled} {name}"] = send(aws, name, {ANALYSIS_ID: scheduled})
    told["analysis-work-scheduled"] = told["nightly-1 analysis-work-scheduled"]
    send(aws, "analysis-work-scheduled", {ANALYSIS_ID: "broken"})
    told["analysis-work-close-failed"] = send(aws, "analysis-work-close-failed", {ANALYSIS_ID: "broken"})
    kinesis.delete_stream(StreamName="payments")
    return told


def of_a_run(aws: Account, known: dict[str, str]) -> dict[str, Any]:
    """The results of an analysis of a run that is closed; `known` tells its id."""
    started = json.loads(send(aws, "analyses-of-runs", known)["body"])
    known = known | {ANALYSIS_ID: started["analysis_id"]}
    for name in STEPS[:4]:
        send(aws, name, known)
    return body({"shown": send(aws, "analyses-show", known)}, "shown")


def body(told: dict[str, Any], name: str) -> dict[str, Any]:
    """What was answered to a sample."""
    read: dict[str, Any] = json.loads(told[name]["body"])
    return read
