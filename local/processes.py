"""Processes of the local AWS: found by what they run, since an id may be a stranger's by now; stopped in groups."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator


def runs(pid: int, what: str) -> bool:
    """Whether ``pid`` runs a command that holds ``what``: the id may have been given to another program since."""
    return any(what in command for found, _group, command in _listing() if found == pid)


def is_orphaned(pid: int) -> bool:
    """Whether a leader died and left its group: no other program can get that id then."""
    return group_lives(pid) and not any(found == pid for found, _group, _command in _listing())


def group_lives(pid: int) -> bool:
    """Whether any process of a group runs."""
    return any(group == pid for _found, group, _command in _listing())


def stop_group(pid: int, within_seconds: float) -> None:
    """Ask a group to stop, and end what has not after a while."""
    _signal(pid, signal.SIGTERM)
    deadline = time.monotonic() + within_seconds
    while group_lives(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    _signal(pid, signal.SIGKILL)


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _listing() -> Iterator[tuple[int, int, str]]:
    """Process id, process group and command line of every process that runs; zombies don't."""
    columns = ["ps", "-A", "-ww", "-o", "pid=,pgid=,stat=,command="]
    for line in subprocess.run(columns, capture_output=True, text=True, check=False).stdout.splitlines():
        pid, group, state, *command = line.split(maxsplit=3)
        if not state.startswith("Z"):
            yield int(pid), int(group), "".join(command)


def _signal(pid: int, number: int) -> None:
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        return  # already gone; macOS says "permission" of a group that holds only zombies
