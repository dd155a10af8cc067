import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from local import places, server


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("SERVER_FILE", "STACK_FILE", "SCRATCH", "LOG_FILE"):
        monkeypatch.setattr(places, name, tmp_path / name.lower())
    return tmp_path


def record(pid: int) -> None:
    found = server.Server(pid, 1, "v")
    places.SERVER_FILE.write_text(json.dumps(dataclasses.asdict(found)))


def test_a_stale_file_names_no_server() -> None:
    # Given the record of a process that has ended, and nothing that answers on its port
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    record(process.pid)
    # When it is looked for
    # Then there is none
    assert server.running() is None


def test_a_stranger_with_the_same_id_is_not_stopped() -> None:
    # Given a record whose process id belongs to another program by now: this one
    record(os.getpid())
    # When the local AWS is stopped
    stopped = server.stop()
    # Then this program still lives, and the record is gone
    assert not stopped
    assert not places.SERVER_FILE.exists()


def test_stopping_takes_the_whole_process_group() -> None:
    # Given a launcher look-alike with a child of its own
    child = "import subprocess, sys; p = subprocess.Popen(['sleep', '60']); print(p.pid, flush=True); p.wait()"
    process = subprocess.Popen(
        [sys.executable, "-c", child, server.LAUNCHER], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    with process.stdout:
        grandchild = int(process.stdout.readline())
    record(process.pid)
    # When it is stopped
    assert server.stop()
    # Then neither lives
    process.wait(timeout=5)
    listing = subprocess.run(["ps", "-o", "stat=", "-p", str(grandchild)], capture_output=True, text=True, check=False)
    assert listing.stdout.strip() in {"", "Z", "Zs"}


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": 1}'])
def test_a_broken_record_counts_as_none(content: str) -> None:
    # Given a record that was cut short
    places.SERVER_FILE.write_text(content)
    # When it is looked for, Then there is none
    assert server.running() is None


def test_a_start_that_fails_shows_the_log() -> None:
    # Given a server that ended at once and wrote why
    places.LOG_FILE.write_text("no such module")
    # When it is waited for
    with pytest.raises(server.ServerError) as failed:
        server.wait_ready(server.Server(2**22 - 1, 1, "v"))
    # Then the reason is in the error
    assert "no such module" in str(failed.value)


def test_what_a_killed_server_left_behind_is_stopped() -> None:
    # Given a launcher look-alike that was killed, and its child
    child = "import subprocess, sys; p = subprocess.Popen(['sleep', '60']); print(p.pid, flush=True); p.wait()"
    process = subprocess.Popen(
        [sys.executable, "-c", child, server.LAUNCHER], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    with process.stdout:
        grandchild = int(process.stdout.readline())
    record(process.pid)
    process.kill()
    process.wait(timeout=5)
    # When the local AWS is stopped
    assert server.stop()
    # Then the child is gone, too
    listing = subprocess.run(["ps", "-o", "stat=", "-p", str(grandchild)], capture_output=True, text=True, check=False)
    assert listing.stdout.strip() in {"", "Z", "Zs"}
