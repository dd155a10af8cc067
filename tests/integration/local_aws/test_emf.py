"""Metrics in the logs of functions, on the local AWS."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

MEASURES = """
import json, time
def handler(event, context):
    print("a line that mentions \\"_aws\\" and is no document")
    print(json.dumps({
        "_aws": {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [{
            "Namespace": "NAME", "Dimensions": [["Route"], []],
            "Metrics": [{"Name": "Latency", "Unit": "Milliseconds"}, {"Name": "Lost", "Unit": "Count"}]}]},
        "Route": "GET /streams", "Latency": [10, 30], "Lost": 1}))
"""


def statistics(client: Any, namespace: str, metric: str, **dimensions: str) -> dict[str, Any]:
    now = datetime.now(UTC)
    points = client("cloudwatch").get_metric_statistics(
        Namespace=namespace,
        MetricName=metric,
        Dimensions=[{"Name": name, "Value": value} for name, value in dimensions.items()],
        StartTime=now - timedelta(hours=1),
        EndTime=now + timedelta(minutes=5),
        Period=3600 * 2,
        Statistics=["Sum", "SampleCount", "Maximum"],
    )["Datapoints"]
    assert len(points) == 1
    return dict(points[0])


def test_a_line_in_the_embedded_metric_format_becomes_metrics(client: Any, function: Any, name: str) -> None:
    # Given a function that logs two metrics, with a dimension and without, and an alarm on one of them
    cloudwatch = client("cloudwatch")
    arn = function(MEASURES.replace("NAME", name))
    cloudwatch.put_metric_alarm(
        AlarmName=name,
        Namespace=name,
        MetricName="Lost",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=0,
        ComparisonOperator="GreaterThanThreshold",
    )
    try:
        # When it is invoked
        client("lambda").invoke(FunctionName=arn)
        time.sleep(0.2)
        # Then each value is one sample, under each set of dimensions, and the alarm goes off
        by_route = statistics(client, name, "Latency", Route="GET /streams")
        assert (by_route["SampleCount"], by_route["Sum"], by_route["Maximum"]) == (2, 40, 30)
        assert statistics(client, name, "Lost", Route="GET /streams")["Sum"] == 1
        [alarm] = cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"]
        assert alarm["StateValue"] == "ALARM"
    finally:
        cloudwatch.delete_alarms(AlarmNames=[name])
