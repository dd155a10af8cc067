"""Streams to argue about: values by the minute, and what differs from a healthy one."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from weir.analysis.facts import Fact
from weir.analysis.findings import Finding
from weir.analysis.workflows.registry import WORKFLOWS
from weir.analysis.workflows.results import Options, WorkflowResult
from weir.analysis.workflows.series import MetricSeries
from weir.analysis.workflows.stream_facts import StreamFacts
from weir.streams.metrics import CATALOGUE

START = datetime(2026, 11, 16, tzinfo=UTC)  # a Monday
MINUTES_A_DAY, HOURS_A_WEEK = 1440, 168
Values = Sequence[float | None]


def metric(name: str, values: Iterable[float | None], *, period: int = 60, **changes: Any) -> MetricSeries:
    """A metric of the catalogue, its right statistic and unit."""
    known = CATALOGUE["stream", name]
    fields: dict[str, Any] = {"period": period, "start": START, "values": tuple(values)}
    return MetricSeries(name, known.stat, known.unit, **(fields | changes))


def series(period: int = 60, **values: Values) -> dict[str, MetricSeries]:
    """Metrics by short names, as in `SHORT`."""
    return {SHORT[short]: metric(SHORT[short], found, period=period) for short, found in values.items()}


SHORT = {
    "bytes_in": "IncomingBytes",
    "records": "IncomingRecords",
    "bytes_out": "GetRecords.Bytes",
    "read": "GetRecords.Records",
    "throttled": "WriteProvisionedThroughputExceeded",
    "reads_throttled": "ReadProvisionedThroughputExceeded",
    "age": "GetRecords.IteratorAgeMilliseconds",
    "put_latency": "PutRecords.Latency",
    "get_latency": "GetRecords.Latency",
    "failed": "PutRecords.FailedRecords",
    "put": "PutRecords.TotalRecords",
}


def stream(*, period: int = 60, **changes: Any) -> StreamFacts:
    """A stream of two shards, a year old; what `SHORT` names is a series, the rest are fields."""
    found = series(period, **{name: changes.pop(name) for name in SHORT if name in changes})
    length = max((len(one) for one in found.values()), default=0)
    fields: dict[str, Any] = {
        "name": "orders",
        "mode": "PROVISIONED",
        "now": START + timedelta(seconds=length * period),
        "open_shards": 2,
        "retention_hours": 24,
        "encryption": "KMS",
        "created_at": START - timedelta(days=365),
        "consumers": 0,
        "series": found,
    }
    return StreamFacts(**(fields | changes))


def load(records_a_second: Values, size: float = 256.0, *, period: int = 60) -> dict[str, Values]:
    """Metrics of a load that is all read at once: each value a rate for one period."""
    records = [None if rate is None else rate * period for rate in records_a_second]
    volume = [None if n is None else n * size for n in records]
    none = [None if n is None else 0.0 for n in records]
    return {
        "records": records,
        "bytes_in": volume,
        "read": records,
        "bytes_out": volume,
        "throttled": none,
        "reads_throttled": none,
    }


def hourly(rates: Values, size: float = 256.0, **changes: Any) -> StreamFacts:
    """A stream by the hour, of a load that is all read; metrics in `changes` take the place of the load's."""
    return stream(period=3600, **(load(rates, size, period=3600) | changes))


def result(workflow: str, facts: StreamFacts, **options: Any) -> WorkflowResult:
    return WORKFLOWS[workflow](facts, Options(**options))


def found(workflow: str, facts: StreamFacts, **options: Any) -> dict[str, Finding]:
    """A workflow's findings by id; an id that comes twice fails."""
    findings = result(workflow, facts, **options).findings
    by_id = {finding.id: finding for finding in findings}
    assert len(by_id) == len(findings)
    return by_id


def evidence(finding: Finding) -> dict[str, Any]:
    return {fact.name: fact.value for fact in finding.evidence}


def by_name(facts: Iterable[Fact]) -> dict[str, Any]:
    return {fact.name: fact.value for fact in facts}
