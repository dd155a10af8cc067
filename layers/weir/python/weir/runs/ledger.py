"""The ledger: which sequence numbers of which partition key have been seen, exactly, in memory that follows keys.

A key's records are numbered 0, 1, 2... within its slice, and a shard keeps a key's records in the order in which they
were written. So almost always a key is one number: how far it has been seen without a gap. Only keys with a gap or a
late record hold ranges besides. Ledgers of several readers merge, for instance after a reshard.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

Ranges = list[list[int]]


class Losses(NamedTuple):
    """What a comparison with the writers found. ``examples`` are (slice, key, first missing sequence)."""

    lost: int
    beyond: int
    examples: tuple[tuple[int, str, int], ...]


@dataclass(slots=True)
class Ledger:
    """Counts of what was added: ``unique`` records, ``duplicates``, and ``reordered`` (came after a later one)."""

    unique: int = 0
    duplicates: int = 0
    reordered: int = 0
    _next: dict[int, dict[str, int]] = field(default_factory=dict)
    _ahead: dict[tuple[int, str], Ranges] = field(default_factory=dict)

    def slice_of(self, slice_index: int) -> dict[str, int]:
        """Next expected sequence by key, for a reader's fast path; ``add`` handles whatever is not the next."""
        return self._next.setdefault(slice_index, {})

    @property
    def has_gaps(self) -> bool:
        """Whether any key has a gap, so that every record must go through ``add``."""
        return bool(self._ahead)

    def add(self, slice_index: int, key: str, sequence: int) -> bool:
        """Enter one record; False where it was seen before."""
        nexts = self._next.setdefault(slice_index, {})
        expected = nexts.get(key, 0)
        if sequence < expected:
            self.duplicates += 1
            return False
        place = (slice_index, key)
        ranges = self._ahead.get(place)
        if sequence == expected:
            nexts[key] = sequence + 1
            self.unique += 1
            if ranges is not None:
                self.reordered += 1
                self._close_gap(place, nexts, ranges)
            return True
        if ranges is None:
            nexts.setdefault(key, 0)
            self._ahead[place] = [[sequence, sequence + 1]]
            self.unique += 1
        elif _insert(ranges, sequence, sequence + 1):
            self.duplicates += 1
            return False
        else:
            self.unique += 1
            self.reordered += int(sequence + 1 < ranges[-1][1])
        return True

    def _close_gap(self, place: tuple[int, str], nexts: dict[str, int], ranges: Ranges) -> None:
        key = place[1]
        while ranges and ranges[0][0] <= nexts[key]:
            nexts[key] = max(nexts[key], ranges.pop(0)[1])
        if not ranges:
            del self._ahead[place]

    def merge(self, other: "Ledger") -> None:
        """Take in what another reader saw; what both saw counts as duplicates."""
        self.duplicates += other.duplicates
        self.reordered += other.reordered
        for slice_index, keys in other._next.items():
            nexts = self._next.setdefault(slice_index, {})
            for key, count in keys.items():
                theirs = _whole(count, other._ahead.get((slice_index, key)))
                if key not in nexts:
                    self._put(slice_index, key, theirs)
                    self.unique += _size(theirs)
                else:
                    self._join(slice_index, key, theirs)

    def _join(self, slice_index: int, key: str, theirs: Ranges) -> None:
        ours = self.ranges(slice_index, key)
        before = _size(ours)
        for start, end in theirs:
            _insert(ours, start, end)
        gained = _size(ours) - before
        self.unique += gained
        self.duplicates += _size(theirs) - gained
        self._put(slice_index, key, ours)

    def _put(self, slice_index: int, key: str, ranges: Ranges) -> None:
        place = (slice_index, key)
        starts_at_zero = bool(ranges) and ranges[0][0] == 0
        self._next.setdefault(slice_index, {})[key] = ranges[0][1] if starts_at_zero else 0
        rest = [list(pair) for pair in (ranges[1:] if starts_at_zero else ranges)]
        if rest:
            self._ahead[place] = rest
        else:
            self._ahead.pop(place, None)

    def ranges(self, slice_index: int, key: str) -> Ranges:
        """The half-open ranges of sequence numbers seen of a key, ascending."""
        return _whole(self._next.get(slice_index, {}).get(key, 0), self._ahead.get((slice_index, key)))

    def compare(self, slice_index: int, produced: Mapping[str, int], rejected: Mapping[str, Iterable[int]]) -> Losses:
        """Hold what was seen of a slice against what its writer says.

        Parameters
        ----------
        produced
            How many records of each key the writer handed to Kinesis, numbered from 0.
        rejected
            The sequence numbers that Kinesis never accepted; unseen, they are not lost.
        """
        lost = beyond = 0
        examples: list[tuple[int, str, int]] = []
        for key, count in produced.items():
            ranges = self.ranges(slice_index, key)
            gaps = _gaps(ranges, count)
            missing = _size(gaps) - sum(_within(gaps, one) for one in rejected.get(key, ()))
            if missing:
                lost += missing
                examples.append((slice_index, key, gaps[0][0]))
            beyond += sum(end - max(start, count) for start, end in ranges if end > count)
        unknown = self._next.get(slice_index, {}).keys() - produced.keys()
        beyond += sum(_size(self.ranges(slice_index, key)) for key in unknown)
        return Losses(lost, beyond, tuple(examples[:5]))

    def hottest(self, most: int) -> list[tuple[str, int]]:
        """The keys with the most records, over all slices: (key, records), descending."""
        totals: dict[str, int] = {}
        for slice_index, keys in self._next.items():
            for key in keys:
                totals[key] = totals.get(key, 0) + _size(self.ranges(slice_index, key))
        return sorted(totals.items(), key=lambda pair: (-pair[1], pair[0]))[:most]

    def to_dict(self) -> dict[str, Any]:
        """JSON-able state, for a checkpoint."""
        return {
            "unique": self.unique,
            "duplicates": self.duplicates,
            "reordered": self.reordered,
            "next": {str(index): keys for index, keys in self._next.items()},
            "ahead": [[index, key, ranges] for (index, key), ranges in self._ahead.items()],
        }

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> "Ledger":
        """The ledger of a checkpoint."""
        ledger = cls(state["unique"], state["duplicates"], state["reordered"])
        ledger._next = {int(index): dict(keys) for index, keys in state["next"].items()}
        ledger._ahead = {(index, key): ranges for index, key, ranges in state["ahead"]}
        return ledger


def _whole(count: int, ahead: Ranges | None) -> Ranges:
    start: Ranges = [[0, count]] if count else []
    return start + [list(pair) for pair in ahead or []]


def _size(ranges: Ranges) -> int:
    return sum(end - start for start, end in ranges)


def _gaps(ranges: Ranges, count: int) -> Ranges:
    gaps: Ranges = []
    at = 0
    for start, end in ranges:
        if start > at:
            gaps.append([at, min(start, count)])
        at = max(at, end)
    if at < count:
        gaps.append([at, count])
    return [gap for gap in gaps if gap[0] < gap[1]]


def _within(ranges: Ranges, number: int) -> bool:
    index = bisect_right(ranges, number, key=lambda pair: pair[0])
    return index > 0 and number < ranges[index - 1][1]


def _insert(ranges: Ranges, start: int, end: int) -> bool:
    """Add a half-open range to ascending, disjoint ranges; True where all of it was there already."""
    index = bisect_right(ranges, start, key=lambda pair: pair[0])
    if index and ranges[index - 1][1] >= end:
        return True
    if index and ranges[index - 1][1] >= start:
        index -= 1
        ranges[index][1] = end
    else:
        ranges.insert(index, [start, end])
    while index + 1 < len(ranges) and ranges[index + 1][0] <= ranges[index][1]:
        ranges[index][1] = max(ranges[index][1], ranges.pop(index + 1)[1])
    return False
