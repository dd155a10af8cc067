"""Findings from points: 20 streams of 10 metrics, a week by the minute, through every workflow; and the detector alone.

``python -m tests.benchmarks.findings_case [STREAMS]`` prints one JSON line. The clock runs from the points, as
CloudWatch gave them, to the JSON of all that was found. Anomalies are timed apart and over a few of the streams, for
the detector judges point by point.
"""

import json
import math
import random
import sys
import time
from datetime import UTC, datetime, timedelta

from weir.analysis.workflows.registry import WORKFLOWS, run
from weir.analysis.workflows.series import MetricSeries
from weir.analysis.workflows.stream_facts import METRICS, StreamFacts
from weir.streams.metrics import CATALOGUE

STREAMS, METRICS_EACH, POINTS = 20, 10, 7 * 1440
JUDGED = 4
"""Streams whose anomalies are looked for."""

START = datetime(2026, 11, 16, tzinfo=UTC)
GAP = 0.002

Points = dict[str, tuple[float | None, ...]]


def points_of(rng: random.Random) -> Points:
    """A stream's points: a load with busy hours, throttles at its peaks, latencies, and a few gaps."""
    base, swing = rng.uniform(50, 1500), rng.uniform(0, 0.9)
    rates = [
        base * (1 + swing * math.sin(minute / 1440 * 2 * math.pi)) * rng.lognormvariate(0, 0.1)
        for minute in range(POINTS)
    ]
    most = 1.7 * base
    found: dict[str, list[float]] = {
        "IncomingBytes": [60 * 300 * rate for rate in rates],
        "IncomingRecords": [float(round(60 * rate)) for rate in rates],
        "GetRecords.Bytes": [60 * 300 * rate for rate in rates],
        "GetRecords.Records": [float(round(60 * rate)) for rate in rates],
        "WriteProvisionedThroughputExceeded": [60 * max(0.0, rate - most) for rate in rates],
        "ReadProvisionedThroughputExceeded": [0.0] * POINTS,
        "GetRecords.IteratorAgeMilliseconds": [rng.expovariate(1 / 400) for _ in rates],
        "GetRecords.Latency": [rng.lognormvariate(2, 0.3) for _ in rates],
        "PutRecords.Latency": [rng.lognormvariate(2.5, 0.3) for _ in rates],
        "PutRecord.Latency": [rng.lognormvariate(2.2, 0.3) for _ in rates],
    }
    return {
        name: tuple(None if rng.random() < GAP else value for value in found[name]) for name in METRICS[:METRICS_EACH]
    }


def stream(found: Points) -> StreamFacts:
    """What the workflows get."""
    series = {
        name: MetricSeries(name, CATALOGUE["stream", name].stat, CATALOGUE["stream", name].unit, 60, START, values)
        for name, values in found.items()
    }
    return StreamFacts(
        name="orders",
        mode="PROVISIONED",
        now=START + timedelta(days=7, minutes=10),
        open_shards=4,
        retention_hours=24,
        encryption="KMS",
        created_at=START - timedelta(days=300),
        consumers=0,
        series=series,
    )


def timed(names: list[str], found: list[Points]) -> tuple[float, int]:
    """CPU seconds of the named workflows over all streams, and how many findings there were."""
    began, findings = time.process_time(), 0
    for each in found:
        answer = run(names, stream(each)).to_dict()
        findings += len(answer["findings"])
        json.dumps(answer)
    return time.process_time() - began, findings


def points(found: list[Points]) -> int:
    """All points, those that are missing included."""
    return sum(len(values) for each in found for values in each.values())


def main(streams: int) -> None:
    rng = random.Random(6)
    found = [points_of(rng) for _ in range(streams)]
    rules, findings = timed([name for name in WORKFLOWS if name != "anomalies"], found)
    detector, odd = timed(["anomalies"], found[:JUDGED])
    told = {
        "streams": streams,
        "points": points(found),
        "findings": findings,
        "cpu_seconds": rules,
        "judged_points": points(found[:JUDGED]),
        "anomaly_findings": odd,
        "detector_cpu_seconds": detector,
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else STREAMS)
