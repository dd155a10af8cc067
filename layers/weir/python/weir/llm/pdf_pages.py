"""How many pages a PDF has, without reading more of it than its objects' marks.

A page is an object of ``/Type /Page``, and the root of the tree of pages tells their ``/Count``
(ISO 32000-1, 7.7.3). Both may be in compressed object streams (7.5.7), which are inflated for that. Where none is
found, as in an encrypted file, the number is not known.
"""

import binascii
import re
import zlib
from base64 import b64decode

_MOST_STREAMS = 512
_MOST_INFLATED = 4 * 1024 * 1024
"""Bytes in all: a file that unfolds further has not its pages counted."""

_PAGE = re.compile(rb"/Type\s*/Page(?![A-Za-z])")
_COUNT = re.compile(rb"/Count\s+(\d{1,6})\b")
_OBJECTS = re.compile(rb"/Type\s*/ObjStm\b")
_STREAM = re.compile(rb"stream\r?\n")


def count_base64(data: str) -> int | None:
    """The pages of a PDF in base64; None where they can't be known."""
    try:
        raw = b64decode(data)
    except (binascii.Error, ValueError):
        return None
    return count(raw)


def count(raw: bytes) -> int | None:
    """The pages of a PDF; None where they can't be known."""
    if b"/Encrypt" in raw:
        return None
    parts = [raw]
    left = _MOST_INFLATED
    for number, found in enumerate(_OBJECTS.finditer(raw)):
        begin = _STREAM.search(raw, found.end())
        if begin is None or number == _MOST_STREAMS:
            return None
        try:
            inflated = zlib.decompressobj().decompress(raw[begin.end() :], left)
        except zlib.error:
            return None
        left -= len(inflated)
        if left <= 0:
            return None
        parts.append(inflated)
    pages = sum(len(_PAGE.findall(part)) for part in parts)
    counts = [int(text) for part in parts for text in _COUNT.findall(part)]
    return max([pages, *counts]) or None
