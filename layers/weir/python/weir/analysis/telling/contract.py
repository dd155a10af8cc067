"""What the routes of prompts and questions take and answer."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from weir.analysis.telling.asking import MOST_QUESTION, Answered
from weir.analysis.telling.prompts import MOST_TEMPLATE, MOST_VARIABLES, Draft, Prompt

PROMPT_ID = r"^[a-z0-9][a-z0-9-]{0,63}$"


def _each_once(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(set(names)))


Id = Annotated[str, Field(pattern=PROMPT_ID, description="Lower-case letters, digits and -")]
Variables = Annotated[
    tuple[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")], ...],
    Field(max_length=MOST_VARIABLES, description="Names that the template uses; whoever renders it gives each a value"),
    AfterValidator(_each_once),
]
Template = Annotated[
    str,
    Field(
        min_length=1,
        max_length=MOST_TEMPLATE,
        description="Jinja2: texts, {{ values }}, filters, if and for; no calls, macros, imports or arithmetic",
    ),
]


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PromptDraft(_Body):
    """What a prompt shall be."""

    description: Annotated[str, Field(max_length=500)] = ""
    variables: Variables = ()
    template: Template

    def draft(self) -> Draft:
        """As the rules take it."""
        return Draft(self.description, self.variables, self.template)


class NewPrompt(PromptDraft):
    """A prompt to create."""

    prompt_id: Id


class PromptView(_Body):
    """A version of a prompt."""

    prompt_id: str
    version: int
    description: str
    variables: tuple[str, ...]
    template: str
    owner: str = Field(description="User id; empty for one that is part of Weir")
    changed_by: str
    changed_at: datetime | None
    shipped: bool = Field(description="Part of Weir, and not changed")
    etag: str = Field(description="For If-Match")


class PromptPage(_Body):
    """A page of prompts, each in its newest version."""

    items: tuple[PromptView, ...]
    cursor: str | None = Field(description="For the next page; null on the last")


class RenderAsked(_Body):
    """Values to render a prompt with."""

    values: dict[Annotated[str, Field(max_length=40)], Any] = Field(description="One for each variable", max_length=50)
    version: Annotated[int, Field(strict=True, ge=1)] | None = Field(None, description="The newest, where left out")


class Rendered(_Body):
    """The text of a prompt."""

    prompt_id: str
    version: int
    text: str


class Question(_Body):
    """A question about an analysis."""

    question: Annotated[str, Field(min_length=1, max_length=MOST_QUESTION)]


class Sentence(_Body):
    """A sentence, and the ids of the facts that it rests on."""

    text: str
    facts: tuple[str, ...]


class UsedFact(BaseModel):
    """A fact that an answer rests on."""

    model_config = ConfigDict(frozen=True, extra="allow")

    id: str
    stream: str
    name: str
    value: Any
    unit: str


class AnswerView(_Body):
    """An answer from the facts of an analysis."""

    question: str
    answer: str
    sentences: tuple[Sentence, ...]
    facts: tuple[UsedFact, ...] = Field(description="All that the answer rests on")
    related: tuple[str, ...] = Field(description="Questions that its findings give rise to")
    by: str = Field(description="model or template")
    model: str
    note: str = Field(description="Why it is no model's, or what was left out of one's")


def prompt_view(prompt: Prompt) -> PromptView:
    """A prompt as it is answered."""
    return PromptView(
        prompt_id=prompt.prompt_id,
        version=prompt.version,
        description=prompt.description,
        variables=prompt.variables,
        template=prompt.template,
        owner=prompt.owner,
        changed_by=prompt.by,
        changed_at=prompt.at,
        shipped=prompt.shipped,
        etag=prompt.etag,
    )


def answer_view(answered: Answered) -> AnswerView:
    """An answer as it is answered."""
    return AnswerView.model_validate(answered.to_dict())
