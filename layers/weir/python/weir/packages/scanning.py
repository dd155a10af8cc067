"""What was uploaded is hashed again and scanned; then its files are AVAILABLE, or QUARANTINED for a reason.

Bytes are scanned once, however many files of the package have them, and by ranged reads, so that a file of any size
passes through a function of bounded memory. The state of the hash is kept, and another invocation goes on with it. The
verdict is written down before it takes effect, and each effect can be repeated: whoever comes next goes on from there.

Bytes that are not what was declared, or not safe, are deleted, so that the right ones can be uploaded; what stays of
them are their digest and what was found. Bytes that only took too long are quarantined, and stay.
"""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from itertools import islice

from weir.packages import audit, gone, scans
from weir.packages.bucket import ObjectMissing, PackagesBucket
from weir.packages.findings import judged
from weir.packages.finishing import settled
from weir.packages.formats import promised
from weir.packages.hashing import Sha256
from weir.packages.judging import Verdict, judge_file
from weir.packages.models import Blob, State
from weir.packages.scanners import MISNAMED
from weir.packages.scanners import scan as look_into
from weir.packages.scans import Scan
from weir.packages.store import stored_file, stored_version
from weir.packages.table import blob_key
from weir.packages.wiring import Deps
from weir.runtime.dynamodb import Write
from weir.runtime.errors import WeirError

CHUNK = 8 * 1024 * 1024
AHEAD = 4
"""Ranged reads under way while one is hashed: a connection to S3 gives less than a processor hashes."""

SAVE_SECONDS = 60.0
SCAN_SECONDS = 300.0
"""What must be left of an invocation for the scanners to begin in it."""

LOST = Verdict("", "its bytes were deleted: they were not what was declared, or not safe", "", ())
"""Of the bytes of a file that no row tells of any more."""

_UNREAD = "could not be read within the time of one invocation"


class Progress(StrEnum):
    """What came of a call."""

    DONE = "DONE"
    """Nothing waits for these bytes any more."""

    AGAIN = "AGAIN"
    """There is more to do, for another invocation."""

    HELD = "HELD"
    """Somebody else is at it."""


class OutOfTime(Exception):
    """The invocation ends before the scanners do."""


@dataclass(frozen=True, slots=True)
class Scanned:
    """What came of a call, and how many files it has quarantined."""

    progress: Progress
    quarantined: int = 0


def scan(name: str, sha256: str, deps: Deps, until: float) -> Scanned:
    """Go on with the scan of some bytes of a package, by their declared SHA-256, until the monotonic second ``until``.

    May be called at any time, by anybody, for bytes that are scanned or gone, too.
    """
    blob = deps.store.blob(name, sha256)
    if blob is None:
        return Scanned(Progress.DONE, _settle_gone(name, sha256, deps))
    held = scans.take(deps.store, blob)
    if held is None:
        return Scanned(Progress.HELD)
    try:
        return _scanned(held, blob, deps, until)
    except WeirError:
        with suppress(WeirError):  # the lease ends by itself, only later
            scans.release(deps.store, held)
        raise


def _scanned(held: Scan, blob: Blob, deps: Deps, until: float) -> Scanned:
    judged_scan = held if held.verdict else _judge(held, blob, deps, until)
    if judged_scan is None:
        return Scanned(Progress.AGAIN)
    quarantined = _settle(judged_scan, blob, deps)
    scans.end(deps.store, judged_scan)
    return Scanned(Progress.DONE, quarantined)


# Judging


def _judge(held: Scan, blob: Blob, deps: Deps, until: float) -> Scan | None:
    """The scan with its verdict, kept; None where there is more to do."""
    if blob.verified:  # hashed and scanned before; a file came to wait in between
        verdict: Verdict | None = Verdict(blob.sha256, None, blob.content, blob.findings)
    else:
        try:
            hashed = _hashed(held, blob, deps, until)
            if hashed is None:
                return None
            held, digest = hashed
            verdict = _verdict(digest, held, blob, deps, until)
        except ObjectMissing:
            verdict = Verdict("", "its bytes are no longer in the bucket", "", ())
    if verdict is None:
        scans.save(deps.store, held, release=True)
        return None
    told = replace(held, verdict=verdict)
    return told if scans.save(deps.store, told) else None


def _hashed(held: Scan, blob: Blob, deps: Deps, until: float) -> tuple[Scan, str] | None:
    """All bytes hashed, from where the scan stopped; None where the time was not enough, or another holds it now."""
    hasher = Sha256.from_state(held.state) if held.state else Sha256()
    saved_at = deps.clock.monotonic()
    for chunk in _chunks(deps.bucket, blob, hasher.count):
        hasher.update(chunk)
        now = deps.clock.monotonic()
        if now < until and now - saved_at < SAVE_SECONDS:
            continue
        held, saved_at = replace(held, hashed=hasher.count, state=hasher.state()), now
        if not scans.save(deps.store, held, release=now >= until) or now >= until:
            return None
    return replace(held, hashed=hasher.count, state=hasher.state()), hasher.hexdigest()


def _chunks(bucket: PackagesBucket, blob: Blob, start: int) -> Iterator[bytes]:
    """The bytes from ``start`` on, some of them fetched ahead."""
    ranges = iter(range(start, blob.size, CHUNK))

    def fetch(offset: int) -> bytes:
        return bucket.read(blob.key, blob.object_version, offset, min(CHUNK, blob.size - offset))

    with ThreadPoolExecutor(AHEAD) as pool:
        under_way: list[Future[bytes]] = [pool.submit(fetch, offset) for offset in islice(ranges, AHEAD)]
        try:
            while under_way:
                chunk = under_way.pop(0).result()
                under_way += [pool.submit(fetch, offset) for offset in islice(ranges, 1)]
                yield chunk
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _verdict(digest: str, held: Scan, blob: Blob, deps: Deps, until: float) -> Verdict | None:
    """What there is to say of the bytes; None where too little time is left to look into them."""
    if digest != blob.sha256:
        return Verdict(digest, f"its bytes have the SHA-256 {digest}, not {blob.sha256} as declared", "", ())
    if until - deps.clock.monotonic() < SCAN_SECONDS and held.state and held.hashed > CHUNK:
        return None
    # What a name says of a file is judged for each file; a pickle of the oldest protocols is known by its name alone.
    paths = (path for _, _, path in scans.waiting(deps.store, blob.name, blob.sha256))
    path = next((path for path in paths if "pickle" in promised(path)), "")
    try:
        result = look_into(_Bytes(deps, blob, until), path)
    except OutOfTime:
        found = ({"rule": "took-too-long", "evidence": _UNREAD},)
        return Verdict(digest, _UNREAD, "unknown", found, spares=True)
    of_bytes = judged(result.format, [one for one in result.findings if one.rule != MISNAMED])
    findings = tuple(asdict(one) for one in of_bytes.findings)
    if of_bytes.verdict != "dangerous":
        return Verdict(digest, None, result.content, findings)
    first = of_bytes.findings[0]
    return Verdict(digest, f"{first.rule}: {first.evidence}", result.content, findings)


class _Bytes:
    """The bytes of an object, for the scanners; OutOfTime where the invocation ends first."""

    def __init__(self, deps: Deps, blob: Blob, until: float) -> None:
        self._deps, self._blob, self._until = deps, blob, until

    @property
    def size(self) -> int:
        return self._blob.size

    def read(self, offset: int, length: int) -> bytes:
        if self._deps.clock.monotonic() >= self._until:
            raise OutOfTime
        return self._deps.bucket.read(self._blob.key, self._blob.object_version, offset, length)


# What follows from a verdict


def _settle(judged_scan: Scan, blob: Blob, deps: Deps) -> int:
    """Let a verdict take effect; how many files it has quarantined."""
    verdict = judged_scan.verdict
    assert verdict is not None
    key, mine = blob_key(blob.name, blob.sha256), {"object": blob.object_version}
    if verdict.reason is None:
        deps.store.table.update(
            key,
            "SET verified = :yes, findings = :findings, content = :content",
            when="object_version = :object",
            values={**mine, "yes": True, "findings": list(verdict.findings), "content": verdict.content},
        )
    elif not verdict.spares:
        # The object first: while its row is there, nobody takes it for bytes that no row knows.
        deps.bucket.delete(blob.key, blob.object_version)
        gone.tell(deps.store, blob.name, blob.sha256, blob.object_version)
        deps.store.table.delete(key, when="object_version = :object", values=mine)
    return _settle_files(blob.name, blob.sha256, blob.object_version, verdict, deps)


def _settle_gone(name: str, sha256: str, deps: Deps) -> int:
    """Settle what waits for bytes that no row tells of; how many files it has quarantined.

    A scan that has taken the row away, and died before it told its files, has left its verdict.
    """
    left = scans.kept(deps.store, name, sha256)
    if left is None:
        return _settle_files(name, sha256, None, LOST, deps)
    verdict = left.verdict if left.verdict is not None and left.verdict.reason is not None else LOST
    quarantined = _settle_files(name, sha256, left.object_version, verdict, deps)
    scans.end(deps.store, left)
    return quarantined


def _settle_files(name: str, sha256: str, object_version: str | None, verdict: Verdict, deps: Deps) -> int:
    waiting = list(scans.waiting(deps.store, name, sha256))
    return sum(_settle_file(name, one, object_version, verdict, deps) for one in waiting)


def _settle_file(
    name: str, waiting: tuple[str, str, str], object_version: str | None, verdict: Verdict, deps: Deps
) -> bool:
    """Give a file that waits its state; whether that is QUARANTINED.

    ``object_version`` is the object that the verdict is of. A file that waits for another one is left to that one's
    scan, while there is a row of it; without one its bytes are lost.
    """
    sha256, version, path = waiting
    done = scans.waits_no_more(name, sha256, version, path)

    def attempt() -> tuple[list[Write], bool] | bool:
        file = deps.store.file(name, version, path)
        package, of = deps.store.package_and_version(name, version)
        if file is None or of is None or package is None or file.state is not State.SCANNING:
            return [done], False  # it is gone, or was settled before
        its_own = verdict
        if file.object_version != object_version:
            blob = deps.store.blob(name, sha256)  # read after the file, whose row came with it
            if blob is not None and blob.object_version == file.object_version:
                return False
            its_own = LOST
        now = deps.clock.now()
        after, version_after, told = judge_file(file, of, its_own)
        writes = [
            done,
            stored_file(file, after, now),
            stored_version(of, version_after, now),
            audit.entry(told, "system", name, version, now, {"file": path, "reason": after.reason or ""}),
            *settled(package, of, version_after, now),
        ]
        return writes, after.state is State.QUARANTINED

    return deps.store.settle(attempt)
