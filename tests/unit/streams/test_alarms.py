"""Two alarms a managed stream: thresholds from its tags, named after it, gone with it."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from weir.runtime.errors import TooManyRequests, UpstreamFailed
from weir.streams import tags
from weir.streams.alarming import Alarming
from weir.streams.alarms import PERIODS, alarms_of, names, prefix, stream_of
from weir.streams.cloudwatch import Alarms

TOPIC = "arn:aws:sns:eu-west-1:123456789012:alerts"
OURS = {
    tags.MANAGED: "true",
    tags.STACK: "weir",
    tags.SLO_LATENCY: "2000",
    tags.SLO_ITERATOR_AGE: "60000",
}


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    with mock_aws():
        yield boto3.client("cloudwatch", region_name="eu-west-1")


@pytest.fixture
def alarming(client: Any) -> Alarming:
    return Alarming(Alarms(client), "weir", TOPIC)


def described(client: Any) -> dict[str, dict[str, Any]]:
    return {one["AlarmName"]: one for one in client.describe_alarms()["MetricAlarms"]}


def test_a_stream_has_an_alarm_on_its_data_latency_and_one_on_its_iterator_age() -> None:
    latency, age = alarms_of("weir", "orders", OURS)
    assert (latency.name, latency.threshold) == ("weir-stream:orders:data-latency", 2000)
    assert (age.name, age.threshold) == ("weir-stream:orders:iterator-age", 60_000)

    # And latency is all of the way: the write, the age of what is read, the read
    assert {metric for metric, _ in latency.metrics.values()} == {
        "PutRecords.Latency",
        "GetRecords.IteratorAgeMilliseconds",
        "GetRecords.Latency",
    }
    # And a minute without any write or read has no latency of it, while one without an age is none at all
    assert latency.expression == "FILL(put, 0) + age + FILL(get, 0)"
    assert age.metrics == {"age": ("GetRecords.IteratorAgeMilliseconds", "Maximum")}


@pytest.mark.parametrize(
    "found",
    [
        {},
        {tags.SLO_LATENCY: "2000", tags.SLO_ITERATOR_AGE: "1"},
        OURS | {tags.STACK: "another"},
        OURS | {tags.MANAGED: "false"},
        OURS | {tags.SLO_LATENCY: "", tags.SLO_ITERATOR_AGE: "0"},
        OURS | {tags.SLO_LATENCY: "-5", tags.SLO_ITERATOR_AGE: "1e9"},
        OURS | {tags.SLO_LATENCY: "\u0661", tags.SLO_ITERATOR_AGE: "soon"},
        {name: value for name, value in OURS.items() if "slo" not in name},
    ],
)
def test_no_other_stream_has_any(found: dict[str, str]) -> None:
    assert list(alarms_of("weir", "orders", found)) == []


def test_names_tell_the_stream_and_no_stack_meets_another() -> None:
    for name in names("weir", "a.b_c-d"):
        assert stream_of("weir", name) == "a.b_c-d"
        assert name.startswith(prefix("weir"))
        assert not name.startswith((prefix("wei"), prefix("weir-2")))


def test_alarms_are_made_as_they_are_meant_and_again_without_harm(client: Any, alarming: Alarming) -> None:
    # When they are made, twice
    assert sorted(alarming.make("orders", OURS)) == sorted(names("weir", "orders"))
    alarming.make("orders", OURS)

    # Then there are two, which tell the topic after some minutes above the threshold, and not of missing data
    found = described(client)
    assert set(found) == set(names("weir", "orders"))
    for one in found.values():
        assert one["AlarmActions"] == one["OKActions"] == [TOPIC]
        assert (one["EvaluationPeriods"], one["ComparisonOperator"]) == (PERIODS, "GreaterThanThreshold")
        assert one["TreatMissingData"] == "missing"  # neither an alarm nor the end of one
        assert sum(metric.get("ReturnData", False) for metric in one["Metrics"]) == 1
        for metric in one["Metrics"]:
            if "MetricStat" in metric:
                assert metric["MetricStat"]["Metric"]["Namespace"] == "AWS/Kinesis"
                assert metric["MetricStat"]["Metric"]["Dimensions"] == [{"Name": "StreamName", "Value": "orders"}]


def test_a_level_that_changed_is_taken_over(client: Any, alarming: Alarming) -> None:
    alarming.make("orders", OURS)
    alarming.make("orders", OURS | {tags.SLO_LATENCY: "9000"})
    assert described(client)["weir-stream:orders:data-latency"]["Threshold"] == 9000


def test_alarms_that_are_known_are_not_made_again(alarming: Alarming) -> None:
    made = alarming.make("orders", OURS)
    assert alarming.known() == set(made)
    assert alarming.make("orders", OURS, alarming.known()) == []


def test_alarms_go_with_their_stream_and_no_others(client: Any, alarming: Alarming) -> None:
    # Given alarms of two streams, of which one name begins as the other, of another stack, and of somebody's
    for name in ("orders", "orders-2"):
        alarming.make(name, OURS)
    Alarming(Alarms(client), "weir-2", TOPIC).make("orders", OURS)
    others = set(described(client)) - set(names("weir", "orders"))
    assert len(others) == 4
    # When the alarms of one are deleted, twice, Then the others stay
    alarming.delete("orders")
    alarming.delete("orders")
    assert set(described(client)) == others


def test_alarms_without_a_stream_are_found(alarming: Alarming) -> None:
    for name in ("there", "gone"):
        alarming.make(name, OURS)
    orphans = alarming.orphans(alarming.known(), ["there", "without-alarms"])
    assert orphans == sorted(names("weir", "gone"))
    alarming.delete_all(orphans)
    assert alarming.known() == set(names("weir", "there"))


class Refusing:
    """A client that refuses by a code; ``found`` is what it tells of alarms."""

    def __init__(self, code: str, found: list[str] | None = None) -> None:
        self._code, self._found = code, found

    def __getattr__(self, operation: str) -> Any:
        def call(**_: Any) -> Any:
            if operation == "describe_alarms" and self._found is not None:
                return {"MetricAlarms": [{"AlarmName": name} for name in self._found]}
            raise ClientError({"Error": {"Code": self._code, "Message": ""}}, operation)

        return call


def test_what_cloudwatch_refuses_is_told_and_what_is_gone_meanwhile_is_gone() -> None:
    with pytest.raises(TooManyRequests):
        Alarming(Alarms(Refusing("Throttling")), "weir", TOPIC).make("orders", OURS)
    with pytest.raises(UpstreamFailed):
        Alarming(Alarms(Refusing("AccessDenied")), "weir", TOPIC).delete("orders")
    Alarming(Alarms(Refusing("ResourceNotFound", ["weir-stream:orders:data-latency"])), "weir", TOPIC).delete("orders")


def test_the_names_of_alarms_are_read_over_all_pages() -> None:
    class Pages:
        def describe_alarms(self, **asked: Any) -> dict[str, Any]:
            assert asked["AlarmNamePrefix"] == "weir-stream:"
            if "NextToken" not in asked:
                return {"MetricAlarms": [{"AlarmName": "a"}], "NextToken": "t"}
            return {"MetricAlarms": [{"AlarmName": "b"}]}

    assert Alarming(Alarms(Pages()), "weir", TOPIC).known() == {"a", "b"}
