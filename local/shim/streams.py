"""Kinesis operations as AWS answers them (service model and developer guide of Kinesis Data Streams).

======================  ========================================  =====================================
what                    AWS                                       the emulator
======================  ========================================  =====================================
CreateStream            keeps ``Tags``; ON_DEMAND opens 4 shards  drops them; opens 1
DescribeStreamSummary   counts open shards, tells the shard-level  counts all, tells none
                        metrics
PutRecords              10 MiB a request                          5 MiB
DescribeLimits,         exist                                     unknown action
UpdateStreamMode
======================  ========================================  =====================================

Resharding stands in ``reshard.py``, metrics in ``metrics.py``.
"""

import json
from typing import Any

from ministack.core.responses import error_response_json, json_response
from ministack.services import kinesis

from local.shim import metrics, switches
from local.shim.patching import patch, raise_constant

MIB = 1024 * 1024
ON_DEMAND_SHARDS = 4
SHARD_QUOTA = 500
ON_DEMAND_QUOTA = 50

raise_constant(kinesis._put_records, 5 * MIB, 10 * MIB)


@patch(kinesis, "_create_stream")
def create_stream(original: Any, data: dict[str, Any]) -> Any:
    """Keep the tags, and open as many shards as an on-demand stream starts with."""
    on_demand = data.get("StreamModeDetails", {}).get("StreamMode") == "ON_DEMAND"
    answer = original({**data, "ShardCount": ON_DEMAND_SHARDS} if on_demand else data)
    if answer[0] == 200:
        kinesis._streams[data["StreamName"]]["tags"] = dict(data.get("Tags") or {})
    return answer


@patch(kinesis, "_describe_stream_summary")
def describe_stream_summary(original: Any, data: dict[str, Any]) -> Any:
    """Count open shards alone, and tell which shard-level metrics are on."""
    answer = original(data)
    if answer[0] != 200:
        return answer
    summary = json.loads(answer[2])["StreamDescriptionSummary"]
    stream = kinesis._streams[summary["StreamName"]]
    summary["OpenShardCount"] = len(open_shards(stream))
    summary["EnhancedMonitoring"] = [{"ShardLevelMetrics": sorted(stream.get("ShardLevelMetrics", []))}]
    return json_response({"StreamDescriptionSummary": summary})


@patch(kinesis, "_stream_desc")
def stream_description(original: Any, stream: dict[str, Any], shard_ids: Any = None) -> Any:
    """Tell in DescribeStream, too, which shard-level metrics are on."""
    levels = sorted(stream.get("ShardLevelMetrics", []))
    return original(stream, shard_ids) | {"EnhancedMonitoring": [{"ShardLevelMetrics": levels}]}


@patch(kinesis, "_expire_records")
def expire_records(original: Any, stream: dict[str, Any]) -> None:
    """Trim only when a shard's oldest record is due: the emulator copies every record of the stream at every call."""
    cutoff = metrics.now() - stream["RetentionPeriodHours"] * 3600
    shards = [shard["records"] for shard in stream["shards"].values()]
    if any(records and records[0]["ApproximateArrivalTimestamp"] < cutoff for records in shards):
        original(stream)


def describe_limits(_data: dict[str, Any]) -> Any:
    """Quotas of the account and what is in use."""
    streams = list(kinesis._streams.values())
    on_demand = sum(stream["StreamModeDetails"]["StreamMode"] == "ON_DEMAND" for stream in streams)
    return json_response(
        {
            "ShardLimit": SHARD_QUOTA,
            "OpenShardCount": sum(len(open_shards(stream)) for stream in streams),
            "OnDemandStreamCount": on_demand,
            "OnDemandStreamCountLimit": ON_DEMAND_QUOTA,
        }
    )


def update_stream_mode(data: dict[str, Any]) -> Any:
    """Switch between PROVISIONED and ON_DEMAND; the shards stay."""
    name, stream = kinesis._resolve_stream(data)
    if not stream:
        return error_response_json("ResourceNotFoundException", f"Stream {name} not found", 400)
    stream["StreamModeDetails"] = {"StreamMode": data["StreamModeDetails"]["StreamMode"]}
    return json_response({})


def open_shards(stream: dict[str, Any]) -> dict[str, Any]:
    """Shards that take records."""
    return {name: shard for name, shard in stream["shards"].items() if "ending_sequence_number" not in shard}


_ADDED = {"DescribeLimits": describe_limits, "UpdateStreamMode": update_stream_mode}


@patch(kinesis, "handle_request")
async def handle_request(original: Any, method: str, path: str, headers: Any, body: bytes, query: Any) -> Any:
    """Answer the operations that the emulator lacks, and measure the data plane."""
    action = headers.get("x-amz-target", "").rpartition(".")[2]
    if action in _ADDED:
        return _ADDED[action](json.loads(body or b"{}"))
    started = metrics.now()
    answer = await original(method, path, headers, body, query)
    if action in metrics.MEASURED and switches.on("metrics"):
        metrics.measure(action, headers, body, answer, started)
    return answer
