"""``weir packages`` as a person types it, in this process or in one that can be killed."""

import io
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from client import packages_crew, packages_hash, packages_pull, weir
from client.api import Api
from client.target import REPOSITORY, Target
from tests.unit.client.fake_registry import Registry

MIB = 1024 * 1024


def packages(registry: Registry, *arguments: object) -> tuple[int, str]:
    """The exit code, and what stands on the screen."""
    out = io.StringIO()

    def connect(target: Target) -> Api:
        return Api(target, sleep=lambda _: None)

    given = ["--url", f"{registry.url}/v1", "packages", *map(str, arguments)]
    return weir.main(given, Console(file=out, width=200, force_terminal=False), connect), out.getvalue()


def process(registry: Registry, *arguments: object) -> "subprocess.Popen[str]":
    """The same, as a process of its own."""
    given = ["--url", f"{registry.url}/v1", "packages", *map(str, arguments)]
    return subprocess.Popen(
        [sys.executable, "-m", "client.weir", *given],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background job has it ignored
    )


def killed(registry: Registry, child: "subprocess.Popen[str]") -> None:
    """Kill -9 a process when the registry holds one of its requests."""
    with child:
        assert registry.held.wait(30)
        child.kill()
    registry.let_go.set()


def bytes_of(size: int, seed: int = 1) -> bytes:
    """Bytes that differ from place to place."""
    return random.Random(seed).randbytes(size)


def write(place: Path, data: bytes = b"") -> Path:
    """A file, with the folders to it."""
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(data)
    return place


@pytest.fixture
def quick(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts and ranges of 1 MiB, so that small files have several; nobody waits between tries."""
    monkeypatch.setattr(packages_crew.Crew, "sleep", lambda crew, _: crew.moved(0))
    monkeypatch.setattr(packages_hash, "_LEAST_PART", MIB)
    monkeypatch.setattr(packages_pull, "RANGE", MIB)
    registry.part_size = packages_hash.usual_part_size
