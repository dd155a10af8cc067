"""Reading a file by ranges, in bounded memory.

``Ranges`` is all that the scanners know of a file: where its bytes are is an adapter's business. ``Window`` keeps one
stretch of it and counts what it fetches; ``View`` and ``Inflated`` are streams over a part of it. All limits raise
TooMuch; an error of the ``Ranges`` themselves goes through as it came, for it says nothing about the file.
"""

import zlib
from typing import Protocol

KIB, MIB = 1024, 1024 * 1024

LEAST_FETCH, MOST_FETCH = 16 * KIB, 4 * MIB
"""Bytes of one ranged read. Reads that go on where the last ended are doubled from the one to the other."""

MOST_READS = 120_000
"""Ranged reads of one scan: two for every member of the ZIP file with the most members that is scanned."""

MOST_BYTES = 16 * 1024 * MIB
_PIECE = 64 * KIB


class Ranges(Protocol):
    """The bytes of a file of ``size`` bytes. ``read`` gives exactly the bytes asked for, where they are in the file."""

    @property
    def size(self) -> int: ...
    def read(self, offset: int, length: int) -> bytes: ...


class TooMuch(Exception):
    """The file asks for more bytes, reads or steps than a scan has."""


class Ended(Exception):
    """The bytes end before what they announced."""


class Window:
    """A file of which one stretch, of at most MOST_FETCH bytes, is in memory.

    ``failure`` is the error of the ``Ranges``, if there was one.
    """

    def __init__(self, ranges: Ranges, *, most_reads: int = MOST_READS, most_bytes: int = MOST_BYTES) -> None:
        self.size = ranges.size
        self.failure: Exception | None = None
        self._ranges = ranges
        self._reads_left = most_reads
        self._bytes_left = most_bytes
        self._start, self._kept = 0, b""
        self._fetch = LEAST_FETCH

    def read(self, offset: int, length: int) -> bytes:
        """Up to ``length`` bytes, at most MOST_FETCH; fewer at the end of the file alone."""
        if length > MOST_FETCH:
            raise TooMuch(f"{length:,} bytes at once")
        length = min(length, self.size - offset)
        if length <= 0:
            return b""
        if not self._start <= offset <= offset + length <= self._start + len(self._kept):
            self._fill(offset, length)
        at = offset - self._start
        return self._kept[at : at + length]

    def _fill(self, offset: int, length: int) -> None:
        goes_on = self._start < offset <= self._start + len(self._kept)
        self._fetch = min(self._fetch * 2, MOST_FETCH) if goes_on else LEAST_FETCH
        wanted = min(max(length, self._fetch), self.size - offset)
        if self._reads_left < 1 or wanted > self._bytes_left:
            raise TooMuch("more reads of the file than a scan has")
        self._reads_left -= 1
        self._bytes_left -= wanted
        try:
            kept = self._ranges.read(offset, wanted)
        except Exception as failure:
            self.failure = failure
            raise
        if len(kept) != wanted:
            self.failure = OSError(f"{len(kept)} bytes came where {wanted} at {offset} were asked for")
            raise self.failure
        self._start, self._kept = offset, kept


class Stream:
    """Bytes from front to back; what a scanner that needs no more than that reads."""

    def __init__(self) -> None:
        self._buffer, self._at, self._before = b"", 0, 0

    def _more(self) -> bytes:
        """The next bytes, some KiB; none at the end."""
        raise NotImplementedError

    def tell(self) -> int:
        """How many bytes have been read or skipped."""
        return self._before + self._at

    def read(self, length: int) -> bytes:
        """Exactly ``length`` bytes, at most MOST_FETCH. Raises Ended where there are fewer, and reads none."""
        if len(self._buffer) - self._at < length and len(self.peek(length)) < length:
            raise Ended(f"{length:,} bytes are announced at {self.tell():,}, and fewer are there")
        found = self._buffer[self._at : self._at + length]
        self._at += length
        return found

    def peek(self, length: int) -> bytes:
        """Up to ``length`` bytes, at most MOST_FETCH, which stay unread; fewer at the end alone."""
        if length > MOST_FETCH:
            raise TooMuch(f"{length:,} bytes at once")
        if len(self._buffer) - self._at < length:
            pieces = [self._buffer[self._at :]]
            missing = length - len(pieces[0])
            while missing > 0 and (piece := self._more()):
                pieces.append(piece)
                missing -= len(piece)
            self._before += self._at
            self._buffer, self._at = b"".join(pieces), 0
        return self._buffer[self._at : self._at + length]

    def line(self, most: int) -> bytes:
        """What comes before the next newline, of which ``most`` bytes are kept. Raises Ended where there is none."""
        kept = b""
        while (end := self._buffer.find(b"\n", self._at)) < 0:
            kept += self._buffer[self._at : self._at + most - len(kept)]
            self._at = len(self._buffer)
            if not self.peek(1):
                raise Ended(f"the line that ends at {self.tell():,} has no newline")
        kept += self._buffer[self._at : min(end, self._at + most - len(kept))]
        self._at = end + 1
        return kept

    def skip(self, length: int) -> None:
        """Goes on ``length`` bytes further. Raises Ended where there are fewer."""
        while length > 0:
            step = min(length, _PIECE)
            self.read(step)
            length -= step

    @property
    def ended(self) -> bool:
        """Whether all was read."""
        return self._at == len(self._buffer) and not self.peek(1)


class View(Stream):
    """The bytes from ``start`` to ``end`` of a file; what is skipped is not fetched."""

    def __init__(self, window: Window, start: int = 0, end: int | None = None) -> None:
        super().__init__()
        self._window = window
        self._next = start
        self._end = window.size if end is None else min(end, window.size)

    def _more(self) -> bytes:
        found = self._window.read(self._next, max(0, min(_PIECE, self._end - self._next)))
        self._next += len(found)
        return found

    def skip(self, length: int) -> None:
        kept = len(self._buffer) - self._at
        if length <= kept:
            self._at += length
            return
        beyond = length - kept
        if beyond > self._end - self._next:
            raise Ended(f"{length:,} bytes are announced at {self.tell():,}, and fewer are there")
        self._before += self._at + length
        self._buffer, self._at = b"", 0
        self._next += beyond


class Inflated(Stream):
    """What deflated bytes hold. More than ``most`` bytes of it raise TooMuch, before they are in memory."""

    def __init__(self, deflated: Stream, most: int) -> None:
        super().__init__()
        self._deflated = deflated
        self._left = most
        self._inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        self._input = b""

    def _more(self) -> bytes:
        while not self._inflater.eof:
            if not self._input:
                self._input = self._deflated.peek(16 * KIB)
                self._deflated.skip(len(self._input))
            found = self._inflater.decompress(self._input, _PIECE)
            stuck = not self._input and not found
            self._input = self._inflater.unconsumed_tail
            self._left -= len(found)
            if self._left < 0:
                raise TooMuch("more bytes come out than are allowed")
            if found:
                return found
            if stuck:
                raise Ended("the deflated bytes break off")
        return b""

    @property
    def complete(self) -> bool:
        """Whether the deflated bytes have ended where they should: at their end marker, with nothing after it."""
        return self._inflater.eof and not self._inflater.unused_data and self._deflated.ended


class Held(Stream):
    """Bytes that are in memory already."""

    def __init__(self, held: bytes) -> None:
        super().__init__()
        self._buffer = held

    def _more(self) -> bytes:
        return b""
