"""All rules together: order, and that no number is said which no fact backs."""

import json
import re

import pytest

from tests.unit.analysis.measurements import arrivals, latencies, measured, series, shard
from weir.analysis.facts import Fact
from weir.analysis.findings import SEVERITIES
from weir.analysis.measurement import Measurement
from weir.analysis.rules import assess
from weir.analysis.slo import Slo
from weir.streams.metrics import DEFAULT_NAMES

STRICT = Slo(p99_latency_ms=7.5, min_records_per_second=5000, max_lost=1, max_duplicates=2, ordered=True)
TROUBLED = {
    "accepted": 9_001,
    "rejected": 37,
    "retried": 411,
    "throttled": 401,
    "uncertain": 13,
    "seen": 8_990,
    "lost": 11,
    "duplicates": 17,
    "reordered": 19,
    "corrupted": 23,
    "foreign": 29,
    "latency": latencies(-1, *range(3, 90)),
    "open_shards": 3,
    "shards": (shard(0, 8_000, arrivals=arrivals(4000, 4000)), shard(1, 501, throttled=401), shard(2, 500)),
    "top_keys": (("hot key", 7_999),),
    "cloudwatch": (series("IncomingRecords", 8_000.0), series("GetRecords.IteratorAgeMilliseconds", 9e7)),
    "missing": ("worker",),
}
MEASUREMENTS = {
    "healthy": measured(cloudwatch=tuple(series(name, 10_000.0) for name in DEFAULT_NAMES)),
    "troubled": measured(**TROUBLED),
    "on demand": measured(mode="ON_DEMAND", open_shards=4, **{k: TROUBLED[k] for k in ("lost", "seen", "throttled")}),
    "oversized": measured(open_shards=12, target_rate=None),
    "throttled": measured(throttled=4000, target_rate=None, open_shards=5),
    "empty": measured(accepted=0, seen=0, bytes=0, shards=(), latency=None, arrival_latency=None),
    "unknown": Measurement(run_id="r", stream_name="s", mode="PROVISIONED"),
}


@pytest.mark.parametrize("slo", [Slo(), STRICT], ids=["no objective", "strict"])
@pytest.mark.parametrize("name", MEASUREMENTS)
def test_every_number_in_a_finding_is_one_of_its_facts(name: str, slo: Slo) -> None:
    # Given any run, When its findings are told
    for finding in assess(MEASUREMENTS[name], slo):
        # Then each number in title and advice is in the text of a fact; names such as p99 aside
        backed = " ".join(f"{fact.text} {fact.name}" for fact in finding.evidence)
        words = re.sub(r"\bp\d\d\b|base64", "", f"{finding.title} {finding.advice}")
        for number in re.findall(r"\d[\d,.]*\d|\d", words):
            assert re.search(rf"(?<![\d.,]){re.escape(number)}(?![\d])", backed), (finding.id, number, backed)


@pytest.mark.parametrize("name", MEASUREMENTS)
def test_findings_are_json_the_worst_first_and_have_evidence(name: str) -> None:
    findings = assess(MEASUREMENTS[name], STRICT)
    ranks = [SEVERITIES.index(finding.severity) for finding in findings]
    assert ranks == sorted(ranks)
    assert all(finding.evidence and finding.title and finding.advice for finding in findings)
    assert json.loads(json.dumps([finding.to_dict() for finding in findings]))
    assert len({finding.id for finding in findings}) == len(findings)


def test_a_run_that_measured_nothing_has_no_good_news() -> None:
    # Given a run that ended before anything was known
    ids = {finding.id for finding in assess(MEASUREMENTS["unknown"], STRICT)}

    # Then only what is unknown is told
    assert ids == {
        "loss-unknown",
        "order-unknown",
        "acceptance-unknown",
        "latency-unknown",
        "throughput-unknown",
        "cloudwatch-missing",
    }


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (1_234_567, "records", "1,234,567 records"),
        (1, "records", "1 record"),
        (1, "records/s", "1 records/s"),
        (0.5, "%", "0.5 %"),
        (12.345, "ms", "12.3 ms"),
        (1_234.5, "ms", "1,234 ms"),
        (2.0, "shards", "2 shards"),
        (0.00001234, "shards", "0.000012 shards"),
        (None, "ms", "not measured"),
        ("2 > 4", "", "2 > 4"),
        (1_234.5, "USD/month", "$1,234.50 a month"),
        (0, "USD", "$0.00"),
        (0.0001234, "USD", "$0.00012"),
    ],
)
def test_facts_in_words(value: float | str | None, unit: str, text: str) -> None:
    assert Fact("x", value, unit, "run").text == text
