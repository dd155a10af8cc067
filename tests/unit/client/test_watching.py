"""Following a run, and Ctrl-C."""

from typing import Any

import httpx
import pytest

from client.api import ApiError
from client.watching import Left, watch
from tests.unit.client.answers import FakeApi, a_run, ok, problem
from weir.runs.models import Verdict

RUNNING = a_run()
ABORTED = a_run(verdict=Verdict.ABORTED, resources_left=0)


class Shown:
    """Keeps what was shown and said."""

    def __init__(self) -> None:
        self.statuses: list[str] = []
        self.words: list[str] = []

    def show(self, run: Any) -> None:
        self.statuses.append(run["status"])

    def say(self, words: str) -> None:
        self.words.append(words)


def paths(fake: FakeApi) -> list[str]:
    return [f"{request.method} {request.url.path}" for request in fake.requests]


def test_a_run_is_shown_until_it_is_closed() -> None:
    fake, shown = FakeApi([ok(RUNNING), ok(RUNNING), ok(ABORTED)]), Shown()
    assert watch(fake.pressed(), "r-1", shown)["verdict"] == "ABORTED"
    assert shown.statuses == ["RUNNING", "RUNNING", "CLOSED"]
    assert "POST /v1/runs/r-1/stop" not in paths(fake)


def test_ctrl_c_stops_the_run_and_waits_until_its_stream_is_gone() -> None:
    # Given a run that goes on
    fake, shown = FakeApi([ok(RUNNING), ok({"run_id": "r-1"}, 202), ok(RUNNING), ok(ABORTED)]), Shown()

    # When Ctrl-C is pressed
    closed = watch(fake.pressed(1), "r-1", shown)

    # Then it was told to stop, once, and watched until it was closed
    assert paths(fake) == ["GET /v1/runs/r-1", "POST /v1/runs/r-1/stop", "GET /v1/runs/r-1", "GET /v1/runs/r-1"]
    assert closed["resources_left"] == 0
    assert "Stopping the run and deleting its stream" in shown.words[0]


def test_ctrl_c_twice_leaves() -> None:
    fake = FakeApi([ok(RUNNING), ok({"run_id": "r-1"}, 202), ok(RUNNING)])
    with pytest.raises(Left):
        watch(fake.pressed(1, 2), "r-1", Shown())
    assert paths(fake).count("POST /v1/runs/r-1/stop") == 1


def test_ctrl_c_while_it_is_being_stopped_leaves_too() -> None:
    def interrupted(_: httpx.Request) -> httpx.Response:
        raise KeyboardInterrupt

    fake = FakeApi([ok(RUNNING), interrupted])
    with pytest.raises(Left):
        watch(fake.pressed(1), "r-1", Shown())


def test_a_run_that_closed_by_itself_in_that_moment_is_fine() -> None:
    fake = FakeApi([ok(RUNNING), problem(409, slug="run-closed"), ok(ABORTED)])
    assert watch(fake.pressed(1), "r-1", Shown())["status"] == "CLOSED"


def test_a_stop_that_is_refused_for_another_reason_is_told() -> None:
    fake = FakeApi([ok(RUNNING), problem(403, slug="forbidden")])
    with pytest.raises(ApiError, match="It broke"):
        watch(fake.pressed(1), "r-1", Shown())
