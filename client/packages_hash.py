"""SHA-256 of files: of the whole and of each part of an upload, in one reading.

The two run side by side, for hashlib lets go of the interpreter's lock. A part is as large as the registry's documents
say, max(8 MiB, size / 10,000 in whole MiB), so that it can be hashed before the registry is asked for anything; where
the registry's answer says otherwise, that counts.
"""

import base64
import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from client.packages_storage import BUFFER, Moved

__all__ = ["Changed", "Hashed", "hash_file", "hash_range", "hash_whole", "part_range", "usual_part_size"]

_MIB = 1024 * 1024
_CHUNK = 2 * _MIB
_MOST_PARTS = 10_000
_LEAST_PART = 8 * _MIB


class Changed(Exception):
    """A file is not what it was a moment ago."""


@dataclass(frozen=True, slots=True)
class Hashed:
    """A file of ``size`` bytes: its SHA-256 in hex, and that of each part in base64, as S3 writes them."""

    size: int
    sha256: str
    part_size: int
    parts: tuple[str, ...]


def usual_part_size(size: int) -> int:
    """Bytes of each part but the last."""
    needed = -(-size // _MOST_PARTS)
    return max(_LEAST_PART, -(-needed // _MIB) * _MIB)


def part_range(size: int, part_size: int, number: int) -> tuple[int, int]:
    """First byte and length of part ``number``, from 1; an empty file has one part, which is empty."""
    start = (number - 1) * part_size
    return start, min(part_size, size - start)


def hash_file(path: Path, moved: Moved, part_size: int | None = None) -> Hashed:
    """Hash a file. Changed where somebody writes it meanwhile; OSError where it can't be read."""
    with path.open("rb", buffering=0) as file, ThreadPoolExecutor(2, "hash") as pool:
        before = os.fstat(file.fileno())
        size = before.st_size
        each = part_size or usual_part_size(size)
        whole, parts = hashlib.sha256(), []
        buffers = tuple(memoryview(bytearray(min(_CHUNK, size))) for _ in range(2))
        for start in range(0, max(size, 1), each):
            part = hashlib.sha256() if size > each else whole  # a file of one part is hashed once
            _hash_piece(file.fileno(), start, min(start + each, size), whole, part, buffers, pool, moved)
            parts.append(part)
        after = os.fstat(file.fileno())
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise Changed(f"{path} changed while it was read: nothing was pushed of it.")
    return Hashed(size, whole.hexdigest(), each, tuple(base64.b64encode(one.digest()).decode() for one in parts))


def hash_whole(path: Path, moved: Moved) -> str:
    """SHA-256 of a file, in hex. OSError where it can't be read."""
    whole, view = hashlib.sha256(), memoryview(bytearray(BUFFER))
    with path.open("rb", buffering=0) as file:
        while got := file.readinto(view):
            whole.update(view[:got])
            moved(got)
    return whole.hexdigest()


def hash_range(file: int, start: int, length: int, whole: "hashlib._Hash", view: memoryview) -> None:
    """Let a hash go on with a piece of an open file, read into ``view``. Changed where the file is shorter."""
    end = start + length
    while start < end:
        got = os.preadv(file, [view[: min(len(view), end - start)]], start)
        if not got:
            raise Changed("A file became shorter while it was read.")
        whole.update(view[:got])
        start += got


def _hash_piece(
    file: int,
    start: int,
    end: int,
    whole: "hashlib._Hash",
    part: "hashlib._Hash",
    buffers: Sequence[memoryview],
    pool: ThreadPoolExecutor,
    moved: Moved,
) -> None:
    """A part's bytes into both hashes, while the next are read."""
    views: Future[memoryview] = pool.submit(_read, file, start, end, buffers[0])
    turn = 0
    while start < end:
        view = views.result()
        turn ^= 1
        start += len(view)
        views = pool.submit(_read, file, start, end, buffers[turn])
        beside = pool.submit(part.update, view) if part is not whole else None
        whole.update(view)
        if beside is not None:
            beside.result()
        moved(len(view))
    views.result()


def _read(file: int, start: int, end: int, buffer: memoryview) -> memoryview:
    """As many bytes as the buffer holds; none at the end."""
    if start >= end:
        return buffer[:0]
    got = os.preadv(file, [buffer[: min(len(buffer), end - start)]], start)
    if not got:
        raise Changed("A file became shorter while it was read.")
    return buffer[:got]
