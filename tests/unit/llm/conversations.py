"""Conversations of every shape that a dialect has words for, for round trips."""

from hypothesis import strategies as st

from weir.llm.conversation import (
    Conversation,
    Document,
    Image,
    Message,
    Redacted,
    Schema,
    Text,
    Thinking,
    Tool,
    ToolChoice,
    ToolResult,
    ToolUse,
    merged,
)

WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6)
NAMES = st.text("abcxyz", min_size=1, max_size=4)
BASE64 = st.sampled_from(["aGVsbG8=", "AAAA", "d29ybGQ="])
OBJECTS = st.dictionaries(
    NAMES, st.none() | st.booleans() | st.integers() | WORDS | st.lists(WORDS, max_size=2), max_size=3
)
SCHEMAS = st.fixed_dictionaries({"type": st.just("object"), "properties": st.dictionaries(NAMES, OBJECTS, max_size=2)})
UNIT = st.floats(0, 1)


@st.composite
def conversations(
    draw: st.DrawFn,
    *,
    cached: bool = False,
    signed: bool = False,
    rich_results: bool = False,
    addresses: bool = False,
    named_schema: bool = False,
) -> Conversation:
    """Conversations, their turns taken in turn.

    ``cached`` with marks for caching, ``signed`` with thinking that has a signature, ``rich_results`` with images from
    tools and failures, ``addresses`` with images by address.
    """
    caches = st.sampled_from([None, "5m", "1h"]) if cached else st.none()
    images = st.builds(Image, st.sampled_from(["image/png", "image/jpeg"]), BASE64, cache=caches)
    images = images | st.builds(Image, url=st.just("https://example.com/a.png"), cache=caches) if addresses else images
    texts = st.builds(Text, WORDS, caches)
    documents = st.builds(Document, st.just("application/pdf"), BASE64, name=NAMES, cache=caches)
    result_blocks = st.lists(st.builds(Text, WORDS), min_size=1, max_size=2)
    if rich_results:
        result_blocks = st.lists(st.builds(Text, WORDS) | st.builds(Image, st.just("image/png"), BASE64), max_size=2)
    results = st.builds(
        ToolResult, NAMES, result_blocks.map(tuple), st.booleans() if rich_results else st.just(False), caches
    )
    uses = st.builds(ToolUse, NAMES, NAMES, OBJECTS, caches)
    thoughts = st.builds(Thinking, WORDS, WORDS) | st.builds(Redacted, BASE64)
    messages: list[Message] = []
    for number in range(draw(st.integers(1, 4))):
        if number % 2 == 0:
            blocks = draw(st.lists(results, max_size=2)) + draw(
                st.lists(texts | images | documents, min_size=1, max_size=2)
            )
            messages.append(Message("user", tuple(blocks)))
        else:
            thinking = draw(st.lists(thoughts, max_size=1)) if signed else []
            spoken = draw(st.lists(texts, min_size=1, max_size=1)) + draw(st.lists(uses, max_size=2))
            messages.append(Message("assistant", (*thinking, *spoken)))
    tools = draw(st.lists(st.builds(Tool, NAMES, WORDS, SCHEMAS, st.none() | st.booleans(), caches), max_size=2))
    choices = st.sampled_from([None, ToolChoice("auto"), ToolChoice("any"), ToolChoice("tool", "a")])
    described = st.builds(Schema, SCHEMAS, NAMES, WORDS) if named_schema else st.builds(Schema, SCHEMAS)
    return Conversation(
        messages=tuple(merged(tuple(messages))),
        system=tuple(draw(st.lists(texts, max_size=2))),
        tools=tuple(tools),
        tool_choice=draw(choices) if tools else None,
        max_tokens=draw(st.integers(1, 4096)),
        temperature=draw(st.none() | UNIT),
        top_p=draw(st.none() | UNIT),
        stop=tuple(draw(st.lists(WORDS, max_size=3))),
        effort=draw(st.sampled_from([None, "low", "high"])),
        schema=draw(st.none() | described),
        user=draw(st.none() | NAMES),
    )
