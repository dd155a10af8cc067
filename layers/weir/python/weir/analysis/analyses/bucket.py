"""The analyses bucket (S3): what is kept of an analysis, all of it under ``analyses/<id>/`` and for 30 days.

``collected/<n>`` (streams between the steps), ``found/<n>`` (what the workflows found of them), ``document.json``,
``findings.csv``, ``report.html`` (what is answered). What runs measured is read from the runs bucket.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from typing import Any

from weir.analysis.measurement import measurement_key
from weir.runtime import aws
from weir.runtime.errors import NotFound

__all__ = ["AnalysesBucket", "Measurements", "NotKept", "part_key", "result_key"]

URL_SECONDS = 300
DELETED_AT_ONCE = 1_000


class NotKept(NotFound):
    """The object is not in the bucket."""

    slug, title = "analysis-not-kept", "The analysis' results are not kept"


class AnalysesBucket:
    """The bucket behind one botocore S3 client. AWS failures become WeirErrors."""

    def __init__(self, client: Any, name: str) -> None:
        self._client, self._name = client, name

    def save(self, key: str, document: Any) -> None:
        """Keep a JSON-able document, compressed."""
        body = gzip.compress(json.dumps(document, separators=(",", ":")).encode(), compresslevel=3)
        self._call("put_object", key, "storing", Body=body, ContentType="application/json", ContentEncoding="gzip")

    def load(self, key: str) -> Any:
        """A document that `save` kept. NotKept where it is not there."""
        return json.loads(gzip.decompress(self.read(key) or b""))

    def write(self, key: str, body: bytes, content_type: str) -> None:
        """Keep bytes as they are."""
        self._call("put_object", key, "storing", Body=body, ContentType=content_type)

    def read(self, key: str, most: int | None = None) -> bytes | None:
        """An object's bytes; None where they are more than `most`. NotKept where it is not there."""
        answer = self._call("get_object", key, "reading")
        if most is not None and answer["ContentLength"] > most:
            answer["Body"].close()
            return None
        try:
            return b"".join(answer["Body"].iter_chunks(1 << 20))
        except Exception as error:
            raise (aws.translate(error, f"reading {key}") if aws.is_aws_error(error) else error) from error

    def url(self, key: str) -> str:
        """A URL that reads the object for five minutes."""
        asked = {"Bucket": self._name, "Key": key}
        return str(self._client.generate_presigned_url("get_object", Params=asked, ExpiresIn=URL_SECONDS))

    def delete_all(self, analysis_id: str) -> None:
        """Delete whatever is kept of an analysis."""
        keys = list(self._keys(f"analyses/{analysis_id}/"))
        for first in range(0, len(keys), DELETED_AT_ONCE):
            some = [{"Key": key} for key in keys[first : first + DELETED_AT_ONCE]]
            self._call("delete_objects", None, "deleting what is kept", Delete={"Objects": some, "Quiet": True})

    def _keys(self, prefix: str) -> Iterator[str]:
        asked: dict[str, Any] = {"Prefix": prefix}
        while True:
            answer = self._call("list_objects_v2", None, "listing what is kept", **asked)
            yield from (one["Key"] for one in answer.get("Contents", ()))
            if not answer.get("IsTruncated"):
                return
            asked["ContinuationToken"] = answer["NextContinuationToken"]

    def _call(self, operation: str, key: str | None, doing: str, **arguments: Any) -> Any:
        named = {} if key is None else {"Key": key}
        try:
            return getattr(self._client, operation)(Bucket=self._name, **named, **arguments)
        except Exception as error:
            if aws.kind(error) == "missing":
                raise NotKept("The results of this analysis are not kept any more.") from error
            told = f"{doing} {key or ''}".strip()
            raise (aws.translate(error, told) if aws.is_aws_error(error) else error) from error


class Measurements:
    """What runs measured, in the runs bucket behind one botocore S3 client."""

    def __init__(self, client: Any, name: str) -> None:
        self._bucket = AnalysesBucket(client, name)

    def load(self, run_id: str) -> Any:
        """A run's measurement, as `Measurement.to_dict` told of it. NotKept where it is not there."""
        return self._bucket.load(measurement_key(run_id))


def part_key(analysis_id: str, part: str, number: int) -> str:
    """Where a part is kept between the steps: of what was ``collected``, or ``found``."""
    return f"analyses/{analysis_id}/{part}/{number:05d}"


def result_key(analysis_id: str, name: str) -> str:
    """Where a result is kept: ``document.json``, ``findings.csv`` or ``report.html``."""
    return f"analyses/{analysis_id}/{name}"
