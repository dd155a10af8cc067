"""Opening an upload of a file, its parts' URLs, and what has arrived: all that a client needs to send, and to resume.

Opening is idempotent by what is asked: the same file again is the same upload, or none where its bytes are here
already. The bytes go from the client to S3; no request carries them.
"""

import base64
import binascii
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from weir.packages import audit, models
from weir.packages.bucket import URL_SECONDS, Part, Stored, UploadGone, part_headers
from weir.packages.committing import Outcome, recover
from weir.packages.ending import ENDED
from weir.packages.errors import CommitUnderWay, FileExists, NotAvailable, UploadEnded, VersionExists
from weir.packages.finding import owned_upload, owned_version
from weir.packages.finishing import keeping, upload_detail
from weir.packages.models import Blob, Declared, File, Manifest, Package, State, Upload, UploadState, Version
from weir.packages.parts import part_count, part_range, part_size
from weir.packages.store import same_state, stored_file, stored_manifest, stored_upload, stored_version
from weir.packages.table import blob_object
from weir.packages.wiring import Deps
from weir.runtime.audit import Asker
from weir.runtime.dynamodb import Write
from weir.runtime.errors import FieldError, Invalid

OPEN_FOR = timedelta(days=7)
"""A day less than the bucket's lifecycle leaves unfinished uploads."""

DEFAULT_TYPE = "application/octet-stream"
_HERE = frozenset({State.SCANNING, State.AVAILABLE})


@dataclass(frozen=True, slots=True)
class Asked:
    """A file to be sent. Without ``content_type`` it is as declared, or of no known type."""

    path: str
    size: int
    sha256: str
    content_type: str | None = None


@dataclass(frozen=True, slots=True)
class Opened:
    """What came of it: ``upload`` to send parts to, or None where the bytes are here; ``is_new`` tells it was made."""

    file: File
    upload: Upload | None
    is_new: bool = False


@dataclass(frozen=True, slots=True)
class PartUrl:
    """Where to PUT a part, with these headers as they are."""

    number: int
    size: int
    url: str
    headers: Mapping[str, str]
    expires_in: int = URL_SECONDS


def open_upload(
    name: str, version: str, asked: Asked, asker: Asker, deps: Deps, import_id: str | None = None
) -> Opened:
    """Open the upload of a file; the same again is the same one, until it ends.

    A version that has declared no files takes this one for its only file. ``import_id`` is the import that asks: the
    upload that it opens is its own until anybody else is given it.

    Raises
    ------
    PackageNotFound, NotTheOwner, VersionNotFound
    VersionExists
        The version has other files.
    FileExists
        The file is declared with other bytes, or these bytes are known with another size.
    NotAvailable
        The version or the file was quarantined or rejected.
    CommitUnderWay
        An upload of the file is being committed.
    """
    made: list[Upload] = []  # at S3, once, however often the transaction is tried

    def attempt() -> tuple[list[Write], Opened] | Opened:
        place = _place(name, version, asked, asker, deps)
        if place.file is not None and (place.upload is not None or place.file.state in _HERE):
            return _given(place.file, place.upload, import_id)
        blob = deps.store.blob(place.version.name, place.declared.sha256)
        if blob is not None and _is_here(blob, deps):
            return _taken_over(place, blob, asker, deps)
        if not made:
            made.append(_begun(place, asker, deps, import_id))
        return _written(place, made[0], asker, deps)

    opened = deps.store.settle(attempt)
    if made and (opened.upload is None or opened.upload.upload_id != made[0].upload_id):
        deps.bucket.abort(made[0].key, made[0].s3_upload_id)  # somebody else was first
    return opened


def part_urls(
    name: str, version: str, upload_id: str, checksums: Mapping[int, str], asker: Asker, deps: Deps
) -> list[PartUrl]:
    """Where to send parts, by number, for 15 minutes; ``checksums`` are their SHA-256 in Base64. May be asked again.

    S3 takes no part of such an upload without its checksum, and lets no header in that was not signed.

    Raises
    ------
    PackageNotFound, NotTheOwner, VersionNotFound, UploadNotFound
    UploadEnded
        It was committed or aborted, or has expired.
    CommitUnderWay
    Invalid
        A number or checksum is none.
    """
    upload = owned_upload(name, version, upload_id, asker.principal, deps.store)
    _check_open(upload, deps)
    wrong = [
        FieldError(f"checksums.{number}", problem)
        for number, sha256 in checksums.items()
        if (problem := _checksum_problem(upload, number, sha256))
    ]
    if wrong:
        raise Invalid(f"{wrong[0].field}: {wrong[0].message}", errors=wrong)
    return [_part_url(upload, number, checksums[number], deps) for number in sorted(checksums)]


def arrived(
    name: str, version: str, upload_id: str, after: int, limit: int, asker: Asker, deps: Deps
) -> tuple[Upload, Sequence[Part], int | None]:
    """An upload, a page of the parts that S3 has of it, and the number to go on after; None on the last page.

    An upload that has ended has no parts: its state tells how it ended.
    """
    upload = owned_upload(name, version, upload_id, asker.principal, deps.store)
    if upload.state in ENDED:
        return upload, (), None
    try:
        found, position = deps.bucket.parts(upload.key, upload.s3_upload_id, after, limit)
    except UploadGone:
        recover(upload_id, deps, asker)
        return owned_upload(name, version, upload_id, asker.principal, deps.store), (), None
    return upload, found, position


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a file goes: what is stored of it, and the upload that is open, where one is."""

    package: Package
    version: Version
    declared: Declared
    file: File | None
    upload: Upload | None

    @property
    def opened(self) -> Version:
        """The version once an upload of the file is open."""
        return models.opened(self.version, self.declared)

    @property
    def manifest(self) -> list[Write]:
        """The write of a version's manifest where it has none yet, for the transaction that counts its file."""
        return [] if self.version.total else [stored_manifest(self.version, Manifest((self.declared,)))]

    @property
    def blank(self) -> File:
        """The file as it is before anything came of it."""
        name, declared = self.version.name, self.declared
        key = blob_object(name, declared.sha256)
        return self.file or File(name, self.version.version, declared, key, State.INITIATED)


def _place(name: str, version: str, asked: Asked, asker: Asker, deps: Deps) -> _Place:
    """What there is of a file, once an upload that is past its time or was left half is out of the way."""
    package, found = owned_version(name, version, asker.principal, deps.store)
    file = deps.store.file(found.name, found.version, asked.path)
    declared = _declared(found, file, asked, deps)
    _check_states(found, file)
    upload = None
    if file is not None and file.upload_id is not None and file.state not in _HERE:
        upload = deps.store.upload(file.upload_id)
    if upload is None or upload.state in ENDED:
        return _Place(package, found, declared, file, None)
    if upload.state is UploadState.OPEN and upload.expires_at > deps.clock.now():
        return _Place(package, found, declared, file, upload)
    if recover(upload.upload_id, deps, asker) is Outcome.UNDER_WAY:
        raise CommitUnderWay("This file's upload is being committed; ask again.", retry_after=5)
    return _place(name, version, asked, asker, deps)


def _is_here(blob: Blob, deps: Deps) -> bool:
    """Whether bytes are verified, and can be had: neither is their object being deleted, nor lost."""
    return blob.verified and not blob.is_going and deps.bucket.head(blob.key, blob.object_version) is not None


def _given(file: File, upload: Upload | None, import_id: str | None) -> tuple[list[Write], Opened] | Opened:
    """The upload that is open, or none where the bytes are here. An import's is its own no longer for anybody else."""
    if upload is None or upload.import_id in {None, import_id}:
        return Opened(file, upload)
    shared = replace(upload, import_id=None)
    return [stored_upload(upload, shared)], Opened(file, replace(shared, revision=upload.revision + 1))


def _taken_over(place: _Place, blob: Blob, asker: Asker, deps: Deps) -> tuple[list[Write], Opened]:
    """The file is of bytes that the package has, verified: nothing is to be sent."""
    declared, now = place.declared, deps.clock.now()
    if blob.size != declared.size:
        raise FileExists(f"The bytes of this SHA-256 are {blob.size:,}, not {declared.size:,}.")
    stored = Stored(blob.key, blob.object_version, blob.size, checksum=None, upload_id=None)
    writes, kept = keeping(place.package, place.version, place.opened, place.file, place.blank, blob, stored, now)
    told = {"file": declared.path, "size": str(declared.size), "sha256": declared.sha256, "present": "true"}
    entry = audit.entry("upload.committed", asker, place.version.name, place.version.version, now, told)
    return [*writes, *place.manifest, entry], Opened(kept.file, None)


def _written(place: _Place, upload: Upload, asker: Asker, deps: Deps) -> tuple[list[Write], Opened]:
    """The writes of a new upload, and of what it changes."""
    now, before, after = deps.clock.now(), place.version, place.opened
    file = replace(place.blank, state=State.UPLOADING, upload_id=upload.upload_id)
    writes = [
        stored_upload(None, upload),
        stored_file(place.file, file, now),
        audit.entry("upload.opened", asker, upload.name, upload.version, now, upload_detail(upload)),
        stored_version(before, after, now) if after != before else same_state(before),
        *place.manifest,
    ]
    return writes, Opened(file, upload, is_new=True)


def _declared(version: Version, file: File | None, asked: Asked, deps: Deps) -> Declared:
    """What is asked for, as the version declares it. VersionExists, FileExists where it says otherwise."""
    known = file.declared if file else deps.store.manifest(version).declared(asked.path)
    if known is None:
        if version.total:
            raise VersionExists(f"The version has other files, and none {asked.path!r}; make another version.")
        return Declared(asked.path, asked.size, asked.sha256, asked.content_type or DEFAULT_TYPE)
    asked_for = Declared(asked.path, asked.size, asked.sha256, asked.content_type or known.content_type)
    if asked_for != known:
        told = f"{known.size:,} bytes of {known.content_type} with the SHA-256 {known.sha256}"
        raise FileExists(f"The version has {asked.path!r} as {told}; make another version.")
    return known


def _check_states(version: Version, file: File | None) -> None:
    for thing, told in ((version, "version"), (file, "file")):
        if thing is not None and thing.state in {State.QUARANTINED, State.REJECTED}:
            raise NotAvailable(f"The {told} is {thing.state} and takes no upload; make another version.")


def _begun(place: _Place, asker: Asker, deps: Deps, import_id: str | None) -> Upload:
    """A new upload, begun at S3. Where nothing comes of it, the sweep finds one that no row tells of."""
    upload_id, declared, now = secrets.token_hex(16), place.declared, deps.clock.now()
    key = blob_object(place.version.name, declared.sha256)
    return Upload(
        upload_id=upload_id,
        name=place.version.name,
        version=place.version.version,
        declared=declared,
        key=key,
        s3_upload_id=deps.bucket.create_upload(key, declared.content_type, upload_id),
        part_size=part_size(declared.size),
        parts=part_count(declared.size),
        owner=asker.principal.sub,
        created_at=now,
        expires_at=now + OPEN_FOR,
        import_id=import_id,
    )


def _check_open(upload: Upload, deps: Deps) -> None:
    if upload.state is UploadState.COMMITTING:
        raise CommitUnderWay("The upload is being committed.", retry_after=5)
    if upload.state is not UploadState.OPEN or upload.expires_at <= deps.clock.now():
        raise UploadEnded("The upload was committed or aborted, or has expired; open another.")


def _checksum_problem(upload: Upload, number: int, sha256: str) -> str | None:
    if not 1 <= number <= upload.parts:
        return f"is no part: the file has {upload.parts:,}"
    try:
        digest = base64.b64decode(sha256, validate=True)
    except (binascii.Error, ValueError):
        digest = b""
    return None if len(digest) == 32 else "must be the Base64 of the part's SHA-256, 44 characters"


def _part_url(upload: Upload, number: int, sha256: str, deps: Deps) -> PartUrl:
    _, size = part_range(upload.declared.size, number)
    url = deps.bucket.part_url(upload.key, upload.s3_upload_id, number, size, sha256)
    return PartUrl(number, size, url, part_headers(size, sha256))
