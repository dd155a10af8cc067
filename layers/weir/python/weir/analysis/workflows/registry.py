"""The workflows by name, and running several of them over one stream."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from itertools import chain

from weir.analysis.facts import Fact
from weir.analysis.findings import SEVERITIES
from weir.analysis.workflows.anomalous import anomalies
from weir.analysis.workflows.classification import classification
from weir.analysis.workflows.cost_options import cost
from weir.analysis.workflows.five_why import five_why
from weir.analysis.workflows.patterns import patterns
from weir.analysis.workflows.performance import performance
from weir.analysis.workflows.regression import regression
from weir.analysis.workflows.results import Options, WorkflowResult
from weir.analysis.workflows.scaling import scaling
from weir.analysis.workflows.stream_facts import StreamFacts
from weir.analysis.workflows.unused import unused

__all__ = ["WORKFLOWS", "run"]

Workflow = Callable[[StreamFacts, Options], WorkflowResult]

WORKFLOWS: Mapping[str, Workflow] = {
    "performance": performance,
    "cost": cost,
    "patterns": patterns,
    "unused": unused,
    "classification": classification,
    "scaling": scaling,
    "five-why": five_why,
    "anomalies": anomalies,
    "regression": regression,
}
"""In the order in which findings of equal severity are told."""


def run(names: Iterable[str], stream: StreamFacts, options: Options | None = None) -> WorkflowResult:
    """What the named workflows found of a stream: findings the worst first, facts each once, charts and trees.

    The facts begin with those that every analysis tells, so that any analysis can be a later one's baseline.

    Raises
    ------
    KeyError
        A name that is no workflow's.
    """
    wanted = set(names)
    if unknown := sorted(wanted - set(WORKFLOWS)):
        raise KeyError(f"no workflow {', '.join(unknown)}; there are {', '.join(WORKFLOWS)}")
    options = options or Options()
    results = {name: WORKFLOWS[name](stream, options) for name in WORKFLOWS if name in wanted}
    findings = [replace(finding, workflow=name) for name, result in results.items() for finding in result.findings]
    findings.sort(key=lambda finding: SEVERITIES.index(finding.severity))
    every = chain(stream.measures.values(), *(result.facts for result in results.values()))
    facts: dict[str, Fact] = {}
    for fact in every:
        facts.setdefault(fact.name, fact)
    return WorkflowResult(
        tuple(findings),
        tuple(facts.values()),
        tuple(chart for result in results.values() for chart in result.charts),
        tuple(tree for result in results.values() for tree in result.trees),
    )
