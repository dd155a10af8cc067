"""Rules about what arrived: loss, damage, order, duplicates, refusals. A run that can't tell is told of as such."""

from __future__ import annotations

from collections.abc import Iterator

from weir.analysis.facts import Fact
from weir.analysis.findings import Finding
from weir.analysis.measurement import Measurement
from weir.analysis.slo import Slo

__all__ = ["duplicates", "foreign", "loss", "order", "refusals"]

_RECORDS = "records"


def _run(name: str, value: int | float | None, unit: str = _RECORDS) -> Fact:
    return Fact(name, value, unit, "run")


def loss(m: Measurement, slo: Slo) -> Iterator[Finding]:
    """Accepted but never read back, or read back with a wrong checksum. seen + lost = accepted."""
    accepted, seen, lost = _run("accepted", m.accepted), _run("read back", m.seen), _run("lost", m.lost)
    allowed = Fact("loss allowed", slo.max_lost, _RECORDS, "slo")
    if m.lost is None:
        yield Finding(
            "loss-unknown",
            "warning",
            "Whether records were lost could not be told",
            (accepted, seen, lost),
            "The accounting did not finish. Run again, with more time to verify, before trusting this stream.",
        )
    elif m.lost:
        over = m.lost > slo.max_lost
        yield Finding(
            "records-lost",
            "critical" if over else "warning",
            f"{lost.text} {lost.was} accepted and never read back",
            (accepted, seen, lost, allowed),
            "Look first at readers that started at LATEST, at child shards left out after a reshard, and at records "
            "that expired before they were read.",
        )
    elif m.accepted:
        yield Finding(
            "no-loss",
            "info",
            f"Every accepted record was read back: {seen.text}",
            (accepted, seen, lost, allowed),
            "Nothing to do.",
        )
    if m.corrupted:
        corrupted = _run("corrupted", m.corrupted)
        yield Finding(
            "records-corrupted",
            "critical",
            f"{corrupted.text} came back with another content than was written",
            (corrupted, accepted),
            "Something between writer and reader changes bytes. Check encodings: data that looks like base64 must "
            "not be decoded twice.",
        )


def order(m: Measurement, slo: Slo) -> Iterator[Finding]:
    """Order within a partition key. PutRecords promises none, so it only counts where it was asked for."""
    asked = slo.ordered or m.ordered_asked
    if m.reordered is None:
        if asked:
            yield Finding(
                "order-unknown",
                "warning",
                "Whether order was kept per key could not be told",
                (_run("reordered", None),),
                "The verification did not finish. Run again with more time to verify.",
            )
        return
    reordered, seen = _run("reordered", m.reordered), _run("read back", m.seen)
    if m.reordered:
        yield Finding(
            "records-reordered",
            "critical" if asked else "info",
            f"{reordered.text} came after a later one of the same key",
            (reordered, seen),
            "Ordered mode holds a key's next record until the one before it is accepted; a consumer needs nothing "
            "more. Without it PutRecords keeps no order, as AWS documents."
            if not asked
            else "Ordered mode was asked for and did not hold. Look for writers that share keys, or for a reshard "
            "whose child shards were read before their parents were finished.",
        )
    elif asked and m.seen:
        yield Finding(
            "order-kept",
            "info",
            f"Order was kept within every key over {seen.text}",
            (reordered, seen),
            "Nothing to do.",
        )


def duplicates(m: Measurement, slo: Slo) -> Iterator[Finding]:
    """Kinesis delivers at least once: a put sent again after a lost answer may be stored twice."""
    if not m.duplicates:
        return
    allowed = Fact("duplicates allowed", slo.max_duplicates, _RECORDS, "slo")
    over = slo.max_duplicates is not None and m.duplicates > slo.max_duplicates
    twice, uncertain = _run("duplicates", m.duplicates), _run("sent again after a lost answer", m.uncertain)
    evidence = (twice, uncertain, _run("read back", m.seen))
    yield Finding(
        "records-duplicated",
        "critical" if over else "info",
        f"{twice.text} arrived more than once",
        (*evidence, allowed) if slo.max_duplicates is not None else evidence,
        "Retried puts make duplicates, as Kinesis documents. Let consumers drop a record whose id they have seen.",
    )


def refusals(m: Measurement, _slo: Slo) -> Iterator[Finding]:
    """Records that Kinesis would not take within the attempts and the time allowed."""
    if m.rejected is None:
        yield Finding(
            "acceptance-unknown",
            "warning",
            "How many records Kinesis refused could not be told",
            (_run("rejected", None), _run("planned", m.planned)),
            "A writer ended without its account. The step that failed is in the timeline.",
        )
    elif m.rejected:
        rejected, planned = _run("rejected", m.rejected), _run("planned", m.planned)
        yield Finding(
            "records-rejected",
            "warning",
            f"{rejected.text} {rejected.was} refused for good",
            (rejected, planned, _run("retried", m.retried), _run("throttled", m.throttled)),
            "Writers gave up after their last attempt or at the deadline. Add shards, spread the keys, or lower the "
            "rate; producers in service must keep what was refused.",
        )
    if m.planned is not None and m.accepted is not None and m.rejected is not None:
        unsent = m.planned - m.accepted - m.rejected
        if unsent > 0:
            fact = _run("not sent", unsent)
            yield Finding(
                "records-not-sent",
                "warning",
                f"{fact.text} of the plan {fact.was} never sent",
                (fact, _run("planned", m.planned), _run("accepted", m.accepted)),
                "Inserting stopped before the plan's end: at its deadline, by a stop, or by a failure that the "
                "timeline names.",
            )


def foreign(m: Measurement, _slo: Slo) -> Iterator[Finding]:
    """Records in the stream that this run did not write."""
    if m.foreign:
        fact = _run("foreign", m.foreign)
        yield Finding(
            "foreign-records",
            "warning",
            f"{fact.text} in the stream {fact.was} not written by this run",
            (fact, _run("read back", m.seen)),
            "Somebody else writes to this stream, so throughput and latency are not this run's alone.",
        )
