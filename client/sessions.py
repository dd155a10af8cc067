"""Log-ins that last: one session an API, in a file that its owner alone can read.

A refresh token is good once, so two processes that renew the same session at the same time would look like a thief and
the owner, and the API would end the session. Whoever renews therefore holds the file's lock.
"""

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from client.target import STACK_FILE, Target

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows: two processes at once are rarer there than no log-in at all
    fcntl = None  # type: ignore[assignment]

__all__ = ["Session", "SessionFile", "session_file"]


@dataclass(frozen=True, slots=True)
class Session:
    """What a log-in gave; ``expires_at`` is the access token's end in epoch seconds.

    After a log-out ``device`` alone is left, by which the API tells the user's next log-in from a guess.
    """

    username: str
    access_token: str = field(repr=False)
    expires_at: float
    refresh_token: str | None = field(default=None, repr=False)
    device: str | None = field(default=None, repr=False)


def session_file(target: Target) -> "SessionFile":
    """Where the sessions of an API are kept: beside the local stack's file, else in the person's own configuration."""
    if target.is_local:
        return SessionFile(STACK_FILE.parent / "sessions.json")
    home = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return SessionFile(Path(home) / "weir" / "sessions.json")


class SessionFile:
    """Sessions by the URL of their API. A file that can't be read holds none."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self, url: str) -> Session | None:
        """The session of an API."""
        try:
            return Session(**self._all()[url])
        except (KeyError, TypeError):
            return None

    def save(self, url: str, session: Session | None) -> None:
        """Keep a session, or forget it; the file is replaced as a whole, so that nobody reads half of it."""
        sessions = self._all()
        sessions.pop(url, None)
        if session is not None:
            sessions[url] = asdict(session)
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, name = tempfile.mkstemp(dir=self._path.parent, prefix=".sessions-")  # readable by its owner alone
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(sessions, file, indent=2)
        Path(name).replace(self._path)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Renew alone: other processes wait."""
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._path.with_suffix(".lock").open("w") as lock:
            if fcntl is not None:
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _all(self) -> dict[str, Any]:
        try:
            found = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}
