"""Analyses in the analyses table (DynamoDB), which also keeps the prompts (``weir.analysis.telling.prompts``).

Access patterns
---------------
- one analysis                             Get    pk = ANALYSIS#<id>   sk = ANALYSIS
- analyses, newest first, paged            Query  index ``listing``  list = ANALYSES      (at = created#id)
- a user's analyses, newest first, paged   Query  index ``owned``    owner = <user id>    (sparse: not of nobody's)
- the last analysis of a schedule          Get    pk = SCHEDULE#<name> sk = LAST

Races: an analysis is stored once; its steps write only while it is RUNNING, so that what was deleted, or has ended,
stays so; of two analyses of one schedule that end together the younger one is its last. Items carry ``schema`` and a
TTL, and are checked for it when they are read, for DynamoDB may take days to remove them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weir.analysis.analyses.items import analysis_of, changes_of, item_of, key
from weir.analysis.analyses.models import KEPT, Analysis, AnalysisEnded, AnalysisNotFound, Failure, Status
from weir.analysis.analyses.shapes import SCHEMA, SHAPES
from weir.runtime.clock import Clock, rfc3339
from weir.runtime.dynamodb import Item, Table

__all__ = ["Analyses"]

_RUNNING = "#status = :running"


class Analyses:
    """All analyses. Every method may raise the WeirErrors of ``weir.runtime.dynamodb``."""

    def __init__(self, table: Table, clock: Clock) -> None:
        self._table, self._clock = table, clock

    def add(self, analysis: Analysis) -> bool:
        """Store a new one; False where its id is taken."""
        return self._table.put_new(item_of(analysis))

    def find(self, analysis_id: str) -> Analysis | None:
        """An analysis, None where there is none."""
        item = self._table.get(key(analysis_id))
        return analysis_of(item) if item is not None and item["ttl"] >= self._clock.epoch() else None

    def get(self, analysis_id: str) -> Analysis:
        """An analysis. AnalysisNotFound where there is none."""
        found = self.find(analysis_id)
        if found is None:
            raise AnalysisNotFound(f"There is no analysis {analysis_id!r}.")
        return found

    def page(
        self, limit: int, after: Mapping[str, Any] | None, owner: str | None
    ) -> tuple[list[Analysis], Item | None]:
        """Analyses newest first, one owner's or all, and where to go on (None at the end)."""
        index, attribute, value = ("listing", "list", "ANALYSES") if owner is None else ("owned", "owner", owner)
        items, last = self._table.page(
            "#of = :value",
            {"value": value},
            limit=limit,
            after=after,
            index=index,
            descending=True,
            names={"of": attribute},
        )
        return [analysis_of(item) for item in items if item["ttl"] >= self._clock.epoch()], last

    def progressed(self, analysis_id: str, **changes: Any) -> Analysis:
        """Change fields of one that is RUNNING. AnalysisEnded where it is not, or is gone."""
        done = self._changed(analysis_id, changes)
        if done is None:
            raise AnalysisEnded(f"Analysis {analysis_id!r} has ended, or was deleted.")
        return done

    def end(self, analysis_id: str, status: Status, **changes: Any) -> Analysis | None:
        """End one that is RUNNING; None where it has ended already, or is gone."""
        return self._changed(analysis_id, {**changes, "status": status, "ended_at": self._clock.now()})

    def fail(self, analysis_id: str, failure: Failure) -> Analysis | None:
        """End one as FAILED; None where it has ended already, or is gone."""
        return self.end(analysis_id, Status.FAILED, failure=failure)

    def delete(self, analysis_id: str) -> bool:
        """Delete one; False where it was not there."""
        return self._table.delete(key(analysis_id)).item is not None

    def last_of(self, schedule: str) -> str | None:
        """The id of a schedule's last analysis that was done; None where there is none that is kept."""
        item = self._table.get(_schedule_key(schedule))
        if item is None or item["ttl"] < self._clock.epoch():
            return None
        return str(SHAPES.current(item)["analysis_id"])

    def set_last(self, analysis: Analysis) -> None:
        """Make an analysis its schedule's last, unless a younger one is."""
        if analysis.schedule is None:
            return
        at = rfc3339(analysis.created_at)
        item = {
            **_schedule_key(analysis.schedule),
            "schema": SCHEMA,
            "analysis_id": analysis.analysis_id,
            "created_at": at,
            "ttl": int((analysis.created_at + KEPT).timestamp()),
        }
        self._table.put(item, "attribute_not_exists(pk) OR created_at <= :at", {"at": at})

    def notified(self, analysis_id: str) -> None:
        """The topic was told of what got worse."""
        self._table.update(key(analysis_id), "SET notified = :yes", "attribute_exists(pk)", {"yes": True})

    def _changed(self, analysis_id: str, changes: Mapping[str, Any]) -> Analysis | None:
        fields = changes_of(changes)
        told = ", ".join(f"#{name} = :{name}" for name in fields)
        names = {name: name for name in (*fields, "status")}
        values = {**fields, "running": Status.RUNNING.value}
        done = self._table.update(key(analysis_id), f"SET {told}", _RUNNING, values, names)
        return analysis_of(done.item) if done.done and done.item is not None else None


def _schedule_key(schedule: str) -> dict[str, str]:
    return {"pk": f"SCHEDULE#{schedule}", "sk": "LAST"}
