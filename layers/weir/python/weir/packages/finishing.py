"""How bytes that are in S3 become a version's file: one transaction, whoever comes to it, and once.

It is the last step of a commit, and all there is to do where the bytes were there before. The commit itself, whoever
retries it, an event of S3 and the sweep all end here; the upload's state and revision let one of them through.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from weir.packages import audit, gone, models
from weir.packages.aliases import latest_after
from weir.packages.bucket import Stored
from weir.packages.errors import CommitUnderWay, UploadEnded
from weir.packages.items import blob_item
from weir.packages.judging import Verdict, judge_file
from weir.packages.models import Blob, File, Package, State, Upload, UploadState, Version
from weir.packages.scans import waits
from weir.packages.store import stored_file, stored_upload, stored_version
from weir.packages.table import blob_key
from weir.packages.wiring import Deps
from weir.runtime.audit import Asker
from weir.runtime.dynamodb import Write
from weir.runtime.observability import emit

Who = Asker | Literal["system"]


@dataclass(frozen=True, slots=True)
class Kept:
    """A file whose bytes are in S3, and its version with them; whether it was quarantined by this very call.

    That is told where the bytes were verified before, and the file has a name that they may not have.
    """

    file: File
    version: Version
    is_quarantined: bool = False


def finish(upload: Upload, stored: Stored, who: Who, deps: Deps) -> Kept:
    """Make an object the file that its upload is of: SCANNING, or AVAILABLE where its bytes are verified already.

    Done once: called again, it answers what has come of the file since.

    Raises
    ------
    UploadEnded
        The upload was aborted, or its version or file, or the object itself, is no longer there for it.
    CommitUnderWay
        The object is being deleted, with the last file that had it.
    """

    def attempt() -> tuple[list[Write], Kept] | Kept:
        now = deps.clock.now()
        current = deps.store.upload(upload.upload_id)
        package, version = deps.store.package_and_version(upload.name, upload.version)
        file = deps.store.file(upload.name, upload.version, upload.declared.path)
        if current is None or package is None or version is None or file is None:
            raise UploadEnded("What the upload was for is no longer there.")
        if current.state is UploadState.COMMITTED:
            return Kept(file, version)
        if (
            current.state is UploadState.ABORTED
            or file.upload_id != upload.upload_id
            or version.state is State.REJECTED
        ):
            raise UploadEnded("The upload was ended; open another.")
        blob = deps.store.blob(upload.name, upload.declared.sha256)
        kept_as = _to_keep(blob, stored, deps)
        writes, kept = keeping(package, version, version, file, file, blob, kept_as, now)
        committed = stored_upload(current, replace(current, state=UploadState.COMMITTED, lease_until=None))
        told = audit.entry("upload.committed", who, upload.name, upload.version, now, upload_detail(upload))
        return [committed, told, *writes], kept

    return deps.store.settle(attempt)


def finish_unasked(upload: Upload, stored: Stored, who: Who, deps: Deps) -> None:
    """Finish what nobody waits for: where the file is quarantined, it is counted here. UploadEnded, CommitUnderWay."""
    if finish(upload, stored, who, deps).is_quarantined:
        emit({"FilesQuarantined": ("Count", 1)}, {})


def keeping(
    package: Package,
    before: Version,
    after: Version,
    file_before: File | None,
    file_after: File,
    blob: Blob | None,
    stored: Stored,
    now: datetime,
) -> tuple[list[Write], Kept]:
    """The writes that make an object a file, and what they come to.

    ``before`` and ``file_before`` are what is stored, ``after`` and ``file_after`` what else is to change of them.
    What is told of the bytes (``blob``) holds where it is of this very object.
    """
    known = blob if blob is not None and blob.object_version == stored.object_version else None
    file = replace(file_after, state=State.SCANNING, key=stored.key, object_version=stored.object_version)
    version = models.committed(after)
    writes = [one_more(known)] if known else _first(file, blob, stored)
    if known is not None and known.verified:
        verdict = Verdict(known.sha256, None, known.content, known.findings)
        file, version, told = judge_file(file, version, verdict)
        detail = {"file": file.declared.path, "reason": file.reason or ""}
        writes.append(audit.entry(told, "system", version.name, version.version, now, detail))
    else:
        writes.append(waits(file))
    writes += [stored_version(before, version, now), stored_file(file_before, file, now)]
    writes += settled(package, before, version, now)
    return writes, Kept(file, version, file.state is State.QUARANTINED)


def settled(package: Package, before: Version, after: Version, now: datetime) -> list[Write]:
    """What else is written where a version comes to be served, or is not to be: the audit, and ``latest``."""
    if after.state is before.state or after.state not in {State.AVAILABLE, State.QUARANTINED}:
        return []
    what = f"version.{after.state.value.lower()}"
    told = audit.entry(what, "system", after.name, after.version, now, {"reason": after.reason or ""})
    return [told, *(latest_after(package, after, now) if after.is_served else [])]


def upload_detail(upload: Upload) -> dict[str, str]:
    """What the audit tells of an upload."""
    declared = upload.declared
    return {
        "upload_id": upload.upload_id,
        "file": declared.path,
        "size": str(declared.size),
        "sha256": declared.sha256,
    }


def _to_keep(blob: Blob | None, found: Stored, deps: Deps) -> Stored:
    """The object that a file is to have: the verified one of the same bytes while it is there, else what was found.

    What was found may be gone since, with the last file that had it. A deletion tells of the object until it is gone,
    so that one that nobody tells of is looked for after that was read. CommitUnderWay, UploadEnded.
    """
    if blob is not None and blob.object_version == found.object_version:
        if blob.is_going:
            raise CommitUnderWay("The same bytes are being deleted; ask again.", retry_after=5)
        return found
    if blob is not None and blob.verified and not blob.is_going:
        verified = deps.bucket.head(blob.key, blob.object_version)
        if verified is not None:
            return verified
    if deps.bucket.head(found.key, found.object_version) is None:
        raise UploadEnded("The bytes were deleted meanwhile; open another upload.")
    return found


def one_more(blob: Blob) -> Write:
    """One more file of the same bytes, unless they were scanned, or their last file has gone, since they were read."""
    return Write(
        key=blob_key(blob.name, blob.sha256),
        changes="SET #references = #references + :one",
        when="object_version = :object AND verified = :verified AND #references >= :one",
        values={"one": 1, "object": blob.object_version, "verified": blob.verified},
        names={"references": "references"},
    )


def _first(file: File, stale: Blob | None, stored: Stored) -> list[Write]:
    """The first file of these bytes, whose object was seen; ``stale`` tells of one that is no longer there."""
    blob = Blob(
        name=file.name,
        sha256=file.declared.sha256,
        size=stored.size,
        key=stored.key,
        object_version=stored.object_version,
        verified=False,
        references=1,
    )
    there = gone.is_not(blob.name, blob.sha256, blob.object_version)
    if stale is None:
        return [Write(put=blob_item(blob), when="attribute_not_exists(pk)"), there]
    return [Write(put=blob_item(blob), when="object_version = :was", values={"was": stale.object_version}), there]
