"""Usage by hour, day, week and month: exact, whatever is summed up already.

What is summed up of a period is told where it was *sealed* and none of its hours has records that came late since.
Else it is added up from the periods within it, and hours that are running, or not summed up yet, from the records.
Records lie by user, so that a running hour of all is a read for each who was active that day; some go at a time.
Late hours are read first, then what is sealed: a mark goes only after what it stood for was summed up anew, so that no
record is left out in between. An edition of rows that another took the place of stays for those who are reading it.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any, Literal

from weir.runtime.clock import Clock
from weir.runtime.dynamodb import Item, Table
from weir.usage.browsing import active, of_user
from weir.usage.models import Record
from weir.usage.shapes import SHAPES
from weir.usage.table import LATE, SCHEMA, day_of, periods_of, rows_of
from weir.usage.windows import PERIODS, Period, each, end, name

AT_ONCE = 16
"""Calls of DynamoDB at a time: as many as a client has connections."""

By = Literal["model", "user", "key", "group"]
BY: tuple[By, ...] = ("model", "user", "key", "group")

KEPT: dict[Period, timedelta] = {one: timedelta(days=3650) for one in PERIODS}
"""How long what is summed up is kept; hours no longer than records are, as the settings have it."""


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over calls. ``cost`` in pico-dollars; ``unpriced`` are those of which it is not known."""

    requests: int = 0
    errors: int = 0
    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    cost: int = 0
    unpriced: int = 0
    estimated: int = 0
    cut: int = 0
    milliseconds: int = 0

    def __add__(self, other: "Totals") -> "Totals":
        return Totals(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(self)))


@dataclass(frozen=True, slots=True)
class Cell:
    """What calls are added up by: a user, the key that they used, the groups that they were in then, and the model."""

    user: str
    key: str
    groups: tuple[str, ...]
    model: str


Rows = dict[Cell, Totals]


def totals_of(record: Record) -> Totals:
    """What a call adds."""
    return Totals(
        requests=1,
        errors=int(record.status >= 400 or bool(record.error)),
        input=record.input,
        output=record.output,
        cache_read=record.cache_read,
        cache_write_5m=record.cache_write_5m,
        cache_write_1h=record.cache_write_1h,
        cost=record.cost or 0,
        unpriced=int(record.cost is None),
        estimated=int(record.estimated),
        cut=int(record.cut),
        milliseconds=record.milliseconds,
    )


def added(parts: Iterable[tuple[Cell, Totals]]) -> Rows:
    """Sums by cell."""
    rows: Rows = defaultdict(Totals)
    for cell, totals in parts:
        rows[cell] += totals
    return dict(rows)


def by(rows: Rows, names: Sequence[By]) -> dict[tuple[str, ...], Totals]:
    """Sums by some of model, user, key and group, in that order of names; of none, the sum of all.

    A call of somebody who is in several groups is in each of their sums, and in that of no group (empty) for none.
    """
    sums: dict[tuple[str, ...], Totals] = defaultdict(Totals)
    for cell, totals in rows.items():
        for group in (cell.groups or ("",)) if "group" in names else ("",):
            sums[tuple(group if one == "group" else getattr(cell, one) for one in names)] += totals
    return dict(sorted(sums.items()))


class Summaries:
    """Reads what was used, of one user or of all."""

    def __init__(self, table: Table, clock: Clock, records_kept: timedelta) -> None:
        self._table, self._clock, self._records_kept = table, clock, records_kept

    def known(self, since: datetime, until: datetime) -> "Known":
        """What is summed up of a time, and what of that holds; to be read anew for each request."""
        late = frozenset(str(one["sk"]) for one in self._table.all("pk = :pk", {"pk": LATE}))
        sealed: dict[str, str] = {}
        for period in PERIODS:
            values = {"pk": periods_of(period), "since": name(period, since), "until": name(period, until)}
            for item in self._table.all("pk = :pk AND sk BETWEEN :since AND :until", values):
                sealed[str(item["sk"])] = str(SHAPES.current(item)["edition"])
        return Known(sealed, late)

    def rows(self, period: Period, began: datetime, known: "Known", user: str | None = None) -> Rows:
        """The rows of a period, exact; of one user, or of all."""
        edition = known.edition(period, began)
        if edition is not None:
            return added(self._stored(name(period, began), edition, user))
        return self.worked_out(period, began, known, user)

    def worked_out(self, period: Period, began: datetime, known: "Known", user: str | None = None) -> Rows:
        """The rows of a period from what is within it: a week's from days, a day's from hours, those from records."""
        ends = end(period, began)
        if period == "hour":
            return added(self._live(began, ends, user))
        if period == "day":
            return added(self._by_hours(began, ends, known, user))
        days = (self.rows("day", day, known, user) for day in each("day", began, min(ends, self._horizon())))
        return added(pair for rows in days for pair in rows.items())

    def seal(self, period: Period, began: datetime, known: "Known") -> str:
        """Sum a period up and keep that: the rows first, then that they hold. Answers their edition.

        The edition follows from the rows: the same figures are the same edition, and written twice are there once.
        """
        rows = self.worked_out(period, began, known)
        told = sorted((_row_item(cell, totals) for cell, totals in rows.items()), key=lambda one: str(one["sk"]))
        edition = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]
        known_as = name(period, began)
        ttl = int((end(period, began) + self._kept(period)).timestamp())
        kept = [{"pk": rows_of(known_as, edition), **row, "schema": SCHEMA, "ttl": ttl} for row in told]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(self._table.put, kept))  # which raises what one of them does
        sealed = {"pk": periods_of(period), "sk": known_as, "schema": SCHEMA, "ttl": ttl}
        self._table.put({**sealed, "edition": edition, "rows": len(told)})
        return edition

    def _by_hours(
        self, began: datetime, ends: datetime, known: "Known", user: str | None
    ) -> Iterator[tuple[Cell, Totals]]:
        """A day's hours: what is sealed as it is, the runs of hours between from the records, one query a user each."""
        hours = list(each("hour", began, min(ends, self._horizon())))
        for is_sealed, run in groupby(hours, key=lambda hour: known.edition("hour", hour) is not None):
            some = list(run)
            if not is_sealed:
                yield from self._live(some[0], end("hour", some[-1]), user)
                continue
            for hour in some:
                yield from self._stored(name("hour", hour), known.edition("hour", hour) or "", user)

    def _live(self, since: datetime, until: datetime, user: str | None) -> Iterator[tuple[Cell, Totals]]:
        """What the records of a time within one day say."""
        day = day_of(since)

        def rows(one: str) -> Rows:
            return added(map(_counted, of_user(self._table, one, day, since, until)))

        if user is not None:
            yield from rows(user).items()
            return
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for found in pool.map(rows, active(self._table, day)):
                yield from found.items()

    def _stored(self, known_as: str, edition: str, user: str | None) -> Iterator[tuple[Cell, Totals]]:
        where, values = "pk = :pk", {"pk": rows_of(known_as, edition)}
        if user is not None:
            where, values = f"{where} AND begins_with(sk, :user)", {**values, "user": f"{user}#"}
        return (_row_of(item) for item in self._table.all(where, values))

    def _horizon(self) -> datetime:
        """When nothing has happened yet: in an hour, for clocks differ."""
        return self._clock.now() + timedelta(hours=1)

    def _kept(self, period: Period) -> timedelta:
        return self._records_kept if period == "hour" else KEPT[period]


@dataclass(frozen=True, slots=True)
class Known:
    """What is summed up: the editions of sealed periods by name, and the hours (``yyyymmddhh``) with late records."""

    sealed: Mapping[str, str]
    late: frozenset[str]

    def edition(self, period: Period, began: datetime) -> str | None:
        """The edition of a period's rows that holds; None where there is none, or a record came late since."""
        edition = self.sealed.get(name(period, began))
        if edition is None or not self.late:
            return edition
        first, last = f"{began:%Y%m%d%H}", f"{end(period, began):%Y%m%d%H}"
        return None if any(first <= hour < last for hour in self.late) else edition


def _counted(record: Record) -> tuple[Cell, Totals]:
    caller = record.caller
    return Cell(caller.user, caller.key, caller.groups, record.model), totals_of(record)


def _row_item(cell: Cell, totals: Totals) -> Item:
    digest = hashlib.sha256(json.dumps([cell.key, cell.groups, cell.model]).encode()).hexdigest()[:24]
    return {
        "sk": f"{cell.user}#{digest}",
        "user": cell.user,
        "key": cell.key,
        "groups": list(cell.groups),
        "model": cell.model,
        **{one.name: getattr(totals, one.name) for one in fields(totals)},
    }


def _row_of(item: Mapping[str, Any]) -> tuple[Cell, Totals]:
    item = SHAPES.current(item)
    totals = Totals(**{one.name: item[one.name] for one in fields(Totals)})
    return Cell(item["user"], item["key"], tuple(item["groups"]), item["model"]), totals
