"""Events and schedules reach functions on the local AWS, and functions may do only what their role says."""

import json
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

FORWARDS = """
import json, os, boto3
def handler(event, context):
    boto3.client("sqs").send_message(QueueUrl=QUEUE, MessageBody=json.dumps(event))
"""


class Listener:
    """A function that forwards each event that it gets to a queue of its own."""

    def __init__(self, sqs: Any, queue: str, arn: str) -> None:
        self._sqs, self._queue, self.arn = sqs, queue, arn

    def next(self, within: float = 10) -> Any:
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            answer = self._sqs.receive_message(QueueUrl=self._queue)
            for message in answer.get("Messages", []):
                return json.loads(message["Body"])
            time.sleep(0.1)
        raise AssertionError(f"No event within {within} s")


@pytest.fixture
def listener(client: Callable[[str], Any], function: Any) -> Iterator[Listener]:
    queue = client("sqs").create_queue(QueueName=f"local-aws-{uuid.uuid4().hex[:12]}")["QueueUrl"]
    arn = function(FORWARDS.replace("QUEUE", repr(queue)), "sqs:SendMessage")
    yield Listener(client("sqs"), queue, arn)
    client("sqs").delete_queue(QueueUrl=queue)


def test_a_rule_on_execution_status_calls_a_function(client: Any, machines: Any, listener: Listener, name: str) -> None:
    # Given a rule that sends aborted executions to a function
    pattern = {
        "source": ["aws.states"],
        "detail-type": ["Step Functions Execution Status Change"],
        "detail": {"status": ["ABORTED"]},
    }
    rule = client("events").put_rule(Name=name, EventPattern=json.dumps(pattern))["RuleArn"]
    client("events").put_targets(Rule=name, Targets=[{"Id": "function", "Arn": listener.arn}])
    client("lambda").add_permission(
        FunctionName=listener.arn,
        StatementId="rule",
        Action="lambda:InvokeFunction",
        Principal="events.amazonaws.com",
        SourceArn=rule,
    )
    try:
        # When an execution is stopped
        wait = {"Wait": {"Type": "Wait", "Seconds": 60, "End": True}}
        execution = machines.start({"StartAt": "Wait", "States": wait}, {"run": 1})
        time.sleep(0.3)
        client("stepfunctions").stop_execution(executionArn=execution)
        # Then the function hears of it, with the execution's input
        detail = listener.next()["detail"]
        assert (detail["executionArn"], detail["status"]) == (execution, "ABORTED")
        assert json.loads(detail["input"]) == {"run": 1}
    finally:
        client("events").remove_targets(Rule=name, Ids=["function"])
        client("events").delete_rule(Name=name)


def test_a_schedule_calls_a_function(client: Any, role: Any, listener: Listener, name: str) -> None:
    # Given a schedule in two seconds
    at = datetime.now(UTC) + timedelta(seconds=2)
    client("scheduler").create_schedule(
        Name=name,
        ScheduleExpression=f"at({at:%Y-%m-%dT%H:%M:%S})",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={"Arn": listener.arn, "RoleArn": role("lambda:InvokeFunction"), "Input": json.dumps({"sweep": True})},
    )
    try:
        # When its time comes
        # Then the function gets the schedule's input
        assert listener.next(within=15) == {"sweep": True}
    finally:
        client("scheduler").delete_schedule(Name=name)


def test_a_function_may_do_only_what_its_role_allows(client: Any, function: Any, stream: str) -> None:
    # Given functions that put a record, with and without the permission
    source = f"""
import boto3
def handler(event, context):
    boto3.client("kinesis").put_record(StreamName="{stream}", Data=b"x", PartitionKey="k")
    return "put"
"""
    allowed, refused = function(source, "kinesis:PutRecord"), function(source, "kinesis:GetRecords")
    # When they are invoked
    ok = client("lambda").invoke(FunctionName=allowed)
    no = client("lambda").invoke(FunctionName=refused)
    # Then only the first succeeds, and the other is told why
    assert json.loads(ok["Payload"].read()) == "put"
    assert "not authorized to perform: kinesis:PutRecord" in json.loads(no["Payload"].read())["errorMessage"]
