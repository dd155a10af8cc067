"""From a symptom to its cause, why by why: each step is borne out by facts, ruled out by them, or a hypothesis.

Symptoms: throttled writes, readers behind, throttled reads. A branch that the facts rule out is told, too, so that
nobody looks there again. A hypothesis says what would have to be measured. The causes are those of
https://docs.aws.amazon.com/streams/latest/dev/troubleshooting-producers.html and .../troubleshooting-consumers.html.
"""

from __future__ import annotations

from collections.abc import Iterator

from weir.analysis.balance import HOT_SHARE, hot_keys
from weir.analysis.facts import Fact
from weir.analysis.findings import Finding
from weir.analysis.slo import Slo
from weir.analysis.utilization import peak_load
from weir.analysis.workflows.patterns import BURSTING
from weir.analysis.workflows.performance import FULL, hottest
from weir.analysis.workflows.results import Options, Why, WorkflowResult
from weir.analysis.workflows.series import MetricSeries
from weir.analysis.workflows.stream_facts import StreamFacts

__all__ = ["five_why"]

MOSTLY = 0.5
"""Share of the throttled periods that must have been full for the stream's size to be the cause."""

BEHIND = 0.1
"""Share of the retention from which readers are a symptom: well before the risk."""

OUTRUN = 1.05
"""Times what is read that must be written for writers to outrun readers."""

GROWN = 20.0
"""Percent of the mean by which the load grew, for growth to be a cause."""


def five_why(stream: StreamFacts, _options: Options) -> WorkflowResult:
    """A tree and a finding for each symptom; one finding where there is none."""
    found = tuple(_symptoms(stream))
    if found:
        return WorkflowResult(
            tuple(_finding(slug, tree) for slug, tree in found), trees=tuple(tree for _, tree in found)
        )
    looked = tuple(stream.measures[name] for name in ("writes throttled", "reads throttled", "iterator age, highest"))
    unknown = [fact for fact in looked if fact.value is None]
    words = "There is no symptom to explain" + (", as far as was measured" if unknown else "")
    return WorkflowResult((Finding("no-symptom", "info", words, looked, "Nothing to do."),))


def _symptoms(stream: StreamFacts) -> Iterator[tuple[str, Why]]:
    """Each symptom's slug and its tree."""
    writes = stream.metric("WriteProvisionedThroughputExceeded")
    if writes is not None and (writes.total or 0.0) > 0:
        count = stream.measures["writes throttled"]
        because = tuple(_why_throttled(stream, writes))
        yield "writes-throttled", Why(f"Writes were throttled: {count.text}", "supported", (count,), because)
    age, kept = stream.metric("GetRecords.IteratorAgeMilliseconds"), stream.retention_hours
    if age is not None and age.highest is not None and kept and age.highest >= BEHIND * kept * 3_600_000:
        facts = (stream.measures["iterator age, highest"], stream.measures["retention"])
        because = tuple(_why_behind(stream))
        yield "readers-behind", Why(f"Readers were {facts[0].text} behind", "supported", facts, because)
    reads = stream.metric("ReadProvisionedThroughputExceeded")
    if reads is not None and (reads.total or 0.0) > 0:
        count = stream.measures["reads throttled"]
        because = tuple(_why_reads(stream))
        yield "reads-throttled", Why(f"Reads were throttled: {count.text}", "supported", (count,), because)


def _why_throttled(stream: StreamFacts, throttled: MetricSeries) -> Iterator[Why]:
    """Either the stream was full when it throttled, or a part of it was: a shard, a key, a second."""
    share = _full_when_throttled(stream, throttled)
    if share is None:
        yield Why("The stream as a whole was full", "hypothesis", (stream.measures["write utilization, highest"],))
        yield from _unevenness(stream)
        return
    full = isinstance(share.value, float) and share.value >= 100 * MOSTLY
    facts = (share, stream.measures["write utilization, p99"], stream.measures["open shards"])
    if full:
        yield Why("The stream as a whole was full", "supported", facts, tuple(_why_full(stream)))
    else:
        yield Why("The stream as a whole was full", "ruled out", facts)
        words = "The stream had room, so that only a part of it was full: a shard, a key or a second"
        yield Why(words, "supported", (share, stream.measures["write utilization, mean"]), tuple(_unevenness(stream)))


def _full_when_throttled(stream: StreamFacts, throttled: MetricSeries) -> Fact | None:
    """The share of the throttled periods in which the stream was nearly full; None where none of them can be told."""
    used = stream.write_utilization
    if used is None:
        return None
    at = [u for t, u in zip(throttled.values, used.values, strict=True) if t and u is not None]
    if not at:
        return None
    share = 100 * sum(1 for u in at if u >= FULL) / len(at)
    return throttled.fact("throttled periods that were full", share, "%", "utilization of 80 % or more / throttled")


def _why_full(stream: StreamFacts) -> Iterator[Why]:
    shape = stream.shape
    change = shape.change if shape is not None else None
    if shape is not None and change is not None and change >= GROWN:
        grown = shape.load.fact("change over the range", change, "%", "Theil-Sen slope x range / mean")
        words = "The load grew, and the shards did not grow with it"
        yield Why(words, "supported", (grown, stream.measures["open shards"]), (_no_scaling(stream),))
    elif shape is not None and (shape.daily or shape.weekly):
        season = shape.week if shape.weekly else shape.day
        strength = shape.load.fact("variance explained by the season", 100 * (season.strength if season else 0.0), "%")
        words = "The load has busy hours, and the shards are the same at every hour"
        yield Why(words, "supported", (strength, stream.measures["open shards"]), (_no_scaling(stream),))
    else:
        facts = (stream.measures["records in, p99"], stream.measures["records in, mean"])
        yield Why("Peaks without a pattern pass what the shards take", "hypothesis", facts, (_no_scaling(stream),))


def _no_scaling(stream: StreamFacts) -> Why:
    words = (
        "Provisioned shards change only when somebody changes them, and nothing here tells of a schedule"
        if stream.mode == "PROVISIONED"
        else "On-demand capacity follows the load with a delay, and the load rose faster"
    )
    return Why(words, "hypothesis", (stream.measures["capacity mode"],))


def _unevenness(stream: StreamFacts) -> Iterator[Why]:
    yield _hot_shard(stream)
    run = stream.measurement
    second, minute = (peak_load(run, 1), peak_load(run, 60)) if run is not None else (None, None)
    words = "Bursts within a period pass the quota of a second, though the period's mean does not"
    if second is None or minute is None or not minute.records:
        yield Why(words, "hypothesis", (Fact("busiest second", None, "records/s", "run", complete=False),))
        return
    facts = stream.of_run(
        (
            Fact("busiest second", second.records, "records/s", "run: arrivals"),
            Fact("busiest minute", minute.records, "records/s", "run: arrivals / 60"),
        )
    )
    yield Why(words, "supported" if second.records >= BURSTING * minute.records else "ruled out", facts)


def _hot_shard(stream: StreamFacts) -> Why:
    words = "A shard took much more than its share"
    found = hottest(stream)
    if found is None:
        return Why(
            words, "hypothesis", (Fact("shards with points", 0, "shards", "shard-level metrics"),), (_hot_key(stream),)
        )
    _, times, mean = found
    if isinstance(times.value, float) and times.value > HOT_SHARE:
        return Why(words, "supported", (times, mean), (_hot_key(stream),))
    return Why(words, "ruled out", (times, mean))


def _hot_key(stream: StreamFacts) -> Why:
    words = "A few partition keys have most of the records"
    run = stream.measurement
    if run is None or not run.top_keys or not run.accepted:
        return Why(words, "hypothesis", (Fact("hot keys", None, "keys", "run", complete=False),))
    found = next(iter(hot_keys(run, Slo())), None)
    if found is None:
        return Why(words, "ruled out", stream.of_run([Fact("hot keys", 0, "keys", "run")]))
    evidence = stream.of_run(found.evidence)
    because = Why("The writers' key has too few values, or one that stands for many", "hypothesis", evidence[:1])
    return Why(words, "supported", evidence[:3], (because,))


def _why_behind(stream: StreamFacts) -> Iterator[Why]:
    reads = stream.metric("ReadProvisionedThroughputExceeded")
    count = stream.measures["reads throttled"]
    words = "Readers were throttled"
    if reads is None:
        yield Why(words, "hypothesis", (count,))
    elif reads.total:
        yield Why(words, "supported", (count,), tuple(_why_reads(stream)))
    else:
        yield Why(words, "ruled out", (count,))
    yield _outrun(stream)
    yield _stopped(stream)
    words = "A reader takes longer for its records than they take to come: its own work, or what it waits for"
    yield Why(words, "hypothesis", (stream.measures["GetRecords latency, p99"],))


def _outrun(stream: StreamFacts) -> Why:
    written, read = stream.metric("IncomingRecords"), stream.metric("GetRecords.Records")
    words = "More was written than was read"
    if written is None or read is None or written.mean is None or read.mean is None:
        return Why(words, "hypothesis", (stream.measures["records in, mean"], stream.measures["records out, mean"]))
    facts = (stream.measures["records in, mean"], stream.measures["records out, mean"])
    return Why(words, "supported" if written.mean > OUTRUN * read.mean else "ruled out", facts)


def _stopped(stream: StreamFacts) -> Why:
    """Periods in which records came and none was read: only those where both are known count."""
    written, read = stream.metric("IncomingRecords"), stream.metric("GetRecords.Records")
    words = "Readers stood still for a time"
    if written is None or read is None:
        return Why(words, "hypothesis", (stream.measures["records out, mean"],))
    both = [(w, r) for w, r in zip(written.values, read.values, strict=True) if w is not None and r is not None]
    idle = sum(1 for w, r in both if w > 0 and not r)
    fact = read.fact("periods without reads", idle, "periods", "records came in, none was read")
    if not both:
        return Why(words, "hypothesis", (fact,))
    because = (Why("The reader was stopped, failed, or lost its lease", "hypothesis", (fact,)),) if idle else ()
    return Why(words, "supported" if idle else "ruled out", (fact,), because)


def _why_reads(stream: StreamFacts) -> Iterator[Why]:
    used = stream.read_utilization
    words = "Readers took all that the shards give"
    facts = (stream.measures["read utilization, p99"], stream.measures["open shards"])
    if used is None:
        yield Why(words, "hypothesis", facts)
    elif (used.quantile(0.99) or 0.0) >= FULL:
        because = Why("Several readers share the shards' volume", "hypothesis", (stream.measures["fan-out consumers"],))
        yield Why(words, "supported", facts, (because,))
    else:
        yield Why(words, "ruled out", facts)
        words = "Readers call a shard more often than it answers"
        yield Why(words, "hypothesis", (stream.measures["reads throttled"],))


_ADVICE = {
    "The stream as a whole was full": "Add shards, or switch to on-demand capacity.",
    "The load grew, and the shards did not grow with it": "Add shards, and alarm on the utilization.",
    "The load has busy hours, and the shards are the same at every hour": "Scale by the clock, before the busy hours.",
    "A shard took much more than its share": "Spread the partition keys; split the shard where its keys are many.",
    "A few partition keys have most of the records": "Key by something finer, or add a suffix to the hot keys.",
    "Bursts within a period pass the quota of a second, though the period's mean does not": "Pace the writers.",
    "Readers were throttled": "Give each reader enhanced fan-out, or let them poll less often.",
    "Readers took all that the shards give": "Add shards, or give each reader enhanced fan-out.",
    "More was written than was read": "Add readers: one a shard at least.",
    "Readers stood still for a time": "Find out why the reader stopped, and alarm on the iterator age.",
}
_SEE = "The facts prove no cause: measure what the hypotheses in the tree name."


def _finding(slug: str, tree: Why) -> Finding:
    """The symptom with the deepest cause that facts bear out."""
    path = _deepest(tree)
    facts = tuple(dict.fromkeys(fact for why in path for fact in why.facts))
    advice = next((_ADVICE[why.statement] for why in reversed(path) if why.statement in _ADVICE), _SEE)
    told = ". ".join(why.statement for why in path)
    return Finding(f"why-{slug}", "warning", told, facts, advice)


def _deepest(tree: Why) -> list[Why]:
    """The longest path of supported whys from the symptom; the first of equals."""
    below = [_deepest(why) for why in tree.because if why.support == "supported"]
    return [tree, *max(below, key=len, default=[])]
