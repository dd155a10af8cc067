"""Bytes between files and the storage by presigned URLs: parts up, ranges down, in memory that no size makes grow.

Over ``http.client``, for nothing else lets a body pass without copies in between: a part goes from the page cache into
the socket by ``sendfile`` (over TLS through one buffer), a range from the socket through one buffer to its place in the
file. Each thread has a connection and a buffer of its own.
"""

import http.client
import os
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from io import FileIO
from pathlib import Path
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx

from client.target import Target

__all__ = ["BUFFER", "Expired", "Gone", "Link", "Moved", "Storage", "StorageRefused", "Troubled", "write_at"]

BUFFER = 1024 * 1024
"""Bytes that a thread holds of what passes."""

_STEP = 4 * BUFFER
"""Bytes that the kernel is told to send at once, so that progress is told in between."""

_TIMEOUT_SECONDS = 60.0
_MOST_TOLD = 64 * 1024
_CODE = re.compile(rb"<Code>([^<]{1,100})</Code>")
_MESSAGE = re.compile(rb"<Message>([^<]{1,300})</Message>")
_AGAIN = frozenset({"RequestTimeout", "SlowDown", "OperationAborted"})
_OUT_OF_DATE = frozenset({"ExpiredToken", "TokenRefreshRequired"})

Moved = Callable[[int], None]
"""Is told of bytes as they pass; a negative number takes back what did not count."""


class StorageRefused(Exception):
    """The storage does not take or give the bytes, however often it is asked; or the disk does not."""


class Expired(Exception):
    """The storage takes this URL no longer: another is needed."""


class Gone(Exception):
    """What the URL names is not there: the upload has ended, or the object is deleted."""


class Troubled(Exception):
    """No answer, or one that is worth asking again for. ``after`` is what ``Retry-After`` says, in seconds."""

    def __init__(self, told: str, after: float = 0.0) -> None:
        super().__init__(told)
        self.after = after


_JUDGED = (StorageRefused, Expired, Gone, Troubled)


@dataclass(frozen=True, slots=True)
class Link:
    """A presigned URL with the headers that it wants; ``until`` is when to ask for another (monotonic seconds)."""

    url: str = field(repr=False)
    headers: Mapping[str, str]
    until: float


class Storage:
    """Puts parts and gets ranges. Any number of threads may use it; close it when they are done."""

    def __init__(self, timeout: float = _TIMEOUT_SECONDS) -> None:
        self._timeout = timeout
        self._mine = threading.local()
        self._lock = threading.Lock()
        self._connections: set[http.client.HTTPConnection] = set()
        self._hung_up = False

    def put(self, link: Link, path: Path, start: int, length: int, moved: Moved) -> str:
        """Send a piece of a file; its ETag. Raises StorageRefused, Expired, Gone or Troubled."""
        with _taken_back(moved) as counted:
            answer, told = self._put(link, path, start, length, counted)
            _judge(answer, told, 200)
            etag = answer.headers.get("ETag")
            if not etag:
                raise StorageRefused("The storage took a part and named no ETag.")
            return etag

    def get(self, link: Link, file: int, start: int, length: int, moved: Moved) -> None:
        """Write the bytes from ``start`` on to their place in an open file. Raises as ``put`` does."""
        with _taken_back(moved) as counted, self._steady():
            connection, place = self._connection(link.url)
            headers = {**link.headers, "Range": f"bytes={start}-{start + length - 1}", "Accept-Encoding": "identity"}
            connection.request("GET", place, headers=headers)
            self._check_on()
            answer = connection.getresponse()
            if answer.status != 206:
                _judge(answer, self._told(answer), 206)
            # What a server sends beyond what it was asked for has no place in the file.
            if answer.length != length or not (answer.headers.get("Content-Range") or "").startswith(f"bytes {start}-"):
                self.drop()
                raise StorageRefused("The storage answered another range than it was asked for.")
            self._receive(answer, file, start, length, counted)

    def hang_up(self) -> None:
        """Break off whatever passes, in all threads, and whatever begins after this: it ends as Troubled."""
        self._hung_up = True
        with self._lock:
            for connection in self._connections:
                if connection.sock is not None:
                    with suppress(OSError):
                        connection.sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close all connections."""
        with self._lock:
            for connection in self._connections:
                connection.close()
            self._connections.clear()

    def drop(self) -> None:
        """Close this thread's connection: nobody knows what still comes on it."""
        connection: http.client.HTTPConnection | None = getattr(self._mine, "connection", None)
        if connection is not None:
            connection.close()
            with self._lock:
                self._connections.discard(connection)
            self._mine.connection = None

    def _check_on(self) -> None:
        """Troubled where all was broken off while this thread's connection was being made: nobody else ends it."""
        if self._hung_up:
            self.drop()
            raise Troubled("The transfer was broken off.")

    @contextmanager
    def _steady(self) -> Iterator[None]:
        """A connection that broke is dropped, and told of as Troubled."""
        try:
            yield
        except _JUDGED:
            raise
        except (OSError, http.client.HTTPException) as error:
            self.drop()
            raise Troubled(f"The connection to the storage broke: {error or type(error).__name__}") from error
        except BaseException:
            self.drop()
            raise

    def _put(
        self, link: Link, path: Path, start: int, length: int, moved: Moved
    ) -> tuple[http.client.HTTPResponse, bytes]:
        try:
            file = path.open("rb", buffering=0)
        except OSError as error:
            raise StorageRefused(f"{path} can't be read: {error.strerror or error}.") from error
        with file, self._steady():
            connection, place = self._connection(link.url)
            connection.putrequest("PUT", place, skip_accept_encoding=True)
            for name, value in link.headers.items():
                if name.lower() not in {"host", "content-length"}:
                    connection.putheader(name, value)
            connection.putheader("Content-Length", str(length))
            connection.endheaders()
            self._check_on()
            try:
                self._pour(connection.sock, file, start, length, moved)
            except (BrokenPipeError, ConnectionResetError):
                # Refused before it was read to its end, as with a URL that has expired: the answer may be there.
                answer = connection.getresponse()
                told = self._told(answer)
                self.drop()
                return answer, told
            answer = connection.getresponse()
            return answer, self._told(answer)

    def _pour(self, sock: socket.socket, file: FileIO, start: int, length: int, moved: Moved) -> None:
        """Send a piece of a file over a connection."""
        end = start + length
        while start < end:
            wanted = min(_STEP, end - start)
            if isinstance(sock, ssl.SSLSocket):
                view = self._buffer[: min(wanted, BUFFER)]
                sent = os.preadv(file.fileno(), [view], start)
                sock.sendall(view[:sent])
            else:
                sent = sock.sendfile(file, start, wanted)
            if not sent:
                self.drop()
                raise StorageRefused(f"{file.name!s} has become shorter while it was sent.")
            start += sent
            moved(sent)

    def _receive(self, answer: http.client.HTTPResponse, file: int, start: int, length: int, moved: Moved) -> None:
        end = start + length
        while start < end:
            got = answer.readinto(self._buffer[: min(BUFFER, end - start)])
            if not got:
                raise ConnectionResetError("it ended early")
            write_at(file, self._buffer[:got], start)
            start += got
            moved(got)
        answer.read()

    def _told(self, answer: http.client.HTTPResponse) -> bytes:
        """The body of an answer that is but a message; one that is not costs the connection."""
        told = answer.read(_MOST_TOLD)
        if not answer.isclosed() and answer.read(1):
            self.drop()
        return told

    @property
    def _buffer(self) -> memoryview:
        held: memoryview | None = getattr(self._mine, "buffer", None)
        if held is None:
            held = self._mine.buffer = memoryview(bytearray(BUFFER))
        return held

    def _connection(self, url: str) -> tuple[http.client.HTTPConnection, str]:
        """This thread's connection to where a URL leads, and what to ask there."""
        parts = urlsplit(url)
        place = parts._replace(scheme="", netloc="").geturl() or "/"
        origin = (parts.scheme, parts.netloc)
        held: http.client.HTTPConnection | None = getattr(self._mine, "connection", None)
        if held is None or self._mine.origin != origin:
            self.drop()
            held = self._mine.connection = self._connected(parts)
            self._mine.origin = origin
            with self._lock:
                self._connections.add(held)
        proxied = parts.scheme == "http" and _proxy(parts) is not None
        return held, url if proxied else place

    def _connected(self, parts: SplitResult) -> http.client.HTTPConnection:
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise StorageRefused("A presigned URL is none.")
        proxy = _proxy(parts)
        host, port = (proxy.hostname or "", proxy.port) if proxy else (parts.hostname, parts.port)
        if parts.scheme == "http":
            return http.client.HTTPConnection(host, port, timeout=self._timeout)
        secure = http.client.HTTPSConnection(host, port, timeout=self._timeout, context=self._tls)
        if proxy:
            secure.set_tunnel(parts.hostname, parts.port or 443)
        return secure

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        """Trusts whom the calls of the API trust."""
        return httpx.create_ssl_context()


def write_at(file: int, view: memoryview, at: int) -> None:
    """Write all of ``view`` to its place. StorageRefused where the disk does not take it."""
    while view:
        try:
            written = os.pwrite(file, view, at)
        except OSError as error:
            raise StorageRefused(f"The disk does not take it: {error.strerror or error}.") from error
        view, at = view[written:], at + written


@contextmanager
def _taken_back(moved: Moved) -> Iterator[Moved]:
    """What was told of bytes is taken back where they did not arrive as a whole."""
    count = 0

    def counted(number: int) -> None:
        nonlocal count
        moved(number)  # first: where it breaks off, it has told nobody
        count += number

    try:
        yield counted
    except BaseException:
        moved(-count)
        raise


def _proxy(parts: SplitResult) -> SplitResult | None:
    """The proxy of the environment for a URL; none stands before this machine."""
    if Target(parts.geturl()).is_local or proxy_bypass(parts.netloc):
        return None
    named = getproxies().get(parts.scheme)
    return urlsplit(named if "://" in named else f"http://{named}") if named else None


def _judge(answer: http.client.HTTPResponse, body: bytes, wanted: int) -> None:
    """Nothing where the status is the wanted one, else what is to be done about it."""
    status = answer.status
    if status == wanted:
        return
    code, message = _CODE.search(body), _MESSAGE.search(body)
    name = code[1].decode(errors="replace") if code else answer.reason
    words = f"The storage answered {status} {name}" + (f": {message[1].decode(errors='replace')}" if message else "")
    if status == 403 or name in _OUT_OF_DATE:
        raise Expired(words)
    if status == 404:
        raise Gone(words)
    if status >= 500 or status in {408, 429} or name in _AGAIN:
        after = answer.headers.get("Retry-After") or ""
        raise Troubled(words, float(after) if after.isascii() and after.isdigit() else 0.0)
    raise StorageRefused(words)
