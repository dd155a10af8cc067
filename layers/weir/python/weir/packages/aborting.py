"""Aborting an upload because its owner asks for it: nothing is left of it, at S3 or here."""

from weir.packages.committing import Outcome, recover
from weir.packages.ending import end
from weir.packages.errors import CommitUnderWay, NotAvailable
from weir.packages.finding import owned_upload
from weir.packages.models import UploadState
from weir.packages.wiring import Deps
from weir.runtime.audit import Asker


def abort_upload(name: str, version: str, upload_id: str, asker: Asker, deps: Deps) -> None:
    """Abort an upload until nothing is left of it. Done too where it was aborted before.

    Raises
    ------
    PackageNotFound, NotTheOwner, VersionNotFound, UploadNotFound
    CommitUnderWay
        Somebody is committing it.
    NotAvailable
        It was committed: the file stays.
    Unavailable
        Parts are still arriving; nobody can commit it any more, and it ends soon.
    """
    upload = owned_upload(name, version, upload_id, asker.principal, deps.store)
    state: UploadState | Outcome = upload.state
    if upload.state is UploadState.COMMITTING:
        state = recover(upload_id, deps, asker)
    if state is Outcome.UNDER_WAY:
        raise CommitUnderWay("The upload is being committed.", retry_after=5)
    if state == UploadState.OPEN or state == UploadState.ABORTING:
        state = end(upload, "aborted", asker, deps)
    if state == UploadState.COMMITTED:
        raise NotAvailable("The upload was committed: the file is there, and a version never changes.")
