"""No test of the client finds, or leaves, a session or an API key of the person who runs it."""

from pathlib import Path

import pytest

from client import sessions


@pytest.fixture(autouse=True)
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WEIR_API_KEY", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(sessions, "STACK_FILE", tmp_path / "local" / "stack.json")
