"""One call of a model from its admission to its settlement, whatever happens in between.

Every admitted call is settled once, and before its answer ends. It runs as a task of its own, so that neither a caller
who leaves nor a server that stops waiting takes that away.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from weir.gateway.admitting import Admitting, Asked, May, served
from weir.gateway.asgi import Exchange
from weir.gateway.forwarding import Forwarding, Journey
from weir.gateway.metrics import Metrics
from weir.gateway.refusing import (
    Whole,
    broken_off,
    failure,
    provider_said,
    refusal,
    status_of,
    unanswered,
    without_key,
)
from weir.gateway.replaying import Kept
from weir.gateway.streaming import Reading, is_stream, reading_of, stream_on, whole_on
from weir.gateway.upstream import UpstreamError
from weir.llm.models import Tokens
from weir.llm.using import untold
from weir.runtime.clock import Clock
from weir.runtime.errors import BadRequest, WeirError
from weir.runtime.observability import logger
from weir.usage.metering import Meter, Outcome
from weir.usage.models import Caller

T = TypeVar("T")
LEFT = 499
"""The status of a call whose caller left before there was one: nginx's."""

REPLAYED = ("idempotency-replayed", "true")
UNEXPECTED = "Something went wrong in Weir. Tell an operator the request id."
SETTLE_TRIES = 3


@dataclass(slots=True)
class _Running:
    """A call under way: what its settlement needs, filled in as it is known."""

    asked: Asked
    may: May
    began: float
    journey: Journey
    reading: Reading | None = None
    whole: Whole | None = None
    tail: bytes = b""
    error: str = ""
    complete: bool = False
    unasked: bool = False


class Serving:
    """Makes calls."""

    def __init__(
        self, admitting: Admitting, forwarding: Forwarding, meter: Meter, metrics: Metrics, clock: Clock
    ) -> None:
        self._admitting, self._forwarding, self._meter, self._metrics = admitting, forwarding, meter, metrics
        self._clock = clock
        self._under_way = 0

    async def serve(self, exchange: Exchange, asked: Asked, caller: Caller) -> None:
        """Answer a call. WeirError where it is not admitted: then nothing was sent, and nothing stays set aside."""
        self._under_way += 1
        try:
            await self._serve(exchange, asked, caller)
        finally:
            self._under_way -= 1

    async def _serve(self, exchange: Exchange, asked: Asked, caller: Caller) -> None:
        began = self._clock.monotonic()
        may = await self._waited(lambda: self._admitting.may(asked, caller))
        if isinstance(may, Kept):
            await exchange.answer(may.status, [*may.headers, REPLAYED], may.body)
            return
        running = _Running(asked, may, began, Journey(may.targets[0]))
        try:
            await self._run(exchange, running)
        except Exception as error:
            self._fail(running, error, begun=exchange.status is not None)
        try:
            await self._waited(lambda: self._end(running, exchange.status, _left(exchange, running)))
        except Exception:  # it takes nothing from the answer
            logger().exception("the end of a call failed", extra={"request_id": asked.request_id})
        if running.whole is not None:
            await exchange.answer(running.whole.status, running.whole.headers, running.whole.body)
        else:
            await exchange.end(running.tail)

    async def _waited(self, work: Callable[[], T]) -> T:
        """Do what waits for DynamoDB: in a thread, or right here where no other call is under way.

        A Lambda environment has one call at a time, and a thread to and back takes a fifth of what all of it takes of
        a processor. Nobody's stream stands still for it; who comes meanwhile waits too, for its time-outs at most.
        """
        return work() if self._under_way == 1 else await asyncio.to_thread(work)

    async def _run(self, exchange: Exchange, running: _Running) -> None:
        asked, dialect = running.asked, running.asked.operation.dialect
        reached = await self._forwarding.reach(asked, running.may, running.journey)
        answer = reached.answer
        if not 200 <= answer.status < 300:
            try:
                body = without_key(await answer.read(), reached.key)
            finally:
                answer.close()
            running.error = f"status {answer.status}"
            status = status_of(reached.spoken, answer.status, body)
            if status in {401, 402, 403}:  # not told to the caller
                told = {"request_id": asked.request_id, "reason": body[:1000].decode("utf-8", "replace")}
                logger().error("a provider refused the gateway", extra=told)
            running.whole = provider_said(dialect, reached.spoken, status, answer.headers, body, asked.request_id)
            return
        stream = is_stream(reached, asked=asked.stream)
        keep = running.may.claim is not None
        running.reading = reading_of(reached, running.may.bound, stream=stream, keep=keep)
        if not stream:
            running.whole = await whole_on(reached, running.reading, asked, self._clock)
            running.complete = True
            return
        running.tail, running.error = await stream_on(exchange, reached, running.reading, asked, self._clock)
        running.complete = not running.error

    def _fail(self, running: _Running, error: Exception, *, begun: bool) -> None:
        """Note a failure, and what the caller is told of it: as an answer, or within the stream that has begun."""
        dialect, request_id = running.asked.operation.dialect, running.asked.request_id
        match error:
            case UpstreamError():
                running.error, told = error.word, unanswered(dialect, error, request_id)
            case WeirError():
                running.error, told = error.slug, refusal(dialect, error, request_id)
                running.unasked = isinstance(error, BadRequest) and not running.journey.attempts
            case _:
                logger().exception("a call failed", extra={"request_id": request_id})
                running.error, told = type(error).__name__, failure(dialect, 500, UNEXPECTED, request_id)
        if begun:
            running.tail = broken_off(dialect, 500, UNEXPECTED, request_id)
        else:
            running.whole = told

    def _end(self, running: _Running, status: int | None, gone: bool) -> None:
        """Settle a call, keep or forget its answer, tell its metrics."""
        may, admission = running.may, running.may.admission
        if admission is None:
            return
        if running.unasked:
            self._surely(running, lambda: self._meter.cancel(admission))
            self._keep(running)
            return
        outcome = self._outcome(running, status, gone)
        record = self._surely(running, lambda: self._meter.settle(admission, outcome), outcome)
        self._keep(running)
        self._metrics.called(may.route.model, outcome, record)

    def _outcome(self, running: _Running, status: int | None, gone: bool) -> Outcome:
        may, journey, reading = running.may, running.journey, running.reading
        tokens, target = Tokens(), journey.target
        if reading is not None:
            tokens = reading.tokens or reading.reader.tokens()
        elif journey.spent is not None:  # asked for in full, and never answered
            tokens, target = untold(may.bound), journey.spent
        if status is None:
            status = LEFT if gone or running.whole is None else running.whole.status
        first = None if reading is None else reading.first_token_at
        return Outcome(
            status=status,
            tokens=tokens,
            served=served(*target),
            attempts=tuple(journey.attempts),
            milliseconds=round((self._clock.monotonic() - running.began) * 1000),
            first_token_milliseconds=None if first is None else round((first - running.began) * 1000),
            cut=gone,
            error=running.error or ("no usage told" if tokens.estimated else ""),
        )

    def _keep(self, running: _Running) -> None:
        """Keep an answer that came whole, forget the key of any other."""
        claim = running.may.claim
        if claim is None:
            return
        kept = self._kept(running) if running.complete else None
        if kept is None:
            self._admitting.release(claim)
        else:
            self._admitting.keep(claim, kept)

    def _kept(self, running: _Running) -> Kept | None:
        if running.whole is not None:
            return Kept(running.whole.status, running.whole.headers, running.whole.body)
        reading = running.reading
        if reading is None or reading.kept is None or reading.reader.tokens().estimated:
            return None
        return Kept(200, reading.headers, b"".join([*reading.kept, running.tail]))

    def _surely(self, running: _Running, settle: Callable[[], T], outcome: Outcome | None = None) -> T | None:
        """Settle, with some tries. What could not be is told in the log, and settled by others after its deadline."""
        for tried in range(1, SETTLE_TRIES + 1):
            try:
                return settle()
            except WeirError as error:
                if tried == SETTLE_TRIES:
                    told = {"request_id": running.asked.request_id, "reason": error.slug, "outcome": repr(outcome)}
                    logger().error("a call could not be settled", extra=told)
                else:
                    self._clock.sleep(0.2 * tried)
        return None


def _left(exchange: Exchange, running: _Running) -> bool:
    """Whether the caller left without all of the answer: whoever has read a stream's last event may well be gone."""
    rest = running.whole is not None or exchange.status is None or bool(running.tail)
    return exchange.missed or (exchange.gone and rest)
