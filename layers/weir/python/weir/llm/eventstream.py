"""The framing ``application/vnd.amazon.eventstream``, decoded as its bytes come, and written.

    u32 total length | u32 length of headers | u32 CRC of these 8 bytes | headers | payload | u32 CRC of all before

Big-endian, CRC-32 (IEEE); a header is its name's length (u8), its name, a type (u8) and a value.
https://docs.aws.amazon.com/AmazonS3/latest/API/RESTSelectObjectAppendix.html and
https://smithy.io/2.0/aws/amazon-eventstream.html, whose limits are kept: 128 KB of headers, 24 MB of payload.
"""

import struct
from collections.abc import Mapping
from typing import NamedTuple
from zlib import crc32

from weir.llm.sse import BrokenStream

CONTENT_TYPE = "application/vnd.amazon.eventstream"
MOST_HEADERS = 128 * 1024
MOST_PAYLOAD = 24 * 1024 * 1024

_PRELUDE = 12
_CRC = 4
_STRING = 7
_FIXED = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}  # bytes of a value by its type
_SIZED = (6, 7)  # byte array, string: u16 length first


class Frame(NamedTuple):
    """One message: its headers that are strings (all that AWS sends), and its payload."""

    headers: dict[str, str]
    payload: bytes

    @property
    def event(self) -> str:
        """``:event-type``, such as ``chunk`` or ``metadata``; empty for an exception."""
        return self.headers.get(":event-type", "")

    @property
    def exception(self) -> str:
        """``:exception-type`` (or ``:error-code``), such as ``throttlingException``; empty for an event."""
        return self.headers.get(":exception-type", self.headers.get(":error-code", ""))


class EventStreamDecoder:
    """Fed with bytes as they come; answers the frames that are whole."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, chunk: bytes) -> list[Frame]:
        """The frames that end in ``chunk``; those before one that is broken, which the next call then tells.

        Raises
        ------
        BrokenStream
            A checksum or a length is wrong.
        """
        self._rest += chunk
        frames: list[Frame] = []
        try:
            while (frame := self._next()) is not None:
                frames.append(frame)
        except BrokenStream:
            if not frames:
                raise
        return frames

    def _next(self) -> Frame | None:
        if len(self._rest) < _PRELUDE:
            return None
        total, headers, crc = struct.unpack_from(">III", self._rest)
        _check_prelude(total, headers, crc, bytes(self._rest[:8]))
        if len(self._rest) < total:
            return None
        frame = _frame(bytes(self._rest[:total]), headers)
        del self._rest[:total]
        return frame


def encode(headers: Mapping[str, str], payload: bytes) -> bytes:
    """One frame with string headers."""
    written = b"".join(
        struct.pack(">B", len(name.encode())) + name.encode() + struct.pack(">BH", _STRING, len(value.encode()))
        + value.encode()
        for name, value in headers.items()
    )  # fmt: skip
    prelude = struct.pack(">II", _PRELUDE + len(written) + len(payload) + _CRC, len(written))
    message = prelude + struct.pack(">I", crc32(prelude)) + written + payload
    return message + struct.pack(">I", crc32(message))


def encode_event(name: str, payload: bytes) -> bytes:
    """An event as Bedrock sends it."""
    return encode(
        {":event-type": name, ":content-type": "application/json", ":message-type": "event"}, payload
    )  # fmt: skip


def encode_exception(name: str, payload: bytes) -> bytes:
    """An exception in mid-stream as Bedrock sends it; ``name`` as in the service's model: ``throttlingException``."""
    return encode(
        {":exception-type": name, ":content-type": "application/json", ":message-type": "exception"}, payload
    )  # fmt: skip


def _check_prelude(total: int, headers: int, crc: int, prelude: bytes) -> None:
    if crc32(prelude) != crc:
        raise BrokenStream("the checksum of a frame's prelude is wrong")
    if headers > MOST_HEADERS or not 0 <= total - headers - _PRELUDE - _CRC <= MOST_PAYLOAD:
        raise BrokenStream("a frame's lengths are wrong")


def _frame(message: bytes, headers: int) -> Frame:
    if crc32(message[:-_CRC]) != int.from_bytes(message[-_CRC:]):
        raise BrokenStream("the checksum of a frame is wrong")
    end = _PRELUDE + headers
    return Frame(_headers(message[_PRELUDE:end]), message[end:-_CRC])


def _headers(raw: bytes) -> dict[str, str]:
    found, at = {}, 0
    try:
        while at < len(raw):
            name_end = at + 1 + raw[at]
            name, kind, at = raw[at + 1 : name_end].decode(), raw[name_end], name_end + 1
            if kind in _SIZED:
                size = int.from_bytes(raw[at : at + 2])
                at += 2
            else:
                size = _FIXED[kind]
            if at + size > len(raw):
                raise BrokenStream("a header runs out of its frame")
            if kind == _STRING:
                found[name] = raw[at : at + size].decode()
            at += size
    except (IndexError, KeyError, UnicodeDecodeError) as error:
        raise BrokenStream("a frame's headers can't be read") from error
    return found
