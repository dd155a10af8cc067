"""What telling and asking want of a language model: text for instructions and data, or a reason why there is none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

__all__ = ["Model", "ModelUnavailable", "Said"]


class ModelUnavailable(Exception):
    """No model answers: none is configured, it can't be reached, or a cap is used up. The message is told to people."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a model said, and which."""

    text: str
    model: str


class Model(Protocol):
    """A language model behind its name."""

    def ask(self, instructions: str, data: str, most_tokens: int) -> Said:
        """Its answer to instructions about data, of at most so many tokens. ModelUnavailable."""
