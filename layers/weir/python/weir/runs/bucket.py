"""The runs bucket (S3): sources that callers upload, checkpoints of writers and readers, measurements and reports.

Keys: ``sources/<upload>``, ``runs/<id>/slice/<n>/<version>``, ``runs/<id>/reader/<n>/<version>``,
``runs/<id>/measurement``, ``runs/<id>/report.json``, ``runs/<id>/report.html``. A checkpoint's key holds the version of
the claim that wrote it, so a writer that was taken over can't spoil its successor's.
"""

import gzip
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from weir.runtime import aws
from weir.runtime.errors import NotFound

CHUNK_BYTES = 1 << 18
UPLOAD_SECONDS = 900


class ObjectMissing(NotFound):
    """The object is not in the bucket."""

    slug, title = "object-not-found", "No such object"


class Stored(NamedTuple):
    """How large an object is, and its version; None in a bucket that keeps none."""

    bytes: int
    version: str | None


class RunsBucket:
    """The bucket behind one botocore S3 client. AWS failures become WeirErrors."""

    def __init__(self, client: Any, name: str) -> None:
        self._client = client
        self._name = name

    @property
    def name(self) -> str:
        """The bucket's name."""
        return self._name

    def look(self, key: str) -> Stored:
        """The latest version of an object. ObjectMissing where it is not there."""
        answer = self._call("head_object", key, "looking at")
        return Stored(int(answer["ContentLength"]), answer.get("VersionId"))

    def open_at(self, key: str, offset: int, version: str | None = None) -> Iterator[bytes]:
        """An object's bytes from ``offset`` on, in chunks: of a version, or of the latest."""
        which = {} if version is None else {"VersionId": version}
        answer = self._call("get_object", key, "reading", Range=f"bytes={offset}-", **which)
        try:
            yield from answer["Body"].iter_chunks(CHUNK_BYTES)
        except Exception as error:
            raise (aws.translate(error, f"reading {key}") if aws.is_aws_error(error) else error) from error

    def upload_url(self, key: str, content_type: str) -> str:
        """A URL that takes PUTs of this content type for 15 minutes; each makes another version."""
        url: str = self._client.generate_presigned_url(
            "put_object",
            Params={"Bucket": self._name, "Key": key, "ContentType": content_type},
            ExpiresIn=UPLOAD_SECONDS,
        )
        return url

    def save(self, key: str, document: Any) -> None:
        """Store a JSON-able document, compressed."""
        body = gzip.compress(json.dumps(document, separators=(",", ":")).encode(), compresslevel=3)
        self._call("put_object", key, "storing", Body=body, ContentType="application/json", ContentEncoding="gzip")

    def load(self, key: str) -> Any:
        """A document that ``save`` stored. ObjectMissing where it is not there."""
        return json.loads(gzip.decompress(self.read(key)))

    def write(self, key: str, body: bytes, content_type: str) -> None:
        """Store bytes as they are."""
        self._call("put_object", key, "storing", Body=body, ContentType=content_type)

    def read(self, key: str) -> bytes:
        """An object's bytes."""
        return b"".join(self.open_at(key, 0))

    def _call(self, operation: str, key: str, doing: str, **arguments: Any) -> Any:
        try:
            return getattr(self._client, operation)(Bucket=self._name, Key=key, **arguments)
        except Exception as error:
            if aws.kind(error) == "missing":
                raise ObjectMissing(f"There is no object {key}.") from error
            raise (aws.translate(error, f"{doing} {key}") if aws.is_aws_error(error) else error) from error


def part_key(run_id: str, part: str, index: int, version: int) -> str:
    """Where the checkpoint of a slice or reader is kept."""
    return f"runs/{run_id}/{part.lower()}/{index:05d}/{version}"


def report_key(run_id: str, form: str) -> str:
    """Where a run's report is kept, as ``json`` or ``html``."""
    return f"runs/{run_id}/report.{form}"
