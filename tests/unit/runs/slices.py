"""One slice to write, on a stream that remembers."""

from typing import Any

from tests.unit.runs.fakes import Log, PutLog, run_of, spec_of, stored
from tests.unit.streams.fakes import FakeTime
from weir.runs.bucket import RunsBucket, part_key
from weir.runs.envelope import read
from weir.runs.items import PartState
from weir.runs.ledger import Ledger
from weir.runs.models import Run
from weir.runs.planner import Span
from weir.runs.source import Generated, Source
from weir.runs.table import RunsTable
from weir.runs.writer import SliceState, SliceWriter, pace_of

HOUR = 3_600.0


class Bench:
    """One slice to write, on a stream that remembers."""

    def __init__(self, table: RunsTable, bucket: RunsBucket, records: int = 1_000, **spec: Any) -> None:
        load = {"records": records, "keys": {"count": 5}, **spec.pop("load", {})}
        self.table, self.bucket = table, bucket
        self.run: Run = stored(table, run_of(spec_of(load=load, **spec)))
        self.time = FakeTime()
        self.log = Log(self.time)
        self.log.stream(self.run, 2)
        self.put = PutLog(self.log, self.run.stream_name)
        self.span = Span(0, records)
        self.source: Source = Generated(self.span, 20, self.run.spec.load.keys)
        self.made: dict[str, Any] = {}

    def writer(self, index: int = 0) -> SliceWriter:
        ordered = self.run.spec.slo.ordered
        return SliceWriter(
            run=self.run,
            index=index,
            source=self.source,
            span=self.span,
            producer=lambda elapsed, drawn: self.put.producer(
                pace_of(self.run.spec.load, 1, elapsed, drawn), ordered=ordered, **self.made
            )(),
            table=self.table,
            bucket=self.bucket,
            clock=self.time.clock(),
        )

    def write(self, seconds: float = HOUR) -> bool:
        return self.writer().write(self.time.seconds + seconds)

    def part(self) -> PartState:
        (part,) = self.table.parts(self.run.run_id, "SLICE")
        return part

    def state(self) -> SliceState:
        key = part_key(self.run.run_id, "SLICE", 0, self.part().checkpoint)
        return SliceState.from_dict(self.bucket.load(key))

    def seen(self) -> Ledger:
        """What a reader of the whole stream would enter."""
        ledger = Ledger()
        for records in self.log.streams[self.run.stream_name].records.values():
            for record in records:
                found = read(record.data)
                assert found is not None
                ledger.add(found[0].slice_index, record.partition_key, found[0].sequence)
        return ledger
