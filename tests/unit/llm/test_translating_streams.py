"""Streams of one dialect in the words of another, event by event."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from botocore.eventstream import EventStream
from botocore.parsers import EventStreamJSONParser
from botocore.session import get_session
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.llm import wire
from tests.unit.llm.wire import BOUND, Answer
from weir.llm.conversation import BlockStarted, BlockStopped, Delta, Happening, Started, Stopped, Used
from weir.llm.eventstream import EventStreamDecoder, encode_exception
from weir.llm.models import Dialect, Tokens
from weir.llm.sse import SseDecoder
from weir.llm.stream_reading import AnthropicReader, ConverseReader, OpenAIReader, StreamReader
from weir.llm.translating import Translator
from weir.llm.using import usage_reader

SOURCES = (wire.ANTHROPIC, wire.INVOKE, wire.OPENAI, wire.DEEPSEEK, wire.CONVERSE, wire.GEMINI)
TARGETS: tuple[Dialect, ...] = ("anthropic", "openai", "converse")
PAIRS = pytest.mark.parametrize(
    ("answer", "target"),
    [(answer, target) for answer in SOURCES for target in TARGETS if answer.dialect != target],
    ids=lambda value: value if isinstance(value, str) else value.dialect,
)


def translator(source: Dialect, target: Dialect, **more: Any) -> Translator:
    return Translator(
        source, target, "asked", request_id="1", created=7, milliseconds=lambda: 5, **{"include_usage": True, **more}
    )


def translated(source: Dialect, target: Dialect, *pieces: bytes, **more: Any) -> bytes:
    stream = translator(source, target, **more)
    return b"".join(stream.feed(piece) for piece in pieces) + stream.rest()


def happenings(dialect: Dialect, raw: bytes) -> list[Happening]:
    """What happens in a stream that was written."""
    if dialect == "converse":
        reader: StreamReader = ConverseReader()
        events = [(frame.event or frame.exception, frame.payload) for frame in EventStreamDecoder().feed(raw)]
    else:
        reader = AnthropicReader() if dialect == "anthropic" else OpenAIReader()
        events = [(event.name, event.data) for event in SseDecoder().feed(raw)]
    return [one for name, data in events if data != b"[DONE]" for one in reader.read(name, json.loads(data))]


def told(events: list[Happening]) -> tuple[list[tuple[str, str, str]], str]:
    """The blocks with what they hold, and why the answer ended."""
    blocks: list[tuple[str, str, str]] = []
    stop = ""
    for event in events:
        match event:
            case BlockStarted():
                blocks.append((event.kind, event.name, event.data))
            case Delta() if event.kind != "signature":
                kind, name, text = blocks[-1]
                blocks[-1] = (kind, name, text + event.text)
            case Stopped():
                stop = event.stop
            case _:
                pass
    return blocks, stop


@PAIRS
def test_the_caller_is_told_what_the_provider_tells(answer: Answer, target: Dialect) -> None:
    # When
    raw = translated(answer.dialect, target, answer.raw)
    found = happenings(target, raw)
    # Then the blocks are those of the provider's stream
    expected = [("text", "", "Hello, wörld! 🌍"), ("tool_use", "get_weather", '{"location": "San Francisco"}')]
    if answer is wire.GEMINI:
        expected[1] = ("tool_use", "get_weather", '{"location": "Paris"}')
    if answer is wire.OPENAI:
        expected.append(("tool_use", "get_time", "{}"))
    else:
        expected.insert(0, ("thinking", "", "Let me see."))
    if answer is wire.DEEPSEEK:
        expected = [("thinking", "", "Hm."), ("text", "", "Hello")]
    assert told(found) == (expected, "end" if answer is wire.DEEPSEEK else "tool_use")
    assert isinstance(found[0], Started)
    # And the usage is the provider's
    reader = usage_reader(target, BOUND, stream=True)
    reader.feed(raw)
    tokens = reader.tokens()
    if target == "openai":  # it has no words for how long a cache is kept
        written = answer.tokens.cache_write_5m + answer.tokens.cache_write_1h
        assert tokens == replace(answer.tokens, cache_write_5m=written, cache_write_1h=0)
    else:
        assert tokens == answer.tokens


@PAIRS
def test_blocks_are_announced_numbered_and_ended(answer: Answer, target: Dialect) -> None:
    if target == "openai":
        return
    raw = translated(answer.dialect, target, answer.raw)
    opened = False
    for event in happenings(target, raw):
        if isinstance(event, BlockStarted):
            assert not opened
            opened = True
        elif isinstance(event, Delta):
            assert opened
        elif isinstance(event, BlockStopped):
            opened = False
        elif isinstance(event, Stopped | Used):
            assert not opened


@PAIRS
@given(st.data())
@settings(max_examples=10, deadline=None)
def test_how_the_bytes_are_cut_makes_no_difference(answer: Answer, target: Dialect, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(1, len(answer.raw) - 1), max_size=10)))
    pieces = [answer.raw[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(answer.raw)], strict=True)]
    assert translated(answer.dialect, target, *pieces) == translated(answer.dialect, target, answer.raw)


@PAIRS
def test_text_goes_on_with_its_event(answer: Answer, target: Dialect) -> None:
    stream = translator(answer.dialect, target)
    before = 0
    for event, pieces in zip(answer.events, answer.pieces, strict=True):
        written = stream.feed(event)
        assert written or pieces == before
        before = pieces


@PAIRS
def test_a_stream_cut_at_any_event_ends_in_an_error_unless_the_answer_had_ended(
    answer: Answer, target: Dialect
) -> None:
    for ended in range(len(answer.events)):
        stream = translator(answer.dialect, target, tokens=lambda: Tokens(1, 2))
        begun = b"".join(stream.feed(event) for event in answer.events[:ended])
        last = stream.rest()
        stopped = any(isinstance(one, Stopped) for one in happenings(target, begun + last))
        if answer is wire.INVOKE and target == "anthropic":  # not taken apart: it has ended with its last event
            stopped = b"message_stop" in begun
        if stopped:
            assert b"broke off" not in last
        else:
            assert b"broke off" in last
        assert stream.feed(answer.events[-1]) == b"" or b"broke off" not in last


@pytest.mark.parametrize("target", TARGETS)
def test_an_error_within_a_stream_is_told_in_the_caller_s_words_and_nothing_follows(target: Dialect) -> None:
    overloaded = wire.named([{"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}])[0]
    throttled = encode_exception("throttlingException", b'{"message":"Overloaded"}')
    quota = wire.data([{"error": {"message": "Overloaded", "type": "server_error"}}], done=False)[0]
    gemini = wire.data([{"error": {"code": 503, "message": "Overloaded", "status": "UNAVAILABLE"}}], done=False)[0]
    for answer, error in (
        (wire.ANTHROPIC, overloaded),
        (wire.CONVERSE, throttled),
        (wire.INVOKE, throttled),
        (wire.OPENAI, quota),
        (wire.GEMINI, gemini),
    ):
        if answer.dialect == target:
            continue
        stream = translator(answer.dialect, target)
        stream.feed(answer.events[0])
        assert b"Overloaded" in stream.feed(error)
        assert stream.feed(answer.events[1]) == b""
        assert stream.rest() == b""


def test_bytes_of_no_format_end_in_an_error_after_what_came_before() -> None:
    for source, broken in (("openai", b"data: {nonsense\n\n"), ("openai", b"data: 7\n\n"), ("converse", b"\0" * 16)):
        answer = wire.OPENAI if source == "openai" else wire.CONVERSE
        written = translated(answer.dialect, "anthropic", answer.events[0] + broken)
        assert written.startswith(b"event: message_start")
        assert b"event: error" in written


def test_messages_in_bedrock_s_envelope_lose_the_envelope_alone() -> None:
    assert [
        json.loads(event.data) for event in SseDecoder().feed(translated("invoke", "anthropic", wire.INVOKE.raw))
    ] == (wire.MESSAGE_EVENTS)


def test_a_provider_that_tells_no_usage_is_told_by_what_was_seen() -> None:
    raw = b"".join(wire.data(wire.COMPLETION_CHUNKS[:-1]))
    for target in ("anthropic", "converse"):
        reader = usage_reader(target, BOUND, stream=True)
        reader.feed(translated("openai", target, raw, tokens=lambda: Tokens(7, 9)))
        assert reader.tokens() == Tokens(7, 9)


def test_the_usage_chunk_comes_to_whom_asked_for_it() -> None:
    with_usage = translated("anthropic", "openai", wire.ANTHROPIC.raw)
    without = translated("anthropic", "openai", wire.ANTHROPIC.raw, include_usage=False)
    assert b'"prompt_tokens"' in with_usage
    assert b"usage" not in without
    assert without.endswith(b"data: [DONE]\n\n")


def test_a_server_that_calls_tools_without_numbers_or_all_as_the_first_is_understood() -> None:
    def chunks(*calls: dict[str, Any]) -> bytes:
        deltas = [wire.chunk({"tool_calls": [one]}) for one in calls]
        return b"".join(wire.data([*deltas, wire.chunk({}, "stop")]))

    whole = [{"id": name, "type": "function", "function": {"name": name, "arguments": "{}"}} for name in "ab"]
    for calls in (whole, [{"index": 0, **one} for one in whole]):
        found = told(happenings("anthropic", translated("openai", "anthropic", chunks(*calls))))
        assert found == ([("tool_use", "a", "{}"), ("tool_use", "b", "{}")], "tool_use")


def test_calls_that_overlap_are_an_error_and_not_mixed_up() -> None:
    first, second = wire.call(0, id="a", function={"name": "a"}), wire.call(1, id="b", function={"name": "b"})
    late = wire.call(0, function={"arguments": "{}"})
    raw = b"".join(wire.data([wire.chunk(one) for one in (first, second, late)]))
    assert b"event: error" in translated("openai", "anthropic", raw)


@pytest.mark.parametrize("target", ["anthropic", "converse"])
def test_an_end_that_is_told_twice_is_one(target: Dialect) -> None:
    chunks = [wire.chunk({"content": "a"}), wire.chunk({}, "stop"), wire.chunk({}, "stop")]
    found = happenings(target, translated("openai", target, *wire.data(chunks)))
    assert sum(isinstance(one, Stopped) for one in found) == 1


@pytest.mark.parametrize(
    ("name", "event"),
    [
        ("contentBlockStart", {"start": {"image": {"format": "png"}}}),
        ("contentBlockDelta", {"delta": {"citation": {}}}),
    ],
)
def test_a_part_of_an_answer_that_has_no_words_elsewhere_is_an_error(name: str, event: dict[str, Any]) -> None:
    events = [
        ("messageStart", {"role": "assistant"}),
        (name, {"contentBlockIndex": 0, **event}),
        ("messageStop", {"stopReason": "end_turn"}),
    ]
    stream = translator("converse", "anthropic")
    told = stream.feed(b"".join(wire.frames(events))) + stream.rest()
    assert b"event: error" in told
    assert b"content_block" not in told
    assert stream.error


def test_redacted_thinking_passes_between_bedrock_and_anthropic() -> None:
    events = [
        ("messageStart", {"role": "assistant"}),
        ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"reasoningContent": {"redactedContent": "QUJD"}}}),
        ("contentBlockStop", {"contentBlockIndex": 0}),
        ("messageStop", {"stopReason": "end_turn"}),
    ]
    there = translated("converse", "anthropic", b"".join(wire.frames(events)))
    assert b'{"type":"redacted_thinking","data":"QUJD"}' in there
    back = translated("anthropic", "converse", there)
    assert [frame.event for frame in EventStreamDecoder().feed(back)][:4] == [name for name, _ in events]


class Raw:
    """As botocore takes a stream."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw

    def stream(self) -> Iterator[bytes]:
        yield self._raw

    def close(self) -> None:
        """Nothing to close."""


@pytest.mark.parametrize("answer", [wire.ANTHROPIC, wire.OPENAI, wire.GEMINI], ids=["anthropic", "openai", "gemini"])
def test_botocore_reads_the_stream_that_is_written(answer: Answer) -> None:
    shape = get_session().get_service_model("bedrock-runtime").operation_model("ConverseStream").output_shape
    raw = Raw(translated(answer.dialect, "converse", answer.raw))
    events: list[Any] = list(EventStream(raw, shape.members["stream"], EventStreamJSONParser(), "ConverseStream"))
    assert next(iter(events[0])) == "messageStart"
    assert events[-1]["metadata"]["usage"]["outputTokens"] == 89
    assert events[-1]["metadata"]["metrics"] == {"latencyMs": 5}
    assert all(len(event) == 1 for event in events)
    text = "".join(
        event["contentBlockDelta"]["delta"].get("text", "") for event in events if "contentBlockDelta" in event
    )
    assert text == "Hello, wörld! 🌍"
