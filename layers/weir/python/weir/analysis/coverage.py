"""Rules about what the analysis itself rests on: CloudWatch's agreement with the run, and what is missing.

CloudWatch publishes late, by minutes, so that a young stream's sums are too low; a missing datapoint is not low load.
"""

from __future__ import annotations

from collections.abc import Iterator

from weir.analysis.facts import Fact
from weir.analysis.findings import Finding
from weir.analysis.measurement import Measurement
from weir.analysis.slo import Slo
from weir.streams.metrics import DEFAULT_NAMES

__all__ = ["agreement", "missing_metrics", "unmeasured"]


def agreement(m: Measurement, _slo: Slo) -> Iterator[Finding]:
    """The sum of IncomingRecords against what the writers saw accepted.

    Equal, or more by no more than was sent again after a lost answer, is agreement. Less is a metric not yet there.
    """
    series, records = m.series("IncomingRecords"), m.records
    if series is None or not series.points or records is None:
        return
    total = sum(value for _, value in series.points)
    counted = Fact("IncomingRecords, sum", round(total), "records", "AWS/Kinesis", total >= records)
    accepted = Fact("accepted", records, "records", "run")
    again = Fact("sent again after a lost answer", m.uncertain, "records", "run")
    if total < records:
        yield Finding(
            "cloudwatch-incomplete",
            "info",
            f"CloudWatch has {counted.text} so far, of {accepted.text} accepted",
            (counted, accepted),
            "Metrics are published minutes late. Numbers marked AWS/Kinesis are lower bounds; the run's are whole.",
        )
    elif total <= records + (m.uncertain or 0):
        yield Finding(
            "cloudwatch-agrees",
            "info",
            f"CloudWatch counted {counted.text}, as the run did",
            (counted, accepted, again),
            "Nothing to do.",
        )
    else:
        yield Finding(
            "cloudwatch-disagrees",
            "warning",
            f"CloudWatch counted {counted.text}, more than the {accepted.text} that the run wrote",
            (counted, accepted, again),
            "Someone else writes to the stream, or a writer stored records that it never reported.",
        )


def missing_metrics(m: Measurement, _slo: Slo) -> Iterator[Finding]:
    """Metrics that CloudWatch has no point of; nothing was concluded from them."""
    if m.cloudwatch is None:
        yield Finding(
            "cloudwatch-missing",
            "warning",
            "CloudWatch metrics could not be read",
            (Fact("metrics with points", None, "metrics", "AWS/Kinesis"),),
            "Findings rest on the run's own measurements alone. Check cloudwatch:GetMetricData.",
        )
        return
    absent = [name for name in DEFAULT_NAMES if not ((series := m.series(name)) and series.points)]
    if not absent:
        return
    expected = Fact("metrics expected", len(DEFAULT_NAMES), "metrics", "AWS/Kinesis")
    without = Fact("metrics without a point", len(absent), "metrics", "AWS/Kinesis", complete=False)
    names = tuple(Fact(name, None, "", "AWS/Kinesis") for name in absent)
    yield Finding(
        "metrics-missing",
        "warning" if len(absent) == len(DEFAULT_NAMES) else "info",
        f"CloudWatch has no point yet for {without.value} of the {expected.value} metrics that were asked for",
        (without, expected, *names),
        "They are published minutes late, and some only after a first event. None was taken for zero.",
    )


def unmeasured(m: Measurement, _slo: Slo) -> Iterator[Finding]:
    """What the run says that it could not measure."""
    if m.missing:
        yield Finding(
            "not-measured",
            "warning",
            "Not everything could be measured",
            tuple(Fact(what, None, "", "run") for what in m.missing),
            "The verdict is DEGRADED at best. The timeline shows which step fell short.",
        )
