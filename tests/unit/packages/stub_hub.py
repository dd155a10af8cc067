"""A hub: a real server on the loopback that answers as the Hugging Face Hub does, or in ways that it should not.

``/api/models/<repo>/revision/<revision>?blobs=true`` lists, ``/<repo>/resolve/<commit>/<path>`` redirects to where the
bytes are, under addresses that run out, and that take ranges.
"""

import hashlib
import json
import re
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest_socket

COMMIT = "5f2b1c" + "0" * 34
REPO = "acme/tiny-bert"


@dataclass
class Answer:
    """What is sent: ``body`` may be cut short of what Content-Length announces (``announced``).

    The connection then ends; where ``held`` is given, not before that.
    """

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    announced: int | None = None
    held: threading.Event | None = None


@dataclass
class Asked:
    """A request as it came."""

    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]


@dataclass
class StubHub:
    """One repository. ``files`` are its bytes by path, ``lfs`` those of which the hub tells the SHA-256.

    ``answers`` is asked first for each request, and may answer anything. ``lies`` replaces what the listing says of a
    file. ``served`` are the bytes that are sent, where they are not those of ``files``.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    lfs: set[str] = field(default_factory=set)
    card: dict[str, Any] = field(default_factory=lambda: {"license": "apache-2.0"})
    url: str = ""
    answers: Callable[[Asked], Answer | None] = lambda asked: None
    lies: dict[str, dict[str, Any]] = field(default_factory=dict)
    served: dict[str, bytes] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    ticket: int = 0
    waited_in_vain: bool = False
    """Nobody hung up, nor let go, while an answer was ``held``."""

    def of(self, beginning: str) -> list[Asked]:
        """The requests whose path begins so."""
        return [one for one in self.asked if one.path.startswith(beginning)]

    def answer(self, asked: Asked) -> Answer:
        """As the Hub does."""
        if asked.path.startswith(f"/api/models/{REPO}/revision/"):
            return Answer(200, json.dumps(self._listing(asked)).encode(), {"Content-Type": "application/json"})
        if asked.path.startswith(resolve := f"/{REPO}/resolve/{COMMIT}/"):
            path = asked.path.removeprefix(resolve)
            found = f"/cdn/{self.ticket}/{path}"
            return Answer(302, headers={"Location": found}) if path in self.files else Answer(404)
        if asked.path.startswith("/cdn/"):
            _, _, ticket, path = asked.path.split("/", 3)
            return self._range(path, asked) if int(ticket) == self.ticket else Answer(403)
        return Answer(404)

    def _listing(self, asked: Asked) -> dict[str, Any]:
        assert asked.query["blobs"] == ["true"]
        return {
            "id": REPO,
            "sha": COMMIT,
            "lastModified": "2026-10-01T08:30:00.000Z",
            "pipeline_tag": "fill-mask",
            "library_name": "transformers",
            "cardData": self.card,
            "siblings": [self._sibling(path, body) for path, body in self.files.items()],
        }

    def _sibling(self, path: str, body: bytes) -> dict[str, Any]:
        told: dict[str, Any] = {"rfilename": path, "size": len(body), "blobId": blob_id(body)}
        if path in self.lfs:
            pointer = {"sha256": hashlib.sha256(body).hexdigest(), "size": len(body), "pointerSize": 134}
            told = {**told, "blobId": "e" * 40, "lfs": pointer}
        return told | self.lies.get(path, {})

    def _range(self, path: str, asked: Asked) -> Answer:
        body = self.served.get(path, self.files[path])
        found = re.fullmatch(r"bytes=(\d+)-(\d+)", asked.headers.get("range", ""))
        if found is None:
            return Answer(200, body)
        first, last = int(found[1]), min(int(found[2]), len(body) - 1)
        headers = {"Content-Range": f"bytes {first}-{last}/{len(body)}"}
        return Answer(206, body[first : last + 1], headers)


def blob_id(body: bytes) -> str:
    """Git's digest of a file."""
    return hashlib.sha1(b"blob %d\0" % len(body) + body).hexdigest()


@contextmanager
def serving(hub: StubHub, tls: ssl.SSLContext | None = None) -> Iterator[StubHub]:
    """Let a hub listen, and tell it where; sockets are open to the loopback meanwhile, and to nothing else."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            headers = {name.lower(): value for name, value in self.headers.items()}
            asked = Asked(unquote(parts.path), parse_qs(parts.query), headers)
            hub.asked.append(asked)
            told = hub.answers(asked) or hub.answer(asked)
            self.send_response(told.status)
            for name, value in told.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(told.body) if told.announced is None else told.announced))
            self.end_headers()
            self.wfile.write(told.body)
            if told.held is not None:
                hub.waited_in_vain |= not told.held.wait(5)
            self.close_connection = told.announced is not None

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            """Say nothing of those who hung up."""

    pytest_socket.enable_socket()
    pytest_socket.socket_allow_hosts(["127.0.0.1"])
    with Quiet(("127.0.0.1", 0), Handler) as http:
        if tls is not None:
            http.socket = tls.wrap_socket(http.socket, server_side=True)
        hub.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{http.server_port}"
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.005})
        thread.start()
        try:
            yield hub
        finally:
            http.shutdown()
            thread.join()
    pytest_socket.disable_socket(allow_unix_socket=True)
