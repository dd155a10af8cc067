"""The states between: a stream is CREATING, UPDATING or DELETING for a while.

AWS: CreateStream, UpdateShardCount, DeleteStream and their like answer at once and take seconds to minutes. Meanwhile
DescribeStreamSummary tells the state; what needs an ACTIVE stream is refused with ResourceInUseException; the data
plane of a stream being created answers ResourceNotFoundException, and goes on while it is updated or deleted; a deleted
stream is gone when describing it answers ResourceNotFoundException; DeleteStream refuses a stream with consumers unless
told to enforce (API reference of Kinesis Data Streams).

In the emulator all of this is over at once. Here each state lasts half a second: long enough to be met by code that
does not wait, short enough for tests.
"""

import re
import time
from typing import Any

from ministack.core.responses import error_response_json
from ministack.services import kinesis

from local.shim import switches
from local.shim.patching import patch

_STREAM_NAME = re.compile(rb'"StreamName"\s*:\s*"([^"\\]+)"')
_STREAM_ARN = re.compile(rb'"StreamARN"\s*:\s*"[^"\\]+:stream/([^"\\]+)"')
_DATA = frozenset({"PutRecord", "PutRecords", "GetRecords", "GetShardIterator"})
_UPDATING = frozenset(
    {
        "UpdateShardCount",
        "SplitShard",
        "MergeShards",
        "IncreaseStreamRetentionPeriod",
        "DecreaseStreamRetentionPeriod",
        "StartStreamEncryption",
        "StopStreamEncryption",
        "UpdateStreamMode",
    }
)
_NEEDS_ACTIVE = _UPDATING | {"DeleteStream", "RegisterStreamConsumer", "EnableEnhancedMonitoring"}
_delete = kinesis._delete_stream


@patch(kinesis, "handle_request")
async def handle_request(original: Any, method: str, path: str, headers: Any, body: bytes, query: Any) -> Any:
    """Let states end, refuse what must wait, and begin the state that a change leads to."""
    action = headers.get("x-amz-target", "").rpartition(".")[2]
    _settle()
    name = _name(body)
    stream = kinesis._streams.get(name)
    if stream:
        refusal = _refusal(action, stream)
        if refusal:
            return refusal
        # The emulator writes to ACTIVE streams alone; AWS also to those that are updated or deleted.
        stream["StreamStatus"] = "ACTIVE" if action in _DATA else _phase(stream)
    answer = await original(method, path, headers, body, query)
    if answer[0] == 200 and action == "CreateStream":
        _begin(kinesis._streams[name], "CREATING")
    elif answer[0] == 200 and action in _UPDATING and stream:
        _begin(stream, "UPDATING")
    return answer


@patch(kinesis, "_delete_stream")
def delete_stream(_original: Any, data: dict[str, Any]) -> Any:
    """Begin to delete: the stream, its records and consumers go when the state ends."""
    name, stream = kinesis._resolve_stream(data)
    if not stream:
        return error_response_json("ResourceNotFoundException", f"Stream {name} not found", 400)
    consumers = [each for each in kinesis._consumers.values() if each["StreamARN"] == stream["StreamARN"]]
    if consumers and not data.get("EnforceConsumerDeletion"):
        text = f"Stream {name} has registered consumers; delete them, or enforce their deletion"
        return error_response_json("ResourceInUseException", text, 400)
    _begin(stream, "DELETING")
    _settle()
    return kinesis.json_response({})


@patch(kinesis, "_ensure_active")
def ensure_active(_original: Any, _stream: dict[str, Any]) -> None:
    """Describing a stream does not make it active."""


def _settle() -> None:
    for name in [name for name, stream in kinesis._streams.items() if _is_deleted(stream)]:
        _delete({"StreamName": name})
    for stream in kinesis._streams.values():
        stream["StreamStatus"] = _phase(stream)


def _name(body: bytes | str) -> str:
    text = body.encode() if isinstance(body, str) else body  # Step Functions' own calls come as text
    found = _STREAM_NAME.search(text) or _STREAM_ARN.search(text)
    return found[1].decode() if found else ""


def _begin(stream: dict[str, Any], phase: str) -> None:
    stream["_phase"] = (phase, time.monotonic() + switches.seconds("phase_seconds"))
    stream["StreamStatus"] = _phase(stream)


def _phase(stream: dict[str, Any]) -> str:
    phase, until = stream.get("_phase", ("ACTIVE", 0.0))
    return str(phase) if time.monotonic() < until else "ACTIVE"


def _is_deleted(stream: dict[str, Any]) -> bool:
    phase, until = stream.get("_phase", ("ACTIVE", 0.0))
    return bool(phase == "DELETING" and time.monotonic() >= until)


def _refusal(action: str, stream: dict[str, Any]) -> Any:
    phase, name = _phase(stream), stream["StreamName"]
    if action in _DATA and phase == "CREATING":
        return error_response_json("ResourceNotFoundException", f"Stream {name} not found", 400)
    if action in _NEEDS_ACTIVE and phase != "ACTIVE":
        text = f"Stream {name} is {phase}, and must be ACTIVE for {action}"
        return error_response_json("ResourceInUseException", text, 400)
    return None
