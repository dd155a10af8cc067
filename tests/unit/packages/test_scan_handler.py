"""The function that scans: what comes again, what goes on in another invocation, what is told."""

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from tests.unit.packages import evil
from tests.unit.packages.filing import NAME, World, key, of, sha256
from tests.unit.packages.registry import Counted, Time
from weir.packages import scanning
from weir.packages.models import State
from weir.runtime.errors import Unavailable
from weir.runtime.settings import forget

ROOT = Path(__file__).parents[3]
HONEST = evil.safetensors(evil.weights((0, 4)), bytes(4))


class Queue:
    """A scan queue that keeps what it is told."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []
        self.put_off: list[int] = []

    def send(self, name: str, sha256: str) -> None:
        self.sent.append((name, sha256))

    def come_back(self, _: str, seconds: int) -> None:
        self.put_off.append(seconds)


@pytest.fixture
def world(client: Counted, time: Time) -> World:
    made = World(client, time)
    made.register(of(HONEST))
    made.pushed(HONEST)
    return made


@pytest.fixture
def queue() -> Queue:
    return Queue()


@pytest.fixture
def module(world: World, queue: Queue, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    for name in ("PACKAGES_TABLE", "PACKAGES_BUCKET", "SCAN_QUEUE_URL"):
        monkeypatch.setenv(f"WEIR_{name}", "x")
    forget()
    spec = importlib.util.spec_from_file_location("package_scan", ROOT / "functions" / "package_scan" / "handler.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    monkeypatch.setattr(made, "deps", lambda: world.deps)
    monkeypatch.setattr(made, "scan_queue", lambda: queue)
    yield made
    forget()


def call(module: ModuleType, body: dict[str, Any], tries: int = 1, seconds: float = 900) -> list[str]:
    """Bring a message; the ids of those that come again."""
    record = {
        "messageId": "m",
        "receiptHandle": "r",
        "body": json.dumps(body),
        "attributes": {"ApproximateReceiveCount": str(tries)},
    }
    context = SimpleNamespace(get_remaining_time_in_millis=lambda: seconds * 1000)
    answer = module.handler({"Records": [record]}, context)
    return [one["itemIdentifier"] for one in answer["batchItemFailures"]]


def created(world: World) -> dict[str, Any]:
    stored = world.s3.only(key(HONEST))
    told = {"key": key(HONEST), "version-id": stored.version_id, "size": len(HONEST), "sequencer": "01"}
    return {"detail-type": "Object Created", "detail": {"bucket": {"name": "packages"}, "object": told}}


def test_an_event_of_a_file_has_it_scanned(module: ModuleType, world: World, queue: Queue) -> None:
    assert call(module, created(world)) == []
    assert world.version().state is State.AVAILABLE
    assert (queue.sent, queue.put_off) == ([], [])


def test_what_fails_comes_again_soon_and_is_done_then(module: ModuleType, world: World, queue: Queue) -> None:
    # Given an S3 that does not answer for a while
    def fails(operation: str, _: dict[str, Any]) -> None:
        if operation == "get_object":
            raise Unavailable("S3 does not answer.")

    world.s3.before = fails
    # When the event comes, Then it comes again, later from try to try
    assert call(module, created(world)) == ["m"]
    assert call(module, created(world), tries=2) == ["m"]
    assert queue.put_off == [15, 30]
    # When it comes once S3 answers, Then it is done, without anybody having waited for a lease
    world.s3.before = lambda *_: None
    assert call(module, created(world), tries=3) == []
    assert world.version().state is State.AVAILABLE


def test_what_an_invocation_is_too_short_for_goes_on_in_another(
    module: ModuleType, world: World, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given an invocation that has no time left
    monkeypatch.setattr(scanning, "CHUNK", 8)
    assert call(module, created(world), seconds=60) == []
    # Then it asks for another one, which does the rest
    assert queue.sent == [(NAME, sha256(HONEST))]
    assert call(module, {"scan": {"name": NAME, "sha256": sha256(HONEST)}}) == []
    assert world.version().state is State.AVAILABLE


def test_what_is_quarantined_is_counted(module: ModuleType, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []
    monkeypatch.setattr(module, "emit", lambda values, _: told.append(values))
    body = evil.system()
    world.another_version("2.0.0", of(body, "model.pkl"))
    world.pushed(body, "model.pkl", "2.0.0")
    assert call(module, {"scan": {"name": NAME, "sha256": sha256(body)}}) == []
    assert told == [{"FilesQuarantined": ("Count", 1)}]
