"""The packages bucket (S3): the files of packages, written by multipart uploads and read by version id.

A file's key is ``packages/<name>/<declared sha256>`` (``table.blob_object``). Uploads are made with per-part SHA-256
checksums (COMPOSITE): S3 takes no part without one, and compares every part with it. An object carries the id of the
upload that made it, so that whoever finds it knows whose it is.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from weir.packages.errors import PartsWrong
from weir.runtime import aws
from weir.runtime.errors import Conflict, NotFound, UpstreamFailed, WeirError
from weir.runtime.settings import settings

URL_SECONDS = 900
"""Longest life of a URL that is given out; it ends earlier where the session of the role that signed it does."""

_UPLOAD = "weir-upload"
_MISSING = {"404", "NoSuchKey", "NoSuchVersion"}


class ObjectMissing(NotFound):
    """The object, or this version of it, is not in the bucket."""

    slug, title = "object-not-found", "No such object"


class UploadGone(NotFound):
    """S3 has no such multipart upload: it was completed or aborted."""

    slug, title = "upload-gone", "No such upload"


class ObjectThere(Conflict):
    """An object is there under this key already; nothing was completed."""

    slug, title = "object-there", "The object is there"


class Interfered(Conflict):
    """Something else happened to the key at the same time; S3 asks for a new upload."""

    slug, title = "interfered", "Something else happened at the same time"


_GONE = (UploadGone, "S3 has no such upload: it was completed or aborted.")
_THERE = (ObjectThere, "An object of this key is there already.")
_INTERFERED = (Interfered, "Something else happened to this object at the same time.")

Means = Mapping[str, tuple[type[WeirError], str]]

_COMPLETING: Means = {
    "NoSuchUpload": _GONE,
    "PreconditionFailed": _THERE,
    "412": _THERE,
    "ConditionalRequestConflict": _INTERFERED,
    "OperationAborted": _INTERFERED,
    "409": _INTERFERED,
    "InvalidPart": (PartsWrong, "S3 does not hold a part as it was named: its ETag or checksum is another."),
    "InvalidPartOrder": (PartsWrong, "The parts are not in order."),
    "EntityTooSmall": (PartsWrong, "A part other than the last is too small."),
    "BadDigest": (PartsWrong, "A part is not the bytes that its checksum tells of."),
    "InvalidDigest": (PartsWrong, "A checksum is no SHA-256."),
    "InvalidRequest": (PartsWrong, "The parts do not add up to the declared size, or lack a checksum."),
}
"""What S3's answer to a part or to a completion means, by its code: inside a 200, the status tells nothing."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part that has arrived. ``size`` in bytes, ``sha256`` in Base64 as S3 has it."""

    number: int
    etag: str
    size: int
    sha256: str | None


@dataclass(frozen=True, slots=True)
class Stored:
    """An object as it is. ``checksum`` is S3's of its parts (not of its bytes), ``upload_id`` the one that made it."""

    key: str
    object_version: str
    size: int
    checksum: str | None
    upload_id: str | None


@dataclass(frozen=True, slots=True)
class Listed:
    """A version of an object, in a list."""

    key: str
    object_version: str
    size: int
    is_latest: bool
    modified_at: datetime


@dataclass(frozen=True, slots=True)
class Begun:
    """A multipart upload that has not ended, in a list."""

    key: str
    s3_upload_id: str
    begun_at: datetime


class PackagesBucket:
    """The bucket behind one botocore S3 client. AWS failures become WeirErrors."""

    def __init__(self, client: Any, name: str) -> None:
        self._client, self.name = client, name

    # Uploads

    def create_upload(self, key: str, content_type: str, upload_id: str) -> str:
        """Begin a multipart upload; S3's id of it. ``upload_id`` is Weir's, which the object will carry."""
        answer = self._call(
            "create_multipart_upload",
            "beginning an upload",
            Key=key,
            ContentType=content_type,
            ChecksumAlgorithm="SHA256",
            ChecksumType="COMPOSITE",
            Metadata={_UPLOAD: upload_id},
        )
        return str(answer["UploadId"])

    def part_url(self, key: str, s3_upload_id: str, number: int, size: int, sha256: str) -> str:
        """A URL that takes this part, of this size and checksum (Base64), for 15 minutes; see ``part_headers``."""
        return self._url(
            "upload_part",
            URL_SECONDS,
            Key=key,
            UploadId=s3_upload_id,
            PartNumber=number,
            ContentLength=size,
            ChecksumSHA256=sha256,
        )

    def upload_part(self, key: str, s3_upload_id: str, number: int, body: bytes, sha256: str) -> Part:
        """Send a part that Weir itself has. UploadGone, or PartsWrong where the bytes are not those of ``sha256``."""
        answer = self._call(
            "upload_part",
            f"sending part {number}",
            _COMPLETING,
            Key=key,
            UploadId=s3_upload_id,
            PartNumber=number,
            Body=body,
            ChecksumSHA256=sha256,
        )
        return Part(number, _bare(answer["ETag"]), len(body), sha256)

    def parts(self, key: str, s3_upload_id: str, after: int = 0, limit: int = 1_000) -> tuple[list[Part], int | None]:
        """Parts that have arrived, by number, and the number to go on after; None on the last page. UploadGone."""
        answer = self._call(
            "list_parts",
            "looking at an upload",
            {"NoSuchUpload": _GONE},
            Key=key,
            UploadId=s3_upload_id,
            PartNumberMarker=after,
            MaxParts=limit,
        )
        found = [
            Part(one["PartNumber"], _bare(one["ETag"]), one["Size"], one.get("ChecksumSHA256"))
            for one in answer.get("Parts", [])
        ]
        return found, int(answer["NextPartNumberMarker"]) if answer.get("IsTruncated") else None

    def all_parts(self, key: str, s3_upload_id: str) -> list[Part]:
        """Every part that has arrived, by number: at most ten calls. UploadGone."""
        found, after = self.parts(key, s3_upload_id)
        while after is not None:
            more, after = self.parts(key, s3_upload_id, after)
            found += more
        return found

    def complete(self, key: str, s3_upload_id: str, parts: Sequence[Part], size: int) -> None:
        """Make the object of its parts, ``size`` bytes in all, unless one is there.

        Raises
        ------
        ObjectThere
            An object is there: another upload's, or that of an earlier call whose answer was lost.
        UploadGone
            The upload was completed or aborted before.
        Interfered
            Another call for the same key was at work.
        PartsWrong
            S3 does not make an object of these parts.
        """
        told = [
            {"PartNumber": one.number, "ETag": f'"{one.etag}"', "ChecksumSHA256": one.sha256}
            for one in sorted(parts, key=lambda one: one.number)
        ]
        self._call(
            "complete_multipart_upload",
            "completing an upload",
            _COMPLETING,
            Key=key,
            UploadId=s3_upload_id,
            MultipartUpload={"Parts": told},
            MpuObjectSize=size,
            IfNoneMatch="*",
        )

    def abort(self, key: str, s3_upload_id: str) -> None:
        """End a multipart upload. Parts under way may arrive all the same: look, and abort again."""
        try:
            self._call(
                "abort_multipart_upload",
                "aborting an upload",
                {"NoSuchUpload": _GONE},
                Key=key,
                UploadId=s3_upload_id,
            )
        except UploadGone:
            return

    # Objects

    def head(self, key: str, object_version: str | None = None) -> Stored | None:
        """An object as it is now, or a version of it; None where it is not there."""
        pinned: dict[str, Any] = {} if object_version is None else {"VersionId": object_version}
        try:
            answer = self._call("head_object", "looking at an object", Key=key, ChecksumMode="ENABLED", **pinned)
        except ObjectMissing:
            return None
        return Stored(
            key=key,
            object_version=str(answer.get("VersionId", "null")),
            size=int(answer["ContentLength"]),
            checksum=answer.get("ChecksumSHA256"),
            upload_id=answer.get("Metadata", {}).get(_UPLOAD),
        )

    def read(self, key: str, object_version: str, offset: int, length: int) -> bytes:
        """``length`` bytes, at least one, from ``offset`` on, fewer at the end. ObjectMissing.

        UpstreamFailed where the answer is of other bytes than were asked for, for a server may overlook a range.
        """
        asked = f"bytes={offset}-{offset + length - 1}"
        answer = self._call("get_object", "reading an object", Key=key, VersionId=object_version, Range=asked)
        if not str(answer.get("ContentRange")).startswith(f"bytes {offset}-"):
            raise UpstreamFailed("S3 answered other bytes than it was asked for.")
        try:
            return bytes(answer["Body"].read())
        except Exception as error:
            raise (aws.translate(error, "reading an object") if aws.is_aws_error(error) else error) from error

    def download_url(self, key: str, object_version: str, seconds: int, disposition: str, content_type: str) -> str:
        """A URL that gives this version of an object, for so many seconds, under these headers."""
        return self._url(
            "get_object",
            seconds,
            Key=key,
            VersionId=object_version,
            ResponseContentDisposition=disposition,
            ResponseContentType=content_type,
        )

    def delete(self, key: str, object_version: str) -> None:
        """Delete a version of an object, for good. Done too where it is not there."""
        self._call("delete_object", "deleting an object", Key=key, VersionId=object_version)

    # Lists

    def objects(
        self, prefix: str = "", after: Mapping[str, str] | None = None, limit: int = 1_000
    ) -> tuple[list[Listed], dict[str, str] | None]:
        """Versions of objects, by key and newest first, and where to go on; None on the last page."""
        answer = self._call(
            "list_object_versions", "listing objects", Prefix=prefix, MaxKeys=limit, **_marked(after, "VersionIdMarker")
        )
        found = [
            Listed(one["Key"], one["VersionId"], one["Size"], one["IsLatest"], one["LastModified"])
            for one in answer.get("Versions", [])
        ]
        return found, _next(answer, "NextVersionIdMarker")

    def uploads(
        self, prefix: str = "", after: Mapping[str, str] | None = None, limit: int = 1_000
    ) -> tuple[list[Begun], dict[str, str] | None]:
        """Multipart uploads that have not ended, by key, and where to go on; None on the last page."""
        answer = self._call(
            "list_multipart_uploads",
            "listing uploads",
            Prefix=prefix,
            MaxUploads=limit,
            **_marked(after, "UploadIdMarker"),
        )
        found = [Begun(one["Key"], one["UploadId"], one["Initiated"]) for one in answer.get("Uploads", [])]
        return found, _next(answer, "NextUploadIdMarker")

    def _url(self, operation: str, seconds: int, **params: Any) -> str:
        try:
            url: str = self._client.generate_presigned_url(
                operation, Params={"Bucket": self.name, **params}, ExpiresIn=seconds
            )
        except Exception as error:
            raise (aws.translate(error, "signing a URL") if aws.is_aws_error(error) else error) from error
        return url

    def _call(self, operation: str, doing: str, means: Means | None = None, **asked: Any) -> Any:
        try:
            return getattr(self._client, operation)(Bucket=self.name, **asked)
        except Exception as error:
            if not aws.is_aws_error(error):
                raise
            code = aws.error_code(error)
            if means and code in means:
                kind, told = means[code]
                raise kind(told) from error
            if code in _MISSING:
                raise ObjectMissing("There is no such object.") from error
            raise aws.translate(error, doing) from error


def bucket() -> PackagesBucket:
    """The stack's packages bucket."""
    return PackagesBucket(aws.client("s3"), settings(needs=("packages_bucket",)).packages_bucket)


def part_headers(size: int, sha256: str) -> dict[str, str]:
    """The headers that a part's URL is signed with: whoever uses it sends them as they are."""
    return {"Content-Length": str(size), "x-amz-checksum-sha256": sha256}


def _bare(etag: str) -> str:
    return etag.strip('"')


def _marked(after: Mapping[str, str] | None, marker: str) -> dict[str, Any]:
    if after is None:
        return {}
    return {"KeyMarker": after["key"], **({marker: after["id"]} if after["id"] else {})}


def _next(answer: Mapping[str, Any], marker: str) -> dict[str, str] | None:
    if not answer.get("IsTruncated"):
        return None
    return {"key": str(answer["NextKeyMarker"]), "id": str(answer.get(marker, ""))}
