"""The run id of a stream that was asked for over HTTP, outside any run."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def request_tag(principal: str, key: str, request: Mapping[str, Any]) -> str:
    """``request-`` and 128 bits that are the same when the same principal sends the same key and request again.

    So a try that died after CreateStream is recognized, and adopts its stream; anybody else's name stays a conflict.
    """
    told = json.dumps([principal, key, request], sort_keys=True, separators=(",", ":"))
    return "request-" + hashlib.sha256(told.encode()).hexdigest()[:32]
