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

from collections.abc import Sequence
from hashlib import md5
from itertools import islice
from math import inf

from weir.streams.entries import Entry

MAGIC = b"\xf3\x89\x9a\xc2"
DIGEST_BYTES = 16
RECORD_OVERHEAD = 20
"""Bytes that the format adds to a user record and its keys at most: tags, lengths and indexes below 2**21."""

UserRecord = tuple[str, str | None, bytes]
"""Partition key, explicit hash key, data."""

_LARGEST_KEY_BYTES = 1024  # 256 characters; room kept free, so that a record's key needs no look before it is taken
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
_KEY_INDEX = _Tagged(0x08)
_HASH_INDEX = _Tagged(0x10)
_LENGTH_3 = _Tagged(0x1A)  # the records of an AggregatedRecord and the data of a Record are both field 3


class _Texts(dict[str, bytes]):
    """Key to its entry in one of the tables, remembered, because the same keys come in every aggregate."""

    def __init__(self, tag: int) -> None:
        super().__init__()
        self._lengths = _Tagged(tag)

    def __missing__(self, text: str) -> bytes:
        if len(self) >= _KEPT:
            self.clear()
        encoded = text.encode()
        entry = self[text] = self._lengths[len(encoded)] + encoded
        return entry


_KEYS = _Texts(0x0A)
_HASHES = _Texts(0x12)


class Aggregate:
    """An aggregated record that is being filled, up to about ``most`` bytes."""

    __slots__ = ("_hashes", "_heads", "_left", "_pieces", "entries")

    def __init__(self, most: float = inf) -> None:
        self._heads: dict[str, bytes] = {}  # key to the tag and index that each of its records begins with
        self._hashes: dict[str, int] = {}
        self._pieces: list[bytes] = []  # four a record
        self._left = most - len(MAGIC) - DIGEST_BYTES - _LARGEST_KEY_BYTES
        self.entries: list[Entry] = []

    def extend(self, entries: Sequence[Entry], start: int = 0) -> int:
        """Add entries from index ``start`` on while there is room; the index of the first one left out.

        The first entry of an aggregate is always taken.
        """
        heads, pieces, left, lengths = self._heads, self._pieces, self._left, _LENGTH_3
        had = len(pieces)
        for key, data, explicit, _ in islice(entries, start, None):
            length = len(data)
            if length > left and pieces:
                break
            head = heads.get(key)
            if head is None:
                head = heads[key] = _KEY_INDEX[len(heads)]
                left -= 4 * len(key)  # bytes in UTF-8 at most
            if explicit is not None:
                head += _HASH_INDEX[self._hashes.setdefault(explicit, len(self._hashes))]
                left -= len(explicit)
            tagged = lengths[length]
            pieces += (lengths[len(head) + len(tagged) + length], head, tagged, data)
            left -= length + RECORD_OVERHEAD
        self._left = left
        end = start + (len(pieces) - had) // 4
        self.entries += entries[start:end]
        return end

    def to_bytes(self) -> bytes:
        """The record's data. The caller keeps it below the stream's record size."""
        keys, hashes = map(_KEYS.__getitem__, self._heads), map(_HASHES.__getitem__, self._hashes)
        body = b"".join((*keys, *hashes, *self._pieces))
        return b"".join((MAGIC, body, md5(body, usedforsecurity=False).digest()))

    @property
    def data_bytes(self) -> int:
        """Bytes of the user records' data."""
        return sum(map(len, self._pieces[3::4]))


def aggregate(entries: Sequence[Entry]) -> bytes:
    """The aggregated record of these entries, in their order, however large."""
    record = Aggregate()
    record.extend(entries)
    return record.to_bytes()


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
