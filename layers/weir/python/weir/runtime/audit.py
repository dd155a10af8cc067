"""The audit of what admins set up: who changed what, when and from where. Kept for 400 days, newest first.

An entry lies in the table of what it tells of, and is written in the transaction of the change, so that neither is
there without the other. ``what`` is ``thing.done``; ``detail`` tells what came to be, of a change ``old -> new``. It
never holds a secret.
"""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from weir.runtime.clock import Clock, parse_rfc3339, rfc3339
from weir.runtime.dynamodb import Table, Write, again
from weir.runtime.migrations import Shapes

if TYPE_CHECKING:
    from weir.runtime.http import Origin, Principal

KIND = ("AUDIT#", "")
"""The keys of entries, for a table's shapes."""

KEPT = timedelta(days=400)
_LONGEST = 512
_TOP = "~"

Position = dict[str, str]
Told = Mapping[str, str]
"""What matters of a thing, by name, in short texts."""

NOTHING: Told = {}


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks, and from where the request came."""

    principal: "Principal"
    origin: "Origin"


def asker(event: Mapping[str, Any]) -> Asker:
    """Who sent an API Gateway event, and from where."""
    from weir.runtime import http  # rules and the gateway do without it

    return Asker(http.principal(event), http.origin(event))


@dataclass(frozen=True, slots=True)
class Entry:
    """What happened, once. ``who`` is a user id, ``subject`` the id or name of what it is of."""

    at: datetime
    what: str
    who: str
    who_name: str
    subject: str
    detail: Told
    source_ip: str
    user_agent: str
    request_id: str


@dataclass(frozen=True, slots=True)
class Audit:
    """The audit of a table."""

    table: Table
    shapes: Shapes
    clock: Clock

    def write(self, write: Write, what: str, who: Asker | None, subject: str, before: Told, after: Told) -> bool:
        """One write on its condition, and the entry of it: both, or neither. Whether they were done.

        Without an entry where nobody asked. Contended, or another WeirError, where DynamoDB refuses or fails.
        """
        told = [] if who is None else [self.entry(what, who, subject, before, after)]
        return not again(lambda: self.table.transact([write, *told]), self.clock)

    def entry(self, what: str, who: Asker, subject: str, before: Told, after: Told) -> Write:
        """The write of an entry, for the transaction of the change. Texts are cut off at 512 characters."""
        now = self.clock.now()
        item: dict[str, Any] = {
            "pk": f"{KIND[0]}{now:%Y-%m}",
            "sk": f"{rfc3339(now)}#{secrets.token_hex(8)}",
            "schema": self.shapes.schema,
            "ttl": int((now + KEPT).timestamp()),
            "what": what,
            "who": who.principal.sub,
            "who_name": who.principal.username,
            "subject": subject,
            "detail": {name: text[:_LONGEST] for name, text in _changes(before, after).items()},
            "source_ip": who.origin.source_ip,
            "user_agent": who.origin.user_agent,
            "request_id": who.origin.request_id,
        }
        return Write(put=item, when="attribute_not_exists(pk)")

    def page(self, limit: int, after: Position | None) -> tuple[list[Entry], Position | None]:
        """Entries newest first, and where to go on; None at the end."""
        now = self.clock.now()
        month, below = (after["month"], after["below"]) if after else (f"{now:%Y-%m}", _TOP)
        found: list[Entry] = []
        while month >= f"{now - KEPT:%Y-%m}":
            values = {"pk": f"{KIND[0]}{month}", "below": below}
            where, wanted = "pk = :pk AND sk < :below", limit - len(found)
            items, more = self.table.page(where, values, limit=wanted, descending=True)
            found += [self._read(item) for item in items]
            if len(found) == limit:
                return found, {"month": month, "below": str(items[-1]["sk"])}
            below = str(items[-1]["sk"]) if more else _TOP
            month = month if more else f"{datetime.fromisoformat(f'{month}-01') - timedelta(days=1):%Y-%m}"
        return found, None

    def _read(self, stored: Mapping[str, Any]) -> Entry:
        item = self.shapes.current(stored)
        names = ("what", "who", "who_name", "subject", "detail", "source_ip", "user_agent", "request_id")
        return Entry(parse_rfc3339(str(item["sk"]).split("#")[0]), **{name: item[name] for name in names})


def texts(fields: Mapping[str, Any]) -> Told:
    """Values as an entry tells them: texts as they are, moments by RFC 3339, others as JSON."""
    return {name: _text(value) for name, value in fields.items()}


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return rfc3339(value) if isinstance(value, datetime) else json.dumps(value)


def _changes(before: Told, after: Told) -> dict[str, str]:
    """All of what is new, or is gone; of what is changed what differs."""
    if not before or not after:
        return dict(before or after)
    names = dict.fromkeys([*before, *after])
    return {
        name: f"{before.get(name, '')} -> {after.get(name, '')}"
        for name in names
        if before.get(name, "") != after.get(name, "")
    }
