"""No request, answer or stream, whatever is in it, fails otherwise than it should, and no field is passed over."""

import copy
import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.llm import wire
from tests.unit.llm.test_translating import COMPLETIONS, MESSAGES
from tests.unit.llm.test_translating_answers import ANSWERS
from weir.llm.dialect_errors import Untranslatable
from weir.llm.dialects import provider_dialect, stream_content_type
from weir.llm.models import Dialect, ProviderKind
from weir.llm.translating import Translator, translate, translate_answer
from weir.runtime.errors import BadRequest, UpstreamFailed

CONVERSED = json.loads(translate(MESSAGES, "anthropic", "converse", "m", stream=False))
REQUESTS: dict[Dialect, dict[str, Any]] = {"anthropic": MESSAGES, "openai": COMPLETIONS, "converse": CONVERSED}
TARGETS: list[Dialect] = ["anthropic", "openai", "converse", "invoke", "gemini"]
FREE = {"input", "input_schema", "arguments", "parameters", "schema", "json", "requestMetadata"}
"""Fields whose content is the caller's own."""

JUNK = st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=3) | st.just([]) | st.just({}) | st.just([7])


def objects(value: Any) -> Iterator[dict[str, Any]]:
    """Every object of a request whose fields are the dialect's."""
    if isinstance(value, dict):
        yield value
        for name, inner in value.items():
            if name not in FREE:
                yield from objects(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from objects(inner)


@pytest.mark.parametrize("source", list(REQUESTS))
@pytest.mark.parametrize("target", TARGETS)
def test_a_field_that_nobody_knows_is_refused_wherever_it_is(source: Dialect, target: Dialect) -> None:
    if source == target or (source, target) == ("anthropic", "invoke"):
        return
    request = {name: value for name, value in REQUESTS[source].items() if name not in ("metadata", "requestMetadata")}
    for number in range(len(list(objects(request)))):
        body = copy.deepcopy(request)
        list(objects(body))[number]["brand_new"] = 1
        with pytest.raises(Untranslatable) as refused:
            translate(body, source, target, "m", stream=False)
        assert refused.value.field.endswith("brand_new")


@pytest.mark.parametrize("source", list(REQUESTS))
@given(st.data())
@settings(max_examples=40, deadline=None)
def test_a_request_with_anything_in_it_is_translated_or_a_bad_request(source: Dialect, data: st.DataObject) -> None:
    body = copy.deepcopy(REQUESTS[source])
    for _ in range(data.draw(st.integers(1, 3))):
        holder = data.draw(st.sampled_from(list(objects(body))))
        if holder:
            holder[data.draw(st.sampled_from(sorted(holder)))] = data.draw(JUNK)
    for target in TARGETS:
        if target != source:
            with suppress(BadRequest):
                json.loads(translate(body, source, target, "claude", stream=True, max_output=50))


@pytest.mark.parametrize("source", list(ANSWERS))
@given(st.data())
@settings(max_examples=40, deadline=None)
def test_an_answer_with_anything_in_it_is_translated_or_the_provider_s_failure(
    source: Dialect, data: st.DataObject
) -> None:
    answer = copy.deepcopy(ANSWERS[source])
    holder = data.draw(st.sampled_from(list(objects(answer))))
    if holder:
        holder[data.draw(st.sampled_from(sorted(holder)))] = data.draw(JUNK)
    raw = json.dumps(answer).encode()
    for target in ("anthropic", "openai", "converse"):
        if target != source:
            with suppress(UpstreamFailed):
                json.loads(translate_answer(raw, source, target, "m", request_id="1", created=7))  # type: ignore[arg-type]


EVENTS: dict[Dialect, list[Any]] = {
    "anthropic": wire.MESSAGE_EVENTS,
    "openai": wire.COMPLETION_CHUNKS,
    "gemini": wire.GEMINI_CHUNKS,
    "converse": [event for _, event in wire.CONVERSE_EVENTS],
    "invoke": wire.MESSAGE_EVENTS,
}


@pytest.mark.parametrize("source", list(EVENTS))
@given(st.data())
@settings(max_examples=40, deadline=None)
def test_a_stream_with_anything_in_it_is_translated_or_ends_in_an_error(source: Dialect, data: st.DataObject) -> None:
    events = copy.deepcopy(EVENTS[source])
    holder = data.draw(st.sampled_from(list(objects(events))))
    if holder:
        holder[data.draw(st.sampled_from(sorted(holder)))] = data.draw(JUNK)
    names = [name for name, _ in wire.CONVERSE_EVENTS]
    raw = {
        "anthropic": lambda: wire.named(events),
        "openai": lambda: wire.data(events),
        "gemini": lambda: wire.data(events),
        "converse": lambda: wire.frames(list(zip(names, events, strict=True))),
        "invoke": lambda: wire.chunks(events),
    }[source]()
    for target in ("anthropic", "openai", "converse"):
        if target != source:
            stream = Translator(source, target, "m", request_id="1", created=7)  # type: ignore[arg-type]
            assert b"".join(stream.feed(event) for event in raw) + stream.rest()


@pytest.mark.parametrize(
    ("kind", "caller", "model", "dialect"),
    [
        ("anthropic", "openai", "m", "anthropic"),
        ("openai", "anthropic", "m", "openai"),
        ("gemini", "anthropic", "m", "gemini"),
        ("bedrock", "converse", "anthropic.claude", "converse"),
        ("bedrock", "invoke", "amazon.nova", "invoke"),
        ("bedrock", "anthropic", "us.anthropic.claude-opus-4-7", "invoke"),
        ("bedrock", "anthropic", "amazon.nova", "converse"),
        ("bedrock", "openai", "anthropic.claude", "converse"),
    ],
)
def test_a_provider_is_asked_in_its_own_dialect(
    kind: ProviderKind, caller: Dialect, model: str, dialect: Dialect
) -> None:
    assert provider_dialect(kind, caller, model) == dialect


def test_streams_have_their_content_types() -> None:
    assert stream_content_type("converse") == stream_content_type("invoke") == "application/vnd.amazon.eventstream"
    assert stream_content_type("openai").startswith("text/event-stream")
