"""An API that answers as told, and runs as the API words them."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from client.api import Api
from client.target import Target
from weir.runs.models import Progress, Run, RunSpec, Status, Step, Verdict

BEGAN = datetime(2026, 11, 21, 14, 5, tzinfo=UTC)
SPEC = RunSpec.model_validate({"load": {"records": 1000}})


class FakeApi:
    """Answers requests one after the other (the last one for ever), and keeps them and the sleeps between."""

    def __init__(
        self, answers: Sequence[httpx.Response | Exception | Callable[[httpx.Request], httpx.Response]]
    ) -> None:
        self._answers = list(answers)
        self.requests: list[httpx.Request] = []
        self.slept: list[float] = []
        transport = httpx.MockTransport(self._answer)
        target = Target("http://127.0.0.1:1/v1")
        self.api = Api(target, transport=transport, sleep=self.slept.append, jitter=lambda: 0.5)

    def pressed(self, *polls: int) -> Api:
        """The API for a person who presses Ctrl-C while these waits go on, counted from 1."""

        def sleep(seconds: float) -> None:
            self.slept.append(seconds)
            if len(self.slept) in polls:
                raise KeyboardInterrupt

        self.api.sleep = sleep
        return self.api

    def _answer(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.requests.append(request)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, httpx.Response) else answer(request)


def ok(document: Any, status: int = 200) -> httpx.Response:
    return httpx.Response(status, json=document)


def problem(status: int, slug: str = "oops", headers: dict[str, str] | None = None, **members: Any) -> httpx.Response:
    document = {"type": f"https://weir.dev/problems/{slug}", "title": "Oops", "status": status, "detail": "It broke."}
    return httpx.Response(status, json=document | members, headers={"X-Request-Id": "req-1", **(headers or {})})


def step(name: str, began: float, ended: float | None = None, **more: Any) -> Step:
    """A step by seconds after the run's start."""
    status = "RUNNING" if ended is None else "DONE"
    end = None if ended is None else BEGAN + timedelta(seconds=ended)
    return Step(**{"status": status, **more}, name=name, started_at=BEGAN + timedelta(seconds=began), ended_at=end)


def a_run(
    *steps: Step, verdict: Verdict | None = None, progress: Progress | None = None, **more: Any
) -> dict[str, Any]:
    """A run as ``GET /runs/{id}`` answers it; closed where it has a verdict."""
    run = Run(
        **{
            "run_id": "r-1",
            "owner": "ann",
            "status": Status.CLOSED if verdict else Status.RUNNING,
            "created_at": BEGAN,
            "expires_at": BEGAN + timedelta(hours=1),
            "stream_name": "weir-run-r-1",
            "spec": SPEC,
            "steps": steps,
            "verdict": verdict,
            "progress": progress or Progress(planned=None),
            **more,
        }
    )
    document: dict[str, Any] = json.loads(run.model_dump_json())
    return document
