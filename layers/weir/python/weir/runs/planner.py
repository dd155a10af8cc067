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
from weir.runs.models import Keys, RunPlan, RunSpec
from weir.runtime.errors import FieldError, Invalid
from weir.runtime.settings import Settings
from weir.streams.producer_packer import TARGET_BYTES

SHARD_RECORDS_PER_SECOND = 1_000
SHARD_BYTES_PER_SECOND = 1 << 20
SHARDS_PER_READER = 4
INVOCATION_SECONDS = 600
"""How long a writer or reader works before Step Functions calls it again: well inside Lambda's 15 minutes."""

MEAN_KEY_BYTES = 8
MAX_WORKERS = 1_000
MAX_LEDGER_KEYS = 4_000_000
"""Keys of each slice that the measurement can hold side by side, in the memory of the control function."""

DEFAULT_CONCURRENCY = 1_000
"""Lambdas that run at once in an account and region whose quota nobody has raised (Lambda developer guide)."""

FIXED_TRANSITIONS = 24
LOOP_TRANSITIONS = 3
CONTROL_SECONDS = 8
"""Billed time of the control steps of one run together, measured on a warm function."""

_STREAM_OVERHEAD_SECONDS = 90


@dataclass(frozen=True, slots=True)
class SourceSize:
    """How big the caller's own lines are.

    ``records`` is None until they have been read; ``records_estimated`` then says how many a sample lets expect.
    """

    bytes: int
    records: int | None
    records_estimated: int | None = None


@dataclass(frozen=True, slots=True)
class Span:
    """A half-open part [start, end) of a source: record numbers, line numbers or byte offsets."""

    start: int
    end: int


def make_plan(spec: RunSpec, source: SourceSize | None, conf: Settings) -> RunPlan:
    """The plan of a spec.

    Parameters
    ----------
    source
        The size of the spec's source; None where the records are generated.

    Raises
    ------
    Invalid
        422: the estimated cost passes the spec's ``max_cost`` or the stage's limit; it would take too long; or there
        are more keys than can be accounted for.
    """
    records, record_bytes = _volume(spec, source)
    quota = _quota(spec, record_bytes)
    asked = _asked_rate(spec) or quota
    workers = spec.load.workers or min(MAX_WORKERS, math.ceil(asked / conf.worker_records_per_second))
    workers = max(1, min(workers, records))
    rate = min(asked, quota, float(workers * conf.worker_records_per_second))
    seconds = records / rate
    readers = math.ceil(spec.stream.shard_count / SHARDS_PER_READER)
    invocations = (workers + readers) * max(1, math.ceil(seconds / INVOCATION_SECONDS))
    transitions = FIXED_TRANSITIONS + invocations * LOOP_TRANSITIONS
    cost = _cost(spec, conf, records, record_bytes, seconds, workers, readers, invocations, transitions)
    plan = RunPlan(
        records=records if source is None else source.records,
        source_bytes=None if source is None else source.bytes,
        bytes_total=records * record_bytes,
        rate=rate,
        seconds=seconds,
        workers=workers,
        readers=readers,
        state_transitions=transitions,
        largest_state_payload_bytes=_payload_bytes(workers, readers),
        cost_usd=cost.usd,
        cost_lines=tuple({key: str(value) for key, value in line.to_dict().items()} for line in cost.lines),
        warnings=(*_warnings(asked, quota, rate, workers), *_size_warnings(spec, records, workers, readers)),
    )
    _refuse(spec, plan, cost, conf)
    _refuse_keys(spec, records, workers)
    return plan


def _volume(spec: RunSpec, source: SourceSize | None) -> tuple[int, int]:
    """Records (as a sample lets expect where a source has not been counted) and bytes of each."""
    if source is None:
        return spec.load.records or 1, spec.load.bytes
    records = max(1, source.records if source.records is not None else source.records_estimated or 1)
    return records, max(1, math.ceil(source.bytes / records)) + HEADER_BYTES


def _asked_rate(spec: RunSpec) -> float | None:
    """Records per second that the spec asks for, its bursts included; None where it asks for as many as go."""
    rate, burst = spec.load.rate, spec.load.burst
    if rate is None or burst is None:
        return rate
    return rate * (1 + burst.length_seconds / burst.every_seconds * (burst.factor - 1))


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


def _cost(
    spec: RunSpec,
    conf: Settings,
    records: int,
    record_bytes: int,
    seconds: float,
    workers: int,
    readers: int,
    invocations: int,
    transitions: int,
) -> Cost:
    busy_seconds = (workers + readers) * (seconds + 3) + CONTROL_SECONDS
    calls = invocations + 12
    return estimate_run(
        mode=spec.stream.mode,
        shards=spec.stream.shard_count,
        records=records,
        record_bytes=record_bytes + MEAN_KEY_BYTES,
        stream_seconds=seconds + _STREAM_OVERHEAD_SECONDS,
        lambda_gb_seconds=busy_seconds * conf.worker_memory_mb / 1024,
        lambda_requests=calls,
        state_transitions=transitions,
        user_records_per_record=_packed(spec, record_bytes),
        table_writes=40 + math.ceil((workers + readers) * min(seconds, 3600)),
        table_reads=20 + calls * 2,
        bucket_puts=6 + math.ceil((workers + readers) * (1 + seconds / 20)),
        bucket_gets=6 + calls,
        metrics_requested=20 if "cloudwatch" in spec.analyses else 0,
        region=conf.region,
    )


def _payload_bytes(workers: int, readers: int) -> int:
    """The largest state input: the run id, and a list of numbers as long as there are writers or readers."""
    most = max(workers, readers)
    return 512 + sum(len(str(index)) + 1 for index in range(most)) + 96 * most


def _warnings(asked: float, quota: float, rate: float, workers: int) -> tuple[str, ...]:
    told = []
    if asked > quota:
        told.append(
            f"{asked:,.0f} records/s is more than the {quota:,.0f} that the stream takes of these keys: expect "
            "throttling, which is retried and counted"
        )
    if rate < min(asked, quota):
        told.append(f"{workers} writers put about {rate:,.0f} records/s; the load would take more of them")
    return tuple(told)


def _size_warnings(spec: RunSpec, records: int, workers: int, readers: int) -> tuple[str, ...]:
    told = []
    if workers + readers > DEFAULT_CONCURRENCY:
        told.append(
            f"{workers:,} writers and {readers:,} readers are more than an account's default Lambda concurrency of "
            f"{DEFAULT_CONCURRENCY:,}: without a higher quota, some wait for others"
        )
    if ledger_keys(spec, records, workers) is None and records > MAX_LEDGER_KEYS:
        told.append(
            f"about {records:,} lines may have as many keys; the accounting holds {MAX_LEDGER_KEYS:,} keys of all "
            "writers together, and breaks where there are many more"
        )
    return tuple(told)


def _refuse_keys(spec: RunSpec, records: int, workers: int) -> None:
    held = ledger_keys(spec, records, workers) or 0
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
