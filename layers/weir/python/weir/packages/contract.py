"""What the routes of the catalogue take and answer: packages, versions, aliases, the audit, what was found."""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from weir.packages import names, semver
from weir.packages.aliases import LATEST, Alias
from weir.packages.found import Found
from weir.packages.models import Declared, File, Manifest, Package, Sensitivity, State, Version
from weir.packages.parts import MOST_BYTES
from weir.packages.searching import MOST_TAGS

MOST_FILES = 1_000
MOST_MANIFEST_BYTES = 300_000
"""Of a version's files as JSON, which is more than their item takes: below the 400 KB that DynamoDB does."""

MOST_METADATA_BYTES = 16_384
MOST_METADATA_DEPTH = 32
MOST_DESCRIPTION = 2_000
MOST_GROUPS = 50
MOST_FINDINGS_EACH = 3
MOST_FINDINGS_TOLD = 1_000
"""That the view of a version tells, of all its files: with the rest of it below the 6 MB that Lambda answers."""

REFERENCE = r"^[0-9A-Za-z.+%-]{1,140}$"
"""A version or an alias in a path: percent-encoded, as REST APIs hand it on."""


def _name(text: str) -> str:
    made = names.normalized(text)
    if made in names.RESERVED:
        raise ValueError(f"{made} is a path of the API; take another name")
    return made


def _version(text: str) -> str:
    if not semver.is_version(text):
        raise ValueError("must be a semantic version, such as 1.4.0 or 2.0.0-rc.1 (https://semver.org)")
    return text


def _path(text: str) -> str:
    if wrong := names.path_problem(text):
        raise ValueError(wrong)
    return text


def _set(texts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(set(texts)))


def _metadata(given: dict[str, Any]) -> dict[str, Any]:
    if _depth(given) > MOST_METADATA_DEPTH:
        raise ValueError(f"must not be nested deeper than {MOST_METADATA_DEPTH} levels")
    try:
        size = len(json.dumps(given, ensure_ascii=False, allow_nan=False).encode())
    except ValueError as error:  # a number that JSON has no word for, or half a surrogate pair
        raise ValueError("must hold numbers that JSON can tell, and texts that are Unicode") from error
    if size > MOST_METADATA_BYTES:
        raise ValueError(f"must have at most {MOST_METADATA_BYTES:,} bytes as JSON")
    return given


def _depth(given: Any) -> int:
    """How deep a value is nested; counted without recursion, for it is a stranger's."""
    depth, level = 0, [given]
    while level:
        depth += 1
        within: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                within += one.values()
            elif isinstance(one, list):
                within += one
        level = within
    return depth


Name = Annotated[
    str,
    Field(pattern=names.NAME, description="Stored in lower case, runs of . _ - as one -; no other may look like it"),
    AfterValidator(_name),
]
SemVer = Annotated[
    str,
    Field(max_length=semver.MOST_CHARACTERS, description="A semantic version (2.0.0), such as 1.4.0"),
    AfterValidator(_version),
]
Description = Annotated[str, Field(max_length=MOST_DESCRIPTION)]
Group = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,63}$")]
Groups = Annotated[
    tuple[Group, ...],
    Field(max_length=MOST_GROUPS, description="Whose members may see it; of your own groups, unless you are an admin"),
    AfterValidator(_set),
]
Tag = Annotated[str, AfterValidator(str.lower), Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,63}$")]
Tags = Annotated[tuple[Tag, ...], Field(max_length=MOST_TAGS), AfterValidator(_set)]
Metadata = Annotated[
    dict[str, Any],
    Field(description="JSON: license, card, framework, base_model, dataset and whatever else tells of it"),
    AfterValidator(_metadata),
]


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class NewFile(_Body):
    """A file that a version shall have."""

    path: Annotated[str, Field(min_length=1, max_length=512), AfterValidator(_path)]
    size: Annotated[int, Field(strict=True, ge=0, le=MOST_BYTES, description="Bytes")]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="Of the whole file, in lower-case hex")]
    content_type: Annotated[str, Field(pattern=names.CONTENT_TYPE)] = "application/octet-stream"


def _files(files: tuple[NewFile, ...]) -> tuple[NewFile, ...]:
    if not files:
        raise ValueError("must name at least one; leave it out for a version of one file, that of its first upload")
    if collision := _collision([one.path for one in files]):
        raise ValueError(collision)
    if sum(len(one.model_dump_json().encode()) for one in files) > MOST_MANIFEST_BYTES:
        raise ValueError(f"must have at most {MOST_MANIFEST_BYTES:,} bytes as JSON")
    return files


def _collision(paths: Iterable[str]) -> str | None:
    """What two files could not be on one disk; letter case does not tell two apart on every system."""
    seen: dict[str, str] = {}
    for path in paths:
        if path.casefold() in seen:
            return f"{path!r} is there twice, or as {seen[path.casefold()]!r}"
        seen[path.casefold()] = path
    for folded, path in seen.items():
        parts = folded.split("/")
        for end in range(1, len(parts)):
            if (above := "/".join(parts[:end])) in seen:
                return f"{seen[above]!r} is a file and, for {path!r}, a folder"
    return None


class NewVersion(_Body):
    """A version to be registered; the first of a name makes the package."""

    name: Name
    version: SemVer
    description: Description | None = None
    sensitivity: Sensitivity | None = Field(default=None, description="Of the package; internal unless said")
    allowed_groups: Groups | None = None
    tags: Tags | None = None
    metadata: Metadata = Field(default_factory=dict)
    files: Annotated[tuple[NewFile, ...], Field(max_length=MOST_FILES), AfterValidator(_files)] | None = Field(
        default=None, description="Left out, the version has one file: that of its first upload"
    )


class PackagePatch(_Body):
    """What to change of a package; what is left out stays."""

    description: Description = ""
    sensitivity: Sensitivity = "internal"
    allowed_groups: Groups = ()
    tags: Tags = ()

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("name something to change: description, sensitivity, allowed_groups or tags")
        return self


class AliasTarget(_Body):
    """The version that an alias shall name."""

    version: SemVer


class Yank(_Body):
    """Why a version is yanked."""

    reason: Annotated[str, Field(min_length=1, max_length=500)]


class _View(BaseModel):
    model_config = ConfigDict(frozen=True)


class PackageView(_View):
    """A package."""

    name: str
    owner: str = Field(description="A user id")
    description: str
    sensitivity: Sensitivity
    allowed_groups: tuple[str, ...]
    tags: tuple[str, ...]
    versions: int = Field(description="How many it has")
    latest: str | None = Field(description="Newest release that is served and not yanked")
    created_at: datetime
    updated_at: datetime


class PackagePage(_View):
    """Packages, by name."""

    items: tuple[PackageView, ...]
    cursor: str | None = Field(description="Where the next page begins, even after an empty one; null on the last")


class AliasView(_View):
    """A name of a version. ``latest`` is computed, and has no entity tag."""

    alias: str
    version: str
    etag: str | None
    updated_at: datetime | None


class Card(PackageView):
    """A package with its aliases."""

    aliases: tuple[AliasView, ...]


class VersionSummary(_View):
    """A version, in a list."""

    name: str
    version: str
    state: State
    description: str
    files: int = Field(description="How many")
    size: int = Field(description="Bytes of all files")
    yanked: str | None = Field(description="Why it is yanked; null where it is not")
    reason: str | None = Field(description="Why it is quarantined")
    created_at: datetime
    updated_at: datetime


class VersionPage(_View):
    """Versions, newest first as SemVer orders them."""

    items: tuple[VersionSummary, ...]
    cursor: str | None = Field(description="Where the next page begins, even after an empty one; null on the last")


class FileView(_View):
    """A file. ``sha256`` is what was declared, ``verified_sha256`` what Weir has hashed itself."""

    path: str
    size: int
    sha256: str
    content_type: str
    state: State
    verified_sha256: str | None
    reason: str | None
    findings: tuple[Mapping[str, str], ...] = Field(
        description=f"What the scanners saw, each with its evidence, the worst first: up to {MOST_FINDINGS_EACH}"
    )
    findings_count: int = Field(description="How many findings there are of the file")
    updated_at: datetime | None


class VersionView(_View):
    """A version with its files, and how far each has come."""

    name: str
    version: str
    owner: str
    description: str
    state: State
    metadata: Mapping[str, Any]
    files: tuple[FileView, ...]
    size: int = Field(description="Bytes of all files")
    digest: str = Field(description="Fingerprint of what was registered")
    committed: int = Field(description="Files that are in S3")
    verified: int = Field(description="Files that were hashed, scanned and found as declared")
    quarantined: int
    yanked: str | None = Field(description="Why it is yanked; null where it is not")
    reason: str | None = Field(description="Why it is quarantined")
    source: Mapping[str, Any] = Field(description="Where it was imported from")
    created_at: datetime
    updated_at: datetime


class PackageAuditEntry(_View):
    """What happened, once."""

    at: datetime
    what: str = Field(description="Such as version.yanked")
    who: str = Field(description="A user id, or system")
    who_name: str = Field(description="The user's name at that time")
    name: str
    version: str
    detail: Mapping[str, str]
    source_ip: str
    user_agent: str
    request_id: str


class PackageAuditPage(_View):
    """Entries, newest first."""

    items: tuple[PackageAuditEntry, ...]
    cursor: str | None = Field(description="Where the next page begins, even after an empty one; null on the last")


class FoundObject(_View):
    """An object in the bucket that no package told of, under its real key."""

    key: str
    object_version: str
    size: int
    found_at: datetime
    state: str = "UNVERIFIED"


class FoundPage(_View):
    """Found objects, by key."""

    items: tuple[FoundObject, ...]
    cursor: str | None = Field(description="Where the next page begins; null on the last")


def package_view(package: Package) -> PackageView:
    """A package as answered."""
    return PackageView.model_validate({name: getattr(package, name) for name in PackageView.model_fields})


def card_view(package: Package, aliases: Iterable[Alias]) -> Card:
    """A package with its aliases as answered, ``latest`` first."""
    told = [AliasView(alias=LATEST, version=package.latest, etag=None, updated_at=None)] if package.latest else []
    told += [alias_view(one) for one in aliases]
    return Card(**package_view(package).model_dump(), aliases=tuple(told))


def alias_view(alias: Alias) -> AliasView:
    """An alias as answered."""
    return AliasView(alias=alias.alias, version=alias.version, etag=alias.etag, updated_at=alias.updated_at)


def summary_of(version: Version) -> VersionSummary:
    """A version as listed."""
    own = {name: getattr(version, name) for name in VersionSummary.model_fields if name != "files"}
    return VersionSummary(**own, files=version.total)


def version_view(version: Version, manifest: Manifest, files: Iterable[File] = ()) -> VersionView:
    """A version as answered; a file of which no upload was opened is as it was declared."""
    begun = {one.declared.path: one for one in files}
    own = {name: getattr(version, name) for name in VersionView.model_fields if name != "files"}
    each = min(MOST_FINDINGS_EACH, MOST_FINDINGS_TOLD // max(1, version.total))
    told = tuple(_file_view(one, begun.get(one.path), each) for one in manifest.files)
    return VersionView(**own, files=told)


def found_view(found: Found) -> FoundObject:
    """A found object as answered."""
    return FoundObject(key=found.key, object_version=found.object_version, size=found.size, found_at=found.found_at)


def _file_view(declared: Declared, file: File | None, most_findings: int) -> FileView:
    return FileView(
        path=declared.path,
        size=declared.size,
        sha256=declared.sha256,
        content_type=declared.content_type,
        state=State.INITIATED if file is None else file.state,
        verified_sha256=None if file is None else file.verified_sha256,
        reason=None if file is None else file.reason,
        findings=() if file is None else file.findings[:most_findings],
        findings_count=0 if file is None else len(file.findings),
        updated_at=None if file is None else file.updated_at,
    )
