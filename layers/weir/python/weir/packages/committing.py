"""Committing an upload: its parts become one object, and the object the version's file.

COMMITTING is an intent with a lease, written before S3 is told to complete. Whatever dies on the way, the object tells
whose it is, and ``recover`` finishes what took effect and undoes what did not. Everybody may call it at any time: the
client that asks again, an event of S3, the sweep.
"""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum

from weir.packages.bucket import Interfered, ObjectThere, Part, Stored, UploadGone
from weir.packages.ending import ENDED, clear, end, is_of
from weir.packages.errors import CommitUnderWay, FileExists, PartsWrong, UploadEnded, UploadNotFound
from weir.packages.finding import owned_upload
from weir.packages.finishing import Kept, Who, finish, finish_unasked
from weir.packages.models import State, Upload, UploadState
from weir.packages.parts import part_range
from weir.packages.store import stored_file, stored_upload
from weir.packages.wiring import Deps
from weir.runtime.audit import Asker
from weir.runtime.dynamodb import Write
from weir.runtime.errors import FieldError

LEASE = timedelta(seconds=60)
"""Longer than the function that commits may run: after it, whoever took it is dead."""

MOST_ERRORS = 100


class Outcome(StrEnum):
    """What there is to an upload, once it was looked after."""

    OPEN = "OPEN"
    """Parts may be sent, and it may be committed."""

    UNDER_WAY = "UNDER_WAY"
    """Somebody is committing it at this moment: come again after the lease."""

    COMMITTED = "COMMITTED"
    ABORTED = "ABORTED"


@dataclass(frozen=True, slots=True)
class Told:
    """A part as the caller tells of it. ``sha256`` in Base64, None where it is left to what S3 has checked."""

    number: int
    etag: str
    sha256: str | None = None


def recover(upload_id: str, deps: Deps, who: Who = "system") -> Outcome:
    """Finish, undo or end what is left of an upload, as far as S3 allows to tell; safe to call at any time.

    An object that the upload made is finished, whatever its state. A commit that died before is undone once its lease
    has passed. What has expired, or is gone from S3, is ended.

    Raises
    ------
    UploadNotFound
    Unavailable
        Parts of an upload that ends keep arriving: come again.
    """
    upload = deps.store.upload(upload_id)
    if upload is None:
        raise UploadNotFound(f"There is no upload {upload_id!r}.")
    if upload.state in ENDED:
        return Outcome(upload.state)
    stored = deps.bucket.head(upload.key)
    if is_of(stored, upload):
        return _finished(upload, stored, who, deps)
    now = deps.clock.now()
    if upload.state is UploadState.COMMITTING and upload.lease_until is not None and upload.lease_until > now:
        return Outcome.UNDER_WAY
    if upload.state is UploadState.ABORTING or (upload.state is UploadState.OPEN and upload.expires_at <= now):
        return Outcome(end(upload, "expired" if upload.expires_at <= now else "aborted", who, deps))
    try:
        deps.bucket.parts(upload.key, upload.s3_upload_id, limit=1)
    except UploadGone:
        if upload.state is UploadState.COMMITTING and stored is not None and stored.size == upload.declared.size:
            return _finished(upload, stored, who, deps)  # another upload's, which this one was about to share
        return Outcome(end(upload, "aborted", who, deps))
    if upload.state is UploadState.COMMITTING:
        _reopen(upload, deps)
    return Outcome.OPEN


def commit(name: str, version: str, upload_id: str, parts: Sequence[Told], asker: Asker, deps: Deps) -> Kept:
    """Make the parts of an upload the file that it is of. The same call again answers the same.

    Raises
    ------
    PackageNotFound, NotTheOwner, VersionNotFound, UploadNotFound
    PartsWrong
        The parts are not all there, or not as told: ``errors`` name each. The upload stays open.
    CommitUnderWay
        Another call is committing it.
    UploadEnded
        It was aborted, or has expired.
    FileExists
        Other bytes are stored under the same checksum. The upload stays open.
    """
    upload = owned_upload(name, version, upload_id, asker.principal, deps.store)
    if upload.state is not UploadState.OPEN or upload.expires_at <= deps.clock.now():
        outcome = recover(upload_id, deps, asker)
        if outcome is not Outcome.OPEN:
            return _answer(outcome, upload, deps)
    try:
        arrived = deps.bucket.all_parts(upload.key, upload.s3_upload_id)
    except UploadGone:
        return _answer(recover(upload_id, deps, asker), upload, deps)
    fitting = fitting_parts(upload, parts, arrived)
    return _complete(_lease(upload, deps), fitting, asker, deps)


def fitting_parts(upload: Upload, told: Sequence[Told], arrived: Sequence[Part]) -> list[Part]:
    """The parts that make up an upload's file, by number. PartsWrong where some are missing, or not as told."""
    named = {one.number: one for one in told}
    here = {one.number: one for one in arrived}
    wrong = [FieldError("parts", "names a part twice")] if len(named) != len(told) else []
    for number in sorted({*range(1, upload.parts + 1), *named}):
        problem = _part_problem(upload, number, named.get(number), here.get(number))
        if problem is not None:
            wrong.append(FieldError(f"parts.{number}", problem))
    if wrong:
        told_of = "; ".join(f"{one.field} {one.message}" for one in wrong[:3])
        raise PartsWrong(
            f"{len(wrong):,} of the parts do not fit: {told_of}.", errors=wrong[:MOST_ERRORS], wrong=len(wrong)
        )
    return [here[number] for number in range(1, upload.parts + 1)]


def _part_problem(upload: Upload, number: int, told: Told | None, here: Part | None) -> str | None:
    if not 1 <= number <= upload.parts:
        return f"is none: the file has {upload.parts:,} parts"
    if here is None:
        return "has not arrived"
    if told is None:
        return "is not named"
    _, size = part_range(upload.declared.size, number)
    if here.size != size:
        return f"has {here.size:,} bytes, not {size:,}: send it again"
    if told.etag.strip('"') != here.etag:
        return "arrived with another ETag: send it again"
    if told.sha256 is not None and told.sha256 != here.sha256:
        return "arrived with another checksum: send it again"
    return None


def composite(parts: Sequence[Part]) -> str | None:
    """S3's SHA-256 of an object of these parts: that of their digests, and how many they are. None if one has none.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html
    """
    digests = [base64.b64decode(one.sha256) for one in parts if one.sha256 is not None]
    if len(digests) != len(parts):
        return None
    return f"{base64.b64encode(hashlib.sha256(b''.join(digests)).digest()).decode()}-{len(parts)}"


def _lease(upload: Upload, deps: Deps) -> Upload:
    """The upload as COMMITTING, by this call alone."""

    def attempt() -> tuple[list[Write], Upload] | Upload:
        now = deps.clock.now()
        current = deps.store.upload(upload.upload_id)
        file = deps.store.file(upload.name, upload.version, upload.declared.path)
        if current is not None and current.state in {UploadState.COMMITTING, UploadState.COMMITTED}:
            raise CommitUnderWay("Another call is committing this upload.", retry_after=1)
        if (
            current is None
            or current.state is not UploadState.OPEN
            or file is None
            or file.upload_id != upload.upload_id
        ):
            raise UploadEnded("The upload was ended; open another.")
        leased = replace(current, state=UploadState.COMMITTING, lease_until=now + LEASE)
        writes = [stored_upload(current, leased), stored_file(file, replace(file, state=State.COMMITTING), now)]
        return writes, replace(leased, revision=current.revision + 1)

    return deps.store.settle(attempt)


def _complete(upload: Upload, parts: Sequence[Part], asker: Asker, deps: Deps) -> Kept:
    try:
        deps.bucket.complete(upload.key, upload.s3_upload_id, parts, upload.declared.size)
    except (ObjectThere, Interfered):
        return _share(upload, parts, asker, deps)
    except UploadGone:
        pass  # an earlier call's success whose answer was lost, or an end: what is there tells
    except PartsWrong:
        _reopen(upload, deps)
        raise
    stored = deps.bucket.head(upload.key)
    if is_of(stored, upload):
        return finish(upload, stored, asker, deps)
    return _answer(Outcome(end(upload, "aborted", asker, deps)), upload, deps)


def _share(upload: Upload, parts: Sequence[Part], asker: Asker, deps: Deps) -> Kept:
    """Take the object that is there: this upload's own, or one of the same parts. UploadEnded where there is none.

    S3 has both of them in parts of the same size, so that the same bytes have the same checksum of parts.
    """
    stored = deps.bucket.head(upload.key)
    if is_of(stored, upload):
        return finish(upload, stored, asker, deps)
    if stored is None:
        return _answer(Outcome(end(upload, "aborted", asker, deps)), upload, deps)
    blob = deps.store.blob(upload.name, upload.declared.sha256)
    if blob is not None and blob.is_going and blob.object_version == stored.object_version:
        _reopen(upload, deps)
        raise CommitUnderWay("The same bytes are being deleted; ask again.", retry_after=5)
    if stored.size != upload.declared.size or (stored.checksum or composite(parts)) != composite(parts):
        _reopen(upload, deps)
        told = "Either yours or those are not what was declared; the scan will tell. Try again in a minute."
        raise FileExists(f"Other bytes are stored as {upload.declared.sha256}. {told}", retry_after=60)
    clear(upload, deps)  # before the file is there: after it, nobody would look for these parts
    try:
        return finish(upload, stored, asker, deps)
    except (CommitUnderWay, UploadEnded):  # deleted since, as the parts are: there is nothing to come back for
        return _answer(Outcome(end(upload, "aborted", asker, deps)), upload, deps)


def _reopen(upload: Upload, deps: Deps) -> None:
    """Undo an intent, if it is still the one that was read."""

    def attempt() -> tuple[list[Write], None] | None:
        current = deps.store.upload(upload.upload_id)
        if current is None or current.state is not UploadState.COMMITTING or current.revision != upload.revision:
            return None
        writes = [stored_upload(current, replace(current, state=UploadState.OPEN, lease_until=None))]
        file = deps.store.file(upload.name, upload.version, upload.declared.path)
        if file is not None and file.upload_id == upload.upload_id:
            writes.append(stored_file(file, replace(file, state=State.UPLOADING), deps.clock.now()))
        return writes, None

    deps.store.settle(attempt)


def _finished(upload: Upload, stored: Stored, who: Who, deps: Deps) -> Outcome:
    try:
        finish_unasked(upload, stored, who, deps)
    except CommitUnderWay:
        return Outcome.UNDER_WAY
    except UploadEnded:
        return Outcome(end(upload, "aborted", who, deps))
    return Outcome.COMMITTED


def _answer(outcome: Outcome, upload: Upload, deps: Deps) -> Kept:
    """What a commit answers where it is no longer its own to do."""
    if outcome is Outcome.UNDER_WAY or outcome is Outcome.OPEN:
        raise CommitUnderWay("The upload is being committed; ask again.", retry_after=5)
    file = deps.store.file(upload.name, upload.version, upload.declared.path)
    version = deps.store.version(upload.name, upload.version)
    if outcome is Outcome.ABORTED or file is None or version is None:
        raise UploadEnded("The upload was aborted or has expired; open another.")
    return Kept(file, version)
