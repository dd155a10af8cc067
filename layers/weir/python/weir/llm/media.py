"""Images and documents in a request, and how many tokens each can be.

Images, by what the providers publish:

- Claude: a token for each 28 x 28 pixels, scaled down to 1,568 tokens, or 4,784 from Opus 4.7 on
  (https://platform.claude.com/docs/en/build-with-claude/vision).
- OpenAI: tiles, at most 8 of them (1,445 tokens with GPT-4o, 48,169 with GPT-4o mini), or patches of 32 x 32 pixels
  up to 10,000 at ``detail: original``, times up to 1.62
  (https://developers.openai.com/api/docs/guides/images-vision).
- Gemini: 258 a tile of 768 x 768 pixels, or up to 2,240 by media resolution
  (https://ai.google.dev/gemini-api/docs/media-resolution).
- Others, through an OpenAI-compatible server or Bedrock: Qwen-VL takes up to 16,384
  (https://huggingface.co/Qwen/Qwen2-VL-7B-Instruct), which is above the rest.

Documents: Claude reads a page of a PDF as up to 3,000 tokens of text and an image, and takes 600 pages
(https://platform.claude.com/docs/en/build-with-claude/pdf-support). Pages are counted where they can be
(`weir.llm.pdf_pages`), else the document counts as the most. Text in base64 is at most a token a byte; what is zipped
(docx, xlsx) seldom unfolds to more than ten times its bytes of prose.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from weir.llm import pdf_pages
from weir.llm.models import Dialect, ProviderKind

CLAUDE_IMAGE = 4_784
GPT_4O_MINI_IMAGE = 48_169
OTHER_IMAGE = 16_384
PAGE_TEXT = 3_000
MOST_PAGES = 600
LIKELY_IMAGE = 1_600
LIKELY_PAGE = 2_400
LIKELY_PAGES = 10
"""Of a document whose pages nobody counted."""

_UNFOLDED = 10


class Item(NamedTuple):
    """One image or document. ``held_bytes`` of the request are its base64; ``pages`` where it is a PDF."""

    kind: str
    held_bytes: int
    pages: int = 0


def most_tokens(item: Item, provider: ProviderKind, model: str) -> int:
    """An upper bound of an item's tokens with a provider's model."""
    if item.kind == "image":
        return _image(provider, model)
    if item.kind == "pdf":
        return item.pages * (PAGE_TEXT + _image(provider, model))
    return item.held_bytes * (_UNFOLDED if item.kind == "zip" else 1)


def likely_tokens(item: Item) -> int:
    """What such an item is likely to be."""
    if item.kind == "image":
        return LIKELY_IMAGE
    if item.kind == "pdf":
        return LIKELY_PAGE * (item.pages if item.pages < MOST_PAGES else LIKELY_PAGES)
    return item.held_bytes // 4


def _image(provider: ProviderKind, model: str) -> int:
    if provider == "anthropic" or (provider == "bedrock" and "claude" in model):
        return CLAUDE_IMAGE
    return GPT_4O_MINI_IMAGE if "4o-mini" in model else OTHER_IMAGE


def found(dialect: Dialect, blocks: list[Any]) -> Iterator[Item]:
    """The images and documents among the blocks of a message, those within results of tools too."""
    read = _READ[dialect]
    for block in blocks:
        if isinstance(block, Mapping):
            yield from read(block)


def _anthropic(block: Mapping[str, Any]) -> Iterator[Item]:
    kind, source = block.get("type"), block.get("source")
    if kind == "tool_result" and isinstance(block.get("content"), list):
        yield from found("anthropic", block["content"])
    elif kind in ("image", "document") and isinstance(source, Mapping):
        if source.get("type") == "content":
            inner = source.get("content")
            yield from found("anthropic", inner if isinstance(inner, list) else [])
        elif source.get("type") != "text":
            yield _item("image" if kind == "image" else "pdf", source.get("data"))
    elif kind == "container_upload":
        yield Item("pdf", 0, MOST_PAGES)


def _openai(block: Mapping[str, Any]) -> Iterator[Item]:
    if block.get("type") == "image_url":
        image = block.get("image_url")
        url = image.get("url") if isinstance(image, Mapping) else image
        yield _item("image", url if isinstance(url, str) and url.startswith("data:") else None)
    elif block.get("type") == "file" and isinstance(block.get("file"), Mapping):
        yield _item("pdf", block["file"].get("file_data"))


def _converse(block: Mapping[str, Any]) -> Iterator[Item]:
    result = block.get("toolResult")
    if isinstance(result, Mapping) and isinstance(result.get("content"), list):
        yield from found("converse", result["content"])
    image, document, video = block.get("image"), block.get("document"), block.get("video")
    if isinstance(image, Mapping):
        yield _item("image", _bytes(image))
    if isinstance(document, Mapping):
        source = document.get("source")
        if not isinstance(source, Mapping) or not ({"text", "content"} & source.keys()):
            yield _item(_FORMATS.get(str(document.get("format")), "text"), _bytes(document))
    if isinstance(video, Mapping) and _bytes(video) is None:
        yield Item("pdf", 0, MOST_PAGES)


def _gemini(part: Mapping[str, Any]) -> Iterator[Item]:
    inline, file = part.get("inlineData", part.get("inline_data")), part.get("fileData", part.get("file_data"))
    if isinstance(inline, Mapping):
        mime = str(inline.get("mimeType", inline.get("mime_type")))
        kind = "image" if mime.startswith("image/") else "pdf" if mime == "application/pdf" else "text"
        yield _item(kind, inline.get("data"))
    if isinstance(file, Mapping):
        yield Item("pdf", 0, MOST_PAGES)


def _invoke(block: Mapping[str, Any]) -> Iterator[Item]:
    """Of Claude, of OpenAI's, of Nova: each by its own marks."""
    yield from _anthropic(block)
    yield from _openai(block)
    yield from _converse(block)


_FORMATS = {"pdf": "pdf", "docx": "zip", "xlsx": "zip"}
_READ = {
    "anthropic": _anthropic,
    "openai": _openai,
    "converse": _converse,
    "gemini": _gemini,
    "invoke": _invoke,
}


def _bytes(block: Mapping[str, Any]) -> object:
    source = block.get("source")
    return source.get("bytes") if isinstance(source, Mapping) else None


def _item(kind: str, data: object) -> Item:
    """``data`` base64 (of a data URL too); anything else is elsewhere, and of a size that nobody knows."""
    held = len(data) if isinstance(data, str) else 0
    if kind in ("text", "zip") and not held:
        return Item("pdf", 0, MOST_PAGES)
    if kind != "pdf":
        return Item(kind, held)
    pages = pdf_pages.count_base64(data.rpartition(",")[2]) if isinstance(data, str) else None
    return Item("pdf", held, MOST_PAGES if pages is None else min(pages, MOST_PAGES))
