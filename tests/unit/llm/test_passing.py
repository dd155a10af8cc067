"""A request to a provider of the same dialect: untouched, but for the little that has to be otherwise."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.llm import wire
from weir.llm.models import Dialect
from weir.llm.passing import UsageDropped, dumped, passed

RAW = b'{ "model": "m",  "messages": [], "unknown_field": {"a": 1.0}, "stream": true }'


@pytest.mark.parametrize("dialect", ["anthropic", "converse", "invoke", "gemini"])
def test_bytes_pass_as_they_came(dialect: Dialect) -> None:
    assert passed(dialect, RAW, json.loads(RAW), model="m").body is RAW


def test_a_mapped_name_is_replaced_and_nothing_else() -> None:
    found = passed("anthropic", RAW, json.loads(RAW), model="claude-opus-4-7")
    assert json.loads(found.body) == {**json.loads(RAW), "model": "claude-opus-4-7"}


def test_a_lowered_limit_is_written_and_a_lower_one_stays() -> None:
    raw = b'{"model":"m","max_tokens":50,"messages":[]}'
    assert json.loads(passed("anthropic", raw, json.loads(raw), max_output=20).body)["max_tokens"] == 20
    assert passed("anthropic", raw, json.loads(raw), max_output=60).body is raw


@pytest.mark.parametrize(
    ("options", "drop"),
    [(None, True), ({}, True), ({"include_usage": False}, True), ({"include_usage": True}, False)],
)
def test_a_stream_of_openai_is_asked_for_its_usage(options: dict[str, Any] | None, drop: bool) -> None:
    body = {"model": "m", "stream": True, "messages": [], "stream_options": options}
    found = passed("openai", dumped(body), body)
    assert json.loads(found.body)["stream_options"]["include_usage"] is True
    assert found.drop_usage is drop


def test_other_options_of_the_stream_stay() -> None:
    body = {"stream": True, "messages": [], "stream_options": {"include_obfuscation": False}}
    options = json.loads(passed("openai", dumped(body), body).body)["stream_options"]
    assert options == {"include_obfuscation": False, "include_usage": True}


def test_what_is_no_stream_of_completions_is_not_asked() -> None:
    for body in ({"messages": [], "stream": False}, {"input": "hi"}):
        raw = dumped(body)
        assert passed("openai", raw, body).body is raw


@given(st.sets(st.integers(1, len(wire.OPENAI.raw) - 1), max_size=10), st.sampled_from([b"\n", b"\r\n", b"\r"]))
@settings(max_examples=60, deadline=None)
def test_the_usage_chunk_alone_is_taken_out_however_the_bytes_are_cut(cuts: set[int], end: bytes) -> None:
    # Given a stream with lines that end as servers end them
    events = [event.replace(b"\n", end) for event in wire.OPENAI.events]
    raw = b"".join(events)
    ends = sorted(cut for cut in cuts if cut < len(raw))
    # When
    dropped = UsageDropped()
    passing = [dropped.feed(raw[one:other]) for one, other in zip([0, *ends], [*ends, len(raw)], strict=True)]
    # Then
    assert b"".join(passing) + dropped.rest() == b"".join(event for event in events if b'"cached_tokens"' not in event)


def test_an_event_passes_as_soon_as_it_has_ended_and_what_is_cut_passes_at_the_end() -> None:
    dropped = UsageDropped()
    assert dropped.feed(wire.OPENAI.events[0] + b"data: {") == wire.OPENAI.events[0]
    assert dropped.rest() == b"data: {"


def test_usage_beside_a_choice_is_the_provider_s_own_way_and_passes() -> None:
    dropped = UsageDropped()
    assert dropped.feed(wire.DEEPSEEK.raw) + dropped.rest() == wire.DEEPSEEK.raw


def test_a_lone_surrogate_is_written_as_it_was_read() -> None:
    assert json.loads(dumped({"text": "\ud800é"})) == {"text": "\ud800é"}
