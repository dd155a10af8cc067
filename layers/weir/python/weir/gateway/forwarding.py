"""A call on its way to providers: the targets of its route in order, until one answers.

The next one is tried where a provider throttles (429), fails (5xx, 529) or can't be reached, and before a byte of an
answer has gone to the caller. One that does not answer in time is not: what was asked for may be done, and is paid for.
Every try is told in the record.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from weir.gateway import bedrock, paths
from weir.gateway.admitting import Asked, May, unspeakable
from weir.gateway.headers import upwards
from weir.gateway.upstream import Answer, NotReached, TookTooLong, UpstreamError
from weir.gateway.wire import Outgoing, outgoing
from weir.llm.dialects import provider_dialect
from weir.llm.models import Dialect, Provider, Target
from weir.runtime.clock import Clock
from weir.runtime.errors import BadRequest, WeirError
from weir.runtime.observability import logger
from weir.usage.models import Attempt

THROTTLED = 429


class Posts(Protocol):
    """Sends a request to a provider, as ``Upstreams.post``."""

    async def post(
        self, provider: Provider, url: str, headers: Mapping[str, str], body: bytes, seconds: float
    ) -> Answer:
        """Send it; UpstreamError where no answer begins."""


@dataclass(slots=True)
class Journey:
    """What a call has met so far; read when it is settled, however it ended.

    ``target`` is the one that was asked last, ``spent`` the last whose provider may have done what it charges for.
    """

    target: tuple[Provider, Target]
    attempts: list[Attempt] = field(default_factory=list)
    spent: tuple[Provider, Target] | None = None


@dataclass(frozen=True, slots=True)
class Reached:
    """A provider's answer, begun: in which dialect, and what has to be done to it on its way.

    ``key`` is what the provider was called with, so that it can be kept out of the log.
    """

    answer: Answer
    spoken: Dialect
    way: Outgoing
    key: str = field(default="", repr=False)


class Forwarding:
    """Brings calls to providers.

    Parameters
    ----------
    key_of
        The key to call a provider with; WeirError where it can't be had. May wait.
    known_key
        The same where nobody has to be waited for, else None.
    region
        Bedrock's, for a provider that names none.
    seconds
        That a call may take in all, with what is to be done after it.
    """

    def __init__(
        self,
        upstreams: Posts,
        key_of: Callable[[Provider], str],
        known_key: Callable[[Provider], str | None],
        clock: Clock,
        *,
        region: str,
        seconds: float,
    ) -> None:
        self._upstreams, self._key_of, self._known_key, self._clock = upstreams, key_of, known_key, clock
        self._region, self._seconds = region, seconds

    async def reach(self, asked: Asked, may: May, journey: Journey) -> Reached:
        """The answer of the first target that gives one, or of the last one that can be asked and refuses.

        Raises
        ------
        BadRequest
            The first target's provider has no words for a part of the request: no provider was asked.
        UpstreamError, WeirError
            The last target gave no answer.
        """
        until = self._clock.monotonic() + self._seconds
        for number, target in enumerate(may.targets):
            began = self._clock.monotonic()
            journey.target = target
            try:
                reached = await self._ask(asked, may, journey, until - began)
            except BadRequest as error:
                if number == 0 or self._is_last(asked, may, number):
                    raise
                self._note(journey, 0, began, error.detail)
            except NotReached as error:
                self._note(journey, 0, began, error.word, error.reason)
                if self._is_last(asked, may, number):
                    raise
            except UpstreamError as error:
                self._note(journey, 0, began, error.word, error.reason)
                if isinstance(error, TookTooLong) or self._is_last(asked, may, number):
                    raise
            except WeirError as error:
                self._note(journey, 0, began, error.slug, error.detail)
                if self._is_last(asked, may, number):
                    raise
            else:
                status = reached.answer.status
                self._note(journey, status, began, "" if status < 400 else f"status {status}")
                if not (status == THROTTLED or status >= 500) or self._is_last(asked, may, number):
                    return reached
                reached.answer.close()
        raise AssertionError("a route has a target")

    async def _ask(self, asked: Asked, may: May, journey: Journey, seconds: float) -> Reached:
        provider, target = journey.target
        spoken, way = self._way(asked, may, journey.target)
        sent = upwards(
            asked.headers,
            asked_in=asked.operation.dialect,
            spoken=spoken,
            request_id=asked.request_id,
            stream=asked.stream,
        )
        place, key = (provider, spoken, asked.operation.kind, target.model), ""
        if provider.kind == "bedrock":  # botocore may have to load its data, and to renew the credentials
            url = await asyncio.to_thread(paths.address, *place, stream=asked.stream)
            headers = await asyncio.to_thread(bedrock.signed, url, sent, way.body, provider.region or self._region)
        else:
            known = self._known_key(provider)
            key = await asyncio.to_thread(self._key_of, provider) if known is None else known
            url, headers = paths.address(*place, stream=asked.stream), sent | _proof(provider, key)
        try:
            limit = max(1.0, min(provider.timeout_seconds, seconds))
            answer = await self._upstreams.post(provider, url, headers, way.body, limit)
        except NotReached:
            raise
        except BaseException:
            journey.spent = journey.target
            raise
        if 200 <= answer.status < 300:
            journey.spent = journey.target
        return Reached(answer, spoken, way, key)

    def _way(self, asked: Asked, may: May, to: tuple[Provider, Target]) -> tuple[Dialect, Outgoing]:
        """A request as it goes to a target, and the dialect it is in. BadRequest where there are no words for it."""
        provider, target = to
        if (refused := unspeakable(asked, provider)) is not None:
            raise refused
        spoken = provider_dialect(provider.kind, asked.operation.dialect, target.model)
        return spoken, outgoing(asked, may, provider, target, spoken, self._clock)

    def _is_last(self, asked: Asked, may: May, number: int) -> bool:
        """Whether no target after this one can be asked: then what it says is the answer, however it failed."""
        for target in may.targets[number + 1 :]:
            try:
                self._way(asked, may, target)
            except BadRequest:
                continue
            return False
        return True

    def _note(self, journey: Journey, status: int, began: float, error: str, reason: str = "") -> None:
        provider, target = journey.target
        if reason:
            logger().warning("a provider failed", extra={"provider": provider.name, "reason": reason})
        took = round((self._clock.monotonic() - began) * 1000)
        journey.attempts.append(Attempt(provider.name, target.model, status, error[:200], took))


def _proof(provider: Provider, key: str) -> dict[str, str]:
    """The header that tells a provider who asks."""
    match provider.kind:
        case _ if not key:
            return {}
        case "anthropic":
            return {"x-api-key": key}
        case "gemini":
            return {"x-goog-api-key": key}
        case _:
            return {"authorization": f"Bearer {key}"}
