"""Requests of one dialect in the words of another."""

import json
from typing import Any

import pytest

from weir.llm.dialect_errors import Untranslatable
from weir.llm.fields import Malformed, parsed
from weir.llm.models import Dialect
from weir.llm.translating import VERSION, translate
from weir.runtime.errors import BadRequest

PIXEL = "iVBORw0KGgo="
WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


def translated(body: dict[str, Any], source: Dialect, target: Dialect, model: str = "m", **more: Any) -> dict[str, Any]:
    found = json.loads(translate(body, source, target, model, **{"stream": False, **more}))
    assert isinstance(found, dict)
    return found


MESSAGES: dict[str, Any] = {
    "model": "claude-opus-4-7",
    "max_tokens": 1024,
    "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}},
                {"type": "text", "text": "Where is it?", "cache_control": {"type": "ephemeral"}},
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "Let me look."},
                {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Zürich"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": "no such city", "is_error": True},
                {"type": "text", "text": "And now?"},
            ],
        },
    ],
    "tools": [{"name": "weather", "description": "The weather.", "input_schema": WEATHER}],
    "tool_choice": {"type": "any"},
    "temperature": 0.5,
    "stop_sequences": ["END"],
    "metadata": {"user_id": "u-1"},
}


def test_messages_to_chat_completions() -> None:
    assert translated(MESSAGES, "anthropic", "openai", "gpt-4.1", stream=True) == {
        "model": "gpt-4.1",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {
                "role": "user",
                "content": [
                    {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
                    {"type": "text", "text": "Where is it?"},
                ],
            },
            {
                "role": "assistant",
                "content": "Let me look.",
                "tool_calls": [
                    {
                        "id": "toolu_1",
                        "type": "function",
                        "function": {"name": "weather", "arguments": '{"city": "Zürich"}'},
                    }
                ],
            },
            {"role": "tool", "tool_call_id": "toolu_1", "content": "Error: no such city"},
            {"role": "user", "content": "And now?"},
        ],
        "tools": [
            {
                "type": "function",
                "function": {"name": "weather", "description": "The weather.", "parameters": WEATHER},
            }
        ],
        "tool_choice": "required",
        "max_completion_tokens": 1024,
        "temperature": 0.5,
        "stop": ["END"],
        "user": "u-1",
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_messages_to_converse() -> None:
    assert translated(MESSAGES, "anthropic", "converse", "us.amazon.nova-pro-v1:0") == {
        "messages": [
            {
                "role": "user",
                "content": [
                    {"image": {"format": "png", "source": {"bytes": PIXEL}}},
                    {"text": "Where is it?"},
                    {"cachePoint": {"type": "default"}},
                ],
            },
            {
                "role": "assistant",
                "content": [
                    {"text": "Let me look."},
                    {"toolUse": {"toolUseId": "toolu_1", "name": "weather", "input": {"city": "Zürich"}}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"toolResult": {"toolUseId": "toolu_1", "content": [{"text": "no such city"}], "status": "error"}},
                    {"text": "And now?"},
                ],
            },
        ],
        "system": [{"text": "Be brief."}, {"cachePoint": {"type": "default", "ttl": "1h"}}],
        "inferenceConfig": {"maxTokens": 1024, "temperature": 0.5, "stopSequences": ["END"]},
        "toolConfig": {
            "tools": [
                {"toolSpec": {"name": "weather", "description": "The weather.", "inputSchema": {"json": WEATHER}}}
            ],
            "toolChoice": {"any": {}},
        },
        "requestMetadata": {"user_id": "u-1"},
    }


def test_messages_to_gemini() -> None:
    body = {name: value for name, value in MESSAGES.items() if name != "metadata"}
    assert translated({**body, "top_k": 5}, "anthropic", "gemini", "gemini-3-pro") == {
        "contents": [
            {
                "role": "user",
                "parts": [{"inlineData": {"mimeType": "image/png", "data": PIXEL}}, {"text": "Where is it?"}],
            },
            {
                "role": "model",
                "parts": [
                    {"text": "Let me look."},
                    {
                        "functionCall": {"name": "weather", "args": {"city": "Zürich"}},
                        "thoughtSignature": "skip_thought_signature_validator",
                    },
                ],
            },
            {
                "role": "user",
                "parts": [
                    {"functionResponse": {"name": "weather", "response": {"error": "no such city"}}},
                    {"text": "And now?"},
                ],
            },
        ],
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "tools": [
            {
                "functionDeclarations": [
                    {"name": "weather", "description": "The weather.", "parametersJsonSchema": WEATHER}
                ]
            }
        ],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY"}},
        "generationConfig": {"maxOutputTokens": 1024, "temperature": 0.5, "topK": 5, "stopSequences": ["END"]},
    }


COMPLETIONS: dict[str, Any] = {
    "model": "gpt-4.1",
    "messages": [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": "Compare both."},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "call_a", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Rome"}'}},
                {"id": "call_b", "type": "function", "function": {"name": "weather", "arguments": ""}},
            ],
        },
        {"role": "tool", "tool_call_id": "call_a", "content": "sunny"},
        {"role": "tool", "tool_call_id": "call_b", "content": [{"type": "text", "text": "rain"}]},
    ],
    "tools": [{"type": "function", "function": {"name": "weather", "parameters": WEATHER, "strict": True}}],
    "tool_choice": {"type": "function", "function": {"name": "weather"}},
    "parallel_tool_calls": False,
    "max_tokens": 100,
    "reasoning_effort": "high",
    "response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": WEATHER, "strict": True}},
    "n": 1,
    "logprobs": False,
    "stream": True,
    "stream_options": {"include_usage": True},
}


def test_chat_completions_to_messages() -> None:
    found = translated(COMPLETIONS, "openai", "anthropic", "claude-opus-4-7", stream=True)
    assert found == {
        "model": "claude-opus-4-7",
        "max_tokens": 100,
        "system": [{"type": "text", "text": "Be brief."}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "Compare both."}]},
            {
                "role": "assistant",
                "content": [
                    {"type": "tool_use", "id": "call_a", "name": "weather", "input": {"city": "Rome"}},
                    {"type": "tool_use", "id": "call_b", "name": "weather", "input": {}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "call_a", "content": [{"type": "text", "text": "sunny"}]},
                    {"type": "tool_result", "tool_use_id": "call_b", "content": [{"type": "text", "text": "rain"}]},
                ],
            },
        ],
        "tools": [{"name": "weather", "input_schema": WEATHER, "strict": True}],
        "tool_choice": {"type": "tool", "name": "weather", "disable_parallel_tool_use": True},
        "output_config": {"effort": "high", "format": {"type": "json_schema", "schema": WEATHER}},
        "stream": True,
    }


def test_messages_to_claude_on_bedrock_change_their_envelope_alone() -> None:
    body = {**MESSAGES, "stream": True, "unknown": {"a": 1}, "thinking": {"type": "adaptive"}}
    found = translated(body, "anthropic", "invoke", "anthropic.claude-opus-4-7", stream=True, betas=("context-1m",))
    assert found == {
        **{name: value for name, value in body.items() if name not in ("model", "stream")},
        "anthropic_version": VERSION,
        "anthropic_beta": ["context-1m"],
    }


def test_a_limit_is_lowered_and_set_where_there_is_none() -> None:
    assert translated(MESSAGES, "anthropic", "openai", max_output=10)["max_completion_tokens"] == 10
    assert translated(MESSAGES, "anthropic", "invoke", max_output=10)["max_tokens"] == 10
    assert translated({"messages": []}, "openai", "anthropic", max_output=10)["max_tokens"] == 10
    assert translated({"messages": [], "max_tokens": 5}, "openai", "converse", max_output=10)["inferenceConfig"] == {
        "maxTokens": 5
    }
    assert translated(MESSAGES, "anthropic", "openai", openai_field="max_tokens")["max_tokens"] == 1024


HELLO: dict[str, Any] = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
CONVERSE_HELLO: dict[str, Any] = {"messages": [{"role": "user", "content": [{"text": "hi"}]}]}


def blocks(*content: dict[str, Any]) -> dict[str, Any]:
    return {**HELLO, "messages": [{"role": "user", "content": list(content)}]}


def turns(*messages: dict[str, Any]) -> dict[str, Any]:
    return {**HELLO, "messages": list(messages)}


CLAUDE_THOUGHT = {"type": "thinking", "thinking": "hm", "signature": "abc"}
UNTRANSLATABLE: list[tuple[Dialect, Dialect, dict[str, Any], str]] = [
    ("anthropic", "openai", {**HELLO, "brand_new": 1}, "brand_new"),
    ("anthropic", "openai", {**HELLO, "top_k": 5}, "top_k"),
    ("anthropic", "openai", {**HELLO, "thinking": {"type": "enabled", "budget_tokens": 1024}}, "thinking.type"),
    ("anthropic", "openai", {**HELLO, "stop_sequences": list("abcde")}, "stop"),
    ("anthropic", "openai", {**HELLO, "container": "c"}, "container"),
    ("anthropic", "openai", {**HELLO, "mcp_servers": [{}]}, "mcp_servers"),
    ("anthropic", "openai", {**HELLO, "service_tier": "standard_only"}, "service_tier"),
    ("anthropic", "openai", {**HELLO, "tools": [{"type": "web_search_20250305", "name": "a"}]}, "tools.0.type"),
    ("anthropic", "openai", {**HELLO, "tools": [{"name": "a", "defer_loading": True}]}, "tools.0.defer_loading"),
    ("anthropic", "openai", blocks({"type": "search_result"}), "messages.0.content.0"),
    ("anthropic", "openai", blocks({"type": "text", "text": "a", "extra": 1}), "messages.0.content.0.extra"),
    ("anthropic", "openai", blocks({"type": "image", "source": {"type": "file", "file_id": "f"}}),
     "messages.0.content.0.source"),
    ("anthropic", "openai", turns({"role": "assistant", "content": [CLAUDE_THOUGHT]}), "messages"),
    ("anthropic", "converse", blocks({"type": "image", "source": {"type": "url", "url": "https://a"}}), "messages"),
    ("anthropic", "converse", {**HELLO, "top_k": 5}, "top_k"),
    ("anthropic", "converse", {**HELLO, "metadata": {"user_id": '{"a"}'}}, "metadata"),
    ("anthropic", "gemini", {**HELLO, "metadata": {"user_id": "u"}}, "metadata"),
    ("anthropic", "gemini", {**HELLO, "thinking": {"type": "between_tools"}}, "thinking"),
    ("anthropic", "gemini", {**HELLO, "tools": [{"name": "a", "strict": True}]}, "tools"),
    ("openai", "anthropic", {**HELLO, "n": 2}, "n"),
    ("openai", "anthropic", {**HELLO, "logprobs": True}, "logprobs"),
    ("openai", "anthropic", {**HELLO, "logit_bias": {"1": 2}}, "logit_bias"),
    ("openai", "anthropic", {**HELLO, "seed": 1}, "seed"),
    ("openai", "anthropic", {**HELLO, "temperature": 1.5}, "temperature"),
    ("openai", "anthropic", {**HELLO, "metadata": {"a": "b"}}, "metadata"),
    ("openai", "anthropic", {**HELLO, "store": True}, "store"),
    ("openai", "anthropic", {**HELLO, "functions": [{}]}, "functions"),
    ("openai", "anthropic", {**HELLO, "audio": {"voice": "a"}}, "audio"),
    ("openai", "anthropic", {**HELLO, "reasoning_effort": "minimal"}, "effort"),
    ("openai", "anthropic", {**HELLO, "response_format": {"type": "json_object"}}, "response_format.type"),
    ("openai", "anthropic", {"messages": [{"role": "user", "content": "hi"}]}, "max_tokens"),
    ("openai", "anthropic", {**HELLO, "tools": [{"type": "custom", "custom": {"name": "a"}}]}, "tools.0.type"),
    ("openai", "anthropic", {**HELLO, "tool_choice": {"type": "allowed_tools"}}, "tool_choice.type"),
    ("openai", "anthropic", turns({"role": "user", "content": "a", "name": "bob"}), "messages.0.name"),
    ("openai", "anthropic", turns({"role": "function", "content": "a", "name": "f"}), "messages.0.role"),
    ("openai", "anthropic", blocks({"type": "input_audio", "input_audio": {}}), "messages.0.content.0"),
    ("openai", "converse", {**HELLO, "parallel_tool_calls": False}, "parallel_tool_calls"),
    ("openai", "gemini", turns({"role": "tool", "tool_call_id": "x", "content": "a"}), "messages"),
    ("converse", "anthropic", {**CONVERSE_HELLO, "guardrailConfig": {"guardrailIdentifier": "g"}}, "guardrailConfig"),
    ("converse", "anthropic", {**CONVERSE_HELLO, "additionalModelRequestFields": {"x": 1}},
     "additionalModelRequestFields.x"),
    ("converse", "openai", {"messages": [{"role": "user", "content": [{"guardContent": {"text": {"text": "a"}}}]}]},
     "messages.0.content.0.guardContent"),
    ("converse", "openai", {"messages": [{"role": "user", "content": [{"image": {"format": "png",
     "source": {"s3Location": {"uri": "s3://b/k"}}}}]}]}, "messages.0.content.0.image.source.s3Location"),
    ("invoke", "anthropic", {"prompt": "hi"}, "body"),
]  # fmt: skip


@pytest.mark.parametrize(("source", "target", "body", "field"), UNTRANSLATABLE)
def test_what_has_no_counterpart_is_refused_by_name(
    source: Dialect, target: Dialect, body: dict[str, Any], field: str
) -> None:
    with pytest.raises(Untranslatable) as refused:
        translate(body, source, target, "m", stream=False)
    assert refused.value.field == field
    assert refused.value.status == 400


PICTURE = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}
MALFORMED: list[tuple[Dialect, dict[str, Any], str]] = [
    ("anthropic", {"messages": "hi"}, "messages"),
    ("anthropic", {"messages": [{"role": "user"}]}, "messages.0.content"),
    ("anthropic", {"messages": [{"role": "bot", "content": "a"}]}, "messages.0.role"),
    ("anthropic", {**HELLO, "max_tokens": "9"}, "max_tokens"),
    ("anthropic", {**HELLO, "stream": 1}, "stream"),
    ("anthropic", {**HELLO, "stop_sequences": [1]}, "stop_sequences"),
    ("anthropic", {**HELLO, "system": [{"type": "image", "source": {"type": "url", "url": "u"}}]}, "system.0"),
    ("anthropic", blocks({"text": "no type"}), "messages.0.content.0.type"),
    ("openai", {"messages": [7]}, "messages.0"),
    ("openai", {"messages": [{"role": "user", "content": 7}]}, "messages.0.content"),
    (
        "openai",
        blocks({"type": "image_url", "image_url": {"url": "data:nonsense"}}),
        "messages.0.content.0.image_url.url",
    ),
    ("openai", {**HELLO, "tool_choice": "sometimes"}, "tool_choice"),
    ("openai", {"messages": [{"role": "system", "content": [PICTURE]}]}, "messages.0.content"),
    ("openai", {"messages": [{"role": "tool", "tool_call_id": "a", "content": [PICTURE]}]}, "messages.0.content"),
    ("converse", {"messages": [], "system": [{"image": {"format": "png", "source": {"bytes": PIXEL}}}]}, "system"),
    ("converse", {"messages": [{"role": "user", "content": [{}]}]}, "messages.0.content.0"),
]


@pytest.mark.parametrize(("source", "body", "field"), MALFORMED)
def test_what_is_not_of_its_own_dialect_is_refused_by_name(source: Dialect, body: dict[str, Any], field: str) -> None:
    target: Dialect = "converse" if source == "anthropic" else "anthropic"
    with pytest.raises(Malformed) as refused:
        translate(body, source, target, "m", stream=False)
    assert refused.value.errors[0].field == field


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"[]",
        b'"text"',
        b'{"max_tokens": 4000, "max_tokens": 1}',
        b'{"max\\u005ftokens": 4000, "max_tokens": 1}',
        b'{"inferenceConfig": {"maxTokens": 4000, "maxTokens": 1}}',
        b'{"temperature": NaN}',
        b"\xff\xfe{\x00}\x00",
        b"[" * 100_000,
        b'{"a": ' + b"9" * 5_000 + b"}",
    ],
)
def test_a_body_that_could_be_read_in_two_ways_or_none_is_refused(raw: bytes) -> None:
    with pytest.raises(Malformed):
        parsed(raw)


def test_a_body_is_read() -> None:
    assert parsed(b'{"a": {"b": [1, "\\ud800"]}, "b": null}') == {"a": {"b": [1, "\ud800"]}, "b": None}


def test_words_that_say_what_is_done_anyway_are_understood() -> None:
    for thinking in ({"type": "disabled"}, {"type": "adaptive", "display": "omitted"}):
        body = {**HELLO, "service_tier": "auto", "thinking": thinking, "metadata": None}
        assert translated(body, "anthropic", "openai").keys() == {"model", "messages", "max_completion_tokens"}
    body = {**HELLO, "n": 1, "store": False, "logit_bias": {}, "modalities": ["text"], "prompt_cache_key": "k"}
    assert translated(body, "openai", "anthropic")["max_tokens"] == 9


def test_thinking_that_came_from_elsewhere_is_left_out_where_it_is_not_taken_back() -> None:
    # Given a turn as it was translated from a provider that signs nothing
    thought = {"type": "thinking", "thinking": "hm", "signature": ""}
    body = turns(HELLO["messages"][0], {"role": "assistant", "content": [thought, {"type": "text", "text": "Hi"}]})
    # Then it goes back without
    assert translated(body, "anthropic", "openai")["messages"][1] == {"role": "assistant", "content": "Hi"}
    assert translated(body, "anthropic", "gemini")["contents"][1]["parts"] == [{"text": "Hi"}]


def test_the_system_s_words_in_the_midst_stay_where_they_are() -> None:
    body = turns(HELLO["messages"][0], {"role": "system", "content": "Now in French."})
    assert translated(body, "openai", "anthropic")["messages"][1]["role"] == "system"
    assert translated(body, "openai", "converse")["messages"][1] == {
        "role": "system",
        "content": [{"text": "Now in French."}],
    }


def test_no_tools_for_converse_is_a_request_without_tools() -> None:
    body = {**HELLO, "tools": [{"name": "a", "input_schema": WEATHER}], "tool_choice": {"type": "none"}}
    assert "toolConfig" not in translated(body, "anthropic", "converse")


def test_automatic_caching_marks_the_last_block() -> None:
    found = translated({**HELLO, "cache_control": {"type": "ephemeral", "ttl": "1h"}}, "anthropic", "converse")
    assert found["messages"][0]["content"][-1] == {"cachePoint": {"type": "default", "ttl": "1h"}}


def test_gemini_s_own_words_for_thinking() -> None:
    def config(**more: Any) -> object:
        return translated({**HELLO, **more}, "anthropic", "gemini")["generationConfig"].get("thinkingConfig")

    assert config() is None
    assert config(thinking={"type": "enabled", "budget_tokens": 2048}) == {
        "includeThoughts": True,
        "thinkingBudget": 2048,
    }
    assert config(thinking={"type": "adaptive"}) == {"includeThoughts": True}
    assert config(thinking={"type": "disabled"}) == {"thinkingBudget": 0}
    assert config(output_config={"effort": "low"}) == {"thinkingLevel": "LOW"}
    with pytest.raises(BadRequest):
        config(output_config={"effort": "max"})


def test_documents_of_one_name_are_told_apart_for_converse() -> None:
    source = {"type": "text", "media_type": "text/plain", "data": "a"}
    named = [{"type": "document", "source": source, **more} for more in ({}, {}, {"title": "a  b"}, {"title": "A b"})]
    result = {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "document", "source": source}]}
    content = translated(blocks(*named, result), "anthropic", "converse")["messages"][0]["content"]
    names = [one["document"]["name"] for one in [*content[:4], content[4]["toolResult"]["content"][0]]]
    assert names == ["document", "document 2", "a b", "A b 2", "document 3"]
