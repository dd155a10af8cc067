"""The KPL's aggregated record: many user records in one Kinesis record, as the Kinesis Producer Library packs them.

    F3 89 9A C2 | protobuf AggregatedRecord | MD5 of the protobuf, 16 bytes

    message AggregatedRecord {
      repeated string partition_key_table     = 1;
      repeated string explicit_hash_key_table = 2;
      repeated Record records                 = 3;
    }
    message Record {
      required uint64 partition_key_index     = 1;
      optional uint64 explicit_hash_key_index = 2;
      required bytes  data                    = 3;
      repeated Tag    tags                    = 4;
    }

https://github.com/awslabs/amazon-kinesis-producer/blob/master/aggregation-format.md
Written out by hand, because a protobuf runtime takes longer to import than a Lambda may take to start, and makes an
object of every record. A field tag and its varint come from one table look-up.
"""

from collections.abc import Iterable
from hashlib import md5

from weir.streams.entries import Entry

MAGIC = b"\xf3\x89\x9a\xc2"
DIGEST_BYTES = 16
RECORD_OVERHEAD = 20
"""Bytes that the format adds to a user record at most, beside its new key: tags, lengths (< 2**28) and indexes."""

UserRecord = tuple[str, str | None, bytes]
"""Partition key, explicit hash key, data."""

_KEPT = 1 << 16


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


class _Tagged(dict[int, bytes]):
    """Number to field tag and varint, remembered for numbers that come often."""

    def __init__(self, tag: int) -> None:
        super().__init__()
        self._tag = bytes((tag,))

    def __missing__(self, number: int) -> bytes:
        encoded = self._tag + _varint(number)
        if number < _KEPT:
            self[number] = encoded
        return encoded


# A tag is field number << 3 | wire type: 0 varint, 2 length-delimited.
_KEY_TEXT = _Tagged(0x0A)
_HASH_TEXT = _Tagged(0x12)
_KEY_INDEX = _Tagged(0x08)
_HASH_INDEX = _Tagged(0x10)
_LENGTH_3 = _Tagged(0x1A)  # the records of an AggregatedRecord and the data of a Record are both field 3


def aggregate(entries: Iterable[Entry]) -> bytes:
    """The aggregated record of these entries, in their order. The caller keeps it below the stream's record size."""
    keys: dict[str, int] = {}
    hashes: dict[str, int] = {}
    records: list[bytes] = []
    for entry in entries:
        key, data, explicit = entry[0], entry[1], entry[2]
        index = keys.get(key)
        if index is None:
            index = keys[key] = len(keys)
        head = _KEY_INDEX[index]
        if explicit is not None:
            head += _HASH_INDEX[hashes.setdefault(explicit, len(hashes))]
        head += _LENGTH_3[len(data)]
        records += (_LENGTH_3[len(head) + len(data)], head, data)
    body = b"".join((*_table(keys, _KEY_TEXT), *_table(hashes, _HASH_TEXT), *records))
    return MAGIC + body + md5(body, usedforsecurity=False).digest()


def _table(texts: Iterable[str], tagged: _Tagged) -> list[bytes]:
    encoded = [text.encode() for text in texts]
    return [tagged[len(text)] + text for text in encoded]


def is_aggregated(data: bytes) -> bool:
    """Whether a Kinesis record's data carries the magic number and a digest that fits."""
    if not data.startswith(MAGIC) or len(data) <= len(MAGIC) + DIGEST_BYTES:
        return False
    body = memoryview(data)[len(MAGIC) : -DIGEST_BYTES]
    return md5(body, usedforsecurity=False).digest() == data[-DIGEST_BYTES:]


def deaggregate(data: bytes, partition_key: str = "") -> list[UserRecord]:
    """The user records in a Kinesis record's data, in order.

    A record that is not aggregated, or whose digest or protobuf is broken, is a user record itself: what comes back
    is its data, unchanged, under ``partition_key``, the Kinesis record's own.
    """
    if is_aggregated(data):
        try:
            return _parse(data, len(MAGIC), len(data) - DIGEST_BYTES)
        except (ValueError, IndexError):
            pass  # some other format that happens to begin so: the readers of the KCL hand it on as it is, too
    return [(partition_key, None, data)]


def _parse(data: bytes, position: int, end: int) -> list[UserRecord]:
    keys: list[str] = []
    hashes: list[str] = []
    spans: list[tuple[int, int]] = []
    while position < end:
        tag = data[position]
        if tag not in (0x0A, 0x12, 0x1A):
            position = _skip(data, position)
            continue
        length, position = _number(data, position + 1)
        start, position = position, position + length
        if position > end:
            raise ValueError("a field passes the end of the record")
        if tag == 0x1A:
            spans.append((start, position))
        else:
            (keys if tag == 0x0A else hashes).append(data[start:position].decode())
    if position != end:
        raise ValueError("the last field passes the end of the record")
    return [_record(data, start, stop, keys, hashes) for start, stop in spans]


def _record(data: bytes, position: int, end: int, keys: list[str], hashes: list[str]) -> UserRecord:
    key = hash_key = None
    body: bytes | None = None
    while position < end:
        tag = data[position]
        if tag not in (0x08, 0x10, 0x1A):
            position = _skip(data, position)
            continue
        number = data[position + 1]
        position += 2
        if number > 0x7F:
            number, position = _number(data, position - 1)
        if tag == 0x1A:
            body = data[position : position + number]
            position += number
        elif tag == 0x08:
            key = keys[number]
        else:
            hash_key = hashes[number]
    if position != end or key is None or body is None:
        raise ValueError("a record without its key or its data, or longer than it says")
    return key, hash_key, body


def _number(data: bytes, position: int) -> tuple[int, int]:
    """A varint and the position after it."""
    number = shift = 0
    while True:
        byte = data[position]
        position += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, position
        shift += 7
        if shift > 63:
            raise ValueError("a varint of more than ten bytes")


def _skip(data: bytes, position: int) -> int:
    """The position after a field that this reader does not know, such as a record's tags."""
    tag, position = _number(data, position)
    match tag & 7:
        case 0:
            return _number(data, position)[1]
        case 1:
            return position + 8
        case 2:
            length, position = _number(data, position)
            return position + length
        case 5:
            return position + 4
        case other:
            raise ValueError(f"wire type {other} is none of protobuf's")
