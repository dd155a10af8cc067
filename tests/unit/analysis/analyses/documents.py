"""A document of an analysis, made by the workflows themselves; and one whose every text is an attack."""

from collections.abc import Mapping
from typing import Any

from tests.unit.analysis.workflows.streams import load, stream
from tests.unit.streams.fakes import NOON
from weir.analysis.analyses.document import compose, found_of
from weir.analysis.analyses.models import Analysis
from weir.analysis.workflows.registry import WORKFLOWS, run
from weir.analysis.workflows.stream_facts import StreamFacts

RANGE = {"from": "2026-11-16T00:00:00.000Z", "to": "2026-11-17T00:00:00.000Z", "period": 60}


def busy(name: str = "orders", **changes: Any) -> StreamFacts:
    """A day by the minute with one burst, and a gap of an hour."""
    rates: list[float | None] = [300.0 + minute % 7 for minute in range(1440)]
    rates[900:903] = [3_000.0] * 3
    rates[1000:1060] = [None] * 60
    return stream(name=name, **(load(rates) | changes))


def document(*streams: StreamFacts, **changes: Any) -> dict[str, Any]:
    """The document of an analysis of streams, told by the template."""
    analysis = Analysis("20261121-1", {"streams": ["orders"]}, NOON, range=RANGE, calls={"queries": 12}, complete=True)
    made = compose(analysis, [found_of(one, run(WORKFLOWS, one)) for one in streams], None)
    told = {"by": "template", "model": "", "note": "No model is configured.", "sentences": [{"text": "x", "facts": []}]}
    return {**made, "told": told, **changes}


def attacked(value: Any, attack: str) -> Any:
    """A document with an attack behind every text that is not one of a few."""
    if isinstance(value, Mapping):
        return {name: one if name in _KEPT else attacked(one, attack) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [attacked(one, attack) for one in value]
    return attack + value if isinstance(value, str) else value


_KEPT = {"severity", "start", "from", "to", "by"}
"""What is no stranger's word: it is checked or made by code."""
