"""Questions about an analysis, answered from its facts: by a model that is held to them, or by the facts that match."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from weir.analysis.telling.document import Numbered, names_in, numbered
from weir.analysis.telling.model import Model, ModelUnavailable
from weir.analysis.telling.prompts import Prompt, with_text
from weir.analysis.telling.statements import Statement, state
from weir.analysis.telling.telling import shortened

__all__ = ["MOST_QUESTION", "Answered", "answer"]

MOST_QUESTION = 1_000
MOST_SENTENCES = 6
_MOST_FACTS = 8
_RELATED = 4
_WORD = re.compile(r"[a-z0-9]+")
_EMPTY = frozenset(
    {
        "a", "an", "and", "any", "are", "at", "be", "by", "can", "could", "do", "does", "for", "from", "had", "has",
        "have", "how", "i", "in", "is", "it", "its", "many", "me", "much", "my", "of", "on", "or", "our", "should",
        "so", "than", "that", "the", "their", "them", "there", "these", "this", "those", "to", "was", "we", "were",
        "what", "when", "where", "which", "who", "why", "will", "with", "would", "you", "your", "stream", "streams",
    }
)  # fmt: skip
_ALIKE = {
    "cost": ("cost", "month", "price", "usd", "cheaper", "save", "expensive"),
    "slow": ("latency", "age", "iterator", "behind", "lag"),
    "lag": ("age", "iterator", "behind", "latency"),
    "throttle": ("throttles", "throttled", "throughput", "exceeded"),
    "throttled": ("throttles", "throughput", "exceeded"),
    "shard": ("shards", "scaling", "capacity"),
    "idle": ("unused", "dead", "records"),
    "unused": ("idle", "dead", "records"),
    "busy": ("utilization", "peak"),
    "load": ("utilization", "peak", "records", "bytes"),
    "traffic": ("records", "bytes", "utilization"),
}
_QUESTIONS = {
    "cost": "What would {stream} cost in the other capacity mode?",
    "throttl": "Which shards of {stream} are throttled, and when?",
    "shard": "How many shards does {stream} need at its peak?",
    "age": "How far behind are the readers of {stream}?",
    "latency": "How long do calls to {stream} take?",
    "unused": "When did {stream} last take a record?",
    "anomal": "When did {stream} behave oddly, and in which metric?",
    "trend": "How does the load of {stream} grow?",
}


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer, the facts that it rests on, and what else could be asked. ``by`` and ``note`` are as of ``Told``."""

    question: str
    sentences: tuple[Statement, ...]
    facts: tuple[Mapping[str, Any], ...]
    related: tuple[str, ...]
    by: str
    model: str = ""
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able form."""
        return {
            "question": self.question,
            "answer": " ".join(one.text for one in self.sentences),
            "sentences": [{"text": one.text, "facts": list(one.facts)} for one in self.sentences],
            "facts": [dict(one) for one in self.facts],
            "related": list(self.related),
            "by": self.by,
            "model": self.model,
            "note": self.note,
        }


def answer(document: Mapping[str, Any], question: str, model: Model | None, prompt: Prompt) -> Answered:
    """The answer to a question from the facts of an analysis alone.

    Without a model that answers it is the facts whose words are those of the question, and the note says so.
    """
    known = numbered(document)
    if model is None:
        return _by_facts(known, question, "No model is configured: these are the facts that match the question.")
    data = shortened({"range": document.get("range"), "question": question}, known)
    try:
        instructions = with_text(prompt, streams=len(known.streams), sentences=MOST_SENTENCES)
        said = state(model, instructions, data, data["facts"], names_in(document))
    except ModelUnavailable as error:
        return _by_facts(known, question, f"{error} These are the facts that match the question.")
    if not said.said:
        told = "Nothing that the model said is borne by the facts: these are those that match the question."
        return _by_facts(known, question, told)
    used = list(dict.fromkeys(name for one in said.said for name in one.facts))
    left_out = f"{said.left_out} sentence(s) were left out: the facts do not bear them." if said.left_out else ""
    return Answered(
        question,
        said.said,
        tuple({"id": name, **known.facts[name]} for name in used),
        _related(known, question),
        "model",
        said.model,
        left_out,
    )


def _by_facts(known: Numbered, question: str, note: str) -> Answered:
    matched = _matching(known, question)
    told = [Statement(f"{fact['stream']}: {_worded(fact)}.", (name,)) for name, fact in matched]
    if not told:
        told = [Statement("The facts of this analysis do not answer that.", ())]
    facts = tuple({"id": name, **fact} for name, fact in matched)
    return Answered(question, tuple(told), facts, _related(known, question), "template", "", note)


def _matching(known: Numbered, question: str) -> list[tuple[str, Mapping[str, Any]]]:
    """The facts whose words the question has, most of them first; of the streams that it names, where it names any."""
    asked = _words(question)
    wanted = asked | {alike for word in asked for alike in _ALIKE.get(word, ())}
    named = _named(known.streams, question)
    scored = [
        (len(_words(f"{fact['name']} {fact.get('unit', '')}") & wanted), name, fact)
        for name, fact in known.facts.items()
        if not named or fact["stream"] in named
    ]
    best = sorted((one for one in scored if one[0]), key=lambda one: (-one[0], int(one[1][1:])))
    return [(name, fact) for _, name, fact in best[:_MOST_FACTS]]


def _named(streams: Iterable[str], question: str) -> set[str]:
    """The streams that a question names in full: ``orders`` is not in ``orders-eu``."""
    lowered = question.lower()
    return {one for one in streams if re.search(rf"(?<![\w-])(?<!\w\.){re.escape(one.lower())}(?!\.?[\w-])", lowered)}


def _words(text: str) -> set[str]:
    found = set(_WORD.findall(text.lower().replace("_", " "))) - _EMPTY
    return found | {word[:-1] for word in found if len(word) > 3 and word.endswith("s")}


def _worded(fact: Mapping[str, Any]) -> str:
    told = fact.get("text") or f"{fact.get('value')} {fact.get('unit', '')}".strip()
    return f"{str(fact['name']).replace('_', ' ')} is {told}" + (
        "" if fact.get("complete", True) else ", measured in part"
    )


def _related(known: Numbered, question: str) -> tuple[str, ...]:
    """Questions that the findings give rise to, but for the one that was asked."""
    found = [
        text.format(stream=finding["stream"])
        for finding in known.findings
        for word, text in _QUESTIONS.items()
        if word in str(finding["id"])
    ]
    first = known.streams[:1]
    found += [text.format(stream=first[0]) for text in _QUESTIONS.values()] if first else []
    return tuple(one for one in dict.fromkeys(found) if one.lower() != question.strip().lower())[:_RELATED]
