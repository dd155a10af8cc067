"""What the use cases read, and the one way to change a version: read, compute, write if nobody was in between.

The writes are ``dynamodb.Write``s, so that a use case puts those of one step into one transaction: a file, its upload,
its bytes, the version that they change, and the entry of the audit are there together or not at all.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from weir.packages import items
from weir.packages.errors import Crowded, VersionNotFound
from weir.packages.models import Blob, File, Manifest, Package, Upload, Version
from weir.packages.table import (
    BLOBS,
    FILES,
    VERSIONS,
    blob_key,
    file_key,
    files_of,
    manifest_key,
    package_key,
    partition,
    upload_key,
    version_key,
)
from weir.runtime.clock import Clock
from weir.runtime.dynamodb import Contended, Table, Write

TRIES = 10
"""Of a change that others are in the way of: each loses to at most as many as are changing the version at once."""

T = TypeVar("T")


class Store:
    """Packages, versions, files, uploads and blobs, as they are now."""

    def __init__(self, table: Table, clock: Clock) -> None:
        self.table, self.clock = table, clock

    def package(self, name: str) -> Package | None:
        """A package by its normalized name."""
        item = self.table.get(package_key(name))
        return items.package_of(item) if item else None

    def version(self, name: str, version: str) -> Version | None:
        """A version by its text; the one that SemVer takes for equal is the same."""
        item = self.table.get(version_key(name, version))
        return items.version_of(item) if item else None

    def package_and_version(self, name: str, version: str) -> tuple[Package | None, Version | None]:
        """Both, in one call."""
        found = {one["sk"]: one for one in self.table.get_many([package_key(name), version_key(name, version)])}
        package, of_version = found.get("PKG"), found.get(version_key(name, version)["sk"])
        return (
            items.package_of(package) if package else None,
            items.version_of(of_version) if of_version else None,
        )

    def versions(self, name: str) -> Iterator[Version]:
        """All versions of a package, newest first."""
        values = {"pk": partition(name), "begin": VERSIONS}
        for item in self.table.all("pk = :pk AND begins_with(sk, :begin)", values, descending=True):
            yield items.version_of(item)

    def manifest(self, version: Version) -> Manifest:
        """The files that a version has declared. VersionNotFound where it was deleted since it was read."""
        if not version.total:
            return Manifest()
        item = self.table.get(manifest_key(version.name, version.version))
        if item is None:
            raise VersionNotFound(f"The version {version.version} of {version.name!r} was deleted.")
        return items.manifest_of(item)

    def file(self, name: str, version: str, path: str) -> File | None:
        """A file of a version, once its upload was opened."""
        item = self.table.get(file_key(name, version, path))
        return items.file_of(item) if item else None

    def files(self, name: str, version: str) -> Iterator[File]:
        """The files of a version of which an upload was opened, by path."""
        values = {"pk": partition(name), "begin": files_of(version)}
        for item in self.table.all("pk = :pk AND begins_with(sk, :begin)", values):
            yield items.file_of(item)

    def files_of_all(self, name: str) -> Iterator[File]:
        """The files of all versions of a package of which an upload was opened."""
        values = {"pk": partition(name), "begin": FILES}
        for item in self.table.all("pk = :pk AND begins_with(sk, :begin)", values):
            yield items.file_of(item)

    def blobs(self, name: str) -> Iterator[Blob]:
        """All bytes of a package."""
        values = {"pk": partition(name), "begin": BLOBS}
        for item in self.table.all("pk = :pk AND begins_with(sk, :begin)", values):
            yield items.blob_of(item)

    def upload(self, upload_id: str) -> Upload | None:
        """An upload by its id."""
        item = self.table.get(upload_key(upload_id))
        return items.upload_of(item) if item else None

    def blob(self, name: str, sha256: str) -> Blob | None:
        """The bytes of a package that have this declared SHA-256."""
        item = self.table.get(blob_key(name, sha256))
        return items.blob_of(item) if item else None

    def settle(self, attempt: Callable[[], tuple[Sequence[Write], T] | T]) -> T:
        """Do what ``attempt`` reads and computes, once nobody is in between.

        ``attempt`` reads what it needs and answers the writes of one transaction and what to answer once they are done;
        or, where there is nothing to do, the answer alone, which is no tuple. It is called anew where a condition of
        its writes did not hold, so that it sees what has changed, and raises what that means. Crowded after ten tries.
        """
        for tried in range(TRIES):
            answer = attempt()
            if not isinstance(answer, tuple):
                return answer
            writes, told = answer
            try:
                if not self.table.transact(writes):
                    return told
            except Contended:
                pass  # another transaction has the same items in hand: as good as a condition that did not hold
            self.clock.sleep(random.uniform(0.01, 0.05 * (tried + 1)))
        raise Crowded("Many are changing this version at once; try again.", retry_after=1)


def stored_version(before: Version | None, after: Version, now: datetime) -> Write:
    """The write of a version, on condition that it is as it was read (``before``), or not there yet."""
    if before is None:
        return Write(put=items.version_item(after), when="attribute_not_exists(pk)")
    changed = replace(after, revision=before.revision + 1, updated_at=now)
    return _changed(items.version_item(changed), before.revision)


def same_state(version: Version) -> Write:
    """The condition that a version is in the state that it was read in: not deleted meanwhile, say."""
    return Write(
        key=version_key(version.name, version.version),
        when="#state = :read",
        values={"read": version.state.value},
        names={"state": "state"},
        check=True,
    )


def stored_manifest(version: Version, manifest: Manifest) -> Write:
    """The write of what a version declares: once, with the write of the version that comes to count it."""
    item = items.manifest_item(version.name, version.version, manifest)
    return Write(put=item, when="attribute_not_exists(pk)")


def stored_package(before: Package | None, after: Package, now: datetime) -> Write:
    """The write of a package, likewise."""
    if before is None:
        return Write(put=items.package_item(after), when="attribute_not_exists(pk)")
    changed = replace(after, revision=before.revision + 1, updated_at=now)
    return _changed(items.package_item(changed), before.revision)


def stored_file(before: File | None, after: File, now: datetime) -> Write:
    """The write of a file, likewise."""
    if before is None:
        return Write(put=items.file_item(replace(after, updated_at=now)), when="attribute_not_exists(pk)")
    changed = replace(after, revision=before.revision + 1, updated_at=now)
    return _changed(items.file_item(changed), before.revision)


def stored_upload(before: Upload | None, after: Upload) -> Write:
    """The write of an upload, likewise."""
    if before is None:
        return Write(put=items.upload_item(after), when="attribute_not_exists(pk)")
    return _changed(items.upload_item(replace(after, revision=before.revision + 1)), before.revision)


def _changed(item: dict[str, object], revision: int) -> Write:
    return Write(put=item, when="revision = :was", values={"was": revision})
