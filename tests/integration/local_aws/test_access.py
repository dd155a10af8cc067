"""IAM on the local AWS decides as AWS does where the emulator decides otherwise."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

Json = dict[str, Any]
READS = """
import boto3
kinesis = boto3.client("kinesis")
def handler(event, context):
    where = {"StreamName": event["stream"], "ShardId": "shardId-000000000000", "ShardIteratorType": "TRIM_HORIZON"}
    iterator = kinesis.get_shard_iterator(**where)["ShardIterator"]
    return len(kinesis.get_records(ShardIterator=iterator)["Records"])
"""


def invoke(client: Any, arn: str, event: Any) -> Any:
    return json.loads(client("lambda").invoke(FunctionName=arn, Payload=json.dumps(event))["Payload"].read())


def test_reading_is_authorized_against_the_iterators_stream(client: Any, function: Any, stream: str, name: str) -> None:
    # Given a function that may read one stream alone, by its ARN
    kinesis = client("kinesis")
    arn = kinesis.describe_stream_summary(StreamName=stream)["StreamDescriptionSummary"]["StreamARN"]
    kinesis.put_record(StreamName=stream, Data=b"x", PartitionKey="k")
    actions = ("kinesis:GetShardIterator", "kinesis:GetRecords")
    own = function(READS, *actions, resource=arn)
    other = function(READS, *actions, resource=arn.replace(stream, f"{name}-other"))
    # When it reads, and one that may read another stream alone
    # Then only the first may
    assert invoke(client, own, {"stream": stream}) == 1
    assert "not authorized to perform" in invoke(client, other, {"stream": stream})["errorMessage"]


def test_a_policy_of_tls_only_lets_loopback_in(client: Any, name: str) -> None:
    # Given a bucket that refuses what did not come over TLS
    s3 = client("s3")
    s3.create_bucket(Bucket=name)
    try:
        statement = {
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": [f"arn:aws:s3:::{name}", f"arn:aws:s3:::{name}/*"],
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }
        s3.put_bucket_policy(Bucket=name, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
        # When an object is written over loopback, Then it is there
        s3.put_object(Bucket=name, Key="k", Body=b"x")
        assert s3.get_object(Bucket=name, Key="k")["Body"].read() == b"x"
    finally:
        s3.delete_bucket_policy(Bucket=name)
        s3.delete_object(Bucket=name, Key="k")
        s3.delete_bucket(Bucket=name)


ASKS = """
import boto3
from botocore.exceptions import ClientError
dynamodb = boto3.client("dynamodb")
def handler(event, context):
    try:
        getattr(dynamodb, event["operation"])(**event["request"])
    except ClientError as error:
        return error.response["Error"]["Code"]
    return "done"
"""


@pytest.fixture
def table(client: Any, name: str) -> Iterator[str]:
    schema = [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}]
    attributes = [{"AttributeName": key, "AttributeType": "S"} for key in ("pk", "sk", "other")]
    index = {
        "IndexName": "others",
        "KeySchema": [{"AttributeName": "other", "KeyType": "HASH"}],
        "Projection": {"ProjectionType": "ALL"},
    }
    client("dynamodb").create_table(
        TableName=name,
        KeySchema=schema,
        AttributeDefinitions=attributes,
        BillingMode="PAY_PER_REQUEST",
        GlobalSecondaryIndexes=[index],
    )
    yield name
    client("dynamodb").delete_table(TableName=name)


def key(pk: str) -> Json:
    return {"pk": {"S": pk}, "sk": {"S": "s"}}


def requests(table: str, own: str, other: str) -> Iterator[tuple[str, Json, bool]]:
    """Operations, their requests, and whether they touch what the caller may touch alone."""
    for pk, may in ((own, True), (other, False)):
        query = {"TableName": table, "ExpressionAttributeValues": {":p": {"S": pk}, ":s": {"S": "s"}}}
        yield "get_item", {"TableName": table, "Key": key(pk)}, may
        yield "put_item", {"TableName": table, "Item": key(pk)}, may
        yield "query", {**query, "KeyConditionExpression": "pk = :p AND sk >= :s"}, may
        named = {"#k": "pk"}
        yield "query", {**query, "KeyConditionExpression": "#k=:p AND sk = :s", "ExpressionAttributeNames": named}, may
        update = {"TableName": table, "Key": key(pk), "UpdateExpression": "SET a = :s"}
        yield "update_item", {**update, "ExpressionAttributeValues": {":s": {"S": "s"}}}, may
        yield "delete_item", {"TableName": table, "Key": key(pk)}, may
        batch = [key(own) | {"sk": {"S": "t"}}, key(pk)]
        yield "batch_get_item", {"RequestItems": {table: {"Keys": batch}}}, may
        # In a transaction each item is looked at by itself, as what is done to it.
        writes = [{"Put": {"TableName": table, "Item": key(pk)}}, {"Delete": {"TableName": table, "Key": key("log-1")}}]
        yield "transact_write_items", {"TransactItems": writes}, may


def test_rights_on_items_go_by_their_partition_keys(client: Any, role: Any, function: Any, table: str) -> None:
    # Given a function that may do everything to items of some keys, and delete those of others
    arn = client("dynamodb").describe_table(TableName=table)["Table"]["TableArn"]
    made = function(ASKS)
    role_name = client("lambda").get_function_configuration(FunctionName=made)["Role"].rpartition("/")[2]
    statements = [
        {
            "Effect": "Allow",
            "Action": actions,
            "Resource": arn,
            "Condition": {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": [pattern]}},
        }
        for actions, pattern in (("dynamodb:*", "own-*"), ("dynamodb:DeleteItem", "log-*"))
    ]
    document = json.dumps({"Version": "2012-10-17", "Statement": statements})
    client("iam").put_role_policy(RoleName=role_name, PolicyName="by-key", PolicyDocument=document)
    # When it touches its own, and what is not
    # Then it may the one and not the other
    for operation, request, may in requests(table, "own-1", "other-1"):
        answer = invoke(client, made, {"operation": operation, "request": request})
        assert answer == ("done" if may else "AccessDeniedException"), (operation, request)


DELETES = """
import boto3
from botocore.exceptions import ClientError
kinesis = boto3.client("kinesis")
def handler(event, context):
    try:
        kinesis.delete_stream(StreamName=event["stream"])
    except ClientError as error:
        return error.response["Error"]["Code"]
    return "done"
"""


@pytest.fixture
def streams(client: Any, name: str) -> Iterator[dict[str, Json]]:
    """Streams by name, and their tags."""
    tags: dict[str, Json] = {
        f"{name}-none": {},
        f"{name}-half": {"made-by": "us"},
        f"{name}-other": {"made-by": "us", "stack": "other"},
        f"{name}-own": {"made-by": "us", "stack": name},
    }
    kinesis = client("kinesis")
    for stream, own in tags.items():
        kinesis.create_stream(StreamName=stream, ShardCount=1, **({"Tags": own} if own else {}))
    for stream in tags:
        kinesis.get_waiter("stream_exists").wait(StreamName=stream, WaiterConfig={"Delay": 1})
    yield tags
    for stream in set(kinesis.list_streams()["StreamNames"]) & set(tags):
        if kinesis.describe_stream_summary(StreamName=stream)["StreamDescriptionSummary"]["StreamStatus"] == "ACTIVE":
            kinesis.delete_stream(StreamName=stream)


def test_rights_on_streams_go_by_their_tags(client: Any, function: Any, streams: dict[str, Json], name: str) -> None:
    # Given a function that may delete streams with two tags, whatever their names
    made = function(DELETES)
    role_name = client("lambda").get_function_configuration(FunctionName=made)["Role"].rpartition("/")[2]
    statement = {
        "Effect": "Allow",
        "Action": "kinesis:DeleteStream",
        "Resource": "arn:aws:kinesis:*:*:stream/*",
        "Condition": {"StringEquals": {"aws:ResourceTag/made-by": "us", "aws:ResourceTag/stack": name}},
    }
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    client("iam").put_role_policy(RoleName=role_name, PolicyName="by-tag", PolicyDocument=document)
    # When it deletes streams, and one that there is not, Then it may where both tags are as named
    for stream in (*streams, f"{name}-unknown"):
        told = "done" if stream == f"{name}-own" else "AccessDeniedException"
        assert invoke(client, made, {"stream": stream}) == told, stream


GETS = """
import boto3
from botocore.exceptions import ClientError
s3 = boto3.client("s3")
def handler(event, context):
    try:
        return s3.get_object(Bucket=event["bucket"], Key="k")["Body"].read().decode()
    except ClientError as error:
        return error.response["Error"]["Code"]
"""


def test_a_policy_of_principals_knows_a_function_by_its_role(client: Any, function: Any, name: str) -> None:
    # Given two functions that may read every bucket, and one that is for the role of the first alone
    own, other = function(GETS, "s3:GetObject"), function(GETS, "s3:GetObject")
    role = client("lambda").get_function_configuration(FunctionName=own)["Role"]
    s3 = client("s3")
    s3.create_bucket(Bucket=name)
    try:
        s3.put_object(Bucket=name, Key="k", Body=b"x")
        statement = {
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:GetObject",
            "Resource": f"arn:aws:s3:::{name}/*",
            "Condition": {"ArnNotEquals": {"aws:PrincipalArn": [role]}},
        }
        s3.put_bucket_policy(Bucket=name, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
        # When both read it, Then only the first may: its session counts as its role
        assert invoke(client, own, {"bucket": name}) == "x"
        assert invoke(client, other, {"bucket": name}) == "AccessDenied"
    finally:
        s3.delete_bucket_policy(Bucket=name)
        s3.delete_object(Bucket=name, Key="k")
        s3.delete_bucket(Bucket=name)


CONVERSES = """
import boto3
from botocore.exceptions import ClientError
bedrock = boto3.client("bedrock-runtime")
def handler(event, context):
    asked = {"modelId": "amazon.nova-micro-v1:0", "messages": [{"role": "user", "content": [{"text": "Hello"}]}]}
    try:
        getattr(bedrock, event["operation"])(**asked)
    except ClientError as error:
        return error.response["Error"]["Code"]
    return "done"
"""


@pytest.mark.parametrize(
    ("operation", "action"),
    [("converse", "bedrock:InvokeModel"), ("converse_stream", "bedrock:InvokeModelWithResponseStream")],
)
def test_conversing_is_authorized_as_invoking_a_model(client: Any, function: Any, operation: str, action: str) -> None:
    # Given a function that may do what AWS names in its place, and one that may do nothing
    model = "arn:aws:bedrock:*::foundation-model/*"
    may, may_not = function(CONVERSES, action, resource=model), function(CONVERSES, "bedrock:Converse", resource=model)
    # When each converses with a model, Then the first is let
    assert invoke(client, may, {"operation": operation}) == "done"
    assert invoke(client, may_not, {"operation": operation}) == "AccessDeniedException"


DELETES_ALARMS = """
import boto3
def handler(event, context):
    boto3.client("cloudwatch").delete_alarms(AlarmNames=event["names"])
"""


def test_alarms_are_deleted_by_their_names(client: Any, function: Any, name: str) -> None:
    # Given alarms of two kinds, and a function that may delete those of one
    cloudwatch = client("cloudwatch")
    mine, other = [f"{name}-mine:a", f"{name}-mine:b"], f"{name}-other"
    told = {"Namespace": name, "MetricName": "M", "Statistic": "Sum", "Period": 60, "EvaluationPeriods": 1}
    told |= {"Threshold": 1, "ComparisonOperator": "GreaterThanThreshold"}
    for alarm in (*mine, other):
        cloudwatch.put_metric_alarm(AlarmName=alarm, **told)
    where = cloudwatch.describe_alarms(AlarmNames=[other])["MetricAlarms"][0]["AlarmArn"].removesuffix(other)
    arn = function(DELETES_ALARMS, "cloudwatch:DeleteAlarms", resource=f"{where}{name}-mine:*")

    # When it names one that it may not, Then none goes; else those that it names
    for names in ([other], [*mine, other]):
        assert "not authorized to perform" in invoke(client, arn, {"names": names})["errorMessage"]
    invoke(client, arn, {"names": mine})
    assert [one["AlarmName"] for one in cloudwatch.describe_alarms(AlarmNamePrefix=name)["MetricAlarms"]] == [other]
    cloudwatch.delete_alarms(AlarmNames=[other])
