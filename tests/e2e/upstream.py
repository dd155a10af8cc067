"""Providers over HTTP, as their documents describe them: Anthropic, OpenAI, Gemini and Bedrock, on one loopback port.

What a model does is in its name: ``ok``, ``tools`` (it asks for the first tool), ``cached`` (its usage tells of
caches), ``slow`` (a pause before each event), ``dies`` (the connection breaks in mid-stream), ``silent`` (headers, and
then nothing), ``garbage`` (200 and no JSON), ``teller`` (it tells of an analysis), ``e429`` and the like (that status,
in the provider's words). ``Upstream.bills`` has what each request was charged by its provider, which a ledger must
agree with.

https://platform.claude.com/docs/en/api/messages-streaming
https://platform.openai.com/docs/api-reference/chat/streaming
https://ai.google.dev/api/generate-content
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html
"""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.e2e.upstream_answers import CACHE_1H, CACHE_5M, CACHE_READ, INPUT, OUTPUT, stream, whole

Json = dict[str, Any]
PAUSE_SECONDS = 0.05
_STATUS = re.compile(r"\be(\d{3})\b")


@dataclass(frozen=True, slots=True)
class Bill:
    """What a provider charges for a request, in tokens; ``input`` leaves caches out."""

    model: str
    input: int
    output: int
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0


@dataclass
class Upstream:
    """What came in, and what was charged for it."""

    requests: list[Json] = field(default_factory=list)
    bills: list[Bill] = field(default_factory=list)
    port: int = 0
    open: int = 0
    most_open: int = 0
    _loop: asyncio.AbstractEventLoop | None = None
    _thread: threading.Thread | None = None

    @property
    def address(self) -> str:
        """Its base URL."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> Upstream:
        """Serve from a thread of its own until ``stop``."""
        ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._until_stopped(ready)), daemon=True)
        self._thread.start()
        assert ready.wait(10)
        return self

    def stop(self) -> None:
        """Serve no more."""
        assert self._loop is not None
        assert self._thread is not None
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join(10)

    async def _until_stopped(self, ready: threading.Event) -> None:
        self._loop, self._stopped = asyncio.get_running_loop(), asyncio.Event()
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_route("*", "/{path:.*}", self._serve)
        runner = web.AppRunner(app, access_log=None, handler_cancellation=False, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.port = runner.addresses[0][1]
        ready.set()
        await self._stopped.wait()
        await runner.cleanup()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        body = json.loads(raw) if raw else {}
        path = "/" + request.match_info["path"]
        self.requests.append(
            {"path": path, "headers": dict(request.headers), "body": body, "raw": raw, "query": dict(request.query)}
        )
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            return await self._answer(request, path, body)
        finally:
            self.open -= 1

    async def _answer(self, request: web.Request, path: str, body: Json) -> web.StreamResponse:
        dialect, model, streams = _asked(path, body)
        if failed := _STATUS.search(model):
            return _failure(dialect, int(failed[1]))
        if "garbage" in model:
            return web.Response(text="<html>not what you think</html>", content_type="application/json")
        if path.endswith(("/models", "/count_tokens", "/embeddings")):
            return self._other(path, model, body)
        self.bills.append(_bill(model))
        if not streams:
            if "slow" in model:
                await asyncio.sleep(PAUSE_SECONDS * 4)
            if "silent" in model:
                await asyncio.sleep(30)
            headers = {"x-amzn-RequestId": "up-1", "request-id": "req_up_1", "x-request-id": "up-1"}
            return web.json_response(whole(dialect, model, body), headers=headers)
        kind = "application/vnd.amazon.eventstream" if dialect in {"converse", "invoke"} else "text/event-stream"
        response = web.StreamResponse(headers={"Content-Type": kind, "request-id": "req_up_1"})
        await response.prepare(request)
        try:
            async for event in _events(dialect, model, body):
                await response.write(event)
        except ConnectionError:
            return response
        if "dies" in model and request.transport is not None:
            request.transport.abort()
            return response
        await response.write_eof()
        return response

    def _other(self, path: str, model: str, body: Json) -> web.Response:
        if path.endswith("/count_tokens"):
            return web.json_response({"input_tokens": INPUT})
        if path.endswith("/embeddings"):
            self.bills.append(Bill(model, INPUT, 0))
            given = body["input"] if isinstance(body["input"], list) else [body["input"]]
            return web.json_response(
                {
                    "object": "list",
                    "model": model,
                    "data": [{"object": "embedding", "index": n, "embedding": [0.1, 0.2]} for n, _ in enumerate(given)],
                    "usage": {"prompt_tokens": INPUT, "total_tokens": INPUT},
                }
            )
        return web.json_response(
            {"object": "list", "data": [{"id": "ok", "object": "model", "created": 1, "owned_by": "stub"}]}
        )


def _asked(path: str, body: Json) -> tuple[str, str, bool]:
    """The dialect, the model and whether it is to stream."""
    if "/v1beta/models/" in path:
        model, _, verb = path.rpartition("/")[2].partition(":")
        return "gemini", model, verb == "streamGenerateContent"
    if path.startswith("/model/"):
        model, _, verb = path.removeprefix("/model/").rpartition("/")
        return ("converse" if verb.startswith("converse") else "invoke"), model, verb.endswith("stream")
    dialect = "anthropic" if "/messages" in path else "openai"
    return dialect, str(body.get("model", "")), bool(body.get("stream"))


def _bill(model: str) -> Bill:
    if "cached" in model:
        return Bill(model, INPUT, OUTPUT, CACHE_READ, CACHE_5M, CACHE_1H)
    return Bill(model, INPUT, OUTPUT)


def _failure(dialect: str, status: int) -> web.Response:
    headers = {"retry-after": "3"} if status in {429, 529} else {}
    if dialect == "anthropic":
        kinds = {
            400: "invalid_request_error",
            401: "authentication_error",
            403: "permission_error",
            404: "not_found_error",
            429: "rate_limit_error",
            529: "overloaded_error",
        }
        error = {
            "type": "error",
            "error": {"type": kinds.get(status, "api_error"), "message": f"stub says {status}"},
            "request_id": "req_up_1",
        }
        return web.json_response(error, status=status, headers=headers)
    if dialect in {"converse", "invoke"}:
        kinds = {
            400: "ValidationException",
            401: "UnrecognizedClientException",
            403: "AccessDeniedException",
            404: "ResourceNotFoundException",
            429: "ThrottlingException",
        }
        headers["x-amzn-ErrorType"] = kinds.get(status, "InternalServerException")
        return web.json_response({"message": f"stub says {status}"}, status=status, headers=headers)
    if dialect == "gemini":
        return web.json_response(
            {"error": {"code": status, "message": f"stub says {status}", "status": "X"}}, status=status, headers=headers
        )
    error = {"error": {"message": f"stub says {status}", "type": "stub_error", "param": None, "code": None}}
    return web.json_response(error, status=status, headers=headers)


async def _events(dialect: str, model: str, body: Json) -> AsyncIterator[bytes]:
    events = stream(dialect, model, body)
    for number, event in enumerate(events):
        if "dies" in model and number >= len(events) // 2:
            return
        if "silent" in model and number:
            await asyncio.sleep(30)
        if "slow" in model:
            await asyncio.sleep(PAUSE_SECONDS)
        yield event
