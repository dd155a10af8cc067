"""A request and its answer, over ASGI, without a framework.

https://asgi.readthedocs.io/en/latest/specs/www.html. Whoever serves the app (uvicorn) may drop what is sent after the
client has left; whether it has is told by ``receive`` alone, so one task listens to that while an answer is made.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any
from urllib.parse import unquote

from weir.gateway.patience import Patience
from weir.runtime.errors import PayloadTooLarge

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = Iterable[tuple[str, str]]

MOST_BYTES = 6_000_000
"""Of a request: Lambda takes 6 MB, the event around the body included.
https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""

STALLED_SECONDS = 60.0
"""A client that takes nothing for so long counts as gone: its call is drained and settled without it."""


class ClientGone(Exception):
    """The client left before its request was whole."""


class Exchange:
    """One HTTP request and the answer to it.

    ``gone`` tells whether the client has left; what is written after that goes nowhere, and raises nothing. ``missed``
    tells whether anything was: a client that has what it wants may leave before the end. ``status`` is what was
    answered, None before that.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._receive, self._send = receive, send
        self.method: str = scope["method"]
        self.path = unquote((scope.get("raw_path") or scope["path"].encode()).decode("latin-1"))
        self.sent: list[tuple[str, str]] = [
            (name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"]
        ]
        self.headers = _joined(self.sent)
        self.gone = False
        self.missed = False
        self.status: int | None = None
        self._listener: asyncio.Task[None] | None = None
        self._patience = Patience(STALLED_SECONDS)

    async def body(self) -> bytes:
        """The whole body.

        Raises
        ------
        PayloadTooLarge
            It passes ``MOST_BYTES``; the rest is not read.
        ClientGone
        """
        told = self.headers.get("content-length", "0")
        if told.isdecimal() and int(told) > MOST_BYTES:
            raise _too_large()
        parts, length = [], 0
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self.gone = True
                raise ClientGone
            part = message.get("body", b"")
            length += len(part)
            if length > MOST_BYTES:
                raise _too_large()
            parts.append(part)
            if not message.get("more_body", False):
                break
        self._listener = asyncio.create_task(self._listen())
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def start(self, status: int, headers: Headers) -> None:
        """Send the status and the headers."""
        self.status = None if self.gone else status
        sent = [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in headers]
        await self._give({"type": "http.response.start", "status": status, "headers": sent})

    async def write(self, part: bytes) -> None:
        """Send a part of the body, at once; wait while the client is slow to take what it was sent before."""
        await self._give({"type": "http.response.body", "body": part, "more_body": True})

    async def end(self, last: bytes = b"") -> None:
        """End the answer. Before this is called a Lambda environment is not frozen."""
        await self._give({"type": "http.response.body", "body": last, "more_body": False})
        await self.close()

    async def answer(self, status: int, headers: Headers, body: bytes) -> None:
        """A whole answer, its length told."""
        await self.start(status, [*headers, ("content-length", str(len(body)))])
        await self.end(body)

    async def close(self) -> None:
        """Listen no more."""
        self._patience.close()
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await listener

    async def _listen(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.gone = True

    async def _give(self, message: Message) -> None:
        if not self.gone:
            try:
                await self._patience.wait(self._send(message))
            except (OSError, TimeoutError):  # servers tell of a client that left by an OSError, or not at all
                self.gone = True
        self.missed |= self.gone and bool(message.get("body"))


def _joined(sent: Headers) -> dict[str, str]:
    """Headers by name; those that come more than once as one, as RFC 9110 (section 5.3) has it."""
    joined: dict[str, str] = {}
    for name, value in sent:
        joined[name] = f"{joined[name]}, {value}" if name in joined else value
    return joined


def _too_large() -> PayloadTooLarge:
    return PayloadTooLarge(f"The body passes the {MOST_BYTES:,} bytes that a request may hold.")
