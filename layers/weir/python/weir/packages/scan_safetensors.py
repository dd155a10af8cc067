"""safetensors: whether the header says what the format allows, and accounts for every byte after it.

    u64 little-endian N | N bytes of JSON: {name: {dtype, shape, data_offsets: [begin, end]}} | the tensors' bytes

Duplicate keys are not allowed, the tensors follow each other without holes and cover the rest of the file, and the
header has at most 100 MB. It is read piece by piece, one tensor at a time, so that its size makes no difference to the
memory that this takes. https://huggingface.co/docs/safetensors/index#format and the reference implementation's
``Metadata::validate`` (https://github.com/huggingface/safetensors/blob/main/safetensors/src/tensor.rs).
"""

import codecs
import json
from collections.abc import Iterator
from hashlib import blake2b
from typing import Any

from weir.packages.findings import Finding, finding
from weir.packages.reading import KIB, MIB, Ended, Stream, TooMuch

MOST_HEADER = 100_000_000
MOST_ENTRY = 4 * MIB
"""Characters of one entry of the header; of a tensor's some hundred are usual."""

MOST_TENSORS = 1_000_000
_LENGTH = 8
_U64 = 1 << 64
_PIECE = 64 * KIB

_BITS = {
    "F4": 4,
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("I16", "U16", "F16", "BF16"), 16),
    **dict.fromkeys(("I32", "U32", "F32"), 32),
    **dict.fromkeys(("C64", "F64", "I64", "U64"), 64),
}


class _Wrong(Exception):
    def __init__(self, rule: str, evidence: str) -> None:
        super().__init__(evidence)
        self.rule, self.evidence = rule, evidence


def begins_as_safetensors(head: bytes, size: int) -> bool:
    """Whether the first nine bytes are a length that is in the file, and the beginning of an object."""
    return len(head) > _LENGTH and head[_LENGTH : _LENGTH + 1] == b"{" and _length(head) <= size - _LENGTH


def scan(stream: Stream, size: int) -> list[Finding]:
    """The first thing that is wrong with a safetensors file of ``size`` bytes; no findings where nothing is."""
    try:
        _check(stream, size)
    except _Wrong as wrong:
        return [finding(wrong.rule, wrong.evidence)]
    except (Ended, TooMuch, ValueError, RecursionError) as unread:
        return [finding("safetensors-header", f"can't be read: {unread}")]
    return []


def _length(head: bytes) -> int:
    return int.from_bytes(head[:_LENGTH], "little")


def _check(stream: Stream, size: int) -> None:
    if size < _LENGTH:
        raise _Wrong("safetensors-header", f"{size} bytes are too few for the length of a header")
    length = _length(stream.read(_LENGTH))
    if length > MOST_HEADER:
        raise _Wrong("safetensors-header-length", f"{length:,} bytes of header, and {MOST_HEADER:,} are the most")
    if not 2 <= length <= size - _LENGTH:
        raise _Wrong("safetensors-header-length", f"{length:,} bytes of header in a file of {size:,}")
    names: set[bytes] = set()
    spans: list[int] = []
    for name, entry in _entries(_Text(stream, length)):
        digest = blake2b(name.encode("utf-8"), digest_size=16).digest()  # a lone surrogate is a ValueError
        if digest in names:
            raise _Wrong("safetensors-duplicate-key", f"{name!r} is there twice")
        names.add(digest)
        if len(names) > MOST_TENSORS:
            raise _Wrong("safetensors-header", f"more than {MOST_TENSORS:,} tensors")
        if name == "__metadata__":
            _check_metadata(entry)
        else:
            begin, end = _span(name, entry)
            spans.append(begin << 64 | end)
    _check_cover(spans, size - _LENGTH - length)


def _check_metadata(entry: Any) -> None:
    for key, value in entry.items():
        if not isinstance(value, str):
            raise _Wrong("safetensors-metadata", f"{key!r} is no text")
        (key + value).encode("utf-8")


def _span(name: str, entry: Any) -> tuple[int, int]:
    """Where a tensor begins and ends, where its type and shape make as many bytes."""
    dtype, shape, offsets = entry.get("dtype"), entry.get("shape"), entry.get("data_offsets")
    bits = _BITS.get(dtype) if isinstance(dtype, str) else None
    if bits is None:
        raise _Wrong("safetensors-dtype", f"{name!r} is of the type {dtype!r}")
    if not isinstance(shape, list) or not all(type(one) is int for one in shape):
        raise _Wrong("safetensors-shape", f"{name!r} has no list of whole numbers as its shape")
    if not isinstance(offsets, list) or len(offsets) != 2 or not all(type(one) is int for one in offsets):
        raise _Wrong("safetensors-offsets", f"{name!r} has no beginning and end")
    begin, end = offsets
    if begin > end:
        raise _Wrong("safetensors-offsets", f"{name!r} begins at {begin:,} and ends at {end:,}")
    for one in shape:
        bits *= one
        if bits >= _U64:
            raise _Wrong("safetensors-shape", f"{name!r} has more elements than can be counted")
    if bits != (end - begin) * 8:
        raise _Wrong("safetensors-size", f"{name!r} has {end - begin:,} bytes, and {dtype} {shape} makes {bits / 8:,}")
    return begin, end


def _check_cover(spans: list[int], room: int) -> None:
    """Whether the tensors follow each other from the first byte to the last."""
    at = 0
    for span in sorted(spans):
        begin, end = span >> 64, span & _U64 - 1
        if begin < at:
            raise _Wrong("safetensors-overlap", f"a tensor begins at {begin:,}, before {at:,}, where another ends")
        if begin > at:
            raise _Wrong("safetensors-hole", f"no tensor has the bytes from {at:,} to {begin:,}")
        at = end
    if at != room:
        raise _Wrong("safetensors-size", f"the tensors end at {at:,}, and {room:,} bytes are there")


# The header, an entry at a time


class _Text:
    """The header's text, of which what was not used yet is in memory."""

    def __init__(self, stream: Stream, length: int) -> None:
        self._stream, self._left = stream, length
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self.kept, self.at = "", 0

    def more(self) -> bool:
        """Gets as much again as is kept; False at the end."""
        if not self._left:
            return False
        if len(self.kept) - self.at > MOST_ENTRY:
            raise _Wrong("safetensors-header", f"an entry of more than {MOST_ENTRY:,} characters")
        length = min(self._left, max(_PIECE, len(self.kept) - self.at))
        self._left -= length
        piece = self._decoder.decode(self._stream.read(length), final=not self._left)
        self.kept, self.at = self.kept[self.at :] + piece, 0
        return True

    def next(self) -> str:
        """The next character that is no white space, which stays; empty at the end."""
        while True:
            while self.at < len(self.kept):
                if self.kept[self.at] not in " \t\n\r":
                    return self.kept[self.at]
                self.at += 1
            if not self.more():
                return ""

    def take(self, expected: str) -> None:
        if self.next() != expected:
            raise _Wrong("safetensors-header", f"{self.next()!r} where {expected!r} should be")
        self.at += 1

    def value(self, begins: str) -> Any:
        """The JSON value that comes next, which begins, and so ends, with a bracket or a quote."""
        if self.next() != begins:
            raise _Wrong("safetensors-header", f"{self.next()!r} where {begins!r} should be")
        while True:
            try:
                found, self.at = _JSON.raw_decode(self.kept, self.at)
            except json.JSONDecodeError:
                if not self.more():
                    raise
            else:
                return found


def _entries(text: _Text) -> Iterator[tuple[str, Any]]:
    """Names and objects of the header, which is one object and nothing but white space after it."""
    if not text.more() or text.kept[0] != "{":
        raise _Wrong("safetensors-header", "the header does not begin with {")
    text.take("{")
    if text.next() != "}":
        while True:
            name = text.value('"')
            text.take(":")
            yield name, text.value("{")
            if text.next() != ",":
                break
            text.take(",")
    text.take("}")
    if text.next():
        raise _Wrong("safetensors-header", f"{text.next()!r} after the header's end")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Wrong("safetensors-duplicate-key", "a key is there twice in one entry")
    return found


def _whole(digits: str) -> int:
    if digits.startswith("-") or len(digits) > 20 or int(digits) >= _U64:
        raise _Wrong("safetensors-number", f"{digits[:40]} is no number from 0 to 2^64 - 1")
    return int(digits)


def _no_number(text: str) -> Any:
    raise _Wrong("safetensors-number", f"{text[:40]} is no whole number")


_JSON = json.JSONDecoder(object_pairs_hook=_unique, parse_int=_whole, parse_float=_no_number, parse_constant=_no_number)
