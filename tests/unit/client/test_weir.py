"""The command line from end to end, against an API that answers as the real one does."""

import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from rich.console import Console

from client import exits, weir
from client.api import Api
from client.lines import DEMO_FOLDER
from client.target import Target
from tests.unit.analysis.measurements import measured
from tests.unit.client.answers import a_run, ok, problem, step
from tests.unit.runs.reports import reported
from weir.runs.models import Progress, RunSpec, Verdict

URL = "http://127.0.0.1:1/v1"
KEY = "weir_ann2ann3ann4ann5_k1_secret"
DONE = Progress(planned=3, accepted=3, seen=3)


class Weir:
    """One run of the service; ``spec`` and ``uploaded`` are what came, ``verdict`` is what it comes to."""

    def __init__(self, verdict: Verdict = Verdict.PASSED, left: int | None = 0) -> None:
        self.verdict, self.left = verdict, left
        self.spec: dict[str, Any] = {}
        self.uploaded = b""
        self.polls = 0
        self.changes: dict[str, Callable[[httpx.Request], httpx.Response]] = {}

    def answer(self, request: httpx.Request) -> httpx.Response:
        request.read()
        name = f"{request.method} {request.url.path}"
        # The storage takes the signature of its own URL, and no other; everything but health takes the key alone.
        signed = request.headers.get("Authorization") == f"Bearer {KEY}"
        assert signed == (not name.startswith(("PUT", "GET /v1/health"))), name
        if name in self.changes:
            return self.changes[name](request)
        if name == "POST /v1/runs":
            self.spec = json.loads(request.content)
            return ok({"run_id": "r-1", "stream_name": "weir-run-r-1", "status": "QUEUED"}, 202)
        if name == "POST /v1/runs/sources":
            place = {
                "source": {"type": "s3", "key": "sources/abc"},
                "url": f"{URL}/put",
                "method": "PUT",
                "headers": {},
            }
            return ok(place, 201)
        if name == "PUT /v1/put":
            self.uploaded = request.content
            return httpx.Response(200)
        if name == "GET /v1/runs/r-1":
            self.polls += 1
            return ok(self.closed() if self.polls > 1 else a_run(step("Plan", 0)))
        if name == "GET /v1/runs/r-1/report":
            if request.headers["Accept"] == "text/html":
                return httpx.Response(200, text="<html>the report</html>")
            return ok(json.loads(reported(measured(), verdict=self.verdict).model_dump_json()))
        return problem(404)

    def closed(self) -> dict[str, Any]:
        spec = RunSpec.model_validate({"load": {"records": 3}})
        return a_run(verdict=self.verdict, resources_left=self.left, reasons=("why",), progress=DONE, spec=spec)


def type_in(service: Weir, *arguments: str) -> tuple[int, str]:
    """The exit code, and what stands on the screen."""
    file = io.StringIO()

    def connect(target: Target) -> Api:
        return Api(target, transport=httpx.MockTransport(service.answer), sleep=lambda _: None)

    console = Console(file=file, width=100, force_terminal=False)
    code = weir.main(["--url", URL, *arguments], console, connect)
    return code, file.getvalue()


@pytest.fixture(autouse=True)
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the demo writes its page; requests speak with an API key."""
    monkeypatch.setenv("WEIR_API_KEY", KEY)
    monkeypatch.setattr(weir, "PAGE", tmp_path / "local" / "report.html")
    return tmp_path / "local" / "report.html"


def test_the_demo_uploads_runs_and_reports(page: Path) -> None:
    # Given a service where all goes well
    service = Weir()

    # When the demo is done
    code, screen = type_in(service, "demo")

    # Then every published row was uploaded and asked to be proven, in order
    rows = sum(len(file.read_text().splitlines()) - 1 for file in DEMO_FOLDER.glob("*.csv"))
    assert len(service.uploaded.splitlines()) == rows
    asked = RunSpec.model_validate(service.spec)
    assert (asked.stream.shards, asked.slo.ordered, asked.slo.max_lost) == (3, True, 0)
    assert service.spec["load"]["source"] == {"type": "s3", "key": "sources/abc", "key_field": "key"}

    # And the verdict, the page and what is left are told
    assert code == exits.PASSED
    assert "PASSED" in screen
    assert page.as_uri() in screen
    assert page.read_text() == "<html>the report</html>"
    assert "Nothing is left behind: the stream weir-run-r-1 is gone." in screen


def test_a_file_of_ones_own_is_taken_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "my lines").write_bytes(b"not json\nat all\n")
    service = Weir()
    code, screen = type_in(service, "demo", str(tmp_path / "my lines"))
    assert code == exits.PASSED
    assert service.uploaded == b"not json\nat all\n"
    assert "key_field" not in service.spec["load"]["source"]
    assert service.spec["slo"]["ordered"] is False
    assert "Uploaded 2 records" in screen


def test_a_file_that_lacks_its_key_is_refused_before_anything_is_sent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine").write_bytes(b'{"id": 1}\n{"other": 2}\n')
    service = Weir()
    code, _ = type_in(service, "demo", str(tmp_path / "mine"), "--key-field", "id")
    assert code == exits.FAILED
    assert "mine:2: no JSON with a field 'id'" in capsys.readouterr().err
    assert service.spec == {}


@pytest.mark.parametrize(
    ("verdict", "code"),
    [(Verdict.PASSED, 0), (Verdict.FAILED, 1), (Verdict.ABORTED, 1), (Verdict.DEGRADED, 3)],
)
def test_the_exit_code_tells_the_verdict(verdict: Verdict, code: int) -> None:
    assert type_in(Weir(verdict), "run", "--records", "3")[0] == code


@pytest.mark.parametrize(("left", "told"), [(1, "is left"), (None, "not known whether"), (0, "Nothing is left behind")])
def test_what_is_left_behind_is_told(left: int | None, told: str) -> None:
    assert told in type_in(Weir(left=left), "run", "--records", "3")[1]


def test_a_run_without_a_report_tells_its_own_reasons() -> None:
    service = Weir(Verdict.ABORTED)
    service.changes["GET /v1/runs/r-1/report"] = lambda _: problem(404, slug="run-not-found")
    code, screen = type_in(service, "run", "--records", "3")
    assert code == exits.FAILED
    assert "ABORTED: why" in screen
    assert "There is no report" in screen


def test_a_dry_run_starts_nothing() -> None:
    # Given a service that plans
    service = Weir()
    line = {"service": "Kinesis", "item": "shard-hours", "quantity": "1", "unit": "shard-hour", "usd": "0.015"}
    plan = {"records": 3, "bytes_total": 768, "rate": 1000.0, "seconds": 1.0, "workers": 1, "readers": 1}
    plan |= {"state_transitions": 30, "cost_lines": [line], "cost_usd": "0.0151", "warnings": ["slow"]}
    service.changes["POST /v1/runs"] = lambda request: ok(plan if request.url.params.get("dry_run") else {}, 200)

    # When a plan is asked for
    code, screen = type_in(service, "run", "--records", "3", "--dry-run")

    # Then it is told and nothing was watched
    assert code == exits.PASSED
    assert "estimated cost $0.0151" in screen
    assert "shard-hours" in screen
    assert "slow" in screen
    assert service.polls == 0


def test_runs_are_listed() -> None:
    service = Weir()
    long = {**a_run(verdict=Verdict.FAILED, reasons=("12 lost",)), "run_id": "20261121t140500-9f86d081"}
    service.changes["GET /v1/runs"] = lambda _: ok({"items": [long], "cursor": None})
    code, screen = type_in(service, "runs")
    assert code == exits.PASSED
    assert "20261121t140500-9f86d081" in screen
    assert "FAILED" in screen
    assert "12 lost" in screen
    assert json.loads(type_in(service, "runs", "--json")[1])[0]["run_id"] == long["run_id"]


def test_a_run_is_shown_and_followed() -> None:
    service = Weir()
    code, screen = type_in(service, "show", "r-1")
    assert code == exits.PASSED
    assert "RUNNING" in screen
    service = Weir(Verdict.FAILED)
    assert type_in(service, "show", "r-1", "--follow")[0] == exits.FAILED
    assert json.loads(type_in(service, "show", "r-1", "--json")[1])["verdict"] == "FAILED"


def test_a_report_is_shown_and_written(tmp_path: Path, page: Path) -> None:
    service = Weir()
    assert "PASSED" in type_in(service, "report", "r-1")[1]
    assert json.loads(type_in(service, "report", "r-1", "--json")[1])["verdict"] == "PASSED"
    type_in(service, "report", "r-1", "--html", str(tmp_path / "mine.html"))
    assert (tmp_path / "mine.html").read_text() == "<html>the report</html>"


@pytest.mark.parametrize(("left", "code"), [(0, exits.PASSED), (1, exits.DEGRADED)])
def test_stop_waits_until_the_stream_is_gone(left: int, code: int) -> None:
    service = Weir(Verdict.ABORTED, left)
    service.changes["POST /v1/runs/r-1/stop"] = lambda _: ok({"run_id": "r-1"}, 202)
    found, screen = type_in(service, "stop", "r-1")
    assert found == code
    assert service.polls == 2
    assert re.search("is gone" if left == 0 else "not known to be gone", screen)


@pytest.mark.parametrize(("status", "http", "code"), [("ok", 200, 0), ("degraded", 200, 3), ("failed", 503, 1)])
def test_health_tells_each_dependency(status: str, http: int, code: int) -> None:
    service = Weir()
    check = {
        "name": "kinesis",
        "group": "aws",
        "status": status,
        "required": True,
        "latency_ms": 12.3,
        "reason": "down",
    }
    service.changes["GET /v1/health"] = lambda _: ok({"status": status, "checks": [check]}, http)
    found, screen = type_in(service, "health")
    assert found == code
    for words in ("kinesis", "12 ms", "down"):
        assert words in screen


def test_a_refusal_is_told_on_standard_error_without_a_trace(capsys: pytest.CaptureFixture[str]) -> None:
    service = Weir()
    service.changes["POST /v1/runs"] = lambda _: problem(422, errors=[{"field": "load", "message": "too much"}])
    assert type_in(service, "run", "--records", "3")[0] == exits.FAILED
    told = capsys.readouterr().err
    assert "load: too much" in told
    assert "Traceback" not in told


def test_ctrl_c_twice_leaves_with_the_shells_code() -> None:
    # Given a person who presses Ctrl-C at each poll
    service = Weir()

    def pressed(_: httpx.Request) -> httpx.Response:
        raise KeyboardInterrupt

    service.changes["GET /v1/runs/r-1"] = pressed
    service.changes["POST /v1/runs/r-1/stop"] = lambda _: ok({"run_id": "r-1"}, 202)

    # When a run is started
    code, screen = type_in(service, "run", "--records", "3")

    # Then the person gets out, and is told that the stream goes away all the same
    assert code == exits.INTERRUPTED
    assert "Weir deletes the stream by itself" in screen


def test_what_is_not_understood_ends_with_argparses_code() -> None:
    with pytest.raises(SystemExit) as raised:
        weir.main(["prove"])
    assert raised.value.code == exits.USAGE
