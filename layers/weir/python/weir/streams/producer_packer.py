"""Packs entries that are expected on the same shard into aggregated records.

An aggregate goes where its explicit hash key lies, so it takes the first hash key of the shard that its entries hash
to. Should the stream be resharded meanwhile, the records arrive all the same, perhaps on a neighbour shard.
"""

from weir.streams.aggregation import Aggregate
from weir.streams.entries import Entry
from weir.streams.hashing import ShardMap

TARGET_BYTES = 256_000
"""Ten billed units of 25 KB, a quarter of what a shard takes in a second. Smaller ones repeat the keys more often,
larger ones are throttled, and sent again, in larger pieces. (KPL: 51,200 by default; aws-kinesis-agg: 1 MiB.)"""

_KNOWN_KEYS = 65_536


class _Members(list[Entry]):
    """The user entries of an aggregate, in its ``ref``; a type of its own, because a caller's ref may be a list.

    ``data_bytes`` is the sum of their data: to add it up again when they are accepted would be another look at each.
    """

    __slots__ = ("data_bytes",)

    def __init__(self, entries: list[Entry], data_bytes: int) -> None:
        super().__init__(entries)
        self.data_bytes = data_bytes


class _Pack:
    """What is collected for one shard: entries that came since the last look, and the aggregate they go to."""

    __slots__ = ("_aggregate", "_hash_key", "_shard_id", "_target", "incoming")

    def __init__(self, shard_id: str, hash_key: str, target: int) -> None:
        self._shard_id = shard_id
        self._hash_key = hash_key
        self._target = target
        self._aggregate = Aggregate(target)
        self.incoming: list[Entry] = []

    def fill(self, out: list[Entry]) -> None:
        """Move what came into aggregates; full ones, and entries above the target, go to ``out``."""
        incoming, at = self.incoming, 0
        while at < len(incoming):
            if len(incoming[at].data) >= self._target:
                self.close(out)
                out.append(incoming[at])
                at += 1
                continue
            at = self._aggregate.extend(incoming, at)
            if at < len(incoming):
                self.close(out)
        self.incoming = []

    def close(self, out: list[Entry]) -> None:
        """Give the aggregate to ``out``, if there is anything in it, and begin another."""
        full = self._aggregate
        if full.entries:
            self._aggregate = Aggregate(self._target)
            out.append(Entry(self._shard_id, full.to_bytes(), self._hash_key, _Members(full.entries, full.data_bytes)))


def members(entry: Entry) -> list[Entry]:
    """The entries that the caller gave: those of an aggregate, else this one."""
    ref = entry[3]
    return ref if type(ref) is _Members else [entry]


def member_count(entry: Entry) -> int:
    """How many entries of the caller's this is."""
    ref = entry[3]
    return len(ref) if type(ref) is _Members else 1


def member_bytes(entry: Entry) -> int:
    """Bytes of data in the caller's entries that this is."""
    ref = entry[3]
    return ref.data_bytes if type(ref) is _Members else len(entry[1])


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
        by_key = self._by_key
        for entry in entries:
            pack = by_key.get(entry[0]) if entry[2] is None else None
            if pack is None:
                pack = self._pack_of(entry)
            pack.incoming.append(entry)
        out: list[Entry] = []
        for pack in self._packs.values():
            pack.fill(out)
        self.waiting += len(entries) - sum(map(member_count, out))
        return out

    def flush(self) -> list[Entry]:
        """All that is collected, in aggregates that may be small."""
        out: list[Entry] = []
        for pack in self._packs.values():
            pack.close(out)
        self.waiting = 0
        return out

    def shard_of(self, entry: Entry) -> str:
        """The shard that an entry or an aggregate is expected on."""
        return self._shard_map.shard_for(entry[0], entry[2])

    def _pack_of(self, entry: Entry) -> _Pack:
        shard_id = self.shard_of(entry)
        pack = self._packs.get(shard_id)
        if pack is None:
            first, _ = self._shard_map.range_of(shard_id)
            pack = self._packs[shard_id] = _Pack(shard_id, str(first), self._target)
        if entry[2] is None:
            if len(self._by_key) >= _KNOWN_KEYS:
                self._by_key.clear()
            self._by_key[entry[0]] = pack
        return pack
