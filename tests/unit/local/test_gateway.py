import dataclasses
import json
import os
import subprocess
import sys
import urllib.error
from collections.abc import Iterator
from pathlib import Path

import pytest

from local import gateway, places
from local.server import Server, ServerError


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("GATEWAY_FILE", "GATEWAY_LOG_FILE", "GATEWAY_CERTIFICATE_FILE", "GATEWAY_KEY_FILE"):
        monkeypatch.setattr(places, name, tmp_path / name.lower())
    return tmp_path


@pytest.fixture
def look_alikes() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes whose commands are like those of the gateway, each with a group of its own."""
    waits = "import time; time.sleep(60)"
    made = [
        subprocess.Popen([sys.executable, "-c", waits, what], start_new_session=True)
        for what in (gateway.RUNS, gateway.TLS_RUNS)
    ]
    yield made
    for one in made:
        one.kill()
        one.wait()


def record(pid: int, tls_pid: int) -> None:
    places.GATEWAY_FILE.write_text(json.dumps(dataclasses.asdict(gateway.Gateway(pid, 1, tls_pid, 2, "v"))))


def test_both_of_its_processes_are_stopped(look_alikes: list[subprocess.Popen[bytes]]) -> None:
    # Given a gateway and TLS in front of it
    record(look_alikes[0].pid, look_alikes[1].pid)
    # When it is stopped
    assert gateway.stop()
    # Then neither lives, and nothing tells of them
    assert [one.wait(timeout=5) for one in look_alikes] == [-15, -15]
    assert not places.GATEWAY_FILE.exists()
    assert not gateway.stop()


def test_a_stranger_with_the_same_id_is_neither_taken_for_it_nor_stopped() -> None:
    # Given a record whose process ids belong to another program by now: this one
    record(os.getpid(), os.getpid())
    # When it is looked for and stopped, Then there is none, and this program lives
    assert gateway.running() is None
    assert not gateway.stop()


@pytest.fixture
def nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise urllib.error.URLError("connection refused")

    monkeypatch.setattr(gateway.urllib.request, "urlopen", refuse)


@pytest.mark.usefixtures("nobody_listens")
def test_one_that_does_not_answer_is_not_running(look_alikes: list[subprocess.Popen[bytes]]) -> None:
    # Given processes that live, and a port that nobody listens on
    record(look_alikes[0].pid, look_alikes[1].pid)
    # When it is looked for, Then there is none
    assert gateway.running() is None


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": 1}'])
def test_a_broken_record_counts_as_none(content: str) -> None:
    places.GATEWAY_FILE.write_text(content)
    assert gateway.running() is None
    assert not gateway.stop()


@pytest.mark.usefixtures("nobody_listens")
def test_an_emulator_that_does_not_know_the_function_is_told() -> None:
    with pytest.raises(ServerError, match="weir-GatewayFunction"):
        gateway.environment(Server(1, 1, "v"), "weir-GatewayFunction", 8080)


def test_the_stack_file_tells_where_it_answers() -> None:
    told = gateway.Gateway(1, 8080, 2, 8443, "v").told()
    assert told == {
        "gateway_url": "http://127.0.0.1:8080",
        "gateway_tls_url": "https://127.0.0.1:8443",
        "gateway_ca": str(places.GATEWAY_CERTIFICATE_FILE),
    }
