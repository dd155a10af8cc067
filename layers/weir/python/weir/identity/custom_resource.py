"""CloudFormation custom resources: the answer that a stack waits for.

https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref-responses.html
"""

import json
import urllib.request
from collections.abc import Callable, Mapping
from http.client import HTTPException
from typing import Any

from weir.runtime.clock import Clock

TRIES = 4
TIMEOUT_SECONDS = 5.0
MOST_REASON = 1_000
"""Characters; CloudFormation takes 4 KB for the whole answer."""

Send = Callable[[str, bytes], None]


def succeeded(event: Mapping[str, Any], physical_id: str, values: Mapping[str, str]) -> dict[str, Any]:
    """The answer that the resource is as asked; ``values`` is what ``Fn::GetAtt`` reads."""
    return {**_named(event, physical_id), "Status": "SUCCESS", "Data": dict(values)}


def failed(event: Mapping[str, Any], physical_id: str, reason: str) -> dict[str, Any]:
    """The answer that it could not be done, and why."""
    return {**_named(event, physical_id), "Status": "FAILED", "Reason": reason[:MOST_REASON]}


def _named(event: Mapping[str, Any], physical_id: str) -> dict[str, Any]:
    """What an answer repeats of its request. If an update named another physical id, the old one would be deleted."""
    same = {name: event[name] for name in ("StackId", "RequestId", "LogicalResourceId")}
    return same | {"PhysicalResourceId": event.get("PhysicalResourceId") or physical_id}


def respond(event: Mapping[str, Any], answer: Mapping[str, Any], clock: Clock, send: Send | None = None) -> None:
    """PUT an answer to the event's presigned URL; OSError after ``TRIES`` tries, for the stack then waits in vain."""
    body = json.dumps(answer).encode()
    for left in reversed(range(TRIES)):
        try:
            (send or put)(str(event["ResponseURL"]), body)
        except (OSError, HTTPException):
            if not left:
                raise
            clock.sleep(2.0 ** (TRIES - 1 - left) / 2)
        else:
            return


def put(url: str, body: bytes) -> None:
    """PUT without a content type, which the URL's signature does not hold. OSError where it is not taken."""
    if not url.startswith(("https://", "http://")):
        raise ValueError("the ResponseURL is no web address")
    request = urllib.request.Request(url, data=body, method="PUT", headers={"Content-Type": ""})  # noqa: S310
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS):  # noqa: S310 - checked above
        return
