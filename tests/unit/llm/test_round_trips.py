"""What is written in a dialect is read again as what it was."""

import json
from dataclasses import replace

from botocore.session import get_session
from botocore.validate import ParamValidator
from hypothesis import assume, given, settings

from tests.unit.llm.conversations import conversations
from weir.llm import anthropic, converse, openai
from weir.llm.conversation import Conversation, Document, ToolResult, merged
from weir.llm.translating import translate

CONVERSE_SHAPE = get_session().get_service_model("bedrock-runtime").operation_model("Converse").input_shape


def told_apart(conversation: Conversation) -> bool:
    """Whether no two documents have one name, which Converse does not take: they are numbered for it."""
    blocks = [block for one in conversation.messages for block in one.blocks]
    inner = [block for one in blocks if isinstance(one, ToolResult) for block in one.content]
    names = [one.name.lower() for one in [*blocks, *inner] if isinstance(one, Document)]
    return len(set(names)) == len(names)


@given(conversations(cached=True, signed=True, rich_results=True, addresses=True))
@settings(max_examples=25, deadline=None)
def test_messages_come_back_from_a_round_trip(conversation: Conversation) -> None:
    assert anthropic.parse_request(json.loads(json.dumps(anthropic.write_request(conversation, "m")))) == conversation


@given(conversations(addresses=True, named_schema=True))
@settings(max_examples=25, deadline=None)
def test_chat_completions_come_back_from_a_round_trip(conversation: Conversation) -> None:
    body = json.loads(json.dumps(openai.write_request(conversation, "m")))
    found = openai.parse_request(body)
    # a turn of results and words is two messages there
    once = replace(found, messages=tuple(merged(found.messages)))
    assert once == conversation


@given(conversations(cached=True, signed=True, rich_results=True, named_schema=True))
@settings(max_examples=25, deadline=None)
def test_converse_comes_back_from_a_round_trip_and_is_what_botocore_takes(conversation: Conversation) -> None:
    assume(told_apart(conversation))
    body = json.loads(json.dumps(converse.write_request(conversation, "anthropic.claude-opus-4-7")))
    assert converse.parse_request(body) == conversation
    report = ParamValidator().validate({"modelId": "anthropic.claude-opus-4-7", **body}, CONVERSE_SHAPE)
    assert not report.has_errors(), report.generate_report()


@given(conversations(cached=True, rich_results=False))
@settings(max_examples=15, deadline=None)
def test_a_request_by_way_of_another_dialect_is_the_same_request(conversation: Conversation) -> None:
    assume(told_apart(conversation))
    body = json.loads(json.dumps(anthropic.write_request(conversation, "m")))
    there = json.loads(translate(body, "anthropic", "converse", "anthropic.claude", stream=False))
    assert json.loads(translate(there, "converse", "anthropic", "m", stream=False)) == body
