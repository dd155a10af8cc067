"""The central directory of a ZIP file, read by ranges, with or without ZIP64.

Programs differ in what they make of a ZIP file that says one thing in two ways; where this one does, it is refused
(DirectoryWrong), not interpreted. https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT, sections 4.3 and 4.4.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from weir.packages.reading import MIB, Ended, View, Window

MOST_ENTRIES = 50_000
MOST_DIRECTORY = 32 * MIB

LOCAL_MAGIC, ENTRY_MAGIC, END_MAGIC = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"
_END64_MAGIC, _LOCATOR_MAGIC = b"PK\x06\x06", b"PK\x06\x07"
_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_MOST_COMMENT = 0xFFFF
_U16, _U32 = 0xFFFF, 0xFFFFFFFF
_ZIP64_EXTRA, _UNICODE_PATH_EXTRA = 0x0001, 0x7075

ENCRYPTED = 0x0001 | 0x0040 | 0x2000
"""Flags: encrypted, strongly encrypted, names masked."""

SIZES_FOLLOW, UTF_8 = 0x0008, 0x0800


class DirectoryWrong(Exception):
    """The directory, or a header, is not one that every program reads alike; ``rule`` names what is wrong."""

    def __init__(self, rule: str, evidence: str) -> None:
        super().__init__(evidence)
        self.rule, self.evidence = rule, evidence


class Entry(NamedTuple):
    """An entry of the directory. ``offset`` is its local header's; sizes in bytes; ``mode`` is Unix's, or 0:
    it counts whatever system the archive says that it is from."""

    name: str
    raw_name: bytes
    flags: int
    method: int
    crc: int
    compressed: int
    size: int
    offset: int
    mode: int


class Directory(NamedTuple):
    """Where the directory begins, and the entries that it has, at most MOST_ENTRIES."""

    start: int
    entries: tuple[Entry, ...]


class _End(NamedTuple):
    start: int
    at: int
    size: int
    entries: int


def ends_as_zip(tail: bytes) -> bool:
    """Whether the last bytes of a file are an end of a directory, as programs look for it that read ZIP from behind."""
    at = tail.rfind(END_MAGIC)
    if at < 0 or len(tail) - at < _END.size:
        return False
    return int(_END.unpack_from(tail, at)[-1]) == len(tail) - at - _END.size


def read_directory(window: Window) -> Directory:
    """The directory of a ZIP file.

    Raises
    ------
    DirectoryWrong
        There is none, it is larger than the limits, or something is before or after it that is not the archive's.
    """
    end = _end(window)
    if end.entries > MOST_ENTRIES or end.size > MOST_DIRECTORY:
        raise DirectoryWrong("zip-too-many-entries", f"{end.entries:,} entries in {end.size:,} bytes of directory")
    if end.start + end.size != end.at:
        rule = "zip-prepended-data" if end.start + end.size < end.at else "zip-directory"
        raise DirectoryWrong(rule, f"the directory is said to end at {end.start + end.size:,}, and ends at {end.at:,}")
    try:
        entries = tuple(_entries(View(window, end.start, end.at), end.entries))
    except Ended as ended:
        raise DirectoryWrong("zip-directory", f"the directory breaks off: {ended}") from ended
    return Directory(end.start, entries)


def _end(window: Window) -> _End:
    tail_start = max(0, window.size - _END.size - _MOST_COMMENT)
    tail = window.read(tail_start, window.size - tail_start)
    found = tail.rfind(END_MAGIC)
    if found < 0 or len(tail) - found < _END.size:
        raise DirectoryWrong("zip-directory", "no end of a directory in the last 64 KiB")
    _, disk, first_disk, here, count, size, start, comment = _END.unpack_from(tail, found)
    at = tail_start + found
    if at + _END.size + comment != window.size:
        after = window.size - at - _END.size - comment
        raise DirectoryWrong("zip-appended-data", f"{after:,} bytes follow the end of the directory")
    if disk or first_disk or here != count:
        raise DirectoryWrong("zip-directory", "the archive has several parts")
    if at < _LOCATOR.size or not (located := window.read(at - _LOCATOR.size, _LOCATOR.size)).startswith(_LOCATOR_MAGIC):
        return _End(start, at, size, count)
    return _end64(window, at - _LOCATOR.size, located, (count, size, start))


def _end64(window: Window, at: int, located: bytes, said: tuple[int, int, int]) -> _End:
    """The end as ZIP64 has it, where the old one says the same or nothing."""
    _, disk, record, disks = _LOCATOR.unpack(located)
    found = window.read(record, _END64.size) if record < window.size else b""
    if record + _END64.size != at or disk or disks > 1 or not found.startswith(_END64_MAGIC):
        raise DirectoryWrong("zip-directory", "no ZIP64 end of a directory where it should be")
    _, length, _, _, disk, first_disk, here, count, size, start = _END64.unpack(found)
    if length != _END64.size - 12 or disk or first_disk or here != count:
        raise DirectoryWrong("zip-directory", "a ZIP64 end of a directory in several parts")
    for old, new, unsaid in zip(said, (count, size, start), (_U16, _U32, _U32), strict=True):
        if old not in {new, unsaid}:
            raise DirectoryWrong("zip-directory", f"the directory's end says {old:,}, and in ZIP64 {new:,}")
    return _End(start, record, size, count)


def _entries(view: View, count: int) -> Iterator[Entry]:
    for _ in range(count):
        (magic, _, _, flags, method, _, _, crc, compressed, size, name_length, extra_length, comment_length, disk, _,
         attributes, offset) = _ENTRY.unpack(view.read(_ENTRY.size))  # fmt: skip
        if magic != ENTRY_MAGIC or disk not in {0, _U16}:
            raise DirectoryWrong("zip-directory", f"no entry at {view.tell() - _ENTRY.size:,} of the directory")
        raw_name, extra = view.read(name_length), view.read(extra_length)
        view.skip(comment_length)
        name = _decoded(raw_name, flags)
        size, compressed, offset = _sizes(name, extra, size, compressed, offset)
        _check_unicode_path(name, extra)
        yield Entry(name, raw_name, flags, method, crc, compressed, size, offset, attributes >> 16)
    if not view.ended:
        raise DirectoryWrong("zip-directory", f"bytes follow the {count:,} entries of the directory")


def _decoded(raw: bytes, flags: int) -> str:
    try:
        return raw.decode("utf-8" if flags & UTF_8 else "cp437")
    except UnicodeDecodeError:
        raise DirectoryWrong("zip-path", f"a name that is no text: {raw[:100]!r}") from None


def _extras(name: str, extra: bytes) -> dict[int, bytes]:
    """The extra fields by their number; bytes at the end that are too few for one are padding."""
    found: dict[int, bytes] = {}
    at = 0
    while at + 4 <= len(extra):
        number, length = struct.unpack_from("<2H", extra, at)
        at += 4 + length
        if at > len(extra) or (number in found and number in {_ZIP64_EXTRA, _UNICODE_PATH_EXTRA}):
            raise DirectoryWrong("zip-directory", f"{name!r} has extra fields that can't be read")
        found[number] = extra[at - length : at]
    return found


def _sizes(name: str, extra: bytes, *said: int) -> tuple[int, ...]:
    """Sizes and offset, those from the ZIP64 field that the header leaves to it."""
    if _U32 not in said:
        return said
    wide = _extras(name, extra).get(_ZIP64_EXTRA, b"")
    values = iter(struct.unpack(f"<{len(wide) // 8}Q", wide[: len(wide) // 8 * 8]))
    try:
        return tuple(next(values) if one == _U32 else one for one in said)
    except (StopIteration, RuntimeError):
        raise DirectoryWrong("zip-directory", f"{name!r} has no ZIP64 sizes where it should") from None


def _check_unicode_path(name: str, extra: bytes) -> None:
    """Some programs take the name from an extra field: it must be the same."""
    path = _extras(name, extra).get(_UNICODE_PATH_EXTRA)
    if path is not None and path[5:] != name.encode("utf-8", "surrogatepass"):
        raise DirectoryWrong("zip-header-mismatch", f"{name!r} has another name in an extra field")


def data_span(window: Window, entry: Entry) -> tuple[int, int]:
    """First byte of an entry's data and the one after its last, once its local header says what the directory does.

    Raises
    ------
    DirectoryWrong
        It says something else, or is not there.
    """
    head = window.read(entry.offset, _LOCAL.size) if entry.offset < window.size else b""
    if len(head) < _LOCAL.size or not head.startswith(LOCAL_MAGIC):
        raise DirectoryWrong("zip-header-mismatch", f"{entry.name!r} has no local header at {entry.offset:,}")
    _, _, flags, method, _, _, crc, compressed, size, name_length, extra_length = _LOCAL.unpack(head)
    rest = window.read(entry.offset + _LOCAL.size, name_length + extra_length)
    if len(rest) < name_length + extra_length or rest[:name_length] != entry.raw_name:
        raise DirectoryWrong(
            "zip-header-mismatch", f"{entry.name!r} is {rest[:name_length]!r:.100} in its local header"
        )
    if (flags, method) != (entry.flags, entry.method):
        raise DirectoryWrong("zip-header-mismatch", f"{entry.name!r} has other flags or method in its local header")
    _check_unicode_path(entry.name, rest[name_length:])
    size, compressed = _sizes(entry.name, rest[name_length:], size, compressed)
    unsaid = (0, 0, 0) if flags & SIZES_FOLLOW else None
    if (crc, compressed, size) not in {(entry.crc, entry.compressed, entry.size), unsaid}:
        raise DirectoryWrong("zip-header-mismatch", f"{entry.name!r} has another size or CRC in its local header")
    start = entry.offset + _LOCAL.size + len(rest)
    return start, start + entry.compressed
