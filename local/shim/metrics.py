"""AWS/Kinesis metrics in CloudWatch, from the operations that were served.

AWS publishes them once a minute, per stream, dimension StreamName, and per shard where enhanced monitoring is on
(https://docs.aws.amazon.com/streams/latest/dev/monitoring-with-cloudwatch.html). Each call is one sample, so Sum is the
total, and Average, Minimum and Maximum are per call. The emulator publishes none. Here a minute's samples are one
statistic set that grows as calls are served and is readable at once; AWS lags by a minute or more.
The switch ``metrics`` turns publishing off, to see what the analysis says of missing metrics.
"""

import json
import time
from typing import Any

from ministack.services import cloudwatch, kinesis

NAMESPACE = "AWS/Kinesis"
MEASURED = frozenset({"PutRecord", "PutRecords", "GetRecords"})
THROTTLED = "ProvisionedThroughputExceededException"
now = time.time

Sample = tuple[str, float, str]


def measure(action: str, headers: Any, body: bytes, answer: Any, started: float) -> None:
    """Publish what one served call adds to its stream's metrics. ``started`` is in epoch seconds."""
    if "json" not in headers.get("content-type", ""):
        return
    request = json.loads(body or b"{}")
    stream, shard_id = _target(action, request)
    if stream is None:
        return
    latency = (now() - started) * 1000
    succeeded = answer[0] == 200
    document = json.loads(answer[2] or b"{}")
    samples: list[Sample] = [(f"{action}.Success", float(succeeded), "Count")]
    if succeeded:
        samples.append((f"{action}.Latency", latency, "Milliseconds"))
    throttled = not succeeded and THROTTLED in str(document.get("__type", ""))
    if action == "GetRecords":
        samples += _read(document, throttled) if succeeded or throttled else []
        per_shard = {shard_id: _read_shard(document, throttled)} if succeeded else {}
    else:
        samples += _written(action, request, document, throttled) if succeeded or throttled else []
        per_shard = _written_shards(action, request, document) if succeeded else {}
    _publish({"StreamName": stream["StreamName"]}, samples)
    levels = stream.get("ShardLevelMetrics") or ()
    for shard, values in per_shard.items():
        chosen = [value for value in values if value[0] in levels or "ALL" in levels]
        _publish({"StreamName": stream["StreamName"], "ShardId": shard}, chosen)


def _target(action: str, request: dict[str, Any]) -> tuple[dict[str, Any] | None, str]:
    if action != "GetRecords":
        return kinesis._resolve_stream(request)[1], ""
    iterator = kinesis._shard_iterators.get(request.get("ShardIterator")) or {}
    return kinesis._streams.get(iterator.get("stream")), iterator.get("shard_id", "")


def _written(action: str, request: dict[str, Any], answer: dict[str, Any], throttled: bool) -> list[Sample]:
    records, outcomes = _outcomes(action, request, answer)
    accepted = [size for size, outcome in zip(records, outcomes, strict=True) if "SequenceNumber" in outcome]
    refused = [outcome for outcome in outcomes if outcome.get("ErrorCode")]
    slowed = sum(outcome["ErrorCode"] == THROTTLED for outcome in refused) + (len(records) if throttled else 0)
    samples: list[Sample] = [
        ("IncomingRecords", len(accepted), "Count"),
        ("IncomingBytes", sum(accepted), "Bytes"),
        ("WriteProvisionedThroughputExceeded", slowed, "Count"),
        (f"{action}.Bytes", sum(records), "Bytes"),
    ]
    if action == "PutRecords":
        samples += [
            ("PutRecords.TotalRecords", len(records), "Count"),
            ("PutRecords.SuccessfulRecords", len(accepted), "Count"),
            ("PutRecords.FailedRecords", len(refused) - slowed if not throttled else 0, "Count"),
            ("PutRecords.ThrottledRecords", slowed, "Count"),
        ]
    return samples


def _written_shards(action: str, request: dict[str, Any], answer: dict[str, Any]) -> dict[str, list[Sample]]:
    totals: dict[str, tuple[int, int]] = {}
    for size, outcome in zip(*_outcomes(action, request, answer), strict=True):
        if "ShardId" in outcome:
            count, length = totals.get(outcome["ShardId"], (0, 0))
            totals[outcome["ShardId"]] = (count + 1, length + size)
    return {
        shard: [("IncomingRecords", count, "Count"), ("IncomingBytes", length, "Bytes")]
        for shard, (count, length) in totals.items()
    }


def _read(answer: dict[str, Any], throttled: bool) -> list[Sample]:
    samples: list[Sample] = [("ReadProvisionedThroughputExceeded", float(throttled), "Count")]
    if throttled:
        return samples
    records = answer["Records"]
    return [
        *samples,
        ("GetRecords.Records", len(records), "Count"),
        ("GetRecords.Bytes", sum(map(_size, records)), "Bytes"),
        ("GetRecords.IteratorAgeMilliseconds", _age(records), "Milliseconds"),
    ]


def _read_shard(answer: dict[str, Any], _throttled: bool) -> list[Sample]:
    records = answer["Records"]
    return [
        ("OutgoingRecords", len(records), "Count"),
        ("OutgoingBytes", sum(map(_size, records)), "Bytes"),
        ("IteratorAgeMilliseconds", _age(records), "Milliseconds"),
    ]


def _age(records: list[dict[str, Any]]) -> float:
    """Age of the last record read; zero when the reader has caught up."""
    return max(0.0, (now() - records[-1]["ApproximateArrivalTimestamp"]) * 1000) if records else 0.0


def _outcomes(action: str, request: dict[str, Any], answer: dict[str, Any]) -> tuple[list[int], list[dict[str, Any]]]:
    records = request["Records"] if action == "PutRecords" else [request]
    outcomes = answer.get("Records", []) if action == "PutRecords" else [answer]
    return [_size(record) for record in records], outcomes or [{} for _ in records]


def _size(record: dict[str, Any]) -> int:
    """Bytes that count against the shard: data and partition key."""
    data: str = record["Data"]
    return len(data) * 3 // 4 - data.count("=", -2) + len(str(record["PartitionKey"]).encode())


def _publish(dimensions: dict[str, str], samples: list[Sample]) -> None:
    minute = int(now()) // 60 * 60
    key = cloudwatch._dims_key(dimensions)
    for name, value, unit in samples:
        points = cloudwatch._metric_bucket((NAMESPACE, name, key))
        if points and points[-1]["Timestamp"] == minute:
            total = points[-1]["_stat"]
            total["SampleCount"] += 1
            total["Sum"] += value
            total["Minimum"] = min(total["Minimum"], value)
            total["Maximum"] = max(total["Maximum"], value)
        else:
            first = {"SampleCount": 1, "Sum": value, "Minimum": value, "Maximum": value}
            point = {"Timestamp": minute, "Unit": unit, "Dimensions": dimensions, "Value": value, "_stat": first}
            points.append(point)
