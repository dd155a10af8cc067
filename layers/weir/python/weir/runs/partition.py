"""How often the workers of a run write to, and read from, the run's partition of the table.

All items of a run have one partition key, and a partition takes 1,000 write and 3,000 read units a second:
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html. So what each worker does
once in a while becomes rarer the more of them there are. W writers, R readers; at most 900 together.

Writes: a writer's or reader's item is under 1 KB, one unit a write.

- checkpoints, every 20 s: (W + R) / 20, at most 175 units a second
- progress, every ``tell_seconds``: ``TELLS_PER_SECOND``, 50 units a second
- the last checkpoint of a writer, once, with what each of its S shards took, 50 bytes a shard: 3,000 units at most,
  all writers' together (W * R * S is bounded, and R is S / 4); who is throttled at that moment tries again

Reads: a unit is 4 KB strongly, 8 KB eventually consistent.

- readers' looks at the writers, every ``look_seconds``: ``LOOK_UNITS_PER_SECOND``, 1,000 units a second
- writers' looks at the run, every ``watch_seconds``: ``WATCH_UNITS_PER_SECOND``, 400 units a second. The run's item
  holds its whole spec: two units where records are generated, about 50 where it brings 200,000 bytes of lines
- the run, at the begin of an invocation, which lasts minutes: at most 100 units a second
- ``GET /runs/{id}``, the run and all its parts: 600 units at most, 1,500 a second for a watcher who asks every 0.4 s

That leaves no room for a second watcher of the very largest runs: where they have a look throttled, it is made again
later, and nothing that a run counts is lost.
"""

import json
import math

from weir.runs.models import Run, spec_json

TELLS_PER_SECOND = 50
LOOK_UNITS_PER_SECOND = 1_000
WATCH_UNITS_PER_SECOND = 400

MOST_SHARDS_TOLD = 1_000
"""An item of DynamoDB holds 400 KB."""

MOST_LOOKED_THROUGH = 200_000
"""Counts by shard that all readers together look through, once each: 50 bytes each, 1,250 units."""

_TELL_SECONDS = 1.0
_LOOK_SECONDS = 0.5
_WATCH_SECONDS = 20.0
_PART_BYTES = 1_024
_SHARD_BYTES = 50
_READ_BYTES = 4_096


def workers_of(run: Run) -> tuple[int, int]:
    """How many writers and readers a run has; one of each before it is planned."""
    return (run.plan.workers, run.plan.readers) if run.plan else (1, 1)


def tell_seconds(run: Run) -> float:
    """Seconds from one word of a worker's progress to the next: 1 with 50 workers, 25 with 1,250."""
    return max(_TELL_SECONDS, sum(workers_of(run)) / TELLS_PER_SECOND)


def look_seconds(run: Run) -> float:
    """Seconds from one look of a reader at the writers to the next.

    A look reads the run's item, strongly consistent, and an item of each writer, eventually. Up to 100 writers and 25
    readers look every 0.5 s, 100 and 250 about every 4 s, 1,000 and 250 every half minute.
    """
    writers, readers = workers_of(run)
    shards = run.spec.stream.shard_count
    told = shards if shards <= most_shards_told(run) else 0
    part_units = writers * (_PART_BYTES + _SHARD_BYTES * told) / (2 * _READ_BYTES)
    return max(_LOOK_SECONDS, readers * (_run_units(run) + part_units) / LOOK_UNITS_PER_SECOND)


def watch_seconds(run: Run) -> float:
    """Seconds from one look of a writer at the run to the next: 20; 100 with 800 writers and 190 KB of lines."""
    writers, _ = workers_of(run)
    return max(_WATCH_SECONDS, writers * _run_units(run) / WATCH_UNITS_PER_SECOND)


def _run_units(run: Run) -> int:
    """Units to read the run's item, strongly consistent: its spec as stored, and up to 4 KB of plan and steps."""
    return 1 + math.ceil(len(json.dumps(spec_json(run.spec))) / _READ_BYTES)


def most_shards_told(run: Run) -> int:
    """Of how many shards a writer tells what each accepted, at its end. Of more, none: readers wait the end out."""
    writers, readers = workers_of(run)
    return min(MOST_SHARDS_TOLD, MOST_LOOKED_THROUGH // (writers * readers))
