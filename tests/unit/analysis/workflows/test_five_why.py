"""From symptoms to causes: each step borne out, ruled out, or said to be a hypothesis."""

from collections.abc import Iterator
from typing import Any

from tests.unit.analysis.measurements import arrivals, measured, shard
from tests.unit.analysis.workflows.streams import evidence, found, hourly, metric, result, stream
from weir.analysis.workflows.results import Why

DAYS = 10


def steps(tree: Why) -> Iterator[tuple[str, str]]:
    yield tree.statement, tree.support
    for why in tree.because:
        yield from steps(why)


def tree_of(facts: Any, index: int = 0) -> dict[str, str]:
    return dict(steps(result("five-why", facts).trees[index]))


def throttled(rates: list[float], at: set[int], **changes: Any) -> Any:
    return hourly(rates, throttled=[3600.0 if n in at else 0.0 for n in range(len(rates))], **changes)


def test_a_full_stream_that_grew() -> None:
    # Given a load from 1,000 to 1,950 records/s over ten days on 2 shards, throttled at the end
    rates = [1000.0 + 950 * n / 239 for n in range(24 * DAYS)]
    facts = throttled(rates, set(range(220, 240)))
    told = tree_of(facts)
    assert told["The stream as a whole was full"] == "supported"
    assert told["The load grew, and the shards did not grow with it"] == "supported"
    assert found("five-why", facts)["why-writes-throttled"].advice.startswith("Add shards, and alarm")


def test_a_full_stream_with_busy_hours() -> None:
    rates = [1900.0 if 9 <= n % 24 < 17 else 100.0 for n in range(24 * DAYS)]
    told = tree_of(throttled(rates, {24 * day + 12 for day in range(DAYS)}))
    assert told["The load has busy hours, and the shards are the same at every hour"] == "supported"


def test_a_full_stream_without_a_pattern_is_a_hypothesis() -> None:
    rates = [100.0] * 240
    rates[77] = 1990.0
    told = tree_of(throttled(rates, {77}))
    assert told["The stream as a whole was full"] == "supported"
    assert told["Peaks without a pattern pass what the shards take"] == "hypothesis"


def test_throttles_beside_room_without_more_metrics_stay_hypotheses() -> None:
    told = tree_of(throttled([100.0] * 48, {7}))
    assert told["The stream as a whole was full"] == "ruled out"
    assert told["A shard took much more than its share"] == "hypothesis"
    assert told["A few partition keys have most of the records"] == "hypothesis"
    assert any(what.startswith("Bursts") and support == "hypothesis" for what, support in told.items())


def test_a_hot_shard_by_its_metrics_and_a_hot_key_by_a_run() -> None:
    shards = {
        f"shardId-{i:012d}": {"IncomingRecords": metric("IncomingRecords", [n])}
        for i, n in enumerate((900.0, 100.0))
    }  # fmt: skip
    run = measured(top_keys=(("everybody", 9_000), ("b", 10)))
    facts = throttled([100.0] * 48, {7}, shards=shards, measurement=run)
    told = tree_of(facts)
    assert told["A shard took much more than its share"] == "supported"
    assert told["A few partition keys have most of the records"] == "supported"
    finding = found("five-why", facts)["why-writes-throttled"]
    assert finding.advice.startswith("Key by something finer")
    assert evidence(finding)["its share of the records"] == 90.0
    of_the_run = [fact.source for fact in finding.evidence if fact.name == "its share of the records"]
    assert of_the_run == ["run run-1, 2026-11-21 14:05:00 to 2026-11-21 14:05:00 UTC"]


def test_even_shards_and_even_seconds_are_ruled_out() -> None:
    shards = {
        f"shardId-{i:012d}": {"IncomingRecords": metric("IncomingRecords", [n])} for i, n in enumerate((500.0, 500.0))
    }
    even = arrivals(*[100] * 60)
    run = measured(shards=(shard(0, 6000, arrivals=even), shard(1, 6000, arrivals=even)))
    told = tree_of(throttled([100.0] * 48, {7}, shards=shards, measurement=run))
    assert told["A shard took much more than its share"] == "ruled out"
    assert next(support for what, support in told.items() if what.startswith("Bursts")) == "ruled out"


def test_bursts_by_a_run() -> None:
    burst = arrivals(6000)
    run = measured(shards=(shard(0, 6000, arrivals=burst), shard(1, 6000, arrivals=burst)))
    facts = throttled([100.0] * 48, {7}, measurement=run)
    assert next(s for what, s in tree_of(facts).items() if what.startswith("Bursts")) == "supported"
    assert found("five-why", facts)["why-writes-throttled"].advice == "Pace the writers."


def test_readers_that_stood_still() -> None:
    # Given readers that are 6 h behind, read nothing for 3 of 12 hours, and were never throttled
    read = [3600.0 * 100] * 6 + [0.0] * 3 + [3600.0 * 100] * 3
    facts = hourly([100.0] * 12, read=read, age=[6 * 3_600_000.0] * 12)
    told = tree_of(facts)
    assert told["Readers stood still for a time"] == "supported"
    assert told["More was written than was read"] == "supported"
    assert told["Readers were throttled"] == "ruled out"
    finding = found("five-why", facts)["why-readers-behind"]
    assert evidence(finding)["retention"] == 24


def test_readers_without_metrics_leave_hypotheses() -> None:
    told = tree_of(stream(age=[20 * 3_600_000.0] * 3))
    assert set(told.values()) == {"supported", "hypothesis"}
    assert told["Readers were throttled"] == "hypothesis"


def test_throttled_reads_of_full_and_of_roomy_shards() -> None:
    full = stream(bytes_out=[4096 * 1024 * 60.0] * 3, reads_throttled=[5.0] * 3)
    assert tree_of(full)["Readers took all that the shards give"] == "supported"
    roomy = stream(bytes_out=[1024 * 60.0] * 3, reads_throttled=[5.0] * 3)
    assert tree_of(roomy)["Readers took all that the shards give"] == "ruled out"
    assert tree_of(roomy)["Readers call a shard more often than it answers"] == "hypothesis"


def test_without_a_symptom_there_is_nothing_to_explain() -> None:
    told = found("five-why", hourly([100.0] * 48, age=[0.0] * 48))
    assert set(told) == {"no-symptom"}
    assert "as far as was measured" not in told["no-symptom"].title
    assert "as far as was measured" in found("five-why", hourly([100.0] * 48))["no-symptom"].title


def test_every_supported_step_has_a_fact() -> None:
    facts = throttled([100.0] * 48, {7}, age=[20 * 3_600_000.0] * 48, reads_throttled=[3.0] * 48)
    trees = result("five-why", facts).trees
    assert len(trees) == 3

    def walk(why: Why) -> None:
        assert why.facts
        if why.support == "supported":
            assert any(fact.value is not None for fact in why.facts)
        for below in why.because:
            walk(below)

    for tree in trees:
        walk(tree)
