"""The facts that every report shows."""

import pytest

from tests.unit.analysis.measurements import measured
from weir.analysis.measurement import Measurement
from weir.analysis.summary import facts_of


def test_the_facts_of_the_healthy_run_by_hand() -> None:
    # Given 10,000 records of 256 B in 10 s over 2 shards, by 20 requests, read in 12.5 s
    facts = {fact.name: (fact.value, fact.unit) for fact in facts_of(measured(user_records_per_record=1.0))}

    # Then
    assert facts["throughput"] == (1000.0, "records/s")
    assert facts["write volume"] == (250.0, "KiB/s")
    assert facts["busiest second"] == (1000.0, "records/s")
    assert facts["mean record"] == (256.0, "bytes")
    assert facts["records a request"] == (500.0, "records")
    assert facts["write utilization, average"] == (50.0, "%")
    assert facts["write utilization, busiest second"] == (50.0, "%")
    assert facts["read utilization, average"][0] == pytest.approx(100 * 204_800 / 4_194_304)
    assert facts["latency maximum"] == (100.0, "ms")
    assert facts["arrival latency maximum"] == (50.0, "ms")
    assert facts["inserting took"] == (10.0, "s")
    assert facts["verifying took"] == (12.5, "s")
    assert facts["the stream existed for"] == (30.0, "s")


def test_nothing_measured_is_nothing_told() -> None:
    assert {fact.value for fact in facts_of(Measurement(run_id="r", stream_name="s", mode="PROVISIONED"))} == {None}
