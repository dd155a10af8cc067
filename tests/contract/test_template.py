"""Our own rules for the template, beyond cfn-lint's: logs, time-outs, dead letters, least privilege, data, alarms."""

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import fields
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from tests.contract import stack
from weir.runtime.settings import PREFIX, Settings, load

FUNCTIONS = stack.functions()
ROLES = {
    name: list(stack.statements(one["Properties"]["Policies"]))
    for kind in ("AWS::Serverless::Function", "AWS::Serverless::StateMachine")
    for name, one in stack.resources(kind).items()
}
STATEMENTS = [(role, one["Sid"], one) for role, statements in ROLES.items() for one in statements]
TAKES_NO_RESOURCE = {
    *("kinesis:ListStreams", "kinesis:DescribeLimits", "cloudwatch:GetMetricData", "cloudwatch:ListMetrics"),
    "cloudwatch:DescribeAlarms",
    *("sts:GetCallerIdentity", "events:ListRules", "scheduler:ListSchedules", "sns:ListTopics", "kms:ListAliases"),
    *("lambda:GetAccountSettings", "bedrock:ListFoundationModels"),
    *("kinesis:UpdateShardCount", "kinesis:UpdateStreamMode"),
    *("kinesis:EnableEnhancedMonitoring", "kinesis:DisableEnhancedMonitoring"),
    *("logs:CreateLogDelivery", "logs:GetLogDelivery", "logs:UpdateLogDelivery", "logs:DeleteLogDelivery"),
    *("logs:ListLogDeliveries", "logs:PutResourcePolicy", "logs:DescribeResourcePolicies", "logs:DescribeLogGroups"),
}
"""Actions that have no resource, or are asked about all: https://docs.aws.amazon.com/service-authorization/latest/reference/"""

BY_TAGS = {
    *("kinesis:DeleteStream", "kinesis:RemoveTagsFromStream"),
    *("kinesis:IncreaseStreamRetentionPeriod", "kinesis:DecreaseStreamRetentionPeriod"),
    *("kinesis:StartStreamEncryption", "kinesis:StopStreamEncryption"),
}
"""Changes of a stream for which IAM knows the stream's tags (the same reference)."""

ASYNCHRONOUS = {"EventBridgeRule", "Schedule", "ScheduleV2", "SNS", "S3"}
BEHIND_THE_API = sorted({route.function for route in stack.routes()} | {stack.authorizer()})
each_function = pytest.mark.parametrize("name", FUNCTIONS)


@each_function
def test_a_function_says_what_it_does_and_keeps_its_logs_for_a_while(name: str) -> None:
    function = FUNCTIONS[name]
    assert function["Description"]
    group = stack.template()["Resources"][function["LoggingConfig"]["LogGroup"]["Ref"]]["Properties"]
    assert group["RetentionInDays"] == {"Ref": "LogRetentionDays"}
    assert stack.resolve(group["LogGroupName"]) == f"/weir/{stack.STACK}/{stack.folder(name)}"
    assert stack.template()["Resources"][name]["Metadata"] == {"BuildMethod": "makefile"}


def test_every_log_group_is_kept_for_a_while_and_used_once() -> None:
    groups = stack.resources("AWS::Logs::LogGroup")
    assert all("RetentionInDays" in one["Properties"] for one in groups.values())
    names = [json.dumps(one["Properties"]["LogGroupName"]) for one in groups.values()]
    assert len(set(names)) == len(names)


@each_function
def test_a_function_behind_the_api_ends_before_the_api_gives_up(name: str) -> None:
    for event in stack.events(name).values():
        if event["Type"] == "Api":
            told = event["Properties"].get("TimeoutInMillis", stack.API_TIMEOUT_SECONDS * 1000)
            assert FUNCTIONS[name]["Timeout"] * 1000 <= told
    assert FUNCTIONS[name]["Timeout"] <= 900


@pytest.mark.parametrize("name", BEHIND_THE_API)
def test_a_call_of_aws_that_hangs_ends_before_the_function_does(name: str) -> None:
    # Given a call that is never answered, in a function that a caller waits for
    conf = load(stack.environment(name))
    waits = sum(min(2**number, 20) for number in range(conf.aws_attempts - 1))
    # When it is tried as often as it may be, with the longest waits in between (botocore's standard mode)
    # Then there is time left to tell the caller so
    assert conf.aws_attempts * conf.aws_timeout_seconds + waits < FUNCTIONS[name]["Timeout"]


@each_function
def test_what_fails_for_good_where_nobody_waits_is_kept_and_alarms(name: str) -> None:
    for trigger, event in stack.events(name).items():
        if event["Type"] in ASYNCHRONOUS:
            # Given a trigger that does not wait, Then both the call and the function's failure end in the queue
            queue = {"GetAtt": "FailedEvents.Arn"}
            assert FUNCTIONS[name]["DeadLetterQueue"] == {"Type": "SQS", "TargetArn": queue}, trigger
            assert event["Properties"]["DeadLetterConfig"] == {"Arn": queue}, trigger
            assert event["Properties"]["RetryPolicy"]["MaximumRetryAttempts"] > 0
        if event["Type"] == "SQS":
            source = stack.template()["Resources"][event["Properties"]["Queue"]["GetAtt"].split(".")[0]]["Properties"]
            assert source["RedrivePolicy"]["deadLetterTargetArn"] == {"GetAtt": "FailedEvents.Arn"}
            assert source["VisibilityTimeout"] >= 6 * FUNCTIONS[name]["Timeout"]
            assert event["Properties"]["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


def test_every_statement_has_a_name_of_its_own_that_says_why() -> None:
    for role, statements in ROLES.items():
        sids = [one.get("Sid", "") for one in statements]
        assert len(set(sids)) == len(sids), role
        assert all(re.fullmatch(r"([A-Z][a-z0-9]*){2,}", sid) for sid in sids), role


@pytest.mark.parametrize(("role", "sid", "statement"), STATEMENTS, ids=[f"{role}.{sid}" for role, sid, _ in STATEMENTS])
def test_a_statement_allows_named_actions_on_named_resources(role: str, sid: str, statement: dict[str, Any]) -> None:
    actions = stack.many(statement["Action"])
    assert statement["Effect"] in {"Allow", "Deny"}
    assert not [action for action in actions if "*" in action]
    if "*" in stack.many(statement["Resource"]):
        assert set(actions) <= TAKES_NO_RESOURCE
    else:
        assert not set(actions) & (TAKES_NO_RESOURCE - {"sts:GetCallerIdentity"})


def test_no_role_is_given_by_a_ready_made_policy() -> None:
    for name, function in FUNCTIONS.items():
        assert all("Statement" in policy for policy in function["Policies"]), name


def test_only_the_key_policy_has_a_wildcard() -> None:
    (key,) = stack.resources("AWS::KMS::Key").values()
    assert key["Properties"]["EnableKeyRotation"] is True
    for one in key["Properties"]["KeyPolicy"]["Statement"]:
        assert one["Sid"]
        if one["Principal"] == {"AWS": "*"}:
            # whoever may use the data, through its service, of this account alone
            assert set(one["Condition"]["StringEquals"]) == {"kms:CallerAccount", "kms:ViaService"}
        elif "Service" in one["Principal"]:
            assert "aws:SourceAccount" in one["Condition"]["StringEquals"]
        else:
            assert one["Principal"]["AWS"]["Sub"].endswith(":root")


@pytest.mark.parametrize("name", stack.resources("AWS::DynamoDB::Table"))
def test_a_table_can_be_restored_is_encrypted_and_forgets(name: str) -> None:
    table = stack.resources("AWS::DynamoDB::Table")[name]
    properties = table["Properties"]
    assert properties["BillingMode"] == "PAY_PER_REQUEST"
    assert properties["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert properties["SSESpecification"] == {
        "SSEEnabled": True,
        "SSEType": "KMS",
        "KMSMasterKeyId": {"GetAtt": "DataKey.Arn"},
    }
    assert properties["TimeToLiveSpecification"]["Enabled"] is True
    assert {"DeletionPolicy", "UpdateReplacePolicy"} <= set(table)


@pytest.mark.parametrize("name", stack.resources("AWS::S3::Bucket"))
def test_a_bucket_is_private_versioned_encrypted_and_cleared(name: str) -> None:
    properties = stack.resources("AWS::S3::Bucket")[name]["Properties"]
    assert all(properties["PublicAccessBlockConfiguration"].values())
    assert len(properties["PublicAccessBlockConfiguration"]) == 4
    assert properties["VersioningConfiguration"] == {"Status": "Enabled"}
    (rule,) = properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["BucketKeyEnabled"] is True
    assert rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == "aws:kms"
    rules = properties["LifecycleConfiguration"]["Rules"]
    assert any("AbortIncompleteMultipartUpload" in one for one in rules)
    assert any("NoncurrentVersionExpiration" in one for one in rules)

    # And a policy refuses whoever comes without TLS
    policies = [
        one["Properties"]["PolicyDocument"]["Statement"]
        for one in stack.resources("AWS::S3::BucketPolicy").values()
        if one["Properties"]["Bucket"] == {"Ref": name}
    ]
    assert any(
        (one["Effect"], one["Principal"], one["Condition"]) == ("Deny", "*", {"Bool": {"aws:SecureTransport": "false"}})
        for statements in policies
        for one in statements
    )


def test_queues_topics_and_secrets_are_encrypted() -> None:
    for name, one in stack.resources("AWS::SQS::Queue").items():
        assert one["Properties"].get("SqsManagedSseEnabled") or one["Properties"].get("KmsMasterKeyId"), name
    assert all(one["Properties"]["KmsMasterKeyId"] for one in stack.resources("AWS::SNS::Topic").values())
    assert all(one["Properties"]["KmsKeyId"] for one in stack.resources("AWS::SecretsManager::Secret").values())


def test_alarms_tell_the_topic_and_say_what_happened() -> None:
    for name, one in stack.resources("AWS::CloudWatch::Alarm").items():
        properties = one["Properties"]
        assert properties["AlarmActions"] == [{"Ref": "AlertsTopic"}], name
        assert properties["AlarmDescription"].endswith("."), name
        assert properties["TreatMissingData"] == "notBreaching", name


@each_function
def test_a_functions_errors_alarm_and_are_on_the_dashboard(name: str) -> None:
    # Given that an authorizer refuses by an error, as API Gateway wants it, so that its errors are no news
    metric = "Throttles" if name == stack.authorizer() else "Errors"
    dimensions = [{"Name": "FunctionName", "Value": {"Ref": name}}]
    assert [
        alarm
        for alarm, one in stack.resources("AWS::CloudWatch::Alarm").items()
        if (one["Properties"]["MetricName"], one["Properties"]["Dimensions"]) == (metric, dimensions)
    ]
    assert f'"{metric}","FunctionName","{stack.physical(name)}"' in stack.dashboard()


def test_an_authorizer_that_fails_alarms_by_what_the_api_then_answers() -> None:
    assert stack.gateway_response("AUTHORIZER_FAILURE")["StatusCode"] == 503
    assert stack.gateway_response("AUTHORIZER_CONFIGURATION_ERROR")["StatusCode"] == 503
    assert stack.resources("AWS::CloudWatch::Alarm")["ServerErrorsAlarm"]["Properties"]["MetricName"] == "5XXError"


def test_the_iterator_age_that_alarms_is_named_as_it_is_published() -> None:
    # Its values come from CloudWatch itself, so no test without CloudWatch sees it published.
    alarm = stack.resources("AWS::CloudWatch::Alarm")["IteratorAgeAlarm"]["Properties"]
    publishing = (stack.ROOT / "layers/weir/python/weir/runs/publishing.py").read_text()
    assert f'known["{alarm["MetricName"]}"] = ' in publishing


def test_the_dashboard_is_json() -> None:
    widgets = json.loads(stack.dashboard())["widgets"]
    assert all(widget["x"] + widget["width"] <= 24 for widget in widgets)


@each_function
def test_every_variable_of_a_function_is_a_setting(name: str) -> None:
    known = {PREFIX + field.name.upper() for field in fields(Settings)}
    given = {key for key in stack.environment(name) if key.startswith(PREFIX)}
    assert given <= known


@each_function
def test_a_function_is_given_every_setting_that_it_needs(name: str) -> None:
    folder = stack.ROOT / "functions" / stack.folder(name)
    needed = {PREFIX + need.upper() for source in folder.glob("*.py") for need in needs(source)}
    given = {key for key, value in stack.environment(name).items() if value}
    assert needed <= given


def test_every_setting_can_be_given_and_every_folder_is_deployed() -> None:
    folders = {path.parent.name for path in (stack.ROOT / "functions").glob("*/handler.py")}
    assert folders == {stack.folder(name) for name in FUNCTIONS}
    for field in fields(Settings):
        if field.default == "":
            given = [name for name in FUNCTIONS if PREFIX + field.name.upper() in stack.environment(name)]
            assert given, f"no function is given {field.name}"


READERS = {
    "SigningSecret": {
        *("AuthorizerFunction", "AuthFunction", "OAuthFunction", "RotateSigningKeyFunction", "GatewayFunction"),
    },
    "KeyPepperSecret": {"AuthorizerFunction", "ApiKeysFunction", "GatewayFunction"},
    "AdminSecret": {"FirstAdminFunction"},
    "ProvidersSecret": {"OAuthFunction"},
    "CursorSecret": {
        *("StreamsFunction", "RunsFunction", "ApiKeysFunction", "UsersFunction"),
        *("PackagesFunction", "PackageFilesFunction", "PackageTrustFunction"),
        *("AnalysesFunction", "PromptsFunction", "ModelsFunction", "UsageFunction"),
    },
}


def test_every_secret_has_its_readers_and_no_others() -> None:
    assert set(READERS) == set(stack.resources("AWS::SecretsManager::Secret"))


@pytest.mark.parametrize("secret", READERS)
def test_a_secret_is_read_by_whom_it_is_for(secret: str) -> None:
    arn = stack.attribute(secret, "Id")
    reads = {
        role
        for role, sid, one in STATEMENTS
        if "secretsmanager:GetSecretValue" in stack.many(one["Action"])
        and fnmatch_any(arn, stack.many(stack.resolve(one["Resource"])))
    }
    assert reads == READERS[secret]

    # And nobody else is even told where it is, but who asks whether it is there
    told = {name for name in FUNCTIONS if arn in stack.environment(name).values()}
    assert told - {"HealthFunction"} == READERS[secret]


@pytest.mark.parametrize("secret", READERS)
def test_a_secret_is_written_by_its_rotation_alone(secret: str) -> None:
    arn = stack.attribute(secret, "Id")
    writes = {
        role
        for role, sid, one in STATEMENTS
        if secret_actions(one) - {"secretsmanager:GetSecretValue", "secretsmanager:DescribeSecret"}
        and fnmatch_any(arn, stack.many(stack.resolve(one["Resource"])))
    }
    assert writes == ({"RotateSigningKeyFunction"} if secret == "SigningSecret" else set())


def test_the_signing_secret_is_rotated_by_a_function_that_secrets_manager_may_call() -> None:
    (schedule,) = stack.resources("AWS::SecretsManager::RotationSchedule").values()
    assert schedule["Properties"]["SecretId"] == {"GetAtt": "SigningSecret.Id"}
    assert schedule["Properties"]["RotationLambdaARN"] == {"GetAtt": "RotateSigningKeyFunction.Arn"}
    allowed = stack.template()["Resources"][schedule["DependsOn"]]["Properties"]
    assert allowed["Principal"] == "secretsmanager.amazonaws.com"
    assert allowed["SourceArn"] == schedule["Properties"]["SecretId"]
    assert allowed["FunctionName"] == {"Ref": "RotateSigningKeyFunction"}


def test_rights_on_items_of_identity_name_the_items() -> None:
    # Given one table for users, keys, sessions, the audit
    for role, sid, one in STATEMENTS:
        if {"GetAtt": "IdentityTable.Arn"} in stack.many(one["Resource"]) and role != "HealthFunction":
            # Then a statement allows what it allows on items of some kinds
            (keys,) = one["Condition"]["ForAllValues:StringLike"].values()
            assert list(one["Condition"]["ForAllValues:StringLike"]) == ["dynamodb:LeadingKeys"], f"{role}.{sid}"
            assert keys
            assert "*" not in keys
            # And never anything that has no such key, for which the condition would hold of itself
            assert not {"dynamodb:Scan", "dynamodb:PartiQLSelect"} & set(stack.many(one["Action"])), f"{role}.{sid}"


def test_nobody_changes_or_deletes_what_the_audit_holds() -> None:
    for role, sid, one in STATEMENTS:
        (keys,) = one.get("Condition", {}).get("ForAllValues:StringLike", {"": []}).values()
        if "AUDIT#*" in keys:
            assert not {"dynamodb:UpdateItem", "dynamodb:DeleteItem"} & set(stack.many(one["Action"])), f"{role}.{sid}"


def test_streams_are_changed_and_deleted_by_their_tags() -> None:
    # Given every right to change or delete a stream that is there
    changes = {action for _, _, one in STATEMENTS for action in stack.many(one["Action"]) if action in BY_TAGS}
    assert changes >= {"kinesis:DeleteStream", "kinesis:StartStreamEncryption", "kinesis:RemoveTagsFromStream"}
    for role, sid, one in STATEMENTS:
        of_keys = ":kms:" in str(one["Resource"])  # the other resource of the same call
        if (
            BY_TAGS & set(stack.many(one["Action"])) and role != "StreamsFunction" and not of_keys
        ):  # an admin may insist
            # Then it is one on this stack's managed streams alone
            wanted = {"aws:ResourceTag/weir:managed": "true", "aws:ResourceTag/weir:stack": {"Ref": "AWS::StackName"}}
            assert one["Condition"] == {"StringEquals": wanted}, f"{role}.{sid}"


def test_parameters_and_outputs_are_described() -> None:
    for group in ("Parameters", "Outputs"):
        assert all(one["Description"] for one in stack.template()[group].values())
    used = (stack.ROOT / "template.yaml").read_text().split("Resources:", 1)[0].split("Conditions:", 1)[1]
    rest = used + (stack.ROOT / "template.yaml").read_text().split("\nResources:", 1)[1]
    assert all(name in rest for name in stack.template()["Parameters"])


def secret_actions(statement: dict[str, Any]) -> set[str]:
    """What a statement allows on secrets."""
    return {action for action in stack.many(statement["Action"]) if action.startswith("secretsmanager:")}


def fnmatch_any(text: str, patterns: list[str]) -> bool:
    """Whether a text is like one of several patterns of IAM's."""
    return any(fnmatchcase(text, pattern) for pattern in patterns)


def needs(source: Path) -> Iterator[str]:
    """The settings that a handler insists on: ``settings(needs=(...))``, the names there or in a constant."""
    tree = ast.parse(source.read_text())
    constants = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "settings":
            for keyword in node.keywords:
                value = keyword.value
                yield from ast.literal_eval(constants[value.id] if isinstance(value, ast.Name) else value)
