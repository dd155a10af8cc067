"""One reader of a run: its shards, read side by side in one thread while the writers write.

Kinesis allows five reads a second and shard, so rounds are paced. While the writers are at work a reader stays, for a
record's latency is measured by it; once they have ended and nothing comes, it goes back to Step Functions to wait.

Whatever ends an invocation, its state is saved first, so that the next one reads nothing again. Where one was cut off
all the same, between two checkpoints, the next reads again what was read since, and can't tell how late that was: such
records have no latency, and are fewer in the histogram than in the ledger.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

from weir.analysis.histogram import Histogram
from weir.runs.bucket import RunsBucket, part_key
from weir.runs.envelope import run_tag
from weir.runs.items import PartState
from weir.runs.models import Run
from weir.runs.partition import look_seconds, tell_seconds
from weir.runs.table import Claim, RunsTable, TakenOver
from weir.runs.verifier import ReaderState, ShardState
from weir.runtime.clock import Clock
from weir.runtime.errors import Timeout, TooManyRequests, Unavailable, WeirError
from weir.runtime.observability import logger
from weir.streams.kinesis import Kinesis, RawRecord
from weir.streams.models import Shard
from weir.streams.reader import SECONDS_BETWEEN_CALLS, TRIM_HORIZON, ShardReader, after

IDLE_SECONDS = 3.0
"""Without a record for so long, the reader goes back to Step Functions."""

QUIET_ROUNDS = 5
"""Idle visits to the tip, after the writers ended, until what is missing is given up as lost."""

QUIET_ROUNDS_ALL_SEEN = 2
"""The same, where as much was seen as the writers tell, but their word is not certain: copies may still come."""

MOST_LOOK_SECONDS = 5.0
"""While nothing comes, a reader looks at the writers more and more rarely, but as often as this where it may."""

SAVE_SECONDS = 20.0

LIST_SECONDS = 1.0
"""From one ListShards to the next, while it does not know the children of a shard that ended."""

OVERTIME_SECONDS = 60.0
"""How long a reader whose time is up goes on without a new record of the run's own, once the writers have ended."""


class Outcome(NamedTuple):
    """What an invocation came to; Step Functions calls again after ``wait_seconds`` where it is not done."""

    done: bool
    wait_seconds: int


class Writers(NamedTuple):
    """What the writers tell: whether all have ended, and how many Kinesis records each shard has accepted.

    ``certain``: every answer came and no writer was replaced. Otherwise there may be copies on the stream that no count
    tells of, and a reader that has seen enough records may still have one ahead of it. ``accepted`` is None where a
    writer has not told its shards, which it does at its end, where they are not too many.
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
    """Everything that one reader needs. ``deadline`` tells whether the run's time for reading is up.

    ``ended_at`` of its state is None while an invocation is under way: a checkpoint that says so was not its last word.
    """

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
            The run's time for reading is up, though the writers have not ended, or a shard is not read to its tip, or
            nothing but records of others has come for ``OVERTIME_SECONDS``.
        TakenOver
            Another reader works on these shards now.
        """
        began, began_at = self.clock.monotonic(), self.clock.epoch()
        claim = self.table.claim(self.run.run_id, "READER", self.index, self.run.expires_at)
        state = self._begun(claim, began_at)
        if state.finished:
            # There was no shard for this reader, or the one before it was cut off before it could tell that it is done.
            self._save(claim, state)
            return Outcome(True, 0)
        busy_before = state.busy_seconds
        loop = _Loop(self, claim, state, busy_before - began, read_before=began_at if _cut_off(claim, state) else None)
        under_way = True
        while under_way:
            loop.run(min(until, self.clock.monotonic() + SAVE_SECONDS))
            now = self.clock.monotonic()
            state.busy_seconds = busy_before + now - began
            under_way = not (state.finished or loop.idle or loop.error or now >= until)
            state.ended_at = None if under_way else self.clock.epoch()
            self._save(claim, state)
            if loop.error is not None:
                raise loop.error
        return Outcome(state.finished, 0 if state.finished or not loop.idle else 1 + state.quiet_rounds)

    def _begun(self, claim: Claim, began_at: float) -> ReaderState:
        """The state at the last checkpoint, with this reader's shards from the first time on that they are known."""
        state = ReaderState()
        if claim.checkpoint:
            kept = self.bucket.load(part_key(self.run.run_id, "READER", self.index, claim.checkpoint))
            state = ReaderState.from_dict(kept)
        if state.began_at is None:
            state.began_at = began_at
        if state.shards or state.finished:
            return state
        try:
            mine = self._roots()[self.index :: self.readers]
        except WeirError:
            state.ended_at = self.clock.epoch()
            with suppress(WeirError):  # else the next one takes it that records were read, and does not time them
                self._save(claim, state)
            raise
        state.shards = {shard.shard_id: ShardState() for shard in mine}
        state.finished = not mine
        return state

    def _roots(self) -> list[Shard]:
        """The stream's shards that have no parent in it, by id."""
        shards = sorted(self.kinesis.shards(self.run.stream_name), key=lambda shard: shard.shard_id)
        known = {shard.shard_id for shard in shards}
        return [shard for shard in shards if shard.parent_shard_id not in known]

    def _save(self, claim: Claim, state: ReaderState) -> None:
        self.bucket.save(part_key(self.run.run_id, "READER", self.index, claim.version), state.to_dict())
        self.table.tell(self.run.run_id, "READER", claim, state.counts(), saved=True, done=state.finished)


def _cut_off(claim: Claim, state: ReaderState) -> bool:
    """Whether an invocation before this one may have read records that its checkpoint does not tell of."""
    return claim.checkpoint < claim.version - 1 or (claim.checkpoint > 0 and state.ended_at is None)


class _Loop:
    """Rounds over the open shards of one invocation.

    What arrived before the epoch second ``read_before`` may have been read by an invocation that was cut off. After
    ``run``, ``idle`` tells that there is nothing to do for a while, ``error`` what to raise once the state is saved.
    """

    def __init__(
        self, reading: Reading, claim: Claim, state: ReaderState, busy_offset: float, read_before: float | None
    ) -> None:
        self._reading = reading
        self._claim = claim
        self._state = state
        self._busy_offset = busy_offset
        self._read_before = read_before
        self._tag = run_tag(reading.run.run_id)
        self._readers = {
            shard_id: self._reader(shard_id, shard) for shard_id, shard in state.shards.items() if not shard.closed
        }
        self._childless: dict[str, tuple[str, ...]] = {}
        """Shards that have ended in children of which ListShards does not know all; not closed in the state."""

        self._list_at = 0.0
        self._tell_seconds = tell_seconds(reading.run)
        self._look_seconds = look_seconds(reading.run)
        self._told_at = reading.clock.monotonic()
        # Readers begin together: each has its own time to look, or all would look at once.
        self._look_at = self._told_at + self._look_seconds * reading.index / reading.readers
        # A quiet visit is counted only when the writers have ended, and they do not begin again.
        self._writers = Writers(ended=state.quiet_rounds > 0, certain=False, accepted=None)
        self._fresh, self._fresh_at = 0, 0.0
        self.idle = False
        self.error: WeirError | None = None

    def run(self, until: float) -> None:
        """Round after round until ``until``, the end, or ``IDLE_SECONDS`` without a record."""
        try:
            self._rounds(until)
        except TakenOver:
            raise  # nothing may be saved any more
        except WeirError as error:
            self.error = error

    def _rounds(self, until: float) -> None:
        clock, state, deadline = self._reading.clock, self._state, self._reading.deadline
        last_record_at = clock.monotonic()
        look_seconds = self._look_seconds
        while clock.monotonic() < until:
            got, at_tip = self._round()
            now = clock.monotonic()
            if got:
                last_record_at, state.quiet_rounds = now, 0
                look_seconds = self._look_seconds
                self._look_at = min(self._look_at, now + look_seconds)
                self._tell(now)
                if not deadline():
                    continue
            elif self._writers.certain and at_tip and self._all_seen():
                state.finished = True
                return
            if now >= self._look_at:
                self._look()
                self._look_at = now + look_seconds
                look_seconds = max(self._look_seconds, min(MOST_LOOK_SECONDS, look_seconds * 1.5))
            if now - last_record_at >= IDLE_SECONDS and (self._writers.ended or deadline()):
                self._go_idle(at_tip)
                return
            if self._overtime_is_up(now):
                self._go_home()
                return

    def _go_idle(self, at_tip: bool) -> None:
        """Nothing came for a while after the writers ended, or the time is up: back to Step Functions, or done."""
        state = self._state
        self.idle = True
        if at_tip and self._writers.ended:
            state.quiet_rounds += 1
        enough = QUIET_ROUNDS_ALL_SEEN if self._all_seen() else QUIET_ROUNDS
        state.finished = at_tip and state.quiet_rounds >= enough
        if not state.finished and self._reading.deadline():
            self.error = Timeout("Reading took longer than the plan allows, and had not come to the stream's end.")

    def _overtime_is_up(self, now: float) -> bool:
        """Whether the time is up, the writers have ended, and nothing new of the run's own has come for long."""
        fresh = sum(shard.fresh for shard in self._state.shards.values())
        if fresh != self._fresh or not self._fresh_at or not (self._writers.ended and self._reading.deadline()):
            self._fresh, self._fresh_at = fresh, now
        return now - self._fresh_at >= OVERTIME_SECONDS

    def _go_home(self) -> None:
        """Others keep putting records on the stream: done where all of the run's own are seen, else out of time."""
        self._state.finished = self._writers.certain and self._all_seen() and not self._childless
        if not self._state.finished:
            self.error = Timeout(
                "Reading took longer than the plan allows: records that are none of the run's, or copies, keep coming."
            )

    def _round(self) -> tuple[int, bool]:
        """Read every open shard once: how many records came, and whether every shard is read to its tip."""
        got, at_tip = 0, True
        if not self._readers:  # all have ended, in shards of other readers or in ones that are not listed yet
            self._reading.clock.sleep(SECONDS_BETWEEN_CALLS)
        for shard_id, reader in list(self._readers.items()):
            batch = reader.read()
            shard = self._state.shards[shard_id]
            if batch.records:
                self._enter(shard, batch.records)
                shard.last_sequence = reader.last_sequence
                got += len(batch.records)
            if batch.throttled or batch.millis_behind != 0:  # None: nothing was read, the iterator had expired
                at_tip = False
            if batch.closed:
                self._end(shard_id, batch.child_shard_ids)
                at_tip = False
        if self._childless:
            self._follow()
            at_tip = False
        return got, at_tip

    def _enter(self, shard: ShardState, records: list[RawRecord]) -> None:
        """Enter a batch; without its latency where it may have been read before, and would seem later than it was."""
        state, latency = self._state, self._state.latency
        if self._read_before is not None and records[0].arrived_at < self._read_before:
            state.latency = Histogram()
        state.enter(shard, self._tag, records, self._reading.clock.epoch())
        state.latency = latency

    def _end(self, shard_id: str, children: tuple[str, ...]) -> None:
        """A shard is read to its end. Its state is closed when it is known whose its children are, for a child that is
        left out is never asked for again; until then whoever goes on from a checkpoint comes to this end once more."""
        del self._readers[shard_id]
        if not children:
            self._state.shards[shard_id].closed = True
            return
        self._childless[shard_id], self._list_at = children, self._reading.clock.monotonic()

    def _follow(self) -> None:
        """Read on in the children of shards that ended, after all of their records, where ListShards knows them."""
        now = self._reading.clock.monotonic()
        if now < self._list_at:
            return
        self._list_at = now + LIST_SECONDS
        listed = self._listed()
        for shard_id, children in list(self._childless.items()):
            if not all(child in listed for child in children):
                continue
            del self._childless[shard_id]
            self._state.shards[shard_id].closed = True
            for child in children:
                if child not in self._state.shards and self._is_next(listed[child]):
                    self._state.shards[child] = ShardState()
                    self._readers[child] = self._reader(child, self._state.shards[child])

    def _listed(self) -> dict[str, Shard]:
        """The stream's shards as far as ListShards tells; none where it does not answer."""
        try:
            shards = list(self._reading.kinesis.shards(self._reading.run.stream_name))
        except (TooManyRequests, Unavailable) as error:
            logger().warning("the children of shards that ended were not listed: %s", error)
            return {}
        return {shard.shard_id: shard for shard in shards}

    def _is_next(self, child: Shard) -> bool:
        """Whether a child shard is this reader's (its first parent is), and what came before it here is all read."""
        mine = self._state.shards
        if child.parent_shard_id not in mine:
            return False
        parents = (child.parent_shard_id, child.adjacent_parent_shard_id)
        return all(mine[parent].closed for parent in parents if parent in mine)

    def _reader(self, shard_id: str, shard: ShardState) -> ShardReader:
        position = TRIM_HORIZON if shard.last_sequence is None else after(shard.last_sequence)
        reading = self._reading
        return ShardReader(reading.kinesis, reading.run.stream_name, shard_id, reading.clock, position=position)

    def _all_seen(self) -> bool:
        """Shard by shard, in records as Kinesis counts them: an aggregate is one, a copy or a foreign record none."""
        shards = self._state.shards
        accepted = self._writers.accepted
        return (
            self._writers.ended
            and accepted is not None
            and all(shard.fresh >= accepted.get(shard_id, 0) for shard_id, shard in shards.items())
        )

    def _look(self) -> None:
        """Ask the table how the writers stand. What is known stays where it does not answer."""
        reading = self._reading
        try:
            run = reading.table.head(reading.run.run_id) or reading.run
            self._writers = writers_of(reading.table.parts(run.run_id, "SLICE", consistent=False), run)
        except (TooManyRequests, Unavailable) as error:
            logger().warning("the writers were not looked at: %s", error)

    def _tell(self, now: float) -> None:
        if now - self._told_at < self._tell_seconds:
            return
        self._told_at = now
        self._state.busy_seconds = self._busy_offset + now
        try:
            self._reading.table.tell(self._reading.run.run_id, "READER", self._claim, self._state.counts())
        except (TooManyRequests, Unavailable) as error:
            # Progress for people to look at: the next one, or the checkpoint, tells the same.
            logger().warning("progress not told: %s", error)
