"""A conversation with a model in nobody's dialect: what translating goes through.

It holds what at least two dialects have a word for. What only one has is refused on the way in
(`dialect_errors.Untranslatable`), never left out in silence.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from weir.llm.models import Tokens

Cache = Literal["5m", "1h"]
Role = Literal["user", "assistant", "system"]
Stop = Literal["end", "limit", "stop_sequence", "tool_use", "refusal", "window", "pause"]
"""Why an answer ended: of itself, at the limit of output, at a stop sequence, for a tool, by a filter, at the model's
window, or to be gone on with."""


@dataclass(frozen=True, slots=True)
class Text:
    """Plain text."""

    text: str
    cache: Cache | None = None


@dataclass(frozen=True, slots=True)
class Image:
    """An image in base64 with its media type, or at an address. ``detail`` is OpenAI's."""

    media_type: str = ""
    data: str = ""
    url: str = ""
    detail: str = ""
    cache: Cache | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """A document: in base64 with its media type, as text, or at an address."""

    media_type: str
    data: str = ""
    text: str = ""
    url: str = ""
    name: str = ""
    cache: Cache | None = None


@dataclass(frozen=True, slots=True)
class ToolUse:
    """A model's call of a tool."""

    id: str
    name: str
    input: Mapping[str, Any]
    cache: Cache | None = None


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool answered."""

    id: str
    content: tuple["Text | Image | Document", ...]
    failed: bool = False
    cache: Cache | None = None


@dataclass(frozen=True, slots=True)
class Thinking:
    """What a model thought, with the signature by which its maker knows it again."""

    text: str
    signature: str = ""


@dataclass(frozen=True, slots=True)
class Redacted:
    """What a model thought, for its maker's eyes alone."""

    data: str


Block = Text | Image | Document | ToolUse | ToolResult | Thinking | Redacted


@dataclass(frozen=True, slots=True)
class Message:
    """A turn, or words of the system in the midst of them."""

    role: Role
    blocks: tuple[Block, ...]


def merged(messages: tuple[Message, ...]) -> list[Message]:
    """Messages of one role that follow each other as one: a tool's answers have to come in one turn."""
    found: list[Message] = []
    for one in messages:
        if found and found[-1].role == one.role:
            found[-1] = Message(one.role, found[-1].blocks + one.blocks)
        else:
            found.append(one)
    return found


def marked_last(message: Message, cache: Cache) -> Message:
    """A message with its last block that can be cached marked for it."""
    blocks = list(message.blocks)
    for number in range(len(blocks) - 1, -1, -1):
        block = blocks[number]
        if not isinstance(block, Thinking | Redacted):
            blocks[number] = replace(block, cache=block.cache or cache)
            break
    return Message(message.role, tuple(blocks))


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool that the caller runs."""

    name: str
    description: str
    schema: Mapping[str, Any]
    strict: bool | None = None
    cache: Cache | None = None


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """Whether tools are to be used: as the model likes, any, none, or the one of ``name``."""

    kind: Literal["auto", "any", "none", "tool"]
    name: str = ""


@dataclass(frozen=True, slots=True)
class Schema:
    """A JSON schema that the answer has to keep to."""

    schema: Mapping[str, Any]
    name: str = ""
    description: str = ""
    strict: bool | None = None


@dataclass(frozen=True, slots=True)
class Conversation:
    """A request. ``thinking`` is Anthropic's configuration of it, ``effort`` how hard the model is to try."""

    messages: tuple[Message, ...]
    system: tuple[Text, ...] = ()
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tools: bool | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    thinking: Mapping[str, Any] | None = None
    effort: str | None = None
    schema: Schema | None = None
    user: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    stream: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer."""

    id: str
    model: str
    blocks: tuple[Text | ToolUse | Thinking | Redacted, ...]
    stop: Stop
    tokens: Tokens
    stop_sequence: str | None = None


@dataclass(frozen=True, slots=True)
class Started:
    """A stream has begun. ``tokens`` as far as they are known by then."""

    id: str
    model: str
    tokens: Tokens


@dataclass(frozen=True, slots=True)
class BlockStarted:
    """A block begins: text, thinking, a call of a tool (``id``, ``name``), or redacted thinking (``data``)."""

    kind: Literal["text", "thinking", "tool_use", "redacted"]
    id: str = ""
    name: str = ""
    data: str = ""


@dataclass(frozen=True, slots=True)
class Delta:
    """More of the block that was begun last: of its text, its JSON of the tool's input, or the thinking's signature."""

    kind: Literal["text", "thinking", "input", "signature"]
    text: str


@dataclass(frozen=True, slots=True)
class BlockStopped:
    """The block that was begun last has ended."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """The answer has ended."""

    stop: Stop
    stop_sequence: str | None = None


@dataclass(frozen=True, slots=True)
class Used:
    """What the call used, told to its end."""

    tokens: Tokens


@dataclass(frozen=True, slots=True)
class Failed:
    """The stream breaks off with an error."""

    status: int
    message: str


Happening = Started | BlockStarted | Delta | BlockStopped | Stopped | Used | Failed
"""What happens in a stream; blocks follow each other and never overlap."""
