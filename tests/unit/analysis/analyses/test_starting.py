"""Starting, seeing and deleting analyses: one's own, for admins all."""

from datetime import timedelta
from typing import Any

import pytest

from tests.unit.analysis.analyses.world import ADMIN, ANN, BOB, World
from weir.analysis.analyses.contract import AnalysisSpec
from weir.analysis.analyses.forms import CSV, JSON
from weir.analysis.analyses.models import AnalysisNotFound, AnalysisRunning, Status
from weir.analysis.analyses.starting import AnalysisExists, delete, done, kept, start, visible
from weir.runtime.errors import Invalid, Unavailable

HOUR = {"from": "2026-11-21T10:00:00Z", "to": "2026-11-21T11:00:00Z"}
KEY = "monday"


def spec(**changes: Any) -> AnalysisSpec:
    return AnalysisSpec.model_validate({"streams": ["orders"], "range": HOUR, "workflows": ["performance"]} | changes)


def test_the_same_key_finds_the_same_analysis(world: World) -> None:
    made = start(spec(), ANN, world, KEY)
    assert start(spec(), ANN, world, KEY) == made
    assert made.analysis_id.startswith("20261121-")
    assert list(world.executions.started) == [made.analysis_id]
    # And another's key of the same text is another
    assert start(spec(), BOB, world, KEY).analysis_id != made.analysis_id
    with pytest.raises(AnalysisExists):
        start(spec(streams=["other"]), ANN, world, KEY)


def test_without_a_key_each_is_another(world: World) -> None:
    assert start(spec(), ANN, world).analysis_id != start(spec(), ANN, world).analysis_id


def test_what_cannot_be_started_leaves_nothing(world: World) -> None:
    world.executions.failures = [Unavailable("down")]
    with pytest.raises(Unavailable):
        start(spec(), ANN, world, "unlucky")
    made = start(spec(), ANN, world, "unlucky")
    assert made.analysis_id in world.executions.started


def test_a_start_whose_answer_was_lost_is_kept(world: World) -> None:
    # Given Step Functions that started it, and did not say so
    class Lost(type(world.executions)):  # type: ignore[misc]
        def start(self, name: str, document: dict[str, Any]) -> str:
            super().start(name, document)
            raise Unavailable("no answer")

    object.__setattr__(world, "executions", Lost())
    with pytest.raises(Unavailable):
        start(spec(), ANN, world, "lost")
    (analysis_id,) = world.executions.started
    assert world.analyses.get(analysis_id).status is Status.RUNNING


@pytest.mark.parametrize("baseline", ["none-such", "somebody-elses", "running"])
def test_a_baseline_must_be_ones_own_and_done(world: World, baseline: str) -> None:
    ids = {"none-such": "none-such", "somebody-elses": start(spec(), BOB, world).analysis_id}
    ids["running"] = start(spec(), ANN, world).analysis_id
    with pytest.raises(Invalid) as refused:
        start(spec(compare_with=ids[baseline]), ANN, world)
    assert refused.value.errors[0].field == "compare_with"


def test_a_range_that_cannot_be_answered_is_refused_before_anything_is_stored(world: World) -> None:
    with pytest.raises(Invalid):
        start(spec(range={"from": "2020-01-01T00:00:00Z", "to": "2020-01-02T00:00:00Z"}), ANN, world)
    assert world.executions.started == {}


def test_an_analysis_is_its_owners_and_the_admins(world: World) -> None:
    analysis_id = start(spec(), ANN, world).analysis_id
    assert visible(analysis_id, ANN, world) == visible(analysis_id, ADMIN, world)
    for forbidden in (visible, done, delete):
        with pytest.raises(AnalysisNotFound):
            forbidden(analysis_id, BOB, world)
    assert world.analyses.find(analysis_id) is not None


def test_a_scheduled_one_is_the_admins_alone(world: World) -> None:
    world.streams.add("orders")
    world.run("by-schedule", spec().model_dump(mode="json", by_alias=True))
    assert visible("by-schedule", ADMIN, world).owner is None
    with pytest.raises(AnalysisNotFound):
        visible("by-schedule", ANN, world)


@pytest.mark.parametrize("status", ["TIMED_OUT", "ABORTED", "FAILED"])
def test_one_whose_execution_was_stopped_has_failed(world: World, status: str) -> None:
    analysis_id = start(spec(), ANN, world).analysis_id
    assert visible(analysis_id, ANN, world).status is Status.RUNNING
    world.executions.statuses[analysis_id] = status
    found = visible(analysis_id, ANN, world)
    assert (found.status, found.failure and found.failure.error) == (Status.FAILED, status)


def test_one_that_was_never_started_has_failed_after_a_while(world: World) -> None:
    analysis_id = start(spec(), ANN, world).analysis_id
    del world.executions.statuses[analysis_id]
    assert visible(analysis_id, ANN, world).status is Status.RUNNING
    world.time.seconds += timedelta(minutes=5).total_seconds()
    found = visible(analysis_id, ANN, world)
    assert found.failure is not None
    assert found.failure.error == "NeverStarted"


def test_results_are_there_once_it_is_done(world: World) -> None:
    world.streams.add("orders")
    analysis_id = start(spec(), ANN, world).analysis_id
    with pytest.raises(AnalysisRunning):
        done(analysis_id, ANN, world)
    world.run(analysis_id)
    assert done(analysis_id, ANN, world).status is Status.DONE
    body = kept(analysis_id, CSV, world, 1_000_000)
    assert isinstance(body, bytes)

    # And what no answer holds is read by a URL that is good for minutes
    url = kept(analysis_id, JSON, world, 100)
    assert isinstance(url, str)
    assert f"analyses/{analysis_id}/document.json" in url
    assert "X-Amz-Expires=300" in url or "Expires=" in url


def test_what_is_deleted_is_gone_with_its_results(world: World, aws: dict[str, Any]) -> None:
    world.streams.add("orders")
    analysis_id = world.analyzed(spec().model_dump(mode="json", by_alias=True))
    prefix = f"analyses/{analysis_id}/"
    assert aws["s3"].list_objects_v2(Bucket="analyses", Prefix=prefix)["KeyCount"] >= 5
    delete(analysis_id, ANN, world)
    assert aws["s3"].list_objects_v2(Bucket="analyses", Prefix=prefix)["KeyCount"] == 0
    with pytest.raises(AnalysisNotFound):
        delete(analysis_id, ANN, world)
    assert world.executions.stopped == []
