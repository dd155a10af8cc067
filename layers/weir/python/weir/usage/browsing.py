"""Reading records, newest day first: one user's by time, everybody's user by user within a day.

A page is as long as asked for, or shorter with more to come: what is looked through for it is bounded.
"""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from weir.runtime.clock import rfc3339
from weir.runtime.dynamodb import Table
from weir.usage.items import record_of
from weir.usage.models import Record
from weir.usage.money import usd
from weir.usage.table import active_on, day_of, records_of
from weir.usage.windows import begin

MOST_LOOKED_THROUGH = 10_000
"""Records that one page looks through."""

MOST_QUERIES = 200
"""Days of users that one page looks through."""

MOST_CHARACTERS = 4_000_000
"""Of a page: a function answers 6 MB at most, and groups may have long names."""

Position = dict[str, str]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which records: admitted from ``since`` to before ``until``; of one user, or of all (None)."""

    since: datetime
    until: datetime
    user: str | None = None
    model: str | None = None
    status: int | None = None

    def has(self, record: Record) -> bool:
        """Whether a record of the time and user is of the model and status."""
        return self.model in {None, record.model} and self.status in {None, record.status}


def page(
    table: Table, wanted: Wanted, limit: int, after: Position | None = None
) -> tuple[list[Record], Position | None]:
    """Records, and where to go on; None at the end."""
    found: list[Record] = []
    looked = size = 0
    if wanted.since >= wanted.until:
        return found, None
    for queries, (day, user, below) in enumerate(_partitions(table, wanted, after)):
        if queries == MOST_QUERIES or looked >= MOST_LOOKED_THROUGH:
            return found, {"day": day, "user": user, "below": below}
        for record in of_user(table, user, day, wanted.since, wanted.until, below):
            if len(found) == limit or looked >= MOST_LOOKED_THROUGH or size >= MOST_CHARACTERS:
                return found, {"day": day, "user": user, "below": below}
            looked += 1
            below = f"{rfc3339(record.admitted_at)}#{record.record_id}"
            if wanted.has(record):
                found.append(record)
                size += _size(record)
    return found, None


def _size(record: Record) -> int:
    """About how many characters a record has as it is told."""
    texts = (record.model, record.target, record.error, record.request_id, *record.caller.groups)
    return 400 + sum(map(len, texts)) + 3 * len(texts) + 150 * len(record.attempts)


def of_user(table: Table, user: str, day: str, since: datetime, until: datetime, below: str = "") -> Iterator[Record]:
    """A user's records of a day that were admitted from ``since`` to before ``until``, newest first.

    With ``below``, those whose sort key is below it.
    """
    top = min(filter(None, (rfc3339(until), below)))
    values = {"pk": records_of(user, day), "since": rfc3339(since), "top": top}
    items = table.all("pk = :pk AND sk BETWEEN :since AND :top", values, descending=True)
    return (record_of(one) for one in items if one["sk"] < top)


def active(table: Table, day: str) -> list[str]:
    """The users who were admitted on a day, or tried to be, by id."""
    return [str(one["sk"]) for one in table.all("pk = :pk", {"pk": active_on(day)})]


def _partitions(table: Table, wanted: Wanted, after: Position | None) -> Iterator[tuple[str, str, str]]:
    """The days and users to look through, and below what, from where a page ended on."""
    at, oldest = begin("day", wanted.until - timedelta(milliseconds=1)), begin("day", wanted.since)
    while at >= oldest:
        day = day_of(at)
        if after is None or day <= after["day"]:
            is_first = after is not None and day == after["day"]
            for user in [wanted.user] if wanted.user is not None else active(table, day):
                if not is_first or after is None or user > after["user"]:
                    yield day, user, ""
                elif user == after["user"]:
                    yield day, user, after["below"]
        at -= timedelta(days=1)


COLUMNS = (
    *("admitted_at", "ended_at", "request_id", "record_id", "user", "username", "key", "groups", "dialect", "model"),
    *("provider", "target", "status", "input", "output", "cache_read", "cache_write_5m", "cache_write_1h"),
    *(
        "estimated",
        "cost",
        "milliseconds",
        "first_token_milliseconds",
        "stream",
        "cut",
        "error",
        "attempts",
        "price_id",
    ),
)
"""The columns of CSV, in order."""


def as_csv(records: Sequence[Record]) -> str:
    """Records as CSV (RFC 4180), with a line of the columns' names."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    writer.writerows([_cell(_value(record, column)) for column in COLUMNS] for record in records)
    return text.getvalue()


def _value(record: Record, column: str) -> object:
    match column:
        case "admitted_at" | "ended_at":
            return rfc3339(getattr(record, column))
        case "user" | "username" | "key":
            return getattr(record.caller, column)
        case "groups":
            return " ".join(record.caller.groups)
        case "cost":
            return None if record.cost is None else usd(record.cost)
        case "attempts":
            return len(record.attempts)
        case _:
            return getattr(record, column)


_FORMULAS = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
"""How what spreadsheets work out begins; the last four are the first four at full width."""


def _cell(value: object) -> str:
    """A value as spreadsheets take it, to which no text of a caller's is a formula.

    https://owasp.org/www-community/attacks/CSV_Injection
    """
    if isinstance(value, bool):
        return str(value).lower()
    text = "" if value is None else str(value)
    return f"'{text}" if isinstance(value, str) and text.startswith(_FORMULAS) else text
