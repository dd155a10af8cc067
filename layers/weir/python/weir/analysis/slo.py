"""The service levels that a run is held against."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Slo"]


@dataclass(frozen=True, kw_only=True)
class Slo:
    """None means that nothing was asked. Latency is produce to read, milliseconds; counts are user records."""

    p99_latency_ms: float | None = None
    min_records_per_second: float | None = None
    max_lost: int = 0
    max_duplicates: int | None = None
    ordered: bool = False
