"""How good a version is to use, in measures from 0 to 1, each computed from facts that it names.

A measure whose facts are missing has no value and says so; nothing is guessed, and the total is over the measures that
have one. What each is:

| measure | value |
|---|---|
| license | 1: permissive; 0.5: with conditions (copyleft, use-based); 0: no commercial use. By SPDX id, or the Hub's |
| size | share of 8, 24, 80 and 640 GB of memory (laptop, GPU, large GPU, eight of them) that hold all the weights |
| formats | share of the bytes that are in files of a known format, by their names |
| card | share of ten entries of a model card that the metadata tells |
| safe_weights | share of the weights' bytes that Weir verified and that are in formats which can't carry code |
| freshness | 1 up to 90 days after the last change, falling to 0 at two years |
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from weir.packages.file_formats import format_of
from weir.packages.models import Declared, File, Manifest, State, Version
from weir.packages.validating import is_blank
from weir.runtime.clock import parse_rfc3339

GIGABYTE = 10**9
MEMORIES = (8 * GIGABYTE, 24 * GIGABYTE, 80 * GIGABYTE, 640 * GIGABYTE)
FRESH_DAYS, STALE_DAYS = 90, 730
CARD = (
    "license",
    "card",
    "framework",
    "base_model",
    "dataset",
    "language",
    "task",
    "metrics",
    "intended_use",
    "limitations",
)

PERMISSIVE = frozenset(
    {"apache-2.0", "mit", "mit-0", "bsd-2-clause", "bsd-3-clause", "bsd-3-clause-clear", "isc", "zlib", "0bsd", "ncsa"}
    | {"cc0-1.0", "cc-by-2.0", "cc-by-3.0", "cc-by-4.0", "unlicense", "bsl-1.0", "afl-3.0", "artistic-2.0", "ms-pl"}
    | {"postgresql", "wtfpl", "cdla-permissive-1.0", "cdla-permissive-2.0", "odc-by", "pddl"}
)
CONDITIONS = frozenset(
    {
        "gpl-2.0",
        "gpl-2.0-only",
        "gpl-2.0-or-later",
        "gpl-3.0",
        "gpl-3.0-only",
        "gpl-3.0-or-later",
        "mpl-2.0",
        "eupl-1.1",
    }
    | {"lgpl-2.1", "lgpl-2.1-only", "lgpl-2.1-or-later", "lgpl-3.0", "lgpl-3.0-only", "lgpl-3.0-or-later", "eupl-1.2"}
    | {"agpl-3.0", "agpl-3.0-only", "agpl-3.0-or-later", "epl-1.0", "epl-2.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "odbl"}
    | {"openrail", "openrail++", "creativeml-openrail-m", "bigscience-openrail-m", "bigscience-bloom-rail-1.0"}
    | {
        "bigcode-openrail-m",
        "llama2",
        "llama3",
        "llama3.1",
        "llama3.2",
        "llama3.3",
        "llama4",
        "gemma",
        "deepfloyd-if-license",
    }
)
RESEARCH_ONLY = frozenset(
    {"cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0", "cc-by-nc-sa-2.0"}
    | {"cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0", "apple-amlr", "intel-research", "fair-noncommercial-research-license"}
)


@dataclass(frozen=True, slots=True)
class Measure:
    """A measure: ``value`` from 0 to 1, None where its facts are missing; ``evidence`` tells the facts or the lack."""

    name: str
    value: float | None
    evidence: str


@dataclass(frozen=True, slots=True)
class Score:
    """``total`` is the mean of the measures that have a value, None where none has; ``measured`` counts those."""

    total: float | None
    measured: int
    measures: tuple[Measure, ...]


def score(version: Version, manifest: Manifest, files: Sequence[File], now: datetime) -> Score:
    """The score of a version whose ``files`` are those of which an upload was opened."""
    measures = (
        _license(version.metadata),
        _size(manifest.files),
        _formats(manifest.files),
        _card(version.metadata, manifest.files),
        _safe_weights(manifest.files, {file.declared.path: file for file in files}),
        _freshness(version, now),
    )
    values = [one.value for one in measures if one.value is not None]
    total = round(sum(values) / len(values), 4) if values else None
    return Score(total, len(values), measures)


def _license(metadata: Mapping[str, Any]) -> Measure:
    told = metadata.get("license")
    if not isinstance(told, str) or not told.strip():
        return Measure("license", None, "the metadata tells no license")
    name = told.strip().lower()[:128]
    for value, known, words in (
        (1.0, PERMISSIVE, "is permissive"),
        (0.5, CONDITIONS, "sets conditions"),
        (0.0, RESEARCH_ONLY, "forbids commercial use"),
    ):
        if name in known:
            return Measure("license", value, f"{name} {words}")
    return Measure("license", None, f"{name} is no license that is known here")


def _size(files: Sequence[Declared]) -> Measure:
    weights = sum(one.size for one in files if _is_weights(one.path))
    if not weights:
        return Measure("size", None, "no file is of a format of weights")
    held = [memory for memory in MEMORIES if weights <= memory]
    told = ", ".join(f"{memory // GIGABYTE} GB" for memory in held) or "none"
    named = ", ".join(str(memory // GIGABYTE) for memory in MEMORIES)
    return Measure(
        "size", _share(len(held), len(MEMORIES)), f"{weights:,} bytes of weights; of {named} GB held by: {told}"
    )


def _formats(files: Sequence[Declared]) -> Measure:
    total = sum(one.size for one in files)
    if not total:
        return Measure("formats", None, "no bytes are declared")
    unknown = [one for one in files if format_of(one.path) is None]
    known = total - sum(one.size for one in unknown)
    told = f"; unknown: {', '.join(one.path for one in unknown[:3])}" if unknown else ""
    return Measure("formats", _share(known, total), f"{known:,} of {total:,} bytes are of known formats{told}"[:400])


def _card(metadata: Mapping[str, Any], files: Sequence[Declared]) -> Measure:
    told = {key for key in CARD if not is_blank(metadata.get(key))}
    if any(one.path.lower() == "readme.md" and one.size for one in files):
        told.add("card")
    missing = [key for key in CARD if key not in told]
    evidence = (
        f"told: {', '.join(key for key in CARD if key in told) or 'none'}; missing: {', '.join(missing) or 'none'}"
    )
    return Measure("card", _share(len(told), len(CARD)), evidence)


def _safe_weights(declared: Sequence[Declared], files: Mapping[str, File]) -> Measure:
    weights = [one for one in declared if _is_weights(one.path)]
    verified = [one for one in weights if one.path in files and files[one.path].state is State.AVAILABLE]
    total = sum(one.size for one in verified)
    if not weights:
        return Measure("safe_weights", None, "no file is of a format of weights")
    if len(verified) < len(weights) or not total:
        return Measure("safe_weights", None, f"{len(verified)} of {len(weights)} files of weights are verified")
    safe = sum(one.size for one in verified if not _can_run(one.path))
    return Measure("safe_weights", _share(safe, total), f"{safe:,} of {total:,} bytes can carry no code")


def _freshness(version: Version, now: datetime) -> Measure:
    changed, where = version.created_at, "registered"
    if told := version.source.get("last_modified"):
        try:
            changed, where = parse_rfc3339(str(told)), "changed at its source"
        except ValueError:
            return Measure("freshness", None, "when its source last changed can't be read")
    days = max(0, (now - changed).days)
    value = min(1.0, max(0.0, (STALE_DAYS - days) / (STALE_DAYS - FRESH_DAYS)))
    return Measure("freshness", round(value, 4), f"{where} {days} days ago, on {changed:%Y-%m-%d}")


def _is_weights(path: str) -> bool:
    known = format_of(path)
    return known is not None and known.is_weights


def _can_run(path: str) -> bool:
    known = format_of(path)
    return known is None or known.can_run


def _share(part: int, whole: int) -> float:
    return round(part / whole, 4)
