"""What was collected of a stream, as it is kept between the steps of an analysis, and back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from weir.analysis.measurement import Measurement
from weir.analysis.workflows.series import MetricSeries
from weir.analysis.workflows.stream_facts import StreamFacts

__all__ = ["facts_of", "stored"]

_PLAIN = ("name", "mode", "region", "open_shards", "retention_hours", "encryption", "consumers")


def stored(facts: StreamFacts) -> dict[str, Any]:
    """The facts of a stream, JSON-able."""
    return {
        **{name: getattr(facts, name) for name in _PLAIN},
        "now": facts.now.isoformat(),
        "created_at": None if facts.created_at is None else facts.created_at.isoformat(),
        "tags": dict(facts.tags),
        "series": _all(facts.series),
        "history": _all(facts.history),
        "shards": {shard: _all(series) for shard, series in facts.shards.items()},
        "measurement": None if facts.measurement is None else facts.measurement.to_dict(),
        "not_read": list(facts.not_read),
    }


def facts_of(kept: Mapping[str, Any]) -> StreamFacts:
    """What `stored` kept."""
    created, measured = kept["created_at"], kept.get("measurement")
    return StreamFacts(
        **{name: kept[name] for name in _PLAIN},
        now=datetime.fromisoformat(kept["now"]),
        created_at=None if created is None else datetime.fromisoformat(created),
        tags=kept["tags"],
        series=_series(kept["series"]),
        history=_series(kept["history"]),
        shards={shard: _series(series) for shard, series in kept["shards"].items()},
        measurement=None if measured is None else Measurement.from_dict(measured),
        not_read=tuple(kept["not_read"]),
    )


def _all(series: Mapping[str, MetricSeries]) -> dict[str, Any]:
    return {
        name: {
            "statistic": one.statistic,
            "unit": one.unit,
            "period": one.period,
            "start": one.start.isoformat(),
            "values": [_short(value) for value in one.values],
            "complete": one.complete,
        }
        for name, one in series.items()
    }


def _series(kept: Mapping[str, Any]) -> dict[str, MetricSeries]:
    return {
        name: MetricSeries(
            name,
            one["statistic"],
            one["unit"],
            one["period"],
            datetime.fromisoformat(one["start"]),
            tuple(None if value is None else float(value) for value in one["values"]),
            one["complete"],
        )
        for name, one in kept.items()
    }


def _short(value: float | None) -> float | int | None:
    """Whole numbers without their `.0`: a third of the bytes."""
    return int(value) if value is not None and float(value).is_integer() else value
