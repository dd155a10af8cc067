"""Whole answers of one dialect in the words of another."""

import json
from typing import Any

import pytest

from tests.unit.llm import wire
from weir.llm import anthropic, converse_replies, gemini, openai_replies
from weir.llm.conversation import Reply, Text, Thinking, ToolUse
from weir.llm.models import Dialect, Tokens
from weir.llm.translating import translate_answer
from weir.llm.using import read_usage
from weir.runtime.errors import UpstreamFailed

TOKENS = Tokens(input=25, output=89, cache_read=1000, cache_write_5m=100, cache_write_1h=200)
REPLY = Reply(
    id="r-1",
    model="m",
    blocks=(Thinking("hm", "sig"), Text("Hello"), ToolUse("call_1", "weather", {"city": "Zürich"})),
    stop="tool_use",
    tokens=TOKENS,
)
GEMINI_ANSWER = {
    **wire.GEMINI_CHUNKS[-1],
    "candidates": [
        {
            "content": {
                "role": "model",
                "parts": [
                    {"text": "hm", "thought": True},
                    {"text": "Hello"},
                    {"functionCall": {"name": "weather", "args": {"city": "Zürich"}}},
                ],
            },
            "finishReason": "STOP",
        }
    ],
}
ANSWERS: dict[Dialect, dict[str, Any]] = {
    "anthropic": anthropic.write_reply(REPLY, "m"),
    "invoke": anthropic.write_reply(REPLY, "m"),
    "openai": openai_replies.write_reply(REPLY, "m", 1),
    "converse": converse_replies.write_reply(REPLY, 5),
    "gemini": GEMINI_ANSWER,
}


@pytest.mark.parametrize("source", list(ANSWERS))
@pytest.mark.parametrize("target", ["anthropic", "openai", "converse"])
def test_an_answer_is_told_in_the_caller_s_words(source: Dialect, target: Dialect) -> None:
    # When
    raw = json.dumps(ANSWERS[source]).encode()
    found = json.loads(translate_answer(raw, source, target, "asked", request_id="1", created=7, milliseconds=5))
    # Then its usage is what the provider told
    told, known = read_usage(target, found), read_usage(source, ANSWERS[source])
    assert told is not None
    assert known is not None
    assert (told.input, told.output, told.cache_read) == (known.input, known.output, known.cache_read)
    assert told.total == known.total
    if target != "openai" and source in ("anthropic", "invoke", "converse"):
        assert told == known
    # And so are its text, its call, and why it ended
    text = json.dumps(found, ensure_ascii=False)
    assert "Hello" in text
    assert "Zürich" in text
    ends = {"anthropic": "stop_reason", "converse": "stopReason"}
    assert found.get(ends.get(target, "")) == "tool_use" or found["choices"][0]["finish_reason"] == "tool_calls"


def test_an_answer_of_openai_s_in_full() -> None:
    assert ANSWERS["openai"] == {
        "id": "r-1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": "Hello",
                    "refusal": None,
                    "reasoning_content": "hm",
                    "tool_calls": [
                        {
                            "id": "call_1",
                            "type": "function",
                            "function": {"name": "weather", "arguments": '{"city": "Zürich"}'},
                        }
                    ],
                },
                "logprobs": None,
                "finish_reason": "tool_calls",
            }
        ],
        "usage": {
            "prompt_tokens": 1325,
            "completion_tokens": 89,
            "total_tokens": 1414,
            "prompt_tokens_details": {"cached_tokens": 1000, "cache_write_tokens": 300},
        },
    }


def test_an_answer_keeps_fields_that_are_only_the_provider_s_out_and_its_own_id_in() -> None:
    answer = {**ANSWERS["anthropic"], "container": None, "content": [{"type": "text", "text": "Hi", "citations": None}]}
    found = json.loads(
        translate_answer(json.dumps(answer).encode(), "anthropic", "openai", "m", request_id="1", created=7)
    )
    assert (found["id"], found["choices"][0]["message"]["content"]) == ("r-1", "Hi")
    converse_answer = json.dumps(ANSWERS["converse"]).encode()
    assert json.loads(translate_answer(converse_answer, "converse", "anthropic", "m", request_id="1", created=7))[
        "id"
    ] == ("msg_1")


def test_arguments_that_are_no_json_are_handed_on() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"cut'}}
    answer = {"choices": [{"message": {"tool_calls": [call]}, "finish_reason": "tool_calls"}]}
    found = json.loads(
        translate_answer(json.dumps(answer).encode(), "openai", "anthropic", "m", request_id="1", created=7)
    )
    assert found["content"][0]["input"] == {"arguments": '{"cut'}


@pytest.mark.parametrize(
    ("source", "answer"),
    [
        ("openai", b"<html>"),
        ("openai", b"[]"),
        ("openai", b'{"choices":[]}'),
        ("openai", b'{"choices":[{},{}]}'),
        ("anthropic", b'{"content":[{"type":"server_tool_use"}]}'),
        ("gemini", b'{"candidates":[{"content":{"parts":[{"executableCode":{}}]}}]}'),
        ("converse", b'{"output":{"message":{"content":[{"image":{"format":"png","source":{"bytes":"AA=="}}}]}}}'),
    ],
)
def test_an_answer_that_can_t_be_told_is_the_provider_s_failure(source: Dialect, answer: bytes) -> None:
    target: Dialect = "anthropic" if source == "converse" else "converse"
    with pytest.raises(UpstreamFailed):
        translate_answer(answer, source, target, "m", request_id="1", created=7)


def test_a_prompt_that_gemini_blocks_is_refused() -> None:
    reply = gemini.parse_reply({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 5}})
    assert (reply.blocks, reply.stop, reply.tokens) == ((), "refusal", Tokens(5))
