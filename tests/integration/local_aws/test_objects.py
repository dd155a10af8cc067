"""S3 on the local AWS gives versions of objects as asked, and tells of them in its events, as AWS does."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

BODY = b"0123456789"


@pytest.fixture
def bucket(client: Callable[[str], Any], name: str) -> Iterator[str]:
    """A bucket with versions, emptied and deleted at the end."""
    s3 = client("s3")
    s3.create_bucket(Bucket=name)
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    yield name
    listed = s3.list_object_versions(Bucket=name)
    for one in (*listed.get("Versions", []), *listed.get("DeleteMarkers", [])):
        s3.delete_object(Bucket=name, Key=one["Key"], VersionId=one["VersionId"])
    s3.delete_bucket(Bucket=name)


@pytest.fixture(params=["current", "older"])
def version(request: pytest.FixtureRequest, client: Any, bucket: str) -> dict[str, str]:
    """Where a version of an object is, whose bytes are ``BODY``."""
    put = client("s3").put_object
    made = put(Bucket=bucket, Key="k", Body=BODY, ContentType="text/plain")["VersionId"]
    if request.param == "older":
        put(Bucket=bucket, Key="k", Body=b"another")
    return {"Bucket": bucket, "Key": "k", "VersionId": made}


@pytest.mark.parametrize(
    ("asked", "told", "body"),
    [
        ("bytes=2-4", "bytes 2-4/10", b"234"),
        ("bytes=8-", "bytes 8-9/10", b"89"),
        ("bytes=-3", "bytes 7-9/10", b"789"),
        ("bytes=4-99", "bytes 4-9/10", b"456789"),
    ],
)
def test_a_range_of_a_version_is_that_range(
    client: Any, version: dict[str, str], asked: str, told: str, body: bytes
) -> None:
    # Given a version of an object
    # When a range of it is read
    answer = client("s3").get_object(**version, Range=asked)
    # Then that is what comes, and is told to be
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 206
    assert (answer["Body"].read(), answer["ContentRange"], answer["ContentLength"]) == (body, told, len(body))


def test_a_range_beyond_a_version_is_refused(client: Any, version: dict[str, str]) -> None:
    # Given a version of an object
    # When a range is read that begins after its end, Then it is refused
    with pytest.raises(ClientError) as refused:
        client("s3").get_object(**version, Range="bytes=10-")
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 416


def test_a_version_comes_under_the_headers_that_were_asked_for(client: Any, version: dict[str, str]) -> None:
    # Given a version of an object
    # When it is read with headers of the answer's, whole and in part
    named = {"ResponseContentDisposition": 'attachment; filename="k"', "ResponseContentType": "application/x-k"}
    for asked in ({}, {"Range": "bytes=0-3"}):
        answer = client("s3").get_object(**version, **asked, **named)
        # Then the answer has them
        assert (answer["ContentDisposition"], answer["ContentType"]) == tuple(named.values())
        assert answer["VersionId"] == version["VersionId"]
    # And without, it is as it was stored
    assert client("s3").get_object(**version)["ContentType"] == "text/plain"


class Told:
    """The events of a bucket, in a queue."""

    def __init__(self, sqs: Any, queue: str) -> None:
        self._sqs, self._queue = sqs, queue

    def next(self, within: float = 10) -> dict[str, Any]:
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            for message in self._sqs.receive_message(QueueUrl=self._queue).get("Messages", []):
                self._sqs.delete_message(QueueUrl=self._queue, ReceiptHandle=message["ReceiptHandle"])
                event: dict[str, Any] = json.loads(message["Body"])
                return event
            time.sleep(0.1)
        raise AssertionError(f"No event within {within} s")


@pytest.fixture
def told(client: Any, bucket: str, name: str) -> Iterator[Told]:
    sqs, events = client("sqs"), client("events")
    queue = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    pattern = {"source": ["aws.s3"], "detail": {"bucket": {"name": [bucket]}}}
    events.put_rule(Name=name, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": arn}])
    client("s3").put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={"EventBridgeConfiguration": {}}
    )
    yield Told(sqs, queue)
    events.remove_targets(Rule=name, Ids=["queue"])
    events.delete_rule(Name=name)
    sqs.delete_queue(QueueUrl=queue)


def test_an_event_tells_which_version_it_is_of(client: Any, bucket: str, told: Told) -> None:
    # Given a bucket whose events come to a queue
    s3 = client("s3")
    # When an object is put, put again, and its first version deleted for good
    first, second = (s3.put_object(Bucket=bucket, Key="k", Body=body)["VersionId"] for body in (b"1", b"2"))
    s3.delete_object(Bucket=bucket, Key="k", VersionId=first)
    # Then each event names its version
    for kind, of in (("Object Created", first), ("Object Created", second), ("Object Deleted", first)):
        event = told.next()
        thing = event["detail"]["object"]
        assert (event["detail-type"], thing["key"], thing["version-id"]) == (kind, "k", of)


def test_an_event_of_a_multipart_upload_does_too(client: Any, bucket: str, told: Told) -> None:
    # Given an upload of one part
    s3 = client("s3")
    upload = {"Bucket": bucket, "Key": "k"}
    upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]
    etag = s3.upload_part(**upload, PartNumber=1, Body=BODY)["ETag"]
    # When it is completed
    parts = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
    made = s3.complete_multipart_upload(**upload, MultipartUpload=parts)["VersionId"]
    # Then the event names the version that it made
    assert told.next()["detail"]["object"]["version-id"] == made
