"""What this stack depends on, and the cheapest read that proves each of them: reachable, and permitted to us.

Each asks for something of the stack's own, so that least privilege is proven too. The calls are chosen for their
quotas as well: they share the account's with the real work, and health may be asked often and by anybody.
"""

from collections.abc import Callable
from typing import Any

from weir.health.readiness import Check, Group
from weir.runtime import aws
from weir.runtime.settings import Settings

PROBE_STREAM = "weir-health-probe"
"""A stream that never exists: that Kinesis says so proves that it answers us (DescribeStreamSummary, 20/s)."""

PROBE_NAMESPACE = "Weir/HealthProbe"

TABLES = ("runs_table", "idempotency_table", "identity_table", "packages_table")
"""The stack's tables, by the settings that name them."""


class NotConfigured(Exception):
    """The stack did not tell this function the name of the thing to check."""


def checks(groups: frozenset[Group], settings: Settings, *, llm_required: bool) -> list[Check]:
    """The checks of these groups.

    The clients are made here, one after another, so that the time-outs are for the services alone and not for
    loading botocore. ``llm_required``: whether a missing model service is a failure, as it is when asked for alone.
    """
    found: list[Check] = []
    if "aws" in groups:
        found += [Check(name, "aws", call) for name, call in _aws(settings)]
    if "db" in groups:
        found += [Check(name, "db", _table(getattr(settings, name))) for name in TABLES]
    if "llm" in groups:
        bedrock = _client("bedrock")
        found.append(Check("bedrock", "llm", _ask(bedrock.list_foundation_models, {}), required=llm_required))
    return found


def reason(error: Exception) -> str:
    """A failure in a few words without secrets: the AWS error code, or the class of the error."""
    return "not configured" if isinstance(error, NotConfigured) else aws.error_code(error)


def _aws(settings: Settings) -> list[tuple[str, Callable[[], None]]]:
    """A call for each AWS service that the stack uses, by botocore's name of the service."""
    plan: list[tuple[str, str, dict[str, Any]]] = [
        ("sts", "get_caller_identity", {}),
        ("dynamodb", "describe_table", {"TableName": settings.runs_table}),
        ("s3", "head_bucket", {"Bucket": settings.runs_bucket}),
        ("stepfunctions", "describe_state_machine", {"stateMachineArn": settings.run_machine_arn}),
        ("secretsmanager", "describe_secret", {"SecretId": settings.cursor_secret_arn}),
        ("sqs", "get_queue_attributes", {"QueueUrl": settings.settle_queue_url, "AttributeNames": ["QueueArn"]}),
        ("cloudwatch", "list_metrics", {"Namespace": PROBE_NAMESPACE}),
        ("events", "list_rules", {"Limit": 1}),
        ("scheduler", "list_schedules", {"MaxResults": 1}),
        ("sns", "list_topics", {}),
        ("kms", "list_aliases", {"Limit": 1}),
        ("lambda", "get_account_settings", {}),
    ]
    probe = _client("kinesis").describe_stream_summary
    return [("kinesis", lambda: _expect_missing(probe, StreamName=PROBE_STREAM))] + [
        (service, _ask(getattr(_client(service), operation), params)) for service, operation, params in plan
    ]


def _ask(operation: Callable[..., Any], params: dict[str, Any]) -> Callable[[], None]:
    def call() -> None:
        if "" in params.values():
            raise NotConfigured
        operation(**params)

    return call


def _table(name: str) -> Callable[[], None]:
    dynamodb = _client("dynamodb")

    def check() -> None:
        if not name:
            raise NotConfigured
        status = dynamodb.describe_table(TableName=name)["Table"]["TableStatus"]
        if status not in {"ACTIVE", "UPDATING"}:
            raise TableNotActive

    return check


class TableNotActive(Exception):
    """The table is there and takes no reads."""


def _client(service: str) -> Any:
    return aws.client(service)


def _expect_missing(operation: Callable[..., Any], **params: Any) -> None:
    try:
        operation(**params)
    except Exception as error:
        if not (aws.is_aws_error(error) and aws.kind(error) == "missing"):
            raise
