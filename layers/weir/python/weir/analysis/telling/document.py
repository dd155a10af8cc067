"""The document of an analysis, as telling and asking read it: which streams, which findings, and facts with ids."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Numbered", "names_in", "numbered"]

Json = Mapping[str, Any]
_RANKS = {"critical": 0, "warning": 1, "info": 2}


@dataclass(frozen=True, slots=True)
class Numbered:
    """An analysis with its facts numbered: ``f1`` on, those of findings first, the worst finding first of all.

    ``facts`` is by id; each is as ``Fact.to_dict`` tells it, with its ``stream`` beside.
    """

    facts: Mapping[str, Json]
    findings: tuple[Json, ...]
    streams: tuple[str, ...]


def numbered(document: Json) -> Numbered:
    """An analysis with its facts numbered. One that rests under several findings has one id."""
    facts: dict[str, Json] = {}
    ids: dict[tuple[Any, ...], str] = {}

    def known(stream: str, fact: Json) -> str:
        key = (stream, fact["name"], fact.get("value"), fact.get("unit"), fact.get("source"))
        if key not in ids:
            ids[key] = f"f{len(ids) + 1}"
            facts[ids[key]] = {"stream": stream, **fact}
        return ids[key]

    findings = [
        {
            "stream": stream["name"],
            **{name: finding.get(name) for name in ("id", "severity", "title", "advice")},
            "facts": [known(stream["name"], fact) for fact in finding.get("evidence", ())],
        }
        for stream, finding in sorted(_findings(document), key=lambda one: _RANKS.get(one[1]["severity"], 3))
    ]
    for stream in document.get("streams", ()):
        for fact in stream.get("facts", ()):
            known(stream["name"], fact)
    return Numbered(facts, tuple(findings), tuple(one["name"] for one in document.get("streams", ())))


_MOMENT = r"(\d{4}-\d{2}-\d{2}) (\d{2}:\d{2}:\d{2})"
_RUN = re.compile(rf"run (\S+?)(?:, {_MOMENT} to {_MOMENT} UTC)?:")


def names_in(document: Json) -> list[str]:
    """Texts that may stand in a sentence with their digits: names of streams and shards, and moments of the range."""
    spans = document.get("range") or {}
    moments = [str(spans[name]) for name in ("from", "to", "start", "end") if spans.get(name)]
    days = [moment[:10] for moment in moments if re.match(r"\d{4}-\d{2}-\d{2}", moment)]
    runs = {part for _, finding in _findings(document) for part in _of_run(finding)}
    return [*(str(one["name"]) for one in document.get("streams", ())), *moments, *days, *sorted(runs)]


def _of_run(finding: Json) -> Iterator[str]:
    """A run's id, and the days and times of its facts, as their sources tell them."""
    for fact in finding.get("evidence", ()):
        if found := _RUN.match(str(fact.get("source") or "")):
            yield found[1]
            for day, time in (found.group(2, 3), found.group(4, 5)) if found[2] else ():
                yield from (day, time, time[:5], f"{day} {time}")


def _findings(document: Json) -> Iterator[tuple[Json, Json]]:
    for stream in document.get("streams", ()):
        for finding in stream.get("findings", ()):
            yield stream, finding
