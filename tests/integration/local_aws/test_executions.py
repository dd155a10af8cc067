"""Executions on the local AWS end as on AWS: stopped, timed out, failed, retried."""

import json
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

COUNTS = """
import time, urllib.request, json
def handler(event, context):
    time.sleep(event.get("seconds", 0))
    if event.get("fail"):
        raise ValueError("asked to")
    return event
"""


@pytest.fixture
def status_events(client: Callable[[str], Any]) -> Iterator[Callable[[str], list[dict[str, Any]]]]:
    """What an EventBridge rule on execution status changes hears, by execution."""
    name = f"local-aws-{uuid.uuid4().hex[:12]}"
    queue = client("sqs").create_queue(QueueName=name)["QueueUrl"]
    arn = client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    pattern = {"source": ["aws.states"], "detail-type": ["Step Functions Execution Status Change"]}
    client("events").put_rule(Name=name, EventPattern=json.dumps(pattern))
    client("events").put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": arn}])
    heard: list[dict[str, Any]] = []

    def of(execution: str) -> list[dict[str, Any]]:
        deadline = time.monotonic() + 3
        while time.monotonic() < deadline:
            answer = client("sqs").receive_message(QueueUrl=queue, MaxNumberOfMessages=10)
            heard.extend(json.loads(message["Body"])["detail"] for message in answer.get("Messages", []))
            mine = [detail for detail in heard if detail["executionArn"] == execution]
            if any(detail["status"] != "RUNNING" for detail in mine):
                return mine
            time.sleep(0.05)
        return [detail for detail in heard if detail["executionArn"] == execution]

    yield of
    client("events").remove_targets(Rule=name, Ids=["queue"])
    client("events").delete_rule(Name=name)
    client("sqs").delete_queue(QueueUrl=queue)


def waiting(seconds: int, **also: Any) -> dict[str, Any]:
    return {"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": seconds, "End": True}}, **also}


def in_branches(inner: dict[str, Any]) -> dict[str, Any]:
    caught = [{"ErrorEquals": ["States.ALL"], "Next": "Caught"}]
    parallel = {"Type": "Parallel", "Branches": [inner, inner], "Catch": caught, "Next": "After"}
    after = {"Type": "Pass", "End": True}
    return {"StartAt": "Both", "States": {"Both": parallel, "After": after, "Caught": after}}


def test_the_time_limit_of_a_machine_ends_it(machines: Any, status_events: Any) -> None:
    # Given a machine that would wait for a minute, in branches with a Catch, and may run for one second
    definition = in_branches(waiting(60)) | {"TimeoutSeconds": 1}
    # When it runs
    started = time.monotonic()
    arn = machines.start(definition)
    ended = machines.end(arn)
    # Then it is over after the second, caught by nothing, and told once
    assert ended["status"] == "TIMED_OUT"
    assert 0.9 < time.monotonic() - started < 3
    assert machines.history(arn)[-1]["type"] == "ExecutionTimedOut"
    assert [detail["status"] for detail in status_events(arn)] == ["RUNNING", "TIMED_OUT"]


@pytest.mark.parametrize("definition", [waiting(60), in_branches(waiting(60))], ids=["wait", "branches"])
def test_a_stopped_execution_ends_at_once(
    client: Any, machines: Any, status_events: Any, definition: dict[str, Any]
) -> None:
    # Given an execution that waits
    arn = machines.start(definition)
    time.sleep(0.5)
    # When it is stopped
    client("stepfunctions").stop_execution(executionArn=arn, error="Asked", cause="by a test")
    time.sleep(0.5)
    # Then it is aborted, nothing follows in its history, and it is told once
    ended = machines.end(arn)
    assert (ended["status"], ended["error"]) == ("ABORTED", "Asked")
    assert machines.history(arn)[-1]["type"] == "ExecutionAborted"
    assert [detail["status"] for detail in status_events(arn)] == ["RUNNING", "ABORTED"]


def test_a_late_failure_does_not_change_the_end(client: Any, machines: Any, function: Any) -> None:
    # Given an execution whose task will fail in a second
    arn = function(COUNTS)
    call = {"Type": "Task", "Resource": arn, "Arguments": {"seconds": 1, "fail": True}, "End": True}
    execution = machines.start({"StartAt": "Call", "States": {"Call": call}})
    time.sleep(0.5)
    # When it is stopped before, and the task fails after
    client("stepfunctions").stop_execution(executionArn=execution)
    time.sleep(1.5)
    # Then it stays aborted
    assert machines.end(execution)["status"] == "ABORTED"


def test_no_state_starts_after_a_stop(client: Any, machines: Any, function: Any) -> None:
    # Given branches that each call a function twice
    arn = function(COUNTS)
    first = {"Type": "Task", "Resource": arn, "Arguments": {"seconds": 1}, "Next": "Second"}
    second = {"Type": "Task", "Resource": arn, "Arguments": {}, "End": True}
    execution = machines.start(in_branches({"StartAt": "First", "States": {"First": first, "Second": second}}))
    time.sleep(0.7)
    # When it is stopped during the first calls
    client("stepfunctions").stop_execution(executionArn=execution)
    time.sleep(1.5)
    # Then no second call was entered
    entered = [
        event["stateEnteredEventDetails"]["name"]
        for event in machines.history(execution)
        if "stateEnteredEventDetails" in event
    ]
    assert entered == ["Both", "First", "First"]


def test_retries_wait_no_longer_than_they_say(machines: Any, function: Any) -> None:
    # Given a task that always fails, with three retries that would wait 1 + 10 + 100 s but for MaxDelaySeconds
    arn = function(COUNTS)
    retry = {
        "ErrorEquals": ["ValueError"],
        "IntervalSeconds": 1,
        "BackoffRate": 10,
        "MaxAttempts": 3,
        "MaxDelaySeconds": 1,
        "JitterStrategy": "FULL",
    }
    call = {"Type": "Task", "Resource": arn, "Arguments": {"fail": True}, "Retry": [retry], "End": True}
    # When it runs
    started = time.monotonic()
    execution = machines.start({"StartAt": "Call", "States": {"Call": call}})
    ended = machines.end(execution)
    # Then it made four attempts in at most three seconds of waiting
    assert (ended["status"], ended["error"]) == ("FAILED", "ValueError")
    assert sum(event["type"] == "TaskScheduled" for event in machines.history(execution)) == 4
    assert time.monotonic() - started < 6


def test_a_state_payload_is_at_most_256_kib(machines: Any) -> None:
    # Given a state whose output is larger, with nothing to catch it
    large = {"Type": "Pass", "Output": "{% $pad('', 300000, 'x') %}", "End": True}
    # When it runs
    ended = machines.run({"StartAt": "Large", "States": {"Large": large}})
    # Then the execution fails as on AWS
    assert (ended["status"], ended["error"]) == ("FAILED", "States.DataLimitExceeded")


def test_a_machine_may_do_what_its_role_allows(machines: Any, function: Any, role: Any, stream: str) -> None:
    # Given a machine that calls a function and Kinesis, with a role for either
    arn = function(COUNTS)
    describe = "arn:aws:states:::aws-sdk:kinesis:describeStreamSummary"
    calls = {
        "lambda:InvokeFunction": {"Type": "Task", "Resource": arn, "Arguments": {}, "End": True},
        "kinesis:DescribeStreamSummary": {
            "Type": "Task",
            "Resource": describe,
            "Arguments": {"StreamName": stream},
            "End": True,
        },
    }
    for action, call in calls.items():
        definition = {"StartAt": "Call", "States": {"Call": call}}
        # When it runs with the permission, and with another one
        allowed = machines.run(definition, role_arn=role(action))
        refused = machines.run(definition, role_arn=role("s3:GetObject"))
        # Then the one succeeds, and the other is refused, naming the action
        assert allowed["status"] == "SUCCEEDED", allowed
        assert refused["status"] == "FAILED"
        assert f"not authorized to perform: {action}" in refused["cause"]
