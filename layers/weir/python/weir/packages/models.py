"""Packages, versions, files and uploads, and how a version's state follows from what happens to its files.

A version declares its files when it is registered, or takes one file: that of its first upload. Its manifest names
them, and never changes; the version itself only counts them. Its state is computed here, in one place, from counts;
whoever stores a change stores the version as these functions return it, on condition that nobody has changed it since
it was read (``revision``).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

Sensitivity = Literal["public", "internal", "restricted"]
"""``public`` and ``internal``: whoever may read packages, or, where groups are named, their members.
``restricted``: the members of the groups named, of which there is at least one. Owner and admins in any case."""


class State(StrEnum):
    """Where a file or a version is. Only AVAILABLE is served; QUARANTINED and REJECTED are for good."""

    INITIATED = "INITIATED"
    UPLOADING = "UPLOADING"
    COMMITTING = "COMMITTING"
    SCANNING = "SCANNING"
    AVAILABLE = "AVAILABLE"
    QUARANTINED = "QUARANTINED"
    REJECTED = "REJECTED"


@dataclass(frozen=True, slots=True)
class Declared:
    """A file as its publisher declares it. ``path`` is relative, ``size`` in bytes, ``sha256`` in lower-case hex."""

    path: str
    size: int
    sha256: str
    content_type: str = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Manifest:
    """The files of a version, by path. None while no file is declared."""

    files: tuple[Declared, ...] = ()

    @property
    def total(self) -> int:
        """How many they are."""
        return len(self.files)

    @property
    def size(self) -> int:
        """Bytes of all of them."""
        return sum(one.size for one in self.files)

    def declared(self, path: str) -> Declared | None:
        """The declaration of one of them."""
        return next((one for one in self.files if one.path == path), None)


@dataclass(frozen=True, slots=True)
class Package:
    """A named line of versions. ``latest`` is its newest release that is served; ``revision`` counts its changes."""

    name: str
    owner: str
    description: str
    sensitivity: Sensitivity
    allowed_groups: tuple[str, ...]
    tags: tuple[str, ...]
    created_at: datetime
    updated_at: datetime
    versions: int = 0
    latest: str | None = None
    revision: int = 1


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a package, but for what its manifest names: ``total`` files of ``size`` bytes in all.

    ``committed``, ``verified`` and ``quarantined`` count files; ``total`` is 0 while no file is declared. ``revision``
    counts its changes. ``digest`` is the fingerprint of what was registered.
    """

    name: str
    version: str
    owner: str
    description: str
    metadata: Mapping[str, Any]
    digest: str
    created_at: datetime
    updated_at: datetime
    total: int = 0
    size: int = 0
    state: State = State.INITIATED
    committed: int = 0
    verified: int = 0
    quarantined: int = 0
    yanked: str | None = None
    reason: str | None = None
    source: Mapping[str, Any] = field(default_factory=dict)
    validation: Mapping[str, Any] | None = None
    signature: Mapping[str, Any] | None = None
    revision: int = 1

    @property
    def is_served(self) -> bool:
        """Whether its files may be downloaded by whoever may see it. A yanked version is hidden, and still served."""
        return self.state is State.AVAILABLE


@dataclass(frozen=True, slots=True)
class File:
    """One file of a version, from the opening of its upload on.

    ``key`` and ``object_version`` name the S3 object that is served. ``verified_sha256`` is what Weir hashed itself;
    ``declared`` what the publisher said. ``findings`` are what the scanners saw, each with its evidence.
    """

    name: str
    version: str
    declared: Declared
    key: str
    state: State
    upload_id: str | None = None
    object_version: str | None = None
    verified_sha256: str | None = None
    reason: str | None = None
    findings: tuple[Mapping[str, str], ...] = ()
    updated_at: datetime | None = None
    revision: int = 1


class UploadState(StrEnum):
    """Where an upload is. COMMITTING is an intent: whoever finds it after its lease finishes or undoes it."""

    OPEN = "OPEN"
    COMMITTING = "COMMITTING"
    COMMITTED = "COMMITTED"
    ABORTING = "ABORTING"
    ABORTED = "ABORTED"


@dataclass(frozen=True, slots=True)
class Upload:
    """A multipart upload of one file. ``s3_upload_id`` is S3's; ``part_size`` in bytes, all parts but the last.

    ``import_id`` is the import that has opened it, as long as nobody else was given it too.
    """

    upload_id: str
    name: str
    version: str
    declared: Declared
    key: str
    s3_upload_id: str
    part_size: int
    parts: int
    owner: str
    created_at: datetime
    expires_at: datetime
    state: UploadState = UploadState.OPEN
    lease_until: datetime | None = None
    import_id: str | None = None
    revision: int = 1


@dataclass(frozen=True, slots=True)
class Blob:
    """The one object of some bytes in a package, which any number of its files share.

    ``verified`` once Weir has hashed and scanned it itself; ``references`` counts the files that name it. ``content``
    is the format that it was found to be of. While the object is being deleted, it is told of without references.
    """

    name: str
    sha256: str
    size: int
    key: str
    object_version: str
    verified: bool
    references: int
    findings: tuple[Mapping[str, str], ...] = ()
    content: str = ""

    @property
    def is_going(self) -> bool:
        """Whether no file names it any more, so that its object is being deleted, and no file may come to name it."""
        return self.references == 0


# What happens to a version


def opened(version: Version, declared: Declared) -> Version:
    """An upload of one of its files was opened; where it has declared none, that file is its only one."""
    known = version if version.total else replace(version, total=1, size=declared.size)
    return _settled(known, begun=True)


def committed(version: Version) -> Version:
    """One more of its files is in S3, and to be scanned."""
    return _settled(replace(version, committed=version.committed + 1))


def verified(version: Version) -> Version:
    """One more of its files was hashed and scanned, and is what was declared."""
    return _settled(replace(version, verified=version.verified + 1))


def quarantined(version: Version, reason: str) -> Version:
    """One of its files is not what was declared, or not safe: so is the version."""
    return _settled(replace(version, quarantined=version.quarantined + 1, reason=version.reason or reason))


def _settled(version: Version, *, begun: bool = False) -> Version:
    """The version in the state that its counts make."""
    if version.state in {State.QUARANTINED, State.REJECTED}:
        return version
    if version.quarantined:
        return replace(version, state=State.QUARANTINED)
    if version.total and version.verified == version.total:
        return replace(version, state=State.AVAILABLE)
    if version.total and version.committed == version.total:
        return replace(version, state=State.SCANNING)
    if begun or version.committed:
        return replace(version, state=State.UPLOADING)
    return version
