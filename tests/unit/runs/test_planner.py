"""The plan: known answers worked out by hand, bounds that records don't move, and refusals."""

import math
from decimal import Decimal
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.unit.runs.fakes import run_of
from tests.unit.runs.test_measuring import NOT_ASKED, STREAM
from weir.analysis.cost import cost_of_run
from weir.runs.bucket import RunsBucket
from weir.runs.items import PartState
from weir.runs.measuring import measure
from weir.runs.models import RunPlan, RunSpec
from weir.runs.planner import INVOCATION_SECONDS, SourceSize, make_plan
from weir.runs.table import RunsTable
from weir.runs.verifier import ReaderState
from weir.runs.writer import SliceState
from weir.runtime.clock import SYSTEM
from weir.runtime.errors import Invalid
from weir.runtime.settings import Settings

CONF = Settings(worker_records_per_second=10_000, worker_memory_mb=1024, max_run_cost_usd="1000")


def planned(source: SourceSize | None = None, conf: Settings = CONF, **spec: Any) -> RunPlan:
    document = {"max_cost": 500, "expires_in": 86_400, **spec}
    return make_plan(RunSpec.model_validate(document), source, conf)


def planned_or_refused(spec: RunSpec, conf: Settings) -> RunPlan | None:
    """The plan; None where it is refused, which must name the field that is too small."""
    try:
        return make_plan(spec, None, conf)
    except Invalid as refused:
        fields = {one.field for one in refused.errors}
    known = ({"max_cost"}, {"expires_in"}, {"load.keys.count", "load.workers"}, {"load.workers"}, {"stream.shards"})
    assert fields in known
    return None


def test_as_fast_as_two_shards_take_small_records() -> None:
    # Given 100,000 records of 256 bytes, keys of 8, on 2 shards
    plan = planned(stream={"shards": 2}, load={"records": 100_000})
    # Then records are the tighter quota: 2 x 1,000 a second (bytes would allow 2 x 1,048,576 / 264 = 7,943)
    assert (plan.rate, plan.seconds) == (2_000, 50)
    # and one writer of 10,000 a second and one reader of four shards do; 24 transitions and 3 for each of them
    assert (plan.workers, plan.readers, plan.state_transitions) == (1, 1, 30)
    assert plan.bytes_total == 25_600_000
    # and it costs, at the prices of us-east-1: two shard-hours, and 100,000 payload units
    lines = {line["item"]: line["usd"] for line in plan.cost_lines}
    assert lines["shard-hours"] == "0.03"
    assert lines["PUT payload units"] == "0.0014"
    # and (1 + 1) x (50 + 3) + 8 = 114 s of a GB, 14 requests: 114 x 0.0000133334
    assert lines["duration"] == "0.0015200076"
    assert lines["state transitions"] == "0.00075"
    total = sum(Decimal(line["usd"]) for line in plan.cost_lines)
    assert Decimal(plan.cost_usd) == total
    assert plan.warnings == ()


def test_as_fast_as_bytes_allow_large_records() -> None:
    # Given records of 10,232 bytes and keys of 8: 1,048,576 / 10,240 = 102.4 a second and shard
    plan = planned(stream={"shards": 5}, load={"records": 5_120, "bytes": 10_232})
    assert plan.rate == pytest.approx(512)
    assert plan.seconds == pytest.approx(10)
    assert plan.readers == 2


def test_on_demand_begins_with_four_shards() -> None:
    plan = planned(stream={"mode": "ON_DEMAND"}, load={"records": 8_000})
    assert (plan.rate, plan.seconds, plan.readers) == (4_000, 2, 1)


def test_a_rate_with_bursts_counts_them() -> None:
    # Given 100 a second, and for 2 of every 10 seconds five times that: 100 x (1 + 0.2 x 4) = 180
    burst = {"every_seconds": 10, "length_seconds": 2, "factor": 5}
    plan = planned(load={"records": 1_800, "rate": 100, "burst": burst})
    assert plan.rate == pytest.approx(180)
    assert plan.seconds == pytest.approx(10)


def test_a_rate_above_the_quota_takes_as_long_as_the_stream_does_and_warns() -> None:
    # Given 5,000 a second on a shard that takes 1,000
    plan = planned(load={"records": 10_000, "rate": 5_000})
    # Then it takes 10 s, not 2
    assert plan.seconds == pytest.approx(10)
    assert "expect throttling" in plan.warnings[0]
    assert "1,000" in plan.warnings[0]


@pytest.mark.parametrize(
    ("keys", "rate"),
    [
        ({"count": 100}, 10_000),
        ({"count": 3}, 3_000),
        ({"distribution": "single"}, 1_000),
        # 1 + 1/2 + ... + 1/4 = 25/12, so the first key has 48 % of the records, and its shard is full at 1,000 / 0.48
        ({"count": 4, "distribution": "zipf", "exponent": 1}, 1_000 * 25 / 12),
    ],
)
def test_hot_keys_leave_shards_idle(keys: dict[str, Any], rate: float) -> None:
    assert planned(stream={"shards": 10}, load={"records": 1_000, "keys": keys}).rate == pytest.approx(rate)


def test_aggregated_records_are_bounded_by_bytes() -> None:
    # Given 100-byte records (108 with keys), packed by 51,200 / 108 = 474: bytes allow 1,048,576 / 108 = 9,709
    plan = planned(load={"records": 9_709, "bytes": 100, "aggregated": True})
    assert plan.rate == pytest.approx(1_048_576 / 108)


def test_writers_that_are_too_few_take_longer_and_it_is_told() -> None:
    # Given 30 shards (30,000 a second) and one writer of 10,000
    plan = planned(stream={"shards": 30}, load={"records": 60_000, "workers": 1})
    assert (plan.workers, plan.rate, plan.seconds) == (1, 10_000, 6)
    assert "1 writers" in plan.warnings[0]


def test_writers_follow_the_rate_and_never_outnumber_records() -> None:
    assert planned(stream={"shards": 30}, load={"records": 60_000}).workers == 3
    assert planned(load={"records": 3, "workers": 100}).workers == 3


def test_lines_that_were_counted_are_planned_as_they_are() -> None:
    # Given 1,000 inline lines of 64 bytes each, and the header of 36
    source = {"source": {"type": "inline", "lines": ["x"]}}
    plan = planned(SourceSize(64_000, 1_000), load=source)
    assert (plan.records, plan.source_bytes, plan.bytes_total) == (1_000, 64_000, 100_000)
    assert plan.seconds == 1


def test_lines_that_nobody_has_counted_are_unknown_and_estimated() -> None:
    # Given 1.5 MB in S3, and a sample of it whose lines have 150 bytes
    source = {"source": {"type": "s3", "key": "sources/a"}}
    plan = planned(SourceSize(1_500_000, None, records_estimated=10_000), load=source)
    # Then the plan is that of 10,000 records, and does not say that there are so many
    assert plan.records is None
    assert plan.source_bytes == 1_500_000
    assert plan.seconds == 10
    # Given lines of 50 kB instead / Then bytes bound them: 1,048,576 / (50,000 + 36 + 8) = 20.95 a second
    large = planned(SourceSize(1_500_000, None, records_estimated=30), load=source)
    assert large.seconds == pytest.approx(30 / (1_048_576 / 50_044))


KEYS_REFUSED: list[dict[str, Any]] = [
    {"records": 10**8, "workers": 5, "keys": {"count": 800_001}},
    {"records": 10**8, "workers": 500, "keys": {"count": 8_001, "distribution": "zipf"}},
    {"source": {"type": "s3", "key": "sources/a"}, "workers": 500, "keys": {"count": 8_001}},
]
KEYS_PLANNED: list[dict[str, Any]] = [
    {"records": 10**8, "workers": 5, "keys": {"count": 800_000}},
    {"records": 4_000_000, "workers": 10, "keys": {"count": 1_000_000}},
    {"records": 10**7, "workers": 500, "keys": {"count": 1_000_000, "distribution": "single"}},
]


@pytest.mark.parametrize("load", KEYS_REFUSED)
def test_more_keys_than_can_be_accounted_for_are_refused(load: dict[str, Any]) -> None:
    # Given over 4,000,000 keys of all writers together, and enough records to draw them / Then both causes are named
    source = SourceSize(10**9, None, records_estimated=10**7) if "source" in load else None
    with pytest.raises(Invalid, match="4,000,000") as caught:
        planned(source, stream={"shards": 1_000}, load=load)
    assert [one.field for one in caught.value.errors] == ["load.keys.count", "load.workers"]


@pytest.mark.parametrize("load", KEYS_PLANNED)
def test_as_many_keys_as_can_be_accounted_for_are_planned(load: dict[str, Any]) -> None:
    # Given 4,000,000 keys at most, or so few records, or one key for each writer / Then nothing is said of them
    plan = planned(stream={"shards": 1_000}, load=load)
    assert not any("accounting" in one for one in plan.warnings)


@pytest.mark.parametrize(("lines", "warned"), [(4_000_000, False), (4_000_001, True)])
def test_keys_that_only_the_lines_know_are_warned_of(lines: int, warned: bool) -> None:
    load = {"source": {"type": "s3", "key": "sources/a", "key_field": "id"}}
    plan = planned(SourceSize(lines * 100, None, records_estimated=lines), stream={"shards": 100}, load=load)
    assert any("as many keys" in one for one in plan.warnings) is warned


def test_as_many_functions_as_lambda_runs_at_once_are_planned() -> None:
    # Given 40 shards, so 10 readers, and 890 writers, which make 900 / Then that is planned
    plan = planned(stream={"shards": 40}, load={"records": 10**6, "workers": 890})
    assert (plan.workers, plan.readers) == (890, 10)


@pytest.mark.parametrize(
    ("stream", "workers", "field", "most"),
    [
        ({"shards": 40}, 891, "load.workers", "at most 890 beside 10 readers"),
        ({"shards": 3_597}, None, "stream.shards", "at most 3,596"),
        ({"shards": 3_597}, 1, "stream.shards", "at most 3,596"),
    ],
)
def test_more_functions_than_lambda_runs_at_once_are_refused(
    stream: dict[str, Any], workers: int | None, field: str, most: str
) -> None:
    # Given more writers and readers than 900 / Then the field that makes them too many is named, with its limit
    with pytest.raises(Invalid, match="at most 900") as caught:
        planned(stream=stream, load={"records": 10**6, "workers": workers})
    assert caught.value.errors == ((field, most),)


def test_writers_that_are_planned_leave_room_for_the_readers() -> None:
    # Given 3,500 shards, so 875 readers, which take as much as 350 writers put
    plan = planned(stream={"shards": 3_500}, load={"records": 10**6, "keys": {"count": 10_000}})
    # Then 25 are planned, as many as there is room for, and it is told what they put
    assert (plan.workers, plan.readers, plan.rate) == (25, 875, 250_000)
    assert "25 writers put about 250,000 records/s" in plan.warnings[0]
    # And never more than there are records, however many are asked for
    assert planned(stream={"shards": 40}, load={"records": 5, "workers": 1_000}).workers == 5


@pytest.mark.parametrize(
    ("size", "workers"),
    [
        (1_016, 2),  # with keys of 8 a KiB each: 10,000 a second are 10 MiB, and of 20,000 each writer does half
        (2_040, 4),
        (10_232, 20),
    ],
)
def test_writers_follow_bytes_as_well_as_records(size: int, workers: int) -> None:
    # Given 20,000 records a second, for which two writers would do were they small
    plan = planned(stream={"shards": 100}, load={"records": 10**4, "rate": 20_000, "bytes": size})
    # Then each writer is given 10,000 x 1 KiB a second at most
    assert plan.workers == workers


def test_a_writer_is_not_given_more_bytes_than_it_can_do() -> None:
    # Given 100 shards, which take 100 MiB a second of records of 100 KiB, and two writers of 10,000 KiB each
    plan = planned(stream={"shards": 100}, load={"records": 2_000, "bytes": 102_392, "workers": 2})
    # Then they put 200 a second, not the 1,024 that the stream takes, and it is told
    assert (plan.rate, plan.seconds) == (200, 10)
    assert "2 writers put about 200 records/s" in plan.warnings[0]


def test_writers_are_as_many_as_a_burst_takes() -> None:
    # Given 10,000 a second, and four times that in a burst: 19,000 in the mean, 40,000 at its height
    burst = {"every_seconds": 10, "length_seconds": 3, "factor": 4}
    plan = planned(stream={"shards": 40}, load={"records": 190_000, "rate": 10_000, "burst": burst})
    # Then four writers do what two would in the mean
    assert (plan.workers, plan.rate) == (4, 19_000)
    assert plan.warnings == ()
    # And with two, the time is the same, and it is told that they flatten the bursts
    fewer = planned(stream={"shards": 40}, load={"records": 190_000, "rate": 10_000, "burst": burst, "workers": 2})
    assert (fewer.seconds, fewer.rate) == (10, 19_000)
    assert "2 writers put about 20,000 records/s" in fewer.warnings[0]


def test_a_billion_records_change_only_how_many_work() -> None:
    # Given a million records a second, for a thousand times as many records
    million = planned(stream={"shards": 1_000}, load={"records": 10**6, "keys": {"count": 10_000}})
    billion = planned(stream={"shards": 1_000}, load={"records": 10**9, "keys": {"count": 10_000}})
    # Then payloads are the same, and steps grow with invocations of ten minutes
    assert billion.largest_state_payload_bytes == million.largest_state_payload_bytes < 256 * 1024
    assert (billion.seconds, billion.workers, billion.readers) == (1_000, 100, 250)
    assert million.state_transitions == 24 + (100 + 250) * 1 * 3
    assert billion.state_transitions == 24 + (100 + 250) * 2 * 3 < 25_000


@given(st.integers(1, 10**12), st.integers(1, 10_000), st.integers(1, 1_000), st.booleans())
@hypothesis_settings(deadline=None)
def test_payload_and_steps_are_bounded_for_any_number_of_records(
    records: int, shards: int, workers: int, aggregated: bool
) -> None:
    # Given any load / When planned at any price / Then it is refused, or its payload fits and its work is finite
    conf = Settings(max_run_cost_usd="999999999")
    load = {"records": records, "workers": workers, "aggregated": aggregated}
    spec = RunSpec.model_validate(
        {"stream": {"shards": shards}, "load": load, "max_cost": 10_000, "expires_in": 86_400}
    )
    plan = planned_or_refused(spec, conf)
    if plan is None:
        return
    assert plan.largest_state_payload_bytes < 256 * 1024
    assert plan.workers <= min(workers, records)
    assert plan.readers == math.ceil(shards / 4)
    loops = math.ceil(plan.seconds / 600) or 1
    assert plan.state_transitions == 24 + (plan.workers + plan.readers) * loops * 3


@given(
    st.integers(1, 10**12),
    st.none() | st.floats(0.001, 10**7),
    st.integers(36, 1_000_000),
    st.sampled_from(["uniform", "zipf", "single"]),
    st.booleans(),
)
@hypothesis_settings(deadline=None)
def test_any_spec_is_planned_or_refused_with_a_field(
    records: int, rate: float | None, size: int, distribution: str, aggregated: bool
) -> None:
    load = {"records": records, "rate": rate, "bytes": size, "aggregated": aggregated}
    spec = RunSpec.model_validate({"load": {**load, "keys": {"distribution": distribution}}})
    plan = planned_or_refused(spec, CONF)
    if plan is not None:
        assert plan.seconds <= spec.expires_in
        assert Decimal(plan.cost_usd) <= spec.max_cost
        assert rate is None or plan.rate <= rate


def test_over_its_own_budget() -> None:
    with pytest.raises(Invalid) as caught:
        planned(load={"records": 100_000}, max_cost="0.01")
    (field,) = caught.value.errors
    assert field.field == "max_cost"
    assert "the run's max_cost of $0.01" in caught.value.detail
    assert Decimal(caught.value.members["estimated_cost_usd"]) > Decimal("0.015")


def test_over_the_stages_budget() -> None:
    conf = Settings(max_run_cost_usd="0.01")
    with pytest.raises(Invalid, match="WEIR_MAX_RUN_COST_USD"):
        planned(load={"records": 100_000}, conf=conf)


def test_exactly_the_budget_is_not_over_it() -> None:
    cost = planned(load={"records": 100_000}).cost_usd
    assert planned(load={"records": 100_000}, max_cost=cost).cost_usd == cost


def test_a_stream_that_would_expire_before_all_is_written() -> None:
    # Given 300 s, of which 90 go to create, read and delete, and 210 are needed and one more
    assert planned(load={"records": 210_000}, expires_in=300).seconds == 210
    with pytest.raises(Invalid) as caught:
        planned(load={"records": 211_000}, expires_in=300)
    assert caught.value.errors == (("expires_in", "at least 301 s"),)


def test_a_load_that_one_key_makes_slow_is_refused_for_its_time() -> None:
    # Given what ten shards take in 30 s, but all of one key
    load = {"records": 300_000, "keys": {"distribution": "single"}}
    with pytest.raises(Invalid, match="expire"):
        planned(stream={"shards": 10}, load=load, expires_in=300)


class Workers:
    """Table and bucket of a run whose workers are all done, and were busy for as long as was planned."""

    def __init__(self, plan: RunPlan) -> None:
        self._plan = plan

    def parts(self, _run_id: str, part: str) -> list[PartState]:
        counts = {"invocations": math.ceil(self._plan.seconds / INVOCATION_SECONDS)}
        many = self._plan.workers if part == "SLICE" else self._plan.readers
        return [PartState(index=index, checkpoint=1, done=True, counts=counts) for index in range(many)]

    def load(self, key: str) -> Any:
        if "/slice/" in key:
            return SliceState(position=1, finished=True, busy_seconds=self._plan.seconds).to_dict()
        return ReaderState(shards={}, finished=True, busy_seconds=self._plan.seconds).to_dict()


@pytest.mark.parametrize("workers", [1, 60])
@pytest.mark.parametrize("source", [None, {"type": "s3", "key": "sources/lines"}])
def test_a_run_of_many_hours_is_planned_as_it_is_billed(source: dict[str, Any] | None, workers: int) -> None:
    # Given a run of ten hours, with few enough workers that each tells every second, and with more
    records = 36_000 * workers
    load = {"source": source} if source else {"records": records}
    size = SourceSize(bytes=100 * records, records=records) if source else None
    spec = {"load": {**load, "rate": workers, "workers": workers}, "expires_in": 86_400, "max_cost": 500}
    plan = planned(size, **spec)
    assert plan.seconds == 36_000
    # When the workers did as planned, and that is measured and priced
    run = run_of(RunSpec.model_validate(spec), planned=False, plan=plan)
    done = Workers(plan)
    bill = cost_of_run(measure(run, cast("RunsTable", done), cast("RunsBucket", done), STREAM, NOT_ASKED, CONF, SYSTEM))
    # Then it was planned as billed, but for a few calls that the plan has to spare
    of_plan = {line["item"]: float(line["quantity"]) for line in plan.cost_lines}
    of_bill = {line.item: float(line.quantity) for line in bill.lines}
    for item in ("duration", "requests", "state transitions", "writes", "reads", "PUT requests", "GET requests"):
        assert 0 <= of_plan[item] - of_bill[item] <= 20 + 0.01 * of_bill[item], item
