"""The packages bucket: what S3 is asked, and what its answers mean. On botocore itself, with its HTTP taken over."""

from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any
from xml.sax.saxutils import escape

import botocore.session
import pytest
from botocore.awsrequest import AWSRequest, AWSResponse
from botocore.config import Config
from botocore.exceptions import ConnectTimeoutError, NoCredentialsError

from tests.unit.packages.fake_bucket import checksum
from weir.packages.bucket import (
    Interfered,
    ObjectMissing,
    ObjectThere,
    PackagesBucket,
    Part,
    UploadGone,
    part_headers,
)
from weir.packages.errors import PartsWrong
from weir.packages.wiring import deps
from weir.runtime import aws, settings
from weir.runtime.errors import TooManyRequests, Unavailable, UpstreamFailed, WeirError

SUM = checksum(b"bytes")
PART = Part(1, "5d41402abc4b2a76b9719d911017c592", 5, SUM)


class Raw:
    """The body of an HTTP answer."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self, *_: Any, **__: Any) -> Iterator[bytes]:
        yield self._body

    def read(self, amount: int | None = None, **_: Any) -> bytes:
        body, self._body = self._body, b""
        return body


class Wire:
    """A botocore client whose requests end here: ``asked`` are those that came, ``answers`` what they get in turn."""

    def __init__(self, client: Any) -> None:
        self.client = client
        client.meta.events.register("before-send.s3", self._send, unique_id="wire")
        self.asked: list[AWSRequest] = []
        self.answers: list[tuple[int, str, dict[str, str]] | Exception] = []
        self.bucket = PackagesBucket(self.client, "weir-packages")

    def _send(self, request: AWSRequest, **_: Any) -> AWSResponse:
        self.asked.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        status, body, headers = answer
        return AWSResponse(request.url, status, headers, Raw(body.encode()))

    def answers_with(self, body: str = "", status: int = 200, **headers: str) -> None:
        """What the next request is answered."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answers.append((status, body, named))

    def refuses(self, code: str, status: int) -> None:
        """What the next request is refused with."""
        self.answers_with(f"<Error><Code>{code}</Code><Message>role/inner</Message></Error>", status)

    @property
    def last(self) -> tuple[str, str, str, dict[str, str]]:
        """Method, URL, body and headers of the last request."""
        request = self.asked[-1]
        headers = {
            name.lower(): value.decode() if isinstance(value, bytes) else str(value)
            for name, value in request.headers.items()
        }
        body = request.body.getvalue() if isinstance(request.body, BytesIO) else request.body or b""
        return request.method, request.url, body.decode(), headers


@pytest.fixture(scope="module")
def client() -> Any:
    """S3's, made once: that takes a second."""
    session = botocore.session.Session()
    session.set_credentials("AKIDEXAMPLE", "secret")
    config = Config(retries={"mode": "standard", "total_max_attempts": 1}, signature_version="s3v4")
    return session.create_client("s3", region_name="eu-west-1", config=config)


@pytest.fixture
def wire(client: Any) -> Iterator[Wire]:
    made = Wire(client)
    yield made
    client.meta.events.unregister("before-send.s3", unique_id="wire")


# Uploads


def test_an_upload_begins_with_checksums_and_whose_it_is(wire: Wire) -> None:
    wire.answers_with("<InitiateMultipartUploadResult><UploadId>s3-1</UploadId></InitiateMultipartUploadResult>")
    assert wire.bucket.create_upload("packages/a/b", "text/plain", "weirs-own") == "s3-1"
    method, url, _, headers = wire.last
    assert (method, url) == ("POST", "https://weir-packages.s3.eu-west-1.amazonaws.com/packages/a/b?uploads")
    told = ("x-amz-checksum-algorithm", "x-amz-checksum-type", "x-amz-meta-weir-upload", "content-type")
    assert [headers[name] for name in told] == ["SHA256", "COMPOSITE", "weirs-own", "text/plain"]


def test_a_parts_url_is_signed_with_the_headers_that_are_told(wire: Wire) -> None:
    url = wire.bucket.part_url("packages/a/b", "s3/1+=", 7, 5, SUM)
    assert "uploadId=s3%2F1%2B%3D" in url
    assert "partNumber=7" in url
    assert "X-Amz-Expires=900" in url
    signed = url.split("X-Amz-SignedHeaders=")[1].split("&")[0].split("%3B")
    assert set(signed) == {"host", *(name.lower() for name in part_headers(5, SUM))}
    assert wire.asked == []


def test_an_empty_part_is_signed_as_empty(wire: Wire) -> None:
    url = wire.bucket.part_url("key", "s3-1", 1, 0, checksum(b""))
    assert "content-length" in url
    assert part_headers(0, "x")["Content-Length"] == "0"


def test_a_part_of_weirs_own_is_sent_with_its_checksum(wire: Wire) -> None:
    wire.answers_with(ETag='"abc"')
    assert wire.bucket.upload_part("key", "s3-1", 3, b"bytes", SUM) == Part(3, "abc", 5, SUM)
    method, url, body, headers = wire.last
    assert (method, body, headers["x-amz-checksum-sha256"]) == ("PUT", "bytes", SUM)
    assert "x-amz-checksum-crc32" not in headers
    assert "partNumber=3" in url
    assert "uploadId=s3-1" in url
    for code, becomes in (("BadDigest", PartsWrong), ("NoSuchUpload", UploadGone)):
        wire.refuses(code, 400)
        with pytest.raises(becomes):
            wire.bucket.upload_part("key", "s3-1", 3, b"bytes", SUM)


def listed_parts(*numbers: int, more: bool) -> str:
    parts = "".join(
        f"<Part><PartNumber>{n}</PartNumber><ETag>&quot;e{n}&quot;</ETag><Size>5</Size>"
        f"<ChecksumSHA256>{SUM}</ChecksumSHA256></Part>"
        for n in numbers
    )
    truncated = f"<IsTruncated>{str(more).lower()}</IsTruncated>"
    marker = f"<NextPartNumberMarker>{numbers[-1]}</NextPartNumberMarker>" if numbers else ""
    return f"<ListPartsResult>{truncated}{marker}{parts}</ListPartsResult>"


def test_parts_are_listed_to_the_last_page(wire: Wire) -> None:
    wire.answers_with(listed_parts(1, 2, more=True))
    wire.answers_with(listed_parts(5, more=False))
    found = wire.bucket.all_parts("key", "s3-1")
    assert found == [Part(number, f"e{number}", 5, SUM) for number in (1, 2, 5)]
    assert "part-number-marker=2" in wire.last[1]
    wire.answers_with(listed_parts(more=False))
    assert wire.bucket.parts("key", "s3-1", 5, 10) == ([], None)


def test_a_completion_names_parts_size_and_that_nothing_may_be_there(wire: Wire) -> None:
    wire.answers_with("<CompleteMultipartUploadResult><Key>key</Key></CompleteMultipartUploadResult>")
    wire.bucket.complete("key", "s3-1", [Part(2, "b", 1, SUM), Part(1, "a", 5, SUM)], 6)
    _, _, body, headers = wire.last
    assert (headers["if-none-match"], headers["x-amz-mp-object-size"]) == ("*", "6")
    assert body.index("<PartNumber>1<") < body.index("<PartNumber>2<")
    assert body.count(f"<ChecksumSHA256>{SUM}</ChecksumSHA256>") == 2


MEANINGS: list[tuple[str, int, type[WeirError]]] = [
    ("NoSuchUpload", 404, UploadGone),
    ("PreconditionFailed", 412, ObjectThere),
    ("ConditionalRequestConflict", 409, Interfered),
    ("OperationAborted", 409, Interfered),
    ("InvalidPart", 400, PartsWrong),
    ("InvalidPartOrder", 400, PartsWrong),
    ("EntityTooSmall", 400, PartsWrong),
    ("BadDigest", 400, PartsWrong),
    ("InvalidRequest", 400, PartsWrong),
    ("InternalError", 500, Unavailable),
    ("SlowDown", 503, TooManyRequests),
    ("AccessDenied", 403, UpstreamFailed),
]


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize(("code", "status", "becomes"), MEANINGS)
def test_a_refused_completion_means_the_same_inside_a_200(
    wire: Wire, code: str, status: int, becomes: type[WeirError], inside: bool
) -> None:
    # Given S3, which refuses a completion, with its status, or after it had begun to answer 200
    wire.refuses(code, 200 if inside else status)
    # When completed / Then it means the same, and tells nothing of Weir's roles
    with pytest.raises(becomes) as caught:
        wire.bucket.complete("key", "s3-1", [PART], 5)
    assert type(caught.value) is becomes
    assert "role/inner" not in caught.value.detail


def test_an_answer_that_never_comes_is_not_a_success(wire: Wire) -> None:
    wire.answers.append(ConnectTimeoutError(endpoint_url="https://s3"))
    with pytest.raises(Unavailable):
        wire.bucket.complete("key", "s3-1", [PART], 5)


def test_an_abort_of_what_is_gone_is_done(wire: Wire) -> None:
    wire.answers_with(status=204)
    wire.refuses("NoSuchUpload", 404)
    wire.bucket.abort("key", "s3-1")
    wire.bucket.abort("key", "s3-1")
    wire.refuses("InternalError", 500)
    with pytest.raises(Unavailable):
        wire.bucket.abort("key", "s3-1")
    wire.refuses("NoSuchUpload", 404)
    with pytest.raises(UploadGone):
        wire.bucket.parts("key", "s3-1")


# Objects


def test_an_object_tells_its_version_size_checksum_and_upload(wire: Wire) -> None:
    wire.answers_with(
        Content_Length="5", x_amz_version_id="v1", x_amz_checksum_sha256=f"{SUM}-1", x_amz_meta_weir_upload="weirs-own"
    )
    stored = wire.bucket.head("key")
    assert stored is not None
    assert (stored.object_version, stored.size, stored.checksum, stored.upload_id) == ("v1", 5, f"{SUM}-1", "weirs-own")
    method, _, _, headers = wire.last
    assert (method, headers["x-amz-checksum-mode"]) == ("HEAD", "ENABLED")
    # Given one that somebody else has made, and a version that is asked for
    wire.answers_with(Content_Length="0", x_amz_version_id="v0")
    other = wire.bucket.head("key", "v0")
    assert other is not None
    assert (other.checksum, other.upload_id) == (None, None)
    assert wire.last[1].endswith("versionId=v0")


def test_an_object_that_is_not_there_is_none_and_one_that_is_kept_from_us_an_error(wire: Wire) -> None:
    wire.answers_with(status=404)
    assert wire.bucket.head("key") is None
    wire.answers_with(status=403)
    with pytest.raises(UpstreamFailed):
        wire.bucket.head("key")


def test_a_range_of_a_version_is_read(wire: Wire) -> None:
    wire.answers_with("bytes", 206, Content_Length="5", Content_Range="bytes 10-14/20")
    assert wire.bucket.read("key", "v1", 10, 5) == b"bytes"
    _, url, _, headers = wire.last
    assert (headers["range"], url.endswith("versionId=v1")) == ("bytes=10-14", True)
    for code in ("NoSuchKey", "NoSuchVersion"):
        wire.refuses(code, 404)
        with pytest.raises(ObjectMissing):
            wire.bucket.read("key", "v1", 0, 1)


def test_half_a_range_is_an_error(wire: Wire) -> None:
    wire.answers_with("byt", 206, Content_Length="5", Content_Range="bytes 0-4/20")
    with pytest.raises(Unavailable):
        wire.bucket.read("key", "v1", 0, 5)


def test_a_range_that_was_overlooked_is_an_error(wire: Wire) -> None:
    for status, told in ((200, {}), (206, {"Content_Range": "bytes 0-4/20"})):
        wire.answers_with("bytes", status, Content_Length="5", **told)
        with pytest.raises(UpstreamFailed):
            wire.bucket.read("key", "v1", 10, 5)


def test_a_version_is_deleted_for_good(wire: Wire) -> None:
    wire.answers_with(status=204)
    wire.bucket.delete("key", "v1")
    assert (wire.last[0], wire.last[1].endswith("key?versionId=v1")) == ("DELETE", True)


def test_a_download_is_pinned_to_the_version(wire: Wire) -> None:
    url = wire.bucket.download_url("key", "v1", 60, "attachment; filename*=UTF-8''%C3%A4", "text/plain")
    assert "versionId=v1" in url
    assert "X-Amz-Expires=60" in url
    assert "response-content-disposition=attachment%3B%20filename%2A%3DUTF-8%27%27%25C3%25A4" in url
    assert "response-content-type=text%2Fplain" in url


def test_a_url_that_nobody_can_sign_is_an_error(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(*_: Any, **__: Any) -> str:
        raise NoCredentialsError

    monkeypatch.setattr(wire.client, "generate_presigned_url", nobody)
    with pytest.raises(UpstreamFailed):
        wire.bucket.part_url("key", "s3-1", 1, 1, SUM)


# Lists


def test_versions_of_objects_are_listed_page_by_page(wire: Wire) -> None:
    # Given a page with more behind it, whose keys are no plain text
    wire.answers_with(
        "<ListVersionsResult><IsTruncated>true</IsTruncated><EncodingType>url</EncodingType>"
        "<NextKeyMarker>models/a%20b</NextKeyMarker><NextVersionIdMarker>v2</NextVersionIdMarker>"
        "<Version><Key>models/a%20b</Key><VersionId>v2</VersionId><Size>3600000000</Size><IsLatest>true</IsLatest>"
        "<LastModified>2026-11-21T12:00:00.000Z</LastModified></Version>"
        "<DeleteMarker><Key>x</Key><VersionId>v9</VersionId></DeleteMarker></ListVersionsResult>"
    )
    found, after = wire.bucket.objects("models/", limit=1)
    assert [(one.key, one.object_version, one.size, one.is_latest) for one in found] == [
        ("models/a b", "v2", 3_600_000_000, True)
    ]
    assert after == {"key": "models/a b", "id": "v2"}
    # When read on / Then it goes on there, and ends
    wire.answers_with("<ListVersionsResult><IsTruncated>false</IsTruncated></ListVersionsResult>")
    assert wire.bucket.objects("models/", after) == ([], None)
    assert "key-marker=models%2Fa%20b" in wire.last[1]
    assert "version-id-marker=v2" in wire.last[1]


def test_uploads_that_have_not_ended_are_listed_page_by_page(wire: Wire) -> None:
    body = (
        "<ListMultipartUploadsResult><IsTruncated>true</IsTruncated><NextKeyMarker>key</NextKeyMarker>"
        "<NextUploadIdMarker>s3-1</NextUploadIdMarker><Upload><Key>key</Key><UploadId>s3-1</UploadId>"
        "<Initiated>2026-11-21T12:00:00.000Z</Initiated></Upload></ListMultipartUploadsResult>"
    )
    wire.answers_with(body)
    found, after = wire.bucket.uploads("packages/")
    assert [(one.key, one.s3_upload_id, one.begun_at.year) for one in found] == [("key", "s3-1", 2026)]
    wire.answers_with(body.replace("true", "false").replace("key", escape("other&")))
    assert wire.bucket.uploads("packages/", after)[1] is None
    assert "upload-id-marker=s3-1" in wire.last[1]


def test_a_marker_that_s3_has_not_given_is_not_sent(wire: Wire) -> None:
    wire.answers_with("<ListVersionsResult><IsTruncated>false</IsTruncated></ListVersionsResult>")
    wire.bucket.objects("", {"key": "a", "id": ""})
    assert "version-id-marker" not in wire.last[1]


CALLS: list[Callable[[PackagesBucket], object]] = [
    lambda bucket: bucket.create_upload("key", "text/plain", "own"),
    lambda bucket: bucket.upload_part("key", "s3-1", 1, b"", SUM),
    lambda bucket: bucket.parts("key", "s3-1"),
    lambda bucket: bucket.complete("key", "s3-1", [PART], 5),
    lambda bucket: bucket.abort("key", "s3-1"),
    lambda bucket: bucket.head("key"),
    lambda bucket: bucket.read("key", "v1", 0, 1),
    lambda bucket: bucket.delete("key", "v1"),
    lambda bucket: bucket.objects(),
    lambda bucket: bucket.uploads(),
]


@pytest.mark.parametrize("call", CALLS)
def test_every_call_may_fail_and_then_tells_so(wire: Wire, call: Callable[[PackagesBucket], object]) -> None:
    for code, status, becomes in (("InternalError", 500, Unavailable), ("AccessDenied", 403, UpstreamFailed)):
        wire.refuses(code, status)
        with pytest.raises(becomes):
            call(wire.bucket)
    wire.answers.append(KeyError("ours"))
    with pytest.raises(KeyError):
        call(wire.bucket)


def test_the_process_has_one_bucket_and_one_table(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a stack's settings / When wired / Then both are its own, once
    monkeypatch.setattr(aws, "client", lambda service: service)
    monkeypatch.setenv("WEIR_PACKAGES_TABLE", "t")
    monkeypatch.setenv("WEIR_PACKAGES_BUCKET", "b")
    settings.forget()
    deps.cache_clear()
    made = deps()
    assert made.bucket.name == "b"
    assert deps() is made
    # Given none / Then the process does not start
    deps.cache_clear()
    monkeypatch.delenv("WEIR_PACKAGES_BUCKET")
    settings.forget()
    with pytest.raises(settings.SettingsError):
        deps()
    settings.forget()
    deps.cache_clear()
