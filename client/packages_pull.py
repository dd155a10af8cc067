"""``weir packages pull``: files come in ranges into ``<name>.part``, and get their name once their SHA-256 is right.

Beside it ``<name>.part.journal`` tells which ranges are there, for the pull that comes after one that was killed. It is
believed only so far: all bytes are read back and hashed before the file is renamed, whoever wrote them.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from client.packages_api import FileLink, Registry
from client.packages_crew import Crew
from client.packages_hash import hash_range
from client.packages_paths import Folder, PathRefused, Spot, checked
from client.packages_storage import BUFFER, Gone, StorageRefused

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows: the other commands need none of this
    fcntl = None  # type: ignore[assignment]

__all__ = ["Mismatch", "NotServed", "pull", "wanted_files"]

Json = dict[str, Any]

RANGE = 8 * 1024 * 1024
_PART, _JOURNAL = ".part", ".part.journal"


class Mismatch(Exception):
    """The bytes are not those that were published: the file was not put in its place."""


class NotServed(Exception):
    """The version can't be pulled, or not so."""


def wanted_files(version: Mapping[str, Any], paths: Sequence[str] = ()) -> list[Json]:
    """The files of a version to pull, all unless some are named. NotServed; PathRefused for a path that leads away."""
    about = f"{version['name']} {version['version']}"
    if version["state"] != "AVAILABLE":
        reason = f" ({version['reason']})" if version.get("reason") else ""
        raise NotServed(f"{about} is {version['state']}{reason}: only what is AVAILABLE is served.")
    files: dict[str, Json] = {one["path"]: one for one in version["files"]}
    unknown = sorted(set(paths) - set(files))
    if unknown:
        raise NotServed(f"{about} has no file {unknown[0]!r}.")
    for path in files:
        checked(path)
        beside = next((path + suffix for suffix in (_PART, _JOURNAL) if path + suffix in files), None)
        if beside:
            raise PathRefused(f"{about} holds {beside!r}, which is where {path!r} is pulled to.")
    return [files[path] for path in sorted(set(paths) or files)]


def pull(registry: Registry, crew: Crew, version: Mapping[str, Any], files: Sequence[Json], folder: Folder) -> None:
    """Pull files of a version into a folder. What is there already, with the right SHA-256, stays as it is.

    Raises
    ------
    Mismatch
        Bytes that are not those that were published; nothing of them is left.
    StorageRefused, PathRefused, NotServed
        From the storage and the disk; from paths and from what is in their way; another pull at work there.
    ApiError, Unreachable
        From the registry.
    """
    crew.told.begin("Pulling", sum(one["size"] for one in files))
    crew.each(partial(_pull_file, registry, crew, version, folder), files)


def _pull_file(registry: Registry, crew: Crew, version: Mapping[str, Any], folder: Folder, declared: Json) -> None:
    with folder.spot(declared["path"]) as spot:
        if spot.size() == declared["size"] and _is_here(spot, declared):
            crew.moved(declared["size"])
            return
        link = FileLink(partial(_described, registry, version, declared))
        if declared["size"]:
            link.link()  # before anything is made on the disk: it may be refused
        for _ in range(2):
            with _claimed(spot, declared["path"]) as part:
                journal = _Journal(spot, part, declared)
                try:
                    digest = _fill(crew, link, part, journal, declared)
                finally:
                    journal.close()
                if digest == declared["sha256"]:
                    os.fsync(part)
                    spot.put_in_place(_PART)
                    spot.remove(_JOURNAL)
                    return
                spot.remove(_PART)
                spot.remove(_JOURNAL)
            if not journal.resumed:
                break
            crew.moved(-declared["size"])  # what an earlier pull left was damaged: once more, from nothing
    raise Mismatch(
        f"{declared['path']} came with the SHA-256 {digest}, and {declared['sha256']} was published: it was deleted."
    )


def _fill(crew: Crew, link: FileLink, part: int, journal: "_Journal", declared: Json) -> str:
    """Get what is missing of a file, and hash all of it from the disk, behind what comes; the SHA-256 in hex."""
    size = declared["size"]
    whole, view = hashlib.sha256(), memoryview(bytearray(min(BUFFER, max(size, 1))))

    def fetch(number: int) -> tuple[int, int]:
        start = number * RANGE
        length = min(RANGE, size - start)
        if number in journal.done:
            crew.moved(length)
        else:
            get = partial(crew.storage.get, file=part, start=start, length=length, moved=crew.moved)
            crew.tried(get, link.link)
            journal.add(number)
        return start, length

    try:
        for start, length in crew.in_order(fetch, range(-(-size // RANGE))):
            hash_range(part, start, length, whole, view)
    except Gone as error:
        raise StorageRefused(f"{declared['path']} is no longer there. {error}") from error
    return whole.hexdigest()


def _described(registry: Registry, version: Mapping[str, Any], declared: Json) -> Json:
    """Where a file is, and that it is still the one which the version declares."""
    found = registry.download(version["name"], version["version"], declared["path"])
    if (found["size"], found["sha256"]) != (declared["size"], declared["sha256"]):
        raise Mismatch(f"{declared['path']}: the registry offers another file than the version declares.")
    return found


def _is_here(spot: Spot, declared: Json) -> bool:
    file = spot.open(os.O_RDONLY)
    try:
        whole, view = hashlib.sha256(), memoryview(bytearray(BUFFER))
        hash_range(file, 0, declared["size"], whole, view)
    finally:
        os.close(file)
    return whole.hexdigest() == str(declared["sha256"])


@contextmanager
def _claimed(spot: Spot, path: str) -> Iterator[int]:
    """The ``.part`` of a file, open and for this process alone."""
    while True:
        file = spot.open(os.O_RDWR | os.O_CREAT, _PART)
        try:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise NotServed(f"Another pull is at work on {path}: it can't be pulled twice at once.") from error
            if spot.is_still(file, _PART):  # else the other pull has just renamed it
                yield file
                return
        finally:
            os.close(file)


class _Journal:
    """Which ranges of a ``.part`` are on the disk. A line each, written when the range is whole.

    A journal of other bytes, or of a ``.part`` that is not as large as the file, counts for nothing: both begin anew.
    """

    def __init__(self, spot: Spot, part: int, declared: Json) -> None:
        self._file = spot.open(os.O_RDWR | os.O_CREAT | os.O_APPEND, _JOURNAL)
        head = json.dumps([declared["sha256"], declared["size"], RANGE]).encode() + b"\n"
        kept = os.pread(self._file, os.fstat(self._file).st_size, 0)
        if kept.startswith(head) and os.fstat(part).st_size == declared["size"]:
            # The last line may be half of one.
            lines = kept[len(head) : kept.rfind(b"\n")].split(b"\n")
            self.done = {int(line) for line in lines if line.isdigit()}
        else:
            self.done = set()
            os.ftruncate(self._file, 0)
            os.write(self._file, head)
            os.ftruncate(part, 0)
            os.ftruncate(part, declared["size"])
        self.resumed = bool(self.done)

    def add(self, number: int) -> None:
        """A range is whole. Whole lines only, from any thread (O_APPEND)."""
        os.write(self._file, b"%d\n" % number)

    def close(self) -> None:
        """Give the descriptor back."""
        os.close(self._file)
