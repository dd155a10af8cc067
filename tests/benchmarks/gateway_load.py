"""The load on a gateway: ``python -m tests.benchmarks.gateway_load URL KEY FORMAT STREAM AT_ONCE REQUESTS``.

Each of ``AT_ONCE`` callers has a connection of its own, kept open, and asks again as soon as it has its answer. Prints
one JSON line: seconds of the median and the hundredth slowest answer, the same until the first word of a stream, and
the answers that were wrong. The requests are written and the answers read by hand: a client library would use more of
the machine than what is measured.
"""

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from tests.benchmarks.gateway_upstream import EVENTS, WORD

PROMPT = "Tell me a story of a hundred words about a river, a weir, and somebody who looks after it. " * 4
MODELS = {"anthropic": "claude-bench", "openai": "gpt-bench"}
PATIENCE_SECONDS = 60.0
_FIRST = WORD.encode()


def request(url: str, key: str, dialect: str, *, stream: bool) -> bytes:
    """A request on the wire."""
    place = urlsplit(url)
    asked: dict[str, Any] = {
        "model": MODELS[dialect],
        "max_tokens": 256,
        "messages": [{"role": "user", "content": PROMPT}],
        **({"stream": True} if stream else {}),
    }
    body = json.dumps(asked).encode()
    is_anthropic = dialect == "anthropic"
    proof = f"x-api-key: {key}\r\nanthropic-version: 2023-06-01" if is_anthropic else f"authorization: Bearer {key}"
    head = f"POST {place.path} HTTP/1.1\r\nhost: {place.netloc}\r\ncontent-type: application/json\r\n{proof}\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


class Caller(asyncio.Protocol):
    """A connection that asks one thing at a time."""

    def __init__(self, asked: bytes) -> None:
        self._asked = asked

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]

    def ask(self) -> "asyncio.Future[tuple[float, float, bool]]":
        """Seconds to the first word and to the end, and whether the answer is right."""
        self._answered: asyncio.Future[tuple[float, float, bool]] = asyncio.get_running_loop().create_future()
        self._received = bytearray()
        self._body_at = self._needed = 0
        self._first = 0.0
        self._began = time.perf_counter()
        self._transport.write(self._asked)
        return self._answered

    def data_received(self, data: bytes) -> None:
        received = self._received
        received += data
        if not self._body_at:
            end = received.find(b"\r\n\r\n")
            if end < 0:
                return
            self._body_at = end + 4
            head = bytes(received[:end]).lower()
            _, told, length = head.partition(b"content-length:")
            self._needed = self._body_at + int(length.partition(b"\r\n")[0]) if told else 0
        if not self._first and received.find(_FIRST, self._body_at) >= 0:
            self._first = time.perf_counter()
        ended = len(received) >= self._needed if self._needed else received.endswith(b"\r\n0\r\n\r\n")
        if ended and not self._answered.done():
            is_right = received.startswith(b"HTTP/1.1 200") and received.count(_FIRST) == EVENTS
            now = time.perf_counter()
            self._answered.set_result(((self._first or now) - self._began, now - self._began, is_right))

    def connection_lost(self, error: Exception | None) -> None:
        if not self._answered.done():
            self._answered.set_exception(ConnectionError(f"closed in mid-answer: {bytes(self._received[-200:])!r}"))


async def load(url: str, asked: bytes, at_once: int, requests: int) -> dict[str, Any]:
    """Ask so often, by so many callers, and tell how long it took."""
    loop, place = asyncio.get_running_loop(), urlsplit(url)
    host, port = place.hostname or "", place.port or 80
    made = [await loop.create_connection(lambda: Caller(asked), host, port) for _ in range(at_once)]
    taken: list[tuple[float, float, bool]] = []
    left = iter(range(requests))

    async def call(caller: Caller) -> None:
        for _ in left:
            async with asyncio.timeout(PATIENCE_SECONDS):
                taken.append(await caller.ask())

    began = time.perf_counter()
    await asyncio.gather(*(call(caller) for _, caller in made))
    seconds = time.perf_counter() - began
    for transport, _ in made:
        transport.abort()
    return {
        "requests": len(taken),
        "wrong": sum(not is_right for _, _, is_right in taken),
        "wall_seconds": seconds,
        **_told("first", [first for first, _, _ in taken]),
        **_told("whole", [whole for _, whole, _ in taken]),
    }


def _told(name: str, seconds: Sequence[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    return {f"{name}_p50": ordered[len(ordered) // 2], f"{name}_p99": ordered[len(ordered) * 99 // 100]}


def main(url: str, key: str, dialect: str, stream: str, at_once: str, requests: str) -> None:
    """Run, and print."""
    asked = request(url, key, dialect, stream=stream == "stream")
    print(json.dumps(asyncio.run(load(url, asked, int(at_once), int(requests)))))


if __name__ == "__main__":
    main(*sys.argv[1:])
