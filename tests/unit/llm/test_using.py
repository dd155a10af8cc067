"""What a call used, read from its answer: exact when it was told to its end, at least what was seen when it was not."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.llm import wire
from tests.unit.llm.wire import BOUND, Answer
from weir.llm.models import Bound, Dialect, Tokens
from weir.llm.using import untold, usage_reader

STREAMS = pytest.mark.parametrize("answer", wire.STREAMS, ids=wire.NAMES)


def read(answer: Answer, raw: bytes) -> Tokens:
    reader = usage_reader(answer.dialect, BOUND, stream=True)
    reader.feed(raw)
    return reader.tokens()


def whole(dialect: Dialect, body: Any, headers: dict[str, str] | None = None) -> Tokens:
    reader = usage_reader(dialect, BOUND, stream=False)
    reader.headers(headers or {})
    reader.feed(body if isinstance(body, bytes) else json.dumps(body).encode())
    return reader.tokens()


@STREAMS
def test_a_stream_that_ends_used_what_its_provider_says(answer: Answer) -> None:
    assert read(answer, answer.raw) == answer.tokens


@STREAMS
def test_a_stream_cut_at_any_event_used_what_was_seen(answer: Answer) -> None:
    for ended in range(len(answer.events) + 1):
        _check_cut(answer, b"".join(answer.events[:ended]), ended)


@STREAMS
def test_a_stream_cut_at_any_byte_used_what_was_seen(answer: Answer) -> None:
    reader = usage_reader(answer.dialect, BOUND, stream=True)
    for cut in range(len(answer.raw)):
        ended = answer.ended(cut)
        tokens = reader.tokens()
        assert tokens == _check_cut(answer, b"".join(answer.events[:ended]), ended), cut
        reader.feed(answer.raw[cut : cut + 1])
    assert reader.tokens() == answer.tokens


def _check_cut(answer: Answer, raw: bytes, ended: int) -> Tokens:
    tokens = read(answer, raw)
    seen = answer.pieces[ended - 1] if ended else 0
    if ended >= answer.final:
        assert tokens == answer.tokens
        return tokens
    assert tokens.estimated
    assert tokens.total > 0
    assert seen <= tokens.output <= answer.tokens.output
    if ended >= answer.told_input:
        assert replace(tokens, output=0, estimated=False) == replace(answer.tokens, output=0)
    else:
        assert tokens.input == BOUND.likely_input
    return tokens


@STREAMS
def test_the_first_token_is_told_with_the_first_text(answer: Answer) -> None:
    reader = usage_reader(answer.dialect, BOUND, stream=True)
    for event, pieces in zip(answer.events, answer.pieces, strict=True):
        reader.feed(event)
        assert reader.first_token == (pieces > 0)


@STREAMS
@given(st.data())
@settings(max_examples=15, deadline=None)
def test_how_the_bytes_are_cut_makes_no_difference(answer: Answer, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(1, len(answer.raw) - 1), max_size=12)))
    reader = usage_reader(answer.dialect, BOUND, stream=True)
    for begin, end in zip([0, *cuts], [*cuts, len(answer.raw)], strict=True):
        reader.feed(answer.raw[begin:end])
    assert reader.tokens() == answer.tokens


@pytest.mark.parametrize("dialect", ["anthropic", "openai", "converse", "invoke", "gemini"])
@given(st.lists(st.binary(max_size=60), max_size=8))
@settings(max_examples=25, deadline=None)
def test_bytes_of_no_format_are_survived_and_never_free(dialect: Dialect, pieces: list[bytes]) -> None:
    for stream in (True, False):
        reader = usage_reader(dialect, BOUND, stream=stream)
        for piece in pieces:
            reader.feed(piece)
        tokens = reader.tokens()
        assert tokens.estimated
        assert tokens.input == BOUND.likely_input


@STREAMS
def test_what_came_before_bytes_of_no_format_counts(answer: Answer) -> None:
    reader = usage_reader(answer.dialect, BOUND, stream=True)
    reader.feed(answer.raw + b"\0" * 40 + b"\n\n")
    reader.feed(answer.raw)
    assert reader.tokens() == answer.tokens


def test_a_long_answer_is_reckoned_by_its_bytes_but_never_above_what_was_admitted() -> None:
    start, delta = wire.MESSAGE_EVENTS[0], {"type": "text_delta", "text": "x" * 1_000}
    events = [start, {"type": "content_block_delta", "index": 0, "delta": delta}]
    raw = b"".join(wire.named(events))
    assert read(wire.ANTHROPIC, raw).output == 250
    reader = usage_reader("anthropic", replace(BOUND, output=100), stream=True)
    reader.feed(raw)
    assert reader.tokens().output == 100


def test_usage_in_mid_stream_replaces_what_was_told_and_is_not_added() -> None:
    # Given two message_delta, the first before a server's tool has run
    events = [
        wire.MESSAGE_EVENTS[0],
        {"type": "message_delta", "delta": {"stop_reason": None}, "usage": {"output_tokens": 10, "input_tokens": 25}},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn"},
            "usage": {"output_tokens": 30, "input_tokens": 60, "cache_read_input_tokens": 1500},
        },
        {"type": "message_stop"},
    ]
    # When it is cut between them
    cut = read(wire.ANTHROPIC, b"".join(wire.named(events[:2])))
    # Then the first counts, as an estimate
    assert cut == Tokens(25, 10, 1000, 100, 200, estimated=True)
    # And the last one alone in the end
    assert read(wire.ANTHROPIC, b"".join(wire.named(events))) == Tokens(60, 30, 1500, 100, 200)


@pytest.mark.parametrize("kind", ["compaction", "advisor_message"])
def test_what_an_iteration_apart_used_is_counted_with_the_rest(kind: str) -> None:
    one = {"input_tokens": 10, "output_tokens": 5, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0}
    apart = {**one, "type": kind, "input_tokens": 180_000, "output_tokens": 3_500}
    usage = {**one, "iterations": [apart, {**one, "type": "message"}]}
    assert whole("anthropic", {"type": "message", "usage": usage}) == Tokens(180_010, 3_505)


def test_an_error_within_a_stream_is_told_and_what_came_before_is_estimated() -> None:
    error = wire.named([{"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}])
    reader = usage_reader("anthropic", BOUND, stream=True)
    reader.feed(b"".join([*wire.ANTHROPIC.events[:9], *error]))
    assert reader.error == "overloaded_error"
    assert reader.tokens().estimated
    assert reader.tokens().cache_write_1h == 200


def test_an_exception_within_a_stream_of_bedrock_is_told() -> None:
    from weir.llm.eventstream import encode_exception

    for dialect in ("converse", "invoke"):
        reader = usage_reader(dialect, BOUND, stream=True)
        reader.feed(encode_exception("throttlingException", b'{"message":"slow down"}'))
        assert reader.error == "throttlingException"
        assert reader.tokens() == Tokens(input=BOUND.likely_input, estimated=True)


WHOLE: list[tuple[Dialect, dict[str, Any], Tokens]] = [
    ("anthropic", {**wire.MESSAGE, "stop_reason": "end_turn"}, Tokens(25, 1, 1000, 100, 200)),
    ("anthropic", {"usage": {"input_tokens": 5, "output_tokens": 2}}, Tokens(5, 2)),
    ("openai", {"object": "chat.completion", "usage": wire.OPENAI_USAGE}, Tokens(25, 89, 1000, 300)),
    ("openai", {"object": "list", "data": [], "usage": {"prompt_tokens": 8, "total_tokens": 8}}, Tokens(8)),
    # reasoning left out of completion_tokens, as some compatible servers do
    ("openai", {"usage": {"prompt_tokens": 8, "completion_tokens": 2, "total_tokens": 110}}, Tokens(8, 102)),
    ("converse", {"output": {}, "usage": wire.CONVERSE_USAGE}, Tokens(25, 89, 1000, 100, 200)),
    ("gemini", wire.GEMINI_CHUNKS[-1], Tokens(25, 89, 1000)),
    ("invoke", {**wire.MESSAGE, "stop_reason": "end_turn"}, Tokens(25, 1, 1000, 100, 200)),
    ("invoke", {"generation": "Hi", "prompt_token_count": 4, "generation_token_count": 2}, Tokens(4, 2)),
    ("invoke", {"inputTextTokenCount": 5, "results": [{"tokenCount": 3, "outputText": "Hi"}]}, Tokens(5, 3)),
    ("invoke", {"output": {}, "usage": {"inputTokens": 4, "outputTokens": 2}}, Tokens(4, 2)),
]


@pytest.mark.parametrize(("dialect", "body", "tokens"), WHOLE)
def test_a_whole_answer_used_what_it_says(dialect: Dialect, body: dict[str, Any], tokens: Tokens) -> None:
    assert whole(dialect, body) == tokens


def test_a_model_that_tells_nothing_in_its_body_is_read_from_the_headers_of_invoke_model() -> None:
    headers = {
        "X-Amzn-Bedrock-Input-Token-Count": "25",
        "X-Amzn-Bedrock-Output-Token-Count": "89",
        "X-Amzn-Bedrock-Cache-Read-Input-Token-Count": "7",
    }
    assert whole("invoke", {"outputs": [{"text": "Hello"}]}, headers) == Tokens(25, 89, 7)
    assert whole("invoke", {"outputs": [{"text": "Hello, there"}]}) == Tokens(700, 3, estimated=True)


def test_a_whole_answer_cut_at_any_byte_is_never_free() -> None:
    raw = json.dumps({**wire.MESSAGE, "content": [{"type": "text", "text": "Hello"}]}).encode()
    for cut in range(len(raw)):
        tokens = whole("anthropic", raw[:cut])
        assert tokens.estimated
        assert tokens.input == BOUND.likely_input
        assert tokens.output >= cut // 4


@pytest.mark.parametrize("body", [b"", b'{"content": [{"type": "text", "text": "Hi', b"<html>504</html>", b"[]"])
def test_a_whole_answer_that_was_not_had_used_what_was_likely_for_the_provider_made_it_first(body: bytes) -> None:
    # Given a call that may produce much, and is likely to produce some of it
    bound = Bound(input=1_000, output=5_000, likely_input=250, likely_output=1_250)
    reader = usage_reader("anthropic", bound, stream=False)
    # When nothing of its answer came that can be read, Then it is charged for what is likely, output included
    reader.feed(body)
    assert reader.tokens() == untold(bound) == Tokens(input=250, output=1_250, estimated=True)
    # And for what came of it, where that is more, up to its limit
    reader.feed(b"word " * 2_000)
    assert 2_500 <= reader.tokens().output <= 2_600
    reader.feed(b"word " * 20_000)
    assert reader.tokens().output == 5_000


def test_a_whole_answer_that_came_and_tells_no_usage_used_what_was_seen() -> None:
    bound = Bound(input=1_000, output=5_000, likely_input=250, likely_output=1_250)
    reader = usage_reader("openai", bound, stream=False)
    reader.feed(b'{"choices": [{"message": {"content": "Hello, you"}}]}')
    assert reader.tokens() == Tokens(input=250, output=3, estimated=True)


def test_a_stream_that_broke_off_before_its_first_event_used_its_input() -> None:
    bound = Bound(input=1_000, output=5_000, likely_input=250, likely_output=1_250)
    assert usage_reader("anthropic", bound, stream=True).tokens() == Tokens(input=250, estimated=True)


def test_absurd_figures_are_none() -> None:
    usage = {"input_tokens": -5, "output_tokens": True, "cache_read_input_tokens": "7", "cache_creation": [1]}
    assert whole("anthropic", {"usage": usage}) == Tokens()
