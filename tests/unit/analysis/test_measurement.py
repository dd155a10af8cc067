"""The measurement travels between steps as JSON, and keeps what isn't known apart from zero."""

import json

import pytest

from tests.unit.analysis.measurements import arrivals, measured, series, shard
from weir.analysis.measurement import Measurement


def test_it_survives_json() -> None:
    # Given a measurement with everything in it
    measurement = measured(
        shards=(shard(0, arrival_bytes=arrivals(256, 512)), shard(1, throttled=None)),
        cloudwatch=(series("IncomingRecords", 10_000.0, dimensions=(("StreamName", "weir-run-1"),)),),
        missing=("clock of worker 3",),
    )

    # When it goes through JSON, Then it is the same
    assert Measurement.from_dict(json.loads(json.dumps(measurement.to_dict()))) == measurement


def test_a_run_that_measured_nothing_survives_json_too() -> None:
    nothing = Measurement(run_id="r", stream_name="s", mode="ON_DEMAND")
    again = Measurement.from_dict(json.loads(json.dumps(nothing.to_dict())))
    assert again == nothing
    assert (again.lost, again.latency, again.cloudwatch, again.records_per_second) == (None, None, None, None)


def test_another_schema_is_refused() -> None:
    with pytest.raises(ValueError, match="schema"):
        Measurement.from_dict(measured().to_dict() | {"schema": 7})


def test_a_rate_needs_time_to_pass() -> None:
    assert measured().records_per_second == 1000.0
    assert measured(insert_seconds=0.0).records_per_second is None
    assert measured(accepted=None).records_per_second is None


def test_kinesis_records_are_the_aggregated_ones() -> None:
    assert measured().records == 10_000
    assert measured(aggregated=True, kinesis_records=120).records == 120
    assert measured(aggregated=True).records is None


def test_a_shard_level_series_is_not_taken_for_the_stream() -> None:
    # Given a shard's series and the stream's under one name
    of_shard = series("IncomingRecords", 1.0, dimensions=(("StreamName", "s"), ("ShardId", "shardId-0")))
    of_stream = series("IncomingRecords", 2.0, dimensions=(("StreamName", "s"),))

    # Then only the stream's is answered
    assert measured(cloudwatch=(of_shard, of_stream)).series("IncomingRecords") is of_stream
    assert measured(cloudwatch=(of_shard,)).series("IncomingRecords") is None
