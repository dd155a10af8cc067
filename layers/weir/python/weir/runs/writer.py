"""Insert one slice of a run: draw records, seal them, put them, and account for every one.

A slice goes on where its last checkpoint stands. Between two checkpoints all records drawn are settled (accepted or
given up), so a checkpoint is one position and the counts up to it. A writer that dies is followed by one that sends
the records since the checkpoint again: duplicates, which are counted, never losses.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from weir.runs.bucket import RunsBucket, part_key
from weir.runs.envelope import run_tag, seal
from weir.runs.models import Load, Run, Status
from weir.runs.partition import most_shards_told, tell_seconds, watch_seconds
from weir.runs.planner import Span
from weir.runs.source import Source
from weir.runs.table import Claim, RunsTable
from weir.runtime.clock import Clock
from weir.runtime.errors import NotFound, TooManyRequests, Unavailable, UpstreamFailed, WeirError
from weir.runtime.observability import logger
from weir.streams.entries import Accepted, Entry, PutTally, Rejected
from weir.streams.pacing import (
    SHARD_BYTES_PER_SECOND,
    SHARD_RECORDS_PER_SECOND,
    AsFastAsPossible,
    Burst,
    Pace,
    Rate,
)
from weir.streams.producer import Producer

SEGMENT_SECONDS = 20.0
"""From one checkpoint to the next: what a crash makes a writer send again."""

_NOT_COUNTS = frozenset({"position", "finished", "produced", "rejected"})
GIVE_UP_SECONDS = 60.0
"""Kept free at the end of an invocation, for what Kinesis has not accepted yet."""


class StreamGone(NotFound):
    """The stream went away while records were being written."""

    slug, title = "stream-gone", "The stream is gone"


@dataclass(slots=True)
class SliceState:
    """A slice's checkpoint. Grows with the keys used, and with rejected records, never with accepted ones.

    ``produced`` is the number of records drawn of each key, ``rejected`` the sequence numbers given up of each key;
    ``shards`` is [Kinesis records, bytes, throttled] by shard id; times are epoch seconds.
    """

    position: int
    finished: bool = False
    produced: dict[str, int] = field(default_factory=dict)
    rejected: dict[str, list[int]] = field(default_factory=dict)
    shards: dict[str, list[int]] = field(default_factory=dict)
    accepted: int = 0
    refused: int = 0
    retried: int = 0
    throttled: int = 0
    uncertain: int = 0
    bytes: int = 0
    requests: int = 0
    kinesis_records: int = 0
    payload_units: int = 0
    rounded_kib: int = 0
    busy_seconds: float = 0.0
    began_at: float | None = None
    ended_at: float | None = None
    errors: dict[str, int] = field(default_factory=dict)

    def add(self, tally: PutTally) -> None:
        """Enter what a producer's run came to."""
        self.accepted += tally.accepted
        self.refused += tally.rejected
        self.retried += tally.retried
        self.throttled += tally.throttled
        self.uncertain += tally.uncertain
        self.bytes += tally.bytes
        self.requests += tally.requests
        self.kinesis_records += tally.kinesis_records
        self.payload_units += tally.payload_units
        self.rounded_kib += tally.rounded_kib
        for shard_id, shard in tally.shards.items():
            sums = self.shards.setdefault(shard_id, [0, 0, 0])
            sums[0] += shard.records
            sums[1] += shard.bytes
            sums[2] += shard.throttled
        for code, count in tally.errors.items():
            self.errors[code] = self.errors.get(code, 0) + count

    def counts(self, most_shards: int | None = None) -> dict[str, Any]:
        """What the table keeps of it: no keys, and shards only where so many may be told, and there are no more."""
        kept = {name: value for name, value in self.to_dict().items() if name not in _NOT_COUNTS}
        kept["rejected"] = kept.pop("refused")
        if most_shards is None or len(self.shards) > most_shards:
            del kept["shards"]
        return kept

    def to_dict(self) -> dict[str, Any]:
        """JSON-able state, for the bucket; not a copy, for it may hold a million keys."""
        return {one.name: getattr(self, one.name) for one in fields(self)}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> "SliceState":
        """The state of a checkpoint."""
        return cls(**state)


@dataclass(frozen=True, slots=True)
class SliceWriter:
    """Everything that writing one slice needs.

    ``producer`` makes the producer of a segment that begins so many seconds after the slice did, and so many records.
    ``span`` holds the positions of the slice's records: one that is at its end, or behind it, has none left.
    """

    run: Run
    index: int
    source: Source
    span: Span
    producer: Callable[[float, int], Producer]
    table: RunsTable
    bucket: RunsBucket
    clock: Clock

    def write(self, until: float) -> bool:
        """Write until the slice's end, about the monotonic second ``until``, or the run's end.

        True where there is nothing more to write: the slice is finished, or the run has failed or is closed, which a
        writer looks up every 20 s, more rarely where the spec is long and writers are many (``watch_seconds``).

        Raises
        ------
        StreamGone, UpstreamFailed
            The stream is gone, or AWS denies writing to it. What was accepted before is accounted for.
        SourceUnreadable
            A line of the caller's source can't be used.
        TakenOver
            Another worker holds the slice now.
        """
        began = self.clock.monotonic()
        claim = self.table.claim(self.run.run_id, "SLICE", self.index, self.run.expires_at)
        state = self._resume(claim)
        if state.began_at is None:
            state.began_at = self.clock.epoch()
        if state.finished and claim.checkpoint:
            # All was written and saved, but it may be that nobody was told so: its writer died, or AWS failed.
            self._checkpoint(claim, state)
        busy_before = state.busy_seconds
        stop_drawing = until - GIVE_UP_SECONDS
        looked_at, every = began, watch_seconds(self.run)
        while not state.finished:
            # Records are due from the slice's begin on: neither a segment nor an invocation begins a rate anew.
            producer = self.producer(max(0.0, self.clock.epoch() - state.began_at), sum(state.produced.values()))
            segment_end = min(stop_drawing, self.clock.monotonic() + SEGMENT_SECONDS)
            tally, unreadable = self._segment(producer, state, claim, segment_end, until)
            state.ended_at = self.clock.epoch()
            state.busy_seconds = busy_before + self.clock.monotonic() - began
            self._checkpoint(claim, state)
            _refuse_broken(tally)
            if unreadable is not None:
                raise unreadable
            if self.clock.monotonic() >= stop_drawing:
                break
            if not state.finished and self.clock.monotonic() - looked_at >= every:
                looked_at = self.clock.monotonic()
                if self._run_is_over():
                    return True
        return state.finished

    def _run_is_over(self) -> bool:
        try:
            run = self.table.head(self.run.run_id)
        except (TooManyRequests, Unavailable) as error:
            logger().warning("whether the run goes on was not looked up: %s", error)
            return False
        return run is None or run.failure is not None or run.status is Status.CLOSED

    def _resume(self, claim: Claim) -> SliceState:
        if claim.checkpoint == 0:
            return SliceState(position=self.span.start)
        kept = self.bucket.load(part_key(self.run.run_id, "SLICE", self.index, claim.checkpoint))
        return SliceState.from_dict(kept)

    def _segment(
        self, producer: Producer, state: SliceState, claim: Claim, segment_end: float, give_up: float
    ) -> tuple[PutTally, WeirError | None]:
        before = state.counts()
        every = tell_seconds(self.run)
        told = {"at": self.clock.monotonic(), "accepted": state.accepted}

        def on_accepted(batch: Sequence[Accepted]) -> None:
            told["accepted"] += len(batch)
            if self.clock.monotonic() - told["at"] >= every:
                told["at"] = self.clock.monotonic()
                self._tell(claim, {**before, "accepted": told["accepted"]})

        def on_rejected(batch: Sequence[Rejected]) -> None:
            for one in batch:
                state.rejected.setdefault(one.entry.partition_key, []).append(one.entry.ref)

        unreadable: list[WeirError] = []
        tally = producer.run(
            self._entries(state, unreadable.append),
            # By time, not by the next record: that may be due in minutes.
            enough=lambda: state.finished or self.clock.monotonic() >= segment_end,
            deadline=give_up,
            on_accepted=on_accepted,
            on_rejected=on_rejected,
        )
        state.add(tally)
        return tally, unreadable[0] if unreadable else None

    def _entries(self, state: SliceState, on_unreadable: Callable[[WeirError], None]) -> Iterator[Entry]:
        """Sealed records, from the checkpoint on. A line that can't be used, or a source that AWS does not give on,
        ends them, so that what came before is accounted for."""
        tag, index, produced = run_tag(self.run.run_id), self.index, state.produced
        epoch, end = self.clock.epoch, self.span.end
        try:
            for next_position, key, payload in self.source.read(state.position):
                sequence = produced.get(key, 0)
                produced[key] = sequence + 1
                state.position = next_position
                state.finished = next_position >= end
                yield Entry(key, seal(tag, index, sequence, int(epoch() * 1_000_000), payload), None, sequence)
            state.finished = True
        except WeirError as error:
            on_unreadable(error)

    def _tell(self, claim: Claim, counts: Mapping[str, Any]) -> None:
        try:
            self.table.tell(self.run.run_id, "SLICE", claim, counts)
        except (TooManyRequests, Unavailable) as error:
            # Progress for people to look at: the next one, or the checkpoint, tells the same.
            logger().warning("progress not told: %s", error)

    def _checkpoint(self, claim: Claim, state: SliceState) -> None:
        self.bucket.save(part_key(self.run.run_id, "SLICE", self.index, claim.version), state.to_dict())
        # By shard only at the end: readers need it then, and for a thousand shards it is 50 KB.
        counts = state.counts(most_shards_told(self.run) if state.finished else None)
        self.table.tell(self.run.run_id, "SLICE", claim, counts, saved=True, done=state.finished)


def _refuse_broken(tally: PutTally) -> None:
    codes = ", ".join(sorted(tally.errors)) or "no code"
    if tally.stopped == "stream_gone":
        raise StreamGone(f"The stream went away while records were being written ({codes}).")
    if tally.stopped == "refused":
        raise UpstreamFailed(f"AWS denies writing to the stream ({codes}).")


def pace_of(load: Load, workers: int, elapsed: float = 0.0, drawn: int = 0) -> Pace:
    """One writer's pace ``elapsed`` seconds and ``drawn`` records after it began: its share of the asked rate, or of
    what shards take."""
    if load.rate is None:
        return AsFastAsPossible(SHARD_RECORDS_PER_SECOND / workers, SHARD_BYTES_PER_SECOND / workers)
    burst = load.burst
    return Rate(
        load.rate / workers,
        None if burst is None else Burst(burst.every_seconds, burst.length_seconds, burst.factor),
        into_s=elapsed,
        drawn=drawn,
    )
