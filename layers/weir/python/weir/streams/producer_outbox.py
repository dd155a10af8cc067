"""Entries on their way into requests: paced by shard, gathered into batches, sent as threads are free."""

from collections import deque
from typing import NamedTuple

from weir.streams.entries import Entry, size_of
from weir.streams.hashing import ShardMap
from weir.streams.pacing import AsFastAsPossible, Pace, ShardPace
from weir.streams.producer_requests import Batch, Requests

MAX_ENTRIES = 500
MAX_BYTES = 10 * 1024 * 1024
"""A PutRecords request's quotas, keys included:
https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html"""

FULL_BYTES = 1024 * 1024
"""A batch of this size is sent: more saves next to no CPU, and costs memory and what a lost answer sends again."""

_KNOWN_KEYS = 65_536


class Again(NamedTuple):
    """An entry to be sent once more: its tries so far, and the code that the last one met."""

    entry: Entry
    tried: int
    code: str


class _Lane(ShardPace):
    """A shard's pace and the entries that wait for it."""

    __slots__ = ("again", "queue", "waiting")

    def __init__(self, pace: AsFastAsPossible | None, now: float) -> None:
        super().__init__(pace, now)
        self.again: deque[Again] = deque()
        self.queue: deque[Entry] = deque()
        self.waiting = False


class Outbox:
    """What was pulled and may be sent. Times are monotonic seconds."""

    def __init__(self, shard_map: ShardMap, pace: Pace, requests: Requests) -> None:
        self._shard_map = shard_map
        self._pace = pace if isinstance(pace, AsFastAsPossible) else None
        self._any = None if self._pace else _Lane(None, 0.0)  # an open loop is paced by its schedule, not by shard
        self._requests = requests
        self._lanes: dict[str, _Lane] = {}
        self._by_key: dict[str, _Lane] = {}
        self._waiting: deque[_Lane] = deque()
        self._ready: deque[Batch] = deque()
        self._again: list[Again] = []
        self._fresh: list[Entry] = []
        self._bytes = 0
        self.opened_at = 0.0
        self.requests_sent = 0

    @property
    def gathered(self) -> int:
        """Entries in the batch that is being filled."""
        return len(self._again) + len(self._fresh)

    @property
    def paced(self) -> bool:
        """Whether entries wait for their shard's tokens."""
        return bool(self._waiting)

    @property
    def full(self) -> bool:
        """Whether batches wait for a free thread."""
        return bool(self._ready)

    def add(self, entries: list[Entry], now: float) -> None:
        """Take entries that were never sent: into the batch where their shard has tokens, else into its queue."""
        if entries and not self.gathered:
            self.opened_at = now
        by_key, fresh, total = self._by_key, self._fresh, self._bytes
        left = MAX_ENTRIES - self.gathered
        for entry in entries:
            key = entry[0]
            lane = by_key.get(key) if entry[2] is None else None
            if lane is None:
                lane = self._lane_of(entry, now)
            if lane.waiting or ((lane.records <= 0.0 or lane.bytes <= 0.0) and not lane.refill(now)):
                lane.queue.append(entry)
                self._wait(lane)
                continue
            size = len(entry[1]) + (len(key) if key.isascii() else len(key.encode()))
            if left == 0 or total >= FULL_BYTES or total + size > MAX_BYTES:
                self.close()
                self.opened_at, fresh, total, left = now, self._fresh, 0, MAX_ENTRIES
            lane.records -= 1.0
            lane.bytes -= size
            total += size
            left -= 1
            fresh.append(entry)
            self._bytes = total
        if left == 0 or total >= FULL_BYTES:
            self.close()

    def add_again(self, items: list[Again], now: float) -> None:
        """Take entries whose back-off is over; each waits for its shard's tokens like any other, but before them."""
        for item in items:
            lane = self._lane_of(item.entry, now)
            lane.again.append(item)
            self._wait(lane)

    def serve(self, now: float) -> bool:
        """Move what waits for tokens into the batch, shard by shard; whether anything moved."""
        moved = False
        for _ in range(len(self._waiting)):
            if self._ready:
                break
            lane = self._waiting.popleft()
            if lane.refill(now):
                moved = True
                self._take(lane, now)
            if lane.again or lane.queue:
                self._waiting.append(lane)  # behind the others, so that none starves
            else:
                lane.waiting = False
        return moved

    def _take(self, lane: _Lane, now: float) -> None:
        while (lane.again or lane.queue) and lane.records > 0.0 and lane.bytes > 0.0 and not self._ready:
            entry = lane.again[0].entry if lane.again else lane.queue[0]
            size = size_of(entry)
            if self._bytes + size > MAX_BYTES:
                self.close()
                continue
            if not self.gathered:
                self.opened_at = now
            if lane.again:
                self._again.append(lane.again.popleft())
            else:
                self._fresh.append(lane.queue.popleft())
            lane.records -= 1.0
            lane.bytes -= size
            self._bytes += size
            if self.gathered >= MAX_ENTRIES or self._bytes >= FULL_BYTES:
                self.close()

    def close(self) -> None:
        """Make the batch that is being filled ready to be sent, and send what a thread is free for."""
        if self.gathered:
            entries = [item.entry for item in self._again]
            self._ready.append(Batch(entries + self._fresh, [item.tried for item in self._again]))
            self._again, self._fresh, self._bytes = [], [], 0
        self.submit()

    def send_halves(self, batch: Batch) -> None:
        """Send a batch in two halves, before anything else: one of its entries makes Kinesis refuse it whole."""
        self._ready.extendleft(reversed(batch.halves()))
        self.submit()

    def submit(self) -> bool:
        """Send ready batches while threads are free; whether any went."""
        sent = False
        while self._ready and self._requests.has_slot():
            self._requests.submit(self._ready.popleft())
            self.requests_sent += 1
            sent = True
        return sent

    def throttled(self, entry: Entry, sent_at: float, now: float) -> None:
        """Its shard refused an entry for throughput."""
        self._lane_of(entry, now).throttled(sent_at, now)

    def empty(self) -> list[Again]:
        """Give up everything that was not sent: fresh entries have 0 tries and no code."""
        fresh = [entry for lane in self._waiting for entry in lane.queue] + self._fresh
        again = [item for lane in self._waiting for item in lane.again] + self._again
        for batch in self._ready:
            again += [Again(entry, n - 1, "") for entry, n in zip(batch.entries, batch.attempts(), strict=False)]
        for lane in self._waiting:
            lane.queue.clear()
            lane.again.clear()
            lane.waiting = False
        self._waiting.clear()
        self._ready.clear()
        self._again, self._fresh, self._bytes = [], [], 0
        return again + [Again(entry, 0, "") for entry in fresh]

    def _wait(self, lane: _Lane) -> None:
        if not lane.waiting:
            lane.waiting = True
            self._waiting.append(lane)

    def _lane_of(self, entry: Entry, now: float) -> _Lane:
        if self._any is not None:
            return self._any
        shard_id = self._shard_map.shard_for(entry[0], entry[2])
        lane = self._lanes.get(shard_id)
        if lane is None:
            lane = self._lanes[shard_id] = _Lane(self._pace, now)
        if entry[2] is None:
            if len(self._by_key) >= _KNOWN_KEYS:
                self._by_key.clear()
            self._by_key[entry[0]] = lane
        return lane
