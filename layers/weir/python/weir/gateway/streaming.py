"""The answer of a provider on its way to the caller: each part goes on as it comes, and is read for its usage then.

Whether or not the caller is still there, the answer is read to its end: a provider charges for it in any case, and
tells what for at its end alone.
"""

import json
from dataclasses import dataclass

from weir.gateway.admitting import Asked
from weir.gateway.asgi import Exchange
from weir.gateway.forwarding import Reached
from weir.gateway.headers import downwards
from weir.gateway.refusing import Whole, broken_off, told
from weir.gateway.upstream import Broke, UpstreamError
from weir.gateway.wire import whole_answer
from weir.llm.dialects import stream_content_type
from weir.llm.models import Bound, Tokens
from weir.llm.using import UsageReader, read_usage, usage_reader
from weir.runtime.clock import Clock


@dataclass(slots=True)
class Reading:
    """What is known of an answer so far; read when the call is settled, however it ended.

    ``first_token_at`` is in seconds of the clock; ``headers`` and ``kept``, the parts of the body where they are to be
    kept, are what the caller gets.
    """

    reader: UsageReader
    headers: tuple[tuple[str, str], ...] = ()
    first_token_at: float | None = None
    tokens: Tokens | None = None
    kept: list[bytes] | None = None


async def stream_on(
    exchange: Exchange, reached: Reached, reading: Reading, asked: Asked, clock: Clock
) -> tuple[bytes, str]:
    """Send a stream on, all but its end: the last bytes and, where it broke off, why.

    The end is sent after the call has been settled: a Lambda environment may be frozen once it is.
    """
    answer, make = reached.answer, reached.way.passage
    passage = None if make is None else make(reading.reader.tokens)
    reading.headers = tuple(_headers(reached, asked, stream=True))
    await exchange.start(answer.status, reading.headers)
    try:
        async for part in answer.parts():
            passing = part if passage is None else passage.feed(part)
            if passing:
                await exchange.write(passing)
                if reading.kept is not None:
                    reading.kept.append(passing)
            reading.reader.feed(part)
            if reading.first_token_at is None and reading.reader.first_token:
                reading.first_token_at = clock.monotonic()
    except UpstreamError as error:
        return broken_off(asked.operation.dialect, *told(error), asked.request_id), error.word
    finally:
        answer.close()
    if passage is None:
        return b"", reading.reader.error
    last = passage.rest()
    return last, reading.reader.error or passage.error


async def whole_on(reached: Reached, reading: Reading, asked: Asked, clock: Clock) -> Whole:
    """An answer that is not a stream, yet to be sent.

    Raises
    ------
    UpstreamError
        It did not come to its end, or is no JSON.
    UpstreamFailed
        It can't be told in the caller's dialect.
    """
    answer, seen = reached.answer, list[bytes]()
    reading.reader.headers(answer.headers)
    try:
        body = await answer.read(seen)
    except UpstreamError:
        reading.reader.feed(b"".join(seen))
        raise
    finally:
        answer.close()
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError) as error:
        reading.reader.feed(body)
        raise Broke("an answer that is no JSON") from error
    reading.tokens = read_usage(reached.spoken, parsed) if isinstance(parsed, dict) else None
    if reading.tokens is None:
        reading.reader.feed(body)
    headers = _headers(reached, asked, stream=False)
    body = whole_answer(body, reached.spoken, asked, clock, reached.way.began)
    return Whole(answer.status, tuple(headers), body)


def reading_of(reached: Reached, bound: Bound, *, stream: bool, keep: bool) -> Reading:
    """A reading of an answer that has begun."""
    return Reading(usage_reader(reached.spoken, bound, stream=stream), kept=[] if keep else None)


def is_stream(reached: Reached, *, asked: bool) -> bool:
    """Whether an answer comes as a stream: some that are compatible answer whole, whatever they were asked for."""
    return asked and not reached.answer.headers.get("content-type", "").startswith("application/json")


def _headers(reached: Reached, asked: Asked, *, stream: bool) -> list[tuple[str, str]]:
    dialect = asked.operation.dialect
    sent = downwards(reached.answer.headers, asked_in=dialect, spoken=reached.spoken, request_id=asked.request_id)
    if not any(name == "content-type" for name, _ in sent):
        sent.append(("content-type", stream_content_type(dialect) if stream else "application/json"))
    if stream:
        sent.append(("cache-control", "no-cache"))
    return sent
