"""Versions of S3's objects: reads that name one, and events that tell of one.

AWS: GetObject with ``versionId`` takes ``Range``, ``partNumber`` and the ``response-*`` parameters like one without
(https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html). An event that EventBridge brings of a bucket with
versions has ``version-id`` (https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html).

The emulator answers the whole object, as it is stored, whatever was asked of a version, and its events name none.
"""

import contextvars
import json
from typing import Any

from ministack.services import eventbridge, s3

from local.shim.patching import patch

_version: contextvars.ContextVar[str | None] = contextvars.ContextVar("version", default=None)


@patch(s3, "_fire_s3_event")
def fire_event(original: Any, *arguments: Any, **named: Any) -> None:
    """Remember which version an event is of."""
    _version.set(named.get("version_id") or (arguments[7] if len(arguments) > 7 else None))
    original(*arguments, **named)
    _version.set(None)


@patch(eventbridge, "_dispatch_event")
def dispatch_event(original: Any, event: Any, *rest: Any, **named: Any) -> Any:
    """Tell it in the event."""
    version = _version.get()
    if version and event.get("Source") == "aws.s3":
        detail = json.loads(event["Detail"])
        detail["object"]["version-id"] = version
        event = {**event, "Detail": json.dumps(detail)}
    return original(event, *rest, **named)


@patch(s3, "_get_object")
def get_object(original: Any, bucket: str, key: str, headers: Any, query_params: Any = None) -> Any:
    """Read a version as asked: the current one as the object itself, an older one cut from the whole."""
    query = dict(query_params or {})
    version_id = s3._qp(query, "versionId", "")
    current = (s3._ensure_bucket(bucket) or {}).get("objects", {}).get(key)
    if version_id and current is not None and current.get("version_id") == version_id:
        return original(bucket, key, headers, {name: value for name, value in query.items() if name != "versionId"})
    asked = headers.get("range", "")
    if asked:  # the checksum is that of the whole
        headers = {name: value for name, value in headers.items() if name != "x-amz-checksum-mode"}
    status, told, body = original(bucket, key, headers, query_params)
    if not version_id or status != 200:
        return status, told, body
    s3._apply_response_overrides(told, query)
    if not asked:
        return status, told, body
    found = s3._parse_range(asked, len(body))
    if found is None:
        return 416, {"Content-Type": "application/xml", "Content-Range": f"bytes */{len(body)}"}, b""
    start, end = found
    part = body[start : end + 1]
    told |= {"Content-Length": str(len(part)), "Content-Range": f"bytes {start}-{end}/{len(body)}"}
    return 206, told, part
