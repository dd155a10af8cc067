"""The gateway as an ASGI app: its routes, its start and its end.

Every request runs as a task of its own: a server that cancels what it served takes away the caller, and not the call,
which is settled before the app ends.
"""

import asyncio
import re
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from weir.gateway import paths
from weir.gateway.admitting import Admitting, asked_for
from weir.gateway.asgi import ClientGone, Exchange, Receive, Scope, Send
from weir.gateway.headers import identified
from weir.gateway.listing import listing
from weir.gateway.metrics import Metrics
from weir.gateway.refusing import failure, refusal
from weir.gateway.serving import UNEXPECTED, Serving
from weir.gateway.upstream import Upstreams
from weir.identity.errors import BadToken
from weir.llm.models import Dialect
from weir.llm.passing import dumped
from weir.runtime.errors import NotFound, WeirError
from weir.runtime.observability import logger

THREADS = 16
"""As many as a client of botocore's has connections: what waits for AWS waits in one of them."""

_REQUEST_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True, slots=True)
class Parts:
    """What the app is made of, once for a process."""

    admitting: Admitting
    serving: Serving
    upstreams: Upstreams
    metrics: Metrics


class Gateway:
    """The app. ``make`` answers its parts when it starts."""

    def __init__(self, make: Callable[[], Parts]) -> None:
        self._make = make
        self._parts: Parts | None = None
        self._under_way: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the app's life, or one request."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            task = asyncio.create_task(self._answer(Exchange(scope, receive, send)))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
            try:
                await asyncio.shield(task)
            except asyncio.CancelledError:  # the server waits no longer; stop() cuts the call, and its caller is told
                await task

    async def start(self) -> None:
        """Make the parts."""
        threads = ThreadPoolExecutor(THREADS, thread_name_prefix="gateway")
        asyncio.get_running_loop().set_default_executor(threads)
        self._parts = await asyncio.to_thread(self._make)

    async def stop(self) -> None:
        """Cut what is still under way at the providers' side, and wait until all of it is settled."""
        if self._parts is not None:
            await self._parts.upstreams.close()
        await asyncio.gather(*self._under_way, return_exceptions=True)

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                try:
                    await self.start()
                except Exception as error:
                    logger().exception("the gateway can't start")
                    await send({"type": "lifespan.startup.failed", "message": str(error)})
                    return
                await send({"type": "lifespan.startup.complete"})
            else:
                await self.stop()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _answer(self, exchange: Exchange) -> None:
        given = exchange.headers.get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        operation = paths.matched(exchange.method, exchange.path)
        dialect = operation.dialect if operation is not None else paths.dialect_of(exchange.path)
        try:
            if exchange.path == "/health":
                await exchange.answer(200, [("content-type", "application/json")], b'{"status":"ok"}')
                return
            await self._serve(exchange, operation, request_id)
        except ClientGone:
            return
        except WeirError as error:
            self._refused(exchange, error, request_id)
            told = refusal(dialect, error, request_id)
            await exchange.answer(told.status, told.headers, told.body)
        except Exception:
            logger().exception("a request failed", extra={"request_id": request_id})
            told = failure(dialect, 500, UNEXPECTED, request_id)
            await exchange.answer(told.status, told.headers, told.body)
        finally:
            await exchange.close()

    async def _serve(self, exchange: Exchange, operation: paths.Operation | None, request_id: str) -> None:
        if operation is None:
            raise NotFound("There is no such route.")
        parts = self._parts
        assert parts is not None  # no server sends requests before the start is complete
        caller = parts.admitting.known(exchange.sent)
        if caller is None:
            caller = await asyncio.to_thread(parts.admitting.who, exchange.sent)
        if operation.kind == "models":
            names = await asyncio.to_thread(parts.admitting.models, caller)
            await exchange.answer(200, _json(operation.dialect, request_id), dumped(listing(operation.dialect, names)))
            return
        asked = asked_for(operation, await exchange.body(), exchange.headers, request_id)
        await parts.serving.serve(exchange, asked, caller)

    def _refused(self, exchange: Exchange, error: WeirError, request_id: str) -> None:
        """Note a refusal: why, and never the credential."""
        reason = error.reason if isinstance(error, BadToken) else error.slug
        route = f"{exchange.method} {exchange.path[:256]}"
        log = logger().exception if error.status >= 500 else logger().warning
        log("refused", extra={"reason": reason, "route": route, "request_id": request_id})
        if self._parts is not None:
            self._parts.metrics.refused(error.slug)


def _json(dialect: Dialect, request_id: str) -> list[tuple[str, str]]:
    return [("content-type", "application/json"), *identified(dialect, request_id)]
