"""The most that a call can use, from its request."""

import json
import zlib
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weir.llm import media, pdf_pages
from weir.llm.bounding import WINDOW, bound, clamp, output_limit
from weir.llm.models import Bound, Dialect

IMAGE = b64encode(b"\x89PNG" + bytes(30_000)).decode()


def bounded(dialect: Dialect, body: dict[str, Any], **more: Any) -> Bound:
    return bound(dialect, body, len(json.dumps(body)), **more)


def says(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "m", "max_tokens": 100, "messages": [{"role": "user", "content": text}], **more}


@given(st.text(max_size=60))
@settings(max_examples=50, deadline=None)
def test_text_is_at_most_a_token_a_byte(text: str) -> None:
    found = bounded("anthropic", says(text))
    assert found.input >= len(text.encode("utf-8", "surrogatepass"))
    assert 1 <= found.likely_input <= found.input
    assert found.output == 100


def test_what_is_likely_is_a_quarter_of_the_bytes() -> None:
    found = bounded("anthropic", says("x" * 4_000))
    assert 1_000 <= found.likely_input <= 1_050


IMAGES: list[tuple[Dialect, dict[str, Any]]] = [
    ("anthropic", {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": IMAGE}}),
    (
        "anthropic",
        {
            "type": "tool_result",
            "tool_use_id": "t",
            "content": [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": IMAGE}}],
        },
    ),
    ("openai", {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{IMAGE}"}}),
    ("converse", {"image": {"format": "png", "source": {"bytes": IMAGE}}}),
    ("converse", {"toolResult": {"toolUseId": "t", "content": [{"image": {"source": {"bytes": IMAGE}}}]}}),
    ("invoke", {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": IMAGE}}),
]


@pytest.mark.parametrize(("dialect", "block"), IMAGES)
def test_an_image_counts_by_what_it_can_be_and_not_by_its_base64(dialect: Dialect, block: dict[str, Any]) -> None:
    # Given two of the same, and a model of Claude's
    body = {"messages": [{"role": "user", "content": [block, block]}]}
    # When
    found = bounded(dialect, body, models=["claude-opus-4-7"])
    # Then
    each = media.OTHER_IMAGE if dialect == "openai" else media.CLAUDE_IMAGE
    assert 2 * each <= found.input <= 2 * each + 800
    assert found.likely_input < 2 * media.LIKELY_IMAGE + 200


def test_the_dearest_of_the_providers_that_it_may_go_to_counts() -> None:
    body = {"messages": [{"role": "user", "content": [IMAGES[0][1]]}]}
    assert bounded("anthropic", body).input < bounded("anthropic", body, kinds=("anthropic", "gemini")).input
    mini = bounded("openai", {"messages": [{"content": [IMAGES[2][1]]}]}, models=["gpt-4o-mini-2024-07-18"])
    assert mini.input >= media.GPT_4O_MINI_IMAGE


def pdf(pages: int, compressed: bool = False) -> str:
    objects = b"".join(b"%d 0 obj << /Type /Page /Parent 1 0 R >> endobj\n" % number for number in range(pages))
    tree = b"1 0 obj << /Type /Pages /Count %d >> endobj\n" % pages + objects
    if compressed:
        tree = b"9 0 obj << /Type /ObjStm /Filter /FlateDecode >>\nstream\r\n" + zlib.compress(tree) + b"\nendstream"
    return b64encode(b"%PDF-1.7\n" + tree).decode()


@pytest.mark.parametrize("compressed", [False, True])
def test_a_pdf_counts_by_its_pages(compressed: bool) -> None:
    data = pdf(3, compressed)
    source = {"type": "base64", "media_type": "application/pdf", "data": data}
    body = {"messages": [{"role": "user", "content": [{"type": "document", "source": source}]}]}
    found = bounded("anthropic", body)
    assert found.input - 3 * (media.PAGE_TEXT + media.CLAUDE_IMAGE) in range(400)
    converse = {"messages": [{"content": [{"document": {"format": "pdf", "name": "d", "source": {"bytes": data}}}]}]}
    assert bounded("converse", converse, models=["anthropic.claude"]).input in range(
        found.input - 200, found.input + 200
    )


@pytest.mark.parametrize(
    "raw",
    [
        b"nonsense",
        b"%PDF /Encrypt /Type /Page ",
        b"/Type /ObjStm stream\nnot zlib",
        b"/Type /ObjStm no stream",
        b"/Type /ObjStm >>\nstream\n" + zlib.compress(b"/Type /Page " + bytes(5_000_000)),
    ],
)
def test_pages_that_can_t_be_counted_are_the_most(raw: bytes) -> None:
    assert pdf_pages.count(raw) is None
    document = {"type": "document", "source": {"type": "base64", "data": b64encode(raw).decode()}}
    found = bounded("anthropic", {"messages": [{"role": "user", "content": [document]}]})
    assert found.input >= media.MOST_PAGES * media.PAGE_TEXT
    assert found.likely_input < 30_000


def test_documents_of_other_kinds_count_by_their_bytes() -> None:
    def document(kind: str, source: dict[str, Any]) -> Bound:
        block = {"document": {"format": kind, "name": "d", "source": source}}
        return bounded("converse", {"messages": [{"content": [block]}]})

    data = b64encode(bytes(3_000)).decode()
    assert document("txt", {"bytes": data}).input in range(4_000, 4_400)
    assert document("docx", {"bytes": data}).input in range(40_000, 40_400)
    assert document("txt", {"text": "hello"}).input < 400
    assert document("txt", {"s3Location": {"uri": "s3://b/k"}}).input > WINDOW


AT_THE_PROVIDER: list[tuple[Dialect, dict[str, Any], str, int]] = [
    ("anthropic", says("hi", tools=[{"type": "web_search_20250305", "name": "web_search"}]), "", 10 * WINDOW),
    ("anthropic", says("hi", mcp_servers=[{"type": "url", "url": "https://example.com"}]), "", 10 * WINDOW),
    ("openai", says("hi", web_search_options={"search_context_size": "low"}), "", WINDOW),
    ("openai", says("hi", web_search_options={}), "", WINDOW),
    ("openai", says("hi"), "gpt-4o-search-preview", WINDOW),
    (
        "converse",
        {"additionalModelRequestFields": {"tools": [{"type": "web_search_20250305", "name": "web_search"}]}},
        "",
        10 * WINDOW,
    ),
    ("converse", {"promptVariables": {"a": {"text": "b"}}}, "", WINDOW),
    ("converse", {}, "arn:aws:bedrock:us-east-1:123456789012:prompt/PROMPT12345:1", WINDOW),
    ("converse", {"toolConfig": {"tools": [{"systemTool": {"name": "nova_grounding"}}]}}, "", WINDOW),
    ("gemini", {"contents": [], "cachedContent": "cachedContents/1"}, "", WINDOW),
]


@pytest.mark.parametrize(("dialect", "body", "model", "least"), AT_THE_PROVIDER)
def test_what_comes_to_the_input_at_the_provider_is_bounded_by_its_window(
    dialect: Dialect, body: dict[str, Any], model: str, least: int
) -> None:
    found = bounded(dialect, body, models=[model])
    assert least <= found.input < least + 5_000
    assert found.likely_input < 200


def test_tools_bring_a_system_prompt_of_their_own() -> None:
    tool = {"name": "get_weather", "input_schema": {"type": "object"}}
    with_tool = bounded("anthropic", says("hi", tools=[tool])).input
    assert with_tool >= bounded("anthropic", says("hi")).input + 530
    assert bounded("anthropic", says("hi", tools=[{"type": "bash_20250124", "name": "bash"}])).input > with_tool


FIVE, HOUR = {"type": "ephemeral"}, {"type": "ephemeral", "ttl": "1h"}
CACHED: list[tuple[Dialect, dict[str, Any], str]] = [
    ("anthropic", says("hi"), ""),
    ("anthropic", says("hi", system=[{"type": "text", "text": "a", "cache_control": FIVE}]), "5m"),
    ("anthropic", says("hi", tools=[{"name": "a", "cache_control": HOUR}]), "1h"),
    ("anthropic", says("hi", cache_control=HOUR), "1h"),
    ("anthropic", {"messages": [{"content": [{"type": "text", "text": "a", "cache_control": FIVE}]}]}, "5m"),
    ("anthropic", {"messages": [{"content": [{"type": "tool_result", "content": [{"cache_control": HOUR}]}]}]}, "1h"),
    ("converse", {"messages": [{"content": [{"text": "a"}, {"cachePoint": {"type": "default"}}]}]}, "5m"),
    ("converse", {"toolConfig": {"tools": [{"cachePoint": {"type": "default", "ttl": "1h"}}]}}, "1h"),
    ("openai", says("hi"), "5m"),
    ("gemini", {"contents": []}, ""),
]


@pytest.mark.parametrize(("dialect", "body", "write"), CACHED)
def test_the_longest_cache_that_is_asked_for_is_what_the_input_may_cost(
    dialect: Dialect, body: dict[str, Any], write: str
) -> None:
    assert bounded(dialect, body).cache_write == write


LIMITS: list[tuple[Dialect, dict[str, Any], int | None]] = [
    ("anthropic", {"max_tokens": 7}, 7),
    ("anthropic", {"max_tokens": 0}, 0),
    ("openai", {"messages": [], "max_completion_tokens": 7, "n": 3}, 21),
    ("openai", {"messages": [], "max_tokens": 7}, 7),
    ("openai", {"messages": []}, None),
    ("openai", {"input": "hello"}, 0),
    ("openai", {"messages": [], "max_completion_tokens": 5, "max_tokens": 7}, 7),
    ("openai", {"messages": [], "max_completion_tokens": 5, "max_tokens": -1}, None),
    ("openai", {"messages": [], "max_tokens": "7", "n": "2"}, 14),
    ("openai", {"messages": [], "max_tokens": 0}, None),
    ("openai", {"messages": [], "max_tokens": float("inf")}, None),
    ("openai", {"messages": [], "max_tokens": [7]}, None),
    ("converse", {"inferenceConfig": {"maxTokens": 7}}, 7),
    ("converse", {"inferenceConfig": {"maxTokens": 7}, "additionalModelRequestFields": {"max_tokens": 9}}, 9),
    ("converse", {"inferenceConfig": {}}, None),
    ("gemini", {"generationConfig": {"maxOutputTokens": 7, "candidateCount": 2}}, 14),
    ("invoke", {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 7}, 7),
    ("invoke", {"prompt": "hi", "max_gen_len": 7}, 7),
    ("invoke", {"inferenceConfig": {"maxTokens": 7}}, 7),
    ("invoke", {"inferenceConfig": {"max_new_tokens": 7}}, 7),
    ("invoke", {"inputText": "hi", "textGenerationConfig": {"maxTokenCount": 7}}, 7),
    ("invoke", {"inputText": "hi"}, None),
]


@pytest.mark.parametrize(("dialect", "body", "limit"), LIMITS)
def test_the_output_is_bounded_by_the_limit_times_the_choices(
    dialect: Dialect, body: dict[str, Any], limit: int | None
) -> None:
    assert output_limit(dialect, body) == limit
    assert bounded(dialect, body).output == limit


@pytest.mark.parametrize(
    ("dialect", "body"),
    [
        *[(dialect, body) for dialect, body, limit in LIMITS if limit is None or limit > 4],
        ("invoke", {"prompt": "hi"}),
        ("invoke", {"schemaVersion": "messages-v1", "messages": []}),
        ("invoke", {"anthropic_version": "bedrock-2023-05-31", "messages": []}),
    ],
)
def test_a_request_is_clamped_to_what_is_affordable(dialect: Dialect, body: dict[str, Any]) -> None:
    before = json.dumps(body)
    clamped = clamp(dialect, body, 4)
    limit = output_limit(dialect, clamped)
    assert limit is not None
    assert limit <= 4
    assert limit >= 3 or "n" in body
    assert json.dumps(body) == before
    if (asked := output_limit(dialect, body)) is not None:
        assert output_limit(dialect, clamp(dialect, body, 1_000_000)) == asked


def test_the_name_of_openai_s_limit_is_the_caller_s_or_as_told() -> None:
    assert clamp("openai", {"max_tokens": 9}, 5) == {"max_tokens": 5}
    assert clamp("openai", {}, 5) == {"max_completion_tokens": 5}
    assert clamp("openai", {}, 5, openai_field="max_tokens") == {"max_tokens": 5}


def test_thinking_is_kept_below_a_lowered_limit() -> None:
    body = {"max_tokens": 16_000, "thinking": {"type": "enabled", "budget_tokens": 10_000}}
    assert clamp("anthropic", body, 12_000)["thinking"] == body["thinking"]
    assert clamp("anthropic", body, 5_000)["thinking"] == {"type": "enabled", "budget_tokens": 4_999}
    assert clamp("anthropic", body, 500)["thinking"] == {"type": "disabled"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
        ["messages", "content", "type", "source", "tools", "system", "input", "max_tokens", "n", "image", "document",
         "toolResult", "toolConfig", "inferenceConfig", "file", "image_url", "contents", "parts", "bytes", "data"]
    ), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(
    st.sampled_from(["anthropic", "openai", "converse", "invoke", "gemini"]), JSON.filter(lambda v: isinstance(v, dict))
)
def test_requests_of_any_shape_are_bounded(dialect: Dialect, body: dict[str, Any]) -> None:
    found = bounded(dialect, body)
    assert found.input >= found.likely_input >= 1
    limit = output_limit(dialect, clamp(dialect, body, 5))
    assert limit is not None
    assert limit <= 5 or "n" in body


@pytest.mark.parametrize(
    ("dialect", "body", "fee"),
    [
        ("anthropic", {"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "web_search_20250305"),
        ("anthropic", {"tools": [{"name": "mine"}, {"type": "code_execution_20250825"}]}, "code_execution_20250825"),
        ("invoke", {"tools": [{"type": "web_search_20250305"}]}, "web_search_20250305"),
        ("anthropic", {"tools": [{"type": "advisor_20260301", "name": "advisor"}]}, "advisor_20260301"),
        ("openai", {"web_search_options": {}}, "web_search_options"),
        ("openai", {"web_search_options": None}, ""),
        ("converse", {"toolConfig": {"tools": [{"systemTool": {"name": "nova_grounding"}}]}}, "systemTool"),
        ("converse", {"additionalModelRequestFields": {"tools": [{"type": "web_search_1"}]}}, "web_search_1"),
        ("anthropic", {"tools": [{"type": "web_fetch_20250910"}, {"type": "custom", "name": "web_search"}]}, ""),
        ("converse", {"toolConfig": {"tools": [{"toolSpec": {"name": "web_search"}}]}}, ""),
        ("openai", {"tools": [{"type": "function", "function": {"name": "web_search"}}]}, ""),
        ("anthropic", {}, ""),
    ],
)
def test_a_tool_that_is_charged_by_its_use_is_told_by_name(dialect: Dialect, body: dict[str, Any], fee: str) -> None:
    assert bound(dialect, body, 100).fee == fee


def test_any_target_of_a_route_may_come_to_serve_it() -> None:
    # Given a chat with an image that may go to either of two models
    asked = {"messages": [{"content": [IMAGES[2][1]]}]}
    small, mini, searching = "gpt-4o", "gpt-4o-mini-2024-07-18", "gpt-5-search-api"
    # Then it is bounded by the one for which the image is more, in whatever order
    most = bounded("openai", asked, models=[mini]).input
    assert most > bounded("openai", asked, models=[small]).input
    assert (
        bounded("openai", asked, models=[small, mini]).input
        == bounded("openai", asked, models=[mini, small]).input
        == most
    )
    # And a fee of the second is told
    assert bounded("openai", asked, models=[small]).fee == ""
    assert bounded("openai", asked, models=[small, searching]).fee == "web_search_options"
