"""Packs entries that are expected on the same shard into aggregated records.

An aggregate goes where its explicit hash key lies, so it takes the first hash key of the shard that its entries hash
to. Should the stream be resharded meanwhile, the records arrive all the same, perhaps on a neighbour shard.
"""

from weir.streams.aggregation import RECORD_OVERHEAD, aggregate
from weir.streams.entries import Entry
from weir.streams.hashing import ShardMap

TARGET_BYTES = 51_200
"""The KPL's default, AggregationMaxSize: two billed units of 25 KB, a twentieth of what a shard takes in a second."""

_KNOWN_KEYS = 65_536


class _Members(list[Entry]):
    """The user entries of an aggregate, in its ``ref``; a type of its own, because a caller's ref may be a list."""


class _Pack:
    __slots__ = ("entries", "hash_key", "shard_id", "size")

    def __init__(self, shard_id: str, hash_key: str) -> None:
        self.shard_id = shard_id
        self.hash_key = hash_key
        self.entries = _Members()
        self.size = 0


def members(entry: Entry) -> list[Entry]:
    """The entries that the caller gave: those of an aggregate, else this one."""
    ref = entry[3]
    return ref if type(ref) is _Members else [entry]


class Packer:
    """Collects entries by shard; gives back aggregates of about ``target_bytes``. An entry above that stays plain."""

    def __init__(self, shard_map: ShardMap, target_bytes: int = TARGET_BYTES) -> None:
        self._shard_map = shard_map
        self._target = target_bytes
        self._packs: dict[str, _Pack] = {}
        self._by_key: dict[str, _Pack] = {}
        self.waiting = 0

    def add(self, entries: list[Entry]) -> list[Entry]:
        """The aggregates that these entries filled, in the order in which their entries came on each shard."""
        out: list[Entry] = []
        by_key, target = self._by_key, self._target
        for entry in entries:
            key = entry[0]
            pack = by_key.get(key) if entry[2] is None else None
            if pack is None:
                pack = self._pack_of(entry)
            size = len(entry[1]) + (len(key) if key.isascii() else len(key.encode())) + RECORD_OVERHEAD
            if pack.size + size > target:
                if pack.size:
                    out.append(_close(pack))
                if size > target:
                    out.append(entry)
                    continue
            pack.entries.append(entry)
            pack.size += size
        self.waiting += len(entries) - sum(len(members(entry)) for entry in out)
        return out

    def flush(self) -> list[Entry]:
        """All that is collected, in aggregates that may be small."""
        self.waiting = 0
        return [_close(pack) for pack in self._packs.values() if pack.size]

    def shard_of(self, entry: Entry) -> str:
        """The shard that an entry or an aggregate is expected on."""
        return self._shard_map.shard_for(entry[0], entry[2])

    def _pack_of(self, entry: Entry) -> _Pack:
        shard_id = self.shard_of(entry)
        pack = self._packs.get(shard_id)
        if pack is None:
            first, _ = self._shard_map.range_of(shard_id)
            pack = self._packs[shard_id] = _Pack(shard_id, str(first))
        if entry[2] is None:
            if len(self._by_key) >= _KNOWN_KEYS:
                self._by_key.clear()
            self._by_key[entry[0]] = pack
        return pack


def _close(pack: _Pack) -> Entry:
    entries, pack.entries, pack.size = pack.entries, _Members(), 0
    return Entry(pack.shard_id, aggregate(entries), pack.hash_key, entries)
