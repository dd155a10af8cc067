"""A reader's bench: a run whose writers the test plays."""

from collections.abc import Sequence
from typing import Any

from tests.unit.runs.fakes import Log, run_of, spec_of, stored
from tests.unit.streams.fakes import FakeTime
from weir.runs.bucket import RunsBucket, part_key
from weir.runs.envelope import run_tag, seal
from weir.runs.items import PartState
from weir.runs.models import Run
from weir.runs.reading import Outcome, Reading
from weir.runs.table import RunsTable
from weir.runs.verifier import ReaderState

FIRST, SECOND, THIRD = (f"shardId-{number:012d}" for number in range(3))


class Bench:
    """One reader, on a stream of which the test plays the writers."""

    def __init__(self, table: RunsTable, bucket: RunsBucket, shards: int = 1, **spec: Any) -> None:
        self.table, self.bucket = table, bucket
        self.run: Run = stored(table, run_of(spec_of(stream={"shards": shards}, **spec)))
        self.time = FakeTime()
        self.log = Log(self.time)
        self.log.stream(self.run, shards)
        self.written: dict[str, int] = {}
        self.out_of_time = False
        self.claim = table.claim(self.run.run_id, "SLICE", 0, self.run.expires_at)

    def write(self, sequences: Sequence[int], shard_id: str = FIRST, key: str = "k", **changes: Any) -> None:
        """The writer puts records and has them accepted."""
        for sequence in sequences:
            now = self.time.clock().epoch()
            data = seal(changes.get("tag", run_tag(self.run.run_id)), 0, sequence, int(now * 1e6), b"payload")
            self.log.put(self.run.stream_name, shard_id, key, changes.get("data", data))
            self.written[shard_id] = self.written.get(shard_id, 0) + int(changes.get("counts", True))

    def told(self, *, done: bool, uncertain: int = 0) -> None:
        """The writer tells what it has had accepted, and of how much it had no answer."""
        shards = {shard_id: [count, 0, 0] for shard_id, count in self.written.items()}
        self.table.tell(
            self.run.run_id, "SLICE", self.claim, {"shards": shards, "uncertain": uncertain}, saved=done, done=done
        )

    def reading(self, index: int = 0, readers: int = 1) -> Reading:
        return Reading(
            run=self.run,
            index=index,
            readers=readers,
            kinesis=self.log,
            table=self.table,
            bucket=self.bucket,
            clock=self.time.clock(),
            deadline=lambda: self.out_of_time,
        )

    def read(self, seconds: float = 800.0, **which: int) -> Outcome:
        return self.reading(**which).read(self.time.seconds + seconds)

    def part(self, index: int = 0) -> PartState:
        return next(part for part in self.table.parts(self.run.run_id, "READER") if part.index == index)

    def state(self, index: int = 0) -> ReaderState:
        key = part_key(self.run.run_id, "READER", index, self.part(index).checkpoint)
        return ReaderState.from_dict(self.bucket.load(key))
