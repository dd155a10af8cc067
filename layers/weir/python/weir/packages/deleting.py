"""Deleting a version: for admins, for good. Its number is not used again; the audit stays.

First it is REJECTED, which nobody is served or shown, and a mark is set that it is being deleted. Then its uploads are
ended, and its files go one by one: the file lets go of its bytes, the object goes if no other file has them, the row of
the file goes last. While an object goes, the row of its bytes tells so, and no file can come to have them. Each step
can be taken again, so whoever finds the mark goes on: the same request, or the sweep.
"""

from collections.abc import Iterator
from dataclasses import replace

from weir.packages import aliases, audit, committing, ending, gone, scans
from weir.packages.bucket import Stored
from weir.packages.committing import Outcome
from weir.packages.errors import CommitUnderWay, VersionNotFound
from weir.packages.finding import owned_version
from weir.packages.items import blob_item
from weir.packages.models import Blob, File, Package, State, Upload, Version
from weir.packages.shapes import SHAPES
from weir.packages.store import Store, stored_file, stored_package, stored_version
from weir.packages.table import (
    DELETIONS,
    SCHEMA,
    blob_key,
    deletion_key,
    file_key,
    manifest_key,
    signature_key,
)
from weir.packages.wiring import Deps
from weir.runtime.audit import Asker
from weir.runtime.dynamodb import Write, again

SECONDS = 15.0
"""That a request works on it, of the 29 that API Gateway waits; the sweep does the rest."""


def delete(name: str, version: str, asker: Asker, deps: Deps) -> bool:
    """Delete a version. Whether all of it is gone; if not, the sweep goes on, or the same call does.

    Raises
    ------
    PackageNotFound, NotTheOwner
    VersionNotFound
        There is none, or all of it is gone already.
    Unavailable
        Parts of a file are still arriving; come again.
    """
    rejected = _reject(name, version, asker, deps.store)
    try:
        return finish(rejected.name, rejected.version, deps, SECONDS)
    except CommitUnderWay:
        return False


def unfinished(store: Store) -> Iterator[tuple[str, str]]:
    """Name and version of all that are being deleted, over all pages."""
    of = {"list": "list"}
    for item in store.table.all("#list = :list", {"list": DELETIONS}, index="listing", names=of):
        current = SHAPES.current(item)
        yield current["name"], current["version"]


def finish(name: str, version: str, deps: Deps, seconds: float | None = None) -> bool:
    """Remove what is left of a version that is being deleted; False where ``seconds`` were not enough.

    Raises
    ------
    CommitUnderWay
        Somebody who began before is committing a file of it.
    Unavailable
        Parts of a file are still arriving.
    """
    until = None if seconds is None else deps.clock.monotonic() + seconds
    for file in list(deps.store.files(name, version)):
        if until is not None and deps.clock.monotonic() >= until:
            return False
        _remove(file, deps)
    _forget(name, version, deps.store)
    return True


def _reject(name: str, version: str, asker: Asker, store: Store) -> Version:
    """Take the version out of sight, with the aliases that name it."""

    def attempt() -> tuple[list[Write], Version] | Version:
        package, found = owned_version(name, version, asker.principal, store)
        if found.state is State.REJECTED:
            if store.table.get(deletion_key(found.name, found.version)) is None:
                raise VersionNotFound(f"The package {name!r} has no version {version!r}.")
            return found
        return _rejection(package, found, asker, store), found

    return store.settle(attempt)


def _rejection(package: Package, found: Version, asker: Asker, store: Store) -> list[Write]:
    now = store.clock.now()
    after = replace(found, state=State.REJECTED, reason="deleted")
    fewer = replace(aliases.with_latest(store, package, after), versions=package.versions - 1)
    mark = {
        **deletion_key(found.name, found.version),
        "schema": SCHEMA,
        "list": DELETIONS,
        "at": f"{found.name}#{found.version}",
        "name": found.name,
        "version": found.version,
    }
    return [
        stored_version(found, after, now),
        stored_package(package, fewer, now),
        Write(put=mark),
        *(aliases.removal(one) for one in aliases.of_package(store, found.name) if one.version == found.version),
        audit.entry("version.deleted", asker, found.name, found.version, now),
    ]


def _remove(file: File, deps: Deps) -> None:
    """One file, with its upload and, if nobody else has them, its bytes."""
    upload = deps.store.upload(file.upload_id) if file.upload_id is not None else None
    if upload is not None:
        _end(upload, deps)
    left = _let_go(file, deps.store)
    if left is not None and left.object_version is not None:
        stored = Stored(left.key, left.object_version, left.declared.size, checksum=None, upload_id=None)
        remove_object(stored, file.name, file.declared.sha256, deps)
    blob = deps.store.blob(file.name, file.declared.sha256)
    if blob is not None and blob.is_going:  # whoever removed the object has died before it was told
        remove_going(blob, deps)
    deps.store.table.delete(file_key(file.name, file.version, file.declared.path))


def _end(upload: Upload, deps: Deps) -> None:
    """End an upload, and remove the object that it made if that became no file. Its row ends by itself."""
    if upload.state in ending.ENDED:
        return
    # What it made goes before it ends: after that, nobody who goes on would look for it. What is made can't be again.
    if not _remove_made(upload, deps) and committing.recover(upload.upload_id, deps) is Outcome.UNDER_WAY:
        raise CommitUnderWay("A file of the version is being committed; delete it again then.", retry_after=60)
    ending.end(upload, "aborted", "system", deps)
    _remove_made(upload, deps)


def _remove_made(upload: Upload, deps: Deps) -> bool:
    """Remove the object that an upload made; whether there was one. Its version is REJECTED: no file can come of it."""
    stored = deps.bucket.head(upload.key)
    if not ending.is_of(stored, upload):
        return False
    remove_object(stored, upload.name, upload.declared.sha256, deps)
    return True


def _let_go(file: File, store: Store) -> File | None:
    """The file lets go of its bytes, once: REJECTED, it has none any more, and tells which they were."""

    def attempt() -> tuple[list[Write], File] | File | None:
        current = store.file(file.name, file.version, file.declared.path)
        if current is None or current.state is State.REJECTED:
            return current
        after = replace(current, state=State.REJECTED)
        done = scans.waits_no_more(file.name, file.declared.sha256, file.version, file.declared.path)
        writes = [stored_file(current, after, store.clock.now()), done]
        blob = store.blob(file.name, file.declared.sha256)
        if blob is not None and blob.object_version == current.object_version:
            writes.append(_one_less(blob))
        return writes, after

    return store.settle(attempt)


def _one_less(blob: Blob) -> Write:
    """One file less of these bytes; after the last one they are going."""
    return Write(
        key=blob_key(blob.name, blob.sha256),
        changes="SET #references = #references - :one",
        when="#references = :read AND object_version = :object",
        values={"read": blob.references, "object": blob.object_version, "one": 1},
        names={"references": "references"},
    )


def remove_object(stored: Stored, name: str, sha256: str, deps: Deps) -> bool:
    """Delete an object of some bytes of a package, if no file has it; whether that is so.

    Before that, and until it is gone, its bytes are told of as going, so that no file can come to have it.
    """
    blob = deps.store.blob(name, sha256)
    if blob is None:
        blob = Blob(name, sha256, stored.size, stored.key, stored.object_version, verified=False, references=0)
        if not deps.store.table.put_new(blob_item(blob)):
            return remove_object(stored, name, sha256, deps)
    if blob.object_version == stored.object_version:
        if blob.is_going:
            remove_going(blob, deps)
        return blob.is_going
    told = gone.told(deps.store, name, sha256, stored.object_version)
    another = Write(
        key=blob_key(name, sha256), when="object_version = :read", values={"read": blob.object_version}, check=True
    )
    if again(lambda: deps.store.table.transact([told, another]), deps.clock):
        return remove_object(stored, name, sha256, deps)  # it may be a file's by now
    deps.bucket.delete(stored.key, stored.object_version)
    return True


def remove_going(blob: Blob, deps: Deps) -> None:
    """Delete the object of bytes that are going, and then what tells of it; for whoever finds them."""
    deps.bucket.delete(blob.key, blob.object_version)
    gone.tell(deps.store, blob.name, blob.sha256, blob.object_version)
    when, names = "#references = :none AND object_version = :object", {"references": "references"}
    values = {"none": 0, "object": blob.object_version}
    deps.store.table.delete(blob_key(blob.name, blob.sha256), when, values, names)


def _forget(name: str, version: str, store: Store) -> None:
    """What stays of a version: that its number was used."""

    def attempt() -> tuple[list[Write], None] | None:
        found = store.version(name, version)
        if found is None or store.table.get(deletion_key(name, version)) is None:
            return None
        bare = replace(found, total=0, size=0, metadata={}, description="", validation=None, signature=None)
        own = [Write(key=key(name, version)) for key in (deletion_key, manifest_key, signature_key)]
        return [stored_version(found, bare, store.clock.now()), *own], None

    store.settle(attempt)
