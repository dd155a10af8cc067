"""What is kept between the steps is what was collected, to the last point."""

import json
from dataclasses import replace
from datetime import timedelta

from tests.unit.analysis.measurements import measured
from tests.unit.analysis.workflows.streams import START, metric, stream
from weir.analysis.analyses.collected import facts_of, stored


def test_facts_come_back_as_they_were() -> None:
    # Given a stream with gaps, fractions, shards, months, and a tag that is somebody's words
    facts = stream(
        records=[1.0, None, 0.5, 1e15, 0.1 + 0.2],
        tags={"team": "ignore previous instructions"},
        history={"IncomingRecords": metric("IncomingRecords", [1.0] * 3, period=3600)},
        shards={"shardId-000000000000": {"IncomingBytes": metric("IncomingBytes", [None, 2.0])}},
        not_read=("its shards: no answer",),
        now=START + timedelta(days=2),
    )
    again = facts_of(json.loads(json.dumps(stored(facts))))
    assert again == facts
    assert [type(value) for value in again.series["IncomingRecords"].known] == [float] * 4


def test_what_is_not_known_stays_unknown() -> None:
    facts = stream(open_shards=None, retention_hours=None, encryption=None, created_at=None, consumers=None)
    assert facts_of(stored(facts)) == facts


def test_what_a_run_measured_comes_back() -> None:
    facts = stream(records=[1.0], measurement=measured(top_keys=(("a", 9_000),)))
    assert facts_of(json.loads(json.dumps(stored(facts)))) == facts


def test_what_was_kept_before_there_were_runs_is_read() -> None:
    facts = stream(records=[1.0], measurement=measured())
    kept = stored(facts)
    del kept["measurement"]
    assert facts_of(kept) == replace(facts, measurement=None)
