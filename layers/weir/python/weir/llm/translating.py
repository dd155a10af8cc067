"""Requests, answers and streams of one dialect in the words of another.

Callers speak Anthropic's, OpenAI's and Converse's. Anthropic's Messages, and the same in Bedrock's envelope
(InvokeModel of a Claude model), differ in the envelope alone: they are not taken apart, so nothing of theirs has to be
known.
"""

import json
from binascii import Error as Base64Error
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from weir.llm import anthropic, converse, converse_replies, gemini, openai, openai_replies
from weir.llm.bounding import clamp
from weir.llm.conversation import Conversation, Failed, Happening, Reply, Stopped
from weir.llm.dialect_errors import Untranslatable
from weir.llm.eventstream import EventStreamDecoder
from weir.llm.fields import Fields
from weir.llm.models import Dialect, Tokens
from weir.llm.passing import dumped
from weir.llm.seeing import METRICS
from weir.llm.sse import BrokenStream, SseDecoder
from weir.llm.stream_reading import AnthropicReader, ConverseReader, GeminiReader, OpenAIReader, StreamReader
from weir.llm.stream_writing import (
    AnthropicWriter,
    ConverseWriter,
    OpenAIWriter,
    StreamWriter,
    written_event,
)
from weir.llm.using import chunk_bytes
from weir.runtime.errors import BadRequest, UpstreamFailed

VERSION = "bedrock-2023-05-31"
"""``anthropic_version`` of InvokeModel
(https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-anthropic-claude-messages-request-response.html).
"""


def translate(
    body: Mapping[str, Any],
    source: Dialect,
    target: Dialect,
    model: str,
    *,
    stream: bool,
    max_output: int | None = None,
    betas: tuple[str, ...] = (),
    openai_field: str = "max_completion_tokens",
) -> bytes:
    """A request in the provider's dialect.

    Parameters
    ----------
    model
        The provider's id of the model.
    stream
        Whether the answer is to be a stream: of Bedrock the address tells it, not the body.
    max_output
        The most output tokens: the caller's limit is lowered to it, and set where there is none.
    betas
        The caller's ``anthropic-beta``: a header at Anthropic's, in the body at Bedrock's.
    openai_field
        See `bounding.clamp`.

    Raises
    ------
    Untranslatable
        The provider's dialect has no words for a field; it names it.
    Malformed
        The request is none of its own dialect.
    """
    if max_output is not None:
        body = clamp(source, body, max_output)
    if source == "anthropic" and target == "invoke":
        return dumped(_enveloped(body, betas))
    if source not in _PARSE:
        raise Untranslatable("body", f"requests of the dialect {source!r} go to no other provider")
    conversation = replace(_PARSE[source](body), stream=stream)
    if target == "anthropic":
        written = anthropic.write_request(conversation, model)
    elif target == "invoke":
        written = _enveloped(anthropic.write_request(conversation, model), betas)
    elif target == "openai":
        written = openai.write_request(conversation, model, limit_field=openai_field)
    elif target == "converse":
        written = converse.write_request(conversation, model)
    else:
        written = gemini.write_request(conversation, model)
    return dumped(written)


def translate_answer(
    answer: bytes,
    source: Dialect,
    target: Dialect,
    model: str,
    *,
    request_id: str,
    created: int,
    milliseconds: int = 0,
) -> bytes:
    """A whole answer in the caller's dialect.

    Parameters
    ----------
    source, target
        The provider's dialect, and the caller's.
    model
        The name by which the caller asked.
    created
        Seconds since 1970.
    milliseconds
        How long it took.

    Raises
    ------
    UpstreamFailed
        It is none of the provider's dialect, or holds something that the caller's has no words for.
    """
    if source == "invoke" and target == "anthropic":
        return answer
    try:
        reply = _REPLY[source](json.loads(answer))
    except (BadRequest, ValueError, RecursionError) as error:
        raise UpstreamFailed(f"The provider's answer can't be translated: {error}") from error
    if target == "openai":
        written = openai_replies.write_reply(_named(reply, f"chatcmpl-{request_id}"), model, created)
    elif target == "converse":
        written = converse_replies.write_reply(reply, milliseconds)
    else:
        written = anthropic.write_reply(_named(reply, f"msg_{request_id}"), model)
    return dumped(written)


class Translator:
    """A stream in the caller's dialect.

    Parameters
    ----------
    source, target
        The provider's dialect, and the caller's.
    model
        The name by which the caller asked.
    created
        Seconds since 1970.
    milliseconds
        Answers how long it has taken.
    include_usage
        Whether an OpenAI caller asked for the chunk with the usage.
    tokens
        Answers what the call used, for a provider that does not tell it to its end.

    ``error`` says in a word why the caller was told of an error, empty where they were not.
    """

    def __init__(
        self,
        source: Dialect,
        target: Dialect,
        model: str,
        *,
        request_id: str,
        created: int,
        milliseconds: Callable[[], int] = lambda: 0,
        include_usage: bool = False,
        tokens: Callable[[], Tokens] = Tokens,
    ) -> None:
        self._decode = _decoder(source)
        self._enveloped = source == "invoke" and target == "anthropic"
        self._reader = _READERS[source]()
        self._tokens = tokens
        self._writer: StreamWriter
        if target == "openai":
            self._writer = OpenAIWriter(model, request_id, created, include_usage)
        elif target == "converse":
            self._writer = ConverseWriter(request_id, milliseconds)
        else:
            self._writer = AnthropicWriter(model, request_id)
        self._stopped = self._failed = False
        self.error = ""

    def feed(self, data: bytes) -> bytes:
        """The caller's events for bytes of the provider's, cut anywhere. Nothing follows an error."""
        if self._failed:
            return b""
        written = bytearray()
        try:
            for name, raw in self._decode(data):
                written += self._event(name, raw)
        except (BrokenStream, BadRequest, Base64Error, KeyError, TypeError, ValueError, RecursionError) as error:
            written += self._happened(Failed(502, f"The provider's stream can't be read: {error}"))
        return bytes(written)

    def rest(self) -> bytes:
        """The last events when the provider's stream has ended; an error where it broke off."""
        if self._failed:
            return b""
        if not self._stopped:
            self.error = "broke off"
            return self._happened(Failed(502, "The provider's stream broke off."))
        return b"" if self._enveloped else self._writer.end(self._tokens())

    def _event(self, name: str, raw: bytes) -> bytes:
        if raw == b"[DONE]" or self._failed:
            return b""
        event = json.loads(raw)
        if not isinstance(event, dict):
            raise BadRequest("an event is no JSON object")
        if self._enveloped and not name:
            kind = Fields(event).needed("type")
            self._stopped = self._stopped or kind == "message_stop"
            self._failed = kind == "error"
            event.pop(METRICS, None)
            return written_event(event)
        reader = ConverseReader() if name.endswith("Exception") else self._reader
        return b"".join(self._happened(one) for one in reader.read(name, event))

    def _happened(self, happening: Happening) -> bytes:
        if self._failed or (self._stopped and isinstance(happening, Stopped)):  # some tell the end twice
            return b""
        if isinstance(happening, Failed):
            self._failed, self.error = True, self.error or Untranslatable.slug
        self._stopped = self._stopped or isinstance(happening, Stopped)
        return self._writer.write(happening)


def _decoder(source: Dialect) -> Callable[[bytes], Iterable[tuple[str, bytes]]]:
    if source not in ("converse", "invoke"):
        events = SseDecoder()
        return lambda data: ((one.name, one.data) for one in events.feed(data))
    frames = EventStreamDecoder()

    def decode(data: bytes) -> Iterator[tuple[str, bytes]]:
        for frame in frames.feed(data):
            if frame.event == "chunk":
                yield "", chunk_bytes(frame.payload)
            else:
                yield frame.event or frame.exception, frame.payload

    return decode


def _enveloped(body: Mapping[str, Any], betas: tuple[str, ...]) -> dict[str, Any]:
    changed = {name: value for name, value in body.items() if name not in ("model", "stream")}
    changed["anthropic_version"] = VERSION
    if betas:
        changed["anthropic_beta"] = list(betas)
    return changed


def _named(reply: Reply, name: str) -> Reply:
    return reply if reply.id else replace(reply, id=name)


_PARSE: Mapping[Dialect, Callable[[Mapping[str, Any]], Conversation]] = {
    "anthropic": anthropic.parse_request,
    "openai": openai.parse_request,
    "converse": converse.parse_request,
}
_REPLY: Mapping[Dialect, Callable[[Mapping[str, Any]], Reply]] = {
    "anthropic": anthropic.parse_reply,
    "openai": openai_replies.parse_reply,
    "converse": converse_replies.parse_reply,
    "invoke": anthropic.parse_reply,
    "gemini": gemini.parse_reply,
}
_READERS: Mapping[Dialect, Callable[[], StreamReader]] = {
    "anthropic": AnthropicReader,
    "openai": OpenAIReader,
    "converse": ConverseReader,
    "invoke": AnthropicReader,
    "gemini": GeminiReader,
}
