"""Prompts: templates that people edit, version by version; two are shipped and are always there.

A version never changes. Of two who edit one version at once, the second is told so (``If-Match``). What is shipped is
version 1 of its prompt: an edit makes version 2, and a deletion takes all edits away.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any
from uuid import uuid4

from weir.analysis.analyses.shapes import SCHEMA, SHAPES
from weir.analysis.telling.model import ModelUnavailable
from weir.runtime.clock import Clock, parse_rfc3339, rfc3339
from weir.runtime.dynamodb import Item, Table, Write
from weir.runtime.errors import Conflict, FieldError, Forbidden, Invalid, NotFound, PreconditionFailed
from weir.runtime.http import Principal

__all__ = ["FINDINGS", "QUESTION", "Draft", "Prompt", "PromptChanged", "PromptExists", "PromptNotFound", "Prompts"]

FINDINGS, QUESTION = "findings", "question"
LIST = "PROMPTS"
MOST_TEMPLATE = 16_000
"""Characters."""

MOST_VARIABLES = 30
_VARIABLE = re.compile(r"[a-z][a-z0-9_]{0,39}")


class PromptNotFound(NotFound):
    """No prompt of this id, or no such version of it."""

    slug, title = "prompt-not-found", "No such prompt"


class PromptExists(Conflict):
    """The id is taken."""

    slug, title = "prompt-exists", "The prompt exists already"


class PromptChanged(PreconditionFailed):
    """It has another version than ``If-Match`` names."""

    slug, title = "prompt-changed", "The prompt was changed meanwhile"


@dataclass(frozen=True, slots=True)
class Draft:
    """What somebody wants a prompt to be."""

    description: str
    variables: tuple[str, ...]
    template: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """A version of a prompt. ``shipped`` is one that is part of Weir; ``owner`` made the prompt, ``by`` this version.

    ``born`` tells prompts apart that had one id after each other.
    """

    prompt_id: str
    version: int
    description: str
    variables: tuple[str, ...]
    template: str
    owner: str = ""
    by: str = ""
    at: datetime | None = None
    shipped: bool = False
    born: str = ""

    @property
    def etag(self) -> str:
        """Its entity tag."""
        return f'"{self.version}"'


def prompt_key(prompt_id: str) -> dict[str, str]:
    """The key of a prompt's newest version."""
    return {"pk": f"PROMPT#{prompt_id}", "sk": "PROMPT"}


def version_key(prompt_id: str, version: int) -> dict[str, str]:
    """The key of a version of a prompt."""
    return {"pk": f"PROMPT#{prompt_id}", "sk": f"V#{version:06d}"}


@lru_cache(maxsize=1)
def shipped() -> Mapping[str, Prompt]:
    """The prompts that are part of Weir, by id."""
    told = {FINDINGS: "How an analysis is told", QUESTION: "How a question about an analysis is answered"}
    variables = {FINDINGS: ("findings", "sentences", "streams"), QUESTION: ("sentences", "streams")}
    folder = Path(__file__).with_name("defaults")
    return {
        name: Prompt(name, 1, told[name], variables[name], (folder / f"{name}.j2").read_text("utf-8"), shipped=True)
        for name in told
    }


class Prompts:
    """All prompts, in the analyses table."""

    def __init__(self, table: Table, clock: Clock) -> None:
        self._table, self._clock = table, clock

    def get(self, prompt_id: str, version: int | None = None) -> Prompt:
        """A prompt in its newest version, or the one that is named. PromptNotFound."""
        keys = [prompt_key(prompt_id)] if version is None else [prompt_key(prompt_id), version_key(prompt_id, version)]
        found = {item["sk"]: SHAPES.current(item) for item in self._table.get_many(keys)}
        head, named = found.get(keys[0]["sk"]), found.get(keys[-1]["sk"])
        # A version without its prompt, or past it, is what a deletion has not come to.
        if head is not None and named is not None and named["version"] <= head["version"]:
            return _prompt_of(named)
        default = shipped().get(prompt_id)
        if default is None or version not in {None, default.version}:
            told = f" in version {version}" if version is not None else ""
            raise PromptNotFound(f"There is no prompt {prompt_id!r}{told}.")
        return default

    def page(self, limit: int, after: Mapping[str, Any] | None) -> tuple[list[Prompt], Item | None]:
        """Those that are shipped and were never edited, then all others by id; and where to go on."""
        found: list[Prompt] = []
        begun = 0 if after is None else after.get("shipped")
        if begun is not None:
            untouched = [one for name, one in shipped().items() if self._table.get(prompt_key(name)) is None]
            found, after = untouched[begun : begun + limit], None
            if len(found) == limit:
                return found, {"shipped": begun + limit}
        listed = {"list": LIST}
        items, last = self._table.page(
            "#list = :list", listed, limit=limit - len(found), after=after, index="listing", names={"list": "list"}
        )
        return found + [_prompt_of(item) for item in items], last

    def create(self, prompt_id: str, draft: Draft, who: Principal) -> Prompt:
        """A new prompt.

        Raises
        ------
        PromptExists
            Its id is taken.
        Invalid
            The template can't be one: of ``rendering.check``.
        """
        made = self._made(prompt_id, 1, draft, who, owner=who.sub, born=uuid4().hex)
        if prompt_id in shipped() or not self._stored(made, "attribute_not_exists(pk)", {}):
            raise PromptExists(f"There is a prompt {prompt_id!r} already; change it by PUT.")
        return made

    def change(self, prompt_id: str, draft: Draft, who: Principal, if_match: str | None) -> Prompt:
        """The next version of a prompt.

        Raises
        ------
        PromptNotFound
        Forbidden
            It is somebody else's, or shipped and the caller no admin.
        PromptChanged
            Without ``if_match``, or where it names another version.
        Invalid
            As of ``create``.
        """
        before = self.get(prompt_id)
        _check_owner(before, who)
        _check_match(before, if_match)
        born = before.born or uuid4().hex
        after = self._made(prompt_id, before.version + 1, draft, who, owner=before.owner, born=born)
        read = {"read": before.version, "born": before.born}
        when = "attribute_not_exists(pk)" if before.shipped else "version = :read AND born = :born"
        if not self._stored(after, when, {} if before.shipped else read):
            raise _changed(self.get(prompt_id))
        return after

    def delete(self, prompt_id: str, who: Principal, if_match: str | None) -> None:
        """Take a prompt away, its newest version first: what dies in between leaves versions that nobody is told of.

        Raises
        ------
        PromptNotFound, Forbidden, PromptChanged
            As of ``change``.
        Invalid
            It is shipped, and nobody has changed it.
        """
        before = self.get(prompt_id)
        _check_owner(before, who)
        if before.shipped:
            told = "is part of Weir; there are no changes of it to take away"
            raise Invalid(f"The prompt {prompt_id!r} {told}.", errors=[FieldError("prompt_id", told)])
        _check_match(before, if_match)
        read = {"read": before.version, "born": before.born}
        if not self._table.delete(prompt_key(prompt_id), "version = :read AND born = :born", read).done:
            raise _changed(self.get(prompt_id))
        born = {"born": before.born}  # one of the same id may be made meanwhile: its versions stay
        for item in self._table.all("pk = :pk AND begins_with(sk, :v)", {"pk": f"PROMPT#{prompt_id}", "v": "V#"}):
            self._table.delete({"pk": item["pk"], "sk": item["sk"]}, "born = :born", born)

    def _made(self, prompt_id: str, version: int, draft: Draft, who: Principal, *, owner: str, born: str) -> Prompt:
        if wrong := [name for name in draft.variables if not _VARIABLE.fullmatch(name)]:
            told = f"{wrong[0]!r} is no name: lower-case letters, digits and _, at most 40"
            raise Invalid(f"The prompt can't be used: {told}.", errors=[FieldError("variables", told)])
        if len(draft.template) > MOST_TEMPLATE:
            told = f"must have at most {MOST_TEMPLATE:,} characters"
            raise Invalid(f"The prompt can't be used: {told}.", errors=[FieldError("template", told)])
        from weir.analysis.telling import rendering  # loads Jinja2, which reading and listing need not

        rendering.check(draft.template, draft.variables)
        return Prompt(
            prompt_id,
            version,
            draft.description,
            draft.variables,
            draft.template,
            owner=owner,
            by=who.sub,
            at=parse_rfc3339(rfc3339(self._clock.now())),  # as it is read back
            born=born,
        )

    def _stored(self, prompt: Prompt, when: str, values: Mapping[str, Any]) -> bool:
        """Store a version, and that it is the newest; False where the condition does not hold."""
        head = {**_item(prompt), **prompt_key(prompt.prompt_id), "list": LIST, "at": prompt.prompt_id}
        kept = {**_item(prompt), **version_key(prompt.prompt_id, prompt.version)}
        return not self._table.transact([Write(put=head, when=when, values=values), Write(put=kept)])


def _check_owner(prompt: Prompt, who: Principal) -> None:
    if not who.owns(prompt.owner or None):
        whose = "part of Weir: an admin may change it" if not prompt.owner else "somebody else's"
        raise Forbidden(f"The prompt {prompt.prompt_id!r} is {whose}. Create one of your own.")


def _check_match(prompt: Prompt, if_match: str | None) -> None:
    tags = [] if if_match is None else [tag.strip() for tag in if_match.split(",")]
    if tags != ["*"] and prompt.etag not in tags:
        raise _changed(prompt)


def _changed(prompt: Prompt) -> PromptChanged:
    told = f"The prompt {prompt.prompt_id!r} is in version {prompt.version}: read it, and send If-Match: {prompt.etag}"
    return PromptChanged(told, etag=prompt.etag)


def _item(prompt: Prompt) -> Item:
    return {
        "schema": SCHEMA,
        "prompt_id": prompt.prompt_id,
        "version": prompt.version,
        "description": prompt.description,
        "variables": list(prompt.variables),
        "template": prompt.template,
        "made_by": prompt.owner,  # no owner: the index of that name is of analyses
        "by": prompt.by,
        "born": prompt.born,
        "changed_at": rfc3339(prompt.at) if prompt.at else None,
    }


def _prompt_of(item: Mapping[str, Any]) -> Prompt:
    item = SHAPES.current(item)
    return Prompt(
        prompt_id=item["prompt_id"],
        version=item["version"],
        description=item["description"],
        variables=tuple(item["variables"]),
        template=item["template"],
        owner=item["made_by"],
        by=item["by"],
        born=item["born"],
        at=parse_rfc3339(item["changed_at"]) if item["changed_at"] else None,
    )


def with_text(prompt: Prompt, **values: Any) -> str:
    """The text of a prompt for some of Weir's own values: those that it names.

    ModelUnavailable where it can't be made of them, as an edited template may: an analysis is told all the same.
    """
    from weir.analysis.telling import rendering

    try:
        return rendering.render(
            prompt.template, prompt.variables, {name: values.get(name, "") for name in prompt.variables}
        )
    except Invalid as error:
        raise ModelUnavailable(f"The prompt {prompt.prompt_id!r} has no text for these values.") from error
