"""Imports and how far they have come: their items, and the writes that only one of two at once can do."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Literal

from weir.packages.models import Sensitivity
from weir.packages.parts import part_size
from weir.packages.shapes import SHAPES
from weir.packages.table import SCHEMA, import_key, imported_file_key
from weir.packages.trust_errors import ImportEnded, ImportNotFound
from weir.runtime.audit import Asker
from weir.runtime.clock import Clock, parse_rfc3339, rfc3339
from weir.runtime.dynamodb import Contended, Item, Table, Write
from weir.runtime.http import Origin, Principal

KEPT = timedelta(days=90)
_BATCH = 100
"""Writes of one transaction."""

_TRIES = 5


class ImportState(StrEnum):
    """Where an import is. DONE: all files are in S3, and being scanned."""

    PLANNING = "PLANNING"
    COPYING = "COPYING"
    DONE = "DONE"
    FAILED = "FAILED"


ENDED = frozenset({ImportState.DONE, ImportState.FAILED})


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be imported, and as what. ``version`` is None where it follows from the commit.

    What is None of the package is as it is, or as for any new one.
    """

    repo: str
    revision: str
    name: str
    version: str | None = None
    description: str | None = None
    sensitivity: Sensitivity | None = None
    allowed_groups: tuple[str, ...] | None = None
    tags: tuple[str, ...] | None = None
    source: Literal["huggingface"] = "huggingface"


@dataclass(frozen=True, slots=True)
class Failure:
    """The step that broke an import, and why."""

    step: str
    error: str
    cause: str


@dataclass(frozen=True, slots=True)
class Import:
    """An import. ``files`` and ``size`` (bytes) are those at ``commit``, None before the hub was asked."""

    import_id: str
    wanted: Wanted
    asker: Asker
    created_at: datetime
    updated_at: datetime
    state: ImportState = ImportState.PLANNING
    commit: str | None = None
    last_modified: datetime | None = None
    card: Mapping[str, Any] = field(default_factory=dict)
    files: int | None = None
    size: int | None = None
    version: str | None = None
    failure: Failure | None = None

    @property
    def ttl(self) -> int:
        """When it is forgotten, in epoch seconds."""
        return int((self.created_at + KEPT).timestamp())


@dataclass(frozen=True, slots=True)
class ImportedFile:
    """A file of an import: ``sha256`` is None until it is known; parts before ``next_part`` are in S3.

    ``hashed`` is the state of the hash over their bytes; ``upload_id`` the upload that they are of. ``ttl`` is the
    import's, in epoch seconds.
    """

    import_id: str
    number: int
    path: str
    size: int
    sha256: str | None
    blob_id: str | None
    ttl: int
    upload_id: str | None = None
    next_part: int = 1
    hashed: bytes | None = None
    done: bool = False

    @property
    def copied(self) -> int:
        """Bytes that are in S3."""
        return self.size if self.done else min(self.size, (self.next_part - 1) * part_size(self.size))


class Imports:
    """Imports in the packages table."""

    def __init__(self, table: Table, clock: Clock) -> None:
        self._table, self._clock = table, clock

    def get(self, import_id: str) -> Import:
        """An import. ImportNotFound where there is none, or its time is over."""
        item = self._table.get(import_key(import_id))
        if item is None or item["ttl"] <= self._clock.epoch():
            raise ImportNotFound(f"There is no import {import_id!r}.")
        return _import_of(item)

    def files(self, import_id: str) -> Iterator[ImportedFile]:
        """Its files, by number."""
        values = {"pk": import_key(import_id)["pk"], "begin": "FILE#"}
        for item in self._table.all("pk = :pk AND begins_with(sk, :begin)", values):
            yield _file_of(item)

    def file(self, import_id: str, number: int) -> ImportedFile:
        """One of its files. ImportNotFound."""
        item = self._table.get(imported_file_key(import_id, number))
        if item is None:
            raise ImportNotFound(f"There is no file {number} of the import {import_id!r}.")
        return _file_of(item)

    def add(self, made: Import) -> bool:
        """Store a new one; False where one of its id is there."""
        return self._table.put_new(_import_item(made))

    def forget(self, import_id: str) -> None:
        """Remove one that never began."""
        self._table.delete(import_key(import_id))

    def planned(self, before: Import, commit: Import, files: Sequence[ImportedFile]) -> Import:
        """Store the files that the hub tells of, then the commit that they are at."""
        for start in range(0, len(files), _BATCH):
            self._table.transact([Write(put=_file_item(one)) for one in files[start : start + _BATCH]])
        return self._moved(before, commit)

    def copying(self, before: Import, version: str) -> Import:
        """The version is registered: files may be copied."""
        after = replace(before, state=ImportState.COPYING, version=version, updated_at=self._clock.now())
        return self._moved(before, after)

    def failed(self, import_id: str, failure: Failure) -> Import:
        """It is over, if it had not ended already: from here on no upload can be begun for it. The import as it is.

        Contended where others move it on all the time.
        """
        for _ in range(_TRIES):
            before = self.get(import_id)
            if before.state in ENDED:
                return before
            after = replace(before, state=ImportState.FAILED, failure=failure, updated_at=self._clock.now())
            if not self._table.transact([stored_import(before, after)]):
                return after
        raise Contended(f"The import {import_id!r} is being moved on at this moment.", retry_after=5)

    def known(self, file: ImportedFile, sha256: str) -> None:
        """A file's SHA-256 was computed."""
        self._table.put(_file_item(replace(file, sha256=sha256)))

    def began(self, file: ImportedFile, upload_id: str) -> ImportedFile:
        """An upload of the file was opened; from its first part on. ImportEnded where the import has failed."""
        after = replace(file, upload_id=upload_id, next_part=1, hashed=None)
        still = Write(
            key=import_key(file.import_id),
            when="#state = :copying",
            values={"copying": ImportState.COPYING.value},
            names={"state": "state"},
            check=True,
        )
        if self._table.transact([_progress(file, after), still]):
            if self.get(file.import_id).state in ENDED:
                raise _ended(file.import_id)
            raise _contended(file)
        return after

    def progressed(self, before: ImportedFile, after: ImportedFile) -> ImportedFile:
        """More of the file is in S3. Contended where another invocation copies the same file."""
        if self._table.transact([_progress(before, after)]):
            raise _contended(before)
        return after

    def _moved(self, before: Import, after: Import) -> Import:
        if self._table.transact([stored_import(before, after)]):
            raise _ended(before.import_id)
        return after


def _ended(import_id: str) -> ImportEnded:
    return ImportEnded(f"The import {import_id!r} has gone on or ended meanwhile.")


def _contended(file: ImportedFile) -> Contended:
    return Contended(f"Another invocation copies {file.path!r} at this moment.", retry_after=5)


def stored_import(before: Import, after: Import) -> Write:
    """The write of an import, on condition that nobody has moved it on since it was read."""
    values = {"was": before.state.value, "at": rfc3339(before.updated_at)}
    return Write(
        put=_import_item(after), when="#state = :was AND updated_at = :at", values=values, names={"state": "state"}
    )


def _progress(before: ImportedFile, after: ImportedFile) -> Write:
    values = {"part": before.next_part, "upload": before.upload_id}
    return Write(put=_file_item(after), when="next_part = :part AND upload_id = :upload", values=values)


def _import_item(one: Import) -> Item:
    asker, origin = one.asker.principal, one.asker.origin
    return {
        **import_key(one.import_id),
        "schema": SCHEMA,
        "ttl": one.ttl,
        "import_id": one.import_id,
        "wanted": asdict(one.wanted),
        "asker": {
            **{name: getattr(asker, name) for name in ("sub", "username", "credential", "credential_id")},
            **{name: sorted(getattr(asker, name)) for name in ("roles", "groups", "scopes")},
            **{name: getattr(origin, name) for name in ("source_ip", "user_agent", "request_id")},
        },
        "created_at": rfc3339(one.created_at),
        "updated_at": rfc3339(one.updated_at),
        "state": one.state.value,
        "commit": one.commit,
        "last_modified": None if one.last_modified is None else rfc3339(one.last_modified),
        "card": json.dumps(one.card, sort_keys=True),
        "files": one.files,
        "size": one.size,
        "version": one.version,
        "failure": None if one.failure is None else asdict(one.failure),
    }


def _import_of(item: Mapping[str, Any]) -> Import:
    item = SHAPES.current(item)
    wanted, asker = item["wanted"], item["asker"]
    lists = {name: None if wanted[name] is None else tuple(wanted[name]) for name in ("allowed_groups", "tags")}
    return Import(
        import_id=item["import_id"],
        wanted=Wanted(**{**wanted, **lists}),
        asker=Asker(
            Principal(
                sub=asker["sub"],
                username=asker["username"],
                credential=asker["credential"],
                credential_id=asker["credential_id"],
                roles=frozenset(asker["roles"]),
                groups=frozenset(asker["groups"]),
                scopes=frozenset(asker["scopes"]),
            ),
            Origin(asker["source_ip"], asker["user_agent"], asker["request_id"]),
        ),
        created_at=parse_rfc3339(item["created_at"]),
        updated_at=parse_rfc3339(item["updated_at"]),
        state=ImportState(item["state"]),
        commit=item["commit"],
        last_modified=None if item["last_modified"] is None else parse_rfc3339(item["last_modified"]),
        card=json.loads(item["card"]),
        files=item["files"],
        size=item["size"],
        version=item["version"],
        failure=None if item["failure"] is None else Failure(**item["failure"]),
    )


def _file_item(one: ImportedFile) -> Item:
    names = ("number", "path", "size", "sha256", "blob_id", "ttl", "upload_id", "next_part", "hashed", "done")
    return {
        **imported_file_key(one.import_id, one.number),
        "schema": SCHEMA,
        "import_id": one.import_id,
        **{name: getattr(one, name) for name in names},
    }


def _file_of(item: Mapping[str, Any]) -> ImportedFile:
    item = SHAPES.current(item)
    return ImportedFile(**{one.name: item[one.name] for one in fields(ImportedFile)})
