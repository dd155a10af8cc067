"""The document of an analysis: what is answered as JSON, told in words, exported, and compared with the next one.

Names and tags in it are strangers' words: whoever shows it escapes them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from weir.analysis.analyses.contract import view
from weir.analysis.analyses.models import Analysis
from weir.analysis.findings import SEVERITIES
from weir.analysis.workflows.regression import worsened
from weir.analysis.workflows.results import Baseline, WorkflowResult
from weir.analysis.workflows.stream_facts import StreamFacts

__all__ = ["SCHEMA", "Json", "baseline_of", "compose", "counted", "found_of", "worse_of"]

SCHEMA = 1
Json = Mapping[str, Any]


def found_of(facts: StreamFacts, result: WorkflowResult) -> dict[str, Any]:
    """What the workflows found of a stream, with what it is and how much of it was known."""
    return {
        "name": facts.name,
        "mode": facts.mode,
        "open_shards": facts.open_shards,
        "tags": dict(facts.tags),
        **result.to_dict(),
        "completeness": facts.completeness,
    }


def compose(analysis: Analysis, streams: Sequence[Json], worse: Sequence[Json] | None) -> dict[str, Any]:
    """The document, the streams with the worst findings first; not told yet."""
    return {
        "schema": SCHEMA,
        "analysis": view(analysis).model_dump(mode="json"),
        "range": dict(analysis.range or {}),
        "streams": sorted(streams, key=_how_bad),
        "partial": list(analysis.partial),
        "calls": dict(analysis.calls),
        "worse": None if worse is None else list(worse),
        "told": None,
    }


def counted(streams: Iterable[Json]) -> dict[str, int]:
    """How many findings there are, by severity."""
    found = Counter(finding["severity"] for stream in streams for finding in stream["findings"])
    return {severity: found[severity] for severity in SEVERITIES}


def baseline_of(document: Json, name: str) -> Baseline | None:
    """What an earlier analysis told of a stream, to compare with; None where it does not tell of it."""
    span = document["range"]
    stream = next((one for one in document["streams"] if one["name"] == name), None)
    if stream is None or not span:
        return None
    seconds = (datetime.fromisoformat(span["to"]) - datetime.fromisoformat(span["from"])).total_seconds()
    id_ = document["analysis"]["analysis_id"]
    return Baseline.from_facts(id_, stream["facts"], period=span["period"], seconds=seconds)


def worse_of(before: Json, streams: Iterable[Json]) -> list[dict[str, Any]]:
    """The findings that got worse, of streams that were analyzed before, with their stream's name."""
    earlier = {stream["name"]: stream["findings"] for stream in before["streams"]}
    return [
        {"stream": stream["name"], **{name: finding.get(name) for name in ("workflow", "id", "severity", "title")}}
        for stream in streams
        if stream["name"] in earlier
        for finding in worsened(earlier[stream["name"]], stream["findings"])
    ]


def _how_bad(stream: Json) -> tuple[Any, ...]:
    found = Counter(finding["severity"] for finding in stream["findings"])
    return (*(-found[severity] for severity in SEVERITIES[:-1]), stream["name"])
