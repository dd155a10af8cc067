"""The sweep: what is in the bucket and what is in the table are brought together, both ways, and what died is ended.

1. Uploads whose commit or end died are finished or undone; those that have expired are ended.
2. Versions that are being deleted go on being deleted.
3. Multipart uploads of S3's that no row tells of are aborted.
4. Objects that no row tells of are recorded as UNVERIFIED under their real keys; those recorded that are gone,
   replaced or a file's are taken out again.
5. Of every package, files that wait for a scan nobody is at are queued anew; files whose object is lost are given the
   one that their bytes have by now, or told of; bytes that are being deleted go, and are told of by themselves.

A dry run tells what would be done, and does none of it. Nothing that is served is touched.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import Any

from weir.packages import deleting, found, healing, items, scans
from weir.packages.arriving import is_a_files
from weir.packages.bucket import Begun, Listed
from weir.packages.committing import Outcome, recover
from weir.packages.errors import CommitUnderWay
from weir.packages.models import Blob, File, State, Upload, UploadState
from weir.packages.sqs import ScanQueue
from weir.packages.table import PACKAGES, UPLOADS, blob_key, bytes_of
from weir.packages.wiring import Deps
from weir.runtime.dynamodb import Item
from weir.runtime.errors import WeirError
from weir.runtime.observability import logger

YOUNG = timedelta(hours=1)
"""What began within it is left alone: its row may not be written yet, or not be seen yet by the index."""

KEYS_A_CALL = 100


@dataclass(slots=True)
class Reconciled:
    """What a sweep did or, in a dry run, would do. ``unfinished`` tells that its time was not enough.

    ``missing`` are objects that files name and the bucket has not; ``going`` those of deletions that are under way.
    """

    dry_run: bool
    uploads: dict[str, str] = field(default_factory=dict)
    deleted: list[str] = field(default_factory=list)
    aborted: list[str] = field(default_factory=list)
    unverified: list[str] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)
    queued: list[str] = field(default_factory=list)
    restored: list[str] = field(default_factory=list)
    going: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    unfinished: bool = False

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; lists that are long are cut, beside their lengths."""
        lists = ("deleted", "aborted", "unverified", "forgotten", "queued", "restored", "going", "missing", "failed")
        told: dict[str, Any] = {name: sorted(getattr(self, name))[:MOST_TOLD] for name in lists}
        uploads = dict(sorted(self.uploads.items())[:MOST_TOLD])
        counts = {name: len(getattr(self, name)) for name in ("uploads", *lists)}
        return {
            "dry_run": self.dry_run,
            "unfinished": self.unfinished,
            "counts": counts,
            "uploads": uploads,
            **told,
        }


MOST_TOLD = 200
"""Names of each kind in an answer: it is a log line, too."""


class _Over(Exception):
    """The time of the sweep is over."""


def reconcile(deps: Deps, queue: ScanQueue, *, dry_run: bool, until: float, rng: Random) -> Reconciled:
    """One sweep, until all is looked at or the monotonic second ``until`` comes.

    What fails is told and left for the next one. Packages are taken from a random one on, so that a sweep that runs out
    of time does not always miss the same.
    """
    done = Reconciled(dry_run)
    sweep = _Sweep(deps, queue, done, until)
    try:
        for part in (sweep.uploads, sweep.deletions, sweep.unknown_uploads, sweep.objects, sweep.found_before):
            sweep.trying(part.__name__, part)
        sweep.trying("packages", lambda: sweep.packages(rng))
    except _Over:
        done.unfinished = True
    return done


class _Sweep:
    def __init__(self, deps: Deps, queue: ScanQueue, done: Reconciled, until: float) -> None:
        self.deps, self.queue, self.done, self.until = deps, queue, done, until

    def trying(self, what: str, step: Callable[[], None]) -> None:
        """Do a step; one that fails is told, and does not stop the others."""
        self._check_time()
        try:
            step()
        except WeirError as error:
            logger().warning("%s is left for the next sweep: %s", what, error.detail)
            self.done.failed.append(what)

    def _check_time(self) -> None:
        if self.deps.clock.monotonic() >= self.until:
            raise _Over

    # 1

    def uploads(self) -> None:
        """Uploads that have not ended."""
        for item in self._listed(UPLOADS):
            upload = items.upload_of(item)
            self.trying(upload.upload_id, lambda upload=upload: self._upload(upload))  # type: ignore[misc]

    def _upload(self, upload: Upload) -> None:
        now = self.deps.clock.now()
        if upload.state is UploadState.OPEN and upload.expires_at > now:
            return
        if upload.state is UploadState.COMMITTING and upload.lease_until is not None and upload.lease_until > now:
            return
        if self.done.dry_run:
            self.done.uploads[upload.upload_id] = f"is {upload.state.value}"
            return
        outcome = recover(upload.upload_id, self.deps)
        if outcome is Outcome.COMMITTED:
            self._queue(upload.name, upload.declared.sha256)
        self.done.uploads[upload.upload_id] = outcome.value

    # 2

    def deletions(self) -> None:
        """Versions that are being deleted."""
        for name, version in list(deleting.unfinished(self.deps.store)):
            self.trying(f"{name} {version}", lambda n=name, v=version: self._delete(n, v))  # type: ignore[misc]

    def _delete(self, name: str, version: str) -> None:
        if not self.done.dry_run:
            try:
                if not deleting.finish(name, version, self.deps, self.until - self.deps.clock.monotonic()):
                    raise _Over
            except CommitUnderWay:
                return
        self.done.deleted.append(f"{name} {version}")

    # 3

    def unknown_uploads(self) -> None:
        """Multipart uploads of S3's that no row tells of."""
        known = {item["s3_upload_id"] for item in self._listed(UPLOADS)}
        old = self.deps.clock.now() - YOUNG
        for one in list(self._begun()):
            if one.s3_upload_id not in known and one.begun_at < old:
                self.trying(one.key, lambda one=one: self._abort(one))  # type: ignore[misc]

    def _abort(self, one: Begun) -> None:
        if not self.done.dry_run:
            self.deps.bucket.abort(one.key, one.s3_upload_id)
        self.done.aborted.append(one.key)

    # 4

    def objects(self) -> None:
        """Objects that no row tells of."""
        after: dict[str, str] | None = None
        while True:
            self._check_time()  # of a bucket of millions, each in its place, the lists alone take longer
            page, after = self.deps.bucket.objects(after=after)
            latest = [one for one in page if one.is_latest]  # what was replaced or deleted ends by itself
            blobs = self._blobs(latest)
            for one in latest:
                blob = blobs.get(one.key)
                if blob is None or blob.object_version != one.object_version:
                    self.trying(one.key, lambda one=one: self._object(one))  # type: ignore[misc]
            if after is None:
                return

    def _object(self, one: Listed) -> None:
        if self.done.dry_run:
            self.done.unverified.append(one.key)
            return
        if is_a_files(one.key, one.object_version, self.deps):
            return
        if found.record(self.deps.store, one.key, one.object_version, one.size):
            self.done.unverified.append(one.key)

    def _blobs(self, page: list[Listed]) -> dict[str, Blob]:
        """The bytes that the table tells of, by the keys of a page of objects."""
        named = [named for one in page if (named := bytes_of(one.key))]
        blobs: dict[str, Blob] = {}
        for start in range(0, len(named), KEYS_A_CALL):
            keys = [blob_key(*one) for one in named[start : start + KEYS_A_CALL]]
            for item in self.deps.store.table.get_many(keys):
                blob = items.blob_of(item)
                blobs[blob.key] = blob
        return blobs

    def found_before(self) -> None:
        """Objects that were recorded and are gone, replaced, or a file's."""
        for one in list(found.every(self.deps.store)):
            self.trying(one.key, lambda one=one: self._found(one))  # type: ignore[misc]

    def _found(self, one: found.Found) -> None:
        named = bytes_of(one.key)
        blob = self.deps.store.blob(*named) if named else None
        is_file = blob is not None and blob.object_version == one.object_version and not blob.is_going
        if is_file or not self._is_latest(one):
            if not self.done.dry_run:
                found.remove(self.deps.store, one)
            self.done.forgotten.append(one.key)

    def _is_latest(self, one: found.Found) -> bool:
        stored = self.deps.bucket.head(one.key)
        return stored is not None and stored.object_version == one.object_version

    # 5

    def packages(self, rng: Random) -> None:
        """Of every package, its files that wait, its bytes, and its files that have lost them."""
        names = [item["name"] for item in self._listed(PACKAGES)]
        start = rng.randrange(len(names)) if names else 0
        for name in names[start:] + names[:start]:
            self.trying(name, lambda name=name: self._package(name))  # type: ignore[misc]

    def _package(self, name: str) -> None:
        for sha256 in sorted({sha256 for sha256, _, _ in scans.waiting(self.deps.store, name)}):
            if not self._is_scanned_now(name, sha256):
                self._queue(name, sha256)
        there = self._there(name)
        blobs = {blob.sha256: blob for blob in self.deps.store.blobs(name)}
        for blob in blobs.values():
            if blob.is_going:
                self.trying(blob.key, lambda blob=blob: self._going(blob))  # type: ignore[misc]
            else:
                self._look_for(blob.key, blob.object_version, there)
        for file in self.deps.store.files_of_all(name):
            if file.state is State.AVAILABLE and (file.key, file.object_version) not in there:
                self.trying(file.key, lambda file=file: self._file(file, blobs, there))  # type: ignore[misc]

    def _going(self, blob: Blob) -> None:
        """Bytes whose object is being deleted: whoever began it may have died."""
        if not self.done.dry_run:
            deleting.remove_going(blob, self.deps)
        self.done.going.append(blob.key)

    def _file(self, file: File, blobs: Mapping[str, Blob], there: set[tuple[str, str]]) -> None:
        """A file that is served, and whose object was not seen."""
        may_have = healing.may_have(file, blobs.get(file.declared.sha256))
        if may_have and (self.done.dry_run or healing.heal(file, self.deps)):
            self.done.restored.append(f"{file.name} {file.version} {file.declared.path}")
        elif file.object_version is not None:
            self._look_for(file.key, file.object_version, there)

    def _look_for(self, key: str, object_version: str, there: set[tuple[str, str]]) -> None:
        if (key, object_version) in there or key in self.done.missing:
            return
        if self.deps.bucket.head(key, object_version) is None:  # the list may be older than the row
            self.done.missing.append(key)

    def _is_scanned_now(self, name: str, sha256: str) -> bool:
        lease = scans.leased_until(self.deps.store, name, sha256)
        return lease is not None and lease > self.deps.clock.now()

    def _there(self, name: str) -> set[tuple[str, str]]:
        there: set[tuple[str, str]] = set()
        after: dict[str, str] | None = None
        while True:
            self._check_time()
            page, after = self.deps.bucket.objects(prefix=f"packages/{name}/", after=after)
            there |= {(one.key, one.object_version) for one in page}
            if after is None:
                return there

    def _queue(self, name: str, sha256: str) -> None:
        if not self.done.dry_run:
            self.queue.send(name, sha256)
        self.done.queued.append(f"{name} {sha256}")

    def _listed(self, kind: str) -> Iterator[Item]:
        yield from self.deps.store.table.all("#list = :list", {"list": kind}, index="listing", names={"list": "list"})

    def _begun(self) -> Iterator[Begun]:
        after: dict[str, str] | None = None
        while True:
            page, after = self.deps.bucket.uploads(after=after)
            yield from page
            if after is None:
                return
