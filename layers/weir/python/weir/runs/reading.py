"""One reader of a run: its shards, read side by side in one thread while the writers write.

Kinesis allows five reads a second and shard, so rounds are paced. While the writers are at work a reader stays, for a
record's latency is measured by it; once they have ended and nothing comes, it goes back to Step Functions to wait.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from weir.runs.bucket import RunsBucket, part_key
from weir.runs.envelope import run_tag
from weir.runs.items import PartState
from weir.runs.models import Run
from weir.runs.table import Claim, RunsTable
from weir.runs.verifier import ReaderState, ShardState
from weir.runtime.clock import Clock
from weir.runtime.errors import Timeout, TooManyRequests, Unavailable
from weir.runtime.observability import logger
from weir.streams.kinesis import Kinesis
from weir.streams.models import Shard
from weir.streams.reader import TRIM_HORIZON, ShardReader, after

IDLE_SECONDS = 3.0
"""Without a record for so long, the reader goes back to Step Functions."""

QUIET_ROUNDS = 5
"""Idle visits to the tip, after the writers ended, until what is missing is given up as lost."""

QUIET_ROUNDS_ALL_SEEN = 2
"""The same, where as much was seen as the writers tell, but their word is not certain: copies may still come."""

LOOK_SECONDS = 0.5
MOST_LOOK_SECONDS = 5.0
LOOK_SECONDS_A_WRITER = 0.005
"""Every look reads an item of each writer: a thousand are looked at every five seconds."""

TELL_SECONDS = 1.0
SAVE_SECONDS = 20.0


class Outcome(NamedTuple):
    """What an invocation came to; Step Functions calls again after ``wait_seconds`` where it is not done."""

    done: bool
    wait_seconds: int


class Writers(NamedTuple):
    """What the writers tell: whether all have ended, and how many Kinesis records each shard has accepted.

    ``certain``: every answer came and no writer was replaced. Otherwise there may be copies on the stream that no count
    tells of, and a reader that has seen enough records may still have one ahead of it. ``accepted`` is None where a
    writer has not told its shards.
    """

    ended: bool
    certain: bool
    accepted: dict[str, int] | None


def writers_of(parts: list[PartState], run: Run) -> Writers:
    """The writers' word, from their slices. They have ended, too, where inserting has failed."""
    accepted: dict[str, int] = {}
    for part in parts:
        for shard_id, sums in part.counts.get("shards", {}).items():
            accepted[shard_id] = accepted.get(shard_id, 0) + sums[0]
    told = all("shards" in part.counts for part in parts)
    workers = run.plan.workers if run.plan else 0
    ended = run.failure is not None or (len(parts) >= workers and all(part.done for part in parts))
    certain = run.failure is None and all(
        part.counts["invocations"] == 1 and not part.counts.get("uncertain") for part in parts
    )
    return Writers(ended, certain, accepted if told else None)


@dataclass(slots=True)
class Reading:
    """Everything that one reader needs. ``deadline`` tells whether the run's time for reading is up."""

    run: Run
    index: int
    readers: int
    kinesis: Kinesis
    table: RunsTable
    bucket: RunsBucket
    clock: Clock
    deadline: Callable[[], bool]

    def read(self, until: float) -> Outcome:
        """Read until all is seen, nothing comes for a while, or about the monotonic second ``until``.

        Raises
        ------
        StreamNotFound
            The stream is gone before all was read.
        Timeout
            The run's time for reading is up, though the writers have not ended or a shard is not read to its tip.
        TakenOver
            Another reader works on these shards now.
        """
        began = self.clock.monotonic()
        claim = self.table.claim(self.run.run_id, "READER", self.index, self.run.expires_at)
        state = self._resume(claim)
        if state.began_at is None:
            state.began_at = self.clock.epoch()
        busy_before = state.busy_seconds
        loop = _Loop(self, claim, state, busy_before - began)
        if state.finished and not claim.checkpoint:
            self._save(claim, state)  # there was no shard for this reader
        while not state.finished:
            loop.run(min(until, self.clock.monotonic() + SAVE_SECONDS))
            state.busy_seconds = busy_before + self.clock.monotonic() - began
            state.ended_at = self.clock.epoch()
            self._save(claim, state)
            if loop.out_of_time:
                raise Timeout("Reading took longer than the plan allows, and had not come to the stream's end.")
            if loop.idle or self.clock.monotonic() >= until:
                break
        return Outcome(state.finished, 0 if state.finished or not loop.idle else 1 + state.quiet_rounds)

    def _resume(self, claim: Claim) -> ReaderState:
        if claim.checkpoint:
            kept = self.bucket.load(part_key(self.run.run_id, "READER", self.index, claim.checkpoint))
            return ReaderState.from_dict(kept)
        shards = sorted(self.kinesis.shards(self.run.stream_name), key=lambda shard: shard.shard_id)
        known = {shard.shard_id for shard in shards}
        roots = [shard for shard in shards if shard.parent_shard_id not in known]
        mine = roots[self.index :: self.readers]
        return ReaderState(shards={shard.shard_id: ShardState() for shard in mine}, finished=not mine)

    def _save(self, claim: Claim, state: ReaderState) -> None:
        self.bucket.save(part_key(self.run.run_id, "READER", self.index, claim.version), state.to_dict())
        self.table.tell(self.run.run_id, "READER", claim, state.counts(), saved=True, done=state.finished)


class _Loop:
    """Rounds over the open shards of one invocation."""

    def __init__(self, reading: Reading, claim: Claim, state: ReaderState, busy_offset: float) -> None:
        self._reading = reading
        self._claim = claim
        self._state = state
        self._busy_offset = busy_offset
        self._tag = run_tag(reading.run.run_id)
        self._readers = {
            shard_id: self._reader(shard_id, shard) for shard_id, shard in state.shards.items() if not shard.closed
        }
        self._told_at = self._looked_at = reading.clock.monotonic()
        writers = reading.run.plan.workers if reading.run.plan else 1
        self._look_seconds = max(LOOK_SECONDS, LOOK_SECONDS_A_WRITER * writers)
        self.idle = False
        self.out_of_time = False

    def run(self, until: float) -> None:
        """Round after round until ``until``, the end, or ``IDLE_SECONDS`` without a record."""
        clock, state = self._reading.clock, self._state
        last_record_at = clock.monotonic()
        writers: Writers | None = None
        look_seconds = self._look_seconds
        while clock.monotonic() < until:
            got, at_tip = self._round()
            now = clock.monotonic()
            if got:
                last_record_at, state.quiet_rounds, writers = now, 0, None
                look_seconds = self._look_seconds
                self._tell(now)
                continue
            if writers is not None and writers.certain and at_tip and self._all_seen(writers):
                state.finished = True
                return
            if now - self._looked_at >= look_seconds or writers is None:
                writers = self._look(now)
                look_seconds = max(self._look_seconds, min(MOST_LOOK_SECONDS, look_seconds * 1.5))
            if now - last_record_at >= IDLE_SECONDS and (writers.ended or self._reading.deadline()):
                self._go_idle(at_tip, writers)
                return

    def _go_idle(self, at_tip: bool, writers: Writers) -> None:
        """Nothing came for a while after the writers ended, or the time is up: back to Step Functions, or done."""
        state = self._state
        self.idle = True
        if at_tip and writers.ended:
            state.quiet_rounds += 1
        enough = QUIET_ROUNDS_ALL_SEEN if self._all_seen(writers) else QUIET_ROUNDS
        state.finished = state.quiet_rounds >= enough
        self.out_of_time = not state.finished and self._reading.deadline()

    def _round(self) -> tuple[int, bool]:
        """Read every open shard once: how many records came, and whether every shard is read to its tip."""
        got, at_tip = 0, True
        for shard_id, reader in list(self._readers.items()):
            batch = reader.read()
            shard = self._state.shards[shard_id]
            if batch.records:
                self._state.enter(shard, self._tag, batch.records, self._reading.clock.epoch())
                shard.last_sequence = reader.last_sequence
                got += len(batch.records)
            if batch.throttled or batch.millis_behind != 0:  # None: nothing was read, the iterator had expired
                at_tip = False
            if batch.closed:
                self._follow(shard_id, batch.child_shard_ids)
                at_tip = False
        return got, at_tip

    def _follow(self, shard_id: str, children: tuple[str, ...]) -> None:
        """A shard ended in a reshard: read on in its children, after all of its own records."""
        self._state.shards[shard_id].closed = True
        del self._readers[shard_id]
        if not children:
            return
        shards = {shard.shard_id: shard for shard in self._reading.kinesis.shards(self._reading.run.stream_name)}
        for child in children:
            if child not in self._state.shards and self._is_next(shards.get(child)):
                self._state.shards[child] = ShardState()
                self._readers[child] = self._reader(child, self._state.shards[child])

    def _is_next(self, child: Shard | None) -> bool:
        """Whether a child shard is this reader's (its first parent is), and what came before it here is all read."""
        mine = self._state.shards
        if child is None or child.parent_shard_id not in mine:
            return False
        parents = (child.parent_shard_id, child.adjacent_parent_shard_id)
        return all(mine[parent].closed for parent in parents if parent in mine)

    def _reader(self, shard_id: str, shard: ShardState) -> ShardReader:
        position = TRIM_HORIZON if shard.last_sequence is None else after(shard.last_sequence)
        reading = self._reading
        return ShardReader(reading.kinesis, reading.run.stream_name, shard_id, reading.clock, position=position)

    def _all_seen(self, writers: Writers) -> bool:
        """Shard by shard, in records as Kinesis counts them: an aggregate is one, a copy or a foreign record none."""
        shards = self._state.shards
        accepted = writers.accepted
        return (
            writers.ended
            and accepted is not None
            and all(shard.fresh >= accepted.get(shard_id, 0) for shard_id, shard in shards.items())
        )

    def _look(self, now: float) -> Writers:
        self._looked_at = now
        reading = self._reading
        try:
            run = reading.table.head(reading.run.run_id) or reading.run
            return writers_of(reading.table.parts(run.run_id, "SLICE"), run)
        except (TooManyRequests, Unavailable) as error:
            logger().warning("the writers were not looked at: %s", error)
            return Writers(ended=False, certain=False, accepted=None)

    def _tell(self, now: float) -> None:
        if now - self._told_at < TELL_SECONDS:
            return
        self._told_at = now
        self._state.busy_seconds = self._busy_offset + now
        try:
            self._reading.table.tell(self._reading.run.run_id, "READER", self._claim, self._state.counts())
        except (TooManyRequests, Unavailable) as error:
            # Progress for people to look at: the next one, or the checkpoint, tells the same.
            logger().warning("progress not told: %s", error)
