"""What the analysis rests on: agreement with CloudWatch, and what is missing."""

import pytest

from tests.unit.analysis.measurements import evidence, found, measured, series
from weir.streams.metrics import DEFAULT_NAMES


@pytest.mark.parametrize(
    ("points", "uncertain", "expected"),
    [
        ((4000.0, 6000.0), 0, "cloudwatch-agrees"),
        ((4000.0, 6003.0), 3, "cloudwatch-agrees"),  # three were stored twice after a lost answer
        ((4000.0, 6004.0), 3, "cloudwatch-disagrees"),
        ((4000.0,), 0, "cloudwatch-incomplete"),  # the second minute isn't there yet
    ],
)
def test_the_sum_of_incoming_records_against_what_was_accepted(
    points: tuple[float, ...], uncertain: int, expected: str
) -> None:
    m = measured(cloudwatch=(series("IncomingRecords", *points),), uncertain=uncertain)
    told = {"cloudwatch-agrees", "cloudwatch-disagrees", "cloudwatch-incomplete"} & set(found(m))
    assert told == {expected}


def test_an_aggregated_run_is_compared_by_kinesis_records() -> None:
    m = measured(aggregated=True, kinesis_records=50, cloudwatch=(series("IncomingRecords", 50.0),))
    assert "cloudwatch-agrees" in found(m)


def test_a_metric_without_points_is_missing_and_not_zero() -> None:
    # Given one metric with points, one without any, and five that aren't there
    m = measured(cloudwatch=(series("IncomingRecords", 10_000.0), series("IncomingBytes")))
    finding = found(m)["metrics-missing"]

    # Then six are named, none as zero
    facts = evidence(finding)
    assert facts["metrics without a point"] == 6
    assert set(DEFAULT_NAMES) - {"IncomingRecords"} <= set(facts)
    assert all(facts[name] is None for name in DEFAULT_NAMES if name != "IncomingRecords")
    assert finding.severity == "info"


def test_no_metric_at_all_is_a_warning() -> None:
    assert found(measured(cloudwatch=()))["metrics-missing"].severity == "warning"
    assert found(measured(cloudwatch=None))["cloudwatch-missing"].severity == "warning"


def test_all_metrics_with_points_say_nothing() -> None:
    m = measured(cloudwatch=tuple(series(name, 10_000.0) for name in DEFAULT_NAMES))
    assert not {"metrics-missing", "cloudwatch-missing"} & set(found(m))


def test_what_the_run_could_not_measure_is_named() -> None:
    finding = found(measured(missing=("the reader of shardId-1", "bytes")))["not-measured"]
    assert [fact.name for fact in finding.evidence] == ["the reader of shardId-1", "bytes"]
    assert finding.severity == "warning"
