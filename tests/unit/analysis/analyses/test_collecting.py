"""Many streams in few calls, below the quotas; and what can't be read costs itself alone."""

from collections.abc import Mapping
from datetime import timedelta
from math import ceil
from typing import Any

import pytest

from tests.unit.analysis.analyses.world import NEVER, FakeCloudWatch, OldStreams
from tests.unit.analysis.measurements import measured
from tests.unit.streams.fakes import NOON, FakeTime
from weir.analysis.analyses.collecting import HISTORY_METRICS, Collected, Collecting
from weir.analysis.analyses.contract import WORKFLOW_NAMES, AnalysisSpec
from weir.analysis.analyses.quotas import DESCRIBES, LISTS
from weir.analysis.measurement import Measurement
from weir.analysis.workflows.stream_facts import METRICS
from weir.runtime.errors import Invalid, TooManyRequests, Unavailable
from weir.streams.cloudwatch import MAX_POINTS, Metrics
from weir.streams.metrics import LAG

HOUR = {"range": {"from": "2026-11-21T10:00:00Z", "to": "2026-11-21T11:00:00Z", "period": 60}}


class Place:
    """An account to look at."""

    def __init__(self, *names: str, cloudwatch: FakeCloudWatch | None = None) -> None:
        self.kinesis, self.time = OldStreams(), FakeTime()
        self.cloudwatch = cloudwatch or FakeCloudWatch()
        for name in names:
            self.kinesis.add(name)

    def collect(
        self,
        streams: Any,
        workflows: tuple[str, ...] = ("performance",),
        until: float = NEVER,
        measured: tuple[Measurement, ...] = (),
        **spec: Any,
    ) -> Collected:
        named = {"streams": streams, **(spec or HOUR)} | ({"runs": [one.run_id for one in measured] or None})
        asked = AnalysisSpec.model_validate(named)
        collecting = Collecting(self.kinesis, Metrics(self.cloudwatch), self.time.clock(), until, measured)
        return collecting.collect(asked, workflows)


def by_name(found: Collected) -> Mapping[str, Any]:
    return {one.name: one for one in found.streams}


@pytest.mark.parametrize(("count", "minutes"), [(500, 60), (41, 60), (42, 60), (20, 24 * 60)])
def test_streams_are_read_in_as_few_calls_as_cloudwatch_allows(count: int, minutes: int) -> None:
    # Given many streams, up to the most in one analysis
    names = [f"stream-{number:03d}" for number in range(count)]
    place = Place(*names)
    start = (NOON - timedelta(minutes=minutes + 60)).isoformat()
    end = (NOON - timedelta(minutes=60)).isoformat()

    # When they are collected
    found = place.collect(names, range={"from": start, "to": end, "period": 60})

    # Then every batch of 500 queries took as many calls as its points have pages, and the count of calls is told
    queries = count * len(METRICS)
    pages = ceil(500 * minutes / MAX_POINTS)
    assert found.calls["queries"] == queries
    assert found.calls["GetMetricData"] == place.cloudwatch.pages <= ceil(queries / 500) * pages
    assert found.calls["DescribeStreamSummary"] == count
    assert set(found.calls) == {"queries", "GetMetricData", "DescribeStreamSummary"}

    # And each stream has all of its own
    assert len(found.streams) == count
    assert not found.partial
    assert all(one.completeness["complete"] for one in found.streams)


def test_five_hundred_streams_of_an_hour_take_twelve_calls_of_metrics() -> None:
    names = [f"s{number}" for number in range(500)]
    assert Place(*names).collect(names).calls["GetMetricData"] == 12 == ceil(500 * len(METRICS) / 500)


def test_describing_and_reading_tags_stay_below_the_quotas() -> None:
    # Given calls that take no time by themselves
    names = [f"s{number}" for number in range(100)]
    place = Place(*names)
    place.collect(names)
    # Then a hundred describes take ten seconds, but for the first second's worth
    assert place.time.seconds == pytest.approx(100 / DESCRIBES - 1, abs=0.3)

    # And reading the tags of each takes longer
    place = Place(*names)
    place.collect({"tags": {"team": "a"}})
    assert place.time.seconds == pytest.approx(101 / LISTS - 1, abs=0.5)


def test_points_are_paced_as_well() -> None:
    # Given a week by the minute, of 40 series: 4 pages
    place = Place("a", "b", "c")
    week = {"from": "2026-11-13T00:00:00Z", "to": "2026-11-20T00:00:00Z", "period": 60}
    found = place.collect(["a", "b", "c"], range=week)
    points = 3 * len(METRICS) * 7 * 1440
    assert found.calls["GetMetricData"] == ceil(points / MAX_POINTS) == 4
    # Then they wait as CloudWatch's points a second ask for
    assert 0 < place.time.seconds < 2


def test_streams_are_found_by_their_tags() -> None:
    # Given streams of two teams, more than one page of them
    place = Place(*(f"s{number:03d}" for number in range(120)))
    for number in (3, 77, 119):
        place.kinesis.streams[f"s{number:03d}"].tags.update({"team": "a", "stage": "prod"})
    place.kinesis.streams["s050"].tags.update({"team": "a", "stage": "dev"})

    # When those with both tags are asked for
    found = place.collect({"tags": {"team": "a", "stage": "prod"}})

    # Then those are analyzed, with their tags
    assert sorted(by_name(found)) == ["s003", "s077", "s119"]
    assert found.streams[0].tags == {"team": "a", "stage": "prod"}
    assert (found.calls["ListStreams"], found.calls["ListTagsForStream"]) == (2, 120)
    assert not found.partial


def test_a_stream_whose_tags_cannot_be_read_is_told() -> None:
    place = Place("a", "b")
    for one in place.kinesis.streams.values():
        one.tags["team"] = "a"
    place.kinesis.failures["tags"] = [TooManyRequests("AWS throttled reading the tags of stream 'a'.")]
    found = place.collect({"tags": {"team": "a"}})
    assert sorted(by_name(found)) == ["b"]
    assert found.partial == ("a: whether it has these tags: AWS throttled reading the tags of stream 'a'.",)


def test_nothing_that_has_the_tags_is_told() -> None:
    found = Place("a").collect({"tags": {"team": "none"}})
    assert found.streams == ()
    assert found.partial == ("no stream was found that has these tags",)
    assert "GetMetricData" not in found.calls


def test_where_time_runs_out_the_rest_is_told() -> None:
    # Given an account of more streams than there is time to ask for their tags
    place = Place(*(f"s{number}" for number in range(50)))
    found = place.collect({"tags": {"team": "a"}}, until=10.0)
    (told, _) = found.partial
    assert "of 50 streams were not looked at: there was no time" in told

    # And of streams that are named, those that were not described are analyzed without it
    names = [f"s{number}" for number in range(50)]
    place = Place(*names)
    found = place.collect(names, until=2.0)
    assert len(found.streams) == 50
    late = by_name(found)["s49"]
    assert (late.open_shards, late.not_read) == (None, ("its description: there was no time",))
    assert late.completeness["complete"] is False
    assert late.series["IncomingRecords"].whole


def test_a_stream_that_is_not_there_is_told_and_the_others_are_read() -> None:
    found = Place("a").collect(["a", "gone", "a"])
    assert sorted(by_name(found)) == ["a"]
    assert found.partial == ("gone: there is no such stream",)


def test_a_stream_that_cannot_be_described_is_analyzed_by_its_metrics() -> None:
    place = Place("a", "b")
    told, failing = place.kinesis.summary, ["a"]

    def summary(name: str) -> dict[str, Any]:
        if name in failing:
            raise Unavailable("AWS did not answer.")
        return told(name)

    place.kinesis.summary = summary  # type: ignore[method-assign]
    found = by_name(place.collect(["a", "b"]))
    assert (found["a"].mode, found["a"].open_shards) == ("unknown", None)
    assert found["a"].not_read == ("its description: AWS did not answer.",)
    assert found["b"].completeness["complete"]


def test_a_call_that_fails_costs_its_own_series_alone() -> None:
    # Given 50 streams, whose 600 queries take two calls, of which the second fails
    names = [f"s{number:02d}" for number in range(50)]
    place = Place(*names, cloudwatch=FakeCloudWatch(failing={2}))
    found = by_name(place.collect(names))

    # Then the streams of the first are whole, those of the second say what could not be read
    whole = [name for name, one in found.items() if one.completeness["complete"]]
    assert whole == names[: 500 // len(METRICS)]
    broken = found["s49"]
    assert broken.completeness["known"] == 0
    assert broken.not_read == (f"{', '.join(METRICS)}: AWS did not answer while reading metrics; try again shortly.",)
    assert not broken.series["IncomingRecords"].complete


def test_what_came_before_a_page_failed_is_kept_and_marked() -> None:
    # Given series that take two pages, of which the second fails
    place = Place("a", cloudwatch=FakeCloudWatch(failing={2}, page_points=100))
    (one,) = place.collect(["a"]).streams
    assert one.series["IncomingBytes"].known == [600.0] * 60
    assert len(one.series["IncomingRecords"].known) == 40
    assert not one.series["IncomingBytes"].complete  # CloudWatch said that it was, and not that all had come
    assert "reading metrics" in one.not_read[0]


def test_a_series_that_cloudwatch_gives_up_is_told() -> None:
    place = Place("a", "b", cloudwatch=FakeCloudWatch(broken={("a", "GetRecords.Bytes"), ("a", "PutRecord.Latency")}))
    found = place.collect(["a", "b"])
    told = "GetRecords.Bytes, PutRecord.Latency: CloudWatch did not give all of it"
    assert found.partial == (f"a: {told}",)
    assert by_name(found)["a"].not_read == (told,)
    assert by_name(found)["b"].completeness["complete"]


def test_gaps_stay_gaps_and_are_no_failure() -> None:
    # Given a stream that has a point every other minute
    def every_other(_stream: str, _metric: str, at: Any) -> float | None:
        return 0.0 if at.minute % 2 else None

    found = Place("a", cloudwatch=FakeCloudWatch(value=every_other)).collect(["a"])
    assert found.streams[0].series["IncomingRecords"].values == (None, 0.0) * 30
    assert not found.partial


def test_months_are_read_for_the_workflows_that_need_them() -> None:
    place = Place("a")
    short = place.collect(["a"])
    assert short.streams[0].history == {}
    long = place.collect(["a"], workflows=WORKFLOW_NAMES)
    assert set(long.streams[0].history) == set(HISTORY_METRICS)
    assert len(long.streams[0].history["IncomingRecords"]) == 91 * 24


def test_shards_are_read_where_their_metrics_are_on_and_not_too_many() -> None:
    # Given one stream with metrics of its 3 shards, one with those of 300, one without
    place = Place("few", "many", "none")
    for name, count in (("few", 3), ("many", 300), ("none", 2)):
        place.kinesis.streams[name].count = count
        place.kinesis.streams[name].metrics = set() if name == "none" else {"IncomingBytes", "IncomingRecords"}
    found = by_name(place.collect(["few", "many", "none"]))
    assert sorted(found["few"].shards) == [f"shardId-{number:012d}" for number in range(3)]
    assert set(found["few"].shards["shardId-000000000000"]) == {"IncomingBytes", "IncomingRecords"}
    assert found["many"].not_read == ("metrics of its 300 shards: too many at once",)
    assert found["none"].shards == {}


def test_minutes_that_may_still_come_make_it_partial() -> None:
    place = Place("a")
    end = NOON - LAG + timedelta(minutes=1)
    found = place.collect(["a"], range={"from": "2026-11-21T11:00:00Z", "to": end.isoformat()})
    assert found.partial == ("the latest minutes of the range: CloudWatch may still publish them",)
    assert not found.streams[0].series["IncomingRecords"].complete


def test_too_many_points_are_refused_and_by_default_there_are_none() -> None:
    # Given more streams with a tag than could be known when the range was asked for
    names = [f"s{number}" for number in range(400)]
    place = Place(*names)
    for one in place.kinesis.streams.values():
        one.tags["team"] = "a"
    with pytest.raises(Invalid) as refused:
        place.collect(
            {"tags": {"team": "a"}}, range={"from": "2026-11-20T10:00:00Z", "to": "2026-11-21T11:00:00Z", "period": 60}
        )
    assert refused.value.errors[0].field == "range.period"


def test_what_a_run_measured_is_held_beside_the_metrics_of_its_stream() -> None:
    # Given runs on three streams: one that was asked for, one that was not, and one that is gone
    place = Place("orders", "load-1")
    runs = tuple(measured(run_id=f"of-{name}", stream_name=name) for name in ("orders", "load-1", "load-2"))
    found = place.collect(["orders", "payments"], measured=runs)

    # Then each stream of theirs is looked at, once, and the measurement is its own
    told = by_name(found)
    assert [one.name for one in found.streams] == ["orders", "load-1", "load-2"]
    assert [one.measurement.run_id for one in found.streams if one.measurement] == [run.run_id for run in runs]
    assert told["load-1"].mode == "PROVISIONED"
    assert told["load-1"].metric("IncomingRecords") is not None

    # And of the one that is gone there is no more than was measured and published
    assert (told["load-2"].mode, told["load-2"].open_shards) == ("unknown", None)
    assert "load-2: its description: the stream is gone, and what its run measured is left" in found.partial
    assert "payments: there is no such stream" in found.partial


def test_a_stream_that_was_found_by_its_tags_keeps_them_beside_a_run() -> None:
    place = Place("orders")
    place.kinesis.streams["orders"].tags = {"team": "a"}
    (told,) = place.collect({"tags": {"team": "a"}}, measured=(measured(stream_name="orders"),)).streams
    assert (told.tags, told.measurement) == ({"team": "a"}, measured(stream_name="orders"))


def test_what_a_run_measured_is_none_of_a_later_stream_of_the_name() -> None:
    # Given a run that ended before the stream of today was made
    place = Place("orders")
    run = measured(run_id="old", stream_name="orders", ended_at=NOON - timedelta(days=401))
    found = place.collect(["orders"], measured=(run,))
    assert found.streams[0].measurement is None
    assert "orders: run old: it was on an earlier stream of this name" in found.partial
