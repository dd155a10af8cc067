"""Resharding of Kinesis streams: parents close, stay readable, and lead on to their children.

AWS: SplitShard, MergeShards and UpdateShardCount close the parents, whose records stay readable until retention ends;
ListShards tells a closed shard's EndingSequenceNumber and a child's ParentShardId; GetRecords at the end of a closed
shard answers no NextShardIterator and names the ChildShards; UpdateShardCount at most doubles or halves the open shards
(https://docs.aws.amazon.com/streams/latest/dev/kinesis-using-sdk-java-resharding.html and the API reference).

The emulator deletes the parents with their records, and UpdateShardCount starts again with unrelated shards.
"""

import json
from typing import Any

from ministack.core.responses import error_response_json, json_response
from ministack.services import kinesis

from local.shim.patching import patch
from local.shim.streams import open_shards


@patch(kinesis, "_split_shard")
def split_shard(original: Any, data: dict[str, Any]) -> Any:
    """Close the shard and open two children of it."""
    return _closing(original, data, data.get("ShardToSplit"))


@patch(kinesis, "_merge_shards")
def merge_shards(original: Any, data: dict[str, Any]) -> Any:
    """Close two adjacent shards and open one child of both."""
    _name, stream = kinesis._resolve_stream(data)
    pair = (str(data.get("ShardToMerge")), str(data.get("AdjacentShardToMerge")))
    if stream and all(shard in stream["shards"] for shard in pair) and not _adjacent(stream, *pair):
        return error_response_json("InvalidArgumentException", f"Shards {' and '.join(pair)} are not adjacent", 400)
    return _closing(original, data, *pair)


@patch(kinesis, "_update_shard_count")
def update_shard_count(_original: Any, data: dict[str, Any]) -> Any:
    """Split and merge open shards until they divide the hash keys evenly."""
    name, stream = kinesis._resolve_stream(data)
    if not stream:
        return error_response_json("ResourceNotFoundException", f"Stream {name} not found", 400)
    current, target = len(open_shards(stream)), int(data["TargetShardCount"])
    if not (current + 1) // 2 <= target <= 2 * current:
        text = f"Shard count can at most double or halve. Open shards: {current}, target: {target}"
        return error_response_json("InvalidArgumentException", text, 400)
    ranges = [(int(first), int(last)) for first, last in kinesis._compute_hash_ranges(target)]
    for first, _last in ranges:
        for shard_id, shard in open_shards(stream).items():
            if int(shard["starting_hash_key"]) < first <= int(shard["ending_hash_key"]):
                split = {"StreamName": name, "ShardToSplit": shard_id, "NewStartingHashKey": str(first)}
                kinesis._split_shard(split)
    for first, last in ranges:
        while len(inside := _within(stream, first, last)) > 1:
            merge = {"StreamName": name, "ShardToMerge": inside[0], "AdjacentShardToMerge": inside[1]}
            kinesis._merge_shards(merge)
    return json_response(
        {
            "StreamName": stream["StreamName"],
            "CurrentShardCount": current,
            "TargetShardCount": target,
            "StreamARN": stream["StreamARN"],
        }
    )


@patch(kinesis, "_route_to_shard")
def route_to_shard(original: Any, hash_key: int, stream: dict[str, Any]) -> str:
    """Closed shards take no records."""
    chosen: str = original(hash_key, {**stream, "shards": open_shards(stream)})
    return chosen


@patch(kinesis, "_shard_out")
def describe_shard(original: Any, shard_id: str, shard: dict[str, Any]) -> dict[str, Any]:
    """A closed shard tells its last sequence number."""
    description: dict[str, Any] = original(shard_id, shard)
    if "ending_sequence_number" in shard:
        description["SequenceNumberRange"]["EndingSequenceNumber"] = shard["ending_sequence_number"]
    return description


@patch(kinesis, "_get_records")
def get_records(original: Any, data: dict[str, Any]) -> Any:
    """At the end of a closed shard: no further iterator, but the children."""
    answer = original(data)
    iterator = kinesis._shard_iterators.get(data.get("ShardIterator"))
    if answer[0] != 200 or iterator is None:
        return answer
    shards = kinesis._streams[iterator["stream"]]["shards"]
    shard_id = iterator["shard_id"]
    if "ending_sequence_number" not in shards[shard_id]:
        return answer
    page = json.loads(answer[2])
    following = kinesis._shard_iterators[page["NextShardIterator"]]
    if following["position"] < len(shards[shard_id]["records"]):
        return answer
    del kinesis._shard_iterators[page.pop("NextShardIterator")]
    page["ChildShards"] = [_child(child_id, child) for child_id, child in shards.items() if shard_id in _parents(child)]
    return json_response(page)


def _closing(original: Any, data: dict[str, Any], *parents: Any) -> Any:
    name, stream = kinesis._resolve_stream(data)
    if not stream:
        return error_response_json("ResourceNotFoundException", f"Stream {name} not found", 400)
    taken = open_shards(stream)
    closed = [parent for parent in parents if parent in stream["shards"] and parent not in taken]
    if closed:
        return error_response_json("InvalidArgumentException", f"Shard {closed[0]} is closed", 400)
    kept = {parent: stream["shards"][parent] for parent in parents if parent in taken}
    answer = original(data)
    if answer[0] == 200:
        for parent in kept.values():
            parent["ending_sequence_number"] = kinesis._next_sequence_number()
        stream["shards"] = dict(sorted({**stream["shards"], **kept}.items()))
    return answer


def _adjacent(stream: dict[str, Any], one: str, other: str) -> bool:
    low, high = sorted((stream["shards"][one], stream["shards"][other]), key=lambda s: int(s["starting_hash_key"]))
    return int(low["ending_hash_key"]) + 1 == int(high["starting_hash_key"])


def _within(stream: dict[str, Any], first: int, last: int) -> list[str]:
    found = open_shards(stream).items()
    inside = [i for i, s in found if first <= int(s["starting_hash_key"]) and int(s["ending_hash_key"]) <= last]
    return sorted(inside, key=lambda i: int(stream["shards"][i]["starting_hash_key"]))


def _parents(shard: dict[str, Any]) -> list[str]:
    return [shard[key] for key in ("parent_shard_id", "adjacent_parent_shard_id") if shard.get(key)]


def _child(shard_id: str, shard: dict[str, Any]) -> dict[str, Any]:
    keys = {"StartingHashKey": shard["starting_hash_key"], "EndingHashKey": shard["ending_hash_key"]}
    return {"ShardId": shard_id, "ParentShards": _parents(shard), "HashKeyRange": keys}
