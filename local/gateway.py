"""The gateway as a process beside the emulator, which can't stream what a function answers.

It is the built function with the built layers, started by its own ``run.sh`` on the emulator's interpreter, with the
environment and the role's credentials that Lambda would have given it: what its role may not do fails here, too. In the
place of the Lambda Web Adapter callers speak to it themselves, at ``gateway_url`` of ``.local/stack.json``, or over TLS
(``local/tls.py``) at ``gateway_tls_url``.
"""

import dataclasses
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from local import places, processes, tls
from local.server import Server, ServerError

FUNCTION = "GatewayFunction"
LAYERS = ("DependenciesLayer", "WeirLayer")
RUNS = "handler:app"
TLS_RUNS = "local.tls"
READY_WITHIN_S = 30.0
STOP_WITHIN_S = 8.0  # more than run.sh gives to what is under way


@dataclasses.dataclass(frozen=True)
class Gateway:
    """A running gateway, and TLS in front of it. ``version`` is the fingerprint of what it was started from."""

    pid: int
    port: int
    tls_pid: int
    tls_port: int
    version: str

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def tls_url(self) -> str:
        """Where it answers over TLS."""
        return f"https://127.0.0.1:{self.tls_port}"

    def told(self) -> dict[str, str]:
        """What ``.local/stack.json`` tells of it; ``gateway_ca`` is the certificate that clients of TLS must know."""
        ca = str(places.GATEWAY_CERTIFICATE_FILE)
        return {"gateway_url": self.url, "gateway_tls_url": self.tls_url, "gateway_ca": ca}

    def runs(self) -> bool:
        """Whether both processes live."""
        return processes.runs(self.pid, RUNS) and processes.runs(self.tls_pid, TLS_RUNS)


def running() -> Gateway | None:
    """The gateway of this clone, if it lives and answers."""
    gateway = _recorded()
    return gateway if gateway is not None and gateway.runs() and _answers(gateway) else None


def start(server: Server, function: str, version: str) -> Gateway:
    """Start it in the place of the one that may run; answers when it serves.

    Parameters
    ----------
    function
        The name of the deployed function.

    Raises
    ------
    ServerError
        It ended, or did not serve in time.
    """
    stop()
    port, tls_port = processes.free_port(), processes.free_port()
    tls.make_certificate(places.GATEWAY_CERTIFICATE_FILE, places.GATEWAY_KEY_FILE)
    with places.GATEWAY_LOG_FILE.open("wb") as log:
        process = subprocess.Popen(
            ["/bin/sh", "run.sh"],
            cwd=places.BUILD / FUNCTION,
            env=environment(server, function, port),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        relay = subprocess.Popen(
            [sys.executable, "-m", TLS_RUNS, str(tls_port), str(port)],
            cwd=places.REPOSITORY,
            env=places.clean_environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    gateway = Gateway(process.pid, port, relay.pid, tls_port, version)
    places.GATEWAY_FILE.write_text(json.dumps(dataclasses.asdict(gateway)))
    deadline = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < deadline and process.poll() is None:
        if _answers(gateway):
            return gateway
        time.sleep(0.05)
    raise ServerError(f"The gateway did not start; its log is {places.GATEWAY_LOG_FILE}\n{_tail()}")


def stop() -> bool:
    """Stop it, once it has settled what is under way; true if there was one."""
    gateway = _recorded()
    found = gateway is not None and processes.runs(gateway.pid, RUNS)
    if gateway is not None and found:
        processes.stop_group(gateway.pid, STOP_WITHIN_S)
    if gateway is not None and processes.runs(gateway.tls_pid, TLS_RUNS):
        processes.stop_group(gateway.tls_pid, 1.0)
    places.GATEWAY_FILE.unlink(missing_ok=True)
    return found


def environment(server: Server, function: str, port: int) -> dict[str, str]:
    """What Lambda would give the function, and where its code and its layers are here.

    Raises
    ------
    ServerError
        The emulator knows no such function.
    """
    try:
        with urllib.request.urlopen(f"{server.endpoint}/_weir/environment/{function}", timeout=10) as answer:
            given: dict[str, str] = json.loads(answer.read())
    except (urllib.error.URLError, OSError) as error:
        raise ServerError(f"The local AWS tells nothing of the function {function}: {error}") from error
    tools = str(Path(places.program(".tools/ministack", "python")).parent)
    clean = places.clean_environment(AWS_ENDPOINT_URL=server.endpoint)
    return (
        clean
        | given
        | {
            "AWS_LWA_PORT": str(port),
            "PATH": os.pathsep.join((tools, clean.get("PATH", os.defpath))),
            "PYTHONPATH": os.pathsep.join(str(places.BUILD / layer / "python") for layer in LAYERS),
        }
    )


def _recorded() -> Gateway | None:
    try:
        return Gateway(**json.loads(places.GATEWAY_FILE.read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def _answers(gateway: Gateway) -> bool:
    try:
        with urllib.request.urlopen(f"{gateway.url}/health", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _tail(lines: int = 20) -> str:
    return "\n".join(places.GATEWAY_LOG_FILE.read_text(errors="replace").splitlines()[-lines:])
