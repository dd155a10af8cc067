"""Strict order per key: at most one entry of a key under way, the later ones held until it is accepted.

PutRecords promises no order within a request, and an entry that failed is sent again after its successors, so nothing
less keeps it: https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html
"""

from collections import deque
from collections.abc import Callable, Iterable

from weir.streams.entries import Entry


class KeyOrder:
    """Decides which entries may be sent. Memory grows with the held entries and the keys under way or broken.

    ``key_of`` says what is kept in order: the partition key, or the shard for aggregated records.
    """

    __slots__ = ("_broken", "_key_of", "_under_way")

    def __init__(self, key_of: Callable[[Entry], str]) -> None:
        self._key_of = key_of
        self._under_way: dict[str, deque[Entry] | None] = {}  # None: nothing is held, and no deque to make
        self._broken: set[str] = set()

    def admit(self, entries: Iterable[Entry]) -> tuple[list[Entry], list[Entry]]:
        """Those that may be sent now, and those that never may, because one before them was given up."""
        free: list[Entry] = []
        refused: list[Entry] = []
        for entry in entries:
            key = self._key_of(entry)
            if key in self._under_way:
                held = self._under_way[key]
                if held is None:
                    self._under_way[key] = deque((entry,))
                else:
                    held.append(entry)
            elif key in self._broken:
                refused.append(entry)
            else:
                self._under_way[key] = None
                free.append(entry)
        return free, refused

    def accepted(self, entry: Entry) -> Entry | None:
        """The next entry of the same key, which may be sent now, if one is held."""
        key = self._key_of(entry)
        held = self._under_way.get(key)
        if held:
            return held.popleft()
        self._under_way.pop(key, None)
        return None

    def rejected(self, entry: Entry) -> list[Entry]:
        """The held entries of the same key: they can't be sent any more, nor can those still to come."""
        key = self._key_of(entry)
        self._broken.add(key)
        return list(self._under_way.pop(key, None) or ())

    def release_all(self) -> list[Entry]:
        """Every held entry, when nothing more is to be sent."""
        entries = [entry for held in self._under_way.values() if held for entry in held]
        self._under_way = dict.fromkeys(self._under_way)
        return entries
