"""Access decisions that the emulator takes on other grounds than AWS.

- ``aws:SecureTransport``: AWS answers over TLS. The emulator's plain HTTP stands in for that on loopback, where nothing
  can listen, so that a bucket policy of TLS only means the same here.
- ``kinesis:GetRecords`` names its stream by the iterator alone; AWS authorizes it against that stream's ARN
  (https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonkinesisdatastreams.html), the emulator
  against ``*``, which no policy with a resource allows.
"""

from typing import Any

from ministack.core import iam_actions, iam_evaluator
from ministack.services import kinesis

from local.shim.patching import patch


@patch(iam_evaluator, "_resolve_condition_key")
def resolve_condition_key(original: Any, key: str, context: Any) -> Any:
    """The value of a condition key: loopback counts as TLS."""
    return "true" if key.lower() == "aws:securetransport" else original(key, context)


@patch(iam_actions, "extract_resource_arn")
def extract_resource_arn(original: Any, service: str, *request: Any, **named: Any) -> Any:
    """The ARN that a request is authorized against: that of the iterator's stream, where there is one."""
    resource = original(service, *request, **named)
    if service != "kinesis" or resource != "*":
        return resource
    body = named.get("body", request[3] if len(request) > 3 else b"")
    iterator = kinesis._shard_iterators.get(iam_actions._safe_json_field(body, "ShardIterator"))
    return iterator["stream_arn"] if iterator else resource
