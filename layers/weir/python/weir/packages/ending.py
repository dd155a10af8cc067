"""Ending an upload without a file: asked for, expired, or no longer of use.

S3 may let parts in that were under way when the upload was aborted, so it is aborted until nothing is left of it
(https://docs.aws.amazon.com/AmazonS3/latest/API/API_AbortMultipartUpload.html). Then, and only then, is it known that
no completion of it can still come; one that came before is finished, not undone.
"""

from dataclasses import replace
from typing import Literal, TypeGuard

from weir.packages import audit
from weir.packages.bucket import Stored, UploadGone
from weir.packages.errors import UploadEnded
from weir.packages.finishing import Who, finish_unasked, upload_detail
from weir.packages.models import State, Upload, UploadState
from weir.packages.store import stored_file, stored_upload
from weir.packages.wiring import Deps
from weir.runtime.dynamodb import Write
from weir.runtime.errors import Unavailable

ROUNDS = 5
ENDED = frozenset({UploadState.COMMITTED, UploadState.ABORTED})

Why = Literal["aborted", "expired"]


def end(upload: Upload, why: Why, who: Who, deps: Deps) -> UploadState:
    """End an upload; ABORTED, or COMMITTED where a completion was there first. May be called again where it broke off.

    Not for an upload that somebody is committing: ``committing.recover`` tells.

    Raises
    ------
    Unavailable
        Parts are still arriving: the upload is ABORTING, and the sweep goes on.
    """
    state = _mark(upload, deps)
    if state in ENDED:
        return state
    clear(upload, deps)
    stored = deps.bucket.head(upload.key)
    if is_of(stored, upload):
        try:
            finish_unasked(upload, stored, who, deps)
        except UploadEnded:
            pass  # the version is gone or has another file: the object is one that no row names, for the sweep
        else:
            return UploadState.COMMITTED
    return _ended(upload, why, who, deps)


def clear(upload: Upload, deps: Deps) -> None:
    """Abort at S3 until nothing is left of an upload. Unavailable where parts keep arriving."""
    for tried in range(ROUNDS):
        deps.bucket.abort(upload.key, upload.s3_upload_id)
        try:
            left, _ = deps.bucket.parts(upload.key, upload.s3_upload_id, limit=1)
        except UploadGone:
            return
        if not left:
            return
        deps.clock.sleep(0.1 * (tried + 1))
    raise Unavailable("Parts of the upload are still arriving; it ends once they have.", retry_after=60)


def is_of(stored: Stored | None, upload: Upload) -> TypeGuard[Stored]:
    """Whether an object is what the upload was to make, and was made by it."""
    return stored is not None and stored.upload_id == upload.upload_id and stored.size == upload.declared.size


def _mark(upload: Upload, deps: Deps) -> UploadState:
    """From here on nobody commits it, nor is given URLs of parts."""

    def attempt() -> tuple[list[Write], UploadState] | UploadState:
        current = deps.store.upload(upload.upload_id)
        if current is None:
            return UploadState.ABORTED
        if current.state in {*ENDED, UploadState.ABORTING}:
            return current.state
        return [stored_upload(current, replace(current, state=UploadState.ABORTING))], UploadState.ABORTING

    return deps.store.settle(attempt)


def _ended(upload: Upload, why: Why, who: Who, deps: Deps) -> UploadState:
    """The upload is ABORTED, and its file waits for another one."""

    def attempt() -> tuple[list[Write], UploadState] | UploadState:
        now = deps.clock.now()
        current = deps.store.upload(upload.upload_id)
        if current is None or current.state in ENDED:
            return UploadState.ABORTED if current is None else current.state
        told = audit.entry(f"upload.{why}", who, upload.name, upload.version, now, upload_detail(upload))
        writes = [stored_upload(current, replace(current, state=UploadState.ABORTED, lease_until=None)), told]
        file = deps.store.file(upload.name, upload.version, upload.declared.path)
        if file is not None and file.upload_id == upload.upload_id:
            writes.append(stored_file(file, replace(file, state=State.INITIATED, upload_id=None), now))
        return writes, UploadState.ABORTED

    return deps.store.settle(attempt)
