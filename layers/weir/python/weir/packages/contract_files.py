"""What the routes of uploads and downloads take and answer."""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from weir.packages import names
from weir.packages.models import File, State, Upload, UploadState
from weir.packages.parts import MOST_BYTES, MOST_PARTS
from weir.runtime.fields import wrong

if TYPE_CHECKING:
    from weir.packages.bucket import Part
    from weir.packages.committing import Told
    from weir.packages.downloading import Download
    from weir.packages.finishing import Kept
    from weir.packages.opening import Asked, Opened, PartUrl

UPLOAD_ID = r"^[0-9a-f]{32}$"
MOST_URLS = 1_000


def _path(path: str) -> str:
    problem = names.path_problem(path)
    if problem is not None:
        raise ValueError(problem)
    return path


FilePath = Annotated[
    str,
    Field(
        min_length=1, max_length=names.MOST_PATH_BYTES, description="Relative path of the file, such as a/b.safetensors"
    ),
    AfterValidator(_path),
]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 in lower-case hex")]
PartChecksum = Annotated[str, Field(pattern=r"^[A-Za-z0-9+/]{43}=$", description="SHA-256 of the part, in Base64")]
Number = Annotated[int, Field(strict=True, ge=1, le=MOST_PARTS, description="Part number, from 1")]


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _View(BaseModel):
    model_config = ConfigDict(frozen=True)


class NewUpload(_Body):
    """A file to be sent."""

    file: FilePath
    size: int = Field(strict=True, ge=0, le=MOST_BYTES, description="Bytes, to 5 TiB")
    sha256: Sha256
    content_type: str | None = Field(
        default=None,
        pattern=names.CONTENT_TYPE,
        description="Left out: as the version declares it, or application/octet-stream",
    )

    def asked(self) -> "Asked":
        """As the rules take it."""
        from weir.packages.opening import Asked

        return Asked(self.file, self.size, self.sha256, self.content_type)


class PartsAsked(_Body):
    """Parts that are about to be sent, each with its checksum: S3 takes none without."""

    numbers: tuple[Number, ...] = Field(min_length=1, max_length=MOST_URLS)
    checksums: Mapping[str, PartChecksum] = Field(max_length=MOST_URLS, description="By number, one for each")

    @model_validator(mode="after")
    def _one_each(self) -> Self:
        if len(set(self.numbers)) != len(self.numbers):
            raise wrong("numbers", "names a part twice")
        if set(self.checksums) != {str(number) for number in self.numbers}:
            raise wrong("checksums", "must hold one SHA-256 in Base64 for each of numbers, and no other")
        return self

    def by_number(self) -> dict[int, str]:
        """The checksum of each part."""
        return {number: self.checksums[str(number)] for number in self.numbers}


class SentPart(_Body):
    """A part as S3 has answered it."""

    number: Number
    etag: str = Field(min_length=1, max_length=128, description="As S3 answered it, with quotes or without")
    sha256: PartChecksum | None = Field(default=None, description="Left out, what S3 has checked is taken")


class CommitAsked(_Body):
    """All parts of the file."""

    parts: tuple[SentPart, ...] = Field(min_length=1, max_length=MOST_PARTS)

    def told(self) -> "list[Told]":
        """As the rules take them."""
        from weir.packages.committing import Told

        return [Told(one.number, one.etag, one.sha256) for one in self.parts]


class UploadLinks(_View):
    """Where to go on."""

    self: str
    parts: str
    commit: str


class UploadOpened(_View):
    """An upload to send parts to; or, with ``present``, no upload, for the bytes are here."""

    present: bool
    file: str
    size: int
    sha256: str
    state: State = Field(description="Of the file")
    upload_id: str | None = None
    part_size: int | None = Field(default=None, description="Bytes of all parts but the last")
    parts: int | None = None
    expires_at: datetime | None = None
    links: UploadLinks | None = None


class PartView(_View):
    """A part that has arrived."""

    number: int
    size: int
    etag: str
    sha256: str | None


class UploadView(_View):
    """An upload and a page of the parts that have arrived."""

    upload_id: str
    file: str
    size: int
    sha256: str
    state: UploadState
    part_size: int
    parts: int
    created_at: datetime
    expires_at: datetime
    items: tuple[PartView, ...]
    cursor: str | None = Field(description="Where the next page begins; null on the last")


class PartUrlView(_View):
    """Where to PUT a part, with these headers as they are."""

    number: int
    size: int
    url: str
    headers: Mapping[str, str]


class PartUrls(_View):
    """URLs of parts; ask again for those that were not used in time."""

    items: tuple[PartUrlView, ...]
    expires_in: int = Field(description="Seconds")


class StoredFile(_View):
    """A file whose bytes are here. ``sha256`` is as declared, ``verified_sha256`` as Weir has hashed it itself."""

    path: str
    size: int
    sha256: str
    content_type: str
    state: State
    verified_sha256: str | None
    reason: str | None
    object_version: str | None


class StoredVersion(_View):
    """The version of a file: how many of its files are here, and how many are verified."""

    name: str
    version: str
    state: State
    files: int
    committed: int
    verified: int


class CommitView(_View):
    """What a commit has come to."""

    upload_id: str
    file: StoredFile
    version: StoredVersion


class DownloadView(_View):
    """Where the file is, and what must be there."""

    url: str
    expires_in: int = Field(description="Seconds; less where the role's session that signed it ends before")
    path: str
    size: int
    sha256: str
    content_type: str
    object_version: str
    yanked: str | None = Field(description="Why the version was yanked; null where it was not")


def upload_opened(opened: "Opened", base: str) -> UploadOpened:
    """An upload as answered; ``base`` is the path of the version's uploads."""
    upload, declared = opened.upload, opened.file.declared
    seen = {"file": declared.path, "size": declared.size, "sha256": declared.sha256, "state": opened.file.state}
    if upload is None:
        return UploadOpened.model_validate({"present": True, **seen})
    own = f"{base}/{upload.upload_id}"
    return UploadOpened.model_validate(
        {
            "present": False,
            **seen,
            "upload_id": upload.upload_id,
            "part_size": upload.part_size,
            "parts": upload.parts,
            "expires_at": upload.expires_at,
            "links": UploadLinks(self=own, parts=f"{own}/parts", commit=f"{own}/commit"),
        }
    )


def upload_view(upload: Upload, arrived: "tuple[Part, ...]", cursor: str | None) -> UploadView:
    """An upload as answered, with a page of its parts."""
    return UploadView(
        upload_id=upload.upload_id,
        file=upload.declared.path,
        size=upload.declared.size,
        sha256=upload.declared.sha256,
        state=upload.state,
        part_size=upload.part_size,
        parts=upload.parts,
        created_at=upload.created_at,
        expires_at=upload.expires_at,
        items=tuple(PartView(number=one.number, size=one.size, etag=one.etag, sha256=one.sha256) for one in arrived),
        cursor=cursor,
    )


def part_urls_view(urls: "list[PartUrl]") -> PartUrls:
    """URLs of parts as answered."""
    items = tuple(PartUrlView(number=one.number, size=one.size, url=one.url, headers=one.headers) for one in urls)
    return PartUrls(items=items, expires_in=min(one.expires_in for one in urls))


def commit_view(upload_id: str, kept: "Kept") -> CommitView:
    """A commit as answered."""
    version = kept.version
    of_version = StoredVersion(
        name=version.name,
        version=version.version,
        state=version.state,
        files=version.total,
        committed=version.committed,
        verified=version.verified,
    )
    return CommitView(upload_id=upload_id, file=_stored(kept.file), version=of_version)


def download_view(download: "Download") -> DownloadView:
    """A download as answered."""
    declared = download.file.declared
    return DownloadView(
        url=download.url,
        expires_in=download.expires_in,
        path=declared.path,
        size=declared.size,
        sha256=declared.sha256,
        content_type=declared.content_type,
        object_version=download.object_version,
        yanked=download.yanked,
    )


def _stored(file: File) -> StoredFile:
    return StoredFile(
        path=file.declared.path,
        size=file.declared.size,
        sha256=file.declared.sha256,
        content_type=file.declared.content_type,
        state=file.state,
        verified_sha256=file.verified_sha256,
        reason=file.reason,
        object_version=file.object_version,
    )
