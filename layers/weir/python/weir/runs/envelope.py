"""The envelope: 36 bytes before every payload that make each record accountable.

``WEIR`` | run tag (8) | slice (u32) | sequence of its partition key in its slice (u64) | produced (u64, us) | CRC-32

All big-endian. Binary and fixed, because it is packed and read for every record: the payload keeps every byte it came
with, text that looks like base64 included, and a changed byte is found by the CRC.
"""

import hashlib
import struct
import zlib
from typing import NamedTuple

MAGIC = b"WEIR"
_LAYOUT = struct.Struct(">4s8sIQQI")
HEADER_BYTES = _LAYOUT.size
pack = _LAYOUT.pack
unpack_from = _LAYOUT.unpack_from

OWN_BYTES = 12
"""Magic and run tag: what every record of a run begins with."""

unpack_rest = struct.Struct(f">{OWN_BYTES}xIQQI").unpack_from
"""Slice, sequence, produced and CRC of a record's data that is known to begin as the run's own."""


def run_tag(run_id: str) -> bytes:
    """8 bytes that stand for a run id in every record of the run."""
    return hashlib.blake2b(run_id.encode(), digest_size=8).digest()


class Header(NamedTuple):
    """What an envelope says. ``produced_us`` is microseconds since the epoch, ``crc`` that of the payload."""

    tag: bytes
    slice_index: int
    sequence: int
    produced_us: int
    crc: int


def seal(tag: bytes, slice_index: int, sequence: int, produced_us: int, payload: bytes) -> bytes:
    """A record's data: the envelope and the payload."""
    return pack(MAGIC, tag, slice_index, sequence, produced_us, zlib.crc32(payload)) + payload


def read(data: bytes) -> tuple[Header, bytes] | None:
    """Header and payload of a record's data; None where it bears no envelope. The CRC is not checked here."""
    if len(data) < HEADER_BYTES or not data.startswith(MAGIC):
        return None
    _, tag, slice_index, sequence, produced_us, crc = unpack_from(data)
    return Header(tag, slice_index, sequence, produced_us, crc), data[HEADER_BYTES:]
