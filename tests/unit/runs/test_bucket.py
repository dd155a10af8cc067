"""The runs bucket on moto, and what its failures become."""

import gzip
import json
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError, ResponseStreamingError

from weir.analysis.measurement import measurement_key
from weir.runs.bucket import ObjectMissing, RunsBucket, part_key, report_key
from weir.runtime.errors import TooManyRequests, Unavailable, UpstreamFailed, WeirError


def test_a_document_is_stored_small_and_read_as_it_was(bucket: RunsBucket, aws: dict[str, Any]) -> None:
    # Given a checkpoint of many keys
    document = {"produced": {f"key-{index:06d}": index for index in range(1_000)}, "text": "ß\n", "none": None}
    # When saved / Then it is read as it was, and takes a fraction of its text
    bucket.save("runs/a/slice/00000/1", document)
    assert bucket.load("runs/a/slice/00000/1") == document
    body = aws["s3"].get_object(Bucket="runs", Key="runs/a/slice/00000/1")["Body"].read()
    assert json.loads(gzip.decompress(body)) == document
    assert len(body) < len(json.dumps(document)) / 3


def test_a_checkpoint_is_written_over(bucket: RunsBucket) -> None:
    bucket.save("again", {"a": 1})
    bucket.save("again", {"a": 2})
    assert bucket.load("again") == {"a": 2}


def test_bytes_are_stored_as_they_are_with_their_type(bucket: RunsBucket, aws: dict[str, Any]) -> None:
    bucket.write("report.html", b"<p>\xc3\x9f</p>", "text/html; charset=utf-8")
    assert bucket.read("report.html") == b"<p>\xc3\x9f</p>"
    assert aws["s3"].head_object(Bucket="runs", Key="report.html")["ContentType"] == "text/html; charset=utf-8"


def test_reading_from_the_middle(bucket: RunsBucket) -> None:
    # Given an object larger than a chunk / When read from an offset / Then all behind it comes, in pieces
    data = bytes(range(256)) * 2_048
    bucket.write("large", data, "application/octet-stream")
    assert bucket.look("large").bytes == len(data)
    chunks = list(bucket.open_at("large", 1_000))
    assert b"".join(chunks) == data[1_000:]
    assert len(chunks) > 1


def test_what_is_not_there_is_missing(bucket: RunsBucket) -> None:
    for ask in (bucket.look, bucket.read, bucket.load, lambda key: next(bucket.open_at(key, 0))):
        with pytest.raises(ObjectMissing):
            ask("nowhere")


def test_a_version_is_read_though_another_has_taken_its_place(bucket: RunsBucket) -> None:
    # Given an object that was looked at, and then written over
    bucket.write("twice", b"first", "text/plain")
    found = bucket.look("twice")
    bucket.write("twice", b"other", "text/plain")
    # When read by its version / Then it is what was looked at; without one, the latest; and no other version is there
    assert b"".join(bucket.open_at("twice", 1, found.version)) == b"irst"
    assert bucket.read("twice") == b"other"
    with pytest.raises(ObjectMissing):
        next(bucket.open_at("twice", 0, "00000000-0000-0000-0000-000000000000"))


def test_an_upload_url_takes_puts_of_one_key(bucket: RunsBucket) -> None:
    # Given a presigned URL / Then it names bucket, key and its end; moto can't check the signature
    url = bucket.upload_url("sources/abc", "application/jsonl")
    assert "sources/abc?" in url
    assert bucket.name in url
    assert "Expires" in url


def test_keys_are_one_for_each_claim() -> None:
    # Given claims of slices and readers of runs / Then no two share a checkpoint's key
    keys = {
        part_key(run, part, n, v) for run in "ab" for part in ("SLICE", "READER") for n in range(3) for v in range(3)
    }
    assert len(keys) == 2 * 2 * 3 * 3
    assert part_key("a", "SLICE", 7, 2) == "runs/a/slice/00007/2"
    assert (measurement_key("a"), report_key("a", "html")) == ("runs/a/measurement", "runs/a/report.html")


class Failing:
    """An S3 that fails, or whose body breaks off."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def get_object(self, **_: Any) -> dict[str, Any]:
        if isinstance(self.error, ResponseStreamingError):
            return {"Body": self}
        raise self.error

    put_object = head_object = get_object

    def iter_chunks(self, _: int) -> Any:
        yield b"half"
        raise self.error


def refused(code: str, status: int) -> ClientError:
    error = {"Error": {"Code": code, "Message": "role/inner"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(error, "GetObject")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("error", "becomes"),
    [
        (refused("SlowDown", 503), TooManyRequests),
        (refused("InternalError", 500), Unavailable),
        (refused("AccessDenied", 403), UpstreamFailed),
        (refused("403", 403), UpstreamFailed),
        (ReadTimeoutError(endpoint_url="https://s3"), Unavailable),
        (ResponseStreamingError(error="cut"), Unavailable),
        (KeyError("ours"), KeyError),
    ],
)
def test_failures_become_domain_errors(error: Exception, becomes: type[Exception]) -> None:
    bucket = RunsBucket(Failing(error), "runs")
    with pytest.raises(becomes) as caught:
        bucket.read("key")
    if isinstance(caught.value, WeirError):
        assert "role/inner" not in caught.value.detail


def test_half_a_document_is_never_taken_for_a_whole(bucket: RunsBucket) -> None:
    # Given an object whose body breaks off / When read / Then nothing comes out but the error
    cut = RunsBucket(Failing(ResponseStreamingError(error="cut")), "runs")
    with pytest.raises(Unavailable):
        cut.load("key")
