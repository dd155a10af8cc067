"""Requests to providers: pooled connections, every address checked at connect, bytes given on as they come.

A name may lead elsewhere each time that it is resolved (DNS rebinding), so what counts is the address that a socket is
about to be connected to: each socket is made here, after that address has been held against what the provider may have.
Nothing of the process's environment has a say (proxies, ``.netrc``), no redirect is followed, no cookie is kept.
"""

import asyncio
import errno
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from io import BytesIO
from typing import TYPE_CHECKING, Any, ClassVar
from weakref import WeakSet

from weir.gateway.patience import Patience
from weir.llm import network
from weir.llm.errors import AddressForbidden
from weir.llm.models import Provider

if TYPE_CHECKING:
    import aiohttp
    from aiohttp.abc import AbstractResolver

CONNECT_SECONDS = 5.0
REACH_SECONDS = 10.0
"""For all that comes before a request: DNS, connecting to each address of a name, TLS."""

LARGE_BYTES = 1_000_000
"""A body beyond this is written in pieces: as one it would hold up the answers of others."""

IDLE_SECONDS = 290.0
"""Without a byte from a provider: API Gateway cuts a stream that is silent for five minutes.
https://docs.aws.amazon.com/apigateway/latest/developerguide/response-streaming-lambda-configure.html"""

KEPT_SECONDS = 15.0
"""How long an idle connection is kept: less than load balancers do, so that none is used just as it is closed."""

_STOPPED = "the gateway stops"
MOST_BYTES = 32_000_000
"""Of an answer that is not a stream."""


class UpstreamError(Exception):
    """A provider gave no answer, or not all of one.

    ``word`` says so in the record of the call, which its caller may read; ``reason`` names hosts, and is for the log.
    """

    word: ClassVar[str] = "failed"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class NotReached(UpstreamError):
    """No connection was had, so no request was made: a name, TLS, or nobody listens."""

    word = "not reached"


class AddressRefused(NotReached):
    """Its name leads to an address that the provider may not have."""

    word = "address refused"


class TookTooLong(UpstreamError):
    """The time was up, or nothing came for too long. What was asked for may have been done all the same."""

    word = "too slow"


class Broke(UpstreamError):
    """The connection ended before the answer did, or it is no HTTP."""

    word = "broke off"


class Answer:
    """A provider's answer, whose body has yet to be read. ``headers`` have names in lower case.

    Each part of the body must come within ``idle_seconds``.
    """

    def __init__(self, response: "aiohttp.ClientResponse", idle_seconds: float) -> None:
        self._response = response
        self._patience = Patience(idle_seconds)
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.headers.items()}

    async def parts(self) -> AsyncIterator[bytes]:
        """The body, each part as soon as it is there. UpstreamError where it does not come to its end."""
        content = self._response.content
        while True:
            try:
                part = await self._patience.wait(content.readany())
            except Exception as error:
                raise _told(error) from error
            if not part:
                return
            yield part

    async def read(self, seen: list[bytes] | None = None, most: int = MOST_BYTES) -> bytes:
        """The whole body. UpstreamError where it does not come to its end, or passes ``most`` bytes: what of it came
        is in ``seen``."""
        found: list[bytes] = [] if seen is None else seen
        length = 0
        async for part in self.parts():
            length += len(part)
            if length > most:
                raise Broke(f"an answer of more than {most} bytes")
            found.append(part)
        return b"".join(found)

    def close(self) -> None:
        """Let go of the connection; where the body was not read to its end, end it."""
        self._patience.close()
        self._response.close()


class Upstreams:
    """The connections of this process. To be used within one event loop.

    Parameters
    ----------
    check
        Refuses an address that a provider may not have, by AddressForbidden.
    resolver
        Answers the addresses of names; None for the system's.
    """

    def __init__(
        self,
        check: Callable[[str, Provider], None] = network.check,
        resolver: "AbstractResolver | None" = None,
    ) -> None:
        import aiohttp  # at the start, and not in the first request

        self._check, self._resolver = check, resolver
        self._sessions: dict[Any, aiohttp.ClientSession] = {}
        self._asking: set[asyncio.Timeout] = set()
        self._answering: WeakSet[Answer] = WeakSet()
        self._stopping = False

    async def post(
        self, provider: Provider, url: str, headers: Mapping[str, str], body: bytes, seconds: float
    ) -> Answer:
        """Send a request; answers as soon as status and headers are there.

        Parameters
        ----------
        provider
            Whose ``private_networks`` decide which addresses may be connected to. Where it has no address of its own,
            AWS's is used, which VPC endpoints may put anywhere: that is not checked.
        seconds
            In which all of the answer must be there.

        Raises
        ------
        UpstreamError
        """
        import aiohttp
        from yarl import URL

        if self._stopping:
            raise NotReached(_STOPPED)
        limits = aiohttp.ClientTimeout(
            total=seconds,
            connect=REACH_SECONDS,
            sock_connect=CONNECT_SECONDS,
            ceil_threshold=1e9,
        )
        asking = self._session(provider).request(
            "POST",
            URL(url, encoded=True),  # as it was signed
            data=body if len(body) <= LARGE_BYTES else BytesIO(body),
            headers=headers,
            timeout=limits,
            allow_redirects=False,
            skip_auto_headers=("Accept", "Content-Type", "User-Agent"),
        )
        idle = min(seconds, IDLE_SECONDS)
        try:
            async with asyncio.timeout(idle) as until_stopped:
                self._asking.add(until_stopped)
                try:
                    answer = Answer(await asking, idle)
                finally:
                    self._asking.discard(until_stopped)
        except Exception as error:
            raise (Broke(_STOPPED) if self._stopping else _told(error)) from error
        self._answering.add(answer)
        return answer

    async def close(self) -> None:
        """End all connections: whoever waits for a provider is told that its answer broke off."""
        self._stopping = True
        for until_stopped in list(self._asking):
            until_stopped.reschedule(asyncio.get_running_loop().time())
        for answer in list(self._answering):
            answer.close()
        sessions, self._sessions = list(self._sessions.values()), {}
        for session in sessions:
            await session.close()

    def _session(self, provider: Provider) -> "aiohttp.ClientSession":
        """The pool of a provider: a connection that one provider may have is never used for another."""
        pool = (provider.kind, provider.address, provider.private_networks)
        if pool not in self._sessions:
            self._sessions[pool] = self._new_session(provider)
        return self._sessions[pool]

    def _new_session(self, provider: Provider) -> "aiohttp.ClientSession":
        import aiohttp

        trusted = provider.kind == "bedrock" and not provider.address

        def checked(address: Any) -> socket.socket:
            family, kind, protocol, _, place = address
            if not trusted:
                try:
                    self._check(str(place[0]), provider)
                except AddressForbidden as error:
                    raise PermissionError(errno.EACCES, error.detail) from error
            return socket.socket(family=family, type=kind, proto=protocol)

        connector = aiohttp.TCPConnector(
            limit=0,
            ttl_dns_cache=30,
            keepalive_timeout=KEPT_SECONDS,
            socket_factory=checked,
            resolver=self._resolver,
        )
        return aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False, auto_decompress=True
        )


def _told(error: Exception) -> Exception:
    """What a failure of aiohttp's comes to; any other as it is."""
    import aiohttp

    reason = f"{type(error).__name__}: {error}"[:200]
    match error:
        case aiohttp.ClientConnectorError(os_error=PermissionError()):
            return AddressRefused(reason)
        case aiohttp.ClientConnectorError() | aiohttp.ConnectionTimeoutError() | aiohttp.InvalidURL():
            return NotReached(reason)
        case asyncio.TimeoutError():
            return TookTooLong(reason)
        case aiohttp.ClientError() | OSError():
            return Broke(reason)
        case _:
            return error
