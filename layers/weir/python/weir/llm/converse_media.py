"""Images and documents of Bedrock's Converse, in requests.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_DocumentBlock.html
"""

import re
from base64 import b64encode
from typing import Any

from weir.llm.conversation import Document, Image
from weir.llm.dialect_errors import Untranslatable
from weir.llm.fields import Fields, malformed

_DOCUMENTS = {
    "pdf": "application/pdf",
    "txt": "text/plain",
    "csv": "text/csv",
    "html": "text/html",
    "md": "text/markdown",
    "doc": "application/msword",
    "xls": "application/vnd.ms-excel",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
_FORMATS = {media_type: name for name, media_type in _DOCUMENTS.items()}
_IMAGES = ("png", "jpeg", "gif", "webp")
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9 ()\[\]-]+")
_MOST_NAME = 190
"""Characters, of the 200 that there may be: the rest is for a number."""


def read_image(fields: Fields) -> Image:
    """An image of a request."""
    form, data = fields.needed("format"), _source(fields)
    if form not in _IMAGES:
        raise malformed(fields.at("format"), "must be png, jpeg, gif or webp")
    return Image(f"image/{form}", data)


def read_document(fields: Fields) -> Document:
    """A document of a request, as bytes or text."""
    source, name = fields.fields("source"), fields.text("name")
    media_type = _DOCUMENTS.get(fields.text("format", "txt"))
    if media_type is None:
        raise malformed(fields.at("format"), "is no format of documents")
    if source.has("text"):
        found = Document(media_type, text=source.text("text"), name=name)
    else:
        found = Document(media_type, data=source.text("bytes"), name=name)
    source.done()
    if fields.has("citations"):
        citations = fields.fields("citations")
        citations.plain("enabled", False)
        citations.done()
    return found


def _source(fields: Fields) -> str:
    source = fields.fields("source")
    data = source.text("bytes")
    source.done()
    return data


def written_image(image: Image) -> dict[str, Any]:
    """An image in a request. Untranslatable where it is of another format."""
    media_type = image.media_type
    form = media_type.removeprefix("image/").replace("jpg", "jpeg")
    if form not in _IMAGES:
        raise Untranslatable("messages", f"{media_type!r:.80} is no image that this model's provider takes")
    return {"format": form, "source": {"bytes": image.data}}


def written_document(document: Document) -> dict[str, Any]:
    """A document in a request, with a name as they may be. Untranslatable where it is of another format."""
    form = _FORMATS.get(document.media_type)
    if form is None:
        raise Untranslatable("messages", f"{document.media_type!r:.80} is no document that this model's provider takes")
    data = document.data or b64encode(document.text.encode()).decode()
    name = re.sub("  +", " ", _NOT_IN_NAMES.sub("-", document.name))[:_MOST_NAME].strip() or "document"
    return {"format": form, "name": name, "source": {"bytes": data}}


def tell_apart(messages: list[dict[str, Any]]) -> None:
    """Number documents of one name: Bedrock takes no two of them in a request, in whatever case."""
    blocks = [block for one in messages for block in one["content"]]
    every = [inner for one in blocks for inner in (one["toolResult"]["content"] if "toolResult" in one else [one])]
    taken: set[str] = set()
    for document in (one["document"] for one in every if "document" in one):
        name, number = document["name"], 1
        while document["name"].lower() in taken:
            number += 1
            document["name"] = f"{name} {number}"
        taken.add(document["name"].lower())
