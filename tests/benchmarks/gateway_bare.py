"""The bare pass-through that a gateway is measured beside: Starlette and aiohttp, and nothing in between.

``uvicorn tests.benchmarks.gateway_bare:app`` with ``BENCH_UPSTREAM``. A caller's request goes on as it came, and the
answer comes back, a stream part by part.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

UPSTREAM = os.environ["BENCH_UPSTREAM"]
PASSED = ("content-type", "x-api-key", "authorization", "anthropic-version")


@asynccontextmanager
async def session(app: Starlette) -> AsyncIterator[None]:
    """One pool of connections for the process."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as app.state.session:
        yield


async def passed(request: Request) -> Response:
    """Forward a request, and answer what comes."""
    headers = {name: request.headers[name] for name in PASSED if name in request.headers}
    posting = request.app.state.session.post(UPSTREAM + request.url.path, data=await request.body(), headers=headers)
    answer = await posting
    told = {"content-type": answer.headers["content-type"]}
    if answer.content_length is not None:
        return Response(await answer.read(), answer.status, told)
    return StreamingResponse(answer.content.iter_any(), answer.status, told)


app = Starlette(routes=[Route("/{path:path}", passed, methods=["POST"])], lifespan=session)
