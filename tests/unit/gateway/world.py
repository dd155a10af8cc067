"""The gateway in one process: its own parts, a real meter on a table in memory, and stubs of providers on loopback."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from tests.unit.gateway.stub import Stub
from tests.unit.usage.metered import World as Ledger
from weir.gateway.admitting import Admitting
from weir.gateway.app import Gateway, Parts
from weir.gateway.forwarding import Forwarding
from weir.gateway.metrics import Metrics
from weir.gateway.replaying import Replays
from weir.gateway.serving import Serving
from weir.gateway.upstream import Upstreams
from weir.identity.errors import BadToken
from weir.identity.models import Admitted
from weir.llm.models import Provider, Route, Target
from weir.llm.routing import Routing
from weir.runtime.clock import SYSTEM
from weir.usage.models import Cap, Record

SECRET = "weir_sk_the-secret-of-the-caller"
PROVIDER_KEY = "sk-the-gateways-own-key"
LOOPBACK = ("127.0.0.0/8",)
ANN = Admitted("ann", "Ann", ("member",), ("research",), ("models:invoke",), "key", "k1")
MESSAGE = {"model": "claude", "max_tokens": 50, "messages": [{"role": "user", "content": "Hello"}]}
COMPLETION = {"model": "gpt", "max_tokens": 50, "messages": [{"role": "user", "content": "Hello"}]}
CONVERSATION = {"messages": [{"role": "user", "content": [{"text": "Hello"}]}], "inferenceConfig": {"maxTokens": 50}}


class FakeGate:
    """Lets in who is known."""

    def __init__(self) -> None:
        self.known = {SECRET: ANN}
        self.decided: dict[str, Admitted] = {}

    def admit(self, credential: str) -> Admitted:
        if credential not in self.known:
            raise BadToken("unknown")
        return self.known[credential]

    def remembered(self, credential: str) -> Admitted | None:
        return self.decided.get(credential)


class FakeSource:
    """Routes and providers, as an admin has made them."""

    def __init__(self) -> None:
        self.all_routes: dict[str, Route] = {}
        self.all_providers: dict[str, Provider] = {}

    def routes(self) -> list[Route]:
        return list(self.all_routes.values())

    def providers(self) -> list[Provider]:
        return list(self.all_providers.values())


@dataclass
class Reply:
    """What a caller got: ``parts`` are the pieces of the body as they were sent, ``ended`` whether all of it came."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    parts: list[bytes] = field(default_factory=list)
    ended: bool = False

    @property
    def body(self) -> bytes:
        return b"".join(self.parts)

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """One request over ASGI, by a caller who may leave: after so many bytes, or before there is an answer (0)."""

    def __init__(self, leaves_after: int | None = None) -> None:
        self.reply, self.left, self.received = Reply(), asyncio.Event(), 0
        self._leaves_after = leaves_after
        self._sent = False

    async def ask(self, app: Any, method: str, path: str, body: bytes, headers: dict[str, str]) -> Reply:
        raw, _, query = path.partition("?")
        scope = {
            "type": "http",
            "method": method,
            "path": raw,
            "raw_path": raw.encode(),
            "query_string": query.encode(),
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        }
        self._body = body
        if self._leaves_after == 0:
            self._leaves_after = None
            self._early = True
        else:
            self._early = False
        await app(scope, self._receive, self._send)
        return self.reply

    async def pace(self, sent: int) -> None:
        """Wait until the caller has got so many bytes, or has left."""
        async with asyncio.timeout(20):
            while self.received < sent and not self.left.is_set():
                await asyncio.sleep(0)

    def leave(self) -> None:
        self.left.set()

    async def _receive(self) -> dict[str, Any]:
        if not self._sent:
            self._sent = True
            if self._early:
                self.left.set()
            return {"type": "http.request", "body": self._body, "more_body": False}
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        if self.left.is_set():
            return  # as uvicorn does
        if message["type"] == "http.response.start":
            self.reply.status = message["status"]
            self.reply.headers = {name.decode(): value.decode() for name, value in message["headers"]}
            return
        if message.get("body"):
            self.reply.parts.append(message["body"])
            self.received += len(message["body"])
        self.reply.ended = not message["more_body"]
        if self._leaves_after is not None and self.received >= self._leaves_after:
            self.left.set()


class World:
    """A gateway and what is around it.

    ``reached`` tells which providers' keys were asked for. Routes lead from ``claude``, ``gpt``, ``nova`` to the stubs.
    """

    def __init__(self, *caps: Cap, replays: Replays | None = None, upstreams: Upstreams | None = None) -> None:
        self.ledger = Ledger(*caps, clock=SYSTEM)
        self.gate, self.source = FakeGate(), FakeSource()
        self.metrics: list[tuple[dict[str, Any], dict[str, str]]] = []
        self.upstreams = upstreams or Upstreams()
        self.routing = Routing(self.source, SYSTEM.monotonic, kept_seconds=0)
        self.replays = replays
        self.app = Gateway(self._parts)
        self.keys: dict[str, str] = {}
        self.known_keys: dict[Provider, str] = {}

    def provider(self, name: str, stub: Stub | str, kind: Any = "anthropic", **fields: Any) -> Provider:
        """A provider at a stub."""
        address = stub if isinstance(stub, str) else stub.url + ("/v1" if kind == "openai" else "")
        made = Provider(name, kind, address, secret_arn="arn", private_networks=LOOPBACK, timeout_seconds=20)
        self.source.all_providers[name] = made = replace(made, **fields)
        return made

    def route(self, model: str, *targets: tuple[str, str], **fields: Any) -> None:
        """A route, by providers and their models."""
        self.source.all_routes[model] = Route(model, tuple(Target(*one) for one in targets), **fields)

    def _parts(self) -> Parts:
        meter = self.ledger.meter
        metrics = Metrics(lambda values, dimensions: self.metrics.append((dict(values), dict(dimensions))))
        admitting = Admitting(self.gate, self.routing, meter, self.replays, SYSTEM, 900)  # type: ignore[arg-type]
        forwarding = Forwarding(
            self.upstreams,
            lambda one: self.keys.get(one.name, PROVIDER_KEY),
            self.known_keys.get,
            SYSTEM,
            region="eu-west-1",
            seconds=870,
        )
        return Parts(admitting, Serving(admitting, forwarding, meter, metrics, SYSTEM), self.upstreams, metrics)

    async def ask(
        self,
        path: str,
        body: Any = None,
        *,
        client: Client | None = None,
        method: str = "POST",
        key: str | None = SECRET,
        **headers: str,
    ) -> Reply:
        """Ask the gateway."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if key is not None:
            sent.setdefault("authorization", f"Bearer {key}")
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await (client or Client()).ask(self.app, method, path, raw, sent)

    def records(self) -> list[Record]:
        """The records of calls that were settled."""
        return self.ledger.records()

    def reserved(self) -> int:
        """How many reservations are open."""
        return sum(name.startswith("r#") for item in self.ledger.items("COUNT#") for name in item)


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a test's coroutine, for a minute at the most: what hangs, fails."""

    async def within() -> None:
        async with asyncio.timeout(60):
            await test()

    asyncio.run(within())


@asynccontextmanager
async def serving(world: World, *stubs: Stub) -> AsyncIterator[World]:
    """The stubs listen and the app has started; then all ends."""
    async with AsyncExitStack() as open_stubs:
        for stub in stubs:
            await open_stubs.enter_async_context(stub)
        await world.app.start()
        try:
            yield world
        finally:
            await world.app.stop()


@asynccontextmanager
async def leading_to(
    *stubs: Stub,
    kind: Any = "anthropic",
    model: str = "claude",
    caps: tuple[Cap, ...] = (),
    replays: Replays | None = None,
    **fields: Any,
) -> AsyncIterator[World]:
    """A gateway with a route from a model to providers at stubs, in their order: ``p0`` with ``model-0``, ``p1``."""
    world = World(*caps, replays=replays)
    async with serving(world, *stubs):
        for number, stub in enumerate(stubs):
            world.provider(f"p{number}", stub, kind, **fields)
        world.route(model, *((f"p{number}", f"{model}-{number}") for number in range(len(stubs))))
        yield world
