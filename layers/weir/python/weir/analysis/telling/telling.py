"""An analysis in words: a model's, as far as the facts bear them, or else the findings' own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from weir.analysis.telling.document import Numbered, names_in, numbered
from weir.analysis.telling.model import Model, ModelUnavailable
from weir.analysis.telling.prompts import Prompt, with_text
from weir.analysis.telling.statements import MOST_DATA, Statement, state

__all__ = ["Told", "by_template", "tell"]

MOST_SENTENCES = 12
MOST_FINDINGS = 60
"""That the text names one by one; the rest is in the document itself."""


@dataclass(frozen=True, slots=True)
class Told:
    """The text of an analysis.

    ``by`` is ``model`` or ``template``; ``note`` tells people why it is no model's, or what was left out of one's.
    """

    sentences: tuple[Statement, ...]
    by: str
    model: str = ""
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able form."""
        return {
            "by": self.by,
            "model": self.model,
            "note": self.note,
            "sentences": [{"text": one.text, "facts": list(one.facts)} for one in self.sentences],
        }


def tell(document: Mapping[str, Any], model: Model | None, prompt: Prompt) -> Told:
    """An analysis in words. It is always told: without a model that answers, by templates, and the note says so."""
    known = numbered(document)
    if model is None:
        return by_template(known, "No model is configured: these are the findings' own words.")
    data = {"range": document.get("range"), "findings": list(known.findings), "facts": dict(known.facts)}
    data = shortened(data, known)
    counts = {"streams": len(known.streams), "findings": len(known.findings), "sentences": MOST_SENTENCES}
    try:
        instructions = with_text(prompt, **counts)
        said = state(model, instructions, data, data["facts"], names_in(document))
    except ModelUnavailable as error:
        return by_template(known, f"{error} These are the findings' own words.")
    if not said.said:
        return by_template(
            known, "Nothing that the model said is borne by the facts: these are the findings' own words."
        )
    left_out = f"{said.left_out} sentence(s) were left out: the facts do not bear them." if said.left_out else ""
    return Told(said.said, "model", said.model, left_out)


def by_template(known: Numbered, note: str) -> Told:
    """The findings in their own words, the worst first."""
    told = [
        Statement(f"{one['stream']}: {_ended(one['title'])} {one['advice'] or ''}".strip(), tuple(one["facts"]))
        for one in known.findings[:MOST_FINDINGS]
    ]
    if not told:
        told = [Statement("Nothing was found that asks for anything.", ())]
    more = len(known.findings) - MOST_FINDINGS
    if more > 0:
        told.append(Statement("There are more findings; each stream has its own.", ()))
    return Told(tuple(told), "template", "", note)


def _ended(title: str) -> str:
    """A title as a sentence."""
    return title if title.endswith((".", "!", "?")) else f"{title}."


def shortened(data: dict[str, Any], known: Numbered) -> dict[str, Any]:
    """The data that fits a model: facts of findings before others, findings by how bad they are, the rest left out."""
    room = MOST_DATA - 1_000
    findings: list[Any] = []
    facts: dict[str, Any] = {}
    for finding in known.findings:
        added = {name: known.facts[name] for name in finding["facts"] if name not in facts}
        size = len(json.dumps([finding, added], ensure_ascii=False))
        if size > room:
            break
        room -= size
        findings.append(finding)
        facts |= added
    for name, fact in known.facts.items():
        size = len(json.dumps({name: fact}, ensure_ascii=False))
        if name in facts or size > room:
            continue
        room -= size
        facts[name] = fact
    return {**data, "findings": findings, "facts": facts}
