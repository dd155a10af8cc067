"""The processes of the gateway's benchmark: stubs, and whoever is measured; each on a port of its own."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.processes import free_port

REPOSITORY = Path(__file__).resolve().parents[2]
LAYER = REPOSITORY / "layers/weir/python"
GATEWAY = REPOSITORY / "functions/gateway"
LITELLM = REPOSITORY / ".tools/litellm/bin/litellm"
READY_SECONDS, END_SECONDS = 120.0, 10.0
MASTER_KEY = "sk-bench"


class NotReady(Exception):
    """A process ended, or did not listen in time; the message is what it said last."""


@dataclass(frozen=True, slots=True)
class Contender:
    """Where requests are sent to, by format; with which key; and the process that is accounted for."""

    urls: Mapping[str, str]
    key: str = "unchecked"
    pid: int | None = None


@contextmanager
def stub(module: str, *arguments: str, environ: dict[str, str], lines: int = 1) -> Iterator[list[str]]:
    """The first lines that a stub prints, while it serves."""
    with subprocess.Popen(
        [sys.executable, "-m", f"tests.benchmarks.{module}", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environ,
        cwd=REPOSITORY,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield [process.stdout.readline().strip() for _ in range(lines)]
        finally:
            process.stdin.close()


@contextmanager
def server(command: list[str], port: int, *, environ: dict[str, str], folder: Path, cwd: Path) -> Iterator[int]:
    """The pid of a server, from when it listens."""
    log = folder / f"{port}.log"
    with log.open("wb") as said, subprocess.Popen(command, env=environ, cwd=cwd, stdout=said, stderr=said) as process:
        try:
            _wait(process, port, log)
            yield process.pid
        finally:
            process.terminate()
            try:
                process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    until = time.monotonic() + READY_SECONDS
    while time.monotonic() < until and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.002)
    raise NotReady((log.read_text(errors="replace").strip().splitlines() or ["it said nothing"])[-1])


@contextmanager
def weir(tables: int, key: str, *, environ: dict[str, str], folder: Path) -> Iterator[Contender]:
    """Weir's gateway, as its function starts it, on the tables of the stub; caps as by default, but out of reach."""
    port = free_port()
    given = {
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), environ.get("PATH", os.defpath))),
        "PYTHONPATH": os.pathsep.join((str(GATEWAY), str(LAYER))),
        "AWS_LWA_PORT": str(port),
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{tables}",
        "WEIR_AWS_TIMEOUT_SECONDS": "3",
        "WEIR_AWS_DIRECT": "true",
        "WEIR_DEFAULT_CAPS": "day requests 1000000000, day tokens 1000000000000, day cost 1000000",
    }
    needed = ("IDENTITY_TABLE", "SIGNING_SECRET_ARN", "KEY_PEPPER_SECRET_ARN", "TOKEN_ISSUER", "USAGE_TABLE")
    given |= {f"WEIR_{name}": "bench" for name in (*needed, "LLM_TABLE", "IDEMPOTENCY_TABLE")}
    shell = shutil.which("sh") or "/bin/sh"
    with server([shell, "run.sh"], port, environ=environ | given, folder=folder, cwd=GATEWAY) as pid:
        base = f"http://127.0.0.1:{port}"
        urls = {"anthropic": f"{base}/anthropic/v1/messages", "openai": f"{base}/openai/v1/chat/completions"}
        yield Contender(urls, key, pid)


@contextmanager
def bare(upstream: str, *, environ: dict[str, str], folder: Path) -> Iterator[Contender]:
    """The bare pass-through, served with the same options as the gateway."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "tests.benchmarks.gateway_bare:app", "--port", str(port)]
    command += ["--http", "httptools", "--loop", "asyncio", "--no-access-log", "--no-server-header"]
    with server(command, port, environ=environ | {"BENCH_UPSTREAM": upstream}, folder=folder, cwd=REPOSITORY) as pid:
        yield Contender(paths(f"http://127.0.0.1:{port}"), pid=pid)


@contextmanager
def litellm(upstream: str, *, environ: dict[str, str], folder: Path) -> Iterator[Contender]:
    """LiteLLM's proxy: one worker, its master key asked for, no database; it asks no price list of the web."""
    port = free_port()
    models = {
        "claude-bench": {"model": "anthropic/claude-bench", "api_base": upstream},
        "gpt-bench": {"model": "openai/gpt-bench", "api_base": f"{upstream}/v1"},
    }
    listed = [
        {"model_name": name, "litellm_params": {**given, "api_key": "unchecked"}} for name, given in models.items()
    ]
    config = folder / "litellm.yaml"
    config.write_text(json.dumps({"model_list": listed, "general_settings": {"master_key": MASTER_KEY}}))
    command = [str(LITELLM), "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
    command += ["--num_workers", "1", "--telemetry", "False"]
    given = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR", "LITELLM_MODE": "PRODUCTION"}
    clean = {name: value for name, value in environ.items() if name != "PYTHONPATH"}
    with server(command, port, environ=clean | given, folder=folder, cwd=folder) as pid:
        yield Contender(paths(f"http://127.0.0.1:{port}"), MASTER_KEY, pid)


def paths(base: str) -> dict[str, str]:
    """The URLs of formats where the providers have them."""
    return {"anthropic": f"{base}/v1/messages", "openai": f"{base}/v1/chat/completions"}


def counts(tables: int) -> dict[str, int]:
    """What the tables were asked so far."""
    with urllib.request.urlopen(f"http://127.0.0.1:{tables}/counts", timeout=10) as answer:
        told: dict[str, int] = json.loads(answer.read())
    return told


def cpu_seconds(pid: int) -> float:
    """CPU time of a process so far, user and system, all its threads (Linux)."""
    fields: list[Any] = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
