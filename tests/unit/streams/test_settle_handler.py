"""The queue's consumer: messages come back until their stream is settled, and no longer."""

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.unit.streams.fakes import FakeKinesis
from weir.runtime import settings
from weir.runtime.errors import Unavailable
from weir.streams import tags

ROOT = Path(__file__).parents[3]
EVENT = json.loads((ROOT / "events/streams-settle.json").read_text())
PENDING = {tags.MANAGED: "true", tags.STACK: "weir", tags.PENDING_RETENTION: "48"}


@pytest.fixture(scope="module")
def module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("settle_handler", ROOT / "functions/stream_settle/handler.py")
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


class FakeSqs:
    """Writes down for how many seconds each message was put off."""

    def __init__(self) -> None:
        self.pauses: dict[str, int] = {}
        self.failure: Exception | None = None

    def change_message_visibility(self, *, QueueUrl: str, ReceiptHandle: str, VisibilityTimeout: int) -> None:  # noqa: N803
        assert QueueUrl == "https://sqs/settle"
        if self.failure is not None:
            raise self.failure
        self.pauses[ReceiptHandle] = VisibilityTimeout


@pytest.fixture
def sqs() -> FakeSqs:
    return FakeSqs()


class FakeCloudWatch:
    """Keeps the alarms that are put; ``failures`` are raised first."""

    def __init__(self) -> None:
        self.alarms: dict[str, dict[str, Any]] = {}
        self.failures: list[Exception] = []

    def put_metric_alarm(self, **asked: Any) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.alarms[asked["AlarmName"]] = asked


@pytest.fixture
def cloudwatch() -> FakeCloudWatch:
    return FakeCloudWatch()


@pytest.fixture
def kinesis(
    module: ModuleType, sqs: FakeSqs, cloudwatch: FakeCloudWatch, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FakeKinesis]:
    fake = FakeKinesis()
    monkeypatch.setenv("WEIR_ALERTS_TOPIC_ARN", "arn:aws:sns:eu-west-1:123456789012:alerts")
    monkeypatch.setenv("WEIR_SETTLE_QUEUE_URL", "https://sqs/settle")
    settings.forget()
    monkeypatch.setattr(module.aws, "client", {"kinesis": None, "sqs": sqs, "cloudwatch": cloudwatch}.__getitem__)
    monkeypatch.setattr(module, "Kinesis", lambda client: fake)
    yield fake
    settings.forget()


def deliver(module: ModuleType, *names: str, looks: int = 1) -> list[str]:
    """The names whose messages come back."""
    records: list[dict[str, Any]] = []
    for name in names:
        record = json.loads(json.dumps(EVENT["Records"][0]))
        record.update(messageId=name, receiptHandle=f"receipt-{name}", body=json.dumps({"stream": name}))
        record["attributes"]["ApproximateReceiveCount"] = str(looks)
        records.append(record)
    answer = module.handler({"Records": records}, None)
    return [item["itemIdentifier"] for item in answer["batchItemFailures"]]


def test_the_sample_event_settles_its_stream(module: ModuleType, kinesis: FakeKinesis) -> None:
    # Given the stream of the sample event, with nothing left to set
    kinesis.add("orders", {tags.MANAGED: "true", tags.STACK: "weir"})

    # When the event comes, Then its message is done
    assert module.handler(EVENT, None) == {"batchItemFailures": []}


def test_a_message_comes_back_until_its_stream_is_settled(module: ModuleType, kinesis: FakeKinesis) -> None:
    # Given a stream that is CREATING, and one that was settled
    kinesis.add("new", PENDING, status="CREATING")
    kinesis.add("done", {tags.MANAGED: "true", tags.STACK: "weir"})

    # When both are delivered, Then only the new one comes back
    assert deliver(module, "new", "done") == ["new"]

    # And again while it is changing, until it is so
    kinesis.streams["new"].status = "ACTIVE"
    assert deliver(module, "new") == ["new"]
    assert deliver(module, "new") == ["new"]
    kinesis.streams["new"].status = "ACTIVE"
    assert deliver(module, "new") == []
    assert kinesis.streams["new"].retention == 48


def test_a_missing_stream_is_looked_for_a_few_times_only(module: ModuleType, kinesis: FakeKinesis) -> None:
    # The message is sent before the stream is made; where CreateStream failed, it never comes.
    assert [deliver(module, "none", looks=looks) for looks in (1, 2, 3, 4)] == [["none"], ["none"], ["none"], []]


def test_a_message_comes_back_soon_at_first_and_seldom_later(
    module: ModuleType, kinesis: FakeKinesis, sqs: FakeSqs
) -> None:
    # Given a stream that stays CREATING
    kinesis.add("new", PENDING, status="CREATING")

    # When its message comes again and again, Then each pause is longer, up to a minute
    pauses = []
    for looks in (1, 2, 3, 12, 39):
        deliver(module, "new", looks=looks)
        pauses.append(sqs.pauses["receipt-new"])
    assert pauses == [5, 10, 15, 60, 60]


def test_a_message_that_cannot_be_put_off_comes_back_by_the_queues_own_time(
    module: ModuleType, kinesis: FakeKinesis, sqs: FakeSqs
) -> None:
    kinesis.add("new", PENDING, status="CREATING")
    sqs.failure = ClientError({"Error": {"Code": "AccessDenied", "Message": ""}}, "ChangeMessageVisibility")
    assert deliver(module, "new") == ["new"]


def test_a_foreign_stream_is_left_alone(module: ModuleType, kinesis: FakeKinesis) -> None:
    kinesis.add("theirs", {tags.PENDING_RETENTION: "48"})
    assert deliver(module, "theirs") == []
    assert kinesis.streams["theirs"].retention == 24


def test_a_failure_brings_its_own_message_back_and_no_other(module: ModuleType, kinesis: FakeKinesis) -> None:
    kinesis.add("a", PENDING)
    kinesis.add("b", {tags.MANAGED: "true", tags.STACK: "weir"})
    kinesis.failures["summary"] = [Unavailable("down")]
    assert deliver(module, "a", "b") == ["a"]


WITH_LEVELS = {tags.MANAGED: "true", tags.STACK: "weir", tags.SLO_LATENCY: "2000", tags.SLO_ITERATOR_AGE: "60000"}


def test_a_settled_stream_gets_its_alarms(module: ModuleType, kinesis: FakeKinesis, cloudwatch: FakeCloudWatch) -> None:
    # Given a stream with service levels that is still to be settled, and one that is not Weir's
    kinesis.add("new", WITH_LEVELS | PENDING)
    kinesis.add("theirs", {name: value for name, value in WITH_LEVELS.items() if name != tags.MANAGED})
    assert deliver(module, "new", "theirs") == ["new"]
    assert cloudwatch.alarms == {}

    # When it is settled, Then its two alarms are there, and nobody else's
    kinesis.streams["new"].status = "ACTIVE"
    assert deliver(module, "new") == []
    assert sorted(cloudwatch.alarms) == ["weir-stream:new:data-latency", "weir-stream:new:iterator-age"]
    assert [one["Threshold"] for one in cloudwatch.alarms.values()] == [2000, 60_000]


def test_alarms_that_could_not_be_made_bring_the_message_back(
    module: ModuleType, kinesis: FakeKinesis, cloudwatch: FakeCloudWatch
) -> None:
    kinesis.add("new", WITH_LEVELS)
    cloudwatch.failures = [ClientError({"Error": {"Code": "Throttling", "Message": ""}}, "PutMetricAlarm")]
    assert deliver(module, "new") == ["new"]
    assert deliver(module, "new") == []
    assert len(cloudwatch.alarms) == 2
