"""Rules about skew: shards that carry more than their share, and keys that no resharding can spread.

A shard is hot when it carries well above the mean, or is throttled while the stream as a whole has room. Small counts
vary by themselves, so a share must also stand out of the noise of random routing. Whether a hot shard hurts is
confirmed per second: one-minute sums hide bursts.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from weir.analysis.facts import Fact
from weir.analysis.findings import Finding
from weir.analysis.measurement import Measurement, ShardMeasurement
from weir.analysis.slo import Slo
from weir.analysis.utilization import utilization, write_utilization
from weir.streams.pacing import SHARD_RECORDS_PER_SECOND

__all__ = ["hot_keys", "hot_shards"]

HOT_SHARE = 1.5
"""A shard is hot above this multiple of the mean."""
_SIGMAS = 5
_FULL, _ROOM = 0.8, 0.5
_TOLD = 5


def hot_shards(m: Measurement, _slo: Slo) -> Iterator[Finding]:
    """Shards above the mean, and shards that throttle while the stream has room."""
    loads = {shard.shard_id: _records(shard) for shard in m.shards}
    known = [records for records in loads.values() if records is not None]
    if len(m.shards) < 2 or len(known) != len(m.shards) or not sum(known):
        return
    mean = sum(known) / len(known)
    crowded = [shard for shard in m.shards if _stands_out(loads[shard.shard_id] or 0, mean)]
    average = utilization(m).write_average
    room = average is not None and average < _ROOM
    choked = [shard for shard in m.shards if shard.throttled and shard not in crowded] if room else []
    if choked and len(choked) == len(m.shards):
        choked = []  # throttles everywhere are bursts, not one shard's heat
    hot = sorted(crowded + choked, key=lambda shard: loads[shard.shard_id] or 0, reverse=True)
    if not hot:
        return
    evidence = [Fact("mean of a shard", mean, "records", "run"), Fact("shards", len(m.shards), "shards", "run")]
    hurts = False
    for shard in hot[:_TOLD]:
        facts, hurting = _evidence(m, shard, loads[shard.shard_id] or 0)
        evidence.extend(facts)
        hurts = hurts or hurting
    evidence.append(
        Fact("write utilization, average", None if average is None else average * 100, "%", "run: whole stream")
    )
    first = hot[0]
    times = Fact(f"{first.shard_id}, times the mean", (loads[first.shard_id] or 0) / mean, "times", "run")
    count = Fact("hot shards", len(hot), "shards", "run")
    yield Finding(
        "hot-shard",
        "warning" if hurts else "info",
        f"{first.shard_id} carried {times.text} the mean of the shards"
        if len(hot) == 1
        else f"{count.text} {count.was} hot; {first.shard_id} carried {times.text} the mean",
        (times, count, *evidence),
        "Spread the partition keys. Split the shard only when its keys are many: a single key stays on one shard."
        if hurts
        else "It stayed within its quota here. At a higher rate it will be the first to throttle.",
    )


def _records(shard: ShardMeasurement) -> int | None:
    return shard.accepted_records if shard.accepted_records is not None else shard.read_records


def _stands_out(records: int, mean: float) -> bool:
    return records > HOT_SHARE * mean and records - mean > _SIGMAS * math.sqrt(mean)


def _evidence(m: Measurement, shard: ShardMeasurement, records: int) -> tuple[list[Fact], bool]:
    """The facts of one hot shard, and whether its heat hurts: throttles, or a second near the quota."""
    peak = shard.arrivals.peak()
    facts = [
        Fact(f"{shard.shard_id}, records", records, "records", "run"),
        Fact(f"{shard.shard_id}, throttled", shard.throttled, "records", "run"),
        Fact(f"{shard.shard_id}, busiest second", peak, "records/s", "run: arrivals"),
        Fact("write quota of a shard", SHARD_RECORDS_PER_SECOND, "records/s", "quota"),
    ]
    size = m.bytes / m.records if m.bytes is not None and m.records else 0.0
    near = peak is not None and write_utilization(peak * size, peak, 1) >= _FULL
    return facts, bool(shard.throttled) or near


def hot_keys(m: Measurement, _slo: Slo) -> Iterator[Finding]:
    """Keys that alone bring more than the mean shard's load: more shards can't help them."""
    shards = m.open_shards or len(m.shards)
    if shards < 2 or not m.top_keys or not m.accepted:
        return
    fair = m.accepted / shards
    hot = [(key, n) for key, n in m.top_keys if n > fair and n - fair > _SIGMAS * math.sqrt(fair)]
    if not hot:
        return
    key, n = max(hot, key=lambda pair: pair[1])
    share = Fact("its share of the records", n / m.accepted * 100, "%", "run")
    count = Fact("hot keys", len(hot), "keys", "run")
    yield Finding(
        "hot-key",
        "warning",
        f"Partition key {_quoted(key)} alone made {share.text} of the records",
        (
            share,
            count,
            Fact("fair share of a shard", fair, "records", "accepted / open shards"),
            *(Fact(f"key {_quoted(name)}", count, "records", "run") for name, count in hot[:_TOLD]),
        ),
        "A key lives on one shard, so more shards won't help. Add a suffix to the key, or key by something finer, "
        "where order within it isn't needed.",
    )


def _quoted(key: str) -> str:
    return f'"{key if len(key) <= 40 else key[:39] + "…"}"'
