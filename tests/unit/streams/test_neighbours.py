"""The adapters beside Kinesis: STS, SQS, KMS; and the tag of a request."""

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from moto import mock_aws

from weir.runtime.errors import Unavailable, UpstreamFailed
from weir.streams.errors import KeyUnusable
from weir.streams.kms import check_key
from weir.streams.request import request_tag
from weir.streams.sqs import SettleQueue
from weir.streams.sts import account

FUNCTION_ARN = "arn:aws-cn:lambda:cn-north-1:111122223333:function:streams:live"


def client(service: str) -> Any:
    return boto3.client(service, "eu-west-1", aws_access_key_id="a", aws_secret_access_key="b")


@pytest.fixture(autouse=True)
def aws() -> Iterator[None]:
    with mock_aws():
        yield


def test_sts_says_whose_account_it_is_and_is_asked_once() -> None:
    # Given an STS that answers once
    sts = client("sts")
    identity = {"Account": "444455556666", "Arn": "arn:aws-us-gov:sts::444455556666:assumed-role/r/s", "UserId": "u"}
    with Stubber(sts) as stubber:
        stubber.add_response("get_caller_identity", identity)

        # When it is asked twice, Then the second answer is the first one's
        told = account(sts)
        assert account(sts) is told
    assert (told.id, told.region, told.source) == ("444455556666", "eu-west-1", "sts")
    assert told.stream_arn("s") == "arn:aws-us-gov:kinesis:eu-west-1:444455556666:stream/s"


def test_the_fallback_says_that_it_is_one_and_is_not_remembered() -> None:
    # Given an STS that fails once
    sts = client("sts")
    identity = {"Account": "444455556666", "Arn": "arn:aws:sts::444455556666:assumed-role/r/s", "UserId": "u"}
    with Stubber(sts) as stubber:
        stubber.add_client_error("get_caller_identity", "ServiceUnavailable", "", 503)
        stubber.add_response("get_caller_identity", identity)

        # When it is asked, Then the function's own ARN answers, and says so; and the next time STS does
        fallback = account(sts, function_arn=FUNCTION_ARN)
        assert (fallback.id, fallback.region, fallback.source) == ("111122223333", "cn-north-1", "fallback")
        assert fallback.partition == "aws-cn"
        assert account(sts, function_arn=FUNCTION_ARN).source == "sts"


def test_without_an_arn_to_fall_back_on_the_failure_is_told() -> None:
    sts = client("sts")
    with Stubber(sts) as stubber:
        stubber.add_client_error("get_caller_identity", "ServiceUnavailable", "", 503)
        with pytest.raises(Unavailable):
            account(sts)


def test_a_reminder_names_the_stream_and_comes_later() -> None:
    # Given a queue
    sqs = client("sqs")
    url = sqs.create_queue(QueueName="settle")["QueueUrl"]

    # When a stream is to be settled
    SettleQueue(sqs, url).send("orders")

    # Then its name is on the queue, not to be seen at once
    assert "Messages" not in sqs.receive_message(QueueUrl=url)
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessagesDelayed"])
    assert attributes["Attributes"]["ApproximateNumberOfMessagesDelayed"] == "1"


def test_the_message_is_json_that_names_the_stream() -> None:
    sent: dict[str, Any] = {}

    class Sqs:
        def send_message(self, **params: Any) -> None:
            sent.update(params)

    SettleQueue(Sqs(), "url").send("orders")
    assert json.loads(sent["MessageBody"]) == {"stream": "orders"}


def test_a_queue_that_refuses_is_told() -> None:
    sqs = client("sqs")
    with Stubber(sqs) as stubber:
        stubber.add_client_error("send_message", "AccessDenied", "no", 403)
        with pytest.raises(UpstreamFailed):
            SettleQueue(sqs, "https://sqs/1/q").send("orders")


def test_a_key_that_can_encrypt_passes() -> None:
    kms = client("kms")
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    check_key(kms, key)
    check_key(None, "alias/aws/kinesis")  # AWS makes this one on first use: nobody is asked


def test_a_key_that_cannot_encrypt_is_refused_with_its_field() -> None:
    # Given keys that are disabled, of the wrong kind, or not there
    kms = client("kms")
    disabled = kms.create_key()["KeyMetadata"]["KeyId"]
    kms.disable_key(KeyId=disabled)
    signing = kms.create_key(KeyUsage="SIGN_VERIFY", KeySpec="RSA_2048")["KeyMetadata"]["KeyId"]
    missing = "12345678-1234-1234-1234-123456789012"

    # When they are checked, Then each is refused, and the field is named
    for key, why in ((disabled, "not Enabled"), (signing, "not a symmetric"), (missing, "knows no key")):
        with pytest.raises(KeyUnusable, match=why) as refused:
            check_key(kms, key)
        assert refused.value.errors[0].field == "encryption.key_id"


@pytest.mark.parametrize(
    ("code", "expected"), [("AccessDeniedException", KeyUnusable), ("InternalFailure", Unavailable)]
)
def test_a_key_that_cannot_be_looked_at(code: str, expected: type[Exception]) -> None:
    kms = client("kms")
    with Stubber(kms) as stubber:
        stubber.add_client_error("describe_key", code, "arn:aws:iam::1:role/x", 400)
        with pytest.raises(expected) as refused:
            check_key(kms, "alias/mine")
    assert "arn:aws:iam" not in str(refused.value)


def test_the_same_request_has_the_same_tag_and_no_other() -> None:
    tag = request_tag("ann", "key", {"name": "s", "shard_count": 1})
    assert tag == request_tag("ann", "key", {"shard_count": 1, "name": "s"})
    assert len({tag, request_tag("bob", "key", {"name": "s"}), request_tag("ann", "other", {"name": "s"})}) == 3
    assert tag.startswith("request-")
    assert len(tag) == len("request-") + 32
