"""The process that is the local AWS: one emulator per clone, on a free loopback port, stopped without a trace.

What is known of it stands in ``.local/server.json``. A process counts as ours only when that process id runs our
launcher and the port answers, so a stale file after a crash or a reboot can neither be reused nor kill a stranger.
"""

import dataclasses
import json
import os
import shutil
import subprocess
import time
import urllib.error
import urllib.request

from local import places, processes

LAUNCHER = "local.shim"
READY_WITHIN_S = 60.0
STOP_WITHIN_S = 5.0


class ServerError(Exception):
    """The local AWS did not start; the message tells where its log is."""


@dataclasses.dataclass(frozen=True)
class Server:
    """A running emulator. ``version`` is the fingerprint of the launcher that it was started from."""

    pid: int
    port: int
    version: str

    @property
    def endpoint(self) -> str:
        """Endpoint URL of every AWS service."""
        return f"http://127.0.0.1:{self.port}"


def running() -> Server | None:
    """The emulator of this clone, if it lives and answers."""
    server = _recorded()
    if server is None or not _is_ours(server.pid) or not _answers(server):
        return None
    return server


def start(version: str) -> Server:
    """Start an emulator on a free port and return at once; ``wait_ready`` tells when it serves."""
    stop()
    places.STATE.mkdir(exist_ok=True)
    port = processes.free_port()
    environment = places.clean_environment(
        GATEWAY_PORT=str(port),
        BIND_HOST="127.0.0.1",
        AUTH="true",  # IAM policies are enforced on every role
        IOT_MTLS_ENABLED="0",
        SFTP_ENABLED="0",
        STATE_DIR=str(places.SCRATCH / "state"),
        S3_DATA_DIR=str(places.SCRATCH / "s3"),
        DOCKER_HOST="unix:///nonexistent",  # a Docker that happens to run here is none of its business
        **{name: value for name, value in os.environ.items() if name.startswith("WEIR_LOCAL_")},
    )
    with places.LOG_FILE.open("wb") as log:
        process = subprocess.Popen(
            [places.program(".tools/ministack", "python"), "-m", LAUNCHER],
            cwd=places.REPOSITORY,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # its own process group: stopping the group stops its Lambda workers too
        )
    server = Server(process.pid, port, version)
    places.SERVER_FILE.write_text(json.dumps(dataclasses.asdict(server)))
    return server


def wait_ready(server: Server) -> None:
    """Block until the emulator serves.

    Raises
    ------
    ServerError
        It ended, or did not serve within a minute.
    """
    deadline = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < deadline:
        if not _is_ours(server.pid):
            break
        if _answers(server):
            return
        time.sleep(0.05)
    raise ServerError(f"The local AWS did not start; its log is {places.LOG_FILE}\n{_tail()}")


def stop() -> bool:
    """Stop the emulator and its Lambda workers; true if there was one."""
    server = _recorded()
    found = server is not None and (_is_ours(server.pid) or processes.is_orphaned(server.pid))
    if server is not None and found:
        processes.stop_group(server.pid, STOP_WITHIN_S)
    places.SERVER_FILE.unlink(missing_ok=True)
    places.STACK_FILE.unlink(missing_ok=True)
    shutil.rmtree(places.SCRATCH, ignore_errors=True)
    return found


def _recorded() -> Server | None:
    try:
        return Server(**json.loads(places.SERVER_FILE.read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def _is_ours(pid: int) -> bool:
    return processes.runs(pid, LAUNCHER)


def _answers(server: Server) -> bool:
    try:
        with urllib.request.urlopen(f"{server.endpoint}/_ministack/ready", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _tail(lines: int = 20) -> str:
    return "\n".join(places.LOG_FILE.read_text(errors="replace").splitlines()[-lines:])
