"""S3 in memory, for the tests of files: as strict as AWS documents multipart uploads, where moto is not.

It looks at parts' checksums and sizes, at MpuObjectSize and If-None-Match, knows no upload once that has ended, lets
parts in that were under way when it was aborted, and takes a PUT to a presigned URL as it was signed and in its time.
Requests are validated by botocore's own model of S3, and URLs are signed by botocore.
https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html
"""

import base64
import hashlib
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import botocore.session
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.validate import ParamValidator

BUCKET = "packages"
MIB = 1024 * 1024
LEAST_PART = 5 * MIB
_SESSION = botocore.session.Session()
_SESSION.set_credentials("AKIDEXAMPLE", "secret", "token")
_SIGNER = _SESSION.create_client(
    "s3",
    region_name="eu-west-1",
    config=Config(signature_version="s3v4", s3={"addressing_style": "virtual"}),
)
_MODEL = _SESSION.get_service_model("s3")


@dataclass
class Sent:
    """A part: of its bytes nothing is kept but what S3 answers, unless an object is made of it."""

    body: bytes
    etag: str
    sha256: str


@dataclass
class Multipart:
    """A multipart upload that has not ended. ``under_way`` are parts that arrive after an abort, one at each."""

    key: str
    metadata: dict[str, str]
    content_type: str
    begun_at: datetime
    parts: dict[int, Sent] = field(default_factory=dict)
    under_way: list[tuple[int, bytes]] = field(default_factory=list)
    aborted: bool = False


@dataclass
class ObjectVersion:
    """A version of an object."""

    version_id: str
    body: bytes
    checksum: str
    content_type: str
    metadata: dict[str, str]
    modified_at: datetime


class FakeS3:
    """A botocore S3 client of an account with the bucket ``packages``, versioned.

    ``called`` names the operations. ``signed`` holds what each URL was signed for.
    """

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._numbers = 0
        self.called: list[str] = []
        self.objects: dict[str, list[ObjectVersion]] = {}
        self.multiparts: dict[str, Multipart] = {}
        self.signed: dict[str, tuple[str, dict[str, Any], datetime]] = {}
        self.before: Callable[[str, dict[str, Any]], None] = lambda operation, request: None

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        if operation.startswith("_"):
            raise AttributeError(operation)
        work = getattr(self, f"_{operation}")
        name = "".join(word.capitalize() for word in operation.split("_"))
        shape = _MODEL.operation_model(name).input_shape

        def call(**request: Any) -> Any:
            report = ParamValidator().validate(request, shape)
            assert not report.has_errors(), report.generate_report()
            assert request["Bucket"] == BUCKET
            self.before(operation, request)
            self.called.append(operation)
            return work(request)

        return call

    # What a test looks at, and does

    def put(self, url: str, body: bytes, headers: Mapping[str, str], after: float = 0) -> tuple[int, str, str]:
        """PUT to a presigned URL, so many seconds after it was signed: status, S3's code, and the ETag."""
        operation, params, signed_at = self.signed[url]
        given = {name.lower(): value for name, value in headers.items()}
        query = parse_qs(urlsplit(url).query)
        must = set(query["X-Amz-SignedHeaders"][0].split(";")) - {"host"}
        if after > int(query["X-Amz-Expires"][0]) or self._now() > signed_at + timedelta(
            seconds=int(query["X-Amz-Expires"][0])
        ):
            return 403, "AccessDenied", ""
        signed = {
            "content-length": str(params.get("ContentLength")),
            "x-amz-checksum-sha256": params.get("ChecksumSHA256"),
        }
        unsigned = {name for name in given if name.startswith("x-amz-") and name not in must}
        if operation != "upload_part" or unsigned or any(given.get(name) != signed[name] for name in must):
            return 403, "SignatureDoesNotMatch", ""
        if "content-length" in must and int(given["content-length"]) != len(body):
            return 400, "IncompleteBody", ""
        try:
            answer = self.upload_part(**{k: v for k, v in params.items() if k != "ContentLength"}, Body=body)
        except ClientError as error:
            return error.response["ResponseMetadata"]["HTTPStatusCode"], error.response["Error"]["Code"], ""
        return 200, "", answer["ETag"]

    def get(self, url: str, after: float = 0) -> tuple[int, bytes]:
        """GET a presigned URL, so many seconds after it was signed: status and bytes."""
        operation, params, _ = self.signed[url]
        if operation != "get_object" or after > int(parse_qs(urlsplit(url).query)["X-Amz-Expires"][0]):
            return 403, b""
        found = self._version(params["Key"], params.get("VersionId"))
        return (200, found.body) if found else (404, b"")

    def replaces(self, key: str, body: bytes) -> str:
        """Somebody stores other bytes under a key, past Weir; their version id."""
        return self._stored(key, ObjectVersion("", body, "", "application/octet-stream", {}, self._now()))

    def only(self, key: str) -> ObjectVersion:
        """The one version of an object; there must be no other."""
        (found,) = self.objects[key]
        return found

    # What S3 does

    def generate_presigned_url(self, operation: str, Params: dict[str, Any], ExpiresIn: int) -> str:  # noqa: N803
        signed = _SIGNER.generate_presigned_url(operation, Params=Params, ExpiresIn=ExpiresIn)
        url = f"{signed}#{len(self.signed)}"  # botocore has seconds of its own; here, time stands still
        self.signed[url] = (operation, Params, self._now())
        return url

    def _create_multipart_upload(self, request: dict[str, Any]) -> dict[str, Any]:
        assert (request["ChecksumAlgorithm"], request["ChecksumType"]) == ("SHA256", "COMPOSITE")
        upload_id = self._id("upload")
        metadata, content_type = request.get("Metadata", {}), request["ContentType"]
        self.multiparts[upload_id] = Multipart(request["Key"], metadata, content_type, self._now())
        return {"Bucket": BUCKET, "Key": request["Key"], "UploadId": upload_id}

    def _upload_part(self, request: dict[str, Any]) -> dict[str, Any]:
        upload = self._upload(request, "UploadPart")
        body, told = request["Body"], request.get("ChecksumSHA256")
        if told is None:  # "Checksum Type mismatch occurred, expected checksum Type: sha256, actual ...: null"
            raise _refused("InvalidRequest", 400, "UploadPart")
        sent = _sent(body)
        if told != sent.sha256:
            raise _refused("BadDigest", 400, "UploadPart")
        upload.parts[request["PartNumber"]] = sent
        return {"ETag": f'"{sent.etag}"', "ChecksumSHA256": sent.sha256}

    def _list_parts(self, request: dict[str, Any]) -> dict[str, Any]:
        upload = self._upload(request, "ListParts", ended=True)
        after, limit = request.get("PartNumberMarker", 0), min(request.get("MaxParts", 1_000), 1_000)
        numbers = sorted(number for number in upload.parts if number > after)
        page = numbers[:limit]
        parts = [
            {
                "PartNumber": number,
                "ETag": f'"{upload.parts[number].etag}"',
                "Size": len(upload.parts[number].body),
                "ChecksumSHA256": upload.parts[number].sha256,
            }
            for number in page
        ]
        more = {"NextPartNumberMarker": page[-1]} if page else {}
        return {"IsTruncated": len(numbers) > limit, **more, **({"Parts": parts} if parts else {})}

    def _complete_multipart_upload(self, request: dict[str, Any]) -> dict[str, Any]:
        name = "CompleteMultipartUpload"
        upload = self._upload(request, name)
        told = request["MultipartUpload"]["Parts"]
        numbers = [one["PartNumber"] for one in told]
        if not told:
            raise _refused("MalformedXML", 400, name)
        if numbers != sorted(set(numbers)):
            raise _refused("InvalidPartOrder", 400, name)
        if any("ChecksumSHA256" not in one for one in told):
            raise _refused("InvalidRequest", 400, name)
        for one in told:
            here = upload.parts.get(one["PartNumber"])
            if here is None or (one["ETag"].strip('"'), one["ChecksumSHA256"]) != (here.etag, here.sha256):
                raise _refused("InvalidPart", 400, name)
        parts = [upload.parts[number] for number in numbers]
        if any(len(one.body) < LEAST_PART for one in parts[:-1]):
            raise _refused("EntityTooSmall", 400, name)
        body = b"".join(one.body for one in parts)
        if request.get("MpuObjectSize", len(body)) != len(body):
            raise _refused("InvalidRequest", 400, name)
        if request.get("IfNoneMatch") == "*" and self.objects.get(request["Key"]):
            raise _refused("PreconditionFailed", 412, name)
        digests = b"".join(base64.b64decode(one.sha256) for one in parts)
        checksum = f"{base64.b64encode(hashlib.sha256(digests).digest()).decode()}-{len(parts)}"
        made = ObjectVersion("", body, checksum, upload.content_type, upload.metadata, self._now())
        version_id = self._stored(request["Key"], made)
        del self.multiparts[request["UploadId"]]
        return {"Key": request["Key"], "VersionId": version_id, "ETag": '"made-of-parts"', "ChecksumSHA256": checksum}

    def _abort_multipart_upload(self, request: dict[str, Any]) -> dict[str, Any]:
        upload = self._upload(request, "AbortMultipartUpload", ended=True)
        upload.aborted = True
        upload.parts.clear()
        if upload.under_way:
            number, body = upload.under_way.pop(0)
            upload.parts[number] = _sent(body)
        else:
            del self.multiparts[request["UploadId"]]
        return {}

    def _head_object(self, request: dict[str, Any]) -> dict[str, Any]:
        found = self._version(request["Key"], request.get("VersionId"))
        if found is None:
            raise _refused("404", 404, "HeadObject")  # an answer to HEAD has no body to name a code in
        told = {"ChecksumSHA256": found.checksum} if request.get("ChecksumMode") and found.checksum else {}
        return {
            "ContentLength": len(found.body),
            "VersionId": found.version_id,
            "ContentType": found.content_type,
            "Metadata": found.metadata,
            **told,
        }

    def _get_object(self, request: dict[str, Any]) -> dict[str, Any]:
        found = self._version(request["Key"], request.get("VersionId"))
        if found is None:
            raise _refused("NoSuchVersion" if "VersionId" in request else "NoSuchKey", 404, "GetObject")
        first, last = (int(one) for one in request["Range"].removeprefix("bytes=").split("-"))
        if first >= len(found.body):
            raise _refused("InvalidRange", 416, "GetObject")
        body = found.body[first : last + 1]
        told = f"bytes {first}-{first + len(body) - 1}/{len(found.body)}"
        return {"Body": io.BytesIO(body), "ContentRange": told, "VersionId": found.version_id}

    def _delete_object(self, request: dict[str, Any]) -> dict[str, Any]:
        left = [one for one in self.objects.get(request["Key"], []) if one.version_id != request["VersionId"]]
        self.objects[request["Key"]] = left
        if not left:
            del self.objects[request["Key"]]
        return {}

    def _list_object_versions(self, request: dict[str, Any]) -> dict[str, Any]:
        keys = sorted(key for key in self.objects if key.startswith(request.get("Prefix", "")))
        every = [(key, one) for key in keys for one in reversed(self.objects[key])]
        marks = [(key, one.version_id) for key, one in every]
        marker = (request.get("KeyMarker"), request.get("VersionIdMarker"))
        start = marks.index(marker) + 1 if marker in marks else 0
        page = every[start : start + request["MaxKeys"]]
        versions = [
            {
                "Key": key,
                "VersionId": one.version_id,
                "Size": len(one.body),
                "IsLatest": one is self.objects[key][-1],
                "LastModified": one.modified_at,
            }
            for key, one in page
        ]
        more = start + len(page) < len(every)
        mark = {"NextKeyMarker": page[-1][0], "NextVersionIdMarker": page[-1][1].version_id} if more else {}
        return {"IsTruncated": more, **mark, **({"Versions": versions} if versions else {})}

    def _list_multipart_uploads(self, request: dict[str, Any]) -> dict[str, Any]:
        found = sorted((one.key, upload_id, one.begun_at) for upload_id, one in self.multiparts.items())
        uploads = [{"Key": key, "UploadId": upload_id, "Initiated": begun} for key, upload_id, begun in found]
        return {"IsTruncated": False, **({"Uploads": uploads} if uploads else {})}

    def _list_object_versions(self, request: dict[str, Any]) -> dict[str, Any]:
        found = [(key, one) for key, versions in sorted(self.objects.items()) for one in reversed(versions)]
        found = [(key, one) for key, one in found if key.startswith(request.get("Prefix", ""))]
        ids = [(key, one.version_id) for key, one in found]
        start = _after(ids, request.get("KeyMarker"), request.get("VersionIdMarker"))
        page = found[start : start + request["MaxKeys"]]
        versions = [
            {
                "Key": key,
                "VersionId": one.version_id,
                "Size": len(one.body),
                "IsLatest": self.objects[key][-1] is one,
                "LastModified": one.modified_at,
            }
            for key, one in page
        ]
        more = start + len(page) < len(found)
        last = {"NextKeyMarker": page[-1][0], "NextVersionIdMarker": page[-1][1].version_id} if more else {}
        return {"IsTruncated": more, "Versions": versions, **last}

    def _list_multipart_uploads(self, request: dict[str, Any]) -> dict[str, Any]:
        found = sorted((one.key, upload_id) for upload_id, one in self.multiparts.items())
        found = [one for one in found if one[0].startswith(request.get("Prefix", ""))]
        start = _after(found, request.get("KeyMarker"), request.get("UploadIdMarker"))
        page = found[start : start + request["MaxUploads"]]
        uploads = [
            {"Key": key, "UploadId": upload_id, "Initiated": self.multiparts[upload_id].begun_at}
            for key, upload_id in page
        ]
        more = start + len(page) < len(found)
        last = {"NextKeyMarker": page[-1][0], "NextUploadIdMarker": page[-1][1]} if more else {}
        return {"IsTruncated": more, "Uploads": uploads, **last}

    def _upload(self, request: dict[str, Any], operation: str, *, ended: bool = False) -> Multipart:
        upload = self.multiparts.get(request["UploadId"])
        if upload is None or upload.key != request["Key"] or (upload.aborted and not ended):
            raise _refused("NoSuchUpload", 404, operation)
        return upload

    def _version(self, key: str, version_id: str | None) -> ObjectVersion | None:
        versions = self.objects.get(key, [])
        if version_id is None:
            return versions[-1] if versions else None
        return next((one for one in versions if one.version_id == version_id), None)

    def _stored(self, key: str, made: ObjectVersion) -> str:
        made.version_id = self._id("version")
        self.objects.setdefault(key, []).append(made)
        return made.version_id

    def _id(self, kind: str) -> str:
        self._numbers += 1
        return f"{kind}-{self._numbers}"


def checksum(body: bytes) -> str:
    """A part's SHA-256 as S3 takes it."""
    return base64.b64encode(hashlib.sha256(body).digest()).decode()


def _after(found: Sequence[tuple[str, str]], key: str | None, marker: str | None) -> int:
    """Where a list goes on that stopped at a key and a version or upload of it."""
    if key is None:
        return 0
    return next((number for number, one in enumerate(found, 1) if one == (key, marker)), len(found))


def _sent(body: bytes) -> Sent:
    return Sent(body, hashlib.md5(body).hexdigest(), checksum(body))


def _refused(code: str, status: int, operation: str) -> ClientError:
    response: Any = {"Error": {"Code": code, "Message": "as S3"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, operation)
