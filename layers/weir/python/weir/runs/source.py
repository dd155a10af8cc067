"""Where records come from: generated, given inline, or lines of an S3 object.

A source is read by position, so that a writer that died is followed by one that goes on at the last checkpoint: record
numbers for generated records, line numbers inline, byte offsets in S3. Everything about a record follows from its
position, so that a record that is sent again is the same record.
"""

import json
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from itertools import accumulate
from typing import NamedTuple, Protocol

from weir.runs.models import InlineSource, Keys
from weir.runs.planner import Span
from weir.runtime.errors import Invalid

MAX_LINE_BYTES = 1_000_000
MAX_KEY_CHARACTERS = 256
SAMPLE_BYTES = 1 << 18
_MASK = (1 << 64) - 1
_POOL_BYTES = 1 << 16
_KEPT_NAMES = 1 << 16


class Drawn(NamedTuple):
    """One record of a source: where the next one begins, its partition key, its payload."""

    next_position: int
    key: str
    payload: bytes


class Source(Protocol):
    """Reads a slice's records from a position on."""

    def read(self, position: int) -> Iterator[Drawn]:
        """The records from ``position`` to the end of the slice. SourceUnreadable where a line can't be used."""


class SourceUnreadable(Invalid):
    """A line of the caller's source can't be used; the detail says which and why."""

    slug, title = "source-unreadable", "The source can't be used"


def mix(number: int) -> int:
    """A 64-bit number that looks random and follows from ``number`` alone (SplitMix64's finalizer, Steele 2014)."""
    z = (number * 0x9E3779B97F4A7C15 + 0x9E3779B97F4A7C15) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return z ^ (z >> 31)


def key_chooser(keys: Keys) -> Callable[[int], str]:
    """The partition key of the record at a position, spread as asked."""
    count = keys.count
    if keys.distribution == "single" or count == 1:
        return lambda _: "key-000000"
    name = _names(count)
    if keys.distribution == "uniform":
        return lambda position: name(mix(position) % count)
    edges = list(accumulate(1.0 / (rank**keys.exponent) for rank in range(1, count + 1)))
    scale = edges[-1] / float(1 << 64)
    return lambda position: name(min(count - 1, bisect_left(edges, mix(position) * scale)))


def _names(count: int) -> Callable[[int], str]:
    """Key number to key: from a list where it is small, because a string that is kept knows its hash."""
    if count > _KEPT_NAMES:
        return "key-{:06d}".format
    return [f"key-{index:06d}" for index in range(count)].__getitem__


class Generated:
    """Records made up: payloads are printable text cut from a fixed pool, different from record to record."""

    def __init__(self, span: Span, payload_bytes: int, keys: Keys) -> None:
        self._span = span
        self._size = payload_bytes
        self._key = key_chooser(keys)
        self._pool = _text(_POOL_BYTES + payload_bytes)

    def read(self, position: int) -> Iterator[Drawn]:
        """Records number ``position`` to the end of the span."""
        key, size, pool = self._key, self._size, self._pool
        for number in range(max(position, self._span.start), self._span.end):
            start = (number * 0x9E37) % _POOL_BYTES
            yield Drawn(number + 1, key(number), pool[start : start + size])


class Inline:
    """Lines that came with the spec; ``span`` counts lines."""

    def __init__(self, span: Span, source: InlineSource, keys: Keys) -> None:
        self._span = span
        self._lines = source.lines
        self._key = line_key(source.key_field, keys)

    def read(self, position: int) -> Iterator[Drawn]:
        """Lines number ``position`` to the end of the span."""
        for number in range(max(position, self._span.start), self._span.end):
            payload = self._lines[number].encode()
            yield Drawn(number + 1, self._key(number, payload), payload)


class Lines:
    """Lines of an object in S3; ``span`` counts bytes, and a line belongs to the span in which it begins.

    ``open_at(offset)`` answers the object's bytes from an offset on, in chunks of any size.
    """

    def __init__(
        self, span: Span, open_at: Callable[[int], Iterable[bytes]], key_field: str | None, keys: Keys
    ) -> None:
        self._span = span
        self._open_at = open_at
        self._key = line_key(key_field, keys)

    def read(self, position: int) -> Iterator[Drawn]:
        """The lines that begin at ``position`` or later, within the span."""
        offset = max(position, self._span.start)
        if offset >= self._span.end:
            return
        if offset == 0:
            lines = split_lines(self._open_at(offset))
        else:
            # Begin one byte early: only then can it be told whether a line begins at the very start of the span.
            offset -= 1
            lines = split_lines(self._open_at(offset))
            offset += len(next(lines, b""))
        for line in lines:
            if offset >= self._span.end:
                return
            start, offset = offset, offset + len(line)
            payload = line.rstrip(b"\r\n")
            if payload:
                yield Drawn(offset, self._key(start, payload), payload)


def split_lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Lines with their ends, from chunks of bytes; one line is in memory at a time. SourceUnreadable past 1 MB."""
    rest = b""
    for chunk in chunks:
        parts = (rest + chunk).split(b"\n")
        rest = parts.pop()
        for part in parts:
            if len(part) > MAX_LINE_BYTES:
                raise _too_long()
            yield part + b"\n"
        if len(rest) > MAX_LINE_BYTES:
            raise _too_long()
    if rest:
        yield rest


def records_estimated(chunks: Iterable[bytes], size: int) -> int:
    """How many records an object of ``size`` bytes holds, if it goes on like its first 256 KiB; exact up to those.

    Only as many ``chunks`` of the object, from its beginning, are taken as that needs.
    """
    sample = bytearray()
    for chunk in chunks:
        sample += chunk
        if len(sample) >= SAMPLE_BYTES:
            break
    if len(sample) < size:
        # The last line is cut short; where it is the only one, it is at least as long as the sample.
        del sample[sample.rfind(b"\n") + 1 or len(sample) :]
    records = sum(bool(line.rstrip(b"\r")) for line in sample.split(b"\n"))
    return max(1, round(size * records / len(sample))) if sample else 0


def _too_long() -> SourceUnreadable:
    return SourceUnreadable(f"A line is longer than {MAX_LINE_BYTES} bytes, which no Kinesis record can hold.")


def line_key(key_field: str | None, keys: Keys) -> Callable[[int, bytes], str]:
    """The partition key of a line: a field of its JSON, or spread by position where no field is named."""
    if key_field is None:
        choose = key_chooser(keys)
        return lambda position, _: choose(position)

    def from_field(position: int, line: bytes) -> str:
        try:
            value = json.loads(line)[key_field]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise SourceUnreadable(
                f"The line at {position} has no JSON field {key_field!r} to take the partition key from."
            ) from error
        key = value if isinstance(value, str) else json.dumps(value)
        if not 1 <= len(key) <= MAX_KEY_CHARACTERS:
            raise SourceUnreadable(f"The line at {position}: {key_field!r} must have 1 to 256 characters.")
        try:
            key.encode()
        except UnicodeEncodeError as error:
            raise SourceUnreadable(f"The line at {position}: {key_field!r} holds half a character.") from error
        return key

    return from_field


@lru_cache(maxsize=2)
def _text(size: int) -> bytes:
    """Printable bytes, the same every time; kept, for a warm process writes more than one slice."""
    alphabet = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
    return bytes(alphabet[mix(index) & 63] for index in range(size))
