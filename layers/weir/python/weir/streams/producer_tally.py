"""Counts what a producer's run comes to, while it runs."""

from collections import Counter
from collections.abc import Sequence
from itertools import repeat

from weir.streams.entries import Entry, PutTally, ShardTally, Stopped
from weir.streams.producer_packer import member_count

PAYLOAD_UNIT_BYTES = 25_600
"""What a provisioned put is billed by: https://aws.amazon.com/kinesis/data-streams/pricing/"""


class Counts:
    """The mutable side of PutTally; the fields mean the same."""

    def __init__(self, *, aggregated: bool) -> None:
        self._aggregated = aggregated
        self._shards: dict[str, list[int]] = {}
        self._units_above_one = 0
        self._kib_above_one = 0
        self._kinesis_records = 0
        self.accepted = self.rejected = self.retried = self.throttled = self.uncertain = 0
        self.errors: Counter[str] = Counter()

    def entries_in(self, sent: Sequence[Entry]) -> int:
        """How many of the caller's entries these are."""
        return sum(map(member_count, sent)) if self._aggregated else len(sent)

    def add_accepted(self, sent: Sequence[Entry], shard_ids: Sequence[str]) -> None:
        """Entries as they were sent, and the shards that they went to."""
        shards = self._shards
        for entry, shard_id in zip(sent, shard_ids, strict=True):
            shard = shards.get(shard_id)
            if shard is None:
                shard = shards[shard_id] = [0, 0, 0]
            key = entry[0]
            size = len(entry[1]) + (len(key) if key.isascii() else len(key.encode()))
            shard[0] += 1
            shard[1] += size
            if size > 1024:
                self._kib_above_one += (size - 1) // 1024
                self._units_above_one += (size - 1) // PAYLOAD_UNIT_BYTES
        self._kinesis_records += len(sent)
        self.accepted += self.entries_in(sent)

    def add_failed(self, sent: Sequence[Entry], codes: Sequence[str] | str) -> None:
        """Tries that failed, with their codes, or the one code of a request that failed as a whole."""
        each = repeat(codes) if isinstance(codes, str) else codes
        for entry, code in zip(sent, each, strict=False):
            self.errors[code] += self.entries_in((entry,))

    def add_throttled(self, sent: Sequence[Entry], shard_ids: Sequence[str]) -> None:
        """Tries that were refused for throughput, and the shards they were expected on."""
        self.throttled += self.entries_in(sent)
        for shard_id in shard_ids:
            self._shards.setdefault(shard_id, [0, 0, 0])[2] += 1

    def tally(self, *, requests: int, seconds: float, stopped: Stopped) -> PutTally:
        """The counts so far, frozen."""
        return PutTally(
            accepted=self.accepted,
            rejected=self.rejected,
            retried=self.retried,
            throttled=self.throttled,
            uncertain=self.uncertain,
            bytes=sum(shard[1] for shard in self._shards.values()),
            requests=requests,
            seconds=seconds,
            shards={shard_id: ShardTally(*counts) for shard_id, counts in sorted(self._shards.items())},
            errors=dict(self.errors),
            stopped=stopped,
            kinesis_records=self._kinesis_records,
            payload_units=self._kinesis_records + self._units_above_one,
            rounded_kib=self._kinesis_records + self._kib_above_one,
        )
