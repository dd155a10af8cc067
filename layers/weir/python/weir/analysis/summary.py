"""The facts of a run that every report shows, whatever the rules found in them."""

from __future__ import annotations

from weir.analysis.facts import Fact
from weir.analysis.latency import latency_facts
from weir.analysis.measurement import Measurement
from weir.analysis.utilization import average_load, stream_arrivals, utilization

__all__ = ["facts_of"]


def facts_of(m: Measurement) -> tuple[Fact, ...]:
    """Rates, sizes, utilization and latency, each None where it could not be measured."""
    average, used = average_load(m), utilization(m)
    arrivals = stream_arrivals(m)
    inserting = "run: accepted / seconds of inserting"
    return (
        Fact("throughput", m.records_per_second, "records/s", inserting),
        Fact("write volume", average.bytes_in / 1024 if average else None, "KiB/s", inserting),
        Fact("busiest second", arrivals.peak(), "records/s", "run: arrivals", arrivals.width_s == 1),
        Fact("mean record", m.bytes / m.records if m.bytes is not None and m.records else None, "bytes", "run"),
        Fact("records a request", m.records / m.requests if m.records and m.requests else None, "records", "run"),
        Fact("user records a Kinesis record", m.user_records_per_record, "records", "run"),
        _percent("write utilization, average", used.write_average),
        _percent("write utilization, busiest second", used.write_peak_second),
        _percent("read utilization, average", used.read_average),
        *latency_facts(m.latency),
        *latency_facts(m.arrival_latency, "arrival latency"),
        Fact("inserting took", m.insert_seconds, "s", "run"),
        Fact("verifying took", m.verify_seconds, "s", "run"),
        Fact("the stream existed for", m.stream_seconds, "s", "run"),
    )


def _percent(name: str, share: float | None) -> Fact:
    return Fact(name, None if share is None else share * 100, "%", "run")
