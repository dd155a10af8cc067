"""What is done to a call's bytes on their way: nothing, where caller and provider speak the same dialect.

Then a request passes as it came, but for the model's name, a lowered limit, and OpenAI's wish for usage; an answer
passes byte for byte, but for the chunk with the usage that the caller did not ask for. Between dialects both are
translated, a stream event by event: what does that is loaded when it is first needed, a tenth of a start.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from weir.gateway.admitting import Asked, May
from weir.llm.models import Dialect, Provider, Target, Tokens
from weir.llm.passing import UsageDropped, passed
from weir.runtime.clock import Clock
from weir.runtime.errors import BadRequest, UpstreamFailed


class Passage(Protocol):
    """Turns the bytes of a stream into those that the caller gets."""

    def feed(self, data: bytes) -> bytes:
        """What goes on now; empty where an event has not ended yet."""

    def rest(self) -> bytes:
        """What is left when the stream has ended."""

    @property
    def error(self) -> str:
        """Why the caller was told of an error instead of the rest, in a word; empty where all went on."""


MakePassage = Callable[[Callable[[], Tokens]], Passage]
"""Makes one for a stream; it is given what the call has used so far, for a provider that does not tell."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A request as it goes to a provider. ``passage`` of its stream is None where bytes go on as they come; ``began``
    is in seconds of the clock."""

    body: bytes = field(repr=False)
    passage: MakePassage | None = None
    began: float = 0.0


def outgoing(asked: Asked, may: May, provider: Provider, target: Target, spoken: Dialect, clock: Clock) -> Outgoing:
    """A request for a provider that speaks ``spoken``.

    Raises
    ------
    BadRequest
        The provider's dialect has no words for a part of it (Untranslatable), or it is none of the caller's own.
    """
    dialect = asked.operation.dialect
    openai_field = "max_tokens" if provider.address else "max_completion_tokens"
    if spoken == dialect:
        named = target.model if spoken in {"anthropic", "openai"} else None
        way = passed(dialect, asked.raw, asked.body, model=named, max_output=may.max_output, openai_field=openai_field)
        return Outgoing(way.body, (lambda _: UsageDropped()) if way.drop_usage else None)
    from weir.llm.translating import translate

    body = translate(
        asked.body,
        dialect,
        spoken,
        target.model,
        stream=asked.stream,
        max_output=may.max_output,
        betas=_betas(asked.headers),
        openai_field=openai_field,
    )
    began = clock.monotonic()
    return Outgoing(body, _translated(asked, spoken, clock, began), began)


def _translated(asked: Asked, spoken: Dialect, clock: Clock, began: float) -> MakePassage:
    from weir.llm.translating import Translator

    def make(tokens: Callable[[], Tokens]) -> Passage:
        return Translator(
            spoken,
            asked.operation.dialect,
            asked.model,
            request_id=asked.request_id,
            created=int(clock.epoch()),
            milliseconds=lambda: round((clock.monotonic() - began) * 1000),
            include_usage=_wants_usage(asked.body),
            tokens=tokens,
        )

    return make


def whole_answer(body: bytes, spoken: Dialect, asked: Asked, clock: Clock, began: float) -> bytes:
    """A whole answer for the caller, to a request that began at ``began`` of the clock.

    Raises
    ------
    UpstreamFailed
        It is none of the provider's dialect, or holds what the caller's has no words for.
    """
    dialect = asked.operation.dialect
    if spoken == dialect:
        return body
    from weir.llm.translating import translate_answer

    try:
        return translate_answer(
            body,
            spoken,
            dialect,
            asked.model,
            request_id=asked.request_id,
            created=int(clock.epoch()),
            milliseconds=round((clock.monotonic() - began) * 1000),
        )
    except BadRequest as error:
        told = "The model answered what can't be told in the dialect of this address"
        raise UpstreamFailed(f"{told}: {error.detail}") from error


def _betas(headers: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(one.strip() for one in headers.get("anthropic-beta", "").split(",") if one.strip())


def _wants_usage(body: Mapping[str, object]) -> bool:
    options = body.get("stream_options")
    return isinstance(options, Mapping) and options.get("include_usage") is True
