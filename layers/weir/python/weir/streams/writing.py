"""Records from a caller onto a stream of Weir's: partial failures sent again alone, the outcome of each told.

The guard comes first: nothing is written to a stream that Weir did not make. Its answer is kept for some seconds, since
the tag calls of a whole account share five a second; only a yes is kept, so that a new stream is known at once.
"""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from weir.runtime.clock import Clock
from weir.runtime.errors import FieldError, Invalid
from weir.streams.entries import Accepted, Entry, Put, Rejected
from weir.streams.hashing import ShardMap
from weir.streams.kinesis import Kinesis
from weir.streams.lifecycle import anybody, describe_stream, not_owned, refuse_foreign
from weir.streams.models import PutAnswer, PutRequest, RecordOutcome
from weir.streams.pacing import AsFastAsPossible
from weir.streams.producer import Producer

KEPT_SECONDS = 15.0
PUT_SECONDS = 20.0
"""Time for all tries of a request; API Gateway gives up at 29 s."""


@dataclass(frozen=True, slots=True)
class Target:
    """A managed stream as a writer needs it."""

    shard_map: ShardMap
    max_record_bytes: int
    owner: str | None = None


class Targets:
    """The managed streams that this process wrote to, or read for a caller, lately, by name."""

    def __init__(self, kinesis: Kinesis, clock: Clock, *, kept_seconds: float = KEPT_SECONDS) -> None:
        self._kinesis = kinesis
        self._clock = clock
        self._kept_seconds = kept_seconds
        self._known: dict[str, tuple[float, Target]] = {}

    def get(self, name: str, owns: Callable[[str | None], bool] = anybody) -> Target:
        """The stream ``name``, looked at within the last seconds.

        StreamNotFound; NotManaged where it is not Weir's, NotOwned where ``owns`` does not take its owner.
        """
        until, target = self._known.get(name, (0.0, None))
        if target is not None and self._clock.monotonic() < until:
            if not owns(target.owner):
                raise not_owned(name)
            return target
        stream = describe_stream(self._kinesis, name)
        refuse_foreign(name, stream.tags, owns)
        target = Target(ShardMap(self._kinesis.shards(name)), stream.max_record_bytes, stream.owner)
        self._known[name] = (self._clock.monotonic() + self._kept_seconds, target)
        return target

    def forget(self, name: str) -> None:
        """Look again at the next use."""
        self._known.pop(name, None)


def write_records(
    put: Put, target: Target, request: PutRequest, *, clock: Clock, rng: random.Random, seconds: float
) -> PutAnswer:
    """Write the records, those that fail again until ``seconds`` are used up; every record's outcome by index.

    Raises Invalid, before anything is written, where a record is larger than the stream takes.
    """
    entries = _entries(request, target.max_record_bytes)
    outcomes: dict[int, RecordOutcome] = {}

    def accepted(batch: Iterable[Accepted]) -> None:
        for entry, shard_id, sequence_number, attempts in batch:
            outcomes[entry.ref] = RecordOutcome(
                index=entry.ref,
                status="accepted",
                shard_id=shard_id,
                sequence_number=sequence_number,
                attempts=attempts,
            )

    def rejected(batch: Iterable[Rejected]) -> None:
        for entry, code, attempts in batch:
            outcomes[entry.ref] = RecordOutcome(index=entry.ref, status="failed", attempts=attempts, error=code)

    producer = Producer(
        put,
        target.shard_map,
        clock,
        pace=AsFastAsPossible(burst_seconds=1.0),  # so few records may go at once
        ordered=request.ordered,
        concurrency=1,
        rng=rng,
    )
    tally = producer.run(entries, deadline=clock.monotonic() + seconds, on_accepted=accepted, on_rejected=rejected)
    in_order = tuple(_outcome(outcomes, index) for index in range(len(entries)))
    failed = sum(outcome.status == "failed" for outcome in in_order)
    return PutAnswer(accepted=len(in_order) - failed, failed=failed, retried=tally.retried, outcomes=in_order)


def _outcome(outcomes: dict[int, RecordOutcome], index: int) -> RecordOutcome:
    """The outcome of a record; one that the producer did not reach before its deadline was never sent."""
    never_sent = RecordOutcome(index=index, status="failed", attempts=0, error="DeadlineExceeded")
    return outcomes.get(index, never_sent)


def _entries(request: PutRequest, max_record_bytes: int) -> list[Entry]:
    too_large = [
        FieldError(f"records.{index}.data", f"{record.size} bytes with its key; the stream takes {max_record_bytes}")
        for index, record in enumerate(request.records)
        if record.size > max_record_bytes
    ]
    if too_large:
        raise Invalid("A record is larger than the stream takes; nothing was written.", errors=too_large)
    return [
        Entry(record.partition_key, record.payload(), record.explicit_hash_key, index)
        for index, record in enumerate(request.records)
    ]
