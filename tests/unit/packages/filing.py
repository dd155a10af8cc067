"""A registry with a bucket, and what its tests do with both: register, send, commit, and look at what is left.

``Line`` stands between a use case and AWS, so that a test decides at which call a process dies, a call fails, or an
answer is lost; and that something else happens in between.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from botocore.exceptions import ClientError, ReadTimeoutError

from tests.unit.packages.fake_bucket import BUCKET, FakeS3, checksum
from tests.unit.packages.fake_table import FakeTable
from tests.unit.packages.registry import TABLE, Counted, Time, asker, everything, package, put, version
from weir.packages.bucket import PackagesBucket
from weir.packages.committing import Told, commit
from weir.packages.finishing import Kept
from weir.packages.items import blob_of, file_of, upload_of, version_of
from weir.packages.models import Blob, Declared, File, Upload, Version
from weir.packages.opening import Asked, Opened, open_upload, part_urls
from weir.packages.parts import part_count, part_range
from weir.packages.store import Store
from weir.packages.table import blob_object
from weir.packages.wiring import Deps
from weir.runtime.audit import Asker
from weir.runtime.dynamodb import Table
from weir.runtime.settings import Settings

Fault = Literal["dies before", "dies after", "fails", "answer lost"]
FAULTS: tuple[Fault, ...] = ("dies before", "dies after", "fails", "answer lost")
NAME, VERSION, PATH = "bert-base", "1.0.0", "model.safetensors"
SMALL = b"\x08\0\0\0\0\0\0\0{}      weights"


class Died(BaseException):
    """The process is gone: nothing catches it, and it makes no further call."""


@dataclass
class Line:
    """All calls of one process to DynamoDB and S3, in order."""

    made: list[str] = field(default_factory=list)
    at: int | None = None
    fault: Fault | None = None
    between: Callable[[], None] | None = None
    dead: bool = False

    def call(self, name: str, send: Callable[[], Any]) -> Any:
        """One call; with a fault where it was asked for."""
        if self.dead:
            raise Died(name)
        number = len(self.made)
        self.made.append(name)
        if number != self.at:
            return send()
        if self.between is not None:
            self.between()
            return send()
        if self.fault == "dies before":
            self.dead = True
            raise Died(name)
        if self.fault == "fails":
            response: Any = {"Error": {"Code": "InternalError"}, "ResponseMetadata": {"HTTPStatusCode": 500}}
            raise ClientError(response, name)
        answer = send()
        if self.fault == "dies after":
            self.dead = True
            raise Died(name)
        if self.fault == "answer lost":
            raise ReadTimeoutError(endpoint_url="https://aws")
        return answer


class Through:
    """A client whose calls go through a line; signing a URL is none."""

    def __init__(self, client: Any, line: Line) -> None:
        self._client, self._line = client, line

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        send = getattr(self._client, operation)
        if operation == "generate_presigned_url":
            return send
        return lambda **request: self._line.call(operation, lambda: send(**request))


class World:
    """One account, and processes that work in it."""

    def __init__(self, client: Counted | FakeTable, time: Time) -> None:
        self.client, self.time = client, time
        self.s3 = FakeS3(time.clock.now)
        self.deps = self.process(Line())

    def process(self, line: Line) -> Deps:
        """A process of its own, with its calls on a line."""
        store = Store(Table(Through(self.client, line), TABLE), self.time.clock)
        return Deps(store, PackagesBucket(Through(self.s3, line), BUCKET), Settings(), self.time.clock)

    # What people do

    def register(self, *files: Declared, name: str = NAME, text: str = VERSION, **of_package: Any) -> None:
        """A package of Ann's with a version that declares these files, or none."""
        put(self.deps.store, package(name, **of_package), version(text, name, files=files), files=files)

    def another_version(self, text: str, *files: Declared) -> None:
        """One more version of the package."""
        put(self.deps.store, package(), version(text, files=files), files=files)

    def opens(self, body: bytes, path: str = PATH, text: str = VERSION, who: Asker | None = None) -> Upload:
        """An upload of a file with these bytes."""
        upload = self.opened(body, path, text, who).upload
        assert upload is not None
        return upload

    def opened(self, body: bytes, path: str = PATH, text: str = VERSION, who: Asker | None = None) -> Opened:
        """What the opening of an upload of such a file is answered."""
        return open_upload(NAME, text, Asked(path, len(body), sha256(body)), who or asker(), self.deps)

    def sends(self, upload: Upload, body: bytes) -> list[Told]:
        """All parts of a file, through presigned URLs; what a commit is told of them."""
        pieces = {number: piece(body, number) for number in range(1, part_count(len(body)) + 1)}
        sums = {number: checksum(data) for number, data in pieces.items()}
        urls = part_urls(upload.name, upload.version, upload.upload_id, sums, asker(), self.deps)
        told = []
        for url in urls:
            status, code, etag = self.s3.put(url.url, pieces[url.number], url.headers)
            assert (status, code) == (200, "")
            told.append(Told(url.number, etag, sums[url.number]))
        return told

    def sent(self, body: bytes, path: str = PATH, text: str = VERSION) -> tuple[Upload, list[Told]]:
        """An upload whose parts have all arrived."""
        upload = self.opens(body, path, text)
        return upload, self.sends(upload, body)

    def commits(self, upload: Upload, told: Sequence[Told], deps: Deps | None = None) -> Kept:
        """Ann commits it."""
        return commit(upload.name, upload.version, upload.upload_id, told, asker(), deps or self.deps)

    def pushed(self, body: bytes, path: str = PATH, text: str = VERSION) -> Kept:
        """A file from the opening of its upload to its commit."""
        return self.commits(*self.sent(body, path, text))

    # What there is

    def upload(self, upload: Upload) -> Upload:
        """An upload as it is stored."""
        found = self.deps.store.upload(upload.upload_id)
        assert found is not None
        return found

    def uploads(self) -> list[Upload]:
        """All uploads."""
        return [upload_of(item) for item in everything(self.client, "UPLOAD#")]

    def file(self, path: str = PATH, text: str = VERSION) -> File:
        """A file as it is stored."""
        found = self.deps.store.file(NAME, text, path)
        assert found is not None
        return found

    def version(self, text: str = VERSION) -> Version:
        """A version as it is stored."""
        found = self.deps.store.version(NAME, text)
        assert found is not None
        return found

    def manifest(self, text: str = VERSION) -> tuple[Declared, ...]:
        """The files that a version declares."""
        return self.deps.store.manifest(self.version(text)).files

    def blob(self, body: bytes) -> Blob | None:
        """What is told of some bytes."""
        return self.deps.store.blob(NAME, sha256(body))

    def rows(self) -> tuple[list[Version], list[File], list[Blob]]:
        """All versions, files and blobs of packages."""
        items = everything(self.client, "PKG#")
        return (
            [version_of(item) for item in items if item["sk"].startswith("V#")],
            [file_of(item) for item in items if item["sk"].startswith("F#")],
            [blob_of(item) for item in items if item["sk"].startswith("B#")],
        )

    def told(self, what: str) -> int:
        """How often the audit tells of something."""
        return sum(item["what"] == what for item in everything(self.client, "AUDIT#"))


def sha256(body: bytes) -> str:
    """As it is declared."""
    return hashlib.sha256(body).hexdigest()


def of(body: bytes, path: str = PATH) -> Declared:
    """The declaration of a file with these bytes."""
    return Declared(path, len(body), sha256(body))


def key(body: bytes) -> str:
    """Where S3 has these bytes."""
    return blob_object(NAME, sha256(body))


def piece(body: bytes, number: int) -> bytes:
    """A part of a file."""
    start, size = part_range(len(body), number)
    return body[start : start + size]
