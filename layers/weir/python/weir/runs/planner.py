"""The plan: how many writers and readers a spec needs, how long it takes, what it costs.

Quotas per shard are those of the Kinesis developer guide: 1 MiB and 1,000 records a second in, 2 MiB a second and 5
reads a second out. A writer's own speed and memory are settings, because they depend on the function's size.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise

from weir.analysis.cost import Cost, estimate_run
from weir.runs.envelope import HEADER_BYTES
from weir.runs.models import Keys, RunPlan, RunSpec, S3Source
from weir.runs.partition import TELLS_PER_SECOND
from weir.runtime.errors import FieldError, Invalid
from weir.runtime.settings import Settings
from weir.streams.producer_packer import TARGET_BYTES

SHARD_RECORDS_PER_SECOND = 1_000
SHARD_BYTES_PER_SECOND = 1 << 20
SHARDS_PER_READER = 4
INVOCATION_SECONDS = 600
"""How long a writer or reader works before Step Functions calls it again: well inside Lambda's 15 minutes."""

MEAN_KEY_BYTES = 8
WORKER_RECORD_BYTES = 1_024
"""Data and key of the records that a writer's records per second are of at most; of larger ones it does as many bytes.

It is the largest size whose cost is measured (docs/benchmarks.md): 100,000 records per core-second, ten times what a
writer is given by default.
"""

MAX_LEDGER_KEYS = 4_000_000
"""Keys of each slice that the measurement can hold side by side, in the memory of the control function."""

MOST_AT_ONCE = 900
"""Writers and readers of a run, which all work at the same time: latency is measured by readers that keep up.

Lambda runs 1,000 functions at once in an account and region whose quota nobody has raised (Lambda developer guide); a
tenth is left to the run's own steps, the API and the sweeper.
"""

FIXED_TRANSITIONS = 24
LOOP_TRANSITIONS = 3
CONTROL_SECONDS = 8
"""Billed time of the control steps of one run together, measured on a warm function."""

SAVE_SECONDS = 20.0
"""From one checkpoint of a writer or reader to the next. A writer looks up the run, and opens its source, with each."""

_STREAM_OVERHEAD_SECONDS = 90


@dataclass(frozen=True, slots=True)
class SourceSize:
    """How big the caller's own lines are.

    ``records`` is None until they have been read; ``records_estimated`` then says how many a sample lets expect.
    ``version`` is that of the S3 object that was looked at.
    """

    bytes: int
    records: int | None
    records_estimated: int | None = None
    version: str | None = None


@dataclass(frozen=True, slots=True)
class Span:
    """A half-open part [start, end) of a source: record numbers, line numbers or byte offsets."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class _Work:
    """What there is to do, and who does it: ``records`` of ``record_bytes`` each, ``rate`` of them a second."""

    records: int
    record_bytes: int
    workers: int
    readers: int
    rate: float

    @property
    def seconds(self) -> float:
        return self.records / self.rate

    @property
    def invocations_each(self) -> int:
        return max(1, math.ceil(self.seconds / INVOCATION_SECONDS))

    @property
    def invocations(self) -> int:
        return (self.workers + self.readers) * self.invocations_each

    @property
    def saves(self) -> tuple[int, int]:
        """Checkpoints of the writers, and of the readers, without that at the end of each invocation."""
        each = math.ceil(self.seconds / SAVE_SECONDS)
        return self.workers * each, self.readers * each

    @property
    def tells(self) -> int:
        """Words of progress: of each worker one a second, of many ``TELLS_PER_SECOND`` together, and a last one."""
        at_once = self.workers + self.readers
        return math.ceil(min(at_once, TELLS_PER_SECOND) * self.seconds) + at_once

    @property
    def transitions(self) -> int:
        return FIXED_TRANSITIONS + self.invocations * LOOP_TRANSITIONS


def make_plan(spec: RunSpec, source: SourceSize | None, conf: Settings) -> RunPlan:
    """The plan of a spec.

    Parameters
    ----------
    source
        The size of the spec's source; None where the records are generated.

    Raises
    ------
    Invalid
        422: the estimated cost passes the spec's ``max_cost`` or the stage's limit; it would take too long; more would
        work at once than Lambda lets; or there are more keys than can be accounted for.
    """
    work, warnings = _work(spec, source, conf)
    cost = _cost(spec, conf, work)
    plan = RunPlan(
        records=work.records if source is None else source.records,
        source_bytes=None if source is None else source.bytes,
        bytes_total=work.records * work.record_bytes,
        rate=work.rate,
        seconds=work.seconds,
        workers=work.workers,
        readers=work.readers,
        state_transitions=work.transitions,
        largest_state_payload_bytes=_payload_bytes(work.workers, work.readers),
        cost_usd=cost.usd,
        cost_lines=tuple({key: str(value) for key, value in line.to_dict().items()} for line in cost.lines),
        warnings=(*warnings, *_key_warnings(spec, work)),
    )
    _refuse(spec, plan, cost, conf)
    _refuse_keys(spec, work)
    return plan


def _work(spec: RunSpec, source: SourceSize | None, conf: Settings) -> tuple[_Work, tuple[str, ...]]:
    """Who does it and how long that takes, and warnings of what stands in the way. Invalid as ``_workers`` tells."""
    records, record_bytes = _volume(spec, source)
    quota = _quota(spec, record_bytes)
    asked, peak = _asked_rates(spec) or (quota, quota)
    writer_rate = _writer_rate(record_bytes, conf)
    readers = math.ceil(spec.stream.shard_count / SHARDS_PER_READER)
    workers = _workers(spec, records, math.ceil(peak / writer_rate), readers)
    capacity = workers * writer_rate
    work = _Work(records, record_bytes, workers, readers, min(asked, quota, capacity))
    return work, _rate_warnings(peak, quota, capacity, workers)


def _volume(spec: RunSpec, source: SourceSize | None) -> tuple[int, int]:
    """Records (as a sample lets expect where a source has not been counted) and bytes of each."""
    if source is None:
        return spec.load.records or 1, spec.load.bytes
    records = max(1, source.records if source.records is not None else source.records_estimated or 1)
    return records, max(1, math.ceil(source.bytes / records)) + HEADER_BYTES


def _asked_rates(spec: RunSpec) -> tuple[float, float] | None:
    """Records per second that the spec asks for, in the mean and at the height of its bursts; None for all that go."""
    rate, burst = spec.load.rate, spec.load.burst
    if rate is None:
        return None
    if burst is None:
        return rate, rate
    return rate * (1 + burst.length_seconds / burst.every_seconds * (burst.factor - 1)), rate * burst.factor


def _writer_rate(record_bytes: int, conf: Settings) -> float:
    """Records per second that one writer does, of these."""
    return conf.worker_records_per_second * min(1.0, WORKER_RECORD_BYTES / (record_bytes + MEAN_KEY_BYTES))


def _workers(spec: RunSpec, records: int, needed: int, readers: int) -> int:
    """As many writers as asked for, else as needed and as there is room for beside the readers.

    Invalid where more are asked for than there is room for, or the readers leave none.
    """
    room = MOST_AT_ONCE - readers
    workers = min(records, spec.load.workers or min(needed, max(1, room)))
    if workers <= room:
        return workers
    field = FieldError("load.workers", f"at most {room:,} beside {readers:,} readers")
    if room < 1:
        field = FieldError("stream.shards", f"at most {SHARDS_PER_READER * (MOST_AT_ONCE - 1):,}")
    raise Invalid(
        f"Writers and readers work all at once, in at most {MOST_AT_ONCE:,} Lambdas together; here {workers:,} for "
        f"writers and {readers:,} for readers, one for every {SHARDS_PER_READER} shards.",
        errors=[field],
    )


def _quota(spec: RunSpec, record_bytes: int) -> float:
    """Records per second that the stream takes of these keys: the fullest shard is full first."""
    by_bytes = SHARD_BYTES_PER_SECOND / (record_bytes + MEAN_KEY_BYTES)
    by_records = SHARD_RECORDS_PER_SECOND * _packed(spec, record_bytes)
    shards = float(spec.stream.shard_count)
    if spec.load.source is None:
        shards = min(shards, 1 / hottest_share(spec.load.keys))
    return shards * min(by_bytes, by_records)


def hottest_share(keys: Keys) -> float:
    """The part of generated records that the most frequent key has, which all go to one shard."""
    if keys.distribution == "single":
        return 1.0
    if keys.distribution == "uniform":
        return 1 / keys.count
    # The head of the harmonic sum exactly, its tail by the integral: within 0.1 %, whatever the count.
    head = min(keys.count, 1_000)
    total = math.fsum(rank**-keys.exponent for rank in range(1, head + 1))
    if keys.count > head:
        start, end, power = head + 0.5, keys.count + 0.5, 1 - keys.exponent
        total += math.log(end / start) if abs(power) < 1e-9 else (end**power - start**power) / power
    return 1 / total


def ledger_keys(spec: RunSpec, records: int, workers: int) -> int | None:
    """The most entries that the accounting may hold, one for each key of each slice; None where lines name the keys."""
    source, keys = spec.load.source, spec.load.keys
    if source is not None and source.key_field is not None:
        return None
    return min(records, workers * (1 if keys.distribution == "single" else keys.count))


def _packed(spec: RunSpec, record_bytes: int) -> float:
    """Records in one Kinesis record."""
    return max(1.0, TARGET_BYTES / (record_bytes + MEAN_KEY_BYTES)) if spec.load.aggregated else 1.0


def _cost(spec: RunSpec, conf: Settings, work: _Work) -> Cost:
    at_once, seconds = work.workers + work.readers, work.seconds
    calls = work.invocations + 12
    writers_saves, readers_saves = work.saves
    checkpoints = writers_saves + readers_saves + work.invocations
    opened = writers_saves + work.workers * work.invocations_each if isinstance(spec.load.source, S3Source) else 0
    return estimate_run(
        mode=spec.stream.mode,
        shards=spec.stream.shard_count,
        records=work.records,
        record_bytes=work.record_bytes + MEAN_KEY_BYTES,
        stream_seconds=seconds + _STREAM_OVERHEAD_SECONDS,
        lambda_gb_seconds=(at_once * (seconds + 3) + CONTROL_SECONDS) * conf.worker_memory_mb / 1024,
        lambda_requests=calls,
        state_transitions=work.transitions,
        user_records_per_record=_packed(spec, work.record_bytes),
        table_writes=40 + work.invocations + checkpoints + work.tells,
        table_reads=20 + calls * 2 + writers_saves,
        bucket_puts=6 + checkpoints,
        bucket_gets=6 + calls + at_once + opened,
        metrics_requested=20 if "cloudwatch" in spec.analyses else 0,
        region=conf.region,
    )


def _payload_bytes(workers: int, readers: int) -> int:
    """The largest state input: the run id, and a list of numbers as long as there are writers or readers."""
    most = max(workers, readers)
    return 512 + sum(len(str(index)) + 1 for index in range(most)) + 96 * most


def _rate_warnings(peak: float, quota: float, capacity: float, workers: int) -> tuple[str, ...]:
    told = []
    if peak > quota:
        told.append(
            f"{peak:,.0f} records/s is more than the {quota:,.0f} that the stream takes of these keys: expect "
            "throttling, which is retried and counted"
        )
    if capacity < min(peak, quota):
        told.append(f"{workers} writers put about {capacity:,.0f} records/s; the load would take more of them")
    return tuple(told)


def _key_warnings(spec: RunSpec, work: _Work) -> tuple[str, ...]:
    if ledger_keys(spec, work.records, work.workers) is not None or work.records <= MAX_LEDGER_KEYS:
        return ()
    told = (
        f"about {work.records:,} lines may have as many keys; the accounting holds {MAX_LEDGER_KEYS:,} keys of all "
        "writers together, and breaks where there are many more"
    )
    return (told,)


def _refuse_keys(spec: RunSpec, work: _Work) -> None:
    held = ledger_keys(spec, work.records, work.workers) or 0
    if held > MAX_LEDGER_KEYS:
        told = f"at most {MAX_LEDGER_KEYS:,} keys of all writers together, here {held:,}"
        raise Invalid(
            f"Every writer numbers the records of every key, and the accounting can hold {told}.",
            errors=[FieldError("load.keys.count", told), FieldError("load.workers", told)],
        )


def _refuse(spec: RunSpec, plan: RunPlan, cost: Cost, conf: Settings) -> None:
    limit = min(spec.max_cost, Decimal(conf.max_run_cost_usd))
    if Decimal(cost.usd) > limit:
        own = spec.max_cost <= Decimal(conf.max_run_cost_usd)
        whose = "the run's max_cost" if own else "this stage's limit for one run (WEIR_MAX_RUN_COST_USD)"
        raise Invalid(
            f"The run would cost about ${cost.usd}, over {whose} of ${limit}.",
            errors=[FieldError("max_cost", f"estimated ${cost.usd}; raise it, or ask for less")],
            estimated_cost_usd=cost.usd,
        )
    if plan.seconds + _STREAM_OVERHEAD_SECONDS > spec.expires_in:
        raise Invalid(
            f"Inserting takes about {plan.seconds:,.0f} s; the stream would expire before that.",
            errors=[FieldError("expires_in", f"at least {math.ceil(plan.seconds) + _STREAM_OVERHEAD_SECONDS} s")],
        )


def spans(total: int, parts: int) -> Sequence[Span]:
    """[0, total) in ``parts`` contiguous spans whose sizes differ by one at most."""
    edges = [total * index // parts for index in range(parts + 1)]
    return [Span(start, end) for start, end in pairwise(edges)]
