"""The table: stored once, changed while it runs, ended once, the younger of two the last of its schedule."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.unit.analysis.analyses.world import World
from tests.unit.streams.fakes import NOON
from weir.analysis.analyses.models import KEPT, Analysis, AnalysisEnded, AnalysisNotFound, Failure, Status

SPEC = {"streams": ["orders"], "headroom": 0.25}


def analysis(analysis_id: str, **changes: Any) -> Analysis:
    return replace(Analysis(analysis_id, SPEC, NOON, owner="u-ann"), **changes)


def test_what_is_stored_is_read_back(world: World) -> None:
    # Given an analysis with every field
    told = analysis(
        "whole",
        schedule="nightly",
        step="Close",
        streams=3,
        analyzed=2,
        range={"from": "a", "to": "b", "period": 60},
        compared_with="other",
        complete=False,
        partial=("x: gone",),
        findings={"critical": 1, "warning": 0, "info": 2},
        calls={"GetMetricData": 2},
        worse=1,
        ended_at=NOON,
        failure=Failure("Tell", "E", "why"),
        status=Status.FAILED,
    )
    assert world.analyses.add(told)
    assert world.analyses.get("whole") == told
    assert not world.analyses.add(told)


def test_it_changes_while_it_runs_and_ends_once(world: World) -> None:
    world.analyses.add(analysis("ends"))
    assert world.analyses.progressed("ends", step="Analyze", analyzed=1).analyzed == 1
    done = world.analyses.end("ends", Status.DONE)
    assert done is not None
    assert (done.status, done.ended_at, done.step) == (Status.DONE, NOON, "Analyze")
    assert world.analyses.fail("ends", Failure("a", "b", "c")) is None
    with pytest.raises(AnalysisEnded):
        world.analyses.progressed("ends", step="Tell")
    with pytest.raises(AnalysisEnded):
        world.analyses.progressed("none", step="Tell")
    assert world.analyses.get("ends") == done


def test_a_field_that_there_is_not_is_an_error(world: World) -> None:
    world.analyses.add(analysis("fields"))
    with pytest.raises(ValueError, match="stpe"):
        world.analyses.progressed("fields", stpe="Tell")


def test_pages_are_of_one_owner_or_all_newest_first(world: World) -> None:
    # Given analyses of three
    for minute, (name, owner) in enumerate((("p1", "u-p"), ("p2", "u-q"), ("p3", "u-p"), ("p4", None))):
        world.analyses.add(analysis(name, owner=owner, created_at=NOON + timedelta(minutes=minute)))
    own, last = world.analyses.page(10, None, "u-p")
    assert ([one.analysis_id for one in own], last) == (["p3", "p1"], None)
    first, last = world.analyses.page(1, None, "u-p")
    second, _ = world.analyses.page(1, last, "u-p")
    assert [one.analysis_id for one in first + second] == ["p3", "p1"]
    everybodys, _ = world.analyses.page(200, None, None)
    assert [one.analysis_id for one in everybodys if one.analysis_id.startswith("p")] == ["p4", "p3", "p2", "p1"]


def test_what_is_kept_no_longer_is_not_there(world: World) -> None:
    # Given an analysis that DynamoDB has not come to remove
    world.analyses.add(analysis("old", owner="u-old", schedule="old"))
    world.analyses.set_last(analysis("old", schedule="old"))
    world.time.seconds += KEPT.total_seconds() + 1
    assert world.analyses.find("old") is None
    with pytest.raises(AnalysisNotFound):
        world.analyses.get("old")
    assert world.analyses.page(10, None, "u-old")[0] == []
    assert world.analyses.last_of("old") is None


def test_the_younger_of_two_is_the_last_whichever_ends_first(world: World) -> None:
    older = analysis("older", schedule="both")
    younger = analysis("younger", schedule="both", created_at=NOON + timedelta(minutes=1))
    for one in (younger, older):
        world.analyses.set_last(one)
    assert world.analyses.last_of("both") == "younger"
    world.analyses.set_last(analysis("request"))
    assert world.analyses.last_of("none") is None
