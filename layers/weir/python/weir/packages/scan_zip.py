"""ZIP files: whether one can be unpacked without harm, and what its members hold.

The rules are those of which unpackers have been broken: names that leave the folder, symbolic links, members that lie
over each other or swell out of proportion, data that belongs to no member, and headers that contradict the directory,
so that one program sees what another does not (https://www.bamsoftware.com/hacks/zipbomb/,
https://snyk.io/research/zip-slip-vulnerability). A member's CRC is not checked: PyTorch reads members whose CRC is
wrong, and so does this. Archives in an archive are named and not opened.
"""

import re
import stat
import zlib
from collections.abc import Callable, Iterator

from weir.packages.findings import Finding, finding
from weir.packages.reading import KIB, MIB, Ended, Inflated, Stream, TooMuch, View, Window
from weir.packages.zip_directory import (
    ENCRYPTED,
    SIZES_FOLLOW,
    Directory,
    DirectoryWrong,
    Entry,
    data_span,
    read_directory,
)

STORED, DEFLATED = 0, 8

MOST_RATIO, RATIO_FROM = 200, 16 * MIB
"""Bytes out of one byte, of members of more than RATIO_FROM bytes."""

MOST_TOTAL_RATIO, TOTAL_FROM = 100, 1024 * MIB
"""The same of all members together."""

MOST_INFLATED = 256 * MIB
"""Bytes that are inflated in one scan, to see that members are as large as they say."""

_PIECE = 64 * KIB
_DESCRIPTORS = frozenset({0, 12, 16, 20, 24})
"""Bytes that may follow the data where sizes do: CRC and two sizes, of 4 or 8 bytes, with a signature or without.
None after an empty member of PyTorch's."""

_DRIVE = re.compile(r"[A-Za-z]:")
_LINK_KINDS = {stat.S_IFLNK: "a symbolic link", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}
_LINK_KINDS |= {stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}

Inspect = Callable[[str, Stream, int], list[Finding]]
"""Findings of a member by name, bytes and size."""


def scan(window: Window, inspect: Inspect) -> tuple[list[Finding], tuple[str, ...]]:
    """Findings of an archive and its members, and the members' names as far as they could be read."""
    findings: list[Finding] = []
    names: tuple[str, ...] = ()
    try:
        directory = read_directory(window)
        names = tuple(one.name for one in directory.entries)
        findings += _listed(directory.entries, window.size)
        for one in _walked(window, directory, inspect):
            findings.append(one)  # what was found before the walk ends in an error counts
    except DirectoryWrong as wrong:
        findings.append(finding(wrong.rule, wrong.evidence))
    return findings, names


# What the directory says


def _listed(entries: tuple[Entry, ...], archive: int) -> Iterator[Finding]:
    """What is wrong with entries that needs no look at their bytes; ``archive`` is the file's size."""
    seen: set[str] = set()
    for entry in entries:
        if problem := path_problem(entry.name):
            yield finding("zip-path", f"{entry.name!r} {problem}")
        if entry.name.rstrip("/") in seen:
            yield finding("zip-duplicate-name", f"{entry.name!r} is there twice")
        seen.add(entry.name.rstrip("/"))
        if kind := _LINK_KINDS.get(stat.S_IFMT(entry.mode)):
            yield finding("zip-link", f"{entry.name!r} is {kind}")
        if entry.flags & ENCRYPTED:
            yield finding("zip-encrypted", f"{entry.name!r} is encrypted")
        if _swells(entry):
            yield finding("zip-bomb", f"{entry.name!r} makes {entry.size:,} bytes out of {entry.compressed:,}")
    total = sum(entry.size for entry in entries)
    if total > TOTAL_FROM and total > MOST_TOTAL_RATIO * archive:
        yield finding("zip-bomb", f"{total:,} bytes come out of {archive:,}")


def _swells(entry: Entry) -> bool:
    return entry.size > max(RATIO_FROM, MOST_RATIO * entry.compressed)


def path_problem(name: str) -> str | None:
    """Why a member's name must not be written to a disk; None where it may."""
    if not name.strip("/"):
        return "is empty"
    if name.startswith("/"):
        return "is absolute"
    if _DRIVE.match(name):
        return "begins with a drive"
    if "\\" in name:
        return "has a backslash, which is a separator to some"
    if any(one in {"..", "."} for one in name.split("/")):
        return "has a segment . or .."
    if not name.isprintable():
        return "has characters that are not shown"
    return None


def _walked(window: Window, directory: Directory, inspect: Inspect) -> Iterator[Finding]:
    """Findings of the members, in the order of their places, as long as headers and data lie one after another."""
    before: Entry | None = None
    end = 0
    to_inspect, to_measure = MOST_INFLATED, MOST_INFLATED
    for entry in sorted(directory.entries, key=lambda one: one.offset):
        _check_gap(before, end, entry.offset)
        start, end = data_span(window, entry)
        before = entry
        if entry.flags & ENCRYPTED:
            continue
        if entry.method == STORED:
            yield from _stored(View(window, start, end), entry, inspect)
        elif entry.method == DEFLATED:
            found, inflated = _inspected(View(window, start, end), entry, inspect, to_inspect)
            yield from found
            to_inspect -= inflated
            if _swells(entry):
                continue
            found, inflated = _measured(View(window, start, end), entry, to_measure)
            yield from found
            to_measure -= inflated
        else:
            yield finding("zip-method", f"{entry.name!r} is compressed by method {entry.method}")
    _check_gap(before, end, directory.start)


def _check_gap(before: Entry | None, end: int, following: int) -> None:
    """Whether nothing is between one member and what follows it but the sizes that it may have there."""
    if before is None:
        if following > 0:
            raise DirectoryWrong("zip-prepended-data", f"{following:,} bytes before the first member")
    elif end > following:
        raise DirectoryWrong("zip-overlap", f"{before.name!r} ends at {end:,}, and {following:,} is not its own")
    elif following - end not in (_DESCRIPTORS if before.flags & SIZES_FOLLOW else {0}):
        raise DirectoryWrong("zip-hidden-data", f"{following - end:,} bytes after {before.name!r} are no member's")


# What members hold


def _stored(data: View, entry: Entry, inspect: Inspect) -> list[Finding]:
    if entry.size != entry.compressed:
        return [finding("zip-size", f"{entry.name!r} is stored, and has two sizes")]
    return inspect(entry.name, data, entry.size) if entry.size else []


def _inspected(data: View, entry: Entry, inspect: Inspect, left: int) -> tuple[list[Finding], int]:
    """Findings of a deflated member, and how many bytes of the ``left`` that may be were inflated."""
    if not entry.size:
        return [], 0
    inflated = Inflated(data, min(entry.size, left))
    try:
        return inspect(entry.name, inflated, entry.size), inflated.tell() + _PIECE
    except TooMuch:
        return [finding("zip-too-much", f"{entry.name!r} is not looked into: too much to inflate")], left
    except (Ended, zlib.error) as wrong:
        return [finding("zip-data", f"{entry.name!r} can't be inflated: {wrong}")], inflated.tell() + _PIECE


def _measured(data: View, entry: Entry, left: int) -> tuple[list[Finding], int]:
    """Whether a deflated member is as large as it says, where that many bytes are ``left`` to be inflated."""
    if entry.size > left:
        return [finding("not-inflated", f"whether {entry.name!r} is {entry.size:,} bytes was not seen")], 0
    inflated = Inflated(data, entry.size)
    try:
        while piece := inflated.peek(_PIECE):
            inflated.skip(len(piece))
        if inflated.tell() == entry.size and inflated.complete:
            return [], entry.size
        return [finding("zip-size", f"{entry.name!r} has {inflated.tell():,} bytes, not {entry.size:,}")], entry.size
    except TooMuch:
        return [finding("zip-size", f"{entry.name!r} has more than the {entry.size:,} bytes that it says")], entry.size
    except (Ended, zlib.error) as wrong:
        return [finding("zip-data", f"{entry.name!r} can't be inflated: {wrong}")], entry.size
