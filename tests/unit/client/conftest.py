"""No test of the client finds, or leaves, a session or an API key of the person who runs it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import pytest_socket

from client import sessions
from tests.unit.client.fake_registry import KEY, Registry, served


@pytest.fixture(autouse=True)
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WEIR_API_KEY", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(sessions, "STACK_FILE", tmp_path / "local" / "stack.json")


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    """A registry on loopback, which sockets may reach and nothing else; requests speak with an API key."""
    pytest_socket.enable_socket()
    pytest_socket.socket_allow_hosts(["127.0.0.1"])
    monkeypatch.setenv("WEIR_API_KEY", KEY)
    with served() as made:
        yield made
