"""A process beside the emulator gets what Lambda gives a function: its variables, and its role's credentials."""

import json
import urllib.error
import urllib.request
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from local import places

NOTHING = "def handler(event, context): return None"


def told(endpoint: str, function: str) -> dict[str, str]:
    with urllib.request.urlopen(f"{endpoint}/_weir/environment/{function}", timeout=10) as answer:
        found: dict[str, str] = json.loads(answer.read())
    return found


def test_the_credentials_are_the_roles(endpoint: str, function: Any, stream: str) -> None:
    # Given a function that may describe streams
    arn = function(NOTHING, "kinesis:DescribeStreamSummary")
    # When a process asks for its environment
    given = told(endpoint, arn.rpartition(":")[2])
    # Then it may do that, as that role, and no more
    kinesis = boto3.client(
        "kinesis",
        endpoint_url=endpoint,
        region_name=given["AWS_REGION"],
        aws_access_key_id=given["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=given["AWS_SECRET_ACCESS_KEY"],
        aws_session_token=given["AWS_SESSION_TOKEN"],
    )
    assert given["AWS_REGION"] == places.REGION
    kinesis.describe_stream_summary(StreamName=stream)
    with pytest.raises(ClientError, match="not authorized"):
        kinesis.put_record(StreamName=stream, Data=b"x", PartitionKey="k")
    kinesis.close()


def test_a_function_that_is_not_there_is_told(endpoint: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        told(endpoint, "no-such-function")
    refused.value.close()
    assert refused.value.code == 404
