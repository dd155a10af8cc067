"""IAM on the local AWS decides as AWS does where the emulator decides otherwise."""

import json
from typing import Any

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
