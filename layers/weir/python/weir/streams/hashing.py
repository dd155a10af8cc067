"""Which shard a record goes to.

Kinesis routes by a 128-bit number: the explicit hash key if one is given, else the MD5 of the partition key's UTF-8,
read big-endian. Every open shard owns a closed range of these numbers.
https://docs.aws.amazon.com/streams/latest/dev/key-concepts.html#partition-key
"""

from bisect import bisect_right
from collections.abc import Iterable
from hashlib import md5
from typing import Protocol

HASH_KEYS = 1 << 128
"""Hash keys are 0 to this, exclusive."""

_CACHED_KEYS = 65_536


class HashRange(Protocol):
    """As much of a shard as routing needs; hash keys are decimal text, as in the Kinesis API."""

    @property
    def shard_id(self) -> str: ...
    @property
    def starting_hash_key(self) -> str: ...
    @property
    def ending_hash_key(self) -> str: ...
    @property
    def open(self) -> bool: ...


def hash_of(partition_key: str) -> int:
    """The hash key that Kinesis derives from a partition key, in [0, 2**128)."""
    return int.from_bytes(md5(partition_key.encode(), usedforsecurity=False).digest(), "big")


class ShardMap:
    """The open shards of a stream by hash range: O(log shards) for a new key, one look-up for a known one.

    Closed shards are left out, because nothing is written to them. Raises ValueError when none is open.
    """

    __slots__ = ("_cache", "_ids", "_ranges", "_starts")

    def __init__(self, shards: Iterable[HashRange]) -> None:
        ranges = sorted(
            (int(shard.starting_hash_key), int(shard.ending_hash_key), shard.shard_id) for shard in shards if shard.open
        )
        if not ranges:
            raise ValueError("a stream without an open shard takes no record")
        self._starts = [start for start, _, _ in ranges]
        self._ids = [shard_id for _, _, shard_id in ranges]
        self._ranges = {shard_id: (start, end) for start, end, shard_id in ranges}
        self._cache: dict[str, str] = {}

    def shard_for(self, partition_key: str, explicit_hash_key: str | None = None) -> str:
        """The shard id that takes this record. An explicit hash key, decimal text, wins over the partition key."""
        if explicit_hash_key is not None:
            return self.shard_of_hash(int(explicit_hash_key))
        shard_id = self._cache.get(partition_key)
        if shard_id is None:
            if len(self._cache) >= _CACHED_KEYS:
                self._cache.clear()
            shard_id = self._cache[partition_key] = self.shard_of_hash(hash_of(partition_key))
        return shard_id

    def shard_of_hash(self, hash_key: int) -> str:
        """The shard id whose range holds ``hash_key``."""
        return self._ids[max(0, bisect_right(self._starts, hash_key) - 1)]

    def range_of(self, shard_id: str) -> tuple[int, int]:
        """First and last hash key of an open shard. KeyError for any other."""
        return self._ranges[shard_id]

    @property
    def shard_ids(self) -> tuple[str, ...]:
        """Ids of the open shards, in the order of their ranges."""
        return tuple(self._ids)

    def __len__(self) -> int:
        return len(self._ids)


def shard_for(partition_key: str, explicit_hash_key: str | None, shards: Iterable[HashRange]) -> str:
    """The shard id that takes one record. For many records, keep a ShardMap."""
    return ShardMap(shards).shard_for(partition_key, explicit_hash_key)
