"""A model for Weir's own use, called as anybody's is: by the same routes, at the same caps, in the same ledger."""

import asyncio
import json
import uuid
from collections.abc import Callable
from typing import Any

from weir.analysis.telling.model import ModelUnavailable, Said
from weir.gateway.admitting import asked_for
from weir.gateway.app import Parts
from weir.gateway.asgi import Exchange, Message
from weir.gateway.paths import Operation
from weir.llm.passing import dumped
from weir.runtime.errors import WeirError
from weir.usage.models import Caller

__all__ = ["Inside"]

_MESSAGES = Operation("anthropic", "complete")


class Inside:
    """A model behind the gateway's routes.

    Parameters
    ----------
    make
        Answers the parts of a gateway: anew for each call, for its connections belong to an event loop.
    model
        The name of a route.
    caller
        Who is charged, and whose routes and caps count.
    """

    def __init__(self, make: Callable[[], Parts], model: str, caller: Caller) -> None:
        self._make, self._model, self._caller = make, model, caller

    def ask(self, instructions: str, data: str, most_tokens: int) -> Said:
        """What the model answers to instructions about data. ModelUnavailable, which says why, in words for people."""
        body = {
            "model": self._model,
            "max_tokens": most_tokens,
            "temperature": 0,
            "system": instructions,
            "messages": [{"role": "user", "content": data}],
        }
        try:
            status, answer = asyncio.run(self._answer(dumped(body)))
        except WeirError as error:
            raise ModelUnavailable(f"The model {self._model} does not answer: {error.detail}") from error
        if status != 200:
            raise ModelUnavailable(f"The model {self._model} does not answer: its provider failed.")
        return Said(_text(answer), self._model)

    async def _answer(self, raw: bytes) -> tuple[int, bytes]:
        heard = _Heard()
        scope = {"method": "POST", "path": "/anthropic/v1/messages", "headers": []}
        exchange = Exchange(scope, _never, heard.take)
        parts = self._make()
        try:
            await parts.serving.serve(exchange, asked_for(_MESSAGES, raw, {}, uuid.uuid4().hex), self._caller)
        finally:
            await parts.upstreams.close()
        return heard.status, b"".join(heard.parts)


class _Heard:
    """An answer, as it is sent."""

    def __init__(self) -> None:
        self.status = 0
        self.parts: list[bytes] = []

    async def take(self, message: Message) -> None:
        """Take a message of ASGI."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
        else:
            self.parts.append(message.get("body", b""))


async def _never() -> Message:
    await asyncio.Event().wait()
    raise AssertionError("nobody sets it")


def _text(answer: bytes) -> str:
    """The text of a message, empty where it has none."""
    try:
        content: Any = json.loads(answer)["content"]
        return "".join(block["text"] for block in content if block["type"] == "text")
    except (ValueError, KeyError, TypeError):
        return ""
