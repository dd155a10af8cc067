"""A provider on loopback, which does what a test says: byte by byte, for some of it is no HTTP."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

JSON = {"content-type": "application/json"}
SSE = {"content-type": "text/event-stream; charset=utf-8"}
FRAMES = {"content-type": "application/vnd.amazon.eventstream"}


@dataclass
class Request:
    """A request as it came."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


Behaviour = Callable[[asyncio.StreamWriter], Awaitable[None]]
Pace = Callable[[int], Awaitable[None]]


class Stub:
    """A provider: ``does`` is what it does with each request, in turn, the last one for ever."""

    def __init__(self, *does: Behaviour) -> None:
        self.does = list(does)
        self.requests: list[Request] = []
        self.connections = 0
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aenter__(self) -> "Stub":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: Any) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        try:
            while not writer.is_closing():
                await self._one(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, target, _ = head[0].split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        self.requests.append(Request(method, target, headers, body))
        behaviour = self.does.pop(0) if len(self.does) > 1 else self.does[0]
        await behaviour(writer)
        await writer.drain()


def head(status: int, headers: dict[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} X", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def answers(status: int, body: bytes, headers: dict[str, str] | None = None) -> Behaviour:
    """A whole answer."""

    async def behave(writer: asyncio.StreamWriter) -> None:
        writer.write(head(status, {**(headers or JSON), "content-length": str(len(body))}) + body)

    return behave


def streams(parts: Iterable[bytes], headers: dict[str, str], pace: Pace | None = None, dies: bool = False) -> Behaviour:
    """A stream in chunks, each one sent when all before have come to the caller (``pace``); it may die at its end."""

    async def behave(writer: asyncio.StreamWriter) -> None:
        writer.write(head(200, {**headers, "transfer-encoding": "chunked"}))
        sent = 0
        for part in parts:
            writer.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
            await writer.drain()
            sent += len(part)
            if pace is not None:
                await pace(sent)
        if dies:
            writer.close()
        else:
            writer.write(b"0\r\n\r\n")

    return behave


def says(raw: bytes, then_closes: bool = True) -> Behaviour:
    """Bytes as they are."""

    async def behave(writer: asyncio.StreamWriter) -> None:
        writer.write(raw)
        await writer.drain()
        if then_closes:
            writer.close()

    return behave


async def never(_: asyncio.StreamWriter) -> None:
    """No answer."""
    await asyncio.Event().wait()
