"""What the scanners of a file say: findings, and the verdict that they make."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["clean", "dangerous", "unscanned"]
"""``clean``: a scanner read the file and has nothing against it, which is not to say that it is safe.
``dangerous``: not to be served. ``unscanned``: nothing speaks against it, and nothing has looked at all of it."""

NOT_LOOKED_INTO = frozenset({"no-executable-content-known", "no-scanner", "nested-archive", "not-inflated"})
"""Rules that name what was not scanned. Every other rule's finding is dangerous."""

MOST_EVIDENCE = 300
MOST_FINDINGS = 50


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule that the file breaks, or that could not be applied, and what shows it, in printable characters."""

    rule: str
    evidence: str


@dataclass(frozen=True, slots=True)
class ScanResult:
    """What a file is, and what was found in it. ``content`` is what its bytes are, ``format`` what they are used as."""

    format: str
    verdict: Verdict
    findings: tuple[Finding, ...] = ()
    content: str = ""


def finding(rule: str, evidence: str) -> Finding:
    """A finding whose evidence can be stored and shown: no control characters, at most MOST_EVIDENCE characters."""
    shown = "".join(one if one.isprintable() else ascii(one)[1:-1] for one in evidence[:MOST_EVIDENCE])
    return Finding(rule, shown if len(shown) <= MOST_EVIDENCE else f"{shown[: MOST_EVIDENCE - 1]}…")


def judged(format_: str, findings: Iterable[Finding]) -> ScanResult:
    """The verdict that findings make; of many that are alike or beyond MOST_FINDINGS the dangerous ones are kept."""
    distinct = dict.fromkeys(findings)
    ordered = sorted(distinct, key=lambda one: one.rule in NOT_LOOKED_INTO)
    verdict: Verdict = "clean"
    if ordered:
        verdict = "unscanned" if ordered[0].rule in NOT_LOOKED_INTO else "dangerous"
    return ScanResult(format_, verdict, tuple(ordered[:MOST_FINDINGS]))
