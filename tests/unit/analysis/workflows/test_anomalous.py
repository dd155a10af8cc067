"""The detector over every series: what is odd is told and drawn with the band that was expected."""

import math
import random
from datetime import timedelta

import pytest

from tests.unit.analysis.workflows.streams import START, evidence, found, metric, result, stream

N = 600


def noise(seed: int, odd: dict[int, float] | None = None) -> list[float | None]:
    rng = random.Random(seed)
    return [(odd or {}).get(n, 100 + rng.random() * 10) for n in range(N)]


def quiet() -> list[float | None]:
    return [100.0 + n % 7 for n in range(N)]


def test_a_spike_is_told_with_what_was_expected() -> None:
    finding = found("anomalies", stream(records=noise(1, {500: 900.0})))["anomaly-incomingrecords"]
    told = evidence(finding)
    assert told["IncomingRecords, strongest"] == 900.0
    assert told["IncomingRecords, strongest at"] == "2026-11-16 08:20 UTC"
    assert 90 < told["IncomingRecords, expected at least"] < 101
    assert 109 < told["IncomingRecords, expected at most"] < 120
    assert finding.severity == "info"


@pytest.mark.parametrize(("later", "severity"), [(timedelta(0), "warning"), (timedelta(days=3), "info")])
def test_a_latency_that_jumped_lately_is_a_warning(later: timedelta, severity: str) -> None:
    facts = stream(put_latency=noise(1, {500: 900.0}), now=START + timedelta(minutes=N) + later)
    assert found("anomalies", facts)["anomaly-putrecords-latency"].severity == severity


def test_a_quiet_series_is_told_as_such() -> None:
    told = found("anomalies", stream(records=quiet()))
    assert set(told) == {"no-anomalies"}
    assert evidence(told["no-anomalies"])["series judged"] == 1


def test_a_short_series_is_not_called_quiet() -> None:
    assert set(found("anomalies", stream(records=[1.0] * 50))) == {"anomalies-unknown"}
    assert set(found("anomalies", stream(records=[None] * 500))) == {"anomalies-unknown"}


def test_missing_points_are_no_anomalies() -> None:
    holed = quiet()
    holed[300:330] = [None] * 30
    assert set(found("anomalies", stream(records=holed))) == {"no-anomalies"}


def test_metrics_that_are_odd_at_the_same_time_are_told_together() -> None:
    soon, other = noise(2, {510: 900.0}), noise(3, {200: 900.0})
    facts = stream(records=noise(1, {500: 900.0}), put_latency=soon, get_latency=other)
    finding = found("anomalies", facts)["anomalies-together"]
    told = evidence(finding)
    assert told["metrics odd together"] == 2
    assert {"IncomingRecords", "PutRecords.Latency"} <= set(told)
    assert "GetRecords.Latency" not in told


def test_a_shards_series_is_judged_too_and_drawn_where_it_is_odd() -> None:
    shards = {
        "shardId-000000000000": {"IncomingRecords": metric("IncomingRecords", noise(1, {500: 900.0}))},
        "shardId-000000000001": {"IncomingRecords": metric("IncomingRecords", noise(2))},
    }
    answer = result("anomalies", stream(records=noise(3), shards=shards))
    assert {"anomaly-shardid-000000000000-incomingrecords"} == {one.id for one in answer.findings}
    assert {chart.id for chart in answer.charts} == {
        "anomalies IncomingRecords",
        "anomalies shardId-000000000000 IncomingRecords",
    }


def test_the_band_is_drawn_with_the_line_and_the_alarms() -> None:
    (chart,) = result("anomalies", stream(records=noise(1, {500: 900.0}))).charts
    assert [line.name for line in chart.lines] == [
        "IncomingRecords",
        "IncomingRecords, lowest",
        "IncomingRecords, highest",
    ]
    assert len(chart.low) == len(chart.high) == len(chart.lines[0].values) == N // 3
    assert chart.low[0] is None
    assert chart.marks[0].column == 166
    assert chart.lines[2].values[166] == 900.0


def test_what_was_never_negative_is_not_expected_to_be() -> None:
    rng = random.Random(1)
    (chart,) = result("anomalies", stream(records=[rng.random() for _ in range(N)])).charts
    assert min(low for low in chart.low if low is not None) == 0.0
    (chart,) = result("anomalies", stream(records=[rng.random() - 0.5 for _ in range(N)])).charts
    assert min(low for low in chart.low if low is not None) < -0.5


def test_a_series_of_any_scale_is_judged_alike() -> None:
    one = found("anomalies", stream(records=noise(1, {500: 900.0})))
    scaled = [None if v is None else v * 1e6 for v in noise(1, {500: 900.0})]
    assert set(found("anomalies", stream(records=scaled))) == set(one)


def test_nan_is_a_missing_point() -> None:
    values, other = noise(1), noise(1)
    values[400], other[400] = math.nan, None
    assert result("anomalies", stream(records=values)).to_dict() == result("anomalies", stream(records=other)).to_dict()
