"""Access decisions that the emulator takes on other grounds than AWS.

- ``aws:SecureTransport``: AWS answers over TLS. The emulator's plain HTTP stands in for that on loopback, where nothing
  can listen, so that a bucket policy of TLS only means the same here.
- ``kinesis:GetRecords`` names its stream by the iterator alone; AWS authorizes it against that stream's ARN
  (https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonkinesisdatastreams.html), the emulator
  against ``*``, which no policy with a resource allows.
- ``dynamodb:LeadingKeys`` are the partition keys that a request touches, in a transaction those of each item by itself
  (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/specifying-conditions.html). The emulator does not
  know them, and so takes a condition on all of them as met. They travel on the ARN that is authorized.
- ``aws:PrincipalArn`` of a role's session is the role's ARN (https://docs.aws.amazon.com/IAM/latest/UserGuide/
  reference_policies_condition-keys.html), in the emulator that of the session.
- Converse and ConverseStream of Bedrock are authorized as InvokeModel and InvokeModelWithResponseStream
  (https://docs.aws.amazon.com/bedrock/latest/userguide/inference-prereq.html), in the emulator by names of their own.
- ``cloudwatch:DeleteAlarms`` is authorized against each alarm that it names (https://docs.aws.amazon.com/
  service-authorization/latest/reference/list_cloudwatch.html), in the emulator against ``*``. Here it is against what
  all of the names begin with, which is what a policy by prefix asks about.
- ``aws:ResourceTag``: the tags of the stream that a call of Kinesis names (the first reference). The emulator knows
  those of other services' resources alone, and so takes every stream for one without tags.
"""

import json
from typing import Any

from ministack.core import iam_actions, iam_evaluator
from ministack.services import dynamodb, iam, kinesis, tagging

from local.shim.patching import patch

AUTHORIZED_AS = {
    "bedrock:Converse": "bedrock:InvokeModel",
    "bedrock:ConverseStream": "bedrock:InvokeModelWithResponseStream",
}


class KeyedArn(str):
    """The ARN of a table, with the partition keys that a request touches on it; None where that is not known."""

    leading: list[str] | None = None


def keyed(arn: str, leading: list[str] | None) -> KeyedArn:
    """An ARN that knows its partition keys."""
    made = KeyedArn(arn)
    made.leading = leading
    return made


@patch(iam_evaluator, "_resolve_condition_key")
def resolve_condition_key(original: Any, key: str, context: Any) -> Any:
    """The value of a condition key: loopback counts as TLS, a session is its role, and leading keys are known."""
    match key.lower():
        case "aws:securetransport":
            return "true"
        case "aws:principalarn":
            return _role_arn(original(key, context))
        case "dynamodb:leadingkeys":
            return getattr(context.resource_arn, "leading", None)
        case _:
            return original(key, context)


def _role_arn(principal: str) -> str:
    """The ARN of the role of a session; any other principal's as it is."""
    kind, _, session = principal.partition(":assumed-role/")
    if not session:
        return principal
    role = iam._roles.get(session.partition("/")[0]) or {}
    return str(role.get("Arn") or f"{kind.replace(':sts:', ':iam:')}:role/{session.partition('/')[0]}")


@patch(tagging, "resource_tags")
def resource_tags(original: Any, arn: str) -> Any:
    """The tags of the resource of an ARN, a stream's too; None where there is no such resource."""
    kind, _, name = arn.partition("/")
    if not kind.startswith("arn:aws:kinesis:") or not kind.endswith(":stream"):
        return original(arn)
    stream = kinesis._streams.get(name)
    return None if stream is None else dict(stream["tags"])


@patch(iam_actions, "extract_iam_action")
def extract_iam_action(original: Any, *request: Any, **named: Any) -> Any:
    """The action that a request is authorized as."""
    action = original(*request, **named)
    return AUTHORIZED_AS.get(action, action)


@patch(iam_actions, "extract_resource_arn")
def extract_resource_arn(original: Any, service: str, *request: Any, **named: Any) -> Any:
    """The ARN that a request is authorized against: that of the iterator's stream, where there is one."""
    resource = original(service, *request, **named)
    body = named.get("body", request[3] if len(request) > 3 else b"")
    if service == "dynamodb":
        return keyed(resource, _leading_keys(_document(body)))
    if service == "monitoring" and resource == "*":
        names = _document(body).get("AlarmNames") or []
        region, account = (named.get(one, request[at]) for one, at in (("region", 5), ("account_id", 6)))
        return f"arn:aws:cloudwatch:{region}:{account}:alarm:{_beginning(names)}" if names else resource
    if service != "kinesis" or resource != "*":
        return resource
    iterator = kinesis._shard_iterators.get(iam_actions._safe_json_field(body, "ShardIterator"))
    return iterator["stream_arn"] if iterator else resource


def _beginning(names: list[str]) -> str:
    """What all names begin with."""
    first, last = min(names), max(names)
    return first[: next((at for at, letter in enumerate(first) if not last.startswith(letter, at)), len(first))]


@patch(iam_actions, "dynamodb_transaction_checks")
def transaction_checks(original: Any, action: str, body: bytes, *scope: Any) -> list[tuple[str, str]]:
    """What each item of a transaction is authorized as, with its own partition key."""
    checks = original(action, body, *scope)
    writes = [one for item in _document(body).get("TransactItems", []) for one in item.values()] if checks else []
    return [(each, keyed(arn, _leading_keys(one))) for (each, arn), one in zip(checks, writes, strict=True)]


def _document(body: Any) -> dict[str, Any]:
    try:
        document = json.loads(body or b"{}")
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _leading_keys(request: dict[str, Any]) -> list[str] | None:
    """The partition keys of one request: of its item, its key, its batch, or of what it queries."""
    name = _partition_key(request.get("TableName"), request.get("IndexName"))
    if "RequestItems" in request:
        found = [
            (_partition_key(table), key)
            for table, asked in request["RequestItems"].items()
            for key in (asked.get("Keys", []) if isinstance(asked, dict) else [_of_a_write(one) for one in asked])
        ]
        return [_plain(key.get(its)) for its, key in found]
    if "Key" in request or "Item" in request:
        return [_plain((request.get("Key") or request["Item"]).get(name))]
    if "KeyConditionExpression" in request:
        return [_queried(request, name)]
    return None


def _of_a_write(write: dict[str, Any]) -> dict[str, Any]:
    return (write.get("PutRequest") or {}).get("Item") or (write.get("DeleteRequest") or {}).get("Key") or {}


def _partition_key(table: str | None, index: str | None = None) -> str:
    described = dynamodb._tables.get(str(table).rpartition("/")[2]) or {}
    indexes = {one["IndexName"]: one["KeySchema"] for one in described.get("GlobalSecondaryIndexes") or []}
    schema = indexes.get(index) or described.get("KeySchema") or []
    return next((one["AttributeName"] for one in schema if one["KeyType"] == "HASH"), "")


def _queried(request: dict[str, Any], name: str) -> str:
    """The partition key that a query names: ``name = :value``, which must be its first condition or stand alone."""
    names, values = request.get("ExpressionAttributeNames") or {}, request.get("ExpressionAttributeValues") or {}
    for condition in request["KeyConditionExpression"].replace("(", " ").replace(")", " ").split(" AND "):
        left, equals, right = condition.partition("=")
        if equals and names.get(left.strip(), left.strip()) == name:
            return _plain(values.get(right.strip()))
    return ""


def _plain(value: Any) -> str:
    return str(next(iter(value.values()))) if isinstance(value, dict) and value else ""
