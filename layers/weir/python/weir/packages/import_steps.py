"""The steps of an import, as its state machine calls them. Each may be called again wherever it broke off.

What the hub says is checked by bytes: a file in LFS against the SHA-256 that the hub tells, hashed over all parts as
they are copied; any other against git's digest of it, when its SHA-256 is computed for the manifest. Everything is read
at the commit that the revision had at the beginning. The version is registered as the caller, with the caller's rights.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from weir.packages import audit, names
from weir.packages.aborting import abort_upload
from weir.packages.bucket import UploadGone
from weir.packages.committing import Outcome, Told, commit, recover
from weir.packages.errors import (
    CommitUnderWay,
    NotAvailable,
    NotTheOwner,
    PackageNotFound,
    UploadNotFound,
    VersionNotFound,
)
from weir.packages.hashing import Sha256
from weir.packages.hub import Hub, HubFile, Place
from weir.packages.imports import ENDED, Failure, Import, ImportedFile, Imports, ImportState, stored_import
from weir.packages.models import State, UploadState
from weir.packages.opening import Asked, open_upload
from weir.packages.parts import MIB, part_range, part_size
from weir.packages.store import stored_upload, stored_version
from weir.packages.trust_errors import CopyWrong, ImportEnded, ImportRefused
from weir.packages.wiring import Deps
from weir.runtime.clock import rfc3339
from weir.runtime.dynamodb import Contended, Write
from weir.runtime.errors import FieldError
from weir.runtime.field_errors import invalid

if TYPE_CHECKING:
    from weir.packages.finishing import Kept
    from weir.packages.models import Upload

MOST_FILES = 1_000
MOST_PART = 64 * MIB
"""A part is in memory while it is copied; a file of larger parts would have more than 625 GiB."""

MOST_PLAIN = 64 * MIB
"""Of a file that is not in LFS: it is read whole to be hashed. The Hub takes none above 10 MB."""

MOST_BYTES = 2 * 1024 * 1024 * MIB

_CARD = {
    "license": "license",
    "library_name": "framework",
    "base_model": "base_model",
    "datasets": "dataset",
    "language": "language",
    "pipeline_tag": "task",
    "metrics": "metrics",
}
"""What a card of the Hub calls it, and what the metadata of a version does."""

_LONGEST_TEXT, _MOST_TEXTS = 256, 20
_LONGEST_CAUSE = 1_000


@dataclass(frozen=True, slots=True)
class Until:
    """Moments of ``monotonic`` (seconds): nothing new begins after ``begin``, what is under way is over by ``end``."""

    begin: float
    end: float


def plan(import_id: str, deps: Deps, hub: Hub, until: Until) -> dict[str, Any]:
    """Ask the hub what there is, compute the digests that it does not tell, register the version.

    Answers ``{"done", "files"}``; called again until it is done.

    Raises
    ------
    ImportEnded
    ImportRefused
        What the hub offers can't be a version.
    CopyWrong
        A file is not what git says it is.
    WeirError
        What the hub, or registering, raises.
    """
    imports = Imports(deps.store.table, deps.clock)
    found = _open(imports, import_id)
    if found.commit is None:
        found = _list(found, imports, deps, hub, until)
    files = [one for one in imports.files(import_id) if one.number < (found.files or 0)]
    for one in files:
        if one.sha256 is None:
            if deps.clock.monotonic() >= until.begin:
                return {"done": False, "files": found.files}
            imports.known(one, _digest(one, found, hub, until))
    if found.version is None:
        version = _register([*imports.files(import_id)][: found.files], found, deps)
        imports.copying(found, version)
    return {"done": True, "files": found.files}


def copy(import_id: str, number: int, deps: Deps, hub: Hub, until: Until) -> dict[str, Any]:
    """Copy parts of a file while there is time, and commit it after the last.

    Answers ``{"done", "next_part", "quarantined"}``, the last for the call that did so; called again until it is done.

    Raises
    ------
    ImportEnded
    CopyWrong
        The bytes are not those of the SHA-256 that the hub told.
    WeirError
        What the hub, or uploading, raises.
    """
    imports = Imports(deps.store.table, deps.clock)
    found = _open(imports, import_id)
    file = imports.file(import_id, number)
    if file.done:
        return _copying(file, done=True)
    assert file.sha256 is not None
    assert found.version is not None
    asked = Asked(file.path, file.size, file.sha256)
    opened = open_upload(found.wanted.name, found.version, asked, found.asker, deps, import_id)
    upload = opened.upload
    if upload is None:  # these bytes are here already
        imports.progressed(file, replace(file, done=True))
        return _copying(file, done=True, quarantined=opened.file.state is State.QUARANTINED)
    if file.upload_id != upload.upload_id:
        file = _begun(file, upload, found, imports, deps)
    try:
        file = _copied(file, upload, found, imports, deps, hub, until)
        if file.next_part <= upload.parts:
            return _copying(file, done=False)
        kept = _commit(upload, found, deps)
    except UploadGone as gone:
        # Somebody else has committed or ended it: another import of the same files, say. The next call looks anew.
        raise Contended(f"The upload of {file.path!r} was ended.", retry_after=5) from gone
    imports.progressed(file, replace(file, done=True))
    return _copying(file, done=True, quarantined=kept.is_quarantined)


def finish(import_id: str, deps: Deps) -> dict[str, Any]:
    """All files are copied: tell where the version comes from, and be done. ImportEnded where it has failed."""
    imports = Imports(deps.store.table, deps.clock)

    def attempt() -> tuple[list[Write], dict[str, Any]] | dict[str, Any]:
        found = imports.get(import_id)
        told = {"name": found.wanted.name, "version": found.version}
        if found.state is ImportState.DONE:
            return told
        _check_open(found)
        version = deps.store.version(found.wanted.name, str(found.version))
        if version is None:
            raise VersionNotFound(f"The version {found.version} was deleted meanwhile.")
        now = deps.clock.now()
        source = source_of(found)
        entry = audit.entry("version.imported", found.asker, version.name, version.version, now, source)
        done = stored_import(found, replace(found, state=ImportState.DONE, updated_at=now))
        return [done, stored_version(version, replace(version, source=source), now), entry], told

    return deps.store.settle(attempt)


def undo(import_id: str, failure: Failure, deps: Deps) -> dict[str, Any]:
    """Keep why it failed, and abort the uploads that are its own: those that it has opened and nobody else was given.

    What is committed stays, so that another import goes on from there. An upload that is shared expires, where none of
    those who have it ends it.
    """
    imports = Imports(deps.store.table, deps.clock)
    found = imports.failed(import_id, failure)
    if found.state is ImportState.DONE:
        return {"aborted": 0}
    begun = [one.upload_id for one in imports.files(import_id) if one.upload_id is not None and not one.done]
    return {"aborted": sum(_abort(upload_id, found, deps) for upload_id in begun)}


def source_of(found: Import) -> dict[str, str]:
    """Where a version was imported from: its lineage."""
    told = {
        "kind": found.wanted.source,
        "repo": found.wanted.repo,
        "revision": found.wanted.revision,
        "commit": str(found.commit),
        "import_id": found.import_id,
    }
    return told if found.last_modified is None else {**told, "last_modified": rfc3339(found.last_modified)}


def failure_of(raised: Mapping[str, Any]) -> Failure:
    """The failure in a machine's ``{step, error, cause}``, with Lambda's JSON cause unwrapped and no stack trace."""
    cause = str(raised.get("cause") or "")
    with suppress(ValueError, KeyError, TypeError):
        cause = str(json.loads(cause)["errorMessage"])
    error = str(raised.get("error") or "Unknown")
    return Failure(str(raised.get("step") or "Import"), error, cause[:_LONGEST_CAUSE] or "no cause was told")


# Planning


def _open(imports: Imports, import_id: str) -> Import:
    found = imports.get(import_id)
    _check_open(found)
    return found


def _check_open(found: Import) -> None:
    if found.state in ENDED:
        raise ImportEnded(f"The import {found.import_id!r} is {found.state}.")


def _list(found: Import, imports: Imports, deps: Deps, hub: Hub, until: Until) -> Import:
    listing = hub.listing(found.wanted.repo, found.wanted.revision, until.end)
    _check_files(listing.files)
    planned = replace(
        found,
        commit=listing.commit,
        last_modified=listing.last_modified,
        card=metadata_of(listing.card),
        files=len(listing.files),
        size=sum(one.size for one in listing.files),
        updated_at=deps.clock.now(),
    )
    files = [
        ImportedFile(found.import_id, number, one.path, one.size, one.sha256, one.blob_id, found.ttl)
        for number, one in enumerate(listing.files)
    ]
    return imports.planned(found, planned, files)


def _check_files(files: tuple[HubFile, ...]) -> None:
    total = sum(one.size for one in files)
    if not 1 <= len(files) <= MOST_FILES:
        raise ImportRefused(f"The repository has {len(files):,} files; a version has 1 to {MOST_FILES:,}.")
    if total > MOST_BYTES:
        raise ImportRefused(f"The repository has {total:,} bytes; an import takes at most {MOST_BYTES:,}.")
    errors = [FieldError(one.path[:256], told) for one in files if (told := _problem(one))]
    if errors:
        raise ImportRefused(
            f"{len(errors)} files can't be imported: {errors[0].field} {errors[0].message}.", errors=errors[:20]
        )


def _problem(file: HubFile) -> str | None:
    if told := names.path_problem(file.path):
        return told
    if file.sha256 is None and file.size > MOST_PLAIN:
        return f"has {file.size:,} bytes and is not in LFS"
    if part_size(min(file.size, MOST_BYTES)) > MOST_PART:
        return f"has {file.size:,} bytes"
    return None


def _digest(file: ImportedFile, found: Import, hub: Hub, until: Until) -> str:
    """The SHA-256 of a file of which the hub tells only git's digest, once that holds."""
    body = hub.read(_place(file, found), 0, file.size, until.end)
    # git's own: https://git-scm.com/book/en/v2/Git-Internals-Git-Objects
    blob_id = hashlib.sha1(b"blob %d\0" % len(body) + body, usedforsecurity=False).hexdigest()
    if blob_id != file.blob_id:
        raise CopyWrong(f"{file.path} has the git digest {blob_id}, and the hub tells of {file.blob_id}.")
    return hashlib.sha256(body).hexdigest()


def _register(files: list[ImportedFile], found: Import, deps: Deps) -> str:
    from pydantic import ValidationError

    from weir.packages.contract import NewVersion
    from weir.packages.registering import register

    wanted = found.wanted
    given = {name: getattr(wanted, name) for name in ("description", "sensitivity", "allowed_groups", "tags")}
    try:
        asked = NewVersion.model_validate(
            {
                "name": wanted.name,
                "version": wanted.version or f"0.0.0-git.{str(found.commit)[:12]}",
                "metadata": dict(found.card),
                "files": [{"path": one.path, "size": one.size, "sha256": one.sha256} for one in files],
                **{name: value for name, value in given.items() if value is not None},
            }
        )
    except ValidationError as error:
        raise invalid(error.errors()) from error
    return register(asked, found.asker, deps.store).version.version


def metadata_of(card: Mapping[str, Any]) -> dict[str, Any]:
    """What a version tells of itself from a card of the Hub: texts, and lists of texts, as far as they are short."""
    told = {ours: _texts(card.get(theirs)) for theirs, ours in _CARD.items()}
    if told["license"] == "other" and (name := _texts(card.get("license_name"))):
        told["license"] = name
    return {key: value for key, value in told.items() if value}


def _texts(value: Any) -> str | list[str] | None:
    if isinstance(value, str):
        return value.strip()[:_LONGEST_TEXT]
    if isinstance(value, list):
        found = [one.strip()[:_LONGEST_TEXT] for one in value if isinstance(one, str) and one.strip()]
        return found[0] if len(found) == 1 else found[:_MOST_TEXTS]
    return None


# Copying


def _copying(file: ImportedFile, *, done: bool, quarantined: bool = False) -> dict[str, Any]:
    return {"done": done, "next_part": file.next_part, "quarantined": quarantined}


def _begun(file: ImportedFile, upload: "Upload", found: Import, imports: Imports, deps: Deps) -> ImportedFile:
    """The file with its upload, from the first part on; where the import has failed meanwhile, nothing is left open."""
    try:
        return imports.began(file, upload.upload_id)
    except ImportEnded:
        _abort(upload.upload_id, found, deps)
        raise


def _copied(
    file: ImportedFile, upload: "Upload", found: Import, imports: Imports, deps: Deps, hub: Hub, until: Until
) -> ImportedFile:
    """The file with as many more parts in S3 as there was time for."""
    hashed = Sha256() if file.hashed is None else Sha256.from_state(file.hashed)
    place = _place(file, found)
    while file.next_part <= upload.parts and deps.clock.monotonic() < until.begin:
        start, length = part_range(file.size, file.next_part)
        body = hub.read(place, start, length, until.end)
        hashed.update(body)
        digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
        if file.next_part == upload.parts and hashed.hexdigest() != file.sha256:
            told = f"{file.path} has the SHA-256 {hashed.hexdigest()}, and the hub tells of {file.sha256}"
            raise CopyWrong(f"{told}. Nothing of it was kept.")
        deps.bucket.upload_part(upload.key, upload.s3_upload_id, file.next_part, body, digest)
        file = imports.progressed(file, replace(file, next_part=file.next_part + 1, hashed=hashed.state()))
    return file


def _commit(upload: "Upload", found: Import, deps: Deps) -> "Kept":
    arrived = deps.bucket.all_parts(upload.key, upload.s3_upload_id)
    told = [Told(one.number, one.etag, one.sha256) for one in arrived]
    return commit(upload.name, upload.version, upload.upload_id, told, found.asker, deps)


def _abort(upload_id: str, found: Import, deps: Deps) -> bool:
    """Whether an upload of the import's own is aborted, now or before; one that anybody else was given goes on."""
    if not deps.store.settle(lambda: _marked(upload_id, found, deps)):
        return False
    try:
        abort_upload(found.wanted.name, str(found.version), upload_id, found.asker, deps)
    except (NotAvailable, UploadNotFound, VersionNotFound, PackageNotFound, NotTheOwner):
        return False  # committed after all, or gone with its version; the sweep ends what is nobody's
    return True


def _marked(upload_id: str, found: Import, deps: Deps) -> tuple[list[Write], bool] | bool:
    """The write by which nobody is given an upload any more, while it is the import's own: whether it is to be aborted.

    On condition that it is as it was read, so that nobody can be given it in between.
    """
    upload = deps.store.upload(upload_id)
    if upload is None or upload.import_id != found.import_id:
        return False
    if upload.state is UploadState.COMMITTING:
        if recover(upload_id, deps, found.asker) is Outcome.UNDER_WAY:
            raise CommitUnderWay("The upload is being committed.", retry_after=5)
        return _marked(upload_id, found, deps)
    if upload.state is not UploadState.OPEN:
        return True
    return [stored_upload(upload, replace(upload, state=UploadState.ABORTING))], True


def _place(file: ImportedFile, found: Import) -> Place:
    return Place(found.wanted.repo, str(found.commit), file.path, file.size)
