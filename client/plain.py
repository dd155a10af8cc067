"""Texts of other people on the terminal: what would command it, or turn the order of its letters, is shown by name."""

import json
import re
from typing import Any, Self

from rich import text
from rich.console import Console
from rich.highlighter import JSONHighlighter
from rich.style import StyleType

__all__ = ["Text", "plain", "print_json"]

_COMMANDS = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Unicode's Cc but the newline, the Cf that turn the direction, and halves of characters, which no terminal takes."""


def plain(words: str) -> str:
    """Words as they are, with ``\\uXXXX`` for each character that a terminal would obey; the same in JSON's strings."""
    return _COMMANDS.sub(lambda found: f"\\u{ord(found[0]):04x}", words)


class Text(text.Text):
    """Rich's text, of which no part commands the terminal."""

    def __init__(self, words: str = "", style: StyleType = "", **options: Any) -> None:
        super().__init__(plain(words), style, **options)

    def append(self, words: text.Text | str, style: StyleType | None = None) -> Self:
        """More words at the end."""
        super().append(plain(words) if isinstance(words, str) else words, style)
        return self


def print_json(found: Any, console: Console) -> None:
    """What was found as JSON, for a program or a person."""
    words = plain(json.dumps(found, indent=2, ensure_ascii=False))
    console.print(JSONHighlighter()(words), soft_wrap=True)
